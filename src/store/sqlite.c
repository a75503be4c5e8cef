/* SPDX-License-Identifier: ISC */
/* store/sqlite.c -- opening, transactions and the group commit; see sqlite_inside.h for the whole. */
#include "store/sqlite_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sys/file.h"
#include "sys/socket.h"

enum {
	FORMAT = 1,                      /* PRAGMA user_version: of the tables and of the content files */
	APPLICATION = 0x53504f51,        /* "SPOQ", what file(1) may say about the database */
	NUMBERS_AT_ONCE = 1 << 20,
	GATHER_BYTES = 16 << 10,         /* smaller appends wait in the draft until there is so much */
	SCRATCH_MAX = 256 << 20,
	MOVE_BYTES = 512 << 10,          /* copied out of sparse segments in one step of tidying */
	MOVE_MESSAGES = 256,
	BUSY_MS = 1000,                  /* for an administrator's sqlite3 that writes */
};

static const char *const statement_texts[SQL_COUNT] = {
#define SQL_TEXT(name, text) [name] = (text),
	SQL_STATEMENTS(SQL_TEXT)
};

/* The columns are named for an administrator: docs/QUEUE.md shows what to ask. */
static const char schema[] =
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO meta VALUES('next-number', 1);"
	"CREATE TABLE message(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, sender TEXT NOT NULL,"
	" arrived_s INTEGER NOT NULL, size_bytes INTEGER NOT NULL, body INTEGER NOT NULL, smtputf8 INTEGER NOT NULL,"
	" ret INTEGER NOT NULL, envid TEXT NOT NULL, client TEXT NOT NULL, helo TEXT NOT NULL, user TEXT NOT NULL,"
	" protocol TEXT NOT NULL, tls TEXT NOT NULL, extents BLOB NOT NULL);"
	"CREATE TABLE rcpt(number INTEGER PRIMARY KEY, address TEXT NOT NULL, original TEXT NOT NULL,"
	" orcpt TEXT NOT NULL, notify INTEGER NOT NULL, destination TEXT NOT NULL, held INTEGER NOT NULL,"
	" attempts INTEGER NOT NULL DEFAULT 0, next_s INTEGER NOT NULL, last_reply TEXT NOT NULL DEFAULT '',"
	" last_dialogue TEXT NOT NULL DEFAULT '', delay_warned INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX rcpt_due ON rcpt(destination, next_s) WHERE held=0;"
	"CREATE TABLE observation(key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_s INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE VIEW queue AS SELECT m.id, m.sender, r.address AS recipient,"
	" CASE r.held WHEN 0 THEN 'queued' ELSE 'held' END AS state, r.attempts,"
	" datetime(r.next_s,'unixepoch') AS next_attempt, datetime(m.arrived_s,'unixepoch') AS arrived,"
	" r.destination, r.last_reply, m.size_bytes AS size FROM rcpt r JOIN message m ON m.number=r.number>>20;";

/* ---- statements ---- */

fault sql_fault(struct store *s, int rc, struct why *why)
{
	const char *text = s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc);
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return OK;
	case SQLITE_FULL:
		return why_say(why, F_LIMIT, "no room on the disk for the queue's database");
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return why_say(why, F_BUSY, "the queue's database is locked by another program");
	default:
		s->failed = true;
		return why_say(why, F_STORE, "the queue's database failed: %s", text);
	}
}

sqlite3_stmt *sql(struct store *s, enum sql which)
{
	if (s->statements[which] == NULL &&
	    sqlite3_prepare_v3(s->db, statement_texts[which], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[which],
	                       NULL) != SQLITE_OK)
		return NULL;
	return s->statements[which];
}

void sql_done(sqlite3_stmt *st)
{
	if (st == NULL)
		return;
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
}

fault sql_run(struct store *s, sqlite3_stmt *st, struct why *why)
{
	if (st == NULL)
		return sql_fault(s, sqlite3_errcode(s->db), why);
	int rc;
	do
		rc = sqlite3_step(st);
	while (rc == SQLITE_ROW);
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	return f;
}

