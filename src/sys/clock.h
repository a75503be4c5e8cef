/* SPDX-License-Identifier: ISC */
/*
 * sys/clock.h -- the wall clock and randomness: the two things that make no run like another.
 *
 * Wall time is for people and for what survives a restart; nothing waits by it.
 */
#ifndef SYS_CLOCK_H
#define SYS_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_s(void);    /* seconds since 1970, UTC */
int64_t clock_wall_ms(void);
int64_t clock_ticks_us(void);  /* a stop-watch: microseconds since some moment, which never jump */
int     clock_zone_minutes(int64_t wall_s); /* local offset from UTC then, for Date headers */

void    clock_nap_ms(unsigned ms); /* stops this thread: before there is a loop, and nowhere else */

void     random_bytes(void *to, size_t n);  /* from the kernel; seeded in the simulation */
uint64_t random_u64(void);

#endif
