/* SPDX-License-Identifier: ISC */
/* store/memory_lease.c -- who may try what, and when: the oldest that is due, and all of its message with it. */
#include "store/memory_inside.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/match.h"

static void end_old_leases(struct store *s, int64_t now_s)
{
	LIST_EACH(l, &s->messages)
		LIST_EACH(k, &LIST_MEMBER(l, struct message, in_store)->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.state == RCPT_LEASED && r->facts.lease_until_s <= now_s)
				r->facts.state = r->unleased;
		}
}

/* How many messages of each key have been taken in this call, beyond the load that the caller named. */
struct taken { struct str key; unsigned messages; };

static unsigned taken_of(const struct taken *taken, size_t n, struct str key)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(taken[i].key, key))
			return taken[i].messages;
	return 0;
}

static struct rcpt *oldest_due(struct store *s, int64_t now_s, const struct store_room *room,
                               const struct taken *taken, size_t n_taken)
{
	struct rcpt *best = NULL;
	LIST_EACH(l, &s->messages)
		LIST_EACH(k, &LIST_MEMBER(l, struct message, in_store)->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.state == RCPT_QUEUED && r->facts.next_s <= now_s &&
			    (best == NULL || r->facts.next_s < best->facts.next_s) &&
			    room_load(room, r->facts.key) + taken_of(taken, n_taken, r->facts.key) < room->key_max)
				best = r;
		}
	return best;
}

static bool take_lease(struct store *s, struct rcpt *r, int64_t until_s, struct arena *a, struct store_rcpt *out)
{
	struct store_rcpt before = r->facts;
	r->unleased = r->facts.state;
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

fault memory_lease(struct store *s, int64_t now_s, int64_t lease_s, const struct store_room *room,
                          struct arena *a, struct store_rcpt *out, size_t max, size_t *n_out, struct why *why)
{
	(void)why;
	*n_out = 0;
	end_old_leases(s, now_s);
	struct taken *taken = must_alloc(sizeof *taken * (max + 1));
	size_t n_taken = 0;
	bool room_left = true;
	while (*n_out < max && room_left) {
		struct rcpt *first = oldest_due(s, now_s, room, taken, n_taken);
		if (first == NULL)
			break;
		size_t i = 0;
		while (i < n_taken && !str_eq(taken[i].key, first->facts.key))
			i++;
		if (i == n_taken)
			taken[n_taken++].key = first->facts.key;
		taken[i].messages++;
		struct str key = first->facts.key;
		int64_t next_s = first->facts.next_s;
		LIST_EACH(l, &first->message->rcpts) {
			struct rcpt *r = LIST_MEMBER(l, struct rcpt, in_message);
			if (*n_out == max || !room_left)
				break;
			if (r->facts.state != RCPT_QUEUED || r->facts.next_s != next_s || !str_eq(r->facts.key, key))
				continue;
			room_left = take_lease(s, r, now_s + lease_s, a, &out[*n_out]);
			*n_out += room_left;
		}
	}
	free(taken);
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

fault memory_claim(struct store *s, const struct store_selector *which, int64_t now_s, int64_t lease_s,
                          struct arena *a, struct store_rcpt *out, size_t max, size_t *n_out, struct why *why)
{
	(void)why;
	*n_out = 0;
	end_old_leases(s, now_s);
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		LIST_EACH(k, &m->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.state == RCPT_LEASED || !selector_matches(which, &m->facts, &r->facts))
				continue;
			if (*n_out == max || !take_lease(s, r, now_s + lease_s, a, &out[*n_out]))
				return OK;
			++*n_out;
		}
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
			if (r->state == RCPT_HELD || r->state == RCPT_DAMAGED || room_load(room, r->key) >= room->key_max)
				continue;
			int64_t due_s = r->state == RCPT_LEASED ? r->lease_until_s : r->next_s;
			if (!found || due_s < *due_s_out)
				*due_s_out = due_s;
			found = true;
		}
	return found ? OK : F_ABSENT;
}
