/* SPDX-License-Identifier: ISC */
/*
 * cmd/arguments.h -- the words after a command's name: its options, what is wrong with them, and the files that they name.
 *
 * Everything here that fails has said why, on standard error, and gives the exit status.
 *
 * Tests    test/scenario/commands_test.py, test/scenario/load_sink_test.py
 */
#ifndef CMD_ARGUMENTS_H
#define CMD_ARGUMENTS_H

#include <getopt.h>

#include "base/buf.h"
#include "cmd/command.h"

/* Each option in turn goes to take, by the letter of its row (short ones too, as for getopt); optarg is its value. Ends with
 * the first that gives something else than 0, or at the first word that is none (optind). */
int arguments_take(const struct command *c, int argc, char **argv, const char *letters, const struct option *options,
                   int (*take)(void *owner, int letter), void *owner);
/* fmt has one %s, or none. The usage follows; 2. */
int arguments_wrong(const struct command *c, const char *fmt, const char *what);
/* "sealpost NAME: WHAT: WHY" */
int arguments_bad(const struct command *c, int status, const char *what, const char *why);
/* The whole file, which may be as large as the buffer. */
int arguments_read_file(const struct command *c, int status, const char *path, struct buf *to);

#endif
