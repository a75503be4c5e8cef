/* SPDX-License-Identifier: ISC */
/* The spool among cardboard neighbours: what it promises to fronts, workers, senders and operators. */
#include "role/spool/house.h"
#include "role/spool/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "ipc/front_keeper.h"
#include "ipc/resolver.h"
#include "mail/envelope.h"
#include "sys/clock.h"
#include "sys/loop_uv.h"

static const struct store_selector everything = { .id = { NULL, 0 } };

static int opened(void **state)
{
	(void)state;
	house_open("");
	return 0;
}

static int prepared(void **state)
{
	(void)state;
	house_prepare();
	return 0;
}

static int close_house(void **state)
{
	(void)state;
	house_close();
	return 0;
}

static bool has(struct str text, const char *what)
{
	size_t at;
	return str_find_str(text, str_of(what), &at);
}

static struct store_rcpt only_row(void)
{
	struct store_rcpt r[2];
	size_t n = rows(r, 2);
	if (n != 1)
		fail_msg("%zu recipients in the queue, not 1", n);
	return r[0];
}

/* The clock of the loop, which a test may put forward. */
static uint64_t ahead_ms;

uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	return __real_uv_now(loop) + ahead_ms;
}

static void assert_str(struct str got, const char *want)
{
	if (!str_eq(got, str_of(want)))
		fail_msg("got \"%.*s\", want \"%s\"", STR_ARG(got), want);
}

static void answer(enum outcome_class class, unsigned code, const char *status, const char *text)
{
	h.answer.class = class;
	h.answer.code = code;
	h.answer.status = str_of(status);
	h.answer.text = str_of(text);
}

static char text_of_row[STORE_ID_MAX + 1];
static const char *id_of(const struct store_rcpt *r)
{
	snprintf(text_of_row, sizeof text_of_row, "%.*s", STR_ARG(r->id));
	return text_of_row;
}

/* ---- coming in ---- */

static void a_letter_goes_through(void **state)
{
	(void)state;
	send_letter(1, "a@x.example", "jada@example.org", 0);
	wait_for("front: begun 1");
	wait_for("front: taken 1 24");
	wait_for("front: stored 1");
	wait_for("porter: job a@x.example to jada@example.org and 0 more");
	wait_for("porter: body 24 whole");
	settle_down();
	assert_str(buf_view(&h.jobs[0].body), "Subject: hello\r\n\r\nbody\r\n");
	assert_string_equal(h.jobs[0].id, h.last_id);
	assert_string_equal(h.jobs[0].route_name, "/var/mail/{domain}/{local}");
	assert_string_equal(h.jobs[0].domain, "example.org");
	assert_int_equal(h.jobs[0].attempt, 1);
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
	/* The id is lower case letters and digits; its first nine are the millisecond, so later ones do not sort earlier. */
	assert_int_equal(strspn(h.last_id, "0123456789abcdefghijklmnopqrstuvwxyz"), strlen(h.last_id));
	char first[40];
	strcpy(first, h.last_id);
	send_letter(2, "a@x.example", "jada@example.org", 0);
	wait_for("front: stored 2");
	assert_true(strncmp(first, h.last_id, 9) <= 0);
	assert_string_not_equal(first, h.last_id);
}

static void stored_is_said_after_the_commit_only(void **state)
{
	(void)state;
	h.hands_off = true;
	say_begin(1, "a@x.example");
	say_rcpt(1, "b@y.example", 0);
	say_chunk(1, "x");
	wait_for("front: taken 1 1");
	assert_int_equal(h.commits, 0);
	say_finish(1, 1);
	wait_for("front: stored 1");
	assert_int_equal(h.commits, 1);
}

