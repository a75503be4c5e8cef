/* SPDX-License-Identifier: ISC */
#include "store/content_log_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sys/file.h"
#include "sys/socket.h"

enum { SEGMENTS_MAX = 999999 };

void segment_name(char out[32], uint32_t number)
{
	snprintf(out, 32, "content-%06u", number % 1000000);
}

struct segment *segment_find(const struct content_log *log, uint32_t number)
{
	size_t low = 0, high = log->n_segments;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (log->segments[mid]->number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low < log->n_segments && log->segments[low]->number == number ? log->segments[low] : NULL;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = (*(struct segment *const *)a)->number, y = (*(struct segment *const *)b)->number;
	return x < y ? -1 : x > y;
}

struct segment *segment_add(struct content_log *log, uint32_t number)
{
	struct segment *s = NEW(struct segment);
	*s = (struct segment){ .number = number, .fd = -1, .lost_from = UINT64_MAX };
	log->segments = must_resize(log->segments, (log->n_segments + 1) * sizeof(struct segment *));
	log->segments[log->n_segments++] = s;
	qsort(log->segments, log->n_segments, sizeof(struct segment *), by_number);
	return s;
}

void segment_shut(struct content_log *log, struct segment *s)
{
	if (s->fd >= 0)
		log->open_files--;
	fd_close(&s->fd);
}

void segment_forget(struct content_log *log, size_t i)
{
	segment_shut(log, log->segments[i]);
	free(log->segments[i]);
	memmove(&log->segments[i], &log->segments[i + 1], (log->n_segments - i - 1) * sizeof(struct segment *));
	log->n_segments--;
}

static void shut_oldest(struct content_log *log)
{
	struct segment *oldest = NULL;
	for (size_t i = 0; i < log->n_segments; i++) {
		struct segment *s = log->segments[i];
		if (s->fd >= 0 && s != log->active && !s->dirty && (oldest == NULL || s->used_at < oldest->used_at))
			oldest = s;
	}
	if (oldest != NULL)
		segment_shut(log, oldest);
}

fault segment_use(struct content_log *log, struct segment *s, struct why *why)
{
	s->used_at = ++log->uses;
	if (s->fd >= 0)
		return OK;
	if (log->open_files >= SEGMENTS_OPEN_MAX)
		shut_oldest(log);
	char name[32];
	segment_name(name, s->number);
	TRY(file_open(log->directory, name, FILE_READ | FILE_WRITE, 0600, &s->fd, why));
	log->open_files++;
	return OK;
}

/* What has nothing living starts again from its beginning. */
void segment_recycle(struct segment *s)
{
	s->head = 0;
	s->lost_from = UINT64_MAX;
	s->marked = false;
}

bool segment_is_free(const struct content_log *log, const struct segment *s)
{
	return s != log->active && s->live == 0 && !s->abandoned;
}

fault segment_create(struct content_log *log, struct segment **out, struct why *why)
{
	uint32_t number = log->n_segments > 0 ? log->segments[log->n_segments - 1]->number + 1 : 1;
	for (uint32_t i = 1; i <= log->n_segments; i++) /* the lowest number that nobody has */
		if (log->segments[i - 1]->number != i) {
			number = i;
			break;
		}
	if (number > SEGMENTS_MAX)
		return why_say(why, F_LIMIT, "the queue has %d content files, which is the most there may be", SEGMENTS_MAX);
	char name[32];
	int fd = -1;
	segment_name(name, number);
	TRY(file_open(log->directory, name, FILE_READ | FILE_WRITE | FILE_CREATE, 0600, &fd, why));
	/* As with bytes: a second sync may say yes to a name that the first has lost. So the name is taken back. */
	if (file_sync_all(log->directory) != OK) {
		fd_close(&fd);
		(void)!file_remove(log->directory, name);
		log->failed = true;
		return why_say(why, F_STORE, "making the name of %s durable failed", name);
	}
	struct segment *s = segment_add(log, number);
	s->fd = fd;
	s->used_at = ++log->uses;
	log->open_files++;
	*out = s;
	return OK;
}

/* The fullest-prepared free segment, or a new one: growing it while it is used is slower, but right. */
fault segment_activate(struct content_log *log, struct why *why)
{
	struct segment *best = NULL;
	for (size_t i = 0; i < log->n_segments; i++) {
		struct segment *s = log->segments[i];
		if (segment_is_free(log, s) && (best == NULL || s->ready > best->ready))
			best = s;
	}
	if (best == NULL)
		TRY(segment_create(log, &best, why));
	TRY(segment_use(log, best, why));
	segment_recycle(best);
	log->active = best;
	return OK;
}

bool segment_is_begun_anew(const struct content_log *log, const struct segment *s)
{
	return s->live == 0 && buf_view(&log->gathered).n == 0;
}
