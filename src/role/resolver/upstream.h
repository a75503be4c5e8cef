/* SPDX-License-Identifier: ISC */
/*
 * role/resolver/upstream.h -- the name servers above us, and whether DNSSEC comes through them.
 *
 * A home router or a container's DNS often strips signatures. With a validating library behind it every
 * answer would be bogus and the queue would stand still. So the first question is our own: something
 * that must be there, or be proven not to be there, at the trust anchor. If the validating library cannot
 * have that while a plain one gets answers, the plain one is used, every answer counts as insecure (no
 * DANE), and that is said loudly; the test is repeated and ends the exception. An anchor that the
 * configuration names is never left aside like that. Where the plain one gets no answer either, nothing is known of DNSSEC: it is
 * not given up, for a machine without sockets, or a network that is down, is no reason to.
 *
 * The test is repeated while all is well, too, and soon after an answer that does not validate: one zone that is bogus is that
 * zone's trouble, or an attack on it, and its mail waits; everything bogus is a network without DNSSEC. Where DNSSEC came
 * through until lately, that may also be somebody in the way: for UPSTREAM_LOST_MS all mail that needs names waits. When it last
 * did is kept over a restart of this role, and nothing is given up before what was kept has come. After that, mail for domains
 * that are known to have DANE still waits (policy/protection.h).
 *
 * Nobody waits for the verdict longer than UPSTREAM_VERDICT_MS.
 *
 * Source   RFC 4033 5 (security states); RFC 7672 2.1 (what an insecure answer may be used for).
 * Limits   UPSTREAM_*_MS; DNS_SERVERS_MAX servers (dns/servers.h), more are not looked at.
 * Errors   upstream_new: those of dns_new, with the reason; nothing is left behind.
 * Tests    test/unit/role/resolver/upstream_test.c, test/scenario/dnssec_test.py
 */
#ifndef ROLE_RESOLVER_UPSTREAM_H
#define ROLE_RESOLVER_UPSTREAM_H

#include "dns/dns.h"

enum {
	UPSTREAM_VERDICT_MS = 3000,
	UPSTREAM_SILENT_MS = 30000,     /* until the next test, when nobody answered or signatures were lost */
	UPSTREAM_CANNOT_MS = 60000,     /* ... when they do not come through */
	UPSTREAM_AGAIN_MS = 600000,     /* ... when they do */
	UPSTREAM_DOUBT_MS = 60000,      /* a bogus answer leads to a test, but not sooner after the last one */
	UPSTREAM_LOST_MS = 1800000,
	UPSTREAM_KEPT_S = 30 * 24 * 3600,
};

enum upstream_state {
	UPSTREAM_TESTING,
	UPSTREAM_VALIDATES,
	UPSTREAM_CANNOT,   /* signatures do not come through */
	UPSTREAM_LOST,     /* the same, and until lately they did */
	UPSTREAM_SILENT,   /* no server answers: not tried */
	UPSTREAM_NO_ANCHOR,
};
const char *upstream_state_name(enum upstream_state state); /* the words of logs and status */

/* ---- when signatures last came through: outlives the servers that are asked, and by the spool this process ---- */

struct upstream_memory {
	bool known;            /* what was kept has come, so what is not here never was */
	bool validated;
	int64_t validated_ms;  /* by the loop's clock; may be negative: before it began */
};

/* How long from now it is worth keeping; 0: not. And back: so long it still would have been. */
int64_t upstream_memory_for_s(const struct upstream_memory *m, int64_t now_ms);
void    upstream_memory_take(struct upstream_memory *m, int64_t for_s, int64_t now_ms);

/* What a test's finding means; UPSTREAM_TESTING: it is too early to say. */
enum upstream_state upstream_judge(enum upstream_state found, bool strict, const struct upstream_memory *m, int64_t now_ms);

/* ---- the servers ---- */

struct upstream;

/* changed is called, never from within a call but for upstream_memory_came, whenever upstream_dns may give something else; questions
 * open at that time end and must be asked again, except when it goes from NULL to something. validated is called when the memory has
 * news that is worth keeping. */
struct upstream_house {
	struct loop *loop;
	struct upstream_memory *memory; /* the caller's */
	void (*changed)(void *owner);
	void (*validated)(void *owner);
	void *owner;
};

/* strict: the anchor is the configuration's. */
MUST_USE fault upstream_new(const struct upstream_house *house, const struct dns_options *options, bool strict, struct upstream **out,
                            struct why *why);
void upstream_free(struct upstream **u);

void upstream_memory_came(struct upstream *u); /* the memory is known now */
void upstream_doubt(struct upstream *u);       /* an answer did not validate: is it this zone, or everything? */

struct dns         *upstream_dns(const struct upstream *u); /* NULL while the verdict is awaited */
enum upstream_state upstream_state(const struct upstream *u);

/* Since when it is so, why (empty if all is well), and what to do about it. The texts live as long as u, and until the next change. */
struct upstream_facts { int64_t since_s; struct str reason, advice; };
struct upstream_facts upstream_facts(const struct upstream *u);

#endif
