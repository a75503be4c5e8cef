/* SPDX-License-Identifier: ISC */
/*
 * role/spool/tls_reports.h -- outcomes of TLS sessions, counted for each policy domain and UTC day (RFC 8460).
 *
 * What couriers tell is counted in memory and noted down in the store, so that it survives a restart: what has changed at most once
 * in TLS_REPORTS_KEEP_MS and at the end. A crash loses what has been counted since.
 *
 * Limits   TLS_REPORTS_MAX days of domains, TLS_REPORT_BYTES_MAX for one, TLS_REPORTS_BYTES_MAX for all; beyond that sessions are
 *          not counted, and the log says so once a day. What is older than TLS_REPORTS_DAYS_MAX is forgotten. At most
 *          TLS_REPORTS_KEEP_STEP are noted down at a time.
 * Units    Days since 1970, UTC, by the wall clock.
 * Tests    test/unit/role/spool/tls_reports_test.c
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
};

struct tls_day {
	struct link in_order;            /* of its first session */
	int64_t day;
	struct str domain;
	struct tlsrpt_report *report;    /* NULL: it has been dealt with */
	bool changed;                    /* since it was noted down */
};

struct tls_reports {
	struct spool *spool;
	struct map *by_key;              /* "tlsrpt/DAY/DOMAIN" -> struct tls_day */
	struct list days;
	size_t n_days, bytes;
	int64_t kept_ms, full_told_day;
	bool recalled;
};

struct tls_reports *tls_reports_new(struct spool *s);
void tls_reports_free(struct tls_reports **r);      /* notes down what is not yet, if the store is open */

void tls_reports_count(struct tls_reports *r, struct job *j, const struct from_worker_tls *m);
void tls_reports_recall(struct tls_reports *r);     /* the store is open */
void tls_reports_look(struct tls_reports *r);       /* now and then */

#endif
