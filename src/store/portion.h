/* SPDX-License-Identifier: ISC */
/*
 * store/portion.h -- what a destination gets in one call of lease(), counted against what it was granted. One rule for every store.
 *
 * Units    Seconds, as the store has them.
 * Tests    test/unit/store/contract.h
 */
#ifndef STORE_PORTION_H
#define STORE_PORTION_H

#include "store/store.h"

/* Has this lane, with all those that it is a part of, room for one more? */
bool lane_is_open(const unsigned *lane_room, unsigned lane);

struct portion {
	const struct store_grant *grant;
	unsigned *lane_room;             /* what is left of it, for all */
	unsigned rcpts_max;              /* as store_room has it */
	unsigned messages;               /* given */
	uint64_t message;                /* the last one: further recipients of it, with the same time, do not count as another */
	int64_t next_s;
	unsigned rcpts;                  /* of it */
};

/* Recipients are offered by time and number. May this one be given, too? Notes it down if so. */
bool portion_take(struct portion *p, uint64_t message, int64_t next_s);
/* After a false: was it the lane that had no room? Else the destination is to be asked again at this time. */
bool portion_waits_in_lane(const struct portion *p);
int64_t portion_not_before(const struct portion *p, int64_t now_s);

#endif
