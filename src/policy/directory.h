/* SPDX-License-Identifier: ISC */
/*
 * policy/directory.h -- who is a recipient here, who owns which address: the tables, joined once.
 *
 * Built in the keeper from the configuration and the texts of users, aliases and recipient files; `check`
 * builds it too and shows the report. Lookups are pure and never touch a path.
 *
 * aliases(5): "name: value, value" with continuation lines, "quoted" names and values, # comments. Values are
 * local names, addresses, or other names of the table; |command, /file and :include: are errors, loops too.
 * A users line is name:credential; the credential stays a slice of the given text and is never copied.
 *
 * Names are compared without regard to ASCII case. A tag is cut off for a Maildir and kept for a server behind us.
 *
 * Owns     The texts and conf must outlive the directory.
 * Limits   DIRECTORY_TARGETS_MAX targets for one address, alias depth 32.
 * Tests    test/unit/policy/directory_test.c
 */
#ifndef POLICY_DIRECTORY_H
#define POLICY_DIRECTORY_H

#include "conf/conf.h"
#include "mail/address.h"

enum { DIRECTORY_TARGETS_MAX = 1000 };

struct directory;
struct directory_file { struct str path, text; };   /* the texts must outlive the directory */

/* Problems go into report with file and line; a file with errors gives F_SYNTAX and no directory. */
MUST_USE fault directory_new(const struct conf *conf, const struct directory_file *files, size_t n,
                             struct directory **out, struct conf_report *report);
void directory_free(struct directory **d);

enum directory_verdict { DIR_LOCAL, DIR_VERIFY, DIR_UNKNOWN, DIR_REMOTE };

struct directory_answer {
	enum directory_verdict verdict;
	struct str *targets;   /* canonical addresses; "user@domain" for a mailbox of ours */
	size_t n_targets;
};
/* postmaster (also without a domain) of every local domain is always a recipient. Aliases that lead out of our
 * domains give remote targets. Users, aliases, tags, then catch-all. F_LIMIT: too many targets. */
MUST_USE fault directory_recipient(const struct directory *d, const struct address *address, struct arena *a,
                                   struct directory_answer *out);

/* Canonical user name for a login name in these users tables: F_ABSENT if there is none. */
MUST_USE fault directory_user(const struct directory *d, const struct conf_list *tables, struct str login,
                              struct str *name_out, struct str *credential_out);
/* May this user (canonical name) send as this address? */
bool directory_may_send(const struct directory *d, const struct conf_list *tables, struct str user,
                        const struct address *address, struct arena *scratch);

#endif
