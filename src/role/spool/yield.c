/* SPDX-License-Identifier: ISC */
/*
 * role/spool/yield.c -- who has kept a place for long gives way, while others wait for one.
 *
 * A host that answers each command just in time has an attempt for half an hour, and with as many domains as there are places it
 * would have all of them. So while something that is due waits for a place of that kind, attempts that have kept theirs beyond
 * SPOOL_PATIENCE_MS, the content reckoned at a low rate, are told to give way: the oldest first, and only so many at a
 * time, so that those who wait come in as fast as places may turn over, and no faster.
 *
 * After its content a letter has SPOOL_PATIENCE_END_MS more: whoever hangs up there may leave a second copy with a host that is only
 * slow. It is not hurried there when it has been tried SPOOL_HURRIED_MAX times before.
 */
#include "role/spool/spool.h"

enum { LOOK_MS = 1000, PROBES_WANTED_MS = 15 * 1000 /* those that were put off ask again by then */ };

/* For which of the places does something wait that is due? */
struct wanted { bool new, remote, probes; };

static bool is_wanted(struct spool *s, unsigned lane)
{
	struct store_room room = shape_room(s);
	int64_t due_s;
	if (room.lane_room[lane] > 0)
		return false;
	for (unsigned i = lane; i < STORE_LANES; i++)
		room.lane_room[i] = 1;
	return s->ops->next_due(s->store, &room, &due_s) == OK && due_s <= spool_now_s(s);
}

static struct wanted what_is_wanted(struct spool *s)
{
	if (s->store == NULL || s->draining)
		return (struct wanted){ false, false, false };
	return (struct wanted){ .new = is_wanted(s, LANE_NEW), .remote = is_wanted(s, LANE_REMOTE),
		                .probes = loop_now_ms(s->loop) < s->probes_wanted_until_ms };
}

static bool any(const struct wanted *w)
{
	return w->new || w->remote || w->probes;
}

static bool is_too_long(const struct job *j, int64_t now_ms)
{
	if (j->content_over)
		return now_ms - j->since_ms >= SPOOL_PATIENCE_END_MS && j->n_rcpts > 0 && j->rcpts[0].facts.attempts < SPOOL_HURRIED_MAX;
	return now_ms - j->since_ms >= SPOOL_PATIENCE_MS + (int64_t)(j->offset / SPOOL_PATIENCE_BYTES_PER_MS);
}

/* Has it such a place, and a worker that could give it up? */
static bool is_meant(const struct job *j, const struct wanted *w)
{
	if (j->purpose != JOB_DELIVER || !j->remote || !j->sent || j->over || j->destination == NULL || j->worker->channel == NULL)
		return false;
	enum pace_state state = j->destination->pace.state;
	return w->remote || (w->new && state == PACE_NEW) || (w->probes && state == PACE_RESTING);
}

static void look(void *owner)
{
	struct spool *s = owner;
	struct wanted w = what_is_wanted(s);
	int64_t now_ms = loop_now_ms(s->loop);
	unsigned asked = 0;
	s->looks = any(&w);
	if (!s->looks)
		return;
	LIST_EACH(l, &s->jobs) { /* the oldest first */
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (asked == SPOOL_GIVE_WAY_MAX)
			break;
		if (!is_meant(j, &w) || !is_too_long(j, now_ms))
			continue;
		channel_send(j->worker->channel, WORKER_GIVE_WAY, &(struct worker_give_way){ .job = j->number });
		j->since_ms = now_ms;
		asked++;
	}
	timer_set(&s->crowd, now_ms + LOOK_MS);
}

void yield_probes_wanted(struct spool *s)
{
	s->probes_wanted_until_ms = loop_now_ms(s->loop) + PROBES_WANTED_MS;
}

void yield_watch(struct spool *s)
{
	if (s->looks)
		return;
	struct wanted w = what_is_wanted(s);
	s->looks = any(&w);
	if (s->looks)
		timer_set(&s->crowd, loop_now_ms(s->loop) + LOOK_MS);
}

void yield_init(struct spool *s)
{
	s->probes_wanted_until_ms = INT64_MIN;
	timer_init(&s->crowd, s->loop, look, s);
}

void yield_fini(struct spool *s)
{
	timer_clear(&s->crowd);
}
