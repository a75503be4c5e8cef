/* SPDX-License-Identifier: ISC */
/* Addresses, paths and domains: what is taken, what is refused, and that parse and text are inverse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "mail/address.h"

static int setup(void **state)
{
	*state = arena_new(64 << 10);
	return 0;
}

static int teardown(void **state)
{
	struct arena *a = *state;
	arena_free(&a);
	return 0;
}

static void assert_str(struct str got, const char *want)
{
	if (!str_eq(got, str_of(want)))
		fail_msg("got \"%.*s\", want \"%s\"", STR_ARG(got), want);
}

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10
#define L63 A60 "aaa"

/* text: NULL where the address must be refused with that fault, else its canonical text. */
static const struct { const char *in, *local, *domain, *text; fault f; } addresses[] = {
	{ "a@b.example", "a", "b.example", "a@b.example", OK },
	{ "A.B@B.EXAMPLE", "A.B", "b.example", "A.B@b.example", OK },
	{ "a@b", "a", "b", "a@b", OK },
	{ "!#$%&'*+-/=?^_`{|}~@x.example", "!#$%&'*+-/=?^_`{|}~", "x.example", "!#$%&'*+-/=?^_`{|}~@x.example", OK },
	/* one canonical form of quoted local parts */
	{ "\"ab\"@x.example", "ab", "x.example", "ab@x.example", OK },
	{ "\"a\\b\"@x.example", "ab", "x.example", "ab@x.example", OK },
	{ "\"a.b\"@x.example", "a.b", "x.example", "a.b@x.example", OK },
	{ "\"a b\"@x.example", "a b", "x.example", "\"a b\"@x.example", OK },
	{ "\"a\\\"b\"@x.example", "a\"b", "x.example", "\"a\\\"b\"@x.example", OK },
	{ "\"\\\\\"@x.example", "\\", "x.example", "\"\\\\\"@x.example", OK },
	{ "\"\"@x.example", "", "x.example", "\"\"@x.example", OK },
	{ "\".a\"@x.example", ".a", "x.example", "\".a\"@x.example", OK },
	{ "\"u@evil.test\"@x.example", "u@evil.test", "x.example", "\"u@evil.test\"@x.example", OK },
	{ "\"a>b\"@x.example", "a>b", "x.example", "\"a>b\"@x.example", OK },
	{ "\"a\".\"b\"@x.example", NULL, NULL, NULL, F_SYNTAX },
	{ "\"a\"b@x.example", NULL, NULL, NULL, F_SYNTAX },
	{ "\"a\rb\"@x.example", NULL, NULL, NULL, F_SYNTAX },
	{ "\"a\\\nb\"@x.example", NULL, NULL, NULL, F_SYNTAX },
	{ "\"a@x.example", NULL, NULL, NULL, F_SYNTAX },
	{ "\"a\\", NULL, NULL, NULL, F_SYNTAX },
	/* who is meant must never be in doubt */
	{ "u%evil.test@ours", "u%evil.test", "ours", "u%evil.test@ours", OK },
	{ "evil.test!u@ours", "evil.test!u", "ours", "evil.test!u@ours", OK },
	{ "u@evil.test@ours", NULL, NULL, NULL, F_SYNTAX },
	{ "@a,@ours:u@evil.test", NULL, NULL, NULL, F_SYNTAX },
	{ "u@ours.", NULL, NULL, NULL, F_SYNTAX },
	{ "u@.ours", NULL, NULL, NULL, F_SYNTAX },
	{ "u@", NULL, NULL, NULL, F_SYNTAX },
	{ "@ours", NULL, NULL, NULL, F_SYNTAX },
	{ "u", NULL, NULL, NULL, F_SYNTAX },
	{ "", NULL, NULL, NULL, F_SYNTAX },
	{ "a(x@evil.test)@ours", NULL, NULL, NULL, F_SYNTAX },
	{ "a@ours (x)", NULL, NULL, NULL, F_SYNTAX },
	{ "a b@ours", NULL, NULL, NULL, F_SYNTAX },
	{ " a@ours", NULL, NULL, NULL, F_SYNTAX },
	{ "a@ours ", NULL, NULL, NULL, F_SYNTAX },
	{ "a@ours\r\n", NULL, NULL, NULL, F_SYNTAX },
	{ "<a@ours>", NULL, NULL, NULL, F_SYNTAX },
	{ "a\x07@x", NULL, NULL, NULL, F_SYNTAX },
	{ "a.@ours", NULL, NULL, NULL, F_SYNTAX },
	{ ".a@ours", NULL, NULL, NULL, F_SYNTAX },
	{ "a..b@ours", NULL, NULL, NULL, F_SYNTAX },
	{ "a@o_urs", NULL, NULL, NULL, F_SYNTAX },
	{ "a@-ours", NULL, NULL, NULL, F_SYNTAX },
	{ "a@ours-.test", NULL, NULL, NULL, F_SYNTAX },
	{ "=?utf-8?q?a=40evil.test=3e=00?=@ours", "=?utf-8?q?a=40evil.test=3e=00?=", "ours",
	  "=?utf-8?q?a=40evil.test=3e=00?=@ours", OK },
	/* literals */
	{ "u@[127.0.0.1]", "u", "[127.0.0.1]", "u@[127.0.0.1]", OK },
	{ "u@[IPv6:2001:DB8::1]", "u", "[IPv6:2001:db8::1]", "u@[IPv6:2001:db8::1]", OK },
	{ "u@[ipv6:::]", "u", "[IPv6:::]", "u@[IPv6:::]", OK },
	{ "u@[IPv6:1:2:3:4:5:6::]", "u", "[IPv6:1:2:3:4:5:6::]", "u@[IPv6:1:2:3:4:5:6::]", OK },
	{ "u@[IPv6:1:2:3:4:5:6:7::]", NULL, NULL, NULL, F_SYNTAX },
	{ "u@[IPv6:1:2:3:4:5::1.2.3.4]", NULL, NULL, NULL, F_SYNTAX },
	{ "u@[2001:db8::1]", NULL, NULL, NULL, F_SYNTAX },
	{ "u@[127.0.0.1", NULL, NULL, NULL, F_SYNTAX },
	{ "u@[127.0.0]", NULL, NULL, NULL, F_SYNTAX },
	{ "u@[]", NULL, NULL, NULL, F_SYNTAX },
	{ "u@[x25:1]", NULL, NULL, NULL, F_SYNTAX },
	{ "u@[127.0.0.1].example", NULL, NULL, NULL, F_SYNTAX },
	/* UTF-8 */
	{ "gr\xc3\xbc\xc3\x9f@x.example", "gr\xc3\xbc\xc3\x9f", "x.example", "gr\xc3\xbc\xc3\x9f@x.example", OK },
	{ "u@B\xc3\x9c" "CHER.example", "u", "b\xc3\xbc" "cher.example", "u@b\xc3\xbc" "cher.example", OK },
	{ "u@xn--bcher-kva.b\xc3\xbc" "cher", "u", "b\xc3\xbc" "cher.b\xc3\xbc" "cher", "u@b\xc3\xbc" "cher.b\xc3\xbc" "cher", OK },
	{ "u@xn--0049.b\xc3\xbc" "cher", "u", "xn--0049.b\xc3\xbc" "cher", "u@xn--0049.b\xc3\xbc" "cher", OK }, /* decodes to nothing: stays */
	{ "u@XN--BCHER-KVA.example", "u", "xn--bcher-kva.example", "u@xn--bcher-kva.example", OK },
	{ "u@stra\xc3\x9f" "e.example", "u", "stra\xc3\x9f" "e.example", "u@stra\xc3\x9f" "e.example", OK },
	{ "u@ex\xd0\xb0mple.test", "u", "ex\xd0\xb0mple.test", "u@ex\xd0\xb0mple.test", OK }, /* Cyrillic a: not example */
	{ "u\xc0\xae@x.example", NULL, NULL, NULL, F_SYNTAX },        /* overlong */
	{ "u\xc2\x85@x.example", NULL, NULL, NULL, F_SYNTAX },        /* a control of C1 */
	{ "u\xff@x.example", NULL, NULL, NULL, F_SYNTAX },
	{ "\xef\xbd\x81\xef\xbc\xa0ours", NULL, NULL, NULL, F_SYNTAX }, /* U+FF20 is no '@' */
	{ "u@a\xef\xbc\xa0" "b.test", NULL, NULL, NULL, F_SYNTAX },
	{ "u@ours\xe3\x80\x82" "evil", NULL, NULL, NULL, F_SYNTAX },  /* U+3002 is no dot */
	{ "u@ours\xef\xbc\x8e" "evil", NULL, NULL, NULL, F_SYNTAX },  /* U+FF0E */
	{ "u@ours\xef\xbd\xa1" "evil", NULL, NULL, NULL, F_SYNTAX },  /* U+FF61 */
	{ "u@ours\xe2\x80\xa4" "evil", NULL, NULL, NULL, F_SYNTAX },  /* U+2024 */
	{ "u@a\xe2\x89\xa0.test", NULL, NULL, NULL, F_SYNTAX },       /* U+2260 is not dropped */
	{ "u@\xef\xbc\xa0\xc3\xbc.test", NULL, NULL, NULL, F_SYNTAX },
	{ "u@\xef\xbd\x81.test", "u", "a.test", "u@a.test", OK },   /* a wide letter is the letter */
	{ "u@\xe2\x84\x80.test", NULL, NULL, NULL, F_SYNTAX },        /* U+2100 is "a/c" */
	{ "u@a\xc2\xad.test", "u", "a.test", "u@a.test", OK },        /* a soft hyphen maps to nothing */
	{ "u@\xc2\xad.test", NULL, NULL, NULL, F_SYNTAX },
	/* limits: local part 64, label 63, path 256 with its brackets */
	{ A60 "aaaa@x", A60 "aaaa", "x", A60 "aaaa@x", OK },
	{ A60 "aaaaa@x", NULL, NULL, NULL, F_LIMIT },
	{ "\"" A60 "aa\"@x", A60 "aa", "x", A60 "aa@x", OK },
	{ "\"" A60 "aaa\"@x", NULL, NULL, NULL, F_LIMIT },
	{ "u@" L63 ".x", "u", L63 ".x", "u@" L63 ".x", OK },
	{ "u@" L63 "a.x", NULL, NULL, NULL, F_LIMIT },
	{ "u@" L63 "." L63 "." L63 "." A60, "u", L63 "." L63 "." L63 "." A60, "u@" L63 "." L63 "." L63 "." A60, OK },
	{ "u@" L63 "." L63 "." L63 "." A60 "a", NULL, NULL, NULL, F_LIMIT },
};