fault sql_simple(struct store *s, enum sql which, struct why *why)
{
	return sql_run(s, sql(s, which), why);
}

void bind_str(sqlite3_stmt *st, int at, struct str text)
{
	if (st != NULL)
		sqlite3_bind_text(st, at, text.p != NULL ? text.p : "", (int)text.n, SQLITE_STATIC);
}

void bind_s64(sqlite3_stmt *st, int at, int64_t v)
{
	if (st != NULL)
		sqlite3_bind_int64(st, at, v);
}

void bind_u64(sqlite3_stmt *st, int at, uint64_t v)
{
	bind_s64(st, at, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

struct str column_str(sqlite3_stmt *st, int at)
{
	const void *p = sqlite3_column_blob(st, at);
	return (struct str){ p, (size_t)sqlite3_column_bytes(st, at) };
}

uint64_t column_u64(sqlite3_stmt *st, int at)
{
	int64_t v = sqlite3_column_int64(st, at);
	return v < 0 ? 0 : (uint64_t)v;
}

/* ---- extents ---- */

void extent_pack(struct buf *to, struct extent e)
{
	const uint32_t parts[] = { e.segment, e.offset, e.length };
	char *p = buf_reserve(to, EXTENT_PACKED);
	check(p != NULL);
	for (size_t i = 0; i < EXTENT_PACKED; i++)
		p[i] = (char)(parts[i / 4] >> (8 * (i % 4)) & 0xff);
	buf_filled(to, EXTENT_PACKED);
}

struct extent extent_at(struct str packed, size_t i)
{
	uint32_t parts[3] = { 0 };
	const unsigned char *p = (const unsigned char *)packed.p + i * EXTENT_PACKED;
	for (size_t k = 0; k < EXTENT_PACKED; k++)
		parts[k / 4] |= (uint32_t)p[k] << (8 * (k % 4));
	return (struct extent){ parts[0], parts[1], parts[2] };
}

static void release_all(struct store *s, struct str extents)
{
	for (size_t i = 0; i < extents.n / EXTENT_PACKED; i++)
		content_log_release(s->log, extent_at(extents, i));
}

/* ---- transactions ---- */

static void *grown(void *items, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return items;
	*cap = *cap == 0 ? 64 : *cap * 2;
	return must_resize(items, *cap * size);
}

void after_release(struct store *s, struct str extents)
{
	struct released *r = &s->after.released;
	for (size_t i = 0; i < extents.n / EXTENT_PACKED; i++) {
		r->items = grown(r->items, r->n, &r->cap, sizeof *r->items);
		r->items[r->n++] = extent_at(extents, i);
	}
}

void after_end(struct store *s, uint64_t rcpt)
{
	struct ended *e = &s->after.ended;
	struct lease *lease = lease_find(s, rcpt);
	if (lease != NULL)
		lease->ending = true;
	e->items = grown(e->items, e->n, &e->cap, sizeof *e->items);
	e->items[e->n++] = rcpt;
}

void after_note(struct store *s, struct str key, int64_t due_s)
{
	struct noted *n = &s->after.noted;
	n->items = grown(n->items, n->n, &n->cap, sizeof *n->items);
	n->items[n->n++] = (struct note){ arena_copy(s->scratch, key), due_s };
}

static void after_clear(struct store *s)
{
	s->after.released.n = s->after.ended.n = s->after.noted.n = 0;
	arena_reset(s->scratch);
}

fault transaction_begin(struct store *s, struct why *why)
{
	if (s->failed)
		return why_say(why, F_STORE, "the queue's storage has failed before; it must be opened again");
	after_clear(s);
	return sql_simple(s, SQL_BEGIN, why);
}

/* Numbers below reserved_to are ours: the next block is taken along well before it is needed. */
static fault reserve_numbers(struct store *s, struct why *why, uint64_t *to_out)
{
	*to_out = s->reserved_to;
	if (s->reserved_to - s->next_number > NUMBERS_AT_ONCE / 2)
		return OK;
	*to_out = s->reserved_to + NUMBERS_AT_ONCE;
	sqlite3_stmt *st = sql(s, SQL_RESERVE);
	bind_u64(st, 1, *to_out);
	return sql_run(s, st, why);
}

fault transaction_end(struct store *s, fault f, struct why *why)
{
	uint64_t reserved_to;
	if (f == OK)
		f = reserve_numbers(s, why, &reserved_to);
	if (f == OK)
		f = sql_simple(s, SQL_COMMIT, why);
	if (f != OK) {
		if (!sqlite3_get_autocommit(s->db))
			(void)sql_simple(s, SQL_ROLLBACK, NULL);
		for (size_t i = 0; i < s->after.ended.n; i++) {
			struct lease *lease = lease_find(s, s->after.ended.items[i]);
			if (lease != NULL)
				lease->ending = false;
		}
		after_clear(s);
		return f;
	}
	s->reserved_to = reserved_to;
	for (size_t i = 0; i < s->after.released.n; i++)
		content_log_release(s->log, s->after.released.items[i]);
	for (size_t i = 0; i < s->after.ended.n; i++)
		lease_end(s, s->after.ended.items[i]);
	for (size_t i = 0; i < s->after.noted.n; i++)
		schedule_note(s->schedule, s->after.noted.items[i].key, s->after.noted.items[i].due_s);
	after_clear(s);
	return OK;
}

fault remove_rcpt(struct store *s, uint64_t rcpt, struct why *why)
{
	sqlite3_stmt *st = sql(s, SQL_REMOVE_RCPT);
	bind_u64(st, 1, rcpt);
	TRY(sql_run(s, st, why));
	after_end(s, rcpt);

	uint64_t message = message_of(rcpt);
	st = sql(s, SQL_HAS_RCPTS);
	bind_u64(st, 1, rcpts_from(message));
	bind_u64(st, 2, rcpts_from(message + 1) - 1);
	int rc = st != NULL ? sqlite3_step(st) : sqlite3_errcode(s->db);
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	if (f != OK || rc == SQLITE_ROW)
		return f;

	st = sql(s, SQL_REMOVE_MESSAGE);
	bind_u64(st, 1, message);
	if (st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW)
		after_release(s, column_str(st, 0));
	return sql_run(s, st, why);
}

/* ---- drafts ---- */

static fault take_number(struct store *s, uint64_t *out)
{
	if (s->next_number == s->reserved_to) {
		TRY(transaction_begin(s, NULL));
		TRY(transaction_end(s, OK, NULL));
	}
	*out = s->next_number++;
	return OK;
}

static fault sqlite_draft_new(struct store *s, struct store_draft **out)
{
	uint64_t number;
	if (s->failed)
		return F_STORE;
	TRY(take_number(s, &number));
	struct store_draft *d = NEW(struct store_draft);
	d->number = number;
	buf_init(&d->pending, GATHER_BYTES);
	buf_init(&d->extents, 64 << 20);
	list_add_last(&s->drafts, &d->in_store);
	*out = d;
	return OK;
}

/* The pending bytes and the first of *rest become a record. */
static fault draft_record(struct store *s, struct store_draft *d, struct str *rest)
{
	struct str first = buf_view(&d->pending);
	struct str more = str_sub(*rest, 0, RECORD_BYTES_MAX - first.n);
	struct extent e;
	if (buf_room(&d->extents) < EXTENT_PACKED)
		return F_LIMIT;
	fault f = content_log_append(s->log, d->number, d->bytes, first, more, &e);
	if (f == F_STORE)
		s->failed = true;
	TRY(f);
	extent_pack(&d->extents, e);
	d->bytes += e.length;
	buf_clear(&d->pending);
	*rest = str_from(*rest, more.n);
	return OK;
}

static fault sqlite_draft_append(struct store *s, struct store_draft *d, struct str bytes)
{
	if (d->broken == OK && s->failed)
		d->broken = F_STORE;
	while (d->broken == OK && buf_view(&d->pending).n + bytes.n >= GATHER_BYTES)
		d->broken = draft_record(s, d, &bytes);
	if (d->broken == OK && bytes.n > 0)
		d->broken = buf_add(&d->pending, bytes);
	return d->broken;
}

static void draft_free(struct store_draft **d)
{
	link_remove(&(*d)->in_store);
	buf_fini(&(*d)->pending);
	buf_fini(&(*d)->extents);
	free(*d);
	*d = NULL;
}

static void sqlite_draft_drop(struct store *s, struct store_draft **d)
{
	if (*d == NULL)
		return;
	release_all(s, buf_view(&(*d)->extents));
	draft_free(d);
}

/* ---- the group commit ---- */

static fault content_is_written(struct store *s, const struct store_draft *d)
{
	struct str extents = buf_view(&d->extents);
	for (size_t i = 0; i < extents.n / EXTENT_PACKED; i++)
		if (!content_log_holds(s->log, extent_at(extents, i)))
			return F_LIMIT;
	return OK;
}

/* One write and one flush for all of them. Fills in each result. */
static fault contents_durable(struct store *s, struct store_commit *commits, size_t n, struct why *why)
{
	if (n == 0)
		return OK;
	for (size_t i = 0; i < n; i++) {
		struct store_commit *c = &commits[i];
		struct str none = STR_NONE;
		c->result = c->draft->broken;
		if (c->result == OK && c->n_rcpts > STORE_RCPTS_MAX)
			c->result = F_LIMIT;
		if (c->result == OK && (c->message.id.n == 0 || c->message.id.n > STORE_ID_MAX || c->n_rcpts == 0))
			c->result = F_STATE;
		if (c->result == OK && buf_view(&c->draft->pending).n > 0)
			c->result = draft_record(s, c->draft, &none);
	}
	if (content_log_sync(s->log, why) != OK) {
		s->failed = true;
		return F_STORE;
	}
	for (size_t i = 0; i < n; i++)
		if (commits[i].result == OK)
			commits[i].result = content_is_written(s, commits[i].draft);
	return OK;
}

static fault add_rcpts(struct store *s, const struct store_commit *c, struct why *why)
{
	for (size_t i = 0; i < c->n_rcpts; i++) {
		const struct store_rcpt *r = &c->rcpts[i];
		bool held = r->state == RCPT_HELD;
		sqlite3_stmt *st = sql(s, SQL_ADD_RCPT);
		bind_u64(st, 1, rcpts_from(c->draft->number) + i);
		bind_str(st, 2, r->address);
		bind_str(st, 3, r->original);
		bind_str(st, 4, r->orcpt);
		bind_u64(st, 5, r->notify);
		bind_str(st, 6, r->key);
		bind_u64(st, 7, held);
		bind_s64(st, 8, r->next_s);
		bind_str(st, 9, r->last_reply);
		TRY(sql_run(s, st, why));
		if (!held)
			after_note(s, r->key, r->next_s);
	}
	return OK;
}

static fault add_message(struct store *s, struct store_commit *c, struct why *why)
{
	const struct store_message *m = &c->message;
	struct str extents = buf_view(&c->draft->extents);
	sqlite3_stmt *st = sql(s, SQL_ADD_MESSAGE);
	bind_u64(st, 1, c->draft->number);
	bind_str(st, 2, m->id);
	bind_str(st, 3, m->sender);
	bind_s64(st, 4, m->arrived_s);
	bind_u64(st, 5, c->draft->bytes);
	bind_u64(st, 6, (uint64_t)m->body);
	bind_u64(st, 7, m->smtputf8);
	bind_u64(st, 8, (uint64_t)m->ret);
	bind_str(st, 9, m->envid);
	bind_str(st, 10, m->client);
	bind_str(st, 11, m->helo);
	bind_str(st, 12, m->user);
	bind_str(st, 13, m->with);
	bind_str(st, 14, m->tls);
	if (st == NULL)
		return sql_fault(s, sqlite3_errcode(s->db), why);
	sqlite3_bind_blob(st, 15, extents.p != NULL ? extents.p : "", (int)extents.n, SQLITE_STATIC);
	int rc = sqlite3_step(st);
	bool taken = (rc & 0xff) == SQLITE_CONSTRAINT;
	fault f = taken ? OK : sql_fault(s, rc, why);
	sql_done(st);
	c->result = taken ? F_EXISTS : f;
	return c->result == OK ? add_rcpts(s, c, why) : f;
}

static void bind_if_any(sqlite3_stmt *st, int at, struct str text)
{
	if (text.n > 0)
		bind_str(st, at, text); /* else NULL: coalesce() keeps what was there */
}

static fault settle(struct store *s, struct store_outcome *o, struct why *why)
{
	struct lease *lease = lease_find(s, o->rcpt);
	o->result = lease != NULL && lease->fence == o->fence && !lease->ending ? OK : F_STATE;
	if (o->result != OK)
		return OK;
	if (o->kind == SETTLE_DONE)
		return remove_rcpt(s, o->rcpt, why);

	sqlite3_stmt *st = sql(s, SQL_LATER);
	bind_u64(st, 1, o->rcpt);
	bind_u64(st, 2, o->kind == SETTLE_HELD);
	bind_s64(st, 3, o->next_s);
	bind_u64(st, 4, o->counts);
	bind_u64(st, 5, o->delay_warned);
	bind_if_any(st, 6, o->key);
	bind_if_any(st, 7, o->reply);
	bind_if_any(st, 8, str_sub(o->dialogue, 0, STORE_DIALOGUE_MAX));
	if (st != NULL && sqlite3_step(st) == SQLITE_ROW && o->kind == SETTLE_LATER)
		after_note(s, column_str(st, 0), o->next_s);
	after_end(s, o->rcpt);
	return sql_run(s, st, why);
}

static fault sqlite_commit(struct store *s, struct store_commit *commits, size_t n_commits,
                           struct store_outcome *outcomes, size_t n_outcomes, struct why *why)
{
	fault f = s->failed ? why_say(why, F_STORE, "the queue's storage has failed before; it must be opened again")
	                    : contents_durable(s, commits, n_commits, why);
	if (f == OK)
		f = transaction_begin(s, why);
	if (f == OK) {
		for (size_t i = 0; i < n_commits && f == OK; i++)
			if (commits[i].result == OK)
				f = add_message(s, &commits[i], why);
		for (size_t i = 0; i < n_outcomes && f == OK; i++) {
			const struct store_commit *needs = outcomes[i].needs;
			if (needs != NULL && needs->result != OK)
				outcomes[i].result = needs->result;
			else
				f = settle(s, &outcomes[i], why);
		}
		f = transaction_end(s, f, why);
	}
	for (size_t i = 0; f != OK && i < n_outcomes; i++)
		outcomes[i].result = f;
	for (size_t i = 0; i < n_commits; i++) {
		if (f != OK)
			commits[i].result = f;
		if (commits[i].result == OK)
			draft_free(&commits[i].draft);
		else
			sqlite_draft_drop(s, &commits[i].draft);
	}
	return f;
}

/* ---- tidying ---- */

/* Copies what lies in marked segments of this message; the new list goes to `moved`, false if nothing moved. */
static bool move_extents(struct store *s, uint64_t number, struct str extents, struct buf *moved, uint64_t *bytes)
{
	bool any = false;
	uint64_t position = 0;
	for (size_t i = 0; i < extents.n / EXTENT_PACKED; i++) {
		struct extent e = extent_at(extents, i), to;
		struct str record;
		uint64_t here = position;
		position += e.length;
		if (content_log_is_marked(s->log, e) && content_log_read(s->log, e, number, here, &record) == OK &&
		    content_log_append(s->log, number, here, record, STR_NONE, &to) == OK) {
			after_release(s, (struct str){ extents.p + i * EXTENT_PACKED, EXTENT_PACKED });
			*bytes += e.length;
			any = true;
			e = to;
		}
		extent_pack(moved, e);
	}
	return any;
}

struct move { uint64_t number; struct buf extents, old; };

/* Collects the next messages that have something in a marked segment. *n_out 0: the end was reached. */
static fault moves_find(struct store *s, struct move *moves, size_t *n_out, struct why *why)
{
	uint64_t bytes = 0;
	sqlite3_stmt *st = sql(s, SQL_EXTENTS);
	bind_u64(st, 1, s->moving_after);
	bind_u64(st, 2, MOVE_MESSAGES);
	*n_out = 0;
	s->moving = false;
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	while (st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW && bytes < MOVE_BYTES) {
		struct move *m = &moves[*n_out];
		s->moving = true;
		s->moving_after = m->number = column_u64(st, 0);
		buf_init(&m->extents, 64 << 20);
		buf_init(&m->old, 64 << 20);
		if (buf_add(&m->old, column_str(st, 2)) == OK &&
		    move_extents(s, m->number, buf_view(&m->old), &m->extents, &bytes)) {
			++*n_out;
		} else {
			buf_fini(&m->extents);
			buf_fini(&m->old);
		}
	}
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	return f;
}

/* What was copied and not remembered lives no more. */
static void move_undo(struct store *s, const struct move *m)
{
	struct str old = buf_view(&m->old), new = buf_view(&m->extents);
	for (size_t i = 0; i < new.n / EXTENT_PACKED; i++)
		if (memcmp(old.p + i * EXTENT_PACKED, new.p + i * EXTENT_PACKED, EXTENT_PACKED) != 0)
			content_log_release(s->log, extent_at(new, i));
}

static fault move_write(struct store *s, const struct move *m, struct why *why)
{
	struct str extents = buf_view(&m->extents);
	for (size_t i = 0; i < extents.n / EXTENT_PACKED; i++)
		if (!content_log_holds(s->log, extent_at(extents, i)))
			return why_say(why, F_LIMIT, "no room on the disk to tidy the queue's content");
	sqlite3_stmt *st = sql(s, SQL_MOVE);
	bind_u64(st, 1, m->number);
	if (st != NULL)
		sqlite3_bind_blob(st, 2, extents.p, (int)extents.n, SQLITE_STATIC);
	return sql_run(s, st, why);
}

static fault move_step(struct store *s, struct why *why)
{
	struct move moves[MOVE_MESSAGES];
	size_t n = 0;
	TRY(transaction_begin(s, why));
	fault f = moves_find(s, moves, &n, why);
	if (f == OK && n > 0)
		f = content_log_sync(s->log, why);
	for (size_t i = 0; i < n && f == OK; i++)
		f = move_write(s, &moves[i], why);
	f = transaction_end(s, f, why);
	for (size_t i = 0; i < n; i++) {
		if (f != OK)
			move_undo(s, &moves[i]);
		buf_fini(&moves[i].extents);
		buf_fini(&moves[i].old);
	}
	if (content_log_failed(s->log))
		s->failed = true;
	if (f != OK || !s->moving) {
		s->moving = false;
		content_log_unmark(s->log);
	}
	return f;
}

static fault sqlite_tidy(struct store *s, bool *more_out, struct why *why)
{
	*more_out = false;
	if (s->failed)
		return why_say(why, F_STORE, "the queue's storage has failed before; it must be opened again");
	if (content_log_prepare(s->log)) {
		*more_out = true;
		return OK;
	}
	if (!s->moving && content_log_mark_sparse(s->log)) {
		s->moving = true;
		s->moving_after = 0;
	}
	if (!s->moving)
		return OK;
	*more_out = true;
	return move_step(s, why);
}

static fault sqlite_space(struct store *s, uint64_t *bytes_free_out, uint64_t *names_free_out)
{
	return file_space(s->directory, bytes_free_out, names_free_out);
}

/* ---- opening ---- */

static fault run_text(struct store *s, const char *text, struct why *why)
{
	return sql_fault(s, sqlite3_exec(s->db, text, NULL, NULL, NULL), why);
}

static fault ask_number(struct store *s, const char *text, int64_t *out, struct why *why)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, text, -1, &st, NULL);
	if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
		*out = sqlite3_column_int64(st, 0);
	fault f = sql_fault(s, rc, why);
	sqlite3_finalize(st);
	return f;
}

