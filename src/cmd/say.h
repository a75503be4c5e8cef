/* SPDX-License-Identifier: ISC */
/*
 * cmd/say.h -- what commands say to a person, or to a program as JSON.
 *
 * In most of it somebody else's words may stand: a mail server's reply, an address, a file's name, what SQLite read in a damaged
 * database. None of them may command the terminal, end the line, or show as another text than it is (base/escape.h).
 *
 * Limits   SAY_BYTES_MAX of what is said at a time; the rest is cut.
 * Tests    test/scenario/commands_test.py, test/scenario/queue_verify_test.py, test/unit/base/escape_test.c, test/house/say_test.py
 */
#ifndef CMD_SAY_H
#define CMD_SAY_H

#include <stdio.h>

#include "base/fault.h"
#include "base/str.h"

enum { SAY_BYTES_MAX = 1 << 20 };

void say(FILE *to, const char *fmt, ...) PRINTF(2, 3); /* one line, and its end */
void say_lines(FILE *to, struct str text);             /* text of several lines, as it is */
void say_json(struct str value);                       /* to standard output, as one line */

#endif
