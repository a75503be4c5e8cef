/* SPDX-License-Identifier: ISC */
/* Policies over days and years: renewed, kept, waited for, with a DNS, web servers and clocks that the test plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "outside.h"
#include "role/resolver/policies.h"
#include "role/resolver/reports.h"
#include "sys/clock.h"

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, DAY_S = 86400, YEAR_S = 365 * DAY_S };

static struct errands *errands;
static struct policies *policies;
static struct dns *dns;
static char id[40], body[400];            /* what is published, by every domain */
static enum dns_result record_result;
static enum { RIGHT, FAILS, SILENT } web;
static const char *silent_host;           /* this one alone */
static unsigned n_kept, n_forgotten;
static char kept_value[2000];
static unsigned n_addresses;
static const char *web_words;

/* What was answered to the last who asked, and how many were answered in all. */
static struct { unsigned n; enum sts_state state; enum sts_trouble trouble; enum mtasts_mode mode; bool cached; int64_t expires_s;
                char text[400]; } heard;

static bool on_dns(bool validates, enum dns_kind kind, struct str name, struct dns_answer *out)
{
	static char record[80];
	static struct dns_record records[20];
	(void)validates;
	if (kind == DNS_TXT && str_starts(name, STR("_mta-sts."))) {
		(void)snprintf(record, sizeof record, "v=STSv1; id=%s;", id);
		records[0] = (struct dns_record){ 0, str_of(record) };
		*out = (struct dns_answer){ .result = record_result, .records = records, .n_records = record_result == DNS_FOUND };
	} else if (kind == DNS_A) {
		for (size_t i = 0; i < n_addresses; i++)
			records[i] = (struct dns_record){ 0, STR("203.0.113.1") };
		*out = (struct dns_answer){ .result = DNS_FOUND, .records = records, .n_records = n_addresses };
	} else {
		*out = (struct dns_answer){ .result = DNS_NODATA };
	}
	return true;
}

static bool on_web(const struct https_request *request, struct https_answer *out)
{
	if (web == SILENT || (silent_host != NULL && str_eq(request->host, str_of(silent_host))))
		return false;
	if (web == FAILS)
		*out = (struct https_answer){ .result = HTTPS_UNREACHABLE, .text = str_of(web_words) };
	else
		out->body = str_of(body);
	return true;
}

static void publish(const char *new_id, const char *mode, int64_t max_age_s)
{
	(void)snprintf(id, sizeof id, "%s", new_id);
	(void)snprintf(body, sizeof body, "version: STSv1\nmode: %s\nmx: mx.y.example\nmax_age: %lld\n", mode, (long long)max_age_s);
}

static void on_keep(void *owner, struct str key, struct str value, int64_t expires_s)
{
	(void)owner;
	(void)key;
	if (expires_s == 0)
		n_forgotten++;
	else
		n_kept++;
	(void)snprintf(kept_value, sizeof kept_value, "%.*s", STR_ARG(value));
}

static void make_policies(void)
{
	policies_free(&policies);
	policies = policies_new(&(struct policies_house){ .loop = outside.loop, .errands = errands, .keep = on_keep });
	policies_use(policies, dns);
}

static int begin(void **state)
{
	(void)state;
	outside_begin();
	outside.dns = on_dns;
	outside.web = on_web;
	n_kept = n_forgotten = 0;
	record_result = DNS_FOUND;
	web = RIGHT;
	silent_host = NULL;
	n_addresses = 1;
	web_words = "no connection";
	memset(&heard, 0, sizeof heard);
	assert_int_equal(dns_new(outside.loop, &(struct dns_options){ .patience_ms = 1 }, &dns, NULL), OK);
	errands = errands_new(outside.loop);
	assert_int_equal(errands_trust(errands, STR("somebody"), false, NULL), OK);
	errands_use(errands, dns);
	make_policies();
	policies_kept(policies, STR_NONE, STR_NONE, 0);
	outside_turn();
	publish("1", "enforce", 7 * DAY_S);
	return 0;
}

static int end(void **state)
{
	(void)state;
	policies_free(&policies);
	errands_free(&errands);
	dns_free(&dns);
	outside_end();
	return 0;
}

