/* SPDX-License-Identifier: ISC */
/* What of a letter is durable, and when: fsync is watched here, and fails where a test says so. */
#include "unit.h"

#include "maildirs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "role/porter/letter.h"

enum { SYNCS_MAX = 64 };
static struct sync { ino_t inode; bool linked; } syncs[SYNCS_MAX];
static size_t n_syncs;
static ino_t failing;

static bool exists(const char *below)
{
	return access(path_of(below), F_OK) == 0;
}

static ino_t inode_of(const char *below)
{
	struct stat st;
	assert_int_equal(stat(path_of(below), &st), 0);
	return st.st_ino;
}

/* Instead of the library's. */
int fsync(int fd)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return -1;
	if (st.st_ino == failing) {
		errno = EIO;
		return -1;
	}
	if (n_syncs < SYNCS_MAX)
		syncs[n_syncs++] = (struct sync){ st.st_ino, exists("a/jada/new/name") };
	return (int)syscall(SYS_fsync, fd);
}

static bool was_synced(const char *below)
{
	ino_t inode = inode_of(below);
	for (size_t i = 0; i < n_syncs; i++)
		if (syncs[i].inode == inode)
			return true;
	return false;
}

static int setup(void **state)
{
	n_syncs = 0;
	failing = 0;
	return make_root(state);
}

static fault deliver(bool repeat)
{
	struct place p = place_of("a/jada");
	struct letter *l = NULL;
	struct why why = { "" };
	fault f = letter_begin(&p, "name", repeat, &l, &why);
	if (f == OK)
		f = letter_write(l, STR("hello\n"));
	if (f == OK)
		f = letter_finish(l, &why);
	letter_free(&l);
	return f;
}

/* The porter that was here before, killed after some step: what it has made is in memory, not on the disk. */
static void make(const char *below)
{
	assert_int_equal(mkdir(path_of(below), 0700), 0);
}

static void make_maildir(void)
{
	static const char *const folders[] = { "a", "a/jada", "a/jada/tmp", "a/jada/new", "a/jada/cur" };
	for (size_t i = 0; i < COUNT(folders); i++)
		make(folders[i]);
}

static void make_letter(const char *below)
{
	FILE *file = fopen(path_of(below), "wb");
	assert_non_null(file);
	(void)fputs("hello\n", file);
	assert_int_equal(fclose(file), 0);
}

static void test_p1_the_text_before_the_name_and_then_the_name(void **state)
{
	(void)state;
	assert_ok(deliver(false));
	ino_t letter = inode_of("a/jada/new/name"), new = inode_of("a/jada/new");
	bool text = false, name = false;
	for (size_t i = 0; i < n_syncs; i++) {
		text |= syncs[i].inode == letter && !syncs[i].linked;
		name |= syncs[i].inode == new && syncs[i].linked && text;
	}
	assert_true(text && name);
	assert_true(was_synced("") && was_synced("a") && was_synced("a/jada")); /* the folders' own names */
}

static void test_p1_what_is_found_in_new_is_made_durable_first(void **state)
{
	(void)state;
	make_maildir();
	make_letter("a/jada/new/name");
	assert_int_equal(deliver(false), F_EXISTS);
	assert_true(was_synced("a/jada/new"));
	n_syncs = 0;
	failing = inode_of("a/jada/new");
	assert_int_equal(deliver(false), F_SYS); /* not: delivered */
	assert_false(exists("a/jada/new/name")); /* nor found the next time, when a sync may say yes to nothing */
}

static void test_p1_what_is_found_in_cur_is_made_durable_first(void **state)
{
	(void)state;
	make_maildir();
	make_letter("a/jada/cur/name:2,S");
	assert_int_equal(deliver(true), F_EXISTS);
	assert_true(was_synced("a/jada/cur"));
	failing = inode_of("a/jada/cur");
	assert_int_equal(deliver(true), F_SYS);
}

static void test_p1_folders_of_a_killed_porter_are_made_durable(void **state)
{
	(void)state;
	make_maildir();
	assert_ok(deliver(true));
	assert_true(was_synced("") && was_synced("a") && was_synced("a/jada"));
	assert_int_equal(unlink(path_of("a/jada/new/name")), 0);
	failing = inode_of("a");
	assert_int_equal(deliver(true), F_SYS);
	assert_false(exists("a/jada/new/name"));
}

static void test_p1_a_failed_flush_is_no_delivery(void **state)
{
	(void)state;
	make_maildir();
	failing = inode_of("a/jada/new");
	assert_int_equal(deliver(false), F_SYS);
	assert_false(exists("a/jada/new/name")); /* the kernel may hold this name to be clean: a new one is made */
	failing = 0;
	assert_ok(deliver(true));
	assert_true(was_synced("a/jada/new") && exists("a/jada/new/name"));
}

static void test_p1_a_folder_that_is_not_durable_is_taken_back(void **state)
{
	(void)state;
	failing = inode_of("");
	assert_int_equal(deliver(false), F_SYS);
	assert_false(exists("a"));
	failing = 0;
	assert_ok(deliver(true));
	assert_true(was_synced(""));
}

#define WATCHED(test) cmocka_unit_test_setup_teardown(test, setup, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WATCHED(test_p1_the_text_before_the_name_and_then_the_name),
		WATCHED(test_p1_what_is_found_in_new_is_made_durable_first),
		WATCHED(test_p1_what_is_found_in_cur_is_made_durable_first),
		WATCHED(test_p1_folders_of_a_killed_porter_are_made_durable),
		WATCHED(test_p1_a_failed_flush_is_no_delivery),
		WATCHED(test_p1_a_folder_that_is_not_durable_is_taken_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
