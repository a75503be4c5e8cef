/* SPDX-License-Identifier: ISC */
/* What the spool writes into the history, and what an operator who asks why is told of it. */
#include "unit.h"

#include "role/spool/house.h"

#include <stdio.h>
#include <string.h>

#include "mail/envelope.h"
#include "mail/story.h"
#include "role/spool/spool.h"

static const char *const ended = "operator: end 0";

static void why(const char *id, const char *to)
{
	buf_clear(&h.heard);
	h.passed = 0;
	command(CONTROL_WHY, (struct store_selector){ .id = str_of(id), .to = str_of(to) }, false);
}

static void why_last(void)
{
	why(h.last_id, NULL);
}

static void assert_told(const char *what)
{
	if (!was_heard(what))
		fail_msg("\"%s\" is not in: %.*s", what, STR_ARG(buf_view(&h.heard)));
}

static void assert_untold(const char *what)
{
	if (was_heard(what))
		fail_msg("\"%s\" is in: %.*s", what, STR_ARG(buf_view(&h.heard)));
}

static size_t count_told(const char *what)
{
	struct str rest = buf_view(&h.heard);
	size_t n = 0, at;
	for (; str_find_str(rest, str_of(what), &at); n++)
		rest = str_from(rest, at + strlen(what));
	return n;
}

static void go_through(unsigned txn, const char *to)
{
	char stored[40];
	snprintf(stored, sizeof stored, "front: stored %u", txn);
	send_letter(txn, "a@x.example", to, 0);
	wait_for(stored);
	settle_down();
}

static void a_letter_that_has_left_is_still_known(void **state)
{
	(void)state;
	house_open("");
	h.story = "mx domain=y.example secure=yes result=found hosts=mx.y.example\npolicy name=dane verdict=won source=\"RFC 7672 2.2\"\n";
	h.answer.level = TLS_DANE;
	h.answer.tls = STR("TLSv1.3 X25519MLKEM768");
	h.answer.ip = STR("192.0.2.9");
	go_through(1, "b@y.example");
	why_last();
	assert_told(ended);
	assert_int_equal(count_told("operator: row"), 1);
	static const char *const parts[] = {
		"\"row\":\"event\"", "\"event\":\"relayed\"", "\"sender\":\"a@x.example\"", "\"recipient\":\"b@y.example\"", "\"attempt\":1",
		"\"host\":\"mx.y.example\"", "\"ip\":\"192.0.2.9\"", "\"level\":\"dane\"", "\"tls\":\"TLSv1.3 X25519MLKEM768\"",
		"\"accepted\":{", "\"client\":\"192.0.2.7\"", "\"helo\":\"client.example\"", "\"user\":\"jada\"", "\"size\":24",
		"\"domain\":\"y.example\"", "\"kind\":\"mx\"", "\"source\":\"RFC 7672 2.2\"", "\"reply\":\"250 2.0.0 ok\"",
	};
	for (size_t i = 0; i < COUNT(parts); i++)
		assert_told(parts[i]);
}

static void it_tells_what_the_sender_says_of_tls(void **state)
{
	(void)state;
	house_open("");
	say_begin(1, "a@x.example");
	say_rcpt(1, "b@y.example", 0);
	say_chunk(1, "x\r\n");
	channel_send(h.front.channel, FRONT_FINISH, &(struct front_finish){ .txn = 1, .size_bytes = 3, .tls_tag = TLS_TAG_REQUIRED });
	wait_for("courier: body");
	settle_down();
	why_last();
	assert_told("\"tls_wish\":\"required\"");
}

/* Rows that are made: sends cannot be seen from here. */
static unsigned dumps;
char *__real_json_dumps(const struct json_t *json, size_t flags);
char *__wrap_json_dumps(const struct json_t *json, size_t flags);
char *__wrap_json_dumps(const struct json_t *json, size_t flags)
{
	dumps++;
	return __real_json_dumps(json, flags);
}

enum { MANY = 100 };

/* A letter to many, with a long story that each of their rows repeats. */
static void a_long_story(void)
{
	static char names[MANY][32];
	static const char *to[MANY];
	static char story[STORY_BYTES_MAX];
	size_t n = 0;
	for (size_t i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof names[i], "b%zu@y.example", i);
		to[i] = names[i];
	}
	while (n < sizeof story - 200)
		n += (size_t)snprintf(story + n, sizeof story - n, "policy name=dane verdict=won source=\"RFC 7672 2.2\" text=\"%0100d\"\n", 1);
	house_fill("m1", "a@x.example", to, MANY, 0, 10, "Subject: x\r\n\r\n");
	h.hands_off = true;
	house_open("");
	wait_for("courier: job");
	channel_send(h.courier.channel, FROM_WORKER_STORY, &(struct from_worker_story){ .job = h.jobs[0].job, .text = str_of(story) });
	for (size_t i = 0; i < MANY; i++) {
		struct from_worker_outcome o = h.answer;
		o.job = h.jobs[0].job;
		o.index = i;
		channel_send(h.courier.channel, FROM_WORKER_OUTCOME, &o);
	}
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = h.jobs[0].job });
	settle_down();
}

