/* SPDX-License-Identifier: ISC */
/*
 * store/inspect.h -- a queue seen from outside: for commands that run beside the server, or without it.
 *
 * The server owns its queue; this only reads. What lies there may change meanwhile.
 *
 * Errors   F_ABSENT: no queue there. F_STORE: it cannot be read. The why says more.
 * Tests    test/unit/store/damage_test.c
 */
#ifndef STORE_INSPECT_H
#define STORE_INSPECT_H

#include "base/arena.h"
#include "base/fault.h"

/* The database's own structure, pages and indexes: what SQLite's integrity check has to say, at most max texts. */
MUST_USE fault inspect_structure(struct str directory, struct arena *a, struct str *out, size_t max, size_t *n_out,
                                 struct why *why);

#endif
