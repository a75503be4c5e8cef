/* SPDX-License-Identifier: ISC */
/*
 * store/schedule.h -- which destination is due first: a heap of keys, derived from the database and never the truth.
 *
 * A key's time is a lower bound of when its first recipient is due: too early costs a look, too late
 * would be a letter forgotten, so schedule_note only ever moves it forward. A key may besides be put off until some time, or until
 * its lane is open (store_room); what is noted meanwhile changes nothing of that.
 *
 * Tests    test/unit/store/parts_test.c
 */
#ifndef STORE_SCHEDULE_H
#define STORE_SCHEDULE_H

#include "base/fault.h"
#include "base/str.h"

struct schedule;

struct schedule *schedule_new(void);
void             schedule_free(struct schedule **s);
/* Something of this key is due then: earlier than what was known counts. */
void schedule_note(struct schedule *s, struct str key, int64_t due_s);
/* That, for one that was taken, and when it is to be looked at again. lane: below STORE_LANES. */
void schedule_put_off(struct schedule *s, struct str key, int64_t due_s, int64_t not_before_s, unsigned lane);
/* It is put off no longer. */
void schedule_ask_again(struct schedule *s, struct str key);
void schedule_ask_all_again(struct schedule *s); /* all of them: O(n) */
/* When there is next something to look at, in lanes that have room. False: never. */
bool schedule_first(const struct schedule *s, const unsigned *lane_room, int64_t *at_s_out);
/* The destination that is first leaves the schedule; *key_out lives until the next call. False: none in these lanes. */
bool schedule_take(struct schedule *s, const unsigned *lane_room, struct str *key_out, int64_t *due_s_out);

#endif