static fault open_directory(struct store *s, const char *path, struct why *why)
{
	fault f = directory_open(FILE_CWD, path, &s->directory, why);
	if (f == F_ABSENT) {
		f = directory_make(FILE_CWD, path, 0700);
		if (f != OK && f != F_EXISTS)
			return why_say(why, f, "cannot make the queue's directory %s (%s)", path, fault_name(f));
		f = directory_open(FILE_CWD, path, &s->directory, why);
	}
	TRY(f);
	uint32_t uid, mode;
	f = file_owner_mode(s->directory, &uid, &mode);
	if (f != OK)
		return why_say(why, f, "cannot look at the queue's directory %s", path);
	if ((mode & 077) != 0)
		return why_say(why, F_DENIED, "the queue's directory %s is open to others (mode %o): chmod 700 %s", path,
		               mode & 07777, path);
	TRY(file_open(s->directory, "lock", FILE_READ | FILE_WRITE | FILE_CREATE, 0600, &s->lock, why));
	f = file_lock(s->lock);
	if (f == F_BUSY)
		return why_say(why, F_BUSY, "the queue in %s is in use by another process", path);
	return f == OK ? OK : why_say(why, f, "cannot lock the queue in %s", path);
}

static fault make_tables(struct store *s, const char *path, struct why *why)
{
	int64_t format = 0, application = 0;
	TRY(ask_number(s, "PRAGMA user_version", &format, why));
	TRY(ask_number(s, "PRAGMA application_id", &application, why));
	if (format > FORMAT)
		return why_say(why, F_STORE,
		               "the queue in %s has format %d, and this Sealpost knows up to %d: it was written by a newer "
		               "one. Start that one, or name another directory", path, (int)format, FORMAT);
	if (format == FORMAT)
		return application == APPLICATION ? OK
		                                  : why_say(why, F_STORE, "%s/queue.db is not a Sealpost queue", path);
	char end[128];
	TRY(run_text(s, "BEGIN IMMEDIATE", why));
	TRY(run_text(s, schema, why));
	snprintf(end, sizeof end, "PRAGMA user_version=%d; PRAGMA application_id=%d; COMMIT", FORMAT, APPLICATION);
	return run_text(s, end, why);
}

