/* SPDX-License-Identifier: ISC */
/*
 * store/match.h -- does a recipient match what an operator selected, and does it fit into what was granted? One rule for every store.
 *
 * Tests    test/unit/store/contract.h
 */
#ifndef STORE_MATCH_H
#define STORE_MATCH_H

#include "store/store.h"

bool selector_matches(const struct store_selector *which, const struct store_message *message,
                      const struct store_rcpt *rcpt);

/* What is that old arrived before; an age of 0 is any, and of one beyond all times there is nothing. */
int64_t selector_before(int64_t now_s, uint64_t older_s);

/* Has this lane, with all those that it is a part of, room for one more? */
bool lane_is_open(const unsigned *lane_room, unsigned lane);

/* What one destination gets in one call of lease(). Its recipients come by time and number. */
struct helping {
	const struct store_grant *grant;
	unsigned *lane_room;             /* what is left of it, for all */
	unsigned rcpts_max;
	unsigned messages;               /* given */
	uint64_t message;                /* the last one: its recipients go on where they can */
	int64_t next_s;
	unsigned rcpts;                  /* of it */
};

/* May this recipient be given, too? Notes it down if so. */
bool helping_take(struct helping *h, uint64_t message, int64_t next_s);
/* It is the lane that had no room. */
bool helping_waits_in_lane(const struct helping *h);
int64_t helping_not_before(const struct helping *h, int64_t now_s);

#endif
