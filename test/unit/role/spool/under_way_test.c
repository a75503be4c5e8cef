/* SPDX-License-Identifier: ISC */
/* The spool while an operator's action goes on: what it names is the action's, and nobody else's. */
#include "unit.h"

#include "role/spool/house.h"

#include <stdlib.h>

#include "role/spool/control_inside.h"

enum { LETTERS = 15, RCPTS = 100, ALL = LETTERS * RCPTS, SOON_S = 8, LEAP_S = 10 };

static const struct store_selector domain = { .domain = STR_INIT("y.example") };

/* All at one domain, and due in a while. */
static void a_long_queue(const char *conf)
{
	house_fill_many(LETTERS, RCPTS, "u@y.example", -SOON_S);
	house_open(conf);
	settle_down();
}

static void all_comes_due(void)
{
	h.ahead_ms += LEAP_S * 1000;
	h.wall_jump_s += LEAP_S;
}

static size_t rows_left(void)
{
	static struct store_rcpt r[ALL + 10];
	return rows(r, ALL + 10);
}

/* Everything comes due at its first part: none of it is tried. */
static void nothing_is_tried_that(enum control_verb verb, const char *end)
{
	a_long_queue("queue {\n history none\n}\n");
	h.at_first_act = all_comes_due;
	h.at_first_commit = all_comes_due;
	h.commits = 0;
	command(verb, domain, false);
	assert_true(was_heard(end));
	assert_false(was_heard("to u@y.example"));
}

static void nothing_is_tried_that_is_being_removed(void **state)
{
	(void)state;
	nothing_is_tried_that(CONTROL_REMOVE, "operator: end 0 1500 recipients removed");
	assert_int_equal(rows_left(), 0);
}

static void nothing_is_tried_that_is_being_held(void **state)
{
	(void)state;
	nothing_is_tried_that(CONTROL_HOLD, "operator: end 0 1500 recipients held");
	assert_int_equal(rows_left(), ALL);
}

static void nothing_is_tried_that_is_being_returned(void **state)
{
	(void)state;
	nothing_is_tried_that(CONTROL_BOUNCE, "operator: end 0 1500 recipients returned to the sender");
}

/* By any selector, not by a domain alone. */
static void nothing_is_tried_of_a_sender(void **state)
{
	(void)state;
	a_long_queue("queue {\n history none\n}\n");
	h.at_first_act = all_comes_due;
	command(CONTROL_REMOVE, (struct store_selector){ .from = STR("a@x.example") }, false);
	assert_true(was_heard("operator: end 0 1500 recipients removed"));
	assert_false(was_heard("to u@y.example"));
}

static void a_letter_comes(void)
{
	all_comes_due();
	send_letter(1, "c@x.example", "b@y.example", 0);
	send_letter(2, "c@x.example", "b@z.example", 0);
}

/* What came after the command goes its way, to that domain and to others, before the action has ended; what is being removed stays. */
static void what_comes_later_is_tried_meanwhile(void **state)
{
	(void)state;
	a_long_queue("queue {\n history none\n}\n");
	h.at_first_act = a_letter_comes;
	command_begin(CONTROL_REMOVE, domain, false);
	wait_for("courier: job c@x.example to b@");
	wait_for("courier: job c@x.example to b@");
	assert_false(was_heard("operator: end"));
	wait_for("operator: end 0 1500 recipients removed");
	settle_down();
	assert_false(was_heard("to u@y.example"));
	assert_int_equal(rows_left(), 0);
	assert_int_equal(h.n_jobs, 2);
}

static void it_has_come(void)
{
	say_finish(1, 1);
}

/* It was coming in when the command came: its number is lower than that of what came later. */
static void what_was_coming_in_is_not_meant(void **state)
{
	(void)state;
	a_long_queue("route {\n to y.example hold\n otherwise direct\n}\n");
	say_begin(1, "c@x.example");
	say_rcpt(1, "b@y.example", 0);
	say_chunk(1, "x");
	wait_for("front: begun 1");
	h.at_first_act = it_has_come;
	h.numbers_early = true;
	command(CONTROL_REMOVE, domain, false);
	assert_true(was_heard("operator: end 0 1500 recipients removed"));
	assert_true(was_heard("front: stored 1"));
	assert_int_equal(rows_left(), 1);
	command(CONTROL_REMOVE, domain, false);
	assert_true(was_heard("operator: end 0 1 recipient removed"));
}