static void a_reader_sets_the_pace(void **state)
{
	(void)state;
	a_long_story();
	buf_clear(&h.heard);
	h.passed = 0;
	dumps = 0;
	command_begin(CONTROL_WHY, (struct store_selector){ .id = STR("m1") }, false);
	channel_pause(h.operator.channel, true);
	for (int i = 0; i < 200; i++)
		settle_down();
	/* What the kernel has room for, and CONTROL_UNREAD_MAX. */
	assert_in_range(dumps, 2, (CONTROL_UNREAD_MAX + (512 << 10)) / (STORY_BYTES_MAX / 2));
	assert_true(dumps < MANY / 2);
	channel_pause(h.operator.channel, false);
	wait_for(ended);
	assert_int_equal(count_told("operator: row"), MANY);
	assert_int_equal(dumps, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		char name[40];
		snprintf(name, sizeof name, "\"recipient\":\"b%u@y.example\"", i);
		assert_int_equal(count_told(name), 1);
	}
}

static void so_many_read_the_history_at_a_time(void **state)
{
	(void)state;
	struct channel *readers[CONTROL_WHY_MAX];
	a_long_story();
	for (size_t i = 0; i < COUNT(readers); i++) {
		command_begin(CONTROL_WHY, (struct store_selector){ .id = STR("m1") }, false);
		channel_pause(h.operator.channel, true);
		settle_down();
		readers[i] = h.operator.channel;
		h.operator.channel = NULL;
	}
	why("m1", NULL);
	assert_told("operator: end 69 the history is being read for as many");
	command(CONTROL_LIST, everything, false);
	assert_untold("operator: end 69 the server");
	/* Who reads keeps his place, also if he does so slowly; of the others one goes. */
	h.ahead_ms += CONTROL_GIVES_WAY_MS;
	channel_pause(readers[0], false);
	wait_for("operator: row");
	channel_pause(readers[0], true);
	settle_down();
	why("m1", NULL);
	assert_told(ended);
	channel_close(&h.operator.channel);
	h.operator.channel = readers[0];
	channel_pause(readers[0], false);
	buf_clear(&h.heard);
	h.passed = 0;
	wait_for(ended);
	for (size_t i = 1; i < COUNT(readers); i++)
		channel_close(&readers[i]);
}

static void it_is_found_by_its_recipient_too(void **state)
{
	(void)state;
	house_open("");
	go_through(1, "b@y.example");
	go_through(2, "other@y.example");
	why(NULL, "B@Y.example");
	assert_told(ended);
	assert_int_equal(count_told("operator: row"), 1);
	assert_told("\"recipient\":\"b@y.example\"");
}

static void of_several_recipients_the_one_that_was_meant(void **state)
{
	(void)state;
	house_open("");
	say_begin(1, "a@x.example");
	say_rcpt(1, "b@y.example", 0);
	say_rcpt(1, "c@y.example", 0);
	say_finish(1, 0);
	wait_for("front: stored 1");
	settle_down();
	why_last();
	assert_int_equal(count_told("\"event\":\"relayed\""), 2);
	why(NULL, "c@y.example");
	assert_int_equal(count_told("operator: row"), 1);
	assert_told("\"recipient\":\"c@y.example\"");
}

static void what_waits_has_a_past_and_a_state(void **state)
{
	(void)state;
	house_open("");
	h.answer.class = OUTCOME_LATER;
	h.answer.code = 451;
	h.answer.status = STR("4.7.1");
	h.answer.text = STR("greylisted");
	h.answer.dialogue = STR("C: MAIL FROM:<a@x.example>\nS: 451 4.7.1 greylisted");
	go_through(1, "b@y.example");
	why_last();
	assert_told(ended);
	assert_int_equal(count_told("operator: row"), 2);
	assert_told("\"event\":\"deferred\"");
	assert_told("\"dialogue\":[\"C: MAIL FROM:<a@x.example>\",\"S: 451 4.7.1 greylisted\"]");
	assert_told("\"next_attempt\":\"2");
	assert_told("\"row\":\"queue\"");
	assert_told("\"state\":\"queued\"");
	h.answer.class = OUTCOME_DONE;
	h.answer.code = 250;
	h.answer.dialogue = STR_NONE;
	command(CONTROL_RETRY, (struct store_selector){ .id = STR_NONE }, false);
	settle_down();
	why_last();
	assert_int_equal(count_told("operator: row"), 2);
	assert_told("\"event\":\"relayed\"");
	assert_untold("\"row\":\"queue\"");
}

