/* SPDX-License-Identifier: ISC */
/* A letter on its way into a Maildir: where it may go, and that it is there once, whatever is repeated. */
#include "unit.h"

#include "maildirs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "role/porter/letter.h"
#include "role/role.h"
#include "sys/process.h"

static void names_follow_from_id_and_recipient(void **state)
{
	(void)state;
	char a[LETTER_NAME_MAX + 1], b[LETTER_NAME_MAX + 1], host[300];
	letter_name(a, 1795217725, STR("q1"), STR("a@x"), STR("mx.example"));
	letter_name(b, 1795217725, STR("q1"), STR("a@x"), STR("mx.example"));
	assert_string_equal(a, b);
	assert_true(str_starts(str_of(a), STR("1795217725.Qq1R")));
	assert_true(str_ends_nocase(str_of(a), STR(".mx.example")));
	char first[LETTER_NAME_MAX + 1], again[LETTER_NAME_MAX + 1]; /* the clock was set, and the queue's times with it */
	letter_name(first, 1795217725, STR("1m7y2dsmfp8newk"), STR("a@x"), STR("mx.example"));
	letter_name(again, 1479857725, STR("1m7y2dsmfp8newk"), STR("a@x"), STR("mx.example"));
	assert_string_equal(first, again);
	assert_true(str_starts(str_of(first), STR("17952317")));
	letter_name(b, 1795217725, STR("q1"), STR("b@x"), STR("mx.example"));
	assert_string_not_equal(a, b);
	letter_name(b, 1795217725, STR("q2"), STR("a@x"), STR("mx.example"));
	assert_string_not_equal(a, b);
	memset(host, 'h', sizeof host);
	letter_name(b, INT64_MAX, (struct str){ host, 100 }, STR("a@x"), (struct str){ host, sizeof host });
	assert_true(strlen(b) <= LETTER_NAME_MAX);
	letter_name(b, -1, STR("../q:1"), STR("a/b@x"), STR("m/x:y"));
	assert_null(strchr(b, '/'));
	assert_null(strchr(b, ':'));
}

static unsigned mode_of(const char *below)
{
	struct stat st;
	return stat(path_of(below), &st) == 0 ? (unsigned)st.st_mode & 07777 : 0;
}

static fault deliver(const struct place *place, const char *name, bool repeat, const char *text)
{
	struct letter *l = NULL;
	struct why why = { "" };
	fault f = letter_begin(place, name, repeat, &l, &why);
	if (f == OK)
		f = letter_write(l, str_of(text));
	if (f == OK)
		f = letter_finish(l, &why);
	letter_free(&l);
	return f;
}

static void a_letter_arrives_in_a_new_maildir(void **state)
{
	(void)state;
	struct place p = place_of("example.org/jada");
	assert_ok(deliver(&p, "name", false, "hello\n"));
	assert_str(content_of("example.org/jada/new/name"), "hello\n");
	assert_int_equal(count_files("example.org/jada/new"), 1);
	assert_int_equal(count_files("example.org/jada/tmp"), 0);
	assert_int_equal(mode_of("example.org"), 0700);
	assert_int_equal(mode_of("example.org/jada/cur"), 0700);
	assert_int_equal(mode_of("example.org/jada/new/name"), 0600);
}

static void what_is_unfinished_leaves_no_trace(void **state)
{
	(void)state;
	struct place p = place_of("jada");
	struct letter *l = NULL;
	struct why why;
	assert_ok(letter_begin(&p, "name", false, &l, &why));
	assert_ok(letter_write(l, STR("half")));
	assert_int_equal(count_files("jada/tmp"), 1);
	letter_free(&l);
	letter_free(&l);
	assert_int_equal(count_files("jada/tmp"), 0);
	assert_int_equal(count_files("jada/new"), 0);
}

/* A process that dies after each step; whoever comes next delivers, and there is one letter, whole. */
static void a_kill_anywhere_leaves_one_whole_letter(void **state)
{
	(void)state;
	struct place p = place_of("jada");
	for (int step = 0; step < 5; step++) {
		char name[32];
		(void)snprintf(name, sizeof name, "name-%d", step);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct letter *l = NULL;
			struct why why;
			if (step > 0 && letter_begin(&p, name, false, &l, &why) != OK)
				_exit(1);
			if (step > 1 && letter_write(l, STR("who")) != OK)
				_exit(1);
			if (step > 2 && letter_write(l, STR("le\n")) != OK)
				_exit(1);
			if (step > 3 && letter_finish(l, &why) != OK)
				_exit(1);
			(void)kill(getpid(), SIGKILL);
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(count_files("jada/tmp"), step > 0 && step < 4 ? 1 : 0);

		assert_int_equal(deliver(&p, name, true, "whole\n"), step < 4 ? OK : F_EXISTS);
		assert_int_equal(deliver(&p, name, true, "whole\n"), F_EXISTS);
		assert_int_equal(count_files("jada/tmp"), 0);
		assert_int_equal(count_files("jada/new"), (size_t)step + 1);
		char below[64];
		(void)snprintf(below, sizeof below, "jada/new/%s", name);
		assert_str(content_of(below), "whole\n");
	}
}

