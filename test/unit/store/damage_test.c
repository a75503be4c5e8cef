/* SPDX-License-Identifier: ISC */
/*
 * A small queue, and every byte of it damaged in turn: it is always found, nothing that is not right is ever given out as
 * right, and nothing crashes. Bytes of the database are sampled in the plain run; SEALPOST_THOROUGH=1 takes all.
 */
#include "fixture.h"
#include "store/inspect.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/check.h"
#include "store/sqlite_inside.h"

enum { PAGE = 4096 };
static const struct store_ops *const ops = &store_sqlite;

/* What was committed. */
static const struct letter { const char *id, *sender; size_t size; const char *rcpts[3]; bool held; } letters[] = {
	{ "m1", "a@x.example", 300, { "one@y.example", "two@y.example" }, false },
	{ "m2", "", 70000, { "three@z.example" }, false },
	{ "m3", "c@x.example", 20, { "four@y.example" }, true },
};
enum { RCPTS = 4 };

static struct str text_of(struct arena *a, const struct letter *l)
{
	char *p = arena_alloc(a, l->size);
	for (size_t i = 0; i < l->size; i++)
		p[i] = (char)('a' + (i * 7 + (size_t)l->id[1]) % 26);
	return (struct str){ p, l->size };
}

static void put(struct fixture *f, const struct letter *l)
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

static int setup(void **state)
{
	struct fixture *f = fixture_new(ops, "/dev/shm");
	for (size_t i = 0; i < COUNT(letters); i++)
		put(f, &letters[i]);
	try_one(f);
	*state = f;
	return 0;
}

/* ---- files ---- */

static void path_of(struct fixture *f, const char *name, char out[160])
{
	snprintf(out, 160, "%s/%s", f->queue, name);
}

static struct str slurp(struct fixture *f, const char *name)
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

static void spill(struct fixture *f, const char *name, struct str bytes)
{
	char path[160];
	path_of(f, name, path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.p, bytes.n), bytes.n);
	close(fd);
}

static void drop(struct fixture *f, const char *name)
{
	char path[160];
	path_of(f, name, path);
	(void)unlink(path);
}

static void patch(struct fixture *f, const char *name, size_t at, unsigned char mask)
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

/* ---- the judgement ---- */

struct judged { unsigned whole, found; };

