/* SPDX-License-Identifier: ISC */
#include "store/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "store/portion.h"
#include "store/store.h"

struct place { size_t at; unsigned lane; int64_t due_s, not_before_s; size_t key_n; char key[]; };

/* The earliest at 0; children of i at 2i+1 and 2i+2. */
struct heap { struct place **places; size_t n, cap; };

struct schedule {
	struct map *places;              /* key -> struct place */
	struct heap lanes[STORE_LANES];
	struct place *taken;             /* what schedule_take gave out last */
};

struct schedule *schedule_new(void)
{
	struct schedule *s = NEW(struct schedule);
	s->places = map_new(0x5ca1ab1e);
	return s;
}

void schedule_free(struct schedule **s)
{
	if (*s == NULL)
		return;
	for (unsigned lane = 0; lane < STORE_LANES; lane++) {
		struct heap *h = &(*s)->lanes[lane];
		for (size_t i = 0; i < h->n; i++)
			free(h->places[i]);
		free(h->places);
	}
	free((*s)->taken);
	map_free(&(*s)->places);
	free(*s);
	*s = NULL;
}

static int64_t time_of(const struct place *p)
{
	return p->due_s > p->not_before_s ? p->due_s : p->not_before_s;
}

static void put_at(struct heap *h, size_t at, struct place *p)
{
	h->places[at] = p;
	p->at = at;
}

static void rise(struct heap *h, struct place *p)
{
	size_t at = p->at;
	while (at > 0 && time_of(h->places[(at - 1) / 2]) > time_of(p)) {
		put_at(h, at, h->places[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put_at(h, at, p);
}

static void sink(struct heap *h, struct place *p)
{
	size_t at = p->at;
	for (;;) {
		size_t child = 2 * at + 1;
		if (child + 1 < h->n && time_of(h->places[child + 1]) < time_of(h->places[child]))
			child++;
		if (child >= h->n || time_of(h->places[child]) >= time_of(p))
			break;
		put_at(h, at, h->places[child]);
		at = child;
	}
	put_at(h, at, p);
}

static void enter(struct schedule *s, struct place *p)
{
	struct heap *h = &s->lanes[p->lane];
	if (h->n == h->cap) {
		h->cap = h->cap == 0 ? 64 : h->cap * 2;
		h->places = must_resize(h->places, h->cap * sizeof(struct place *));
	}
	put_at(h, h->n++, p);
	rise(h, p);
}

static void leave(struct schedule *s, struct place *p)
{
	struct heap *h = &s->lanes[p->lane];
	struct place *last = h->places[--h->n];
	if (last == p)
		return;
	last->at = p->at;
	rise(h, last);
	sink(h, last);
}

static struct place *place_new(struct schedule *s, struct str key, int64_t due_s)
{
	struct place *p = must_alloc(sizeof *p + key.n);
	*p = (struct place){ .due_s = due_s, .not_before_s = INT64_MIN, .key_n = key.n };
	if (key.n > 0)
		memcpy(p->key, key.p, key.n);
	map_set(s->places, key, p);
	return p;
}

void schedule_note(struct schedule *s, struct str key, int64_t due_s)
{
	struct place *p = map_get(s->places, key);
	if (p == NULL) {
		enter(s, place_new(s, key, due_s));
	} else if (due_s < p->due_s) {
		p->due_s = due_s;
		rise(&s->lanes[p->lane], p);
	}
}

void schedule_put_off(struct schedule *s, struct str key, int64_t due_s, int64_t not_before_s, unsigned lane)
{
	check(lane < STORE_LANES);
	struct place *p = map_get(s->places, key);
	if (p == NULL)
		p = place_new(s, key, due_s);
	else
		leave(s, p);
	p->due_s = due_s < p->due_s ? due_s : p->due_s;
	p->not_before_s = not_before_s;
	p->lane = lane;
	enter(s, p);
}

void schedule_ask_again(struct schedule *s, struct str key)
{
	struct place *p = map_get(s->places, key);
	if (p == NULL || (p->lane == 0 && p->not_before_s <= p->due_s))
		return;
	leave(s, p);
	p->not_before_s = INT64_MIN;
	p->lane = 0;
	enter(s, p);
}

void schedule_ask_all_again(struct schedule *s)
{
	for (unsigned lane = 1; lane < STORE_LANES; lane++)
		for (struct heap *h = &s->lanes[lane]; h->n > 0;) {
			struct place *p = h->places[h->n - 1];
			leave(s, p);
			p->lane = 0;
			enter(s, p);
		}
	struct heap *h = &s->lanes[0];
	for (size_t i = 0; i < h->n; i++)
		h->places[i]->not_before_s = INT64_MIN;
	for (size_t i = h->n / 2; i-- > 0;)
		sink(h, h->places[i]);
}

static struct place *first_of(const struct schedule *s, const unsigned *lane_room)
{
	struct place *first = NULL;
	for (unsigned lane = 0; lane < STORE_LANES; lane++) {
		const struct heap *h = &s->lanes[lane];
		if (h->n > 0 && lane_is_open(lane_room, lane) && (first == NULL || time_of(h->places[0]) < time_of(first)))
			first = h->places[0];
	}
	return first;
}

bool schedule_first(const struct schedule *s, const unsigned *lane_room, int64_t *at_s_out)
{
	const struct place *first = first_of(s, lane_room);
	if (first != NULL)
		*at_s_out = time_of(first);
	return first != NULL;
}

bool schedule_take(struct schedule *s, const unsigned *lane_room, struct str *key_out, int64_t *due_s_out)
{
	struct place *first = first_of(s, lane_room);
	if (first == NULL)
		return false;
	leave(s, first);
	*key_out = (struct str){ first->key, first->key_n };
	*due_s_out = first->due_s;
	map_remove(s->places, *key_out);
	free(s->taken);
	s->taken = first;
	return true;
}
