/* SPDX-License-Identifier: ISC */
#include "judged.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "store/inspect.h"

static const struct store_ops *const ops = &store_sqlite;

const struct letter letters[LETTERS] = {
	{ "m1", "a@x.example", 300, { "one@y.example", "two@y.example" }, false },
	{ "m2", "", 70000, { "three@z.example" }, false },
	{ "m3", "c@x.example", 20, { "four@y.example" }, true },
};

static struct str text_of(struct arena *a, const struct letter *l)
{
	char *p = arena_alloc(a, l->size);
	for (size_t i = 0; i < l->size; i++)
		p[i] = (char)('a' + (i * 7 + (size_t)l->id[1]) % 26);
	return (struct str){ p, l->size };
}

void put_letter(struct fixture *f, const struct letter *l)
{
	struct store_rcpt rcpts[3] = { 0 };
	struct store_commit c = { .message = { .id = str_of(l->id), .sender = str_of(l->sender), .arrived_s = NOW,
		.user = STR("jada"), .client = STR("192.0.2.1"), .envid = STR("e") }, .rcpts = rcpts };
	for (; c.n_rcpts < 3 && l->rcpts[c.n_rcpts] != NULL; c.n_rcpts++)
		rcpts[c.n_rcpts] = (struct store_rcpt){ .address = str_of(l->rcpts[c.n_rcpts]),
			.original = str_of(l->rcpts[c.n_rcpts]), .key = STR("key"), .next_s = NOW,
			.state = l->held ? RCPT_HELD : RCPT_QUEUED };
	assert_int_equal(ops->draft_new(f->store, &c.draft), OK);
	assert_int_equal(ops->draft_append(f->store, c.draft, text_of(f->arena, l)), OK);
	assert_int_equal(ops->commit(f->store, &c, 1, NULL, 0, NULL), OK);
	assert_int_equal(c.result, OK);
}

/* One recipient has been tried: that one is in the index of domains. */
static void try_one(struct fixture *f)
{
	struct store_rcpt r;
	size_t n;
	assert_int_equal(ops->lease(f->store, NOW, 60, &anything, f->arena, &r, 1, &n, NULL), OK);
	assert_int_equal(n, 1);
	struct store_outcome o = { .rcpt = r.number, .fence = r.fence, .kind = SETTLE_LATER, .next_s = NOW, .counts = true };
	assert_int_equal(ops->commit(f->store, NULL, 0, &o, 1, NULL), OK);
	assert_int_equal(o.result, OK);
}

int judged_setup(void **state)
{
	struct fixture *f = fixture_new(ops, "/dev/shm");
	for (size_t i = 0; i < LETTERS; i++)
		put_letter(f, &letters[i]);
	try_one(f);
	*state = f;
	return 0;
}

/* ---- files ---- */

void path_of(struct fixture *f, const char *name, char out[160])
{
	snprintf(out, 160, "%s/%s", f->queue, name);
}

struct str slurp(struct fixture *f, const char *name)
{
	char path[160];
	struct stat st;
	path_of(f, name, path);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	char *p = arena_alloc(f->arena, (size_t)st.st_size + 1);
	assert_int_equal(read(fd, p, (size_t)st.st_size), st.st_size);
	close(fd);
	return (struct str){ p, (size_t)st.st_size };
}

void spill(struct fixture *f, const char *name, struct str bytes)
{
	char path[160];
	path_of(f, name, path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.p, bytes.n), bytes.n);
	close(fd);
}

void drop(struct fixture *f, const char *name)
{
	char path[160];
	path_of(f, name, path);
	(void)unlink(path);
}

void patch(struct fixture *f, const char *name, size_t at, unsigned char mask)
{
	char path[160], c;
	path_of(f, name, path);
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
	c = (char)(c ^ mask);
	assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
	close(fd);
}

