/* SPDX-License-Identifier: ISC */
/* Servers that do not answer: what they cost those who do, and each other. */
#include "unit.h"

#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "base/check.h"
#include "ipc/spool_delivery.h"
#include "role/courier/courier.h"
#include "scene.h"
#include "sys/stream.h"

static const struct job_spec to_b = { .kind = ROUTE_TO_MX, .domain = "y.example", .rcpts = "b@y.example" };
static const char one_mx[] = "MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1";
static const char two_mx[] = "MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1;MX y.example 20 mx2.y.example;A mx2.y.example 127.0.0.2";
enum { SECOND_MS = 1000, GREETING_MS = 5 * 60 * SECOND_MS };

static uint64_t ahead_ms;

uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	return __real_uv_now(loop) + ahead_ms;
}

static unsigned trims;
static bool wants_trims;

void __wrap_process_trim_memory(void);
void __wrap_process_trim_memory(void)
{
	trims++;
	if (wants_trims)
		loop_stop(w.loop);
}

static void begin(const char *zone)
{
	w.zone = zone;
	w.many = true;
	direct("tls opportunistic");
}

/* What this job came to. */
static void expect(unsigned job, const char *outcome)
{
	char line[200];
	size_t where;
	(void)snprintf(line, sizeof line, "%u: 0 %s", job, outcome);
	if (!str_find_str(buf_view(&w.outcomes), str_of(line), &where))
		fail_msg("no \"%s\" in\n%.*s", line, STR_ARG(buf_view(&w.outcomes)));
}

static void wait_for_done(unsigned n)
{
	while (w.n_done < n)
		world_run(&w);
}

/* Its first word is not said in time. */
static void stay_silent(void)
{
	unsigned calls = w.peers[0].connections;
	w.peers[0].script.mute = true;
	world_send(&w, &to_b);
	while (w.peers[0].connections == calls)
		world_run(&w);
	ahead_ms += GREETING_MS + SECOND_MS;
}

/* The last one of all needs no name, and so the others wait at the door when it is done. */
static void send_last(void)
{
	world_send(&w, &(struct job_spec){ .kind = ROUTE_TO_LMTP, .name = "127.0.0.2:1", .domain = "z.example", .rcpts = "c@z.example" });
}

