/* SPDX-License-Identifier: ISC */
/* test/sim/loop.c -- time and chance. One loop serves every role; each turn is one event, rarely a few. */
#include "world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base/check.h"
#include "sys/agenda.h"
#include "sys/clock.h"

struct world world;

struct loop { struct agenda agenda; };

void world_begin(uint64_t seed)
{
	world = (struct world){ .seed = seed, .chance = seed * 0x9e3779b97f4a7c15u + 0x7f4a7c15u };
	world.wall_start_ms = 1795219200000; /* 2026-11-21 */
	world.now_ms = 1000;
}

/* splitmix64 */
uint64_t random_u64(void)
{
	uint64_t z = world.chance += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t chance_below(uint64_t n)
{
	return n > 1 ? random_u64() % n : 0;
}

bool chance_of(unsigned ten_thousandths)
{
	return ten_thousandths > 0 && chance_below(10000) < ten_thousandths;
}

void random_bytes(void *to, size_t n)
{
	char *at = to;
	while (n > 0) {
		uint64_t r = random_u64();
		size_t part = n < sizeof r ? n : sizeof r;
		memcpy(at, &r, part);
		at += part;
		n -= part;
	}
}

int64_t clock_wall_ms(void)
{
	return world.wall_start_ms + world.now_ms;
}

void clock_nap_ms(unsigned ms)
{
	world.now_ms += ms;
}

/* OpenSSL looks at the clock as well: at ours, so that certificates and tickets live in the same time. */
time_t time(time_t *out)
{
	time_t now = (time_t)(clock_wall_ms() / 1000);
	if (out != NULL)
		*out = now;
	return now;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	(void)zone;
	out->tv_sec = (time_t)(clock_wall_ms() / 1000);
	out->tv_usec = clock_wall_ms() % 1000 * 1000;
	return 0;
}

int64_t clock_wall_s(void)
{
	return clock_wall_ms() / 1000;
}

int clock_zone_minutes(int64_t wall_s)
{
	(void)wall_s;
	return 60;
}

struct agenda *loop_agenda(struct loop *loop)
{
	return &loop->agenda;
}

int64_t loop_now_ms(const struct loop *loop)
{
	(void)loop;
	return world.now_ms;
}

struct loop *loop_new(void)
{
	struct loop *loop = NEW(struct loop);
	agenda_init(&loop->agenda);
	return loop;
}

void loop_free(struct loop **loop)
{
	if (*loop == NULL)
		return;
	(void)agenda_run_laters(&(*loop)->agenda);
	check((*loop)->agenda.n == 0); /* a timer that nobody cleared outlives its owner */
	agenda_fini(&(*loop)->agenda);
	free(*loop);
	*loop = NULL;
}

void loop_stop(struct loop *loop)
{
	(void)loop;
	world.stopped = true;
}

/* One event, mostly; now and then several share the turn, as they do when a process is busy. */
static bool turn(struct loop *loop)
{
	size_t events = chance_below(4) == 0 ? 1 + chance_below(8) : 1;
	bool any = false;
	world.turn++;
	for (size_t i = 0; i < events && !world.stopped && !world.dying; i++) {
		bool timer_first = chance_below(2) == 0;
		bool did = (timer_first && agenda_fire(&loop->agenda, world.now_ms)) || net_dispatch() ||
		           agenda_fire(&loop->agenda, world.now_ms);
		any = any || did;
		if (!did)
			break;
	}
	(void)agenda_run_laters(&loop->agenda);
	if (world.between_turns != NULL)
		world.between_turns(world.between_owner);
	(void)agenda_run_laters(&loop->agenda);
	return any;
}

void loop_run(struct loop *loop)
{
	world.stopped = false;
	while (!world.stopped) {
		int64_t due_ms = INT64_MAX, arrival_ms = INT64_MAX;
		(void)agenda_run_laters(&loop->agenda);
		if (turn(loop) || world.stopped)
			continue;
		bool waits = agenda_next_due(&loop->agenda, &due_ms);
		waits = net_next_arrival(&arrival_ms) || waits;
		if (!waits)
			return;
		int64_t next_ms = due_ms < arrival_ms ? due_ms : arrival_ms;
		if (next_ms > world.now_ms)
			world.now_ms = next_ms;
	}
}