static void it_is_stopped(void)
{
	all_comes_due();
	channel_send(h.operator.channel, CONTROL_REQUEST, &(struct control_request){ .verb = CONTROL_STOP });
}

static void it_is_left(void)
{
	all_comes_due();
	channel_close(&h.operator.channel);
}

/* All that is left is tried then. */
static void what_is_left_goes_on(void (*at_first_act)(void))
{
	h.answer.class = OUTCOME_LATER;
	h.answer.code = 450;
	a_long_queue("queue {\n history none\n retry 1d\n}\n");
	h.at_first_act = at_first_act;
	command_begin(CONTROL_REMOVE, domain, false);
	wait_for("courier: job a@x.example to u@y.example and 99 more");
	settle_down();
	size_t left = rows_left();
	assert_in_range(left, 1, ALL - ACT_LEAST);
	static struct store_rcpt r[ALL];
	assert_int_equal(rows(r, ALL), left);
	size_t tried = 0;
	for (size_t i = 0; i < left; i++) {
		assert_int_equal(r[i].state, RCPT_QUEUED);
		tried += r[i].attempts > 0;
	}
	assert_true(tried > 0);
}

static void what_was_stopped_leaves_things_as_they_were(void **state)
{
	(void)state;
	what_is_left_goes_on(it_is_stopped);
	assert_true(was_heard("operator: end 130 stopped: "));
}

static void what_was_left_alone_leaves_things_as_they_were(void **state)
{
	(void)state;
	what_is_left_goes_on(it_is_left);
}

/* What is in hand is stopped first, whatever its place in the queue. */
static void what_is_in_hand_is_stopped_first(void **state)
{
	(void)state;
	a_long_queue("queue {\n history none\n}\n");
	h.hands_off = true;
	send_letter(1, "c@x.example", "b@y.example", 0);
	send_letter(2, "c@x.example", "b@z.example", 0);
	wait_for("courier: job");
	wait_for("courier: job");
	command_begin(CONTROL_REMOVE, domain, false);
	wait_for("courier: release");
	assert_true(rows_left() > 1); /* it was not the last */
	wait_for("operator: end 0 1501 recipients removed");
	assert_int_equal(rows_left(), 1);
}

/* What is held when its delivery ends was not returned to its sender: that is told. */
static void what_is_in_hand_and_held_is_not_returned(void **state)
{
	(void)state;
	house_open("");
	h.hands_off = true;
	send_letter(1, "c@x.example", "b@y.example", 0);
	wait_for("courier: job");
	command(CONTROL_HOLD, domain, false);
	assert_true(was_heard("\"action\":\"hold\",\"recipients\":1,"));
	command(CONTROL_BOUNCE, domain, false);
	assert_true(was_heard("{\"action\":\"bounce\",\"recipients\":0,\"complete\":true,\"on_the_way\":0,\"left\":1}"));
	command(CONTROL_HOLD, domain, false);
	assert_true(was_heard("{\"action\":\"hold\",\"recipients\":0,\"complete\":true,\"on_the_way\":0,\"left\":0}"));
}

/* Its worker was away: by then it would have had it. */
static void what_no_worker_has_yet_is_not_given_to_one(void **state)
{
	(void)state;
	channel_close(&h.courier.channel);
	send_letter(1, "c@x.example", "b@y.example", 0);
	send_letter(2, "c@x.example", "b@z.example", 0);
	wait_for("front: stored 2");
	command(CONTROL_BOUNCE, domain, false);
	assert_true(was_heard("operator: end 0 1 recipient returned to the sender"));
	link_worker(&h.courier);
	wait_for("courier: job c@x.example to b@z.example");
	settle_down();
	assert_false(was_heard("to b@y.example"));
}

/* Where it went has another way now, and what no worker had yet goes back: to the action, not to the new way. */
static void it_is_reloaded(void)
{
	all_comes_due();
	house_send_conf("queue {\n history none\n}\nroute {\n to y.example refuse \"gone\"\n otherwise direct\n}\n");
}

