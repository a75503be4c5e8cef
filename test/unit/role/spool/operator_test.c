/* SPDX-License-Identifier: ISC */
/* The spool and the operator: listing, acting, asking. */
#include "unit.h"

#include "role/spool/house.h"

#include <stdio.h>

#include "role/spool/control_inside.h"

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
	assert_true(was_heard("\"last_reply\":\"450 4.2.1 Mail\\\"box? busy\",\"size\":24,\"waits_for\":\"\",\"then_held\":false}"));
	assert_true(was_heard("operator: end 0"));
	command(CONTROL_LIST, (struct store_selector){ .domain = STR("z.example") }, false);
	assert_true(was_heard("operator: end 1 nothing in the queue matches"));
	command(CONTROL_SHOW, everything, false);
	assert_true(was_heard("operator: end 2 which message?"));
	static const char *const no_ids[] = { "1m7y2dsmfp8new", "1m7y2dsmfp8newkk", "1m7y2dsmfp8newl", "1M7Y2DSMFP8NEWK" };
	for (size_t i = 0; i < COUNT(no_ids); i++) {
		char said[80];
		snprintf(said, sizeof said, "operator: end 1 \"%s\" is no ID: ", no_ids[i]);
		command(i % 2 == 0 ? CONTROL_SHOW : CONTROL_LIST, (struct store_selector){ .id = str_of(no_ids[i]) }, false);
		assert_true(was_heard(said));
	}
	command(CONTROL_SHOW, (struct store_selector){ .id = STR("1m7y2dsmfp8newk") }, false);
	assert_true(was_heard("operator: end 1 1m7y2dsmfp8newk is not in the queue: `sealpost why 1m7y2dsmfp8newk` tells what became of it\n"));
	command(CONTROL_RETRY, (struct store_selector){ .id = STR("1m7y2dsmfp8newk"), .user = STR("jada") }, false);
	assert_int_equal(times_heard("operator: end 1 nothing in the queue matches"), 2);
	command(CONTROL_SHOW, (struct store_selector){ .id = str_of(h.last_id) }, true);
	assert_true(was_heard("\"destination\":\"mx:y.example\""));
	assert_true(was_heard("operator: body Subject: hello\r\n\r\nbody\r\n"));
	h.ahead_ms += 60 * 1000;
	static const int64_t ages_s[] = { 3600, (int64_t)INT32_MAX + 1, (int64_t)UINT32_MAX + 1, INT64_MAX };
	for (size_t i = 0; i < COUNT(ages_s); i++) {
		size_t before = times_heard("operator: end 1 nothing in the queue matches");
		command(CONTROL_LIST, (struct store_selector){ .arrived_before_s = ages_s[i] }, false);
		assert_int_equal(times_heard("operator: end 1 nothing in the queue matches"), before + 1);
	}
}

/* What courier and resolver have learned, and nothing that is the spool's own; in slices, none twice, none left out. */
static void what_is_remembered_is_told(void **state)
{
	(void)state;
	struct store *s = h.store;
	char key[32];
	settle_down(); /* the workers are linked, and have been told what was known then */
	assert_ok(store_memory.remember(s, STR("shape/old.example"), STR("1"), INT64_MAX));
	assert_ok(store_memory.remember(s, STR("shape/past.example"), STR("1"), 1));
	assert_ok(store_memory.remember(s, STR("mta-sts/a.example"), STR("secret or not"), INT64_MAX));
	assert_ok(store_memory.remember(s, STR("spool:other"), STR("x"), INT64_MAX));
	for (int i = 0; i < 250; i++) {
		snprintf(key, sizeof key, "seen/d%03d.example", i);
		assert_ok(store_memory.remember(s, str_of(key), STR("dane 5 6"), INT64_MAX));
	}
	command(CONTROL_RECALL, everything, false);
	assert_true(was_heard("{\"what\":\"shape\",\"name\":\"old.example\",\"value\":\"1\",\"until\":"));
	assert_true(was_heard("{\"what\":\"mta-sts\",\"name\":\"a.example\",\"until\":"));
	assert_false(was_heard("past.example"));
	assert_false(was_heard("secret or not"));
	assert_false(was_heard("spool:"));
	for (int i = 0; i < 250; i++) {
		snprintf(key, sizeof key, "\"d%03d.example\"", i);
		assert_int_equal(times_heard(key), 1);
	}
	command(CONTROL_RECALL, (struct store_selector){ .id = STR("shape/") }, false);
	assert_int_equal(times_heard("old.example"), 2);
	assert_int_equal(times_heard("a.example"), 1);
	command(CONTROL_RECALL, (struct store_selector){ .id = STR("spool:") }, false);
	assert_true(was_heard("operator: end 2 this server remembers nothing of that kind"));
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
	assert_int_equal(times_heard("operator: row"), 1500);
}

