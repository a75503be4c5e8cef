/* SPDX-License-Identifier: ISC */
/*
 * role/spool/under_way.c -- an action that is under way: what it names is handed to nobody else until it has come to its end.
 *
 * The walk through a long queue takes its time. What comes due meanwhile is leased as ever, but to the action, which does it first; so
 * nothing is looked at in vain, and nothing has to be found again. When the action ends before its time, those leases end with it, and
 * all is as it was.
 */
#include "role/spool/control_inside.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/match.h"

enum { TAKEN_ARENA_MAX = 64 << 20 };

static bool keeps_from_others(enum control_verb verb)
{
	return verb == CONTROL_HOLD || verb == CONTROL_BOUNCE || verb == CONTROL_REMOVE;
}

/* A letter that was still coming in when the command came, and has been ours since, came later than it. */
static bool came_later(const struct control_session *c, struct str id)
{
	return c->action.late != NULL && map_get(c->action.late, id) != NULL;
}

size_t action_without_late(const struct control_session *c, struct store_rcpt *rows, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (!came_later(c, rows[i].id))
			rows[kept++] = rows[i];
	return kept;
}

void action_saw_commit(struct spool *s, const struct txn *t)
{
	LIST_EACH(l, &s->controls) {
		struct control_session *c = LIST_MEMBER(l, struct control_session, in_spool);
		if (c->phase != ACTING || t->arrival > c->action.arrivals)
			continue;
		if (c->action.late == NULL)
			c->action.late = map_new(0);
		map_set(c->action.late, t->message.id, c);
	}
}

static bool names(const struct control_session *c, const struct store_message *m, const struct store_rcpt *r)
{
	return c->phase == ACTING && keeps_from_others(c->verb) && c->place.begun && r->number <= c->place.last &&
	       selector_matches(&c->which, m, r) && !came_later(c, r->id);
}

static struct control_session *under_way_for(const struct spool *s, const struct store_message *m, const struct store_rcpt *r)
{
	LIST_EACH(l, &s->controls) {
		struct control_session *c = LIST_MEMBER(l, struct control_session, in_spool);
		if (names(c, m, r))
			return c;
	}
	return NULL;
}

bool action_waits_for(const struct spool *s, const struct store_message *m, const struct store_rcpt *r, char *to, size_t room)
{
	static const char *const words[] = { [CONTROL_HOLD] = "held", [CONTROL_BOUNCE] = "returned to its sender", [CONTROL_REMOVE] = "removed" };
	const struct control_session *c = under_way_for(s, m, r);
	if (c != NULL)
		(void)snprintf(to, room, "its turn to be %s: an operator's command is under way", words[c->verb]);
	return c != NULL;
}

/* ---- one after the other ---- */

static bool differ(struct str a, struct str b)
{
	return a.n > 0 && b.n > 0 && !str_eq_nocase(a, b);
}

/* Nothing can be named by both: they say so themselves. */
static bool are_apart(const struct store_selector *a, const struct store_selector *b)
{
	return differ(a->id, b->id) || differ(a->to, b->to) || differ(a->from, b->from) || differ(a->user, b->user) || differ(a->domain, b->domain);
}

static bool undoes(enum control_verb a, enum control_verb b)
{
	return (a == CONTROL_HOLD && b == CONTROL_RELEASE) || (a == CONTROL_RELEASE && b == CONTROL_HOLD);
}

/* Else what the later command has done to one recipient would be undone when the earlier one comes to it. */
bool action_waits(const struct control_session *c)
{
	LIST_EACH(l, &c->spool->controls) {
		const struct control_session *other = LIST_MEMBER(l, struct control_session, in_spool);
		if (other->phase == ACTING && other->request < c->request && undoes(other->verb, c->verb) && !are_apart(&other->which, &c->which))
			return true;
	}
	return false;
}

/* ---- what comes due meanwhile ---- */

static void taken_free(struct spool *s, struct taken *t)
{
	s->n_taken -= t->n;
	arena_free(&t->arena);
	free(t->rows);
	*t = (struct taken){ .n = 0 };
}

bool action_takes(struct spool *s, const struct store_message *m, const struct store_rcpt *r)
{
	struct control_session *c = under_way_for(s, m, r);
	if (c == NULL)
		return false;
	struct taken *t = &c->action.taken;
	if (t->arena == NULL)
		t->arena = arena_new(TAKEN_ARENA_MAX);
	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? SPOOL_LEASE_MAX : t->cap * 2;
		t->rows = must_resize(t->rows, t->cap * sizeof *t->rows);
	}
	if (spool_copy_rcpt(t->arena, &t->rows[t->n], r)) { /* else its lease ends some time, and the walk comes to it before that */
		t->n++;
		s->n_taken++;
	}
	return true;
}

