/* SPDX-License-Identifier: ISC */
/* What became of letters is found again, for as long as was said; whatever happens to the files. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"
#include "fixture.h"
#include "store/history.h"
#include "unit.h"

/* 2026-11-21 00:00:00 UTC */
static const int64_t today_s = 1795219200, day_s = 86400;
static const uint64_t plenty = 1 << 30;

static struct place { char path[64]; struct history *h; } at;

static int opened(void **state)
{
	(void)state;
	strcpy(at.path, "/tmp/history-XXXXXX");
	assert_non_null(mkdtemp(at.path));
	at.h = history_new(str_of(at.path));
	history_limit(at.h, 7 * day_s, plenty);
	return 0;
}

static int closed(void **state)
{
	(void)state;
	disk_heal();
	history_free(&at.h);
	remove_all(at.path);
	return 0;
}

static void begin_anew(void)
{
	history_free(&at.h);
	at.h = history_new(str_of(at.path));
	history_limit(at.h, 7 * day_s, plenty);
}

static void add(const char *id, const char *address)
{
	char lines[400];
	snprintf(lines, sizeof lines, "event at=1 id=%s sender=ann@example.net\nrcpt address=%s what=relayed\n", id, address);
	assert_true(history_add(at.h, str_of(lines), NULL, 0));
}

static void flush(int64_t now_s)
{
	struct why why = { "" };
	if (history_flush(at.h, now_s, &why) != OK)
		fail_msg("%s", why.text);
}

static void write_one(const char *id, int64_t now_s)
{
	add(id, "bob@example.org");
	flush(now_s);
}

/* The ids of all records in their order, each with a space after it. */
static char ids[4096];

static void note(void *owner, struct str lines)
{
	size_t n = strlen(ids), from, to;
	(void)owner;
	assert_true(str_find_str(lines, STR("id="), &from));
	assert_true(str_find(str_from(lines, from), ' ', &to));
	snprintf(ids + n, sizeof ids - n, "%.*s", (int)(to - 2), lines.p + from + 3);
}

static const char *all(void)
{
	struct history_reader *r = history_read(at.h);
	ids[0] = '\0';
	while (history_some(r, 1, note, NULL))
		;
	history_close(&r);
	return ids;
}

static const char *path_of(const char *name)
{
	static char path[200];
	snprintf(path, sizeof path, "%s/%s", at.path, name);
	return path;
}

static long bytes_of(const char *name)
{
	struct stat st;
	return stat(path_of(name), &st) == 0 ? (long)st.st_size : -1;
}

static void what_is_written_is_found_in_its_order(void **state)
{
	(void)state;
	write_one("a1", today_s - 1);
	add("a2", "bob@example.org");
	add("a3", "carol@example.org");
	assert_int_equal(disk.writes, 1);
	flush(today_s);
	assert_int_equal(disk.writes, 2);
	assert_int_equal(disk.syncs, 0);
	assert_string_equal(all(), "a1 a2 a3 ");
	assert_true(bytes_of("history-20261120") > 0);
	assert_true(bytes_of("history-20261121") > bytes_of("history-20261120"));
	begin_anew();
	write_one("a4", today_s + 1);
	assert_string_equal(all(), "a1 a2 a3 a4 ");
}

static void a_day_goes_when_its_last_second_is_old_enough(void **state)
{
	(void)state;
	write_one("old", today_s - 1);
	history_tidy(at.h, today_s + 7 * day_s - 1); /* that second is 7 days old in a second */
	assert_string_equal(all(), "old ");
	history_tidy(at.h, today_s + 7 * day_s);
	assert_string_equal(all(), "");
	assert_int_equal(bytes_of("history-20261120"), -1);
}

static void a_day_of_a_clock_far_ahead_goes_too(void **state)
{
	(void)state;
	write_one("ahead", today_s + 8 * day_s);
	write_one("now", today_s);
	assert_string_equal(all(), "now ");
}

