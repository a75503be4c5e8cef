/* SPDX-License-Identifier: ISC */
#include "sys/clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "base/check.h"

int64_t clock_wall_ms(void)
{
	struct timespec t;
	check(clock_gettime(CLOCK_REALTIME, &t) == 0);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_ticks_us(void)
{
	struct timespec t;
	check(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_wall_s(void)
{
	return clock_wall_ms() / 1000;
}

void clock_nap_ms(unsigned ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
	(void)nanosleep(&t, NULL); /* shorter when a signal comes: whoever naps looks again anyway */
}

int clock_zone_minutes(int64_t wall_s)
{
	time_t then = (time_t)wall_s;
	struct tm local;
	return localtime_r(&then, &local) != NULL ? (int)(local.tm_gmtoff / 60) : 0;
}

void random_bytes(void *to, size_t n)
{
	char *at = to;
	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		check(got > 0);
		at += got;
		n -= (size_t)got;
	}
}

uint64_t random_u64(void)
{
	uint64_t n;
	random_bytes(&n, sizeof n);
	return n;
}
