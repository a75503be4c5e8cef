/* SPDX-License-Identifier: ISC */
#include "base/histogram.h"
#include "unit.h"

static void test_empty(void **state)
{
	(void)state;
	struct histogram h = { 0 };
	assert_int_equal(histogram_percentile(&h, 50), 0);
	assert_int_equal(histogram_percentile(&h, 100), 0);
}

static void test_small_values_are_exact(void **state)
{
	(void)state;
	struct histogram h = { 0 };
	for (uint64_t i = 0; i < 64; i++)
		histogram_add(&h, i);
	assert_int_equal(histogram_percentile(&h, 50), 31);
	assert_int_equal(histogram_percentile(&h, 100), 63);
	assert_int_equal(h.least, 0);
	assert_int_equal(histogram_percentile(&h, 0), 0);
}

/* Against the sorted truth: never below, at most one part in 32 above. */
static void test_percentiles(void **state)
{
	(void)state;
	static const double percents[] = { 1, 50, 90, 99, 99.9 };
	enum { N = 100000 };
	static uint64_t all[N];
	struct histogram h = { 0 };
	for (uint64_t i = 0; i < N; i++) { /* rises, so it is sorted */
		all[i] = i * i / 7 + i;
		histogram_add(&h, all[i]);
	}
	for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
		uint64_t truth = all[(size_t)(N * percents[i] / 100) - 1], told = histogram_percentile(&h, percents[i]);
		assert_true(told >= truth);
		assert_true(told <= truth + truth / 32);
	}
	assert_int_equal(histogram_percentile(&h, 100), all[N - 1]);
}

static void test_limit(void **state)
{
	(void)state;
	struct histogram h = { 0 };
	histogram_add(&h, HISTOGRAM_VALUE_MAX - 1);
	assert_int_equal(h.greatest, HISTOGRAM_VALUE_MAX - 1);
	histogram_add(&h, UINT64_MAX);
	assert_int_equal(h.greatest, HISTOGRAM_VALUE_MAX);
	assert_int_equal(histogram_percentile(&h, 100), HISTOGRAM_VALUE_MAX);
	assert_int_equal(h.cells[HISTOGRAM_CELLS - 1], 2);
}

static void test_merge(void **state)
{
	(void)state;
	struct histogram a = { 0 }, b = { 0 }, none = { 0 };
	histogram_add(&a, 10);
	histogram_add(&b, 1000);
	histogram_add(&b, 5);
	histogram_merge(&a, &b);
	histogram_merge(&a, &none);
	assert_int_equal(a.n, 3);
	assert_int_equal(a.least, 5);
	assert_int_equal(histogram_percentile(&a, 60), 10);
	assert_int_equal(histogram_percentile(&a, 100), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),       cmocka_unit_test(test_small_values_are_exact),
		cmocka_unit_test(test_percentiles), cmocka_unit_test(test_limit),
		cmocka_unit_test(test_merge),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
