/* SPDX-License-Identifier: ISC */
/* What dialogues cannot say of the SMTP server core: memory, floods, and every short sequence of commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "proto/smtp/command.h"
#include "proto/smtp/server.h"

static struct smtp_server *server;
static struct buf heard;
static size_t letters; /* messages that were accepted */

static struct smtp_server *new_server(void)
{
	struct smtp_server_conf conf = smtp_server_conf_usual();
	conf.hostname = STR("mx1.example.org");
	conf.size_bytes_max = 1000;
	conf.text_line_max = 998;
	conf.idle_commands_max = conf.errors_max = conf.refusals_max = 100000;
	return smtp_server_new(&conf, 0);
}

static int open_server(void **state)
{
	(void)state;
	server = new_server();
	letters = 0;
	buf_init(&heard, 4 << 20);
	return 0;
}

static int close_server(void **state)
{
	(void)state;
	smtp_server_free(&server);
	buf_fini(&heard);
	return 0;
}

/* The owner refuses what begins with "no". */
static bool refuses(const struct smtp_event *e, struct str content)
{
	switch (e->kind) {
	case SMTP_HELLO:
		return str_starts(e->u.hello.name, STR("no"));
	case SMTP_MAIL:
		return str_starts(e->u.mail.address.local, STR("no"));
	case SMTP_RCPT:
		return str_starts(e->u.rcpt.address.local, STR("no"));
	case SMTP_BODY_END:
		return str_starts(content, STR("no"));
	default:
		return false;
	}
}

static void drain(void)
{
	struct smtp_event e;
	char start[2] = { 0 };
	while (smtp_server_next(server, &e)) {
		if (e.kind == SMTP_BODY && start[0] == '\0' && e.u.body.n >= 2)
			memcpy(start, e.u.body.p, 2);
		if (e.kind > SMTP_BODY_END)
			continue;
		bool no = refuses(&e, (struct str){ start, 2 });
		letters += e.kind == SMTP_BODY_END && !no;
		if (no)
			smtp_server_answer(server, REPLY(550, 5, 7, 1, STR("No")));
		else
			smtp_server_answer_ok(server);
	}
	struct str out = smtp_server_output(server);
	assert_int_equal(buf_add(&heard, out), OK);
	smtp_server_sent(server, out.n);
}

static void say(struct str text)
{
	while (text.n > 0 && !smtp_server_done(server)) {
		size_t used = smtp_server_feed(server, text, 0);
		text = str_from(text, used);
		drain();
	}
}

/* The code of the last reply. */
static unsigned last_code(void)
{
	struct str rest = buf_view(&heard), line = STR_NONE, next;
	uint64_t code = 0;
	while (str_take_line(&rest, &next))
		line = next;
	(void)str_u64(str_sub(line, 0, 3), &code);
	buf_clear(&heard);
	return (unsigned)code;
}

/* ---- every short sequence against a small reference ---- */

enum place { NEW_ONE, READY, MAIL, RCPT, BDAT, PLACES };

#define S(code, place) { (code), (place) }
#define ANYWHERE_BUT_BDAT(code) S(code, NEW_ONE), S(code, READY), S(code, MAIL), S(code, RCPT)

/* For each place: the code of the last reply, and where it leads. */
static const struct step {
	const char *text;
	struct { unsigned code; enum place to; } in[PLACES];
} steps[] = {
	/*                                    NEW_ONE          READY          MAIL           RCPT           BDAT */
	{ "EHLO a.example\r\n",             { S(250, READY),   S(250, READY), S(250, READY), S(250, READY), S(250, READY) } },
	{ "EHLO no.example\r\n",            { ANYWHERE_BUT_BDAT(550), S(550, BDAT) } },
	{ "MAIL FROM:<a@x.example>\r\n",    { S(503, NEW_ONE), S(250, MAIL),  S(503, MAIL),  S(503, RCPT),  S(503, READY) } },
	{ "MAIL FROM:<no@x.example>\r\n",   { S(503, NEW_ONE), S(550, READY), S(503, MAIL),  S(503, RCPT),  S(503, READY) } },
	{ "MAIL FROM:<a@x> SIZE=9999\r\n",  { S(503, NEW_ONE), S(552, READY), S(503, MAIL),  S(503, RCPT),  S(503, READY) } },
	{ "RCPT TO:<b@y.example>\r\n",      { S(503, NEW_ONE), S(503, READY), S(250, RCPT),  S(250, RCPT),  S(503, READY) } },
	{ "RCPT TO:<no@y.example>\r\n",     { S(503, NEW_ONE), S(503, READY), S(550, MAIL),  S(550, RCPT),  S(503, READY) } },
	{ "RCPT TO:<b>\r\n",                { S(503, NEW_ONE), S(503, READY), S(501, MAIL),  S(501, RCPT),  S(503, READY) } },
	{ "DATA now\r\n",                   { ANYWHERE_BUT_BDAT(501), S(501, BDAT) } },
	{ "DATA\r\n|ok\r\n.\r\n",           { S(503, NEW_ONE), S(503, READY), S(503, MAIL),  S(250, READY), S(503, READY) } },
	{ "DATA\r\n|no\r\n.\r\n",           { S(503, NEW_ONE), S(503, READY), S(503, MAIL),  S(550, READY), S(503, READY) } },
	{ "BDAT 4\r\nok\r\n",               { S(503, NEW_ONE), S(503, READY), S(503, MAIL),  S(250, BDAT),  S(250, BDAT) } },
	{ "BDAT 4 LAST\r\nok\r\n",          { S(503, NEW_ONE), S(503, READY), S(503, MAIL),  S(250, READY), S(250, READY) } },
	{ "BDAT 4\r\no\nk\n",               { S(503, NEW_ONE), S(503, READY), S(503, MAIL),  S(550, READY), S(550, READY) } },
	{ "RSET\r\n",                       { S(250, NEW_ONE), S(250, READY), S(250, READY), S(250, READY), S(250, READY) } },
	{ "VRFY \xc3\xbc@x\r\n",            { ANYWHERE_BUT_BDAT(252), S(252, BDAT) } },
};

