/* SPDX-License-Identifier: ISC */
/*
 * dns/dns.h -- ask the DNS, get typed answers with a "secure" bit.
 *
 * Stands on libunbound, which validates by itself: no other server's AD bit is believed. The
 * simulation brings a fake of these four calls.
 *
 * Units    Seconds for TTLs, milliseconds for patience.
 * Limits   A question without an answer after options.patience_ms ends as DNS_FAILED. How many are open
 *          at once is the caller's to bound.
 * Errors   A library that answers nothing any more, not even what it knows by itself, ends this process (exit status
 *          70): its thread cannot be stopped, only left behind.
 * Owns     An answer lives until the callback returns. The callback comes from the loop, never from
 *          within dns_ask; it may ask and cancel, but not free the struct dns.
 * Tests    test/unit/dns/dns_test.c (against a real nsd), test/unit/dns/decode_test.c
 */
#ifndef DNS_DNS_H
#define DNS_DNS_H

#include "base/fault.h"
#include "base/str.h"
#include "ipc/resolver.h"
#include "sys/loop.h"

struct dns_options {
	const struct str *servers;    /* "127.0.0.1:5353", "[::1]:53", "192.0.2.1" */
	size_t n_servers;
	struct str resolv_conf;       /* the text of resolv.conf(5), used if no server is given */
	struct str trust_anchor;      /* DS or DNSKEY records, one a line; empty: nothing is validated */
	int64_t patience_ms;          /* 0: 20 s */
};

struct dns_record {
	uint32_t number;              /* MX: the preference */
	struct str text;              /* A, AAAA: the address; MX, PTR, CNAME: the name; TXT, TLSA: the bytes */
};

/* An MX whose text is empty is the null MX (RFC 7505). */
struct dns_answer {
	enum dns_result result;
	bool secure;                  /* validated: the records, or that there are none */
	bool unvalidated;             /* there is no trust anchor: that it is not secure says nothing */
	uint32_t ttl_s;
	struct str canonical;         /* the name after CNAMEs, "" if it is the one asked for */
	struct str text;              /* for people, where it failed */
	const struct dns_record *records;
	size_t n_records;
};

typedef void dns_answered(void *owner, const struct dns_answer *answer);

struct dns;
struct dns_question;

/* F_SYNTAX: a server or an anchor is not one; F_SYS: the library refused. */
MUST_USE fault dns_new(struct loop *loop, const struct dns_options *options, struct dns **out,
                       struct why *why);
void dns_free(struct dns **dns); /* open questions end without an answer; NULL is fine */

/* For DNS_PTR the name is an address in text. The question is gone once answered has been called. */
struct dns_question *dns_ask(struct dns *dns, enum dns_kind kind, struct str name,
                             dns_answered *answered, void *owner);
void dns_cancel(struct dns_question **question); /* NULL is fine */

#endif
