/* SPDX-License-Identifier: ISC */
/* store/sqlite_look.c -- reading the queue, and the operator's actions on it. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/match.h"
#include "store/sqlite_inside.h"

enum { OBSERVATIONS_AT_ONCE = 500 };

/* ---- a message and its content ---- */

static bool copy_columns(sqlite3_stmt *st, struct arena *a, struct str *const *to, const int *columns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		*to[i] = arena_try_copy(a, column_str(st, columns[i]));
		if (to[i]->p == NULL)
			return false;
	}
	return true;
}

struct store_message message_in_row(sqlite3_stmt *st, int at)
{
	return (struct store_message){
		.id = column_str(st, at),
		.sender = column_str(st, at + 1),
		.arrived_s = sqlite3_column_int64(st, at + 2),
		.size_bytes = column_u64(st, at + 3),
		.body = sqlite3_column_int(st, at + 4) != 0 ? BODY_8BIT : BODY_7BIT,
		.smtputf8 = sqlite3_column_int(st, at + 5) != 0,
		.ret = (enum dsn_ret)sqlite3_column_int(st, at + 6),
		.envid = column_str(st, at + 7),
		.client = column_str(st, at + 8),
		.helo = column_str(st, at + 9),
		.user = column_str(st, at + 10),
		.with = column_str(st, at + 11),
		.tls = column_str(st, at + 12),
		.tls_tag = (enum tls_tag)sqlite3_column_int(st, at + 13),
	};
}

bool message_show(const struct store_message *from, struct arena *a, struct store_message *out)
{
	*out = *from;
	struct str *const texts[] = { &out->id, &out->sender, &out->envid, &out->client, &out->helo, &out->user, &out->with, &out->tls };
	for (size_t i = 0; i < COUNT(texts); i++) {
		*texts[i] = arena_try_copy(a, *texts[i]);
		if (texts[i]->p == NULL)
			return false;
	}
	return true;
}

fault sqlite_message(struct store *s, struct str id, struct arena *a, struct store_message *out)
{
	const struct in_hand *known = in_hand_find(s, id);
	if (known != NULL)
		return message_show(&known->facts, a, out) ? OK : F_LIMIT;
	sqlite3_stmt *st = sql(s, SQL_MESSAGE);
	bind_str(st, 1, id);
	int rc = st == NULL ? sqlite3_errcode(s->db) : sqlite3_step(st);
	fault f = rc == SQLITE_DONE ? F_ABSENT : sql_fault(s, rc, NULL);
	if (rc == SQLITE_ROW) {
		struct store_message m = message_in_row(st, 0);
		m.damaged = sqlite3_column_int(st, MESSAGE_FACTS_COLUMNS) == 0;
		f = message_show(&m, a, out) ? OK : F_LIMIT;
	}
	sql_done(st);
	return f;
}

/* The record that holds this offset. */
static fault read_at(struct store *s, uint64_t number, struct str extents, uint64_t offset, char *to, size_t room,
                     size_t *n_out)
{
	uint64_t position = 0;
	for (size_t i = 0; i < extents.n / EXTENT_PACKED; i++) {
		struct extent e = extent_at(extents, i);
		if (offset < position + e.length) {
			struct str record;
			TRY(content_log_read(s->log, e, number, position, &record));
			struct str part = str_sub(record, (size_t)(offset - position), room);
			memcpy(to, part.p, part.n);
			*n_out = part.n;
			return OK;
		}
		position += e.length;
	}
	return F_STORE; /* the database says there is more than its list of records */
}

fault sqlite_content(struct store *s, struct str id, uint64_t offset, char *to, size_t room, size_t *n_out)
{
	*n_out = 0;
	const struct in_hand *known = in_hand_find(s, id);
	if (known != NULL && room > 0 && offset < known->facts.size_bytes &&
	    read_at(s, known->number, known->extents, offset, to, room, n_out) == OK)
		return OK;
	sqlite3_stmt *st = sql(s, SQL_CONTENT);
	bind_str(st, 1, id);
	int rc = st == NULL ? sqlite3_errcode(s->db) : sqlite3_step(st);
	fault f = rc == SQLITE_DONE ? F_ABSENT : sql_fault(s, rc, NULL);
	if (rc == SQLITE_ROW && sqlite3_column_int(st, 3) == 0)
		f = F_STORE; /* where its records lie is not known for sure */
	else if (rc == SQLITE_ROW && room > 0 && offset < column_u64(st, 1))
		f = read_at(s, column_u64(st, 0), column_str(st, 2), offset, to, room, n_out);
	sql_done(st);
	return f;
}

