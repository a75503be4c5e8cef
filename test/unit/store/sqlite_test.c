/* SPDX-License-Identifier: ISC */
/* The SQLite store where things go wrong: kills, torn and flipped bytes, full and failing disks, foreign hands. */
#include "disk.h"
#include "fixture.h"
#include "store/content_log.h"
#include "store/crc32c.h"
#include "store/schedule.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/check.h"

static const struct store_ops *const ops = &store_sqlite;

static int setup(void **state)
{
	*state = fixture_new(ops, "/tmp");
	return 0;
}

static int teardown(void **state)
{
	disk_heal();
	return fixture_teardown(state);
}

static fault put(struct fixture *f, const char *id, struct str content)
{
	struct store_rcpt r = { .address = STR("b@y.example"), .key = STR("k"), .next_s = NOW };
	struct store_commit c = { .message = { .id = str_of(id), .arrived_s = NOW }, .rcpts = &r, .n_rcpts = 1 };
	fault g = ops->draft_new(f->store, &c.draft);
	if (g != OK)
		return g;
	(void)!ops->draft_append(f->store, c.draft, content);
	g = ops->commit(f->store, &c, 1, NULL, 0, NULL);
	assert_null(c.draft);
	if (g != OK)
		assert_int_not_equal(c.result, OK);
	return c.result;
}

static struct str pattern(struct fixture *f, size_t n, unsigned seed)
{
	char *p = arena_alloc(f->arena, n);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245 + 12345;
		p[i] = (char)(seed >> 16);
	}
	return (struct str){ p, n };
}

static fault read_all(struct fixture *f, const char *id, struct str *out)
{
	struct buf all;
	buf_init(&all, 16 << 20);
	size_t n = 1;
	fault g = OK;
	while (g == OK && n > 0) {
		char *to = buf_reserve(&all, 50000);
		g = ops->content(f->store, str_of(id), buf_view(&all).n, to, 50000, &n);
		buf_filled(&all, n);
	}
	*out = arena_copy(f->arena, buf_view(&all));
	buf_fini(&all);
	return g;
}

static void assert_content(struct fixture *f, const char *id, struct str want)
{
	struct str got;
	assert_int_equal(read_all(f, id, &got), OK);
	assert_true(str_eq(got, want));
}

static uint64_t messages(struct fixture *f)
{
	struct store_counts c;
	assert_int_equal(ops->counts(f->store, &c), OK);
	return c.messages;
}

static void settle_all(struct fixture *f, enum settle_kind kind)
{
	struct store_rcpt out[100];
	size_t n;
	assert_int_equal(ops->lease(f->store, NOW, 60, &anything, f->arena, out, 100, &n, NULL), OK);
	for (size_t i = 0; i < n; i++) {
		struct store_outcome o = { .rcpt = out[i].number, .fence = out[i].fence, .kind = kind, .next_s = NOW };
		assert_int_equal(ops->commit(f->store, NULL, 0, &o, 1, NULL), OK);
		assert_int_equal(o.result, OK);
	}
}

static void segment_path(struct fixture *f, char out[128], unsigned number)
{
	snprintf(out, 128, "%s/content-%06u", f->queue, number);
}

/* ---- restarts ---- */

