/* SPDX-License-Identifier: ISC */
#include "policy/tally.h"

#include <stdatomic.h>

#include "base/check.h"

_Static_assert(sizeof(struct tally_place) == 16, "a place is the same for every front");
_Static_assert((TALLY_PLACES & (TALLY_PLACES - 1)) == 0, "a key is cut to a place");

static size_t place_of(uint64_t key, size_t step)
{
	return (size_t)(key + step) & (TALLY_PLACES - 1);
}

/* Nobody is believed to know of more than TALLY_MAX. */
static int64_t believed(const struct tally *t, int64_t until_ms, int64_t now_ms)
{
	int64_t last_ms = now_ms + TALLY_MAX * t->wears_off_ms;
	return until_ms < last_ms ? until_ms : last_ms;
}

/* The moment, or 0. A place may be taken for another key while we look: then it says nothing. */
static int64_t until_in(const struct tally_table *table, uint64_t key)
{
	for (size_t i = 0; i < TALLY_REACH; i++) {
		const struct tally_place *p = &table->places[place_of(key, i)];
		if (atomic_load_explicit(&p->key, memory_order_acquire) != key)
			continue;
		int64_t until_ms = atomic_load_explicit(&p->until_ms, memory_order_acquire);
		return atomic_load_explicit(&p->key, memory_order_relaxed) == key ? until_ms : 0;
	}
	return 0;
}

static int64_t until(const struct tally *t, uint64_t key, int64_t now_ms)
{
	int64_t latest_ms = believed(t, until_in(t->own, key), now_ms);
	for (size_t i = 0; i < TALLY_TABLES_MAX; i++) {
		int64_t other_ms = t->others[i] != NULL ? believed(t, until_in(t->others[i], key), now_ms) : 0;
		latest_ms = other_ms > latest_ms ? other_ms : latest_ms;
	}
	return latest_ms;
}

static unsigned count_of(const struct tally *t, int64_t until_ms, int64_t now_ms)
{
	return until_ms > now_ms ? (unsigned)((until_ms - now_ms + t->wears_off_ms - 1) / t->wears_off_ms) : 0;
}

unsigned tally_count(const struct tally *t, uint64_t key, int64_t now_ms)
{
	return count_of(t, until(t, key, now_ms), now_ms);
}

/* The key's place, or the one within reach that will be free first. */
static struct tally_place *own_place(struct tally *t, uint64_t key)
{
	struct tally_place *first = NULL;
	int64_t first_ms = INT64_MAX;
	for (size_t i = 0; i < TALLY_REACH; i++) {
		struct tally_place *p = &t->own->places[place_of(key, i)];
		uint64_t there = atomic_load_explicit(&p->key, memory_order_relaxed);
		if (there == key)
			return p;
		int64_t free_ms = there == 0 ? INT64_MIN : atomic_load_explicit(&p->until_ms, memory_order_relaxed);
		if (first == NULL || free_ms < first_ms) {
			first = p;
			first_ms = free_ms;
		}
	}
	return first;
}

unsigned tally_add(struct tally *t, uint64_t key, int64_t now_ms)
{
	int64_t until_ms = until(t, key, now_ms);
	until_ms = believed(t, (until_ms > now_ms ? until_ms : now_ms) + t->wears_off_ms, now_ms);
	struct tally_place *p = own_place(t, key);
	check(p != NULL);
	if (atomic_load_explicit(&p->key, memory_order_relaxed) != key) {
		atomic_store_explicit(&p->key, 0, memory_order_relaxed);
		atomic_thread_fence(memory_order_release);
	}
	atomic_store_explicit(&p->until_ms, until_ms, memory_order_release);
	atomic_store_explicit(&p->key, key, memory_order_release);
	return count_of(t, until_ms, now_ms);
}