static enum place take_step(const struct step *step, enum place place, const char *history)
{
	struct str rest = str_of(step->text), first;
	if (!str_take_until(&rest, '|', &first)) {
		first = rest;
		rest = STR_NONE;
	}
	say(first);
	unsigned code = last_code();
	if (code == 354) {
		say(rest);
		code = last_code();
	}
	if (code != step->in[place].code)
		fail_msg("after %s: %s expected %u, heard %u", history, step->text, step->in[place].code, code);
	return step->in[place].to;
}

/* Without a thought about which states are the same; order_test.c goes on from there. */
static void every_sequence_of_four_commands(void **state)
{
	enum { LENGTH = 4, N = sizeof steps / sizeof steps[0] };
	size_t sequences = 1;
	(void)state;
	for (int i = 0; i < LENGTH; i++)
		sequences *= N;
	for (size_t sequence = 0; sequence < sequences; sequence++) {
		char history[32] = "";
		enum place place = READY;
		smtp_server_free(&server);
		server = new_server();
		smtp_server_greet(server);
		say(STR("EHLO first.example\r\n"));
		(void)last_code();
		size_t rest = sequence;
		for (int i = 0; i < LENGTH; i++, rest /= N) {
			place = take_step(&steps[rest % N], place, history);
			(void)snprintf(history + strlen(history), 6, "%zu ", rest % N);
		}
	}
}

/* ---- ceilings ---- */

static void input_that_waits_when_the_greeting_is_due(void **state)
{
	(void)state;
	assert_int_equal(smtp_server_feed(server, STR("EHLO a\r\n"), 0), 8);
	smtp_server_greet(server);
	drain();
	assert_true(str_starts(buf_view(&heard), STR("554 You spoke before it was your turn")));
	assert_true(smtp_server_done(server));
}

static void replies_that_nobody_takes_stop_the_reading(void **state)
{
	struct smtp_event e;
	size_t fed = 0, used;
	(void)state;
	smtp_server_greet(server);
	do {
		used = smtp_server_feed(server, STR("NOOP\r\n"), 0);
		fed += used;
		assert_false(smtp_server_next(server, &e));
	} while (used > 0 && fed < 1 << 20);
	assert_int_equal(used, 0);
	size_t waiting = smtp_server_output(server).n;
	assert_true(waiting >= SMTP_OUTPUT_HIGH && waiting < SMTP_OUTPUT_HIGH + 1024);
	smtp_server_sent(server, waiting);
	assert_false(smtp_server_next(server, &e));
	assert_true(smtp_server_feed(server, STR("NOOP\r\n"), 0) > 0);
}

static void a_line_without_end_ends_the_session(void **state)
{
	char text[4096];
	size_t sent = 0;
	(void)state;
	memset(text, 'a', sizeof text);
	smtp_server_greet(server);
	drain();
	while (!smtp_server_done(server) && sent < 4 << 20) {
		say((struct str){ text, sizeof text });
		sent += sizeof text;
	}
	assert_true(sent > SMTP_SKIP_MAX && sent < SMTP_SKIP_MAX + 64 * 1024);
	assert_int_equal(last_code(), 421);
}

/* As in server_data.c: so far a refused message is read on, its end included. */
enum { LOST_BYTES = 64 << 20 };

static void say_blank_lines(size_t bytes)
{
	static char text[64 << 10];
	for (size_t i = 0; i < sizeof text; i += 2)
		memcpy(text + i, "\r\n", 2);
	for (; bytes > 0; bytes -= bytes < sizeof text ? bytes : sizeof text)
		say((struct str){ text, bytes < sizeof text ? bytes : sizeof text });
}

