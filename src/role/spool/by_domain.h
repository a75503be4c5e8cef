/* SPDX-License-Identifier: ISC */
/*
 * role/spool/by_domain.h -- how much waits for each domain of recipients, and how it is served now.
 *
 * Counted, sorted and told a little at a time: a queue of a million recipients takes seconds, and mail is not kept waiting. What
 * comes and goes meanwhile may or may not be in it.
 *
 * Limits   the enum below; docs/LIMITS.md lists them.
 * Owns     wanted is the caller's, and outlives the round.
 * Tests    test/unit/role/spool/by_domain_test.c, test/scenario/queue_test.py
 */
#ifndef ROLE_SPOOL_BY_DOMAIN_H
#define ROLE_SPOOL_BY_DOMAIN_H

#include "base/fault.h"
#include "base/str.h"

enum {
	DOMAINS_MAX = 100000,
	DOMAINS_BYTES_MAX = 32 << 20,    /* of their names and counts */
	DOMAINS_TOLD_MAX = 20,           /* unless all are asked for */
};

struct spool;
struct channel;
struct domains_round;

/* wanted: one domain, or "". */
struct domains_round *domains_begin(struct spool *s, struct channel *to, struct str wanted, bool all);
/* A little of it; false: it is over, and the status and the last words are there. */
bool domains_some(struct domains_round *r, int *status_out, struct why *last_words);
void domains_end(struct domains_round **r);

#endif
