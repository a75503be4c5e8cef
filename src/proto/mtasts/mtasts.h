/* SPDX-License-Identifier: ISC */
/*
 * proto/mtasts/mtasts.h -- MTA-STS: the record that says "there is a policy", and the policy. Pure.
 *
 * Both are written by whoever runs the domain, so nothing of them is believed to be short, unique or text: what leaves here
 * is. A policy that cannot be held whole is no policy: with a part of its patterns mail would be kept from hosts that it
 * allows.
 *
 * Source   RFC 8461 3.1 (record), 3.2 (policy), 4.1 (hosts); RFC 6125 6.4.3 (the wildcard).
 * Units    Seconds.
 * Limits   A record's id has at most MTASTS_ID_MAX bytes, a policy's text MTASTS_BODY_MAX, a policy MTASTS_PATTERNS_MAX
 *          patterns, and lives MTASTS_AGE_MAX_S at most (a larger max_age counts as that).
 * Errors   A policy that breaks the grammar: F_SYNTAX; one that is too large: F_LIMIT; each with the reason.
 * Owns     Slices point into the text given.
 * Tests    test/unit/proto/mtasts_test.c, fuzz/mtasts.c
 */
#ifndef PROTO_MTASTS_MTASTS_H
#define PROTO_MTASTS_MTASTS_H

#include "base/buf.h"
#include "base/fault.h"
#include "base/str.h"

enum {
	MTASTS_ID_MAX = 32,
	MTASTS_BODY_MAX = 64 << 10,
	MTASTS_PATTERNS_MAX = 64,
	MTASTS_PATTERN_MAX = 255,                  /* bytes of one: "*." and a domain name */
	MTASTS_AGE_MAX_S = 31557600,
	MTASTS_MX_MAX = MTASTS_PATTERNS_MAX * (MTASTS_PATTERN_MAX + 1), /* bytes of all of them, with spaces */
};

enum mtasts_mode { MTASTS_MODE_NONE, MTASTS_MODE_TESTING, MTASTS_MODE_ENFORCE };
const char *mtasts_mode_name(enum mtasts_mode mode); /* as in a policy */

/* ---- the TXT records at _mta-sts.DOMAIN ---- */

enum mtasts_record {
	MTASTS_NO_RECORD,  /* none that begins with "v=STSv1;" */
	MTASTS_RECORD,     /* one: *id_out is its id */
	MTASTS_MALFORMED,  /* one, which breaks the grammar: the domain has no policy */
	MTASTS_SEVERAL,    /* the same */
};
enum mtasts_record mtasts_read_records(const struct str *records, size_t n, struct str *id_out);

/* ---- the policy ---- */

struct mtasts_policy {
	enum mtasts_mode mode;
	int64_t max_age_s;
	struct str mx[MTASTS_PATTERNS_MAX];
	size_t n_mx;                           /* with MTASTS_MODE_NONE it may be 0 */
};
MUST_USE fault mtasts_parse(struct str body, struct mtasts_policy *out, struct why *why);

/* Whether the header field of the answer allows the body to be looked at (3.2): text/plain, whatever its parameters. */
bool mtasts_content_type_fits(struct str content_type);

/* The patterns in one line, lower case, with one space between two: how they travel, are kept and compared. */
MUST_USE fault mtasts_put_mx(struct buf *out, const struct mtasts_policy *policy);

/* Does one of these patterns allow this host? "*." stands for one label. The host is a name in A-labels, with or without its
 * last dot; an address, or an empty name, is allowed by none. */
bool mtasts_mx_allows(struct str mx, struct str host);

/* 1 to MTASTS_ID_MAX letters and digits; a host name, or "*." and a domain. */
bool mtasts_id_is_valid(struct str id);
bool mtasts_pattern_is_valid(struct str pattern);

#endif
