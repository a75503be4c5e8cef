/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "sys/file.h"
#include "sys/socket.h"

struct place { char path[64]; int fd; };

static int set_up(void **state)
{
	static struct place p;
	strcpy(p.path, "/tmp/sealpost-file-XXXXXX");
	if (mkdtemp(p.path) == NULL || directory_open(FILE_CWD, p.path, &p.fd, NULL) != OK)
		return -1;
	*state = &p;
	return 0;
}

static void remove_all(int at, const char *name)
{
	int fd;
	if (unlinkat(at, name, 0) == 0 || directory_open(at, name, &fd, NULL) != OK)
		return;
	struct directory_reader *d = directory_read(fd);
	for (struct str inner; directory_next(d, &inner);)
		remove_all(fd, inner.p);
	directory_close(&d);
	fd_close(&fd);
	(void)unlinkat(at, name, AT_REMOVEDIR);
}

static int tear_down(void **state)
{
	struct place *p = *state;
	fd_close(&p->fd);
	remove_all(AT_FDCWD, p->path);
	return access(p->path, F_OK) == 0;
}

static void put(int at, const char *name, const char *text)
{
	int fd;
	assert_int_equal(file_open(at, name, FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, 0600, &fd, NULL), OK);
	assert_int_equal(file_write(fd, str_of(text)), OK);
	assert_int_equal(file_sync(fd), OK);
	fd_close(&fd);
}

static void what_is_written_is_read(void **state)
{
	struct place *p = *state;
	int fd;
	struct buf b;
	char room[8];
	size_t n;
	uint64_t size;
	put(p->fd, "a", "hello world");
	assert_int_equal(file_open(p->fd, "a", FILE_READ | FILE_WRITE, 0, &fd, NULL), OK);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(file_pwrite(fd, STR("WORLD"), 6), OK);
	assert_int_equal(file_read(fd, room, 5, &n), OK);
	assert_int_equal(n, 5);
	buf_init(&b, 11);
	assert_int_equal(file_read_all(fd, &b), OK); /* from the start, wherever we were */
	assert_true(str_eq(buf_view(&b), STR("hello WORLD")));
	buf_fini(&b);
	assert_int_equal(file_pwrite(fd, STR("!!"), 11), OK);
	assert_int_equal(file_cut(fd, 11), OK);
	assert_int_equal(file_size(fd, &size), OK);
	assert_int_equal(size, 11);
	assert_int_not_equal(file_cut(-1, 11), OK);
	buf_init(&b, 10);
	assert_int_equal(file_read_all(fd, &b), F_LIMIT);
	buf_fini(&b);
	assert_int_equal(file_size(fd, &size), OK);
	assert_int_equal(size, 11);
	assert_int_equal(file_pread(fd, room, sizeof room, 9, &n), OK);
	assert_int_equal(n, 2);
	fd_close(&fd);
	assert_int_equal(fd, -1);
	fd_close(&fd);
}

static void a_pipe_is_read_to_its_end(void **state)
{
	(void)state;
	int ends[2];
	struct buf b;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(file_write(ends[1], STR("through a pipe")), OK);
	fd_close(&ends[1]);
	buf_init(&b, 100);
	assert_int_equal(file_read_all(ends[0], &b), OK);
	assert_true(str_eq(buf_view(&b), STR("through a pipe")));
	buf_fini(&b);
	fd_close(&ends[0]);
}

static void faults_are_told_apart(void **state)
{
	struct place *p = *state;
	int fd = -1;
	struct why why;
	put(p->fd, "here", "");
	assert_int_equal(file_open(p->fd, "not-there", FILE_READ, 0, &fd, &why), F_ABSENT);
	assert_string_equal(why.text, "not-there: No such file or directory");
	assert_int_equal(file_open(p->fd, "here/x", FILE_READ, 0, &fd, NULL), F_ABSENT);
	assert_int_equal(file_open(p->fd, "here", FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, 0600, &fd, NULL), F_EXISTS);
	assert_int_equal(directory_open(p->fd, "here", &fd, NULL), F_ABSENT);
	assert_int_equal(symlinkat("here", p->fd, "link"), 0);
	assert_int_equal(file_open(p->fd, "link", FILE_WRITE | FILE_CREATE, 0600, &fd, NULL), F_DENIED);
	assert_int_equal(file_open(p->fd, "link", FILE_READ, 0, &fd, NULL), OK);
	fd_close(&fd);
	assert_int_equal(directory_make(p->fd, "d", 0700), OK);
	assert_int_equal(directory_make(p->fd, "d", 0700), F_EXISTS);
	assert_int_equal(file_link(p->fd, "here", p->fd, "there"), OK);
	assert_int_equal(file_link(p->fd, "here", p->fd, "there"), F_EXISTS);
	assert_int_equal(file_rename(p->fd, "there", p->fd, "d/there"), OK);
	assert_int_equal(file_remove(p->fd, "there"), F_ABSENT);
	assert_int_equal(file_remove(p->fd, "d/there"), OK);

	/* RLIMIT_FSIZE stands for the full disk: some of it fits, then F_LIMIT, and no signal ends us. */
	struct rlimit before, small;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 4096;
	static char bytes[5000];
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(file_open(p->fd, "here", FILE_WRITE, 0, &fd, NULL), OK);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(file_pwrite(fd, (struct str){ bytes, 4096 }, 0), OK);
	assert_int_equal(file_pwrite(fd, (struct str){ bytes, sizeof bytes }, 0), F_LIMIT);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	fd_close(&fd);
}

