/* SPDX-License-Identifier: ISC */
/* The list of intervals, its jitter, the end of hope, the warning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "policy/retry.h"

enum { MIDDLE = 1000, LOWEST = 0, HIGHEST = 2000, NOW = 1700000000 };

static int64_t queue_list[] = { 300, 900, 3600 };
static int64_t own_list[] = { 10 };
static const struct conf conf = {
	.queue = { .retry = { queue_list, 3, 5 * 86400 }, .delay_warning_s = 4 * 3600 },
};
static const struct conf_retry none, own = { own_list, 1, 3600 };

static void list(void **state)
{
	(void)state;
	static const struct { unsigned attempts; int64_t interval_s; } cases[] = {
		{ 0, 300 }, { 1, 300 }, { 2, 900 }, { 3, 3600 }, { 4, 3600 }, { 1000000, 3600 },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(retry_next_s(&conf, &none, cases[i].attempts, NOW, MIDDLE), NOW + cases[i].interval_s);
		assert_int_equal(retry_next_s(&conf, &own, cases[i].attempts, NOW, MIDDLE), NOW + 10);
	}
}

static void jitter(void **state)
{
	(void)state;
	assert_int_equal(retry_next_s(&conf, &none, 1, NOW, LOWEST), NOW + 240);
	assert_int_equal(retry_next_s(&conf, &none, 1, NOW, HIGHEST), NOW + 360);
	int64_t lowest = INT64_MAX, highest = 0, sum = 0;
	for (uint64_t random = 0; random < 3 * 2001; random++) {
		int64_t wait = retry_next_s(&conf, &none, 3, 0, random * 0x9e3779b97f4a7c15);
		lowest = wait < lowest ? wait : lowest;
		highest = wait > highest ? wait : highest;
		sum += wait;
	}
	assert_in_range(lowest, 2880, 2890);
	assert_in_range(highest, 4310, 4320);
	assert_in_range(sum / (3 * 2001), 3580, 3620);

	static int64_t shortest[] = { 1 };
	const struct conf_retry quick = { shortest, 1, 60 };
	assert_int_equal(retry_next_s(&conf, &quick, 1, NOW, LOWEST), NOW + 1);
}

static void giving_up(void **state)
{
	(void)state;
	assert_false(retry_gives_up(&conf, &none, NOW, NOW + 5 * 86400 - 1));
	assert_true(retry_gives_up(&conf, &none, NOW, NOW + 5 * 86400));
	assert_false(retry_gives_up(&conf, &own, NOW, NOW + 3599));
	assert_true(retry_gives_up(&conf, &own, NOW, NOW + 3600));
	assert_false(retry_gives_up(&conf, &none, NOW, NOW - 1000));
	assert_int_equal(retry_gives_up_at_s(&conf, &own, NOW), NOW + 3600);
}

static void warning(void **state)
{
	(void)state;
	assert_false(retry_warns(&conf, &none, NOW, NOW + 4 * 3600 - 1));
	assert_true(retry_warns(&conf, &none, NOW, NOW + 4 * 3600));
	assert_true(retry_warns(&conf, &none, NOW, NOW + 5 * 86400 - 1));
	assert_false(retry_warns(&conf, &none, NOW, NOW + 5 * 86400));
	assert_false(retry_warns(&conf, &own, NOW, NOW + 5 * 3600));
	struct conf silent = conf;
	silent.queue.delay_warning_s = 0;
	assert_false(retry_warns(&silent, &none, NOW, NOW + 86400));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list), cmocka_unit_test(jitter), cmocka_unit_test(giving_up), cmocka_unit_test(warning),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
