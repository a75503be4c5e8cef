/* SPDX-License-Identifier: ISC */
#include "store/old_log.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sys/file.h"
#include "sys/socket.h"

/* The format of SQLite's log (https://www.sqlite.org/fileformat2.html, section 4): a header of 32 bytes, then frames of 24 bytes
 * and a page. Numbers are big-endian; the sums run from the header through all frames, over words of the order in the magic. */
enum { HEADER_BYTES = 32, FRAME_BYTES = 24, PAGE_MIN = 512, PAGE_MAX = 65536, SALT_AT = 16, SUM_AT = 24 };
enum { SECTOR_BYTES = 512 };              /* the least that a disk writes whole */
static const uint32_t magic = 0x377f0682; /* and 1: sums are of big-endian words */

struct old_log {
	int fd;
	uint64_t bytes, at;
	uint32_t page, sum[2];
	bool big;
	const char *path;
	unsigned char salt[8], *frame;
};

static uint32_t big32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t word(const struct old_log *l, const unsigned char *p)
{
	return l->big ? big32(p) : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void add_up(const struct old_log *l, uint32_t sum[2], const unsigned char *p, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		sum[0] += word(l, p + i) + sum[1];
		sum[1] += word(l, p + i + 4) + sum[0];
	}
}

/* Written and flushed before any frame; what a power cut leaves of it has none behind it. */
static bool header_is_right(struct old_log *l)
{
	unsigned char h[HEADER_BYTES];
	size_t n = 0;
	if (file_pread(l->fd, h, sizeof h, 0, &n) != OK || n != sizeof h || (big32(h) & ~1u) != magic)
		return false;
	l->big = (big32(h) & 1) != 0;
	l->page = big32(h + 8);
	add_up(l, l->sum, h, SUM_AT);
	memcpy(l->salt, h + SALT_AT, sizeof l->salt);
	l->at = HEADER_BYTES;
	return l->page >= PAGE_MIN && l->page <= PAGE_MAX && (l->page & (l->page - 1)) == 0 && l->sum[0] == big32(h + SUM_AT) &&
	       l->sum[1] == big32(h + SUM_AT + 4);
}

/* The next frame, at l->at; false: no more. */
static bool next_frame(struct old_log *l)
{
	size_t n = 0, size = FRAME_BYTES + l->page;
	return file_pread(l->fd, l->frame, size, l->at, &n) == OK && n == size;
}

static bool is_of_this_life(const struct old_log *l)
{
	return memcmp(l->frame + 8, l->salt, sizeof l->salt) == 0;
}

static bool follows(struct old_log *l)
{
	uint32_t sum[2] = { l->sum[0], l->sum[1] };
	add_up(l, sum, l->frame, 8);
	add_up(l, sum, l->frame + FRAME_BYTES, l->page);
	if (!is_of_this_life(l) || big32(l->frame) == 0 || sum[0] != big32(l->frame + 16) || sum[1] != big32(l->frame + 20))
		return false;
	memcpy(l->sum, sum, sizeof sum);
	return true;
}

/* As the frame itself says: the next one is held to it. */
static void take_sum(struct old_log *l)
{
	l->sum[0] = big32(l->frame + 16);
	l->sum[1] = big32(l->frame + 20);
}

/* Does the commit's mark come from the write that the salts are of? It does where one sector holds both; else a power cut may have
 * left what an older log, or nobody, had at that place, unless the sums say that the frame is whole. */
static bool mark_is_of_this_life(const struct old_log *l, bool whole)
{
	return whole || l->at % SECTOR_BYTES + 8 + sizeof l->salt <= SECTOR_BYTES;
}

/* Behind the first frame that does not follow: a commit, and then more, can only have been written after that commit was
 * flushed. Without more behind it, it may be what a power cut left of what nobody had been promised. */
static bool was_promised(struct old_log *l)
{
	bool commit = false;
	for (; next_frame(l); l->at += FRAME_BYTES + l->page) {
		bool whole = follows(l);
		if (!whole)
			take_sum(l);
		if (!is_of_this_life(l))
			continue;
		if (commit)
			return true;
		commit = big32(l->frame + 4) != 0 && mark_is_of_this_life(l, whole);
	}
	return false;
}

static fault say(const struct old_log *l, uint64_t good, struct why *why)
{
	return why_say(why, F_STORE, "%s/queue.db-wal is damaged at byte %llu, and letters that were acknowledged lie behind it. Put a backup of "
	               "the queue in its place; or keep a copy of all its files, and go on without them: truncate -s %llu %s/queue.db-wal",
	               l->path, (unsigned long long)good, (unsigned long long)good, l->path);
}

static fault judge(struct old_log *l, struct why *why)
{
	if (!header_is_right(l))
		return l->bytes < HEADER_BYTES + FRAME_BYTES + PAGE_MIN ? OK : say(l, 0, why);
	l->frame = must_alloc(FRAME_BYTES + PAGE_MAX);
	while (next_frame(l) && follows(l))
		l->at += FRAME_BYTES + l->page;
	uint64_t good = l->at;
	return was_promised(l) ? say(l, good, why) : OK;
}

fault old_log_look(int directory, const char *path, struct why *why)
{
	struct old_log l = { .fd = -1, .path = path };
	fault f = file_open(directory, "queue.db-wal", FILE_READ, 0, &l.fd, NULL);
	if (f == OK)
		f = file_size(l.fd, &l.bytes);
	if (f == OK && l.bytes > 0)
		f = judge(&l, why);
	free(l.frame);
	fd_close(&l.fd);
	return f == F_ABSENT ? OK : f;
}
