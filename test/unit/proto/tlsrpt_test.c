/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "proto/tlsrpt/gzip.h"
#include "proto/tlsrpt/tlsrpt.h"

/* ---- the record: RFC 8460 3 ---- */

static void records(void **state)
{
	(void)state;
	const struct { const char *text; enum tlsrpt_record want; size_t n; const char *first; } cases[] = {
		{ "v=TLSRPTv1;rua=mailto:tls@harbour.example", TLSRPT_RECORD, 1, "mailto:tls@harbour.example" },
		{ "v=TLSRPTv1; rua=https://in.harbour.example/v1/tlsrpt", TLSRPT_RECORD, 1, "https://in.harbour.example/v1/tlsrpt" },
		{ "v=TLSRPTv1 ; rua=HTTPS://a.example , mailto:b@a.example ;", TLSRPT_RECORD, 2, "HTTPS://a.example" },
		{ "v=TLSRPTv1; x-1.a_b=1:2!; rua=mailto:a@b", TLSRPT_RECORD, 1, "mailto:a@b" },
		{ "v=TLSRPTv1; rua=https://a.example/?x=1&y=2", TLSRPT_RECORD, 1, "https://a.example/?x=1&y=2" },
		{ "v=TLSRPTv1; rua=mailto:a@b; rua=mailto:c@d", TLSRPT_RECORD, 1, "mailto:a@b" },
		{ "v=TLSRPTv1; rua=ftp://a.example,mailto:a@b", TLSRPT_RECORD, 1, "mailto:a@b" },
		{ "v=TLSRPTv1; rua=http://a.example", TLSRPT_RECORD, 0, "" },
		{ "v=TLSRPTv1; rua=mailto:", TLSRPT_RECORD, 0, "" },
		{ "v=TLSRPTv1;", TLSRPT_MALFORMED, 0, "" },
		{ "v=TLSRPTv1; rua=", TLSRPT_MALFORMED, 0, "" },
		{ "v=TLSRPTv1; RUA=mailto:a@b", TLSRPT_MALFORMED, 0, "" },
		{ "v=TLSRPTv1; rua=mailto:a@b,,mailto:c@d", TLSRPT_MALFORMED, 0, "" },
		{ "v=TLSRPTv1; rua=mailto:a@b!10m", TLSRPT_MALFORMED, 0, "" },
		{ "v=TLSRPTv1; rua=mailto:a b@c", TLSRPT_MALFORMED, 0, "" },
		{ "v=TLSRPTv1;; rua=mailto:a@b", TLSRPT_MALFORMED, 0, "" },
		{ "v=TLSRPTv1; rua=mailto:a@b; x", TLSRPT_MALFORMED, 0, "" },
		{ "v=TLSRPTv1; rua=mailto:a@b; x=a=b", TLSRPT_MALFORMED, 0, "" },
		{ "v=TLSRPTv1; rua=mailto:\xc3\xa4@b", TLSRPT_MALFORMED, 0, "" },
		{ "v=TLSRPTv1 rua=mailto:a@b", TLSRPT_NO_RECORD, 0, "" },
		{ "v=TLSRPTv10; rua=mailto:a@b", TLSRPT_NO_RECORD, 0, "" },
		{ "v=tlsrptv1; rua=mailto:a@b", TLSRPT_NO_RECORD, 0, "" },
		{ "", TLSRPT_NO_RECORD, 0, "" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str uris[TLSRPT_URIS_MAX];
		struct str record = str_of(cases[i].text);
		size_t n = 99;
		if (tlsrpt_read_records(&record, 1, uris, &n) != cases[i].want || n != cases[i].n)
			fail_msg("\"%s\"", cases[i].text);
		if (n > 0)
			assert_str(uris[0], cases[i].first);
	}
}

static void exactly_one_record(void **state)
{
	(void)state;
	struct str uris[TLSRPT_URIS_MAX];
	size_t n;
	struct str list[] = { STR("v=spf1 -all"), STR("v=TLSRPTv1; rua=mailto:a@b"), STR("v=TLSRPTv1; rubbish") };
	assert_int_equal(tlsrpt_read_records(list, 2, uris, &n), TLSRPT_RECORD);
	assert_int_equal(tlsrpt_read_records(list, 3, uris, &n), TLSRPT_SEVERAL);
	assert_int_equal(n, 0);
	assert_int_equal(tlsrpt_read_records(NULL, 0, uris, &n), TLSRPT_NO_RECORD);
}

/* TLSRPT_URIS_MAX, TLSRPT_URI_MAX */
static void uris_are_bounded(void **state)
{
	(void)state;
	struct str uris[TLSRPT_URIS_MAX];
	struct buf text;
	size_t n;
	for (int more = 0; more <= 1; more++) {
		buf_init(&text, 1 << 16);
		assert_int_equal(buf_addf(&text, "v=TLSRPTv1; rua=mailto:0@x"), OK);
		for (int i = 1; i < TLSRPT_URIS_MAX + more; i++)
			assert_int_equal(buf_addf(&text, ",mailto:%d@x", i), OK);
		struct str record = buf_view(&text);
		assert_int_equal(tlsrpt_read_records(&record, 1, uris, &n), TLSRPT_RECORD);
		assert_int_equal(n, TLSRPT_URIS_MAX);
		buf_clear(&text);
		assert_int_equal(buf_addf(&text, "v=TLSRPTv1; rua=mailto:%0*d", TLSRPT_URI_MAX - 7 + more, 0), OK);
		record = buf_view(&text);
		assert_int_equal(tlsrpt_read_records(&record, 1, uris, &n), TLSRPT_RECORD);
		assert_int_equal(n, 1 - more);
		buf_fini(&text);
	}
}

/* ---- counting ---- */

static struct tlsrpt_session failure(enum tlsrpt_result result, const char *mx)
{
	return (struct tlsrpt_session){
		.type = TLSRPT_STS, .domain = STR("harbour.example"),
		.strings = STR("version: STSv1\nmode: testing\nmx: *.mail.harbour.example\nmax_age: 86400"),
		.mx_hosts = STR("*.mail.harbour.example"), .result = result, .sending_ip = STR("2001:db8::25"), .mx = str_of(mx),
		.receiving_ip = STR("203.0.113.56"),
	};
}

static void equal_sessions_are_one_entry(void **state)
{
	(void)state;
	struct tlsrpt_report *r = tlsrpt_new();
	struct tlsrpt_session bad = failure(TLSRPT_CERTIFICATE_EXPIRED, "mx1.mail.harbour.example");
	struct tlsrpt_session other = failure(TLSRPT_CERTIFICATE_EXPIRED, "mx2.mail.harbour.example");
	struct tlsrpt_session good = failure(TLSRPT_SUCCESS, "mx1.mail.harbour.example");
	struct tlsrpt_session none = { .domain = STR("harbour.example") };
	for (int i = 0; i < 3; i++)
		assert_int_equal(tlsrpt_count(r, &bad), OK);
	assert_int_equal(tlsrpt_count(r, &other), OK);
	assert_int_equal(tlsrpt_count(r, &good), OK);
	assert_int_equal(tlsrpt_count(r, &none), OK);
	assert_int_equal(r->n_policies, 2);
	assert_int_equal(r->policies[0].succeeded, 1);
	assert_int_equal(r->policies[0].failed, 4);
	assert_int_equal(r->policies[0].n_details, 2);
	assert_int_equal(r->policies[0].details[0].sessions, 3);
	assert_str(r->policies[0].details[1].mx, "mx2.mail.harbour.example");
	assert_int_equal(r->policies[1].type, TLSRPT_NO_POLICY);
	assert_int_equal(r->policies[1].succeeded, 1);
	tlsrpt_free(&r);
}

/* TLSRPT_DETAILS_MAX: what does not fit is counted by its result type; TLSRPT_POLICIES_MAX: no more. */
static void counts_are_bounded(void **state)
{
	(void)state;
	struct tlsrpt_report *r = tlsrpt_new();
	char name[40];
	for (int i = 0; i < TLSRPT_DETAILS_MAX + 5; i++) {
		(void)snprintf(name, sizeof name, "mx%d.mail.harbour.example", i);
		struct tlsrpt_session s = failure(TLSRPT_CERTIFICATE_EXPIRED, name);
		assert_int_equal(tlsrpt_count(r, &s), OK);
		assert_int_equal(r->policies[0].n_details, i < TLSRPT_DETAILS_MAX ? i + 1 : TLSRPT_DETAILS_MAX + 1);
	}
	const struct tlsrpt_detail *last = &r->policies[0].details[TLSRPT_DETAILS_MAX];
	assert_str(last->result, "certificate-expired");
	assert_int_equal(last->mx.n, 0);
	assert_int_equal(last->sessions, 5);
	assert_int_equal(r->policies[0].failed, TLSRPT_DETAILS_MAX + 5);
	for (int i = 1; i < TLSRPT_POLICIES_MAX; i++) {
		(void)snprintf(name, sizeof name, "d%d.example", i);
		assert_int_equal(tlsrpt_count(r, &(struct tlsrpt_session){ .domain = str_of(name) }), OK);
	}
	assert_int_equal(tlsrpt_count(r, &(struct tlsrpt_session){ .domain = STR("one-more.example") }), F_LIMIT);
	assert_int_equal(tlsrpt_count(r, &(struct tlsrpt_session){ .domain = STR("D1.example") }), OK);
	assert_int_equal(r->policies[1].succeeded, 2);
	tlsrpt_free(&r);
}

/* TLSRPT_TEXT_MAX, TLSRPT_POLICY_MAX; nothing that is no text. */
static void texts_are_clean_and_short(void **state)
{
	(void)state;
	struct tlsrpt_report *r = tlsrpt_new();
	struct buf strings, reason;
	buf_init(&strings, 1 << 16);
	buf_init(&reason, 1 << 10);
	for (int i = 0; i < 200; i++)
		assert_int_equal(buf_addf(&strings, "3 1 1 %060d\n", i), OK);
	assert_int_equal(buf_addf(&reason, "%0*d\xc3\xa4", TLSRPT_TEXT_MAX - 1, 0), OK);
	struct tlsrpt_session s = {
		.type = TLSRPT_TLSA, .domain = STR("a\x1b[31m.example"), .strings = buf_view(&strings), .helo = STR("\xff"),
		.result = TLSRPT_TLSA_INVALID, .reason = buf_view(&reason),
	};
	assert_int_equal(tlsrpt_count(r, &s), OK);
	assert_str(r->policies[0].domain, "a [31m.example");
	assert_int_equal(r->policies[0].strings.n, TLSRPT_POLICY_MAX / 67 * 67 - 1);
	assert_int_equal(r->policies[0].details[0].helo.n, 0);
	assert_int_equal(r->policies[0].details[0].reason.n, TLSRPT_TEXT_MAX - 1);
	buf_fini(&strings);
	buf_fini(&reason);
	tlsrpt_free(&r);
}

/* ---- as text ---- */

/* The example of RFC 8460 appendix B, with names of our own. */
static const char example[] =
	"{ \"organization-name\": \"Lighthouse\",\n"
	"  \"date-range\": { \"start-datetime\": \"2016-04-01T00:00:00Z\", \"end-datetime\": \"2016-04-01T23:59:59Z\" },\n"
	"  \"contact-info\": \"tls@lighthouse.example\", \"report-id\": \"2016-04-01.harbour\",\n"
	"  \"policies\": [ { \"policy\": { \"policy-type\": \"sts\",\n"
	"      \"policy-string\": [ \"version: STSv1\", \"mode: testing\", \"mx: *.mail.harbour.example\", \"max_age: 86400\" ],\n"
	"      \"policy-domain\": \"harbour.example\", \"mx-host\": \"*.mail.harbour.example\" },\n"
	"    \"summary\": { \"total-successful-session-count\": 5326, \"total-failure-session-count\": 303 },\n"
	"    \"failure-details\": [\n"
	"      { \"result-type\": \"certificate-expired\", \"sending-mta-ip\": \"2001:db8:abcd:0012::1\",\n"
	"        \"receiving-mx-hostname\": \"mx1.mail.harbour.example\", \"failed-session-count\": 100 },\n"
	"      { \"result-type\": \"starttls-not-supported\", \"receiving-ip\": \"203.0.113.56\", \"failed-session-count\": 200,\n"
	"        \"additional-information\": \"https://lighthouse.example/info?id=5\", \"x-new\": { \"a\": [ 1, null ] } },\n"
	"      { \"result-type\": \"validation-failure\", \"failed-session-count\": 3,\n"
	"        \"failure-reason-code\": \"X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED\" } ] } ] }\n";

static void the_example_is_read(void **state)
{
	(void)state;
	struct tlsrpt_report *r;
	struct why why = { "" };
	assert_int_equal(tlsrpt_read(str_of(example), &r, &why), OK);
	assert_str(r->organization, "Lighthouse");
	assert_str(r->contact, "tls@lighthouse.example");
	assert_str(r->id, "2016-04-01.harbour");
	assert_int_equal(r->begin_s, 1459468800);
	assert_int_equal(r->end_s, 1459468800 + 86399);
	assert_int_equal(r->n_policies, 1);
	const struct tlsrpt_policy *p = &r->policies[0];
	assert_int_equal(p->type, TLSRPT_STS);
	assert_str(p->strings, "version: STSv1\nmode: testing\nmx: *.mail.harbour.example\nmax_age: 86400");
	assert_str(p->mx_hosts, "*.mail.harbour.example");
	assert_int_equal(p->succeeded, 5326);
	assert_int_equal(p->failed, 303);
	assert_int_equal(p->n_details, 3);
	assert_str(p->details[1].info, "https://lighthouse.example/info?id=5");
	assert_int_equal(p->details[1].sessions, 200);
	assert_str(p->details[2].reason, "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED");
	tlsrpt_free(&r);
}

static void strings_are_lines(void **state)
{
	(void)state;
	const struct { const char *json, *want; } cases[] = {
		{ "\"a\"", "a" }, { "\"\\n\\na\\r\\n\\nb\\n\"", "a\nb" }, { "[\"a\",\"\",1,null,\"b\\nc\"]", "a\nb\nc" }, { "{}", "" }, { "7", "" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct tlsrpt_report *r;
		struct why why = { "" };
		char json[512];
		(void)snprintf(json, sizeof json, "{\"date-range\":{\"start-datetime\":\"2016-04-01T00:00:00Z\",\"end-datetime\":"
		               "\"2016-04-01T23:59:59Z\"},\"policies\":[{\"policy\":{\"policy-type\":\"tlsa\",\"policy-domain\":\"a\","
		               "\"policy-string\":%s}}]}", cases[i].json);
		assert_int_equal(tlsrpt_read(str_of(json), &r, &why), OK);
		assert_str(r->policies[0].strings, cases[i].want);
		tlsrpt_free(&r);
	}
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	struct tlsrpt_report *r = tlsrpt_new(), *back;
	struct why why = { "" };
	struct buf text, again;
	struct tlsrpt_session bad = failure(TLSRPT_CERTIFICATE_NOT_TRUSTED, "mx.mail.harbour.example");
	bad.reason = STR("self-signed \"certificate\"");
	assert_int_equal(tlsrpt_count(r, &bad), OK);
	tlsrpt_name(r, STR("Lighthouse"), STR("tls@lighthouse.example"), STR("1"));
	tlsrpt_range(r, 16892);
	buf_init(&text, 1 << 16);
	buf_init(&again, 1 << 16);
	assert_int_equal(tlsrpt_write(&text, r), OK);
	assert_str(buf_view(&text),
	           "{\"organization-name\":\"Lighthouse\",\"date-range\":{\"start-datetime\":\"2016-04-01T00:00:00Z\","
	           "\"end-datetime\":\"2016-04-01T23:59:59Z\"},\"contact-info\":\"tls@lighthouse.example\",\"report-id\":\"1\","
	           "\"policies\":[{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\",\"mode: testing\","
	           "\"mx: *.mail.harbour.example\",\"max_age: 86400\"],\"policy-domain\":\"harbour.example\","
	           "\"mx-host\":[\"*.mail.harbour.example\"]},\"summary\":{\"total-successful-session-count\":0,"
	           "\"total-failure-session-count\":1},\"failure-details\":[{\"result-type\":\"certificate-not-trusted\","
	           "\"sending-mta-ip\":\"2001:db8::25\",\"receiving-mx-hostname\":\"mx.mail.harbour.example\","
	           "\"receiving-ip\":\"203.0.113.56\",\"failed-session-count\":1,"
	           "\"failure-reason-code\":\"self-signed \\\"certificate\\\"\"}]}]}");
	assert_int_equal(tlsrpt_read(buf_view(&text), &back, &why), OK);
	assert_int_equal(tlsrpt_write(&again, back), OK);
	assert_true(str_eq(buf_view(&text), buf_view(&again)));
	tlsrpt_free(&back);
	/* A ceiling below what is needed leaves nothing. */
	buf_fini(&again);
	buf_init(&again, buf_view(&text).n - 1);
	assert_int_equal(tlsrpt_write(&again, r), F_LIMIT);
	assert_int_equal(buf_view(&again).n, 0);
	buf_fini(&text);
	buf_fini(&again);
	tlsrpt_free(&r);
}

#define RANGE "\"date-range\":{\"start-datetime\":\"2016-04-01T00:00:00Z\",\"end-datetime\":\"2016-04-01T23:59:59Z\"},"
#define POLICY(summary, details) "{" RANGE "\"policies\":[{\"policy\":{\"policy-type\":\"sts\",\"policy-domain\":\"a.example\"}," \
	"\"summary\":{" summary "},\"failure-details\":[" details "]}]}"

/* A policy's text of just TLSRPT_POLICY_MAX comes back; a line that is longer is left out. */
static void long_policies_are_read(void **state)
{
	(void)state;
	for (int over = 0; over < 2; over++) {
		struct tlsrpt_report *r;
		struct why why = { "" };
		struct buf json;
		buf_init(&json, 1 << 16);
		assert_int_equal(buf_addf(&json, "{" RANGE "\"policies\":[{\"policy\":{\"policy-type\":\"sts\",\"policy-domain\":\"a.example\","
		                          "\"policy-string\":[\"%0*d\"]}}]}", TLSRPT_POLICY_MAX + over, 0), OK);
		assert_int_equal(tlsrpt_read(buf_view(&json), &r, &why), OK);
		assert_int_equal(r->policies[0].strings.n, over ? 0 : TLSRPT_POLICY_MAX);
		tlsrpt_free(&r);
		buf_fini(&json);
	}
}

static void hostile_reports(void **state)
{
	(void)state;
	const struct { const char *text; fault want; } cases[] = {
		{ "{" RANGE "\"policies\":[]}", OK },
		{ POLICY("", ""), OK },
		{ POLICY("\"total-failure-session-count\":9007199254740991", ""), OK },
		{ POLICY("\"total-failure-session-count\":9007199254740992", ""), F_SYNTAX },
		{ POLICY("\"total-failure-session-count\":-1", ""), F_SYNTAX },
		{ POLICY("\"total-failure-session-count\":1.5", ""), F_SYNTAX },
		{ POLICY("\"total-failure-session-count\":\"1\"", ""), F_SYNTAX },
		{ POLICY("", "{\"result-type\":\"x\"}"), OK },
		{ POLICY("", "{}"), F_SYNTAX },
		{ POLICY("", "[]"), F_SYNTAX },
		{ POLICY("", "{\"result-type\":\"x\",\"failed-session-count\":-1}"), F_SYNTAX },
		{ "{" RANGE "\"policies\":[{\"policy\":{\"policy-type\":\"new\",\"policy-domain\":\"a\"}}]}", F_SYNTAX },
		{ "{" RANGE "\"policies\":[{\"policy\":{\"policy-type\":\"sts\"}}]}", F_SYNTAX },
		{ "{" RANGE "\"policies\":[1]}", F_SYNTAX },
		{ "{" RANGE "\"policies\":{}}", F_SYNTAX },
		{ "{\"policies\":[]}", F_SYNTAX },
		{ "{\"date-range\":{\"start-datetime\":\"2016-04-02T00:00:00Z\",\"end-datetime\":\"2016-04-01T00:00:00Z\"},\"policies\":[]}",
		  F_SYNTAX },
		{ "{\"date-range\":{\"start-datetime\":\"2016-13-01T00:00:00Z\",\"end-datetime\":\"2017-04-01T00:00:00Z\"},\"policies\":[]}",
		  F_SYNTAX },
		{ "{" RANGE "\"policies\":[],\"policies\":[]}", F_SYNTAX },
		{ "{" RANGE "\"policies\":[],\"report-id\":\"\\u0000\"}", F_SYNTAX },
		{ "{" RANGE "\"policies\":[]} x", F_SYNTAX },
		{ "[]", F_SYNTAX },
		{ "", F_SYNTAX },
		{ "{", F_SYNTAX },
		{ "\"", F_SYNTAX },
		{ "\"\\", F_SYNTAX },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct tlsrpt_report *r;
		struct why why = { "" };
		fault f = tlsrpt_read(str_of(cases[i].text), &r, &why);
		if (f != cases[i].want || (f == OK) != (r != NULL) || (f == OK) != (why.text[0] == '\0'))
			fail_msg("%s: %s, %s", cases[i].text, fault_name(f), why.text);
		tlsrpt_free(&r);
	}
}

static fault read_put(struct buf *text)
{
	struct tlsrpt_report *r;
	struct why why = { "" };
	fault f = tlsrpt_read(buf_view(text), &r, &why);
	tlsrpt_free(&r);
	buf_clear(text);
	return f;
}

/* TLSRPT_DEPTH_MAX, TLSRPT_VALUES_MAX, TLSRPT_JSON_MAX, TLSRPT_POLICIES_MAX: just under and just over. */
static void reports_are_bounded(void **state)
{
	(void)state;
	struct buf text;
	buf_init(&text, TLSRPT_JSON_MAX + 100);
	for (int more = 0; more <= 1; more++) {
		fault want = more ? F_LIMIT : OK;
		assert_int_equal(buf_addf(&text, "{" RANGE "\"policies\":[],\"x\":"), OK);
		for (int i = 0; i < TLSRPT_DEPTH_MAX - 1 + more; i++)
			assert_int_equal(buf_add_char(&text, '['), OK);
		for (int i = 0; i < TLSRPT_DEPTH_MAX - 1 + more; i++)
			assert_int_equal(buf_add_char(&text, ']'), OK);
		assert_int_equal(buf_add_char(&text, '}'), OK);
		assert_int_equal(read_put(&text), want);

		/* Three commas and four brackets go before. */
		assert_int_equal(buf_addf(&text, "{" RANGE "\"policies\":[],\"x\":[0"), OK);
		for (int i = 0; i < TLSRPT_VALUES_MAX - 7 + more; i++)
			assert_int_equal(buf_add(&text, STR(",0")), OK);
		assert_int_equal(buf_add(&text, STR("]}")), OK);
		assert_int_equal(read_put(&text), want);

		assert_int_equal(buf_addf(&text, "{" RANGE "\"policies\":[]}"), OK);
		while (buf_view(&text).n < (size_t)TLSRPT_JSON_MAX + (size_t)more)
			assert_int_equal(buf_add_char(&text, ' '), OK);
		assert_int_equal(read_put(&text), want);

		assert_int_equal(buf_addf(&text, "{" RANGE "\"policies\":["), OK);
		for (int i = 0; i < TLSRPT_POLICIES_MAX + more; i++)
			assert_int_equal(buf_addf(&text, "%s{\"policy\":{\"policy-type\":\"sts\",\"policy-domain\":\"d%d\"}}", i > 0 ? "," : "", i), OK);
		assert_int_equal(buf_add(&text, STR("]}")), OK);
		assert_int_equal(read_put(&text), want);
	}
	buf_fini(&text);
}

static void sums(void **state)
{
	(void)state;
	struct tlsrpt_report *sum = tlsrpt_new(), *a, *b;
	struct why why = { "" };
	assert_int_equal(tlsrpt_read(str_of(example), &a, &why), OK);
	assert_int_equal(tlsrpt_read(STR(POLICY("\"total-failure-session-count\":9007199254740000", "")), &b, &why), OK);
	tlsrpt_range(b, 16893);
	assert_int_equal(tlsrpt_sum(sum, a), OK);
	assert_int_equal(tlsrpt_sum(sum, a), OK);
	assert_int_equal(tlsrpt_sum(sum, b), OK);
	assert_int_equal(tlsrpt_sum(sum, b), OK);
	assert_int_equal(sum->n_policies, 2);
	assert_int_equal(sum->policies[0].succeeded, 2 * 5326);
	assert_int_equal(sum->policies[0].n_details, 3);
	assert_int_equal(sum->policies[0].details[0].sessions, 200);
	assert_true(sum->policies[1].failed == TLSRPT_COUNT_MAX);
	assert_int_equal(sum->begin_s, 1459468800);
	assert_int_equal(sum->end_s, 1459468800 + 2 * 86400 - 1);
	tlsrpt_free(&a);
	tlsrpt_free(&b);
	tlsrpt_free(&sum);
}

/* ---- gzip ---- */

static void packed_and_unpacked(void **state)
{
	(void)state;
	struct buf packed, plain;
	buf_init(&packed, 1 << 20);
	buf_init(&plain, 1 << 20);
	assert_int_equal(gzip_put(&packed, str_of(example)), OK);
	assert_true(gzip_looks_like(buf_view(&packed)));
	assert_true(buf_view(&packed).n < strlen(example));
	assert_int_equal(gzip_get(&plain, buf_view(&packed)), OK);
	assert_str(buf_view(&plain), example);
	/* A part of it, a changed byte, something behind it: no gzip. */
	for (size_t n = 0; n < buf_view(&packed).n; n++)
		assert_int_equal(gzip_get(&plain, str_sub(buf_view(&packed), 0, n)), F_SYNTAX);
	assert_str(buf_view(&plain), example);
	assert_int_equal(buf_add_char(&packed, 'x'), OK);
	assert_int_equal(gzip_get(&plain, buf_view(&packed)), F_SYNTAX);
	buf_fini(&packed);
	buf_fini(&plain);
}

/* RFC 1952 2.2: what is packed in pieces is one text. */
static void packed_in_pieces(void **state)
{
	(void)state;
	struct buf packed, plain;
	size_t ends[4], at = 0;
	buf_init(&packed, 1 << 20);
	buf_init(&plain, 1 << 20);
	for (size_t i = 0; i < COUNT(ends); i++) { /* the second is empty */
		size_t n = i == 1 ? 0 : i == 3 ? strlen(example) - at : 100;
		assert_int_equal(gzip_put(&packed, str_sub(str_of(example), at, n)), OK);
		ends[i] = buf_view(&packed).n;
		at += n;
	}
	assert_int_equal(gzip_get(&plain, buf_view(&packed)), OK);
	assert_str(buf_view(&plain), example);
	/* Broken off anywhere but at the end of a piece it is none. */
	for (size_t n = 0; n < buf_view(&packed).n; n++) {
		buf_clear(&plain);
		bool whole = n == ends[0] || n == ends[1] || n == ends[2];
		assert_int_equal(gzip_get(&plain, str_sub(buf_view(&packed), 0, n)), whole ? OK : F_SYNTAX);
		assert_int_equal(buf_view(&plain).n, !whole ? 0 : n == ends[2] ? 200 : 100);
	}
	assert_int_equal(buf_add(&packed, STR("\0\0")), OK);
	buf_clear(&plain);
	assert_int_equal(gzip_get(&plain, buf_view(&packed)), F_SYNTAX);
	buf_fini(&packed);
	buf_fini(&plain);
}

/* A bomb stops at the ceiling: a thousand times as much as came. */
static void a_bomb_does_not_go_off(void **state)
{
	(void)state;
	enum { ZEROS = 4 << 20 };
	struct buf zeros, packed, plain;
	buf_init(&zeros, ZEROS);
	for (int i = 0; i < ZEROS; i++)
		assert_int_equal(buf_add_char(&zeros, '0'), OK);
	for (size_t pieces = 1; pieces <= 4; pieces *= 4) { /* all of them together */
		buf_init(&packed, 1 << 20);
		for (size_t i = 0; i < pieces; i++)
			assert_int_equal(gzip_put(&packed, str_sub(buf_view(&zeros), 0, ZEROS / pieces)), OK);
		assert_true(buf_view(&packed).n < ZEROS / 500);
		for (int less = 0; less <= 1; less++) {
			buf_init(&plain, (size_t)(ZEROS + 1 - 2 * less));
			assert_int_equal(gzip_get(&plain, buf_view(&packed)), less ? F_LIMIT : OK);
			assert_int_equal(buf_view(&plain).n, less ? 0 : ZEROS);
			buf_fini(&plain);
		}
		buf_fini(&packed);
	}
	buf_fini(&zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(exactly_one_record),
		cmocka_unit_test(uris_are_bounded),
		cmocka_unit_test(equal_sessions_are_one_entry),
		cmocka_unit_test(counts_are_bounded),
		cmocka_unit_test(texts_are_clean_and_short),
		cmocka_unit_test(long_policies_are_read),
		cmocka_unit_test(the_example_is_read),
		cmocka_unit_test(strings_are_lines),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(hostile_reports),
		cmocka_unit_test(reports_are_bounded),
		cmocka_unit_test(sums),
		cmocka_unit_test(packed_and_unpacked),
		cmocka_unit_test(packed_in_pieces),
		cmocka_unit_test(a_bomb_does_not_go_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
