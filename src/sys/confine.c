/* SPDX-License-Identifier: ISC */
#include "sys/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "sys/confine_inside.h"
#include "sys/socket.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* One process, one confinement. */
static struct confine_facts facts = { .less = "" };

struct folder { const char *path; dev_t device; ino_t inode; };
static struct { struct folder *items; size_t n; } named;

/* ---- the single measures ---- */

/* A directory without a name: nothing is in it, and nothing can be made in it. */
static int empty_directory(void)
{
	static const char *const places[] = { "/tmp", "/run", "/var/tmp", "/dev/shm" };
	for (size_t i = 0; i < COUNT(places); i++) {
		char path[64];
		(void)snprintf(path, sizeof path, "%s/sealpost-XXXXXX", places[i]);
		if (mkdtemp(path) == NULL)
			continue;
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (rmdir(path) == 0 && fd >= 0)
			return fd;
		fd_close(&fd);
	}
	return -1;
}

static bool take_empty_root(void)
{
	int fd = empty_directory();
	bool taken = fd >= 0 && fchdir(fd) == 0 && chroot(".") == 0;
	fd_close(&fd);
	return taken;
}

static bool drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, none) == 0;
}

static bool limit(int what, rlim_t most)
{
	struct rlimit now;
	if (getrlimit((__rlimit_resource_t)what, &now) != 0)
		return false;
	if (now.rlim_max != RLIM_INFINITY && now.rlim_max < most)
		most = now.rlim_max;
	return setrlimit((__rlimit_resource_t)what, &(struct rlimit){ most, most }) == 0;
}

static fault take_limits(const struct confine_rules *rules, struct why *why)
{
	bool good = limit(RLIMIT_CORE, 0);
	if (rules->descriptors != 0)
		good = limit(RLIMIT_NOFILE, rules->descriptors) && good;
	/* Not where there are threads: they count, and so do those of whoever else has this account. */
	if (!SANITIZED && !rules->pool && (rules->may & MAY_START_THREADS) == 0)
		good = limit(RLIMIT_NPROC, 0) && good;
	return good ? OK : why_say(why, F_SYS, "the limits of resources cannot be set: %s", strerror(errno));
}

/* ---- folders ---- */

static void look_at(const char *path, struct folder *out)
{
	struct stat st;
	bool there = stat(path, &st) == 0;
	*out = (struct folder){ path, there ? st.st_dev : 0, there ? st.st_ino : 0 };
}

static void remember_folders(const char *const *folders, size_t n)
{
	named.items = must_alloc((n + 1) * sizeof named.items[0]);
	named.n = n;
	for (size_t i = 0; i < n; i++)
		look_at(folders[i], &named.items[i]);
}

bool confine_is_stale(void)
{
	for (size_t i = 0; facts.landlock != 0 && i < named.n; i++) {
		struct folder now;
		look_at(named.items[i].path, &now);
		if (now.device != named.items[i].device || now.inode != named.items[i].inode)
			return true;
	}
	return false;
}

/* ---- all together ---- */

static void say_what_is_less(const struct confine_rules *rules)
{
	if (SANITIZED)
		facts.less = "a test build that watches its own memory: neither empty root nor Landlock nor a list of system calls";
	else if (facts.landlock == 0)
		facts.less = (rules->may & MAY_USE_FOLDERS) != 0 ? "this kernel has no Landlock of use: files are fenced in by their owners alone"
		                                                : "this kernel has no Landlock";
	else if (rules->empty_root && !facts.empty_root)
		facts.less = "only a server started as root can take an empty root";
}

fault confine(const struct confine_rules *rules, const char *const *folders, size_t n_folders,
              void (*start_pool)(void *owner), void *owner, struct why *why)
{
	check(!facts.confined);
	tzset(); /* reads a file, once */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return why_say(why, F_SYS, "new privileges cannot be given up: %s", strerror(errno));
	remember_folders(folders, n_folders);
	if (!SANITIZED && rules->empty_root)
		facts.empty_root = take_empty_root();
	if (!drop_capabilities())
		return why_say(why, F_SYS, "the capabilities cannot be given up: %s", strerror(errno));
	TRY(take_limits(rules, why));
	if (!SANITIZED)
		TRY(landlock_enforce(rules->may, folders, n_folders, &facts.landlock, why));
	if (rules->pool && start_pool != NULL)
		start_pool(owner);
	if (!SANITIZED)
		TRY(seccomp_enforce(rules->may, why));
	facts.seccomp = !SANITIZED;
	facts.user = geteuid();
	facts.confined = true;
	say_what_is_less(rules);
	return OK;
}

const struct confine_facts *confine_facts(void)
{
	return &facts;
}

static const char *yes_or_no(bool what)
{
	return what ? "true" : "false";
}

fault confine_put_json(struct buf *out)
{
	if (!facts.confined)
		return buf_addf(out, "null");
	return buf_addf(out,
	                "{\"user\": %u, \"no_new_privileges\": true, \"capabilities\": false, \"empty_root\": %s, \"seccomp\": %s, "
	                "\"landlock\": %u, \"less\": \"%s\"}",
	                (unsigned)facts.user, yes_or_no(facts.empty_root), yes_or_no(facts.seccomp), facts.landlock, facts.less);
}
