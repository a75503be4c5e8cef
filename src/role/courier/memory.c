/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "policy/remembered.h"
#include "role/courier/courier.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	DAY_S = 24 * 60 * 60,
	BEST_S = 30 * DAY_S,       /* so long the best level counts after it was last shown */
	SHAPE_S = 7 * DAY_S,       /* then the full hello is tried again */
	NEWS_S = 60 * 60,          /* the time of the last sight is told this often */
};

static const struct str seen_prefix = STR_INIT(REMEMBERED_SEEN), shape_prefix = STR_INIT(REMEMBERED_SHAPE);

/* Seconds of the steady clock; what the last run saw may lie before its beginning. */
struct seen { int64_t last_s, best_s, told_s, incident_s; enum tls_level best; };
struct shape { int64_t until_s; unsigned shape; };

static int64_t now_steady_s(const struct courier *c)
{
	return loop_now_ms(c->loop) / 1000;
}

/* ---- room ---- */

/* Both begin with the time by which they go. */
static void make_room(struct map *m)
{
	size_t cursor = 0;
	struct str key, oldest = STR_NONE;
	void *value;
	int64_t oldest_s = INT64_MAX;
	if (map_count(m) < COURIER_SEEN_MAX)
		return;
	while (map_each(m, &cursor, &key, &value))
		if (*(const int64_t *)value < oldest_s) {
			oldest_s = *(const int64_t *)value;
			oldest = key;
		}
	struct str copy = str_keep(oldest);
	free(map_remove(m, copy));
	str_release(&copy);
}

/* ---- for the next run ---- */

static void tell(struct courier *c, struct str prefix, struct str name, const char *value, int64_t for_s)
{
	struct buf key;
	buf_init(&key, MEMORY_KEY_MAX);
	fault f = buf_add(&key, prefix);
	if (f == OK)
		f = buf_add(&key, name);
	if (f == OK && c->spool != NULL)
		channel_send(c->spool, FROM_WORKER_REMEMBER,
		             &(struct from_worker_remember){ .job = 0, .key = buf_view(&key), .value = str_of(value), .for_s = for_s });
	buf_fini(&key);
}

static void tell_seen(struct courier *c, struct str domain, struct seen *s)
{
	char value[REMEMBERED_SEEN_MAX];
	int64_t to_wall_s = clock_wall_s() - now_steady_s(c);
	remembered_seen_put(&(struct remembered_seen){ s->best, s->best_s + to_wall_s, s->last_s + to_wall_s }, value);
	tell(c, seen_prefix, domain, value, s->last_s + BEST_S - now_steady_s(c));
	s->told_s = s->last_s;
}

/* ---- domains ---- */

static struct seen *seen_find(const struct courier *c, struct str domain)
{
	return map_get(c->seen, domain);
}

static bool counts_still(const struct seen *s, int64_t now_s)
{
	return s != NULL && now_s - s->best_s < BEST_S;
}

enum tls_level memory_best(const struct courier *c, struct str domain)
{
	const struct seen *s = seen_find(c, domain);
	return counts_still(s, now_steady_s(c)) ? s->best : TLS_NONE;
}

bool memory_seen_lately(const struct courier *c, struct str domain)
{
	const struct seen *s = seen_find(c, domain);
	return s != NULL && now_steady_s(c) - s->last_s < DAY_S;
}

static struct seen *seen_add(struct courier *c, struct str domain)
{
	struct seen *s = seen_find(c, domain);
	if (s != NULL)
		return s;
	make_room(c->seen);
	int64_t never_s = now_steady_s(c) - NEWS_S;
	s = NEW(struct seen);
	*s = (struct seen){ .told_s = never_s, .incident_s = never_s };
	(void)map_set(c->seen, domain, s);
	return s;
}

/* True: the domain has done better before, and nobody was told in the last hour. */
bool memory_saw(struct courier *c, struct str domain, enum tls_level level)
{
	int64_t now_s = now_steady_s(c);
	struct seen *s = seen_find(c, domain);
	bool below = counts_still(s, now_s) && level < s->best;
	bool incident = below && now_s - s->incident_s >= NEWS_S;
	if (incident)
		s->incident_s = now_s;
	if (level < TLS_OPPORTUNISTIC)
		return incident;
	s = seen_add(c, domain);
	bool news = !below && level != s->best;
	s->last_s = now_s;
	if (!below) {
		s->best = level;
		s->best_s = now_s;
	}
	if (news || now_s - s->told_s >= NEWS_S)
		tell_seen(c, domain, s);
	return incident;
}

/* ---- hosts ---- */

unsigned memory_shape(const struct courier *c, struct str host)
{
	const struct shape *s = map_get(c->shapes, host);
	return s != NULL && now_steady_s(c) < s->until_s ? s->shape : 0;
}

static void shape_set(struct courier *c, struct str host, unsigned shape, int64_t for_s)
{
	struct shape *s = map_get(c->shapes, host);
	if (s == NULL) {
		make_room(c->shapes);
		s = NEW(struct shape);
		(void)map_set(c->shapes, host, s);
	}
	*s = (struct shape){ .shape = shape, .until_s = now_steady_s(c) + for_s };
}

void memory_keep_shape(struct courier *c, struct str host, unsigned shape)
{
	char value[24];
	if (shape == memory_shape(c, host))
		return;
	shape_set(c, host, shape, SHAPE_S);
	(void)snprintf(value, sizeof value, "%u", shape);
	tell(c, shape_prefix, host, value, SHAPE_S);
	log_event(LOG_TLS_SHAPE, LOG_S("host", host), LOG_Z("shape", tls_shape_name(shape)));
}

/* ---- from the last run ---- */

static void take_seen(struct courier *c, struct str domain, struct str value, int64_t for_s)
{
	struct remembered_seen then;
	if (!remembered_seen_read(value, &then) || seen_find(c, domain) != NULL)
		return;
	int64_t apart_s = then.last_s > then.best_s ? then.last_s - then.best_s : 0;
	struct seen *s = seen_add(c, domain);
	s->best = then.best;
	s->last_s = s->told_s = now_steady_s(c) - (BEST_S - for_s);
	s->best_s = s->last_s - (apart_s < BEST_S ? apart_s : BEST_S);
}

void memory_take(struct courier *c, const struct worker_remembered *m)
{
	struct str key = m->key;
	uint64_t shape;
	if (m->for_s <= 0)
		return;
	if (str_take(&key, seen_prefix))
		take_seen(c, key, m->value, m->for_s < BEST_S ? m->for_s : BEST_S);
	else if (str_take(&key, shape_prefix) && str_u64(m->value, &shape) && shape < TLS_SHAPES)
		shape_set(c, key, (unsigned)shape, m->for_s < SHAPE_S ? m->for_s : SHAPE_S);
}
