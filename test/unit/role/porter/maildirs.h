/* SPDX-License-Identifier: ISC */
/* Maildirs on a real disk, in a folder that lasts for one test, and who delivers into them. */
#ifndef TEST_ROLE_PORTER_MAILDIRS_H
#define TEST_ROLE_PORTER_MAILDIRS_H

#include "base/str.h"
#include "policy/place.h"

extern char root[64]; /* of all that follows */

/* As the supervisor starts a porter: never as root. For a group of tests. */
int become_nobody(void **state);

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)
int make_root(void **state);
int remove_root(void **state);

struct place place_of(const char *below);
const char  *path_of(const char *below);     /* valid until the next call */
size_t       count_files(const char *below);
struct str   content_of(const char *below);  /* valid until the next call */

#endif
