/* SPDX-License-Identifier: ISC */
/*
 * cmd/arguments.h -- the words after a command's name: its options, what is wrong with them, and the files that they name.
 *
 * Everything here that fails has said why, on standard error, and gives the exit status.
 *
 * Tests    test/unit/cmd/queue_test.py, test/scenario/commands_test.py, test/scenario/load_sink_test.py
 */
#ifndef CMD_ARGUMENTS_H
#define CMD_ARGUMENTS_H

#include <getopt.h>

#include "base/buf.h"
#include "base/fault.h"
#include "cmd/command.h"

/* Each option in turn goes to take, by the letter of its row (short ones too, as for getopt); optarg is its value. Ends with
 * the first that gives something else than 0, or at the first word that is none (optind). */
int arguments_take(const struct command *c, int argc, char **argv, const char *letters, const struct option *options,
                   int (*take)(void *owner, int letter), void *owner);
/* The value of an option at argv[at]: "NAME VALUE", or "NAME=VALUE" where NAME begins with "--". Returns how many words they took, 0 if it
 * is another word, -1 if the value is missing: wrong says so. A word that begins with "--", or with any "-" where no value of this
 * option may, is an option of its own, and not this one's value. */
int arguments_value(int argc, char **argv, int at, const char *name, bool may_dash, const char **value_out, struct why *wrong);
/* That for "-c FILE", which is given once: -1 also where it was given before, and *given says so. */
int arguments_conf(int argc, char **argv, int at, const char **path_out, bool *given, struct why *wrong);
bool argument_is_option(const char *word, bool may_dash); /* may_dash: a value may begin with one "-" */
void argument_missing(struct why *wrong, const char *name, const char *next); /* next: the word that is no value; NULL: there is none */
/* A domain, which may end in one dot, as the DNS writes names: without it. Part of word. */
struct str argument_domain(struct str word);
/* A queue id, as far as can be seen from here; else wrong says what those look like. */
bool argument_is_id(const char *word, struct why *wrong);
/* fmt has one %s, or none. The usage follows; 2. */
int arguments_wrong(const struct command *c, const char *fmt, const char *what);
/* "sealpost NAME: WHAT: WHY" */
int arguments_bad(const struct command *c, int status, const char *what, const char *why);
/* The whole file, which may be as large as the buffer. */
int arguments_read_file(const struct command *c, int status, const char *path, struct buf *to);

#endif
