/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <string.h>

#include "proto/mtasts/mtasts.h"

/* ---- the record: RFC 8461 3.1 ---- */

static enum mtasts_record read_one(const char *text, struct str *id)
{
	struct str record = str_of(text);
	*id = STR_NONE;
	return mtasts_read_records(&record, 1, id);
}

static void records(void **state)
{
	(void)state;
	const struct { const char *text; enum mtasts_record want; const char *id; } cases[] = {
		{ "v=STSv1; id=20160831085700Z;", MTASTS_RECORD, "20160831085700Z" },
		{ "v=STSv1;id=1", MTASTS_RECORD, "1" },
		{ "v=STSv1 \t; \tid=a1B2 ;", MTASTS_RECORD, "a1B2" },
		{ "v=STSv1; x-y.z_1=a,b:c!; id=2", MTASTS_RECORD, "2" },
		{ "v=STSv1; id=1; id=2", MTASTS_RECORD, "1" },
		{ "v=STSv1; id=1; id=-", MTASTS_RECORD, "1" },
		{ "v=STSv1; id=12345678901234567890123456789012", MTASTS_RECORD, "12345678901234567890123456789012" },
		{ "v=STSv1; id=123456789012345678901234567890123", MTASTS_MALFORMED, "" },
		{ "v=STSv1; id=", MTASTS_MALFORMED, "" },
		{ "v=STSv1; id=a-b", MTASTS_MALFORMED, "" },
		{ "v=STSv1; ID=1", MTASTS_MALFORMED, "" },
		{ "v=STSv1; id=1 2", MTASTS_MALFORMED, "" },
		{ "v=STSv1;", MTASTS_MALFORMED, "" },
		{ "v=STSv1; x=1", MTASTS_MALFORMED, "" },
		{ "v=STSv1;; id=1", MTASTS_MALFORMED, "" },
		{ "v=STSv1; id=1;;", MTASTS_MALFORMED, "" },
		{ "v=STSv1; id=1; x", MTASTS_MALFORMED, "" },
		{ "v=STSv1; id=1; x=", MTASTS_MALFORMED, "" },
		{ "v=STSv1; id=1; =x", MTASTS_MALFORMED, "" },
		{ "v=STSv1; id=1; x=a=b", MTASTS_MALFORMED, "" },
		{ "v=STSv1; id=1; -x=a", MTASTS_MALFORMED, "" },
		{ "v=STSv1; id=1; x=\x01", MTASTS_MALFORMED, "" },
		{ "v=STSv1; id=1; x=\xc3\xa4", MTASTS_MALFORMED, "" },
		{ "v=STSv1; a1234567890123456789012345678901=1; id=1", MTASTS_RECORD, "1" },
		{ "v=STSv1; a12345678901234567890123456789012=1; id=1", MTASTS_MALFORMED, "" },
		{ "v=STSv1", MTASTS_NO_RECORD, "" },
		{ "v=STSv2; id=1", MTASTS_NO_RECORD, "" },
		{ "v=STSv11; id=1", MTASTS_NO_RECORD, "" },
		{ "V=STSv1; id=1", MTASTS_NO_RECORD, "" },
		{ "v=stsv1; id=1", MTASTS_NO_RECORD, "" },
		{ " v=STSv1; id=1", MTASTS_NO_RECORD, "" },
		{ "id=1; v=STSv1", MTASTS_NO_RECORD, "" },
		{ "", MTASTS_NO_RECORD, "" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str id;
		if (read_one(cases[i].text, &id) != cases[i].want)
			fail_msg("\"%s\"", cases[i].text);
		assert_str(id, cases[i].id);
	}
}

static void several_records_are_none(void **state)
{
	(void)state;
	struct str id = STR_NONE;
	struct str list[] = { STR("spf2.0/pra"), STR("v=STSv1; id=a"), STR("v=STSv1; id=b") };
	assert_int_equal(mtasts_read_records(list, 2, &id), MTASTS_RECORD);
	assert_str(id, "a");
	assert_int_equal(mtasts_read_records(list, 3, &id), MTASTS_SEVERAL);
	/* Also if only one of them could be used. */
	list[2] = STR("v=STSv1; rubbish");
	assert_int_equal(mtasts_read_records(list, 3, &id), MTASTS_SEVERAL);
	assert_int_equal(mtasts_read_records(NULL, 0, &id), MTASTS_NO_RECORD);
	struct str nul = STR("v=STSv1; id=a\0b");
	assert_int_equal(mtasts_read_records(&nul, 1, &id), MTASTS_MALFORMED);
}

/* ---- the policy: 3.2 ---- */

#define HEAD "version: STSv1\r\nmode: enforce\r\nmax_age: 604800\r\n"

static void check_mx(const struct mtasts_policy *p, const char *want)
{
	struct buf mx;
	buf_init(&mx, MTASTS_MX_MAX);
	assert_ok(mtasts_put_mx(&mx, p));
	assert_str(buf_view(&mx), want);
	buf_fini(&mx);
}

static void policies(void **state)
{
	(void)state;
	const struct { struct str body; enum mtasts_mode mode; int64_t max_age_s; const char *mx; } good[] = {
		{ STR("version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
		      "mx: backupmx.example.com\r\nmax_age: 604800\r\n"), MTASTS_MODE_ENFORCE, 604800,
		  "mail.example.com *.example.net backupmx.example.com" },
		{ STR("version:STSv1\nmode:testing\nmx:\tA.Example\nmax_age:0"), MTASTS_MODE_TESTING, 0, "a.example" },
		{ STR("max_age: 1  \nmode: none \t\nversion: STSv1"), MTASTS_MODE_NONE, 1, "" },
		{ STR(HEAD "mode: none\nmax_age: 1\nversion: STSv9\nmx: a\n"), MTASTS_MODE_ENFORCE, 604800, "a" },
		{ STR(HEAD "mx: a.example\nx-1._: gr\xc3\xbc\xc3\x9f Gott: a\n\n \n"), MTASTS_MODE_ENFORCE, 604800, "a.example" },
		{ STR(HEAD "mx: xn--bcher-kva.example"), MTASTS_MODE_ENFORCE, 604800, "xn--bcher-kva.example" },
		{ STR("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 31557600"), MTASTS_MODE_ENFORCE, MTASTS_AGE_MAX_S, "a.example" },
		{ STR("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 31557601"), MTASTS_MODE_ENFORCE, MTASTS_AGE_MAX_S, "a.example" },
		{ STR("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 9999999999"), MTASTS_MODE_ENFORCE, MTASTS_AGE_MAX_S, "a.example" },
	};
	for (size_t i = 0; i < COUNT(good); i++) {
		struct mtasts_policy p;
		struct why why = { "" };
		if (mtasts_parse(good[i].body, &p, &why) != OK)
			fail_msg("%.*s: %s", STR_ARG(good[i].body), why.text);
		assert_int_equal(p.mode, good[i].mode);
		assert_int_equal(p.max_age_s, good[i].max_age_s);
		check_mx(&p, good[i].mx);
	}
}

static void policies_that_are_none(void **state)
{
	(void)state;
	const struct { struct str body; const char *why; } bad[] = {
		{ STR(""), "the policy has no version" },
		{ STR("mode: enforce\nmx: a.example\nmax_age: 1\n"), "the policy has no version" },
		{ STR("Version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 1\n"), "the policy has no version" },
		{ STR("version: STSv1\nmx: a.example\nmax_age: 1\n"), "the policy has no mode" },
		{ STR("version: STSv1\nmode: enforce\nmx: a.example\n"), "the policy has no max_age" },
		{ STR(HEAD), "the policy has no mx" },
		{ STR("version: STSv1\nmode: testing\nmax_age: 1\n"), "the policy has no mx" },
		{ STR("version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 1\n"), "the policy's version is not STSv1" },
		{ STR("version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1\n"),
		  "the policy's mode is none of enforce, testing, none" },
		{ STR("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1\n"), "the policy's max_age is no number of seconds" },
		{ STR("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 1 d\n"), "the policy's max_age is no number of seconds" },
		{ STR("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 12345678901\n"),
		  "the policy's max_age is no number of seconds" },
		{ STR(HEAD "mx: *\n"), "an mx of the policy is neither a host name nor *. and a domain" },
		{ STR(HEAD "mx: *.\n"), "an mx of the policy is neither a host name nor *. and a domain" },
		{ STR(HEAD "mx: a.*.example\n"), "an mx of the policy is neither a host name nor *. and a domain" },
		{ STR(HEAD "mx: *.*.example\n"), "an mx of the policy is neither a host name nor *. and a domain" },
		{ STR(HEAD "mx: mx*.example\n"), "an mx of the policy is neither a host name nor *. and a domain" },
		{ STR(HEAD "mx: b\xc3\xbc" "cher.example\n"), "an mx of the policy is neither a host name nor *. and a domain" },
		{ STR(HEAD "mx: a.example b.example\n"), "an mx of the policy is neither a host name nor *. and a domain" },
		{ STR(HEAD "mx: a.example, b.example\n"), "an mx of the policy is neither a host name nor *. and a domain" },
		{ STR(HEAD "mx:\n"), "a line of the policy has no value, or one that is no text" },
		{ STR(HEAD "mx: a.example\nx: a\0b\n"), "a line of the policy has no value, or one that is no text" },
		{ STR(HEAD "mx: a.example\nx: \xff\n"), "a line of the policy has no value, or one that is no text" },
		{ STR(HEAD "mx: a.example\nx: a\rb\n"), "a line of the policy has no value, or one that is no text" },
		{ STR("<html><body>welcome</body></html>\n"), "a line of the policy is not \"name: value\"" },
		{ STR(HEAD "mx: a.example\n-x: a\n"), "a line of the policy is not \"name: value\"" },
		{ STR(HEAD "mx: a.example\na12345678901234567890123456789012: a\n"), "a line of the policy is not \"name: value\"" },
		{ STR("\xef\xbb\xbf" HEAD "mx: a.example\n"), "a line of the policy is not \"name: value\"" },
	};
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct mtasts_policy p = { .max_age_s = 42 };
		struct why why = { "" };
		if (mtasts_parse(bad[i].body, &p, &why) != F_SYNTAX)
			fail_msg("%.*s", STR_ARG(bad[i].body));
		assert_string_equal(why.text, bad[i].why);
		assert_int_equal(p.max_age_s, 42);
	}
}

