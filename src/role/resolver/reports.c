/* SPDX-License-Identifier: ISC */
#include "role/resolver/reports.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "https/url.h"
#include "mail/address.h"
#include "proto/tlsrpt/tlsrpt.h"

enum { TEXT_ROOM = 80, NAME_ROOM = 300, TXT_MAX = 64 };

struct reports {
	struct reports_house house;
	struct dns *dns;
	struct list open, asked;
	size_t n_open, n_asked;
};

struct question {
	struct link in_reports;
	struct reports *reports;
	uint64_t request;
	struct str name;
	struct dns_question *txt;      /* NULL: waits until there is somebody to ask */
};

struct report {
	struct link in_reports;
	struct reports *reports;
	uint64_t request;
	struct errand *errand;
};

/* ---- the record ---- */

static void question_free(struct question *q)
{
	dns_cancel(&q->txt);
	link_remove(&q->in_reports);
	q->reports->n_asked--;
	str_release(&q->name);
	free(q);
}

static void tell_wish(struct question *q, enum report_state wish, struct str uris)
{
	struct reports *r = q->reports;
	uint64_t request = q->request;
	question_free(q);
	r->house.wish(r->house.owner, request, wish, uris);
}

static void on_record(void *owner, const struct dns_answer *answer)
{
	struct question *q = owner;
	struct str texts[TXT_MAX];
	struct str uris[TLSRPT_URIS_MAX];
	struct buf list;
	size_t n = answer->n_records < COUNT(texts) ? answer->n_records : COUNT(texts), n_uris = 0;
	q->txt = NULL;
	if (answer->result == DNS_BOGUS || answer->result == DNS_FAILED) {
		tell_wish(q, REPORT_UNKNOWN, STR_NONE);
		return;
	}
	for (size_t i = 0; i < n; i++)
		texts[i] = answer->records[i].text;
	bool wanted = tlsrpt_read_records(texts, n, uris, &n_uris) == TLSRPT_RECORD && n_uris > 0;
	buf_init(&list, TLSRPT_URIS_MAX * (TLSRPT_URI_MAX + 1));
	for (size_t i = 0; i < n_uris; i++) {
		fault f = i > 0 ? buf_add_char(&list, ' ') : OK;
		f = f == OK ? buf_add(&list, uris[i]) : f;
		check(f == OK);
	}
	tell_wish(q, wanted ? REPORT_WANTED : REPORT_UNWANTED, buf_view(&list));
	buf_fini(&list);
}

static void ask_record(struct question *q)
{
	dns_cancel(&q->txt);
	if (q->reports->dns != NULL)
		q->txt = dns_ask(q->reports->dns, DNS_TXT, q->name, on_record, q);
}

void reports_ask(struct reports *r, uint64_t request, struct str domain)
{
	struct buf name;
	buf_init(&name, NAME_ROOM);
	fault f = domain_is_valid(domain) ? buf_add(&name, STR("_smtp._tls.")) : F_SYNTAX;
	f = f == OK ? buf_add(&name, domain) : f;
	if (f != OK || r->n_asked >= REPORTS_MAX) {
		r->house.wish(r->house.owner, request, f != OK ? REPORT_UNWANTED : REPORT_UNKNOWN, STR_NONE);
	} else {
		struct question *q = NEW(struct question);
		*q = (struct question){ .reports = r, .request = request, .name = str_keep(buf_view(&name)) };
		list_add_last(&r->asked, &q->in_reports);
		r->n_asked++;
		ask_record(q);
	}
	buf_fini(&name);
}

void reports_use(struct reports *r, struct dns *dns)
{
	r->dns = dns;
	LIST_EACH(at, &r->asked)
		ask_record(LIST_MEMBER(at, struct question, in_reports));
}

/* ---- the report ---- */

static void report_free(struct report *one)
{
	errand_cancel(&one->errand);
	link_remove(&one->in_reports);
	one->reports->n_open--;
	free(one);
}

static void on_answer(void *owner, const struct https_answer *a)
{
	struct report *one = owner;
	struct reports *r = one->reports;
	uint64_t request = one->request;
	struct buf words;
	one->errand = NULL;
	report_free(one);
	if (a->result != HTTPS_ANSWERED) {
		r->house.sent(r->house.owner, request, false, a->text);
		return;
	}
	buf_init(&words, TEXT_ROOM);
	fault f = buf_addf(&words, "HTTP status %u", a->status);
	r->house.sent(r->house.owner, request, a->status / 100 == 2, f == OK ? buf_view(&words) : STR_NONE);
	buf_fini(&words);
}

void reports_send(struct reports *r, uint64_t request, struct str url, struct str body)
{
	struct url at;
	if (url_parse(url, &at) != OK) {
		r->house.sent(r->house.owner, request, false, STR("this is no https URL with a host name"));
		return;
	}
	struct report *one = NEW(struct report);
	*one = (struct report){ .reports = r, .request = request };
	list_add_last(&r->open, &one->in_reports);
	if (r->n_open++ < REPORTS_MAX)
		one->errand = errand_start(r->house.errands, &(struct errand_plan){
			.host = at.host, .path = at.path, .port = at.port, .body = body,
			.content_type = STR("application/tlsrpt+gzip"), .body_max = REPORT_ANSWER_MAX, .patience_ms = REPORT_MS,
		}, on_answer, one);
	if (one->errand != NULL)
		return;
	report_free(one);
	r->house.sent(r->house.owner, request, false, STR("too many reports are under way"));
}

void reports_drop(struct reports *r)
{
	LIST_EACH(at, &r->open)
		report_free(LIST_MEMBER(at, struct report, in_reports));
	LIST_EACH(at, &r->asked)
		question_free(LIST_MEMBER(at, struct question, in_reports));
}

struct reports *reports_new(const struct reports_house *house)
{
	struct reports *r = NEW(struct reports);
	*r = (struct reports){ .house = *house };
	list_init(&r->open);
	list_init(&r->asked);
	return r;
}

void reports_free(struct reports **r_ref)
{
	struct reports *r = *r_ref;
	*r_ref = NULL;
	if (r == NULL)
		return;
	reports_drop(r);
	free(r);
}