static void all_of_one_turn_share_a_commit(void **state)
{
	(void)state;
	h.hands_off = true;
	for (unsigned i = 1; i <= 20; i++)
		send_letter(i, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 20");
	assert_int_equal(h.commits, 1);
	assert_int_equal(h.most_messages, 20);
}

/* A spool that could not take its configuration lives on for a moment, and its neighbours know nothing of that. */
static void without_a_configuration_letters_are_refused(void **state)
{
	(void)state;
	house_begin();
	link_front();
	say_begin(1, "a@x.example");
	wait_for("front: refused 1 451 4.3.0");
	house_open("");
	send_letter(2, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 2");
}

static void what_is_wrong_is_refused(void **state)
{
	(void)state;
	say_begin(1, "not an address");
	wait_for("front: refused 1 501 5.1.7");
	say_begin(2, "a@x.example");
	say_rcpt(2, "not an address", 0);
	wait_for("front: refused 2 553 5.1.3");
	say_begin(3, "a@x.example");
	say_chunk(3, "abc");
	say_finish(3, 3);
	wait_for("front: refused 3 451 4.3.0"); /* no recipient */
	say_begin(4, "a@x.example");
	say_rcpt(4, "b@y.example", 0);
	say_chunk(4, "abc");
	say_finish(4, 4);
	wait_for("front: refused 4 451 4.3.0"); /* a byte is missing */
	say_begin(5, "a@x.example");
	say_rcpt(5, "b@y.example", 0);
	say_begin(5, "a@x.example");
	wait_for("front: refused 5 451 4.3.0"); /* the number is in use */
	say_begin(6, "a@x.example");
	say_rcpt(6, "b@y.example", 0);
	channel_send(h.front.channel, FRONT_ABORT, &(struct front_abort){ .txn = 6 });
	say_finish(6, 0);
	say_finish(77, 0); /* nobody knows it */
	settle_down();
	assert_int_equal(h.commits, 0);
	assert_false(was_heard("6 "));
}

static void routes_may_refuse(void **state)
{
	(void)state;
	house_open("route {\n to *.refuse.example refuse \"No mail for them\"\n otherwise direct\n}\n");
	say_begin(1, "a@x.example");
	say_rcpt(1, "b@un.refuse.example", 0);
	wait_for("front: refused 1 550 5.7.1 No mail for them");
}

static void a_message_too_large_is_refused(void **state)
{
	(void)state;
	house_open("limits {\n message-size 100K\n}\n");
	static char big[60001];
	memset(big, 'x', 60000);
	h.hands_off = true;
	say_begin(1, "a@x.example");
	say_rcpt(1, "b@y.example", 0);
	say_chunk(1, big);
	say_chunk(1, big);
	say_finish(1, 120000); /* a little more than the limit is for the lines that the front adds */
	wait_for("front: stored 1");
	say_begin(2, "a@x.example");
	say_rcpt(2, "b@y.example", 0);
	say_chunk(2, big);
	say_chunk(2, big);
	say_chunk(2, big);
	wait_for("front: refused 2 552 5.3.4");
}

static void too_many_recipients_are_refused(void **state)
{
	(void)state;
	enum { MOST = 100000 };
	h.hands_off = true;
	for (uint64_t txn = 1; txn <= 2; txn++) {
		say_begin(txn, "a@x.example");
		for (unsigned i = 0; i < MOST; i++)
			say_rcpt(txn, "b@held.example", 0);
		say_chunk(txn, "x");
		wait_for(txn == 1 ? "front: taken 1" : "front: taken 2");
	}
	say_begin(3, "a@x.example");
	say_rcpt(3, "b@y.example", 0);
	wait_for("front: refused 3 452 4.5.3"); /* the first two take all the room there is */
	say_rcpt(1, "b@y.example", 0);
	wait_for("front: refused 1 452 4.5.3"); /* one more than a message may have */
	send_letter(4, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 4");
	channel_send(h.front.channel, FRONT_ABORT, &(struct front_abort){ .txn = 2 });
}

static void too_many_messages_at_a_time_are_refused(void **state)
{
	(void)state;
	house_open("limits {\n connections 5\n}\n");
	for (uint64_t txn = 1; txn <= 11; txn++)
		say_begin(txn, "a@x.example");
	wait_for("front: begun 10");
	wait_for("front: refused 11 451 4.3.0");
}

static void a_front_that_dies_leaves_nothing_half(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	say_begin(2, "a@x.example");
	say_rcpt(2, "b@y.example", 0);
	say_chunk(2, "half");
	wait_for("front: taken 2 4");
	link_front();
	send_letter(2, "a@x.example", "c@y.example", 0); /* the new front counts from the beginning */
	wait_for("front: stored 2");
	struct store_rcpt r[4];
	assert_int_equal(rows(r, 4), 2);
	assert_str(r[1].address, "c@y.example");
}

static void failing_commits_are_told(void **state)
{
	(void)state;
	h.hands_off = true;
	h.commit_fault = F_LIMIT;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("front: refused 1 452 4.3.1");
	h.commit_fault = F_BUSY;
	send_letter(2, "a@x.example", "b@y.example", 0);
	wait_for("front: refused 2 451 4.3.0");
	h.commit_fault = OK;
	send_letter(3, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 3");
	h.commit_fault = F_STORE;
	say_begin(5, "a@x.example");
	send_letter(4, "a@x.example", "b@y.example", 0);
	wait_for("front: refused 5 451 4.3.0"); /* it was in the middle: its content is gone with the storage */
	wait_for("front: refused 4 451 4.3.0");
	wait_for("courier: release");
	send_letter(6, "a@x.example", "b@y.example", 0);
	wait_for("front: refused 6 451 4.3.0"); /* until it is open again */
	h.commit_fault = OK;
	wait_for("courier: job a@x.example to b@y.example and 0 more"); /* five seconds later */
	send_letter(7, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 7");
}

static void a_short_disk_refuses_early(void **state)
{
	(void)state;
	h.bytes_free = 1 << 20;
	house_open("");
	wait_for("front: shortage yes");
	say_begin(1, "a@x.example");
	wait_for("front: refused 1 452 4.3.1");
	h.bytes_free = UINT64_MAX;
	wait_for("front: shortage no");
	send_letter(2, "a@x.example", "jada@example.org", 0);
	wait_for("front: stored 2");
}

/* Just under the reserve mail is refused, at the reserve it is taken; once short, a quarter more is wanted. */
static void test_p7_the_reserve_to_the_byte(void **state)
{
	(void)state;
	h.bytes_free = SPOOL_RESERVE_BYTES - 1;
	house_open("");
	wait_for("front: shortage yes");
	send_letter(1, "a@x.example", "jada@example.org", 0);
	wait_for("front: refused 1 452 4.3.1");
	h.bytes_free = SPOOL_RESERVE_BYTES + SPOOL_RESERVE_BYTES / 4;
	wait_for("front: shortage no");
	h.bytes_free = SPOOL_RESERVE_BYTES;
	settle_down();
	send_letter(2, "a@x.example", "jada@example.org", 0);
	wait_for("front: stored 2");
	h.names_free = SPOOL_RESERVE_NAMES - 1;
	wait_for("front: shortage yes: The server's disk has no inodes left for new files");
	h.bytes_free = SPOOL_RESERVE_BYTES - 1; /* of both: room is what more people know */
	wait_for("front: shortage yes: The server's disk is full");
	h.bytes_free = UINT64_MAX;
	wait_for("front: shortage yes: The server's disk has no inodes");
	send_letter(3, "a@x.example", "jada@example.org", 0);
	wait_for("front: refused 3 452 4.3.1");
	h.names_free = SPOOL_RESERVE_NAMES + SPOOL_RESERVE_NAMES / 4;
	wait_for("front: shortage no");
	h.names_free = SPOOL_RESERVE_NAMES;
	send_letter(4, "a@x.example", "jada@example.org", 0);
	wait_for("front: stored 4");
}

/* What arrives when the reserve is reached may end, but not take more than half of it. */
static void test_p7_what_arrives_leaves_half_of_the_reserve(void **state)
{
	static char much[64 << 10];
	(void)state;
	house_open("limits {\n message-size 100M\n}\n");
	memset(much, 'x', sizeof much);
	say_begin(1, "a@x.example");
	say_rcpt(1, "jada@example.org", 0);
	wait_for("front: begun 1");
	h.bytes_free = SPOOL_RESERVE_BYTES / 2;
	for (int i = 0; i < 80; i++)
		say_bytes(1, (struct str){ much, sizeof much });
	wait_for("front: shortage yes");
	h.bytes_free = SPOOL_RESERVE_BYTES / 2 - 1;
	for (int i = 0; i < 80; i++)
		say_bytes(1, (struct str){ much, sizeof much });
	wait_for("front: refused 1 452 4.3.1");
}

/* ---- going out ---- */

static void recipients_of_a_destination_travel_together(void **state)
{
	(void)state;
	h.hands_off = true;
	say_begin(1, "a@x.example");
	say_rcpt(1, "1@y.example", 0);
	say_rcpt(1, "2@z.example", 0);
	say_rcpt(1, "3@y.example", 0);
	say_rcpt(1, "jada@example.org", 0);
	say_rcpt(1, "list@lists.example.org", 0);
	say_chunk(1, "x");
	say_finish(1, 1);
	wait_for("front: stored 1");
	wait_for("porter: job a@x.example to jada@example.org and 0 more");
	while (h.n_jobs < 4)
		wait_for("courier: job");
	bool y = false, z = false, list = false;
	for (size_t i = 0; i < h.n_jobs; i++) {
		y |= h.jobs[i].n_to == 2 && strcmp(h.jobs[i].domain, "y.example") == 0;
		z |= h.jobs[i].n_to == 1 && strcmp(h.jobs[i].domain, "z.example") == 0;
		list |= h.jobs[i].n_to == 1 && strcmp(h.jobs[i].route_name, "127.0.0.1:24") == 0;
	}
	assert_true(y && z && list);
}

static void a_destination_is_not_overrun(void **state)
{
	(void)state;
	enum { AT_A_TIME = 3 };
	h.hands_off = true;
	house_open("queue {\n concurrency 3\n}\n");
	for (unsigned i = 1; i <= AT_A_TIME + 5; i++)
		send_letter(i, "a@x.example", "b@y.example", 0);
	send_letter(100, "a@x.example", "b@z.example", 0);
	wait_for("front: stored 100");
	wait_for("to b@z.example");
	assert_int_equal(h.n_jobs, AT_A_TIME + 1);
	channel_send(h.courier.channel, FROM_WORKER_OUTCOME, &(struct from_worker_outcome){ .job = h.jobs[0].job, .code = 250 });
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = h.jobs[0].job });
	wait_for("courier: job a@x.example to b@y.example");
	assert_int_equal(h.n_jobs, AT_A_TIME + 2);
}

static void a_hundred_recipients_a_job(void **state)
{
	(void)state;
	char names[101][32];
	const char *to[101];
	for (size_t i = 0; i < 101; i++) {
		snprintf(names[i], sizeof names[i], "u%u@y.example", (unsigned)i % 1000);
		to[i] = names[i];
	}
	house_fill("m1", "a@x.example", to, 101, 0, 10, "x");
	house_open("");
	wait_for("courier: job a@x.example to u0@y.example and 99 more");
	wait_for("courier: job a@x.example to u100@y.example and 0 more");
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
}

static void later_is_later(void **state)
{
	(void)state;
	answer(OUTCOME_LATER, 450, "4.2.1", "Mailbox busy");
	h.answer.dialogue = STR("RCPT TO:<b@y.example>\n450 4.2.1 Mailbox busy");
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: body 24 whole");
	settle_down();
	struct store_rcpt r = only_row();
	int64_t wait_s = r.next_s - clock_wall_s();
	assert_in_range(wait_s, 235, 361); /* 5 minutes and a fifth */
	assert_int_equal(r.attempts, 1);
	assert_str(r.last_reply, "450 4.2.1 Mailbox busy");
	assert_true(has(r.last_dialogue, "RCPT TO:<b@y.example>"));
	command(CONTROL_RETRY, everything, false);
	wait_for("courier: body 24 whole");
	settle_down();
	assert_int_equal(only_row().attempts, 1); /* that one was not of the schedule */
	assert_in_range(only_row().next_s - clock_wall_s(), 235, 361);
}

static void what_stays_together_comes_back_together(void **state)
{
	(void)state;
	static const char *const to[] = { "1@y.example", "2@y.example", "3@y.example" };
	house_fill("m1", "a@x.example", to, 3, 0, 10, "x");
	answer(OUTCOME_LATER, 421, "4.3.2", "Come back");
	house_open("");
	wait_for("courier: body 1 whole");
	settle_down();
	struct store_rcpt r[3];
	assert_int_equal(rows(r, 3), 3);
	assert_int_equal(r[0].next_s, r[1].next_s);
	assert_int_equal(r[0].next_s, r[2].next_s);
}

static void a_dead_worker_gives_back_at_once(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job a@x.example to b@y.example");
	h.hands_off = false;
	link_worker(&h.courier);
	wait_for("courier: job a@x.example to b@y.example");
	wait_for("courier: body 24 whole");
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
	assert_int_equal(h.jobs[1].attempt, 2);
}

static void a_letter_that_kills_its_worker_waits(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	for (int i = 0; i < 2; i++) {
		wait_for("courier: job a@x.example to b@y.example");
		link_worker(&h.courier);
	}
	settle_down();
	assert_int_equal(only_row().attempts, 2);
	assert_true(only_row().next_s > clock_wall_s() + 100);
}

static void a_worker_that_says_nothing_is_no_delivery(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job a@x.example to b@y.example");
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = h.jobs[0].job });
	settle_down();
	struct store_rcpt r = only_row();
	assert_int_equal(r.state, RCPT_QUEUED);
	assert_true(has(r.last_reply, "interrupted"));
}

static void who_is_over_a_servers_limit_comes_again_soon(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example", "c@y.example" };
	h.hands_off = true;
	house_fill("m1", "a@x.example", to, 2, 0, 10, "x");
	house_open("");
	wait_for("courier: job a@x.example to b@y.example and 1 more");
	channel_send(h.courier.channel, FROM_WORKER_OUTCOME,
	             &(struct from_worker_outcome){ .job = h.jobs[0].job, .class = OUTCOME_DONE, .code = 250 });
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = h.jobs[0].job });
	settle_down();
	struct store_rcpt r = only_row();
	assert_str(r.address, "c@y.example");
	assert_int_equal(r.attempts, 0);
	assert_true(r.next_s <= clock_wall_s() + 5);
}

