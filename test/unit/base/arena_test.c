/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <string.h>

#include "base/arena.h"

static void memory_is_zeroed_and_aligned(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 20);
	for (size_t n = 0; n < 300; n++) {
		char *p = arena_alloc(a, n);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xaa, n);
	}
	arena_free(&a);
	assert_null(a);
	arena_free(&a); /* NULL is fine */
}

static void the_ceiling_holds_to_the_byte(void **state)
{
	(void)state;
	struct arena *a = arena_new(100);
	assert_non_null(arena_try_alloc(a, 99));
	assert_null(arena_try_alloc(a, 2));
	assert_non_null(arena_try_alloc(a, 1));
	assert_null(arena_try_alloc(a, 1));
	assert_non_null(arena_try_alloc(a, 0));
	arena_free(&a);

	a = arena_new(100);
	assert_null(arena_try_alloc(a, 101));
	assert_null(arena_try_alloc(a, SIZE_MAX));
	assert_null(arena_try_alloc(a, SIZE_MAX - 8));
	assert_non_null(arena_try_alloc(a, 100));
	arena_free(&a);
}

static void copies_end_in_nul(void **state)
{
	(void)state;
	struct arena *a = arena_new(9);
	struct str copy = arena_copy(a, (struct str){ "a\0c", 3 });
	assert_int_equal(copy.n, 3);
	assert_memory_equal(copy.p, "a\0c", 4);
	copy = arena_try_copy(a, STR("1234")); /* five with its NUL: exactly full */
	assert_str(copy, "1234");
	copy = arena_try_copy(a, STR(""));
	assert_null(copy.p);
	arena_reset(a);
	copy = arena_try_copy(a, STR_NONE);
	assert_non_null(copy.p);
	assert_int_equal(copy.n, 0);
	arena_free(&a);
}

static void reset_forgets_all_and_takes_as_much_again(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 20);
	arena_reset(a); /* of nothing */
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < (1 << 20) / 1000; i++) {
			char *p = arena_try_alloc(a, 1000);
			assert_non_null(p);
			assert_int_equal(p[999], 0);
			p[999] = 1;
		}
		assert_null(arena_try_alloc(a, 1000));
		arena_reset(a);
	}
	assert_non_null(arena_try_alloc(a, 1 << 20)); /* larger than any block */
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_and_aligned),
		cmocka_unit_test(the_ceiling_holds_to_the_byte),
		cmocka_unit_test(copies_end_in_nul),
		cmocka_unit_test(reset_forgets_all_and_takes_as_much_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
