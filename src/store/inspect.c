/* SPDX-License-Identifier: ISC */
#include "store/inspect.h"

#include <stdio.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "store/sqlite_schema.h"
#include "sys/file.h"

enum { BUSY_MS = 10000 };

static fault open_to_read(struct str directory, sqlite3 **out, struct why *why)
{
	char file[512];
	int n = snprintf(file, sizeof file, "%.*s/queue.db", STR_ARG(directory));
	*out = NULL;
	if (n < 0 || (size_t)n >= sizeof file)
		return why_say(why, F_LIMIT, "the queue directory's name is too long");
	if (sqlite3_open_v2(file, out, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
		fault f = why_say(why, F_ABSENT, "%s cannot be opened: %s", file, sqlite3_errmsg(*out));
		sqlite3_close(*out);
		*out = NULL;
		return f;
	}
	sqlite3_busy_timeout(*out, BUSY_MS);
	fault f = schema_guard(*out, why);
	if (f != OK) {
		sqlite3_close(*out);
		*out = NULL;
	}
	return f;
}

struct texts { struct arena *arena; struct str *items; size_t n, max; };

static bool take_text(void *owner, struct str text)
{
	struct texts *to = owner;
	if (to->n == to->max)
		return false;
	to->items[to->n] = arena_try_copy(to->arena, text);
	return to->items[to->n++].p != NULL;
}

static bool take_row(sqlite3_stmt *st, struct texts *to)
{
	struct str text = { (const char *)sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0) };
	return str_eq(text, STR("ok")) || take_text(to, text);
}

static fault look_at_objects(sqlite3 *db, struct str directory, struct texts *to, struct why *why)
{
	char file[512];
	struct schema_reader reader = { take_text, to };
	snprintf(file, sizeof file, "%.*s/queue.db", STR_ARG(directory));
	return schema_compare(db, file, &reader, why);
}

static fault look_at_pages(sqlite3 *db, struct texts *to, struct why *why)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL);
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW && !take_row(st, to))
			break;
	}
	fault f = rc == SQLITE_DONE || rc == SQLITE_ROW
	                  ? OK : why_say(why, F_STORE, "the queue's database cannot be read: %s", sqlite3_errmsg(db));
	sqlite3_finalize(st);
	return f;
}

fault inspect_structure(struct str directory, struct arena *a, struct str *out, size_t max, size_t *n_out, struct why *why)
{
	sqlite3 *db;
	struct texts said = { a, out, 0, max };
	*n_out = 0;
	TRY(open_to_read(directory, &db, why));
	fault f = look_at_objects(db, directory, &said, why);
	if (f == OK)
		f = look_at_pages(db, &said, why);
	sqlite3_close(db);
	*n_out = said.n;
	return f;
}

/* As a URI, where some characters have a meaning. */
static fault database_uri(struct str directory, struct buf *out)
{
	TRY(buf_add(out, STR("file:")));
	for (size_t i = 0; i < directory.n; i++) {
		unsigned char c = (unsigned char)directory.p[i];
		if (ascii_is_alnum(c) || c == '/' || c == '.' || c == '-' || c == '_')
			TRY(buf_add_char(out, (char)c));
		else
			TRY(buf_addf(out, "%%%02x", c));
	}
	return buf_add(out, STR("/queue.db?immutable=1"));
}

static fault look_at(struct str directory, const char *name, struct path_facts *out)
{
	char path[512];
	int n = snprintf(path, sizeof path, "%.*s/%s", STR_ARG(directory), name);
	return n < 0 || (size_t)n >= sizeof path ? F_LIMIT : path_facts(path, out);
}

/* What stands in the log is not in the database yet, and reading the log would leave files behind. */
static fault is_closed(struct str directory, struct why *why)
{
	struct path_facts facts;
	fault f = look_at(directory, "queue.db", &facts);
	if (f == F_LIMIT)
		return why_say(why, f, "the queue directory's name is too long");
	if (f == F_ABSENT)
		return why_say(why, f, "there is no queue yet");
	if (f != OK || !facts.is_file)
		return why_say(why, F_STORE, "the queue's database cannot be read");
	if (look_at(directory, "queue.db-wal", &facts) != F_ABSENT && facts.size_bytes > 0)
		return why_say(why, F_STATE, "the last server did not end in order, or one is running: the next start sets it right");
	return OK;
}

static int64_t one_number(sqlite3 *db, const char *text, int64_t otherwise, int *rc)
{
	sqlite3_stmt *st = NULL;
	int64_t n = otherwise;
	if (*rc == SQLITE_OK)
		*rc = sqlite3_prepare_v2(db, text, -1, &st, NULL);
	if (*rc == SQLITE_OK) {
		int step = sqlite3_step(st);
		if (step == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL)
			n = sqlite3_column_int64(st, 0);
		else if (step != SQLITE_ROW && step != SQLITE_DONE)
			*rc = step;
	}
	sqlite3_finalize(st);
	return n;
}

fault inspect_glance(struct str directory, struct inspect_glance *out, struct why *why)
{
	sqlite3 *db = NULL;
	struct buf uri;
	TRY(is_closed(directory, why));
	buf_init(&uri, 4096);
	fault f = database_uri(directory, &uri);
	if (f == OK)
		f = buf_add_char(&uri, '\0');
	int rc = f == OK ? sqlite3_open_v2(buf_view(&uri).p, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) : SQLITE_TOOBIG;
	buf_fini(&uri);
	if (rc == SQLITE_OK && schema_guard(db, NULL) != OK)
		rc = SQLITE_ERROR;
	out->messages = (uint64_t)one_number(db, "SELECT count(*) FROM message", 0, &rc);
	out->oldest_s = one_number(db, "SELECT min(arrived_s) FROM message", 0, &rc);
	out->queued = (uint64_t)one_number(db, "SELECT count(*) FROM rcpt WHERE held=0", 0, &rc);
	out->held = (uint64_t)one_number(db, "SELECT count(*) FROM rcpt WHERE held=1", 0, &rc);
	out->damaged = (uint64_t)one_number(db, "SELECT count(*) FROM rcpt WHERE held>1", 0, &rc);
	out->clock_s = one_number(db, "SELECT value FROM observation WHERE key='spool:clock'", -1, &rc);
	if (rc != SQLITE_OK && f == OK)
		f = why_say(why, F_STORE, "the queue's database cannot be read: %s", db != NULL ? sqlite3_errmsg(db) : "its name is too long");
	sqlite3_close(db);
	return f;
}
