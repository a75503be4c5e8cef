/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "base/fault.h"

static void slices(void **state)
{
	(void)state;
	struct str s = STR("hello");
	assert_str(str_sub(s, 1, 3), "ell");
	assert_str(str_sub(s, 1, 99), "ello");
	assert_str(str_sub(s, 5, 1), "");
	assert_str(str_sub(s, 99, 99), "");
	assert_str(str_sub(s, 1, SIZE_MAX), "ello");
	assert_str(str_from(s, 2), "llo");
	assert_str(str_from(STR_NONE, 2), "");
	assert_str(str_trim(STR(" \t a b\t ")), "a b");
	assert_str(str_trim(STR(" \t ")), "");
	assert_str(str_trim(STR("\r\n")), "\r\n"); /* only blanks */
	assert_null(str_of(NULL).p);
}

static void comparing(void **state)
{
	(void)state;
	assert_true(str_eq(STR_NONE, STR("")));
	assert_true(str_eq(STR("a"), STR("a")));
	assert_false(str_eq(STR("a"), STR("A")));
	assert_false(str_eq(STR("a"), STR("ab")));
	assert_true(str_eq_nocase(STR("aZ[{"), STR("Az[{")));
	assert_false(str_eq_nocase(STR("["), STR("{")));    /* 32 apart, but no letters */
	assert_false(str_eq_nocase(STR("@"), STR("`")));
	assert_false(str_eq_nocase(STR("\xc4"), STR("\xe4"))); /* ASCII case only */
	assert_true(str_order(STR("a"), STR("b")) < 0);
	assert_true(str_order(STR("ab"), STR("a")) > 0);
	assert_true(str_order(STR_NONE, STR("")) == 0);
	assert_true(str_order(STR("\x7f"), STR("\x80")) < 0);
	assert_true(str_starts(STR("abc"), STR("ab")));
	assert_true(str_starts(STR("abc"), STR("")));
	assert_false(str_starts(STR("ab"), STR("abc")));
	assert_true(str_starts_nocase(STR("ABc"), STR("ab")));
	assert_true(str_ends_nocase(STR("x.ORG"), STR(".org")));
	assert_false(str_ends_nocase(STR("org"), STR(".org")));
}

static void finding(void **state)
{
	(void)state;
	size_t at = 99;
	assert_true(str_find(STR("a.b.c"), '.', &at));
	assert_int_equal(at, 1);
	assert_true(str_rfind(STR("a.b.c"), '.', &at));
	assert_int_equal(at, 3);
	assert_false(str_find(STR("abc"), '.', &at));
	assert_false(str_rfind(STR_NONE, '.', &at));
	assert_int_equal(at, 3);
	assert_true(str_find((struct str){ "a\0b", 3 }, 'b', &at));
	assert_int_equal(at, 2);
	assert_true(str_find_str(STR("xxab"), STR("ab"), &at));
	assert_int_equal(at, 2);
	assert_false(str_find_str(STR("xxa"), STR("ab"), &at));
	assert_false(str_find_str(STR("xx"), STR(""), &at));
	assert_true(str_has(STR("a b"), ' '));
}

