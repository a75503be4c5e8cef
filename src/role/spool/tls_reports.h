/* SPDX-License-Identifier: ISC */
/*
 * role/spool/tls_reports.h -- outcomes of TLS sessions, counted for each policy domain and UTC day (RFC 8460).
 *
 * When the day is over, at an hour that chance has chosen, the resolver looks up whether the domain wants a report, and posts it
 * there; the report is then forgotten, and its end is noted down at once, so that a restart sends no second one. Where that fails
 * it is tried again, until TLS_REPORTS_TRY_S after the first time. Reports by mail must be signed with DKIM or be ignored (RFC 8460
 * 3): a domain that wants them by mail alone gets none, which the log says once a day.
 *
 * What couriers tell is counted in memory and noted down in the store, so that it survives a restart: what has changed at most once
 * in TLS_REPORTS_KEEP_MS and at the end. A crash loses what has been counted since.
 *
 * Limits   TLS_REPORTS_MAX days of domains, TLS_REPORT_BYTES_MAX for one, TLS_REPORTS_BYTES_MAX for all; beyond that sessions are
 *          not counted, and the log says so once a day. What is older than TLS_REPORTS_DAYS_MAX is forgotten. At most
 *          TLS_REPORTS_KEEP_STEP are noted down at a time. TLS_REPORTS_LOOKS_MAX questions to the resolver for those who only want
 *          to see what would be sent.
 * Units    Days since 1970, UTC, by the wall clock.
 * Tests    test/unit/role/spool/tls_reports_test.c, test/unit/role/spool/tls_show_test.c
 */
#ifndef ROLE_SPOOL_TLS_REPORTS_H
#define ROLE_SPOOL_TLS_REPORTS_H

#include "proto/tlsrpt/tlsrpt.h"
#include "role/spool/spool.h"

enum {
	TLS_REPORTS_MAX = 10000,
	TLS_REPORT_BYTES_MAX = 256 << 10,
	TLS_REPORTS_BYTES_MAX = 32 << 20,
	TLS_REPORTS_DAYS_MAX = 3,
	TLS_REPORTS_KEEP_MS = 60 * 1000,
	TLS_REPORTS_KEEP_STEP = 50,
	TLS_REPORTS_OPEN_MAX = 16,       /* at a time */
	TLS_REPORTS_TRY_S = 24 * 3600,
	TLS_REPORTS_FIRST_S = 1800,      /* after midnight; the rest is chance */
	TLS_REPORTS_SPREAD_S = 6 * 3600,
	TLS_REPORTS_ANSWER_MS = 180 * 1000,
	TLS_REPORTS_LOOKS_MAX = 16,      /* questions where a report would go, of all who ask */
	TLS_REPORTS_LOOK_MS = 30 * 1000,
};

enum tls_step { TLS_SEND_RESTS, TLS_SEND_ASKED, TLS_SEND_POSTED };

struct tls_day {
	struct link in_order;            /* of its first session */
	uint64_t number;                 /* in that order */
	int64_t day;
	struct str domain;
	struct tlsrpt_report *report;    /* NULL: it has been dealt with */
	bool changed;                    /* since it was noted down */

	/* tls_send.c */
	enum tls_step step;
	int64_t due_s, first_s;          /* when it is tried next; when it was tried first, or 0 */
	unsigned tries;
	uint64_t request;
	int64_t until_ms;                /* the answer must be there */
	struct str uris;                 /* those that have not been tried, with a space between them */
};

struct tls_reports {
	struct spool *spool;
	struct map *by_key;              /* "tlsrpt/DAY/DOMAIN" -> struct tls_day */
	struct list days;
	size_t n_days, bytes, n_open;
	uint64_t next_request, last_number;
	struct list looks;               /* tls_show.c */
	size_t n_looks;
	int64_t mail_told_day;
	int64_t kept_ms, full_told_day;
	bool recalled;
};

struct tls_reports *tls_reports_new(struct spool *s);
void tls_reports_free(struct tls_reports **r);      /* notes down what is not yet, if the store is open */

void tls_reports_count(struct tls_reports *r, struct job *j, const struct from_worker_tls *m);
void tls_reports_recall(struct tls_reports *r);     /* the store is open */
void tls_reports_look(struct tls_reports *r);       /* now and then */
void tls_reports_keep(struct tls_reports *r, struct tls_day *d); /* at once */
void tls_reports_forget(struct tls_reports *r, struct tls_day *d); /* the counts; that there were some stays known */

/* tls_send.c */
void tls_send_plan(struct tls_day *d);
void tls_send_look(struct tls_reports *r);
void tls_send_wish(struct tls_reports *r, const struct report_wish *m);
void tls_send_sent(struct tls_reports *r, const struct sent_report *m);
void tls_send_drop(struct tls_reports *r, struct tls_day *d);       /* it is no longer under way */
void tls_send_resolver_gone(struct tls_reports *r);
/* The report as it would be sent, its names filled in. */
fault tls_send_put(struct tls_reports *r, struct tls_day *d, struct buf *json);

/* tls_show.c */
void tls_show_wish(struct tls_reports *r, const struct report_wish *m);
void tls_show_watch(struct tls_reports *r, bool all); /* those that wait too long, or all of them: the resolver is gone */

#endif
