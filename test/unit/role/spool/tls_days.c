/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "role/spool/tls_days.h"

#include <stdio.h>

#include "role/spool/tls_reports.h"
#include "sys/clock.h"

enum { A_MINUTE_MS = 60 * 1000 };

static uint64_t letters;
int64_t kept_day_ago;

int tls_days_setup(void **state)
{
	kept_day_ago = 0;
	return setup_prepared(state);
}

/* ---- what is kept ---- */

struct look { const char *key; struct str value; };

static void look_at(void *owner, struct str key, struct str value, int64_t expires_s)
{
	struct look *k = owner;
	(void)expires_s;
	if (str_eq(key, str_of(k->key)))
		k->value = value;
}

struct str kept(const char *domain)
{
	char key[300];
	struct look k = { .key = key };
	(void)snprintf(key, sizeof key, "tlsrpt/%lld/%s", (long long)(clock_wall_s() / TLSRPT_DAY_S - kept_day_ago), domain);
	assert_int_equal(store_memory.recall(h.store, 0, NULL, look_at, &k), OK);
	return k.value;
}

void assert_kept(const char *domain, const char *what)
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
void time_passes(uint64_t ms)
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

void a_minute_passes(void)
{
	time_passes(A_MINUTE_MS + WORN_MS);
}

/* ---- what couriers say ---- */

const struct from_worker_tls a_failure = {
	.policy = TLSRPT_STS, .result = TLSRPT_CERTIFICATE_EXPIRED, .domain = STR_INIT("y.example"),
	.strings = STR_INIT("version: STSv1\nmode: enforce\nmax_age: 86400\nmx: *.y.example\n"), .mx = STR_INIT("mx.y.example"),
	.ip = STR_INIT("192.0.2.1"), .source = STR_INIT("192.0.2.2"), .reason = STR_INIT("the certificate has expired"),
};

void tell_by(struct neighbour *n, const struct from_worker_tls *m)
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

void tell(const struct from_worker_tls *m)
{
	tell_by(&h.courier, m);
}

/* ---- what is kept from earlier days, and what becomes of it ---- */

void fill_day(int64_t ago, const char *domain)
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

void expect_heard(const char *what)
{
	time_passes(WORN_MS);
	if (!was_heard(what))
		wait_for(what);
}

void wish(enum report_state state, const char *uris)
{
	channel_send(h.resolver.channel, REPORT_WISH,
	             &(struct report_wish){ .request = h.report_request, .wish = state, .uris = str_of(uris) });
	settle_down();
}

void sent(bool ok)
{
	channel_send(h.resolver.channel, SENT_REPORT,
	             &(struct sent_report){ .request = h.report_request, .ok = ok, .text = STR("HTTP status") });
	settle_down();
}
