/* SPDX-License-Identifier: ISC */
/* A database that carries what is none of ours, or ours in another shape: it is named, and nothing in it is obeyed. */
#include "judged.h"

#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "base/check.h"
#include "store/backup.h"
#include "store/inspect.h"
#include "store/sqlite_inside.h"
#include "store/sqlite_schema.h"

static const struct store_ops *const ops = &store_sqlite;

#define OTHER_SCHEMA "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET "

/* What is done to it, and what the words name, and say. */
static const struct { const char *sql, *object, *advice; } tampered[] = {
	{ "CREATE TRIGGER evil AFTER INSERT ON rcpt BEGIN UPDATE rcpt SET held=1; END", "trigger \"evil\" on rcpt", "DROP TRIGGER evil" },
	{ "CREATE VIEW mine AS SELECT 1", "view \"mine\"", "DROP VIEW mine" },
	{ "CREATE TABLE notes(x)", "table \"notes\"", "DROP TABLE notes" },
	{ "ANALYZE", "table \"sqlite_stat1\"", "DROP TABLE sqlite_stat1" },
	{ "CREATE INDEX by_sender ON message(sender)", "index \"by_sender\" on message", "DROP INDEX by_sender" },
	{ "DROP INDEX rcpt_due; CREATE INDEX rcpt_due ON rcpt(next_s)", "index rcpt_due", "DROP INDEX rcpt_due" },
	{ "DROP INDEX rcpt_due; CREATE INDEX rcpt_due ON rcpt(destination, next_s) WHERE held=1", "index rcpt_due", "DROP INDEX rcpt_due" },
	{ "DROP INDEX rcpt_domain; CREATE INDEX rcpt_domain ON rcpt(lower(address)) WHERE attempts>0", "index rcpt_domain", "DROP INDEX rcpt_domain" },
	{ "DROP VIEW queue; CREATE VIEW queue AS SELECT 1", "view queue", "DROP VIEW queue" },
	{ "DROP VIEW queue; CREATE TABLE queue(x)", "table \"queue\"", "DROP TABLE queue" },
	{ "ALTER TABLE rcpt ADD COLUMN x", "table rcpt", "put queue.db back from a backup" },
	{ "ALTER TABLE message ADD COLUMN x AS (abs(-1))", "table message", "put queue.db back from a backup" },
	{ OTHER_SCHEMA "sql=replace(sql,'held INTEGER NOT NULL','held INTEGER NOT NULL CHECK(held<9)') WHERE name='rcpt'", "table rcpt", "backup" },
	{ OTHER_SCHEMA "sql=replace(sql,'id TEXT NOT NULL','id TEXT COLLATE NOCASE NOT NULL') WHERE name='message'", "table message", "backup" },
	{ OTHER_SCHEMA "sql=sql||' STRICT' WHERE name='rcpt'", "table rcpt", "backup" },
	{ OTHER_SCHEMA "sql='CREATE TABLE meta(key TEXT PRIMARY KEY ON CONFLICT REPLACE, value INTEGER NOT NULL) WITHOUT ROWID' WHERE name='meta'",
	  "table meta", "backup" },
	/* names that would do something in a shell, or to a terminal: no command is given with them */
	{ "CREATE TRIGGER \"x'; rm -rf / #\" AFTER DELETE ON rcpt BEGIN SELECT 1; END", "trigger \"x';?rm?-rf?/?#\" on rcpt", ".schema" },
	{ "CREATE TABLE \"\x1b[2J\r\nok\"(x)", "table \"?[2J??ok\"", ".schema" },
};

