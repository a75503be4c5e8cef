/* SPDX-License-Identifier: ISC */
/* Outcomes of TLS sessions: counted, kept over a restart. */
#include "unit.h"

#include "role/spool/house.h"

#include <stdio.h>
#include <string.h>

#include "ipc/resolver.h"
#include "proto/tlsrpt/gzip.h"
#include "role/spool/tls_reports.h"
#include "sys/clock.h"

enum { A_MINUTE_MS = 60 * 1000, WORN_MS = 5000 };

static uint64_t letters;
static int64_t kept_day_ago;

static int prepared(void **state)
{
	kept_day_ago = 0;
	return setup_prepared(state);
}

/* ---- what is kept ---- */

struct kept { const char *key; struct str value; };

static void look_at(void *owner, struct str key, struct str value, int64_t expires_s)
{
	struct kept *k = owner;
	(void)expires_s;
	if (str_eq(key, str_of(k->key)))
		k->value = value;
}

static struct str kept(const char *domain)
{
	char key[300];
	struct kept k = { .key = key };
	(void)snprintf(key, sizeof key, "tlsrpt/%lld/%s", (long long)(clock_wall_s() / TLSRPT_DAY_S - kept_day_ago), domain);
	assert_int_equal(store_memory.recall(h.store, 0, NULL, look_at, &k), OK);
	return k.value;
}

static void assert_kept(const char *domain, const char *what)
{
	size_t at;
	if (!str_find_str(kept(domain), str_of(what), &at))
		fail_msg("\"%s\" is not in %.*s", what, STR_ARG(kept(domain)));
}

static void nothing(void *owner)
{
	(void)owner;
}

/* The loop looks at its clock anew when a timer is set. */
static void time_passes(uint64_t ms)
{
	struct timer poke;
	settle_down(); /* all neighbours are there */
	h.ahead_ms += ms;
	timer_init(&poke, h.loop, nothing, NULL);
	timer_set(&poke, loop_now_ms(h.loop));
	h.hands_off = false;
	send_letter(++letters, "a@x.example", "b@elsewhere.example", 0);
	wait_for("front: stored");
	settle_down();
	settle_down();
	timer_clear(&poke);
}

static void a_minute_passes(void)
{
	time_passes(A_MINUTE_MS + WORN_MS);
}

/* ---- what couriers say ---- */

static const struct from_worker_tls a_failure = {
	.policy = TLSRPT_STS, .result = TLSRPT_CERTIFICATE_EXPIRED, .domain = STR_INIT("y.example"),
	.strings = STR_INIT("version: STSv1\nmode: enforce\nmax_age: 86400\nmx: *.y.example\n"), .mx = STR_INIT("mx.y.example"),
	.ip = STR_INIT("192.0.2.1"), .source = STR_INIT("192.0.2.2"), .reason = STR_INIT("the certificate has expired"),
};

static void tell_by(struct neighbour *n, const struct from_worker_tls *m)
{
	struct from_worker_tls copy = *m;
	h.hands_off = true;
	send_letter(++letters, "a@x.example", "b@y.example", 0);
	wait_for("courier: job a@x.example to b@y.example");
	uint64_t job = h.jobs[h.n_jobs - 1].job;
	copy.job = job;
	channel_send(n->channel, FROM_WORKER_TLS, &copy);
	struct from_worker_outcome o = h.answer;
	o.job = job;
	channel_send(h.courier.channel, FROM_WORKER_OUTCOME, &o);
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = job });
	settle_down();
}

static void tell(const struct from_worker_tls *m)
{
	tell_by(&h.courier, m);
}

/* ---- tests ---- */

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