static void without_history_nothing_is_written_and_nothing_stays(void **state)
{
	(void)state;
	write_one("a1", today_s);
	history_limit(at.h, 0, plenty);
	assert_false(history_is_on(at.h));
	assert_false(history_add(at.h, STR("event id=a2 at=1\n"), NULL, 0));
	flush(today_s);
	assert_int_equal(bytes_of("history-20261121"), -1);
}

static void beyond_its_size_the_oldest_goes_first(void **state)
{
	(void)state;
	write_one("a1", today_s);
	uint64_t one = (uint64_t)bytes_of("history-20261121");
	write_one("a2", today_s + day_s);
	history_limit(at.h, 7 * day_s, 3 * one);
	write_one("a3", today_s + 2 * day_s);
	assert_string_equal(all(), "a1 a2 a3 "); /* just as much as may be */
	write_one("a4", today_s + 2 * day_s);
	assert_string_equal(all(), "a2 a3 a4 ");
	history_limit(at.h, 7 * day_s, 3 * one - 1);
	history_tidy(at.h, today_s + 2 * day_s);
	assert_string_equal(all(), "a3 a4 ");
}

static void a_day_alone_ends_at_that_size(void **state)
{
	struct why why = { "" };
	(void)state;
	write_one("a1", today_s);
	history_limit(at.h, 7 * day_s, 2 * (uint64_t)bytes_of("history-20261121"));
	write_one("a2", today_s);
	add("a3", "bob@example.org");
	assert_int_equal(history_flush(at.h, today_s, &why), F_LIMIT);
	assert_non_null(strstr(why.text, "today alone"));
	assert_string_equal(all(), "a1 a2 ");
	write_one("a4", today_s + day_s); /* and goes for the next one */
	assert_string_equal(all(), "a4 ");
}

static void a_torn_tail_costs_its_record_alone(void **state)
{
	(void)state;
	write_one("a1", today_s);
	long whole = bytes_of("history-20261121");
	for (long cut = 1; cut < whole; cut++) {
		write_one("torn", today_s);
		assert_int_equal(truncate(path_of("history-20261121"), whole + cut), 0);
		begin_anew();
		assert_string_equal(all(), "a1 ");
		write_one("a2", today_s);
		assert_string_equal(all(), "a1 a2 ");
		assert_int_equal(truncate(path_of("history-20261121"), whole), 0);
		begin_anew();
	}
}

static void a_flipped_byte_costs_no_more_than_what_it_touches(void **state)
{
	(void)state;
	write_one("a1", today_s);
	long first = bytes_of("history-20261121");
	write_one("b2", today_s);
	long second = bytes_of("history-20261121");
	write_one("c3", today_s);
	int fd = open(path_of("history-20261121"), O_RDWR | O_CLOEXEC);
	for (long i = first + 1; i < second - 1; i++) {
		char was, is;
		assert_int_equal(pread(fd, &was, 1, i), 1);
		is = (char)(was ^ 0x04);
		assert_int_equal(pwrite(fd, &is, 1, i), 1);
		if (strcmp(all(), "a1 c3 ") != 0)
			fail_msg("byte %ld of the record: %s", i - first, ids);
		assert_int_equal(pwrite(fd, &was, 1, i), 1);
	}
	assert_string_equal(all(), "a1 b2 c3 ");
	close(fd);
}

static void a_full_disk_costs_history_alone(void **state)
{
	struct why why = { "" };
	(void)state;
	write_one("a1", today_s);
	disk.write_fault = F_LIMIT;
	disk.writes_left = 0;
	add("a2", "bob@example.org");
	assert_int_equal(history_flush(at.h, today_s, &why), F_LIMIT);
	assert_int_equal(history_gathered(at.h), 0);
	disk_heal();
	write_one("a3", today_s);
	assert_string_equal(all(), "a1 a3 ");
}

static void without_its_directory_nothing_happens(void **state)
{
	struct why why = { "" };
	(void)state;
	assert_int_equal(rmdir(at.path), 0);
	add("a1", "bob@example.org");
	assert_int_equal(history_flush(at.h, today_s, &why), F_ABSENT);
	assert_string_equal(all(), "");
}

