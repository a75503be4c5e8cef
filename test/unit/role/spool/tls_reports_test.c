/* SPDX-License-Identifier: ISC */
/* Outcomes of TLS sessions: counted, kept over a restart, sent to who wants to hear of them. */
#include "unit.h"

#include "role/spool/tls_days.h"

#include <stdio.h>
#include <string.h>

#include "proto/tlsrpt/gzip.h"
#include "role/spool/tls_reports.h"
#include "sys/clock.h"

/* ---- what is counted ---- */

static void sessions_are_counted_and_kept(void **state)
{
	(void)state;
	struct from_worker_tls good = a_failure;
	good.result = TLSRPT_SUCCESS;
	house_open("");
	tell(&a_failure);
	tell(&a_failure);
	tell(&good);
	assert_int_equal(kept("y.example").n, 0); /* not each by itself */
	a_minute_passes();
	assert_kept("y.example", "\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\",\"mode: enforce\",\"max_age: 86400\","
	                         "\"mx: *.y.example\"],\"policy-domain\":\"y.example\",\"mx-host\":[\"*.y.example\"]");
	assert_kept("y.example", "\"total-successful-session-count\":1,\"total-failure-session-count\":2");
	assert_kept("y.example", "\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"192.0.2.2\","
	                         "\"receiving-mx-hostname\":\"mx.y.example\",\"receiving-ip\":\"192.0.2.1\",\"failed-session-count\":2,"
	                         "\"failure-reason-code\":\"the certificate has expired\"");
}

static void counts_go_on_after_a_restart(void **state)
{
	(void)state;
	char key[300];
	struct buf value;
	struct tlsrpt_report *before = tlsrpt_new();
	int64_t day = clock_wall_s() / TLSRPT_DAY_S;
	buf_init(&value, 1 << 16);
	tlsrpt_range(before, day);
	for (int i = 0; i < 5; i++)
		assert_int_equal(tlsrpt_count(before, &(struct tlsrpt_session){ .domain = STR("y.example") }), OK);
	assert_int_equal(tlsrpt_write(&value, before), OK);
	tlsrpt_free(&before);
	(void)snprintf(key, sizeof key, "tlsrpt/%lld/y.example", (long long)day);
	assert_int_equal(store_memory.remember(h.store, str_of(key), buf_view(&value), INT64_MAX), OK);
	/* What is no count, or of no day, is passed over. */
	(void)snprintf(key, sizeof key, "tlsrpt/%lld/z.example", (long long)day);
	assert_int_equal(store_memory.remember(h.store, str_of(key), STR("nonsense"), INT64_MAX), OK);
	assert_int_equal(store_memory.remember(h.store, STR("tlsrpt/x/z.example"), buf_view(&value), INT64_MAX), OK);
	buf_fini(&value);
	house_open("");
	tell(&(struct from_worker_tls){ .policy = TLSRPT_NO_POLICY, .result = TLSRPT_SUCCESS, .domain = STR("Y.example") });
	a_minute_passes();
	assert_kept("y.example", "\"total-successful-session-count\":6,\"total-failure-session-count\":0");
	assert_kept("z.example", "nonsense");
}

/* A courier tells of the domain that its job is for, in words that there are; a porter tells nothing. */
static void what_a_worker_must_not_tell(void **state)
{
	(void)state;
	struct from_worker_tls other = a_failure, type = a_failure, result = a_failure, long_one = a_failure;
	char text[TLSRPT_POLICY_MAX + 1];
	memset(text, 'x', sizeof text);
	other.domain = STR("z.example");
	type.policy = TLSRPT_POLICY_TYPES;
	result.result = TLSRPT_RESULTS;
	long_one.strings = (struct str){ text, sizeof text };
	house_open("");
	tell(&other);
	tell(&type);
	tell(&result);
	tell(&long_one);
	tell_by(&h.porter, &a_failure);
	a_minute_passes();
	assert_int_equal(kept("z.example").n, 0);
	assert_int_equal(kept("y.example").n, 0);
	long_one.strings.n--;
	tell(&long_one);
	a_minute_passes();
	assert_kept("y.example", "\"total-failure-session-count\":1");
}

/* ---- what is sent ---- */

static void a_report_is_posted_once(void **state)
{
	(void)state;
	struct tlsrpt_report *r;
	struct why why = { "" };
	struct buf json;
	fill_day(2, "y.example");
	house_open("");
	expect_heard("resolver: ask y.example");
	wish(REPORT_WANTED, "mailto:tls@y.example https://a.y.example/in https://b.y.example/");
	assert_true(was_heard("resolver: post https://a.y.example/in"));
	assert_kept("y.example", "\"policies\""); /* until it is taken */
	buf_init(&json, 1 << 16);
	assert_int_equal(gzip_get(&json, buf_view(&h.report_body)), OK);
	assert_int_equal(tlsrpt_read(buf_view(&json), &r, &why), OK);
	buf_fini(&json);
	assert_true(str_starts(r->contact, STR("postmaster@")));
	assert_true(r->organization.n > 0 && r->id.n > 0);
	assert_int_equal(r->begin_s, (clock_wall_s() / TLSRPT_DAY_S - 2) * TLSRPT_DAY_S);
	assert_int_equal(r->policies[0].succeeded, 1);
	tlsrpt_free(&r);
	sent(true);
	assert_true(str_eq(kept("y.example"), STR("done")));
	sent(true); /* nobody asked */
	assert_true(str_eq(kept("y.example"), STR("done")));
}

