/* SPDX-License-Identifier: ISC */
/* What an operator does to a letter while it is being delivered: what has got there is delivered, and never sent again for it. */
#include "unit.h"

#include "role/spool/house.h"

#include <stdio.h>
#include <string.h>

#include "sys/clock.h"

static void assert_heard(const char *what)
{
	if (!was_heard(what))
		fail_msg("\"%s\" is not in: %.*s", what, STR_ARG(buf_view(&h.heard)));
}

/* The last job's courier says this of its only recipient, or nothing (code 0), and ends. */
static void courier_ends(enum outcome_class class, unsigned code)
{
	uint64_t job = h.jobs[h.n_jobs - 1].job;
	struct from_worker_outcome o = { .job = job, .class = class, .code = code, .status = STR("4.2.1"), .text = STR("so it is"),
		                         .host = STR("mx.y.example") };
	if (code != 0)
		channel_send(h.courier.channel, FROM_WORKER_OUTCOME, &o);
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = job });
}

static void courier_says(enum outcome_class class, unsigned code)
{
	courier_ends(class, code);
	settle_down();
}

/* All of the letter has gone to the next server, whose answer is awaited. */
static void one_is_on_the_way(void)
{
	h.silent = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: body 24 whole");
}

static size_t n_rows(void)
{
	struct store_rcpt r[4];
	return rows(r, 4);
}

static void hold(void)
{
	command(CONTROL_HOLD, everything, false);
	assert_heard("operator: end 0 1 recipient held; 1 of these is with the next server already: if it takes it, that counts as delivered\n");
	assert_true(was_heard("{\"action\":\"hold\",\"recipients\":1,\"complete\":true,\"on_the_way\":1,\"left\":0}"));
	assert_true(h.jobs[h.n_jobs - 1].released);
}

static void why(void)
{
	command(CONTROL_WHY, (struct store_selector){ .id = str_of(h.last_id) }, false);
}

static void what_is_held_and_arrives_is_delivered(void **state)
{
	(void)state;
	one_is_on_the_way();
	hold();
	command(CONTROL_LIST, everything, false);
	assert_true(was_heard("\"state\":\"leased\""));
	assert_true(was_heard("\"then_held\":true"));
	courier_says(OUTCOME_DONE, 250);
	assert_int_equal(n_rows(), 0);
	command(CONTROL_RELEASE, everything, false);
	assert_heard("operator: end 1 the queue is empty");
	why();
	assert_int_equal(times_heard("\"event\":\"held\""), 1);
	assert_int_equal(times_heard("\"event\":\"relayed\""), 1);
}

static void what_is_held_and_fails_stays(void **state)
{
	static const enum outcome_class classes[] = { OUTCOME_LATER, OUTCOME_NEVER };
	(void)state;
	for (size_t i = 0; i < COUNT(classes); i++) {
		one_is_on_the_way();
		hold();
		courier_says(classes[i], classes[i] == OUTCOME_LATER ? 450 : 550);
		struct store_rcpt r = only_row(); /* and no notice */
		assert_int_equal(r.state, RCPT_HELD);
		assert_int_equal(r.attempts, 1);
		assert_true(has(r.last_reply, "so it is"));
		command(CONTROL_REMOVE, everything, false);
	}
}

static void what_is_held_before_it_has_left_is_stopped(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	command(CONTROL_HOLD, everything, false);
	assert_heard("operator: end 0 1 recipient held\n");
	assert_true(h.jobs[0].released);
	courier_says(OUTCOME_LATER, 0);
	struct store_rcpt r = only_row();
	assert_int_equal(r.state, RCPT_HELD);
	assert_int_equal(r.attempts, 0);
	assert_int_equal(r.last_reply.n, 0);
	why();
	assert_int_equal(times_heard("\"event\":"), 1);
}

/* Nobody waits for the attempt that was stopped: the release is not lost, and costs no step of the schedule. */
static void what_is_released_at_once_is_tried_again(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	command(CONTROL_HOLD, everything, false);
	command(CONTROL_RELEASE, everything, false);
	assert_heard("operator: end 0 1 recipient released");
	why();
	assert_int_equal(times_heard("\"event\":\"released\""), 1);
	assert_int_equal(h.n_jobs, 1);
	courier_ends(OUTCOME_LATER, 0);
	wait_for("courier: job");
	assert_int_equal(h.jobs[1].attempt, 1);
	courier_says(OUTCOME_DONE, 250);
	assert_int_equal(n_rows(), 0);
}

/* With the loop's clock ahead each time, because what could not be written is tried again a little later. */
static void wait_for_commits(unsigned more)
{
	for (unsigned until = h.commits + more; h.commits < until;) {
		h.ahead_ms += 1000;
		channel_send(h.supervisor.channel, TO_ROLE_ASK_STATUS, &(struct to_role_ask_status){ .request = 1 });
		wait_for("supervisor: status");
	}
}

/* The outcome waits for the disk when the operator holds it, and again when he has changed his mind. */
static void the_last_word_counts(void **state)
{
	(void)state;
	one_is_on_the_way();
	h.commit_fault = F_LIMIT;
	courier_ends(OUTCOME_LATER, 450);
	wait_for_commits(1);
	command(CONTROL_HOLD, everything, false);
	wait_for_commits(1);
	command(CONTROL_RELEASE, everything, false);
	assert_heard("operator: end 0 1 recipient released");
	h.commit_fault = OK;
	wait_for("courier: job");
	assert_int_equal(h.jobs[1].attempt, 2);
}

