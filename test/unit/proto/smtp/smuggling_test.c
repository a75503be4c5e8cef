/* SPDX-License-Identifier: ISC */
/*
 * SMTP smuggling, without leaving anything out: every short text of line ends, dots and NULs as content, in DATA and in chunks, into the
 * server core and out of the client core. What is right is said a second time here, in another way: the end is the first
 * CRLF . CRLF that a search finds, and a text is clean if no CR, LF or NUL is left once every CRLF is taken away.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/smtp/client.h"
#include "proto/smtp/server.h"

enum { TEXT_MAX = 400 };

struct text { char p[TEXT_MAX]; size_t n; };

static struct smtp_server *server;
static struct smtp_client *client;
static struct text content;  /* what the server's owner was given for the message under way */
static struct text accepted; /* all messages that were accepted, one behind the other */
static unsigned letters, mails;
static struct buf replies;

static int open_all(void **state)
{
	(void)state;
	buf_init(&replies, 1 << 20);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	smtp_server_free(&server);
	smtp_client_free(&client);
	buf_fini(&replies);
	return 0;
}

static void put(struct text *t, struct str bytes)
{
	assert_true(t->n + bytes.n <= TEXT_MAX);
	if (bytes.n > 0)
		memcpy(t->p + t->n, bytes.p, bytes.n);
	t->n += bytes.n;
}

static struct str view(const struct text *t)
{
	return (struct str){ t->p, t->n };
}

/* ---- the text with this number: the digits of the number, in this alphabet ---- */

static struct str nth_text(size_t number, const char *alphabet, size_t letters_n, char out[static 16])
{
	size_t n = 0, block = 1;
	while (number >= block) {
		number -= block;
		block *= letters_n;
		n++;
	}
	for (size_t i = 0; i < n; i++, number /= letters_n)
		out[i] = alphabet[number % letters_n];
	return (struct str){ out, n };
}

static size_t texts_up_to(size_t length, size_t letters_n)
{
	size_t sum = 0, block = 1;
	for (size_t i = 0; i <= length; i++, block *= letters_n)
		sum += block;
	return sum;
}

/* ---- what is right ---- */

static bool is_clean(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n')
			i++;
		else if (text.p[i] == '\r' || text.p[i] == '\n' || text.p[i] == '\0')
			return false;
	}
	return true;
}

/* Where the message in this stream ends: the octets before its final dot, and those up to behind its CRLF. The stream
 * follows the CRLF of DATA, so a dot may be its very first octet. */
static void find_end(struct str stream, size_t *before_dot, size_t *behind)
{
	char all[TEXT_MAX] = "\r\n";
	memcpy(all + 2, stream.p, stream.n);
	const char *end = memmem(all, stream.n + 2, "\r\n.\r\n", 5);
	assert_non_null(end);
	*before_dot = (size_t)(end - all);
	*behind = *before_dot + 3;
}

static struct str unstuff(struct str text, struct text *out)
{
	out->n = 0;
	for (size_t i = 0; i < text.n; i++) {
		bool starts = i == 0 || text.p[i - 1] == '\n';
		if (!(starts && text.p[i] == '.'))
			put(out, str_sub(text, i, 1));
	}
	return view(out);
}

/* ---- the server ---- */

static void new_server(void)
{
	struct smtp_server_conf conf = smtp_server_conf_usual();
	conf.hostname = STR("mx1.example.org");
	conf.errors_max = conf.idle_commands_max = 1000;
	smtp_server_free(&server);
	server = smtp_server_new(&conf, 0);
	smtp_server_greet(server);
	letters = mails = 0;
	accepted.n = 0;
	buf_clear(&replies);
}

static void drain(void)
{
	struct smtp_event e;
	while (smtp_server_next(server, &e)) {
		if (e.kind == SMTP_MAIL)
			mails++;
		if (e.kind == SMTP_DATA_BEGIN)
			content.n = 0;
		if (e.kind == SMTP_BODY)
			put(&content, e.u.body);
		if (e.kind == SMTP_BODY_END) {
			letters++;
			put(&accepted, view(&content));
		}
		if (e.kind <= SMTP_BODY_END)
			smtp_server_answer_ok(server);
	}
	struct str out = smtp_server_output(server);
	assert_ok(buf_add(&replies, out));
	smtp_server_sent(server, out.n);
}

static void say(struct str bytes, size_t at_a_time)
{
	while (bytes.n > 0 && !smtp_server_done(server)) {
		struct str piece = str_sub(bytes, 0, at_a_time);
		bytes = str_from(bytes, smtp_server_feed(server, piece, 0));
		drain();
	}
}

static void to_the_content(void)
{
	new_server();
	say(STR("EHLO a.example\r\n"), SIZE_MAX);
	say(STR("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n"), SIZE_MAX);
	buf_clear(&replies);
}

