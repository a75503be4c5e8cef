/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <string.h>

#include "mail/reply.h"

static const struct { struct smtp_reply reply; const char *wire, *bare, *line; } replies[] = {
	{ { 250, { 2, 1, 0 }, STR_INIT("Fine") }, "250 2.1.0 Fine\r\n", "250 Fine\r\n", "250 2.1.0 Fine" },
	{ { 250, { 2, 1, 0 }, STR_INIT("") }, "250 2.1.0\r\n", "250 \r\n", "250 2.1.0" },
	{ { 220, { 0, 0, 0 }, STR_INIT("mx ESMTP") }, "220 mx ESMTP\r\n", "220 mx ESMTP\r\n", "220 mx ESMTP" },
	{ { 550, { 5, 7, 1 }, STR_INIT("one\ntwo\nthree") }, "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n",
	  "550-one\r\n550-two\r\n550 three\r\n", "550 5.7.1 one / two / three" },
	{ { 250, { 0, 0, 0 }, STR_INIT("mx\nPIPELINING\n") }, "250-mx\r\n250 PIPELINING\r\n", "250-mx\r\n250 PIPELINING\r\n",
	  "250 mx / PIPELINING" },
	/* a class that is not the code's is never sent (RFC 2034 4) */
	{ { 354, { 2, 0, 0 }, STR_INIT("go") }, "354 go\r\n", "354 go\r\n", "354 2.0.0 go" },
	{ { 550, { 4, 7, 1 }, STR_INIT("no") }, "550 no\r\n", "550 no\r\n", "550 4.7.1 no" },
	/* nothing in the text can end a line or speak to a terminal */
	{ { 550, { 5, 1, 1 }, STR_INIT("a\r\nb\x1b[2J\x7f\tc") }, "550-5.1.1 a?\r\n550 5.1.1 b?[2J??c\r\n",
	  "550-a?\r\n550 b?[2J??c\r\n", "550 5.1.1 a? / b?[2J??c" },
	{ { 550, { 5, 1, 1 }, STR_INIT("gr\xc3\xbc") }, "550 5.1.1 gr\xc3\xbc\r\n", "550 gr\xc3\xbc\r\n", "550 5.1.1 gr\xc3\xbc" },
	{ { 550, { 5, 1, 1 }, STR_INIT("gr\xfc") }, "550 5.1.1 gr?\r\n", "550 gr?\r\n", "550 5.1.1 gr?" },
};

static void replies_on_the_wire_and_in_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(replies); i++) {
		struct buf out;
		buf_init(&out, 4096);
		assert_ok(reply_put(&out, &replies[i].reply, true));
		assert_str(buf_view(&out), replies[i].wire);
		buf_clear(&out);
		assert_ok(reply_put(&out, &replies[i].reply, false));
		assert_str(buf_view(&out), replies[i].bare);
		buf_clear(&out);
		assert_ok(reply_put_line(&out, &replies[i].reply));
		assert_str(buf_view(&out), replies[i].line);
		buf_fini(&out);
	}
	struct buf out;
	buf_init(&out, 100);
	assert_ok(reply_put_line(&out, &REPLY(0, 4, 4, 7, STR("too late"))));
	assert_str(buf_view(&out), "4.4.7 too late");
	buf_fini(&out);
}

static void no_line_passes_512(void **state)
{
	(void)state;
	static char text[600];
	memset(text, 'x', sizeof text);
	struct buf out;
	buf_init(&out, 4096);
	for (size_t n = 498; n <= 503; n++) {
		buf_clear(&out);
		assert_ok(reply_put(&out, &REPLY(250, 2, 0, 0, ((struct str){ text, n })), true));
		assert_int_equal(buf_view(&out).n, n <= 500 ? n + 12 : 512);
	}
	memcpy(text + 499, "\xc3\xbc", 2); /* what would be cut in the middle goes as a whole */
	buf_clear(&out);
	assert_ok(reply_put(&out, &REPLY(250, 2, 0, 0, ((struct str){ text, 501 })), true));
	assert_int_equal(buf_view(&out).n, 511);
	buf_fini(&out);
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 20);
	assert_ok(buf_add(&out, STR("kept")));
	assert_int_equal(reply_put(&out, &REPLY(250, 2, 0, 0, STR("a\nb")), true), F_LIMIT);
	assert_str(buf_view(&out), "kept");
	assert_int_equal(reply_put_line(&out, &REPLY(250, 2, 0, 0, STR("a long line of text"))), F_LIMIT);
	assert_str(buf_view(&out), "kept");
	buf_fini(&out);
}

static void classes(void **state)
{
	(void)state;
	static const struct { int code; enum outcome_class class; } rows[] = {
		{ 200, OUTCOME_DONE }, { 250, OUTCOME_DONE }, { 354, OUTCOME_DONE }, { 399, OUTCOME_DONE },
		{ 400, OUTCOME_LATER }, { 451, OUTCOME_LATER }, { 499, OUTCOME_LATER },
		{ 500, OUTCOME_NEVER }, { 599, OUTCOME_NEVER },
		{ 0, OUTCOME_LATER }, { 199, OUTCOME_LATER }, { 600, OUTCOME_LATER }, { -1, OUTCOME_LATER },
	};
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(reply_class(&(struct smtp_reply){ .code = rows[i].code }), rows[i].class);
}

static void status_codes_are_taken_whole_or_not(void **state)
{
	(void)state;
	static const struct { const char *in, *out, *rest; } rows[] = {
		{ "5.1.1", "5.1.1", "" }, { "2.0.0 ok", "2.0.0", " ok" }, { "4.999.999 x", "4.999.999", " x" },
		{ "4.7.1\tx", "4.7.1", "\tx" }, { "5.7.1: no", "5.7.1", ": no" },
		{ "3.1.1", NULL, NULL }, { "0.0.0", NULL, NULL }, { "5.1", NULL, NULL }, { "5.1.", NULL, NULL },
		{ "5.1.1.1", NULL, NULL }, { "5.1.1a", NULL, NULL }, { "5.1000.1", NULL, NULL }, { "5.01.1", NULL, NULL },
		{ "55.1.1", NULL, NULL }, { "", NULL, NULL }, { " 5.1.1", NULL, NULL }, { "192.0.2.1", NULL, NULL },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str rest = str_of(rows[i].in);
		struct status status = { 9, 9, 9 };
		bool got = status_take(&rest, &status);
		if (got != (rows[i].out != NULL))
			fail_msg("%s", rows[i].in);
		assert_str(rest, got ? rows[i].rest : rows[i].in);
		struct buf out;
		buf_init(&out, 20);
		assert_ok(status_put(&out, status));
		assert_str(buf_view(&out), got ? rows[i].out : "9.9.9");
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_on_the_wire_and_in_lists),
		cmocka_unit_test(no_line_passes_512),
		cmocka_unit_test(a_full_buffer_is_left_as_it_was),
		cmocka_unit_test(classes),
		cmocka_unit_test(status_codes_are_taken_whole_or_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