static void a_reload_does_not_end_it(void **state)
{
	static const enum control_verb verbs[] = { CONTROL_HOLD, CONTROL_REMOVE, CONTROL_BOUNCE };
	(void)state;
	for (size_t i = 0; i < COUNT(verbs); i++) {
		if (i > 0)
			house_close();
		if (i > 0)
			house_prepare();
		a_long_queue("queue {\n history none\n}\n");
		h.hands_off = true;
		send_letter(1, "c@x.example", "u@y.example", 0); /* it has a worker */
		wait_for("courier: job");
		channel_close(&h.courier.channel);
		send_letter(2, "c@x.example", "u@y.example", 0); /* it has none */
		wait_for("front: stored 2");
		h.at_first_act = h.at_first_commit = it_is_reloaded;
		h.acts = h.commits = 0;
		command(verbs[i], domain, false);
		assert_int_equal(times_heard("supervisor: ready"), 2); /* by then */
		static struct store_rcpt r[ALL + 10];
		size_t n = rows(r, ALL + 10), queued = 0;
		for (size_t k = 0; k < n; k++)
			queued += r[k].state == RCPT_QUEUED && has(r[k].address, "@y.example");
		assert_int_equal(queued, 0);
		assert_false(was_heard("refused"));
		assert_int_equal(h.n_jobs, 1);
		assert_true(was_heard("operator: end 0 1502 recipients "));
	}
}

static struct channel *first;

static void another_comes(void)
{
	all_comes_due();
	first = h.operator.channel;
	h.operator.channel = NULL;
	command_begin(CONTROL_REMOVE, domain, false);
}

static unsigned long removed_by_all(void)
{
	struct str heard = buf_view(&h.heard);
	unsigned long n = 0;
	size_t at;
	while (str_find_str(heard, STR("operator: end 0 "), &at)) {
		heard = str_from(heard, at + strlen("operator: end 0 "));
		n += strtoul(heard.p, NULL, 10);
	}
	return n;
}

/* Each is removed once, and counted once. */
static void two_remove_the_same(void **state)
{
	(void)state;
	a_long_queue("queue {\n history none\n}\n");
	h.at_first_act = another_comes;
	command_begin(CONTROL_REMOVE, domain, false);
	wait_for("operator: end 0");
	wait_for("operator: end 0");
	settle_down();
	assert_int_equal(removed_by_all(), ALL);
	assert_int_equal(rows_left(), 0);
	assert_false(was_heard("to u@y.example"));
	channel_close(&first);
}

/* What the first one has taken is gone by the time that it comes to it. */
static void one_returns_what_another_removes(void **state)
{
	(void)state;
	a_long_queue("queue {\n history none\n}\n");
	h.commits = 0;
	h.at_first_commit = another_comes;
	command_begin(CONTROL_BOUNCE, domain, false);
	wait_for("operator: end 0");
	wait_for("operator: end 0");
	assert_int_equal(removed_by_all(), ALL);
	assert_false(was_heard("to u@y.example"));
	channel_close(&first);
}

static enum control_verb second;
static struct store_selector second_names;

/* In the middle of the first command. */
static void the_opposite_comes(void)
{
	first = h.operator.channel;
	h.operator.channel = NULL;
	command_begin(second, second_names, false);
}

static size_t rows_that_are(enum rcpt_state state)
{
	static struct store_rcpt r[ALL + 10];
	size_t n = rows(r, ALL + 10), are = 0;
	for (size_t i = 0; i < n; i++)
		are += r[i].state == state;
	return are;
}

/* Of all, and of this in the middle: what the later command says holds, whatever the earlier one was still to come to. */
static void the_later_of_two_holds(enum control_verb earlier, enum control_verb later, struct store_selector names, const char *end)
{
	h.answer.class = OUTCOME_LATER;
	h.answer.code = 450;
	a_long_queue("queue {\n history none\n retry 1d\n}\n");
	if (earlier == CONTROL_RELEASE)
		command(CONTROL_HOLD, domain, false);
	h.acts = 0;
	second = later;
	second_names = names;
	h.at_first_act = the_opposite_comes;
	command_begin(earlier, domain, false);
	wait_for("operator: end 0 1500 recipients ");
	wait_for(end);
	settle_down();
	channel_close(&first);
}

static void a_release_holds_after_a_hold(void **state)
{
	static const struct store_selector others[] = { { .domain = STR_INIT("Y.example") }, { .from = STR_INIT("a@x.example") } };
	(void)state;
	for (size_t i = 0; i < COUNT(others); i++) {
		if (i > 0)
			house_prepare();
		the_later_of_two_holds(CONTROL_HOLD, CONTROL_RELEASE, others[i], "operator: end 0 1500 recipients released");
		assert_int_equal(rows_that_are(RCPT_QUEUED), ALL);
		if (i == 0)
			house_close();
	}
}

