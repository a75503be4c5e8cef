/* SPDX-License-Identifier: ISC */
/*
 * conf/trouble.h -- errors and warnings with their places, collected, then told in the order of the text.
 *
 *     FILE:LINE:COLUMN: message
 *         the line itself
 *             ^
 *       what was expected
 *
 * Limits   TROUBLES_MAX are kept, the rest is counted.
 * Tests    test/unit/conf, fuzz/conf.c
 */
#ifndef CONF_TROUBLE_H
#define CONF_TROUBLE_H

#include "conf/conf.h"

enum { TROUBLES_MAX = 1000 };

struct trouble {
	struct conf_place at;
	bool warning;
	struct str message, expected;
};

struct troubles {
	struct arena *arena;
	const struct conf_text *texts;   /* to show the lines */
	size_t n_texts;
	struct trouble *items;
	size_t n;
	unsigned errors, warnings;
};

void troubles_init(struct troubles *t, struct arena *a, const struct conf_text *texts, size_t n);
void trouble_error(struct troubles *t, struct conf_place at, const char *fmt, ...) PRINTF(3, 4);
void trouble_warn(struct troubles *t, struct conf_place at, const char *fmt, ...) PRINTF(3, 4);
/* About the trouble just told. */
void trouble_expected(struct troubles *t, const char *fmt, ...) PRINTF(2, 3);
/* Adds `did you mean "..."?` to its message, if one of the words is near. */
void trouble_near(struct troubles *t, struct str word, const struct str *known, size_t n);

void troubles_tell(struct troubles *t, struct conf_report *to);

/* The same for one line of another file, at once. line 0: about the file. line_text STR_NONE: not to be shown. */
void report_line(struct conf_report *to, bool warning, struct conf_place at, struct str line_text, const char *fmt, ...)
	PRINTF(5, 6);

/* The same at a place in the texts of a configuration that has been read: texts are found by their name. */
void report_at(struct conf_report *to, bool warning, const struct conf_text *texts, size_t n, struct conf_place at,
               const char *fmt, ...) PRINTF(6, 7);

/* For %.*s: a word of the input, cut to what a message bears. */
struct str shown(struct str s);
#define SHOWN(s) STR_ARG(shown(s))

/* The word of `known` that s is most likely a slip of, or STR_NONE. */
struct str nearest_word(struct str s, const struct str *known, size_t n);

#endif
