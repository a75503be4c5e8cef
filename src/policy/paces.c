/* SPDX-License-Identifier: ISC */
#include "policy/paces.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void paces_init(struct paces *p, uint64_t seed)
{
	*p = (struct paces){ .by_key = map_new(seed) };
	list_init(&p->idle);
}

struct str destination_key(const struct destination *d)
{
	return (struct str){ d->key, d->key_n };
}

static void forget(struct paces *p, struct destination *d)
{
	map_remove(p->by_key, destination_key(d));
	link_remove(&d->in_order);
	p->n_idle--;
	pace_fini(&d->pace);
	free(d->said);
	free(d);
}

void paces_fini(struct paces *p)
{
	LIST_EACH(l, &p->idle)
		forget(p, LIST_MEMBER(l, struct destination, in_order));
	check(map_count(p->by_key) == 0); /* nothing is in hand */
	map_free(&p->by_key);
}

struct destination *paces_find(const struct paces *p, struct str key)
{
	return map_get(p->by_key, key);
}

/* Forgotten, it would have its rate in full once more: it goes to the end. */
static bool is_kept(struct paces *p, struct destination *d, int64_t now_ms)
{
	if (pace_used(&d->pace, now_ms) == 0)
		return false;
	link_remove(&d->in_order);
	list_add_last(&p->idle, &d->in_order);
	d->used_ms = now_ms;
	return true;
}

static void forget_old(struct paces *p, int64_t now_ms)
{
	struct destination *d;
	unsigned kept = 0;
	while ((d = LIST_FIRST(&p->idle, struct destination, in_order)) != NULL) {
		bool full = p->n_idle > PACES_MAX;
		if (!full && (d->used_ms + PACES_IDLE_MS > now_ms || kept == PACES_KEPT_MAX))
			return;
		if (kept < PACES_KEPT_MAX && is_kept(p, d, now_ms))
			kept++;
		else
			forget(p, d);
	}
}

struct destination *paces_enter(struct paces *p, struct str key, const struct pace_limits *limits, bool host, int64_t now_ms)
{
	struct destination *d = map_get(p->by_key, key);
	if (d == NULL) {
		d = must_alloc(sizeof *d + key.n);
		*d = (struct destination){ .host = host, .key_n = key.n };
		memcpy(d->key, key.p, key.n);
		pace_init(&d->pace, limits);
		map_set(p->by_key, key, d);
	} else if (d->jobs == 0) {
		link_remove(&d->in_order);
		p->n_idle--;
	}
	d->jobs++;
	p->in_hand[d->pace.state] += d->host;
	pace_began(&d->pace, now_ms);
	return d;
}

void paces_leave(struct paces *p, struct destination *d, enum pace_sign sign, int64_t began_ms, int64_t now_ms, int64_t rest_ms_max,
                 uint64_t random)
{
	check(d->jobs > 0);
	p->in_hand[d->pace.state] -= d->host ? d->jobs : 0;
	d->jobs--;
	pace_ended(&d->pace, sign, began_ms, now_ms, rest_ms_max, random);
	p->in_hand[d->pace.state] += d->host ? d->jobs : 0;
	d->used_ms = now_ms;
	if (d->jobs == 0) {
		list_add_last(&p->idle, &d->in_order);
		p->n_idle++;
		forget_old(p, now_ms);
	}
}

size_t paces_resting(const struct paces *p, int64_t now_ms)
{
	size_t cursor = 0, n = 0;
	struct str key;
	void *found;
	while (map_each(p->by_key, &cursor, &key, &found)) {
		const struct pace *pace = &((const struct destination *)found)->pace;
		n += pace->state == PACE_RESTING && pace->not_before_ms > now_ms;
	}
	return n;
}