static void committed_survives_a_restart(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(put(f, "m1", pattern(f, 100000, 1)), OK);
	assert_int_equal(put(f, "m2", STR("")), OK);
	struct store_rcpt out[4], again[4];
	size_t n;
	assert_int_equal(ops->lease(f->store, NOW, 60, &anything, f->arena, out, 4, &n, NULL), OK);
	assert_int_equal(n, 2);
	struct store_draft *open_draft;
	assert_int_equal(ops->draft_new(f->store, &open_draft), OK);
	assert_int_equal(ops->draft_append(f->store, open_draft, pattern(f, 70000, 9)), OK);
	reopen(f);
	assert_int_equal(messages(f), 2);
	assert_content(f, "m1", pattern(f, 100000, 1));
	assert_content(f, "m2", STR(""));
	/* Leases end with the process that gave them, and their fences never come again. */
	struct store_outcome o = { .rcpt = out[0].number, .fence = out[0].fence, .kind = SETTLE_DONE };
	assert_int_equal(ops->commit(f->store, NULL, 0, &o, 1, NULL), OK);
	assert_int_equal(o.result, F_STATE);
	assert_int_equal(ops->lease(f->store, NOW, 60, &anything, f->arena, again, 4, &n, NULL), OK);
	assert_int_equal(n, 2);
	assert_true(again[0].fence > out[0].fence && again[0].fence > out[1].fence);
	assert_int_equal(put(f, "m3", STR("after")), OK);
	assert_content(f, "m3", STR("after"));
	assert_content(f, "m1", pattern(f, 100000, 1));
}

/* A child commits and tells after each; it is killed at a moment that nobody chose. */
static void child_commits(struct fixture *f, int tell)
{
	char id[32];
	reopen(f);
	for (unsigned i = 0; i < 100000; i++) {
		struct store_draft *never;
		snprintf(id, sizeof id, "m%u", i);
		if (ops->draft_new(f->store, &never) != OK ||
		    ops->draft_append(f->store, never, pattern(f, 20000, i)) != OK)
			_exit(1);
		arena_reset(f->arena);
		if (put(f, id, pattern(f, 3000 + i * 37 % 40000, i)) != OK || write(tell, &i, sizeof i) != sizeof i)
			_exit(1);
		ops->draft_drop(f->store, &never);
		if (i % 3 == 0)
			settle_all(f, SETTLE_HELD);
		bool more;
		(void)!ops->tidy(f->store, &more, NULL);
	}
	_exit(0);
}

static void killed_at_any_moment(void **state)
{
	struct fixture *f = *state;
	char id[32];
	for (unsigned round = 1; round <= 6; round++) {
		int pipe_[2];
		assert_int_equal(pipe(pipe_), 0);
		ops->close(&f->store);
		remove_all(f->queue);
		pid_t pid = fork();
		if (pid == 0)
			child_commits(f, pipe_[1]);
		close(pipe_[1]);
		unsigned told = 0, last = 0;
		while (told < round * 7 && read(pipe_[0], &last, sizeof last) == sizeof last)
			told++;
		assert_int_equal(told, round * 7);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(pipe_[0], &last, sizeof last) == sizeof last)
			told++;
		close(pipe_[0]);

		reopen(f);
		assert_true(messages(f) == told || messages(f) == told + 1); /* its last word may have been lost */
		for (unsigned i = 0; i < told; i++) {
			arena_reset(f->arena);
			snprintf(id, sizeof id, "m%u", i);
			assert_content(f, id, pattern(f, 3000 + i * 37 % 40000, i));
		}
	}
}

/* ---- a crash after every write ---- */

/* SQLite's own writes and flushes are counted, too: its files get methods of ours in front of theirs. */
static sqlite3_vfs counting_vfs;
static sqlite3_vfs *system_vfs;
static struct counted { sqlite3_io_methods ours; const sqlite3_io_methods *theirs; } counted[4];

static const sqlite3_io_methods *theirs_of(const sqlite3_file *f)
{
	size_t i = 0;
	while (f->pMethods != &counted[i].ours)
		i++;
	return counted[i].theirs;
}

static int counted_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 offset)
{
	if (disk_step()) {
		(void)theirs_of(f)->xWrite(f, bytes, n / 2, offset);
		disk_die();
	}
	return theirs_of(f)->xWrite(f, bytes, n, offset);
}

static int counted_sync(sqlite3_file *f, int flags)
{
	if (disk_step())
		disk_die();
	return theirs_of(f)->xSync(f, flags);
}