static void test_p6_what_is_foreign_is_named(void **state)
{
	struct fixture *f = *state;
	ops->close(&f->store);
	struct str db = slurp(f, "queue.db");
	for (size_t i = 0; i < COUNT(tampered); i++) {
		struct arena *a = arena_new(1 << 20);
		struct why why = { "" };
		struct str said[4];
		size_t n = 0;
		spill(f, "queue.db", db);
		run_sql(f, tampered[i].sql);
		assert_int_equal(inspect_structure(str_of(f->queue), a, said, COUNT(said), &n, &why), OK);
		size_t at;
		if (n == 0 || !str_find_str(said[0], str_of(tampered[i].object), &at) || !str_find_str(said[0], str_of(tampered[i].advice), &at))
			fail_msg("%s: verify says %.*s", tampered[i].sql, n > 0 ? (int)said[0].n : 7, n > 0 ? said[0].p : "nothing");
		if (try_open(f, &why) != F_STORE || strstr(why.text, tampered[i].object) == NULL || strstr(why.text, tampered[i].advice) == NULL)
			fail_msg("%s: the start says %s", tampered[i].sql, why.text);
		ops->close(&f->store);
		for (const char *p = why.text; *p != '\0'; p++)
			assert_true(*p >= ' ' && *p < 127);
		arena_free(&a);
	}
}

/* What the words tell to do is enough. */
static void test_what_was_dropped_is_made_anew(void **state)
{
	struct fixture *f = *state;
	struct str said[4];
	size_t n = 0;
	ops->close(&f->store);
	run_sql(f, "DROP INDEX rcpt_due; DROP INDEX rcpt_aside; DROP INDEX rcpt_domain; DROP VIEW queue");
	struct judged j = judge(f, "without indexes and view", 0);
	assert_int_equal(j.whole, RCPTS);
	run_sql(f, "SELECT state FROM queue");
	assert_int_equal(inspect_structure(str_of(f->queue), f->arena, said, COUNT(said), &n, NULL), OK);
	assert_int_equal(n, 0);
}

static void test_p6_a_copy_of_what_is_foreign_is_not_made(void **state)
{
	struct fixture *f = *state;
	struct why why = { "" };
	struct backup_sum sum;
	char to[160];
	run_sql(f, "CREATE TRIGGER evil AFTER INSERT ON rcpt BEGIN UPDATE rcpt SET held=1; END");
	snprintf(to, sizeof to, "%s/copy", f->directory);
	assert_int_equal(backup_make(str_of(f->queue), str_of(to), NULL, &sum, &why), F_STORE);
	assert_non_null(strstr(why.text, "trigger \"evil\""));
}

/* It is put in while the server runs: nothing looks at it then, and nothing obeys it. */
static void test_p6_a_trigger_is_not_obeyed(void **state)
{
	static const struct letter more = { "m4", "jada@x.example", 100, { "new@y.example", NULL }, false };
	struct fixture *f = *state;
	struct store_selector which = { .id = STR("m4") };
	struct store_rcpt rows[RCPTS];
	size_t n = 0;
	run_sql(f, "CREATE TRIGGER evil AFTER INSERT ON rcpt BEGIN UPDATE rcpt SET address='evil@y.example', held=1; DELETE FROM message; END");
	put_letter(f, &more);
	assert_int_equal(ops->list(f->store, &which, NULL, f->arena, rows, RCPTS, &n), OK);
	assert_int_equal(n, 1);
	assert_true(str_eq(rows[0].address, STR("new@y.example")));
	assert_int_equal(rows[0].state, RCPT_QUEUED);
	assert_false(rows[0].damaged);
}

/* Functions that do something outside are for our own statements, whatever an index or a table says. */
static void test_a_connection_is_guarded(void **state)
{
	static const char *const refused[] = {
		"SELECT * FROM v",                                              /* a view */
		"PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql=''",
	};
	sqlite3 *db;
	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(x); CREATE VIEW v AS SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(schema_guard(db, NULL), OK);
	for (size_t i = 0; i < COUNT(refused); i++)
		assert_int_not_equal(sqlite3_exec(db, refused[i], NULL, NULL, NULL), SQLITE_OK);
	int trusted = 1;
	assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, -1, &trusted), SQLITE_OK);
	assert_int_equal(trusted, 0);
	sqlite3_close(db);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, judged_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_p6_what_is_foreign_is_named),
		TEST(test_what_was_dropped_is_made_anew),
		TEST(test_p6_a_copy_of_what_is_foreign_is_not_made),
		TEST(test_p6_a_trigger_is_not_obeyed),
		cmocka_unit_test(test_a_connection_is_guarded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
