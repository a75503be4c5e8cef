/* SPDX-License-Identifier: ISC */
#include "sys/blocks.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"

struct blocks {
	char *base;
	size_t block_bytes, n;
	size_t *idle, n_idle;   /* numbers of the blocks that nobody has; the last goes first */
	void *at_hand[BLOCKS_AT_HAND];  /* and those that go before them */
	size_t n_at_hand;
};

struct blocks *blocks_new(size_t block_bytes, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	block_bytes = (block_bytes + page - 1) / page * page;
	check(block_bytes > 0 && n > 0 && n <= SIZE_MAX / 2 / block_bytes);
	void *base = mmap(NULL, block_bytes * n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	struct blocks *p = NEW(struct blocks);
	*p = (struct blocks){ .base = base, .block_bytes = block_bytes, .n = n };
	p->idle = must_alloc(n * sizeof *p->idle);
	while (p->n_idle < n) {
		p->idle[p->n_idle] = n - 1 - p->n_idle;
		p->n_idle++;
	}
	return p;
}

void blocks_free(struct blocks **p_ref)
{
	struct blocks *p = *p_ref;
	if (p == NULL)
		return;
	*p_ref = NULL;
	check(munmap(p->base, p->block_bytes * p->n) == 0);
	free(p->idle);
	free(p);
}

void *blocks_take(struct blocks *p)
{
	if (p->n_at_hand > 0)
		return p->at_hand[--p->n_at_hand];
	return p->n_idle > 0 ? p->base + p->idle[--p->n_idle] * p->block_bytes : NULL;
}

bool blocks_hold(const struct blocks *p, const void *block)
{
	uintptr_t at = (uintptr_t)block, base = (uintptr_t)p->base;
	return at >= base && at - base < p->block_bytes * p->n;
}

static void give_pages_back(struct blocks *p, void *block)
{
	/* The kernel keeps what is locked: then the bytes are overwritten at least. */
	if (madvise(block, p->block_bytes, MADV_DONTNEED) != 0)
		explicit_bzero(block, p->block_bytes);
	p->idle[p->n_idle++] = (size_t)((char *)block - p->base) / p->block_bytes;
}

void blocks_give(struct blocks *p, void *block)
{
	size_t at = (size_t)((char *)block - p->base);
	check(blocks_hold(p, block) && at % p->block_bytes == 0 && p->n_idle + p->n_at_hand < p->n);
	if (p->n_at_hand < BLOCKS_AT_HAND) {
		explicit_bzero(block, p->block_bytes);
		p->at_hand[p->n_at_hand++] = block;
		return;
	}
	give_pages_back(p, block);
}

void blocks_rest(struct blocks *p)
{
	while (p->n_at_hand > 0)
		give_pages_back(p, p->at_hand[--p->n_at_hand]);
}

size_t blocks_size(const struct blocks *p)
{
	return p->block_bytes;
}
