/* SPDX-License-Identifier: ISC */
/*
 * role/porter/letter.h -- one letter on its way into one Maildir.
 *
 * Written to tmp/, synced, linked into new/ under a name that follows from queue id and recipient, synced again. A
 * repeat after a crash finds the first by that name, in new/ or, where a mail program has taken it, in cur/, makes sure
 * that the name is durable, and leaves it alone: exactly one copy. Missing folders are made (0700); below the fixed
 * part of the place no link is followed. Blocks on the disk: the porter does nothing else.
 *
 * Errors   F_EXISTS: an earlier attempt has delivered it. F_LIMIT: no space, no quota; F_DENIED, F_ABSENT, F_SYS:
 *          the why names path and reason, for the log. After an error the letter is only good for letter_free.
 * Owns     One descriptor between begin and finish.
 * Tests    test/unit/role/porter/
 */
#ifndef ROLE_PORTER_LETTER_H
#define ROLE_PORTER_LETTER_H

#include "base/fault.h"
#include "policy/place.h"

struct letter;

/* repeat: it may have been delivered before, and read since: look into cur/ too, and see that the folders are durable. */
MUST_USE fault letter_begin(const struct place *place, const char *name, bool repeat, struct letter **out,
                            struct why *why);
MUST_USE fault letter_write(struct letter *l, struct str bytes);   /* LF line ends: Maildir's */
MUST_USE fault letter_finish(struct letter *l, struct why *why);   /* OK, F_EXISTS: durable in new/ */
/* Could one be begun there, as far as can be seen without making anything? */
MUST_USE fault letter_look(const struct place *place, struct why *why);
void letter_free(struct letter **l);                               /* what is unfinished leaves no trace */

/* After F_LIMIT: is the disk full, or only this account's share of it? */
bool letter_disk_is_full(const struct place *place, uint64_t needed_bytes);

/* The name of a letter's file, the same whenever it is asked for: "TIME.QidRhash.host". The time is that of the id. */
enum { LETTER_NAME_MAX = 220 };
void letter_name(char out[LETTER_NAME_MAX + 1], int64_t arrived_s, struct str id, struct str address,
                 struct str hostname);

#endif