static void nonsense_of_workers_is_passed_over(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job a@x.example to b@y.example");
	uint64_t job = h.jobs[0].job;
	const struct from_worker_outcome odd[] = {
		{ .job = job, .index = 1, .code = 250 }, { .job = job, .index = UINT64_MAX, .code = 250 },
		{ .job = job, .class = 3, .code = 250 }, { .job = job, .code = 600 }, { .job = job + 99, .code = 250 },
	};
	for (size_t i = 0; i < COUNT(odd); i++)
		channel_send(h.courier.channel, FROM_WORKER_OUTCOME, &odd[i]);
	channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = job + 7, .bytes = 9 });
	channel_send(h.porter.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = job }); /* not its job */
	h.answer.level = 99;
	channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = job, .bytes = UINT64_MAX });
	wait_for("courier: body 24 whole");
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
}

static void test_p6_damage_is_set_aside_and_never_sent(void **state)
{
	(void)state;
	answer(OUTCOME_LATER, 0, "4.3.0", "the content broke off");
	h.content_fault = F_STORE;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: body 0 broken");
	settle_down();
	struct store_rcpt r = only_row();
	assert_int_equal(r.state, RCPT_DAMAGED);
	assert_true(has(r.last_reply, "damaged"));
}

static void a_hold_route_holds_until_released(void **state)
{
	(void)state;
	house_open("relay corp {\n host corp.example:465\n tls implicit verify\n}\n"
	           "route {\n to *.hold.example hold\n to a.hold.example relay corp\n otherwise direct\n}\n");
	send_letter(1, "a@x.example", "b@a.hold.example", 0);
	wait_for("front: stored 1");
	settle_down();
	assert_int_equal(only_row().state, RCPT_HELD);
	assert_int_equal(h.n_jobs, 0);
	command(CONTROL_RELEASE, everything, false);
	wait_for("courier: body 24 whole");
	assert_string_equal(h.jobs[0].route_name, "corp");
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
}

