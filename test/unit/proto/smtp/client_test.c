/* SPDX-License-Identifier: ISC */
/* What dialogues do not show of the client: ceilings, back-pressure, deadlines, calls at the wrong moment. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/smtp/client.h"

enum { MANY = 3000 };

static struct smtp_client *c;
static int64_t now_ms;
static struct smtp_client_rcpt many[MANY];
static struct smtp_transaction txn;

static int set_up(void **state)
{
	(void)state;
	static char names[MANY][32];
	struct smtp_client_conf conf = { .ehlo = STR("client.example") };
	now_ms = 5000;
	c = smtp_client_new(&conf, now_ms);
	for (size_t i = 0; i < MANY; i++) {
		(void)snprintf(names[i], sizeof names[i], "r%u@y.example", (unsigned)i);
		many[i] = (struct smtp_client_rcpt){ .address = str_of(names[i]) };
	}
	txn = (struct smtp_transaction){ .sender = STR("a@x.example"), .rcpts = many, .n_rcpts = 1 };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	smtp_client_free(&c);
	assert_null(c);
	return 0;
}

static size_t send_all(void)
{
	size_t n = smtp_client_output(c).n;
	smtp_client_sent(c, n, now_ms);
	return n;
}

/* Feeds and takes the events; the last one is the answer. */
static struct smtp_client_event feed(const char *bytes)
{
	struct smtp_client_event e, last = { .kind = SMTP_CLIENT_DONE };
	struct str rest = str_of(bytes);
	do {
		rest = str_from(rest, smtp_client_feed(c, rest, now_ms));
		while (smtp_client_next(c, &e))
			last = e;
	} while (rest.n > 0 && !smtp_client_done(c));
	return last;
}

static void hello(const char *extensions)
{
	feed("220 mx\r\n");
	send_all();
	char reply[400];
	(void)snprintf(reply, sizeof reply, "250-mx\r\n%s250 HELP\r\n", extensions);
	assert_int_equal(feed(reply).kind, SMTP_CLIENT_READY);
}

/* Up to the 354, one recipient. */
static void to_the_content(const char *extensions)
{
	hello(extensions);
	assert_int_equal(smtp_client_mail(c, &txn, now_ms), OK);
	for (unsigned i = 0; i < 3 && smtp_client_body_room(c) == 0; i++) {
		send_all();
		feed(i < 2 ? "250 Ok\r\n" : "354 Go\r\n");
	}
	assert_true(smtp_client_body_room(c) > 0);
}

static void answers_at_the_wrong_moment(void **state)
{
	(void)state;
	assert_int_equal(smtp_client_mail(c, &txn, 0), F_STATE);
	assert_int_equal(smtp_client_quit(c, 0), F_STATE);
	assert_int_equal(smtp_client_starttls(c, 0), F_STATE);
	assert_int_equal(smtp_client_tls_started(c, 0), F_STATE);
	assert_int_equal(smtp_client_auth(c, STR("PLAIN"), false, STR_NONE, 0), F_STATE);
	assert_int_equal(smtp_client_auth_step(c, STR_NONE, 0), F_STATE);
	assert_int_equal(smtp_client_body(c, STR("x"), 0), F_STATE);
	assert_int_equal(smtp_client_body_end(c, 0), F_STATE);
	assert_int_equal(smtp_client_body_room(c), 0);
	assert_int_equal(smtp_client_output(c).n, 0);
	hello("");
	assert_int_equal(smtp_client_starttls(c, 0), F_ABSENT);
	assert_int_equal(smtp_client_auth(c, STR("PLAIN"), false, STR_NONE, 0), F_ABSENT);
	txn.n_rcpts = 0;
	assert_int_equal(smtp_client_mail(c, &txn, 0), F_STATE);
	txn.n_rcpts = 1;
	assert_int_equal(smtp_client_mail(c, &txn, 0), OK);
	assert_int_equal(smtp_client_mail(c, &txn, 0), F_STATE);
	assert_int_equal(smtp_client_quit(c, 0), F_STATE);
}

