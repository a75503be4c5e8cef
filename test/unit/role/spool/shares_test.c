/* SPDX-License-Identifier: ISC */
/* The places are shared: what hangs takes none from what goes on. A spool without its role, on a store of its own. */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "role/spool/spool.h"
#include "sys/clock.h"

static uint64_t now_ms = 1000 * 1000; /* passes only as tests say */

uint64_t __wrap_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	(void)loop;
	return now_ms;
}

static struct conf conf = { .queue.destination_concurrency = 20, .queue.retry.give_up_s = 5 * 86400 };
static struct spool s;
static struct job in_hand[SPOOL_JOBS_MAX];
static size_t n_in_hand;
static struct arena *arena;
static struct worker courier;
static struct channel *far_end;
static unsigned told[SPOOL_JOBS_MAX], n_told; /* to give way */

static void on_told(void *owner, unsigned kind, const void *msg, int fd)
{
	(void)owner;
	assert_int_equal(fd, -1);
	if (kind == WORKER_RELEASE) /* the end of what was said */
		loop_stop(s.loop);
	else if (kind == WORKER_GIVE_WAY)
		told[n_told++] = (unsigned)((const struct worker_give_way *)msg)->job;
}

static void on_nothing(void *owner, const char *reason)
{
	(void)owner;
	(void)reason;
}

static void on_due(void *owner)
{
	(void)owner;
}

static void link_courier(void)
{
	static const struct channel_handler handler = { on_told, on_nothing };
	int fds[2];
	assert_ok(socket_pair(fds));
	courier = (struct worker){ .spool = &s, .kind = WORKER_COURIER };
	courier.channel = channel_new(s.loop, fds[0], &worker_to_spool, &spool_to_worker, &handler, NULL);
	far_end = channel_new(s.loop, fds[1], &spool_to_worker, &worker_to_spool, &handler, NULL);
}

static int setup(void **state)
{
	(void)state;
	s = (struct spool){ .conf = &conf, .ops = &store_memory, .loop = loop_new() };
	s.queue_ms = clock_wall_ms();
	s.clock_ms = loop_now_ms(s.loop);
	list_init(&s.jobs);
	list_init(&s.verdicts);
	timer_init(&s.due, s.loop, on_due, NULL);
	s.tours[OBSERVER_COURIER].told = true;
	shape_init(&s);
	shape_route_anew(&s);
	link_courier();
	n_told = 0;
	assert_ok(store_memory.open(STR_NONE, NULL, &s.store, NULL));
	arena = arena_new(64 << 20);
	return 0;
}

static void leave(struct job *j, enum pace_sign sign)
{
	j->sign = sign;
	shape_leave(j);
	link_remove(&j->in_spool);
	s.n_jobs--;
}

static int teardown(void **state)
{
	(void)state;
	while (n_in_hand > 0)
		leave(&in_hand[--n_in_hand], PACE_NOTHING);
	assert_int_equal(s.n_jobs, 0);
	assert_int_equal(s.n_remote, 0);
	timer_clear(&s.due);
	channel_close(&courier.channel);
	channel_close(&far_end);
	shape_fini(&s);
	store_memory.close(&s.store);
	loop_free(&s.loop);
	arena_free(&arena);
	return 0;
}

/* So many jobs are under way there. */
static void give(const char *key, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct job *j = &in_hand[n_in_hand++];
		*j = (struct job){ .spool = &s, .key = arena_copy(arena, str_of(key)), .worker = &courier, .number = n_in_hand };
		shape_enter(j);
		list_add_last(&s.jobs, &j->in_spool);
		spool_job_send(j);
		assert_true(j->sent);
		s.n_jobs++;
	}
}

/* So many transactions there have gone well, one after the other, or have not. */
static void has_shown(const char *key, enum pace_sign sign, unsigned times)
{
	while (times-- > 0) {
		give(key, 1);
		leave(&in_hand[--n_in_hand], sign);
	}
}

