/* SPDX-License-Identifier: ISC */
/*
 * policy/mx.h -- in which order are the mail servers of a domain tried? A pure decision.
 *
 * First the hosts from the MX records; then, when their addresses are known, which of them are ourselves, and which
 * address comes first. Names are ASCII, lower case, without the last dot, as the resolver gives them.
 *
 * Source   RFC 5321 5.1 (order, implicit MX, ourselves), RFC 7505 (null MX), RFC 3974 (IPv6 beside IPv4).
 * Limits   MX_HOSTS_MAX hosts and MX_ADDRESSES_MAX addresses of each are tried, the best ones.
 * Tests    test/unit/policy/mx_test.c
 */
#ifndef POLICY_MX_H
#define POLICY_MX_H

#include "conf/conf.h"
#include "mail/reply.h"

enum { MX_HOSTS_MAX = 20, MX_ADDRESSES_MAX = 5 };

enum mx_verdict {
	MX_HOSTS,     /* hosts[0] first */
	MX_NULL,      /* the domain takes no mail: RFC 7505 */
	MX_OURSELVES, /* nobody better than this server is left: a loop */
	MX_UNUSABLE,  /* records, but none that names a host */
};

struct mx_record { uint64_t preference; struct str host; }; /* host empty or ".": the null MX */
struct mx_host { struct str name; uint64_t preference; };

struct mx_plan {
	enum mx_verdict verdict;
	bool implicit;                /* no MX record: the domain itself is the host */
	struct mx_host hosts[MX_HOSTS_MAX];
	size_t n_hosts;               /* 0 unless MX_HOSTS */
};

struct mx_question {
	struct str domain;
	const struct mx_record *records;
	size_t n_records;             /* 0: the domain exists, without an MX record */
	const struct str *own_names;
	size_t n_own_names;
	uint64_t random;              /* decides between equals */
};

void mx_plan_hosts(const struct mx_question *question, struct mx_plan *out);

/* hosts[index] has an address of ours: it goes, and whoever is not better than it. */
void mx_plan_is_ours(struct mx_plan *plan, size_t index);

/* What to tell the sender when there is no host; static text, our own words. Not for MX_HOSTS. */
struct smtp_reply mx_refusal(enum mx_verdict verdict);

struct mx_address { bool ipv6; unsigned char ip[16]; };  /* IPv4 in the first four */

/* IPv6 first, then in turn, so that a broken family costs one try. family: enum of conf_direct. Returns how many. */
size_t mx_order_addresses(const struct mx_address *addresses, size_t n, unsigned family,
                          struct mx_address out[MX_ADDRESSES_MAX]);

#endif