static void addresses_are_taken_or_refused(void **state)
{
	for (size_t i = 0; i < COUNT(addresses); i++) {
		struct address got = { .local = STR("untouched") };
		fault f = address_parse(str_of(addresses[i].in), *state, &got);
		if (f != addresses[i].f)
			fail_msg("%s: %s, want %s", addresses[i].in, fault_name(f), fault_name(addresses[i].f));
		if (f != OK) {
			assert_str(got.local, "untouched");
			continue;
		}
		assert_str(got.local, addresses[i].local);
		assert_str(got.domain, addresses[i].domain);
		assert_str(address_text(&got, *state), addresses[i].text);
		assert_int_equal(got.literal, addresses[i].domain[0] == '[');

		struct address again;
		assert_int_equal(address_parse(str_of(addresses[i].text), *state, &again), OK);
		assert_true(address_equal(&got, &again));
		assert_str(address_text(&again, *state), addresses[i].text);
		arena_reset(*state);
	}
}

static void nul_is_never_part_of_an_address(void **state)
{
	struct address got;
	static const struct str bad[] = {
		{ "a\0b@x", 5 }, { "a@x\0", 4 }, { "\"a\0\"@x", 6 }, { "\"a\\\0\"@x", 7 }, { "a@\xc3\xbc\0x", 6 },
		{ "a@[127.0.0.1\0]", 14 },
	};
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(address_parse(bad[i], *state, &got), F_SYNTAX);
}