static void on_policy(void *owner, const struct policy_answer *a)
{
	(void)owner;
	heard.n++;
	heard.state = a->state;
	heard.trouble = a->trouble;
	heard.mode = a->state == STS_POLICY ? a->known->mode : MTASTS_MODE_NONE;
	heard.cached = a->cached;
	heard.expires_s = a->state == STS_POLICY ? mtasts_expires_s(a->known) : 0;
	(void)snprintf(heard.text, sizeof heard.text, "%.*s", STR_ARG(a->text));
}

static void ask(const char *domain)
{
	assert_non_null(policies_ask(policies, str_of(domain), on_policy, NULL));
	outside_turn();
}

static void ask_many(unsigned from, unsigned to)
{
	char name[40];
	for (unsigned i = from; i < to; i++) {
		(void)snprintf(name, sizeof name, "n%u.example", i);
		assert_non_null(policies_ask(policies, str_of(name), on_policy, NULL));
	}
	outside_turn();
}

static void expect(enum sts_state state, bool cached, enum sts_trouble trouble)
{
	unsigned before = heard.n;
	ask("y.example");
	assert_int_equal(heard.n, before + 1);
	assert_int_equal(heard.state, state);
	assert_int_equal(heard.cached, cached);
	assert_int_equal(heard.trouble, trouble);
}

/* ---- renewal ---- */

/* Once a day, whether mail flows or not, and never later than half-way to its end; so a policy that is asked for once a month is there. */
static void it_is_renewed_in_the_background(void **state)
{
	(void)state;
	expect(STS_POLICY, false, STS_FINE);
	for (unsigned day = 1; day <= 80; day++) {
		outside_live((int64_t)DAY_S * 1000, HOUR_MS);
		assert_in_range(outside.n_requests, day, 1 + day + day / 7);
	}
	web = FAILS;
	expect(STS_POLICY, true, STS_FINE);
	assert_int_equal(n_forgotten, 0);
}

/* Policies that were fetched in one minute do not come back in one. */
static void renewals_are_spread(void **state)
{
	(void)state;
	unsigned in_an_hour[24] = { 0 };
	ask_many(0, 100);
	assert_int_equal(outside.n_requests, 100);
	for (unsigned hour = 0; hour < 24; hour++) {
		unsigned before = outside.n_requests;
		outside_live(HOUR_MS, 5 * MINUTE_MS);
		in_an_hour[hour] = outside.n_requests - before;
	}
	for (unsigned hour = 0; hour < 20; hour++)
		assert_int_equal(in_an_hour[hour], 0);
	for (unsigned hour = 21; hour < 24; hour++)
		assert_in_range(in_an_hour[hour], 15, 60); /* the last eighth of the day: three hours */
}

/* A host that fails: asked less and less often, and the policy lives to its last second, and no longer. */
static void a_failing_host_takes_nothing_away(void **state)
{
	(void)state;
	expect(STS_POLICY, false, STS_FINE);
	web = FAILS;
	outside_live((int64_t)2 * DAY_S * 1000, HOUR_MS);
	assert_in_range(outside.n_requests, 2, 20);
	expect(STS_POLICY, true, STS_FETCH_ERROR);
	record_result = DNS_NXDOMAIN;
	expect(STS_POLICY, true, STS_FETCH_ERROR);
	record_result = DNS_BOGUS;
	expect(STS_POLICY, true, STS_FETCH_ERROR);
	outside_live((int64_t)5 * DAY_S * 1000 - HOUR_MS, HOUR_MS);
	record_result = DNS_FOUND;
	expect(STS_POLICY, true, STS_FETCH_ERROR);
	outside_pass(HOUR_MS);
	expect(STS_POLICY, true, STS_FETCH_ERROR);
	outside_pass(1000);
	expect(STS_TROUBLE, false, STS_FETCH_ERROR);
	assert_in_range(outside.n_requests, 10, 50);
	web = RIGHT;
	outside_live(7 * HOUR_MS, HOUR_MS);
	expect(STS_POLICY, false, STS_FINE);
}

