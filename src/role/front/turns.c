/* SPDX-License-Identifier: ISC */
/*
 * role/front/turns.c -- whose turn it is to shake hands.
 *
 * Many handshakes at once cost memory that never comes back, and a signature each: so there are slots. One is taken
 * when the client's hello has come as a whole, so that who connects and is silent takes none, and for a moment only:
 * a client that answers needs no more, and who dawdles goes on without it, as one of the late ones, of which the
 * oldest must go when they are too many. No network holds more than its share of the slots, a small one while many of
 * its handshakes are late. Networks take turns, one that holds no slot first; within one the newest goes first: the old
 * ones are those that a flood left behind.
 */
#include <stdlib.h>

#include "base/check.h"
#include "role/front/front.h"

/* A network with handshakes under way or waiting. */
struct neighbourhood {
	struct link in_front;           /* while somebody waits there, and it has not its share */
	struct list waiting;            /* the newest first */
	size_t slots, late;
	uint64_t key;                   /* as the crowd knows it; 0: of this machine */
};

static struct neighbourhood *neighbourhood_of(struct session *s)
{
	struct front *f = s->front;
	struct neighbourhood *n = map_get_u64(f->neighbourhoods, s->who.network);
	if (n != NULL)
		return n;
	n = NEW(struct neighbourhood);
	link_init(&n->in_front);
	list_init(&n->waiting);
	n->key = s->who.network;
	(void)map_set_u64(f->neighbourhoods, n->key, n);
	return n;
}

static size_t share(const struct neighbourhood *n)
{
	return n->late < SHAKING_NETWORK_MAX ? SHAKING_NETWORK_MAX : SHAKING_NETWORK_MIN;
}

/* Moves it to where it belongs, or forgets it. */
static void arrange(struct front *f, struct neighbourhood *n)
{
	bool wants = !list_empty(&n->waiting) && n->slots < share(n);
	if (!wants)
		link_remove(&n->in_front);
	else if (!link_used(&n->in_front) && n->slots == 0)
		list_add_first(&f->wanting, &n->in_front);
	else if (!link_used(&n->in_front))
		list_add_last(&f->wanting, &n->in_front);
	if (n->slots == 0 && n->late == 0 && list_empty(&n->waiting)) {
		(void)map_remove_u64(f->neighbourhoods, n->key);
		free(n);
	}
}

static void take_slot(struct session *s, struct neighbourhood *n)
{
	s->has_slot = true;
	s->slot_until_ms = loop_now_ms(s->front->loop) + SLOT_MS;
	s->front->shaking++;
	n->slots++;
}

/* The wish of somebody whose hello is whole. True: go on at once. */
bool turn_wish(struct session *s)
{
	struct front *f = s->front;
	struct neighbourhood *n = neighbourhood_of(s);
	if (f->shaking < FRONT_SHAKING_MAX && n->slots < share(n)) {
		take_slot(s, n);
		return true;
	}
	list_add_first(&n->waiting, &s->in_turns);
	arrange(f, n);
	return false;
}

/* A loop, not a recursion: whoever fails at once gives the turn on from here. */
static void give_turns(struct front *f)
{
	struct neighbourhood *n;
	if (f->giving_turns)
		return;
	f->giving_turns = true;
	while (f->shaking < FRONT_SHAKING_MAX && (n = LIST_FIRST(&f->wanting, struct neighbourhood, in_front)) != NULL) {
		struct session *s = LIST_FIRST(&n->waiting, struct session, in_turns);
		check(s != NULL); /* who wants has somebody waiting */
		link_remove(&s->in_turns);
		link_remove(&n->in_front); /* behind the others */
		take_slot(s, n);
		arrange(f, n);
		session_shake(s);
		session_pump(s);
	}
	f->giving_turns = false;
}

static void give_slot_back(struct session *s)
{
	struct neighbourhood *n = neighbourhood_of(s);
	s->has_slot = false;
	s->front->shaking--;
	n->slots--;
	n->late += s->is_late;
	arrange(s->front, n);
}

/* It took too long for its slot. */
void turn_is_late(struct session *s)
{
	struct front *f = s->front;
	if (!s->has_slot)
		return;
	s->is_late = true;
	give_slot_back(s);
	list_add_last(&f->late, &s->in_turns);
	if (++f->n_late > FRONT_LATE_MAX)
		session_too_slow(LIST_FIRST(&f->late, struct session, in_turns));
	give_turns(f);
}

/* Done with shaking hands, in whatever way. */
void turn_over(struct session *s)
{
	struct front *f = s->front;
	bool waits = s->phase == SESSION_WAITS && link_used(&s->in_turns);
	link_remove(&s->in_turns);
	if (s->is_late || waits) {
		struct neighbourhood *n = neighbourhood_of(s);
		f->n_late -= s->is_late;
		n->late -= s->is_late;
		arrange(f, n);
	}
	s->is_late = false;
	if (!s->has_slot)
		return;
	give_slot_back(s);
	give_turns(f);
}
