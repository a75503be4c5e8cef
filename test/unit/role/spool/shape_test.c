/* SPDX-License-Identifier: ISC */
/* Destinations and their pace: who is given how much, who waits, and what is said of it. */
#include "unit.h"

#include "role/spool/house.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "role/spool/spool.h"
#include "sys/clock.h"

static void done(size_t job, enum outcome_class class, unsigned code, const char *status, const char *text)
{
	channel_send(h.courier.channel, FROM_WORKER_OUTCOME,
	             &(struct from_worker_outcome){ .job = h.jobs[job].job, .class = class, .code = code, .status = str_of(status),
	                                            .text = str_of(text) });
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = h.jobs[job].job });
}

static void is_dead(size_t job)
{
	done(job, OUTCOME_LATER, 0, "4.4.1", "Cannot connect to mx.y.example: Connection refused");
}

static void is_taken(size_t job)
{
	done(job, OUTCOME_DONE, 250, "2.0.0", "taken");
}

static void letters(unsigned from, unsigned to, const char *rcpt)
{
	char stored[40];
	for (unsigned i = from; i <= to; i++)
		send_letter(i, "a@x.example", rcpt, 0);
	snprintf(stored, sizeof stored, "front: stored %u", to);
	wait_for(stored);
}

/* The turn of the letter to z comes after all that could be given to y. */
static size_t given_to_y(unsigned number)
{
	char rcpt[40], job[80];
	snprintf(rcpt, sizeof rcpt, "b%u@z.example", number);
	snprintf(job, sizeof job, "to %s", rcpt);
	letters(number, number, rcpt);
	if (!was_heard(job))
		wait_for(job);
	size_t n = 0;
	for (size_t i = 0; i < h.n_jobs; i++)
		n += strcmp(h.jobs[i].domain, "y.example") == 0;
	is_taken(h.n_jobs - 1);
	return n;
}

static void it_begins_with_few_and_grows(void **state)
{
	(void)state;
	h.hands_off = true;
	letters(1, 30, "b@y.example");
	assert_int_equal(given_to_y(100), PACE_BEGINS_WITH);
	is_taken(0);
	wait_for("courier: job a@x.example to b@y.example");
	wait_for("courier: job a@x.example to b@y.example"); /* its own place, and one more */
	assert_int_equal(given_to_y(101), PACE_BEGINS_WITH + 2);
}

static void a_shape_is_a_ceiling(void **state)
{
	(void)state;
	h.hands_off = true;
	house_open("shape *.example {\n concurrency 9\n}\nshape y.example {\n concurrency 2\n}\n");
	letters(1, 10, "b@y.example");
	assert_int_equal(given_to_y(100), 2);
	/* A new configuration holds at once. */
	house_configure("shape y.example {\n concurrency 4\n}\n");
	wait_for("courier: job a@x.example to b@y.example");
	wait_for("courier: job a@x.example to b@y.example");
	assert_int_equal(given_to_y(101), 4);
}

static void a_rate_is_kept(void **state)
{
	(void)state;
	house_open("shape y.example {\n rate 3/1h\n}\n");
	answer(OUTCOME_DONE, 250, "2.0.0", "taken");
	letters(1, 8, "b@y.example");
	for (int i = 0; i < 3; i++)
		wait_for("courier: job a@x.example to b@y.example");
	letters(100, 100, "b@z.example");
	settle_down();
	assert_int_equal(h.n_jobs, 4);
	struct store_rcpt r[8];
	assert_int_equal(rows(r, 8), 5);
	assert_int_equal(r[0].attempts, 0);
}