static void a_hold_holds_after_a_release(void **state)
{
	(void)state;
	the_later_of_two_holds(CONTROL_RELEASE, CONTROL_HOLD, (struct store_selector){ .id = STR("m14") }, "operator: end 0 100 recipients held");
	assert_int_equal(rows_that_are(RCPT_HELD), RCPTS);
}

/* They have nothing in common, and say so: the short one is not kept waiting. */
static void what_is_apart_does_not_wait(void **state)
{
	static const char *const to[] = { "b@z.example" };
	(void)state;
	house_fill("held", "c@x.example", to, 1, 0, -SOON_S, "x");
	a_long_queue("queue {\n history none\n}\n");
	command(CONTROL_HOLD, (struct store_selector){ .domain = STR("z.example") }, false);
	h.acts = 0;
	second = CONTROL_RELEASE;
	second_names = (struct store_selector){ .id = STR("held"), .domain = STR("z.example") };
	h.at_first_act = the_opposite_comes;
	command_begin(CONTROL_HOLD, domain, false);
	wait_for("operator: end 0 1 recipient released");
	wait_for("operator: end 0 1500 recipients held");
	channel_close(&first);
}

static void somebody_looks(void)
{
	all_comes_due();
	first = h.operator.channel;
	h.operator.channel = NULL;
	command_begin(CONTROL_LIST, (struct store_selector){ .id = STR("m14") }, false);
}

static void the_list_tells_what_it_waits_for(void **state)
{
	(void)state;
	a_long_queue("queue {\n history none\n}\n");
	h.at_first_act = somebody_looks;
	command_begin(CONTROL_REMOVE, domain, false);
	wait_for("operator: end 0 1500 recipients removed");
	settle_down(); /* the two come by ways of their own */
	assert_true(was_heard("\"waits_for\":\"its turn to be removed: an operator's command is under way\""));
	channel_close(&first);
}

static void expect_part(struct control_session *c, size_t part, bool rests)
{
	action_choose_part(c);
	assert_int_equal(c->action.part, part);
	assert_int_equal(control_act_rest_ms(c) > 0, rests);
}

/* As soon as anybody else wants something the parts are small, and there is a rest behind each. */
static void parts_grow_while_nobody_else_wants_anything(void **state)
{
	(void)state;
	struct spool s = { .stirs = 7 };
	struct control_session c = { .spool = &s, .verb = CONTROL_REMOVE };
	expect_part(&c, ACT_LEAST, true);
	for (size_t part = 2 * ACT_LEAST; part < ACT_MOST; part *= 2)
		expect_part(&c, part, false);
	expect_part(&c, ACT_MOST, false);
	expect_part(&c, ACT_MOST, false);
	s.stirs++;
	expect_part(&c, ACT_LEAST, true);
	expect_part(&c, 2 * ACT_LEAST, false);
	c = (struct control_session){ .spool = &s, .verb = CONTROL_BOUNCE };
	expect_part(&c, ACT_LEAST, true);
	expect_part(&c, ACT_LEAST, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_grow_while_nobody_else_wants_anything),
		PREPARED(nothing_is_tried_that_is_being_removed),
		PREPARED(nothing_is_tried_that_is_being_held),
		PREPARED(nothing_is_tried_that_is_being_returned),
		PREPARED(nothing_is_tried_of_a_sender),
		PREPARED(what_comes_later_is_tried_meanwhile),
		PREPARED(what_was_coming_in_is_not_meant),
		PREPARED(what_was_stopped_leaves_things_as_they_were),
		PREPARED(what_was_left_alone_leaves_things_as_they_were),
		PREPARED(what_is_in_hand_is_stopped_first),
		PREPARED(what_is_in_hand_and_held_is_not_returned),
		OPEN(what_no_worker_has_yet_is_not_given_to_one),
		PREPARED(two_remove_the_same),
		PREPARED(one_returns_what_another_removes),
		PREPARED(a_release_holds_after_a_hold),
		PREPARED(a_hold_holds_after_a_release),
		PREPARED(what_is_apart_does_not_wait),
		PREPARED(a_reload_does_not_end_it),
		PREPARED(the_list_tells_what_it_waits_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
