/* SPDX-License-Identifier: ISC */
/*
 * base/arena.h -- memory that lives and dies together, with a ceiling.
 *
 * There are four lifetimes: a configuration's generation, a session, a transaction, scratch.
 * Memory from an arena is zeroed, aligned for any type, and freed only with the arena. At the
 * ceiling arena_try_* return NULL (STR_NONE); a peer must never be able to kill a role, so what
 * a peer can make grow uses these. arena_alloc is for sizes that we know: it aborts at the ceiling.
 *
 * Tests    test/unit/base/arena_test.c
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena;

struct arena *arena_new(size_t bytes_max);
struct arena *arena_new_secret(size_t bytes_max); /* what is forgotten is overwritten with zeros */
void          arena_free(struct arena **a);  /* NULL is fine */
void          arena_reset(struct arena *a);  /* forgets everything, keeps the first block */

void      *arena_try_alloc(struct arena *a, size_t n);
void      *arena_alloc(struct arena *a, size_t n);
struct str arena_try_copy(struct arena *a, struct str s); /* p == NULL only at the ceiling */
struct str arena_copy(struct arena *a, struct str s);     /* NUL follows the copy */

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))

#endif
