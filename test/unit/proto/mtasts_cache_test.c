/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <stdlib.h>

#include "proto/mtasts/cache.h"

enum { T0 = 1700000000, WEEK = 604800 };

static struct mtasts_known policy(void)
{
	return (struct mtasts_known){ .fetched_s = T0, .max_age_s = WEEK, .used_s = T0, .mode = MTASTS_MODE_ENFORCE,
	                              .id = STR("a"), .mx = STR("*.example") };
}

/* The table of the header, with each reason for not fetching. */
static void decisions(void **state)
{
	(void)state;
	enum { NOTHING, LIVING, EXPIRED };
	const struct { int cached; enum mtasts_record record; bool no_answer; const char *id; enum mtasts_step want; } cases[] = {
		{ LIVING, MTASTS_RECORD, false, "a", MTASTS_USE },
		{ LIVING, MTASTS_RECORD, false, "b", MTASTS_FETCH },
		{ LIVING, MTASTS_NO_RECORD, false, "", MTASTS_USE },
		{ LIVING, MTASTS_SEVERAL, false, "", MTASTS_USE },
		{ LIVING, MTASTS_MALFORMED, false, "", MTASTS_USE },
		{ LIVING, MTASTS_NO_RECORD, true, "", MTASTS_USE },
		{ EXPIRED, MTASTS_RECORD, false, "a", MTASTS_FETCH },
		{ EXPIRED, MTASTS_RECORD, false, "b", MTASTS_FETCH },
		{ EXPIRED, MTASTS_NO_RECORD, false, "", MTASTS_USE_NONE },
		{ EXPIRED, MTASTS_NO_RECORD, true, "", MTASTS_USE_NONE },
		{ NOTHING, MTASTS_RECORD, false, "a", MTASTS_FETCH },
		{ NOTHING, MTASTS_NO_RECORD, false, "", MTASTS_USE_NONE },
		{ NOTHING, MTASTS_SEVERAL, false, "", MTASTS_USE_NONE },
		{ NOTHING, MTASTS_MALFORMED, false, "", MTASTS_USE_NONE },
		{ NOTHING, MTASTS_NO_RECORD, true, "", MTASTS_USE_NONE },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct mtasts_known known = cases[i].cached == NOTHING ? (struct mtasts_known){ .fetched_s = 0 } : policy();
		int64_t now_s = cases[i].cached == EXPIRED ? T0 + WEEK + 1 : T0 + 10;
		if (mtasts_decide(&known, cases[i].record, cases[i].no_answer, str_of(cases[i].id), now_s) != cases[i].want)
			fail_msg("case %zu", i);
	}
}

static void a_policy_lives_to_the_end_of_its_age(void **state)
{
	(void)state;
	struct mtasts_known known = policy();
	assert_true(mtasts_lives(&known, T0));
	assert_true(mtasts_lives(&known, T0 + WEEK));
	assert_false(mtasts_lives(&known, T0 + WEEK + 1));
	assert_int_equal(mtasts_expires_s(&known), T0 + WEEK);
	known.mode = MTASTS_MODE_NONE; /* no exception */
	assert_true(mtasts_lives(&known, T0 + WEEK));
	assert_false(mtasts_lives(&known, T0 + WEEK + 1));
	known.max_age_s = 0;
	assert_true(mtasts_lives(&known, T0));
	assert_false(mtasts_lives(&known, T0 + 1));
	assert_false(mtasts_lives(&(struct mtasts_known){ .max_age_s = MTASTS_AGE_MAX_S }, 1));
}

