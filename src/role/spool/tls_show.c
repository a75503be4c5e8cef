/* SPDX-License-Identifier: ISC */
/* role/spool/tls_show.c -- what has been counted of TLS sessions and not been sent: a few days of domains at a time, each with where its
 * report would go now, or the reports themselves. */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/check.h"
#include "mail/json.h"
#include "mail/trace.h"
#include "role/spool/tls_reports.h"
#include "sys/clock.h"

enum { DAYS_AT_ONCE = 20, SLICE_BYTES = 256 << 10, JSON_MAX = 4 << 20, PIECE = 64 << 10 };

struct report_round {
	struct spool *spool;
	struct channel *to;              /* the caller's */
	struct str domain;               /* "": all */
	bool documents;
	bool over;                       /* the last day has been looked at */
	uint64_t after, told;
	size_t n_open;                   /* questions of ours to the resolver */
};

/* Where would it go? It outlives its round, so that the resolver is never asked more than it takes. */
struct tls_look {
	struct link in_reports;
	struct report_round *round;      /* NULL: nobody wants to know any more */
	uint64_t number, request;
	int64_t until_ms;
};

struct report_round *report_begin(struct spool *s, struct channel *to, struct str domain, bool documents)
{
	struct report_round *w = NEW(struct report_round);
	*w = (struct report_round){ .spool = s, .to = to, .domain = domain, .documents = documents };
	return w;
}

void report_end(struct report_round **w_ref)
{
	struct report_round *w = *w_ref;
	*w_ref = NULL;
	if (w == NULL)
		return;
	LIST_EACH(l, &w->spool->tls_reports->looks) {
		struct tls_look *look = LIST_MEMBER(l, struct tls_look, in_reports);
		if (look->round == w)
			look->round = NULL;
	}
	free(w);
}

/* ---- rows ---- */

static const char *state_of(const struct tls_day *d)
{
	return d->step == TLS_SEND_ASKED ? "asking" : d->step == TLS_SEND_POSTED ? "posting"
	     : clock_wall_s() < (d->day + 1) * TLSRPT_DAY_S ? "counting" : "waiting";
}

static json_t *words_of(struct str list)
{
	json_t *out = json_array();
	struct str word;
	while (str_take_word(&list, &word))
		json_array_append_new(out, text_as_json(word));
	return out;
}

static json_t *policies_of(const struct tlsrpt_report *r)
{
	json_t *out = json_array();
	for (size_t i = 0; i < r->n_policies; i++) {
		const struct tlsrpt_policy *p = &r->policies[i];
		json_t *o = json_object();
		json_object_set_new(o, "type", json_string(tlsrpt_policy_type_name(p->type)));
		json_object_set_new(o, "succeeded", json_integer((json_int_t)p->succeeded));
		json_object_set_new(o, "failed", json_integer((json_int_t)p->failed));
		json_array_append_new(out, o);
	}
	return out;
}

static json_t *failures_of(const struct tlsrpt_report *r)
{
	json_t *out = json_object();
	for (size_t i = 0; i < r->n_policies; i++)
		for (size_t k = 0; k < r->policies[i].n_details; k++) {
			const struct tlsrpt_detail *d = &r->policies[i].details[k];
			json_int_t n = json_integer_value(json_object_get(out, d->result.p)) + (json_int_t)d->sessions;
			json_object_set_new(out, d->result.p, json_integer(n));
		}
	return out;
}

static void tell_row(struct report_round *w, const struct tls_day *d, const char *wish, struct str uris)
{
	char day[16] = "";
	struct buf at;
	buf_init(&at, 64);
	if (date_put_rfc3339(&at, d->day * TLSRPT_DAY_S) == OK)
		(void)snprintf(day, sizeof day, "%.*s", STR_ARG(str_sub(buf_view(&at), 0, 10)));
	buf_fini(&at);
	json_t *o = json_object();
	json_object_set_new(o, "day", json_string(day));
	json_object_set_new(o, "domain", text_as_json(d->domain));
	json_object_set_new(o, "state", json_string(state_of(d)));
	json_object_set_new(o, "due", date_as_json(d->due_s));
	json_object_set_new(o, "tries", json_integer(d->tries));
	json_object_set_new(o, "policies", policies_of(d->report));
	json_object_set_new(o, "failures", failures_of(d->report));
	json_object_set_new(o, "wish", json_string(wish));
	json_object_set_new(o, "uris", words_of(uris));
	char *line = json_dumps(o, JSON_COMPACT);
	if (line != NULL)
		channel_send(w->to, CONTROL_ROW, &(struct control_row){ .json = str_of(line) });
	free(line);
	json_decref(o);
	w->told++;
}