/* Set by years, ahead and back, while it runs: the policy is as old as it is, and is renewed when it would have been. */
static void test_attack_65_a_clock_that_is_set(void **state)
{
	(void)state;
	static const int64_t jumps_s[] = { 10LL * YEAR_S, -20LL * YEAR_S, 10LL * YEAR_S, DAY_S, -DAY_S, 301, -301, 299, -299 };
	expect(STS_POLICY, false, STS_FINE);
	web = FAILS;
	for (size_t i = 0; i < COUNT(jumps_s); i++) {
		unsigned requests = outside.n_requests;
		outside_set_clock(jumps_s[i]);
		expect(STS_POLICY, true, STS_FINE);
		outside_pass(MINUTE_MS);
		assert_int_equal(outside.n_requests, requests);
	}
	web = RIGHT;
	unsigned requests = outside.n_requests;
	outside_live((int64_t)DAY_S * 1000, HOUR_MS);
	assert_int_equal(outside.n_requests, requests + 1);
	web = FAILS;
	outside_set_clock(5LL * YEAR_S);
	outside_live((int64_t)7 * DAY_S * 1000 - 4 * HOUR_MS, HOUR_MS);
	expect(STS_POLICY, true, STS_FETCH_ERROR);
	outside_live(5 * HOUR_MS, HOUR_MS);
	expect(STS_TROUBLE, false, STS_FETCH_ERROR);
}

/* Set while it did not run, ahead and back: whoever has kept it knows how long it still holds. */
static void test_attack_65_a_clock_that_was_set_between_two_runs(void **state)
{
	(void)state;
	char kept[sizeof kept_value];
	expect(STS_POLICY, false, STS_FINE);
	(void)snprintf(kept, sizeof kept, "%s", kept_value);
	web = FAILS;
	static const int64_t by_s[] = { -10LL * YEAR_S, 10LL * YEAR_S, 10LL * YEAR_S, -10LL * YEAR_S };
	for (size_t i = 0; i < COUNT(by_s); i++) {
		outside_set_clock(by_s[i]);
		make_policies(); /* it starts with this clock */
		policies_kept(policies, STR("mta-sts/y.example"), str_of(kept), clock_wall_s() + DAY_S);
		policies_kept(policies, STR_NONE, STR_NONE, 0);
		ask("y.example");
		assert_int_equal(heard.state, STS_POLICY);
		assert_int_equal(heard.expires_s, clock_wall_s() + DAY_S);
	}
	outside_live((int64_t)DAY_S * 1000, HOUR_MS);
	expect(STS_POLICY, true, STS_FETCH_ERROR);
	outside_pass(1000);
	expect(STS_TROUBLE, false, STS_FETCH_ERROR);
	/* What nobody has counted on, or wrongly, holds by its own times, and for no longer than it says. */
	static const int64_t wrong_s[] = { 0, INT64_MIN, INT64_MAX };
	for (size_t i = 0; i < COUNT(wrong_s); i++) {
		make_policies();
		policies_kept(policies, STR("mta-sts/y.example"), str_of(kept), wrong_s[i]);
		policies_kept(policies, STR_NONE, STR_NONE, 0);
		ask("y.example");
		assert_int_equal(heard.state, STS_POLICY);
		assert_in_range(heard.expires_s, clock_wall_s(), clock_wall_s() + 7 * DAY_S);
	}
}

/* ---- the record ---- */

static void test_attack_37_what_the_dns_says_of_the_record(void **state)
{
	(void)state;
	record_result = DNS_BOGUS;
	expect(STS_UNASKED, false, STS_FINE);
	assert_string_equal(heard.text, "the record at _mta-sts does not validate (DNSSEC)");
	record_result = DNS_FAILED;
	expect(STS_TROUBLE, false, STS_RECORD_ERROR);
	assert_string_equal(heard.text, "the record at _mta-sts could not be looked up");
	record_result = DNS_NXDOMAIN;
	expect(STS_NONE, false, STS_FINE);
	assert_int_equal(outside.n_requests, 0);
	record_result = DNS_FOUND;
	expect(STS_POLICY, false, STS_FINE);
	record_result = DNS_BOGUS;
	expect(STS_POLICY, true, STS_FINE);
	record_result = DNS_FAILED;
	expect(STS_POLICY, true, STS_RECORD_ERROR);
}

/* ---- limits ---- */

