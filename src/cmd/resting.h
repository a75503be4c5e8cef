/* SPDX-License-Identifier: ISC */
/*
 * cmd/resting.h -- how many destinations rest after failures, and how to learn more, in the words of `status` and `doctor`.
 *
 * Tests    test/unit/cmd/doctor_test.c, test/scenario/shape_test.py
 */
#ifndef CMD_RESTING_H
#define CMD_RESTING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* spool: what the server tells of that role. False: none rests, or nothing waits for any; to is left alone. */
bool resting_words(const json_t *spool, char *to, size_t room);

#endif