static void a_changed_route_counts_at_the_next_attempt(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example", "c@refused.example", "d@held.example" };
	house_fill("m1", "a@x.example", to, 3, 0, 10, "x");
	house_open("route {\n to refused.example refuse \"Not any more\"\n to held.example hold\n otherwise direct\n}\n");
	wait_for("courier: job a@x.example to b@y.example and 0 more");
	wait_for("courier: job  to a@x.example"); /* the bounce */
	settle_down();
	struct store_rcpt r = only_row();
	assert_str(r.address, "d@held.example");
	assert_int_equal(r.state, RCPT_HELD);
	assert_true(has(buf_view(&h.jobs[1].body), "Not any more"));
}

static void a_route_that_refuses_much_decides_some_at_a_time(void **state)
{
	(void)state;
	static const char *to[200];
	static char names[200][32];
	for (size_t i = 0; i < COUNT(to); i++) {
		snprintf(names[i], sizeof names[i], "u%zu@refused.example", i);
		to[i] = names[i];
	}
	house_fill("m1", "a@x.example", to, COUNT(to), 0, 10, "x");
	house_fill("m2", "a@x.example", to, COUNT(to), 0, 10, "x");
	house_fill("m3", "a@x.example", to, COUNT(to), 0, 10, "x");
	house_open("route {\n to refused.example refuse \"Not any more\"\n otherwise direct\n}\n");
	wait_for("courier: job  to a@x.example");
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
	assert_in_range(h.most_outcomes, 1, 250);
}

/* ---- telling the sender ---- */

/* Lets the notice wait in the queue, so that it can be looked at. */
static struct str notice(void)
{
	struct store_rcpt r[4];
	size_t n = rows(r, 4);
	for (size_t i = 0; i < n; i++)
		if (has(text_of(id_of(&r[i])), "multipart/report"))
			return text_of(id_of(&r[i]));
	fail_msg("there is no notice in the queue");
	return STR_NONE;
}

static const char hold_notices[] = "route {\n to x.example hold\n otherwise direct\n}\n";

static void send_tagged(uint64_t txn, const char *sender, enum dsn_ret ret, uint64_t tag)
{
	static const char letter[] = "Subject: hello\r\n\r\nsecret\r\n";
	channel_send(h.front.channel, FRONT_BEGIN, &(struct front_begin){ .txn = txn, .sender = str_of(sender), .ret = ret });
	say_rcpt(txn, "b@y.example", 0);
	say_chunk(txn, letter);
	channel_send(h.front.channel, FRONT_FINISH,
	             &(struct front_finish){ .txn = txn, .size_bytes = sizeof letter - 1, .tls_tag = tag });
}

/* RFC 8689 5: it carries the demand itself, and nothing of the text, whatever RET said and the configuration prefers. */
static void test_attack_38_a_bounce_is_protected_like_its_message(void **state)
{
	(void)state;
	static const struct { uint64_t given; enum tls_tag tag; bool full; enum tls_tag of_bounce; } rows_of[] = {
		{ TLS_TAG_REQUIRED, TLS_TAG_REQUIRED, false, TLS_TAG_REQUIRED },
		{ TLS_TAG_OPTIONAL, TLS_TAG_OPTIONAL, true, TLS_TAG_NONE },
		{ TLS_TAG_NONE, TLS_TAG_NONE, true, TLS_TAG_NONE },
		{ 77, TLS_TAG_REQUIRED, false, TLS_TAG_REQUIRED }, /* no front says this: the safe side */
	};
	house_open("queue {\n return full\n}\nroute {\n to x.example hold\n otherwise direct\n}\n");
	answer(OUTCOME_NEVER, 550, "5.1.1", "No such user");
	for (size_t i = 0; i < COUNT(rows_of); i++) {
		struct store_message m;
		struct arena *a = arena_new(64 << 10);
		send_tagged(i + 1, "a@x.example", i % 2 == 0 ? RET_FULL : RET_DEFAULT, rows_of[i].given);
		wait_for("courier: body");
		settle_down();
		assert_int_equal(h.jobs[i].tls_tag, rows_of[i].tag);
		if (rows_of[i].tag == TLS_TAG_REQUIRED)
			assert_int_equal(h.jobs[i].ret, RET_HEADERS);
		struct store_rcpt r = only_row();
		assert_int_equal(has(text_of(id_of(&r)), "secret"), rows_of[i].full);
		assert_true(has(text_of(id_of(&r)), "Subject: hello"));
		assert_int_equal(h.store != NULL ? store_memory.message(h.store, r.id, a, &m) : F_ABSENT, OK);
		assert_int_equal(m.tls_tag, rows_of[i].of_bounce);
		arena_free(&a);
		command(CONTROL_REMOVE, everything, false);
		settle_down();
	}
}

/* A notice to an address behind which there are several, and a message to several: all have the tag of the message. */
static void everybody_gets_the_same_tag(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example", "c@z.example" };
	house_open("");
	channel_send(h.front.channel, FRONT_BEGIN, &(struct front_begin){ .txn = 1, .sender = STR("a@x.example") });
	say_rcpt(1, to[0], 0);
	say_rcpt(1, to[1], 0);
	say_chunk(1, "x\r\n");
	channel_send(h.front.channel, FRONT_FINISH, &(struct front_finish){ .txn = 1, .size_bytes = 3, .tls_tag = TLS_TAG_REQUIRED });
	wait_for("courier: body");
	wait_for("courier: body");
	settle_down();
	assert_int_equal(h.n_jobs, 2);
	assert_int_equal(h.jobs[0].tls_tag, TLS_TAG_REQUIRED);
	assert_int_equal(h.jobs[1].tls_tag, TLS_TAG_REQUIRED);
}

