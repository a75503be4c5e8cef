/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "base/check.h"
#include "role/courier/courier.h"
#include "sys/clock.h"

enum { LOOK_MS = 1000 };

void knock_soon(struct courier *c)
{
	later_set(c->loop, &c->more);
}

/* ---- at a door ---- */

static struct door *door_of(struct courier *c, const struct endpoint *at)
{
	struct buf key;
	buf_init(&key, 256);
	fault f = endpoint_put(&key, at);
	check(f == OK);
	struct door *d = doors_at(&c->doors, buf_view(&key));
	buf_fini(&key);
	return d;
}

static void open_soon(struct courier *c, struct door *d)
{
	if (!link_used(&d->in_opening))
		list_add_last(&c->opening, &d->in_opening);
	knock_soon(c);
}

static void look_soon(struct courier *c)
{
	if (!c->looks)
		timer_set(&c->look, loop_now_ms(c->loop) + LOOK_MS);
	c->looks = true;
}

static void say_shut(const struct door *d, struct str host, int64_t now_ms, struct passing *out)
{
	char until[60] = "another message tries it now", ago[40] = "a moment ago";
	int64_t shut_ms = door_shut_for_ms(d, now_ms);
	if (shut_ms > 0)
		(void)snprintf(until, sizeof until, "is left alone for another %lld s", (long long)(shut_ms + 999) / 1000);
	if (now_ms - d->silent_ms >= 1000)
		(void)snprintf(ago, sizeof ago, "%lld s ago", (long long)(now_ms - d->silent_ms) / 1000);
	out->status = (struct status){ 4, 4, 1 };
	(void)snprintf(out->words, sizeof out->words, "Not connected to %.*s: it did not answer %s, and %s", STR_ARG(str_sub(host, 0, 255)), ago,
	               until);
}

static bool has_waited_long(const struct job *j, int64_t now_ms)
{
	return j->waits && now_ms - j->waits_since_ms >= KNOCK_WAIT_MS;
}

static enum knock wait_at(struct job *j, struct door *d, struct str host, struct passing *why_out)
{
	int64_t now_ms = loop_now_ms(j->courier->loop);
	if (has_waited_long(j, now_ms)) {
		why_out->status = (struct status){ 4, 4, 5 };
		(void)snprintf(why_out->words, sizeof why_out->words,
		               "Not connected to %.*s: others are still connecting to it, and this message has waited %lld s for its turn",
		               STR_ARG(str_sub(host, 0, 255)), (long long)(now_ms - j->waits_since_ms) / 1000);
		return KNOCK_NEVER;
	}
	if (!j->waits)
		j->waits_since_ms = now_ms;
	j->waits = true;
	list_add_last(&d->waiting, &j->in_waiting);
	look_soon(j->courier);
	return KNOCK_LATER;
}

enum knock knock_ask(struct job *j, const struct target *t, struct passing *why_out)
{
	struct courier *c = j->courier;
	struct door *d = door_of(c, &t->at);
	int64_t now_ms = loop_now_ms(c->loop);
	/* Whoever asks how it would be is told how it is. */
	enum door_verdict v = j->purpose == JOB_EXPLAIN ? DOOR_OPEN : door_ask(&c->doors, d, now_ms);
	if (v == DOOR_IS_SHUT) {
		say_shut(d, t->host, now_ms, why_out);
		return KNOCK_NEVER;
	}
	if (v == DOOR_OTHERS)
		return wait_at(j, d, t->host, why_out);
	j->waits = false;
	if (v == DOOR_CROWD) {
		list_add_last(&c->crowd, &j->in_waiting);
		look_soon(c);
		return KNOCK_LATER;
	}
	if (c->n_visits >= COURIER_VISITS_MAX && !list_empty(&c->kept))
		visit_free(LIST_FIRST(&c->kept, struct visit, in_courier));
	if (c->n_visits >= COURIER_VISITS_MAX) {
		list_add_last(&c->waiting, &j->in_waiting);
		return KNOCK_LATER;
	}
	return KNOCK_NOW;
}

void knock_begin(struct visit *v)
{
	struct courier *c = v->courier;
	v->door = door_of(c, &v->at);
	v->knocks = true;
	v->knocks_counted = door_knock(&c->doors, v->door);
	v->knocks_since_ms = loop_now_ms(c->loop);
	list_add_last(&c->knocks, &v->in_knocks);
}