static fault open_database(struct store *s, const char *path, struct why *why)
{
	char file[512];
	int fd = -1, n = snprintf(file, sizeof file, "%s/queue.db", path);
	if (n < 0 || (size_t)n >= sizeof file)
		return why_say(why, F_LIMIT, "the queue directory's name is too long");
	/* SQLite gives its other files the mode of this one. */
	TRY(file_open(s->directory, "queue.db", FILE_READ | FILE_WRITE | FILE_CREATE, 0600, &fd, why));
	fd_close(&fd);
	char seed[8];
	sqlite3_randomness(sizeof seed, seed); /* opens /dev/urandom now, not when confined */
	TRY(sql_fault(s, sqlite3_open_v2(file, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL), why));
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	/* FULL: the log is flushed at every commit. The rest is size: see docs/QUEUE.md. */
	TRY(run_text(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
	                "PRAGMA cache_size=-8000; PRAGMA mmap_size=0; PRAGMA journal_size_limit=16777216", why));
	return make_tables(s, path, why);
}

static fault adopt_contents(struct store *s, struct why *why)
{
	sqlite3_stmt *st = sql(s, SQL_EXTENTS);
	bind_u64(st, 1, 0);
	bind_s64(st, 2, -1);
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	while (st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct str extents = column_str(st, 2);
		for (size_t i = 0; i < extents.n / EXTENT_PACKED; i++)
			content_log_adopt(s->log, extent_at(extents, i));
	}
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	content_log_adopted(s->log);
	return f;
}

