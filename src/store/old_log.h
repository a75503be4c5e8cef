/* SPDX-License-Identifier: ISC */
/*
 * store/old_log.h -- is the log that a dead process left to SQLite whole?
 *
 * SQLite takes its log up to the first frame whose sum is wrong, as it must after a power cut, and says nothing. Where
 * commits lie behind that frame which had been flushed, it is damage, and they are lost: that is told from what a power cut leaves
 * by their order. What is damaged in the last commit of a log cannot be told so.
 *
 * Errors   F_STORE: it is damaged, and the why says from where on, and what to do. path is for these words.
 * Tests    test/unit/store/old_log_test.c, damage_test.c there, and by the simulation, where no legal disk is called damaged
 */
#ifndef STORE_OLD_LOG_H
#define STORE_OLD_LOG_H

#include "base/fault.h"

/* Before the database is opened: then the log is SQLite's. */
MUST_USE fault old_log_look(int directory, const char *path, struct why *why);

#endif
