/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "mail/envelope.h"

static const struct { const char *plain, *xtext; } both[] = {
	{ "", "" },
	{ "abc", "abc" },
	{ "a+b=c", "a+2Bb+3Dc" },
	{ "rfc822;a b@x.example", "rfc822;a+20b@x.example" },
	{ "gr\xc3\xbc", "gr+C3+BC" },
	{ "~!\"#$", "~!\"#$" },
};

static void what_is_encoded_can_be_decoded(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(both); i++) {
		struct buf out;
		buf_init(&out, 100);
		assert_ok(xtext_put(&out, str_of(both[i].plain)));
		assert_str(buf_view(&out), both[i].xtext);
		buf_clear(&out);
		assert_ok(xtext_get(&out, str_of(both[i].xtext)));
		assert_str(buf_view(&out), both[i].plain);
		buf_fini(&out);
	}
}

static void lower_case_digits_and_raw_utf8_are_understood(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 100);
	assert_ok(xtext_get(&out, STR("+2b+3d\xc3\xbc")));
	assert_str(buf_view(&out), "+=\xc3\xbc");
	buf_fini(&out);
}

static void bad_xtext_changes_nothing(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"x+0D+0ADATA", "+0A", "+00", "+7F", "\x7f", "+1F", "+4", "+", "a+", "+GG", "+4G", "a b", "a=b", "a\tb", "a\r\n",
		"+C3", "+FF", "\xff", "+E2+80", "+C3x",
	};
	struct buf out;
	buf_init(&out, 100);
	assert_ok(buf_add(&out, STR("kept")));
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (xtext_get(&out, str_of(bad[i])) != F_SYNTAX)
			fail_msg("%s was taken", bad[i]);
		assert_str(buf_view(&out), "kept");
	}
	assert_int_equal(xtext_get(&out, (struct str){ "a\0b", 3 }), F_SYNTAX);
	buf_fini(&out);
}

static void a_full_buffer_is_a_limit(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 6);
	assert_ok(xtext_put(&out, STR("a+==") ) == F_LIMIT ? OK : F_STATE);
	assert_str(buf_view(&out), "");
	assert_ok(xtext_put(&out, STR("+=")));      /* exactly six */
	assert_int_equal(xtext_put(&out, STR("a")), F_LIMIT);
	buf_clear(&out);
	assert_ok(xtext_get(&out, STR("+41bcdef"))); /* exactly six */
	buf_clear(&out);
	assert_int_equal(xtext_get(&out, STR("+41bcdefg")), F_LIMIT);
	assert_str(buf_view(&out), "");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_encoded_can_be_decoded),
		cmocka_unit_test(lower_case_digits_and_raw_utf8_are_understood),
		cmocka_unit_test(bad_xtext_changes_nothing),
		cmocka_unit_test(a_full_buffer_is_a_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
