/* SPDX-License-Identifier: ISC */
/* An SQLite store under test, on a disk that can fail: what tests of it put in and look for. */
#ifndef TEST_STORE_SQLITE_FIXTURE_H
#define TEST_STORE_SQLITE_FIXTURE_H

#include "fixture.h"

extern const struct store_ops *const ops;

#define TEST(name) cmocka_unit_test_setup_teardown(name, sqlite_setup, sqlite_teardown)
int sqlite_setup(void **state);
int sqlite_teardown(void **state);

fault    put_text(struct fixture *f, const char *id, struct str content);     /* to one recipient, due now */
fault    read_all(struct fixture *f, const char *id, struct str *out);
void     assert_content(struct fixture *f, const char *id, struct str want);
uint64_t messages(struct fixture *f);
void     settle_all(struct fixture *f, enum settle_kind kind);
void     segment_path(struct fixture *f, char out[128], unsigned number);

#endif
