/* SPDX-License-Identifier: ISC */
#include "store/content_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/little.h"
#include "store/crc32c.h"
#include "sys/file.h"
#include "sys/socket.h"

enum {
	HEADER_BYTES = 32,
	GATHER_BYTES = 1 << 20,          /* written when there are so many, or at a sync */
	PREPARE_BYTES = 1 << 20,         /* zeros a step */
	SEGMENTS_MAX = 999999,
	SPARE_MAX = 2,                   /* empty segments kept for later */
};
static const uint32_t magic = 0x31425053; /* "SPB1" */

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

static void name_of(char out[32], uint32_t number)
{
	snprintf(out, 32, "content-%06u", number % 1000000);
}

static uint64_t record_bytes(struct extent e)
{
	return (uint64_t)HEADER_BYTES + e.length;
}

/* ---- segments ---- */

static struct segment *segment_find(const struct content_log *log, uint32_t number)
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

static struct segment *segment_add(struct content_log *log, uint32_t number)
{
	struct segment *s = NEW(struct segment);
	*s = (struct segment){ .number = number, .fd = -1, .lost_from = UINT64_MAX };
	log->segments = must_resize(log->segments, (log->n_segments + 1) * sizeof(struct segment *));
	log->segments[log->n_segments++] = s;
	qsort(log->segments, log->n_segments, sizeof(struct segment *), by_number);
	return s;
}

static void segment_shut(struct content_log *log, struct segment *s)
{
	if (s->fd >= 0)
		log->open_files--;
	fd_close(&s->fd);
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

static fault segment_use(struct content_log *log, struct segment *s, struct why *why)
{
	s->used_at = ++log->uses;
	if (s->fd >= 0)
		return OK;
	if (log->open_files >= SEGMENTS_OPEN_MAX)
		shut_oldest(log);
	char name[32];
	name_of(name, s->number);
	TRY(file_open(log->directory, name, FILE_READ | FILE_WRITE, 0600, &s->fd, why));
	log->open_files++;
	return OK;
}

/* What has nothing living starts again from its beginning. */
static void segment_recycle(struct segment *s)
{
	s->head = 0;
	s->lost_from = UINT64_MAX;
	s->marked = false;
}

static bool segment_is_free(const struct content_log *log, const struct segment *s)
{
	return s != log->active && s->live == 0 && !s->abandoned;
}

static fault segment_create(struct content_log *log, struct segment **out, struct why *why)
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
	name_of(name, number);
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
static fault activate(struct content_log *log, struct why *why)
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

/* The active one, as soon as nothing in it lives. */
static bool is_begun_anew(const struct content_log *log, const struct segment *s)
{
	return s->live == 0 && buf_view(&log->gathered).n == 0;
}

/* Room for a record in the active segment, or in the next one. */
static fault make_room(struct content_log *log, uint64_t need)
{
	struct segment *s = log->active;
	if (s != NULL && is_begun_anew(log, s))
		segment_recycle(s);
	if (s != NULL && log->segment_bytes - s->head < need) {
		fault f = flush(log, NULL);
		if (f == F_STORE)
			return f;
		log->active = NULL; /* what F_LIMIT lost is remembered in the segment */
	}
	if (log->active == NULL)
		TRY(activate(log, NULL));
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

/* ---- keeping house ---- */

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

static void segment_forget(struct content_log *log, size_t i)
{
	segment_shut(log, log->segments[i]);
	free(log->segments[i]);
	memmove(&log->segments[i], &log->segments[i + 1], (log->n_segments - i - 1) * sizeof(struct segment *));
	log->n_segments--;
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
		name_of(name, s->number);
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
	if (log->active == NULL && activate(log, NULL) != OK)
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
	else if (s == log->active && !is_begun_anew(log, s))
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
	if (!log->failed && log->active != NULL && is_begun_anew(log, log->active))
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
		name_of(path, s->number);
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
