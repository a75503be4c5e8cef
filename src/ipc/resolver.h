/* SPDX-License-Identifier: ISC */
/*
 * ipc/resolver.h -- front or courier <-> resolver: names, with a "secure" bit.
 *
 * Every RESOLVE ends with one END, after its records; every RESOLVE_POLICY with one POLICY. Record texts: MX "host" with its
 * preference, A and AAAA the address in text, PTR and CNAME the name. Names are ASCII, lower case, without the last dot.
 *
 * Tests    test/unit/ipc/codec_test.c, fuzz/ipc.c
 */
#ifndef IPC_RESOLVER_H
#define IPC_RESOLVER_H

#include "ipc/codec.h"

enum dns_kind { DNS_A, DNS_AAAA, DNS_MX, DNS_PTR, DNS_TXT, DNS_TLSA, DNS_CNAME };

enum dns_result {
	DNS_FOUND,
	DNS_NODATA,    /* the name exists, without such a record */
	DNS_NXDOMAIN,
	DNS_BOGUS,     /* DNSSEC validation failed: wait, never proceed */
	DNS_FAILED,    /* SERVFAIL, timeout: try again later */
};

/* What is known of a domain's MTA-STS policy (RFC 8461). */
enum sts_state {
	STS_NONE,      /* it publishes none, as far as anybody can tell */
	STS_POLICY,    /* one is in force, perhaps out of the cache */
	STS_TROUBLE,   /* one that it says it has, or the record that would say so, cannot be had: as if there were none (RFC 8461 3.3) */
	STS_UNASKED,   /* nobody can say: too much waits, or the DNS gives an answer that is bogus. The letter waits too */
};

/* Why a policy could not be had or renewed, by the result types of TLS reports (RFC 8460 4.3); STS_RECORD_ERROR, of which they
 * have none: the DNS gave no answer about the record. Who has signed MX records of the domain takes that for an attack. */
enum sts_trouble { STS_FINE, STS_FETCH_ERROR, STS_POLICY_INVALID, STS_WEBPKI_INVALID, STS_RECORD_ERROR };

/* For DNS_PTR the name is an address in text. DNS_CNAME follows nothing: its answer is the record at the name itself, and
 * secure is said of that one record, whatever it leads to (RFC 7672 2.1.3). A policy is for couriers only. */
#define TO_RESOLVER(MSG, U, I, S)                                 \
	MSG(RESOLVE, resolve, U(request) U(kind) S(name))         \
	MSG(RESOLVE_POLICY, resolve_policy, U(request) S(domain))

/* RECORD: number is the MX preference; text the value; for TLSA the raw rdata.
 * END: canonical is the name after CNAMEs ("" if it is the one asked for); text explains a failure. unvalidated: nothing can be
 * validated here at the moment, so that an answer is not secure says nothing about it.
 * POLICY: one message; mode (enum mtasts_mode), id, mx (patterns with one space between them), expires_s and max_age_s
 * count with STS_POLICY alone. cached: it was not fetched for this question. trouble (enum sts_trouble) and its text
 * may come beside a policy: the cached one could not be renewed. */
#define FROM_RESOLVER(MSG, U, I, S)                                                   \
	MSG(RESOLVED_RECORD, resolved_record, U(request) U(number) S(text))           \
	MSG(RESOLVED_END, resolved_end, U(request) U(result) U(secure) U(ttl_s) S(canonical) S(text) \
	    U(unvalidated)) \
	MSG(RESOLVED_POLICY, resolved_policy, U(request) U(state) U(mode) S(id) S(mx) I(expires_s) U(cached) S(text) \
	    U(trouble) U(max_age_s))

/* Does a domain want TLS reports (RFC 8460 3)? */
enum report_state {
	REPORT_UNWANTED,
	REPORT_WANTED,    /* at these URIs, in their order */
	REPORT_UNKNOWN,   /* it could not be looked up */
};

/* Policies and observations worth keeping over a restart. A KEPT_OBSERVATION comes for each when the link begins,
 * and one with an empty key when that was all.
 * A report is posted as RFC 8460 5.4 says: ok is 1 when the server has taken it. Before that ASK_REPORT, which REPORT_WISH
 * answers: wish is of enum report_state, uris have one space between them. */
#define RESOLVER_TO_SPOOL(MSG, U, I, S)                                       \
	MSG(KEEP_OBSERVATION, keep_observation, S(key) S(value) I(expires_s)) \
	MSG(SENT_REPORT, sent_report, U(request) U(ok) S(text))               \
	MSG(REPORT_WISH, report_wish, U(request) U(wish) S(uris))
#define SPOOL_TO_RESOLVER(MSG, U, I, S)                                       \
	MSG(KEPT_OBSERVATION, kept_observation, S(key) S(value) I(expires_s)) \
	MSG(SEND_REPORT, send_report, U(request) S(url) S(body))              \
	MSG(ASK_REPORT, ask_report, U(request) S(domain))

IPC_DECLARE(TO_RESOLVER, to_resolver)
IPC_DECLARE(FROM_RESOLVER, from_resolver)
IPC_DECLARE(RESOLVER_TO_SPOOL, resolver_to_spool)
IPC_DECLARE(SPOOL_TO_RESOLVER, spool_to_resolver)

#endif
