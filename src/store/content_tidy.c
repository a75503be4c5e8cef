/* SPDX-License-Identifier: ISC */
#include "store/content_log_inside.h"

#include <stdlib.h>

#include "base/check.h"
#include "sys/file.h"

enum {
	PREPARE_BYTES = 1 << 20,         /* zeros a step */
	SPARE_MAX = 2,                   /* empty segments kept for later */
};

static size_t free_segments(const struct content_log *log)
{
	size_t n = 0;
	for (size_t i = 0; i < log->n_segments; i++)
		n += segment_is_free(log, log->segments[i]);
	return n;
}

static size_t step_from(const struct content_log *log, uint64_t from)
{
	return log->segment_bytes - from < PREPARE_BYTES ? (size_t)(log->segment_bytes - from) : PREPARE_BYTES;
}

/* Zeros at the end of the file, where nothing has been written yet. */
static bool prepare_step(struct content_log *log, struct segment *s, uint64_t bytes_max)
{
	if (s->abandoned || s->ready >= log->segment_bytes || segment_use(log, s, NULL) != OK)
		return false;
	/* Records still gathered will be written over the front of what is prepared here. */
	uint64_t from = s->ready > s->head ? s->ready : s->head;
	if (from >= log->segment_bytes)
		return false;
	size_t n = step_from(log, from);
	if (n > bytes_max)
		return false;
	char *zeros = must_alloc(n);
	fault f = file_pwrite(s->fd, (struct str){ zeros, n }, from);
	free(zeros);
	if (f != OK)
		return false; /* no room: mail goes on in what there is, and the next step tries again */
	s->ready = from + n;
	if (s == log->active) {
		s->dirty = true;
		return true;
	}
	if (file_sync(s->fd) != OK)
		s->abandoned = true;
	return true;
}

static bool remove_surplus(struct content_log *log)
{
	if (free_segments(log) <= SPARE_MAX)
		return false;
	for (size_t i = log->n_segments; i-- > 0;) {
		struct segment *s = log->segments[i];
		if (!segment_is_free(log, s))
			continue;
		char name[32];
		segment_name(name, s->number);
		segment_shut(log, s);
		if (file_remove(log->directory, name) != OK)
			return false;
		segment_forget(log, i);
		return true;
	}
	return false;
}

bool content_log_prepare(struct content_log *log, uint64_t bytes_max)
{
	if (log->failed)
		return false;
	if (log->active == NULL && segment_activate(log, NULL) != OK)
		return false;
	if (remove_surplus(log))
		return true;
	if (log->active->ready < log->segment_bytes)
		return prepare_step(log, log->active, bytes_max);
	bool half_full = log->active->head >= log->segment_bytes / 2; /* the next one is wanted */
	for (size_t i = 0; i < log->n_segments; i++) { /* one that is begun is finished first */
		struct segment *s = log->segments[i];
		if (segment_is_free(log, s) && s->ready < log->segment_bytes && (s->ready > 0 || half_full))
			return prepare_step(log, s, bytes_max);
	}
	struct segment *next;
	if (free_segments(log) > 0 || !half_full || bytes_max < step_from(log, 0) || segment_create(log, &next, NULL) != OK)
		return false;
	return prepare_step(log, next, bytes_max);
}

/* From here on the file has nothing of anybody: records of old lie there, or zeros. What lives is never behind the head. */
static uint64_t ahead_of(const struct content_log *log, const struct segment *s)
{
	uint64_t used = 0;
	if (s->abandoned || (s != log->active && s->live > 0))
		used = s->ready;
	else if (s == log->active && !segment_is_begun_anew(log, s))
		used = s->head;
	return s->ready > used ? s->ready - used : 0;
}

uint64_t content_log_ahead_bytes(const struct content_log *log)
{
	uint64_t n = 0;
	for (size_t i = 0; i < log->n_segments; i++)
		n += ahead_of(log, log->segments[i]);
	return n;
}

static bool cut(struct content_log *log, struct segment *s, uint64_t *bytes)
{
	uint64_t n = ahead_of(log, s) < *bytes ? ahead_of(log, s) : *bytes;
	if (n == 0 || segment_use(log, s, NULL) != OK || file_cut(s->fd, s->ready - n) != OK)
		return false;
	s->ready -= n;
	*bytes -= n;
	return true;
}

/* What would be needed last goes first. */
bool content_log_give_back(struct content_log *log, uint64_t bytes)
{
	bool any = false;
	for (size_t i = log->n_segments; !log->failed && i-- > 0;)
		if (log->segments[i] != log->active)
			any |= cut(log, log->segments[i], &bytes);
	if (!log->failed && log->active != NULL && segment_is_begun_anew(log, log->active))
		segment_recycle(log->active);
	if (!log->failed && log->active != NULL)
		any |= cut(log, log->active, &bytes);
	return any;
}

bool content_log_mark_sparse(struct content_log *log)
{
	uint64_t live = 0, n = 0;
	for (size_t i = 0; i < log->n_segments; i++) {
		const struct segment *s = log->segments[i];
		if (s != log->active && !s->abandoned && s->live > 0 && s->live < log->segment_bytes / 4) {
			live += s->live;
			n++;
		}
	}
	if (n < 2 || n * log->segment_bytes - live < log->segment_bytes * 3 / 2)
		return false;
	for (size_t i = 0; i < log->n_segments; i++) {
		struct segment *s = log->segments[i];
		s->marked = s != log->active && !s->abandoned && s->live > 0 && s->live < log->segment_bytes / 4;
	}
	return true;
}

bool content_log_is_marked(const struct content_log *log, struct extent e)
{
	const struct segment *s = segment_find(log, e.segment);
	return s != NULL && s->marked;
}

void content_log_unmark(struct content_log *log)
{
	for (size_t i = 0; i < log->n_segments; i++)
		log->segments[i]->marked = false;
}

uint64_t content_log_disk_bytes(const struct content_log *log)
{
	uint64_t n = 0;
	for (size_t i = 0; i < log->n_segments; i++)
		n += log->segments[i]->ready;
	return n;
}
