/* SPDX-License-Identifier: ISC */
/*
 * policy/users.h -- the text of a users file and of a recipients file, line by line.
 *
 * Users:       name:credential     # comments and empty lines stand alone
 * Recipients:  name or address
 *
 * A name is a local part or a whole address. A credential is SCRAM-SHA-256$... (RFC 5803) or what crypt(3) knows,
 * $...; anything else is refused here, so that a password in clear text is found before somebody relies on it.
 *
 * Limits   USERS_MAX lines with a name.
 * Errors   Told with file and line; a line of a users file is never shown, for it holds a secret.
 * Owns     Slices of the text; the list lies in the arena. The credential is never copied.
 * Tests    test/unit/policy/directory_test.c, fuzz/users.c
 */
#ifndef POLICY_USERS_H
#define POLICY_USERS_H

#include "conf/conf.h"

enum { USERS_MAX = 1000000 };

struct user_line {
	struct str name, credential;
	bool is_address;
	struct conf_place at;
	struct user_line *next;
};

struct user_line *users_parse(struct str path, struct str text, struct arena *a, struct conf_report *report,
                              unsigned *n_errors_out);
struct user_line *recipients_parse(struct str path, struct str text, struct arena *a, struct conf_report *report,
                                   unsigned *n_errors_out);

#endif
