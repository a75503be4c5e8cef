/* SPDX-License-Identifier: ISC */
/*
 * dns/decode.h -- questions and answers of the DNS, between our types and the wire's. Pure.
 *
 * The library hands over uncompressed record data and a verdict; everything in there was written
 * by somebody else. Nothing leaves here that is not what its type says: host names are labels of
 * letters, digits, '-' and '_', so a label that holds a dot, a NUL or a line end cannot pass for
 * another name or another line.
 *
 * Source   RFC 1035 3.3, 5.1; RFC 3596 2.5; RFC 6698 2.1; RFC 7505 3; RFC 2181 8 (TTL).
 * Limits   DNS_RECORDS_MAX records of an answer are kept, the best-preferred MX first; a TTL is cut to
 *          DNS_TTL_MAX_S; text for people to DNS_TEXT_MAX bytes. Of a TLSA record over DNS_TLSA_BYTES_MAX only the three
 *          numbers at its head are kept: it counts, and cannot be used.
 * Errors   A record that does not decode is left out. If none is left, or the canonical name is no
 *          name, the answer becomes DNS_FAILED: never DNS_NODATA, which would be a statement. The library calls an answer bogus
 *          also when a server did not answer the questions for its keys; where it says so, that is DNS_FAILED, too. Either way
 *          whoever asked waits: but only the other one hints at somebody who forges.
 * Owns     Everything in an answer lives in the arena given.
 * Tests    test/unit/dns/decode_test.c, fuzz/dns.c
 */
#ifndef DNS_DECODE_H
#define DNS_DECODE_H

#include "base/arena.h"
#include "base/buf.h"
#include "dns/dns.h"

enum { DNS_RECORDS_MAX = 64, DNS_TTL_MAX_S = 86400, DNS_TEXT_MAX = 256, DNS_NAME_MAX = 253,
       DNS_TLSA_BYTES_MAX = 4096, DNS_ANSWER_ARENA = 512 << 10 };

struct dns_raw {
	const struct str *rdata;   /* the records of the kind that was asked for */
	size_t n;
	struct str canonical;      /* in text, with or without the last dot; empty if as asked */
	int rcode;                 /* RFC 1035 4.1.1 */
	bool nxdomain, secure, bogus;
	bool cut;                  /* there was more than a message of the DNS can hold (TC) */
	int64_t ttl_s;
	struct str why;            /* what the validator says about a bogus answer */
};

/* The name to ask for, lower case, ending in a dot: for DNS_PTR that of the address. F_SYNTAX: no such name
 * can exist. "." is a name. */
MUST_USE fault dns_question_put(struct buf *out, enum dns_kind kind, struct str name);

/* The record type's number (RFC 1035 3.2.2). */
int dns_kind_number(enum dns_kind kind);

void dns_answer_decode(enum dns_kind kind, const struct dns_raw *raw, struct arena *a,
                       struct dns_answer *out);

#endif
