/* SPDX-License-Identifier: ISC */
/*
 * role/resolver/reports.h -- TLS reports for other domains: whether they want them, and where; posted there.
 *
 * Source   RFC 8460 5.4: a POST with the media type application/tlsrpt+gzip; what is answered with a 2xx is delivered.
 * Limits   REPORTS_MAX at once, one more is answered "not now"; REPORT_MS for each, REPORT_ANSWER_MAX bytes of answer.
 * Tests    test/unit/role/resolver/policies_test.c, test/scenario/mtasts_test.py
 */
#ifndef ROLE_RESOLVER_REPORTS_H
#define ROLE_RESOLVER_REPORTS_H

#include "role/resolver/errand.h"

enum { REPORTS_MAX = 64, REPORT_MS = 60 * 1000, REPORT_ANSWER_MAX = 64 << 10 };

struct reports;

struct reports_house {
	struct errands *errands;
	void (*sent)(void *owner, uint64_t request, bool ok, struct str text);
	void (*wish)(void *owner, uint64_t request, enum report_state wish, struct str uris);
	void *owner;
};

struct reports *reports_new(const struct reports_house *house);
void            reports_free(struct reports **r);

/* body: gzipped JSON. What cannot even be tried is told at once. */
void reports_send(struct reports *r, uint64_t request, struct str url, struct str body);
void reports_ask(struct reports *r, uint64_t request, struct str domain); /* REPORTS_MAX of these, too */
void reports_use(struct reports *r, struct dns *dns); /* as lookups_use */
void reports_drop(struct reports *r); /* whatever is under way, untold */

#endif
