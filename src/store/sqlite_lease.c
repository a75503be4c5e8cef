/* SPDX-License-Identifier: ISC */
/* store/sqlite_lease.c -- who may try what, and when: leases in memory, due times from the database's index. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/portion.h"
#include "store/sqlite_inside.h"

enum { IN_HAND_BYTES_MAX = 1 << 20 };    /* the extents of a message are most of it; where they are more, the database is asked */

struct lease *lease_find(const struct store *s, uint64_t rcpt)
{
	return map_get_u64(s->leases, rcpt);
}

/* ---- messages in hand ---- */

const struct in_hand *in_hand_find(const struct store *s, struct str id)
{
	return map_get(s->in_hand, id);
}

/* The message of the row of SQL_ROW that the statement is at, for one lease more. NULL: there is no room. */
static struct in_hand *in_hand_take(struct store *s, sqlite3_stmt *st)
{
	struct store_message facts = message_in_row(st, ROW_FACTS_AT);
	struct in_hand *m = map_get(s->in_hand, facts.id);
	if (m == NULL) {
		struct arena *a = arena_new(IN_HAND_BYTES_MAX);
		m = ARENA_NEW(a, struct in_hand);
		*m = (struct in_hand){ .number = message_of(column_u64(st, 0)), .arena = a };
		m->extents = arena_try_copy(a, column_str(st, ROW_EXTENTS_AT));
		if (m->extents.p == NULL || !message_show(&facts, a, &m->facts)) {
			arena_free(&a);
			return NULL;
		}
		map_set(s->in_hand, m->facts.id, m);
	}
	m->leases++;
	return m;
}

static void in_hand_leave(struct store *s, struct lease *l)
{
	struct in_hand *m = l->message;
	l->message = NULL;
	if (m == NULL || --m->leases > 0)
		return;
	map_remove(s->in_hand, m->facts.id);
	struct arena *a = m->arena;
	arena_free(&a);
}

void in_hand_forget(struct store *s)
{
	LIST_EACH(l, &s->leases_by_end)
		in_hand_leave(s, LIST_MEMBER(l, struct lease, in_order));
}

/* ---- leases ---- */

void lease_end(struct store *s, uint64_t rcpt)
{
	struct lease *l = map_remove_u64(s->leases, rcpt);
	if (l == NULL)
		return;
	in_hand_leave(s, l);
	link_remove(&l->in_order);
	free(l);
}

/* Kept in the order in which they end; new and renewed ones nearly always end last, those that are given back first. */
static void put_in_order(struct store *s, struct lease *l)
{
	const struct lease *first = LIST_FIRST(&s->leases_by_end, struct lease, in_order);
	struct link *before = first != NULL && l->until_s <= first->until_s ? &s->leases_by_end.head : s->leases_by_end.head.prev;
	while (before != &s->leases_by_end.head && LIST_MEMBER(before, struct lease, in_order)->until_s > l->until_s)
		before = before->prev;
	l->in_order.prev = before;
	l->in_order.next = before->next;
	before->next->prev = &l->in_order;
	before->next = &l->in_order;
}

static struct lease *lease_give(struct store *s, struct store_rcpt *r, int64_t until_s)
{
	struct lease *l = NEW(struct lease);
	*l = (struct lease){ .rcpt = r->number, .fence = ++s->fence, .until_s = until_s, .was = r->state };
	put_in_order(s, l);
	check(map_set_u64(s->leases, l->rcpt, l) == NULL);
	r->state = RCPT_LEASED;
	r->fence = l->fence;
	r->lease_until_s = until_s;
	return l;
}

/* The recipient is queued again: the schedule must know. */
static fault give_back(struct store *s, uint64_t rcpt, struct why *why)
{
	lease_end(s, rcpt);
	sqlite3_stmt *st = sql(s, SQL_WHEN);
	bind_u64(st, 1, rcpt);
	int rc = st == NULL ? sqlite3_errcode(s->db) : sqlite3_step(st);
	if (rc == SQLITE_ROW && sqlite3_column_int(st, 2) == 0)
		schedule_note(s->schedule, column_str(st, 0), sqlite3_column_int64(st, 1));
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	return f;
}

