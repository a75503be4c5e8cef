/* SPDX-License-Identifier: ISC */
/*
 * The front at its limits, just under and just over. The clock stands still and is moved by the test; how many octets the
 * kernel takes for a client is the test's to say, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "house.h"
#include "role/front/front.h"
#include "sys/loop_uv.h"
#include "sys/shared.h"

enum { TAKES_ALL = -1, READS_TO_BE_SURE = 20 };

static struct house h;
static struct client c;

/* ---- the test's clock ---- */

static bool still;
static uint64_t still_ms;

uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	return still ? still_ms : __real_uv_now(loop);
}

static void move_clock(int64_t ms)
{
	still_ms += (uint64_t)ms;
	house_turn(&h, 0);
}

/* ---- the test's kernel ---- */

static struct stream *session;   /* the front's end of a connection: the one that greeted last */
static long room;                /* what the kernel still takes from it */

fault __real_stream_write(struct stream *s, struct str bytes, size_t *n_out);
fault __wrap_stream_write(struct stream *s, struct str bytes, size_t *n_out);
fault __wrap_stream_write(struct stream *s, struct str bytes, size_t *n_out)
{
	if (str_starts(bytes, STR("220 mx1")))
		session = s;
	if (s != session || room == TAKES_ALL)
		return __real_stream_write(s, bytes, n_out);
	*n_out = 0;
	bytes = str_sub(bytes, 0, (size_t)room);
	fault f = bytes.n > 0 ? __real_stream_write(s, bytes, n_out) : OK;
	room -= (long)*n_out;
	return f;
}

/* The client has read so much, so there is room for as much. */
static void make_room(long bytes)
{
	room = bytes;
	stream_want_write(session, true);
	house_turn(&h, 0);
	assert_int_equal(room, 0); /* there was enough to say */
}

static int open_house(void **state)
{
	(void)state;
	house_open(&h, "limits {\n connections-per-client 1000\n recipients 10000\n}\n");
	room = TAKES_ALL;
	session = NULL;
	still_ms = __real_uv_now(loop_uv(h.loop));
	still = h.still = true;
	return 0;
}

static int close_house(void **state)
{
	(void)state;
	client_close(&c);
	house_close(&h);
	still = false;
	return 0;
}

static bool is_here(void)
{
	return house_status(&h, "sessions") == 1;
}

/* ---- clients that do not read ---- */

static void who_reads_nothing_is_closed(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	room = 0;
	client_say(&c, "NOOP");
	house_turn(&h, 0);
	move_clock(WRITE_MS - 1);
	assert_true(is_here());
	move_clock(1);
	assert_false(is_here());
}

/* So many octets within the time are too few: the time goes on from where it began. */
static void read_slowly(long bytes, bool is_enough)
{
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	room = 0;
	for (size_t i = 0; i < 2 * WRITE_BYTES_MIN / strlen("250 2.1.5 Ok\r\n"); i++)
		client_say(&c, "RCPT TO:<jada@example.org>");
	while (h.asked < 2 * WRITE_BYTES_MIN / strlen("250 2.1.5 Ok\r\n"))
		house_turn(&h, 0);
	move_clock(WRITE_MS / 2);
	make_room(bytes);
	move_clock(WRITE_MS - WRITE_MS / 2 - 1);
	assert_true(is_here());
	move_clock(1);
	assert_int_equal(is_here(), is_enough);
	if (!is_enough)
		return;
	move_clock(WRITE_MS / 2 - 1);
	assert_true(is_here());
	move_clock(1);
	assert_false(is_here());
}

static void who_reads_too_little_is_closed(void **state)
{
	(void)state;
	read_slowly(WRITE_BYTES_MIN - 1, false);
}

static void who_reads_enough_has_time_again(void **state)
{
	(void)state;
	read_slowly(WRITE_BYTES_MIN, true);
}

static void who_does_not_go_is_closed(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_talk(&c, "QUIT", "221");
	client_hear_end(&c); /* and does not close its side */
	move_clock(LINGER_MS - 1);
	assert_true(is_here());
	move_clock(1);
	assert_false(is_here());
}

/* ---- neighbours that do not answer ---- */

static void a_silent_neighbour_is_not_awaited_for_ever(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	h.silent = true;
	client_say(&c, "RCPT TO:<jada@example.org>");
	house_turn(&h, 0);
	move_clock(ANSWER_MS - 1);
	assert_int_equal(buf_view(&c.heard).n, 0);
	move_clock(1);
	client_hear(&c, "451 4.3.0");
	h.silent = false;
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
}