static void a_dead_destination_is_tried_by_one(void **state)
{
	(void)state;
	h.hands_off = true;
	letters(1, 20, "b@y.example");
	assert_int_equal(given_to_y(100), PACE_BEGINS_WITH);
	for (size_t i = 0; i < PACE_BEGINS_WITH; i++)
		is_dead(i);
	assert_int_equal(given_to_y(101), PACE_BEGINS_WITH); /* nothing more, for a while */
	h.ahead_ms += PACE_REST_MS * 12 / 10 + 1000;
	wait_for("courier: job a@x.example to b@y.example");
	assert_int_equal(given_to_y(102), PACE_BEGINS_WITH + 1);
	/* The others were not tried, and no attempt of theirs is counted. */
	struct store_rcpt r[32];
	size_t n = rows(r, 32), untried = 0;
	for (size_t i = 0; i < n; i++)
		untried += r[i].attempts == 0 && str_eq(r[i].address, STR("b@y.example"));
	assert_int_equal(untried, 20 - PACE_BEGINS_WITH);
	/* It answers: what waits goes out at once. */
	is_taken(h.n_jobs - 2);
	for (int i = 0; i < PACE_BEGINS_WITH + 1; i++)
		wait_for("courier: job a@x.example to b@y.example");
}

/* It comes to its destination again, which takes nothing yet: no attempt, so what the last one said stays. */
static void what_is_released_keeps_its_last_words(void **state)
{
	(void)state;
	h.hands_off = true;
	letters(1, 1, "b@y.example");
	wait_for("courier: job a@x.example to b@y.example");
	is_dead(0);
	settle_down();
	command(CONTROL_HOLD, everything, false);
	assert_true(was_heard("operator: end 0 1 recipient held"));
	command(CONTROL_RELEASE, everything, false);
	settle_down();
	struct store_rcpt r = only_row();
	assert_int_equal(r.state, RCPT_QUEUED);
	assert_int_equal(r.attempts, 1);
	assert_str(r.key, "mx:y.example");
	assert_str(r.last_reply, "4.4.1 Cannot connect to mx.y.example: Connection refused");
	assert_int_equal(h.n_jobs, 1);
}

static size_t rows_of(const char *key)
{
	struct store_rcpt r[600];
	size_t n = 0;
	for (size_t i = rows(r, COUNT(r)); i-- > 0;)
		n += str_eq(r[i].key, str_of(key));
	return n;
}

/* Many at once, whatever one destination may have: each waits for its own, and for no other. */
static void what_is_released_comes_to_its_destination_at_once(void **state)
{
	(void)state;
	h.hands_off = true;
	letters(1, 1, "b@y.example");
	wait_for("courier: job a@x.example to b@y.example");
	is_dead(0);
	letters(2, 130, "b@y.example");
	letters(131, 190, "b@z.example");
	command(CONTROL_HOLD, everything, false);
	for (size_t i = 1; i < h.n_jobs; i++)
		is_taken(i);
	settle_down();
	size_t of_z = rows_of("mx:z.example");
	assert_int_equal(rows_of("mx:y.example"), 130);
	assert_in_range(of_z, 21, 60);
	size_t before = h.n_jobs;
	h.hands_off = false;
	answer(OUTCOME_DONE, 250, "2.0.0", "taken");
	command(CONTROL_RELEASE, everything, false);
	settle_down();
	assert_int_equal(rows_of(STORE_RELEASED), 0);
	assert_int_equal(rows_of("mx:y.example"), 130); /* it rests */
	assert_int_equal(rows_of("mx:z.example"), 0);
	assert_int_equal(h.n_jobs - before, of_z);
}

static void an_operator_need_not_wait(void **state)
{
	(void)state;
	h.hands_off = true;
	letters(1, 3, "b@y.example");
	assert_int_equal(given_to_y(100), 3);
	for (size_t i = 0; i < 3; i++)
		is_dead(i);
	letters(4, 6, "b@y.example");
	assert_int_equal(given_to_y(101), 3);
	command(CONTROL_RETRY, everything, false);
	wait_for("courier: job a@x.example to b@y.example");
	assert_int_equal(given_to_y(102), 4);
}

/* What is listed of the letters to it tells why they are not on their way. */
static bool listed(const char *rcpt, const char *waits_for)
{
	char row[600];
	buf_clear(&h.heard);
	h.passed = 0;
	command(CONTROL_LIST, (struct store_selector){ .to = str_of(rcpt) }, false);
	(void)snprintf(row, sizeof row, "\"waits_for\":\"%s", waits_for);
	return was_heard(row);
}