static void fill_day(int64_t ago, const char *domain)
{
	char key[300];
	struct buf value;
	struct tlsrpt_report *r = tlsrpt_new();
	int64_t day = clock_wall_s() / TLSRPT_DAY_S - ago;
	buf_init(&value, 1 << 16);
	tlsrpt_range(r, day);
	assert_int_equal(tlsrpt_count(r, &(struct tlsrpt_session){ .domain = str_of(domain) }), OK);
	assert_int_equal(tlsrpt_write(&value, r), OK);
	(void)snprintf(key, sizeof key, "tlsrpt/%lld/%s", (long long)day, domain);
	assert_int_equal(store_memory.remember(h.store, str_of(key), buf_view(&value), INT64_MAX), OK);
	tlsrpt_free(&r);
	buf_fini(&value);
	kept_day_ago = ago;
}

static void expect_heard(const char *what)
{
	time_passes(WORN_MS);
	if (!was_heard(what))
		wait_for(what);
}

static void wish(enum report_state state, const char *uris)
{
	channel_send(h.resolver.channel, REPORT_WISH,
	             &(struct report_wish){ .request = h.report_request, .wish = state, .uris = str_of(uris) });
	settle_down();
}

static void sent(bool ok)
{
	channel_send(h.resolver.channel, SENT_REPORT,
	             &(struct sent_report){ .request = h.report_request, .ok = ok, .text = STR("HTTP status") });
	settle_down();
}

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

/* ---- what would be sent is shown ---- */

static const struct store_selector all = { .id = { NULL, 0 } };

static void heard_anew(void)
{
	buf_clear(&h.heard);
	h.passed = 0;
}

static size_t times_heard(const char *what)
{
	size_t n = 0, at;
	for (struct str rest = buf_view(&h.heard); str_find_str(rest, str_of(what), &at); rest = str_from(rest, at + 1))
		n++;
	return n;
}

/* Since heard_anew(), or from now on. */
static void hear(const char *what)
{
	if (!was_heard(what))
		wait_for(what);
}

static void what_would_be_sent_is_shown(void **state)
{
	(void)state;
	struct from_worker_tls good = a_failure, stripped = a_failure;
	good.result = TLSRPT_SUCCESS;
	stripped.result = TLSRPT_STARTTLS_NOT_SUPPORTED;
	stripped.policy = TLSRPT_TLSA;
	house_open("");
	command(CONTROL_REPORT, all, false);
	assert_true(was_heard("operator: end 1 no TLS session has been counted"));
	tell(&good);
	tell(&a_failure);
	tell(&stripped);
	tell(&stripped);
	command_begin(CONTROL_REPORT, all, false);
	hear("resolver: ask y.example");
	wish(REPORT_WANTED, "mailto:tls@y.example https://in.y.example/");
	hear("\"domain\":\"y.example\",\"state\":\"counting\",\"due\":\"2");
	hear("\"tries\":0,\"policies\":[{\"type\":\"sts\",\"succeeded\":1,\"failed\":1},{\"type\":\"tlsa\",\"succeeded\":0,\"failed\":2}],"
	         "\"failures\":{\"certificate-expired\":1,\"starttls-not-supported\":2},"
	         "\"wish\":\"wanted\",\"uris\":[\"mailto:tls@y.example\",\"https://in.y.example/\"]}");
	hear("operator: end 0");
	heard_anew();
	command(CONTROL_REPORT, (struct store_selector){ .domain = STR("z.example") }, false);
	assert_true(was_heard("operator: end 1"));
	assert_false(was_heard("resolver: ask"));
	command_begin(CONTROL_REPORT, (struct store_selector){ .domain = STR("Y.Example") }, false);
	hear("resolver: ask y.example");
	wish(REPORT_UNWANTED, "");
	hear("\"wish\":\"unwanted\",\"uris\":[]}");
	hear("operator: end 0");
}