static void limits_at_their_edges(void **state)
{
	(void)state;
	struct mtasts_policy p;
	struct why why = { "" };
	struct buf body;
	buf_init(&body, MTASTS_BODY_MAX + 1);
	assert_ok(buf_add(&body, STR(HEAD)));
	for (int i = 0; i < MTASTS_PATTERNS_MAX; i++)
		assert_ok(buf_addf(&body, "mx: mx%d.example\r\n", i));
	assert_ok(mtasts_parse(buf_view(&body), &p, &why));
	assert_int_equal(p.n_mx, MTASTS_PATTERNS_MAX);
	size_t full = buf_view(&body).n;
	assert_ok(buf_add(&body, STR("mx: more.example\r\n")));
	assert_int_equal(mtasts_parse(buf_view(&body), &p, &why), F_LIMIT);
	buf_cut(&body, full);

	size_t room = buf_room(&body) - 1; /* to 64 KB exactly */
	char *rest = buf_reserve(&body, room);
	memset(rest, '\n', room);
	buf_filled(&body, room);
	assert_int_equal(buf_view(&body).n, MTASTS_BODY_MAX);
	assert_ok(mtasts_parse(buf_view(&body), &p, &why));
	assert_ok(buf_add_char(&body, '\n'));
	assert_int_equal(mtasts_parse(buf_view(&body), &p, &why), F_LIMIT);
	buf_fini(&body);

	/* The longest patterns fit into what holds all of them. */
	char name[MTASTS_PATTERN_MAX + 1];
	memset(name, 'a', sizeof name);
	for (size_t i = 40; i < sizeof name; i += 50)
		name[i] = '.';
	name[0] = '*', name[1] = '.';
	assert_true(mtasts_pattern_is_valid((struct str){ name, MTASTS_PATTERN_MAX }));
	assert_false(mtasts_pattern_is_valid((struct str){ name, MTASTS_PATTERN_MAX + 1 }));
}