static void auth_lines_have_a_ceiling(void **state)
{
	(void)state;
	static char secret[12288];
	memset(secret, 'x', sizeof secret);
	/* "AUTH PLAIN " and CRLF leave 12275 octets, room for 3068 groups of base64: 9204 octets. */
	hello("250-AUTH PLAIN\r\n");
	assert_int_equal(smtp_client_auth(c, STR("PLAIN"), true, (struct str){ secret, 9205 }, 0), F_LIMIT);
	assert_int_equal(smtp_client_output(c).n, 0);
	assert_int_equal(smtp_client_auth(c, STR("PLAIN"), true, (struct str){ secret, 9204 }, 0), OK);
	assert_true(send_all() <= SMTP_CLIENT_AUTH_MAX);
}

/* However many recipients: little waits to be sent, the dialogue stays small, everybody is told once. */
static void many_recipients(void **state)
{
	(void)state;
	static unsigned told[MANY];
	struct smtp_client_event e;
	size_t most = 0, answered = 0;
	bool done = false;
	memset(told, 0, sizeof told);
	hello("250-PIPELINING\r\n");
	txn.n_rcpts = MANY;
	assert_int_equal(smtp_client_mail(c, &txn, 0), OK);
	while (!done) {
		size_t waiting = smtp_client_output(c).n;
		most = waiting > most ? waiting : most;
		smtp_client_sent(c, waiting, 0);
		char reply[64];
		(void)snprintf(reply, sizeof reply, answered == 0 ? "250 Ok\r\n" : answered <= MANY ? "550 5.1.1 No %u\r\n" : "503 5.5.1 No\r\n",
		               (unsigned)answered);
		struct str rest = str_of(reply);
		assert_int_equal(smtp_client_feed(c, rest, 0), rest.n);
		answered++;
		while (smtp_client_next(c, &e)) {
			if (e.kind == SMTP_CLIENT_RCPT)
				assert_int_equal(told[e.index]++, 0);
			done |= e.kind == SMTP_CLIENT_DONE;
		}
	}
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(told[i], 1);
	assert_in_range(most, 1000, 20000);

	struct buf dialogue;
	buf_init(&dialogue, SMTP_CLIENT_DIALOGUE_MAX);
	size_t at;
	assert_int_equal(smtp_client_put_dialogue(c, &dialogue), OK);
	struct str text = buf_view(&dialogue);
	assert_true(text.n > SMTP_CLIENT_DIALOGUE_MAX / 2);
	assert_true(str_starts(text, STR("S: 220 mx\nC: EHLO client.example\n")));
	assert_true(str_find_str(text, STR("\n(...)\n"), &at));
	assert_true(str_find_str(text, STR("S: 550 5.1.1 No 3000\n"), &at));
	buf_fini(&dialogue);
}

static void content_meets_back_pressure(void **state)
{
	(void)state;
	static char piece[128 << 10];
	size_t taken = 0, room;
	for (size_t i = 0; i < sizeof piece; i++)
		piece[i] = ".\r\n"[i % 3]; /* the worst for stuffing: one more byte for each three */
	to_the_content("");
	while ((room = smtp_client_body_room(c)) > 0) {
		room = room < 3 ? 3 : room - room % 3;
		if (room > smtp_client_body_room(c))
			break;
		assert_int_equal(smtp_client_body(c, (struct str){ piece, room }, 0), OK);
		taken += room;
		assert_true(smtp_client_output(c).n <= SMTP_CLIENT_OUTPUT_MAX);
	}
	assert_in_range(taken, 40 << 10, 100 << 10);
	assert_int_equal(smtp_client_body(c, (struct str){ piece, sizeof piece }, 0), F_STATE);
	send_all();
	assert_true(smtp_client_body_room(c) > 0);
	assert_int_equal(smtp_client_body_end(c, 0), OK);
	struct str out = smtp_client_output(c);
	assert_true(str_eq(out, STR(".\r\n")));
}

static void chunks_meet_back_pressure(void **state)
{
	(void)state;
	static char piece[SMTP_CLIENT_CHUNK_MAX];
	size_t taken = 0, room;
	memset(piece, 'x', sizeof piece);
	to_the_content("250-PIPELINING\r\n250-CHUNKING\r\n");
	send_all();
	/* With PIPELINING eight chunks may be on their way, but only as many as are sent. */
	while ((room = smtp_client_body_room(c)) > 0) {
		assert_int_equal(smtp_client_body(c, (struct str){ piece, room }, 0), OK);
		taken += room;
		assert_true(smtp_client_output(c).n <= SMTP_CLIENT_OUTPUT_MAX);
		if (smtp_client_output(c).n > SMTP_CLIENT_CHUNK_MAX)
			send_all();
	}
	assert_int_equal(taken, 9 * SMTP_CLIENT_CHUNK_MAX);
	send_all();
	assert_int_equal(smtp_client_body_room(c), 0);
	feed("250 65536 octets\r\n");
	assert_true(smtp_client_body_room(c) > 0);
	assert_int_equal(smtp_client_body_end(c, 0), OK);
	assert_true(str_starts(smtp_client_output(c), STR("BDAT 65536 LAST\r\n")));
}

