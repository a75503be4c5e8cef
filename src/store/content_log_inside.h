/* SPDX-License-Identifier: ISC */
/*
 * store/content_log_inside.h -- what the files of the content log share.
 *
 *     content_log.c       records: written, made durable, read; opening and closing
 *     content_segments.c  segments: found, opened, made, chosen
 *     content_tidy.c      segments made ready ahead of use, given back, and those that only a few records pin
 *
 * Tests    as store/content_log.h
 */
#ifndef STORE_CONTENT_LOG_INSIDE_H
#define STORE_CONTENT_LOG_INSIDE_H

#include "store/content_log.h"
#include "store/crc32c.h"

struct segment {
	uint32_t number;
	int fd;                          /* -1: not open now */
	uint64_t used_at;                /* for closing the one that was not used for longest */
	uint64_t ready, head, live;      /* bytes in the file; where to append; of living records with headers */
	uint64_t lost_from;              /* records from here on never reached the file */
	bool dirty, marked, abandoned;
};

struct content_log {
	int directory;
	uint64_t segment_bytes;
	struct segment **segments;       /* by number, ascending */
	size_t n_segments;
	struct segment *active;
	struct buf gathered;             /* ends at active->head */
	uint64_t uses, open_files;
	bool failed;
	char *scratch;                   /* one record */
	struct extent in_scratch;        /* length 0: none */
	uint64_t scratch_number, scratch_position;
	struct crc32c crc;
};

/* content_segments.c */
void segment_name(char out[32], uint32_t number);
struct segment *segment_find(const struct content_log *log, uint32_t number);   /* NULL: there is none */
struct segment *segment_add(struct content_log *log, uint32_t number);          /* its file is there */
MUST_USE fault segment_create(struct content_log *log, struct segment **out, struct why *why); /* with its file */
MUST_USE fault segment_use(struct content_log *log, struct segment *s, struct why *why);       /* its fd is open now */
void segment_shut(struct content_log *log, struct segment *s);
void segment_forget(struct content_log *log, size_t i);                         /* the i-th; its file stays as it is */
void segment_recycle(struct segment *s);
bool segment_is_free(const struct content_log *log, const struct segment *s);
bool segment_is_begun_anew(const struct content_log *log, const struct segment *s); /* of the active one: nothing in it lives */
MUST_USE fault segment_activate(struct content_log *log, struct why *why);      /* another one */

#endif