static void letters(const char *key, unsigned n)
{
	static unsigned number;
	char id[20];
	for (unsigned i = 0; i < n; i++) {
		snprintf(id, sizeof id, "m%u", ++number);
		struct store_rcpt r = { .address = STR("b@y.example"), .original = STR("b@y.example"), .key = str_of(key),
			                .next_s = spool_now_s(&s) - 1 };
		struct store_commit c = { .message = { .id = str_of(id), .arrived_s = spool_now_s(&s) - 1 }, .rcpts = &r, .n_rcpts = 1 };
		assert_ok(store_memory.draft_new(s.store, &c.draft));
		assert_ok(store_memory.commit(s.store, &c, 1, NULL, 0, NULL));
		assert_ok(c.result);
	}
}

/* How many of these letters to each of two destinations are given out now. */
static void assert_given(const char *a, unsigned of_a, const char *b, unsigned of_b)
{
	struct store_rcpt rows[100];
	struct store_room room = shape_room(&s);
	unsigned n_a = 0, n_b = 0;
	size_t n;
	assert_ok(store_memory.lease(s.store, spool_now_s(&s), 60, &room, arena, rows, COUNT(rows), &n, NULL));
	for (size_t i = 0; i < n; i++) {
		n_a += str_eq(rows[i].key, str_of(a));
		n_b += str_eq(rows[i].key, str_of(b));
	}
	assert_int_equal(n_a, of_a);
	assert_int_equal(n_b, of_b);
}

static void hosts_leave_places_to_folders(void **state)
{
	(void)state;
	has_shown("mx:busy.example", PACE_GOOD, 1);
	has_shown("lmtp:y", PACE_GOOD, 1);
	letters("lmtp:y", 2);
	letters("maildir:here", 2);
	give("mx:busy.example", SPOOL_REMOTE_JOBS_MAX - 1);
	assert_true(shape_has_room(&s, STR("lmtp:y")));
	assert_given("lmtp:y", 1, "maildir:here", 2);
	letters("maildir:here", 2);
	give("lmtp:y", 1);
	assert_false(shape_has_room(&s, STR("lmtp:z"))); /* what was to go elsewhere when it was leased */
	assert_true(shape_has_room(&s, STR("maildir:here")));
	assert_given("lmtp:y", 0, "maildir:here", 2);
	/* One of them is over: the other letter has waited for that. */
	leave(&in_hand[--n_in_hand], PACE_GOOD);
	assert_given("lmtp:y", 1, "maildir:here", 0);
}

/* Where nothing is known is a host, too. */
static void new_ones_count_with_the_others(void **state)
{
	(void)state;
	has_shown("mx:busy.example", PACE_GOOD, 1);
	letters("mx:new.example", 2);
	letters("maildir:here", 1);
	give("mx:busy.example", SPOOL_REMOTE_JOBS_MAX - 1);
	assert_given("mx:new.example", 1, "maildir:here", 1);
	give("mx:busy.example", 1);
	letters("maildir:here", 1);
	assert_given("mx:new.example", 0, "maildir:here", 1);
}

/* As many as it takes, and fast: it is alone. */
static void one_may_have_half(void **state)
{
	(void)state;
	static struct conf wide = { .queue.destination_concurrency = 1000, .queue.retry.give_up_s = 5 * 86400 };
	s.conf = &wide;
	has_shown("relay:bulk", PACE_GOOD, 1000);
	letters("relay:bulk", 2);
	give("relay:bulk", 999);
	assert_given("relay:bulk", 1, "", 0);
	s.conf = &conf;
}

static void the_last_places_are_shared(void **state)
{
	(void)state;
	enum { SHARE = (SPOOL_REMOTE_JOBS_MAX - (SPOOL_UNSHARED_MAX + 1)) / SPOOL_SHARE_PARTS };
	has_shown("mx:busy.example", PACE_GOOD, 1);
	has_shown("mx:y.example", PACE_GOOD, 30);
	has_shown("mx:z.example", PACE_GOOD, 30);
	give("mx:y.example", 5);
	give("mx:busy.example", SPOOL_UNSHARED_MAX - 5);
	letters("mx:y.example", 30);
	assert_given("mx:y.example", 15, "", 0); /* half: up to its ceiling of 20 */
	give("mx:busy.example", 1);
	letters("mx:z.example", 30);
	store_memory.ask_again(s.store, STR("mx:y.example"));
	assert_given("mx:y.example", SHARE - 5, "mx:z.example", SHARE);
	/* Near the end everybody still gets one. */
	give("mx:busy.example", SPOOL_REMOTE_JOBS_MAX - s.n_remote - 3);
	store_memory.ask_again(s.store, STR("mx:y.example"));
	store_memory.ask_again(s.store, STR("mx:z.example"));
	assert_given("mx:y.example", 0, "mx:z.example", 1);
	assert_false(shape_has_room(&s, STR("mx:y.example")));
	assert_true(shape_has_room(&s, STR("mx:z.example")));
}