static void what_is_removed_and_arrives_is_told(void **state)
{
	(void)state;
	one_is_on_the_way();
	command(CONTROL_REMOVE, everything, false);
	assert_heard("operator: end 0 1 recipient removed; 1 of these is with the next server already: if it takes it, `sealpost why` will tell\n");
	assert_int_equal(n_rows(), 0);
	courier_says(OUTCOME_DONE, 250);
	assert_int_equal(n_rows(), 0);
	why();
	assert_int_equal(times_heard("\"event\":\"removed\""), 1);
	assert_int_equal(times_heard("\"event\":\"relayed\""), 1);
	assert_true(was_heard("\"host\":\"mx.y.example\""));
}

static void what_is_removed_and_fails_is_gone(void **state)
{
	(void)state;
	one_is_on_the_way();
	command(CONTROL_REMOVE, everything, false);
	courier_says(OUTCOME_NEVER, 550);
	assert_int_equal(n_rows(), 0); /* no notice, either */
	why();
	assert_int_equal(times_heard("\"event\":"), 1);
}

/* Its sender would hear that it was returned, and its recipient would have it. */
static void what_is_on_the_way_is_not_returned(void **state)
{
	static const char *const held[] = { "c@held.example" };
	(void)state;
	house_fill("m1", "a@x.example", held, 1, 0, 10, "x");
	house_open("route {\n to held.example hold\n to x.example hold\n otherwise direct\n}\n");
	settle_down();
	one_is_on_the_way();
	command(CONTROL_BOUNCE, everything, false);
	assert_heard("operator: end 0 1 recipient returned to the sender; 1 is being delivered at this moment, and left alone\n");
	assert_true(was_heard("\"on_the_way\":0,\"left\":1}"));
	hold();
	command(CONTROL_BOUNCE, (struct store_selector){ .id = str_of(h.last_id) }, false);
	assert_heard("operator: end 0 nothing to change");
	courier_says(OUTCOME_DONE, 250);
	struct store_rcpt r = only_row(); /* the notice of the other */
	assert_str(r.address, "a@x.example");
}

/* Others of the letter go on, and so does this one. */
static void one_of_several_is_held(void **state)
{
	static const char *const to[] = { "b@y.example", "c@y.example" };
	(void)state;
	h.silent = true;
	house_fill("m1", "a@x.example", to, 2, 0, 10, "x");
	house_open("");
	wait_for("courier: body");
	command(CONTROL_HOLD, (struct store_selector){ .to = STR("c@y.example") }, false);
	assert_false(h.jobs[0].released);
	channel_send(h.courier.channel, FROM_WORKER_OUTCOME,
	             &(struct from_worker_outcome){ .job = h.jobs[0].job, .index = 1, .class = OUTCOME_DONE, .code = 250 });
	courier_says(OUTCOME_DONE, 250);
	assert_int_equal(n_rows(), 0);
}

static void a_worker_that_dies_leaves_it_held(void **state)
{
	(void)state;
	one_is_on_the_way();
	hold();
	link_worker(&h.courier);
	settle_down();
	assert_int_equal(only_row().state, RCPT_HELD);
	assert_int_equal(h.n_jobs, 1);
}

/* Asked when an operator wants to know; whoever says nothing is not waited for. */
static void how_far_it_is_can_be_asked(void **state)
{
	static const char told[] = "\"host\":\"mx.y.example\",\"ip\":\"192.0.2.9\",\"doing\":\"thinks\\u0007\"";
	(void)state;
	one_is_on_the_way();
	why();
	assert_int_equal(times_heard("courier: where"), 1);
	assert_int_equal(times_heard("\"row\":\"queue\""), 1);
	assert_false(was_heard("\"doing\""));
	h.doing = "thinks\a";
	why();
	assert_heard("\"state\":\"leased\"");
	assert_heard(told);
	command(CONTROL_WHY, (struct store_selector){ .to = STR("B@y.example") }, false);
	assert_int_equal(times_heard(told), 2);
	command(CONTROL_WHY, (struct store_selector){ .to = STR("c@y.example") }, false);
	assert_int_equal(times_heard("courier: where"), 3);
	courier_says(OUTCOME_LATER, 450);
	why();
	assert_int_equal(times_heard("courier: where"), 3); /* it is in nobody's hands any more */
	assert_int_equal(times_heard("\"doing\""), 2);
}

static void what_is_too_long_is_cut(void **state)
{
	static char lengthy[5000];
	(void)state;
	one_is_on_the_way();
	memset(lengthy, 'x', sizeof lengthy - 1);
	h.doing = lengthy;
	why();
	assert_heard("\"doing\":\"xxx");
	lengthy[80] = '\0';
	assert_false(was_heard(lengthy));
	lengthy[79] = '\0';
	assert_heard(lengthy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPEN(what_is_held_and_arrives_is_delivered),
		OPEN(what_is_held_and_fails_stays),
		OPEN(what_is_held_before_it_has_left_is_stopped),
		OPEN(what_is_released_at_once_is_tried_again),
		OPEN(the_last_word_counts),
		OPEN(what_is_removed_and_arrives_is_told),
		OPEN(what_is_removed_and_fails_is_gone),
		PREPARED(what_is_on_the_way_is_not_returned),
		PREPARED(one_of_several_is_held),
		OPEN(a_worker_that_dies_leaves_it_held),
		OPEN(how_far_it_is_can_be_asked),
		OPEN(what_is_too_long_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
