/* SPDX-License-Identifier: ISC */
/*
 * policy/tally.h -- how often has something happened lately, for each of very many, in all fronts together?
 *
 * A table of fixed size from a key to the moment when all that happened will have worn off, one after the other. Each front writes its
 * own and reads the others': the latest moment that any of them knows is what counts, and one more adds to it. So nothing is locked,
 * and what a hostile front writes can keep clients out and nothing more. Two that add at the same moment may count one.
 *
 * Units    Times are monotonic milliseconds, the same for all processes.
 * Limits   TALLY_PLACES keys in a table, each within TALLY_REACH places of where it points: what will have worn off first makes room. A
 *          count stops at TALLY_MAX, whatever another front has written.
 * Owns     The tables are the caller's, zeroed before their first use.
 * Tests    test/unit/policy/tally_test.c, test/scenario/flood_test.py
 */
#ifndef POLICY_TALLY_H
#define POLICY_TALLY_H

#include "base/str.h"

enum { TALLY_PLACES = 1 << 14, TALLY_REACH = 16, TALLY_TABLES_MAX = 64, TALLY_MAX = 1000 };

struct tally_table {
	struct tally_place { _Atomic uint64_t key; _Atomic int64_t until_ms; } places[TALLY_PLACES];
};

struct tally {
	int64_t wears_off_ms;    /* one of them */
	struct tally_table *own;
	const struct tally_table *others[TALLY_TABLES_MAX];   /* NULL: none */
};

/* Keys are evenly spread, and not 0. */
unsigned tally_add(struct tally *t, uint64_t key, int64_t now_ms); /* the count, with this one */
unsigned tally_count(const struct tally *t, uint64_t key, int64_t now_ms);

#endif
