/* SPDX-License-Identifier: ISC */
/*
 * sys/loop.h -- one thread's turn: wait, dispatch what is ready, do what was put off, again.
 *
 * The real one stands on libuv. The simulation (test/sim) implements the same names over a
 * virtual clock, so a role asks for time and waits only through here.
 *
 * Units    Monotonic milliseconds; they do not jump with the wall clock.
 * Tests    test/unit/sys/loop_test.c
 */
#ifndef SYS_LOOP_H
#define SYS_LOOP_H

#include "base/list.h"
#include "base/str.h"

struct loop;

struct loop *loop_new(void);
void         loop_free(struct loop **loop);
void         loop_run(struct loop *loop);   /* until loop_stop, or until nothing is left to wait for */
void         loop_stop(struct loop *loop);
int64_t      loop_now_ms(const struct loop *loop);

/* A timer lives inside its owner and fires once. */
struct timer {
	struct loop *loop;
	void (*fire)(void *owner);
	void *owner;
	void *impl;
};
void timer_init(struct timer *t, struct loop *loop, void (*fire)(void *owner), void *owner);
void timer_set(struct timer *t, int64_t due_ms);  /* absolute; replaces an earlier setting */
void timer_clear(struct timer *t);                /* harmless if not set; call before freeing the owner */

/* Runs once, at the end of the turn in which it was put off: where group commit happens, and where
 * a session that is done with may be freed. */
struct later {
	struct link in_loop;
	void (*run)(void *owner);
	void *owner;
};
void later_init(struct later *l, void (*run)(void *owner), void *owner);
void later_set(struct loop *loop, struct later *l);  /* twice is once */
void later_clear(struct later *l);

#endif
