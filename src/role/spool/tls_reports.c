/* SPDX-License-Identifier: ISC */
#include "role/spool/tls_reports.h"

#include <stdlib.h>

#include "base/check.h"
#include "sys/clock.h"

enum { KEY_MAX = 320, VALUE_MAX = 4 << 20, ARENA_MAX = 64 << 20 };

static const struct str prefix = STR_INIT("tlsrpt/");
static const struct str dealt_with = STR_INIT("done");

static int64_t today(void)
{
	return clock_wall_s() / TLSRPT_DAY_S;
}

/* ---- days ---- */

static fault put_key(struct buf *out, int64_t day, struct str domain)
{
	fault f = buf_addf(out, "%.*s%lld/", STR_ARG(prefix), (long long)day);
	for (size_t i = 0; i < domain.n && f == OK; i++)
		f = buf_add_char(out, (char)ascii_lower((unsigned char)domain.p[i]));
	return f;
}

static void day_free(struct tls_reports *r, struct tls_day *d)
{
	struct buf key;
	buf_init(&key, KEY_MAX);
	check(put_key(&key, d->day, d->domain) == OK);
	(void)map_remove(r->by_key, buf_view(&key));
	buf_fini(&key);
	tls_send_drop(r, d);
	link_remove(&d->in_order);
	r->n_days--;
	r->bytes -= d->report != NULL ? d->report->bytes : 0;
	tlsrpt_free(&d->report);
	str_release(&d->domain);
	free(d);
}

/* NULL: there are too many, or the name is none. */
static struct tls_day *day_of(struct tls_reports *r, int64_t day, struct str domain)
{
	struct buf key;
	buf_init(&key, KEY_MAX);
	struct tls_day *d = put_key(&key, day, domain) == OK ? map_get(r->by_key, buf_view(&key)) : NULL;
	if (d == NULL && r->n_days < TLS_REPORTS_MAX && domain.n > 0 && domain.n <= TLSRPT_TEXT_MAX && str_is_ascii(domain)) {
		d = NEW(struct tls_day);
		d->day = day;
		d->number = ++r->last_number;
		d->domain = str_keep(domain);
		d->report = tlsrpt_new();
		tlsrpt_range(d->report, day);
		tls_send_plan(d);
		r->bytes += d->report->bytes;
		r->n_days++;
		list_add_last(&r->days, &d->in_order);
		(void)map_set(r->by_key, buf_view(&key), d);
	}
	buf_fini(&key);
	return d;
}

/* ---- counting ---- */

static void tell_full(struct tls_reports *r, int64_t day)
{
	if (r->full_told_day == day)
		return;
	r->full_told_day = day;
	log_event(LOG_TROUBLE, LOG_Z("text", "there is no more room to count TLS sessions for reports; those of today will not be whole"));
}

/* Of the lines of an MTA-STS policy. */
static void put_patterns(struct buf *out, struct str strings)
{
	struct str line;
	while (str_next_line(&strings, &line)) {
		fault f = str_take(&line, STR("mx: ")) ? buf_addf(out, "%.*s\n", STR_ARG(line)) : OK;
		check(f == OK);
	}
}

void tls_reports_count(struct tls_reports *r, struct job *j, const struct from_worker_tls *m)
{
	int64_t day = today();
	struct buf patterns;
	if (m->policy >= TLSRPT_POLICY_TYPES || m->result >= TLSRPT_RESULTS || m->strings.n > TLSRPT_POLICY_MAX ||
	    !(str_eq_nocase(m->domain, j->domain) || str_eq_nocase(m->domain, j->route.name)))
		return;
	struct tls_day *d = day_of(r, day, m->domain);
	if (d == NULL || (d->report != NULL && (d->report->bytes >= TLS_REPORT_BYTES_MAX || r->bytes >= TLS_REPORTS_BYTES_MAX))) {
		tell_full(r, day);
		return;
	}
	if (d->report == NULL) /* the clock went back into a day that is over */
		return;
	buf_init(&patterns, TLSRPT_POLICY_MAX + 1);
	if (m->policy == TLSRPT_STS)
		put_patterns(&patterns, m->strings);
	size_t before = d->report->bytes;
	fault f = tlsrpt_count(d->report, &(struct tlsrpt_session){
		.type = (enum tlsrpt_policy_type)m->policy, .domain = d->domain, .strings = m->strings, .mx_hosts = buf_view(&patterns),
		.result = (enum tlsrpt_result)m->result, .sending_ip = m->source, .mx = m->mx, .receiving_ip = m->ip, .reason = m->reason,
	});
	buf_fini(&patterns);
	r->bytes += d->report->bytes - before;
	d->changed = true;
	if (f != OK)
		tell_full(r, day);
}

/* ---- for the next run ---- */