static fault end_old_leases(struct store *s, int64_t now_s, struct why *why)
{
	struct lease *l;
	while ((l = LIST_FIRST(&s->leases_by_end, struct lease, in_order)) != NULL && l->until_s <= now_s)
		TRY(give_back(s, l->rcpt, why));
	return OK;
}

/* What one call of lease() fills. */
struct leasing {
	int64_t now_s, until_s;
	const struct store_room *room;
	unsigned lane_room[STORE_LANES];
	struct arena *arena;
	struct store_rcpt *out;
	size_t max, n;
};

/* A destination taken from the schedule, and how it goes back into it. */
struct put_back {
	struct str key;
	int64_t due_s, not_before_s;
	unsigned lane;
};

/* Leases it. False: it may not be leased, whatever the index said of it, or there is no room for it. */
static bool take_row(struct store *s, struct leasing *g, uint64_t number, fault *f_out, struct why *why)
{
	sqlite3_stmt *st = sql(s, SQL_ROW);
	bind_u64(st, 1, number);
	int rc = st == NULL ? sqlite3_errcode(s->db) : sqlite3_step(st);
	*f_out = sql_fault(s, rc, why);
	bool queued = *f_out == OK && rc == SQLITE_ROW && sqlite3_column_int(st, ROW_HELD) == 0;
	if (queued && !row_rcpt(s, st, g->arena, &g->out[g->n])) {
		g->max = g->n; /* the arena is full */
		queued = false;
	}
	if (queued) {
		struct store_rcpt *r = &g->out[g->n++];
		struct lease *l = lease_give(s, r, g->until_s);
		if (!r->damaged)
			l->message = in_hand_take(s, st);
	}
	sql_done(st);
	return queued;
}

/* There is more at this destination than it gets now. */
static void put_off(const struct leasing *g, const struct portion *p, struct put_back *this)
{
	if (portion_waits_in_lane(p))
		this->lane = p->grant->lane;
	else
		this->not_before_s = portion_not_before(p, g->now_s);
}

/* Leases what is due at one destination, as far as that is granted. Those in hand come first by time, so that the index alone is
 * walked, and a row looked at only when it is taken. *waits_out: perhaps something waits there still. */
static fault lease_destination(struct store *s, struct leasing *g, struct put_back *this, bool *waits_out, struct why *why)
{
	struct store_grant grant = g->room->grant(g->room->owner, this->key);
	check(grant.lane < STORE_LANES);
	struct portion portion = { .grant = &grant, .lane_room = g->lane_room, .rcpts_max = g->room->rcpts_max };
	*waits_out = true;
	if (grant.messages == 0 && grant.overdue_s == 0) {
		put_off(g, &portion, this);
		return OK;
	}
	sqlite3_stmt *st = sql(s, SQL_DUE);
	bind_str(st, 1, this->key);
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	*waits_out = false;
	fault taken = OK;
	while (st != NULL && taken == OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t number = column_u64(st, 0);
		if (lease_find(s, number) != NULL)
			continue;
		this->due_s = sqlite3_column_int64(st, 1);
		*waits_out = this->due_s > g->now_s || g->n == g->max;
		if (!*waits_out && !portion_take(&portion, message_of(number), this->due_s)) {
			*waits_out = true;
			put_off(g, &portion, this);
		}
		if (*waits_out)
			break;
		if (!take_row(s, g, number, &taken, why)) { /* else the index may be damaged */
			*waits_out = g->n == g->max;
			if (*waits_out)
				break;
		}
	}
	fault f = taken == OK ? sql_fault(s, rc, why) : taken;
	sql_done(st);
	return f;
}

/* Destinations that go back into the schedule: where there is no room, or still something to do. */
struct aside { struct put_back *items; size_t n, cap; };

