/* SPDX-License-Identifier: ISC */
/*
 * Clocks that a test sets: preloaded into the server, it adds the seconds that a shared file holds to the real time. The steady
 * clock stays what it is, as when somebody sets the date, unless the file says otherwise, too.
 *
 * CLOCK_OFFSET names the file: eight bytes, little-endian, signed, for the wall clock; and as many for the steady one, if there
 * are more. CLOCK_ROLE, where it is set, is the one role whose clocks these are.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { WALL, STEADY, CLOCKS };

static const volatile int64_t *offset_s; /* what a file of eight bytes lacks, the rest of its page has: zero */

/* "sealpost role NAME", with NUL for the blanks. */
static int is_other_role(const char *role)
{
	char line[256] = "", wanted[64];
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, line, sizeof line - 1) : -1;
	if (fd >= 0)
		close(fd);
	int wanted_n = snprintf(wanted, sizeof wanted, "role%c%s", '\0', role) + 1;
	return n < wanted_n || memmem(line, (size_t)n, wanted, (size_t)wanted_n) == NULL;
}

__attribute__((constructor)) static void look_at_the_file(void)
{
	const char *path = getenv("CLOCK_OFFSET"), *role = getenv("CLOCK_ROLE");
	if (path == NULL || (role != NULL && is_other_role(role)))
		return;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	void *map = mmap(NULL, CLOCKS * sizeof *offset_s, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		offset_s = map;
}

static int64_t offset(int clock)
{
	return offset_s != NULL ? offset_s[clock] : 0;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	int result = real(clock, t);
	if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		t->tv_sec += offset(WALL);
	else if (result == 0 && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_BOOTTIME))
		t->tv_sec += offset(STEADY);
	return result;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	struct timespec now;
	(void)zone;
	int result = clock_gettime(CLOCK_REALTIME, &now);
	t->tv_sec = now.tv_sec;
	t->tv_usec = now.tv_nsec / 1000;
	return result;
}

time_t time(time_t *to)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (to != NULL)
		*to = now.tv_sec;
	return now.tv_sec;
}
