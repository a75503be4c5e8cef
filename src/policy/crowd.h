/* SPDX-License-Identifier: ISC */
/*
 * policy/crowd.h -- how many connections are there from this client and this network, in all fronts together?
 *
 * Each front counts on a page of its own, which it alone writes and all the others read: a table of fixed size
 * from a key (a keyed hash of the address's network) to a count. So no front can change what another has
 * counted, there is nothing to lock, and the counts of one that died go with its page. Whatever a hostile front writes
 * is a number that is added up: it can keep clients out, and nothing more.
 *
 * A client is an IPv4 address or an IPv6 /64, a network an IPv4 /24 or an IPv6 /48.
 *
 * Limits   CROWD_PLACES keys on a page, each within CROWD_REACH places of where its hash points; a count that is read
 *          from another front counts at most CROWD_COUNT_MAX.
 * Errors   crowd_enter: F_LIMIT, and nothing was counted: no place left for this client.
 * Owns     The pages are the caller's, zeroed before their first use.
 * Tests    test/unit/policy/crowd_test.c, test/scenario/flood_test.py
 */
#ifndef POLICY_CROWD_H
#define POLICY_CROWD_H

#include "base/fault.h"
#include "base/str.h"
#include "policy/tally.h"

enum { CROWD_PLACES = 1 << 16, CROWD_REACH = 16, CROWD_PAGES_MAX = 64, CROWD_COUNT_MAX = 1 << 24 };

struct crowd_page {
	_Atomic uint32_t total, unused;
	struct crowd_place { _Atomic uint64_t key; _Atomic uint32_t count, unused; } places[CROWD_PLACES];
	struct tally_table refusals;   /* of recipients, by client; the owner's, as what it writes lies on its page */
};
_Static_assert((int)TALLY_TABLES_MAX == (int)CROWD_PAGES_MAX, "one on each page");

struct crowd {
	uint64_t seed;                                     /* the same in every front */
	struct crowd_page *own;
	const struct crowd_page *others[CROWD_PAGES_MAX];  /* NULL: none */
};

/* What a connection counts as; the keys are 0 where nobody can tell clients apart (a Unix socket). */
struct crowd_who { uint64_t client, network; };

struct crowd_who crowd_who(uint64_t seed, const unsigned char ip[16], bool ipv6);
uint64_t crowd_count(const struct crowd *c, uint64_t key);
uint64_t crowd_total(const struct crowd *c);
MUST_USE fault crowd_enter(struct crowd *c, struct crowd_who who);
void     crowd_leave(struct crowd *c, struct crowd_who who); /* who has entered */

#endif
