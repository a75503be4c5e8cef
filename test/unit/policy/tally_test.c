/* SPDX-License-Identifier: ISC */
/* What is counted, what wears off, and that the table does not grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "policy/tally.h"

enum { KEPT = 100, WEARS_OFF_MS = 1000 };

static void it_wears_off(void **state)
{
	(void)state;
	struct tally *t = tally_new(KEPT, WEARS_OFF_MS);
	for (unsigned i = 1; i <= 5; i++)
		assert_int_equal(tally_add(t, 7, 0), i);
	assert_int_equal(tally_count(t, 8, 0), 0);
	assert_int_equal(tally_count(t, 7, WEARS_OFF_MS - 1), 5);
	assert_int_equal(tally_count(t, 7, WEARS_OFF_MS), 4);
	assert_int_equal(tally_add(t, 7, 2 * WEARS_OFF_MS), 4);
	assert_int_equal(tally_count(t, 7, 6 * WEARS_OFF_MS - 1), 1);
	assert_int_equal(tally_count(t, 7, 6 * WEARS_OFF_MS), 0);
	assert_int_equal(tally_kept(t), 0);
	tally_free(&t);
	tally_free(&t);
}

static void it_has_an_end(void **state)
{
	(void)state;
	struct tally *t = tally_new(KEPT, WEARS_OFF_MS);
	for (unsigned i = 1; i <= TALLY_MAX + 1; i++)
		assert_int_equal(tally_add(t, 7, 0), i < TALLY_MAX ? i : TALLY_MAX);
	tally_free(&t);
}

/* A million of them: the table stays as it is, and who was seen last is still known. */
static void attack_72_the_table_does_not_grow(void **state)
{
	enum { MANY = 1000000 };
	(void)state;
	struct tally *t = tally_new(KEPT, WEARS_OFF_MS);
	for (uint64_t key = 1; key <= KEPT; key++)
		assert_int_equal(tally_add(t, key, 0), 1);
	assert_int_equal(tally_add(t, 1, 0), 2);        /* seen again, so 2 is the oldest */
	assert_int_equal(tally_add(t, KEPT + 1, 0), 1);
	assert_int_equal(tally_count(t, 1, 0), 2);
	assert_int_equal(tally_count(t, 2, 0), 0);
	assert_int_equal(tally_count(t, 3, 0), 1);
	for (uint64_t key = 1; key <= MANY; key++)
		assert_int_equal(tally_add(t, key << 20, 0), 1);
	assert_int_equal(tally_kept(t), KEPT);
	tally_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_wears_off),
		cmocka_unit_test(it_has_an_end),
		cmocka_unit_test(attack_72_the_table_does_not_grow),
	};
	return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