static void judge_data(struct str text, size_t at_a_time)
{
	static struct text stream, plain;
	size_t before_dot, behind;
	stream.n = 0;
	put(&stream, text);
	put(&stream, STR("MAIL FROM:<evil@x.example>\r\nRCPT TO:<v@y.example>\r\n.\r\nNOOP\r\n"));
	find_end(view(&stream), &before_dot, &behind);
	bool clean = is_clean(str_sub(view(&stream), 0, before_dot));
	bool all_of_it = behind == stream.n - strlen("NOOP\r\n");

	to_the_content();
	say(STR("DATA\r\n"), SIZE_MAX);
	buf_clear(&replies);
	say(str_sub(view(&stream), 0, behind - 1), at_a_time);
	if (smtp_server_done(server) || buf_view(&replies).n > 0)
		fail_msg("answered before its end");
	say(str_from(view(&stream), behind - 1), at_a_time);
	if (letters != (clean ? 1 : 0) || smtp_server_done(server) == clean)
		fail_msg("taken for %u messages", letters);
	if (clean && !str_eq(view(&accepted), unstuff(str_sub(view(&stream), 0, before_dot), &plain)))
		fail_msg("another content");
	if (!clean)
		assert_str(buf_view(&replies), "550 5.6.11 The message holds a bare CR, a bare LF or a NUL: lines end with CR LF\r\n");
	if (mails != 1 && !(clean && !all_of_it && mails == 2))
		fail_msg("%u senders were named", mails);
}

/* A CRLF . CRLF of the text itself does end the message: then what follows is commands, as it must be. */
static void test_attack_01_every_short_text_in_data(void **state)
{
	(void)state;
	char room[16];
	for (size_t i = 0; i < texts_up_to(6, 4); i++) {
		struct str text = nth_text(i, "\r\n.x", 4, room);
		judge_data(text, SIZE_MAX);
		judge_data(text, 1);
	}
	for (size_t i = 0; i < texts_up_to(5, 6); i++)
		judge_data(nth_text(i, "\r\n.x\0 ", 6, room), i % 2 == 0 ? 1 : SIZE_MAX);
}

static void test_attack_01_published_ends_at_every_cut(void **state)
{
	const struct str ends[] = {
		STR("\n.\n"), STR("\n.\r\n"), STR("\n.\r"), STR("\r.\r"), STR("\r.\n"), STR("\r.\r\n"), STR("\r\n.\n"), STR("\r\n.\r"),
		STR("\r\n\0.\r\n"), STR("\r\n.\0\r\n"), STR("\r\r\n.\r\r\n"), STR("\r\n.\r\r\n"), STR("\r\n .\r\n"), STR("\r\n..\r\n"),
		STR("\n\r.\r\n"), STR("\n\n.\r\n"), STR("\r\n.\n\r\n"), STR("\r\n\x85.\x85"), STR("\r\n\x0b.\r\n"), STR("\r\n.\x0c\r\n"),
	};
	(void)state;
	for (size_t i = 0; i < COUNT(ends); i++) {
		static struct text text;
		text.n = 0;
		put(&text, STR("body"));
		put(&text, ends[i]);
		for (size_t at_a_time = 1; at_a_time <= text.n + 20; at_a_time++)
			judge_data(view(&text), at_a_time);
	}
}

/* The same octets as chunks: nothing in them is an end, and what is not clean is refused as a whole. */
static void judge_chunks(struct str text, size_t cut)
{
	static struct text stream;
	char words[64];
	to_the_content();
	stream.n = 0;
	if (cut > 0) {
		(void)snprintf(words, sizeof words, "BDAT %zu\r\n", cut);
		put(&stream, str_of(words));
		put(&stream, str_sub(text, 0, cut));
	}
	(void)snprintf(words, sizeof words, "BDAT %zu LAST\r\n", text.n - cut);
	put(&stream, str_of(words));
	put(&stream, str_from(text, cut));
	put(&stream, STR("NOOP\r\n"));
	say(view(&stream), cut % 2 == 0 ? SIZE_MAX : 1);

	struct text whole = { .n = 0 };
	put(&whole, text);
	if (text.n > 0 && text.p[text.n - 1] != '\n')
		put(&whole, STR("\r\n"));
	if (letters != is_clean(text) || (letters == 1 && !str_eq(view(&accepted), view(&whole))))
		fail_msg("taken for %u messages, or another content", letters);
	assert_int_equal(mails, 1);
	assert_true(str_ends_nocase(buf_view(&replies), STR("250 2.0.0 Ok\r\n"))); /* to the NOOP, and nothing was read as a command */
}