static fault learn_schedule(struct store *s, struct why *why)
{
	sqlite3_stmt *st = sql(s, SQL_DESTINATIONS);
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	while (st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW)
		schedule_note(s->schedule, column_str(st, 0), sqlite3_column_int64(st, 1));
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	return f;
}

static fault learn_numbers(struct store *s, struct why *why)
{
	int64_t next = 1;
	TRY(ask_number(s, "SELECT value FROM meta WHERE key='next-number'", &next, why));
	s->next_number = s->reserved_to = (uint64_t)next;
	s->fence = s->next_number << RCPT_INDEX_BITS; /* above every fence of an earlier life */
	TRY(transaction_begin(s, why));
	return transaction_end(s, OK, why);
}

static void sqlite_close(struct store **store)
{
	struct store *s = *store;
	if (s == NULL)
		return;
	LIST_EACH(l, &s->drafts) {
		struct store_draft *d = LIST_MEMBER(l, struct store_draft, in_store);
		draft_free(&d);
	}
	LIST_EACH(l, &s->leases_by_end)
		free(LIST_MEMBER(l, struct lease, in_order));
	for (size_t i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(s->statements[i]);
	if (s->db != NULL)
		sqlite3_close(s->db);
	content_log_close(&s->log);
	schedule_free(&s->schedule);
	map_free(&s->leases);
	arena_free(&s->scratch);
	free(s->after.released.items);
	free(s->after.ended.items);
	free(s->after.noted.items);
	fd_close(&s->lock);
	fd_close(&s->directory);
	free(s);
	*store = NULL;
}

static fault open_parts(struct store *s, const char *path, uint64_t segment_bytes, struct why *why)
{
	TRY(open_directory(s, path, why));
	TRY(open_database(s, path, why));
	TRY(content_log_open(s->directory, segment_bytes, &s->log, why));
	TRY(adopt_contents(s, why));
	TRY(learn_schedule(s, why));
	return learn_numbers(s, why);
}

static fault sqlite_open(struct str directory, const struct store_options *options, struct store **out,
                         struct why *why)
{
	char path[480];
	if (directory.n == 0 || directory.n >= sizeof path || str_has(directory, '\0'))
		return why_say(why, F_LIMIT, "the queue directory's name is empty or too long");
	memcpy(path, directory.p, directory.n);
	path[directory.n] = '\0';

	struct store *s = NEW(struct store);
	s->directory = s->lock = -1;
	s->schedule = schedule_new();
	s->leases = map_new(1);
	s->scratch = arena_new(SCRATCH_MAX);
	list_init(&s->leases_by_end);
	list_init(&s->drafts);
	uint64_t segment_bytes = options != NULL && options->segment_bytes > 0 ? options->segment_bytes
	                                                                       : SEGMENT_BYTES_DEFAULT;
	fault f = open_parts(s, path, segment_bytes, why);
	if (f != OK) {
		sqlite_close(&s);
		return f;
	}
	*out = s;
	return OK;
}

const struct store_ops store_sqlite = {
	.name = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.draft_new = sqlite_draft_new,
	.draft_append = sqlite_draft_append,
	.draft_drop = sqlite_draft_drop,
	.commit = sqlite_commit,
	.lease = sqlite_lease,
	.renew = sqlite_renew,
	.claim = sqlite_claim,
	.reclaim = sqlite_reclaim,
	.next_due = sqlite_next_due,
	.message = sqlite_message,
	.content = sqlite_content,
	.list = sqlite_list,
	.act = sqlite_act,
	.clamp = sqlite_clamp,
	.counts = sqlite_counts,
	.space = sqlite_space,
	.tidy = sqlite_tidy,
	.remember = sqlite_remember,
	.recall = sqlite_recall,
};
