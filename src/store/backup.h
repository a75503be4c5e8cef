/* SPDX-License-Identifier: ISC */
/*
 * store/backup.h -- a copy of a queue that is a queue: made beside the running server, or without one.
 *
 * The envelopes are those of one moment. Contents are copied record by record, each checked against its checksum; what has
 * left the queue since that moment is left out. The server needs not know. The copy has its queue.db only when all else is
 * there and flushed, so what was broken off is not mistaken for a copy. What fails takes away what it has made.
 *
 * Errors   F_EXISTS: `to` is there and not empty. F_DENIED: it lies in the queue. F_LIMIT: no room. F_STORE: the queue cannot be
 *          read. The why says more.
 * Tests    test/unit/store/backup_test.c, test/unit/cmd/backup_test.py, test/scenario/queue_backup_test.py
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "base/fault.h"
#include "base/str.h"

struct backup_sum {
	uint64_t messages, bytes;        /* in the copy, and whole */
	uint64_t left;                   /* had left the queue before they could be copied */
	uint64_t damaged;                /* in the copy, set aside: their content is not in it */
};

struct backup_watch {
	void (*progress)(void *owner, uint64_t messages, uint64_t of_messages);
	void (*damaged)(void *owner, struct str id);
	void *owner;
};

MUST_USE fault backup_make(struct str from, struct str to, const struct backup_watch *watch, struct backup_sum *out,
                           struct why *why);

#endif