static void test_attack_01_every_short_text_in_chunks(void **state)
{
	(void)state;
	char room[16];
	for (size_t i = 0; i < texts_up_to(6, 4); i++) {
		struct str text = nth_text(i, "\r\n.x", 4, room);
		for (size_t cut = 0; cut <= text.n; cut++)
			judge_chunks(text, cut);
	}
	for (size_t i = 0; i < texts_up_to(4, 6); i++)
		judge_chunks(nth_text(i, "\r\n.x\0 ", 6, room), 0);
}

/* ---- the client ---- */

static void feed_client(const char *bytes)
{
	struct smtp_client_event e;
	struct str rest = str_of(bytes);
	do {
		rest = str_from(rest, smtp_client_feed(client, rest, 0));
		while (smtp_client_next(client, &e))
			;
	} while (rest.n > 0 && !smtp_client_done(client));
}

static void forget_output(void)
{
	smtp_client_sent(client, smtp_client_output(client).n, 0);
}

static void client_to_the_content(bool chunks)
{
	static const struct smtp_client_rcpt rcpt = { .address = { "b@y.example", 11 } };
	static const struct smtp_transaction transaction = { .sender = { "a@x.example", 11 }, .rcpts = &rcpt, .n_rcpts = 1 };
	struct smtp_client_conf conf = { .ehlo = STR("client.example") };
	smtp_client_free(&client);
	client = smtp_client_new(&conf, 0);
	feed_client("220 mx\r\n");
	forget_output();
	feed_client(chunks ? "250-mx\r\n250 CHUNKING\r\n" : "250 mx\r\n");
	assert_ok(smtp_client_mail(client, &transaction, 0));
	for (unsigned i = 0; i < 3 && smtp_client_body_room(client) == 0; i++) {
		forget_output();
		feed_client(i < 2 ? "250 Ok\r\n" : "354 Go\r\n");
	}
	forget_output();
	assert_true(smtp_client_body_room(client) > 0);
}

/* Gives the text in two pieces. True if the client took it and said its end. */
static bool give(struct str text, size_t cut)
{
	return smtp_client_body(client, str_sub(text, 0, cut), 0) == OK && smtp_client_body(client, str_from(text, cut), 0) == OK &&
	       smtp_client_body_end(client, 0) == OK;
}

static void test_attack_02_nothing_bare_leaves(void **state)
{
	(void)state;
	char room[16];
	for (size_t i = 0; i < 2 * texts_up_to(5, 4); i++) {
		struct str text = nth_text(i / 2, "\r\n.x", 4, room);
		for (size_t cut = 0; cut <= text.n; cut++) {
			client_to_the_content(i % 2 == 1);
			bool ended = give(text, cut);
			if (ended != is_clean(text))
				fail_msg("%s", ended ? "a text with a bare CR or LF left" : "a clean text was refused");
			struct str out = smtp_client_output(client);
			for (size_t j = 0; j < out.n; j++)
				if ((out.p[j] == '\r') != (j + 1 < out.n && out.p[j + 1] == '\n'))
					fail_msg("a bare CR or LF left");
			if (!ended) {
				struct str end = STR("\r\n.\r\n");
				assert_false(str_eq(out, STR(".\r\n")) || str_ends_nocase(out, end) || str_ends_nocase(out, STR(" LAST\r\n")));
				assert_true(smtp_client_body_room(client) == 0);
			}
		}
	}
}

/* What the client writes is one message for the server, and the same one. */
static void test_attack_03_what_leaves_is_one_message(void **state)
{
	(void)state;
	char room[16];
	unsigned clean = 0;
	for (size_t i = 0; i < texts_up_to(7, 4); i++) {
		struct str text = nth_text(i, "\r\n.x", 4, room);
		if (!is_clean(text))
			continue;
		for (unsigned chunks = 0; chunks < 2; chunks++) {
			client_to_the_content(chunks);
			assert_true(give(text, text.n / 2));
			to_the_content();
			if (!chunks)
				say(STR("DATA\r\n"), SIZE_MAX);
			say(smtp_client_output(client), 1 + i % 7);
			say(STR("NOOP\r\n"), SIZE_MAX);
			struct text whole = { .n = 0 };
			put(&whole, text);
			if (text.n > 0 && text.p[text.n - 1] != '\n')
				put(&whole, STR("\r\n"));
			assert_int_equal(letters, 1);
			assert_int_equal(mails, 1);
			assert_true(str_eq(view(&accepted), view(&whole)));
			assert_false(smtp_server_done(server));
		}
		clean++;
	}
	assert_true(clean > 300);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
	const struct CMUnitTest tests[] = {
		TEST(test_attack_01_every_short_text_in_data),
		TEST(test_attack_01_published_ends_at_every_cut),
		TEST(test_attack_01_every_short_text_in_chunks),
		TEST(test_attack_02_nothing_bare_leaves),
		TEST(test_attack_03_what_leaves_is_one_message),
	};
	return cmocka_run_group_tests_name("smuggling", tests, NULL, NULL);
}
