/* SPDX-License-Identifier: ISC */
#include "role/spool/by_domain.h"

#include "role/spool/spool.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/check.h"
#include "mail/address.h"
#include "mail/json.h"
#include "sys/clock.h"

enum { ROWS_AT_ONCE = 500, LINES_AT_ONCE = 100, STEPS_AT_ONCE = 20000, SLICE_BYTES = 4 << 20 };

struct line {
	struct str domain, key;          /* key: the destination of something that waits, to see how it is served */
	uint64_t waiting, in_hand, held, damaged;
	int64_t oldest_s, next_s;
};

struct domains_round {
	struct spool *spool;
	struct channel *to;              /* the caller's */
	struct str wanted;               /* the caller's: one domain, or "" */
	size_t most;                     /* lines that are told */
	struct arena *arena, *slice;
	struct map *by_domain;
	uint64_t after;
	bool counted;
	struct line **lines, **sorted;   /* of the same size */
	size_t n, cap, width, at, told;
	uint64_t beyond;                 /* recipients of domains that there was no room for */
};

struct domains_round *domains_begin(struct spool *s, struct channel *to, struct str wanted, bool all)
{
	struct domains_round *r = NEW(struct domains_round);
	*r = (struct domains_round){ .spool = s, .to = to, .wanted = wanted, .most = all ? SIZE_MAX : DOMAINS_TOLD_MAX, .width = 1,
		                     .arena = arena_new(DOMAINS_BYTES_MAX), .slice = arena_new(SLICE_BYTES),
		                     .by_domain = map_new(random_u64()) };
	s->n_domains_rounds++;
	return r;
}

void domains_end(struct domains_round **r)
{
	if (*r == NULL)
		return;
	(*r)->spool->n_domains_rounds--;
	arena_free(&(*r)->arena);
	arena_free(&(*r)->slice);
	map_free(&(*r)->by_domain);
	free((*r)->lines);
	free((*r)->sorted);
	free(*r);
	*r = NULL;
}

/* ---- counting ---- */

static struct str domain_of(struct domains_round *r, struct str address)
{
	struct str domain = address_domain_of(address);
	char *lower = arena_try_alloc(r->slice, domain.n + 1);
	for (size_t i = 0; lower != NULL && i < domain.n; i++)
		lower[i] = (char)ascii_lower((unsigned char)domain.p[i]);
	return lower != NULL ? (struct str){ lower, domain.n } : domain;
}

static struct line *line_new(struct domains_round *r, struct str domain)
{
	struct line *l = r->n < DOMAINS_MAX ? arena_try_alloc(r->arena, sizeof *l) : NULL;
	struct str name = l != NULL ? arena_try_copy(r->arena, domain) : STR_NONE;
	if (name.p == NULL)
		return NULL;
	*l = (struct line){ .domain = name, .oldest_s = INT64_MAX, .next_s = INT64_MAX };
	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 64 : r->cap * 2;
		r->lines = must_resize(r->lines, r->cap * sizeof *r->lines);
	}
	r->lines[r->n++] = l;
	(void)map_set(r->by_domain, name, l);
	return l;
}

/* What a route holds has no destination, and what was released only once it has been in hand. */
static bool is_nowhere(struct str key)
{
	return key.n == 0 || str_eq(key, STR(STORE_RELEASED));
}

/* The destination of what waits for its next time tells most. */
static void note_key(struct domains_round *r, struct line *l, const struct store_glance *g)
{
	bool better = is_nowhere(l->key) || (g->state == RCPT_QUEUED && l->waiting == 0 && !is_nowhere(g->key));
	if (!better || str_eq(g->key, l->key))
		return;
	struct str key = is_nowhere(g->key) && g->state == RCPT_LEASED ? spool_key_in_hand(r->spool, STR_NONE, g->number, g->key) : g->key;
	key = arena_try_copy(r->arena, key);
	l->key = key.p != NULL ? key : l->key;
}

static void count(struct domains_round *r, const struct store_glance *g)
{
	struct str domain = domain_of(r, g->address);
	if (r->wanted.n > 0 && !str_eq_nocase(domain, r->wanted))
		return;
	struct line *l = map_get(r->by_domain, domain);
	if (l == NULL)
		l = line_new(r, domain);
	if (l == NULL) {
		r->beyond++;
		return;
	}
	note_key(r, l, g);
	l->waiting += g->state == RCPT_QUEUED;
	l->in_hand += g->state == RCPT_LEASED;
	l->held += g->state == RCPT_HELD;
	l->damaged += g->state == RCPT_DAMAGED;
	l->oldest_s = g->arrived_s < l->oldest_s ? g->arrived_s : l->oldest_s;
	if (g->state == RCPT_QUEUED && g->next_s < l->next_s)
		l->next_s = g->next_s;
}