static const struct { const char *in, *text, *rest; } paths[] = {
	{ "<>", "", "" },
	{ "<> SIZE=1", "", " SIZE=1" },
	{ "<a@b.example> BODY=7BIT", "a@b.example", " BODY=7BIT" },
	{ "<\"a>b\"@c>", "\"a>b\"@c", "" },
	{ "<postmaster>", "postmaster", "" },
	{ "<PostMaster>", "postmaster", "" },
	{ "<postmaster@x>", "postmaster@x", "" },
	{ "<a>", NULL, NULL },
	{ "<\"postmaster\">", NULL, NULL },
	{ "a@b", NULL, NULL },
	{ "<a@b", NULL, NULL },
	{ "< a@b>", NULL, NULL },
	{ "<a@b >", NULL, NULL },
	{ "<@c:a@b>", NULL, NULL },
	{ "<a@b@c>", NULL, NULL },
	{ "<", NULL, NULL },
	{ "", NULL, NULL },
};

static void paths_are_consumed_or_left_alone(void **state)
{
	for (size_t i = 0; i < COUNT(paths); i++) {
		struct str rest = str_of(paths[i].in);
		struct address got;
		fault f = path_parse(&rest, *state, &got);
		if ((f == OK) != (paths[i].text != NULL))
			fail_msg("%s: %s", paths[i].in, fault_name(f));
		assert_str(rest, f == OK ? paths[i].rest : paths[i].in);
		if (f == OK) {
			assert_str(address_text(&got, *state), paths[i].text);
			assert_int_equal(address_is_null(&got), paths[i].text[0] == '\0');
		}
	}
}