static void utf8_is_judged_by_the_table(void **state)
{
	(void)state;
	static const char *const good[] = { "", "abc", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
	                                    "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };
	static const char *const bad[] = {
		"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2x", "\xe0\x9f\xbf", "\xe0\xa0", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xe2\x82", "\xf0\x90\x80", "\xe2\x28\xa1",
	};
	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(str_is_utf8(str_of(good[i])));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(str_is_utf8(str_of(bad[i])));
	assert_true(str_is_ascii(STR(" ~")));
	assert_false(str_is_ascii(STR("\x1f")));
	assert_false(str_is_ascii(STR("\x7f")));
	assert_false(str_is_ascii(STR("\x80")));
}

static void cut_between_characters(void **state)
{
	(void)state;
	struct str text = STR("a\xc3\xa9\xe2\x82\xac"); /* of one, two and three octets */
	static const size_t left[] = { 0, 1, 1, 3, 3, 3, 6, 6 };
	for (size_t max = 0; max < COUNT(left); max++)
		assert_int_equal(str_cut_utf8(text, max).n, left[max]);
	assert_ptr_equal(str_cut_utf8(text, 3).p, text.p);
	assert_int_equal(str_cut_utf8(STR("\x82\x82\x82"), 2).n, 0);
}

static void taking_consumes_or_leaves_alone(void **state)
{
	(void)state;
	struct str rest = STR("MAIL from:<a>  b\tc\r\nnext\n"), got = STR("old");
	assert_false(str_take(&rest, STR("mail")));
	assert_true(str_take_nocase(&rest, STR("mail")));
	assert_false(str_take_char(&rest, 'f'));
	assert_true(str_take_char(&rest, ' '));
	assert_true(str_take(&rest, STR("from:")));
	assert_false(str_take_until(&rest, '#', &got));
	assert_str(got, "old");
	assert_true(str_take_until(&rest, '>', &got));
	assert_str(got, "<a");
	assert_true(str_take_word(&rest, &got));
	assert_str(got, "b");
	assert_true(str_take_line(&rest, &got));
	assert_str(got, "\tc");
	assert_true(str_take_line(&rest, &got));
	assert_str(got, "next");
	assert_false(str_take_line(&rest, &got));
	assert_false(str_take_word(&rest, &got));
	assert_false(str_take_char(&rest, 'x'));
	rest = STR("no end");
	assert_false(str_take_line(&rest, &got));
	assert_str(rest, "no end");
	rest = STR("a\r\n\nno end");
	assert_true(str_next_line(&rest, &got));
	assert_str(got, "a");
	assert_true(str_next_line(&rest, &got));
	assert_str(got, "");
	assert_true(str_next_line(&rest, &got));
	assert_str(got, "no end");
	assert_false(str_next_line(&rest, &got));
	rest = STR("  \t");
	assert_false(str_take_word(&rest, &got));
	assert_str(rest, "  \t");
}

static void numbers_to_the_last_one(void **state)
{
	(void)state;
	static const struct { const char *in; bool ok; uint64_t value; const char *rest; } rows[] = {
		{ "0", true, 0, "" }, { "007", true, 7, "" }, { "12x", true, 12, "x" },
		{ "18446744073709551615", true, UINT64_MAX, "" },
		{ "18446744073709551614 ", true, UINT64_MAX - 1, " " },
		{ "18446744073709551616", false, 0, NULL }, { "99999999999999999999", false, 0, NULL },
		{ "00000000000000000001", true, 1, "" },      /* twenty digits */
		{ "000000000000000000001", false, 0, NULL },  /* twenty-one */
		{ "", false, 0, NULL }, { "-1", false, 0, NULL }, { "+1", false, 0, NULL }, { " 1", false, 0, NULL },
		{ "0x10", true, 0, "x10" },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str rest = str_of(rows[i].in);
		uint64_t value = 77;
		assert_int_equal(str_take_u64(&rest, &value), rows[i].ok);
		assert_true(value == (rows[i].ok ? rows[i].value : 77));
		assert_str(rest, rows[i].ok ? rows[i].rest : rows[i].in);
		assert_int_equal(str_u64(str_of(rows[i].in), &value), rows[i].ok && rows[i].rest[0] == '\0');
	}
}

static void faults_have_names_and_reasons_are_cut(void **state)
{
	(void)state;
	for (int f = OK; f <= F_SYS; f++)
		assert_false(str_eq(str_of(fault_name((fault)f)), STR("unknown")));
	assert_str(str_of(fault_name((fault)99)), "unknown");
	struct why why;
	assert_int_equal(why_say(&why, F_DENIED, "%s", "no"), F_DENIED);
	assert_str(str_of(why.text), "no");
	assert_int_equal(why_say(NULL, F_BUSY, "%s", "no"), F_BUSY);
	assert_int_equal(why_say(&why, F_SYS, "%0600d", 1), F_SYS);
	assert_int_equal(str_of(why.text).n, sizeof why.text - 1);
}

static void kept_copies_outlive_their_source(void **state)
{
	(void)state;
	char text[] = "abc";
	struct str kept = str_keep((struct str){ text, 2 }), empty = str_keep(STR_NONE);
	text[0] = 'x';
	assert_true(str_eq(kept, STR("ab")));
	assert_int_equal(kept.p[2], '\0');
	assert_string_equal(empty.p, "");
	assert_int_equal(empty.n, 0);
	str_release(&kept);
	str_release(&kept); /* nothing is left to release */
	assert_null(kept.p);
	str_release(&empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices),
		cmocka_unit_test(comparing),
		cmocka_unit_test(finding),
		cmocka_unit_test(utf8_is_judged_by_the_table), cmocka_unit_test(cut_between_characters),
		cmocka_unit_test(taking_consumes_or_leaves_alone),
		cmocka_unit_test(numbers_to_the_last_one),
		cmocka_unit_test(faults_have_names_and_reasons_are_cut),
		cmocka_unit_test(kept_copies_outlive_their_source),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