/* ---- recipients ---- */

enum rcpt_state state_of(int held)
{
	return held == 0 ? RCPT_QUEUED : held == 1 ? RCPT_HELD : RCPT_DAMAGED;
}

bool row_rcpt(struct store *s, sqlite3_stmt *st, struct arena *a, struct store_rcpt *out)
{
	struct str *const texts[] = { &out->id, &out->address, &out->original, &out->orcpt, &out->key,
		                      &out->last_reply, &out->last_dialogue };
	static const int columns[] = { 1, 2, 3, 4, 6, 10, 11 };
	*out = (struct store_rcpt){
		.number = column_u64(st, 0),
		.notify = (unsigned)sqlite3_column_int(st, 5),
		.state = state_of(sqlite3_column_int(st, 7)),
		.damaged = sqlite3_column_int(st, 13) == 0,
		.attempts = (unsigned)sqlite3_column_int(st, 8),
		.next_s = sqlite3_column_int64(st, 9),
		.delay_warned = sqlite3_column_int(st, 12) != 0,
	};
	if (out->damaged)
		out->state = RCPT_DAMAGED;
	const struct lease *l = lease_find(s, out->number);
	if (l != NULL) {
		out->state = RCPT_LEASED;
		out->fence = l->fence;
		out->lease_until_s = l->until_s;
	}
	return copy_columns(st, a, texts, columns, COUNT(columns));
}

/* An id narrows the walk to its own rows. */
static fault range_of(struct store *s, const struct store_selector *which, uint64_t after_number, uint64_t *from,
                      uint64_t *to)
{
	*from = after_number + 1;
	*to = INT64_MAX;
	if (which->id.n == 0)
		return OK;
	sqlite3_stmt *st = sql(s, SQL_CONTENT);
	bind_str(st, 1, which->id);
	int rc = st == NULL ? sqlite3_errcode(s->db) : sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		uint64_t first = rcpts_from(column_u64(st, 0));
		*from = first > *from ? first : *from;
		*to = rcpts_from(column_u64(st, 0) + 1) - 1;
	} else {
		*to = 0;
	}
	fault f = sql_fault(s, rc, NULL);
	sql_done(st);
	return f;
}

fault walk_begin(struct store *s, const struct store_selector *which, uint64_t after_number, struct walk *out)
{
	uint64_t from, to;
	*out = (struct walk){ NULL, which };
	TRY(range_of(s, which, after_number, &from, &to));
	out->st = sql(s, SQL_WALK);
	bind_u64(out->st, 1, from);
	bind_u64(out->st, 2, to);
	return out->st != NULL ? OK : sql_fault(s, sqlite3_errcode(s->db), NULL);
}

fault walk_next(struct store *s, struct walk *w, uint64_t *rcpt_out)
{
	int rc;
	while ((rc = sqlite3_step(w->st)) == SQLITE_ROW) {
		struct store_message m = { .id = column_str(w->st, 1), .sender = column_str(w->st, 14),
			                   .arrived_s = sqlite3_column_int64(w->st, 15), .user = column_str(w->st, 16) };
		struct store_rcpt r = { .address = column_str(w->st, 2) };
		*rcpt_out = column_u64(w->st, 0);
		if (selector_matches(w->which, &m, &r))
			return OK;
	}
	return rc == SQLITE_DONE ? F_ABSENT : sql_fault(s, rc, NULL);
}

void walk_end(struct walk *w)
{
	sql_done(w->st);
}

fault sqlite_list(struct store *s, const struct store_selector *which, uint64_t after_number, struct arena *a,
                  struct store_rcpt *out, size_t max, size_t *n_out)
{
	struct walk w;
	uint64_t rcpt;
	*n_out = 0;
	fault f = walk_begin(s, which, after_number, &w);
	while (f == OK && *n_out < max && (f = walk_next(s, &w, &rcpt)) == OK) {
		if (!row_rcpt(s, w.st, a, &out[*n_out]))
			break;
		++*n_out;
	}
	walk_end(&w);
	return f == F_ABSENT ? OK : f;
}

/* ---- the operator's actions ---- */

