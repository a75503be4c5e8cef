/* SPDX-License-Identifier: ISC */
/*
 * sys/process.h -- other processes, signals, and what the service manager wants to hear.
 *
 * Tests    test/unit/sys/process_test.c
 */
#ifndef SYS_PROCESS_H
#define SYS_PROCESS_H

#include "base/fault.h"
#include "sys/loop.h"

/* A role's process: this same program executed anew as `sealpost role NAME`, with one end of a
 * socketpair as descriptor 3 and nothing else but standard error. In the simulation the role is
 * made in the same process instead. */
struct child;
struct child_plan {
	const char *role;
	const char *user;                /* the account that it becomes, where we are root; NULL: ours */
	bool is_known;                   /* by these numbers; else they are looked up */
	uint32_t uid, gid;
	bool keeps_chroot;               /* it may take another root once, before it gives up everything (sys/confine.h) */
	const char *const *folders;      /* told to it behind its name: those that it may use */
	size_t n_folders;
};
struct child *child_start(struct loop *loop, const struct child_plan *plan, int *control_fd_out,
                          void (*ended)(void *owner, const char *how), void *owner, struct why *why);
void child_kill(struct child *c);       /* SIGKILL; ended follows */
void child_free(struct child **c);      /* after it has ended, or to forget it */
int  child_pid(const struct child *c);

enum signal_kind { SIGNAL_RELOAD, SIGNAL_STOP };
/* A file that may grow no more (ulimit -f) is an error that the write tells, not the end of us. Every loop asks for it, too. */
void signals_spare_full_files(void);
void signals_watch(struct loop *loop, void (*notify)(void *owner, enum signal_kind which), void *owner);

/* sd_notify(3)'s protocol: "READY=1", "RELOADING=1", "STOPPING=1". Nothing without NOTIFY_SOCKET. False if it could not be told
 * for want of something that may be there a moment later: descriptors, memory, room in a queue. */
MUST_USE bool service_notify(const char *state);

bool process_exists(uint32_t pid);
_Noreturn void process_end(int status); /* at once, with nothing freed and no thread waited for */
bool process_is_root(void);
uint32_t process_user(void);
/* The account's numbers; F_ABSENT; F_SYS: nobody can tell, at this moment. */
MUST_USE fault user_find(const char *name, uint32_t *uid_out, uint32_t *gid_out);
/* The account's name, NUL-terminated; F_ABSENT, F_LIMIT. */
MUST_USE fault user_name(uint32_t uid, char *to, size_t room);
MUST_USE fault process_become(uint32_t uid, uint32_t gid, struct why *why); /* for good */
/* Starts the threads of work_start() now: a process that is confined afterwards could start none. */
void work_begin(struct loop *loop);
/* No core dump, and no other process of this user may look into the memory, trace it or open its descriptors. */
void process_hide_memory(void);
/* Nothing of this process, present and future, is ever swapped out: for who holds secrets. False where the limit of
 * locked memory (RLIMIT_MEMLOCK) is not infinite: then nothing is locked, because allocations would fail at the limit. */
bool process_lock_memory(void);
unsigned process_cores(void);
bool process_has_terminal(void); /* a person sits at standard input and output */
bool process_errors_have_terminal(void); /* a person reads standard error */
/* Standard error goes to this file from now on, for this process and those it starts. */
MUST_USE fault process_errors_to(const char *path, struct why *why);
void process_trim_memory(void);    /* what lies free in the heap goes back to the kernel, page by page */
uint64_t process_peak_bytes(void); /* the largest resident set so far */
uint64_t process_cpu_us(void);     /* used by this process so far, itself and the kernel for it */
void     process_raise_descriptors(void); /* as many open files as the system lets us have */

/* This process n times more, before it has a loop or threads: each copy gets its number, from 0, and a descriptor to write to; we get
 * -1, and n to read from. An interrupt is for the copies, and they end when we do. */
MUST_USE fault process_split(unsigned n, int *number_out, int *fds);

/* Work for a thread, so that a password never delays a handshake: run on the pool, done in the
 * loop. In the simulation both run in the loop. */
void work_start(struct loop *loop, void (*run)(void *job), void (*done)(void *job), void *job);

#endif
