/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "policy/remembered.h"

static void what_was_put_is_read(void **state)
{
	(void)state;
	for (enum tls_level level = TLS_NONE; level <= TLS_DANE; level++) {
		struct remembered_seen seen = { level, 5, INT64_MAX }, back;
		char text[REMEMBERED_SEEN_MAX];
		remembered_seen_put(&seen, text);
		assert_true(remembered_seen_read(str_of(text), &back));
		assert_true(back.best == level && back.best_s == 5 && back.last_s == INT64_MAX);
	}
}

static void what_is_odd_is_not_read(void **state)
{
	(void)state;
	static const char *const odd[] = { "", "dane", "dane 5", "dane 5 ", "dane 5 7 9", "worst 5 7", "dane -5 7", "dane 5 99999999999999999999",
		                           "dane 9223372036854775808 7", "dane 5 9223372036854775808" };
	struct remembered_seen seen = { TLS_VERIFY, 1, 2 };
	for (size_t i = 0; i < COUNT(odd); i++)
		assert_false(remembered_seen_read(str_of(odd[i]), &seen));
	assert_true(seen.best == TLS_VERIFY && seen.best_s == 1 && seen.last_s == 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_read),
		cmocka_unit_test(what_is_odd_is_not_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