static void a_failed_fetch_changes_nothing_and_is_not_repeated(void **state)
{
	(void)state;
	struct mtasts_known known = policy();
	int64_t failed_s = T0 + 100;
	known.failures = 1;
	known.failed_s = failed_s;
	known.failed_id = STR("b");
	assert_int_equal(mtasts_retry_s(&known, STR("b")), failed_s + MTASTS_RETRY_S);
	assert_int_equal(mtasts_decide(&known, MTASTS_RECORD, false, STR("b"), failed_s + MTASTS_RETRY_S - 1), MTASTS_USE);
	assert_int_equal(mtasts_decide(&known, MTASTS_RECORD, false, STR("b"), failed_s + MTASTS_RETRY_S), MTASTS_FETCH);
	/* Another id is another policy. */
	assert_int_equal(mtasts_decide(&known, MTASTS_RECORD, false, STR("c"), failed_s), MTASTS_FETCH);
	/* Without a policy the wait is the same, and nothing is in force. */
	known.fetched_s = 0;
	assert_int_equal(mtasts_decide(&known, MTASTS_RECORD, false, STR("b"), failed_s + 1), MTASTS_USE_NONE);

	const int64_t waits[] = { 300, 600, 1200, 2400, 4800, 9600, 19200, MTASTS_RETRY_MOST_S, MTASTS_RETRY_MOST_S };
	for (unsigned i = 0; i < COUNT(waits); i++) {
		known.failures = i + 1;
		assert_int_equal(mtasts_retry_s(&known, STR("b")), failed_s + waits[i]);
	}
	known.failures = 1000000;
	assert_int_equal(mtasts_retry_s(&known, STR("b")), failed_s + MTASTS_RETRY_MOST_S);
}

static void renewal(void **state)
{
	(void)state;
	const struct { int64_t max_age_s, earliest, latest; } cases[] = {
		{ MTASTS_AGE_MAX_S, MTASTS_RENEW_S - MTASTS_RENEW_S / 8, MTASTS_RENEW_S },
		{ 2 * MTASTS_RENEW_S, MTASTS_RENEW_S - MTASTS_RENEW_S / 8, MTASTS_RENEW_S },
		{ MTASTS_RENEW_S, MTASTS_RENEW_S / 2 - MTASTS_RENEW_S / 16, MTASTS_RENEW_S / 2 },
		{ 2 * MTASTS_RETRY_S, MTASTS_RETRY_S - MTASTS_RETRY_S / 8, MTASTS_RETRY_S },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct mtasts_known known = policy();
		known.max_age_s = cases[i].max_age_s;
		int64_t first = INT64_MAX, last = 0;
		for (uint64_t random = 0; random < 20000; random++) {
			int64_t after = mtasts_renew_s(&known, random) - T0;
			first = after < first ? after : first;
			last = after > last ? after : last;
		}
		assert_int_equal(first, cases[i].earliest);
		assert_int_equal(last, cases[i].latest);
	}
	struct mtasts_known known = policy();
	known.max_age_s = 2 * MTASTS_RETRY_S - 1; /* the next letter's own fetch is as good */
	assert_int_equal(mtasts_renew_s(&known, 0), INT64_MAX);
	known = policy();
	known.mode = MTASTS_MODE_NONE;
	assert_int_equal(mtasts_renew_s(&known, 0), INT64_MAX);
	known = policy();
	known.used_s = T0 + MTASTS_RENEW_S - MTASTS_UNUSED_S;
	assert_int_equal(mtasts_renew_s(&known, 0), T0 + MTASTS_RENEW_S);
	known.used_s--;
	assert_int_equal(mtasts_renew_s(&known, 0), INT64_MAX);
	assert_int_equal(mtasts_renew_s(&(struct mtasts_known){ .max_age_s = WEEK }, 0), INT64_MAX);

	/* After a failure the back-off counts, for whatever id it was. */
	known = policy();
	known.failures = 2;
	known.failed_s = T0 + MTASTS_RENEW_S;
	assert_int_equal(mtasts_renew_s(&known, 7), T0 + MTASTS_RENEW_S + 600);
	known.failed_s = T0 - 1; /* before the policy came */
	assert_int_equal(mtasts_renew_s(&known, 0), T0 + MTASTS_RENEW_S);
}

