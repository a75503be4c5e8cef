/* SPDX-License-Identifier: ISC */
/*
 * A small queue of SQLite's, changed from outside, and judged: what it gives out as right is right, and whatever is not whole is found.
 */
#ifndef UNIT_STORE_JUDGED_H
#define UNIT_STORE_JUDGED_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fixture.h"

enum { LETTERS = 3, RCPTS = 4 };

/* What was committed. One recipient has been tried. */
struct letter { const char *id, *sender; size_t size; const char *rcpts[3]; bool held; };
extern const struct letter letters[LETTERS];

int judged_setup(void **state);      /* of each test; its end is fixture_teardown */
void put_letter(struct fixture *f, const struct letter *l); /* one more */

/* Files of the queue, by their names in it. */
void path_of(struct fixture *f, const char *name, char out[160]);
struct str slurp(struct fixture *f, const char *name);
void spill(struct fixture *f, const char *name, struct str bytes);
void drop(struct fixture *f, const char *name);
void patch(struct fixture *f, const char *name, size_t at, unsigned char mask);
void run_sql(struct fixture *f, const char *text);

/* Recipients that are whole, and how often something was found that is not. */
struct judged { unsigned whole, found; };
/* Everything is whole, or something was found. The queue is closed, and closed again afterwards. */
struct judged judge(struct fixture *f, const char *what, size_t at);
/* Parts of that, of an open queue. */
void judge_by_verify(struct fixture *f, struct arena *a, struct judged *j);
void judge_leases(struct fixture *f, struct arena *a, struct judged *j);

#endif
