/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"

static const struct store_options small_segments = { .segment_bytes = SEGMENT };

static struct store_grant much = { .messages = 1000 };
const struct store_room anything = { .grant = grant_the_same, .owner = &much, .lane_room = { 1000, 1000, 1000 } };

struct store_grant grant_the_same(void *owner, struct str key)
{
	(void)key;
	return *(struct store_grant *)owner;
}

fault try_open(struct fixture *f, struct why *why)
{
	return f->ops->open(str_of(f->queue), &small_segments, &f->store, why);
}

struct store *fixture_open(const struct fixture *f, const char *path)
{
	struct why why = { "" };
	struct store *s = NULL;
	if (f->ops->open(str_of(path), &small_segments, &s, &why) != OK)
		fail_msg("open %s: %s", path, why.text);
	return s;
}

void reopen(struct fixture *f)
{
	f->ops->close(&f->store);
	f->store = fixture_open(f, f->queue);
}

struct fixture *fixture_new(const struct store_ops *ops, const char *where)
{
	struct fixture *f = NEW(struct fixture);
	f->ops = ops;
	snprintf(f->directory, sizeof f->directory, "%s/store-XXXXXX", where);
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->queue, sizeof f->queue, "%s/queue", f->directory);
	f->arena = arena_new(256 << 20);
	reopen(f);
	return f;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
	(void)st, (void)kind, (void)walk;
	return remove(path);
}

void remove_all(const char *path)
{
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	f->ops->close(&f->store);
	arena_free(&f->arena);
	remove_all(f->directory);
	free(f);
	return 0;
}

struct str pattern(struct fixture *f, size_t n, unsigned seed)
{
	char *p = arena_alloc(f->arena, n);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245 + 12345;
		p[i] = (char)(seed >> 16);
	}
	return (struct str){ p, n };
}