static void nobody_waits_twice_for_the_silent(void **state)
{
	(void)state;
	begin(one_mx);
	w.peers[0].script.mute = true;
	world_send(&w, &to_b);
	while (w.peers[0].connections == 0)
		world_run(&w);
	ahead_ms += GREETING_MS - 60 * SECOND_MS;
	for (int i = 0; i < 2; i++)
		world_send(&w, &to_b);
	send_last();
	wait_for_done(1);
	ahead_ms += 61 * SECOND_MS;
	wait_for_done(4);
	assert_int_equal(w.peers[0].connections, 1);
	expect(1, "later 0 4.4.2 ");
	static const char words[] = "later 0 4.4.1 Not connected to mx.y.example: it did not answer a moment ago, and is left alone for another 10 s|";
	expect(2, words);
	expect(3, words);
	expect_told("connection=\"none: it did not answer a moment ago\"");
	ahead_ms += 5 * SECOND_MS;
	world_send(&w, &to_b);
	wait_for_done(5);
	expect(5, "later 0 4.4.1 Not connected to mx.y.example: it did not answer 5 s ago, and is left alone for another 5 s|");
	assert_int_equal(w.peers[0].connections, 1);
	ahead_ms += 5 * SECOND_MS;
	world_send(&w, &to_b);
	world_send(&w, &to_b); /* one finds out for all */
	wait_for_done(6);
	expect(7, "later 0 4.4.1 Not connected to mx.y.example: it did not answer 10 s ago, and another message tries it now|");
	while (w.peers[0].connections < 2)
		world_run(&w);
	peer_greet(&w.peers[0]);
	wait_for_done(7);
	expect(6, "done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].connections, 2);
}

static void the_next_host_is_tried_at_once(void **state)
{
	(void)state;
	begin(one_mx);
	stay_silent();
	wait_for_done(1);
	w.zone = two_mx;
	world_send(&w, &to_b);
	wait_for_done(2);
	expect(2, "done 250 2.0.0 Ok|");
	assert_true(str_eq(buf_view(&w.last_host), STR("mx2.y.example")));
	assert_int_equal(w.peers[0].connections, 1);
	expect_told("did not answer a moment ago");
}

/* Who is asked how it would be now looks, and what he finds counts for all. */
static void an_explanation_knocks(void **state)
{
	(void)state;
	begin(one_mx);
	stay_silent();
	wait_for_done(1);
	w.peers[0].script.mute = false;
	struct job_spec explain = to_b;
	explain.explain = true;
	world_send(&w, &explain);
	wait_for_done(2);
	expect(2, "done 0 2.0.0 The next server is ready");
	world_send(&w, &to_b);
	wait_for_done(3);
	expect(3, "done 250 2.0.0 Ok|");
}

static void they_go_on_when_the_first_is_answered(void **state)
{
	(void)state;
	begin(one_mx);
	w.peers[0].script.mute = true;
	for (int i = 0; i < 4; i++)
		world_send(&w, &to_b);
	world_run(&w);
	assert_int_equal(w.peers[0].connections, 1);
	ahead_ms += 20 * SECOND_MS; /* slow, not silent */
	peer_greet(&w.peers[0]);
	wait_for_done(4);
	assert_int_equal(w.peers[0].letters, 4);
}

/* Thousands of domains may lead to one server that takes minutes for its first word: their letters keep no places. */
static void nobody_waits_long_for_others(void **state)
{
	(void)state;
	begin(one_mx);
	w.peers[0].script.mute = true;
	for (int i = 0; i < 3; i++)
		world_send(&w, &to_b);
	while (w.peers[0].connections == 0)
		world_run(&w);
	send_last();
	wait_for_done(1);
	ahead_ms += KNOCK_WAIT_MS - 10 * SECOND_MS; /* not yet */
	send_last();
	wait_for_done(2);
	ahead_ms += 11 * SECOND_MS;
	wait_for_done(4);
	static const char words[] = "later 0 4.4.5 Not connected to mx.y.example: others are still connecting to it, and this message has waited 12";
	expect(2, words);
	expect(3, words);
	expect_told("connection=\"none: others are connecting to it\"");
	peer_greet(&w.peers[0]);
	wait_for_done(5);
	expect(1, "done 250 2.0.0 Ok|");
}

static void who_has_waited_too_long_for_anything_says_so(void **state)
{
	(void)state;
	begin(two_mx);
	w.peers[0].script.mute = true;
	for (int i = 0; i < 2; i++)
		world_send(&w, &to_b);
	while (w.peers[0].connections == 0)
		world_run(&w);
	ahead_ms += COURIER_TARGETS_MS + SECOND_MS;
	wait_for_done(2);
	expect(2, "later 0 4.4.5 Nothing was tried: too many others were before this message|");
}

/* A connection that is free again serves those who wait there, too. */
static void who_is_released_lets_the_next_in(void **state)
{
	(void)state;
	begin(one_mx);
	w.peers[0].script.mute = true;
	for (int i = 0; i < 3; i++)
		world_send(&w, &to_b);
	world_run(&w);
	assert_int_equal(w.peers[0].connections, 1);
	w.peers[0].script.mute = false;
	channel_send(w.spool, WORKER_RELEASE, &(struct worker_release){ .job = 1 }); /* removed by the operator: nothing is learned */
	wait_for_done(3);
	assert_int_equal(w.peers[0].letters, 2);
}

static void who_waits_is_given_back(void **state)
{
	(void)state;
	begin(one_mx);
	w.peers[0].script.mute = true;
	for (int i = 0; i < 3; i++)
		world_send(&w, &to_b);
	send_last();
	while (w.peers[0].connections == 0 || w.n_done == 0)
		world_run(&w);
	channel_send(w.control, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 600000 });
	while (w.given_back < 3) /* and who knocks, and has said nothing yet */
		world_run(&w);
}

/* ---- who gives way ---- */

static void give_way(unsigned job)
{
	channel_send(w.spool, WORKER_GIVE_WAY, &(struct worker_give_way){ .job = job });
}

/* The first hosts are silent from this command on, and the letter has come as far as that at the first one. */
static void stuck_at(const char *command, unsigned hosts)
{
	begin("MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1;MX y.example 20 mx2.y.example;A mx2.y.example 127.0.0.2;"
	      "MX y.example 30 mx3.y.example;A mx3.y.example 127.0.0.3");
	for (unsigned i = 0; i < hosts; i++)
		w.peers[i].script.silent_at = command;
	world_send(&w, &to_b);
	while (!was_said(0, command))
		world_run(&w);
	ahead_ms += 60 * SECOND_MS;
}

