/* SPDX-License-Identifier: ISC */
/*
 * sys/agenda.h -- what a loop has still to do: timers by due time, and what was put off to the end of the turn.
 *
 * Timers and laters of sys/loop.h are the same in every loop; a loop brings the agenda and the clock. Private to loops.
 *
 * Units    Monotonic milliseconds.
 * Owns     Neither timers nor laters: they live inside their owners. Timers due together fire in the order of setting.
 * Tests    test/unit/sys/loop_test.c
 */
#ifndef SYS_AGENDA_H
#define SYS_AGENDA_H

#include "sys/loop.h"

struct appointment {
	int64_t due_ms;
	uint64_t order;
	struct timer *timer;
};

struct agenda {
	struct appointment *heap; /* earliest first; a timer's impl is its place here, counted from 1 */
	size_t n, cap;
	uint64_t order;
	struct list laters;
};

void agenda_init(struct agenda *a);
void agenda_fini(struct agenda *a);

bool agenda_next_due(const struct agenda *a, int64_t *due_ms_out);
/* Fires one timer that is due; false if there is none. */
bool agenda_fire(struct agenda *a, int64_t now_ms);
/* Runs what was put off, and what that puts off in turn; says how many ran. */
size_t agenda_run_laters(struct agenda *a);

/* Every loop has one. */
struct agenda *loop_agenda(struct loop *loop);

#endif
