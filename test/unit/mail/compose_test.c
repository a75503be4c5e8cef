/* SPDX-License-Identifier: ISC */
/* What local programs write, and the message that comes of it. */
#include "unit.h"

#include <string.h>

#include "mail/compose.h"

static struct arena *arena;
static struct str items[100];

static int setup(void **state)
{
	(void)state;
	arena = arena_new(8 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static const struct { const char *raw, *message; } messages[] = {
	{ "From: a@b\nSubject: x\n\nbody\n", "From: a@b\r\nSubject: x\r\n\r\nbody\r\n" },
	{ "From: a@b\r\nSubject: x\r\n\r\nbody\r\n", "From: a@b\r\nSubject: x\r\n\r\nbody\r\n" },
	{ "Subject: x\n folded\n\nbody", "Subject: x\r\n folded\r\nFrom: <me@example.org>\r\n\r\nbody\r\n" },
	{ "just text\nmore\n", "From: <me@example.org>\r\n\r\njust text\r\nmore\r\n" },
	{ "\nbody\n", "From: <me@example.org>\r\n\r\nbody\r\n" },
	{ "", "From: <me@example.org>\r\n\r\n" },
	{ "From: a@b", "From: a@b\r\n\r\n" },
	{ "From jada Fri Nov 20\nFrom: a@b\n\nx\n", "From: a@b\r\n\r\nx\r\n" },
	{ "From: a@b\nno field here\nTo: c@d\n\nx\n", "From: a@b\r\n\r\nno field here\r\nTo: c@d\r\n\r\nx\r\n" },
	{ " folded into nothing\n", "From: <me@example.org>\r\n\r\n folded into nothing\r\n" },
	/* cron(8) */
	{ "From: root (Cron Daemon)\nTo: root\nSubject: Cron\n\nx\n",
	  "From: root@example.org (Cron Daemon)\r\nTo: root@example.org\r\nSubject: Cron\r\n\r\nx\r\n" },
	{ "From: Jada <jada>\nTo: kim, \"Lee (x), y\" <lee> , a@b, Team: mo, c@[IPv6:::1];, \"q r\" (c)\n\n",
	  "From: Jada <jada@example.org>\r\nTo: kim@example.org, \"Lee (x), y\" <lee@example.org> , a@b, Team: mo@example.org, "
	  "c@[IPv6:::1];, \"q r\"@example.org (c)\r\n\r\n" },
	{ "From: a@b\nTo: John Smith\nCc: undisclosed-recipients:;\n\n",
	  "From: a@b\r\nTo: John Smith\r\nCc: undisclosed-recipients:;\r\n\r\n" },
	{ "From: a@b\nTo: kim,\n lee\n\n", "From: a@b\r\nTo: kim@example.org,\r\n lee@example.org\r\n\r\n" },
	/* no bare CR, no NUL leaves */
	{ "From: a@b\nSubject: 1\r2\n\n10%\r20%\rdone\n\r\r\n", "From: a@b\r\nSubject: 1 2\r\n\r\n10%\r\n20%\r\ndone\r\n\r\n" },
	/* a dot is text here, and Bcc stays */
	{ "From: a@b\nBcc: c@d\n\n.\n..\nx\n", "From: a@b\r\nBcc: c@d\r\n\r\n.\r\n..\r\nx\r\n" },
};

static fault compose(struct str raw, const struct compose_options *o, struct buf *out, struct recipients *r, struct why *why)
{
	*r = (struct recipients){ items, 0, COUNT(items) };
	why->text[0] = '\0';
	return compose_message(raw, o, arena, out, r, why);
}

static void messages_of_programs(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(messages); i++) {
		struct compose_options o = { .origin = STR("example.org"), .from = STR("me@example.org") };
		struct recipients r;
		struct buf out;
		struct why why;
		buf_init(&out, 1 << 20);
		assert_ok(compose(str_of(messages[i].raw), &o, &out, &r, &why));
		assert_str(buf_view(&out), messages[i].message);
		assert_int_equal(r.n, 0);
		buf_fini(&out);
	}
}

static void nul_is_dropped(void **state)
{
	(void)state;
	struct compose_options o = { .origin = STR("o") };
	struct recipients r;
	struct buf out;
	struct why why;
	buf_init(&out, 1 << 20);
	assert_ok(compose((struct str){ "X: a\0b\n\nc\0d\n", 12 }, &o, &out, &r, &why));
	assert_str(buf_view(&out), "X: ab\r\n\r\ncd\r\n");
	buf_fini(&out);
}

static const struct { const char *raw, *message, *rcpts; } taken[] = {
	{ "From: a@b\nTo: Kim <kim@x.example>, lee\nCc: lee@example.org\nBcc: secret@y.example\nSubject: x\n\nbody\n.\nmore\n",
	  "From: a@b\r\nTo: Kim <kim@x.example>, lee@example.org\r\nCc: lee@example.org\r\nSubject: x\r\n\r\nbody\r\n",
	  "kim@x.example lee@example.org secret@y.example" },
	{ "From: a@b\nTo: a@b\nResent-To: c@d\nResent-Bcc: e@f\n\n", "From: a@b\r\nTo: a@b\r\nResent-To: c@d\r\n\r\n", "c@d e@f" },
	{ "From: a@b\nbcc: x@y,\n z@y\n\n.\n", "From: a@b\r\n\r\n", "x@y z@y" },
	{ "From: a@b\n.\nTo: c@d\n", "From: a@b\r\n\r\n", "" },
	{ "From: a@b\nTo: undisclosed-recipients:;\n\nx", "From: a@b\r\nTo: undisclosed-recipients:;\r\n\r\nx\r\n", "" },
};

static void recipients_are_read_and_bcc_goes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(taken); i++) {
		struct compose_options o = { .origin = STR("Example.org"), .take_recipients = true, .dot_ends = true };
		struct recipients r;
		struct buf out, all;
		struct why why;
		buf_init(&out, 1 << 20);
		buf_init(&all, 1000);
		o.origin = STR("example.org");
		assert_ok(compose(str_of(taken[i].raw), &o, &out, &r, &why));
		assert_str(buf_view(&out), taken[i].message);
		for (size_t k = 0; k < r.n; k++)
			assert_ok(buf_addf(&all, "%s%.*s", k > 0 ? " " : "", STR_ARG(r.items[k])));
		assert_str(buf_view(&all), taken[i].rcpts);
		buf_fini(&out);
		buf_fini(&all);
	}
}