static void a_small_arena_is_a_limit_not_an_end(void **state)
{
	(void)state;
	struct arena *small = arena_new(4);
	struct address got;
	assert_int_equal(address_parse(STR("abcdef@x.example"), small, &got), F_LIMIT);
	arena_free(&small);
}

static void equal_means_the_same_mailbox(void **state)
{
	static const struct { const char *a, *b; bool same; } rows[] = {
		{ "a@b.example", "a@B.EXAMPLE", true },
		{ "\"a\"@b", "a@b", true },
		{ "A@b", "a@b", false },
		{ "a@b\xc3\xbc" "cher.example", "a@xn--bcher-kva.example", true },
		{ "a@b\xc3\xbc" "cher.example", "a@bucher.example", false },
		{ "a@[127.0.0.1]", "a@[127.0.0.1]", true },
		{ "a@[127.0.0.1]", "a@[127.0.0.2]", false },
		{ "a@b", "a@c", false },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct address x, y;
		assert_int_equal(address_parse(str_of(rows[i].a), *state, &x), OK);
		assert_int_equal(address_parse(str_of(rows[i].b), *state, &y), OK);
		assert_int_equal(address_equal(&x, &y), rows[i].same);
	}
}

static void domains_of_texts(void **state)
{
	(void)state;
	assert_str(address_domain_of(STR("a@x.example")), "x.example");
	assert_str(address_domain_of(STR("\"a@b\"@X.example")), "X.example");
	assert_str(address_domain_of(STR("postmaster")), "");
	assert_str(address_domain_of(STR("a@")), "");
	assert_str(address_domain_of(STR_NONE), "");
}

static void local_parts_safe_in_a_file_name(void **state)
{
	(void)state;
	static const char *const good[] = { "a", "a.b", "a..b", "-a", "~a", "a b", "gr\xc3\xbc", "{local}", A60 "aaaa" };
	static const char *const bad[] = { "", ".", "..", ".a", "a/b", "/", "../a", "a\nb", "a\x7f", A60 "aaaaa" };
	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(local_is_file_safe(str_of(good[i])));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(local_is_file_safe(str_of(bad[i])));
	assert_false(local_is_file_safe((struct str){ "a\0b", 3 }));
}

/* Underscores are for mail servers alone: the address of a mailbox has none in its domain. */
static void hosts_may_have_underscores(void **state)
{
	static const char *const hosts[] = { "mx_1.example.org", "_a._b.example", "a_", L63 "." L63 "." L63 "." L63, "example.org" };
	static const char *const none[] = { "", ".", "a_.", "a..b_", "-_a", "_-", "a_ b", "a_/b", "a_!", L63 "a", "b\xc3\xbc_" };
	for (size_t i = 0; i < COUNT(hosts); i++)
		assert_true(host_is_valid(str_of(hosts[i])));
	for (size_t i = 0; i < COUNT(none); i++)
		assert_false(host_is_valid(str_of(none[i])));
	assert_false(host_is_valid((struct str){ "a\0_", 3 }));
	assert_false(host_is_valid(STR(L63 "." L63 "." L63 "." L63 "._")));
	assert_false(domain_is_valid(STR("mx_1.example.org")));
	struct address out;
	assert_int_equal(address_parse(STR("a@mx_1.example.org"), *state, &out), F_SYNTAX);
	assert_int_equal(address_parse(STR("a@_b.example"), *state, &out), F_SYNTAX);
}

static void domains_become_ascii(void **state)
{
	static const struct { const char *in, *ascii; } rows[] = {
		{ "Example.ORG", "example.org" },
		{ "b\xc3\xbc" "cher.example", "xn--bcher-kva.example" },
		{ "XN--BCHER-KVA.example", "xn--bcher-kva.example" },
		{ "fa\xc3\x9f.de", "xn--fa-hia.de" },  /* not fass.de: non-transitional */
		{ "xn--0049.example", "xn--0049.example" },
		{ "xn--a.example", "xn--a.example" },
		{ "", NULL }, { ".", NULL }, { "a.", NULL }, { "a..b", NULL },
		{ "a b", NULL }, { "a/b", NULL }, { "a_b", NULL }, { "\xc3", NULL },
		{ "\xf0\x9f\x92\xa9.example", NULL }, /* IDNA 2008 has no symbols */
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str got = STR("untouched");
		fault f = domain_to_ascii(str_of(rows[i].in), *state, &got);
		if ((f == OK) != (rows[i].ascii != NULL))
			fail_msg("%s: %s", rows[i].in, fault_name(f));
		assert_str(got, f == OK ? rows[i].ascii : "untouched");
		assert_true(f != OK || domain_is_valid(got));
	}
	assert_false(domain_is_valid(STR("")));
	assert_false(domain_is_valid(STR("a.")));
	assert_false(domain_is_valid(STR("a..b")));
	assert_false(domain_is_valid(STR("../x")));
	assert_true(domain_is_valid(STR(L63 "." L63 "." L63 "." L63)));
	assert_false(domain_is_valid(STR(L63 "." L63 "." L63 "." L63 ".a")));
	assert_int_equal(domain_to_ascii(STR(L63 "." L63 "." L63 "." L63 ".a"), *state, &(struct str){ 0 }), F_LIMIT);
}