void run_sql(struct fixture *f, const char *text)
{
	char path[160];
	sqlite3 *db;
	path_of(f, "queue.db", path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	char *why = NULL;
	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
	sqlite3_close(db);
}

/* Every column of every row, changed by a foreign hand, with all indexes in order. */

/* ---- the judgement ---- */

static const struct letter *letter_of(struct str id)
{
	for (size_t i = 0; i < LETTERS; i++)
		if (str_eq(id, str_of(letters[i].id)))
			return &letters[i];
	return NULL;
}

static bool content_is_whole(struct fixture *f, struct arena *a, const struct letter *l)
{
	struct str want = text_of(a, l);
	char *got = arena_alloc(a, l->size + 1);
	size_t have = 0, n = 1;
	while (n > 0 && have <= l->size) {
		if (ops->content(f->store, str_of(l->id), have, got + have, l->size + 1 - have, &n) != OK)
			return false;
		assert_true(have + n <= want.n && memcmp(got + have, want.p + have, n) == 0); /* never a wrong byte */
		have += n;
	}
	return have == l->size;
}

/* What is given out as right is right. */
static void judge_row(struct fixture *f, struct arena *a, const struct store_rcpt *r, bool held, struct judged *j)
{
	struct store_message m;
	if (r->damaged)
		return;
	const struct letter *l = letter_of(r->id);
	assert_non_null(l);
	assert_int_equal(l->held, held);
	bool known = false;
	for (int i = 0; i < 3 && l->rcpts[i] != NULL; i++)
		known |= str_eq(r->address, str_of(l->rcpts[i])) && str_eq(r->original, str_of(l->rcpts[i]));
	assert_true(known);
	fault g = ops->message(f->store, r->id, a, &m);
	if (g != OK || m.damaged) /* an index is damaged: it cannot be found, and so not be sent */
		return;
	assert_true(str_eq(m.sender, str_of(l->sender)) && str_eq(m.user, STR("jada")) && m.size_bytes == l->size);
	j->whole += content_is_whole(f, a, l);
}

void judge_leases(struct fixture *f, struct arena *a, struct judged *j)
{
	struct store_rcpt *rows = ARENA_ARRAY(a, struct store_rcpt, 20);
	size_t n = 0;
	if (ops->lease(f->store, NOW, 60, &anything, a, rows, 20, &n, NULL) != OK) {
		j->found++;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		judge_row(f, a, &rows[i], false, j);
		if (rows[i].damaged)
			(void)!ops->set_aside(f->store, rows[i].number, STR("damaged"), NULL);
	}
	struct store_selector all = { .id = STR_NONE };
	if (ops->list(f->store, &all, 0, a, rows, 20, &n) != OK)
		n = 0;
	for (size_t i = 0; i < n; i++)
		if (rows[i].state == RCPT_HELD)
			judge_row(f, a, &rows[i], true, j);
}

void judge_by_verify(struct fixture *f, struct arena *a, struct judged *j)
{
	struct store_round round = { 0 };
	struct store_finding found[8];
	size_t n;
	fault g = OK;
	for (unsigned i = 0; i < 200 && !round.over; i++) {
		g = ops->verify(f->store, &round, 1000, a, found, 8, &n, NULL);
		j->found += n > 0 || (g != OK && g != F_BUSY);
		if (g == F_STORE) /* the database itself: the spool opens it anew, and says so */
			return;
	}
	if (!round.over)
		fail_msg("verify does not come to an end: %s at message %llu, offset %llu", fault_name(g),
		         (unsigned long long)round.message, (unsigned long long)round.offset);
}

static void judge_structure(struct fixture *f, struct arena *a, struct judged *j)
{
	struct str said[4];
	size_t n = 0;
	fault g = inspect_structure(str_of(f->queue), a, said, 4, &n, NULL);
	j->found += g != OK || n > 0;
}

/* Everything is whole, or something was found. */
struct judged judge(struct fixture *f, const char *what, size_t at)
{
	struct arena *a = arena_new(16 << 20);
	struct judged j = { 0 };
	struct why why = { "" };
	judge_structure(f, a, &j); /* first: leases may mend an index */
	if (try_open(f, &why) != OK) {
		j.found++;
		if (why.text[0] == '\0')
			fail_msg("%s, byte %zu: no reason", what, at);
	} else {
		judge_by_verify(f, a, &j);
		judge_leases(f, a, &j);
	}
	ops->close(&f->store);
	arena_free(&a);
	if (j.whole < RCPTS && j.found == 0)
		fail_msg("%s, byte %zu: %u of %d are whole, and nothing was found", what, at, j.whole, RCPTS);
	return j;
}