static void never_goes_back(void **state)
{
	(void)state;
	house_open(""); /* notices go out too: the courier refuses nothing else */
	answer(OUTCOME_NEVER, 550, "5.1.1", "No such user here");
	h.answer.dialogue = STR("RCPT TO:<b@y.example>\n550 5.1.1 No such user here");
	send_letter(1, "jada@example.org", "b@y.example", 0);
	wait_for("courier: body 24 whole");
	answer(OUTCOME_DONE, 250, "2.0.0", "ok");
	wait_for("porter: job  to jada@example.org and 0 more");
	settle_down();
	assert_int_equal(h.most_both, 2); /* the notice and the outcome in one commit */
	struct str text = buf_view(&h.jobs[1].body);
	assert_true(has(text, "550 5.1.1 No such user here"));
	assert_true(has(text, "b@y.example"));
	assert_true(has(text, "Subject: hello"));
	assert_false(has(text, "body\r\n")); /* headers only */
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
}

static void one_notice_tells_all(void **state)
{
	(void)state;
	static const char *const to[] = { "1@y.example", "2@y.example", "3@z.example" };
	house_fill("m1", "a@x.example", to, 3, 0, 10, "Subject: s\r\n\r\n");
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	house_open(hold_notices);
	settle_down();
	struct store_rcpt r[4];
	size_t n = rows(r, 4);
	assert_true(n == 1 || n == 2); /* two couriers' answers may come in two turns */
	if (n == 1)
		assert_true(has(notice(), "1@y.example") && has(notice(), "2@y.example") && has(notice(), "3@z.example"));
	for (size_t i = 0; i < n; i++) {
		struct str text = text_of(id_of(&r[i]));
		assert_int_equal(has(text, "1@y.example"), has(text, "2@y.example"));
	}
}

static void notify_never_means_never(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	house_fill("m1", "a@x.example", to, 1, NOTIFY_NEVER, 10, "x");
	house_fill("m2", "a@x.example", to, 1, NOTIFY_SUCCESS | NOTIFY_DELAY, 10, "x");
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	house_open("");
	wait_for("courier: body");
	wait_for("courier: body");
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
	assert_int_equal(h.n_jobs, 2);
}

static void success_is_told_when_asked(void **state)
{
	(void)state;
	house_open(hold_notices);
	send_letter(1, "a@x.example", "jada@example.org", NOTIFY_SUCCESS);
	wait_for("porter: body");
	settle_down();
	assert_true(has(notice(), "delivered"));
}

static void relaying_is_told_unless_the_next_hop_does(void **state)
{
	(void)state;
	house_open(hold_notices);
	h.answer.dsn = 1;
	send_letter(1, "a@x.example", "b@y.example", NOTIFY_SUCCESS);
	wait_for("courier: body");
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
	h.answer.dsn = 0;
	send_letter(2, "a@x.example", "b@y.example", NOTIFY_SUCCESS);
	wait_for("courier: body");
	settle_down();
	assert_true(has(notice(), "relayed"));
}

static void hope_ends(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	house_fill("m1", "a@x.example", to, 1, 0, 5 * 86400 - 100, "x");
	house_fill("m2", "a@x.example", to, 1, 0, 5 * 86400 + 1, "x");
	answer(OUTCOME_LATER, 451, "4.4.1", "Not now");
	house_open(hold_notices);
	wait_for("courier: body");
	wait_for("courier: body");
	settle_down();
	struct store_rcpt r[4];
	size_t n = rows(r, 4), queued = 0, warned = 0;
	for (size_t i = 0; i < n; i++) {
		queued += r[i].state == RCPT_QUEUED;
		warned += r[i].delay_warned;
		if (str_eq(r[i].address, STR("a@x.example")))
			assert_true(has(text_of(id_of(&r[i])), "451 4.4.1 Not now"));
	}
	assert_int_equal(n, 3);       /* the younger one, its delay warning, the notice that the older has failed */
	assert_int_equal(queued, 1);
	assert_int_equal(warned, 1);
}

static void a_delay_is_told_once(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	house_fill("m1", "a@x.example", to, 1, 0, 4 * 3600 + 5, "x");
	house_fill("m2", "a@x.example", to, 1, NOTIFY_FAILURE, 4 * 3600 + 5, "x");
	house_fill("m3", "a@x.example", to, 1, 0, 4 * 3600 - 60, "x");
	answer(OUTCOME_LATER, 451, "4.4.1", "Not now");
	house_open(hold_notices);
	for (int i = 0; i < 3; i++)
		wait_for("courier: body");
	settle_down();
	assert_true(has(notice(), "delayed"));
	struct store_rcpt r[8];
	assert_int_equal(rows(r, 8), 4);
	command(CONTROL_RETRY, (struct store_selector){ .id = STR("m1") }, false);
	wait_for("courier: body");
	settle_down();
	assert_int_equal(rows(r, 8), 4);
}

static void a_bounce_that_fails_goes_to_the_postmaster(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" }, *const pm[] = { "PM@example.org" };
	house_fill("m1", "", to, 1, 0, 10, "Subject: a bounce\r\n\r\n");
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	house_open("");
	wait_for("courier: body");
	wait_for("porter: job  to pm@example.org and 0 more");
	settle_down(); /* the postmaster's mailbox refuses too */
	struct store_rcpt r = only_row();
	assert_str(r.address, "pm@example.org");
	assert_int_equal(r.state, RCPT_HELD);
	assert_true(has(text_of(id_of(&r)), "Subject: a bounce"));
	(void)pm;
}

static void a_notice_finds_who_is_behind_an_alias(void **state)
{
	(void)state;
	house_open("");
	h.alias.address = "sales+x@example.org";
	h.alias.targets[0] = "jada@example.org";
	h.alias.targets[1] = "sam@elsewhere.example";
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	h.hands_off = true;
	send_letter(1, "sales+x@example.org", "b@y.example", 0);
	wait_for("courier: job");
	h.hands_off = false;
	channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = h.jobs[0].job, .bytes = 99 });
	wait_for("keeper: asked sales+x@example.org");
	answer(OUTCOME_DONE, 250, "2.0.0", "ok");
	settle_down();
	assert_true(was_heard("porter: job  to jada@example.org and 0 more"));
	assert_true(was_heard("courier: job  to sam@elsewhere.example and 0 more"));
}

static void a_notice_waits_for_the_keeper(void **state)
{
	(void)state;
	house_open("");
	channel_close(&h.keeper.channel);
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	send_letter(1, "jada@example.org", "b@y.example", 0);
	wait_for("courier: body");
	for (int i = 0; i < 5; i++) { /* turns go by, and nothing is settled */
		channel_send(h.supervisor.channel, TO_ROLE_ASK_STATUS, &(struct to_role_ask_status){ .request = 1 });
		wait_for("supervisor: status");
	}
	struct store_rcpt r = only_row();
	assert_int_equal(r.state, RCPT_LEASED);
	answer(OUTCOME_DONE, 250, "2.0.0", "ok");
	link_keeper();
	wait_for("porter: job  to jada@example.org and 0 more");
	settle_down();
	assert_int_equal(rows(&r, 1), 0);
}