static void new_ones_have_a_share(void **state)
{
	(void)state;
	has_shown("mx:y.example", PACE_GOOD, 1);
	letters("mx:new.example", 1);
	letters("mx:newer.example", 1);
	letters("mx:y.example", 2);
	give("mx:silent.example", SPOOL_NEW_JOBS_MAX - 1);
	assert_given("mx:new.example", 1, "mx:newer.example", 0);
	letters("mx:y.example", 1);
	give("mx:silent.example", 1);
	assert_given("mx:newer.example", 0, "mx:y.example", 1);
}

static void those_that_rest_have_a_share(void **state)
{
	(void)state;
	char key[40];
	letters("mx:r1.example", 2);
	letters("mx:r2.example", 2);
	for (unsigned i = 0; i <= SPOOL_PROBES_MAX; i++) {
		snprintf(key, sizeof key, "mx:r%u.example", i + 1);
		has_shown(key, PACE_TROUBLE, 1);
		shape_end_rest(&s, str_of(key), INT64_MAX);
		if (i >= 2)
			give(key, 1); /* one tries */
	}
	assert_given("mx:r1.example", 1, "mx:r2.example", 0);
}

static void all_together_have_an_end(void **state)
{
	(void)state;
	letters("maildir:here", 2);
	give("maildir:there", SPOOL_JOBS_MAX - 1);
	assert_given("maildir:here", 1, "", 0);
	give("maildir:there", 1);
	assert_given("maildir:here", 0, "", 0);
}

/* Folders count with none of these. */
static void folders_are_not_new(void **state)
{
	(void)state;
	letters("mx:new.example", 5);
	give("maildir:there", SPOOL_NEW_JOBS_MAX);
	assert_given("mx:new.example", 5, "", 0);
}

static void a_crowd_begins_with_one_each(void **state)
{
	(void)state;
	letters("mx:a.example", 9);
	give("mx:silent.example", SPOOL_NEW_CROWD - 1);
	assert_given("mx:a.example", 5, "", 0);
	give("mx:silent.example", 1);
	letters("mx:b.example", 9);
	assert_given("", 0, "mx:b.example", 1);
}

/* ---- who gives way ---- */

/* So much time passes, and then the places are looked at. How many have been told to give way by then? */
static unsigned told_after(uint64_t ms)
{
	spool_schedule(&s);
	for (uint64_t step = 500; ms > 0; ms -= step) {
		step = step < ms ? step : ms;
		now_ms += step;
		channel_send(courier.channel, WORKER_RELEASE, &(struct worker_release){ 0 });
		loop_run(s.loop);
	}
	return n_told;
}

static void who_has_kept_a_place_for_long_gives_way(void **state)
{
	(void)state;
	give("mx:tarpit.example", SPOOL_NEW_JOBS_MAX);
	assert_int_equal(told_after(SPOOL_PATIENCE_MS + 5000), 0); /* nobody waits */
	letters("mx:new.example", 1);
	assert_given("mx:new.example", 0, "", 0);
	assert_int_equal(told_after(1500), SPOOL_GIVE_WAY_MAX);
	assert_int_equal(told[0], 1); /* the oldest */
	assert_int_equal(told[SPOOL_GIVE_WAY_MAX - 1], SPOOL_GIVE_WAY_MAX);
	assert_int_equal(told_after(1000), 2 * SPOOL_GIVE_WAY_MAX);
	assert_int_equal(told[SPOOL_GIVE_WAY_MAX], SPOOL_GIVE_WAY_MAX + 1);
	/* One of them did: the letter takes its place, and the others keep theirs. */
	leave(&in_hand[--n_in_hand], PACE_TROUBLE);
	assert_given("mx:new.example", 1, "", 0);
	assert_int_equal(told_after(5000), 2 * SPOOL_GIVE_WAY_MAX);
}