static bool keep(struct tls_reports *r, struct tls_day *d)
{
	struct spool *s = r->spool;
	struct buf key, value;
	buf_init(&key, KEY_MAX);
	buf_init(&value, VALUE_MAX);
	fault f = put_key(&key, d->day, d->domain);
	if (f == OK)
		f = d->report != NULL ? tlsrpt_write(&value, d->report) : buf_add(&value, dealt_with);
	if (f == OK)
		f = s->ops->remember(s->store, buf_view(&key), buf_view(&value), (d->day + 1 + TLS_REPORTS_DAYS_MAX) * TLSRPT_DAY_S);
	buf_fini(&key);
	buf_fini(&value);
	d->changed = f != OK;
	return f == OK;
}

void tls_reports_keep(struct tls_reports *r, struct tls_day *d)
{
	struct spool *s = r->spool;
	struct why why = { "" };
	bool more;
	d->changed = true;
	/* The store writes what it is to remember at its next commit or when it tidies up: now. */
	if (s->store != NULL && (!keep(r, d) || s->ops->tidy(s->store, &more, &why) != OK))
		log_event(LOG_TROUBLE, LOG_Z("text", "what became of a TLS report could not be noted down: it may be sent again after a restart"));
}

void tls_reports_forget(struct tls_reports *r, struct tls_day *d)
{
	r->bytes -= d->report != NULL ? d->report->bytes : 0;
	tlsrpt_free(&d->report);
	tls_reports_keep(r, d);
}

static void keep_some(struct tls_reports *r, size_t most)
{
	LIST_EACH(l, &r->days) {
		struct tls_day *d = LIST_MEMBER(l, struct tls_day, in_order);
		if (!d->changed)
			continue;
		if (most-- == 0)
			return;
		if (!keep(r, d)) {
			log_event(LOG_TROUBLE, LOG_Z("text", "what was counted of TLS sessions could not be noted down"));
			break;
		}
	}
	r->kept_ms = loop_now_ms(r->spool->loop);
}

static void take(void *owner, struct str key, struct str value, int64_t expires_s)
{
	struct tls_reports *r = owner;
	struct tlsrpt_report *found = NULL;
	struct why why = { "" };
	uint64_t day;
	(void)expires_s;
	if (!str_take(&key, prefix) || !str_take_u64(&key, &day) || !str_take_char(&key, '/') || day > INT64_MAX / TLSRPT_DAY_S)
		return;
	bool over = str_eq(value, dealt_with);
	if (!over && tlsrpt_read(value, &found, &why) != OK) {
		log_event(LOG_TROUBLE, LOG_Z("text", "what was counted of TLS sessions could not be read"), LOG_S("domain", key));
		return;
	}
	struct tls_day *d = day_of(r, (int64_t)day, key);
	if (d != NULL && d->report != NULL) {
		size_t before = d->report->bytes;
		if (over)
			tlsrpt_free(&d->report);
		else if (tlsrpt_sum(d->report, found) != OK)
			tell_full(r, (int64_t)day);
		r->bytes = r->bytes - before + (d->report != NULL ? d->report->bytes : 0);
	}
	tlsrpt_free(&found);
}

void tls_reports_recall(struct tls_reports *r)
{
	struct spool *s = r->spool;
	if (r->recalled)
		return;
	r->recalled = true;
	struct arena *a = arena_new(ARENA_MAX);
	if (s->ops->recall(s->store, spool_now_s(s), a, take, r) != OK)
		log_event(LOG_TROUBLE, LOG_Z("text", "what was counted of TLS sessions could not be read"));
	arena_free(&a);
}

void tls_reports_look(struct tls_reports *r)
{
	int64_t day = today();
	LIST_EACH(l, &r->days) {
		struct tls_day *d = LIST_MEMBER(l, struct tls_day, in_order);
		if (d->day < day - TLS_REPORTS_DAYS_MAX)
			day_free(r, d);
	}
	tls_send_look(r);
	tls_show_watch(r, false);
	if (r->spool->store != NULL && loop_now_ms(r->spool->loop) - r->kept_ms >= TLS_REPORTS_KEEP_MS)
		keep_some(r, TLS_REPORTS_KEEP_STEP);
}

/* ---- coming and going ---- */

struct tls_reports *tls_reports_new(struct spool *s)
{
	struct tls_reports *r = NEW(struct tls_reports);
	r->spool = s;
	r->by_key = map_new(random_u64());
	r->kept_ms = loop_now_ms(s->loop);
	list_init(&r->days);
	list_init(&r->looks);
	return r;
}

void tls_reports_free(struct tls_reports **r_ref)
{
	struct tls_reports *r = *r_ref;
	*r_ref = NULL;
	if (r->spool->store != NULL)
		keep_some(r, r->n_days);
	tls_show_watch(r, true);
	LIST_EACH(l, &r->days)
		day_free(r, LIST_MEMBER(l, struct tls_day, in_order));
	map_free(&r->by_key);
	free(r);
}