static void what_a_letter_waits_for_is_told(void **state)
{
	(void)state;
	h.hands_off = true;
	house_open("shape y.example {\n concurrency 2\n}\nshape v.example {\n concurrency 1\n}\nshape w.example {\n rate 1/1h\n}\n");
	letters(1, 2, "b@y.example");
	letters(3, 3, "c@y.example");
	letters(4, 4, "b@v.example");
	letters(5, 5, "c@v.example");
	letters(6, 6, "b@w.example");
	letters(7, 7, "c@w.example");
	assert_int_equal(given_to_y(100), 2);
	assert_true(listed("c@y.example", "its destination: all 2 sessions that it gets now are in use\""));
	assert_true(listed("b@y.example", "\"")); /* on its way */
	assert_true(listed("c@v.example", "its destination: the one session that it gets now is in use\""));
	assert_true(listed("c@w.example", "its destination: its rate of 1/1h is used up for another 3"));
	assert_true(was_heard("\"state\":\"queued\",\"attempts\":0"));
	is_dead(0);
	is_dead(1);
	assert_int_equal(given_to_y(101), 2);
	assert_true(listed("c@y.example", "its destination: 4.4.1 Cannot connect to mx.y.example: Connection refused; it rests for 1"));
	assert_true(listed("b@y.example", "\"")); /* that has been tried waits longer than it rests */
}

/* The value of the next such key in what was heard. */
static struct str value_of(const char *key)
{
	struct str heard = buf_view(&h.heard), value;
	size_t at;
	if (!str_find_str(heard, str_of(key), &at))
		fail_msg("no %s", key);
	heard = str_from(heard, at + strlen(key) + 3);
	assert_true(str_take_until(&heard, '"', &value));
	return value;
}

static void the_next_time_is_when_its_destination_takes_more(void **state)
{
	(void)state;
	h.hands_off = true;
	house_open("shape y.example {\n concurrency 2\n}\n");
	letters(1, 3, "b@y.example");
	assert_int_equal(given_to_y(100), 2);
	is_dead(0);
	is_dead(1);
	assert_int_equal(given_to_y(101), 2);
	buf_clear(&h.heard);
	h.passed = 0;
	command(CONTROL_BY_DOMAIN, (struct store_selector){ .domain = STR("y.example") }, false);
	assert_true(was_heard("\"domain\":\"y.example\",\"waiting\":3,"));
	assert_int_equal(value_of("slowed_until").n, 20);
	assert_true(str_eq(value_of("next_attempt"), value_of("slowed_until")));
}

/* What a host says may be in any script, and as long as it likes: it is cut between two characters. */
static void a_long_word_of_a_host_stays_text(void **state)
{
	(void)state;
	char said[256] = "x";
	h.hands_off = true;
	for (size_t i = 1; i + 2 < sizeof said; i += 2)
		memcpy(&said[i], "\xc3\xbc", 3);
	house_open("shape y.example {\n concurrency 2\n}\n");
	letters(1, 2, "b@y.example");
	letters(3, 3, "c@y.example");
	assert_int_equal(given_to_y(100), 2);
	done(0, OUTCOME_LATER, 421, "4.7.0", said);
	done(1, OUTCOME_LATER, 421, "4.7.0", said);
	assert_int_equal(given_to_y(101), 2);
	assert_true(listed("c@y.example", "its destination: 421 4.7.0 x\xc3\xbc\xc3\xbc"));
	command(CONTROL_BY_DOMAIN, (struct store_selector){ .domain = STR("y.example") }, false);
	assert_true(was_heard("\"why\":\"421 4.7.0 x\xc3\xbc\xc3\xbc"));
}

