/* SPDX-License-Identifier: ISC */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* The first block, with malloc's own words, is of a size that the C library keeps ready; many arenas have no other. */
enum { FIRST_BLOCK_BYTES = 960, BLOCK_BYTES = 4096, ALIGN = 16 };

struct block {
	_Alignas(16) struct block *older;
	size_t size, used;
};

struct arena {
	struct block *newest;
	size_t used, max;
	bool secret;
};

static char *block_bytes(struct block *b)
{
	return (char *)b + sizeof *b;
}

struct arena *arena_new(size_t bytes_max)
{
	struct arena *a = NEW(struct arena);
	a->max = bytes_max;
	return a;
}

struct arena *arena_new_secret(size_t bytes_max)
{
	struct arena *a = arena_new(bytes_max);
	a->secret = true;
	return a;
}

static void forget(const struct arena *a, struct block *b)
{
	if (a->secret)
		explicit_bzero(block_bytes(b), b->used);
	b->used = 0;
}

static void free_blocks_down_to(struct arena *a, struct block *keep)
{
	while (a->newest != keep) {
		struct block *older = a->newest->older;
		forget(a, a->newest);
		free(a->newest);
		a->newest = older;
	}
}

void arena_free(struct arena **a)
{
	if (*a == NULL)
		return;
	free_blocks_down_to(*a, NULL);
	free(*a);
	*a = NULL;
}

void arena_reset(struct arena *a)
{
	struct block *first = a->newest;
	while (first != NULL && first->older != NULL)
		first = first->older;
	free_blocks_down_to(a, first);
	if (first != NULL)
		forget(a, first);
	a->used = 0;
}

/* As it comes: its bytes are anything. */
static void *take(struct arena *a, size_t n)
{
	if (n > a->max || a->used > a->max - n)
		return NULL;
	size_t rounded = (n + ALIGN - 1) / ALIGN * ALIGN;
	if (rounded == 0)
		rounded = ALIGN;

	struct block *b = a->newest;
	if (b == NULL || b->size - b->used < rounded) {
		size_t usual = b == NULL ? FIRST_BLOCK_BYTES : BLOCK_BYTES;
		size_t size = rounded > usual ? rounded : usual;
		b = must_resize(NULL, sizeof *b + size);
		b->older = a->newest;
		b->size = size;
		b->used = 0;
		a->newest = b;
	}
	void *p = block_bytes(b) + b->used;
	b->used += rounded;
	a->used += n;
	return p;
}

void *arena_try_alloc(struct arena *a, size_t n)
{
	void *p = take(a, n);
	if (p != NULL)
		memset(p, 0, n);
	return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
	void *p = arena_try_alloc(a, n);
	check(p != NULL);
	return p;
}

struct str arena_try_copy(struct arena *a, struct str s)
{
	char *p = take(a, s.n + 1);
	if (p == NULL)
		return STR_NONE;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}

struct str arena_copy(struct arena *a, struct str s)
{
	struct str copy = arena_try_copy(a, s);
	check(copy.p != NULL);
	return copy;
}
