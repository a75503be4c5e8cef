/* SPDX-License-Identifier: ISC */
/* Queues that an older Sealpost has left, brought up to date; and one of a newer, which is not touched. */
#include "judged.h"

#include <string.h>

#include <sqlite3.h>

#include "base/check.h"
#include "store/inspect.h"
#include "store/sqlite_inside.h"

static const struct store_ops *const ops = &store_sqlite;

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, judged_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_format_1_is_brought_up_to_date),
		TEST(test_format_2_is_brought_up_to_date),
		TEST(test_format_3_is_brought_up_to_date),
		TEST(test_p6_damage_in_format_2_stays),
		TEST(test_a_newer_queue_is_not_touched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
