/* SPDX-License-Identifier: ISC */
/*
 * policy/aliases.h -- the text of an aliases file, name by name.
 *
 *     name: value, value,
 *         value            # a line that begins with a blank goes on
 *     "first last": value
 *
 * A value is a local name, an address, or \name. |command, /file and :include: are refused: a mail server that runs
 * programs for strangers or writes any file is not this one.
 *
 * Source   aliases(5) of sendmail and Postfix.
 * Limits   ALIASES_MAX names, ALIAS_VALUES_MAX values for one.
 * Errors   Told to the report with file, line and column; reading goes on after the line.
 * Owns     What comes out points into the text or lies in the arena.
 * Tests    test/unit/policy/directory_test.c, fuzz/aliases.c
 */
#ifndef POLICY_ALIASES_H
#define POLICY_ALIASES_H

#include "conf/conf.h"

enum { ALIASES_MAX = 1000000, ALIAS_VALUES_MAX = 1000 };

struct alias_value { struct str text; struct conf_place at; struct str line; };
struct alias {
	struct str name;                   /* without quotes; may be an address */
	struct conf_place at;
	struct str line;                   /* as it stands in the file, for messages */
	struct alias_value *values;
	size_t n;
	bool used;                         /* for the reader: some domain takes it */
	struct alias *next;
};

/* In the order of the file. *n_errors_out counts what was told. */
struct alias *aliases_parse(struct str path, struct str text, struct arena *a, struct conf_report *report,
                            unsigned *n_errors_out);

#endif