static void a_bounce_names_its_notice(void **state)
{
	(void)state;
	house_open("");
	h.answer.class = OUTCOME_NEVER;
	h.answer.code = 550;
	h.answer.status = STR("5.1.1");
	go_through(1, "b@y.example");
	why_last();
	assert_told("\"event\":\"bounced\"");
	assert_told("\"notice\":\"");
	why(NULL, "a@x.example"); /* the notice is a letter, too: it could not be delivered, either */
	assert_told("\"sender\":\"\"");
}

static void what_an_operator_does_is_history(void **state)
{
	(void)state;
	house_open("route {\n to y.example hold\n otherwise direct\n}\n");
	go_through(1, "b@y.example");
	why_last();
	assert_told("\"event\":\"held\"");
	assert_told("\"reply\":\"held by a route of the configuration\"");
	assert_told("\"accepted\":{");
	h.hands_off = true;
	command(CONTROL_RELEASE, (struct store_selector){ .id = str_of(h.last_id) }, false);
	wait_for("courier: job");
	command(CONTROL_HOLD, (struct store_selector){ .id = str_of(h.last_id) }, false);
	command(CONTROL_REMOVE, (struct store_selector){ .id = str_of(h.last_id) }, false);
	why_last();
	assert_told("\"event\":\"released\"");
	assert_told("\"by\":\"the operator\"");
	assert_int_equal(count_told("\"event\":\"held\""), 2);
	assert_int_equal(count_told("\"event\":\"removed\""), 1);
	assert_untold("\"row\":\"queue\"");
}

/* Nobody was asked, so there was no attempt: neither here nor where a route refuses it. */
static void what_is_returned_untried_is_no_attempt(void **state)
{
	static const char *const to[] = { "b@refused.example", "b@y.example" };
	(void)state;
	house_fill("m1", "a@x.example", to, 2, 0, 10, "x");
	house_open("route {\n to refused.example refuse \"Not there\"\n otherwise hold\n}\n");
	settle_down();
	command(CONTROL_BOUNCE, (struct store_selector){ .to = STR("b@y.example") }, false);
	settle_down();
	for (size_t i = 0; i < COUNT(to); i++) {
		why(NULL, to[i]);
		assert_told("\"event\":\"bounced\"");
		assert_told("\"notice\":\"");
		assert_untold("\"attempt\":");
	}
}

static void what_an_operator_asks_in_vain_is_none(void **state)
{
	(void)state;
	house_open("route {\n to y.example hold\n otherwise direct\n}\n");
	go_through(1, "b@y.example");
	command(CONTROL_HOLD, (struct store_selector){ .id = str_of(h.last_id) }, false);
	command(CONTROL_RETRY, (struct store_selector){ .id = str_of(h.last_id) }, false);
	why_last();
	assert_int_equal(count_told("\"event\":"), 1);
}

/* A courier that was taken over tells what it likes, but not what others did. */
static void stories_that_are_none_are_not_kept(void **state)
{
	static const char *const stories[] = { "event at=1 id=forged\nsum crc32c=00000000\n", "no line end", "mx \x01=x\n", "mx domain=\"\n",
		                               "\nevent at=1 id=forged\n" };
	(void)state;
	house_open("");
	for (size_t i = 0; i < COUNT(stories); i++) {
		h.story = stories[i];
		go_through((unsigned)i + 1, "b@y.example");
		why_last();
		assert_told("\"event\":\"relayed\"");
		assert_told("\"story\":[]");
		why("forged", NULL);
		assert_told("operator: end 1");
	}
}

static void nothing_is_known_of_what_never_was(void **state)
{
	(void)state;
	house_open("");
	why("nosuchid", NULL);
	assert_told("operator: end 1 nothing is known");
	why(NULL, NULL);
	assert_told("operator: end 2 which letter?");
}

static void history_can_be_switched_off(void **state)
{
	(void)state;
	house_open("queue {\n history none\n}\n");
	go_through(1, "b@y.example");
	why_last();
	assert_told("operator: end 1 nothing is known");
	assert_told("keeps no history");
}

static void a_disk_that_is_nearly_full_is_left_to_mail(void **state)
{
	(void)state;
	house_open("");
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	h.bytes_free = SPOOL_RESERVE_BYTES - 1;
	wait_for("front: shortage yes");
	struct from_worker_outcome o = h.answer;
	o.job = h.jobs[0].job;
	channel_send(h.courier.channel, FROM_WORKER_OUTCOME, &o);
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = o.job });
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
	why_last();
	assert_told("operator: end 1 nothing is known");
}

