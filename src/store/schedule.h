/* SPDX-License-Identifier: ISC */
/*
 * store/schedule.h -- which destination is due first: a heap of keys, derived from the database and never the truth.
 *
 * A key's time is a lower bound of when its first recipient is due: too early costs a look, too late
 * would be a letter forgotten, so schedule_note only ever moves it forward.
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
/* The destination that is due first leaves the schedule; *key_out lives until the next call. False: empty. */
bool schedule_take(struct schedule *s, struct str *key_out, int64_t *due_s_out);

#endif