static void a_refused_message_is_read_on_but_not_for_ever(void **state)
{
	(void)state;
	smtp_server_greet(server);
	say(STR("EHLO a\r\n"));
	for (int over = 0; over < 2; over++) {
		say(STR("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n"));
		assert_int_equal(last_code(), 354);
		say_blank_lines(1002); /* in one piece: what comes from here on is lost */
		say_blank_lines(over ? LOST_BYTES : LOST_BYTES - 6);
		assert_false(smtp_server_done(server));
		say(over ? STR("x") : STR("x\r\n.\r\n"));
		assert_int_equal(last_code(), 552);
		assert_int_equal(smtp_server_done(server), over);
	}
	assert_int_equal(letters, 0);
}

/* What a client may make of one segment must not become an event for each of its lines. */
static void lines_that_begin_with_dots_come_in_one_piece(void **state)
{
	static const struct { const char *in, *out; } texts[] = {
		{ "..\r\n..\r\n...\r\na\r\n..b\r\n", ".\r\n.\r\n..\r\na\r\n.b\r\n" },
		{ "a\r\n..\r\n.a\r\n\r\n", "a\r\n.\r\na\r\n\r\n" },
		{ "..", "." },
		{ "\r\n", "\r\n" },
	};
	(void)state;
	smtp_server_greet(server);
	say(STR("EHLO a\r\n"));
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct smtp_event e;
		say(STR("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n"));
		(void)smtp_server_feed(server, str_of(texts[i].in), 0);
		assert_true(smtp_server_next(server, &e));
		assert_int_equal(e.kind, SMTP_BODY);
		assert_int_equal(e.u.body.n, strlen(texts[i].out));
		assert_memory_equal(e.u.body.p, texts[i].out, e.u.body.n);
		assert_false(smtp_server_next(server, &e));
		buf_clear(&heard);
		say(STR("\r\n.\r\n"));
		assert_int_equal(last_code(), 250);
	}
	assert_int_equal(letters, COUNT(texts));
}

static void the_same_for_a_refused_chunk(void **state)
{
	(void)state;
	smtp_server_greet(server);
	say(STR("EHLO a\r\n"));
	for (int over = 0; over < 2; over++) {
		char line[64];
		(void)snprintf(line, sizeof line, "BDAT %u\r\n", LOST_BYTES + (unsigned)over);
		buf_clear(&heard);
		say(str_of(line));
		say_blank_lines(LOST_BYTES);
		assert_int_equal(buf_view(&heard).n == 0, over);
		say_blank_lines((size_t)over);
		assert_int_equal(last_code(), 503);
		assert_int_equal(smtp_server_done(server), over);
	}
	say(STR("BDAT 18446744073709551615\r\n"));
}

static void an_answer_after_the_end_is_harmless(void **state)
{
	struct smtp_event e;
	(void)state;
	smtp_server_greet(server);
	drain();
	assert_int_equal(smtp_server_feed(server, STR("EHLO a\r\n"), 0), 8);
	assert_true(smtp_server_next(server, &e));
	assert_int_equal(smtp_server_feed(server, STR("MAIL"), 0), 4); /* before the reply */
	smtp_server_answer_ok(server);
	assert_true(smtp_server_done(server));
	smtp_server_answer_ok(server);
	smtp_server_challenge(server, STR("x"));
	assert_false(smtp_server_next(server, &e));
	drain();
	assert_int_equal(last_code(), 554);
}

static void our_turn_has_no_deadline(void **state)
{
	struct smtp_event e;
	(void)state;
	smtp_server_greet(server);
	assert_int_equal(smtp_server_deadline_ms(server), 5 * 60 * 1000);
	(void)smtp_server_feed(server, STR("EHLO a\r\n"), 1000);
	assert_true(smtp_server_next(server, &e));
	assert_true(smtp_server_deadline_ms(server) == INT64_MAX);
	(void)smtp_server_feed(server, STR_NONE, 20 * 60 * 1000);
	assert_false(smtp_server_next(server, &e));
	smtp_server_answer_ok(server);
	assert_int_equal(smtp_server_deadline_ms(server), 25 * 60 * 1000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_server, close_server)
	const struct CMUnitTest tests[] = {
		TEST(every_sequence_of_four_commands),
		TEST(input_that_waits_when_the_greeting_is_due),
		TEST(replies_that_nobody_takes_stop_the_reading),
		TEST(a_line_without_end_ends_the_session),
		TEST(a_refused_message_is_read_on_but_not_for_ever),
		TEST(lines_that_begin_with_dots_come_in_one_piece),
		TEST(the_same_for_a_refused_chunk),
		TEST(an_answer_after_the_end_is_harmless),
		TEST(our_turn_has_no_deadline),
	};
	return cmocka_run_group_tests_name("smtp_server", tests, NULL, NULL);
}