static void patience_has_a_length(void **state)
{
	(void)state;
	give("mx:tarpit.example", SPOOL_NEW_JOBS_MAX);
	in_hand[0].offset = 5000 * SPOOL_PATIENCE_BYTES_PER_MS; /* reads slowly */
	for (size_t i = 1; i < SPOOL_NEW_JOBS_MAX; i++)
		in_hand[i].since_ms += i == 1 ? 0 : 1000 * 1000;
	letters("mx:new.example", 1);
	assert_given("mx:new.example", 0, "", 0);
	assert_int_equal(told_after(SPOOL_PATIENCE_MS - 1000), 0);
	assert_int_equal(told_after(2000), 1);
	assert_int_equal(told[0], 2);
	assert_int_equal(told_after(2500), 1);
	assert_int_equal(told_after(3000), 2);
	assert_int_equal(told[1], 1);
}

/* A second copy is worse than a late one, and the worse the more often. */
static void the_last_word_is_waited_for(void **state)
{
	(void)state;
	static struct job_rcpt fresh, old = { .facts.attempts = SPOOL_HURRIED_MAX };
	give("mx:tarpit.example", SPOOL_NEW_JOBS_MAX);
	for (size_t i = 0; i < SPOOL_NEW_JOBS_MAX; i++) {
		struct job *j = &in_hand[i];
		j->content_over = true;
		j->rcpts = i == 7 ? &fresh : &old;
		j->n_rcpts = 1;
	}
	letters("mx:new.example", 1);
	assert_given("mx:new.example", 0, "", 0);
	assert_int_equal(told_after(SPOOL_PATIENCE_END_MS - 1000), 0);
	assert_int_equal(told_after(2500), 1);
	assert_int_equal(told[0], 8);
	assert_int_equal(told_after(10 * 60 * 1000), 4); /* that one, again and again */
}

/* The places of all hosts may be kept as well, and those of the ones that rest. */
static void known_ones_give_way_too(void **state)
{
	(void)state;
	has_shown("mx:busy.example", PACE_GOOD, 1);
	has_shown("mx:y.example", PACE_GOOD, 1);
	give("maildir:there", 1);
	give("mx:busy.example", SPOOL_REMOTE_JOBS_MAX);
	letters("mx:y.example", 1);
	assert_given("mx:y.example", 0, "", 0);
	assert_int_equal(told_after(SPOOL_PATIENCE_MS + 1500), 2 * SPOOL_GIVE_WAY_MAX);
	assert_int_equal(told[0], 2);
}

static void those_that_rest_give_way_too(void **state)
{
	(void)state;
	has_shown("mx:y.example", PACE_GOOD, 1);
	give("mx:y.example", 10);
	for (unsigned i = 0; i <= SPOOL_PROBES_MAX; i++) {
		char key[40];
		snprintf(key, sizeof key, "mx:r%u.example", i);
		has_shown(key, PACE_TROUBLE, 1);
		shape_end_rest(&s, str_of(key), INT64_MAX);
		if (i > 0)
			give(key, 1);
	}
	letters("mx:r0.example", 1);
	assert_int_equal(told_after(SPOOL_PATIENCE_MS), 0);
	assert_given("mx:r0.example", 0, "", 0);
	assert_int_equal(told_after(1500), SPOOL_GIVE_WAY_MAX);
	assert_int_equal(told[0], 11);
}

/* ---- what is said of it ---- */

