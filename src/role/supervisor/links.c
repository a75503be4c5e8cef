/* SPDX-License-Identifier: ISC */
/* role/supervisor/links.c -- who may speak with whom: the socketpairs between the roles, made anew where one broke. */
#include "role/supervisor/slot.h"

#include "base/check.h"
#include "sys/log.h"
#include "sys/socket.h"

/* A neighbour that merely died is noticed well before, and its successor is linked when it starts. */
enum { RELINK_MS = 1000 };

/* The picture of docs/ARCHITECTURE.md: who may speak with whom. */
static const struct {
	enum ipc_arrow arrow;
	enum role_kind from, to;
} arrows[] = {
	{ ARROW_FRONT_SPOOL, ROLE_FRONT, ROLE_SPOOL },
	{ ARROW_FRONT_KEEPER, ROLE_FRONT, ROLE_KEEPER },
	{ ARROW_FRONT_SIGN, ROLE_FRONT, ROLE_KEEPER },
	{ ARROW_FRONT_RESOLVER, ROLE_FRONT, ROLE_RESOLVER },
	{ ARROW_SPOOL_COURIER, ROLE_SPOOL, ROLE_COURIER },
	{ ARROW_SPOOL_PORTER, ROLE_SPOOL, ROLE_PORTER },
	{ ARROW_COURIER_KEEPER, ROLE_COURIER, ROLE_KEEPER },
	{ ARROW_COURIER_SIGN, ROLE_COURIER, ROLE_KEEPER },
	{ ARROW_COURIER_RESOLVER, ROLE_COURIER, ROLE_RESOLVER },
	{ ARROW_RESOLVER_SPOOL, ROLE_RESOLVER, ROLE_SPOOL },
	{ ARROW_SPOOL_KEEPER, ROLE_SPOOL, ROLE_KEEPER },
};

static bool link_pair(struct slot *a, struct slot *b, enum ipc_arrow arrow)
{
	int pair[2];
	if (socket_pair(pair) != OK)
		return false;
	a->links[arrow][b->instance]++;
	b->links[arrow][a->instance]++;
	channel_send_fd(a->control, TO_ROLE_LINK, &(struct to_role_link){ .arrow = arrow, .instance = b->instance },
	                pair[0]);
	channel_send_fd(b->control, TO_ROLE_LINK, &(struct to_role_link){ .arrow = arrow, .instance = a->instance },
	                pair[1]);
	return true;
}

static bool can_be_linked(const struct slot *s)
{
	return s->running && s->control != NULL;
}

bool link_neighbours(struct slot *s)
{
	struct supervisor *sv = s->sv;
	bool all = true;
	for (size_t i = 0; i < COUNT(arrows); i++) {
		if (arrows[i].from != s->kind && arrows[i].to != s->kind)
			continue;
		for (size_t j = 0; j < sv->n_slots; j++) {
			struct slot *other = &sv->slots[j];
			if (other == s || !can_be_linked(other))
				continue;
			if (arrows[i].from == s->kind && arrows[i].to == other->kind)
				all = link_pair(s, other, arrows[i].arrow) && all;
			else if (arrows[i].to == s->kind && arrows[i].from == other->kind)
				all = link_pair(other, s, arrows[i].arrow) && all;
		}
	}
	return all;
}

/* ---- where both ends live and the link does not ---- */

static struct slot *slot_of(struct supervisor *sv, enum role_kind kind, uint64_t instance)
{
	for (size_t i = 0; i < sv->n_slots; i++)
		if (sv->slots[i].kind == kind && sv->slots[i].instance == instance)
			return &sv->slots[i];
	return NULL;
}

static void relink(void *owner)
{
	struct supervisor *sv = owner;
	size_t kept = 0;
	for (size_t i = 0; i < sv->n_broken; i++) {
		struct broken_link *l = &sv->broken[i];
		/* Other processes than at the report: they have been linked when they started. */
		if (sv->phase == SV_RUNNING && can_be_linked(l->from) && can_be_linked(l->to) && l->from->pid == l->from_pid &&
		    l->to->pid == l->to_pid && l->from->links[l->arrow][l->to->instance] == l->links &&
		    !link_pair(l->from, l->to, l->arrow))
			sv->broken[kept++] = *l; /* no descriptors: in a moment, perhaps */
	}
	sv->n_broken = kept;
	if (kept > 0)
		timer_set(&sv->relink, loop_now_ms(sv->loop) + RELINK_MS);
}

/* The place of this link among those to make again: an older report of it, of processes that are gone, is overwritten. */
static struct broken_link *place_for(struct supervisor *sv, const struct broken_link *link)
{
	for (size_t i = 0; i < sv->n_broken; i++) {
		struct broken_link *l = &sv->broken[i];
		if (l->from == link->from && l->to == link->to && l->arrow == link->arrow)
			return l;
	}
	return sv->n_broken < COUNT(sv->broken) ? &sv->broken[sv->n_broken++] : NULL;
}

void link_broke(struct slot *s, uint64_t arrow, uint64_t instance, uint64_t links)
{
	struct supervisor *sv = s->sv;
	size_t i = 0;
	while (i < COUNT(arrows) && arrows[i].arrow != arrow)
		i++;
	if (i == COUNT(arrows) || sv->phase != SV_RUNNING)
		return;
	bool from = arrows[i].from == s->kind;
	struct slot *other = slot_of(sv, from ? arrows[i].to : arrows[i].from, instance);
	if (other == NULL || (!from && arrows[i].to != s->kind) || !can_be_linked(s) || !can_be_linked(other))
		return;
	struct broken_link l = { .from = from ? s : other, .to = from ? other : s, .arrow = arrows[i].arrow };
	l.from_pid = l.from->pid;
	l.to_pid = l.to->pid;
	l.links = l.from->links[l.arrow][l.to->instance];
	/* Another count than ours: the report is of a link that has been replaced meanwhile. */
	if (links != s->links[l.arrow][other->instance])
		return;
	bool waiting = sv->n_broken > 0;
	struct broken_link *place = place_for(sv, &l);
	if (place == NULL)
		return;
	*place = l;
	if (waiting)
		return;
	timer_init(&sv->relink, sv->loop, relink, sv);
	timer_set(&sv->relink, loop_now_ms(sv->loop) + RELINK_MS);
}
