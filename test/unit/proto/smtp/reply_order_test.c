/* SPDX-License-Identifier: ISC */
/*
 * Every order of replies: the client core hands over a letter for two recipients, and at each point the server says each of what servers
 * and those between might say: yes, no, later, the answer to something else, two answers at once, half a one, nothing any more.
 * A recipient is done if, and only if, each command was answered yes in its turn and the content had left before the last yes came.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/smtp/client.h"

enum say { OK_250, MANY_250, GO_354, MORE_334, CLOSING_421, LATER_450, NO_550, NO_CODE, BARE_LF, TWO_250, EARLY_TWO, HALF, GONE, SAYS };

static const char *const words[SAYS] = {
	[OK_250] = "250 2.0.0 ok\r\n",
	[MANY_250] = "250-ok\r\n250 ok\r\n",
	[GO_354] = "354 go\r\n",
	[MORE_334] = "334 bW9yZQ==\r\n",
	[CLOSING_421] = "421 4.3.2 closing\r\n",
	[LATER_450] = "450 4.2.0 later\r\n",
	[NO_550] = "550 5.1.1 no\r\n",
	[NO_CODE] = "ok\r\n",
	[BARE_LF] = "250 ok\n",
	[TWO_250] = "250 ok\r\n250 ok\r\n",
	[EARLY_TWO] = "354 go\r\n250 ok\r\n",
	[HALF] = "250 o",
	[GONE] = "",
};

enum { REPLIES = 5, RCPTS = 2 }; /* to MAIL, RCPT, RCPT, DATA, and to the end; with CHUNKING there is no DATA */

static struct smtp_client *client;
static struct buf sent;
static unsigned told[RCPTS], finished;
static enum outcome_class outcomes[RCPTS];
static bool body_said, ended;

static void take_events(void)
{
	struct smtp_client_event e;
	while (smtp_client_next(client, &e)) {
		if (e.kind == SMTP_CLIENT_RCPT) {
			assert_true(e.index < RCPTS && finished == 0);
			told[e.index]++;
			outcomes[e.index] = e.outcome;
		}
		finished += e.kind == SMTP_CLIENT_DONE;
	}
}

static void take_output(void)
{
	if (!body_said && smtp_client_body_room(client) > 0) {
		body_said = true;
		assert_ok(smtp_client_body(client, STR("Subject: x\r\n\r\nthe body\r\n"), 0));
		assert_ok(smtp_client_body_end(client, 0));
	}
	struct str out = smtp_client_output(client);
	assert_ok(buf_add(&sent, out));
	smtp_client_sent(client, out.n, 0);
}

static void hear(enum say what)
{
	struct str rest = str_of(words[what]);
	while (rest.n > 0 && !ended) {
		rest = str_from(rest, smtp_client_feed(client, rest, 0));
		take_events();
		ended = smtp_client_done(client);
	}
	if ((what == GONE || what == HALF) && !ended) {
		smtp_client_gone(client, STR("gone"));
		take_events();
		ended = true;
	}
}

static void start(const char *offers)
{
	static const struct smtp_client_rcpt rcpts[RCPTS] = { { .address = { "b@y.example", 11 } }, { .address = { "c@y.example", 11 } } };
	static const struct smtp_transaction transaction = { .sender = { "a@x.example", 11 }, .rcpts = rcpts, .n_rcpts = RCPTS };
	struct smtp_client_conf conf = { .ehlo = STR("client.example") };
	smtp_client_free(&client);
	client = smtp_client_new(&conf, 0);
	memset(told, 0, sizeof told);
	memset(outcomes, 0, sizeof outcomes);
	finished = 0;
	body_said = ended = false;
	for (unsigned i = 0; i < 2; i++) {
		struct str line = i == 0 ? STR("220 mx\r\n") : str_of(offers);
		assert_int_equal(smtp_client_feed(client, line, 0), line.n);
		take_events();
		smtp_client_sent(client, smtp_client_output(client).n, 0);
	}
	assert_ok(smtp_client_mail(client, &transaction, 0));
	buf_clear(&sent);
	take_output();
}

static bool is_yes(enum say what)
{
	return what == OK_250 || what == MANY_250;
}

static bool has_left(const char *text)
{
	size_t at;
	return str_find_str(buf_view(&sent), str_of(text), &at);
}

/* What must have become of each recipient, were these the replies, one to each command. */
static void judge(const enum say *says, unsigned n, bool chunks, bool whole_run)
{
	bool in_turn = n > 0 && is_yes(says[0]), any = false, never = false;
	for (unsigned i = 0; i < n; i++)
		never |= says[i] == NO_550;
	bool taken[RCPTS] = { false, false };
	for (unsigned i = 0; i < RCPTS && 1 + i < n; i++) {
		in_turn = in_turn && (is_yes(says[1 + i]) || says[1 + i] == LATER_450 || says[1 + i] == NO_550);
		taken[i] = in_turn && is_yes(says[1 + i]);
		any |= taken[i];
	}
	unsigned last = chunks ? 3 : 4; /* whose letter it is */
	bool content = n >= last && in_turn && any && (chunks || says[3] == GO_354);
	bool done = content && n > last && (is_yes(says[last]) || says[last] == TWO_250);
	assert_true(!has_left("the body") || content);
	assert_true(!(has_left("DATA") || has_left("BDAT")) || any);
	for (unsigned i = 0; i < RCPTS; i++) {
		if (!whole_run && told[i] == 0)
			continue;
		assert_int_equal(told[i], 1);
		assert_int_equal(outcomes[i] == OUTCOME_DONE, done && taken[i]);
		assert_true(outcomes[i] != OUTCOME_NEVER || never);
	}
	assert_int_equal(finished, whole_run ? 1 : finished);
}

static unsigned runs;

static void walk(bool chunks, enum say *says, unsigned n)
{
	for (unsigned what = 0; what < SAYS; what++) {
		says[n] = (enum say)what;
		start(chunks ? "250-mx\r\n250 CHUNKING\r\n" : "250 mx\r\n");
		for (unsigned i = 0; i <= n && !ended && finished == 0; i++) {
			hear(says[i]);
			if (!ended)
				take_output();
		}
		runs++;
		bool over = ended || finished > 0;
		judge(says, n + 1, chunks, over);
		if (over)
			continue;
		assert_true(n + 1 < REPLIES + 2);
		walk(chunks, says, n + 1);
	}
}

static void test_attack_06_every_order_of_replies(void **state)
{
	(void)state;
	enum say says[REPLIES + 3];
	runs = 0;
	walk(false, says, 0);
	walk(true, says, 0);
	print_message("# %u runs\n", runs);
	assert_true(runs > 1000);
}

static int open_all(void **state)
{
	(void)state;
	buf_init(&sent, 1 << 16);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	smtp_client_free(&client);
	buf_fini(&sent);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_attack_06_every_order_of_replies, open_all, close_all),
	};
	return cmocka_run_group_tests_name("reply_order", tests, NULL, NULL);
}