static const struct letter *letter_of(struct str id)
{
	for (size_t i = 0; i < COUNT(letters); i++)
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

static void judge_leases(struct fixture *f, struct arena *a, struct judged *j)
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

static void judge_by_verify(struct fixture *f, struct arena *a, struct judged *j)
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
static struct judged judge(struct fixture *f, const char *what, size_t at)
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

static bool thorough(void)
{
	return getenv("SEALPOST_THOROUGH") != NULL;
}

/* ---- contents ---- */

static void test_p6_every_byte_of_the_contents(void **state)
{
	struct fixture *f = *state;
	size_t used = 0;
	for (size_t i = 0; i < COUNT(letters); i++) /* 32 bytes of header for each record */
		used += letters[i].size + 32 * (1 + (letters[i].size - 1) / (64 << 10));
	struct store_round round;
	struct store_finding found[8];
	size_t n, step = thorough() ? 1 : 997;
	for (size_t at = 0; at < used; at += at < 400 || (at > 65850 && at < 66000) ? step / 500 + 1 : step) {
		struct arena *a = arena_new(1 << 20);
		round = (struct store_round){ 0 };
		patch(f, "content-000001", at, (unsigned char)(1 << (at % 8)));
		unsigned seen = 0;
		ops->close(&f->store); /* nothing is remembered */
		reopen(f);
		while (!round.over) {
			assert_int_equal(ops->verify(f->store, &round, 1 << 20, a, found, 8, &n, NULL), OK);
			seen += (unsigned)n;
		}
		assert_int_equal(seen, 1);
		patch(f, "content-000001", at, (unsigned char)(1 << (at % 8)));
		arena_free(&a);
		uint64_t released;
		struct store_selector all = { .id = STR_NONE };
		assert_int_equal(ops->act(f->store, &all, ACT_RELEASE, NOW, &released), OK); /* it is whole again */
		assert_true(released > 0);
	}
	print_message("# %zu bytes of contents\n", used);
}

static void test_p6_contents_cut_short_or_missing(void **state)
{
	struct fixture *f = *state;
	ops->close(&f->store);
	struct str content = slurp(f, "content-000001"), db = slurp(f, "queue.db");
	for (size_t n = 0; n <= content.n; n += n < 80000 ? 777 : 20000) {
		spill(f, "queue.db", db);
		spill(f, "content-000001", str_sub(content, 0, n));
		struct judged j = judge(f, "content cut to", n);
		assert_int_equal(j.found == 0, n >= 70000 + 320 + 32 * 4);
	}
	spill(f, "queue.db", db);
	drop(f, "content-000001");
	struct judged j = judge(f, "content missing", 0);
	assert_true(j.found > 0);
	assert_int_equal(j.whole, 0);
}

/* ---- the database ---- */

static void test_p6_every_byte_of_the_database(void **state)
{
	struct fixture *f = *state;
	ops->close(&f->store);
	struct str db = slurp(f, "queue.db"), content = slurp(f, "content-000001");
	unsigned tried = 0, found = 0;
	for (size_t at = 0; at < db.n; at++) {
		bool used = db.p[at] != 0 || at % PAGE < 16;
		if (!thorough() && (!used || (at < 2 * PAGE && at % 16 != 0) || (at >= 2 * PAGE && at % 3 != 0)))
			continue;
		spill(f, "queue.db", db);
		drop(f, "queue.db-wal");
		drop(f, "queue.db-shm");
		patch(f, "queue.db", at, (unsigned char)(1 << (at % 8)));
		struct judged j = judge(f, "database", at);
		if (getenv("SEALPOST_SAY") != NULL)
			print_message("# %zu\n", at);
		tried++;
		found += j.found > 0;
	}
	spill(f, "content-000001", content);
	print_message("# %u bytes of a database of %zu flipped, %u of them damage\n", tried, db.n, found);
	assert_true(found > 0);
}

static void test_p6_a_database_cut_short(void **state)
{
	struct fixture *f = *state;
	ops->close(&f->store);
	struct str db = slurp(f, "queue.db");
	for (size_t n = 0; n < db.n; n += thorough() ? 101 : 1500) {
		spill(f, "queue.db", str_sub(db, 0, n));
		struct judged j = judge(f, "database cut to", n);
		if (j.found == 0 && n <= db.n - PAGE) /* the last page is an empty index: half of it is enough */
			fail_msg("cut to %zu of %zu bytes: not found", n, db.n);
	}
	struct why why = { "" };
	for (size_t n = 0; n <= 1; n++) { /* SQLite takes one byte for nothing, too */
		spill(f, "queue.db", str_sub(db, 0, n));
		assert_int_equal(try_open(f, &why), F_STORE);
		assert_non_null(strstr(why.text, "missing or empty"));
	}
	drop(f, "queue.db");
	assert_int_equal(try_open(f, &why), F_STORE);
	assert_non_null(strstr(why.text, "missing or empty"));
}

static void run_sql(struct fixture *f, const char *text)
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
static void test_p6_every_column_of_every_row(void **state)
{
	static const char *const columns[] = {
		"message.id='m9'", "message.sender='evil@x.example'", "message.arrived_s=arrived_s-1",
		"message.size_bytes=size_bytes-1", "message.size_bytes=size_bytes+1", "message.body=1-body",
		"message.smtputf8=1-smtputf8", "message.tls_tag=2-tls_tag", "message.ret=1-ret", "message.envid='f'", "message.client='192.0.2.2'",
		"message.helo='x'", "message.user='sam'", "message.protocol='x'", "message.tls='x'", "message.sum=sum+1",
		"message.extents=substr(extents,1,length(extents)-12)", "message.extents=extents||extents",
		"message.extents=x'01000000ff00000010000000'", "message.extents=x'ffffffffffffffffffffffff'",
		"message.extents=x'ff'", "message.extents=''",
		"rcpt.address='evil@y.example'", "rcpt.original='x@y.example'", "rcpt.orcpt='x'", "rcpt.notify=1+notify",
		"rcpt.destination='other'", "rcpt.held=1-held", "rcpt.held=7", "rcpt.attempts=attempts+1", "rcpt.next_s=next_s-1",
		"rcpt.last_reply='x'", "rcpt.last_dialogue='x'", "rcpt.delay_warned=1", "rcpt.sum=sum+1",
		"rcpt.state_sum=state_sum+1", "rcpt.number=number+1048576*50", "message.number=number+50",
	};
	struct fixture *f = *state;
	ops->close(&f->store);
	struct str db = slurp(f, "queue.db");
	for (size_t i = 0; i < COUNT(columns); i++)
		for (int row = 0; row < 3; row++) {
			const char *dot = strchr(columns[i], '.');
			char text[300], table[10] = "";
			memcpy(table, columns[i], (size_t)(dot - columns[i]));
			snprintf(text, sizeof text, "UPDATE %s SET %s WHERE rowid=(SELECT rowid FROM %s ORDER BY rowid LIMIT 1 OFFSET %d)",
			         table, dot + 1, table, row);
			spill(f, "queue.db", db);
			run_sql(f, text);
			struct judged j = judge(f, text, 0);
			if (j.found == 0)
				fail_msg("not found: %s", text);
		}
}

/* The log that a killed process leaves. SQLite would end it at the first frame that is not right, without a word. */
static void test_p6_every_part_of_the_log(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 2; i++) { /* damage of the last commit alone is not told from a power cut */
		bool more;
		assert_int_equal(ops->remember(f->store, STR("key"), i == 0 ? STR("a") : STR("b"), INT64_MAX), OK);
		assert_int_equal(ops->tidy(f->store, &more, NULL), OK);
	}
	struct str db = slurp(f, "queue.db"), log = slurp(f, "queue.db-wal");
	unsigned refused = 0;
	ops->close(&f->store);
	for (size_t at = 0; at <= log.n; at += at < 64 ? 1 : 1013) { /* at the end: nothing is damaged */
		struct why why = { "" };
		struct arena *a = arena_new(16 << 20);
		struct judged j = { 0 };
		spill(f, "queue.db", db);
		spill(f, "queue.db-wal", log);
		drop(f, "queue.db-shm");
		if (at < log.n)
			patch(f, "queue.db-wal", at, (unsigned char)(1 << (at % 8)));
		if (try_open(f, &why) == OK)
			judge_leases(f, a, &j);
		else if (strstr(why.text, "queue.db-wal is damaged at byte") != NULL)
			refused++;
		if (f->store != NULL && j.whole != RCPTS)
			fail_msg("byte %zu of the log: %u of %d recipients, and not a word", at, j.whole, RCPTS);
		ops->close(&f->store);
		arena_free(&a);
	}
	assert_true(refused > log.n / 1013 / 2);
	/* Cut anywhere, as by a power cut: never called damaged. */
	for (size_t n = 0; n < log.n; n += 2027) {
		struct why why = { "" };
		spill(f, "queue.db", db);
		spill(f, "queue.db-wal", str_sub(log, 0, n));
		drop(f, "queue.db-shm");
		(void)!try_open(f, &why);
		assert_null(strstr(why.text, "queue.db-wal is damaged"));
		ops->close(&f->store);
	}
}

