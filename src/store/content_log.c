/* SPDX-License-Identifier: ISC */
#include "store/content_log_inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/little.h"
#include "sys/file.h"

enum {
	HEADER_BYTES = 32,
	GATHER_BYTES = 1 << 20,          /* written when there are so many, or at a sync */
};
static const uint32_t magic = 0x31425053; /* "SPB1" */

static uint64_t record_bytes(struct extent e)
{
	return (uint64_t)HEADER_BYTES + e.length;
}

/* ---- writing ---- */

static fault flush(struct content_log *log, struct why *why)
{
	struct str bytes = buf_view(&log->gathered);
	if (bytes.n == 0)
		return OK;
	struct segment *s = log->active;
	uint64_t from = s->head - bytes.n;
	fault f = file_pwrite(s->fd, bytes, from);
	buf_clear(&log->gathered);
	if (f == OK) {
		s->dirty = true;
		s->ready = s->head > s->ready ? s->head : s->ready;
		return OK;
	}
	s->lost_from = from;
	log->active = NULL;
	if (f == F_LIMIT)
		return why_say(why, F_LIMIT, "no room on the disk for content-%06u", s->number);
	s->abandoned = log->failed = true;
	return why_say(why, F_STORE, "writing content-%06u failed", s->number);
}

/* magic 4, checksum 4, length 4, zero 4, number 8, position 8; the checksum covers what follows it. */
static void put_header(const struct content_log *log, char *h, uint32_t length, uint64_t number, uint64_t position,
                       struct str a, struct str b)
{
	put_little(h, magic, 4);
	put_little(h + 8, length, 8);
	put_little(h + 16, number, 8);
	put_little(h + 24, position, 8);
	uint32_t crc = crc32c(&log->crc, 0, (struct str){ h + 8, HEADER_BYTES - 8 });
	crc = crc32c(&log->crc, crc, a);
	put_little(h + 4, crc32c(&log->crc, crc, b), 4);
}

/* Room for a record in the active segment, or in the next one. */
static fault make_room(struct content_log *log, uint64_t need)
{
	struct segment *s = log->active;
	if (s != NULL && segment_is_begun_anew(log, s))
		segment_recycle(s);
	if (s != NULL && log->segment_bytes - s->head < need) {
		fault f = flush(log, NULL);
		if (f == F_STORE)
			return f;
		log->active = NULL; /* what F_LIMIT lost is remembered in the segment */
	}
	if (log->active == NULL)
		TRY(segment_activate(log, NULL));
	return OK;
}

fault content_log_append(struct content_log *log, uint64_t number, uint64_t position, struct str a, struct str b,
                         struct extent *out)
{
	struct extent e = { .length = (uint32_t)(a.n + b.n) };
	check(e.length > 0 && a.n + b.n <= RECORD_BYTES_MAX);
	if (log->failed)
		return F_STORE;
	TRY(make_room(log, record_bytes(e)));

	struct segment *s = log->active;
	char *to = buf_reserve(&log->gathered, record_bytes(e));
	check(to != NULL);
	put_header(log, to, e.length, number, position, a, b);
	if (a.n > 0)
		memcpy(to + HEADER_BYTES, a.p, a.n);
	if (b.n > 0)
		memcpy(to + HEADER_BYTES + a.n, b.p, b.n);
	buf_filled(&log->gathered, record_bytes(e));
	e.segment = s->number;
	e.offset = (uint32_t)s->head;
	s->head += record_bytes(e);
	s->live += record_bytes(e);
	*out = e;
	if (buf_view(&log->gathered).n < GATHER_BYTES)
		return OK;
	fault f = flush(log, NULL);
	if (f != OK)
		content_log_release(log, e);
	return f;
}

fault content_log_sync(struct content_log *log, struct why *why)
{
	if (log->failed)
		return why_say(why, F_STORE, "the content log has failed before");
	fault written = flush(log, why);
	if (written == F_STORE)
		return written;
	for (size_t i = 0; i < log->n_segments; i++) {
		struct segment *s = log->segments[i];
		if (!s->dirty)
			continue;
		/* After a failed flush the kernel may hold a page to be clean that never reached the disk: what was
		 * asked for cannot be known any more, so nothing is asked again. */
		if (file_sync(s->fd) != OK) {
			s->abandoned = log->failed = true;
			return why_say(why, F_STORE, "flushing content-%06u to the disk failed", s->number);
		}
		s->dirty = false;
	}
	return OK;
}

bool content_log_holds(const struct content_log *log, struct extent e)
{
	const struct segment *s = segment_find(log, e.segment);
	return s != NULL && e.offset < s->lost_from;
}

void content_log_release(struct content_log *log, struct extent e)
{
	struct segment *s = segment_find(log, e.segment);
	if (s == NULL)
		return;
	if (s->live < record_bytes(e)) { /* what was adopted was damaged: nothing in here is written over any more */
		s->abandoned = true;
		return;
	}
	s->live -= record_bytes(e);
	if (segment_is_free(log, s))
		segment_recycle(s);
}

