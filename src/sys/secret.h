/* SPDX-License-Identifier: ISC */
/*
 * sys/secret.h -- memory for secrets: pages of their own, locked against swapping, left out of core dumps, empty in a
 * forked child, and zeroed before they are given back.
 *
 * Limits   Locking counts against RLIMIT_MEMLOCK. Where that does not suffice the pages serve all the same, and
 *          secret_new says that they are not locked.
 * Tests    test/unit/sys/secret_test.c
 */
#ifndef SYS_SECRET_H
#define SYS_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Whole pages, zeroed; NULL: the system has no memory. */
void *secret_new(size_t n, bool *locked_out);
void  secret_free(void **p, size_t n); /* n as it was asked for; NULL is fine */

#endif
