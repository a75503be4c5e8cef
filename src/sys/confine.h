/* SPDX-License-Identifier: ISC */
/*
 * sys/confine.h -- a process gives up, for good, what it does not need.
 *
 * A role is written by us and fed by strangers: whoever takes it over gets what is left here, and nothing else. In force,
 * in this order: no new privileges, an empty root (where the process may take one), no capabilities, resource limits,
 * Landlock (files, TCP, signals, as far as the kernel has it), and last the list of system calls, over all threads. A call
 * that is not on the list ends the process by SIGSYS; some that libraries merely try are answered with an error
 * (docs/decisions/011-confinement.md has the reasons).
 *
 * The empty root and Landlock are best effort: not every kernel has the one, and only a process started as root may have
 * the other. The list of system calls is not: without it confine() fails. A build with AddressSanitizer has none of the
 * three, because the sanitizer itself opens files, maps and traces.
 *
 * Source   landlock(7), seccomp(2), capabilities(7), chroot(2)
 * Errors   F_SYS: the process is not confined as it must be, and should end.
 * Owns     Nothing. What is in force is the process's, so it is kept here and not in any role.
 * Tests    test/scenario/attack_confined_test.py
 */
#ifndef SYS_CONFINE_H
#define SYS_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fault.h"

/* Beyond reading and writing the descriptors that it has, memory, time and random numbers, which all may. */
enum may {
	MAY_ACCEPT = 1 << 0,        /* accept connections at listening sockets that are passed to it */
	MAY_CONNECT = 1 << 1,       /* TCP out, from an address of this machine */
	MAY_ASK_UDP = 1 << 2,       /* UDP out */
	MAY_SEE_ADDRESSES = 1 << 3, /* ask the kernel which addresses this machine has */
	MAY_USE_FOLDERS = 1 << 4,   /* read, write, make, link and remove files below the folders named at its start */
	MAY_START_THREADS = 1 << 5,
};

struct confine_rules {
	unsigned may;               /* enum may */
	bool empty_root;            /* it needs no path at all */
	bool pool;                  /* its worker threads are started now: later it can start none */
	unsigned descriptors;       /* how many it may have open; 0: as many as the supervisor */
};

/* What a ring of io_uring does passes no list of system calls. From here on the kernel answers as if it had none, so that libuv, which
 * tries, does without; once per process. loop_new does it first of all, as well as it can; a role must know that it is so, since the
 * list of confine() kills whoever uses a ring. */
fault confine_without_rings(struct why *why);

/* Once, before the first byte from anybody else is looked at, and by a process that has no other thread yet. start_pool is
 * called between Landlock and the list of system calls, and may be NULL. */
MUST_USE fault confine(const struct confine_rules *rules, const char *const *folders, size_t n_folders,
                       void (*start_pool)(void *owner), void *owner, struct why *why);

struct confine_facts {
	bool confined;              /* confine() was called, and was right */
	uint32_t user;
	bool empty_root, seccomp;
	unsigned landlock;          /* the kernel's version of it, 0: not in force */
	const char *less;           /* why it is less than it could be, for people; "" */
};
const struct confine_facts *confine_facts(void);
/* The same as a JSON object, for `sealpost status`; "null" before confine(). */
MUST_USE fault confine_put_json(struct buf *out);

/* A folder named at the start is now another one, or has come only since: the rules do not cover it, and cannot be widened.
 * Only a new process can have it. */
bool confine_is_stale(void);

#endif