static void what_is_done_is_not_done_again(void **state)
{
	(void)state;
	fill_day(2, "y.example");
	char key[300];
	(void)snprintf(key, sizeof key, "tlsrpt/%lld/y.example", (long long)(clock_wall_s() / TLSRPT_DAY_S - 2));
	assert_int_equal(store_memory.remember(h.store, str_of(key), STR("done"), INT64_MAX), OK);
	fill_day(0, "z.example"); /* is not over */
	fill_day(2, "w.example");
	house_open("");
	expect_heard("resolver: ask w.example");
	assert_false(was_heard("resolver: ask y.example"));
	assert_false(was_heard("resolver: ask z.example"));
}

static void the_next_uri_then_later(void **state)
{
	(void)state;
	fill_day(2, "y.example");
	house_open("");
	expect_heard("resolver: ask y.example");
	wish(REPORT_WANTED, "https://a.y.example/in https://b.y.example/");
	sent(false);
	assert_true(was_heard("resolver: post https://b.y.example/"));
	sent(false);
	assert_kept("y.example", "\"policies\"");
	buf_clear(&h.heard);
	h.passed = 0;
	a_minute_passes();
	assert_false(was_heard("resolver: ask"));
	h.wall_jump_s = 16 * 60;
	buf_clear(&h.heard);
	h.passed = 0;
	expect_heard("resolver: ask y.example");
	wish(REPORT_UNKNOWN, "");
	assert_kept("y.example", "\"policies\"");
	/* After a day nobody tries any more. */
	h.wall_jump_s = TLS_REPORTS_TRY_S + 600;
	kept_day_ago = clock_wall_s() / TLSRPT_DAY_S - ((clock_wall_s() - h.wall_jump_s) / TLSRPT_DAY_S - 2);
	buf_clear(&h.heard);
	h.passed = 0;
	expect_heard("resolver: ask y.example");
	wish(REPORT_UNKNOWN, "");
	assert_true(str_eq(kept("y.example"), STR("done")));
	h.wall_jump_s = 0;
}

static void reports_that_nobody_gets(void **state)
{
	(void)state;
	fill_day(2, "y.example");
	house_open("");
	expect_heard("resolver: ask y.example");
	wish(REPORT_WANTED, "mailto:tls@y.example");
	assert_true(str_eq(kept("y.example"), STR("done")));
	house_close();
	house_prepare();
	fill_day(2, "y.example");
	house_open("");
	expect_heard("resolver: ask y.example");
	wish(REPORT_UNWANTED, "");
	assert_true(str_eq(kept("y.example"), STR("done")));
	house_close();
	house_prepare();
	fill_day(2, "y.example");
	house_open("tls-reports {\n send no\n}\n");
	while (!str_eq(kept("y.example"), STR("done")))
		settle_down();
	assert_false(was_heard("resolver: ask"));
}

/* TLS_REPORTS_OPEN_MAX at a time. */
static void only_some_at_a_time(void **state)
{
	(void)state;
	char name[40];
	for (int i = 0; i < TLS_REPORTS_OPEN_MAX + 1; i++) {
		(void)snprintf(name, sizeof name, "d%d.example", i);
		fill_day(2, name);
	}
	house_open("");
	expect_heard("resolver: ask d15.example");
	settle_down();
	assert_false(was_heard("resolver: ask d16.example"));
	wish(REPORT_UNWANTED, "");
	expect_heard("resolver: ask d16.example");
}

/* ---- limits ---- */

static void keep_report(const char *domain, const struct tlsrpt_report *r)
{
	char key[300];
	struct buf value;
	buf_init(&value, 4 << 20);
	assert_int_equal(tlsrpt_write(&value, r), OK);
	(void)snprintf(key, sizeof key, "tlsrpt/%lld/%s", (long long)(clock_wall_s() / TLSRPT_DAY_S), domain);
	assert_int_equal(store_memory.remember(h.store, str_of(key), buf_view(&value), INT64_MAX), OK);
	buf_fini(&value);
}