static void content_types(void **state)
{
	(void)state;
	const struct { const char *text; bool fits; } cases[] = {
		{ "text/plain", true }, { "Text/Plain; charset=utf-8", true }, { "text/plain ;x=y", true }, { " text/plain", true },
		{ "text/plain;charset=iso-8859-1", true }, { "text/html", false }, { "text/plainer", false }, { "", false },
		{ "application/octet-stream; text/plain", false },
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		if (mtasts_content_type_fits(str_of(cases[i].text)) != cases[i].fits)
			fail_msg("\"%s\"", cases[i].text);
}

/* ---- hosts: 4.1 ---- */

static void hosts(void **state)
{
	(void)state;
	const struct { const char *mx, *host; bool allowed; } cases[] = {
		{ "mail.example.com", "mail.example.com", true },
		{ "mail.example.com", "MAIL.Example.COM.", true },
		{ "mail.example.com", "example.com", false },
		{ "mail.example.com", "a.mail.example.com", false },
		{ "*.example.com", "mail.example.com", true },
		{ "*.example.com", "example.com", false },
		{ "*.example.com", "foo.bar.example.com", false },
		{ "*.example.com", ".example.com", false },
		{ "*.example.com", "*.example.com", true }, /* no such host can be */
		{ "*.example.com", "mail.example.com.evil.example", false },
		{ "*.example.com", "mail.badexample.com", false },
		{ "a.example *.b.example c.example", "x.b.example", true },
		{ "a.example *.b.example c.example", "c.example", true },
		{ "a.example *.b.example c.example", "b.example", false },
		{ "*.xn--bcher-kva.example", "mx.xn--bcher-kva.example", true },
		{ "*.com", "example.com", true },
		{ "", "mail.example.com", false },
		{ "mail.example.com", "", false },
		{ "mail.example.com", ".", false },
		{ "", "", false },
		{ "*.0.2.1", "192.0.2.1", false },
		{ "192.0.2.1", "192.0.2.1", false },
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		if (mtasts_mx_allows(str_of(cases[i].mx), str_of(cases[i].host)) != cases[i].allowed)
			fail_msg("\"%s\" and \"%s\"", cases[i].mx, cases[i].host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records), cmocka_unit_test(several_records_are_none), cmocka_unit_test(policies),
		cmocka_unit_test(policies_that_are_none), cmocka_unit_test(limits_at_their_edges), cmocka_unit_test(content_types),
		cmocka_unit_test(hosts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
