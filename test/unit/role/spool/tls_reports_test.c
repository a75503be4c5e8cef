/* SPDX-License-Identifier: ISC */
/* Outcomes of TLS sessions: counted, kept over a restart. */
#include "role/spool/house.h"
#include "role/spool/tls_reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#include "base/check.h"
#include "sys/clock.h"

enum { A_MINUTE_MS = 60 * 1000, WORN_MS = 5000 };

static uint64_t ahead_ms;
static uint64_t letters;

uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	return __real_uv_now(loop) + ahead_ms;
}

static int prepared(void **state)
{
	(void)state;
	house_prepare();
	return 0;
}

static int close_house(void **state)
{
	(void)state;
	house_close();
	return 0;
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
	(void)snprintf(key, sizeof key, "tlsrpt/%lld/%s", (long long)(clock_wall_s() / TLSRPT_DAY_S), domain);
	assert_int_equal(store_memory.recall(h.store, 0, NULL, look_at, &k), OK);
	return k.value;
}

static void assert_kept(const char *domain, const char *what)
{
	size_t at;
	if (!str_find_str(kept(domain), str_of(what), &at))
		fail_msg("\"%s\" is not in %.*s", what, STR_ARG(kept(domain)));
}

static void a_minute_passes(void)
{
	ahead_ms += A_MINUTE_MS + WORN_MS;
	settle_down();
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

int main(void)
{
#define PREPARED(name) cmocka_unit_test_setup_teardown(name, prepared, close_house)
	const struct CMUnitTest tests[] = {
		PREPARED(sessions_are_counted_and_kept),
		PREPARED(counts_go_on_after_a_restart),
		PREPARED(what_a_worker_must_not_tell),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