/* One host is silent: its own letters wait, for so long and no longer; nobody else's do. */
static void a_silent_host_holds_up_nobody_else(void **state)
{
	(void)state;
	silent_host = "mta-sts.y.example";
	ask("y.example");
	ask("z.example");
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.state, STS_POLICY);
	outside_pass(POLICY_FETCH_MS - 1);
	assert_int_equal(heard.n, 1);
	outside_pass(1);
	assert_int_equal(heard.n, 2);
	assert_int_equal(heard.trouble, STS_FETCH_ERROR);
	silent_host = "mta-sts.z.example"; /* which has a policy already: that is used after a while, and the fetch goes on */
	publish("2", "testing", 7 * DAY_S);
	ask("z.example");
	outside_pass(POLICY_CACHED_WAIT_MS - 1);
	assert_int_equal(heard.n, 2);
	outside_pass(1);
	assert_int_equal(heard.n, 3);
	assert_int_equal(heard.state, STS_POLICY);
	assert_int_equal(heard.mode, MTASTS_MODE_ENFORCE);
	assert_int_equal(outside.n_open, 1);
}

static void fetches_have_a_ceiling(void **state)
{
	(void)state;
	web = SILENT;
	ask_many(0, POLICIES_FETCHES_MAX / 2);
	assert_int_equal(outside.last_request.patience_ms, POLICY_FETCH_MS);
	ask_many(POLICIES_FETCHES_MAX / 2, POLICIES_FETCHES_MAX / 2 + 1);
	assert_int_equal(outside.last_request.patience_ms, POLICY_FETCH_BUSY_MS);
	ask_many(POLICIES_FETCHES_MAX / 2 + 1, POLICIES_FETCHES_MAX);
	assert_int_equal(outside.n_open, POLICIES_FETCHES_MAX);
	ask_many(POLICIES_FETCHES_MAX, POLICIES_FETCHES_MAX + 1);
	assert_int_equal(outside.n_open, POLICIES_FETCHES_MAX);
	outside_pass(POLICY_FETCH_BUSY_MS); /* the last half has its end, and the one that waited its turn */
	assert_int_equal(heard.n, POLICIES_FETCHES_MAX / 2);
	assert_int_equal(outside.n_open, POLICIES_FETCHES_MAX / 2 + 1);
	assert_int_equal(outside.most_open, POLICIES_FETCHES_MAX);
}

/* However long the queue for a fetch is, a letter waits no longer. */
static void a_letter_waits_so_long(void **state)
{
	(void)state;
	web = SILENT;
	ask_many(0, 10 * POLICIES_FETCHES_MAX);
	ask("y.example");
	unsigned before = heard.n;
	outside_live(POLICY_WAIT_MS - MINUTE_MS / 12, MINUTE_MS / 12);
	assert_true(heard.n < before + 10 * POLICIES_FETCHES_MAX);
	outside_pass(MINUTE_MS / 12);
	assert_int_equal(heard.n, before + 10 * POLICIES_FETCHES_MAX + 1);
	assert_int_equal(heard.state, STS_TROUBLE);
	assert_int_equal(outside.most_open, POLICIES_FETCHES_MAX);
}

static void letters_for_one_domain_have_a_ceiling(void **state)
{
	(void)state;
	web = SILENT;
	for (unsigned i = 0; i < POLICIES_WAITERS_MAX; i++)
		assert_non_null(policies_ask(policies, STR("y.example"), on_policy, NULL));
	assert_null(policies_ask(policies, STR("y.example"), on_policy, NULL));
	assert_non_null(policies_ask(policies, STR("z.example"), on_policy, NULL));
	outside_turn();
	outside_pass(POLICY_FETCH_MS);
	assert_int_equal(heard.n, POLICIES_WAITERS_MAX + 1);
}

/* Nothing is decided before what was kept has come, or it is clear that nothing comes. */
static void what_was_kept_is_awaited(void **state)
{
	(void)state;
	make_policies();
	ask("y.example");
	outside_pass(POLICIES_RESTORE_MS - 1);
	assert_int_equal(outside.n_asked, 0);
	outside_pass(1);
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.state, STS_POLICY);
}

static void words_of_others_are_cut(void **state)
{
	(void)state;
	char words[HTTPS_TEXT_MAX + 1];
	memset(words, 'x', sizeof words);
	web = FAILS;
	web_words = words;
	words[HTTPS_TEXT_MAX - 1] = '\0';
	ask("y.example");
	assert_string_equal(heard.text, words);
	words[HTTPS_TEXT_MAX - 1] = 'x';
	words[HTTPS_TEXT_MAX] = '\0';
	ask("z.example");
	assert_int_equal(strlen(heard.text), HTTPS_TEXT_MAX - 1);
}

