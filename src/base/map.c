/* SPDX-License-Identifier: ISC */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct entry {
	struct entry *next;
	uint64_t hash;
	void *value;
	size_t key_n;
	char key[];
};

struct map {
	struct entry **buckets;
	size_t n_buckets, count;
	uint64_t seed;
};

/* SipHash-1-3 (Aumasson, Bernstein): quick, and a peer who does not know the seed cannot make
 * keys collide. */
static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1]; v[1] = rotate(v[1], 13); v[1] ^= v[0]; v[0] = rotate(v[0], 32);
	v[2] += v[3]; v[3] = rotate(v[3], 16); v[3] ^= v[2];
	v[0] += v[3]; v[3] = rotate(v[3], 21); v[3] ^= v[0];
	v[2] += v[1]; v[1] = rotate(v[1], 17); v[1] ^= v[2]; v[2] = rotate(v[2], 32);
}

uint64_t map_hash(uint64_t seed, struct str key)
{
	uint64_t k1 = seed * 0x9E3779B97F4A7C15u;
	uint64_t v[4] = { 0x736f6d6570736575u ^ seed, 0x646f72616e646f6du ^ k1,
	                  0x6c7967656e657261u ^ seed, 0x7465646279746573u ^ k1 };
	size_t i = 0;
	uint64_t word;
	for (; i + 8 <= key.n; i += 8) {
		memcpy(&word, key.p + i, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)key.n << 56;
	for (size_t j = 0; i + j < key.n; j++)
		word |= (uint64_t)(unsigned char)key.p[i + j] << (8 * j);
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (int r = 0; r < 3; r++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct map *map_new(uint64_t seed)
{
	struct map *m = NEW(struct map);
	m->seed = seed;
	return m;
}

void map_free(struct map **m)
{
	if (*m == NULL)
		return;
	for (size_t i = 0; i < (*m)->n_buckets; i++)
		for (struct entry *e = (*m)->buckets[i], *next; e != NULL; e = next) {
			next = e->next;
			free(e);
		}
	free((*m)->buckets);
	free(*m);
	*m = NULL;
}

size_t map_count(const struct map *m)
{
	return m->count;
}

/* The place that points to the entry with this key, or to the end of its chain. */
static struct entry **find(const struct map *m, struct str key, uint64_t hash)
{
	struct entry **at = &m->buckets[hash & (m->n_buckets - 1)];
	while (*at != NULL && !((*at)->hash == hash &&
	                        str_eq((struct str){ (*at)->key, (*at)->key_n }, key)))
		at = &(*at)->next;
	return at;
}

static void grow(struct map *m)
{
	size_t n = m->n_buckets == 0 ? 16 : m->n_buckets * 2;
	struct entry **buckets = must_alloc(n * sizeof(struct entry *));
	for (size_t i = 0; i < m->n_buckets; i++)
		for (struct entry *e = m->buckets[i], *next; e != NULL; e = next) {
			next = e->next;
			e->next = buckets[e->hash & (n - 1)];
			buckets[e->hash & (n - 1)] = e;
		}
	free(m->buckets);
	m->buckets = buckets;
	m->n_buckets = n;
}

void *map_get(const struct map *m, struct str key)
{
	if (m->count == 0)
		return NULL;
	struct entry *e = *find(m, key, map_hash(m->seed, key));
	return e != NULL ? e->value : NULL;
}

void *map_set(struct map *m, struct str key, void *value)
{
	check(value != NULL);
	if (m->count >= m->n_buckets)
		grow(m);
	uint64_t hash = map_hash(m->seed, key);
	struct entry **at = find(m, key, hash);
	if (*at != NULL) {
		void *old = (*at)->value;
		(*at)->value = value;
		return old;
	}
	struct entry *e = must_alloc(sizeof *e + key.n);
	e->hash = hash;
	e->value = value;
	e->key_n = key.n;
	if (key.n > 0)
		memcpy(e->key, key.p, key.n);
	*at = e;
	m->count++;
	return NULL;
}

void *map_remove(struct map *m, struct str key)
{
	if (m->count == 0)
		return NULL;
	struct entry **at = find(m, key, map_hash(m->seed, key));
	struct entry *e = *at;
	if (e == NULL)
		return NULL;
	void *value = e->value;
	*at = e->next;
	free(e);
	m->count--;
	return value;
}

bool map_each(const struct map *m, size_t *cursor, struct str *key_out, void **value_out)
{
	/* The cursor counts entries passed: simple, and linear enough for chains this short. */
	size_t passed = 0;
	for (size_t i = *cursor >> 16; i < m->n_buckets; i++) {
		passed = i == *cursor >> 16 ? *cursor & 0xffff : 0;
		struct entry *e = m->buckets[i];
		for (size_t skip = passed; e != NULL && skip > 0; skip--)
			e = e->next;
		if (e == NULL)
			continue;
		*cursor = i << 16 | (passed + 1);
		if (key_out != NULL)
			*key_out = (struct str){ e->key, e->key_n };
		if (value_out != NULL)
			*value_out = e->value;
		return true;
	}
	return false;
}

static struct str number_key(const uint64_t *key)
{
	return (struct str){ (const char *)key, sizeof *key };
}

void *map_get_u64(const struct map *m, uint64_t key)
{
	return map_get(m, number_key(&key));
}

void *map_set_u64(struct map *m, uint64_t key, void *value)
{
	return map_set(m, number_key(&key), value);
}

void *map_remove_u64(struct map *m, uint64_t key)
{
	return map_remove(m, number_key(&key));
}
