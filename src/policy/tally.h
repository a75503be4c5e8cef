/* SPDX-License-Identifier: ISC */
/*
 * policy/tally.h -- how often something has happened lately, for each of very many.
 *
 * A table of bounded size; the least recently seen is forgotten first. What happened wears off, one after the other.
 *
 * Units    Times are monotonic milliseconds.
 * Limits   kept_max keys; a count stops at TALLY_MAX.
 * Tests    test/unit/policy/tally_test.c
 */
#ifndef POLICY_TALLY_H
#define POLICY_TALLY_H

#include "base/str.h"

enum { TALLY_MAX = 1000 };

struct tally;

struct tally *tally_new(size_t kept_max, int64_t wears_off_ms);
void     tally_free(struct tally **t);
unsigned tally_add(struct tally *t, uint64_t key, int64_t now_ms); /* the count, with this one */
unsigned tally_count(struct tally *t, uint64_t key, int64_t now_ms);
size_t   tally_kept(const struct tally *t);

#endif
