/* SPDX-License-Identifier: ISC */
/* The day is over: who wants the report on it, and was it taken? */
#include "base/check.h"
#include "proto/tlsrpt/gzip.h"
#include "role/spool/tls_reports.h"
#include "sys/clock.h"

enum { JSON_MAX = 4 << 20, PACKED_MAX = 512 << 10, WAIT_S = 15 * 60, DOUBLINGS_MAX = 4 };

void tls_send_plan(struct tls_day *d)
{
	d->due_s = (d->day + 1) * TLSRPT_DAY_S + TLS_REPORTS_FIRST_S + (int64_t)(random_u64() % TLS_REPORTS_SPREAD_S);
}

void tls_send_drop(struct tls_reports *r, struct tls_day *d)
{
	if (d->step != TLS_SEND_RESTS)
		r->n_open--;
	d->step = TLS_SEND_RESTS;
	str_release(&d->uris);
}

static void tell(const struct tls_day *d, const char *outcome, struct str text)
{
	log_event(LOG_TLS_REPORT, LOG_S("domain", d->domain), LOG_U("day", d->day), LOG_Z("outcome", outcome),
	          LOG_S("text", str_sub(text, 0, 300)));
}

static void over(struct tls_reports *r, struct tls_day *d, const char *outcome, struct str text)
{
	tls_send_drop(r, d);
	tell(d, outcome, text);
	tls_reports_forget(r, d);
}

/* RFC 8460 5.5: again and again, each time after a longer wait, through a day. */
static void later(struct tls_reports *r, struct tls_day *d, struct str text)
{
	int64_t now_s = clock_wall_s();
	if (now_s - d->first_s >= TLS_REPORTS_TRY_S) {
		over(r, d, "given-up", text);
		return;
	}
	tls_send_drop(r, d);
	d->due_s = now_s + ((int64_t)WAIT_S << (d->tries < DOUBLINGS_MAX ? d->tries : DOUBLINGS_MAX));
	d->tries++;
	tell(d, "later", text);
}

/* ---- the report ---- */

static struct str put_contact(const struct conf *conf, struct buf *out)
{
	if (conf->tls_reports.contact.n > 0)
		return conf->tls_reports.contact;
	if (conf->n_domains == 0 || conf->domains[0].names.n == 0)
		return conf->postmaster.n > 0 ? conf->postmaster.items[0] : STR_NONE;
	fault f = buf_addf(out, "postmaster@%.*s", STR_ARG(conf->domains[0].names.items[0]));
	return f == OK ? buf_view(out) : STR_NONE;
}

/* The same name for the same day and domain: a report that comes twice is known by it. */
fault tls_send_put(struct tls_reports *r, struct tls_day *d, struct buf *json)
{
	const struct conf *conf = r->spool->conf;
	struct buf contact, id;
	buf_init(&contact, TLSRPT_TEXT_MAX);
	buf_init(&id, 2 * TLSRPT_TEXT_MAX);
	fault f = buf_addf(&id, "%lld.%.*s@%.*s", (long long)d->day, STR_ARG(d->domain), STR_ARG(conf->hostname));
	if (f == OK) {
		tlsrpt_name(d->report, conf->hostname, put_contact(conf, &contact), buf_view(&id));
		f = tlsrpt_write(json, d->report);
	}
	buf_fini(&contact);
	buf_fini(&id);
	return f;
}

/* ---- step by step ---- */

static void await(struct tls_reports *r, struct tls_day *d, enum tls_step step)
{
	if (d->step == TLS_SEND_RESTS)
		r->n_open++;
	d->step = step;
	d->request = ++r->next_request;
	d->until_ms = loop_now_ms(r->spool->loop) + TLS_REPORTS_ANSWER_MS;
}

static void ask(struct tls_reports *r, struct tls_day *d)
{
	if (d->first_s == 0)
		d->first_s = clock_wall_s();
	if (d->changed) /* what is sent under a name is the same after a crash */
		tls_reports_keep(r, d);
	await(r, d, TLS_SEND_ASKED);
	channel_send(r->spool->resolver, ASK_REPORT, &(struct ask_report){ .request = d->request, .domain = d->domain });
}

/* The next https URI. */
static bool take_uri(struct str *rest, struct str *out)
{
	while (rest->n > 0) {
		*out = *rest;
		if (!str_take_until(rest, ' ', out))
			*rest = STR_NONE;
		if (str_starts_nocase(*out, STR("https:")))
			return true;
	}
	return false;
}

