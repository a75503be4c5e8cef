/* SPDX-License-Identifier: ISC */
#include "policy/crowd.h"

#include <stdatomic.h>
#include <string.h>

#include "base/map.h"

_Static_assert(sizeof(struct crowd_place) == 16, "a place is the same for every front");
_Static_assert((CROWD_PLACES & (CROWD_PLACES - 1)) == 0, "a hash is cut to a place");

static uint64_t key_of(uint64_t seed, char what, const unsigned char *ip, size_t n)
{
	char bytes[9] = { what };
	memcpy(bytes + 1, ip, n);
	uint64_t key = map_hash(seed, (struct str){ bytes, n + 1 });
	return key != 0 ? key : 1;
}

struct crowd_who crowd_who(uint64_t seed, const unsigned char ip[16], bool ipv6)
{
	return ipv6 ? (struct crowd_who){ key_of(seed, 'c', ip, 8), key_of(seed, 'm', ip, 6) }
	            : (struct crowd_who){ key_of(seed, 'C', ip, 4), key_of(seed, 'M', ip, 3) };
}

/* A key lies anywhere within its reach, so a place that has become free needs no mark. */
static size_t place_of(uint64_t key, size_t step)
{
	return (size_t)(key + step) & (CROWD_PLACES - 1);
}

static uint32_t count_on(const struct crowd_page *page, uint64_t key)
{
	for (size_t i = 0; i < CROWD_REACH; i++) {
		const struct crowd_place *p = &page->places[place_of(key, i)];
		if (atomic_load_explicit(&p->key, memory_order_acquire) == key)
			return atomic_load_explicit(&p->count, memory_order_relaxed);
	}
	return 0;
}

static uint64_t believed(uint32_t count)
{
	return count < CROWD_COUNT_MAX ? count : CROWD_COUNT_MAX;
}

uint64_t crowd_count(const struct crowd *c, uint64_t key)
{
	if (key == 0)
		return 0;
	uint64_t sum = count_on(c->own, key);
	for (size_t i = 0; i < CROWD_PAGES_MAX; i++)
		if (c->others[i] != NULL)
			sum += believed(count_on(c->others[i], key));
	return sum;
}

uint64_t crowd_total(const struct crowd *c)
{
	uint64_t sum = atomic_load_explicit(&c->own->total, memory_order_relaxed);
	for (size_t i = 0; i < CROWD_PAGES_MAX; i++)
		if (c->others[i] != NULL)
			sum += believed(atomic_load_explicit(&c->others[i]->total, memory_order_relaxed));
	return sum;
}

/* The key's place on our page, or else a free one, or else NULL. */
static struct crowd_place *own_place(struct crowd *c, uint64_t key)
{
	struct crowd_place *free = NULL;
	for (size_t i = 0; i < CROWD_REACH; i++) {
		struct crowd_place *p = &c->own->places[place_of(key, i)];
		uint64_t there = atomic_load_explicit(&p->key, memory_order_relaxed);
		if (there == key)
			return p;
		if (there == 0 && free == NULL)
			free = p;
	}
	return free;
}

/* The count comes before the key, so that nobody reads an old one under a new key. */
static bool add(struct crowd *c, uint64_t key)
{
	struct crowd_place *p = key != 0 ? own_place(c, key) : NULL;
	if (p == NULL)
		return key == 0;
	uint32_t count = atomic_load_explicit(&p->key, memory_order_relaxed) == key
	                         ? atomic_load_explicit(&p->count, memory_order_relaxed) : 0;
	atomic_store_explicit(&p->count, count + 1, memory_order_relaxed);
	atomic_store_explicit(&p->key, key, memory_order_release);
	return true;
}

static void take_away(struct crowd *c, uint64_t key)
{
	struct crowd_place *p = key != 0 ? own_place(c, key) : NULL;
	if (p == NULL || atomic_load_explicit(&p->key, memory_order_relaxed) != key)
		return;
	uint32_t count = atomic_load_explicit(&p->count, memory_order_relaxed);
	if (count > 1)
		atomic_store_explicit(&p->count, count - 1, memory_order_relaxed);
	else
		atomic_store_explicit(&p->key, 0, memory_order_release);
}

static void add_to_total(struct crowd *c, uint32_t n)
{
	uint32_t total = atomic_load_explicit(&c->own->total, memory_order_relaxed);
	atomic_store_explicit(&c->own->total, total + n, memory_order_relaxed);
}

fault crowd_enter(struct crowd *c, struct crowd_who who)
{
	if (!add(c, who.client))
		return F_LIMIT;
	if (!add(c, who.network)) {
		take_away(c, who.client);
		return F_LIMIT;
	}
	add_to_total(c, 1);
	return OK;
}

void crowd_leave(struct crowd *c, struct crowd_who who)
{
	take_away(c, who.client);
	take_away(c, who.network);
	add_to_total(c, (uint32_t)-1);
}