static void killed_between_link_and_unlink(void **state)
{
	(void)state;
	struct place p = place_of("jada");
	struct letter *l = NULL;
	struct why why;
	char tmp[256], new[256];
	assert_ok(letter_begin(&p, "name", false, &l, &why));
	assert_ok(letter_write(l, STR("whole\n")));
	(void)snprintf(tmp, sizeof tmp, "%s/jada/tmp/name", root);
	(void)snprintf(new, sizeof new, "%s/jada/new/name", root);
	assert_int_equal(link(tmp, new), 0);
	assert_int_equal(letter_finish(l, &why), F_EXISTS); /* link(2) says so itself */
	letter_free(&l);
	assert_int_equal(count_files("jada/tmp"), 0);
	assert_int_equal(count_files("jada/new"), 1);
	assert_str(content_of("jada/new/name"), "whole\n");
}

static void a_letter_that_was_read_is_not_delivered_again(void **state)
{
	(void)state;
	struct place p = place_of("jada");
	char from[256], to[256];
	assert_ok(deliver(&p, "name", false, "hello\n"));
	(void)snprintf(from, sizeof from, "%s/jada/new/name", root);
	(void)snprintf(to, sizeof to, "%s/jada/cur/name:2,S", root);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(deliver(&p, "name", true, "hello\n"), F_EXISTS);
	assert_int_equal(count_files("jada/new"), 0);
	assert_ok(deliver(&p, "nam", true, "another\n")); /* a prefix is another name */
	assert_int_equal(count_files("jada/new"), 1);
}

static void links_lead_nowhere(void **state)
{
	(void)state;
	char elsewhere[128], link_at[256];
	(void)snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", root);
	assert_int_equal(mkdir(elsewhere, 0700), 0);
	(void)snprintf(link_at, sizeof link_at, "%s/jada", root);
	assert_int_equal(symlink("elsewhere", link_at), 0);
	struct place p = place_of("jada");
	assert_int_equal(deliver(&p, "name", false, "x"), F_DENIED);

	p = place_of("kim");
	assert_ok(deliver(&p, "one", false, "x"));
	(void)snprintf(link_at, sizeof link_at, "%s/kim/new", root);
	assert_int_equal(unlink(path_of("kim/new/one")), 0);
	assert_int_equal(rmdir(link_at), 0);
	assert_int_equal(symlink("../elsewhere", link_at), 0);
	assert_int_equal(deliver(&p, "name", false, "x"), F_DENIED);
	assert_int_equal(count_files("elsewhere"), 0);

	/* the fixed part is the administrator's: a link there is followed */
	(void)snprintf(link_at, sizeof link_at, "%s/link", root);
	assert_int_equal(symlink("elsewhere", link_at), 0);
	p = place_of("lee");
	strcat(p.fixed, "/link");
	assert_ok(deliver(&p, "name", false, "x"));
	assert_int_equal(count_files("elsewhere/lee/new"), 1);
}

/* Who owns a mailbox swaps its folders for links to elsewhere, over and over, while letters come in. */
static void swap_for_ever(const char *one, const char *other)
{
	for (;;)
		if (renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) != 0)
			_exit(1);
}

/* True if every letter that was said to be delivered is in this mailbox, wherever its folders have ended up. */
static size_t count_letters(const char *mailbox)
{
	char path[256];
	size_t n = 0;
	static const char *const folders[] = { "new", "other" };
	for (size_t i = 0; i < COUNT(folders); i++) {
		struct stat st;
		(void)snprintf(path, sizeof path, "%s/%s", mailbox, folders[i]);
		if (lstat(path_of(path), &st) == 0 && S_ISDIR(st.st_mode))
			n += count_files(path);
	}
	return n;
}

static void race(const char *one, const char *other)
{
	char from[300], to[300];
	struct place p = place_of("kim");
	size_t delivered = 0, refused = 0;
	(void)snprintf(from, sizeof from, "%s/%s", root, one);
	(void)snprintf(to, sizeof to, "%s/%s", root, other);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		swap_for_ever(from, to);
	/* Both ways have been met often enough, however the two are scheduled. */
	time_t patience = time(NULL) + 60;
	for (unsigned i = 0; time(NULL) < patience && (i < 60 || delivered < 5 || refused < 5); i++) {
		char name[32];
		(void)snprintf(name, sizeof name, "%u", i);
		fault f = deliver(&p, name, false, "x");
		delivered += f == OK;
		refused += f != OK;
	}
	(void)kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(delivered >= 5 && refused >= 5);
	assert_int_equal(count_files("elsewhere"), 1);
	assert_int_equal(count_files("elsewhere/new") + count_files("elsewhere/tmp") + count_files("elsewhere/cur"), 0);
	if (strcmp(one, "kim/new") == 0)
		assert_int_equal(count_letters("kim"), delivered);
}

