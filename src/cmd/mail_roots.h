/* SPDX-License-Identifier: ISC */
/*
 * cmd/mail_roots.h -- the folders that must be there for `deliver maildir`: can the mail's owner use them?
 *
 * Only mode bits and owners are looked at: a list that lets more people in is not. So what is said is a warning.
 *
 * Tests    test/house/check_test.py, test/unit/cmd/doctor_test.c
 */
#ifndef CMD_MAIL_ROOTS_H
#define CMD_MAIL_ROOTS_H

#include "conf/conf.h"
#include "sys/file.h"

/* Each root that mail cannot be put into, once, in words that say what to do. */
void mail_roots_look(const struct conf *conf, void (*trouble)(void *owner, struct conf_place at, const char *text), void *owner);

/* Pure: may this user, alone in this group, do all of what (FILE_READ, FILE_WRITE, and FILE_SEARCH for a folder's names)? */
enum { FILE_SEARCH = 1 << 16 };
bool path_allows(const struct path_facts *p, uint32_t uid, uint32_t gid, unsigned what);

#endif