static void half_an_answer_of_the_keeper_counts_for_nothing(void **state)
{
	(void)state;
	house_open("");
	h.alias.address = "sales@example.org";
	h.alias.targets[0] = "jada@example.org";
	h.alias.goes_before_the_end = true;
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	send_letter(1, "sales@example.org", "b@y.example", 0);
	wait_for("keeper: asked sales@example.org");
	answer(OUTCOME_DONE, 250, "2.0.0", "ok");
	link_keeper();
	settle_down();
	assert_true(was_heard("porter: job  to jada@example.org and 0 more"));
}

static void a_notice_to_nobody_goes_to_the_postmaster(void **state)
{
	(void)state;
	house_open("");
	h.alias.address = "nobody@example.org";
	h.alias.verdict = RCPT_UNKNOWN;
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	h.hands_off = true;
	send_letter(1, "nobody@example.org", "b@y.example", 0);
	wait_for("courier: job");
	channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = h.jobs[0].job, .bytes = 99 });
	wait_for("porter: job  to pm@example.org and 0 more");
	struct store_rcpt r = only_row();
	assert_str(r.address, "pm@example.org");
}

static void the_postmaster_may_be_an_alias(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	h.alias.address = "pm@example.org";
	h.alias.targets[0] = "jada@example.org";
	house_fill("m1", "", to, 1, 0, 10, "Subject: a bounce\r\n\r\n");
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	house_open("");
	wait_for("courier: body");
	wait_for("porter: job  to jada@example.org and 0 more");
	settle_down(); /* whose mailbox refuses too: it ends here */
	struct store_rcpt r = only_row();
	assert_str(r.address, "jada@example.org");
	assert_int_equal(r.state, RCPT_HELD);
}

static void without_a_way_to_a_postmaster_it_is_held(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	h.alias.address = "pm@example.org";
	h.alias.verdict = RCPT_UNKNOWN;
	house_fill("m1", "", to, 1, 0, 10, "Subject: a bounce\r\n\r\n");
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	house_open("");
	wait_for("courier: body");
	settle_down();
	assert_str(only_row().address, "b@y.example");
	assert_int_equal(only_row().state, RCPT_HELD);
}

static void a_clock_that_jumps_expires_nothing(void **state)
{
	(void)state;
	answer(OUTCOME_LATER, 450, "4.2.1", "busy");
	for (int i = 0; i < 2; i++) {
		h.wall_jump_s = (i == 0 ? 10 : -10) * 365LL * 86400;
		send_letter((uint64_t)i + 1, "a@x.example", "b@y.example", 0);
		wait_for("courier: body");
		settle_down();
		struct store_rcpt r[4];
		assert_int_equal(rows(r, 4), i + 1);
		for (int k = 0; k <= i; k++) {
			assert_int_equal(r[k].state, RCPT_QUEUED);
			assert_false(r[k].delay_warned);
			assert_in_range(r[k].next_s - (clock_wall_s() - h.wall_jump_s), 200, 400);
		}
	}
	command(CONTROL_RETRY, everything, false);
	wait_for("courier: body");
	wait_for("courier: body");
	settle_down();
	struct store_rcpt r[4];
	assert_int_equal(rows(r, 4), 2);
	assert_int_equal(r[0].attempts, 1);
}

static void a_notice_that_cannot_be_stored_settles_nothing(void **state)
{
	(void)state;
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	h.commit_fault = F_LIMIT;
	channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = h.jobs[0].job, .bytes = 99 });
	wait_for("courier: body");
	unsigned before = h.commits;
	while (h.commits == before)
		send_letter(2, "a@x.example", "b@y.example", 0), wait_for("front: refused 2 452");
	assert_str(only_row().address, "b@y.example");
	h.commit_fault = OK;
	h.hands_off = false;
	answer(OUTCOME_DONE, 250, "2.0.0", "ok");
	wait_for("courier: job  to a@x.example"); /* a few seconds later both happen */
	settle_down();
}

/* ---- the operator ---- */

static void the_operator_lists(void **state)
{
	(void)state;
	command(CONTROL_LIST, everything, false);
	assert_true(was_heard("operator: end 1 the queue is empty"));
	answer(OUTCOME_LATER, 450, "4.2.1", "Mail\"box\xff busy");
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: body");
	settle_down();
	command(CONTROL_LIST, everything, false);
	assert_true(was_heard("\"sender\":\"a@x.example\",\"recipient\":\"b@y.example\",\"state\":\"queued\",\"attempts\":1,"
	                      "\"next_attempt\":\"20"));
	assert_true(was_heard("\"last_reply\":\"450 4.2.1 Mail\\\"box? busy\",\"size\":24}"));
	assert_true(was_heard("operator: end 0"));
	command(CONTROL_LIST, (struct store_selector){ .domain = STR("z.example") }, false);
	assert_true(was_heard("operator: end 1 nothing in the queue matches"));
	command(CONTROL_SHOW, everything, false);
	assert_true(was_heard("operator: end 2 which message?"));
	command(CONTROL_SHOW, (struct store_selector){ .id = str_of(h.last_id) }, true);
	assert_true(was_heard("\"destination\":\"mx:y.example\""));
	assert_true(was_heard("operator: body Subject: hello\r\n\r\nbody\r\n"));
	command(CONTROL_LIST, (struct store_selector){ .arrived_before_s = 3600 }, false);
	assert_true(was_heard("operator: end 1 nothing in the queue matches"));
}

static void a_long_list_comes_whole(void **state)
{
	(void)state;
	static char names[150][32];
	static const char *to[150];
	for (size_t i = 0; i < 150; i++) {
		snprintf(names[i], sizeof names[i], "u%u@held.example", (unsigned)i % 1000);
		to[i] = names[i];
	}
	char id[16];
	for (unsigned i = 0; i < 10; i++) {
		snprintf(id, sizeof id, "m%u", i);
		house_fill(id, "a@x.example", to, 150, 0, 10, "x");
	}
	house_open("route {\n to held.example hold\n otherwise direct\n}\n");
	settle_down();
	command(CONTROL_LIST, everything, false);
	struct str heard = buf_view(&h.heard);
	size_t n = 0, at;
	while (str_find_str(heard, STR("operator: row"), &at)) {
		heard = str_from(heard, at + 1);
		n++;
	}
	assert_int_equal(n, 1500);
}

