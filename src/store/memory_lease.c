/* SPDX-License-Identifier: ISC */
/* store/memory_lease.c -- who may try what, and when: the oldest that is due, and all of its message with it. */
#include "store/memory_inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/portion.h"

static void end_old_leases(struct store *s, int64_t now_s)
{
	LIST_EACH(l, &s->messages)
		LIST_EACH(k, &LIST_MEMBER(l, struct message, in_store)->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.state == RCPT_LEASED && r->facts.lease_until_s <= now_s)
				r->facts.state = r->unleased;
		}
}

/* ---- what destinations get ---- */

static struct put_off *put_off_find(struct store *s, struct str key)
{
	LIST_EACH(l, &s->put_off) {
		struct put_off *p = LIST_MEMBER(l, struct put_off, in_store);
		if (str_eq(buf_view(&p->key), key))
			return p;
	}
	return NULL;
}

void memory_ask_again(struct store *s, struct str key)
{
	struct put_off *p = put_off_find(s, key);
	if (p == NULL)
		return;
	link_remove(&p->in_store);
	buf_fini(&p->key);
	free(p);
}

void memory_put_off_nothing(struct store *s)
{
	LIST_EACH(l, &s->put_off)
		memory_ask_again(s, buf_view(&LIST_MEMBER(l, struct put_off, in_store)->key));
}

static void put_off(struct store *s, struct str key, int64_t not_before_s, unsigned lane)
{
	memory_ask_again(s, key);
	struct put_off *p = NEW(struct put_off);
	*p = (struct put_off){ .not_before_s = not_before_s, .lane = lane };
	buf_init(&p->key, key.n);
	check(buf_add(&p->key, key) == OK);
	list_add_last(&s->put_off, &p->in_store);
}

/* When this destination is looked at, if something is due; false: while its lane has no room, never. */
static bool may_ask_at(struct store *s, struct str key, const unsigned *lane_room, int64_t *at_s_out)
{
	const struct put_off *p = put_off_find(s, key);
	*at_s_out = p != NULL ? p->not_before_s : INT64_MIN;
	return p == NULL || lane_is_open(lane_room, p->lane);
}

/* The destinations that have been asked about in this call. */
struct asked { struct str key; struct store_grant grant; struct portion portion; bool full; };

struct leasing {
	struct store *store;
	int64_t now_s;
	const struct store_room *room;
	unsigned lane_room[STORE_LANES];
	struct asked *asked;
	size_t n_asked;
};

static struct asked *asked_find(struct leasing *g, struct str key)
{
	for (size_t i = 0; i < g->n_asked; i++)
		if (str_eq(g->asked[i].key, key))
			return &g->asked[i];
	return NULL;
}

static struct asked *ask(struct leasing *g, struct str key)
{
	g->asked = must_resize(g->asked, (g->n_asked + 1) * sizeof *g->asked);
	struct asked *k = &g->asked[g->n_asked++];
	*k = (struct asked){ .key = key, .grant = g->room->grant(g->room->owner, key) };
	k->portion = (struct portion){ .lane_room = g->lane_room, .rcpts_max = g->room->rcpts_max };
	check(k->grant.lane < STORE_LANES);
	memory_ask_again(g->store, key);
	return k;
}

static bool is_candidate(struct leasing *g, const struct rcpt *r)
{
	int64_t at_s;
	if (r->facts.state != RCPT_QUEUED || r->facts.next_s > g->now_s)
		return false;
	const struct asked *k = asked_find(g, r->facts.key);
	if (k != NULL)
		return !k->full;
	return may_ask_at(g->store, r->facts.key, g->lane_room, &at_s) && at_s <= g->now_s;
}

static struct rcpt *oldest_due(struct leasing *g)
{
	struct rcpt *best = NULL;
	LIST_EACH(l, &g->store->messages)
		LIST_EACH(k, &LIST_MEMBER(l, struct message, in_store)->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if ((best == NULL || r->facts.next_s < best->facts.next_s) && is_candidate(g, r))
				best = r;
		}
	return best;
}

/* False: its destination gets no more. */
static bool is_granted(struct leasing *g, const struct rcpt *r)
{
	struct asked *k = asked_find(g, r->facts.key);
	if (k == NULL)
		k = ask(g, r->facts.key);
	k->portion.grant = &k->grant; /* they may have moved */
	if (portion_take(&k->portion, (uintptr_t)r->message, r->facts.next_s))
		return true;
	k->full = true;
	if (portion_waits_in_lane(&k->portion))
		put_off(g->store, k->key, INT64_MIN, k->grant.lane);
	else
		put_off(g->store, k->key, portion_not_before(&k->portion, g->now_s), 0);
	return false;
}