static void on_taken(void *owner, const struct https_answer *answer)
{
	(void)owner;
	assert_int_equal(answer->result, HTTPS_ANSWERED);
	heard.n++;
}

/* Of all that goes to web servers; and of one host's many addresses not all are tried. */
static void errands_have_a_ceiling(void **state)
{
	(void)state;
	struct errand *open[ERRANDS_MAX];
	struct errand_plan plan = { .host = STR("www.example"), .path = STR("/"), .port = 443, .body_max = 1, .patience_ms = MINUTE_MS };
	web = SILENT;
	n_addresses = HTTPS_ADDRESSES_MAX;
	for (size_t i = 0; i < ERRANDS_MAX; i++) {
		open[i] = errand_start(errands, &plan, on_taken, NULL);
		assert_non_null(open[i]);
	}
	assert_null(errand_start(errands, &plan, on_taken, NULL));
	outside_turn();
	assert_int_equal(outside.last_request.n_addresses, HTTPS_ADDRESSES_MAX);
	errand_cancel(&open[0]);
	n_addresses = HTTPS_ADDRESSES_MAX + 1;
	open[0] = errand_start(errands, &plan, on_taken, NULL);
	assert_non_null(open[0]);
	outside_turn();
	assert_int_equal(outside.last_request.n_addresses, HTTPS_ADDRESSES_MAX);
	for (size_t i = 0; i < ERRANDS_MAX; i++)
		errand_cancel(&open[i]);
}

/* ---- reports ---- */

static unsigned n_sent, n_wishes;
static enum report_state last_wish;
static bool last_ok;

static void on_sent(void *owner, uint64_t request, bool ok, struct str text)
{
	(void)owner, (void)request, (void)text;
	n_sent++;
	last_ok = ok;
}

static void on_wish(void *owner, uint64_t request, enum report_state wish, struct str uris)
{
	(void)owner, (void)request, (void)uris;
	n_wishes++;
	last_wish = wish;
}

static void reports_have_ceilings(void **state)
{
	(void)state;
	struct reports *reports = reports_new(&(struct reports_house){ errands, on_sent, on_wish, NULL });
	n_sent = n_wishes = 0;
	web = SILENT;
	for (unsigned i = 0; i < REPORTS_MAX; i++) {
		reports_send(reports, i, STR("https://www.example/"), STR("x"));
		reports_ask(reports, i, STR("y.example")); /* nobody to ask yet */
	}
	outside_turn();
	assert_int_equal(n_sent + n_wishes, 0);
	assert_int_equal(outside.last_request.patience_ms, REPORT_MS);
	assert_int_equal(outside.last_request.body_max, REPORT_ANSWER_MAX);
	reports_send(reports, REPORTS_MAX, STR("https://www.example/"), STR("x"));
	reports_ask(reports, REPORTS_MAX, STR("y.example"));
	outside_turn();
	assert_int_equal(n_sent, 1);
	assert_false(last_ok);
	assert_int_equal(n_wishes, 1);
	assert_int_equal(last_wish, REPORT_UNKNOWN);
	reports_use(reports, dns);
	outside_pass(REPORT_MS - 1);
	assert_int_equal(n_wishes, 1 + REPORTS_MAX);
	assert_int_equal(last_wish, REPORT_UNWANTED);
	assert_int_equal(n_sent, 1);
	outside_pass(1);
	assert_int_equal(n_sent, 1 + REPORTS_MAX);
	reports_free(&reports);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(it_is_renewed_in_the_background),
		TEST(renewals_are_spread),
		TEST(a_failing_host_takes_nothing_away),
		TEST(test_attack_65_a_clock_that_is_set),
		TEST(test_attack_65_a_clock_that_was_set_between_two_runs),
		TEST(test_attack_37_what_the_dns_says_of_the_record),
		TEST(a_silent_host_holds_up_nobody_else),
		TEST(fetches_have_a_ceiling),
		TEST(a_letter_waits_so_long),
		TEST(letters_for_one_domain_have_a_ceiling),
		TEST(what_was_kept_is_awaited),
		TEST(words_of_others_are_cut),
		TEST(errands_have_a_ceiling),
		TEST(reports_have_ceilings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
