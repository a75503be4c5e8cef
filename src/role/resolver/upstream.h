/* SPDX-License-Identifier: ISC */
/*
 * role/resolver/upstream.h -- the name servers above us, and whether DNSSEC comes through them.
 *
 * A home router or a container's DNS often strips signatures. With a validating library behind it every
 * answer would be bogus and the queue would stand still. So the first question is our own: something
 * that must be there, or be proven not to be there, at the trust anchor. If the validating library finds
 * it bogus while a plain one gets answers, the plain one is used, every answer counts as insecure (no
 * DANE), and that is said loudly; the test is repeated and ends the exception. An anchor that the
 * configuration names is never left aside like that.
 *
 * The test is repeated while all is well, too, and soon after an answer that does not validate: one zone that is bogus is that
 * zone's trouble, or an attack on it, and its mail waits; everything bogus is a network without DNSSEC. Where DNSSEC came
 * through until lately, that may also be somebody in the way: for UPSTREAM_LOST_MS all mail that needs names waits.
 *
 * Nobody waits for the verdict longer than UPSTREAM_VERDICT_MS.
 *
 * Source   RFC 4033 5 (security states); RFC 7672 2.1 (what an insecure answer may be used for).
 * Tests    test/unit/role/resolver_test.c
 */
#ifndef ROLE_RESOLVER_UPSTREAM_H
#define ROLE_RESOLVER_UPSTREAM_H

#include "dns/dns.h"

enum { UPSTREAM_VERDICT_MS = 3000, UPSTREAM_SILENT_MS = 30000, UPSTREAM_AGAIN_MS = 600000, UPSTREAM_DOUBT_MS = 60000,
       UPSTREAM_LOST_MS = 1800000 };

enum upstream_state {
	UPSTREAM_TESTING,
	UPSTREAM_VALIDATES,
	UPSTREAM_CANNOT,   /* signatures do not come through */
	UPSTREAM_LOST,     /* the same, and until lately they did */
	UPSTREAM_SILENT,   /* no server answers: not tried */
	UPSTREAM_NO_ANCHOR,
};
const char *upstream_state_name(enum upstream_state state); /* the words of logs and status */

/* What a test's finding means. since_ms: how long ago signatures last came through; negative: never. */
enum upstream_state upstream_judge(enum upstream_state found, bool strict, int64_t since_ms);

struct upstream;

/* strict: the anchor is the configuration's. changed is called, never from within a call, whenever
 * upstream_dns may give something else; questions open at that time end and must be asked again, except
 * when it goes from NULL to something. */
MUST_USE fault upstream_new(struct loop *loop, const struct dns_options *options, bool strict,
                            void (*changed)(void *owner), void *owner, struct upstream **out,
                            struct why *why);
void upstream_free(struct upstream **u);

void upstream_doubt(struct upstream *u); /* an answer did not validate: is it this zone, or everything? */

struct dns         *upstream_dns(const struct upstream *u); /* NULL while the verdict is awaited */
enum upstream_state upstream_state(const struct upstream *u);

/* Since when it is so, why (empty if all is well), and what to do about it. The texts live as long as u, and until the next change. */
struct upstream_facts { int64_t since_s; struct str reason, advice; };
struct upstream_facts upstream_facts(const struct upstream *u);

#endif
