/* SPDX-License-Identifier: ISC */
/*
 * proto/tlsrpt/digest.h -- many reports summed: for each policy domain and reporting organisation, by result. Pure.
 *
 * A report that comes twice, by its organisation and its id, counts once; one without an id counts whenever its text differs.
 *
 * Source   RFC 8460 4.4, 5.1 (the id makes it unique).
 * Units    Seconds since 1970; sessions stop at TLSRPT_COUNT_MAX.
 * Limits   DIGEST_ENTRIES_MAX domains with an organisation, DIGEST_RESULTS_MAX kinds of results for each (what is beyond is "other"),
 *          DIGEST_REPORTS_MAX reports.
 * Errors   F_EXISTS: this report has been counted. F_LIMIT: there is no room, and nothing of it is counted.
 * Tests    test/unit/proto/tlsrpt_letter_test.c
 */
#ifndef PROTO_TLSRPT_DIGEST_H
#define PROTO_TLSRPT_DIGEST_H

#include "proto/tlsrpt/tlsrpt.h"

enum { DIGEST_ENTRIES_MAX = 10000, DIGEST_RESULTS_MAX = 32, DIGEST_REPORTS_MAX = 100000 };

struct digest_result { struct str name; uint64_t sessions; };

struct digest_entry {
	struct str domain, organization;
	uint64_t reports, succeeded, failed;
	int64_t begin_s, end_s;
	struct digest_result *results;   /* in the order of their coming */
	size_t n_results;
};

struct digest;

struct digest *digest_new(uint64_t seed); /* from chance: what is summed is hostile */
void           digest_free(struct digest **d);

MUST_USE fault digest_add(struct digest *d, const struct tlsrpt_report *r);

/* By domain and organisation; valid until the next digest_add. */
const struct digest_entry *const *digest_list(struct digest *d, size_t *n_out);
size_t digest_reports(const struct digest *d);

#endif