static fault count_some(struct domains_round *r)
{
	struct spool *s = r->spool;
	size_t n = 0;
	arena_reset(r->slice);
	struct store_glance *rows = ARENA_ARRAY(r->slice, struct store_glance, ROWS_AT_ONCE);
	fault f = s->ops->glance(s->store, r->after, r->slice, rows, ROWS_AT_ONCE, &n);
	for (size_t i = 0; i < n; i++)
		count(r, &rows[i]);
	if (n > 0)
		r->after = rows[n - 1].number;
	r->counted = n == 0 && f == OK;
	if (r->counted && r->n > 0)
		r->sorted = must_alloc(r->n * sizeof *r->sorted);
	return f == F_LIMIT && n > 0 ? OK : f; /* the slice is full: the rest comes with the next one */
}

/* ---- sorting: runs of `width` become runs twice as long ---- */

static bool comes_first(const struct line *a, const struct line *b)
{
	uint64_t a_all = a->waiting + a->in_hand + a->held, b_all = b->waiting + b->in_hand + b->held;
	return a_all != b_all ? a_all > b_all : str_order(a->domain, b->domain) <= 0;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t merge_two(struct domains_round *r)
{
	size_t i = r->at, middle = least(i + r->width, r->n), end = least(middle + r->width, r->n), j = middle, k = i, from = i;
	while (k < end)
		r->sorted[k++] = j == end || (i < middle && comes_first(r->lines[i], r->lines[j])) ? r->lines[i++] : r->lines[j++];
	r->at = end;
	return end - from;
}

/* True: there is more to do. */
static bool sort_some(struct domains_round *r)
{
	for (size_t steps = 0; r->width < r->n;) {
		if (steps >= STEPS_AT_ONCE)
			return true;
		steps += merge_two(r);
		if (r->at < r->n)
			continue;
		struct line **merged = r->sorted;
		r->sorted = r->lines;
		r->lines = merged;
		r->at = 0;
		r->width *= 2;
	}
	return false;
}

/* ---- telling ---- */

/* Its letters' own time, or that of their destination if that is later. */
static json_t *next_of(const struct line *l, int64_t slowed_until_s)
{
	return l->waiting == 0 ? json_null() : date_as_json(l->next_s > slowed_until_s ? l->next_s : slowed_until_s);
}

static json_t *object_of(struct domains_round *r, const struct line *l)
{
	struct spool *s = r->spool;
	struct shape_view view;
	bool nowhere = is_nowhere(l->key);
	(void)spool_shape_of(s, l->key, &view);
	int64_t slowed_until_s = view.wait_s > 0 ? spool_now_s(s) + view.wait_s : 0;
	json_t *o = json_object();
	json_object_set_new(o, "domain", text_as_json(l->domain));
	json_object_set_new(o, "waiting", json_integer((json_int_t)l->waiting));
	json_object_set_new(o, "in_hand", json_integer((json_int_t)l->in_hand));
	json_object_set_new(o, "held", json_integer((json_int_t)l->held));
	json_object_set_new(o, "damaged", json_integer((json_int_t)l->damaged));
	json_object_set_new(o, "oldest", date_as_json(l->oldest_s));
	json_object_set_new(o, "next_attempt", next_of(l, slowed_until_s));
	json_object_set_new(o, "destination", text_as_json(l->key));
	json_object_set_new(o, "sessions", nowhere ? json_null() : json_integer(view.in_hand));
	json_object_set_new(o, "allowed", nowhere ? json_null() : json_integer(view.allowance));
	json_object_set_new(o, "ceiling", nowhere ? json_null() : json_integer(view.ceiling));
	json_object_set_new(o, "rate", view.rate > 0 ? json_integer((json_int_t)view.rate) : json_null());
	json_object_set_new(o, "rate_seconds", view.rate > 0 ? json_integer(view.rate_s) : json_null());
	json_object_set_new(o, "slowed_until", view.wait_s > 0 ? date_as_json(slowed_until_s) : json_null());
	json_object_set_new(o, "why", text_as_json(str_of(view.why)));
	return o;
}

static bool tell_some(struct domains_round *r)
{
	size_t end = least(r->n, r->most);
	for (size_t i = 0; i < LINES_AT_ONCE && r->told < end && control_takes_more(r->to); i++) {
		json_t *o = object_of(r, r->lines[r->told++]);
		char *line = json_dumps(o, JSON_COMPACT);
		if (line != NULL)
			channel_send(r->to, CONTROL_ROW, &(struct control_row){ .json = str_of(line) });
		free(line);
		json_decref(o);
	}
	return r->told < end;
}

bool domains_some(struct domains_round *r, int *status_out, struct why *last_words)
{
	*status_out = 0;
	if (!r->counted) {
		fault f = count_some(r);
		if (f == OK)
			return true;
		*status_out = 1;
		(void)why_say(last_words, f, "the queue cannot be read");
		return false;
	}
	if (sort_some(r) || tell_some(r))
		return true;
	*status_out = r->n == 0;
	if (r->n == 0)
		(void)why_say(last_words, OK, "%s", r->wanted.n > 0 ? "nothing in the queue matches" : "the queue is empty");
	else if (r->beyond > 0)
		(void)why_say(last_words, OK, "%zu of %zu domains; there was no room to tell those of %llu more recipients apart", r->told, r->n,
		              (unsigned long long)r->beyond);
	else if (r->told < r->n)
		(void)why_say(last_words, OK, "%zu of %zu domains; --all shows the others, too", r->told, r->n);
	return false;
}
