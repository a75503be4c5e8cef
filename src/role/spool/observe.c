/* SPDX-License-Identifier: ISC */
#include "role/spool/spool.h"

#include "base/check.h"
#include "policy/remembered.h"
#include "sys/clock.h"

enum {
	HOUR_S = 3600, DAY_S = 24 * HOUR_S,
	SLICE = 200,                     /* observations */
	SLICE_BACKLOG_BYTES = 256 << 10, /* so much that waits to be sent is enough */
	SLICE_REST_MS = 20,
	KEY_ROOM = 512,
};

struct kind {
	struct str prefix;
	enum observer observer;
	size_t key_bytes, value_bytes;
	uint64_t most, bytes;
	int64_t life_s;
};

/* A policy holds a year at most (RFC 8461 3.2), what a domain has shown 30 days, a smaller hello 7 (role/courier/memory.c);
 * when DNSSEC last worked is known for 30 (role/resolver/upstream.h). */
static const struct kind kinds[OBSERVED_KINDS] = {
	{ STR_INIT(REMEMBERED_POLICY), OBSERVER_RESOLVER, KEY_ROOM, 64 << 10, OBSERVED_MAX, OBSERVED_BYTES_MAX, 366 * DAY_S },
	{ STR_INIT(REMEMBERED_DNSSEC), OBSERVER_RESOLVER, 32, 32, 4, 256, 30 * DAY_S + HOUR_S },
	{ STR_INIT(REMEMBERED_SEEN), OBSERVER_COURIER, MEMORY_KEY_MAX, MEMORY_VALUE_MAX, OBSERVED_MAX, OBSERVED_BYTES_MAX, 30 * DAY_S + HOUR_S },
	{ STR_INIT(REMEMBERED_SHAPE), OBSERVER_COURIER, MEMORY_KEY_MAX, MEMORY_VALUE_MAX, OBSERVED_MAX, OBSERVED_BYTES_MAX, 7 * DAY_S + HOUR_S },
};

/* ---- keeping ---- */

static const struct kind *kind_of(enum observer observer, struct str key)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (kinds[i].observer == observer && str_starts(key, kinds[i].prefix))
			return &kinds[i];
	return NULL;
}

/* Once, until it works again: whoever sends much shall not fill the log. */
static void tell_trouble(struct spool *s, fault f)
{
	if (f != OK && !s->observed_trouble)
		log_event(LOG_TROUBLE, LOG_Z("text", "what courier and resolver have learned cannot be kept"), LOG_Z("fault", fault_name(f)));
	s->observed_trouble = f != OK;
}

static fault trim(struct spool *s, const struct kind *k)
{
	struct observed *o = &s->observed[k - kinds];
	uint64_t gone = 0;
	*o = (struct observed){ 0 };
	return s->ops->trim(s->store, k->prefix, k->most, k->bytes, &gone);
}

/* Between two looks at how many there are, so many and so much may come beyond the bounds. */
static fault trim_perhaps(struct spool *s, const struct kind *k, uint64_t bytes)
{
	struct observed *o = &s->observed[k - kinds];
	o->bytes += bytes;
	return ++o->n < OBSERVED_STEP && o->bytes < OBSERVED_STEP_BYTES ? OK : trim(s, k);
}

void observe_keep(struct spool *s, enum observer observer, struct str key, struct str value, int64_t for_s)
{
	const struct kind *k = kind_of(observer, key);
	if (s->store == NULL || k == NULL || key.n > k->key_bytes || value.n > k->value_bytes)
		return;
	int64_t life_s = for_s < 0 ? 0 : for_s > k->life_s ? k->life_s : for_s;
	fault f = s->ops->remember(s->store, key, value, life_s == 0 ? 0 : spool_now_s(s) + life_s);
	if (f == OK)
		f = trim_perhaps(s, k, key.n + value.n);
	tell_trouble(s, f);
}

/* ---- telling ---- */

static struct channel *listener(const struct tour *t)
{
	return t->observer == OBSERVER_COURIER ? t->spool->workers[WORKER_COURIER].channel : t->spool->resolver;
}

struct slice { struct tour *tour; int64_t now_s; bool lost; };

