/* SPDX-License-Identifier: ISC */
/* The SQLite store killed: between two runs, at any moment, and in the middle of every write. */
#include "unit.h"

#include "disk.h"
#include "sqlite_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

static void committed_survives_a_restart(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(put_text(f, "m1", pattern(f, 100000, 1)), OK);
	assert_int_equal(put_text(f, "m2", STR("")), OK);
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
	assert_int_equal(put_text(f, "m3", STR("after")), OK);
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
		if (put_text(f, id, pattern(f, 3000 + i * 37 % 40000, i)) != OK || write(tell, &i, sizeof i) != sizeof i)
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
		if (put_text(f, id, pattern(f, 20000 + i * 7000, i)) != OK || write(tell, "p", 1) != 1)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(committed_survives_a_restart),
		TEST(killed_at_any_moment),
		TEST(a_crash_in_every_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
