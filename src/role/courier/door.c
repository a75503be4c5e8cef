/* SPDX-License-Identifier: ISC */
#include "role/courier/door.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void doors_init(struct doors *d, uint64_t secret)
{
	*d = (struct doors){ .by_key = map_new(secret) };
	list_init(&d->by_age);
}

static void door_free(struct doors *d, struct door *one)
{
	check(list_empty(&one->waiting) && one->knocks == 0);
	(void)map_remove(d->by_key, (struct str){ one->key, one->key_n });
	link_remove(&one->by_age);
	link_remove(&one->in_opening);
	free(one);
}

void doors_fini(struct doors *d)
{
	while (!list_empty(&d->by_age))
		door_free(d, LIST_FIRST(&d->by_age, struct door, by_age));
	map_free(&d->by_key);
}

static bool is_idle(const struct door *one)
{
	return one->knocks == 0 && list_empty(&one->waiting) && !link_used(&one->in_opening);
}

static void make_room(struct doors *d)
{
	if (map_count(d->by_key) < DOORS_MAX)
		return;
	LIST_EACH(at, &d->by_age) {
		struct door *one = LIST_MEMBER(at, struct door, by_age);
		if (is_idle(one)) {
			door_free(d, one);
			return;
		}
	}
}

struct door *doors_at(struct doors *d, struct str key)
{
	struct door *one = map_get(d->by_key, key);
	if (one != NULL) {
		link_remove(&one->by_age);
		list_add_last(&d->by_age, &one->by_age);
		return one;
	}
	make_room(d);
	one = must_alloc(sizeof *one + key.n);
	*one = (struct door){ .key_n = key.n };
	memcpy(one->key, key.p, key.n);
	link_init(&one->in_opening);
	list_init(&one->waiting);
	list_add_last(&d->by_age, &one->by_age);
	(void)map_set(d->by_key, (struct str){ one->key, one->key_n }, one);
	return one;
}

int64_t door_shut_for_ms(const struct door *one, int64_t now_ms)
{
	int64_t end_ms = one->silent_ms + DOOR_SHUT_MS;
	return one->silent && end_ms > now_ms ? end_ms - now_ms : 0;
}

enum door_verdict door_ask(const struct doors *d, const struct door *one, int64_t now_ms)
{
	if (door_shut_for_ms(one, now_ms) > 0 || (one->silent && one->knocks > 0))
		return DOOR_IS_SHUT;
	if (one->knocks >= (one->answers ? DOOR_KNOCKS_MAX : 1))
		return DOOR_OTHERS;
	return one->answers || d->n_knocks < DOORS_KNOCKS_MAX ? DOOR_OPEN : DOOR_CROWD;
}

bool door_knock(struct doors *d, struct door *one)
{
	one->knocks++;
	if (one->answers)
		return false;
	d->n_knocks++;
	return true;
}

void door_over(struct doors *d, struct door *one, bool counted, enum door_end end, int64_t from_ms, int64_t now_ms)
{
	check(one->knocks > 0);
	one->knocks--;
	if (counted)
		d->n_knocks--;
	if (end == KNOCK_DROPPED)
		return;
	one->answers = end == KNOCK_ANSWERED;
	one->silent = end == KNOCK_FAILED && now_ms - from_ms >= DOOR_SILENT_MS;
	one->silent_ms = now_ms;
}