static void what_is_no_recipient_is_named(void **state)
{
	(void)state;
	struct compose_options o = { .origin = STR("o"), .take_recipients = true };
	struct recipients r;
	struct buf out;
	struct why why;
	buf_init(&out, 1 << 20);
	assert_int_equal(compose(STR("To: John Smith\n\n"), &o, &out, &r, &why), F_SYNTAX);
	assert_string_equal(why.text, "the header To is no list of addresses");
	assert_int_equal(compose_recipients(STR("a@b c@d"), STR("o"), arena, &r), F_SYNTAX);
	r.max = r.n + 2;
	assert_int_equal(compose_recipients(STR("a@b, c@d, e@f"), STR("o"), arena, &r), F_LIMIT);
	assert_ok(compose_recipients(STR("a@b, c@d"), STR("o"), arena, &r));
	buf_fini(&out);
}

static void a_missing_from_gets_the_full_name(void **state)
{
	(void)state;
	static const struct { struct str name; const char *line; } rows[] = {
		{ STR_INIT("Jada Doe"), "From: \"Jada Doe\" <me@x>\r\n\r\n" },
		{ STR_INIT("J \"x\" \\"), "From: \"J \\\"x\\\" \\\\\" <me@x>\r\n\r\n" },
		{ STR_INIT("J\xc3\xbcrgen"), "From: =?utf-8?B?SsO8cmdlbg==?= <me@x>\r\n\r\n" },
		{ STR_INIT("\xff"), "From: <me@x>\r\n\r\n" },
		{ STR_INIT(""), "From: <me@x>\r\n\r\n" },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct compose_options o = { .origin = STR("o"), .from = STR("me@x"), .full_name = rows[i].name };
		struct recipients r;
		struct buf out;
		struct why why;
		buf_init(&out, 1 << 20);
		assert_ok(compose(STR(""), &o, &out, &r, &why));
		assert_str(buf_view(&out), rows[i].line);
		buf_fini(&out);
	}
}

static void long_lines_are_broken_between_letters(void **state)
{
	(void)state;
	static char raw[5000];
	memcpy(raw, "Subject: ", 9);
	memset(raw + 9, 'x', 1991);
	raw[2000] = raw[2001] = '\n';
	for (size_t i = 2002; i < 4002; i += 2)
		memcpy(raw + i, "\xc3\xbc", 2);
	struct compose_options o = { .origin = STR("o") };
	struct recipients r;
	struct buf out;
	struct why why;
	buf_init(&out, 1 << 20);
	assert_ok(compose((struct str){ raw, 4002 }, &o, &out, &r, &why));
	struct str rest = buf_view(&out), line;
	struct header_field f;
	assert_ok(header_take(&rest, &f));
	assert_int_equal(header_take(&rest, &f), F_ABSENT);
	size_t letters = 0;
	for (struct str all = buf_view(&out); str_take_line(&all, &line);)
		assert_true(line.n <= 998);
	for (; str_take_line(&rest, &line); letters += line.n / 2)
		assert_true(str_is_utf8(line));
	assert_int_equal(letters, 1000);
	buf_fini(&out);
}

static void limits_are_told(void **state)
{
	(void)state;
	static char raw[HEADER_BYTES_MAX + 100];
	struct compose_options o = { .origin = STR("o") };
	struct recipients r;
	struct buf out;
	struct why why;
	memset(raw, 'x', sizeof raw);
	for (size_t i = 0; i < sizeof raw; i += 100)
		memcpy(raw + i, "\nX: ", 4);
	buf_init(&out, 4 << 20);
	assert_int_equal(compose((struct str){ raw + 1, sizeof raw - 1 }, &o, &out, &r, &why), F_LIMIT);
	assert_non_null(strstr(why.text, "headers"));
	buf_clear(&out);
	assert_ok(compose((struct str){ raw + 1, HEADER_BYTES_MAX * 9 / 10 }, &o, &out, &r, &why));
	buf_fini(&out);
	buf_init(&out, 20);
	assert_int_equal(compose(STR("X: y\n\na long enough text\n"), &o, &out, &r, &why), F_LIMIT);
	assert_string_equal(why.text, "the message is too large");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(messages_of_programs, setup, teardown),
		cmocka_unit_test_setup_teardown(nul_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(recipients_are_read_and_bcc_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_recipient_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(a_missing_from_gets_the_full_name, setup, teardown),
		cmocka_unit_test_setup_teardown(long_lines_are_broken_between_letters, setup, teardown),
		cmocka_unit_test_setup_teardown(limits_are_told, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
