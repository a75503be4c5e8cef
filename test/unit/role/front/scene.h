/* SPDX-License-Identifier: ISC */
/* What most tests of the front begin with: one house, one client, a letter. */
#ifndef FRONT_SCENE_H
#define FRONT_SCENE_H

#include "house.h"

extern struct house h;
extern struct client c;

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_house, close_house)
int open_house(void **state);
int close_house(void **state);

void log_in(int listener);           /* comes, starts TLS where that is due, and is jada */
void give_letter(const char *from, const char *to, const char *text, const char *reply);
void begin_mail(const char *mail);   /* up to the 354 */

void expect_in(struct buf *text, const char *part);
void expect_not_in(struct buf *text, const char *part);

#endif
