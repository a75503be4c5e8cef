/* SPDX-License-Identifier: ISC */
/* store/sqlite.c -- statements, transactions, drafts and the group commit; see sqlite_inside.h for the whole. */
#include "store/sqlite_inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/little.h"

enum {
	NUMBERS_AT_ONCE = 1 << 20,
	GATHER_BYTES = 16 << 10,         /* smaller appends wait in the draft until there is so much */
};

static const char *const statement_texts[SQL_COUNT] = {
#define SQL_TEXT(name, text) [name] = (text),
	SQL_STATEMENTS(SQL_TEXT)
};

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
		s->index_damaged |= rc == SQLITE_CORRUPT_INDEX;
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

/* One that has failed must not be stepped again: it would run anew, and perhaps outside of its transaction. */
fault sql_rest(struct store *s, sqlite3_stmt *st, int rc, struct why *why)
{
	if (rc == SQLITE_ROW)
		return sql_run(s, st, why);
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	return f;
}

static fault sql_simple(struct store *s, enum sql which, struct why *why)
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

/* ---- checksums ---- */

static uint32_t sum_number(const struct crc32c *crc, uint32_t sum, int type, uint64_t v)
{
	char bytes[9] = { (char)type };
	put_little(bytes + 1, v, 8);
	return crc32c(crc, sum, (struct str){ bytes, sizeof bytes });
}

/* Type, length and bytes of every argument, so that nothing can slip from one into the next. */
static void checksum(sqlite3_context *c, int n, sqlite3_value **values)
{
	const struct crc32c *crc = sqlite3_user_data(c);
	uint32_t sum = 0;
	for (int i = 0; i < n; i++) {
		int type = sqlite3_value_type(values[i]);
		if (type == SQLITE_INTEGER) {
			sum = sum_number(crc, sum, type, (uint64_t)sqlite3_value_int64(values[i]));
			continue;
		}
		const void *p = sqlite3_value_blob(values[i]);
		size_t bytes = p != NULL ? (size_t)sqlite3_value_bytes(values[i]) : 0;
		sum = sum_number(crc, sum, type, bytes);
		sum = crc32c(crc, sum, (struct str){ p, bytes });
	}
	sqlite3_result_int64(c, sum);
}

fault sqlite_checksum(sqlite3 *db, struct crc32c *crc)
{
	crc32c_init(crc);
	return sqlite3_create_function_v2(db, "checksum", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, crc,
	                                  checksum, NULL, NULL, NULL) == SQLITE_OK ? OK : F_STORE;
}

/* ---- transactions ---- */

void *array_grown(void *items, size_t n, size_t *cap, size_t size)
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
		r->items = array_grown(r->items, r->n, &r->cap, sizeof *r->items);
		r->items[r->n++] = extent_at(extents, i);
	}
}

void after_end(struct store *s, uint64_t rcpt)
{
	struct ended *e = &s->after.ended;
	struct lease *lease = lease_find(s, rcpt);
	if (lease != NULL)
		lease->ending = true;
	e->items = array_grown(e->items, e->n, &e->cap, sizeof *e->items);
	e->items[e->n++] = rcpt;
}

void after_turn(struct store *s, uint64_t rcpt, bool held)
{
	struct turned *t = &s->after.turned;
	t->items = array_grown(t->items, t->n, &t->cap, sizeof *t->items);
	t->items[t->n++] = (struct turn){ rcpt, held };
}

void after_note(struct store *s, struct str key, int64_t due_s)
{
	struct noted *n = &s->after.noted;
	n->items = array_grown(n->items, n->n, &n->cap, sizeof *n->items);
	n->items[n->n++] = (struct note){ arena_copy(s->scratch, key), due_s };
	s->latest_due_s = due_s > s->latest_due_s ? due_s : s->latest_due_s;
}

static int64_t *part_of(struct holding *h, enum rcpt_state state)
{
	return state == RCPT_HELD ? &h->held : state == RCPT_DAMAGED ? &h->damaged : &h->queued;
}

void after_change(struct store *s, enum rcpt_state from, enum rcpt_state to)
{
	--*part_of(&s->after.more, from);
	++*part_of(&s->after.more, to);
}

static void holding_add(struct holding *to, const struct holding *more)
{
	to->messages += more->messages;
	to->bytes += more->bytes;
	to->queued += more->queued;
	to->held += more->held;
	to->damaged += more->damaged;
}

static void after_clear(struct store *s)
{
	s->after.more = (struct holding){ 0 };
	s->after.released.n = s->after.ended.n = s->after.turned.n = s->after.noted.n = 0;
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

/* The tables are the truth, and their rows have checksums: an index that does not agree is made anew from them. */
static fault build_indexes(struct store *s, struct why *why)
{
	s->index_damaged = false;
	if (sqlite3_exec(s->db, "REINDEX", NULL, NULL, NULL) != SQLITE_OK)
		return sql_fault(s, sqlite3_extended_errcode(s->db), why);
	s->failed = false;
	return why_say(why, F_BUSY, "an index of the queue's database was damaged; it has been built anew");
}

static void turn_leases(struct store *s)
{
	for (size_t i = 0; i < s->after.turned.n; i++) {
		const struct turn *t = &s->after.turned.items[i];
		struct lease *lease = lease_find(s, t->rcpt);
		if (lease == NULL)
			continue;
		lease->held = t->held;
		lease->was = t->held ? RCPT_HELD : RCPT_QUEUED;
	}
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
		return s->index_damaged ? build_indexes(s, why) : f;
	}
	s->reserved_to = reserved_to;
	holding_add(&s->holding, &s->after.more);
	for (size_t i = 0; i < s->after.released.n; i++)
		content_log_release(s->log, s->after.released.items[i]);
	for (size_t i = 0; i < s->after.ended.n; i++)
		lease_end(s, s->after.ended.items[i]);
	turn_leases(s);
	for (size_t i = 0; i < s->after.noted.n; i++)
		schedule_note(s->schedule, s->after.noted.items[i].key, s->after.noted.items[i].due_s);
	after_clear(s);
	return OK;
}

