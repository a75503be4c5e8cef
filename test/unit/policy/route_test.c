/* SPDX-License-Identifier: ISC */
/* Which line of `route` wins, what a local domain does, which pattern matches what: as tables to be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "policy/route.h"

static const char configuration[] =
	"hostname mx1.example.org\npostmaster admin@example.org\nlisten local {\n on unix:/l\n}\n"
	"domain example.org example.net {\n aliases /a\n deliver maildir /var/mail/{domain}/{local}\n retry 1m\n}\n"
	"domain lists.example.org {\n aliases /a\n deliver lmtp unix:/lmtp\n}\n"
	"domain partner.example {\n aliases /a\n deliver mx\n give-up 30d\n}\n"
	"domain behind.example {\n aliases /a\n deliver relay corp\n}\n"
	"domain slow.example {\n aliases /a\n deliver relay corp\n retry 3m\n}\n"
	"relay corp {\n host smtp.corp.example:465\n retry 2m\n}\n"
	"relay bulk {\n host bulk.example:465\n}\n"
	"route {\n"
	" to *.corp.example relay corp\n"
	" to b\xc3\xbc" "cher.example relay bulk\n"
	" to special@other.example hold\n"
	" to @other.example refuse \"No mail there\"\n"
	" to twofold.example sender boss@example.org relay corp\n"
	" to twofold.example client 2001:db8::/32 user jada relay bulk\n"
	" sender <> relay bulk\n"
	" sender *.news.example relay bulk\n"
	" sender \"\\\"od d\\\"@example.org\" hold\n"
	" sender x@b\xc3\xbc" "cher.example hold\n"
	" client 192.0.2.0/28 hold\n"
	" user printer direct\n"
	" to example.org refuse \"never reached\"\n"
	" otherwise relay corp\n"
	"}\n";

static struct conf *conf;
static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	struct conf_report report;
	struct conf_text text = { STR("sealpost.conf"), str_of(configuration) };
	conf_report_init(&report);
	if (conf_read(&text, 1, &conf, &report) != OK)
		print_error("%.*s", STR_ARG(buf_view(&report.text)));
	conf_report_fini(&report);
	arena = arena_new(1 << 20);
	return conf != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	conf_free(&conf);
	arena_free(&arena);
	return 0;
}

static struct route plan(const char *to, const char *sender, const char *client, const char *user)
{
	struct route_question q = { .client = str_of(client), .user = str_of(user) };
	assert_int_equal(address_parse(str_of(to), arena, &q.recipient), OK);
	if (sender[0] != '\0')
		assert_int_equal(address_parse(str_of(sender), arena, &q.sender), OK);
	assert_int_equal(domain_to_ascii(q.recipient.domain, arena, &q.recipient_domain), OK);
	return route_plan(conf, &q);
}

/* The key says kind and name. */
static const struct { const char *to, *sender, *client, *user, *key; bool local; } cases[] = {
	{ "a@example.org", "x@far.example", "203.0.113.1", "", "maildir:/var/mail/{domain}/{local}", true },
	{ "a@example.net", "", "192.0.2.1", "", "maildir:/var/mail/{domain}/{local}", true },
	{ "a@lists.example.org", "x@far.example", "", "", "lmtp:unix:/lmtp", true },
	{ "a@partner.example", "x@far.example", "", "", "backup:partner.example", true },
	{ "a@behind.example", "x@far.example", "", "", "relay:corp", true },
	{ "a@sub.example.org", "x@far.example", "", "printer", "mx:sub.example.org", false },
	/* to */
	{ "a@x.corp.example", "x@far.example", "", "printer", "relay:corp", false },
	{ "a@y.x.CORP.example", "x@far.example", "", "printer", "relay:corp", false },
	{ "a@corp.example", "x@far.example", "", "printer", "mx:corp.example", false },
	{ "a@xcorp.example", "x@far.example", "", "printer", "mx:xcorp.example", false },
	{ "a@b\xc3\xbc" "cher.example", "x@far.example", "", "printer", "relay:bulk", false },
	{ "a@xn--bcher-kva.example", "x@far.example", "", "printer", "relay:bulk", false },
	{ "special@other.example", "x@far.example", "", "printer", "hold:", false },
	{ "Special@other.example", "x@far.example", "", "printer", "refuse:No mail there", false },
	{ "a@other.example", "x@far.example", "", "printer", "refuse:No mail there", false },
	{ "a@sub.other.example", "x@far.example", "", "printer", "mx:sub.other.example", false },
	/* all conditions of a line */
	{ "a@twofold.example", "boss@example.org", "", "printer", "relay:corp", false },
	{ "a@twofold.example", "clerk@example.org", "", "printer", "mx:twofold.example", false },
	{ "a@twofold.example", "clerk@example.org", "2001:db8::7", "jada", "relay:bulk", false },
	{ "a@twofold.example", "clerk@example.org", "2001:db9::7", "jada", "relay:corp", false },
	{ "a@twofold.example", "clerk@example.org", "2001:db8::7", "printer", "mx:twofold.example", false },
	/* sender */
	{ "a@far.example", "", "", "printer", "relay:bulk", false },
	{ "a@far.example", "x@a.news.example", "", "printer", "relay:bulk", false },
	{ "a@far.example", "x@news.example", "", "printer", "mx:far.example", false },
	{ "a@far.example", "\"od d\"@example.org", "", "printer", "hold:", false },
	{ "a@far.example", "odd@example.org", "", "printer", "mx:far.example", false },
	{ "a@far.example", "x@b\xc3\xbc" "cher.example", "", "printer", "hold:", false },
	{ "a@far.example", "x@xn--bcher-kva.example", "", "printer", "hold:", false },
	/* client, user, otherwise */
	{ "a@far.example", "x@far.example", "192.0.2.15", "printer", "hold:", false },
	{ "a@far.example", "x@far.example", "::ffff:192.0.2.15", "printer", "hold:", false },
	{ "a@far.example", "x@far.example", "192.0.2.16", "printer", "mx:far.example", false },
	{ "a@far.example", "x@far.example", "", "", "relay:corp", false },
	{ "a@[192.0.2.1]", "x@far.example", "", "printer", "mx:[192.0.2.1]", false },
};