static void send_one(void)
{
	send_letter(1, "a@x.example", "b@held.example", 0);
}

/* Letters to so many recipients each, all at one address. */
static void fill(unsigned letters, const char *address, size_t n)
{
	static const char *to[150];
	char id[16];
	assert_true(n <= COUNT(to));
	for (size_t i = 0; i < n; i++)
		to[i] = address;
	for (unsigned i = 0; i < letters; i++) {
		snprintf(id, sizeof id, "m%02u", i);
		house_fill(id, "a@x.example", to, n, 0, 10, "x");
	}
}

static void fill_1500(void)
{
	fill(10, "u@held.example", 150);
	house_open("route {\n to held.example hold\n otherwise direct\n}\n");
	settle_down();
}

/* In parts: what comes in meanwhile is taken before the action has ended. */
static void a_long_action_lets_mail_in(void **state)
{
	(void)state;
	fill_1500();
	h.hands_off = true;
	h.at_first_act = send_one;
	command_begin(CONTROL_REMOVE, (struct store_selector){ .domain = STR("held.example") }, false);
	wait_for("front: stored 1");
	assert_false(was_heard("operator: end"));
	wait_for("operator: end 0 1500 recipients removed");
	struct store_rcpt r[2];
	assert_int_equal(rows(r, 2), 1); /* it came later than the command */
}

static void let_time_pass(void)
{
	h.ahead_ms += 3000; /* more than lies between two words of progress */
}

static void say_stop(void)
{
	let_time_pass();
	channel_send(h.operator.channel, CONTROL_REQUEST, &(struct control_request){ .verb = CONTROL_STOP });
}

/* It ends where it is, and says where that is. */
static void a_long_action_can_be_stopped(void **state)
{
	(void)state;
	fill_1500();
	h.at_first_act = say_stop;
	command(CONTROL_REMOVE, (struct store_selector){ .domain = STR("held.example") }, false);
	static struct store_rcpt r[1501];
	char said[160];
	size_t left = rows(r, 1501);
	assert_in_range(left, 900, 1300);
	snprintf(said, sizeof said, "operator: row {\"action\":\"remove\",\"recipients\":%zu,\"complete\":false,\"on_the_way\":0,\"left\":0,"
	                            "\"to_go\":%zu}\n", 1500 - left, left);
	assert_true(was_heard(said));
	snprintf(said, sizeof said, "operator: end 130 stopped: %zu recipients removed, the other %zu left as they are\n", 1500 - left, left);
	assert_true(was_heard(said));
	command(CONTROL_STOP, everything, false);
	assert_true(was_heard("operator: end 2 there is nothing to stop"));
}

static void say_drain(void)
{
	let_time_pass();
	channel_send(h.supervisor.channel, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 10000 });
}