static void a_delay_that_was_told_is_history(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	house_fill("m1", "a@x.example", to, 1, 0, 5 * 3600, "Subject: x\r\n\r\n");
	h.answer.class = OUTCOME_LATER;
	h.answer.code = 451;
	house_open("");
	wait_for("courier: job a@x.example to b@y.example");
	settle_down();
	why("m1", NULL);
	assert_told("\"delay_warned\":true");
	assert_told("\"notice\":\"");
}

static struct str notice_for(const char *sender)
{
	struct store_rcpt r[4];
	size_t n = rows(r, 4);
	for (size_t i = 0; i < n; i++)
		if (str_eq(r[i].address, str_of(sender))) {
			char id[STORE_ID_MAX + 1];
			snprintf(id, sizeof id, "%.*s", STR_ARG(r[i].id));
			return text_of(id);
		}
	fail_msg("no notice for %s among %zu", sender, n);
	return STR_NONE;
}

static void assert_in(struct str text, const char *what)
{
	size_t at;
	if (!str_find_str(text, str_of(what), &at))
		fail_msg("\"%s\" is not in: %.*s", what, STR_ARG(text));
}

/* Point by point what the sender who asked for it learns of each recipient. */
static void a_receipt_tells_what_was_proven(void **state)
{
	static const struct { enum tls_level level; const char *want; } rows_[] = {
		{ TLS_DANE, "X-Sealpost-Protection: DANE; TLSv1.3; X25519MLKEM768\r\n" },
		{ TLS_MTA_STS, "X-Sealpost-Protection: MTA-STS; TLSv1.3; X25519MLKEM768\r\n" },
		{ TLS_VERIFY, "X-Sealpost-Protection: PKIX; TLSv1.3; X25519MLKEM768\r\n" },
		{ TLS_ENCRYPT, "X-Sealpost-Protection: opportunistic; TLSv1.3; X25519MLKEM768\r\n" },
		{ TLS_OPPORTUNISTIC, "X-Sealpost-Protection: opportunistic; TLSv1.3; X25519MLKEM768\r\n" },
		{ TLS_NONE, "X-Sealpost-Protection: none\r\n" },
	};
	(void)state;
	house_open("route {\n to x.example hold\n otherwise direct\n}\n");
	h.story = "host name=mx.y.example\ntls version=TLSv1.3 group=X25519MLKEM768\n";
	for (size_t i = 0; i < COUNT(rows_); i++) {
		char sender[40], stored[40];
		snprintf(sender, sizeof sender, "a%zu@x.example", i);
		snprintf(stored, sizeof stored, "front: stored %zu", i + 1);
		h.answer.level = rows_[i].level;
		send_letter(i + 1, sender, "b@y.example", NOTIFY_SUCCESS);
		wait_for(stored);
		settle_down();
		assert_in(notice_for(sender), rows_[i].want);
		command(CONTROL_REMOVE, (struct store_selector){ .to = str_of(sender) }, false);
	}
	send_letter(99, "local@x.example", "jada@example.org", NOTIFY_SUCCESS);
	wait_for("front: stored 99");
	settle_down();
	assert_in(notice_for("local@x.example"), "X-Sealpost-Protection: local\r\n");
}

static void a_bounce_tells_what_stood_in_the_way(void **state)
{
	(void)state;
	house_open("route {\n to x.example hold\n otherwise direct\n}\n");
	h.story = "policy host=mx.y.example name=dane verdict=won source=\"RFC 7672 2.2\" text=\"Its records bind.\"\nhost name=mx.y.example\n"
	          "tls problem=\"no such key\"\n";
	h.answer.class = OUTCOME_NEVER;
	h.answer.code = 0;
	h.answer.status = STR("5.7.5");
	go_through(1, "b@y.example");
	assert_in(notice_for("a@x.example"), "What binds us: Its records bind. (RFC 7672 2.2)\r\n");
	assert_in(notice_for("a@x.example"), "no such key\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PREPARED(a_letter_that_has_left_is_still_known),
		PREPARED(it_tells_what_the_sender_says_of_tls),
		PREPARED(it_is_found_by_its_recipient_too),
		PREPARED(a_reader_sets_the_pace),
		PREPARED(so_many_read_the_history_at_a_time),
		PREPARED(of_several_recipients_the_one_that_was_meant),
		PREPARED(what_waits_has_a_past_and_a_state),
		PREPARED(a_bounce_names_its_notice),
		PREPARED(what_an_operator_does_is_history),
		PREPARED(what_is_returned_untried_is_no_attempt),
		PREPARED(what_an_operator_asks_in_vain_is_none),
		PREPARED(stories_that_are_none_are_not_kept),
		PREPARED(nothing_is_known_of_what_never_was),
		PREPARED(history_can_be_switched_off),
		PREPARED(a_disk_that_is_nearly_full_is_left_to_mail),
		PREPARED(a_delay_that_was_told_is_history),
		PREPARED(a_receipt_tells_what_was_proven),
		PREPARED(a_bounce_tells_what_stood_in_the_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
