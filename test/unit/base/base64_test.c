/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "base/base64.h"

static const struct { struct str plain; const char *coded; } both[] = {
	/* RFC 4648 10 */
	{ STR_INIT(""), "" }, { STR_INIT("f"), "Zg==" }, { STR_INIT("fo"), "Zm8=" }, { STR_INIT("foo"), "Zm9v" },
	{ STR_INIT("foob"), "Zm9vYg==" }, { STR_INIT("fooba"), "Zm9vYmE=" }, { STR_INIT("foobar"), "Zm9vYmFy" },
	{ STR_INIT("\0user\0pass"), "AHVzZXIAcGFzcw==" }, { STR_INIT("\xff\xff\xfe"), "///+" },
};

static void both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(both); i++) {
		struct buf out;
		buf_init(&out, 100);
		assert_ok(base64_put(&out, both[i].plain));
		assert_str(buf_view(&out), both[i].coded);
		buf_clear(&out);
		assert_ok(base64_get(&out, str_of(both[i].coded)));
		assert_true(str_eq(buf_view(&out), both[i].plain));
		buf_fini(&out);
	}
}

static void every_length_and_every_byte(void **state)
{
	(void)state;
	char bytes[256];
	for (size_t n = 0; n <= sizeof bytes; n++) {
		struct buf coded, plain;
		buf_init(&coded, 400);
		buf_init(&plain, 400);
		for (size_t i = 0; i < n; i++)
			bytes[i] = (char)(255 - i);
		assert_ok(base64_put(&coded, (struct str){ bytes, n }));
		assert_int_equal(buf_view(&coded).n, (n + 2) / 3 * 4);
		assert_ok(base64_get(&plain, buf_view(&coded)));
		assert_true(str_eq(buf_view(&plain), (struct str){ bytes, n }));
		buf_fini(&coded);
		buf_fini(&plain);
	}
}

static void one_spelling_only(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"Z", "Zg", "Zg=", "Zm9vY", "Zm9v\n", "Zm9 v", " Zm9v", "Zh==", "Zm9=", "Zg==Zg==", "====", "=", "Z===", "Zg=a", "Z=g=",
		"Zm-v", "Zm_v", "Zm9v====", "Zm9\xc3", "*", "=Zg=", "Zm\0v",
	};
	struct buf out;
	buf_init(&out, 100);
	assert_ok(buf_add(&out, STR("kept")));
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (base64_get(&out, str_of(bad[i])) != F_SYNTAX)
			fail_msg("%s was taken", bad[i]);
		assert_str(buf_view(&out), "kept");
	}
	assert_int_equal(base64_get(&out, (struct str){ "Zm\0v", 4 }), F_SYNTAX);
	buf_fini(&out);
}

static void room_to_the_byte(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 4);
	assert_int_equal(base64_put(&out, STR("foob")), F_LIMIT);
	assert_int_equal(base64_get(&out, STR("Zm9vYmE=")), F_LIMIT);
	assert_int_equal(hex_put(&out, STR("abc")), F_LIMIT);
	assert_int_equal(buf_view(&out).n, 0);
	assert_ok(base64_get(&out, STR("Zm9vYg==")));
	assert_str(buf_view(&out), "foob");
	buf_clear(&out);
	assert_ok(base64_put(&out, STR("foo")));
	buf_clear(&out);
	assert_ok(hex_put(&out, STR("\xab\x01")));
	assert_str(buf_view(&out), "ab01");
	buf_fini(&out);
}

static void hexadecimal_digits(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		int want = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		assert_int_equal(hex_digit((unsigned char)c), want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(every_length_and_every_byte),
		cmocka_unit_test(one_spelling_only),
		cmocka_unit_test(room_to_the_byte),
		cmocka_unit_test(hexadecimal_digits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