fault remove_rcpt(struct store *s, uint64_t rcpt, enum rcpt_state was, struct why *why)
{
	sqlite3_stmt *st = sql(s, SQL_REMOVE_RCPT);
	bind_u64(st, 1, rcpt);
	TRY(sql_run(s, st, why));
	*part_of(&s->after.more, was) -= sqlite3_changes(s->db);
	after_end(s, rcpt);

	uint64_t message = message_of(rcpt);
	st = sql(s, SQL_DESERTED);
	bind_u64(st, 1, message);
	bind_u64(st, 2, rcpts_from(message));
	bind_u64(st, 3, rcpts_from(message + 1) - 1);
	int rc = st != NULL ? sqlite3_step(st) : sqlite3_errcode(s->db);
	if (rc == SQLITE_ROW) {
		after_release(s, column_str(st, 0));
		s->after.more.messages--;
		s->after.more.bytes -= sqlite3_column_int64(st, 1);
	}
	TRY(sql_rest(s, st, rc, why));
	if (rc != SQLITE_ROW)
		return OK;
	st = sql(s, SQL_REMOVE_MESSAGE); /* a RETURNING would make a table of its own each time */
	bind_u64(st, 1, message);
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

fault sqlite_draft_new(struct store *s, struct store_draft **out)
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

fault sqlite_draft_append(struct store *s, struct store_draft *d, struct str bytes)
{
	if (d->broken == OK && s->failed)
		d->broken = F_STORE;
	while (d->broken == OK && buf_view(&d->pending).n + bytes.n >= GATHER_BYTES)
		d->broken = draft_record(s, d, &bytes);
	if (d->broken == OK && bytes.n > 0)
		d->broken = buf_add(&d->pending, bytes);
	return d->broken;
}

void draft_free(struct store_draft **d)
{
	link_remove(&(*d)->in_store);
	buf_fini(&(*d)->pending);
	buf_fini(&(*d)->extents);
	free(*d);
	*d = NULL;
}

void sqlite_draft_drop(struct store *s, struct store_draft **d)
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
		++*part_of(&s->after.more, held ? RCPT_HELD : RCPT_QUEUED);
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
	bind_u64(st, 16, (uint64_t)m->tls_tag);
	if (st == NULL)
		return sql_fault(s, sqlite3_errcode(s->db), why);
	sqlite3_bind_blob(st, 15, extents.p != NULL ? extents.p : "", (int)extents.n, SQLITE_STATIC);
	int rc = sqlite3_step(st);
	bool taken = (rc & 0xff) == SQLITE_CONSTRAINT;
	fault f = taken ? OK : sql_fault(s, rc, why);
	sql_done(st);
	c->result = taken ? F_EXISTS : f;
	if (c->result == OK) {
		s->after.more.messages++;
		s->after.more.bytes += (int64_t)c->draft->bytes;
		s->latest_arrived_s = m->arrived_s > s->latest_arrived_s ? m->arrived_s : s->latest_arrived_s;
	}
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
		return remove_rcpt(s, o->rcpt, lease->was, why);

	sqlite3_stmt *st = sql(s, SQL_LATER);
	bind_u64(st, 1, o->rcpt);
	bind_u64(st, 2, o->kind == SETTLE_HELD ? 1 : o->kind == SETTLE_DAMAGED ? 2 : 0);
	bind_s64(st, 3, o->next_s);
	bind_u64(st, 4, o->counts);
	bind_u64(st, 5, o->delay_warned ? ONCE_DELAY_WARNED : 0);
	bind_if_any(st, 6, o->key);
	bind_if_any(st, 7, o->reply);
	bind_if_any(st, 8, str_sub(o->dialogue, 0, STORE_DIALOGUE_MAX));
	int rc = st != NULL ? sqlite3_step(st) : sqlite3_errcode(s->db);
	if (rc == SQLITE_ROW && o->kind == SETTLE_LATER)
		after_note(s, column_str(st, 0), o->next_s);
	if (rc == SQLITE_ROW)
		after_change(s, lease->was, o->kind == SETTLE_HELD ? RCPT_HELD : o->kind == SETTLE_DAMAGED ? RCPT_DAMAGED : RCPT_QUEUED);
	after_end(s, o->rcpt);
	return sql_rest(s, st, rc, why);
}

fault sqlite_commit(struct store *s, struct store_commit *commits, size_t n_commits,
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
		if (f == OK)
			f = observations_put(s, why);
		f = transaction_end(s, f, why);
		if (f == OK)
			observations_forget(s);
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