/* TLS_REPORTS_MAX */
static void domains_are_bounded(void **state)
{
	(void)state;
	char name[40];
	for (int more = 0; more <= 1; more++) {
		if (more > 0) {
			house_close();
			house_prepare();
		}
		for (int i = 1; i < TLS_REPORTS_MAX + more; i++) {
			(void)snprintf(name, sizeof name, "d%d.example", i);
			fill_day(0, name);
		}
		house_open("");
		tell(&a_failure);
		a_minute_passes();
		assert_int_equal(kept("y.example").n > 0, !more);
	}
}

enum { LARGE = TLSRPT_POLICY_MAX - 1 };

/* A session of a policy of its own, which takes a little more than that. */
static void large_session(char text[LARGE], unsigned number, struct from_worker_tls *out)
{
	memset(text, 'x', LARGE);
	(void)snprintf(text, LARGE, "%u", number);
	text[strlen(text)] = 'x';
	*out = (struct from_worker_tls){ .policy = TLSRPT_TLSA, .result = TLSRPT_SUCCESS, .domain = STR("y.example"),
		                         .strings = { text, LARGE } };
}

/* TLS_REPORT_BYTES_MAX: the session that passes it is the last one. */
static void a_report_is_bounded(void **state)
{
	(void)state;
	enum { FIT = TLS_REPORT_BYTES_MAX / LARGE };
	char text[LARGE], first[LARGE];
	struct from_worker_tls m;
	size_t at, n = 0;
	house_open("");
	for (unsigned i = 0; i < FIT + 5; i++) {
		large_session(text, i, &m);
		tell(&m);
	}
	large_session(first, 0, &m);
	tell(&m);
	a_minute_passes();
	for (struct str rest = kept("y.example"); str_find_str(rest, STR("\"total-successful-session-count\":1"), &at); rest = str_from(rest, at + 1))
		n++;
	if (n < FIT - 2 || n > FIT)
		fail_msg("%zu sessions are in the report of %zu bytes", n, kept("y.example").n);
}

/* TLS_REPORTS_BYTES_MAX */
static void all_reports_are_bounded(void **state)
{
	(void)state;
	enum { POLICIES = 60, DOMAINS = TLS_REPORTS_BYTES_MAX / (POLICIES * LARGE) };
	size_t at;
	char text[LARGE], name[40];
	struct tlsrpt_report *r = tlsrpt_new();
	struct from_worker_tls m;
	for (unsigned i = 0; i < POLICIES; i++) {
		large_session(text, i, &m);
		assert_int_equal(tlsrpt_count(r, &(struct tlsrpt_session){ .type = TLSRPT_TLSA, .domain = m.domain, .strings = m.strings }), OK);
	}
	for (int more = 0; more <= 1; more++) {
		if (more > 0) {
			house_close();
			house_prepare();
		}
		for (int i = 0; i < DOMAINS - 1 + 2 * more; i++) {
			(void)snprintf(name, sizeof name, "d%d.example", i);
			keep_report(name, r);
		}
		house_open("");
		tell(&a_failure);
		a_minute_passes();
		assert_int_equal(str_find_str(kept("y.example"), STR("certificate-expired"), &at), !more);
	}
	tlsrpt_free(&r);
}

/* TLS_REPORTS_DAYS_MAX */
static void old_days_are_forgotten(void **state)
{
	(void)state;
	fill_day(TLS_REPORTS_DAYS_MAX + 1, "z.example");
	fill_day(TLS_REPORTS_DAYS_MAX, "y.example");
	house_open("");
	expect_heard("resolver: ask y.example");
	time_passes(WORN_MS);
	assert_false(was_heard("resolver: ask z.example"));
}

/* TLS_REPORTS_ANSWER_MS: an answer that comes too late is none. */
static void a_resolver_that_takes_long(void **state)
{
	(void)state;
	for (int more = 0; more <= 1; more++) {
		if (more > 0) {
			house_close();
			house_prepare();
		}
		fill_day(2, "y.example");
		house_open("");
		expect_heard("resolver: ask y.example");
		time_passes(more ? TLS_REPORTS_ANSWER_MS : TLS_REPORTS_ANSWER_MS - 4 * WORN_MS);
		time_passes(WORN_MS);
		wish(REPORT_WANTED, "https://a.y.example/in");
		assert_int_equal(was_heard("resolver: post"), !more);
	}
}

int main(void)
{
#define TODAY(name) cmocka_unit_test_setup_teardown(name, tls_days_setup, teardown)
	const struct CMUnitTest tests[] = {
		TODAY(sessions_are_counted_and_kept),
		TODAY(counts_go_on_after_a_restart),
		TODAY(what_a_worker_must_not_tell),
		TODAY(a_report_is_posted_once),
		TODAY(what_is_done_is_not_done_again),
		TODAY(the_next_uri_then_later),
		TODAY(reports_that_nobody_gets),
		TODAY(only_some_at_a_time),
		TODAY(domains_are_bounded),
		TODAY(a_report_is_bounded),
		TODAY(all_reports_are_bounded),
		TODAY(old_days_are_forgotten),
		TODAY(a_resolver_that_takes_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