static int counted_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *flags_out)
{
	(void)vfs;
	int rc = system_vfs->xOpen(system_vfs, name, f, flags, flags_out);
	if (rc != SQLITE_OK || f->pMethods == NULL)
		return rc;
	size_t i = 0;
	while (i < COUNT(counted) && counted[i].theirs != NULL && counted[i].theirs != f->pMethods)
		i++;
	check(i < COUNT(counted));
	counted[i].theirs = f->pMethods;
	counted[i].ours = *f->pMethods;
	counted[i].ours.xWrite = counted_write;
	counted[i].ours.xSync = counted_sync;
	f->pMethods = &counted[i].ours;
	return rc;
}

static void count_sqlite(bool yes)
{
	if (system_vfs == NULL) {
		system_vfs = sqlite3_vfs_find(NULL);
		counting_vfs = *system_vfs;
		counting_vfs.zName = "counting";
		counting_vfs.xOpen = counted_open;
	}
	check(sqlite3_vfs_register(yes ? &counting_vfs : system_vfs, 1) == SQLITE_OK);
}

/* Messages come, some leave, segments are tidied; after each step that was durable, a byte is told. */
static void a_life(struct fixture *f, int tell)
{
	char id[32];
	bool more = true;
	for (unsigned i = 0; i < 12; i++) {
		snprintf(id, sizeof id, "m%u", i);
		if (put(f, id, pattern(f, 20000 + i * 7000, i)) != OK || write(tell, "p", 1) != 1)
			_exit(1);
		if (i == 7) { /* all but m6 and m7 leave: their segments become sparse or free */
			struct store_rcpt out[8];
			size_t n;
			if (ops->lease(f->store, NOW, 60, &anything, f->arena, out, 6, &n, NULL) != OK || n != 6)
				_exit(1);
			struct store_outcome o[8];
			for (size_t k = 0; k < n; k++)
				o[k] = (struct store_outcome){ .rcpt = out[k].number, .fence = out[k].fence, .kind = SETTLE_DONE };
			if (ops->commit(f->store, NULL, 0, o, n, NULL) != OK || write(tell, "s", 1) != 1)
				_exit(1);
		}
		for (int k = 0; k < 3; k++)
			if (ops->tidy(f->store, &more, NULL) != OK)
				_exit(1);
	}
	_exit(0);
}

static bool is_there(struct fixture *f, unsigned i)
{
	char id[32];
	struct store_message m;
	snprintf(id, sizeof id, "m%u", i);
	if (ops->message(f->store, str_of(id), f->arena, &m) != OK)
		return false;
	assert_content(f, id, pattern(f, 20000 + i * 7000, i));
	return true;
}

static void assert_life_until(struct fixture *f, unsigned puts, bool settled)
{
	unsigned there = 0;
	for (unsigned i = 0; i < 12; i++) {
		bool here = is_there(f, i);
		there += here;
		if (i < puts && !here && !(i < 6 && puts >= 8))
			fail_msg("m%u was told to be durable and is gone (after %u)", i, puts);
		if (here && (i > puts || (settled && i < 6)))
			fail_msg("m%u is there and should not be (after %u)", i, puts);
	}
	/* All six left together, or none of them. */
	if (puts >= 8)
		assert_true(is_there(f, 0) == is_there(f, 5));
	assert_int_equal(messages(f), there);
}

