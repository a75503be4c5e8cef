/* SPDX-License-Identifier: ISC */
/*
 * role/keeper/vault.h -- everything the keeper knows by one configuration: keys, users, names, secrets.
 *
 * Parsed as a whole beside the one in force: it is either right or not taken.
 *
 * Errors   The why names the file and, where there is one, the line; never a word of a secret.
 * Owns     The vault takes over the files. conf must outlive it.
 * Tests    test/unit/role/keeper/
 */
#ifndef ROLE_KEEPER_VAULT_H
#define ROLE_KEEPER_VAULT_H

#include "conf/conf.h"
#include "policy/directory.h"
#include "proto/sasl/kinds.h"
#include "role/keeper/keys.h"

/* Files as they arrive from the supervisor, before COMMIT. */
struct files;

struct files *files_new(void);
void files_free(struct files **f);                               /* wipes */
void files_take(struct files *f, struct str path, int fd);       /* reads and closes; a failure is remembered */

struct vault {
	const struct conf *conf;
	struct files *files;
	struct keys *keys;
	struct directory *directory;
	struct credential_kinds kinds; /* of the users' verifiers, for names that do not exist */
};

/* Takes files over also on failure. now_s: wall clock. trouble: sentences that do not hinder, a line each. */
MUST_USE fault vault_new(const struct conf *conf, struct files **files, int64_t now_s, struct vault **out,
                              struct buf *trouble, struct why *why);
void vault_free(struct vault **v);

/* The password for a relay's login; F_ABSENT: it has none. */
MUST_USE fault vault_secret(const struct vault *v, struct str relay, struct str *user_out, struct str *password_out);

/* "certificates": [...] for the status: names and days left. */
void vault_status(const struct vault *v, int64_t now_s, struct buf *json);

#endif
