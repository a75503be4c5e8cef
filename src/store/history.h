/* SPDX-License-Identifier: ISC */
/*
 * store/history.h -- what became of letters, kept for a while after they have left the queue: one file a day, beside the queue.
 *
 *     (an empty line)
 *     event at=1763712000 id=1m7y2dsmfp8newk sender=ann@example.net
 *     rcpt address=bob@example.org what=relayed attempt=1 ...
 *     host name=mx1.example.org ip=192.0.2.1
 *     sum crc32c=5ba39c27
 *
 * A record is lines as mail/story.h has them: `event` first, `sum` last, and between them what its writer has put there. Records are
 * gathered, and written by history_flush() with one write and without a sync: a power cut may cost the last seconds of history. It
 * never costs mail, and neither does anything else that fails here: what cannot be written is left out. What was torn or
 * changed since is passed over by the reader.
 *
 * A day's file goes when its last second is older than keep_s, or, the oldest first, when all of them have more than bytes_max
 * bytes. When the present day alone has as many, no more is written in it.
 *
 * Units    Times in wall-clock seconds, passed in; days are those of UTC.
 * Limits   the enum below; HISTORY_RECORD_MAX for a record, HISTORY_GATHERED_MAX for what was not written yet.
 * Errors   F_LIMIT: no room, on the disk or within bytes_max; else as sys/file.h has them. What was gathered is gone in any case.
 * Tests    test/unit/store/history_test.c, fuzz/history.c
 */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include "base/buf.h"
#include "store/crc32c.h"

enum {
	HISTORY_RECORD_MAX = 96 << 10,
	HISTORY_GATHERED_MAX = 4 << 20,
	HISTORY_DAYS_MAX = 4000,         /* files that are looked at */
};

struct history;

/* Nothing is opened before it is needed. keep_s 0: no history at all, and what there was goes. */
struct history *history_new(struct str directory);
void            history_free(struct history **h);
void            history_limit(struct history *h, int64_t keep_s, uint64_t bytes_max);
bool            history_is_on(const struct history *h);

/* One record. lines: begins with `event`, sound, and whole; more: what others have told, left out where it has a line `event` or
 * `sum`, or where there is no room for it. False: the record was left out. */
bool   history_add(struct history *h, struct str lines, const struct str *more, size_t n_more);
size_t history_gathered(const struct history *h); /* bytes that wait for the next flush */
MUST_USE fault history_flush(struct history *h, int64_t now_s, struct why *why);
void   history_forget(struct history *h);         /* what was gathered: what it tells did not happen */
/* Days that are over go; cheap while the day stays the same. */
void   history_tidy(struct history *h, int64_t now_s);

/* ---- reading ---- */

struct history_reader;

/* All that is there, the oldest first. What is written meanwhile may be in it. */
struct history_reader *history_read(struct history *h);
/* Looks at about so many bytes (HISTORY_RECORD_MAX at least) and calls each for every whole record in them: its lines, without
 * `sum`; they live until each returns. False: that was all. */
bool history_some(struct history_reader *r, size_t bytes, void (*each)(void *owner, struct str lines), void *owner);
void history_close(struct history_reader **r);

/* Is this record about that message, or does it name that recipient, as the client wrote him or as an alias made him? An empty one
 * asks nothing. */
bool history_is_about(struct str lines, struct str id, struct str address);

/* ---- for the fuzzer ---- */

/* The records in these bytes; how many bytes need not be read again. at_end: nothing follows. */
size_t history_take(const struct crc32c *crc, struct str bytes, bool at_end, void (*each)(void *owner, struct str lines), void *owner);

#endif
