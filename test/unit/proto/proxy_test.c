/* SPDX-License-Identifier: ISC */
/* PROXY headers, each given at once and byte by byte: the answer is the same, and never later than it can be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "proto/proxy/proxy.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x01\xc6\x33\x64\x01\x12\x34\x00\x19"
#define V6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x12\x34\x00\x19"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x01\x12\x34\x00\x19"
#define BYTES(text) text, sizeof text - 1

static const struct {
	const char *bytes;
	size_t n;
	enum proxy_result result;
	int client;
	size_t told_at;      /* PROXY_BROKEN: after so many bytes */
} cases[] = {
	{ BYTES(SIGNATURE "\x21\x11\x00\x0c" V4), PROXY_DONE, PROXY_IPV4, 0 },
	{ BYTES(SIGNATURE "\x21\x21\x00\x24" V6), PROXY_DONE, PROXY_IPV6, 0 },
	{ BYTES(SIGNATURE "\x21\x21\x00\x24" MAPPED), PROXY_DONE, PROXY_IPV4, 0 },
	{ BYTES(SIGNATURE "\x20\x00\x00\x00"), PROXY_DONE, PROXY_OWN, 0 },
	{ BYTES(SIGNATURE "\x20\x11\x00\x0c" V4), PROXY_DONE, PROXY_OWN, 0 },
	{ BYTES(SIGNATURE "\x20\x31\x00\x03" "abc"), PROXY_DONE, PROXY_OWN, 0 },
	{ BYTES(SIGNATURE "\x21\x00\x00\x02" "ab"), PROXY_DONE, PROXY_OWN, 0 },
	{ BYTES(SIGNATURE "\x21\x11\x00\x14" V4 "\x04\x00\x05" "abcde"), PROXY_DONE, PROXY_IPV4, 0 },
	{ BYTES(SIGNATURE "\x21\x11\x00\x12" V4 "\x04\x00\x00\x05\x00\x00"), PROXY_DONE, PROXY_IPV4, 0 },
	/* Parts that do not add up. */
	{ BYTES(SIGNATURE "\x21\x11\x00\x14" V4 "\x04\x00\x06" "abcde"), PROXY_BROKEN, 0, 36 },
	{ BYTES(SIGNATURE "\x21\x11\x00\x14" V4 "\x04\x00\x04" "abcde"), PROXY_BROKEN, 0, 36 },
	{ BYTES(SIGNATURE "\x21\x11\x00\x0e" V4 "\x04\x00"), PROXY_BROKEN, 0, 30 },
	{ BYTES(SIGNATURE "\x21\x11\x00\x0b" V4), PROXY_BROKEN, 0, 16 },
	{ BYTES(SIGNATURE "\x21\x21\x00\x23" V6), PROXY_BROKEN, 0, 16 },
	{ BYTES(SIGNATURE "\x21\x21\x00\x0c" V4), PROXY_BROKEN, 0, 16 },
	/* UDP, Unix sockets, versions and commands that do not exist. */
	{ BYTES(SIGNATURE "\x21\x12\x00\x0c" V4), PROXY_BROKEN, 0, 16 },
	{ BYTES(SIGNATURE "\x21\x31\x00\xd8"), PROXY_BROKEN, 0, 16 },
	{ BYTES(SIGNATURE "\x21\x01\x00\x0c" V4), PROXY_BROKEN, 0, 16 },
	{ BYTES(SIGNATURE "\x31\x11\x00\x0c" V4), PROXY_BROKEN, 0, 13 },
	{ BYTES(SIGNATURE "\x22\x11\x00\x0c" V4), PROXY_BROKEN, 0, 13 },
	/* Longer than any sense. */
	{ BYTES(SIGNATURE "\x21\x11\xff\xff" V4), PROXY_BROKEN, 0, 16 },
	{ BYTES(SIGNATURE "\x20\x00\xff\xff"), PROXY_BROKEN, 0, 16 },
	/* No header, or the old one. */
	{ BYTES("PROXY TCP4 192.0.2.1 198.51.100.1 4660 25\r\n"), PROXY_BROKEN, 0, 1 },
	{ BYTES("EHLO client.example\r\n"), PROXY_BROKEN, 0, 1 },
	{ BYTES("\x16\x03\x01\x02\x00\x01"), PROXY_BROKEN, 0, 1 },
	{ BYTES("\r\nEHLO"), PROXY_BROKEN, 0, 3 },
};

static enum proxy_result parse(const char *bytes, size_t n, struct proxy_header *out)
{
	/* Of its exact size, so that a look beyond the end is noticed. */
	char *copy = must_alloc(n + 1);
	memcpy(copy, bytes, n);
	enum proxy_result r = proxy_parse((struct str){ copy, n }, out);
	free(copy);
	return r;
}

static void split_at_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct proxy_header h;
		size_t told = cases[i].result == PROXY_BROKEN ? cases[i].told_at : cases[i].n;
		for (size_t n = 0; n <= cases[i].n; n++) {
			enum proxy_result r = parse(cases[i].bytes, n, &h);
			if (r != (n < told ? PROXY_MORE : cases[i].result))
				fail_msg("case %zu, %zu bytes: %d", i, n, (int)r);
			assert_true((r == PROXY_BROKEN) == (h.problem != NULL));
		}
		if (cases[i].result != PROXY_DONE)
			continue;
		assert_int_equal(h.client, cases[i].client);
		assert_int_equal(h.bytes, cases[i].n);
	}
}

static void addresses_are_taken(void **state)
{
	(void)state;
	struct proxy_header h;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(parse(cases[i].bytes, cases[i].n, &h), PROXY_DONE);
		assert_int_equal(h.port, 0x1234);
		if (h.client == PROXY_IPV4)
			assert_memory_equal(h.ip, "\xc0\x00\x02\x01", 4);
		else
			assert_memory_equal(h.ip, V6, 16);
	}
}

/* What follows the header is not its business. */
static void nothing_behind_it_is_looked_at(void **state)
{
	(void)state;
	struct proxy_header h;
	assert_int_equal(parse(BYTES(SIGNATURE "\x21\x11\x00\x0c" V4 "EHLO x\r\n"), &h), PROXY_DONE);
	assert_int_equal(h.bytes, 28);
}

static void the_longest_header(void **state)
{
	(void)state;
	static char bytes[PROXY_BYTES_MAX + 1];
	struct proxy_header h;
	memcpy(bytes, SIGNATURE "\x20\x00", 14);
	for (size_t over = 0; over <= 1; over++) {
		size_t length = PROXY_BYTES_MAX - 16 + over;
		bytes[14] = (char)(length >> 8);
		bytes[15] = (char)length;
		assert_int_equal(parse(bytes, 16 + length, &h), over ? PROXY_BROKEN : PROXY_DONE);
		assert_int_equal(parse(bytes, 16, &h), over ? PROXY_BROKEN : PROXY_MORE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_at_every_byte),
		cmocka_unit_test(addresses_are_taken),
		cmocka_unit_test(nothing_behind_it_is_looked_at),
		cmocka_unit_test(the_longest_header),
	};
	return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