/* ---- leases ---- */

static bool take_lease(struct store *s, struct rcpt *r, int64_t until_s, struct arena *a, struct store_rcpt *out)
{
	struct store_rcpt before = r->facts;
	r->unleased = r->facts.state;
	r->held = false;
	r->facts.state = RCPT_LEASED;
	r->facts.fence = s->fence + 1;
	r->facts.lease_until_s = until_s;
	if (!rcpt_show(r, a, out)) {
		r->facts = before;
		return false;
	}
	s->fence++;
	return true;
}

/* This one, and what is due of the same message at the same destination. False: no room in the arena. */
static bool lease_group(struct leasing *g, struct rcpt *first, int64_t until_s, struct arena *a, struct store_rcpt *out, size_t max,
                        size_t *n_out)
{
	struct str key = first->facts.key;
	int64_t next_s = first->facts.next_s;
	LIST_EACH(l, &first->message->rcpts) {
		struct rcpt *r = LIST_MEMBER(l, struct rcpt, in_message);
		if (r->facts.state != RCPT_QUEUED || r->facts.next_s != next_s || !str_eq(r->facts.key, key))
			continue;
		if (*n_out == max || !is_granted(g, r))
			break;
		if (!take_lease(g->store, r, until_s, a, &out[*n_out]))
			return false;
		++*n_out;
	}
	return true;
}

fault memory_lease(struct store *s, int64_t now_s, int64_t lease_s, const struct store_room *room,
                          struct arena *a, struct store_rcpt *out, size_t max, size_t *n_out, struct why *why)
{
	(void)why;
	struct leasing g = { .store = s, .now_s = now_s, .room = room };
	memcpy(g.lane_room, room->lane_room, sizeof g.lane_room);
	*n_out = 0;
	end_old_leases(s, now_s);
	struct rcpt *first;
	while (*n_out < max && (first = oldest_due(&g)) != NULL)
		if (!lease_group(&g, first, now_s + lease_s, a, out, max, n_out))
			break;
	free(g.asked);
	return OK;
}

fault memory_renew(struct store *s, uint64_t rcpt, uint64_t fence, int64_t until_s)
{
	struct rcpt *r = rcpt_by_number(s, rcpt);
	if (r == NULL || r->facts.state != RCPT_LEASED || r->facts.fence != fence)
		return F_STATE;
	r->facts.lease_until_s = until_s;
	return OK;
}

bool memory_is_held(const struct store *s, uint64_t rcpt)
{
	const struct rcpt *r = rcpt_by_number(s, rcpt);
	return r != NULL && r->facts.state == RCPT_LEASED && r->held;
}

fault memory_claim(struct store *s, int64_t now_s, int64_t lease_s, struct store_rcpt *rows, size_t n, size_t *n_out, struct why *why)
{
	(void)why;
	*n_out = 0;
	end_old_leases(s, now_s);
	for (size_t i = 0; i < n; i++) {
		struct rcpt *r = rcpt_by_number(s, rows[i].number);
		if (r == NULL || rows[i].state == RCPT_LEASED || r->facts.state == RCPT_LEASED)
			continue;
		r->unleased = r->facts.state;
		r->held = false;
		r->facts.state = RCPT_LEASED;
		r->facts.fence = ++s->fence;
		r->facts.lease_until_s = now_s + lease_s;
		struct store_rcpt *to = &rows[(*n_out)++];
		*to = rows[i];
		to->state = r->facts.state;
		to->fence = r->facts.fence;
		to->lease_until_s = r->facts.lease_until_s;
	}
	return OK;
}

fault memory_reclaim(struct store *s, struct why *why)
{
	(void)why;
	end_old_leases(s, INT64_MAX);
	return OK;
}

fault memory_next_due(struct store *s, const struct store_room *room, int64_t *due_s_out)
{
	bool found = false;
	LIST_EACH(l, &s->messages)
		LIST_EACH(k, &LIST_MEMBER(l, struct message, in_store)->rcpts) {
			const struct store_rcpt *r = &LIST_MEMBER(k, struct rcpt, in_message)->facts;
			int64_t at_s, due_s = r->state == RCPT_LEASED ? r->lease_until_s : r->next_s;
			if (r->state == RCPT_HELD || r->state == RCPT_DAMAGED)
				continue;
			if (r->state == RCPT_QUEUED) {
				if (!may_ask_at(s, r->key, room->lane_room, &at_s))
					continue;
				due_s = at_s > due_s ? at_s : due_s;
			}
			if (!found || due_s < *due_s_out)
				*due_s_out = due_s;
			found = true;
		}
	return found ? OK : F_ABSENT;
}
