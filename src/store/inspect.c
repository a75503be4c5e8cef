/* SPDX-License-Identifier: ISC */
#include "store/inspect.h"

#include <stdio.h>

#include <sqlite3.h>

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
	return OK;
}

static bool take_text(sqlite3_stmt *st, struct arena *a, struct str *out, size_t max, size_t *n)
{
	struct str text = { (const char *)sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0) };
	if (str_eq(text, STR("ok")))
		return true;
	if (*n == max)
		return false;
	out[*n] = arena_try_copy(a, text);
	return out[(*n)++].p != NULL;
}

fault inspect_structure(struct str directory, struct arena *a, struct str *out, size_t max, size_t *n_out, struct why *why)
{
	sqlite3 *db;
	sqlite3_stmt *st = NULL;
	*n_out = 0;
	TRY(open_to_read(directory, &db, why));
	int rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL);
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW && !take_text(st, a, out, max, n_out))
			break;
	}
	fault f = rc == SQLITE_DONE || rc == SQLITE_ROW
	                  ? OK : why_say(why, F_STORE, "the queue's database cannot be read: %s", sqlite3_errmsg(db));
	sqlite3_finalize(st);
	sqlite3_close(db);
	return f;
}