static void a_local_user_goes_by_number_when_no_name_comes(void **state)
{
	char number[32];
	(void)state;
	h.hold_user = true;
	client_open(&c, &h, LISTENER_LOCAL);
	house_turn(&h, 0);
	move_clock(NAME_MS - 1);
	assert_int_equal(buf_view(&c.heard).n, 0);
	move_clock(1);
	client_hello(&c);
	client_talk(&c, "MAIL FROM:<root@example.org>", "250");
	client_talk(&c, "RCPT TO:<a@y.example>", "250");
	client_talk(&c, "DATA", "354");
	client_talk(&c, "hi\r\n.", "250");
	(void)snprintf(number, sizeof number, "user<uid-%u>", (unsigned)geteuid());
	assert_non_null(strstr(house_text(&h.envelope).p, number));
}

/* ---- handshakes ---- */

static void open_mute(struct client *mute, size_t number)
{
	char from[32];
	(void)snprintf(from, sizeof from, "127.0.%zu.1:0", number + 1); /* each of another network */
	client_open_from(mute, &h, LISTENER_SUBMISSIONS, from);
	client_begin_tls(mute);
	client_fall_silent(mute);
}

/* As many late handshakes as there may be, all alive; with one more the oldest goes. */
static void attack_62_late_handshakes_have_a_ceiling(void **state)
{
	static struct client mute[FRONT_LATE_MAX + 1];
	_Static_assert(FRONT_LATE_MAX % FRONT_SHAKING_MAX == 0, "in turns");
	(void)state;
	for (size_t i = 0; i < COUNT(mute); i++) {
		open_mute(&mute[i], i);
		while (house_status(&h, "handshakes") != i % FRONT_SHAKING_MAX + 1)
			house_turn(&h, 0);
		if ((i + 1) % FRONT_SHAKING_MAX != 0)
			continue;
		move_clock(SLOT_MS - 1);
		assert_int_equal(house_status(&h, "late_handshakes"), i + 1 - FRONT_SHAKING_MAX);
		move_clock(1);
		assert_int_equal(house_status(&h, "late_handshakes"), i + 1);
		assert_int_equal(house_status(&h, "sessions"), i + 1);
	}
	move_clock(SLOT_MS);
	assert_int_equal(house_status(&h, "late_handshakes"), FRONT_LATE_MAX);
	assert_int_equal(house_status(&h, "sessions"), FRONT_LATE_MAX);
	for (size_t i = 0; i < COUNT(mute); i++)
		stream_want_read(mute[i].stream, true);
	house_wait(&h, &mute[0].closed);
	for (size_t i = 1; i < COUNT(mute); i++)
		client_wait_tls(&mute[i]);
	for (size_t i = 0; i < COUNT(mute); i++)
		client_close(&mute[i]);
}

/* ---- buffers of TLS ---- */

/* One of many, each from an address of its own. */
static void arrive(struct client *who, size_t i)
{
	char from[32];
	(void)snprintf(from, sizeof from, "127.0.%zu.%zu:0", i % 200 + 1, i / 200 + 1);
	client_open_from(who, &h, LISTENER_SUBMISSIONS, from);
	client_begin_tls(who);
	client_hello(who);
}

static void as_many_as_may_keep_their_buffers(void **state)
{
	static struct client many[FRONT_WARM_MAX + 1];
	(void)state;
	for (size_t i = 0; i < COUNT(many); i++) {
		arrive(&many[i], i);
		assert_int_equal(house_status(&h, "warm"), i + 1 < FRONT_WARM_MAX ? i + 1 : FRONT_WARM_MAX);
	}
	client_talk(&many[0], "NOOP", "250"); /* it had given them back */
	assert_int_equal(house_status(&h, "warm"), FRONT_WARM_MAX);
	move_clock(FRONT_WARM_MS - 1);
	assert_int_equal(house_status(&h, "warm"), FRONT_WARM_MAX);
	client_talk(&many[1], "NOOP", "250");
	move_clock(1);
	assert_int_equal(house_status(&h, "warm"), 1);
	move_clock(FRONT_WARM_MS - 1);
	assert_int_equal(house_status(&h, "warm"), 0);
	assert_int_equal(house_status(&h, "sessions"), COUNT(many));
	for (size_t i = 0; i < COUNT(many); i++) {
		client_talk(&many[i], "NOOP", "250");
		client_close(&many[i]);
	}
	while (house_status(&h, "sessions") > 0)
		house_turn(&h, 0);
	assert_int_equal(house_status(&h, "warm"), 0);
}