void knock_over(struct visit *v, enum door_end end)
{
	struct courier *c = v->courier;
	if (!v->knocks)
		return;
	v->knocks = false;
	link_remove(&v->in_knocks);
	door_over(&c->doors, v->door, v->knocks_counted, end, v->knocks_since_ms, loop_now_ms(c->loop));
	open_soon(c, v->door);
}

void knock_spare(struct visit *v)
{
	struct door *d = door_of(v->courier, &v->at);
	if (list_empty(&d->waiting))
		return;
	d->spare++;
	open_soon(v->courier, d);
}

/* ---- patience ---- */

/* While others have not had a first connection yet, nobody waits for the silent as long as they may. */
static void hasten(struct courier *c, int64_t now_ms)
{
	LIST_EACH(at, &c->knocks) {
		struct visit *v = LIST_MEMBER(at, struct visit, in_knocks);
		int64_t patience_ms = v->connected ? KNOCK_PATIENCE_MS : KNOCK_HASTE_MS;
		if (v->knocks_counted && now_ms - v->knocks_since_ms >= patience_ms)
			visit_give_up(v, patience_ms);
	}
}

/* True: somebody waits at a door still. */
static bool send_on(struct courier *c, int64_t now_ms)
{
	bool any = false;
	LIST_EACH(at, &c->in_hand) {
		struct job *j = LIST_MEMBER(at, struct job, in_courier);
		bool waits = j->waits && link_used(&j->in_waiting);
		any |= waits;
		if (!waits || !has_waited_long(j, now_ms))
			continue;
		link_remove(&j->in_waiting);
		job_next(j);
	}
	return any;
}

/* Once a second, as long as somebody waits. */
static void look(void *owner)
{
	struct courier *c = owner;
	int64_t now_ms = loop_now_ms(c->loop);
	c->looks = true; /* so that look_soon(), which is called below, sets no other timer */
	if (!list_empty(&c->crowd))
		hasten(c, now_ms);
	c->looks = send_on(c, now_ms) || !list_empty(&c->crowd);
	if (c->looks)
		timer_set(&c->look, now_ms + LOOK_MS);
}

/* ---- going on ---- */

/* Of a list that is not empty. */
static struct job *next_of(struct list *l)
{
	struct job *j = LIST_MEMBER(l->head.next, struct job, in_waiting);
	link_remove(&j->in_waiting);
	return j;
}

/* Each pass takes one away who waits there: he connects, passes by, or waits for something else. */
static void open_doors(struct courier *c)
{
	struct door *d;
	while ((d = LIST_FIRST(&c->opening, struct door, in_opening)) != NULL) {
		while (!list_empty(&d->waiting) &&
		       (d->spare > 0 || door_ask(&c->doors, d, loop_now_ms(c->loop)) != DOOR_OTHERS)) {
			d->spare -= d->spare > 0;
			job_next(next_of(&d->waiting));
		}
		d->spare = 0;
		link_remove(&d->in_opening);
	}
}

static void go_on(void *owner)
{
	struct courier *c = owner;
	open_doors(c);
	while (!list_empty(&c->waiting) && c->n_visits < COURIER_VISITS_MAX)
		job_next(next_of(&c->waiting));
	while (!list_empty(&c->crowd) && c->n_visits < COURIER_VISITS_MAX && c->doors.n_knocks < DOORS_KNOCKS_MAX)
		job_next(next_of(&c->crowd));
	while (!list_empty(&c->unasked) && map_count(c->asks) < KNOCK_ASKS_MAX)
		targets_find(next_of(&c->unasked));
}

/* ---- names ---- */

bool knock_may_look_up(struct job *j)
{
	struct courier *c = j->courier;
	struct endpoint e;
	bool needs_none = j->kind == ROUTE_TO_LMTP && endpoint_parse(j->name, &e) == OK;
	if (needs_none || map_count(c->asks) < KNOCK_ASKS_MAX)
		return true;
	list_add_last(&c->unasked, &j->in_waiting);
	return false;
}

void knock_init(struct courier *c)
{
	doors_init(&c->doors, random_u64());
	struct list *const lists[] = { &c->opening, &c->knocks, &c->waiting, &c->crowd, &c->unasked };
	for (size_t i = 0; i < COUNT(lists); i++)
		list_init(lists[i]);
	later_init(&c->more, go_on, c);
	timer_init(&c->look, c->loop, look, c);
}

void knock_fini(struct courier *c)
{
	later_clear(&c->more);
	timer_clear(&c->look);
	doors_fini(&c->doors);
}