/* So does the end of the server, and whoever is cut off by another end has heard of what was done a moment ago. */
static void a_stop_of_the_server_ends_a_long_action(void **state)
{
	(void)state;
	fill_1500();
	h.at_first_act = say_drain;
	command(CONTROL_REMOVE, (struct store_selector){ .domain = STR("held.example") }, false);
	static struct store_rcpt r[1501];
	char said[160];
	size_t left = rows(r, 1501);
	assert_in_range(left, 900, 1300);
	assert_true(was_heard("operator: row {\"so_far\":200}\n"));
	snprintf(said, sizeof said, "operator: row {\"action\":\"remove\",\"recipients\":%zu,\"complete\":false,", 1500 - left);
	assert_true(was_heard(said));
	snprintf(said, sizeof said, "operator: end 69 the server is stopping: %zu recipients removed, the others are as they were", 1500 - left);
	assert_true(was_heard(said));
	command(CONTROL_REMOVE, (struct store_selector){ .domain = STR("held.example") }, false);
	assert_true(was_heard("operator: end 69 the server is stopping: nothing was changed"));
	assert_int_equal(rows(r, 1501), left);
}

static void a_long_action_tells_how_far_it_is(void **state)
{
	(void)state;
	fill_1500();
	h.at_first_act = let_time_pass;
	command(CONTROL_HOLD, (struct store_selector){ .domain = STR("held.example") }, false);
	assert_true(was_heard("operator: row {\"action\":\"hold\",\"recipients\":0,\"complete\":true,\"on_the_way\":0,\"left\":0}\n"));
	h.acts = 0;
	h.at_first_act = let_time_pass;
	command(CONTROL_RELEASE, (struct store_selector){ .domain = STR("held.example") }, false);
	assert_true(was_heard("operator: row {\"progress\":true,\"recipients\":200,\"to_go\":1300}\n"));
	assert_int_equal(times_heard("\"progress\":true"), 2); /* one each, for so much time has passed once each */
	assert_true(was_heard("operator: row {\"action\":\"release\",\"recipients\":1500,\"complete\":true,\"on_the_way\":0,\"left\":0}\n"));
	command(CONTROL_REMOVE, (struct store_selector){ .id = STR("none") }, false);
	assert_true(was_heard("operator: row {\"action\":\"remove\",\"recipients\":0,\"complete\":true,\"on_the_way\":0,\"left\":0}\n"));
	assert_true(was_heard("operator: end 1 \"none\" is no ID: those have 15 letters and digits, as `sealpost queue list`"));
}

static void send_two(void)
{
	send_letter(2, "a@x.example", "b@y.example", 0);
}

/* A route that holds all of a long queue decides at once, turn after turn: what comes in meanwhile is taken before the end of that. */
static void a_queue_that_is_held_lets_mail_in(void **state)
{
	(void)state;
	house_fill_many(30, 150, "u@held.example", -100); /* due later */
	h.hands_off = true;
	house_open("route {\n to held.example hold\n otherwise direct\n}\n");
	settle_down();
	h.commits = 0;
	h.at_first_commit = send_two;
	h.ahead_ms = 200 * 1000;
	wait_for("front: stored 2");
	assert_in_range(h.commits, 2, 4 * SPOOL_TURNS_AT_ONCE); /* before and after timers, then descriptors, in libuv's order; 23 in all */
}

/* Of a destination that goes on failing meanwhile: all are due, and counted, once, and one is tried. */
static void a_long_retry_tries_one(void **state)
{
	(void)state;
	fill(20, "u@y.example", 100);
	answer(OUTCOME_LATER, 0, "4.4.1", "Cannot connect to mx.y.example: Connection refused");
	house_open("");
	settle_down();
	size_t before = h.n_jobs;
	assert_true(before > 0);
	h.tells_twice = true;
	command(CONTROL_RETRY, (struct store_selector){ .domain = STR("y.example") }, false);
	settle_down();
	assert_true(was_heard("operator: end 0 2000 recipients due now"));
	assert_int_equal(h.n_jobs, before + 1);
}

/* The list has been read; the place is wanted by others. */
static void an_operator_who_stays_is_hung_up_on(void **state)
{
	enum { A_WHILE_MS = 5000 };
	(void)state;
	command(CONTROL_LIST, everything, false);
	h.ahead_ms += CONTROL_STALL_MS - A_WHILE_MS;
	settle_down();
	assert_non_null(h.operator.channel);
	h.ahead_ms += A_WHILE_MS;
	wait_for("operator: closed");
}