/* Whoever is answered when it has long given its buffers back has them again, and not for longer than others. */
static void an_answer_that_was_long_in_coming_needs_buffers_too(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_talk(&c, "STARTTLS", "220");
	client_start_tls(&c);
	client_talk(&c, "EHLO client.example", "250");
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	h.silent = true;
	client_say(&c, "RCPT TO:<jada@example.org>");
	house_turn(&h, 0);
	assert_int_equal(house_status(&h, "warm"), 1);
	move_clock(FRONT_WARM_MS);
	assert_int_equal(house_status(&h, "warm"), 0);
	move_clock(ANSWER_MS - FRONT_WARM_MS);
	client_hear(&c, "451 4.3.0");
	assert_int_equal(house_status(&h, "warm"), 1);
	move_clock(FRONT_WARM_MS - 1);
	assert_int_equal(house_status(&h, "warm"), 1);
	move_clock(1);
	assert_int_equal(house_status(&h, "warm"), 0);
	h.silent = false;
	client_talk(&c, "RSET", "250");
}

/* The record's end stays with the client. */
static void say_half(struct client *who)
{
	size_t n;
	assert_int_equal(tls_write(who->tls, STR("NOOP\r\n")), OK);
	struct str most = str_sub(tls_output(who->tls), 0, tls_output(who->tls).n - 1);
	assert_int_equal(stream_write(who->stream, most, &n), OK);
	assert_int_equal(n, most.n);
	tls_sent(who->tls, n);
}

static void as_many_as_may_stop_in_the_middle_of_a_record(void **state)
{
	static struct client many[FRONT_HALF_MAX + 1];
	struct client *last = &many[FRONT_HALF_MAX];
	struct rlimit files;
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (size_t i = 0; i < COUNT(many); i++) {
		arrive(&many[i], i);
		if (&many[i] != last)
			say_half(&many[i]);
	}
	for (size_t i = 0; i < READS_TO_BE_SURE; i++)
		house_turn(&h, 0);
	move_clock(FRONT_WARM_MS);
	assert_int_equal(house_status(&h, "half_records"), FRONT_HALF_MAX);
	assert_int_equal(house_status(&h, "sessions"), COUNT(many));
	client_talk(&many[0], "NOOP", "250"); /* its record ends, and it is the one with traffic last */
	client_hear(&many[0], "250");
	say_half(&many[0]);
	house_turn(&h, 0);
	move_clock(FRONT_WARM_MS);
	assert_int_equal(house_status(&h, "half_records"), FRONT_HALF_MAX);

	say_half(last);
	house_turn(&h, 0);
	move_clock(FRONT_WARM_MS);
	house_turn(&h, 0);
	assert_int_equal(house_status(&h, "half_records"), FRONT_HALF_MAX);
	assert_int_equal(house_status(&h, "sessions"), COUNT(many) - 1);
	client_hear_end(&many[1]);
	for (size_t i = 0; i < COUNT(many); i++) {
		if (i != 1) {
			client_say(&many[i], "NOOP");
			client_hear(&many[i], "250");
			client_hear(&many[i], "250");
		}
		client_close(&many[i]);
	}
	while (house_status(&h, "sessions") > 0)
		house_turn(&h, 0);
	assert_int_equal(house_status(&h, "half_records"), 0);
}

/* ---- envelopes ---- */

/* Long addresses with long ORCPTs until no more fit: what was taken is taken, and fits the ceiling. */
static void an_envelope_has_a_ceiling(void **state)
{
	char line[1200], orcpt[481], local[65];
	size_t taken = 0, each = 0;
	(void)state;
	memset(orcpt, 'o', sizeof orcpt - 1);
	orcpt[sizeof orcpt - 1] = '\0';
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	for (;; taken++) {
		(void)snprintf(local, sizeof local, "%064zu", taken);
		int n = snprintf(line, sizeof line, "RCPT TO:<%s@example.org> ORCPT=rfc822;%s", local, orcpt);
		each = (size_t)n - strlen("RCPT TO:<> ORCPT=");
		client_say(&c, line);
		while (!str_find_str(buf_view(&c.heard), STR("\r\n"), &(size_t){ 0 }))
			house_turn(&h, 0);
		if (!str_starts(buf_view(&c.heard), STR("250")))
			break;
		client_hear(&c, "250 2.1.5");
	}
	client_hear(&c, "452 4.5.3 Too many recipients");
	assert_true(taken * each < ENVELOPE_BYTES_MAX);
	assert_true((taken + 1) * each * 2 > ENVELOPE_BYTES_MAX); /* our own notes come on top, and are no more than that */
	client_talk(&c, line, "452 4.5.3");
	client_talk(&c, "DATA", "354");
	client_talk(&c, "Subject: x\r\n\r\nhi\r\n.", "250 2.0.0");
	client_talk(&c, "MAIL FROM:<a@x.example>", "250"); /* and the next one begins anew */
	client_talk(&c, line, "250");
}

