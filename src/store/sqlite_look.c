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
		                      &out->last_reply, &out->last_dialogue, &out->sender };
	static const int columns[] = { 1, 2, 3, 4, 6, 10, 11, 14 };
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

fault state_in_table(struct store *s, uint64_t rcpt, enum rcpt_state *out, struct why *why)
{
	sqlite3_stmt *st = sql(s, SQL_WHEN);
	bind_u64(st, 1, rcpt);
	int rc = st == NULL ? sqlite3_errcode(s->db) : sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*out = state_of(sqlite3_column_int(st, 2));
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	return f;
}

static fault clamp_arrived(struct store *s, int64_t now_s)
{
	if (s->latest_arrived_s <= now_s)
		return OK;
	sqlite3_stmt *st = sql(s, SQL_CLAMP_ARRIVED);
	bind_s64(st, 1, now_s);
	return sql_run(s, st, NULL);
}

static fault clamp_next(struct store *s, int64_t now_s, int64_t latest_s, uint64_t *n_out)
{
	if (s->latest_due_s <= latest_s)
		return OK;
	sqlite3_stmt *st = sql(s, SQL_CLAMP_NEXT);
	bind_s64(st, 1, now_s);
	bind_s64(st, 2, latest_s);
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	for (; st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW; ++*n_out)
		after_note(s, column_str(st, 0), now_s);
	return sql_rest(s, st, rc, NULL);
}

fault sqlite_clamp(struct store *s, int64_t now_s, int64_t latest_s, uint64_t *n_out)
{
	uint64_t n = 0;
	*n_out = 0;
	in_hand_forget(s);
	TRY(transaction_begin(s, NULL));
	fault f = clamp_arrived(s, now_s);
	if (f == OK)
		f = clamp_next(s, now_s, latest_s, &n);
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

static uint64_t at_least_none(int64_t n)
{
	return n < 0 ? 0 : (uint64_t)n;
}

fault sqlite_counts(struct store *s, struct store_counts *out)
{
	struct holding h = s->holding;
	uint64_t leased = 0;
	LIST_EACH(l, &s->leases_by_end) {
		enum rcpt_state was = LIST_MEMBER(l, struct lease, in_order)->was;
		h.queued -= was == RCPT_QUEUED;
		h.held -= was == RCPT_HELD;
		h.damaged -= was == RCPT_DAMAGED;
		leased++;
	}
	*out = (struct store_counts){
		.messages = at_least_none(h.messages), .content_bytes = at_least_none(h.bytes), .queued = at_least_none(h.queued),
		.held = at_least_none(h.held), .damaged = at_least_none(h.damaged), .leased = leased,
		.disk_bytes = content_log_disk_bytes(s->log),
	};
	return s->failed ? F_STORE : OK;
}

fault sqlite_glance(struct store *s, uint64_t after_number, struct arena *a, struct store_glance *out, size_t max, size_t *n_out)
{
	sqlite3_stmt *st = sql(s, SQL_GLANCE);
	bind_u64(st, 1, after_number);
	bind_s64(st, 2, (int64_t)max);
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	fault f = OK;
	*n_out = 0;
	while (f == OK && st != NULL && *n_out < max && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_glance *g = &out[*n_out];
		*g = (struct store_glance){ .number = column_u64(st, 0), .state = state_of(sqlite3_column_int(st, 3)),
			                    .next_s = sqlite3_column_int64(st, 4), .arrived_s = sqlite3_column_int64(st, 5) };
		if (lease_find(s, g->number) != NULL)
			g->state = RCPT_LEASED;
		g->address = arena_try_copy(a, column_str(st, 1));
		g->key = arena_try_copy(a, column_str(st, 2));
		f = g->address.p != NULL && g->key.p != NULL ? OK : F_LIMIT;
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