static void a_crash_in_every_write(void **state)
{
	struct fixture *f = *state;
	ops->close(&f->store);
	snprintf(f->queue, sizeof f->queue, "/dev/shm/store-crash-%d", (int)getpid());
	int status = 0, steps = 0;
	for (int n = 1; ; n++) {
		int pipe_[2];
		remove_all(f->queue);
		assert_int_equal(pipe(pipe_), 0);
		pid_t pid = fork();
		if (pid == 0) {
			reopen(f);
			ops->close(&f->store);
			count_sqlite(true);
			disk.dies_in = n;
			reopen(f);
			a_life(f, pipe_[1]);
		}
		close(pipe_[1]);
		waitpid(pid, &status, 0);
		assert_true(WIFEXITED(status));
		assert_true(WEXITSTATUS(status) == 99 || WEXITSTATUS(status) == 0);
		unsigned puts = 0;
		bool settled = false;
		for (char c; read(pipe_[0], &c, 1) == 1;) {
			puts += c == 'p';
			settled |= c == 's';
		}
		close(pipe_[0]);
		arena_reset(f->arena);
		reopen(f);
		assert_life_until(f, puts, settled);
		bool more = true;
		while (more)
			assert_int_equal(ops->tidy(f->store, &more, NULL), OK);
		assert_life_until(f, puts, settled);
		ops->close(&f->store);
		if (WEXITSTATUS(status) == 0)
			break;
		steps++;
	}
	remove_all(f->queue);
	print_message("# %d crashes, one in every write and flush\n", steps);
	assert_in_range(steps, 60, 5000);
}

/* ---- damage ---- */

