/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "dns/servers.h"

static void server_texts(void **state)
{
	(void)state;
	const struct { struct str in; const char *out; } cases[] = {
		{ STR("192.0.2.1"), "192.0.2.1@53" },
		{ STR("127.0.0.1:5353"), "127.0.0.1@5353" },
		{ STR("192.0.2.1:65535"), "192.0.2.1@65535" },
		{ STR("2001:db8::1"), "2001:db8::1@53" },
		{ STR("[2001:db8::1]"), "2001:db8::1@53" },
		{ STR("[::1]:5353"), "::1@5353" },
		{ STR("fe80::1%eth0"), "fe80::1%eth0@53" },
		{ STR(""), NULL },
		{ STR("ns.example.org"), NULL },
		{ STR("192.0.2.1:0"), NULL },
		{ STR("192.0.2.1:65536"), NULL },
		{ STR("192.0.2.1:"), NULL },
		{ STR("192.0.2.256"), NULL },
		{ STR("192.0.2.1 "), NULL },
		{ STR("192.0.2.1\0:53"), NULL },
		{ STR("[::1:53"), NULL },
		{ STR("[::1]53"), NULL },
		{ STR("[192.0.2.1]:53"), NULL },
		{ STR("1111:1111:1111:1111:1111:1111:1111:1111%abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"), NULL },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out;
		buf_init(&out, DNS_SERVER_TEXT_MAX);
		fault f = dns_server_put(&out, cases[i].in);
		if (cases[i].out == NULL) {
			assert_int_equal(f, F_SYNTAX);
			assert_int_equal(buf_view(&out).n, 0);
		} else {
			assert_int_equal(f, OK);
			assert_true(str_eq(buf_view(&out), str_of(cases[i].out)));
		}
		buf_fini(&out);
	}
}

#define IP "1111:1111:1111:1111:1111:1111:1111:1111"

/* With "@" and the port behind it, it fits into what is made of it. */
static void a_server_has_a_length(void **state)
{
	(void)state;
	char text[DNS_SERVER_TEXT_MAX];
	struct buf out;
	buf_init(&out, DNS_SERVER_TEXT_MAX);
	int n = snprintf(text, sizeof text, "%s%%", IP);
	while (n < DNS_SERVER_TEXT_MAX - 8)
		text[n++] = 'a';
	assert_int_equal(dns_server_put(&out, (struct str){ text, DNS_SERVER_TEXT_MAX - 8 }), F_SYNTAX);
	assert_int_equal(dns_server_put(&out, (struct str){ text, DNS_SERVER_TEXT_MAX - 9 }), OK);
	assert_int_equal(buf_view(&out).n, DNS_SERVER_TEXT_MAX - 9 + 3);
	buf_fini(&out);
}

static void loopback(void **state)
{
	(void)state;
	assert_true(dns_server_is_loopback(STR("127.0.0.1:5353")));
	assert_true(dns_server_is_loopback(STR("127.0.0.53")));
	assert_true(dns_server_is_loopback(STR("[::1]:53")));
	assert_false(dns_server_is_loopback(STR("192.0.2.1")));
	assert_false(dns_server_is_loopback(STR("nonsense")));
}

static void resolv_conf(void **state)
{
	(void)state;
	struct str rest = STR("# made by hand\nsearch example.org\n  nameserver\t192.0.2.1 \r\n"
	                      "nameserver\nnameservers 192.0.2.9\noptions edns0\nnameserver 2001:db8::1");
	struct str server;
	assert_true(dns_nameserver_take(&rest, &server));
	assert_true(str_eq(server, STR("192.0.2.1")));
	assert_true(dns_nameserver_take(&rest, &server));
	assert_true(str_eq(server, STR("2001:db8::1")));
	assert_false(dns_nameserver_take(&rest, &server));
	rest = STR_NONE;
	assert_false(dns_nameserver_take(&rest, &server));
}

static void anchors(void **state)
{
	(void)state;
	struct str text = STR("; a comment\n\n example.test. IN DS 1 13 2 AB ; note\r\n. IN DS 2 8 2 CD");
	struct str rest = text, record;
	assert_true(str_eq(dns_anchor_owner(text), STR("example.test.")));
	assert_true(dns_anchor_take(&rest, &record));
	assert_true(str_eq(record, STR("example.test. IN DS 1 13 2 AB")));
	assert_true(dns_anchor_take(&rest, &record));
	assert_true(str_eq(record, STR(". IN DS 2 8 2 CD")));
	assert_false(dns_anchor_take(&rest, &record));
	assert_true(str_eq(dns_anchor_owner(STR("; nothing\n")), STR(".")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(server_texts),
		cmocka_unit_test(a_server_has_a_length),
		cmocka_unit_test(loopback),
		cmocka_unit_test(resolv_conf),
		cmocka_unit_test(anchors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