static fault hold(struct store *s, uint64_t rcpt, int64_t next_s)
{
	sqlite3_stmt *st = sql(s, SQL_HOLD);
	bind_u64(st, 1, rcpt);
	bind_s64(st, 2, next_s);
	return sql_run(s, st, NULL);
}

static fault release(struct store *s, uint64_t rcpt, int64_t now_s)
{
	sqlite3_stmt *st = sql(s, SQL_RELEASE);
	bind_u64(st, 1, rcpt);
	bind_s64(st, 2, now_s);
	bind_str(st, 3, STR(STORE_RELEASED));
	after_note(s, STR(STORE_RELEASED), now_s);
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
static fault act_on(struct store *s, const struct store_rcpt *r, enum operator_action action, int64_t now_s,
                    bool *did_out)
{
	bool leased = lease_find(s, r->number) != NULL;
	*did_out = false;
	switch (action) {
	case ACT_RETRY:
		*did_out = r->state == RCPT_QUEUED && !leased;
		break;
	case ACT_HOLD:
		*did_out = r->state == RCPT_QUEUED || (r->state == RCPT_HELD && leased);
		break;
	case ACT_RELEASE:
		*did_out = r->state == RCPT_HELD && !leased;
		if (r->state == RCPT_DAMAGED)
			TRY(message_is_whole(s, r->number, did_out));
		break;
	case ACT_REMOVE:
		*did_out = true;
		return remove_rcpt(s, r->number, NULL);
	}
	if (!*did_out)
		return OK;
	after_end(s, r->number);
	if (action == ACT_HOLD)
		return hold(s, r->number, r->next_s);
	if (action == ACT_RELEASE)
		return release(s, r->number, now_s);
	after_note(s, r->key, now_s);
	return bring_forward(s, r, now_s);
}

/* Rows that match, first; changing a table while walking it is not defined. */
static fault matching(struct store *s, const struct store_selector *which, struct store_rcpt **out, size_t *n_out)
{
	struct walk w;
	size_t cap = 0;
	struct store_rcpt *rows = NULL;
	uint64_t rcpt;
	*n_out = 0;
	fault f = walk_begin(s, which, 0, &w);
	while (f == OK && (f = walk_next(s, &w, &rcpt)) == OK) {
		if (*n_out == cap) {
			cap = cap == 0 ? 64 : cap * 2;
			struct store_rcpt *more = arena_try_alloc(s->scratch, cap * sizeof *more);
			if (more == NULL) {
				f = F_LIMIT;
				break;
			}
			if (*n_out > 0)
				memcpy(more, rows, *n_out * sizeof *more);
			rows = more;
		}
		struct store_rcpt *r = &rows[(*n_out)++];
		r->number = rcpt;
		r->key = arena_try_copy(s->scratch, column_str(w.st, 6));
		r->state = sqlite3_column_int(w.st, 13) == 0 ? RCPT_DAMAGED : state_of(sqlite3_column_int(w.st, 7));
		r->next_s = sqlite3_column_int64(w.st, 9);
		f = r->key.p != NULL ? OK : F_LIMIT;
	}
	walk_end(&w);
	*out = rows;
	return f == F_ABSENT ? OK : f;
}

static fault act_once(struct store *s, const struct store_selector *which, enum operator_action action, int64_t now_s,
                      uint64_t *n_out)
{
	struct store_rcpt *rows;
	size_t n;
	uint64_t done = 0;
	*n_out = 0;
	TRY(transaction_begin(s, NULL));
	fault f = matching(s, which, &rows, &n);
	for (size_t i = 0; i < n && f == OK; i++) {
		bool did = false;
		f = act_on(s, &rows[i], action, now_s, &did);
		done += did;
	}
	f = transaction_end(s, f, NULL);
	*n_out = f == OK ? done : 0;
	return f;
}

fault sqlite_act(struct store *s, const struct store_selector *which, enum operator_action action, int64_t now_s,
                 uint64_t *n_out)
{
	fault f = act_once(s, which, action, now_s, n_out);
	return f == F_BUSY ? act_once(s, which, action, now_s, n_out) : f;
}

fault sqlite_clamp(struct store *s, int64_t now_s, int64_t latest_s, uint64_t *n_out)
{
	*n_out = 0;
	in_hand_forget(s);
	TRY(transaction_begin(s, NULL));
	sqlite3_stmt *st = sql(s, SQL_CLAMP_ARRIVED);
	bind_s64(st, 1, now_s);
	fault f = sql_run(s, st, NULL);
	uint64_t n = 0;
	st = f == OK ? sql(s, SQL_CLAMP_NEXT) : NULL;
	bind_s64(st, 1, now_s);
	bind_s64(st, 2, latest_s);
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	for (; st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW; n++)
		after_note(s, column_str(st, 0), now_s);
	if (f == OK)
		f = sql_rest(s, st, rc, NULL);
	f = transaction_end(s, f, NULL);
	*n_out = f == OK ? n : 0;
	return f;
}

fault sqlite_shift(struct store *s, int64_t by_s)
{
	static const enum sql all[] = { SQL_SHIFT_ARRIVED, SQL_SHIFT_NEXT, SQL_SHIFT_OBSERVED };
	in_hand_forget(s);
	TRY(observations_write(s, NULL));
	TRY(transaction_begin(s, NULL));
	fault f = OK;
	for (size_t i = 0; i < COUNT(all) && f == OK; i++) {
		sqlite3_stmt *st = sql(s, all[i]);
		bind_s64(st, 1, by_s);
		f = sql_run(s, st, NULL);
	}
	TRY(transaction_end(s, f, NULL));
	schedule_ask_all_again(s->schedule);
	return learn_schedule(s, NULL); /* what is noted too early is harmless */
}

/* ---- counts ---- */

fault sqlite_counts(struct store *s, struct store_counts *out)
{
	*out = (struct store_counts){ 0 };
	sqlite3_stmt *st = sql(s, SQL_COUNT_MESSAGES);
	int rc = st == NULL ? sqlite3_errcode(s->db) : sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		out->messages = column_u64(st, 0);
		out->content_bytes = (uint64_t)sqlite3_column_double(st, 1);
	}
	fault f = sql_fault(s, rc, NULL);
	sql_done(st);
	TRY(f);

	st = sql(s, SQL_COUNT_RCPTS);
	rc = st == NULL ? sqlite3_errcode(s->db) : sqlite3_step(st);
	uint64_t all = rc == SQLITE_ROW ? column_u64(st, 0) : 0, queued = rc == SQLITE_ROW ? column_u64(st, 1) : 0;
	out->damaged = rc == SQLITE_ROW ? column_u64(st, 2) : 0;
	f = sql_fault(s, rc, NULL);
	sql_done(st);
	TRY(f);

	out->queued = queued;
	out->held = all - queued - out->damaged;
	LIST_EACH(l, &s->leases_by_end) {
		st = sql(s, SQL_WHEN);
		bind_u64(st, 1, LIST_MEMBER(l, struct lease, in_order)->rcpt);
		if (st != NULL && sqlite3_step(st) == SQLITE_ROW) {
			enum rcpt_state state = state_of(sqlite3_column_int(st, 2));
			out->held -= state == RCPT_HELD;
			out->damaged -= state == RCPT_DAMAGED;
			out->queued -= state == RCPT_QUEUED;
			out->leased++;
		}
		sql_done(st);
	}
	out->disk_bytes = content_log_disk_bytes(s->log);
	return OK;
}

