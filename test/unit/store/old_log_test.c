/* SPDX-License-Identifier: ISC */
/*
 * A log of SQLite's as a power cut leaves it, and as damage does: the first is never called damaged, the second is where what
 * was promised lies behind it. The logs are made here, by the format's own words (https://www.sqlite.org/fileformat2.html, 4.1).
 */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/old_log.h"

enum { PAGE = 512, FRAME = 24 + PAGE, FRAMES = 48 };
enum { SPLIT = 41 };  /* the sector ends between this frame's mark of a commit and its salts */

struct log {
	unsigned char bytes[32 + FRAMES * FRAME];
	uint32_t sum[2];
	size_t n;
};

static void put32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void add(struct log *l, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i += 8) {
		l->sum[0] += get32(p + i) + l->sum[1];
		l->sum[1] += get32(p + i + 4) + l->sum[0];
	}
}

static void begin(struct log *l)
{
	*l = (struct log){ .n = 32 };
	put32(l->bytes, 0x377f0683);
	put32(l->bytes + 4, 3007000);
	put32(l->bytes + 8, PAGE);
	put32(l->bytes + 16, 0x01020304);
	put32(l->bytes + 20, 0x05060708);
	add(l, l->bytes, 24);
	put32(l->bytes + 24, l->sum[0]);
	put32(l->bytes + 28, l->sum[1]);
}

static unsigned char *frame_at(struct log *l, size_t i)
{
	return l->bytes + 32 + i * FRAME;
}

static void put_frame(struct log *l, bool commit)
{
	unsigned char *p = l->bytes + l->n;
	put32(p, 7);
	put32(p + 4, commit ? 9 : 0);
	memcpy(p + 8, l->bytes + 16, 8);
	memset(p + 24, (int)(l->n % 251), PAGE);
	add(l, p, 8);
	add(l, p + 24, PAGE);
	put32(p + 16, l->sum[0]);
	put32(p + 20, l->sum[1]);
	l->n += FRAME;
}

/* Frames 0 to 39 end with a commit, those behind them are one more transaction of n, all written. */
static void fill(struct log *l, size_t n)
{
	begin(l);
	for (size_t i = 0; i < 40; i++)
		put_frame(l, i == 39);
	for (size_t i = 1; i <= n; i++)
		put_frame(l, i == n);
}

static fault look(const struct log *l, struct why *why)
{
	char path[] = "/tmp/sealpost-old-log-XXXXXX";
	assert_non_null(mkdtemp(path));
	int directory = open(path, O_DIRECTORY | O_CLOEXEC);
	assert_true(directory >= 0);
	int fd = openat(directory, "queue.db-wal", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, l->bytes, l->n) == (ssize_t)l->n);
	fault f = old_log_look(directory, path, why);
	(void)close(fd);
	assert_int_equal(unlinkat(directory, "queue.db-wal", 0), 0);
	(void)close(directory);
	assert_int_equal(rmdir(path), 0);
	return f;
}

static void assert_whole(const struct log *l)
{
	struct why why = { "" };
	if (look(l, &why) != OK)
		fail_msg("called damaged: %s", why.text);
}

static void assert_damaged(const struct log *l, size_t from)
{
	struct why why = { "" };
	char words[64];
	assert_int_equal(look(l, &why), F_STORE);
	snprintf(words, sizeof words, "is damaged at byte %zu,", 32 + from * FRAME);
	assert_non_null(strstr(why.text, words));
}

static void a_whole_log_is_whole(void **state)
{
	(void)state;
	struct log l;
	fill(&l, 8);
	assert_int_equal((32 + SPLIT * FRAME) % 512, 504);
	assert_whole(&l);
	l.n -= FRAME + 100;
	assert_whole(&l); /* cut in the middle of what was not flushed */
}

/* The first octets of a frame lie in a sector that the power cut left as it had been, with an older log's mark of a commit. */
static void an_older_mark_is_no_promise(void **state)
{
	(void)state;
	struct log l;
	fill(&l, 8);
	memset(frame_at(&l, SPLIT - 1) + 24, 0, PAGE);
	put32(frame_at(&l, SPLIT) + 4, 9);
	assert_whole(&l);
	memset(frame_at(&l, SPLIT), 'J', 8);
	assert_whole(&l);
	memset(frame_at(&l, SPLIT) + 24, 0, PAGE);
	assert_whole(&l);
}

static void a_commit_that_has_more_behind_it_was_promised(void **state)
{
	(void)state;
	struct log l;
	fill(&l, 2); /* its commit is the frame whose mark a sector's end cuts off: the sums say that it is right */
	put_frame(&l, true);
	frame_at(&l, 5)[24] ^= 1;
	assert_damaged(&l, 5);
	frame_at(&l, 5)[24] ^= 1;
	frame_at(&l, 40)[30] ^= 1;
	assert_damaged(&l, 40);
	frame_at(&l, 40)[30] ^= 1;
	frame_at(&l, 39)[30] ^= 1; /* the commit itself: mark and salts come from one sector */
	l.n = 32 + 41 * FRAME;
	assert_damaged(&l, 39);
}

/* Damage of the last commit is told from nothing that a power cut leaves. */
static void the_last_commit_may_be_torn(void **state)
{
	(void)state;
	struct log l;
	fill(&l, 8);
	for (size_t i = 40; i < 48; i++) {
		frame_at(&l, i)[24 + i] ^= 1;
		assert_whole(&l);
		frame_at(&l, i)[24 + i] ^= 1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_log_is_whole),
		cmocka_unit_test(an_older_mark_is_no_promise),
		cmocka_unit_test(a_commit_that_has_more_behind_it_was_promised),
		cmocka_unit_test(the_last_commit_may_be_torn),
	};
	return cmocka_run_group_tests_name("store/old_log", tests, NULL, NULL);
}
