/* SPDX-License-Identifier: ISC */
#include "store/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"

struct place { size_t at; int64_t due_s; size_t key_n; char key[]; };

struct schedule {
	struct map *places;              /* key -> struct place */
	struct place **heap;             /* the earliest at 0; children of i at 2i+1 and 2i+2 */
	size_t n, cap;
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
	for (size_t i = 0; i < (*s)->n; i++)
		free((*s)->heap[i]);
	free((*s)->heap);
	free((*s)->taken);
	map_free(&(*s)->places);
	free(*s);
	*s = NULL;
}

static void put_at(struct schedule *s, size_t at, struct place *p)
{
	s->heap[at] = p;
	p->at = at;
}

static void rise(struct schedule *s, struct place *p)
{
	size_t at = p->at;
	while (at > 0 && s->heap[(at - 1) / 2]->due_s > p->due_s) {
		put_at(s, at, s->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put_at(s, at, p);
}

static void sink(struct schedule *s, struct place *p)
{
	size_t at = p->at;
	for (;;) {
		size_t child = 2 * at + 1;
		if (child + 1 < s->n && s->heap[child + 1]->due_s < s->heap[child]->due_s)
			child++;
		if (child >= s->n || s->heap[child]->due_s >= p->due_s)
			break;
		put_at(s, at, s->heap[child]);
		at = child;
	}
	put_at(s, at, p);
}

void schedule_note(struct schedule *s, struct str key, int64_t due_s)
{
	struct place *p = map_get(s->places, key);
	if (p == NULL) {
		p = must_alloc(sizeof *p + key.n);
		p->due_s = due_s;
		p->key_n = key.n;
		if (key.n > 0)
			memcpy(p->key, key.p, key.n);
		if (s->n == s->cap) {
			s->cap = s->cap == 0 ? 64 : s->cap * 2;
			s->heap = must_resize(s->heap, s->cap * sizeof(struct place *));
		}
		put_at(s, s->n++, p);
		map_set(s->places, key, p);
	} else if (due_s >= p->due_s) {
		return;
	}
	p->due_s = due_s;
	rise(s, p);
}

bool schedule_take(struct schedule *s, struct str *key_out, int64_t *due_s_out)
{
	if (s->n == 0)
		return false;
	struct place *first = s->heap[0], *last = s->heap[--s->n];
	if (s->n > 0) {
		last->at = 0;
		sink(s, last);
	}
	*key_out = (struct str){ first->key, first->key_n };
	*due_s_out = first->due_s;
	map_remove(s->places, *key_out);
	free(s->taken);
	s->taken = first;
	return true;
}