static bool is_within(int at, const char *path, int of)
{
	int fd = -1;
	bool within = false;
	assert_int_equal(directory_open(at, path, &fd, NULL), OK);
	assert_int_equal(directory_is_within(fd, of, &within), OK);
	fd_close(&fd);
	return within;
}

static void what_a_directory_lies_in(void **state)
{
	struct place *p = *state;
	int queue = -1;
	assert_int_equal(directory_make(p->fd, "queue", 0700), OK);
	assert_int_equal(directory_make(p->fd, "queue/in", 0700), OK);
	assert_int_equal(directory_make(p->fd, "queue/in/deeper", 0700), OK);
	assert_int_equal(directory_make(p->fd, "queue2", 0700), OK);
	assert_int_equal(symlinkat("queue/in", p->fd, "link"), 0);
	assert_int_equal(directory_open(p->fd, "queue", &queue, NULL), OK);
	assert_true(is_within(p->fd, "queue", queue));
	assert_true(is_within(p->fd, "queue/in", queue));
	assert_true(is_within(p->fd, "link/deeper/../deeper", queue));
	assert_false(is_within(p->fd, "queue2", queue));
	assert_false(is_within(p->fd, "queue/..", queue));
	assert_false(is_within(FILE_CWD, "/", queue));
	fd_close(&queue);
}

static void beneath_stays_beneath(void **state)
{
	struct place *p = *state;
	int root, fd = -1;
	put(p->fd, "outside", "x");
	assert_int_equal(directory_make(p->fd, "root", 0700), OK);
	assert_int_equal(directory_open(p->fd, "root", &root, NULL), OK);
	assert_int_equal(directory_make(root, "inner", 0700), OK);
	put(root, "inner/file", "y");
	assert_int_equal(symlinkat("inner", root, "sideways"), 0);
	assert_int_equal(symlinkat("../outside", root, "out"), 0);
	assert_int_equal(symlinkat("inner/file", root, "same"), 0);
	assert_int_equal(mkfifoat(root, "fifo", 0600), 0);

	static const struct { const char *path; fault want; } rows[] = {
		{ "inner/file", OK }, { "inner//file", OK }, { "./inner/file", OK }, { "inner/none", F_ABSENT },
		{ "../outside", F_DENIED }, { "inner/../../outside", F_DENIED }, { "inner/../inner/file", F_DENIED },
		{ "inner/..", F_DENIED }, { "/etc/passwd", F_DENIED }, { "out", F_DENIED }, { "same", F_DENIED },
		{ "sideways/file", F_DENIED }, { "..file", F_ABSENT }, { "inner/...", F_ABSENT }, { "", F_ABSENT },
		{ "fifo", OK }, /* and does not wait for a writer */
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		fault f = file_open_beneath(root, rows[i].path, FILE_READ, 0, &fd);
		if (f != rows[i].want)
			fail_msg("%s: %s, not %s", rows[i].path, fault_name(f), fault_name(rows[i].want));
		if (f == OK)
			fd_close(&fd);
	}
	unsigned create = FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE;
	assert_int_equal(file_open_beneath(root, "inner/new", create, 0640, &fd), OK);
	uint32_t uid, mode;
	assert_int_equal(file_owner_mode(fd, &uid, &mode), OK);
	assert_int_equal(uid, geteuid());
	fd_close(&fd);
	assert_int_equal(file_open_beneath(root, "sideways/new", create, 0600, &fd), F_DENIED);
	assert_int_equal(file_open_beneath(root, "out", create, 0600, &fd), F_EXISTS);
	assert_int_equal(directory_open_beneath(root, "sideways", &fd), F_ABSENT); /* a link is no directory */
	assert_int_equal(directory_open_beneath(root, "inner", &fd), OK);
	fd_close(&fd);
	fd_close(&root);
}

