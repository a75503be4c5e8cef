/* SPDX-License-Identifier: ISC */
/*
 * store/inspect.h -- a queue seen from outside: for commands that run beside the server, or without it.
 *
 * The server owns its queue; this only reads. What lies there may change meanwhile.
 *
 * Errors   F_ABSENT: no queue there. F_STORE: it cannot be read. The why says more.
 * Tests    test/unit/store/inspect_test.c, test/unit/store/damage_test.c
 */
#ifndef STORE_INSPECT_H
#define STORE_INSPECT_H

#include "base/arena.h"
#include "base/fault.h"

/* The database's own structure, pages and indexes: what SQLite's integrity check has to say, at most max texts. */
MUST_USE fault inspect_structure(struct str directory, struct arena *a, struct str *out, size_t max, size_t *n_out,
                                 struct why *why);

/* What waits in a queue that no server has open; nothing is written, not even a lock. oldest_s: when the oldest message arrived, 0
 * without any; clock_s: the last time that a server noted down, -1 if it is not known. F_STATE: the last server did not end in
 * order, so the database alone does not tell; the next start sets it right. */
struct inspect_glance { uint64_t messages, queued, held, damaged; int64_t oldest_s, clock_s; };
MUST_USE fault inspect_glance(struct str directory, struct inspect_glance *out, struct why *why);

#endif
