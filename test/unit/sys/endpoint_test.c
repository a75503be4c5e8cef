/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "sys/socket.h"

static void good_text_comes_back_as_it_went_in(void **state)
{
	(void)state;
	static const struct { const char *text, *back, *literal; } rows[] = {
		{ "192.0.2.1:25", NULL, "192.0.2.1" },
		{ "0.0.0.0:0", NULL, "0.0.0.0" },
		{ "255.255.255.255:65535", NULL, "255.255.255.255" },
		{ "[2001:db8::1]:25", NULL, "IPv6:2001:db8::1" },
		{ "[2001:DB8:0::01]:25", "[2001:db8::1]:25", "IPv6:2001:db8::1" },
		{ "[::]:465", NULL, "IPv6:::" },
		{ "[fe80::1%3]:25", NULL, "IPv6:fe80::1" },
		{ "unix:/run/sealpost/local.sock", NULL, NULL },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct endpoint e;
		struct buf out;
		const char *back = rows[i].back != NULL ? rows[i].back : rows[i].text;
		buf_init(&out, 256);
		assert_int_equal(endpoint_parse(str_of(rows[i].text), &e), OK);
		assert_int_equal(endpoint_put(&out, &e), OK);
		assert_true(str_eq(buf_view(&out), str_of(back)));
		buf_clear(&out);
		assert_int_equal(endpoint_put_literal(&out, &e), rows[i].literal != NULL ? OK : F_STATE);
		assert_true(str_eq(buf_view(&out), str_of(rows[i].literal)));
		buf_fini(&out);
	}
}

static void bad_text_is_refused_and_leaves_out_alone(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"", ":", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:+5", "192.0.2.1: 5",
		"192.0.2.1:25x", "192.0.2:25", "192.0.2.256:25", "192.0.2.1.:25", "2001:db8::1:25", "[2001:db8::1]",
		"[2001:db8::1]25", "[2001:db8::1:25", "[::1%eth0]:25", "[::1%4294967296]:25", "[192.0.2.1]:25",
		"localhost:25", "unix:", "unix:relative", "UNIX:/x", "[]:25", "192.0.2.1:000025", " 192.0.2.1:25",
		"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd]:25",
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct endpoint e, before;
		memset(&e, 0x5a, sizeof e);
		before = e;
		assert_int_equal(endpoint_parse(str_of(rows[i]), &e), F_SYNTAX);
		assert_memory_equal(&e, &before, sizeof e);
	}
	struct endpoint e;
	assert_int_equal(endpoint_parse(STR("192.0.2.1\0:25"), &e), F_SYNTAX);
	assert_int_equal(endpoint_parse(STR("unix:/run/\0x"), &e), F_SYNTAX);
}

static void a_unix_path_may_have_107_bytes(void **state)
{
	(void)state;
	char text[5 + 109];
	struct endpoint e;
	memcpy(text, "unix:/", 6);
	memset(text + 6, 'x', sizeof text - 6);
	assert_int_equal(endpoint_parse((struct str){ text, 5 + 107 }, &e), OK);
	assert_int_equal(strlen(e.path), 107);
	assert_int_equal(endpoint_parse((struct str){ text, 5 + 108 }, &e), F_SYNTAX);
}

/* L loopback, N never remote; the addresses just inside and just outside each range. */
static void kinds_of_address(void **state)
{
	(void)state;
	static const struct { const char *text; bool loopback, never_remote; } rows[] = {
		{ "127.0.0.0:25", true, true }, { "127.0.0.1:25", true, true }, { "127.255.255.255:25", true, true },
		{ "126.255.255.255:25", false, false }, { "128.0.0.0:25", false, false },
		{ "0.0.0.0:25", false, true }, { "0.255.255.255:25", false, true }, { "1.0.0.0:25", false, false },
		{ "169.253.255.255:25", false, false }, { "169.254.0.0:25", false, true },
		{ "169.254.255.255:25", false, true }, { "169.255.0.0:25", false, false },
		{ "223.255.255.255:25", false, false }, { "224.0.0.0:25", false, true },
		{ "239.255.255.255:25", false, true }, { "240.0.0.0:25", false, false },
		{ "255.255.255.255:25", false, true }, { "255.255.255.254:25", false, false },
		{ "10.0.0.1:25", false, false }, { "192.168.0.1:25", false, false }, { "192.0.2.1:25", false, false },
		{ "[::]:25", false, true }, { "[::1]:25", true, true }, { "[::2]:25", false, true },
		{ "[::ffff:127.0.0.1]:25", true, true }, { "[::ffff:0.0.0.0]:25", false, true },
		{ "[::ffff:169.254.169.254]:25", false, true }, { "[::ffff:224.0.0.1]:25", false, true },
		{ "[::ffff:255.255.255.255]:25", false, true }, { "[::ffff:192.0.2.1]:25", false, false },
		{ "[::127.0.0.1]:25", true, true }, { "[64:ff9b::127.0.0.1]:25", true, true },
		{ "[64:ff9b::7f00:1]:25", true, true }, { "[64:ff9b::192.0.2.1]:25", false, false },
		{ "[fe80::1]:25", false, true }, { "[febf:ffff::1]:25", false, true }, { "[fe7f::1]:25", false, false },
		{ "[fec0::1]:25", false, false }, { "[ff00::]:25", false, true }, { "[ff02::1]:25", false, true },
		{ "[fd00::1]:25", false, false }, { "[2001:db8::1]:25", false, false },
		{ "[2001:db8::7f00:1]:25", false, false }, { "unix:/run/x", true, true },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct endpoint e;
		assert_int_equal(endpoint_parse(str_of(rows[i].text), &e), OK);
		if (endpoint_is_loopback(&e) != rows[i].loopback || endpoint_is_never_remote(&e) != rows[i].never_remote)
			fail_msg("%s is judged wrongly", rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_text_comes_back_as_it_went_in),
		cmocka_unit_test(bad_text_is_refused_and_leaves_out_alone),
		cmocka_unit_test(a_unix_path_may_have_107_bytes),
		cmocka_unit_test(kinds_of_address),
	};
	return cmocka_run_group_tests_name("sys/endpoint", tests, NULL, NULL);
}
