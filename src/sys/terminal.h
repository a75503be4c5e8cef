/* SPDX-License-Identifier: ISC */
/*
 * sys/terminal.h -- asking a person for a secret.
 *
 * Tests    test/unit/cmd/passwd_test.py
 */
#ifndef SYS_TERMINAL_H
#define SYS_TERMINAL_H

#include "base/buf.h"
#include "base/fault.h"

/* One line from the terminal, typed without being shown; prompt goes to the terminal too. F_ABSENT: standard input is
 * no terminal. The line's end is not in it. F_STATE: the person interrupted; the echo is on again. */
MUST_USE fault terminal_ask_secret(const char *prompt, struct buf *line_out);

#endif