/* The list has been read; the place is wanted by others. */
static void an_operator_who_stays_is_hung_up_on(void **state)
{
	enum { A_WHILE_MS = 5000 };
	(void)state;
	command(CONTROL_LIST, everything, false);
	ahead_ms += CONTROL_STALL_MS - A_WHILE_MS;
	settle_down();
	assert_non_null(h.operator.channel);
	ahead_ms += A_WHILE_MS;
	wait_for("operator: closed");
}

static void the_operator_acts(void **state)
{
	(void)state;
	answer(OUTCOME_LATER, 450, "4.2.1", "busy");
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: body");
	settle_down();
	command(CONTROL_HOLD, everything, false);
	wait_for("1 recipient held");
	assert_int_equal(only_row().state, RCPT_HELD);
	command(CONTROL_HOLD, everything, false);
	assert_true(was_heard("operator: end 0 nothing to change"));
	command(CONTROL_RELEASE, everything, false);
	wait_for("1 recipient released");
	wait_for("courier: body");
	settle_down();
	command(CONTROL_REMOVE, (struct store_selector){ .to = STR("B@y.example") }, false);
	assert_true(was_heard("operator: end 0 1 recipient removed"));
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
	command(CONTROL_REMOVE, everything, false);
	assert_true(was_heard("operator: end 1 the queue is empty"));
}

static void the_operator_returns_to_the_sender(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example", "c@y.example", "d@y.example" };
	house_fill("m1", "a@x.example", to, 3, 0, 10, "Subject: s\r\n\r\n");
	answer(OUTCOME_LATER, 450, "4.2.1", "busy");
	house_open(hold_notices);
	wait_for("courier: body");
	settle_down();
	command(CONTROL_BOUNCE, (struct store_selector){ .from = STR("a@x.example") }, false);
	assert_true(was_heard("operator: end 0 3 recipients returned to the sender"));
	struct store_rcpt r = only_row(); /* one notice */
	assert_str(r.address, "a@x.example");
	assert_true(has(text_of(id_of(&r)), "administrator"));
	assert_true(has(text_of(id_of(&r)), "d@y.example"));
}

static void a_notice_says_that_the_content_cannot_be_read(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	house_fill("m1", "a@x.example", to, 1, 0, 10, "Subject: secret\r\n\r\n");
	answer(OUTCOME_LATER, 450, "4.2.1", "busy");
	house_open(hold_notices);
	wait_for("courier: body");
	settle_down();
	h.content_fault = F_SYS;
	command(CONTROL_BOUNCE, (struct store_selector){ .from = STR("a@x.example") }, false);
	h.content_fault = OK;
	struct store_rcpt r = only_row();
	assert_true(has(text_of(id_of(&r)), "Nothing of your message is returned: it could not be read here."));
	assert_false(has(text_of(id_of(&r)), "Subject: secret"));
}

static void removing_stops_the_worker(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	command(CONTROL_REMOVE, everything, false);
	assert_true(was_heard("courier: release"));
	channel_send(h.courier.channel, FROM_WORKER_OUTCOME,
	             &(struct from_worker_outcome){ .job = h.jobs[0].job, .class = OUTCOME_NEVER, .code = 550 });
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = h.jobs[0].job });
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0); /* no notice for what is not there */
}

static void status_and_reload_ask_the_supervisor(void **state)
{
	(void)state;
	command(CONTROL_STATUS, everything, false);
	assert_true(was_heard("operator: row {\"running\":true}"));
	command(CONTROL_RELOAD, everything, false);
	assert_true(was_heard("operator: end 1 line 3: no"));
}

/* ---- the rest ---- */

static void ask_to_verify(uint64_t request, const char *address)
{
	channel_send(h.front.channel, FRONT_VERIFY,
	             &(struct front_verify){ .request = request, .address = str_of(address), .sender = STR("a@x.example") });
}

static void recipients_are_verified_once(void **state)
{
	(void)state;
	answer(OUTCOME_NEVER, 550, "5.1.1", "No such user");
	ask_to_verify(1, "b@y.example");
	ask_to_verify(2, "b@y.example");
	wait_for("front: verified 1 550 5.1.1 No such user");
	wait_for("front: verified 2 550 5.1.1 No such user");
	answer(OUTCOME_DONE, 250, "2.1.5", "fine");
	ask_to_verify(3, "b@y.example");
	wait_for("front: verified 3 550 5.1.1 No such user"); /* remembered */
	assert_int_equal(h.n_jobs, 1);
	assert_int_equal(h.jobs[0].purpose, JOB_VERIFY);
	ask_to_verify(4, "c@y.example");
	wait_for("front: verified 4 250 2.1.5 fine");
	answer(OUTCOME_LATER, 451, "4.7.1", "Greylisted");
	ask_to_verify(5, "d@y.example");
	wait_for("front: verified 5 451 4.7.1 Greylisted");
	answer(OUTCOME_DONE, 250, "2.1.5", "fine");
	ask_to_verify(6, "d@y.example"); /* "later" is not remembered */
	wait_for("front: verified 6 250 2.1.5 fine");
	ask_to_verify(7, "jada@example.org");
	wait_for("front: verified 7 250");
	ask_to_verify(8, "no address");
	wait_for("front: verified 8 553");
	h.hands_off = true;
	ask_to_verify(9, "e@y.example");
	wait_for("courier: job a@x.example to e@y.example");
	link_worker(&h.courier);
	wait_for("front: verified 9 450");
}

static void observations_come_back(void **state)
{
	(void)state;
	channel_send(h.resolver.channel, KEEP_OBSERVATION,
	             &(struct keep_observation){ .key = STR("mta-sts/y"), .value = STR("enforce"),
	                                         .expires_s = clock_wall_s() + 100 });
	settle_down();
	struct arena *a = arena_new(1 << 20);
	house_close();
	arena_free(&a);
	house_prepare();
	assert_int_equal(store_memory.remember(h.store, STR("mta-sts/z"), STR("testing"), clock_wall_s() + 100), OK);
	assert_int_equal(store_memory.remember(h.store, STR("other/z"), STR("verify"), clock_wall_s() + 100), OK);
	house_open("");
	wait_for("resolver: kept mta-sts/z=testing");
	wait_for("resolver: kept =");
	assert_false(was_heard("kept other/z"));
	assert_false(was_heard("kept spool:clock"));
}

