/* SPDX-License-Identifier: ISC */
/* store/sqlite_verify.c -- is all that lies in the queue what was committed? What is not is set aside, never dropped. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/sqlite_inside.h"

static const char content_text[] = "its content in the queue is damaged", row_text[] = "its envelope in the queue is damaged";

/* The next message of a round, copied: the statement must be over before anything is written. */
struct looking {
	uint64_t number, size;
	struct str id;
	struct buf extents;
	bool row_ok;
};

static fault next_message(struct store *s, uint64_t from, struct arena *a, struct looking *out, struct why *why)
{
	sqlite3_stmt *st = sql(s, SQL_VERIFY_MESSAGE);
	bind_u64(st, 1, from);
	int rc = st == NULL ? sqlite3_errcode(s->db) : sqlite3_step(st);
	fault f = rc == SQLITE_DONE ? F_ABSENT : sql_fault(s, rc, why);
	if (rc == SQLITE_ROW) {
		out->number = column_u64(st, 0);
		out->id = arena_try_copy(a, column_str(st, 1));
		out->size = column_u64(st, 2);
		out->row_ok = sqlite3_column_int(st, 4) != 0;
		f = out->id.p != NULL ? buf_add(&out->extents, column_str(st, 3)) : F_LIMIT;
	}
	sql_done(st);
	return f;
}

/* The rows of recipients between two numbers: how many there are, and which are to be set aside and are not yet. */
struct numbers { uint64_t *items; size_t n, cap; };
struct rows { size_t n, n_aside, n_bad; struct numbers all, bad; };

static void number_add(struct numbers *to, uint64_t number)
{
	to->items = array_grown(to->items, to->n, &to->cap, sizeof *to->items);
	to->items[to->n++] = number;
}

static fault look_at_rows(struct store *s, uint64_t first, uint64_t last, struct rows *out, struct why *why)
{
	sqlite3_stmt *st = sql(s, SQL_VERIFY_RCPTS);
	bind_u64(st, 1, first);
	bind_u64(st, 2, last);
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	while (st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t number = column_u64(st, 0);
		bool aside = state_of(sqlite3_column_int(st, 2)) == RCPT_DAMAGED;
		bool bad = sqlite3_column_int(st, 3) == 0 || sqlite3_column_int(st, 4) == 0;
		out->n++;
		out->n_aside += aside;
		out->n_bad += bad;
		if (!aside)
			number_add(&out->all, number);
		if (!aside && bad)
			number_add(&out->bad, number);
	}
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	return f;
}

static void rows_free(struct rows *r)
{
	free(r->all.items);
	free(r->bad.items);
}

/* From this offset on, until so many bytes have been read. F_STORE: *at_out is where it is damaged. */
static fault look_at_content(struct store *s, const struct looking *m, uint64_t *at, uint64_t bytes, struct extent *bad_out)
{
	struct str extents = buf_view(&m->extents);
	uint64_t position = 0, until = *at + bytes;
	for (size_t i = 0; i < extents.n / EXTENT_PACKED && *at < until; i++) {
		struct extent e = extent_at(extents, i);
		struct str record;
		position += e.length;
		if (position <= *at)
			continue;
		*bad_out = e;
		TRY(content_log_read(s->log, e, m->number, position - e.length, &record));
		*at = position;
	}
	*bad_out = (struct extent){ 0 };
	return *at >= m->size || *at >= until ? OK : F_STORE; /* the list is too short */
}

static fault set_aside(struct store *s, uint64_t rcpt, struct str text, struct why *why)
{
	enum rcpt_state was = RCPT_DAMAGED;
	TRY(state_in_table(s, rcpt, &was, why));
	after_change(s, was, RCPT_DAMAGED);
	sqlite3_stmt *st = sql(s, SQL_ASIDE);
	bind_u64(st, 1, rcpt);
	bind_str(st, 2, text);
	after_end(s, rcpt);
	return sql_run(s, st, why);
}

fault sqlite_set_aside(struct store *s, uint64_t rcpt, struct str text, struct why *why)
{
	TRY(transaction_begin(s, why));
	return transaction_end(s, set_aside(s, rcpt, text, why), why);
}

static fault set_all_aside(struct store *s, const struct numbers *rcpts, struct str text, struct why *why)
{
	TRY(transaction_begin(s, why));
	fault f = OK;
	for (size_t i = 0; i < rcpts->n && f == OK; i++)
		f = set_aside(s, rcpts->items[i], text, why);
	return transaction_end(s, f, why);
}

static struct str say(struct arena *a, const char *what, struct extent e)
{
	char text[200];
	if (e.length > 0)
		snprintf(text, sizeof text, "%s (content-%06u, from byte %u, %u bytes)", what, e.segment % 1000000, e.offset,
		         e.length + 32);
	else
		snprintf(text, sizeof text, "%s", what);
	return arena_copy(a, str_of(text));
}

/* What one step has to tell. */
struct telling { struct store *s; struct arena *a; struct store_finding *out; size_t *n; struct why *why; };

static fault found(struct telling *t, struct str id, struct str text, const struct numbers *rcpts)
{
	size_t n = rcpts != NULL ? rcpts->n : 0;
	if (n > 0)
		TRY(set_all_aside(t->s, rcpts, text, t->why));
	t->out[(*t->n)++] = (struct store_finding){ id, text, n };
	return OK;
}