/* A number that would be given twice: one of two is wrong, the other holds. */
static void test_p6_numbers_are_never_used_twice(void **state)
{
	struct fixture *f = *state;
	ops->close(&f->store);
	run_sql(f, "UPDATE meta SET value=2 WHERE key='next-number'");
	reopen(f);
	ops->close(&f->store);
	run_sql(f, "UPDATE meta SET value=value+4611686018427387904 WHERE key='next-number-copy'");
	reopen(f);
	put(f, &(struct letter){ "m4", "a@x.example", 100, { "five@y.example" }, false });
	ops->close(&f->store);
	run_sql(f, "UPDATE meta SET value=2");
	struct why why = { "" };
	assert_int_equal(try_open(f, &why), F_STORE);
	assert_non_null(strstr(why.text, "next number"));
}

/* ---- set aside ---- */

static enum rcpt_state state_now(struct fixture *f, const char *id, struct str *reply_out)
{
	struct store_rcpt r;
	size_t n;
	struct store_selector which = { .id = str_of(id) };
	assert_int_equal(ops->list(f->store, &which, 0, f->arena, &r, 1, &n), OK);
	assert_int_equal(n, 1);
	*reply_out = r.last_reply;
	return r.state;
}

static uint64_t act(struct fixture *f, enum operator_action action, const char *id)
{
	uint64_t n = 0;
	struct store_selector which = { .id = str_of(id) };
	assert_int_equal(ops->act(f->store, &which, action, NOW, &n), OK);
	return n;
}

