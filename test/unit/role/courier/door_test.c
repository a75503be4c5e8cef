/* SPDX-License-Identifier: ISC */
/* Which addresses answer: who may knock, how long a silent one is shut, and what goes when there is no more room. */
#include "role/courier/door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"

static struct doors doors;
static int64_t now_ms;

static int open_doors(void **state)
{
	(void)state;
	now_ms = 1000;
	doors_init(&doors, 1);
	return 0;
}

static int close_doors(void **state)
{
	(void)state;
	doors_fini(&doors);
	return 0;
}

static struct door *at(unsigned n)
{
	char text[40];
	return doors_at(&doors, (struct str){ text, (size_t)snprintf(text, sizeof text, "192.0.2.1:%u", n) });
}

static enum door_verdict ask(struct door *d)
{
	return door_ask(&doors, d, now_ms);
}

/* One that knocks and learns this after so long. */
static void once(struct door *d, enum door_end end, int64_t after_ms)
{
	int64_t from_ms = now_ms;
	bool counted = door_knock(&doors, d);
	now_ms += after_ms;
	door_over(&doors, d, counted, end, from_ms, now_ms);
}

static void a_stranger_gets_one(void **state)
{
	(void)state;
	struct door *d = at(1);
	assert_int_equal(ask(d), DOOR_OPEN);
	assert_true(door_knock(&doors, d));
	assert_int_equal(ask(d), DOOR_OTHERS);
	assert_int_equal(ask(at(2)), DOOR_OPEN);
	door_over(&doors, d, true, KNOCK_DROPPED, now_ms, now_ms + DOOR_SHUT_MS);
	assert_int_equal(ask(d), DOOR_OPEN); /* nothing was learned */
	assert_int_equal(doors.n_knocks, 0);
}

static void who_answered_gets_more(void **state)
{
	(void)state;
	struct door *d = at(1);
	once(d, KNOCK_ANSWERED, 20000); /* late is not silent */
	for (unsigned i = 0; i < DOOR_KNOCKS_MAX; i++) {
		assert_int_equal(ask(d), DOOR_OPEN);
		assert_false(door_knock(&doors, d));
	}
	assert_int_equal(ask(d), DOOR_OTHERS);
	assert_int_equal(doors.n_knocks, 0); /* they do not count */
	for (unsigned i = 0; i < DOOR_KNOCKS_MAX; i++)
		door_over(&doors, d, false, KNOCK_ANSWERED, now_ms, now_ms);
}

static void the_silent_is_shut_for_a_moment(void **state)
{
	(void)state;
	struct door *d = at(1);
	once(d, KNOCK_FAILED, DOOR_SILENT_MS);
	assert_int_equal(ask(d), DOOR_IS_SHUT);
	assert_int_equal(door_shut_for_ms(d, now_ms), DOOR_SHUT_MS);
	now_ms += DOOR_SHUT_MS - 1;
	assert_int_equal(ask(d), DOOR_IS_SHUT);
	now_ms++;
	assert_int_equal(ask(d), DOOR_OPEN);
	assert_true(door_knock(&doors, d)); /* now one is enough to find out, and the others do not wait for him */
	assert_int_equal(ask(d), DOOR_IS_SHUT);
	door_over(&doors, d, true, KNOCK_DROPPED, now_ms, now_ms);
	assert_int_equal(ask(d), DOOR_OPEN);
	once(d, KNOCK_ANSWERED, 30000);
	assert_int_equal(ask(d), DOOR_OPEN);
	assert_int_equal(door_shut_for_ms(d, now_ms), 0);
}

static void a_refusal_is_an_answer(void **state)
{
	(void)state;
	struct door *d = at(1);
	once(d, KNOCK_ANSWERED, 0);
	once(d, KNOCK_FAILED, DOOR_SILENT_MS - 1);
	assert_int_equal(ask(d), DOOR_OPEN);
	assert_true(door_knock(&doors, d)); /* but not one that lets anybody in */
	door_over(&doors, d, true, KNOCK_DROPPED, now_ms, now_ms);
}

static void knocks_are_bounded(void **state)
{
	(void)state;
	struct door *known = at(0);
	once(known, KNOCK_ANSWERED, 1);
	for (unsigned i = 1; i <= DOORS_KNOCKS_MAX; i++) {
		assert_int_equal(ask(at(i)), DOOR_OPEN);
		assert_true(door_knock(&doors, at(i)));
	}
	assert_int_equal(ask(at(DOORS_KNOCKS_MAX + 1)), DOOR_CROWD);
	assert_int_equal(ask(known), DOOR_OPEN); /* who answers is not held up by who does not */
	door_over(&doors, at(1), true, KNOCK_FAILED, now_ms, now_ms);
	assert_int_equal(ask(at(DOORS_KNOCKS_MAX + 1)), DOOR_OPEN);
	for (unsigned i = 2; i <= DOORS_KNOCKS_MAX; i++)
		door_over(&doors, at(i), true, KNOCK_DROPPED, now_ms, now_ms);
}

static void doors_are_bounded(void **state)
{
	(void)state;
	once(at(1), KNOCK_FAILED, DOOR_SILENT_MS);
	struct door *busy = at(2);
	(void)door_knock(&doors, busy);
	once(at(3), KNOCK_FAILED, DOOR_SILENT_MS);
	for (unsigned i = 4; i <= DOORS_MAX; i++)
		(void)at(i);
	assert_int_equal(map_count(doors.by_key), DOORS_MAX);
	assert_int_equal(ask(at(1)), DOOR_IS_SHUT); /* which makes it the last to go */
	(void)at(DOORS_MAX + 1);
	(void)at(DOORS_MAX + 2);
	assert_int_equal(map_count(doors.by_key), DOORS_MAX);
	assert_ptr_equal(at(2), busy); /* somebody knocks */
	assert_int_equal(ask(at(1)), DOOR_IS_SHUT);
	assert_int_equal(ask(at(3)), DOOR_OPEN); /* forgotten */
	door_over(&doors, busy, true, KNOCK_DROPPED, now_ms, now_ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_stranger_gets_one, open_doors, close_doors),
		cmocka_unit_test_setup_teardown(who_answered_gets_more, open_doors, close_doors),
		cmocka_unit_test_setup_teardown(the_silent_is_shut_for_a_moment, open_doors, close_doors),
		cmocka_unit_test_setup_teardown(a_refusal_is_an_answer, open_doors, close_doors),
		cmocka_unit_test_setup_teardown(knocks_are_bounded, open_doors, close_doors),
		cmocka_unit_test_setup_teardown(doors_are_bounded, open_doors, close_doors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
