/* SPDX-License-Identifier: ISC */
/* Which destinations are remembered, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "policy/paces.h"

static const struct pace_limits twenty = { .concurrency = 20 };

static struct str key(char text[32], unsigned i)
{
	(void)snprintf(text, 32, "mx:d%u.example", i);
	return str_of(text);
}

static void visit(struct paces *p, unsigned i, enum pace_sign sign, int64_t now_ms)
{
	char text[32];
	struct destination *d = paces_enter(p, key(text, i), &twenty, true, now_ms);
	paces_leave(p, d, sign, now_ms, now_ms + 1, INT32_MAX, 200);
}

static void what_is_in_hand_is_counted_by_state(void **state)
{
	(void)state;
	struct paces p;
	char text[32];
	paces_init(&p, 1);
	struct destination *d = paces_enter(&p, key(text, 1), &twenty, true, 5);
	assert_ptr_equal(paces_enter(&p, key(text, 1), &twenty, true, 5), d);
	struct destination *e = paces_enter(&p, key(text, 2), &twenty, true, 5);
	assert_int_equal(p.in_hand[PACE_NEW], 3);
	paces_leave(&p, d, PACE_GOOD, 5, 6, INT32_MAX, 200);
	assert_int_equal(p.in_hand[PACE_NEW], 1);
	assert_int_equal(p.in_hand[PACE_PROVEN], 1);
	paces_leave(&p, e, PACE_TROUBLE, 5, 6, INT32_MAX, 200);
	paces_leave(&p, d, PACE_GOOD, 5, 6, INT32_MAX, 200);
	for (int i = 0; i < PACE_STATES; i++)
		assert_int_equal(p.in_hand[i], 0);
	assert_int_equal(p.n_idle, 2);
	paces_fini(&p);
}

static void who_rests_is_counted_until_the_rest_is_over(void **state)
{
	(void)state;
	struct paces p;
	char text[32];
	paces_init(&p, 1);
	visit(&p, 1, PACE_TROUBLE, 0); /* the first attempt fails: it rests */
	visit(&p, 2, PACE_TROUBLE, PACE_REST_MS);
	visit(&p, 3, PACE_GOOD, 0);
	int64_t first_over_ms = paces_find(&p, key(text, 1))->pace.not_before_ms, second_over_ms = paces_find(&p, key(text, 2))->pace.not_before_ms;
	assert_true(first_over_ms < second_over_ms);
	assert_int_equal(paces_resting(&p, first_over_ms - 1), 2);
	assert_int_equal(paces_resting(&p, first_over_ms), 1);
	assert_int_equal(paces_resting(&p, second_over_ms - 1), 1);
	assert_int_equal(paces_resting(&p, second_over_ms), 0);
	assert_int_equal(paces_find(&p, key(text, 1))->pace.state, PACE_RESTING); /* one letter tries, alone */
	paces_fini(&p);
}

static void so_many_are_remembered_and_no_more(void **state)
{
	(void)state;
	struct paces p;
	char text[32];
	paces_init(&p, 1);
	struct destination *busy = paces_enter(&p, key(text, 0), &twenty, true, 0);
	for (unsigned i = 1; i <= PACES_MAX; i++)
		visit(&p, i, PACE_TROUBLE, i);
	assert_int_equal(p.n_idle, PACES_MAX);
	assert_non_null(paces_find(&p, key(text, 1)));
	visit(&p, PACES_MAX + 1, PACE_GOOD, PACES_MAX + 1);
	assert_int_equal(p.n_idle, PACES_MAX);
	assert_null(paces_find(&p, key(text, 1)));     /* idle for longest */
	assert_non_null(paces_find(&p, key(text, 2)));
	assert_ptr_equal(paces_find(&p, key(text, 0)), busy); /* what has something in hand stays */
	paces_leave(&p, busy, PACE_GOOD, 0, PACES_MAX + 9, INT32_MAX, 200);
	paces_fini(&p);
}

static void what_is_long_idle_is_forgotten(void **state)
{
	(void)state;
	struct paces p;
	char text[32];
	paces_init(&p, 1);
	visit(&p, 1, PACE_GOOD, 0); /* over at 1 */
	visit(&p, 2, PACE_GOOD, PACES_IDLE_MS - 1);
	assert_non_null(paces_find(&p, key(text, 1)));
	visit(&p, 2, PACE_GOOD, PACES_IDLE_MS);
	assert_null(paces_find(&p, key(text, 1)));
	assert_non_null(paces_find(&p, key(text, 2)));
	paces_fini(&p);
}

/* A stranger with mail for very many domains must not give a destination its rate once more, nor must an idle hour. */
static void what_counts_a_rate_is_kept_until_that_is_free(void **state)
{
	(void)state;
	enum { DAY_MS = 24 * PACES_IDLE_MS };
	static const struct pace_limits one_a_day = { .concurrency = 20, .rate = 1, .rate_ms = DAY_MS };
	struct paces p;
	struct destination *d;
	int64_t again_ms;
	paces_init(&p, 1);
	d = paces_enter(&p, STR("mx:slow.example"), &one_a_day, true, 0);
	paces_leave(&p, d, PACE_GOOD, 0, 1, INT32_MAX, 200);
	for (unsigned i = 0; i <= PACES_MAX; i++)
		visit(&p, i, PACE_GOOD, 2);
	for (unsigned hour = 1; hour < 24; hour++)
		visit(&p, 0, PACE_GOOD, (int64_t)hour * PACES_IDLE_MS + 2);
	d = paces_find(&p, STR("mx:slow.example"));
	assert_non_null(d);
	assert_int_equal(pace_room(&d->pace, 0, DAY_MS - 1, &again_ms), 0);
	assert_int_equal(again_ms, DAY_MS);
	visit(&p, 0, PACE_GOOD, DAY_MS + 2 * PACES_IDLE_MS);
	assert_null(paces_find(&p, STR("mx:slow.example")));
	paces_fini(&p);
}

static void rates_do_not_make_room_for_more(void **state)
{
	(void)state;
	static const struct pace_limits one = { .concurrency = 20, .rate = 1, .rate_ms = INT32_MAX };
	struct paces p;
	char text[32];
	paces_init(&p, 1);
	for (unsigned i = 0; i < PACES_MAX + 100; i++) {
		struct destination *d = paces_enter(&p, key(text, i), &one, true, 0);
		paces_leave(&p, d, PACE_GOOD, 0, 1, INT32_MAX, 200);
	}
	assert_int_equal(p.n_idle, PACES_MAX);
	paces_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_in_hand_is_counted_by_state),
		cmocka_unit_test(who_rests_is_counted_until_the_rest_is_over),
		cmocka_unit_test(so_many_are_remembered_and_no_more),
		cmocka_unit_test(what_is_long_idle_is_forgotten),
		cmocka_unit_test(what_counts_a_rate_is_kept_until_that_is_free),
		cmocka_unit_test(rates_do_not_make_room_for_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