fault sqlite_tally(struct store *s, struct str after_key, struct arena *a, struct store_tally *out, size_t max, size_t *n_out)
{
	sqlite3_stmt *st = sql(s, SQL_TALLY);
	bind_str(st, 1, after_key);
	bind_s64(st, 2, (int64_t)max);
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	fault f = OK;
	*n_out = 0;
	while (f == OK && st != NULL && *n_out < max && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		out[*n_out] = (struct store_tally){ arena_try_copy(a, column_str(st, 0)), column_u64(st, 2), sqlite3_column_int64(st, 1) };
		f = out[*n_out].key.p != NULL ? OK : F_LIMIT;
		*n_out += f == OK;
	}
	if (f == OK)
		f = sql_fault(s, rc, NULL);
	sql_done(st);
	return f;
}

/* ---- observations ---- */

/* They are worth keeping, not worth a flush of their own: they ride with the next commit, or go together when it is quiet. A commit
 * without a flush would be wrong: store/old_log.h takes what lies in front of another commit for flushed. */
struct observation { struct link in_store; struct str key, value; int64_t expires_s; };

void observations_forget(struct store *s)
{
	LIST_EACH(l, &s->observations) {
		struct observation *o = LIST_MEMBER(l, struct observation, in_store);
		link_remove(&o->in_store);
		str_release(&o->key);
		str_release(&o->value);
		free(o);
	}
	s->n_observations = 0;
}

