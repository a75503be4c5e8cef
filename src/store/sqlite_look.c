/* SPDX-License-Identifier: ISC */
/* store/sqlite_look.c -- reading the queue: a message, its content, its recipients; counts. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/sqlite_inside.h"

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
	static const int columns[] = { ROW_ID, ROW_ADDRESS, ROW_ORIGINAL, ROW_ORCPT, ROW_DESTINATION, ROW_LAST_REPLY, ROW_LAST_DIALOGUE,
		                       ROW_SENDER };
	*out = (struct store_rcpt){
		.number = column_u64(st, ROW_NUMBER),
		.notify = (unsigned)sqlite3_column_int(st, ROW_NOTIFY),
		.state = state_of(sqlite3_column_int(st, ROW_HELD)),
		.damaged = sqlite3_column_int(st, ROW_IS_WHOLE) == 0,
		.attempts = (unsigned)sqlite3_column_int(st, ROW_ATTEMPTS),
		.next_s = sqlite3_column_int64(st, ROW_NEXT_S),
		.delay_warned = (sqlite3_column_int(st, ROW_DELAY_WARNED) & ONCE_DELAY_WARNED) != 0,
		.released = (sqlite3_column_int(st, ROW_DELAY_WARNED) & ONCE_RELEASED) != 0,
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
