/* SPDX-License-Identifier: ISC */
/*
 * sys/blocks.h -- blocks of one size on pages of their own: what is given back goes back to the kernel at once, but for some.
 *
 * In the heap a large block that comes and goes leaves holes between the small ones that stay. Those that stay at hand spare
 * who takes one for a moment the kernel's work of taking pages away and bringing others.
 *
 * Limits   A number of blocks, said at the beginning; it costs addresses, and memory only while a block is taken, or was among the
 *          last BLOCKS_AT_HAND that were given back since blocks_rest.
 * Threads  None: all from one.
 * Tests    test/unit/sys/blocks_test.c
 */
#ifndef SYS_BLOCKS_H
#define SYS_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

enum { BLOCKS_AT_HAND = 64 };

struct blocks;

struct blocks *blocks_new(size_t block_bytes, size_t n); /* NULL: the system has no addresses left. The size is rounded up to pages */
void   blocks_free(struct blocks **p);
void  *blocks_take(struct blocks *p);              /* zeroed; NULL: all are taken */
bool   blocks_hold(const struct blocks *p, const void *block);
void   blocks_give(struct blocks *p, void *block); /* one of them; what was in it is gone */
void   blocks_rest(struct blocks *p);              /* those at hand go back to the kernel, too */
size_t blocks_size(const struct blocks *p);

#endif