static struct str filler(size_t n)
{
	static char text[HISTORY_RECORD_MAX + 2];
	memset(text, 'x', n);
	memcpy(text, "note text=", 10);
	text[n - 1] = '\n';
	return (struct str){ text, n };
}

static void a_record_has_a_size(void **state)
{
	(void)state;
	static const char head[] = "event id=a1 at=1\n";
	size_t room = HISTORY_RECORD_MAX - 32 - 1 - strlen(head);
	struct str more = filler(room);
	assert_true(history_add(at.h, str_of(head), &more, 1));
	assert_true(history_gathered(at.h) > HISTORY_RECORD_MAX - 32);
	assert_true(history_gathered(at.h) <= HISTORY_RECORD_MAX);
	flush(today_s);
	more = filler(room + 1); /* one byte too much: it is left out */
	assert_true(history_add(at.h, STR("event id=a2 at=1\n"), &more, 1));
	assert_true(history_gathered(at.h) < 100);
	flush(today_s);
	assert_string_equal(all(), "a1 a2 ");
}

static void what_waits_has_a_ceiling(void **state)
{
	(void)state;
	unsigned n = 0;
	struct str more = filler(HISTORY_RECORD_MAX - 1000);
	while (history_add(at.h, STR("event id=a1 at=1\n"), &more, 1))
		n++;
	assert_true(n > 0);
	assert_in_range(history_gathered(at.h), HISTORY_GATHERED_MAX - HISTORY_RECORD_MAX + 1, HISTORY_GATHERED_MAX);
	history_forget(at.h);
	assert_true(history_add(at.h, STR("event id=a1 at=1\n"), &more, 1));
}

/* A courier tells stories, and may be hostile. */
static void what_others_tell_ends_no_record_and_begins_none(void **state)
{
	static const char *const stories[] = { "event at=1 id=forged \n", "sum crc32c=00000000\n", "note text=x\nevent id=forged at=1\n",
		                               "\n", "note\n\nnote\n", "sum\n", "event\n", "note text=unfinished" };
	(void)state;
	for (size_t i = 0; i < COUNT(stories); i++) {
		struct str more = str_of(stories[i]);
		assert_true(history_add(at.h, STR("event id=a1 at=1\n"), &more, 1));
	}
	flush(today_s);
	assert_string_equal(all(), "a1 a1 a1 a1 a1 a1 a1 a1 ");
	assert_false(history_add(at.h, STR("note text=x\n"), NULL, 0));
}

static void many_records_come_in_slices(void **state)
{
	(void)state;
	struct str more = filler(30000);
	for (unsigned i = 0; i < 40; i++)
		assert_true(history_add(at.h, STR("event id=a at=1\n"), &more, 1));
	flush(today_s);
	struct history_reader *r = history_read(at.h);
	unsigned slices = 0;
	ids[0] = '\0';
	while (history_some(r, 1, note, NULL))
		slices++;
	history_close(&r);
	assert_int_equal(strlen(ids), 80);
	assert_in_range(slices, 7, 12);
}

static void rubbish_without_end_is_passed_over(void **state)
{
	(void)state;
	write_one("a1", today_s);
	int fd = open(path_of("history-20261121"), O_WRONLY | O_APPEND | O_CLOEXEC);
	static char rubbish[3 * HISTORY_RECORD_MAX];
	memset(rubbish, 'r', sizeof rubbish);
	memcpy(rubbish, "\nevent ", 7);
	assert_int_equal(write(fd, rubbish, sizeof rubbish), sizeof rubbish);
	close(fd);
	begin_anew();
	write_one("a2", today_s);
	assert_string_equal(all(), "a1 a2 ");
}