static void kept_as_text(void **state)
{
	(void)state;
	struct mtasts_known known = policy(), back = { .fetched_s = 0 };
	struct buf text;
	buf_init(&text, MTASTS_KEPT_MAX);
	known.failures = 3;
	assert_ok(mtasts_keep(&text, &known));
	assert_str(buf_view(&text), "1 1700000000 604800 1700000000 enforce a\n*.example");
	assert_ok(mtasts_kept(buf_view(&text), T0 + 5, &back));
	assert_int_equal(back.fetched_s, T0);
	assert_int_equal(back.max_age_s, WEEK);
	assert_int_equal(back.mode, MTASTS_MODE_ENFORCE);
	assert_str(back.id, "a");
	assert_str(back.mx, "*.example");
	assert_int_equal(back.failures, 0);
	/* Noted down by a clock that was ahead. */
	assert_ok(mtasts_kept(buf_view(&text), T0 - 5000, &back));
	assert_int_equal(back.fetched_s, T0 - 5000);
	buf_fini(&text);

	const char *const bad[] = {
		"", "1", "2 1700000000 604800 1700000000 enforce a\n*.example", "1 1700000000 604800 1700000000 enforce a",
		"1 0 604800 1700000000 enforce a\n*.example", "1 1700000000 31557601 1700000000 enforce a\n*.example",
		"1 1700000000 604800 1700000000 strict a\n*.example", "1 1700000000 604800 1700000000 enforce\n*.example",
		"1 1700000000 604800 1700000000 enforce a\n", "1 1700000000 604800 1700000000 enforce a\n*.example ",
		"1 1700000000 604800 1700000000 enforce a\n*.example\n", "1 1700000000 604800 1700000000 enforce a b\n*.example",
		"1 9999999999999999999 604800 1700000000 enforce a\n*.example", "1 -1 604800 1700000000 enforce a\n*.example",
		"1 1700000000 604800 1700000000 enforce a-b\n*.example",
	};
	for (size_t i = 0; i < COUNT(bad); i++)
		if (mtasts_kept(str_of(bad[i]), T0, &back) != F_SYNTAX)
			fail_msg("\"%s\"", bad[i]);
	assert_ok(mtasts_kept(STR("1 1700000000 604800 0 none a\n"), T0, &back));
}

/* The largest policy there can be fits into what is kept. */
static void the_largest_is_kept(void **state)
{
	(void)state;
	struct mtasts_known known = policy(), back;
	struct buf mx, text;
	buf_init(&mx, MTASTS_MX_MAX);
	buf_init(&text, MTASTS_KEPT_MAX);
	for (int i = 0; i < MTASTS_PATTERNS_MAX; i++) {
		assert_ok(buf_add(&mx, i > 0 ? STR(" *") : STR("*")));
		for (int k = 0; k < 4; k++)
			assert_ok(buf_addf(&mx, ".%062d", 0));
		assert_ok(buf_add(&mx, STR("a")));
	}
	known.mx = buf_view(&mx);
	known.id = STR("12345678901234567890123456789012");
	assert_ok(mtasts_keep(&text, &known));
	assert_ok(mtasts_kept(buf_view(&text), T0, &back));
	assert_true(str_eq(back.mx, known.mx));
	assert_ok(buf_add(&text, STR(" a")));
	assert_int_equal(mtasts_kept(buf_view(&text), T0, &back), F_SYNTAX);
	buf_fini(&mx);
	buf_fini(&text);
}

static void the_clock_is_set(void **state)
{
	(void)state;
	struct mtasts_known known = policy();
	known.failed_s = T0 + 5;
	mtasts_shift(&known, 50 * 365 * 86400LL);
	assert_true(mtasts_lives(&known, T0 + 50 * 365 * 86400LL + WEEK));
	assert_false(mtasts_lives(&known, T0 + 50 * 365 * 86400LL + WEEK + 1));
	mtasts_shift(&known, -60 * 365 * 86400LL);
	assert_true(mtasts_lives(&known, T0 - 10 * 365 * 86400LL));
	mtasts_shift(&known, -(int64_t)T0 * 2); /* before the beginning: still there */
	assert_int_equal(known.fetched_s, 1);
	struct mtasts_known nothing = { .fetched_s = 0 };
	mtasts_shift(&nothing, 1000);
	assert_int_equal(nothing.fetched_s, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions), cmocka_unit_test(a_policy_lives_to_the_end_of_its_age),
		cmocka_unit_test(a_failed_fetch_changes_nothing_and_is_not_repeated), cmocka_unit_test(renewal),
		cmocka_unit_test(kept_as_text), cmocka_unit_test(the_largest_is_kept), cmocka_unit_test(the_clock_is_set),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