/* Sessions and a rate at once: both are told, and the next time is when the rate has room. */
static void the_rate_is_told_beside_the_sessions(void **state)
{
	(void)state;
	h.hands_off = true;
	house_open("shape y.example {\n concurrency 1\n rate 1/1h\n}\n");
	letters(1, 1, "b@y.example");
	letters(2, 2, "c@y.example");
	assert_int_equal(given_to_y(100), 1);
	assert_true(listed("c@y.example", "its destination: the one session that it gets now is in use; its rate of 1/1h is used up for another"));
}

/* ---- what the log hears ---- */

static int stderr_kept = -1;
static FILE *log_file;

static void log_begins(void)
{
	stderr_kept = dup(STDERR_FILENO);
	log_file = tmpfile();
	assert_true(stderr_kept >= 0 && log_file != NULL && dup2(fileno(log_file), STDERR_FILENO) >= 0);
}

/* So often since then. */
static unsigned log_ends(const char *event)
{
	static char text[1 << 20];
	unsigned times = 0;
	(void)dup2(stderr_kept, STDERR_FILENO);
	(void)close(stderr_kept);
	rewind(log_file);
	text[fread(text, 1, sizeof text - 1, log_file)] = '\0';
	(void)fclose(log_file);
	for (const char *at = text; (at = strstr(at, event)) != NULL; at++)
		times++;
	return times;
}

/* The letters to y, one after the other: minutes apart, dead or taken. */
static void spell(unsigned number, int64_t ahead_ms, bool dead)
{
	char to[80], rcpt[40];
	h.ahead_ms += (uint64_t)ahead_ms;
	snprintf(rcpt, sizeof rcpt, "b%u@y.example", number);
	letters(number, number, rcpt);
	snprintf(to, sizeof to, "to b%u@y.example", number);
	if (!was_heard(to))
		wait_for(to);
	(dead ? is_dead : is_taken)(h.n_jobs - 1);
	settle_down();
}

enum { MINUTE_MS = 60 * 1000 };

static void a_spell_is_told_once(void **state)
{
	(void)state;
	house_open("queue {\n retry 1h\n}\n");
	h.hands_off = true;
	log_begins();
	for (unsigned i = 0; i < 4; i++) { /* in eight minutes */
		spell(2 * i + 1, MINUTE_MS, true);
		spell(2 * i + 2, MINUTE_MS, false);
	}
	unsigned slowed = log_ends("destination-slowed");
	assert_int_equal(slowed, 1);
}

/* The second one lasts: it is told, if later; so is its end. */
static void one_that_lasts_is_told(void **state)
{
	(void)state;
	house_open("queue {\n retry 1h\n}\n");
	h.hands_off = true;
	spell(1, MINUTE_MS, true);
	spell(2, MINUTE_MS, false);
	log_begins();
	spell(3, MINUTE_MS, true); /* two minutes after the first: not yet */
	unsigned at_once = log_ends("destination-slowed");
	log_begins();
	spell(4, 7 * MINUTE_MS, true);
	unsigned just_under = log_ends("destination-slowed");
	log_begins();
	spell(5, 2 * MINUTE_MS, true);
	unsigned later = log_ends("destination-slowed");
	log_begins();
	spell(6, 5 * MINUTE_MS, false);
	unsigned recovered = log_ends("destination-recovered");
	assert_int_equal(at_once, 0);
	assert_int_equal(just_under, 0);
	assert_int_equal(later, 1);
	assert_int_equal(recovered, 1);
}

/* One letter alone is tried when its own time has come. */
static void a_rest_is_no_longer_than_the_retry(void **state)
{
	(void)state;
	house_open("queue {\n retry 2s\n}\n");
	answer(OUTCOME_LATER, 0, "4.4.1", "Cannot connect");
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job a@x.example to b@y.example");
	for (int i = 0; i < 6; i++) {
		settle_down();
		h.ahead_ms += 5000;
		wait_for("courier: job a@x.example to b@y.example");
	}
	settle_down();
	assert_int_equal(only_row().attempts, 7);
}