/* The report as it would be sent, and an end of line. Gives its length. */
static size_t tell_document(struct report_round *w, struct tls_day *d)
{
	struct buf json;
	buf_init(&json, JSON_MAX);
	fault f = tls_send_put(w->spool->tls_reports, d, &json);
	f = f == OK ? buf_add_char(&json, '\n') : f;
	struct str rest = f == OK ? buf_view(&json) : STR_NONE;
	size_t n = rest.n;
	for (; rest.n > 0; rest = str_from(rest, PIECE))
		channel_send(w->to, CONTROL_BODY, &(struct control_body){ .bytes = str_sub(rest, 0, PIECE) });
	buf_fini(&json);
	w->told += n > 0;
	return n;
}

/* ---- where it would go ---- */

static struct tls_day *day_numbered(struct tls_reports *r, uint64_t number)
{
	LIST_EACH(l, &r->days) {
		struct tls_day *d = LIST_MEMBER(l, struct tls_day, in_order);
		if (d->number == number)
			return d->report != NULL ? d : NULL;
	}
	return NULL;
}

static void look_end(struct tls_reports *r, struct tls_look *look, const char *wish, struct str uris)
{
	struct tls_day *d = look->round != NULL ? day_numbered(r, look->number) : NULL;
	if (look->round != NULL)
		look->round->n_open--;
	if (d != NULL) /* else it has been dealt with meanwhile */
		tell_row(look->round, d, wish, uris);
	link_remove(&look->in_reports);
	r->n_looks--;
	free(look);
}

void tls_show_wish(struct tls_reports *r, const struct report_wish *m)
{
	static const char *const wishes[] = { [REPORT_UNWANTED] = "unwanted", [REPORT_WANTED] = "wanted", [REPORT_UNKNOWN] = "unknown" };
	LIST_EACH(l, &r->looks) {
		struct tls_look *look = LIST_MEMBER(l, struct tls_look, in_reports);
		if (look->request != m->request)
			continue;
		bool sound = m->wish < COUNT(wishes) && m->uris.n <= TLSRPT_URIS_MAX * (TLSRPT_URI_MAX + 1);
		look_end(r, look, sound ? wishes[m->wish] : "unknown", sound ? m->uris : STR_NONE);
		return;
	}
}

void tls_show_watch(struct tls_reports *r, bool all)
{
	int64_t now_ms = loop_now_ms(r->spool->loop);
	LIST_EACH(l, &r->looks) {
		struct tls_look *look = LIST_MEMBER(l, struct tls_look, in_reports);
		if (all || now_ms >= look->until_ms)
			look_end(r, look, "unknown", STR_NONE);
	}
}

static void look_begin(struct report_round *w, const struct tls_day *d)
{
	struct tls_reports *r = w->spool->tls_reports;
	struct tls_look *look = NEW(struct tls_look);
	*look = (struct tls_look){ .round = w, .number = d->number, .request = ++r->next_request,
		                   .until_ms = loop_now_ms(w->spool->loop) + TLS_REPORTS_LOOK_MS };
	list_add_last(&r->looks, &look->in_reports);
	r->n_looks++;
	w->n_open++;
	channel_send(w->spool->resolver, ASK_REPORT, &(struct ask_report){ .request = look->request, .domain = d->domain });
}

/* ---- day by day ---- */

/* False: not now. */
static bool show(struct report_round *w, struct tls_day *d, size_t *bytes)
{
	const struct spool *s = w->spool;
	if (w->documents)
		*bytes += tell_document(w, d);
	else if (s->conf == NULL || !s->conf->tls_reports.send)
		tell_row(w, d, "off", STR_NONE);
	else if (s->resolver == NULL)
		tell_row(w, d, "unknown", STR_NONE);
	else if (s->tls_reports->n_looks >= TLS_REPORTS_LOOKS_MAX)
		return false;
	else
		look_begin(w, d);
	return true;
}

static void show_some(struct report_round *w)
{
	struct tls_reports *r = w->spool->tls_reports;
	size_t bytes = 0, n = 0;
	LIST_EACH(l, &r->days) {
		struct tls_day *d = LIST_MEMBER(l, struct tls_day, in_order);
		if (d->number <= w->after)
			continue;
		if (n >= DAYS_AT_ONCE || bytes >= SLICE_BYTES)
			return;
		if (d->report != NULL && (w->domain.n == 0 || str_eq_nocase(d->domain, w->domain))) {
			if (!show(w, d, &bytes))
				return;
			n++;
		}
		w->after = d->number;
	}
	w->over = true;
}

bool report_some(struct report_round *w, int *status_out, struct why *last_words)
{
	tls_show_watch(w->spool->tls_reports, false);
	if (!w->over && (w->documents || w->spool->tls_reports->n_looks < TLS_REPORTS_LOOKS_MAX))
		show_some(w);
	if (!w->over || w->n_open > 0)
		return true;
	*status_out = w->told == 0;
	if (w->told == 0)
		(void)why_say(last_words, OK, "no TLS session has been counted that a report has not told of already");
	return false;
}