static void lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf key;
		buf_init(&key, 1000);
		struct route_question q = { .client = str_of(cases[i].client), .user = str_of(cases[i].user) };
		assert_int_equal(address_parse(str_of(cases[i].to), arena, &q.recipient), OK);
		if (cases[i].sender[0] != '\0')
			assert_int_equal(address_parse(str_of(cases[i].sender), arena, &q.sender), OK);
		q.recipient_domain = q.recipient.domain;
		if (!q.recipient.literal)
			assert_int_equal(domain_to_ascii(q.recipient.domain, arena, &q.recipient_domain), OK);
		struct route route = route_plan(conf, &q);
		assert_int_equal(route_key(&route, &key), OK);
		assert_non_null(route.retry);
		if (!str_eq(buf_view(&key), str_of(cases[i].key)) || route.local != cases[i].local)
			fail_msg("%s from <%s> (%s, %s): got %.*s, want %s", cases[i].to, cases[i].sender, cases[i].client,
			         cases[i].user, STR_ARG(buf_view(&key)), cases[i].key);
		buf_fini(&key);
	}
}

static void times(void **state)
{
	(void)state;
	assert_int_equal(plan("a@example.org", "x@y.example", "", "").retry->retry_s[0], 60);
	assert_int_equal(plan("a@partner.example", "x@y.example", "", "").retry->give_up_s, 30 * 86400);
	assert_int_equal(plan("a@behind.example", "x@y.example", "", "").retry->retry_s[0], 120);
	assert_int_equal(plan("a@slow.example", "x@y.example", "", "").retry->retry_s[0], 180);
	assert_int_equal(plan("a@x.corp.example", "x@y.example", "", "").retry->retry_s[0], 120);
	assert_int_equal(plan("a@far.example", "x@y.example", "", "printer").retry->n_retry, 0);
}

static void without_lines_mail_goes_direct(void **state)
{
	(void)state;
	size_t n = conf->n_routes;
	conf->n_routes = 0;
	struct route route = plan("a@far.example", "x@y.example", "", "");
	conf->n_routes = n;
	assert_int_equal(route.kind, ROUTE_TO_MX);
	assert_false(route.backup);
}

static void key_at_its_ceiling(void **state)
{
	(void)state;
	struct route route = { .kind = ROUTE_TO_MX, .name = STR("far.example") };
	struct buf key;
	buf_init(&key, 14);
	assert_int_equal(route_key(&route, &key), OK);
	buf_fini(&key);
	buf_init(&key, 13);
	assert_int_equal(route_key(&route, &key), F_LIMIT);
	assert_int_equal(buf_view(&key).n, 0);
	buf_fini(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines), cmocka_unit_test(times), cmocka_unit_test(without_lines_mail_goes_direct),
		cmocka_unit_test(key_at_its_ceiling),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
