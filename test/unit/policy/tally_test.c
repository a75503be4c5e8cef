/* SPDX-License-Identifier: ISC */
/* What is counted over several tables, what wears off, and what gives way when a table is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "policy/tally.h"

enum { WEARS_OFF_MS = 1000 };

static struct tally a, b;

static int open_tables(void **state)
{
	(void)state;
	a = (struct tally){ .wears_off_ms = WEARS_OFF_MS, .own = NEW(struct tally_table) };
	b = (struct tally){ .wears_off_ms = WEARS_OFF_MS, .own = NEW(struct tally_table) };
	a.others[TALLY_TABLES_MAX - 1] = b.own;
	b.others[0] = a.own;
	return 0;
}

static int close_tables(void **state)
{
	(void)state;
	free(a.own);
	free(b.own);
	return 0;
}

static void it_wears_off(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 5; i++)
		assert_int_equal(tally_add(&a, 7, 0), i);
	assert_int_equal(tally_count(&a, 8, 0), 0);
	assert_int_equal(tally_count(&a, 7, WEARS_OFF_MS - 1), 5);
	assert_int_equal(tally_count(&a, 7, WEARS_OFF_MS), 4);
	assert_int_equal(tally_add(&a, 7, 2 * WEARS_OFF_MS), 4);
	assert_int_equal(tally_count(&a, 7, 6 * WEARS_OFF_MS - 1), 1);
	assert_int_equal(tally_count(&a, 7, 6 * WEARS_OFF_MS), 0);
	assert_int_equal(tally_add(&a, 7, 9 * WEARS_OFF_MS), 1);
}

static void it_has_an_end(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= TALLY_MAX + 1; i++)
		assert_int_equal(tally_add(&a, 7, 0), i < TALLY_MAX ? i : TALLY_MAX);
}

/* Whichever front it is that refuses, and however they take turns: nothing is counted twice, and it wears off once. */
static void attack_35_all_fronts_count_together(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 10; i++) {
		assert_int_equal(tally_add(i % 3 == 0 ? &b : &a, 7, 500), i);
		assert_int_equal(tally_count(&a, 7, 500), i);
		assert_int_equal(tally_count(&b, 7, 500), i);
	}
	assert_int_equal(tally_count(&b, 7, 500 + 9 * WEARS_OFF_MS), 1);
	assert_int_equal(tally_count(&a, 7, 500 + 10 * WEARS_OFF_MS), 0);
	/* A front that died takes along what it alone knew. */
	assert_int_equal(tally_add(&a, 9, 0), 1);
	assert_int_equal(tally_add(&b, 9, 0), 2);
	memset(b.own, 0, sizeof *b.own);
	assert_int_equal(tally_count(&a, 9, 0), 1);
}

/* As many keys as have a place where they point; one more, and who would be forgotten first is. */
static void attack_72_the_table_does_not_grow(void **state)
{
	enum { MANY = 1000000 };
	(void)state;
	for (uint64_t i = 0; i < TALLY_REACH; i++) {
		assert_int_equal(tally_add(&a, 5 + (i + 1) * TALLY_PLACES, 0), 1);
		if (i != 3)
			assert_int_equal(tally_add(&a, 5 + (i + 1) * TALLY_PLACES, 0), 2);
	}
	for (uint64_t i = 0; i < TALLY_REACH; i++)
		assert_int_equal(tally_count(&a, 5 + (i + 1) * TALLY_PLACES, 0), i == 3 ? 1 : 2);
	assert_int_equal(tally_add(&a, 5, 1), 1);
	for (uint64_t i = 0; i < TALLY_REACH; i++)
		assert_int_equal(tally_count(&a, 5 + (i + 1) * TALLY_PLACES, 1), i == 3 ? 0 : 2);
	assert_int_equal(tally_count(&a, 5, 1), 1);
	/* Very many, once each: who came often is not forgotten for them. */
	for (unsigned i = 0; i < 100; i++)
		(void)tally_add(&a, 77, 2);
	for (uint64_t i = 1; i <= MANY; i++)
		(void)tally_add(&a, i * 0x9e3779b97f4a7c15u | 1u << 20, 2);
	assert_int_equal(tally_count(&a, 77, 2), 100);
}

/* A front that is owned by an attacker writes what it likes: a client may be kept out, as by so many refusals. */
static void attack_69_a_hostile_table_is_only_numbers(void **state)
{
	(void)state;
	memset(b.own, 0xff, sizeof *b.own);
	assert_int_equal(tally_count(&a, 7, 0), 0);
	for (size_t i = 0; i < TALLY_PLACES; i++) {
		b.own->places[i].key = i == 7 ? 7 : 8;
		b.own->places[i].until_ms = i == 7 ? INT64_MAX : INT64_MIN;
	}
	assert_int_equal(tally_count(&a, 7, 1000), TALLY_MAX);
	assert_int_equal(tally_add(&a, 7, 1000), TALLY_MAX);
	assert_int_equal(tally_count(&a, 8, 1000), 0);
	assert_int_equal(tally_add(&a, 8, 1000), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_tables, close_tables)
	const struct CMUnitTest tests[] = {
		TEST(it_wears_off),
		TEST(it_has_an_end),
		TEST(attack_35_all_fronts_count_together),
		TEST(attack_72_the_table_does_not_grow),
		TEST(attack_69_a_hostile_table_is_only_numbers),
	};
	return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
