/* SPDX-License-Identifier: ISC */
#include "role/resolver/reports.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "https/url.h"

enum { TEXT_ROOM = 80 };

struct reports {
	struct errands *errands;
	void (*sent)(void *owner, uint64_t request, bool ok, struct str text);
	void *owner;
	struct list open;
	size_t n_open;
};

struct report {
	struct link in_reports;
	struct reports *reports;
	uint64_t request;
	struct errand *errand;
};

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
		r->sent(r->owner, request, false, a->text);
		return;
	}
	buf_init(&words, TEXT_ROOM);
	fault f = buf_addf(&words, "HTTP status %u", a->status);
	r->sent(r->owner, request, a->status / 100 == 2, f == OK ? buf_view(&words) : STR_NONE);
	buf_fini(&words);
}

void reports_send(struct reports *r, uint64_t request, struct str url, struct str body)
{
	struct url at;
	if (url_parse(url, &at) != OK) {
		r->sent(r->owner, request, false, STR("this is no https URL with a host name"));
		return;
	}
	struct report *one = NEW(struct report);
	*one = (struct report){ .reports = r, .request = request };
	list_add_last(&r->open, &one->in_reports);
	if (r->n_open++ < REPORTS_MAX)
		one->errand = errand_start(r->errands, &(struct errand_plan){
			.host = at.host, .path = at.path, .port = at.port, .body = body,
			.content_type = STR("application/tlsrpt+gzip"), .body_max = REPORT_ANSWER_MAX, .patience_ms = REPORT_MS,
		}, on_answer, one);
	if (one->errand != NULL)
		return;
	report_free(one);
	r->sent(r->owner, request, false, STR("too many reports are under way"));
}

void reports_drop(struct reports *r)
{
	LIST_EACH(at, &r->open)
		report_free(LIST_MEMBER(at, struct report, in_reports));
}

struct reports *reports_new(struct errands *errands, void (*sent)(void *owner, uint64_t request, bool ok, struct str text),
                            void *owner)
{
	struct reports *r = NEW(struct reports);
	*r = (struct reports){ .errands = errands, .sent = sent, .owner = owner };
	list_init(&r->open);
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