static void test_attack_66_a_race_leads_nowhere(void **state)
{
	(void)state;
	static const struct { const char *at, *link, *to; } races[] = {
		{ "kim/new", "kim/other", "../elsewhere" },
		{ "kim/tmp", "kim/other", "../elsewhere" },
		{ "kim", "other", "elsewhere" },
	};
	assert_int_equal(mkdir(path_of("elsewhere"), 0777), 0);
	assert_int_equal(symlink("/nowhere", path_of("elsewhere/a-file")), 0);
	struct place p = place_of("kim");
	assert_ok(deliver(&p, "first", false, "x"));
	assert_int_equal(unlink(path_of("kim/new/first")), 0);
	for (size_t i = 0; i < COUNT(races); i++) {
		assert_int_equal(symlink(races[i].to, path_of(races[i].link)), 0);
		race(races[i].at, races[i].link);
		/* Put right again, whichever way round they stand. */
		char at[300], other[300];
		struct stat st;
		(void)snprintf(at, sizeof at, "%s", path_of(races[i].at));
		(void)snprintf(other, sizeof other, "%s", path_of(races[i].link));
		if (lstat(at, &st) == 0 && S_ISLNK(st.st_mode))
			assert_int_equal(renameat2(AT_FDCWD, at, AT_FDCWD, other, RENAME_EXCHANGE), 0);
		assert_int_equal(unlink(other), 0);
	}
}

static void test_attack_66_what_is_no_folder_stops_nobody(void **state)
{
	(void)state;
	static const char *const places_of_fifo[] = { "kim/new", "kim/tmp", "kim/cur", "kim" };
	struct place p = place_of("kim");
	assert_ok(deliver(&p, "one", false, "x"));
	for (size_t i = 0; i < COUNT(places_of_fifo); i++) {
		char away[310], at[300];
		(void)snprintf(at, sizeof at, "%s", path_of(places_of_fifo[i]));
		(void)snprintf(away, sizeof away, "%s.away", at);
		assert_int_equal(rename(at, away), 0);
		assert_int_equal(mkfifo(at, 0666), 0);
		assert_true(deliver(&p, "two", false, "x") != OK);
		assert_int_equal(unlink(at), 0);
		assert_int_equal(rename(away, at), 0);
	}
	/* The name in tmp/ is somebody else's: a FIFO, a link to a file elsewhere, that very file. Nothing is written into them. */
	assert_int_equal(mkdir(path_of("elsewhere"), 0777), 0);
	FILE *file = fopen(path_of("elsewhere/file"), "w");
	assert_non_null(file);
	assert_int_equal(fputs("theirs", file) < 0, 0);
	assert_int_equal(fclose(file), 0);
	char outside[300];
	(void)snprintf(outside, sizeof outside, "%s", path_of("elsewhere/file"));
	assert_int_equal(mkfifo(path_of("kim/tmp/fifo"), 0666), 0);
	assert_int_equal(symlink(outside, path_of("kim/tmp/symbolic")), 0);
	assert_int_equal(link(outside, path_of("kim/tmp/hard")), 0);
	assert_int_equal(mkdir(path_of("kim/tmp/folder"), 0777), 0);
	assert_ok(deliver(&p, "fifo", false, "fifo"));
	assert_ok(deliver(&p, "symbolic", false, "symbolic"));
	assert_ok(deliver(&p, "hard", false, "hard"));
	assert_true(deliver(&p, "folder", false, "folder") != OK);
	assert_str(content_of("kim/new/fifo"), "fifo");
	assert_str(content_of("kim/new/symbolic"), "symbolic");
	assert_str(content_of("kim/new/hard"), "hard");
	assert_str(content_of("elsewhere/file"), "theirs");
}

static void trouble_says_where(void **state)
{
	(void)state;
	struct place p = place_of("jada");
	struct letter *l = NULL;
	struct why why = { "" };
	strcat(p.fixed, "/missing");
	assert_int_equal(letter_begin(&p, "name", false, &l, &why), F_ABSENT);
	assert_non_null(strstr(why.text, "/missing: the folder does not exist"));
	p = place_of("file/jada");
	FILE *file = fopen(path_of("file"), "w");
	assert_non_null(file);
	(void)fclose(file);
	assert_true(letter_begin(&p, "name", false, &l, &why) != OK);
	assert_null(l);
	assert_int_equal(mkdir(path_of("closed"), 0500), 0);
	p = place_of("closed/jada");
	assert_int_equal(letter_begin(&p, "name", false, &l, &why), F_DENIED);
	p = place_of("");
	assert_true(letter_disk_is_full(&p, UINT64_MAX / 2));
	assert_false(letter_disk_is_full(&p, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_follow_from_id_and_recipient),
		ON_DISK(a_letter_arrives_in_a_new_maildir),
		ON_DISK(what_is_unfinished_leaves_no_trace),
		ON_DISK(a_kill_anywhere_leaves_one_whole_letter),
		ON_DISK(killed_between_link_and_unlink),
		ON_DISK(a_letter_that_was_read_is_not_delivered_again),
		ON_DISK(links_lead_nowhere),
		ON_DISK(test_attack_66_a_race_leads_nowhere),
		ON_DISK(test_attack_66_what_is_no_folder_stops_nobody),
		ON_DISK(trouble_says_where),
	};
	return cmocka_run_group_tests(tests, become_nobody, NULL);
}
