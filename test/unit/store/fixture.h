/* SPDX-License-Identifier: ISC */
/*
 * A store under test, in a folder of its own that goes with the test.
 *
 * Errors   What should work and does not fails the test that is running.
 */
#ifndef TEST_STORE_FIXTURE_H
#define TEST_STORE_FIXTURE_H

#include "store/store.h"

enum { NOW = 1000000, SEGMENT = 128 << 10 };

/* Grants every destination the same; owner: a struct store_grant. */
struct store_grant grant_the_same(void *owner, struct str key);
extern const struct store_room anything;

struct fixture {
	const struct store_ops *ops;
	struct store *store;
	struct arena *arena;
	char directory[64], queue[80];   /* queue: below directory */
};

struct fixture *fixture_new(const struct store_ops *ops, const char *where); /* open, and empty */
int             fixture_teardown(void **state);
struct store   *fixture_open(const struct fixture *f, const char *path);     /* another queue */
fault           try_open(struct fixture *f, struct why *why);
void            reopen(struct fixture *f);
void            remove_all(const char *path);
struct str      pattern(struct fixture *f, size_t n, unsigned seed);         /* bytes that are the same each time */

#endif
