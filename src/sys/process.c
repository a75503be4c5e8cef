/* SPDX-License-Identifier: ISC */
/* sys/process.c -- who this process is, and what the service manager is told. */
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/socket.h"

void process_end(int status)
{
	_exit(status);
}

bool process_exists(uint32_t pid)
{
	return pid > 0 && pid <= INT32_MAX && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

bool process_is_root(void)
{
	return geteuid() == 0;
}

uint32_t process_user(void)
{
	return geteuid();
}

void process_trim_memory(void)
{
#ifdef __GLIBC__
	(void)malloc_trim(0); /* others give back by themselves, or never */
#endif
}

uint64_t process_peak_bytes(void)
{
	struct rusage r;
	return getrusage(RUSAGE_SELF, &r) == 0 ? (uint64_t)r.ru_maxrss * 1024 : 0;
}

uint64_t process_cpu_us(void)
{
	struct rusage r;
	if (getrusage(RUSAGE_SELF, &r) != 0)
		return 0;
	return (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 + (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

/* The copy's part of it. */
static void be_copy(unsigned number, int *fds, int ours)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (unsigned i = 0; i < number; i++)
		fd_close(&fds[i]);
	fds[0] = ours;
}

fault process_split(unsigned n, int *number_out, int *fds)
{
	for (unsigned i = 0; i < n; i++) {
		int ends[2];
		pid_t pid = pipe2(ends, O_CLOEXEC) == 0 ? fork() : -1;
		if (pid < 0)
			return F_SYS; /* those that are there find nobody to tell */
		if (pid == 0) {
			fd_close(&ends[0]);
			be_copy(i, fds, ends[1]);
			*number_out = (int)i;
			return OK;
		}
		fd_close(&ends[1]);
		fds[i] = ends[0];
	}
	(void)signal(SIGINT, SIG_IGN);
	*number_out = -1;
	return OK;
}

void process_raise_descriptors(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) != 0 || l.rlim_cur == l.rlim_max)
		return;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l); /* with fewer it works, up to there */
}

#ifndef __has_feature /* clang's way to say what gcc says with a macro */
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
/* At the very end the leak checker looks in from outside. */
static void let_the_leak_checker_in(void)
{
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}
enum { SHADOWED = 1 };
#else
static void let_the_leak_checker_in(void)
{
}
enum { SHADOWED = 0 }; /* an address sanitizer's terabytes of shadow cannot be locked */
#endif

void process_hide_memory(void)
{
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)atexit(let_the_leak_checker_in);
}

bool process_lock_memory(void)
{
	struct rlimit limit;
	if (SHADOWED || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_max != RLIM_INFINITY)
		return false;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_MEMLOCK, &limit) == 0 && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

unsigned process_cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}

fault process_errors_to(const char *path, struct why *why)
{
	int fd = -1;
	TRY(file_open(FILE_CWD, path, FILE_WRITE | FILE_CREATE | FILE_APPEND, 0600, &fd, why));
	int done = dup2(fd, STDERR_FILENO);
	fd_close(&fd);
	return done >= 0 ? OK : why_say(why, F_SYS, "%s: standard error cannot be sent there", path);
}

bool process_has_terminal(void)
{
	return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
}

bool process_errors_have_terminal(void)
{
	return isatty(STDERR_FILENO) == 1;
}

fault user_find(const char *name, uint32_t *uid_out, uint32_t *gid_out)
{
	struct passwd entry, *found = NULL;
	char room[4096];
	int error = getpwnam_r(name, &entry, room, sizeof room, &found);
	if (error != 0 && error != ENOENT && error != ESRCH)
		return F_SYS;
	if (found == NULL)
		return F_ABSENT;
	*uid_out = found->pw_uid;
	*gid_out = found->pw_gid;
	return OK;
}

fault user_name(uint32_t uid, char *to, size_t room)
{
	struct passwd entry, *found = NULL;
	char text[4096];
	if (getpwuid_r(uid, &entry, text, sizeof text, &found) != 0 || found == NULL)
		return F_ABSENT;
	size_t n = strlen(found->pw_name);
	if (n >= room)
		return F_LIMIT;
	memcpy(to, found->pw_name, n + 1);
	return OK;
}

fault process_become(uint32_t uid, uint32_t gid, struct why *why)
{
	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
		return why_say(why, F_SYS, "cannot become user %u, group %u: %s", (unsigned)uid, (unsigned)gid,
		               strerror(errno));
	if (uid != 0 && setresuid(0, 0, 0) == 0)
		return why_say(why, F_SYS, "could become root again");
	return OK;
}

static bool notify_at(const char *path, const char *state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t n = strlen(path);
	if (n == 0 || n >= sizeof at.sun_path || (path[0] != '/' && path[0] != '@'))
		return true;
	memcpy(at.sun_path, path, n);
	if (at.sun_path[0] == '@')
		at.sun_path[0] = '\0'; /* an abstract name */
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	/* A service manager that does not listen must not stop us, and is not asked again. */
	ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&at,
	                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	bool told = sent >= 0 || errno == ENOENT || errno == ECONNREFUSED || errno == EACCES;
	fd_close(&fd);
	return told;
}

bool service_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	char text[256];
	struct timespec t;
	if (path == NULL)
		return true;
	if (strncmp(state, "RELOADING=1", 11) == 0 && clock_gettime(CLOCK_MONOTONIC, &t) == 0) {
		/* Type=notify-reload wants to know when. */
		(void)snprintf(text, sizeof text, "%s\nMONOTONIC_USEC=%lld", state,
		               (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
		state = text;
	}
	return notify_at(path, state);
}
