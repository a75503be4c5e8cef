/* SPDX-License-Identifier: ISC */
/*
 * sys/shared.h -- a piece of memory that one process writes and others read.
 *
 * Its size is sealed, so that nobody can pull it away from under a reader. Two descriptors lead to it: whoever
 * is given the one for reading can only read.
 *
 * Errors   F_LIMIT: no descriptor or memory left. F_SYS: the system has no such thing.
 * Owns     Descriptors and maps are the caller's.
 * Tests    test/unit/sys/shared_test.c
 */
#ifndef SYS_SHARED_H
#define SYS_SHARED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fault.h"

/* Zeroed. */
MUST_USE fault shared_make(size_t bytes, int *write_fd_out, int *read_fd_out);
MUST_USE fault shared_map(int fd, size_t bytes, bool write, void **out);
void           shared_unmap(void *map, size_t bytes);

#endif
