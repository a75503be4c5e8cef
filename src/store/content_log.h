/* SPDX-License-Identifier: ISC */
/*
 * store/content_log.h -- the bytes of messages: an append-only log over recycled segment files.
 *
 * A record is a header (magic, checksum, length, the message's number, where in the message it belongs) and up to
 * RECORD_BYTES_MAX bytes. Records are gathered in memory, written with one pwrite, and made durable by
 * content_log_sync. Which records live is known to the caller alone (the database); the log counts living
 * bytes per segment, and a segment without any is used again. A recycled segment still holds old records: a
 * reader recognises them by their number, so nothing has to be wiped.
 *
 * Files    content-000001 ... in the given directory, segment_bytes each, written with zeros ahead of use by
 *          content_log_prepare, because overwriting costs a flush less than growing. What was written ahead is no
 *          message's: content_log_give_back cuts it off again where the disk runs short.
 * Limits   segment_bytes between SEGMENT_BYTES_MIN and SEGMENT_BYTES_MAX; SEGMENTS_OPEN_MAX descriptors.
 * Errors   F_LIMIT: disk full; what was gathered is lost (content_log_holds says which), the log goes on in
 *          another segment. F_STORE: a write or a flush failed, and the log refuses from then on.
 * Tests    test/unit/store/sqlite_test.c, ahead_test.c, sqlite_crash_test.c
 */
#ifndef STORE_CONTENT_LOG_H
#define STORE_CONTENT_LOG_H

#include "base/buf.h"

enum {
	RECORD_BYTES_MAX = 64 << 10,
	SEGMENT_BYTES_MIN = 128 << 10,
	SEGMENT_BYTES_DEFAULT = 64 << 20,
	SEGMENT_BYTES_MAX = 1 << 30,
	SEGMENTS_OPEN_MAX = 64,
};

struct content_log;
struct extent { uint32_t segment, offset, length; }; /* a record; length is of its bytes alone */

/* The directory's descriptor stays the caller's. */
MUST_USE fault content_log_open(int directory, uint64_t segment_bytes, struct content_log **out, struct why *why);
void content_log_close(struct content_log **log);

/* At the start: this record lives. Whether it can be read shows when it is. */
void content_log_adopt(struct content_log *log, struct extent e);
/* Adopting is over: what has nothing living may be used. */
void content_log_adopted(struct content_log *log);

/* A new living record of the bytes of a and then b, together 1 to RECORD_BYTES_MAX. */
MUST_USE fault content_log_append(struct content_log *log, uint64_t number, uint64_t position, struct str a,
                                  struct str b, struct extent *out);
MUST_USE fault content_log_sync(struct content_log *log, struct why *why); /* OK: all that holds() is durable */
bool content_log_holds(const struct content_log *log, struct extent e);
void content_log_release(struct content_log *log, struct extent e);        /* it lives no more */
bool content_log_failed(const struct content_log *log);

/* The record's bytes, checked; valid until the next call. F_STORE: damaged; other faults: not readable now. */
MUST_USE fault content_log_read(struct content_log *log, struct extent e, uint64_t number, uint64_t position,
                                struct str *out);

/* A small step of preparing the next segment, by no more than so many bytes, or of giving surplus ones back to the file system; false:
 * nothing to do. */
bool content_log_prepare(struct content_log *log, uint64_t bytes_max);
/* What is written ahead goes back to the file system, at least so much of it; false: there is none. */
bool content_log_give_back(struct content_log *log, uint64_t bytes);
uint64_t content_log_ahead_bytes(const struct content_log *log);

/* Segments that are nearly empty but pinned by a few living records are marked; the caller then copies what
 * lives in a marked one (append, sync, remember, release). False: not worth it. */
bool content_log_mark_sparse(struct content_log *log);
bool content_log_is_marked(const struct content_log *log, struct extent e);
void content_log_unmark(struct content_log *log);

uint64_t content_log_disk_bytes(const struct content_log *log);

#endif