/* -- the address set of is_email, where SEALPOST_VECTORS names a folder that has it --------- */

static size_t copy_symbols(char *out, struct str in)
{
	size_t n = 0;
	for (size_t i = 0; i < in.n; i++) {
		const unsigned char *p = (const unsigned char *)in.p + i;
		unsigned code = 0;
		if (i + 2 < in.n && p[0] == 0xE2 && p[1] == 0x90) { /* U+2400 + n stands for control n */
			out[n++] = (char)(p[2] - 0x80);
			i += 2;
		} else if (p[0] == '&' && sscanf((const char *)p, "&#x%x;", &code) == 1) {
			out[n++] = (char)(code >= 0x2400 ? code - 0x2400 : code);
			while (in.p[i] != ';')
				i++;
		} else if (str_starts(str_from(in, i), STR("&amp;"))) {
			out[n++] = '&';
			i += 4;
		} else if (str_starts(str_from(in, i), STR("&quot;"))) {
			out[n++] = '"';
			i += 5;
		} else {
			out[n++] = in.p[i];
		}
	}
	return n;
}

static bool between(struct str *rest, struct str open, struct str close, struct str *out)
{
	size_t from, n;
	if (!str_find_str(*rest, open, &from) || !str_find_str(str_from(*rest, from), close, &n))
		return false;
	*out = str_sub(*rest, from + open.n, n - open.n);
	*rest = str_from(*rest, from + n);
	return true;
}

static void the_is_email_set(void **state)
{
	static char xml[1 << 20];
	char path[1024], text[1024];
	const char *folder = getenv("SEALPOST_VECTORS");
	(void)snprintf(path, sizeof path, "%s/address-isemail/tests.xml", folder != NULL ? folder : "");
	FILE *file = folder != NULL ? fopen(path, "r") : NULL;
	if (file == NULL) {
		print_message("# SEALPOST_VECTORS names no folder with address-isemail: skipped\n");
		return;
	}
	struct str rest = { xml, fread(xml, 1, sizeof xml, file) }, test, in, category;
	(void)fclose(file);

	size_t seen = 0;
	while (between(&rest, STR("<test id="), STR("</test>"), &test)) {
		if (!between(&test, STR("<address>"), STR("</address>"), &in) ||
		    !between(&test, STR("<category>"), STR("</category>"), &category))
			continue;
		bool good = str_eq(category, STR("ISEMAIL_VALID_CATEGORY")) ||
		            str_eq(category, STR("ISEMAIL_DNSWARN")) || str_eq(category, STR("ISEMAIL_RFC5321"));
		struct str address = { text, copy_symbols(text, in) };
		struct address got;
		fault f = address_parse(address, *state, &got);
		if ((f == OK) != good)
			fail_msg("%.*s: %s, but the set says %.*s", STR_ARG(address), fault_name(f), STR_ARG(category));
		arena_reset(*state);
		seen++;
	}
	assert_true(seen > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(addresses_are_taken_or_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(nul_is_never_part_of_an_address, setup, teardown),
		cmocka_unit_test_setup_teardown(paths_are_consumed_or_left_alone, setup, teardown),
		cmocka_unit_test(a_small_arena_is_a_limit_not_an_end),
		cmocka_unit_test_setup_teardown(equal_means_the_same_mailbox, setup, teardown),
		cmocka_unit_test(domains_of_texts),
		cmocka_unit_test(local_parts_safe_in_a_file_name),
		cmocka_unit_test_setup_teardown(hosts_may_have_underscores, setup, teardown),
		cmocka_unit_test_setup_teardown(domains_become_ascii, setup, teardown),
		cmocka_unit_test_setup_teardown(the_is_email_set, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
