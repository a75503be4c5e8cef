/* SPDX-License-Identifier: ISC */
/* store/sqlite_tidy.c -- small work between turns: segments are prepared or given back, and the living leave sparse ones. */
#include <string.h>

#include "base/check.h"
#include "store/sqlite_inside.h"
#include "sys/file.h"

enum {
	MOVE_BYTES = 512 << 10,          /* copied in one step */
	MOVE_MESSAGES = 256,
	REST_BYTES = 1 << 20,            /* of pages that have been read or written: fewer may stay */
};

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
		if (sqlite3_column_int(st, 3) != 0 && buf_add(&m->old, column_str(st, 2)) == OK &&
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

/* Between the two nothing is written ahead, and nothing given back: else what others write and remove would have both done in turns. */
static bool prepare(struct store *s)
{
	uint64_t free = UINT64_MAX, names, keep = s->keep_free_bytes, least = keep + keep / 4, plenty = keep + keep / 2;
	if (keep > 0 && file_space(s->directory, &free, &names) != OK)
		free = plenty;
	if (free < least && content_log_give_back(s->log, plenty - free))
		return true;
	return content_log_prepare(s->log, free > plenty ? free - plenty : 0);
}

fault sqlite_tidy(struct store *s, bool *more_out, struct why *why)
{
	*more_out = false;
	if (s->failed)
		return why_say(why, F_STORE, "the queue's storage has failed before; it must be opened again");
	TRY(observations_write(s, why));
	if (prepare(s)) {
		*more_out = true;
		return OK;
	}
	if (content_log_failed(s->log)) {
		s->failed = true;
		return why_say(why, F_STORE, "preparing a content file failed");
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

/* A burst fills SQLite's cache, and nothing else would ever empty it. The pages are in the kernel's as well. */
bool sqlite_rest(struct store *s)
{
	int bytes = 0, most = 0;
	if (sqlite3_db_status(s->db, SQLITE_DBSTATUS_CACHE_USED, &bytes, &most, 0) != SQLITE_OK || bytes < REST_BYTES)
		return false;
	return sqlite3_db_release_memory(s->db) == SQLITE_OK;
}
