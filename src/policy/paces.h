/* SPDX-License-Identifier: ISC */
/*
 * policy/paces.h -- the destinations that are remembered, each with its pace.
 *
 * What has something in hand is kept. What is idle is forgotten when that has lasted PACES_IDLE_MS, or when there is no room for another
 * one: then what has been idle longest goes. It begins as one that was never seen. What has used up something of a rate stays until that
 * is free again; it goes only where there is no room, and the PACES_KEPT_MAX that were idle longest are all such.
 *
 * Limits   PACES_MAX destinations, beyond those with something in hand.
 * Units    Milliseconds of any clock that never goes back, passed in.
 * Owns     What was said is copied. A destination lives until it is forgotten: only while something is in hand may it be kept.
 * Tests    test/unit/policy/paces_test.c
 */
#ifndef POLICY_PACES_H
#define POLICY_PACES_H

#include "base/list.h"
#include "base/map.h"
#include "policy/pace.h"

enum { PACES_MAX = 100000, PACES_IDLE_MS = 60 * 60 * 1000, PACES_KEPT_MAX = 16 };

/* What the log has heard of a time in which a destination gets less: nothing, that it began, or a number that it is one of. */
enum spell { SPELL_NONE, SPELL_SAID, SPELL_COUNTED };

struct destination {
	struct link in_order;            /* of its last use, while it is idle */
	struct pace pace;
	uint64_t generation;             /* of the configuration that its limits come from */
	unsigned jobs;                   /* in hand */
	bool host;                       /* there is one behind it, which may be slow or dead */
	int64_t used_ms;                 /* or kept since */
	char *said;                      /* what slowed it, one line; or NULL */
	enum spell told;                 /* of the one that lasts; the role's, as is: */
	int64_t quiet_until_ms;          /* before that it is not told again */
	size_t key_n;
	char key[];
};

struct paces {
	struct map *by_key;
	struct list idle;                /* the longest first */
	size_t n_idle;
	unsigned in_hand[PACE_STATES];   /* jobs at hosts, by the state of their destinations */
};

void paces_init(struct paces *p, uint64_t seed);
void paces_fini(struct paces *p);
struct destination *paces_find(const struct paces *p, struct str key); /* NULL: nothing is known */
/* One more is in hand there; a destination that was not known gets the limits, and whether it is a host's. */
struct destination *paces_enter(struct paces *p, struct str key, const struct pace_limits *limits, bool host, int64_t now_ms);
/* One less, and what it has shown; see pace_ended(). */
void paces_leave(struct paces *p, struct destination *d, enum pace_sign sign, int64_t began_ms, int64_t now_ms, int64_t rest_ms_max,
                 uint64_t random);
size_t paces_resting(const struct paces *p, int64_t now_ms); /* whose rest is not over yet; looks at all of them */
struct str destination_key(const struct destination *d);

#endif
