/* SPDX-License-Identifier: ISC */
#include "store/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/base64.h"
#include "base/check.h"
#include "mail/story.h"
#include "sys/file.h"
#include "sys/socket.h"

enum { DAY_S = 86400, NAME_ROOM = 48, SUM_MAX = 32 };

struct day { int64_t number; uint64_t bytes; };          /* number: days since 1970 */

struct history {
	struct str directory;
	int directory_fd;
	int64_t keep_s;
	uint64_t bytes_max;
	struct crc32c crc;
	struct buf gathered;
	int fd;                          /* of the present day's file */
	int64_t day;                     /* which one that is */
	uint64_t size;                   /* where its next record goes */
	int64_t tidied;                  /* the day on which the old ones went last */
	uint64_t others;                 /* bytes of the other days' files */
};

struct history_reader {
	struct history *history;
	struct day *days;
	size_t n, at;
	int fd;
	uint64_t offset;
	struct buf bytes;
};

/* ---- the days' files ---- */

static void name_of(int64_t day, char out[NAME_ROOM])
{
	time_t t = (time_t)(day * DAY_S);
	struct tm tm;
	if (gmtime_r(&t, &tm) == NULL)
		tm = (struct tm){ .tm_year = 70, .tm_mday = 1 };
	snprintf(out, NAME_ROOM, "history-%04d%02d%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

static bool day_of(struct str name, int64_t *out)
{
	uint64_t n;
	char again[NAME_ROOM];
	if (!str_take(&name, STR("history-")) || name.n != 8 || !str_u64(name, &n))
		return false;
	struct tm tm = { .tm_year = (int)(n / 10000) - 1900, .tm_mon = (int)(n / 100 % 100) - 1, .tm_mday = (int)(n % 100) };
	time_t t = timegm(&tm);
	*out = (int64_t)t / DAY_S;
	name_of(*out, again);
	return str_eq(str_from(str_of(again), 8), name); /* no 31st of February */
}

static fault directory_of(struct history *h)
{
	char path[4096];
	if (h->directory_fd >= 0)
		return OK;
	int n = snprintf(path, sizeof path, "%.*s", STR_ARG(h->directory));
	return n > 0 && (size_t)n < sizeof path ? directory_open(FILE_CWD, path, &h->directory_fd, NULL) : F_LIMIT;
}

static uint64_t size_of(struct history *h, const char *name)
{
	uint64_t size = 0;
	int fd;
	if (file_open(h->directory_fd, name, FILE_READ | FILE_PLAIN, 0, &fd, NULL) != OK)
		return 0;
	if (file_size(fd, &size) != OK)
		size = 0;
	fd_close(&fd);
	return size;
}

static int by_number(const void *a, const void *b)
{
	const struct day *x = a, *y = b;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* The days that there are, the oldest first; in malloc'd memory. */
static struct day *list_days(struct history *h, size_t *n_out)
{
	struct day *days = must_alloc(HISTORY_DAYS_MAX * sizeof *days);
	struct directory_reader *d = directory_of(h) == OK ? directory_read(h->directory_fd) : NULL;
	struct str name;
	size_t n = 0;
	while (d != NULL && n < HISTORY_DAYS_MAX && directory_next(d, &name))
		if (day_of(name, &days[n].number))
			n++;
	if (d != NULL)
		directory_close(&d);
	for (size_t i = 0; i < n; i++) {
		char text[NAME_ROOM];
		name_of(days[i].number, text);
		days[i].bytes = size_of(h, text);
	}
	qsort(days, n, sizeof *days, by_number);
	*n_out = n;
	return days;
}

static void drop_day(struct history *h, int64_t day)
{
	char name[NAME_ROOM];
	name_of(day, name);
	if (day == h->day)
		fd_close(&h->fd);
	fault f = file_remove(h->directory_fd, name);
	(void)f; /* what stays goes another time */
}

/* more: bytes that are to be written. A day far ahead is of a clock that was wrong. */
static void tidy(struct history *h, int64_t today, uint64_t more)
{
	size_t n;
	struct day *days = list_days(h, &n);
	uint64_t sum = more;
	int64_t keep = (h->keep_s + DAY_S - 1) / DAY_S;
	h->tidied = today;
	h->others = 0;
	for (size_t i = 0; i < n; i++)
		sum += days[i].bytes;
	for (size_t i = 0; i < n; i++) {
		bool over = days[i].number < today - keep || days[i].number > today + keep || keep == 0;
		if (over || (sum > h->bytes_max && days[i].number != today)) {
			sum -= days[i].bytes;
			drop_day(h, days[i].number);
		} else if (days[i].number != today) {
			h->others += days[i].bytes;
		}
	}
	free(days);
}

void history_tidy(struct history *h, int64_t now_s)
{
	if (h->tidied != now_s / DAY_S)
		tidy(h, now_s / DAY_S, 0);
}

/* ---- writing ---- */

struct history *history_new(struct str directory)
{
	struct history *h = NEW(struct history);
	*h = (struct history){ .directory = str_keep(directory), .directory_fd = -1, .fd = -1, .day = -1, .tidied = -1 };
	crc32c_init(&h->crc);
	buf_init(&h->gathered, HISTORY_GATHERED_MAX);
	return h;
}

void history_free(struct history **h)
{
	if (*h == NULL)
		return;
	fd_close(&(*h)->fd);
	fd_close(&(*h)->directory_fd);
	buf_fini(&(*h)->gathered);
	str_release(&(*h)->directory);
	free(*h);
	*h = NULL;
}

void history_limit(struct history *h, int64_t keep_s, uint64_t bytes_max)
{
	if (h->keep_s == keep_s && h->bytes_max == bytes_max)
		return;
	h->keep_s = keep_s;
	h->bytes_max = bytes_max;
	h->tidied = -1;
}

bool history_is_on(const struct history *h)
{
	return h->keep_s > 0;
}

static bool is_line_of(struct str text, const char *kind)
{
	struct str rest = text;
	return str_take(&rest, str_of(kind)) && rest.n > 0 && (rest.p[0] == ' ' || rest.p[0] == '\n');
}

/* Would it end a record, or begin one? */
static bool is_harmless(struct str text)
{
	struct str line, rest = text;
	bool whole = true;
	while (whole && rest.n > 0) {
		struct str here = rest;
		whole = str_take_until(&rest, '\n', &line) && line.n > 0 && !is_line_of(here, "event") && !is_line_of(here, "sum");
	}
	return whole;
}

static fault add_sum(struct history *h, size_t before)
{
	uint32_t sum = crc32c(&h->crc, 0, str_from(buf_view(&h->gathered), before + 1));
	char bytes[4] = { (char)(sum >> 24), (char)(sum >> 16), (char)(sum >> 8), (char)sum };
	TRY(buf_add(&h->gathered, STR("sum crc32c=")));
	TRY(hex_put(&h->gathered, (struct str){ bytes, sizeof bytes }));
	return buf_add_char(&h->gathered, '\n');
}

bool history_add(struct history *h, struct str lines, const struct str *more, size_t n_more)
{
	struct buf *to = &h->gathered;
	size_t before = buf_view(to).n, room = HISTORY_RECORD_MAX - SUM_MAX;
	if (!history_is_on(h) || lines.n > room || !str_starts(lines, STR("event ")) ||
	    buf_room(to) < HISTORY_RECORD_MAX)
		return false;
	/* The empty line ends whatever was torn before. */
	fault f = buf_add_char(to, '\n');
	f = f == OK ? buf_add(to, lines) : f;
	for (size_t i = 0; i < n_more && f == OK; i++)
		if (buf_view(to).n - before + more[i].n <= room && is_harmless(more[i]))
			f = buf_add(to, more[i]);
	if (f == OK)
		f = add_sum(h, before);
	if (f != OK)
		buf_cut(to, before);
	return f == OK;
}

size_t history_gathered(const struct history *h)
{
	return buf_view(&h->gathered).n;
}

void history_forget(struct history *h)
{
	buf_clear(&h->gathered);
}

static fault open_day(struct history *h, int64_t day, struct why *why)
{
	char name[NAME_ROOM];
	if (h->fd >= 0 && h->day == day)
		return OK;
	fd_close(&h->fd);
	fault f = directory_of(h);
	if (f != OK)
		return why_say(why, f, "the directory %.*s cannot be opened (%s)", STR_ARG(h->directory), fault_name(f));
	name_of(day, name);
	TRY(file_open(h->directory_fd, name, FILE_WRITE | FILE_CREATE | FILE_PLAIN, 0600, &h->fd, why));
	f = file_size(h->fd, &h->size);
	if (f != OK) {
		fd_close(&h->fd);
		return why_say(why, f, "the size of %s cannot be learnt (%s)", name, fault_name(f));
	}
	h->day = day;
	return OK;
}

static fault write_gathered(struct history *h, int64_t today, struct why *why)
{
	struct str bytes = buf_view(&h->gathered);
	TRY(open_day(h, today, why));
	if (h->others > 0 && h->others + h->size + bytes.n > h->bytes_max)
		tidy(h, today, bytes.n);
	if (h->size + bytes.n > h->bytes_max)
		return why_say(why, F_LIMIT, "the history of today alone has its %llu bytes: the rest of the day is left out",
		               (unsigned long long)h->bytes_max);
	fault f = file_pwrite(h->fd, bytes, h->size);
	if (f == OK) {
		h->size += bytes.n;
		return OK;
	}
	fd_close(&h->fd); /* how much was written is looked up again */
	return why_say(why, f, "writing to the history failed (%s)", fault_name(f));
}

fault history_flush(struct history *h, int64_t now_s, struct why *why)
{
	history_tidy(h, now_s);
	if (buf_view(&h->gathered).n == 0)
		return OK;
	fault f = history_is_on(h) ? write_gathered(h, now_s / DAY_S, why) : OK;
	history_forget(h);
	return f;
}

/* ---- reading ---- */

/* Where a line begins that says `event`, at `from` or later. Without one: where the last line begins, which may become one. */
static size_t find_event(struct str bytes, size_t from, bool *found)
{
	size_t at = from, end;
	while (*found = str_starts(str_from(bytes, at), STR("event ")), !*found && str_find(str_from(bytes, at), '\n', &end))
		at += end + 1;
	return at;
}

static bool has_sum(const struct crc32c *crc, struct str record, struct str line)
{
	char want[SUM_MAX];
	snprintf(want, sizeof want, "sum crc32c=%08lx", (unsigned long)crc32c(crc, 0, record));
	return str_eq(line, str_of(want));
}

/* What lies at `start`, where a line says `event`: a whole record, the ruins of one, or the beginning of one. */
enum find { FIND_WHOLE, FIND_RUIN, FIND_PART };

static enum find look_at(const struct crc32c *crc, struct str bytes, size_t start, struct str *lines, size_t *next)
{
	struct str rest = str_from(bytes, start), line;
	size_t at = start;
	while (str_take_until(&rest, '\n', &line)) {
		*next = at + line.n + 1;
		*lines = str_sub(bytes, start, at - start);
		if (str_starts(line, STR("sum ")))
			return has_sum(crc, *lines, line) ? FIND_WHOLE : FIND_RUIN;
		if (at > start && str_starts(line, STR("event "))) {
			*next = at;
			return FIND_RUIN;
		}
		at = *next;
	}
	*next = at > start ? at : start + 1;
	return bytes.n - start > HISTORY_RECORD_MAX ? FIND_RUIN : FIND_PART;
}

size_t history_take(const struct crc32c *crc, struct str bytes, bool at_end, void (*each)(void *owner, struct str lines), void *owner)
{
	size_t at = 0, next;
	for (bool found = true;; at = next) {
		struct str lines;
		at = find_event(bytes, at, &found);
		if (!found)
			return at_end || bytes.n - at > HISTORY_RECORD_MAX ? bytes.n : at;
		enum find what = look_at(crc, bytes, at, &lines, &next);
		if (what == FIND_PART)
			return at_end ? bytes.n : at;
		if (what == FIND_WHOLE)
			each(owner, lines);
	}
}

struct history_reader *history_read(struct history *h)
{
	struct history_reader *r = NEW(struct history_reader);
	*r = (struct history_reader){ .history = h, .fd = -1 };
	r->days = list_days(h, &r->n);
	buf_init(&r->bytes, 1 << 20);
	return r;
}

static bool open_next(struct history_reader *r)
{
	char name[NAME_ROOM];
	while (r->fd < 0 && r->at < r->n) {
		name_of(r->days[r->at++].number, name);
		if (file_open(r->history->directory_fd, name, FILE_READ | FILE_PLAIN, 0, &r->fd, NULL) != OK)
			r->fd = -1; /* its time has come meanwhile */
		r->offset = 0;
	}
	return r->fd >= 0;
}

bool history_some(struct history_reader *r, size_t bytes, void (*each)(void *owner, struct str lines), void *owner)
{
	size_t n = 0, room = bytes < 2 * HISTORY_RECORD_MAX ? 2 * HISTORY_RECORD_MAX : bytes > (1 << 19) ? 1 << 19 : bytes;
	if (!open_next(r))
		return false;
	buf_clear(&r->bytes);
	char *to = buf_reserve(&r->bytes, room);
	check(to != NULL);
	bool readable = true;
	while (n < room && readable) {
		size_t got = 0;
		readable = file_pread(r->fd, to + n, room - n, r->offset + n, &got) == OK && got > 0;
		n += got;
	}
	r->offset += history_take(&r->history->crc, (struct str){ to, n }, !readable, each, owner);
	if (!readable)
		fd_close(&r->fd);
	return true;
}

void history_close(struct history_reader **r)
{
	if (*r == NULL)
		return;
	fd_close(&(*r)->fd);
	buf_fini(&(*r)->bytes);
	free((*r)->days);
	free(*r);
	*r = NULL;
}

/* ---- questions about a record ---- */

bool history_is_about(struct str lines, struct str id, struct str address)
{
	struct story_line line;
	struct buf room;
	buf_init(&room, 4 * STORY_VALUE_MAX);
	bool of_id = id.n == 0, of_address = address.n == 0;
	while (!(of_id && of_address) && story_next(&lines, &line)) {
		buf_clear(&room);
		if (str_eq(line.kind, STR("event")))
			of_id |= str_eq(story_value(line, STR("id"), &room), id);
		else if (str_eq(line.kind, STR("rcpt")))
			of_address |= str_eq_nocase(story_value(line, STR("address"), &room), address) ||
			              str_eq_nocase(story_value(line, STR("original"), &room), address);
	}
	buf_fini(&room);
	return of_id && of_address;
}