static void flip(struct fixture *f, unsigned segment, off_t at)
{
	char path[128], c;
	segment_path(f, path, segment);
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c = (char)(c ^ 4);
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

static void every_flipped_byte_is_found(void **state)
{
	struct fixture *f = *state;
	struct str c = pattern(f, 200, 3), got;
	assert_int_equal(put(f, "m1", c), OK);
	assert_int_equal(put(f, "m2", STR("other")), OK);
	for (off_t at = 0; at < 232; at++) { /* header and bytes */
		flip(f, 1, at);
		assert_content(f, "m2", STR("other")); /* the store keeps the record that it read last */
		assert_int_equal(read_all(f, "m1", &got), F_STORE);
		flip(f, 1, at);
	}
	assert_content(f, "m1", c);
	flip(f, 1, 100);
	reopen(f);
	assert_int_equal(messages(f), 2); /* damaged is not gone: it can still be listed, held, bounced */
	assert_int_equal(put(f, "m3", STR("others are not harmed")), OK);
	assert_content(f, "m3", STR("others are not harmed"));
}

static void a_torn_or_missing_file_is_found(void **state)
{
	struct fixture *f = *state;
	char path[128];
	struct str got;
	assert_int_equal(put(f, "m1", pattern(f, 90000, 3)), OK);
	segment_path(f, path, 1);
	assert_int_equal(truncate(path, 80000), 0);
	reopen(f);
	assert_int_equal(read_all(f, "m1", &got), F_STORE);
	assert_true(str_eq(got, str_sub(pattern(f, 90000, 3), 0, RECORD_BYTES_MAX))); /* whole records only */
	assert_int_equal(unlink(path), 0);
	reopen(f);
	assert_int_equal(read_all(f, "m1", &got), F_STORE);
	assert_int_equal(put(f, "m2", pattern(f, 90000, 4)), OK);
	assert_content(f, "m2", pattern(f, 90000, 4));
	settle_all(f, SETTLE_DONE);
	assert_int_equal(messages(f), 0);
	reopen(f);
}

/* What was delivered is overwritten; its bytes never show up in another message. */
static void recycled_segments_show_nothing_old(void **state)
{
	struct fixture *f = *state;
	for (unsigned i = 0; i < 40; i++) {
		char id[32];
		snprintf(id, sizeof id, "m%u", i);
		assert_int_equal(put(f, id, pattern(f, 50000, i)), OK);
		assert_content(f, id, pattern(f, 50000, i));
		settle_all(f, SETTLE_DONE);
	}
	struct store_counts c;
	assert_int_equal(ops->counts(f->store, &c), OK);
	assert_true(c.disk_bytes <= 2 * SEGMENT); /* 2 MB went through */
}

/* ---- disks ---- */

static void a_failed_flush_is_never_an_ok(void **state)
{
	struct fixture *f = *state;
	struct why why = { "" };
	assert_int_equal(put(f, "before", STR("x")), OK);
	disk.sync_fault = F_SYS;
	disk.syncs_left = 0;
	assert_int_equal(put(f, "during", STR("x")), F_STORE);
	disk_heal();
	assert_int_equal(put(f, "after", STR("x")), F_STORE); /* a second flush that works proves nothing */
	struct store_rcpt out[4];
	size_t n;
	assert_int_equal(ops->lease(f->store, NOW, 60, &anything, f->arena, out, 4, &n, &why), F_STORE);
	assert_non_null(strstr(why.text, "opened again"));
	reopen(f);
	assert_int_equal(messages(f), 1);
	assert_content(f, "before", STR("x"));
	assert_int_equal(put(f, "after", STR("y")), OK);
	assert_content(f, "after", STR("y"));
}

static void a_failed_write_is_never_an_ok(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(put(f, "before", STR("x")), OK);
	disk.write_fault = F_SYS;
	disk.writes_left = 0;
	assert_int_equal(put(f, "during", STR("x")), F_STORE);
	disk_heal();
	assert_int_equal(put(f, "after", STR("x")), F_STORE);
	reopen(f);
	assert_int_equal(messages(f), 1);
	assert_int_equal(put(f, "after", STR("x")), OK);
}

static void a_full_disk_is_told_and_survived(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(put(f, "before", STR("x")), OK);
	for (int left = 0; left < 3; left++) {
		disk.write_fault = F_LIMIT;
		disk.writes_left = left;
		unsigned refused = 0;
		for (int i = 0; i < 4; i++) {
			char id[32];
			snprintf(id, sizeof id, "l%dm%d", left, i);
			fault g = put(f, id, pattern(f, 3000000, (unsigned)i));
			assert_true(g == OK || g == F_LIMIT);
			refused += g == F_LIMIT;
			if (g == OK)
				assert_content(f, id, pattern(f, 3000000, (unsigned)i));
		}
		assert_true(refused >= 3);
		disk_heal();
	}
	assert_int_equal(put(f, "after", pattern(f, 200000, 7)), OK);
	assert_content(f, "after", pattern(f, 200000, 7));
	assert_content(f, "before", STR("x"));
	reopen(f);
	assert_content(f, "after", pattern(f, 200000, 7));
}

/* Two drafts share the write that fails: neither is lost in silence. */
static void a_lost_write_is_known_to_all_who_were_in_it(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r = { .address = STR("b@y.example"), .key = STR("k"), .next_s = NOW };
	struct store_commit c[2] = {
		{ .message = { .id = STR("m1") }, .rcpts = &r, .n_rcpts = 1 },
		{ .message = { .id = STR("m2") }, .rcpts = &r, .n_rcpts = 1 },
	};
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(ops->draft_new(f->store, &c[i].draft), OK);
		assert_int_equal(ops->draft_append(f->store, c[i].draft, pattern(f, 20000, (unsigned)i)), OK);
	}
	disk.write_fault = F_LIMIT;
	disk.writes_left = 0;
	assert_int_equal(ops->commit(f->store, c, 2, NULL, 0, NULL), OK);
	assert_int_equal(c[0].result, F_LIMIT);
	assert_int_equal(c[1].result, F_LIMIT);
	disk_heal();
	assert_int_equal(messages(f), 0);
	assert_int_equal(put(f, "m1", STR("again")), OK);
	assert_content(f, "m1", STR("again"));
}