static void who_takes_long_gives_way_to_the_next_host(void **state)
{
	(void)state;
	stuck_at("MAIL", 1);
	give_way(1);
	wait_for_done(1);
	expect(1, "done 250 2.0.0 Ok|");
	assert_true(str_eq(buf_view(&w.last_host), STR("mx2.y.example")));
	expect_told("makes room for others");
}

/* The other hosts may be as slow. */
static void only_one_more_host_is_tried(void **state)
{
	(void)state;
	stuck_at("MAIL", 2);
	give_way(1);
	while (!was_said(1, "MAIL"))
		world_run(&w);
	ahead_ms += 60 * SECOND_MS;
	give_way(1);
	wait_for_done(1);
	expect(1, "later 0 4.4.2 mx2.y.example takes too long: after 12");
	assert_int_equal(w.peers[2].connections, 0);
}

/* Another host might take a second copy at once. */
static void what_has_left_goes_to_no_other_host(void **state)
{
	(void)state;
	begin(two_mx);
	w.peers[0].script.silent_at_dot = true;
	world_send(&w, &to_b);
	while (w.peers[0].letters == 0)
		world_run(&w);
	give_way(1);
	wait_for_done(1);
	expect(1, "later 0 4.4.2 The server has not taken it yet: after ");
	assert_int_equal(w.peers[1].connections, 0);
	expect_told("makes room for others");
}

static void who_waits_for_the_dns_gives_way(void **state)
{
	(void)state;
	begin("MX y.example silent");
	world_send(&w, &to_b);
	while (w.unanswered == 0)
		world_run(&w);
	give_way(1);
	wait_for_done(1);
	expect(1, "later 0 4.4.3 What the DNS says of its domain has not come yet: after ");
}

/* That is no time that anybody outside takes. */
static void who_waits_for_his_turn_keeps_it(void **state)
{
	(void)state;
	begin(one_mx);
	w.peers[0].script.mute = true;
	for (int i = 0; i < 2; i++)
		world_send(&w, &to_b);
	while (w.peers[0].connections == 0)
		world_run(&w);
	give_way(2);
	send_last();
	wait_for_done(1);
	peer_greet(&w.peers[0]);
	wait_for_done(3);
	expect(2, "done 250 2.0.0 Ok|");
}

/* ---- memory ---- */

static void what_a_burst_leaves_goes_back(void **state)
{
	(void)state;
	trims = 0;
	begin(one_mx);
	w.peers[0].script.hang_up_after = true;
	assert_int_equal(trims, 1); /* when it was configured: what was read for that leaves holes, too */
	trims = 0;
	wants_trims = true;
	for (unsigned i = 0; i < 10; i++)
		world_send(&w, &to_b);
	wait_for_done(10);
	assert_int_equal(trims, 0);
	ahead_ms += COURIER_TRIM_MS;
	while (trims == 0)
		world_run(&w);
	ahead_ms += 10 * COURIER_TRIM_MS; /* nothing has ended since */
	send_last();
	wait_for_done(11);
	assert_int_equal(trims, 1);
	ahead_ms += COURIER_TRIM_MS;
	while (trims == 1)
		world_run(&w);
	wants_trims = false;
}

/* ---- many of them ---- */

struct mutes { struct acceptor *acceptor; uint16_t port; int fds[2 * DOORS_KNOCKS_MAX]; size_t n, stop_at; };

static void on_mute(void *owner)
{
	struct mutes *m = owner;
	struct endpoint from;
	while (m->n < COUNT(m->fds) && socket_accept(acceptor_fd(m->acceptor), &m->fds[m->n], &from) == OK)
		m->n++;
	if (m->n >= m->stop_at)
		loop_stop(w.loop);
}

static void mutes_open(struct mutes *m)
{
	struct rlimit most;
	struct endpoint any = { .kind = ENDPOINT_IPV4 };
	struct why why;
	int fd;
	*m = (struct mutes){ .n = 0 };
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &most), 0);
	most.rlim_cur = most.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &most), 0);
	assert_ok(socket_listen(&any, 2000, &fd, &why));
	assert_ok(socket_local(fd, &any));
	m->port = any.port;
	m->acceptor = acceptor_new(w.loop, fd, on_mute, m);
}

