/* SPDX-License-Identifier: ISC */
/*
 * role/spool/observe.h -- what courier and resolver have learned: kept within bounds for their successors, and told to these a slice
 * at a time, before anything that it may matter for.
 *
 * Both speak with the network and may be hostile. So each has prefixes of its own, each prefix a number of keys and of bytes, and
 * whatever is kept ends at some time: what ends first goes first. How long something holds is told in seconds from now: a clock that
 * was set wrong in between makes it neither younger nor older.
 *
 * Limits   the enum below, for each prefix; OBSERVED_STEP and OBSERVED_STEP_BYTES may come beyond them before the next look.
 * Tests    test/unit/role/spool/observe_test.c
 */
#ifndef ROLE_SPOOL_OBSERVE_H
#define ROLE_SPOOL_OBSERVE_H

#include "base/buf.h"
#include "sys/loop.h"

enum {
	OBSERVED_MAX = 20000,
	OBSERVED_BYTES_MAX = 32 << 20,   /* keys and values */
	OBSERVED_STEP = 1000,
	OBSERVED_STEP_BYTES = 8 << 20,
	OBSERVED_KINDS = 4,              /* prefixes */
};

struct spool;

enum observer { OBSERVER_COURIER, OBSERVER_RESOLVER, OBSERVERS };

struct observed { uint64_t n, bytes; };  /* kept since the last look */

/* The way through all that is kept for one of them. */
struct tour {
	struct spool *spool;
	enum observer observer;
	bool under_way, told;            /* told: all of it, over this link */
	size_t kind;
	struct buf after;                /* the last key that was told */
	struct timer timer;
};

void observe_keep(struct spool *s, enum observer observer, struct str key, struct str value, int64_t for_s); /* 0: no longer */
void observe_linked(struct spool *s, enum observer observer); /* a new one is there */
void observe_opened(struct spool *s);            /* the store is there */
void observe_init(struct spool *s);
void observe_fini(struct spool *s);

#endif