static void questions_about_a_record(void **state)
{
	(void)state;
	struct str lines = STR("event at=1 id=abc sender=ann@example.net\nrcpt address=Bob@example.org original=info@example.org\n"
	                       "rcpt address=\"odd\\\" one@example.org\"\nnote address=nobody@example.org id=xyz\n");
	assert_true(history_is_about(lines, STR("abc"), STR_NONE));
	assert_false(history_is_about(lines, STR("xyz"), STR_NONE));
	assert_true(history_is_about(lines, STR_NONE, STR("bob@EXAMPLE.org")));
	assert_true(history_is_about(lines, STR_NONE, STR("info@example.org")));
	assert_true(history_is_about(lines, STR_NONE, STR("odd\" one@example.org")));
	assert_false(history_is_about(lines, STR_NONE, STR("nobody@example.org")));
	assert_false(history_is_about(lines, STR("abc"), STR("ann@example.net")));
}

static unsigned days_left(void)
{
	unsigned n = 0;
	for (unsigned i = 0; i < 5000; i++) {
		char name[40];
		snprintf(name, sizeof name, "history-%04u%02u%02u", 1900 + i / 300, 1 + i % 300 / 25, 1 + i % 25);
		n += bytes_of(name) >= 0;
	}
	return n;
}

static void more_days_than_are_looked_at(void **state)
{
	(void)state;
	for (unsigned i = 0; i < HISTORY_DAYS_MAX + 1; i++) {
		char name[40];
		snprintf(name, sizeof name, "history-%04u%02u%02u", 1900 + i / 300, 1 + i % 300 / 25, 1 + i % 25);
		close(open(path_of(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
	history_tidy(at.h, today_s);
	assert_int_equal(days_left(), 1);
	history_tidy(at.h, today_s + day_s); /* it goes the next day */
	assert_int_equal(days_left(), 0);
}

static void other_names_are_nobodys_history(void **state)
{
	static const char *const names[] = { "history-2026112", "history-20261131", "history-202611211", "history-abcdefgh", "history-" };
	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		close(open(path_of(names[i]), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	history_limit(at.h, 0, plenty);
	history_tidy(at.h, today_s + 1000 * day_s);
	for (size_t i = 0; i < COUNT(names); i++)
		assert_int_equal(bytes_of(names[i]), 0);
}

/* Whoever waited for a FIFO's other end here would hold up all mail; a device never comes to an end. */
static void what_is_no_file_is_passed_over(void **state)
{
	(void)state;
	write_one("a", today_s - day_s);
	assert_int_equal(mkfifo(path_of("history-20261119"), 0600), 0);
	assert_int_equal(symlink("/dev/zero", path_of("history-20261118")), 0);
	assert_int_equal(mkdir(path_of("history-20261117"), 0700), 0);
	begin_anew();
	write_one("b", today_s);
	assert_string_equal(all(), "a b ");
	assert_int_equal(mkfifo(path_of("history-20261122"), 0600), 0);
	add("c", "bob@example.org");
	assert_int_not_equal(history_flush(at.h, today_s + day_s, NULL), OK);
	assert_string_equal(all(), "a b ");
}

int main(void)
{
#define HERE(test) cmocka_unit_test_setup_teardown(test, opened, closed)
	const struct CMUnitTest tests[] = {
		HERE(what_is_written_is_found_in_its_order),
		HERE(a_day_goes_when_its_last_second_is_old_enough),
		HERE(a_day_of_a_clock_far_ahead_goes_too),
		HERE(without_history_nothing_is_written_and_nothing_stays),
		HERE(beyond_its_size_the_oldest_goes_first),
		HERE(a_day_alone_ends_at_that_size),
		HERE(a_torn_tail_costs_its_record_alone),
		HERE(a_flipped_byte_costs_no_more_than_what_it_touches),
		HERE(a_full_disk_costs_history_alone),
		HERE(without_its_directory_nothing_happens),
		HERE(a_record_has_a_size),
		HERE(what_waits_has_a_ceiling),
		HERE(what_others_tell_ends_no_record_and_begins_none),
		HERE(many_records_come_in_slices),
		HERE(rubbish_without_end_is_passed_over),
		HERE(questions_about_a_record),
		HERE(more_days_than_are_looked_at),
		HERE(other_names_are_nobodys_history),
		HERE(what_is_no_file_is_passed_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