static void put_aside(struct store *s, struct aside *aside, struct str key, int64_t due_s)
{
	aside->items = array_grown(aside->items, aside->n, &aside->cap, sizeof *aside->items);
	aside->items[aside->n++] = (struct put_back){ arena_copy(s->scratch, key), due_s, INT64_MIN, 0 };
}

static void put_back(struct store *s, struct aside *aside)
{
	for (size_t i = 0; i < aside->n; i++) {
		const struct put_back *this = &aside->items[i];
		schedule_put_off(s->schedule, this->key, this->due_s, this->not_before_s, this->lane);
	}
	free(aside->items);
	arena_reset(s->scratch);
}

fault sqlite_lease(struct store *s, int64_t now_s, int64_t lease_s, const struct store_room *room, struct arena *a,
                   struct store_rcpt *out, size_t max, size_t *n_out, struct why *why)
{
	struct leasing g = { .now_s = now_s, .until_s = now_s + lease_s, .room = room, .arena = a, .out = out, .max = max };
	struct aside aside = { 0 };
	struct str key;
	int64_t due_s, at_s;
	memcpy(g.lane_room, room->lane_room, sizeof g.lane_room);
	*n_out = 0;
	if (s->failed)
		return why_say(why, F_STORE, "the queue's storage has failed before; it must be opened again");
	TRY(end_old_leases(s, now_s, why));
	fault f = OK;
	while (f == OK && g.n < g.max && schedule_first(s->schedule, g.lane_room, &at_s) && at_s <= now_s &&
	       schedule_take(s->schedule, g.lane_room, &key, &due_s)) {
		put_aside(s, &aside, key, due_s); /* survives whatever happens below; too early is harmless */
		bool waits = true;
		f = lease_destination(s, &g, &aside.items[aside.n - 1], &waits, why);
		if (f == OK && !waits)
			aside.n--;
	}
	put_back(s, &aside);
	*n_out = g.n;
	return f;
}

fault sqlite_renew(struct store *s, uint64_t rcpt, uint64_t fence, int64_t until_s)
{
	struct lease *l = lease_find(s, rcpt);
	if (l == NULL || l->fence != fence)
		return F_STATE;
	if (l->until_s == until_s)
		return OK; /* its place in the order, too; whoever only asks whether it is his still does so of many */
	l->until_s = until_s;
	link_remove(&l->in_order);
	put_in_order(s, l);
	return OK;
}

bool sqlite_is_held(const struct store *s, uint64_t rcpt)
{
	const struct lease *l = lease_find(s, rcpt);
	return l != NULL && l->held;
}

fault sqlite_claim(struct store *s, int64_t now_s, int64_t lease_s, struct store_rcpt *rows, size_t n, size_t *n_out, struct why *why)
{
	*n_out = 0;
	TRY(end_old_leases(s, now_s, why));
	for (size_t i = 0; i < n; i++) {
		if (rows[i].state == RCPT_LEASED || lease_find(s, rows[i].number) != NULL || rows[i].damaged) /* to whom, and whose it was, is not known for sure */
			continue;
		if (*n_out != i)
			rows[*n_out] = rows[i];
		(void)lease_give(s, &rows[(*n_out)++], now_s + lease_s);
	}
	return OK;
}

fault sqlite_reclaim(struct store *s, struct why *why)
{
	return end_old_leases(s, INT64_MAX, why);
}

fault sqlite_next_due(struct store *s, const struct store_room *room, int64_t *due_s_out)
{
	bool found = schedule_first(s->schedule, room->lane_room, due_s_out);
	const struct lease *first = LIST_FIRST(&s->leases_by_end, struct lease, in_order);
	if (first != NULL && (!found || first->until_s < *due_s_out)) {
		*due_s_out = first->until_s;
		found = true;
	}
	return found ? OK : F_ABSENT;
}

void sqlite_ask_again(struct store *s, struct str key)
{
	schedule_ask_again(s->schedule, key);
}
