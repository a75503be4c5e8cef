/* SPDX-License-Identifier: ISC */
/*
 * cmd/findings.h -- what a command that looks at something has found, and what to do about it: told last, the gravest first.
 *
 * Facts and findings are printed alike: a line for a person, where foreign text is made harmless for a terminal, or a JSON object,
 * in ASCII. A fact for a person is its `text`, if it has one (cmd/story_print.h).
 *
 * Limits   FINDINGS_MAX are kept; more are counted.
 * Tests    test/unit/cmd/doctor_test.c, test/scenario/doctor_test.py, test/scenario/probe_test.py
 */
#ifndef CMD_FINDINGS_H
#define CMD_FINDINGS_H

#include <stdarg.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/str.h"

enum { FINDINGS_MAX = 300 };

/* By weight. Advice alone does not change the exit status. */
enum finding_weight { FINDING_ADVICE, FINDING_WEAK, FINDING_BROKEN };

struct finding { enum finding_weight weight; char what[32], about[300], text[600]; };
struct findings { struct finding *items; size_t n, too_many; };

void findings_init(struct findings *f);
void findings_fini(struct findings *f);
/* what: a stable word. about: which thing, perhaps nothing. */
void findings_add(struct findings *f, enum finding_weight weight, const char *what, struct str about, const char *fmt, ...) PRINTF(5, 6);
void findings_add_list(struct findings *f, enum finding_weight weight, const char *what, struct str about, const char *fmt, va_list args)
	PRINTF(5, 0);
/* All of them, and how many are to be mended. Gives the exit status: 1 if one is more than advice. */
int  findings_tell(const struct findings *f, bool json);

/* Prints {"kind": ..., ...}, and lets go of it. */
void fact_tell(json_t *fact, bool json);

#endif
