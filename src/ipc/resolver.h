/* SPDX-License-Identifier: ISC */
/*
 * ipc/resolver.h -- front or courier <-> resolver: names, with a "secure" bit.
 *
 * Every request ends with one END, after its records. Record texts: MX "host" with its preference,
 * A and AAAA the address in text, PTR the name. Names are ASCII, lower case, without the last dot.
 *
 * Tests    test/unit/ipc/codec_test.c, fuzz/ipc.c
 */
#ifndef IPC_RESOLVER_H
#define IPC_RESOLVER_H

#include "ipc/codec.h"

enum dns_kind { DNS_A, DNS_AAAA, DNS_MX, DNS_PTR, DNS_TXT, DNS_TLSA };

enum dns_result {
	DNS_FOUND,
	DNS_NODATA,    /* the name exists, without such a record */
	DNS_NXDOMAIN,
	DNS_BOGUS,     /* DNSSEC validation failed: wait, never proceed */
	DNS_FAILED,    /* SERVFAIL, timeout: try again later */
};

/* For DNS_PTR the name is an address in text. */
#define TO_RESOLVER(MSG, U, I, S) \
	MSG(RESOLVE, resolve, U(request) U(kind) S(name))

/* RECORD: number is the MX preference; text the value; for TLSA the raw rdata.
 * END: canonical is the name after CNAMEs ("" if it is the one asked for); text explains a failure. */
#define FROM_RESOLVER(MSG, U, I, S)                                                   \
	MSG(RESOLVED_RECORD, resolved_record, U(request) U(number) S(text))           \
	MSG(RESOLVED_END, resolved_end, U(request) U(result) U(secure) U(ttl_s) S(canonical) S(text))

/* Policies and observations worth keeping over a restart. */
#define RESOLVER_TO_SPOOL(MSG, U, I, S) \
	MSG(KEEP_OBSERVATION, keep_observation, S(key) S(value) I(expires_s))
#define SPOOL_TO_RESOLVER(MSG, U, I, S) \
	MSG(KEPT_OBSERVATION, kept_observation, S(key) S(value) I(expires_s))

IPC_DECLARE(TO_RESOLVER, to_resolver)
IPC_DECLARE(FROM_RESOLVER, from_resolver)
IPC_DECLARE(RESOLVER_TO_SPOOL, resolver_to_spool)
IPC_DECLARE(SPOOL_TO_RESOLVER, spool_to_resolver)

#endif