/* What is never tried would never be late, and never come back. Both wait behind their destination, where nothing is granted. */
static void who_waits_for_long_hears_of_it(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	enum { WARNING_S = 4 * 3600, GIVE_UP_S = 5 * 86400, PASSES_S = 3600 };
	h.hands_off = true;
	house_fill("old", "jada@example.org", to, 1, 0, WARNING_S - PASSES_S / 2, "x");
	house_fill("gone", "jada@example.org", to, 1, 0, GIVE_UP_S - PASSES_S / 2, "x");
	house_fill("first", "jada@example.org", to, 1, 0, GIVE_UP_S - PASSES_S / 4, "x");
	house_open("shape y.example {\n concurrency 1\n}\n");
	wait_for("courier: job jada@example.org to b@y.example"); /* it goes on for ever */
	wait_for("porter: job  to jada@example.org"); /* of "gone": that it is late */
	h.wall_jump_s += PASSES_S;
	h.ahead_ms += PASSES_S * 1000;
	wait_for("porter: job  to jada@example.org"); /* two notices: what of the others */
	wait_for("porter: job  to jada@example.org");
}

enum { MANY = 60, PARTS_RCPTS = 20 }; /* of half of them more than a part of an action does */

static void let_come_due(void)
{
	h.ahead_ms += 10 * 1000;
	h.wall_jump_s += 10;
}

/* Behind where they were due before there is nobody any more: nothing is in hand there whose end would bring the next of them. */
static void what_has_another_way_now_waits_for_no_place(void **state)
{
	(void)state;
	house_fill_many(MANY, 1, "u@y.example", 10);
	house_open("");
	settle_down();
	assert_int_equal(h.n_jobs, MANY);
}

/* What an action has taken used no place there, either: the others are tried at once. */
static void what_an_action_takes_leaves_its_place_to_others(void **state)
{
	static const char *to[PARTS_RCPTS];
	char id[8];
	(void)state;
	h.key = "mx:y.example";
	for (size_t i = 0; i < PARTS_RCPTS; i++)
		to[i] = "u@y.example";
	for (size_t i = 0; i < MANY; i++) {
		snprintf(id, sizeof id, "b%02zu", i);
		house_fill(id, i < MANY / 2 ? "b@x.example" : "c@x.example", to, i < MANY / 2 ? PARTS_RCPTS : 1, 0, -8, "x");
	}
	house_open("");
	h.at_first_act = let_come_due;
	command(CONTROL_HOLD, (struct store_selector){ .from = STR("b@x.example") }, false);
	settle_down();
	assert_int_equal(h.n_jobs, MANY / 2);
}

static void what_is_damaged_leaves_its_place_to_others(void **state)
{
	static const char *const good[] = { "good@y.example" };
	(void)state;
	house_fill_many(MANY, 1, "bad@y.example", 10);
	house_fill("good", "a@x.example", good, 1, 0, 5, "x");
	h.damaged = "bad@";
	house_open("route {\n to bad.example hold\n otherwise direct\n}\n");
	settle_down();
	assert_int_equal(h.n_jobs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPEN(it_begins_with_few_and_grows),
		PREPARED(a_shape_is_a_ceiling),
		PREPARED(a_rate_is_kept),
		OPEN(a_dead_destination_is_tried_by_one),
		OPEN(what_is_released_keeps_its_last_words),
		OPEN(what_is_released_comes_to_its_destination_at_once),
		OPEN(an_operator_need_not_wait),
		PREPARED(what_a_letter_waits_for_is_told),
		PREPARED(the_next_time_is_when_its_destination_takes_more),
		PREPARED(a_long_word_of_a_host_stays_text),
		PREPARED(the_rate_is_told_beside_the_sessions),
		PREPARED(a_spell_is_told_once),
		PREPARED(one_that_lasts_is_told),
		PREPARED(a_rest_is_no_longer_than_the_retry),
		PREPARED(who_waits_for_long_hears_of_it),
		PREPARED(what_has_another_way_now_waits_for_no_place),
		PREPARED(what_an_action_takes_leaves_its_place_to_others),
		PREPARED(what_is_damaged_leaves_its_place_to_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