/* The very bytes that are posted, but for what is counted later; and nothing of it counts as sent. */
static void reports_are_shown_as_they_would_be_sent(void **state)
{
	(void)state;
	struct buf json;
	size_t at, end;
	fill_day(2, "y.example");
	house_open("");
	expect_heard("resolver: ask y.example");
	wish(REPORT_WANTED, "https://a.y.example/in");
	buf_init(&json, 1 << 16);
	assert_int_equal(gzip_get(&json, buf_view(&h.report_body)), OK);
	heard_anew();
	command(CONTROL_REPORT, all, true);
	assert_true(was_heard("operator: end 0"));
	struct str heard = buf_view(&h.heard);
	assert_true(str_find_str(heard, STR("operator: body "), &at));
	heard = str_from(heard, at + 15);
	assert_true(str_find(heard, '\n', &end));
	assert_true(str_eq(str_sub(heard, 0, end), buf_view(&json)));
	buf_fini(&json);
	sent(true);
	heard_anew();
	command(CONTROL_REPORT, all, true); /* it is no longer to be sent */
	assert_true(was_heard("operator: end 1"));
	assert_false(was_heard("operator: body"));
}

static void what_nobody_would_get_is_shown(void **state)
{
	(void)state;
	house_open("tls-reports {\n send no\n}\n");
	tell(&a_failure);
	command(CONTROL_REPORT, all, false);
	assert_true(was_heard("\"wish\":\"off\""));
	assert_false(was_heard("resolver: ask"));
}

/* TLS_REPORTS_LOOKS_MAX for all who ask, also after they have gone; TLS_REPORTS_LOOK_MS for each. */
static void questions_of_onlookers_are_bounded(void **state)
{
	(void)state;
	char name[40];
	for (int i = 0; i < TLS_REPORTS_LOOKS_MAX + 1; i++) {
		(void)snprintf(name, sizeof name, "d%d.example", i);
		fill_day(0, name);
	}
	house_open("");
	command_begin(CONTROL_REPORT, all, false);
	hear("resolver: ask d15.example");
	settle_down();
	assert_int_equal(times_heard("resolver: ask"), TLS_REPORTS_LOOKS_MAX);
	wish(REPORT_UNKNOWN, "");
	hear("resolver: ask d16.example");
	/* He goes, another one comes: nothing is asked until the questions of the first have an end. */
	heard_anew();
	command_begin(CONTROL_REPORT, all, false);
	settle_down();
	settle_down();
	assert_false(was_heard("resolver: ask"));
	time_passes(TLS_REPORTS_LOOK_MS - WORN_MS);
	assert_false(was_heard("resolver: ask"));
	time_passes(2 * WORN_MS);
	hear("resolver: ask d15.example");
	/* Without an answer at all the rows come all the same, and the resolver's end is one. */
	channel_close(&h.resolver.channel);
	hear("operator: end 0");
	assert_int_equal(times_heard("\"wish\":\"unknown\""), TLS_REPORTS_LOOKS_MAX + 1);
}

/* A few days at a time: mail goes on between them, and is counted in those that come later. */
static void many_are_shown_in_slices(void **state)
{
	(void)state;
	char name[40];
	enum { MANY = 3000 };
	struct from_worker_tls good = a_failure;
	good.result = TLSRPT_SUCCESS;
	for (int i = 1; i < MANY; i++) {
		(void)snprintf(name, sizeof name, "d%d.example", i);
		fill_day(0, name);
	}
	fill_day(0, "y.example");
	house_open("");
	command_begin(CONTROL_REPORT, all, true);
	hear("operator: body");
	assert_true(times_heard("operator: body") < MANY / 2);
	tell(&good);
	hear("operator: end 0");
	assert_true(was_heard("\"policy-domain\":\"y.example\",\"mx-host\":[\"*.y.example\"]},\"summary\":"
	                      "{\"total-successful-session-count\":1,"));
	assert_int_equal(times_heard("operator: body"), MANY);
}

int main(void)
{
#define TODAY(name) cmocka_unit_test_setup_teardown(name, prepared, teardown)
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
		TODAY(what_would_be_sent_is_shown),
		TODAY(reports_are_shown_as_they_would_be_sent),
		TODAY(what_nobody_would_get_is_shown),
		TODAY(questions_of_onlookers_are_bounded),
		TODAY(many_are_shown_in_slices),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