static void mutes_close(struct mutes *m)
{
	acceptor_close(&m->acceptor);
	for (size_t i = 0; i < m->n; i++)
		fd_close(&m->fds[i]);
}

static void send_lmtp(const char *name)
{
	world_send(&w, &(struct job_spec){ .kind = ROUTE_TO_LMTP, .name = name, .domain = "z.example", .rcpts = "c@z.example" });
}

static void send_to_mute(const struct mutes *m, unsigned n)
{
	char name[60];
	(void)snprintf(name, sizeof name, "127.1.%u.%u:%u", n / 250, 1 + n % 250, (unsigned)m->port);
	send_lmtp(name);
}

static void the_crowd_shortens_patience(void **state)
{
	(void)state;
	static struct mutes m;
	char living[40];
	begin(one_mx);
	mutes_open(&m);
	(void)snprintf(living, sizeof living, "127.0.0.1:%u", (unsigned)w.port);
	send_lmtp(living); /* who has answered before ... */
	wait_for_done(1);
	w.unix_silent = true;
	send_lmtp("unix:/silent");
	for (unsigned i = 1; i < DOORS_KNOCKS_MAX; i++)
		send_to_mute(&m, i);
	send_to_mute(&m, DOORS_KNOCKS_MAX); /* has to wait */
	m.stop_at = DOORS_KNOCKS_MAX - 1;
	while (m.n < m.stop_at)
		world_run(&w);
	send_lmtp(living); /* ... does not notice */
	wait_for_done(2);
	assert_int_equal(m.n, DOORS_KNOCKS_MAX - 1);
	m.stop_at = DOORS_KNOCKS_MAX;
	ahead_ms += KNOCK_HASTE_MS; /* who accepts connections may take longer for his first word */
	while (m.n < m.stop_at || w.n_done < 3)
		world_run(&w);
	expect(2, "later 0 4.4.1 Cannot connect to unix:/silent: no answer in 10 seconds, and many others wait for their turn|");
	assert_int_equal(w.n_done, 3);
	send_to_mute(&m, DOORS_KNOCKS_MAX + 1);
	m.stop_at = DOORS_KNOCKS_MAX + 1;
	ahead_ms += KNOCK_PATIENCE_MS - KNOCK_HASTE_MS;
	while (m.n < m.stop_at)
		world_run(&w);
	wait_for_done(4);
	expect(3, "later 0 4.4.2 Connected to 127.1.0.2: no answer in 60 seconds, and many others wait for their turn|");
	mutes_close(&m);
}

/* What a job asks when it begins waits for answers to others; who needs no name does not. */
static void questions_are_bounded(void **state)
{
	(void)state;
	enum { EACH = 2, JOBS = KNOCK_ASKS_MAX / EACH };
	char living[40];
	begin("MX y.example silent;STS y.example silent");
	for (unsigned i = 0; i < JOBS + 1; i++)
		world_send(&w, &to_b);
	(void)snprintf(living, sizeof living, "127.0.0.1:%u", (unsigned)w.port);
	send_lmtp(living);
	while (w.unanswered < KNOCK_ASKS_MAX || w.n_done < 1)
		world_run(&w);
	send_lmtp(living);
	wait_for_done(2);
	assert_int_equal(w.unanswered, KNOCK_ASKS_MAX);
	channel_close(&w.resolver); /* all of them are answered so, and the one that waits is, too */
	wait_for_done(2 + JOBS + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_waits_twice_for_the_silent),
		TEST(the_next_host_is_tried_at_once),
		TEST(an_explanation_knocks),
		TEST(they_go_on_when_the_first_is_answered),
		TEST(nobody_waits_long_for_others),
		TEST(who_has_waited_too_long_for_anything_says_so),
		TEST(who_is_released_lets_the_next_in),
		TEST(who_waits_is_given_back),
		TEST(who_takes_long_gives_way_to_the_next_host),
		TEST(only_one_more_host_is_tried),
		TEST(what_has_left_goes_to_no_other_host),
		TEST(who_waits_for_the_dns_gives_way),
		TEST(who_waits_for_his_turn_keeps_it),
		TEST(what_a_burst_leaves_goes_back),
		TEST(the_crowd_shortens_patience),
		TEST(questions_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