/* A lease that is over is no attempt, and changes nothing. Those that another action has been quicker with are left out. */
static size_t unlease(struct spool *s, struct store_rcpt *rows, size_t n)
{
	size_t kept = 0, none = 0;
	struct why why = { "" };
	int64_t now_s = spool_now_s(s);
	for (size_t i = 0; i < n; i++) {
		s->ops->ask_again(s->store, rows[i].key); /* what it has been given there was used by nobody */
		if (s->ops->renew(s->store, rows[i].number, rows[i].fence, now_s) == OK) {
			rows[kept] = rows[i];
			rows[kept++].state = s->ops->is_held(s->store, rows[i].number) ? RCPT_HELD : RCPT_QUEUED;
		}
	}
	return s->ops->claim(s->store, now_s, 0, NULL, 0, &none, &why) == OK ? kept : 0; /* which ends them */
}

fault action_do_taken(struct control_session *c, fault (*do_it)(struct control_session *c, struct store_rcpt *rows, size_t n))
{
	struct spool *s = c->spool;
	struct taken t = c->action.taken;
	c->action.taken = (struct taken){ .n = 0 }; /* there may be others by the end of it */
	fault f = OK;
	size_t n = unlease(s, t.rows, t.n);
	for (size_t i = 0; i < n && f == OK; i += ACT_LEAST)
		f = do_it(c, &t.rows[i], n - i < ACT_LEAST ? n - i : ACT_LEAST);
	taken_free(s, &t);
	return f;
}

void action_forget_taken(struct spool *s)
{
	LIST_EACH(l, &s->controls)
		taken_free(s, &LIST_MEMBER(l, struct control_session, in_spool)->action.taken);
}

static void give_back(struct spool *s, const struct taken *t)
{
	if (t->n == 0 || s->store == NULL || s->draining)
		return;
	(void)unlease(s, t->rows, t->n);
	spool_turn_soon(s);
}

void action_end(struct control_session *c)
{
	give_back(c->spool, &c->action.taken);
	taken_free(c->spool, &c->action.taken);
	map_free(&c->action.late);
	free(c->action.made_due);
	c->action.made_due = NULL;
	c->action.n_made_due = c->action.made_due_cap = 0;
}

/* ---- what is in hand when it begins ---- */

static bool is_named(const struct control_session *c, const struct job *j)
{
	for (size_t i = 0; i < j->n_rcpts && j->purpose == JOB_DELIVER && !j->over; i++)
		if (spool_rcpt_is_open(&j->rcpts[i]) && names(c, &j->message, &j->rcpts[i].facts))
			return true;
	return false;
}

/* What no worker has yet goes back, and comes due at once: then it is the action's. */
static void take_back_unsent(struct control_session *c)
{
	struct spool *s = c->spool;
	bool any = false;
	LIST_EACH(l, &s->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (j->sent || !is_named(c, j))
			continue;
		spool_job_unlease(j);
		any = true;
	}
	if (any)
		spool_schedule(s);
}

fault action_begin(struct control_session *c)
{
	struct spool *s = c->spool;
	size_t none = 0;
	c->action.begun = true;
	c->action.arrivals = s->arrivals;
	c->action.jobs_last = s->next_job;
	TRY(s->ops->list(s->store, &c->which, &c->place, NULL, NULL, 0, &none));
	take_back_unsent(c);
	return s->store != NULL ? OK : F_STORE;
}

size_t action_in_hand(struct control_session *c, struct store_rcpt *rows, size_t max)
{
	struct spool *s = c->spool;
	size_t n = 0;
	if (c->verb != CONTROL_HOLD && c->verb != CONTROL_REMOVE)
		return 0;
	LIST_EACH(l, &s->jobs) { /* the oldest first */
		const struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (j->number <= c->action.jobs_after || j->purpose != JOB_DELIVER || j->over)
			continue;
		if (j->number > c->action.jobs_last || n + j->n_rcpts > max)
			break;
		for (size_t i = 0; i < j->n_rcpts; i++)
			if (spool_rcpt_is_open(&j->rcpts[i]) && names(c, &j->message, &j->rcpts[i].facts))
				rows[n++] = j->rcpts[i].facts;
		c->action.jobs_after = j->number;
	}
	return n;
}
