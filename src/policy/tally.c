/* SPDX-License-Identifier: ISC */
#include "policy/tally.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"

struct entry {
	struct link in_seen;   /* the first was seen last */
	uint64_t key;
	unsigned count;
	int64_t since_ms;      /* when the oldest of them began to wear off */
};

struct tally {
	struct map *map;
	struct list seen;
	size_t kept_max;
	int64_t wears_off_ms;
};

struct tally *tally_new(size_t kept_max, int64_t wears_off_ms)
{
	struct tally *t = NEW(struct tally);
	*t = (struct tally){ .map = map_new(0), .kept_max = kept_max, .wears_off_ms = wears_off_ms };
	list_init(&t->seen);
	return t;
}

static void forget(struct tally *t, struct entry *e)
{
	(void)map_remove_u64(t->map, e->key);
	link_remove(&e->in_seen);
	free(e);
}

void tally_free(struct tally **t)
{
	if (*t == NULL)
		return;
	LIST_EACH(l, &(*t)->seen)
		forget(*t, LIST_MEMBER(l, struct entry, in_seen));
	map_free(&(*t)->map);
	free(*t);
	*t = NULL;
}

static struct entry *find(struct tally *t, uint64_t key, int64_t now_ms)
{
	struct entry *e = map_get_u64(t->map, key);
	if (e == NULL)
		return NULL;
	int64_t gone = (now_ms - e->since_ms) / t->wears_off_ms;
	if (gone >= (int64_t)e->count) {
		forget(t, e);
		return NULL;
	}
	if (gone > 0) {
		e->count -= (unsigned)gone;
		e->since_ms += gone * t->wears_off_ms;
	}
	return e;
}

unsigned tally_count(struct tally *t, uint64_t key, int64_t now_ms)
{
	const struct entry *e = find(t, key, now_ms);
	return e != NULL ? e->count : 0;
}

unsigned tally_add(struct tally *t, uint64_t key, int64_t now_ms)
{
	struct entry *e = find(t, key, now_ms);
	if (e == NULL) {
		if (map_count(t->map) >= t->kept_max)
			forget(t, LIST_MEMBER(t->seen.head.prev, struct entry, in_seen));
		e = NEW(struct entry);
		*e = (struct entry){ .key = key, .since_ms = now_ms };
		link_init(&e->in_seen);
		(void)map_set_u64(t->map, key, e);
	}
	link_remove(&e->in_seen);
	list_add_first(&t->seen, &e->in_seen);
	if (e->count < TALLY_MAX)
		e->count++;
	return e->count;
}

size_t tally_kept(const struct tally *t)
{
	return map_count(t->map);
}