/* Recipients without a message: it is gone, and with it the knowledge of what they were to get. */
static fault look_between(struct telling *t, uint64_t from, uint64_t to)
{
	struct rows r = { 0 };
	fault f = from < to ? look_at_rows(t->s, rcpts_from(from), rcpts_from(to) - 1, &r, t->why) : OK;
	if (f == OK && r.n > 0)
		f = found(t, STR_NONE, STR("recipients are there, but not their message"), &r.all);
	rows_free(&r);
	return f;
}

fault any_below(struct store *s, bool *any_out, struct why *why)
{
	sqlite3_stmt *st = sql(s, SQL_BELOW);
	int rc = st == NULL ? sqlite3_errcode(s->db) : sqlite3_step(st);
	*any_out = rc == SQLITE_ROW && sqlite3_column_int(st, 0) != 0;
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	return f;
}

static fault look_below(struct telling *t)
{
	bool any;
	TRY(any_below(t->s, &any, t->why));
	return any ? found(t, STR_NONE, STR(BELOW_TEXT), NULL) : OK;
}

static fault judge_rows(struct telling *t, const struct looking *m, const struct rows *r)
{
	if (!m->row_ok)
		return found(t, m->id, str_of(row_text), &r->all);
	if (r->n_bad > 0)
		return found(t, m->id, str_of(row_text), &r->bad);
	return r->n > 0 ? OK : found(t, m->id, STR("nobody is left to get it"), NULL);
}

static fault judge_content(struct telling *t, const struct looking *m, struct store_round *round, uint64_t bytes,
                           const struct rows *r)
{
	struct extent bad;
	uint64_t before = round->offset;
	fault f = look_at_content(t->s, m, &round->offset, bytes, &bad);
	round->bytes += round->offset - before;
	if (f == F_STORE) {
		TRY(found(t, m->id, say(t->a, content_text, bad), &r->all));
		round->offset = m->size;
		return OK;
	}
	if (f == OK && round->offset >= m->size && r->n_aside > 0 && r->n_bad == 0)
		return found(t, m->id, STR("was set aside, and is whole: release it"), NULL);
	return f;
}

static fault look_at_message(struct telling *t, struct looking *m, struct store_round *round, uint64_t bytes)
{
	struct rows r = { 0 };
	bool first = m->number != round->message;
	fault f = first ? look_between(t, round->message, m->number) : OK;
	if (first) {
		round->message = m->number;
		round->offset = 0;
	}
	if (f == OK)
		f = look_at_rows(t->s, rcpts_from(m->number), rcpts_from(m->number + 1) - 1, &r, t->why);
	if (f == OK && round->offset == 0)
		f = judge_rows(t, m, &r);
	if (f == OK && m->row_ok)
		f = judge_content(t, m, round, bytes, &r);
	rows_free(&r);
	if (f == OK && (!m->row_ok || round->offset >= m->size)) {
		round->messages++;
		round->message = m->number + 1;
		round->offset = 0;
	}
	return f;
}

fault sqlite_verify(struct store *s, struct store_round *round, uint64_t bytes, struct arena *a,
                    struct store_finding *out, size_t max, size_t *n_out, struct why *why)
{
	struct telling t = { s, a, out, n_out, why };
	uint64_t goal = round->bytes + bytes;
	fault f = OK;
	*n_out = 0;
	if (round->message == 0 && round->messages == 0 && round->bytes == 0)
		f = look_below(&t);
	for (unsigned steps = 0; steps < 100 && f == OK && !round->over && round->bytes < goal && *n_out + STORE_FINDINGS_MIN <= max; steps++) {
		struct looking m = { 0 };
		buf_init(&m.extents, 64 << 20);
		f = next_message(s, round->message, a, &m, why);
		if (f == OK && m.number < round->message) { /* pages are damaged: it would go round in circles */
			f = found(&t, STR_NONE, STR("the database is out of order: what comes after this is not known"), NULL);
			round->over = true;
		} else if (f == OK) {
			f = look_at_message(&t, &m, round, goal - round->bytes);
		}
		buf_fini(&m.extents);
	}
	if (f != F_ABSENT)
		return f;
	TRY(look_between(&t, round->message, (uint64_t)1 << (63 - RCPT_INDEX_BITS)));
	round->over = true;
	return OK;
}

/* For an operator who says that it has been mended. */
fault message_is_whole(struct store *s, uint64_t rcpt, bool *whole_out)
{
	struct arena *a = arena_new(1 << 20);
	struct looking m = { 0 };
	struct rows r = { 0 };
	struct extent bad;
	uint64_t at = 0;
	*whole_out = false;
	buf_init(&m.extents, 64 << 20);
	fault f = next_message(s, message_of(rcpt), a, &m, NULL);
	if (f == OK && m.number == message_of(rcpt) && m.row_ok)
		f = look_at_rows(s, rcpt, rcpt, &r, NULL);
	if (f == OK && r.n == 1 && r.n_bad == 0) {
		f = look_at_content(s, &m, &at, UINT64_MAX / 2, &bad);
		*whole_out = f == OK;
	}
	buf_fini(&m.extents);
	arena_free(&a);
	rows_free(&r);
	return f == F_ABSENT || f == F_STORE ? OK : f;
}