static void test_p6_what_is_set_aside_stays_until_it_is_whole(void **state)
{
	struct fixture *f = *state;
	struct str reply;
	patch(f, "content-000001", 40, 1); /* in m1 */
	struct judged j = { 0 };
	judge_by_verify(f, f->arena, &j);
	assert_int_equal(j.found, 1);
	assert_int_equal(state_now(f, "m1", &reply), RCPT_DAMAGED);
	assert_non_null(strstr(arena_copy(f->arena, reply).p, "content in the queue is damaged (content-000001, from byte 0"));
	assert_int_equal(act(f, ACT_RETRY, "m1"), 0);
	assert_int_equal(act(f, ACT_HOLD, "m1"), 0);
	assert_int_equal(act(f, ACT_RELEASE, "m1"), 0);
	struct store_rcpt rows[8];
	size_t n;
	assert_int_equal(ops->lease(f->store, NOW, 60, &anything, f->arena, rows, 8, &n, NULL), OK);
	assert_int_equal(n, 1); /* m2 */
	struct store_counts c;
	assert_int_equal(ops->counts(f->store, &c), OK);
	assert_int_equal(c.damaged, 2);
	assert_int_equal(c.held, 1);
	ops->close(&f->store);
	reopen(f);
	assert_int_equal(state_now(f, "m1", &reply), RCPT_DAMAGED);
	patch(f, "content-000001", 40, 1); /* from a backup, say */
	ops->close(&f->store);
	reopen(f);
	struct store_round round = { 0 };
	struct store_finding found[8];
	assert_int_equal(ops->verify(f->store, &round, 1 << 20, f->arena, found, 8, &n, NULL), OK);
	assert_int_equal(n, 1);
	assert_true(str_eq(found[0].text, STR("was set aside, and is whole: release it")));
	assert_int_equal(act(f, ACT_RELEASE, "m1"), 2);
	assert_int_equal(state_now(f, "m1", &reply), RCPT_QUEUED);
}

/* An envelope that is wrong is not returned to a sender that may be wrong; it can be removed. */
static void test_p6_a_damaged_envelope_goes_nowhere(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt rows[8];
	size_t n;
	ops->close(&f->store);
	run_sql(f, "UPDATE message SET sender='evil@x.example' WHERE id='m1'; UPDATE rcpt SET address='x@y' WHERE address LIKE 'three%'");
	reopen(f);
	struct store_selector all = { .id = STR_NONE };
	assert_int_equal(ops->list(f->store, &all, NULL, f->arena, rows, 8, &n), OK);
	assert_int_equal(ops->claim(f->store, NOW, 60, rows, n, &n, NULL), OK);
	assert_int_equal(n, 1); /* m3 */
	assert_int_equal(ops->reclaim(f->store, NULL), OK);
	assert_int_equal(ops->lease(f->store, NOW, 60, &anything, f->arena, rows, 8, &n, NULL), OK);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++) {
		assert_true(rows[i].damaged);
		assert_int_equal(ops->set_aside(f->store, rows[i].number, STR("why"), NULL), OK);
	}
	assert_int_equal(act(f, ACT_RELEASE, "m1") + act(f, ACT_RELEASE, "m2"), 0); /* no update makes it look right */
	assert_int_equal(act(f, ACT_REMOVE, "m1"), 2);
	assert_int_equal(act(f, ACT_REMOVE, "m2"), 1);
	struct judged j = { 0 };
	judge_by_verify(f, f->arena, &j);
	assert_int_equal(j.found, 0);
}

/* ---- older formats ---- */