/* A worker that makes room for its successor: what it has begun, what it gives back, what comes meanwhile. */
static void a_worker_rests(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job a@x.example to b@y.example");
	send_letter(2, "a@x.example", "c@y.example", 0);
	wait_for("courier: job a@x.example to c@y.example");
	channel_send(h.courier.channel, FROM_WORKER_RESTING, &(struct from_worker_resting){ 0 });
	channel_send(h.courier.channel, FROM_WORKER_GIVEN_BACK, &(struct from_worker_given_back){ .job = h.jobs[1].job });
	send_letter(3, "a@x.example", "d@y.example", 0);
	wait_for("front: stored 3");
	assert_false(was_heard("rested"));
	channel_send(h.courier.channel, FROM_WORKER_OUTCOME, &(struct from_worker_outcome){ .job = h.jobs[0].job, .code = 250 });
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = h.jobs[0].job });
	wait_for("courier: rested");
	assert_int_equal(h.n_jobs, 2);
	link_worker(&h.courier);
	wait_for("courier: job a@x.example to d@y.example");
	wait_for("courier: job a@x.example to c@y.example");
	assert_int_equal(h.n_jobs, 4);
	assert_int_equal(h.jobs[3].attempt, 1); /* the first one was none */
}

static void letters_that_nobody_has_follow_a_new_configuration(void **state)
{
	(void)state;
	h.hands_off = true;
	house_open("route {\n to z.example relay old\n otherwise direct\n}\nrelay old {\n host old.example:25\n tls starttls verify\n}\n");
	channel_send(h.courier.channel, FROM_WORKER_RESTING, &(struct from_worker_resting){ 0 });
	wait_for("courier: rested");
	send_letter(1, "a@x.example", "b@z.example", 0);
	wait_for("front: stored 1");
	house_configure("route {\n to z.example relay new\n otherwise direct\n}\nrelay new {\n host new.example:25\n tls starttls verify\n}\n");
	link_worker(&h.courier);
	wait_for("courier: job a@x.example to b@z.example");
	assert_string_equal(h.jobs[0].route_name, "new");
}

static void it_drains(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	channel_send(h.supervisor.channel, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 10000 });
	send_letter(2, "a@x.example", "b@y.example", 0);
	wait_for("front: refused 2 451 4.3.0");
	assert_false(was_heard("drained"));
	channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = h.jobs[0].job, .bytes = 99 });
	wait_for("supervisor: drained");
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
}

static void draining_ends_in_time(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	channel_send(h.supervisor.channel, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 50 });
	wait_for("courier: release");
	wait_for("supervisor: drained");
}

static void a_wrong_clock_does_not_stall(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	house_fill("m1", "a@x.example", to, 1, 0, -10 * 365 * 86400, "x"); /* it arrived in ten years */
	house_open("");
	wait_for("courier: job a@x.example to b@y.example");
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
}

static void garbage_closes_the_channel_only(void **state)
{
	(void)state;
	/* A frame with a kind that the arrow does not have: the channel is closed, the role lives on. */
	channel_send(h.courier.channel, FROM_WORKER_RENEW, &(struct from_worker_renew){ .job = 12345 });
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	channel_send(h.courier.channel, FROM_WORKER_RENEW, &(struct from_worker_renew){ .job = h.jobs[0].job });
	channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = h.jobs[0].job, .bytes = 99 });
	wait_for("courier: body 24 whole");
	settle_down();
}

#define OPEN(name) cmocka_unit_test_setup_teardown(name, opened, close_house)
#define PREPARED(name) cmocka_unit_test_setup_teardown(name, prepared, close_house)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPEN(a_letter_goes_through),
		OPEN(stored_is_said_after_the_commit_only),
		OPEN(all_of_one_turn_share_a_commit),
		PREPARED(without_a_configuration_letters_are_refused),
		OPEN(what_is_wrong_is_refused),
		PREPARED(routes_may_refuse),
		PREPARED(a_message_too_large_is_refused),
		OPEN(too_many_recipients_are_refused),
		PREPARED(too_many_messages_at_a_time_are_refused),
		OPEN(a_front_that_dies_leaves_nothing_half),
		OPEN(failing_commits_are_told),
		PREPARED(a_short_disk_refuses_early),
		PREPARED(test_p7_the_reserve_to_the_byte),
		PREPARED(test_p7_what_arrives_leaves_half_of_the_reserve),
		OPEN(recipients_of_a_destination_travel_together),
		PREPARED(a_destination_is_not_overrun),
		PREPARED(a_hundred_recipients_a_job),
		OPEN(later_is_later),
		PREPARED(what_stays_together_comes_back_together),
		OPEN(a_dead_worker_gives_back_at_once),
		OPEN(a_letter_that_kills_its_worker_waits),
		OPEN(a_worker_that_says_nothing_is_no_delivery),
		PREPARED(who_is_over_a_servers_limit_comes_again_soon),
		OPEN(nonsense_of_workers_is_passed_over),
		OPEN(test_p6_damage_is_set_aside_and_never_sent),
		PREPARED(a_hold_route_holds_until_released),
		PREPARED(a_changed_route_counts_at_the_next_attempt),
		PREPARED(a_route_that_refuses_much_decides_some_at_a_time),
		PREPARED(never_goes_back),
		PREPARED(test_attack_38_a_bounce_is_protected_like_its_message),
		PREPARED(everybody_gets_the_same_tag),
		PREPARED(one_notice_tells_all),
		PREPARED(notify_never_means_never),
		PREPARED(success_is_told_when_asked),
		PREPARED(relaying_is_told_unless_the_next_hop_does),
		PREPARED(hope_ends),
		PREPARED(a_delay_is_told_once),
		PREPARED(a_bounce_that_fails_goes_to_the_postmaster),
		PREPARED(a_notice_finds_who_is_behind_an_alias),
		PREPARED(a_notice_waits_for_the_keeper),
		PREPARED(half_an_answer_of_the_keeper_counts_for_nothing),
		PREPARED(a_notice_to_nobody_goes_to_the_postmaster),
		PREPARED(the_postmaster_may_be_an_alias),
		PREPARED(without_a_way_to_a_postmaster_it_is_held),
		OPEN(a_clock_that_jumps_expires_nothing),
		OPEN(a_notice_that_cannot_be_stored_settles_nothing),
		OPEN(the_operator_lists),
		PREPARED(a_long_list_comes_whole),
		OPEN(an_operator_who_stays_is_hung_up_on),
		OPEN(the_operator_acts),
		PREPARED(the_operator_returns_to_the_sender),
		PREPARED(a_notice_says_that_the_content_cannot_be_read),
		OPEN(removing_stops_the_worker),
		OPEN(status_and_reload_ask_the_supervisor),
		OPEN(recipients_are_verified_once),
		OPEN(observations_come_back),
		OPEN(a_worker_rests),
		PREPARED(letters_that_nobody_has_follow_a_new_configuration),
		OPEN(it_drains),
		OPEN(draining_ends_in_time),
		PREPARED(a_wrong_clock_does_not_stall),
		OPEN(garbage_closes_the_channel_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