fault observations_put(struct store *s, struct why *why)
{
	fault f = OK;
	LIST_EACH(l, &s->observations) {
		const struct observation *o = LIST_MEMBER(l, struct observation, in_store);
		if (f != OK)
			break;
		sqlite3_stmt *st = sql(s, SQL_REMEMBER);
		bind_str(st, 1, o->key);
		bind_str(st, 2, o->value);
		bind_s64(st, 3, o->expires_s);
		f = sql_run(s, st, why);
	}
	return f;
}

fault observations_write(struct store *s, struct why *why)
{
	if (s->n_observations == 0)
		return OK;
	if (s->failed)
		return F_STORE;
	fault f = transaction_begin(s, why);
	if (f == OK)
		f = transaction_end(s, observations_put(s, why), why);
	if (f == OK)
		observations_forget(s);
	return f;
}

/* The first key that no longer begins so; the prefix is ASCII. */
static fault prefix_end(struct str prefix, char *to, size_t room, struct str *out)
{
	if (prefix.n == 0 || prefix.n > room || (unsigned char)prefix.p[prefix.n - 1] >= 127)
		return F_SYNTAX;
	memcpy(to, prefix.p, prefix.n);
	to[prefix.n - 1]++;
	*out = (struct str){ to, prefix.n };
	return OK;
}

fault sqlite_trim(struct store *s, struct str prefix, uint64_t most, uint64_t bytes_max, uint64_t *gone_out)
{
	char room[64];
	struct str end;
	*gone_out = 0;
	TRY(prefix_end(prefix, room, sizeof room, &end));
	TRY(observations_write(s, NULL));
	sqlite3_stmt *st = sql(s, SQL_TRIM);
	bind_str(st, 1, prefix);
	bind_str(st, 2, end);
	bind_u64(st, 3, most);
	bind_u64(st, 4, bytes_max);
	TRY(sql_run(s, st, NULL));
	*gone_out = (uint64_t)sqlite3_changes(s->db);
	return OK;
}

fault sqlite_remember(struct store *s, struct str key, struct str value, int64_t expires_s)
{
	if (s->failed)
		return F_STORE;
	struct observation *o = NEW(struct observation);
	*o = (struct observation){ .key = str_keep(key), .value = str_keep(value), .expires_s = expires_s };
	list_add_last(&s->observations, &o->in_store);
	if (++s->n_observations < OBSERVATIONS_AT_ONCE)
		return OK;
	fault f = observations_write(s, NULL);
	if (f != OK) /* a disk without room: they do not pile up here instead */
		observations_forget(s);
	return f;
}

/* Tells what the statement finds, and how many that is. */
static fault tell_observations(struct store *s, sqlite3_stmt *st,
                               void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner, size_t *n_out)
{
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	for (; st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW; ++*n_out)
		each(owner, column_str(st, 0), column_str(st, 1), sqlite3_column_int64(st, 2));
	fault f = sql_fault(s, rc, NULL);
	sql_done(st);
	return f;
}

fault sqlite_recall(struct store *s, int64_t now_s, struct arena *a,
                    void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner)
{
	(void)a;
	TRY(observations_write(s, NULL));
	sqlite3_stmt *st = sql(s, SQL_FORGET);
	bind_s64(st, 1, now_s);
	TRY(sql_run(s, st, NULL));
	size_t n = 0;
	return tell_observations(s, sql(s, SQL_RECALL), each, owner, &n);
}

fault sqlite_recall_some(struct store *s, struct str prefix, struct str after, size_t max,
                         void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner, size_t *n_out)
{
	char room[64];
	struct str end;
	*n_out = 0;
	TRY(prefix_end(prefix, room, sizeof room, &end));
	TRY(observations_write(s, NULL));
	sqlite3_stmt *st = sql(s, SQL_RECALL_SOME);
	bind_str(st, 1, after);
	bind_str(st, 2, prefix);
	bind_str(st, 3, end);
	bind_s64(st, 4, (int64_t)max);
	return tell_observations(s, st, each, owner, n_out);
}
