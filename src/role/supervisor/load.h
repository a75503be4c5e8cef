/* SPDX-License-Identifier: ISC */
/*
 * role/supervisor/load.h -- brings the texts of a configuration together: the main file and what it includes.
 *
 * Only reads; conf_read tells what is wrong inside. `check`, `serve` and the other commands use it as the
 * supervisor does.
 *
 * Limits   CONF_TEXTS_MAX files, each CONF_FILE_BYTES_MAX bytes, together CONF_BYTES_MAX.
 * Errors   F_ABSENT, F_DENIED, F_LIMIT, F_SYS; the why names the file and what to do.
 * Tests    test/unit/role/load_test.c, test/house/check_test.py
 */
#ifndef ROLE_SUPERVISOR_LOAD_H
#define ROLE_SUPERVISOR_LOAD_H

#include "conf/conf.h"

struct conf_texts {
	struct conf_text *items;   /* the main file first, then DIR/NAME.conf in the order of include lines and names */
	size_t n;
	struct arena *arena;
};

MUST_USE fault conf_load(const char *path, struct conf_texts **out, struct why *why);
MUST_USE fault conf_load_main(const char *path, struct arena *a, struct str *out, struct why *why); /* without what it includes */
void           conf_texts_free(struct conf_texts **texts);
struct conf_texts *conf_texts_copy(const struct conf_texts *texts);

/* A whole file into the arena; for the files that a configuration names. */
MUST_USE fault load_file(const char *path, size_t bytes_max, struct arena *a, struct str *out, struct why *why);

/* way.c: the first folder on the way to this one, by its path, ... */
enum { WAY_MAX = 4096 };
/* ... that an account may not pass. By modes alone: a list of the folder's may let it. gid NULL: perhaps of every group. */
bool way_is_barred(const char *path, uint32_t uid, const uint32_t *gid, char folder[WAY_MAX]);
/* ... that holds a queue. */
bool way_leads_into_queue(const char *path, char folder[WAY_MAX]);
/* Both in the same words wherever they are told: the queue's directory, the folder; the account, the folder, the queue's directory. */
#define QUEUE_INSIDE_TEXT "queue directory %s: it lies in another queue (%s): name one outside of it"
#define QUEUE_BARRED_TEXT \
	"%s may not pass %s, so the queue's directory %s cannot be reached, and the server does not start: let others pass (chmod o+x), " \
	"or name another directory"

/* Of run-as and mail-user, in the same words wherever it is told: the directive, the name, the directive. */
#define ACCOUNT_MISSING_TEXT                                                                                                   \
	"%s: this machine has no user \"%.*s\", and nothing runs as root: make it (`systemd-sysusers` does where sysusers.d/sealpost.conf " \
	"is installed, `useradd --system` everywhere), or name another one with %s"

/* permit.c: F_DENIED where anybody on the machine may read or write a secret (keys, users, relays' passwords), write the
 * configuration, or where this belongs to somebody who is neither root nor we. The report says what to do; it warns of a
 * secret that belongs to somebody else, and of passwords that a group may read. */
MUST_USE fault permit_judge(const struct conf *conf, const struct conf_text *texts, size_t n, struct conf_report *report);

#endif