static void tell_one(void *owner, struct str key, struct str value, int64_t expires_s)
{
	struct slice *slice = owner;
	struct tour *t = slice->tour;
	int64_t for_s = expires_s - slice->now_s;
	buf_clear(&t->after);
	slice->lost |= buf_add(&t->after, key) != OK; /* nobody keeps a longer one */
	if (slice->lost || expires_s <= slice->now_s)
		return;
	if (t->observer == OBSERVER_COURIER)
		channel_send(listener(t), WORKER_REMEMBERED,
		             &(struct worker_remembered){ .job = 0, .key = key, .value = value, .for_s = for_s });
	else
		channel_send(listener(t), KEPT_OBSERVATION,
		             &(struct kept_observation){ .key = key, .value = value, .expires_s = clock_wall_s() + for_s });
}

static void all_is_told(struct tour *t)
{
	t->under_way = false;
	t->told = true;
	if (t->observer == OBSERVER_COURIER)
		spool_worker_send_jobs(&t->spool->workers[WORKER_COURIER]);
	else
		channel_send(listener(t), KEPT_OBSERVATION, &(struct kept_observation){ .key = STR_NONE });
}

/* The next of a kind; false: there are no more. */
static bool slice_of(struct tour *t, const struct kind *k)
{
	struct spool *s = t->spool;
	struct slice slice = { .tour = t, .now_s = spool_now_s(s) };
	size_t n = 0;
	char room[KEY_ROOM];
	struct str after = buf_view(&t->after);
	for (size_t i = 0; i < after.n; i++)
		room[i] = after.p[i]; /* it changes meanwhile */
	fault f = s->ops->recall_some(s->store, k->prefix, (struct str){ room, after.n }, SLICE, tell_one, &slice, &n);
	if (f != OK)
		log_event(LOG_TROUBLE, LOG_Z("text", "what courier and resolver have learned could not be read"));
	return f == OK && n == SLICE && !slice.lost;
}

static void go_on(void *owner)
{
	struct tour *t = owner;
	if (t->spool->store == NULL || listener(t) == NULL)
		return; /* tell_all comes again when both are there */
	while (t->kind < COUNT(kinds) && channel_backlog(listener(t)) < SLICE_BACKLOG_BYTES)
		if (kinds[t->kind].observer != t->observer || !slice_of(t, &kinds[t->kind])) {
			t->kind++;
			buf_clear(&t->after);
		}
	if (t->kind == COUNT(kinds))
		all_is_told(t);
	else
		timer_set(&t->timer, loop_now_ms(t->spool->loop) + SLICE_REST_MS);
}

/* As soon as store and link are there, once for each link. */
static void tell_all(struct spool *s, enum observer observer)
{
	struct tour *t = &s->tours[observer];
	if (t->told || t->under_way || s->store == NULL || listener(t) == NULL)
		return;
	t->under_way = true;
	t->kind = 0;
	buf_clear(&t->after);
	go_on(t);
}

void observe_linked(struct spool *s, enum observer observer)
{
	struct tour *t = &s->tours[observer];
	t->told = t->under_way = false;
	timer_clear(&t->timer);
	tell_all(s, observer);
}

/* ---- the store opens, and fails ---- */

void observe_opened(struct spool *s)
{
	fault f = OK;
	for (size_t i = 0; i < COUNT(kinds) && f == OK; i++)
		f = trim(s, &kinds[i]);
	tell_trouble(s, f);
	for (int i = 0; i < OBSERVERS; i++) {
		s->tours[i].under_way = false;
		tell_all(s, (enum observer)i);
	}
}

void observe_init(struct spool *s)
{
	for (int i = 0; i < OBSERVERS; i++) {
		struct tour *t = &s->tours[i];
		t->spool = s;
		t->observer = (enum observer)i;
		buf_init(&t->after, KEY_ROOM);
		timer_init(&t->timer, s->loop, go_on, t);
	}
}

void observe_fini(struct spool *s)
{
	for (int i = 0; i < OBSERVERS; i++) {
		timer_clear(&s->tours[i].timer);
		buf_fini(&s->tours[i].after);
	}
}
