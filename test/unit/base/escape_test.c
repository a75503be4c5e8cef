/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "base/escape.h"

enum { VALUE_MAX = 512 };

static void check_value(struct str value, enum escape_form form, const char *want)
{
	struct buf out;
	buf_init(&out, 4096);
	assert_int_equal(escape_put(&out, value, form, VALUE_MAX), OK);
	assert_int_equal(buf_add_char(&out, '\0'), OK);
	assert_string_equal(buf_view(&out).p, want);
	buf_fini(&out);
}

static void values_are_harmless(void **state)
{
	(void)state;
	const struct { struct str value; const char *text, *json; } rows[] = {
		{ STR("plain"), "plain", "\"plain\"" },
		{ STR("a=b,<c>@d[1]:25"), "a=b,<c>@d[1]:25", "\"a=b,<c>@d[1]:25\"" },
		{ STR_NONE, "\"\"", "\"\"" },
		{ STR("two words"), "\"two words\"", "\"two words\"" },
		{ STR("say \"x\""), "\"say \\\"x\\\"\"", "\"say \\\"x\\\"\"" },
		{ STR("\\x41"), "\"\\\\x41\"", "\"\\\\x41\"" },
		{ STR("a\r\nb"), "\"a\\x0d\\x0ab\"", "\"a\\u000d\\u000ab\"" },
		{ STR("a\0b"), "\"a\\x00b\"", "\"a\\u0000b\"" },
		{ STR("x\x1b]0;evil\x07"), "\"x\\x1b]0;evil\\x07\"", "\"x\\u001b]0;evil\\u0007\"" },
		{ STR("\x7f"), "\"\\x7f\"", "\"\\u007f\"" },
		{ STR("caf\xc3\xa9"), "\"caf\xc3\xa9\"", "\"caf\xc3\xa9\"" },
		{ STR("\xe2\x82\xac \xf0\x9f\x93\xae"), "\"\xe2\x82\xac \xf0\x9f\x93\xae\"", "\"\xe2\x82\xac \xf0\x9f\x93\xae\"" },
		{ STR("\xff\xc3"), "\"\\xff\\xc3\"", "\"\\\\xff\\\\xc3\"" },
		{ STR("\xc0\xae"), "\"\\xc0\\xae\"", "\"\\\\xc0\\\\xae\"" },                        /* overlong */
		{ STR("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"", "\"\\\\xed\\\\xa0\\\\x80\"" },        /* surrogate */
		{ STR("\xe2\x80\xae" "gpj.exe"), "\"\\xe2\\x80\\xaegpj.exe\"", "\"\\u202egpj.exe\"" }, /* U+202E */
		{ STR("\xe2\x81\xa6x"), "\"\\xe2\\x81\\xa6x\"", "\"\\u2066x\"" },
		{ STR("\xc2\x9b" "31m"), "\"\\xc2\\x9b31m\"", "\"\\u009b31m\"" },                   /* C1 CSI */
		{ STR("\xe2\x80\xa8x"), "\"\\xe2\\x80\\xa8x\"", "\"\\u2028x\"" },                   /* line separator */
		{ STR("\xef\xbb\xbfx"), "\"\\xef\\xbb\\xbfx\"", "\"\\ufeffx\"" },
		{ STR("\xf3\xa0\x81\x81"), "\"\\xf3\\xa0\\x81\\x81\"", "\"\\udb40\\udc41\"" },      /* a tag */
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		check_value(rows[i].value, ESCAPE_WORD, rows[i].text);
		check_value(rows[i].value, ESCAPE_JSON, rows[i].json);
	}
}

static void values_end_at_their_limit(void **state)
{
	(void)state;
	char bytes[VALUE_MAX + 1];
	struct buf out;
	memset(bytes, 'x', sizeof bytes);
	buf_init(&out, 4096);
	assert_int_equal(escape_put(&out, (struct str){ bytes, VALUE_MAX }, ESCAPE_WORD, VALUE_MAX), OK);
	assert_int_equal(buf_view(&out).n, VALUE_MAX);
	buf_clear(&out);
	assert_int_equal(escape_put(&out, (struct str){ bytes, VALUE_MAX + 1 }, ESCAPE_WORD, VALUE_MAX), OK);
	assert_int_equal(buf_view(&out).n, VALUE_MAX + 5);
	assert_true(str_ends_nocase(buf_view(&out), STR("x...\"")));
	buf_clear(&out);
	bytes[VALUE_MAX - 1] = '\x1b'; /* an escape is never cut */
	assert_int_equal(escape_put(&out, (struct str){ bytes, VALUE_MAX }, ESCAPE_WORD, VALUE_MAX), OK);
	assert_true(str_ends_nocase(buf_view(&out), STR("xx...\"")));
	buf_clear(&out);
	memset(bytes, '\xff', sizeof bytes);
	assert_int_equal(escape_put(&out, (struct str){ bytes, sizeof bytes }, ESCAPE_JSON, VALUE_MAX), OK);
	assert_true(buf_view(&out).n <= VALUE_MAX + 5);
	buf_fini(&out);
}

static void without_room_nothing_is_put(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 8);
	assert_int_equal(escape_put(&out, STR("a b c"), ESCAPE_WORD, VALUE_MAX), OK);
	buf_clear(&out);
	assert_int_equal(escape_put(&out, STR("a b c d"), ESCAPE_WORD, VALUE_MAX), F_LIMIT);
	assert_int_equal(buf_view(&out).n, 0);
	buf_fini(&out);
}

