/* SPDX-License-Identifier: ISC */
/*
 * store/sqlite_act.c -- finding what an operator names, and doing what he asks for.
 *
 * A domain's recipients are found by the index rcpt_domain, where those are that have been tried. The others are looked for from
 * untried_from on: that is near the end, for what is new is tried soon. Any other selector looks at all rows, without their checksums,
 * a part at a time.
 */
#include <string.h>

#include "base/check.h"
#include "store/match.h"
#include "store/sqlite_inside.h"

enum {
	LOOK_AT_ONCE = 2000,             /* rows that do not match: about a millisecond */
	ACT_AT_ONCE = 500,
	ACT_ARENA_MAX = 64 << 20,
	DOMAIN_MAX = 512,
};

/* ---- finding ---- */

/* One call of list. */
struct walk {
	struct store *store;
	const struct store_selector *which;
	struct store_place *place;
	struct arena *arena;
	struct store_rcpt *out;          /* NULL: it only counts */
	size_t max, n, left;             /* left: rows that may still be looked at; in a walk without bound it is never used up */
};

/* Numbers of what arrives from now on, and of what is arriving, are not below. */
static uint64_t arriving_from(const struct store *s)
{
	const struct store_draft *first = LIST_FIRST(&s->drafts, struct store_draft, in_store);
	return rcpts_from(first != NULL ? first->number : s->next_number);
}

/* An id narrows the walk to its own rows. */
static fault place_begin(struct store *s, const struct store_selector *which, struct store_place *place)
{
	if (place->begun)
		return OK;
	*place = (struct store_place){ .begun = true, .last = rcpts_from(s->next_number) - 1,
		                       .untried_over = which->domain.n == 0 || which->domain.n > DOMAIN_MAX || which->id.n > 0 };
	if (which->id.n == 0)
		return OK;
	sqlite3_stmt *st = sql(s, SQL_CONTENT);
	bind_str(st, 1, which->id);
	int rc = st == NULL ? sqlite3_errcode(s->db) : sqlite3_step(st);
	fault f = sql_fault(s, rc, NULL);
	if (rc == SQLITE_ROW) {
		place->after = rcpts_from(column_u64(st, 0)) - 1;
		place->last = rcpts_from(column_u64(st, 0) + 1) - 1;
	} else {
		place->over = true;
	}
	sql_done(st);
	return f;
}

/* Takes this row. False: there is no room for it. */
static bool take(struct walk *w, sqlite3_stmt *st, fault *f_out)
{
	bool room = w->out == NULL || row_rcpt(w->store, st, w->arena, &w->out[w->n]);
	w->n += room;
	if (!room)
		w->left = 0;
	if (!room && w->n == 0)
		*f_out = F_LIMIT;
	return room;
}

/* If all of the whole row that the statement is at matches. False: there is no room for it. */
static bool take_if_it_matches(struct walk *w, sqlite3_stmt *st, fault *f_out)
{
	struct store_message m = { .id = column_str(st, ROW_ID), .sender = column_str(st, ROW_SENDER),
		                   .arrived_s = sqlite3_column_int64(st, ROW_ARRIVED_S), .user = column_str(st, ROW_USER) };
	struct store_rcpt r = { .address = column_str(st, ROW_ADDRESS) };
	return !selector_matches(w->which, &m, &r) || take(w, st, f_out);
}

/* Reads the whole row of a candidate. */
static bool take_whole(struct walk *w, uint64_t number, fault *f_out)
{
	bool room = true;
	sqlite3_stmt *st = sql(w->store, w->which->unchecked ? SQL_WHOLE_UNCHECKED : SQL_WHOLE);
	bind_u64(st, 1, number);
	int rc = st == NULL ? sqlite3_errcode(w->store->db) : sqlite3_step(st);
	*f_out = sql_fault(w->store, rc, NULL);
	if (rc == SQLITE_ROW)
		room = take_if_it_matches(w, st, f_out);
	sql_done(st);
	return room;
}

/* Steps through candidates until there is no more room, or time, or none of them. take_one: false where there is no room. */
static fault walk_on(struct walk *w, sqlite3_stmt *st, bool (*take_one)(struct walk *w, sqlite3_stmt *st, fault *f_out), bool *end_out)
{
	fault f = OK;
	*end_out = false;
	int rc = st == NULL ? sqlite3_errcode(w->store->db) : SQLITE_OK;
	while (st != NULL && f == OK && w->n < w->max && w->left > 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t number = column_u64(st, 0);
		if (!take_one(w, st, &f))
			break;
		w->place->after = number;
		w->left--;
	}
	*end_out = rc == SQLITE_DONE;
	if (f == OK)
		f = sql_fault(w->store, rc, NULL);
	sql_done(st);
	return f;
}

