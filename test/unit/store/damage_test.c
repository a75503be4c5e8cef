/* SPDX-License-Identifier: ISC */
/*
 * A small queue, and every byte of it damaged in turn: it is always found, nothing that is not right is ever given out as
 * right, and nothing crashes. Bytes of the database are sampled in the plain run; SEALPOST_THOROUGH=1 takes all.
 */
#include "judged.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#include "base/check.h"
#include "store/sqlite_inside.h"

enum { PAGE = 4096 };
static const struct store_ops *const ops = &store_sqlite;

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
		"rcpt.number=-number", "rcpt.number=-1", "rcpt.number=0", "rcpt.number=number+1048574", "rcpt.number=-9223372036854775807-1",
		"rcpt.number=9223372036854775807", "message.number=-number", "message.number=0", "message.number=-9223372036854775807-1",
		"message.number=number+8796093022208", "message.number=9223372036854775807",
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

static void sum_anew(struct fixture *f)
{
	char path[160];
	sqlite3 *db;
	struct crc32c crc;
	path_of(f, "queue.db", path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite_checksum(db, &crc), OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE message SET sum=" MESSAGE_SUM("", "arrived_s", "extents") ";"
	                                  "UPDATE rcpt SET sum=" RCPT_SUM("") ", state_sum=" STATE_SUM(""), NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* A foreign hand that can make checksums, too: numbers are what they cannot be, and no statement is led astray. */
static void test_p6_numbers_below_one(void **state)
{
	static const char *const numbers[] = {
		"UPDATE rcpt SET number=-number", "UPDATE message SET number=-number", "UPDATE message SET number=0 WHERE id='m1'",
		"UPDATE message SET number=-number; UPDATE rcpt SET number=-number",
		"UPDATE message SET number=-number; UPDATE rcpt SET number=number-((number>>20)*2<<20)", /* each is its message's still */
	};
	struct fixture *f = *state;
	ops->close(&f->store);
	struct str db = slurp(f, "queue.db");
	for (size_t i = 0; i < COUNT(numbers); i++) {
		spill(f, "queue.db", db);
		run_sql(f, numbers[i]);
		sum_anew(f);
		struct why why = { "" };
		if (try_open(f, &why) != F_STORE || strstr(why.text, "numbers that cannot be right") == NULL)
			fail_msg("%s: %s", numbers[i], why.text);
		ops->close(&f->store);
		run_sql(f, "DELETE FROM rcpt WHERE number<1; DELETE FROM message WHERE number<1"); /* as the words say */
		reopen(f);
		ops->close(&f->store);
	}
	spill(f, "queue.db", db);
	struct judged j = { 0 };
	reopen(f);
	run_sql(f, "UPDATE rcpt SET number=-number WHERE number=(SELECT min(number) FROM rcpt)"); /* the server runs meanwhile */
	judge_by_verify(f, f->arena, &j);
	assert_true(j.found > 0);
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
	put_letter(f, &(struct letter){ "m4", "a@x.example", 100, { "five@y.example" }, false });
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
	struct store_selector m2 = { .id = STR("m2"), .unchecked = true };
	bool did = false;
	assert_int_equal(ops->list(f->store, &m2, NULL, f->arena, rows, 8, &n), OK);
	assert_int_equal(n, 1);
	assert_false(rows[0].damaged);
	assert_int_equal(ops->act_on(f->store, rows, n, ACT_REMOVE, NOW, &did), OK);
	assert_true(did);
	struct store_counts left;
	assert_int_equal(ops->counts(f->store, &left), OK);
	assert_int_equal(left.damaged, 0);
	struct judged j = { 0 };
	judge_by_verify(f, f->arena, &j);
	assert_int_equal(j.found, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, judged_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_p6_every_byte_of_the_contents),
		TEST(test_p6_contents_cut_short_or_missing),
		TEST(test_p6_every_byte_of_the_database),
		TEST(test_p6_a_database_cut_short),
		TEST(test_p6_every_column_of_every_row),
		TEST(test_p6_numbers_below_one),
		TEST(test_p6_every_part_of_the_log),
		TEST(test_p6_numbers_are_never_used_twice),
		TEST(test_p6_what_is_set_aside_stays_until_it_is_whole),
		TEST(test_p6_a_damaged_envelope_goes_nowhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
