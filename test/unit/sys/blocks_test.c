/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>

#include "sys/blocks.h"

static bool is_zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static void blocks_are_apart_and_come_back_empty(void **state)
{
	(void)state;
	struct blocks *p = blocks_new(5000, 3);
	assert_non_null(p);
	size_t n = blocks_size(p);
	assert_true(n >= 5000 && n < 5000 + 65536);
	char *blocks[3];
	for (int i = 0; i < 3; i++) {
		blocks[i] = blocks_take(p);
		assert_true(blocks[i] != NULL && is_zero(blocks[i], n));
		memset(blocks[i], 'a' + i, n);
	}
	assert_null(blocks_take(p));
	for (int i = 0; i < 3; i++)
		assert_true(blocks[i][0] == 'a' + i && blocks[i][n - 1] == 'a' + i);
	blocks_give(p, blocks[1]);
	assert_true(blocks[0][n - 1] == 'a' && blocks[2][0] == 'c');
	char *again = blocks_take(p);
	assert_ptr_equal(again, blocks[1]);
	assert_true(is_zero(again, n));
	blocks_free(&p);
	assert_null(p);
	blocks_free(&p);
}

/* Those that stay at hand come back empty, as the others do, and no block has two owners. */
static void many_come_and_go(void **state)
{
	enum { MANY = BLOCKS_AT_HAND + 3 };
	char *blocks[MANY];
	(void)state;
	struct blocks *p = blocks_new(5000, MANY);
	assert_non_null(p);
	for (int turn = 0; turn < 3; turn++) {
		for (int i = 0; i < MANY; i++) {
			blocks[i] = blocks_take(p);
			assert_true(blocks[i] != NULL && is_zero(blocks[i], blocks_size(p)));
			memset(blocks[i], 1 + i, blocks_size(p));
		}
		assert_null(blocks_take(p));
		for (int i = 0; i < MANY; i++)
			assert_true(blocks[i][0] == 1 + i && blocks[i][blocks_size(p) - 1] == 1 + i);
		for (int i = 0; i < MANY; i++)
			blocks_give(p, blocks[i]);
	}
	blocks_free(&p);
}

/* Beyond them the kernel has its pages back, and at rest those of all. */
static void few_stay_at_hand(void **state)
{
	enum { MANY = BLOCKS_AT_HAND + 3 };
	char *blocks[MANY];
	unsigned char here;
	size_t n = 0;
	(void)state;
	struct blocks *p = blocks_new(1, MANY);
	assert_non_null(p);
	for (int i = 0; i < MANY; i++)
		memset(blocks[i] = blocks_take(p), 1, blocks_size(p));
	for (int i = 0; i < MANY; i++)
		blocks_give(p, blocks[i]);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(mincore(blocks[i], blocks_size(p), &here), 0);
		n += here & 1;
	}
	assert_int_equal(n, BLOCKS_AT_HAND);
	blocks_rest(p);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(mincore(blocks[i], blocks_size(p), &here), 0);
		assert_int_equal(here & 1, 0);
	}
	for (int i = 0; i < MANY; i++)
		assert_non_null(blocks_take(p));
	assert_null(blocks_take(p));
	blocks_free(&p);
}

static void it_knows_its_own(void **state)
{
	(void)state;
	char other;
	struct blocks *p = blocks_new(1, 2);
	assert_non_null(p);
	char *first = blocks_take(p), *second = blocks_take(p);
	char *low = first < second ? first : second;
	size_t all = 2 * blocks_size(p);
	assert_true(blocks_hold(p, first) && blocks_hold(p, second + 1) && blocks_hold(p, low + all - 1));
	assert_false(blocks_hold(p, low + all));
	assert_false(blocks_hold(p, low - 1));
	assert_false(blocks_hold(p, &other));
	blocks_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_apart_and_come_back_empty),
		cmocka_unit_test(many_come_and_go),
		cmocka_unit_test(few_stay_at_hand),
		cmocka_unit_test(it_knows_its_own),
	};
	return cmocka_run_group_tests_name("sys/blocks", tests, NULL, NULL);
}