/* RFC 5321 4.5.3.2.5: three minutes for a block; a trickle of single bytes is no progress. */
static void a_trickle_is_no_progress(void **state)
{
	(void)state;
	static char piece[32 << 10];
	memset(piece, 'x', sizeof piece);
	to_the_content("");
	assert_int_equal(smtp_client_deadline_ms(c), INT64_MAX); /* the next move is ours */
	assert_int_equal(smtp_client_body(c, (struct str){ piece, sizeof piece }, now_ms), OK);
	int64_t due = smtp_client_deadline_ms(c);
	assert_int_equal(due, now_ms + 180000);
	for (unsigned i = 0; i < 100; i++) {
		now_ms += 1000;
		smtp_client_sent(c, 1, now_ms);
	}
	assert_int_equal(smtp_client_deadline_ms(c), due);
	smtp_client_sent(c, 16 << 10, now_ms);
	assert_int_equal(smtp_client_deadline_ms(c), now_ms + 180000);
	now_ms += 179999;
	assert_int_equal(feed("").kind, SMTP_CLIENT_DONE);
	now_ms += 1;
	(void)smtp_client_feed(c, STR_NONE, now_ms);
	struct smtp_client_event e;
	assert_true(smtp_client_next(c, &e));
	assert_int_equal(e.kind, SMTP_CLIENT_RCPT);
	assert_int_equal(e.outcome, OUTCOME_LATER);
	assert_true(e.whole);
}

static void a_long_name_is_cut(void **state)
{
	(void)state;
	static char name[1000];
	memset(name, 'n', sizeof name);
	struct smtp_client_conf conf = { .ehlo = { name, sizeof name } };
	smtp_client_free(&c);
	c = smtp_client_new(&conf, 0);
	feed("220 mx\r\n");
	assert_true(smtp_client_output(c).n <= 512);
}

static void control_bytes_never_leave(void **state)
{
	(void)state;
	static const struct str bad[] = {
		STR_INIT("b@y.example\r\nRSET"), STR_INIT("b\n@y.example"), STR_INIT("b\0@y.example"), STR_INIT("b\x7f@y.example"),
		STR_INIT(""),
	};
	hello("");
	for (size_t i = 0; i < COUNT(bad); i++) {
		many[0].address = bad[i];
		assert_int_equal(smtp_client_mail(c, &txn, 0), F_SYNTAX);
	}
	many[0].address = STR("b@y.example");
	for (size_t i = 0; i + 1 < COUNT(bad); i++) {
		txn.sender = bad[i];
		assert_int_equal(smtp_client_mail(c, &txn, 0), F_SYNTAX);
	}
	assert_int_equal(smtp_client_output(c).n, 0);
}

static void parameters_that_are_too_long_are_left_out(void **state)
{
	(void)state;
	static char text[2000];
	memset(text, 'e', sizeof text);
	hello("250-DSN\r\n");
	txn.params.envid = (struct str){ text, 400 };
	assert_int_equal(smtp_client_mail(c, &txn, 0), OK);
	assert_true(smtp_client_output(c).n > 400);
	send_all();
	memcpy(text, "rfc822;", 7);
	many[0].params.orcpt = (struct str){ text, 1001 };
	feed("250 Ok\r\n");
	assert_true(str_eq(smtp_client_output(c), STR("RCPT TO:<r0@y.example>\r\n")));
}

#define CLIENT_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLIENT_TEST(answers_at_the_wrong_moment), CLIENT_TEST(auth_lines_have_a_ceiling), CLIENT_TEST(many_recipients),
		CLIENT_TEST(content_meets_back_pressure), CLIENT_TEST(chunks_meet_back_pressure),
		CLIENT_TEST(a_trickle_is_no_progress), CLIENT_TEST(a_long_name_is_cut), CLIENT_TEST(control_bytes_never_leave),
		CLIENT_TEST(parameters_that_are_too_long_are_left_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