/* The real kernel says no: files may not grow past a limit, the database's included. */
static void a_limit_of_the_system(void **state)
{
	struct fixture *f = *state;
	ops->close(&f->store);
	int pipe_[2];
	assert_int_equal(pipe(pipe_), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct rlimit limit = { 100 << 10, 100 << 10 };
		struct why why;
		signal(SIGXFSZ, SIG_IGN);
		if (try_open(f, &why) != OK || setrlimit(RLIMIT_FSIZE, &limit) != 0)
			_exit(2);
		unsigned stored = 0, i = 0;
		fault g = OK;
		for (; i < 200 && g == OK; i++) {
			char id[32];
			snprintf(id, sizeof id, "m%u", i);
			g = put(f, id, pattern(f, 4000, i));
			stored += g == OK;
		}
		_exit(g != OK && write(pipe_[1], &stored, sizeof stored) == sizeof stored ? 0 : 3);
	}
	int status;
	unsigned stored = 0;
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(read(pipe_[0], &stored, sizeof stored), sizeof stored);
	close(pipe_[0]);
	close(pipe_[1]);
	reopen(f);
	assert_true(stored > 0);
	assert_int_equal(messages(f), stored);
	for (unsigned i = 0; i < stored; i++) {
		char id[32];
		snprintf(id, sizeof id, "m%u", i);
		assert_content(f, id, pattern(f, 4000, i));
	}
}

/* One flush for a whole batch: this is what group commit means. */
static void a_batch_shares_one_write_and_one_flush(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r = { .address = STR("b@y.example"), .key = STR("k"), .next_s = NOW };
	struct store_commit c[20];
	char ids[20][8];
	for (size_t i = 0; i < 20; i++) {
		snprintf(ids[i], sizeof ids[i], "m%u", (unsigned)i % 100);
		c[i] = (struct store_commit){ .message = { .id = str_of(ids[i]) }, .rcpts = &r, .n_rcpts = 1 };
		assert_int_equal(ops->draft_new(f->store, &c[i].draft), OK);
		assert_int_equal(ops->draft_append(f->store, c[i].draft, pattern(f, 4000, (unsigned)i)), OK);
	}
	disk_heal();
	assert_int_equal(ops->commit(f->store, c, 20, NULL, 0, NULL), OK);
	assert_int_equal(disk.writes, 1);
	assert_int_equal(disk.syncs, 1);
	assert_int_equal(messages(f), 20);
}

/* ---- foreign hands ---- */

static void two_cannot_share_a_queue(void **state)
{
	struct fixture *f = *state;
	struct fixture second = *f;
	struct why why = { "" };
	assert_int_equal(try_open(&second, &why), F_BUSY);
	assert_non_null(strstr(why.text, "in use by another process"));
	assert_int_equal(put(f, "m1", STR("the first goes on")), OK);
}