static void a_directory_tells_its_names_every_time(void **state)
{
	struct place *p = *state;
	put(p->fd, "one", "");
	put(p->fd, "two", "");
	for (int round = 0; round < 2; round++) {
		size_t n = 0;
		struct directory_reader *d = directory_read(p->fd);
		for (struct str name; directory_next(d, &name); n++)
			assert_true(str_eq(name, STR("one")) || str_eq(name, STR("two")));
		directory_close(&d);
		assert_int_equal(n, 2);
	}
	struct directory_reader *d = directory_read(-1);
	struct str name;
	assert_false(directory_next(d, &name));
	directory_close(&d);
	uint64_t bytes = 0, names = 0;
	assert_int_equal(file_space(p->fd, &bytes, &names), OK);
	assert_true(bytes > 0 && names > 0);
	assert_int_equal(file_sync_all(p->fd), OK);
}

static void a_lock_is_for_one_opening(void **state)
{
	struct place *p = *state;
	int first, second;
	put(p->fd, "lock", "");
	assert_int_equal(file_open(p->fd, "lock", FILE_WRITE, 0, &first, NULL), OK);
	assert_int_equal(file_open(p->fd, "lock", FILE_WRITE, 0, &second, NULL), OK);
	assert_int_equal(file_lock(first), OK);
	assert_int_equal(file_lock(first), OK);
	assert_int_equal(file_lock(second), F_BUSY);
	fd_close(&first);
	assert_int_equal(file_lock(second), OK);
	fd_close(&second);
}

static void a_directory_is_given_but_no_link(void **state)
{
	struct place *p = *state;
	char path[128];
	assert_int_equal(directory_make(p->fd, "d", 0700), OK);
	assert_int_equal(symlinkat("d", p->fd, "l"), 0);
	(void)snprintf(path, sizeof path, "%s/d", p->path);
	assert_int_equal(directory_give(path, geteuid(), getegid()), OK);
	(void)snprintf(path, sizeof path, "%s/l", p->path);
	assert_int_equal(directory_give(path, geteuid(), getegid()), F_ABSENT);
}

/* The kernel gives a file of /proc in pieces of about a page, as any file may come. */
static void a_read_in_pieces_is_one_read(void **state)
{
	(void)state;
	char room[12 << 10];
	size_t n = 0;
	int fd = -1;
	assert_int_equal(file_open(FILE_CWD, "/proc/self/smaps", FILE_READ, 0, &fd, NULL), OK);
	assert_true(pread(fd, room, sizeof room, 0) < (ssize_t)sizeof room);
	assert_int_equal(file_pread(fd, room, sizeof room, 0, &n), OK);
	assert_int_equal(n, sizeof room);
	fd_close(&fd);
}

#define WITH_A_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static void facts_of_a_path(void **state)
{
	const struct place *p = *state;
	struct path_facts facts;
	char path[100];
	put(p->fd, "file", "12345");
	assert_int_equal(symlinkat("file", p->fd, "link"), 0);
	snprintf(path, sizeof path, "%s/link", p->path);
	assert_int_equal(path_facts(path, &facts), OK);
	assert_true(facts.is_file && !facts.is_directory && facts.size_bytes == 5 && (facts.mode & 07777) == 0600);
	assert_true(facts.uid == geteuid() && facts.changed_s > 0);
	assert_int_equal(path_facts(p->path, &facts), OK);
	assert_true(facts.is_directory && !facts.is_file);
	snprintf(path, sizeof path, "%s/none", p->path);
	assert_int_equal(path_facts(path, &facts), F_ABSENT);
	snprintf(path, sizeof path, "%s/pipe", p->path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(path_facts(path, &facts), OK);
	assert_true(!facts.is_directory && !facts.is_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_PLACE(what_is_written_is_read),
		WITH_A_PLACE(a_pipe_is_read_to_its_end),
		WITH_A_PLACE(faults_are_told_apart),
		WITH_A_PLACE(what_a_directory_lies_in),
		WITH_A_PLACE(beneath_stays_beneath),
		cmocka_unit_test(a_read_in_pieces_is_one_read),
		WITH_A_PLACE(facts_of_a_path),
		WITH_A_PLACE(a_lock_is_for_one_opening),
		WITH_A_PLACE(a_directory_is_given_but_no_link),
		WITH_A_PLACE(a_directory_tells_its_names_every_time),
	};
	return cmocka_run_group_tests_name("sys/file", tests, NULL, NULL);
}