static void post(struct tls_reports *r, struct tls_day *d, struct str failed)
{
	struct buf json, packed;
	struct str rest = d->uris, uri;
	if (!take_uri(&rest, &uri)) {
		later(r, d, failed);
		return;
	}
	buf_init(&json, JSON_MAX);
	buf_init(&packed, PACKED_MAX);
	fault f = tls_send_put(r, d, &json);
	f = f == OK ? gzip_put(&packed, buf_view(&json)) : f;
	if (f == OK) {
		await(r, d, TLS_SEND_POSTED);
		channel_send(r->spool->resolver, SEND_REPORT,
		             &(struct send_report){ .request = d->request, .url = uri, .body = buf_view(&packed) });
		struct str left = str_keep(rest);
		str_release(&d->uris);
		d->uris = left;
	} else {
		over(r, d, "given-up", STR("the report is too large"));
	}
	buf_fini(&json);
	buf_fini(&packed);
}

/* ---- answers ---- */

static struct tls_day *find(struct tls_reports *r, uint64_t request, enum tls_step step)
{
	LIST_EACH(l, &r->days) {
		struct tls_day *d = LIST_MEMBER(l, struct tls_day, in_order);
		if (d->step != TLS_SEND_RESTS && d->step == step && d->request == request)
			return d;
	}
	return NULL;
}

static void by_mail_alone(struct tls_reports *r, struct tls_day *d)
{
	int64_t day = clock_wall_s() / TLSRPT_DAY_S;
	if (r->mail_told_day != day)
		log_event(LOG_TROUBLE, LOG_Z("text", "a domain wants TLS reports by mail alone; without DKIM signatures they would be ignored, so "
		                                     "none are sent by mail (said once a day)"), LOG_S("domain", d->domain));
	r->mail_told_day = day;
	over(r, d, "unwanted", STR("by mail alone, and mail is not signed with DKIM"));
}

void tls_send_wish(struct tls_reports *r, const struct report_wish *m)
{
	struct tls_day *d = find(r, m->request, TLS_SEND_ASKED);
	struct str rest = m->uris, uri;
	if (d == NULL) {
		tls_show_wish(r, m);
		return;
	}
	if (m->wish == REPORT_UNWANTED) {
		over(r, d, "unwanted", STR("the domain asks for none"));
	} else if (m->wish != REPORT_WANTED || m->uris.n > TLSRPT_URIS_MAX * (TLSRPT_URI_MAX + 1)) {
		later(r, d, STR("whether the domain wants reports could not be looked up"));
	} else if (!take_uri(&rest, &uri)) {
		by_mail_alone(r, d);
	} else {
		str_release(&d->uris);
		d->uris = str_keep(m->uris);
		post(r, d, STR_NONE);
	}
}

void tls_send_sent(struct tls_reports *r, const struct sent_report *m)
{
	struct tls_day *d = find(r, m->request, TLS_SEND_POSTED);
	if (d == NULL)
		return;
	if (m->ok == 1)
		over(r, d, "taken", m->text);
	else
		post(r, d, m->text);
}

void tls_send_resolver_gone(struct tls_reports *r)
{
	LIST_EACH(l, &r->days) {
		struct tls_day *d = LIST_MEMBER(l, struct tls_day, in_order);
		if (d->step != TLS_SEND_RESTS)
			later(r, d, STR("the resolver has ended"));
	}
	tls_show_watch(r, true);
}

/* ---- now and then ---- */

void tls_send_look(struct tls_reports *r)
{
	const struct spool *s = r->spool;
	int64_t now_s = clock_wall_s(), now_ms = loop_now_ms(s->loop);
	LIST_EACH(l, &r->days) {
		struct tls_day *d = LIST_MEMBER(l, struct tls_day, in_order);
		if (d->step != TLS_SEND_RESTS && now_ms >= d->until_ms)
			later(r, d, STR("the resolver does not answer"));
		if (s->resolver == NULL || s->store == NULL || s->draining || s->conf == NULL || r->n_open >= TLS_REPORTS_OPEN_MAX)
			continue;
		if (d->step != TLS_SEND_RESTS || d->report == NULL || now_s < d->due_s || now_s < (d->day + 1) * TLSRPT_DAY_S)
			continue;
		if (s->conf->tls_reports.send)
			ask(r, d);
		else
			tls_reports_forget(r, d);
	}
}