static void only_the_owner_may_look(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	struct why why = { "" };
	char path[128];
	static const char *const names[] = { "queue.db", "queue.db-wal", "queue.db-shm", "lock", "content-000001" };
	assert_int_equal(put(f, "m1", STR("x")), OK);
	assert_int_equal(stat(f->queue, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof path, "%s/%s", f->queue, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	ops->close(&f->store);
	assert_int_equal(chmod(f->queue, 0750), 0);
	assert_int_equal(try_open(f, &why), F_DENIED);
	assert_non_null(strstr(why.text, "chmod 700"));
	assert_int_equal(chmod(f->queue, 0700), 0);
	reopen(f);
}

static void run_sql(struct fixture *f, const char *text)
{
	char path[128];
	sqlite3 *db;
	snprintf(path, sizeof path, "%s/queue.db", f->queue);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void a_newer_format_is_refused(void **state)
{
	struct fixture *f = *state;
	struct why why = { "" };
	ops->close(&f->store);
	run_sql(f, "PRAGMA user_version=4");
	assert_int_equal(try_open(f, &why), F_STORE);
	assert_non_null(strstr(why.text, "format 4"));
	assert_non_null(strstr(why.text, "written by a newer"));
	assert_null(f->store);
	run_sql(f, "PRAGMA user_version=3; PRAGMA application_id=7");
	assert_int_equal(try_open(f, &why), F_STORE);
	assert_non_null(strstr(why.text, "not a Sealpost queue"));
	char path[128];
	snprintf(path, sizeof path, "%s/queue.db", f->queue);
	FILE *junk = fopen(path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is no database ", junk);
	fclose(junk);
	assert_int_equal(try_open(f, &why), F_STORE);
	assert_non_null(strstr(why.text, "database"));
}

static void a_queue_elsewhere_cannot_be_made(void **state)
{
	struct fixture *f = *state;
	struct why why = { "" };
	struct store *s = NULL;
	char path[128];
	snprintf(path, sizeof path, "%s/no/such", f->directory);
	assert_int_not_equal(ops->open(str_of(path), NULL, &s, &why), OK);
	assert_non_null(strstr(why.text, path));
	assert_null(s);
	assert_int_equal(ops->open(STR(""), NULL, &s, &why), F_LIMIT);
	struct store_options tiny = { .segment_bytes = SEGMENT_BYTES_MIN - 1 };
	snprintf(path, sizeof path, "%s/tiny", f->directory);
	assert_int_equal(ops->open(str_of(path), &tiny, &s, &why), F_LIMIT);
	tiny.segment_bytes = SEGMENT_BYTES_MIN;
	assert_int_equal(ops->open(str_of(path), &tiny, &s, &why), OK);
	ops->close(&s);
}

/* A log that a killed process has left is emptied before anything is accepted; who is in the middle of reading it keeps it. */
static void a_reader_in_the_way_of_an_old_log_is_told(void **state)
{
	struct fixture *f = *state;
	struct why why = { "" };
	char path[128];
	sqlite3 *db;
	struct stat st;
	ops->close(&f->store);
	pid_t pid = fork();
	if (pid == 0) {
		reopen(f);
		_exit(put(f, "m1", STR("x")) == OK ? 0 : 1); /* and does not close */
	}
	int status;
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	snprintf(path, sizeof path, "%s/queue.db", f->queue);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT * FROM message", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(try_open(f, &why), F_BUSY);
	assert_non_null(strstr(why.text, "another program is reading"));
	assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	reopen(f);
	assert_int_equal(messages(f), 1);
	snprintf(path, sizeof path, "%s/queue.db-wal", f->queue);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < 20000); /* a new one: of the opening alone */
}

/* A statement that fails once, as for want of room, and would succeed if it was run again. What was asked for has not happened
 * then; done in silence it would be a recipient that waits in no schedule. */
static void a_statement_that_failed_is_not_run_again(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt out[2];
	size_t n;
	static const char *const events[] = { "BEFORE UPDATE ON rcpt", "BEFORE DELETE ON message" };
	for (size_t i = 0; i < COUNT(events); i++) {
		char text[300], id[8];
		snprintf(id, sizeof id, "m%zu", i);
		assert_int_equal(put(f, id, STR("x")), OK);
		ops->close(&f->store);
		snprintf(text, sizeof text,
		         "CREATE TABLE once%zu(x); CREATE TRIGGER first%zu %s WHEN (SELECT count(*) FROM once%zu)=0"
		         " BEGIN INSERT INTO once%zu VALUES(1); SELECT RAISE(FAIL,'once'); END", i, i, events[i], i, i);
		run_sql(f, text);
		reopen(f);
		assert_int_equal(ops->lease(f->store, NOW, 60, &anything, f->arena, out, 2, &n, NULL), OK);
		assert_int_equal(n, 1);
		struct store_outcome o = { .rcpt = out[0].number, .fence = out[0].fence, .counts = true, .next_s = NOW,
			                   .kind = i == 0 ? SETTLE_LATER : SETTLE_DONE };
		assert_int_equal(ops->commit(f->store, NULL, 0, &o, 1, NULL), F_STORE);
		assert_int_equal(o.result, F_STORE);
		reopen(f);
		struct store_selector all = { .to = STR_NONE };
		assert_int_equal(ops->list(f->store, &all, 0, f->arena, out, 2, &n), OK);
		assert_int_equal(n, 1);
		assert_int_equal(out[0].attempts, 0);
		ops->close(&f->store);
		snprintf(text, sizeof text, "DROP TRIGGER first%zu; DROP TABLE once%zu", i, i);
		run_sql(f, text);
		reopen(f);
		settle_all(f, SETTLE_DONE);
	}
}

/* An administrator looks while the server runs; docs/QUEUE.md shows this view. */
static void an_administrator_can_look(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(put(f, "m1", STR("x")), OK);
	char path[128];
	sqlite3 *db;
	sqlite3_stmt *st;
	snprintf(path, sizeof path, "%s/queue.db", f->queue);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT id, recipient, state FROM queue", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal(sqlite3_column_text(st, 0), "m1");
	assert_string_equal(sqlite3_column_text(st, 1), "b@y.example");
	assert_string_equal(sqlite3_column_text(st, 2), "queued");
	sqlite3_finalize(st);
	sqlite3_close(db);
}

/* ---- parts ---- */

static void crc32c_agrees_with_the_rfc(void **state)
{
	(void)state;
	struct crc32c c;
	char bytes[32];
	crc32c_init(&c);
	for (int by_cpu = c.by_cpu; by_cpu >= 0; by_cpu--) { /* the processor's way, if it has one, and the tables' */
		c.by_cpu = by_cpu != 0;
		assert_int_equal(crc32c(&c, 0, STR("123456789")), 0xe3069283);
		memset(bytes, 0, 32);
		assert_int_equal(crc32c(&c, 0, (struct str){ bytes, 32 }), 0x8a9136aa);
		memset(bytes, 0xff, 32);
		assert_int_equal(crc32c(&c, 0, (struct str){ bytes, 32 }), 0x62a8ab43);
		for (int i = 0; i < 32; i++)
			bytes[i] = (char)i;
		assert_int_equal(crc32c(&c, 0, (struct str){ bytes, 32 }), 0x46dd794e);
		uint32_t in_parts = crc32c(&c, 0, (struct str){ bytes, 13 });
		assert_int_equal(crc32c(&c, in_parts, (struct str){ bytes + 13, 19 }), 0x46dd794e);
	}
}

static void a_schedule_gives_the_earliest(void **state)
{
	(void)state;
	struct schedule *s = schedule_new();
	struct str key;
	int64_t due_s, last = -1;
	char name[16];
	assert_false(schedule_take(s, &key, &due_s));
	for (unsigned i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "k%u", i * 7 % 100);
		schedule_note(s, str_of(name), (int64_t)(i * 7919 % 1000) + 5);
	}
	schedule_note(s, STR("k3"), 1);
	schedule_note(s, STR("k3"), 9000); /* later does not count */
	assert_true(schedule_take(s, &key, &due_s));
	assert_true(str_eq(key, STR("k3")));
	assert_int_equal(due_s, 1);
	unsigned n = 1;
	for (; schedule_take(s, &key, &due_s); n++) {
		assert_true(due_s >= last);
		last = due_s;
	}
	assert_int_equal(n, 100);
	schedule_note(s, STR("left"), 1);
	schedule_free(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(committed_survives_a_restart),
		TEST(killed_at_any_moment),
		TEST(a_crash_in_every_write),
		TEST(every_flipped_byte_is_found),
		TEST(a_torn_or_missing_file_is_found),
		TEST(recycled_segments_show_nothing_old),
		TEST(a_failed_flush_is_never_an_ok),
		TEST(a_failed_write_is_never_an_ok),
		TEST(a_full_disk_is_told_and_survived),
		TEST(a_lost_write_is_known_to_all_who_were_in_it),
		TEST(a_limit_of_the_system),
		TEST(a_batch_shares_one_write_and_one_flush),
		TEST(two_cannot_share_a_queue),
		TEST(only_the_owner_may_look),
		TEST(a_newer_format_is_refused),
		TEST(a_queue_elsewhere_cannot_be_made),
		TEST(a_reader_in_the_way_of_an_old_log_is_told),
		TEST(a_statement_that_failed_is_not_run_again),
		TEST(an_administrator_can_look),
		cmocka_unit_test(crc32c_agrees_with_the_rfc),
		cmocka_unit_test(a_schedule_gives_the_earliest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