bool content_log_failed(const struct content_log *log)
{
	return log->failed;
}

/* ---- reading ---- */

static bool record_fits(const struct content_log *log, const char *record, struct extent e, uint64_t number,
                        uint64_t position)
{
	uint32_t crc = crc32c(&log->crc, 0, (struct str){ record + 8, HEADER_BYTES - 8 + e.length });
	return get_little(record, 4) == magic && get_little(record + 4, 4) == crc && get_little(record + 8, 8) == e.length &&
	       get_little(record + 16, 8) == number && get_little(record + 24, 8) == position;
}

fault content_log_read(struct content_log *log, struct extent e, uint64_t number, uint64_t position, struct str *out)
{
	bool here = log->in_scratch.length > 0 && log->in_scratch.segment == e.segment &&
	            log->in_scratch.offset == e.offset && log->in_scratch.length == e.length &&
	            log->scratch_number == number && log->scratch_position == position;
	if (!here) {
		struct segment *s = segment_find(log, e.segment);
		size_t n = 0;
		log->in_scratch.length = 0;
		if (s == NULL || e.length == 0 || e.length > RECORD_BYTES_MAX)
			return F_STORE;
		/* A file that is gone is damage; want of descriptors, or a disk that fails to read now, is not. */
		fault f = segment_use(log, s, NULL);
		if (f == OK)
			f = file_pread(s->fd, log->scratch, record_bytes(e), e.offset, &n);
		if (f != OK)
			return f == F_ABSENT ? F_STORE : f;
		if (n != record_bytes(e) || !record_fits(log, log->scratch, e, number, position))
			return F_STORE;
		log->in_scratch = e;
		log->scratch_number = number;
		log->scratch_position = position;
	}
	*out = (struct str){ log->scratch + HEADER_BYTES, e.length };
	return OK;
}

/* ---- beginning and end ---- */

static bool segment_number(struct str name, uint32_t *out)
{
	uint64_t n;
	if (!str_take(&name, STR("content-")) || name.n != 6 || !str_u64(name, &n) || n == 0)
		return false;
	*out = (uint32_t)n;
	return true;
}

static fault find_segments(struct content_log *log, struct why *why)
{
	struct directory_reader *d = directory_read(log->directory);
	if (d == NULL)
		return why_say(why, F_STORE, "cannot read the queue's directory");
	struct str name;
	uint32_t number;
	while (directory_next(d, &name))
		if (segment_number(name, &number))
			segment_add(log, number);
	directory_close(&d);
	for (size_t i = log->n_segments; i-- > 0;) {
		struct segment *s = log->segments[i];
		TRY(segment_use(log, s, why));
		fault f = file_size(s->fd, &s->ready);
		if (f != OK)
			return why_say(why, f, "cannot learn the size of content-%06u", s->number);
		if (s->ready > 0)
			continue;
		/* Nothing is written before its name is durable: this one's may not be, and it is not to be relied upon. */
		char path[32];
		segment_name(path, s->number);
		TRY(file_remove(log->directory, path));
		segment_forget(log, i);
	}
	return OK;
}

fault content_log_open(int directory, uint64_t segment_bytes, struct content_log **out, struct why *why)
{
	if (segment_bytes < SEGMENT_BYTES_MIN || segment_bytes > SEGMENT_BYTES_MAX)
		return why_say(why, F_LIMIT, "content files of %llu bytes: it must be %d to %d",
		               (unsigned long long)segment_bytes, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
	struct content_log *log = NEW(struct content_log);
	log->directory = directory;
	log->segment_bytes = segment_bytes;
	log->scratch = must_alloc(HEADER_BYTES + RECORD_BYTES_MAX);
	buf_init(&log->gathered, GATHER_BYTES + HEADER_BYTES + RECORD_BYTES_MAX);
	crc32c_init(&log->crc);
	fault f = find_segments(log, why);
	if (f != OK) {
		content_log_close(&log);
		return f;
	}
	*out = log;
	return OK;
}

void content_log_close(struct content_log **log_)
{
	struct content_log *log = *log_;
	if (log == NULL)
		return;
	for (size_t i = 0; i < log->n_segments; i++) {
		segment_shut(log, log->segments[i]);
		free(log->segments[i]);
	}
	free(log->segments);
	free(log->scratch);
	buf_fini(&log->gathered);
	free(log);
	*log_ = NULL;
}

void content_log_adopt(struct content_log *log, struct extent e)
{
	struct segment *s = segment_find(log, e.segment);
	if (s == NULL) { /* the file is gone: its number is not given to another */
		s = segment_add(log, e.segment);
		s->abandoned = true;
	}
	s->live += record_bytes(e);
	s->head = log->segment_bytes; /* never appended to before it is empty */
}

void content_log_adopted(struct content_log *log)
{
	for (size_t i = 0; i < log->n_segments; i++)
		if (log->segments[i]->live == 0)
			segment_recycle(log->segments[i]);
}