/* ---- pages ---- */

/* A page that says: ten thousand are here, which is as many as may be. */
static void give_page(uint64_t instance, bool own)
{
	int write_fd = -1, read_fd = -1;
	void *map = NULL;
	assert_int_equal(shared_make(sizeof(struct crowd_page), &write_fd, &read_fd), OK);
	assert_int_equal(shared_map(write_fd, sizeof(struct crowd_page), true, &map), OK);
	((struct crowd_page *)map)->total = 10000;
	shared_unmap(map, sizeof(struct crowd_page));
	channel_send_fd(h.supervisor, TO_ROLE_CROWD, &(struct to_role_crowd){ .instance = instance, .own = own, .seed = 1 }, read_fd);
	fd_close(&write_fd);
	house_turn(&h, 0);
}

/* ---- names ---- */

static void visit_from(const char *address, size_t questions)
{
	size_t before = h.looked_up;
	client_open_from(&c, &h, LISTENER_MX, address);
	client_hello(&c);
	house_turn(&h, 0);
	assert_int_equal(h.looked_up - before, questions);
	client_close(&c);
}

static void a_name_is_looked_up_again_after_a_while(void **state)
{
	(void)state;
	house_give_resolver(&h);
	h.claimed_name = "client.example";
	h.name_address = "127.0.0.1";
	visit_from("127.0.0.1:0", 2); /* the DNS gives it for no time at all */
	h.name_ttl_s = NAME_KEPT_MS / 1000 + 1;
	visit_from("127.0.0.1:0", 2);
	visit_from("127.0.0.1:0", 0);
	move_clock(NAME_KEPT_MS - 1);
	visit_from("127.0.0.1:0", 0);
	move_clock(1);
	h.name_ttl_s = 1;
	visit_from("127.0.0.1:0", 2);
	move_clock(999);
	visit_from("127.0.0.1:0", 0);
	move_clock(1);
	visit_from("127.0.0.1:0", 2);
}

static void so_many_names_are_kept(void **state)
{
	(void)state;
	house_give_resolver(&h);
	h.name_ttl_s = 3600;
	for (size_t i = 0; i <= NAMES_KEPT_MAX; i++) {
		char from[32];
		(void)snprintf(from, sizeof from, "127.0.%zu.%zu:0", i / 200 + 1, i % 200 + 1);
		visit_from(from, 1); /* it has no name, which is an answer, too */
		if (i == NAMES_KEPT_MAX - 1)
			visit_from("127.0.1.1:0", 0);
	}
	visit_from("127.0.1.2:0", 0);
	visit_from("127.0.1.1:0", 1);
}

/* ---- pages ---- */

static void the_last_page_counts(void **state)
{
	(void)state;
	give_page(CROWD_PAGES_MAX - 1, false);
	client_open(&c, &h, LISTENER_MX);
	client_hear(&c, "421 4.3.2 Too many connections");
	assert_false(h.stale);
}

/* Whom it cannot count with it must not be: another process is asked for. */
static void a_page_too_many_is_not_passed_over(void **state)
{
	(void)state;
	give_page(CROWD_PAGES_MAX, false);
	assert_true(h.stale);
}

static void a_page_that_cannot_be_written_is_not_passed_over(void **state)
{
	(void)state;
	give_page(0, true); /* the descriptor is for reading */
	assert_true(h.stale);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_house, close_house)
	const struct CMUnitTest tests[] = {
		TEST(who_reads_nothing_is_closed),
		TEST(who_reads_too_little_is_closed),
		TEST(who_reads_enough_has_time_again),
		TEST(who_does_not_go_is_closed),
		TEST(a_silent_neighbour_is_not_awaited_for_ever),
		TEST(a_local_user_goes_by_number_when_no_name_comes),
		TEST(attack_62_late_handshakes_have_a_ceiling),
		TEST(as_many_as_may_keep_their_buffers),
		TEST(an_answer_that_was_long_in_coming_needs_buffers_too),
		TEST(as_many_as_may_stop_in_the_middle_of_a_record),
		TEST(an_envelope_has_a_ceiling),
		TEST(a_name_is_looked_up_again_after_a_while),
		TEST(so_many_names_are_kept),
		TEST(the_last_page_counts),
		TEST(a_page_too_many_is_not_passed_over),
		TEST(a_page_that_cannot_be_written_is_not_passed_over),
	};
	return cmocka_run_group_tests_name("front at its limits", tests, NULL, NULL);
}
