/* SPDX-License-Identifier: ISC */
/*
 * base/map.h -- a hash map from bytes to pointers, seeded against chosen keys.
 *
 * Keys are copied; values belong to the caller. The order of map_each is unspecified, and the
 * map must not change while it runs.
 *
 * Tests    test/unit/base/map_test.c
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map;

struct map *map_new(uint64_t seed); /* from sys/random where keys come from a peer, else 0 */
void        map_free(struct map **m);
size_t      map_count(const struct map *m);

void *map_get(const struct map *m, struct str key);            /* NULL if absent */
void *map_set(struct map *m, struct str key, void *value);     /* returns what it replaced; value not NULL */
void *map_remove(struct map *m, struct str key);               /* returns what was there */

bool map_each(const struct map *m, size_t *cursor, struct str *key_out, void **value_out);

/* SipHash-1-3 of the key: whoever does not know the seed cannot make two collide. */
uint64_t map_hash(uint64_t seed, struct str key);

/* The same with a number as the key. */
void *map_get_u64(const struct map *m, uint64_t key);
void *map_set_u64(struct map *m, uint64_t key, void *value);
void *map_remove_u64(struct map *m, uint64_t key);

#endif