/* Every pair of bytes comes back as it was, and the word ends where it should. */
static void what_is_put_can_be_taken(void **state)
{
	(void)state;
	struct buf out, back;
	buf_init(&out, 64);
	buf_init(&back, 64);
	for (unsigned c = 0; c < 0x10000; c++) {
		char bytes[2] = { (char)(c >> 8), (char)(c & 0xff) };
		struct str value = { bytes, 2 }, raw;
		buf_clear(&out);
		buf_clear(&back);
		assert_int_equal(escape_put(&out, value, ESCAPE_WORD, VALUE_MAX), OK);
		assert_int_equal(buf_add(&out, STR(" next")), OK);
		struct str rest = buf_view(&out);
		assert_int_equal(escape_take_word(&rest, &raw), OK);
		assert_true(str_eq(rest, STR(" next")));
		assert_int_equal(escape_undo(&back, raw), OK);
		if (!str_eq(buf_view(&back), value))
			fail_msg("bytes %04x: %.*s", c, STR_ARG(buf_view(&out)));
	}
	buf_fini(&out);
	buf_fini(&back);
}

static void broken_words_are_none(void **state)
{
	(void)state;
	const struct str torn[] = { STR("\""), STR("\"abc"), STR("\"abc\\\""), STR("\"a\"b"), STR("\"a\\") };
	const struct str wrong[] = { STR("\"\\y\""), STR("\"\\x4\""), STR("\"\\x4g\""), STR("\"\\xAA\"") };
	struct str raw;
	struct buf out;
	buf_init(&out, 64);
	for (size_t i = 0; i < COUNT(torn); i++) {
		struct str rest = torn[i];
		assert_int_equal(escape_take_word(&rest, &raw), F_SYNTAX);
		assert_true(str_eq(rest, torn[i]));
	}
	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_int_equal(escape_undo(&out, wrong[i]), F_SYNTAX);
		assert_int_equal(buf_view(&out).n, 0);
	}
	buf_fini(&out);
}

/* Without quotes: only what deceives is written otherwise; as JSON the value stays what it is. */
static void text_is_harmless_without_quotes(void **state)
{
	(void)state;
	const struct { struct str text; enum escape_form form; bool lines; const char *want; } cases[] = {
		{ STR("say \"no\\\" \xc3\xa4"), ESCAPE_WORD, false, "say \"no\\\" \xc3\xa4" },
		{ STR("a\x1b[2Jb\nc\td"), ESCAPE_WORD, false, "a\\x1b[2Jb\\x0ac\\x09d" },
		{ STR("a\x1b[2Jb\nc\td\r"), ESCAPE_WORD, true, "a\\x1b[2Jb\nc\td\\x0d" },
		{ STR("\xc2\x9b\xe2\x80\xae\xff"), ESCAPE_WORD, true, "\\xc2\\x9b\\xe2\\x80\\xae\\xff" },
		{ STR("{\"a\":\"\xc2\x9b\xe2\x80\xae\\n\"}"), ESCAPE_JSON, false, "{\"a\":\"\\u009b\\u202e\\n\"}" },
	};
	struct buf out;
	buf_init(&out, 64);
	for (size_t i = 0; i < COUNT(cases); i++) {
		buf_clear(&out);
		assert_int_equal(escape_put_text(&out, cases[i].text, cases[i].form, cases[i].lines), OK);
		if (!str_eq(buf_view(&out), str_of(cases[i].want)))
			fail_msg("%zu: %.*s", i, STR_ARG(buf_view(&out)));
	}
	buf_fini(&out);
	buf_init(&out, 5);
	assert_int_equal(escape_put_text(&out, STR("ab\x1b"), ESCAPE_WORD, false), F_LIMIT);
	assert_int_equal(buf_view(&out).n, 0);
	assert_int_equal(escape_put_text(&out, STR("a\x1b"), ESCAPE_WORD, false), OK);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_harmless),
		cmocka_unit_test(values_end_at_their_limit),
		cmocka_unit_test(without_room_nothing_is_put),
		cmocka_unit_test(what_is_put_can_be_taken),
		cmocka_unit_test(broken_words_are_none),
		cmocka_unit_test(text_is_harmless_without_quotes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
