/* SPDX-License-Identifier: ISC */
/*
 * proto/tlsrpt/tlsrpt.h -- TLS reports: who wants them, what is counted for them, and their text. Pure.
 *
 * One structure serves the mail server that counts its sessions, the report that it sends, and whoever reads and sums the reports
 * of others. Sessions that differ in nothing that a report tells are one entry with a number.
 *
 * Source   RFC 8460 3 (record), 4.3 (result types), 4.4 (JSON); RFC 7493 (I-JSON).
 * Units    Seconds since 1970, UTC; end_s is the last second of the range.
 * Limits   TLSRPT_POLICIES_MAX policies in a report and TLSRPT_DETAILS_MAX kinds of failures under each; failures beyond that
 *          are counted by their result type alone, whatever the host. Texts are cut at TLSRPT_TEXT_MAX, those of a policy at
 *          whole lines within TLSRPT_POLICY_MAX. A report's text has at most TLSRPT_JSON_MAX bytes, TLSRPT_VALUES_MAX values
 *          and TLSRPT_DEPTH_MAX levels. Counts stop at TLSRPT_COUNT_MAX.
 * Errors   F_SYNTAX and F_LIMIT, with the reason; what was there before is unchanged.
 * Owns     A report owns its texts. Slices that go in are copied, and what is not printable in them does not survive.
 * Tests    test/unit/proto/tlsrpt_test.c, fuzz/tlsrpt.c
 */
#ifndef PROTO_TLSRPT_TLSRPT_H
#define PROTO_TLSRPT_TLSRPT_H

#include "base/buf.h"
#include "base/fault.h"
#include "base/str.h"

enum {
	TLSRPT_URIS_MAX = 8,
	TLSRPT_URI_MAX = 2048,
	TLSRPT_POLICIES_MAX = 64,
	TLSRPT_DETAILS_MAX = 64,
	TLSRPT_TEXT_MAX = 255,
	TLSRPT_POLICY_MAX = 8 << 10,
	TLSRPT_JSON_MAX = 10 << 20,
	TLSRPT_VALUES_MAX = 200000,
	TLSRPT_DEPTH_MAX = 16,
	TLSRPT_DAY_S = 86400,
};
#define TLSRPT_COUNT_MAX ((UINT64_C(1) << 53) - 1) /* RFC 7493 2.2 */

/* ---- the TXT records at _smtp._tls.DOMAIN ---- */

enum tlsrpt_record {
	TLSRPT_NO_RECORD,  /* none that begins with "v=TLSRPTv1;": no reports are wanted */
	TLSRPT_RECORD,
	TLSRPT_MALFORMED,  /* one, which breaks the grammar: no reports */
	TLSRPT_SEVERAL,    /* the same */
};
/* Whole URIs, mailto: and https:, pointing into the record. Those of other schemes, too long ones and those beyond TLSRPT_URIS_MAX are
 * left out; *n_out may be 0 with TLSRPT_RECORD. */
enum tlsrpt_record tlsrpt_read_records(const struct str *records, size_t n, struct str out[TLSRPT_URIS_MAX], size_t *n_out);

/* ---- what is counted ---- */

enum tlsrpt_result {
	TLSRPT_SUCCESS,
	TLSRPT_STARTTLS_NOT_SUPPORTED, TLSRPT_CERTIFICATE_HOST_MISMATCH, TLSRPT_CERTIFICATE_EXPIRED,
	TLSRPT_CERTIFICATE_NOT_TRUSTED, TLSRPT_VALIDATION_FAILURE,
	TLSRPT_TLSA_INVALID, TLSRPT_DNSSEC_INVALID, TLSRPT_DANE_REQUIRED,
	TLSRPT_STS_POLICY_FETCH_ERROR, TLSRPT_STS_POLICY_INVALID, TLSRPT_STS_WEBPKI_INVALID,
	TLSRPT_RESULTS
};
const char *tlsrpt_result_name(enum tlsrpt_result result); /* as in a report; "success" is never in one */

enum tlsrpt_policy_type { TLSRPT_NO_POLICY, TLSRPT_TLSA, TLSRPT_STS, TLSRPT_POLICY_TYPES };
const char *tlsrpt_policy_type_name(enum tlsrpt_policy_type type);

/* One try at one host. Empty texts are unknown. strings: the policy as 4.5 has it, one line a string; mx_hosts: the patterns of an
 * MTA-STS policy, one a line. */
struct tlsrpt_session {
	enum tlsrpt_policy_type type;
	struct str domain, strings, mx_hosts;
	enum tlsrpt_result result;
	struct str sending_ip, mx, helo, receiving_ip, reason;
};

struct tlsrpt_detail {
	struct str result;               /* one of 4.3, or what another reporter calls it */
	struct str sending_ip, mx, helo, receiving_ip, info, reason;
	uint64_t sessions;
};

struct tlsrpt_policy {
	enum tlsrpt_policy_type type;
	struct str domain, strings, mx_hosts;
	uint64_t succeeded, failed;
	struct tlsrpt_detail *details;
	size_t n_details;
};

struct tlsrpt_report {
	struct str organization, contact, id;
	int64_t begin_s, end_s;
	struct tlsrpt_policy *policies;
	size_t n_policies;
	size_t bytes;                    /* about what it takes in memory */
};

struct tlsrpt_report *tlsrpt_new(void);
void tlsrpt_free(struct tlsrpt_report **r); /* NULL is fine */

/* F_LIMIT: there are too many policies, and this session is not counted. */
MUST_USE fault tlsrpt_count(struct tlsrpt_report *r, const struct tlsrpt_session *s);

/* All that is counted in `from` is counted in `into`, too; its range grows to hold both. F_LIMIT: not all of it. */
MUST_USE fault tlsrpt_sum(struct tlsrpt_report *into, const struct tlsrpt_report *from);

void tlsrpt_name(struct tlsrpt_report *r, struct str organization, struct str contact, struct str id);
void tlsrpt_range(struct tlsrpt_report *r, int64_t day); /* a UTC day, in days since 1970 */

/* ---- as text ---- */

MUST_USE fault tlsrpt_write(struct buf *out, const struct tlsrpt_report *r);
/* What another wrote: fields that we do not know are passed over, those that are missing stay empty. At most one of out and why
 * is set. */
MUST_USE fault tlsrpt_read(struct str json, struct tlsrpt_report **out, struct why *why);

#endif