/* The tables as format 2 had them. */
static void make_format_2(struct fixture *f)
{
	run_sql(f, "DROP INDEX rcpt_domain; ALTER TABLE message DROP COLUMN tls_tag");
	char path[160];
	sqlite3 *db;
	struct crc32c crc;
	crc32c_init(&crc);
	path_of(f, "queue.db", path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite_checksum(db, &crc), OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE message SET sum=checksum(number,id,sender,arrived_s,size_bytes,body,smtputf8,ret,envid,"
	                                  "client,helo,user,protocol,tls,extents); PRAGMA user_version=2", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void test_format_2_is_brought_up_to_date(void **state)
{
	struct fixture *f = *state;
	struct store_message m;
	ops->close(&f->store);
	make_format_2(f);
	struct judged j = judge(f, "format 2", 0);
	assert_int_equal(j.found, 0);
	assert_int_equal(j.whole, RCPTS);
	assert_int_equal(try_open(f, NULL), OK);
	assert_int_equal(ops->message(f->store, STR("m2"), f->arena, &m), OK);
	assert_int_equal(m.tls_tag, TLS_TAG_NONE);
	assert_false(m.damaged);
}

/* A flipped byte is not made right by the new format. */
static void test_p6_damage_in_format_2_stays(void **state)
{
	struct fixture *f = *state;
	ops->close(&f->store);
	make_format_2(f);
	run_sql(f, "UPDATE message SET sender='evil@x.example' WHERE id='m2'");
	assert_true(judge(f, "format 2", 0).found > 0);
}

/* Who has been tried is found by domain in the new index. */
static void test_format_3_is_brought_up_to_date(void **state)
{
	struct fixture *f = *state;
	struct store_selector which = { .domain = STR("Y.Example") };
	struct store_rcpt rows[RCPTS];
	struct str found[4];
	size_t n;
	ops->close(&f->store);
	run_sql(f, "DROP INDEX rcpt_domain; PRAGMA user_version=3");
	struct judged j = judge(f, "format 3", 0);
	assert_int_equal(j.found, 0);
	assert_int_equal(j.whole, RCPTS);
	assert_int_equal(try_open(f, NULL), OK);
	assert_int_equal(ops->list(f->store, &which, NULL, f->arena, rows, RCPTS, &n), OK);
	assert_int_equal(n, 3);
	assert_int_equal(rows[2].attempts, 1);
	assert_int_equal(inspect_structure(str_of(f->queue), f->arena, found, COUNT(found), &n, NULL), OK);
	assert_int_equal(n, 0);
}

static void test_format_1_is_brought_up_to_date(void **state)
{
	struct fixture *f = *state;
	ops->close(&f->store);
	run_sql(f, "DROP INDEX rcpt_domain; ALTER TABLE message DROP COLUMN tls_tag; DROP INDEX rcpt_aside; ALTER TABLE message DROP COLUMN sum;"
	           "ALTER TABLE rcpt DROP COLUMN sum;"
	           "ALTER TABLE rcpt DROP COLUMN state_sum; DELETE FROM meta WHERE key='next-number-copy'; PRAGMA user_version=1");
	struct judged j = judge(f, "format 1", 0);
	assert_int_equal(j.found, 0);
	assert_int_equal(j.whole, RCPTS);
}

static void test_a_newer_queue_is_not_touched(void **state)
{
	struct fixture *f = *state;
	struct why why = { "" };
	ops->close(&f->store);
	run_sql(f, "PRAGMA journal_mode=DELETE; PRAGMA user_version=5");
	struct str before = slurp(f, "queue.db");
	assert_int_equal(try_open(f, &why), F_STORE);
	assert_non_null(strstr(why.text, "written by a newer"));
	assert_true(str_eq(slurp(f, "queue.db"), before));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_p6_every_byte_of_the_contents),
		TEST(test_p6_contents_cut_short_or_missing),
		TEST(test_p6_every_byte_of_the_database),
		TEST(test_p6_a_database_cut_short),
		TEST(test_p6_every_column_of_every_row),
		TEST(test_p6_every_part_of_the_log),
		TEST(test_p6_numbers_are_never_used_twice),
		TEST(test_p6_what_is_set_aside_stays_until_it_is_whole),
		TEST(test_p6_a_damaged_envelope_goes_nowhere),
		TEST(test_format_1_is_brought_up_to_date),
		TEST(test_format_2_is_brought_up_to_date),
		TEST(test_format_3_is_brought_up_to_date),
		TEST(test_p6_damage_in_format_2_stays),
		TEST(test_a_newer_queue_is_not_touched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
