/* SPDX-License-Identifier: ISC */
/*
 * role/resolver/lookups.h -- who waits for which name; equal questions are asked once.
 *
 * An asker is a channel to a neighbour. Its requests are answered in the order in which the answers
 * come; a request that cannot be taken is answered at once with DNS_FAILED, or STS_UNASKED.
 *
 * Limits   LOOKUPS_MAX different questions open at once, WAITERS_MAX requests of one asker.
 * Owns     The channels. Lookups whose askers have gone are finished for the cache's sake.
 * Tests    test/unit/role/resolver_test.c
 */
#ifndef ROLE_RESOLVER_LOOKUPS_H
#define ROLE_RESOLVER_LOOKUPS_H

#include "dns/dns.h"
#include "role/resolver/policies.h"

enum { LOOKUPS_MAX = 1024, WAITERS_MAX = 2048 };

struct lookups;

struct lookups *lookups_new(struct loop *loop, struct policies *policies);
void            lookups_free(struct lookups **l);

/* Asks everything that is open anew; with NULL it waits until there is somebody to ask. To be called with
 * NULL before the struct dns in use is freed. */
void lookups_use(struct lookups *l, struct dns *dns);

/* A neighbour's link; one that comes again under the same number replaces the old. Takes over fd. One that has no business
 * with policies and asks for one is broken, and loses its link. */
void lookups_link(struct lookups *l, unsigned number, int fd, bool may_ask_policies);

/* Told of each answer that did not validate. Not from within lookups_use. */
void lookups_on_bogus(struct lookups *l, void (*bogus)(void *owner), void *owner);

size_t   lookups_open(const struct lookups *l);
uint64_t lookups_asked(const struct lookups *l); /* since the start */

#endif