static unsigned times(const char *text, const char *what)
{
	unsigned n = 0;
	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

/* A letter that nobody tries is looked at well before its own `give-up`, be it the queue's, a relay's or a domain's. */
static void the_overdue_are_seen_before_they_are_given_up(void **state)
{
	(void)state;
	struct conf_relay relays[] = { { .retry = { .give_up_s = 0 } }, { .retry = { .give_up_s = 160 } } };
	struct conf_domain domains[] = { { .retry = { .give_up_s = 80 } } };
	struct conf own = { .queue.destination_concurrency = 20, .queue.retry.give_up_s = 800, .relays = relays, .n_relays = 2 };
	static const struct { size_t domains; int64_t warning_s, relay_s, mx_s; } cases[] = {
		{ 0, 0, 20, 100 }, { 1, 0, 10, 100 }, { 1, 240, 10, 30 }, { 0, 80, 10, 10 },
	};
	own.domains = domains;
	for (size_t i = 0; i < COUNT(cases); i++) {
		own.n_domains = cases[i].domains;
		own.queue.delay_warning_s = cases[i].warning_s;
		s.conf = &own;
		shape_route_anew(&s);
		struct store_room room = shape_room(&s);
		assert_int_equal(room.grant(&s, STR("relay:dead")).overdue_s, spool_now_s(&s) - cases[i].relay_s);
		assert_int_equal(room.grant(&s, STR("lmtp:127.0.0.1:24")).overdue_s, spool_now_s(&s) - cases[i].relay_s);
		assert_int_equal(room.grant(&s, STR("mx:dead.example")).overdue_s, spool_now_s(&s) - cases[i].mx_s);
	}
	s.conf = &conf;
}

/* One that was behind this key before, and has no place now. */
static void one_waits(const char *behind)
{
	struct job *j = spool_job_new(&s, JOB_DELIVER, arena_new(1 << 20));
	j->message = (struct store_message){ .id = STR("m1"), .sender = STR("a@x.example"), .arrived_s = spool_now_s(&s) };
	j->key = STR("mx:y.example");
	j->worker = &courier;
	j->rcpts = NEW(struct job_rcpt);
	j->rcpts[0].facts = (struct store_rcpt){ .address = STR("u@y.example"), .key = str_of(behind) };
	j->n_rcpts = 1;
	shape_wait(j);
	LIST_EACH(l, &s.verdicts)
		verdict_free(LIST_MEMBER(l, struct verdict, in_spool));
}

/* A million that have another way now, or were released, would else keep the overdue of all others from sight for hours. */
static void what_moves_is_not_counted_as_overdue(void **state)
{
	(void)state;
	s.jobs_by_number = map_new(1);
	later_init(&s.turn, on_due, NULL);
	int64_t left = s.overdue_left;
	one_waits("mx:y.example");
	assert_int_equal(s.overdue_left, left - 1);
	one_waits(STORE_RELEASED);
	one_waits("relay:another");
	assert_int_equal(s.overdue_left, left - 1);
	later_clear(&s.turn);
	map_free(&s.jobs_by_number);
}

/* A great trouble of the network slows thousands at once. */
static void the_log_counts_what_it_does_not_tell(void **state)
{
	(void)state;
	static char got[65536];
	enum { TOLD = 20, UNTOLD = 3 };
	int ends[2], before = dup(2);
	char key[40];
	now_ms += 60 * 1000; /* a new minute */
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], 2), 2);
	for (unsigned i = 0; i < TOLD + UNTOLD; i++) {
		snprintf(key, sizeof key, "mx:r%u.example", i);
		has_shown(key, PACE_TROUBLE, 1);
	}
	now_ms += 60 * 1000;
	has_shown("mx:last.example", PACE_TROUBLE, 1);
	assert_int_equal(dup2(before, 2), 2);
	close(before);
	close(ends[1]);
	ssize_t n = read(ends[0], got, sizeof got - 1);
	close(ends[0]);
	assert_true(n > 0);
	got[n] = '\0';
	assert_int_equal(times(got, "destination-slowed"), TOLD + 1);
	assert_int_equal(times(got, "untold=0"), TOLD);
	assert_non_null(strstr(strstr(got, "to=last.example"), "untold=3"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hosts_leave_places_to_folders),
		TEST(new_ones_count_with_the_others),
		TEST(one_may_have_half),
		TEST(the_last_places_are_shared),
		TEST(new_ones_have_a_share),
		TEST(those_that_rest_have_a_share),
		TEST(all_together_have_an_end),
		TEST(folders_are_not_new),
		TEST(a_crowd_begins_with_one_each),
		TEST(who_has_kept_a_place_for_long_gives_way),
		TEST(patience_has_a_length),
		TEST(the_last_word_is_waited_for),
		TEST(known_ones_give_way_too),
		TEST(those_that_rest_give_way_too),
		TEST(the_log_counts_what_it_does_not_tell),
		TEST(the_overdue_are_seen_before_they_are_given_up),
		TEST(what_moves_is_not_counted_as_overdue),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