/* All places are taken by such as have their answer and stay. */
static void who_reads_nothing_gives_way(void **state)
{
	(void)state;
	static const char refused[] = "operator: end 69 the server is answering as many commands as it does at a time";
	struct channel *readers[CONTROL_SESSIONS_MAX];
	for (size_t i = 0; i < COUNT(readers); i++) {
		command_begin(CONTROL_LIST, everything, false);
		channel_pause(h.operator.channel, true);
		readers[i] = h.operator.channel;
		h.operator.channel = NULL;
		settle_down();
	}
	command(CONTROL_LIST, everything, false);
	assert_true(was_heard(refused));
	h.ahead_ms += CONTROL_GIVES_WAY_MS - 1000;
	buf_clear(&h.heard);
	h.passed = 0;
	command(CONTROL_LIST, everything, false);
	assert_true(was_heard(refused));
	h.ahead_ms += 1000;
	command(CONTROL_LIST, everything, false);
	assert_true(was_heard("operator: end 1 the queue is empty"));
	settle_down();
	/* It was the first one, and nobody else. */
	channel_close(&h.operator.channel);
	h.operator.channel = readers[0];
	channel_pause(readers[0], false);
	wait_for("operator: closed");
	for (size_t i = 1; i < COUNT(readers); i++) {
		buf_clear(&h.heard);
		h.passed = 0;
		h.operator.channel = readers[i];
		channel_pause(readers[i], false);
		wait_for("operator: end");
		settle_down();
		assert_false(was_heard("operator: closed"));
		channel_close(&h.operator.channel);
	}
}

static void expect_made_due(struct store_selector which, unsigned n)
{
	char end[80];
	(void)snprintf(end, sizeof end, "operator: end 0 %u recipients due now", n);
	command(CONTROL_RETRY, which, false);
	assert_true(was_heard(end));
}

/* A list by domain may tell of one twice who is tried meanwhile; other lists do not. */
static void so_many_are_counted_once(void **state)
{
	(void)state;
	house_open("queue {\n history none\n}\n");
	h.made_up = RETRY_NOTED_MAX;
	expect_made_due((struct store_selector){ .domain = STR("y.example") }, RETRY_NOTED_MAX);
	h.made_up = RETRY_NOTED_MAX + 1;
	expect_made_due((struct store_selector){ .domain = STR("y.example") }, RETRY_NOTED_MAX + 2);
	h.made_up = 1;
	expect_made_due(everything, 2);
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

/* Also what the operator held himself, and what a route would hold that is newer than the letter. */
static void what_is_released_goes_past_the_routes_that_hold(void **state)
{
	(void)state;
	house_open("");
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job a@x.example to b@y.example");
	command(CONTROL_HOLD, everything, false);
	assert_true(was_heard("operator: end 0 1 recipient held"));
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = h.jobs[0].job });
	house_configure("route {\n otherwise hold\n}\n");
	h.hands_off = false;
	size_t before = buf_view(&h.heard).n;
	command(CONTROL_RELEASE, everything, false);
	h.passed = before;
	wait_for("courier: job a@x.example to b@y.example");
	wait_for("courier: body 24 whole");
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPEN(the_operator_lists),
		OPEN(what_is_remembered_is_told),
		PREPARED(a_long_list_comes_whole),
		PREPARED(a_long_action_lets_mail_in),
		PREPARED(a_long_action_can_be_stopped),
		PREPARED(a_long_action_tells_how_far_it_is),
		PREPARED(a_stop_of_the_server_ends_a_long_action),
		PREPARED(a_queue_that_is_held_lets_mail_in),
		PREPARED(a_long_retry_tries_one),
		OPEN(an_operator_who_stays_is_hung_up_on),
		OPEN(who_reads_nothing_gives_way),
		PREPARED(so_many_are_counted_once),
		OPEN(the_operator_acts),
		PREPARED(what_is_released_goes_past_the_routes_that_hold),
		OPEN(removing_stops_the_worker),
		OPEN(status_and_reload_ask_the_supervisor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
