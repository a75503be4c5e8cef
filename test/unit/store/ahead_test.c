/* SPDX-License-Identifier: ISC */
/* What is written ahead of use: never into what is to stay free of the disk, and given back when others need that. */
#include "unit.h"

#include "disk.h"
#include "sqlite_fixture.h"

#include <stdio.h>
#include <sys/stat.h>

enum { KEEP = 1 << 20, LEAST = KEEP + KEEP / 4, PLENTY = KEEP + KEEP / 2, LETTER = 60 << 10 };

static uint64_t size_of(struct fixture *f, unsigned number)
{
	char path[128];
	struct stat st;
	segment_path(f, path, number);
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void tidy_all(struct fixture *f)
{
	bool more = true;
	while (more)
		assert_int_equal(ops->tidy(f->store, &more, NULL), OK);
}

static void open_keeping(struct fixture *f, uint64_t bytes, uint64_t free)
{
	struct store_options options = { .segment_bytes = SEGMENT, .keep_free_bytes = bytes };
	ops->close(&f->store);
	disk.bytes_free = free;
	assert_int_equal(ops->open(str_of(f->queue), &options, &f->store, NULL), OK);
}

static uint64_t room(struct fixture *f)
{
	uint64_t bytes, names;
	assert_int_equal(ops->space(f->store, &bytes, &names), OK);
	return bytes;
}

static void nothing_is_written_ahead_into_what_is_to_stay_free(void **state)
{
	struct fixture *f = *state;
	open_keeping(f, KEEP, PLENTY + SEGMENT - 1);
	tidy_all(f);
	assert_int_equal(size_of(f, 1), 0);
	assert_int_equal(put_text(f, "m1", pattern(f, LETTER, 1)), OK); /* which goes on all the same */
	assert_int_equal(put_text(f, "m2", pattern(f, LETTER, 2)), OK);
	disk.bytes_free = PLENTY + SEGMENT - 2 * (LETTER + 32) - 1;
	tidy_all(f);
	assert_in_range(size_of(f, 1), 2 * LETTER, SEGMENT - 1);
	assert_int_equal(size_of(f, 2), 0);
	disk.bytes_free = PLENTY + SEGMENT;
	tidy_all(f);
	assert_int_equal(size_of(f, 1), SEGMENT);
	assert_int_equal(size_of(f, 2), SEGMENT); /* the first is half full */
	assert_int_equal(room(f), PLENTY + SEGMENT + SEGMENT + (SEGMENT - 2 * (LETTER + 32)));
}

static void what_was_written_ahead_is_given_back(void **state)
{
	struct fixture *f = *state;
	struct str one = pattern(f, LETTER, 1), two = pattern(f, LETTER, 2);
	open_keeping(f, KEEP, 1 << 30);
	assert_int_equal(put_text(f, "m1", one), OK);
	assert_int_equal(put_text(f, "m2", two), OK);
	tidy_all(f);
	assert_int_equal(size_of(f, 1) + size_of(f, 2), 2 * SEGMENT);
	disk.bytes_free = LEAST;
	tidy_all(f);
	assert_int_equal(size_of(f, 1) + size_of(f, 2), 2 * SEGMENT);
	/* As much as there must be to be plenty again, of what would be needed last; a step is enough here. */
	bool more = false;
	disk.bytes_free = LEAST - 1;
	assert_int_equal(ops->tidy(f->store, &more, NULL), OK);
	assert_true(more);
	assert_int_equal(size_of(f, 2), 0);
	assert_int_equal(size_of(f, 1), 2 * (LETTER + 32));
	disk.bytes_free = 0;
	tidy_all(f);
	assert_content(f, "m1", one);
	assert_content(f, "m2", two);
	reopen(f);
	assert_content(f, "m1", one);
	assert_content(f, "m2", two);
}

static void no_more_than_needed_is_given_back(void **state)
{
	struct fixture *f = *state;
	open_keeping(f, 100, 1 << 30);
	tidy_all(f);
	assert_int_equal(size_of(f, 1), SEGMENT);
	bool more = false;
	disk.bytes_free = 124;
	assert_int_equal(ops->tidy(f->store, &more, NULL), OK);
	assert_true(more);
	assert_int_equal(size_of(f, 1), SEGMENT - 26);
	disk.bytes_free = 150;
	tidy_all(f);
	assert_int_equal(size_of(f, 1), SEGMENT - 26);
}

/* Nothing is queued, and the files of what was there hold the disk. */
static void an_empty_queue_holds_no_room(void **state)
{
	struct fixture *f = *state;
	open_keeping(f, KEEP, 1 << 30);
	for (unsigned i = 0; i < 6; i++) {
		char id[8];
		snprintf(id, sizeof id, "m%u", i);
		assert_int_equal(put_text(f, id, pattern(f, LETTER, i)), OK);
	}
	tidy_all(f);
	settle_all(f, SETTLE_DONE);
	assert_int_equal(messages(f), 0);
	disk.bytes_free = 1;
	assert_true(room(f) > 3 * SEGMENT);
	tidy_all(f);
	for (unsigned i = 1; i < 6; i++)
		assert_int_equal(size_of(f, i), 0);
	assert_int_equal(room(f), 1);
	disk.bytes_free = 1 << 30;
	assert_int_equal(put_text(f, "again", STR("there is room again")), OK);
	tidy_all(f);
	assert_content(f, "again", STR("there is room again"));
	reopen(f);
	assert_content(f, "again", STR("there is room again"));
}

/* What is full, or half so, keeps what it has; only the rest is anybody's. */
static void what_lives_is_never_cut(void **state)
{
	struct fixture *f = *state;
	char id[8];
	open_keeping(f, KEEP, 1 << 30);
	for (unsigned i = 0; i < 20; i++) {
		snprintf(id, sizeof id, "m%u", i);
		disk.bytes_free = i % 3 == 0 ? 1 : 1 << 30;
		assert_int_equal(put_text(f, id, pattern(f, 1000 + i * 2000, i)), OK);
		tidy_all(f);
	}
	disk.bytes_free = 1;
	tidy_all(f);
	for (unsigned round = 0; round < 2; round++, reopen(f))
		for (unsigned i = 0; i < 20; i++) {
			snprintf(id, sizeof id, "m%u", i);
			assert_content(f, id, pattern(f, 1000 + i * 2000, i));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_written_ahead_into_what_is_to_stay_free),
		TEST(what_was_written_ahead_is_given_back),
		TEST(no_more_than_needed_is_given_back),
		TEST(an_empty_queue_holds_no_room),
		TEST(what_lives_is_never_cut),
	};
	return cmocka_run_group_tests_name("store/ahead", tests, NULL, NULL);
}
