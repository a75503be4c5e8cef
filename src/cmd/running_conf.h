/* SPDX-License-Identifier: ISC */
/*
 * cmd/running_conf.h -- the configuration for a command that only asks the running server.
 *
 * The server goes on by what it read last while somebody edits the file, so such a command does with what can be read of it: a
 * line on standard error says so.
 *
 * Errors   F_SYNTAX, and what conf_load gives, if the socket of the server cannot be found in it; the why says what to do.
 * Tests    test/scenario/reload_test.py
 */
#ifndef CMD_RUNNING_CONF_H
#define CMD_RUNNING_CONF_H

#include "conf/conf.h"

/* program: who says the line. *whole_out is false where something could not be read: then nothing but the sockets and our own names
 * counts. */
MUST_USE fault running_conf(const char *path, const char *program, struct conf **out, bool *whole_out, struct why *why);

#endif