static sqlite3_stmt *from_place(struct walk *w, enum sql which)
{
	sqlite3_stmt *st = sql(w->store, which);
	bind_u64(st, 1, w->place->after + 1);
	bind_u64(st, 2, w->place->last);
	return st;
}

static bool everything_matches(const struct store_selector *which)
{
	return which->to.n == 0 && which->from.n == 0 && which->user.n == 0 && which->domain.n == 0 && which->arrived_before_s == 0;
}

static bool take_any(struct walk *w, sqlite3_stmt *st, fault *f_out)
{
	struct store_selector rest = *w->which;
	struct store_message m = { .sender = column_str(st, 2), .user = column_str(st, 3), .arrived_s = sqlite3_column_int64(st, 4) };
	struct store_rcpt r = { .address = column_str(st, 1) };
	rest.id = STR_NONE; /* the range sees to it */
	return !selector_matches(&rest, &m, &r) || take_whole(w, column_u64(st, 0), f_out);
}

/* While none is found, the others need not be looked at again. */
static bool take_untried(struct walk *w, sqlite3_stmt *st, fault *f_out)
{
	struct store *s = w->store;
	struct store_selector domain = { .domain = w->which->domain };
	struct store_rcpt r = { .address = column_str(st, 1) };
	uint64_t number = column_u64(st, 0);
	if (sqlite3_column_int64(st, 2) > 0) {
		if (w->place->after + 1 == s->untried_from && number < arriving_from(s))
			s->untried_from = number + 1;
		return true;
	}
	return !selector_matches(&domain, &(struct store_message){ .id = STR_NONE }, &r) || take_whole(w, number, f_out);
}

/* The index alone is asked. */
static bool count_one(struct walk *w, sqlite3_stmt *st, fault *f_out)
{
	(void)st, (void)f_out;
	w->n++;
	return true;
}

static bool domain_alone(const struct store_selector *which)
{
	return which->to.n == 0 && which->from.n == 0 && which->user.n == 0 && which->arrived_before_s == 0;
}

static fault walk_untried(struct walk *w)
{
	struct store *s = w->store;
	bool end;
	if (w->place->after + 1 < s->untried_from)
		w->place->after = s->untried_from - 1;
	TRY(walk_on(w, from_place(w, SQL_SCAN_UNTRIED), take_untried, &end));
	if (end) {
		w->place->untried_over = true;
		w->place->after = 0;
	}
	return OK;
}

static fault walk_domain(struct walk *w)
{
	char lower[DOMAIN_MAX];
	struct str domain = w->which->domain;
	for (size_t i = 0; i < domain.n; i++)
		lower[i] = (char)ascii_lower((unsigned char)domain.p[i]);
	bool counts = w->out == NULL && domain_alone(w->which);
	sqlite3_stmt *st = from_place(w, counts ? SQL_DOMAIN_NUMBERS : w->which->unchecked ? SQL_DOMAIN_UNCHECKED : SQL_DOMAIN);
	bind_str(st, 3, (struct str){ lower, domain.n });
	return walk_on(w, st, counts ? count_one : take_if_it_matches, &w->place->over);
}

static fault list_part(struct walk *w)
{
	const struct store_selector *which = w->which;
	if (!w->place->untried_over)
		return walk_untried(w);
	if (which->domain.n > 0 && which->domain.n <= DOMAIN_MAX && which->id.n == 0)
		return walk_domain(w);
	if (everything_matches(which))
		return walk_on(w, from_place(w, which->unchecked ? SQL_WALK_UNCHECKED : SQL_WALK), take, &w->place->over);
	return walk_on(w, from_place(w, SQL_SCAN), take_any, &w->place->over);
}

fault sqlite_list(struct store *s, const struct store_selector *which, struct store_place *place, struct arena *a,
                  struct store_rcpt *out, size_t max, size_t *n_out)
{
	struct store_place all = { 0 };
	struct walk w = { .store = s, .which = which, .place = place != NULL ? place : &all, .arena = a, .out = out, .max = max,
		          .left = place != NULL ? LOOK_AT_ONCE : SIZE_MAX };
	*n_out = 0;
	fault f = place_begin(s, which, w.place);
	while (f == OK && !w.place->over && w.n < max && w.left > 0)
		f = list_part(&w);
	*n_out = w.n;
	return f;
}

/* ---- doing ---- */

