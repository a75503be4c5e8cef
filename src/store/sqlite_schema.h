/* SPDX-License-Identifier: ISC */
/*
 * store/sqlite_schema.h -- what the queue's database is made of, and whether it is made of that and of nothing else.
 *
 * A database can carry orders of its own: a trigger, a view or an expression in a table's text runs when somebody else reads or writes.
 * So none is obeyed (schema_guard), and whoever opens the queue compares every object in it with those that are made here. Only the
 * database's list of its objects is read for that, however long the queue is.
 *
 * Errors   F_STORE: an object is foreign, or other than it is made here; the text names it, and says what to do.
 * Tests    test/unit/store/schema_test.c, format_test.c
 */
#ifndef STORE_SQLITE_SCHEMA_H
#define STORE_SQLITE_SCHEMA_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/fault.h"
#include "base/str.h"

enum {
	QUEUE_FORMAT = 4,                /* PRAGMA user_version: of the tables and of the content files */
	QUEUE_APPLICATION = 0x53504f51,  /* "SPOQ", what file(1) may say about the database */
};

/* Of a new queue; what every opening makes where it is missing; and from one format to the next. The checksums are made by checksum(). */
extern const char schema_tables[], schema_rest[], schema_from_1[], schema_from_2[];

/* For every connection, at once: no trigger, no view, no function that is not harmless runs because the database says so. */
MUST_USE fault schema_guard(sqlite3 *db, struct why *why);

/* Each object that is not as it should be, in words; differs: false ends it. file: the database's name, for the words. */
struct schema_reader { bool (*differs)(void *owner, struct str text); void *owner; };
MUST_USE fault schema_compare(sqlite3 *db, const char *file, const struct schema_reader *reader, struct why *why);
/* The first of them is the fault. */
MUST_USE fault schema_check(sqlite3 *db, const char *file, struct why *why);

#endif
