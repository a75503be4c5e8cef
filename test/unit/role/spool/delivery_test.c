/* SPDX-License-Identifier: ISC */
/* The spool and its workers: who gets what when, and what becomes of the outcomes. */
#include "unit.h"

#include "role/spool/house.h"

#include <stdio.h>
#include <string.h>

#include "role/spool/spool.h"
#include "sys/clock.h"

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

static size_t unread;

size_t __real_channel_backlog(const struct channel *c);
size_t __wrap_channel_backlog(const struct channel *c);
size_t __wrap_channel_backlog(const struct channel *c)
{
	size_t n = __real_channel_backlog(c);
	return n > unread ? n : unread;
}

/* SPOOL_UNSENT_MAX, SPOOL_UNSENT_LOOK_MS: neither jobs nor content; what waits goes on by itself. */
static void who_reads_nothing_gets_no_more(void **state)
{
	(void)state;
	send_letter(9, "a@x.example", "b@y.example", 0);
	wait_for("courier: body 24 whole"); /* it knows what couriers before it have learned */
	settle_down();
	size_t before = h.n_jobs;
	h.hands_off = true;
	unread = SPOOL_UNSENT_MAX;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 1");
	send_letter(2, "a@x.example", "b@z.example", 0);
	wait_for("front: stored 2");
	assert_int_equal(h.n_jobs, before);
	unread = SPOOL_UNSENT_MAX - 1;
	wait_for("courier: job");
	wait_for("courier: job");
	unread = SPOOL_UNSENT_MAX;
	for (size_t i = before; i < before + 2; i++)
		channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = h.jobs[i].job, .bytes = 1000 });
	send_letter(3, "a@x.example", "b@held.example", 0);
	wait_for("front: stored 3");
	assert_int_equal(buf_view(&h.jobs[before].body).n + buf_view(&h.jobs[before + 1].body).n, 0);
	unread = SPOOL_UNSENT_MAX - 1;
	wait_for("courier: body 24 whole");
	wait_for("courier: body 24 whole");
	unread = 0;
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
	for (int i = 0; i < 2; i++) { /* the second attempt, and then what is not of the schedule */
		assert_int_equal(only_row().attempts, 2);
		assert_int_equal(h.jobs[h.n_jobs - 1].attempt, 2);
		assert_in_range(only_row().next_s - clock_wall_s(), 715, 1081);
		command(CONTROL_RETRY, everything, false);
		wait_for("courier: body 24 whole");
		settle_down();
	}
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

/* It neither ends nor says that it lives: what it had is tried again, as after any attempt. */
static void a_worker_that_is_not_heard_of(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	h.wall_jump_s += SPOOL_LEASE_S - 60;
	h.ahead_ms += (SPOOL_LEASE_S - 60) * 1000;
	send_letter(2, "a@x.example", "c@z.example", 0); /* the loop looks at its clock */
	wait_for("courier: job a@x.example to c@z.example");
	assert_false(was_heard("courier: release"));
	h.wall_jump_s += 60;
	h.ahead_ms += 60 * 1000;
	send_letter(3, "a@x.example", "c@z.example", 0);
	wait_for("courier: release");
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = h.jobs[0].job }); /* too late */
	wait_for("courier: job a@x.example to c@z.example");
	struct store_rcpt r[4];
	assert_int_equal(rows(r, 4), 3);
	assert_int_equal(r[0].attempts, 1);
	assert_int_equal(r[0].state, RCPT_QUEUED);
	assert_in_range(r[0].next_s - clock_wall_s(), 200, 400);
	assert_true(str_starts(r[0].last_reply, STR("4.4.2 the delivering process has not been heard of")));
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

/* The line would hold it again at its second attempt, and whoever released it would hear nothing of that. */
static void what_was_released_stays_released(void **state)
{
	(void)state;
	house_open("relay corp {\n host corp.example:465\n tls implicit verify\n}\n"
	           "route {\n to *.hold.example hold\n to a.hold.example relay corp\n otherwise direct\n}\n");
	send_letter(1, "a@x.example", "b@a.hold.example", 0);
	wait_for("front: stored 1");
	settle_down();
	answer(OUTCOME_LATER, 451, "4.3.0", "not now");
	command(CONTROL_RELEASE, everything, false);
	wait_for("courier: job a@x.example to b@a.hold.example");
	settle_down();
	assert_int_equal(only_row().attempts, 1);
	answer(OUTCOME_DONE, 250, "2.0.0", "taken");
	h.ahead_ms += 3600 * 1000;
	h.wall_jump_s += 3600;
	wait_for("courier: job a@x.example to b@a.hold.example");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPEN(recipients_of_a_destination_travel_together),
		PREPARED(a_destination_is_not_overrun),
		OPEN(who_reads_nothing_gets_no_more),
		PREPARED(a_hundred_recipients_a_job),
		OPEN(later_is_later),
		PREPARED(what_stays_together_comes_back_together),
		OPEN(a_dead_worker_gives_back_at_once),
		OPEN(a_letter_that_kills_its_worker_waits),
		OPEN(a_worker_that_says_nothing_is_no_delivery),
		PREPARED(who_is_over_a_servers_limit_comes_again_soon),
		OPEN(nonsense_of_workers_is_passed_over),
		OPEN(test_p6_damage_is_set_aside_and_never_sent),
		OPEN(a_worker_that_is_not_heard_of),
		PREPARED(a_hold_route_holds_until_released),
		PREPARED(what_was_released_stays_released),
		PREPARED(a_changed_route_counts_at_the_next_attempt),
		PREPARED(a_route_that_refuses_much_decides_some_at_a_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