static fault hold(struct store *s, const struct store_rcpt *r, enum rcpt_state was)
{
	sqlite3_stmt *st = sql(s, SQL_HOLD);
	bind_u64(st, 1, r->number);
	bind_s64(st, 2, r->next_s);
	after_change(s, was, RCPT_HELD);
	return sql_run(s, st, NULL);
}

static fault release(struct store *s, const struct store_rcpt *r, enum rcpt_state was, int64_t now_s)
{
	sqlite3_stmt *st = sql(s, SQL_RELEASE);
	bind_u64(st, 1, r->number);
	bind_s64(st, 2, now_s);
	bind_str(st, 3, STR(STORE_RELEASED));
	bind_u64(st, 4, ONCE_RELEASED);
	after_note(s, STR(STORE_RELEASED), now_s);
	after_change(s, was, RCPT_QUEUED);
	return sql_run(s, st, NULL);
}

/* The attempt that an operator asks for is one more than the schedule has: when it fails, it must not cost a step. */
static fault bring_forward(struct store *s, const struct store_rcpt *r, int64_t now_s)
{
	if (r->next_s <= now_s)
		return OK; /* it is due anyway */
	sqlite3_stmt *st = sql(s, SQL_SOONER);
	bind_u64(st, 1, r->number);
	bind_s64(st, 2, now_s);
	return sql_run(s, st, NULL);
}

/* *did_out: the action is for a recipient in this state, and was done. */
static fault act_on_one(struct store *s, const struct store_rcpt *r, enum operator_action action, int64_t now_s,
                        bool *did_out)
{
	const struct lease *lease = lease_find(s, r->number);
	enum rcpt_state was = lease != NULL ? lease->was : r->state, state = r->damaged ? RCPT_DAMAGED : was;
	*did_out = false;
	if (lease == NULL && r->damaged)
		TRY(state_in_table(s, r->number, &was, NULL));
	switch (action) {
	case ACT_RETRY:
		*did_out = state == RCPT_QUEUED && lease == NULL;
		break;
	case ACT_HOLD:
		*did_out = state == RCPT_QUEUED || (state == RCPT_HELD && lease != NULL && !lease->held);
		break;
	case ACT_RELEASE:
		*did_out = state == RCPT_HELD && (lease == NULL || lease->held);
		if (state == RCPT_DAMAGED)
			TRY(message_is_whole(s, r->number, did_out));
		break;
	case ACT_REMOVE:
		*did_out = true;
		return remove_rcpt(s, r->number, was, NULL);
	}
	if (!*did_out)
		return OK;
	if (state == RCPT_DAMAGED)
		after_end(s, r->number);
	else if (lease != NULL)
		after_turn(s, r->number, action == ACT_HOLD);
	if (action == ACT_HOLD)
		return hold(s, r, was);
	if (action == ACT_RELEASE)
		return release(s, r, was, now_s);
	after_note(s, r->key, now_s);
	return bring_forward(s, r, now_s);
}

static fault act_once(struct store *s, const struct store_rcpt *rows, size_t n, enum operator_action action, int64_t now_s, bool *did)
{
	TRY(transaction_begin(s, NULL));
	fault f = OK;
	for (size_t i = 0; i < n && f == OK; i++)
		f = act_on_one(s, &rows[i], action, now_s, &did[i]);
	return transaction_end(s, f, NULL);
}

fault sqlite_act_on(struct store *s, const struct store_rcpt *rows, size_t n, enum operator_action action, int64_t now_s, bool *did)
{
	fault f = act_once(s, rows, n, action, now_s, did);
	return f == F_BUSY ? act_once(s, rows, n, action, now_s, did) : f;
}

fault sqlite_act(struct store *s, const struct store_selector *which, enum operator_action action, int64_t now_s,
                 uint64_t *n_out)
{
	struct store_place place = { 0 };
	struct arena *a = arena_new(ACT_ARENA_MAX);
	bool did[ACT_AT_ONCE];
	fault f = OK;
	*n_out = 0;
	while (f == OK && !place.over) {
		size_t n;
		arena_reset(a);
		struct store_rcpt *rows = ARENA_ARRAY(a, struct store_rcpt, ACT_AT_ONCE);
		f = sqlite_list(s, which, &place, a, rows, ACT_AT_ONCE, &n);
		if (f == OK && n > 0)
			f = sqlite_act_on(s, rows, n, action, now_s, did);
		for (size_t i = 0; f == OK && i < n; i++)
			*n_out += did[i];
	}
	arena_free(&a);
	return f;
}
