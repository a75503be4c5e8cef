/* SPDX-License-Identifier: ISC */
/*
 * sys/confine_inside.h -- the two filters that confine() puts in force. For sys/confine.c, seccomp.c and landlock.c.
 *
 * Tests    test/scenario/attack_confined_test.py
 */
#ifndef SYS_CONFINE_INSIDE_H
#define SYS_CONFINE_INSIDE_H

#include "sys/confine.h"

/* What the process may do with files, TCP and signals. *version_out is the kernel's, 0 if it has none that helps. */
MUST_USE fault landlock_enforce(unsigned may, const char *const *folders, size_t n_folders, unsigned *version_out,
                                struct why *why);
/* Which system calls it may make, with which arguments; for all its threads. */
MUST_USE fault seccomp_enforce(unsigned may, struct why *why);

#endif
