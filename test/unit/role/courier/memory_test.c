/* SPDX-License-Identifier: ISC */
/* What domains and hosts have shown: how long it counts, what goes when there is no more room, and clocks that are set. */
#include "role/courier/courier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "sys/clock.h"

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S, YEAR_S = 365 * DAY_S };

static int64_t steady_s, wall_s;
static struct courier c;

int64_t __wrap_loop_now_ms(const struct loop *loop);
int64_t __wrap_loop_now_ms(const struct loop *loop)
{
	(void)loop;
	return steady_s * 1000;
}

int64_t __wrap_clock_wall_s(void);
int64_t __wrap_clock_wall_s(void)
{
	return wall_s;
}

static void pass(int64_t s)
{
	steady_s += s;
	wall_s += s;
}

static int open_memory(void **state)
{
	(void)state;
	steady_s = 60; /* the machine has just been started */
	wall_s = 1800000000;
	c = (struct courier){ .seen = map_new(1), .shapes = map_new(1) };
	return 0;
}

static void free_all(struct map **m)
{
	size_t cursor = 0;
	struct str key;
	void *value;
	while (map_each(*m, &cursor, &key, &value))
		free(value);
	map_free(m);
}

static int close_memory(void **state)
{
	(void)state;
	free_all(&c.seen);
	free_all(&c.shapes);
	return 0;
}

static struct str name_of(unsigned n)
{
	static char text[40];
	return (struct str){ text, (size_t)snprintf(text, sizeof text, "n%u.example", n) };
}

static void the_best_counts_for_a_month(void **state)
{
	(void)state;
	assert_false(memory_saw(&c, STR("y.example"), TLS_DANE));
	pass(30 * DAY_S - 1);
	assert_int_equal(memory_best(&c, STR("y.example")), TLS_DANE);
	assert_true(memory_saw(&c, STR("y.example"), TLS_OPPORTUNISTIC)); /* an incident, told ... */
	assert_false(memory_saw(&c, STR("y.example"), TLS_NONE));         /* ... once in an hour */
	pass(1);
	assert_int_equal(memory_best(&c, STR("y.example")), TLS_NONE);
	assert_true(memory_seen_lately(&c, STR("y.example")));
	pass(DAY_S - 2);
	assert_true(memory_seen_lately(&c, STR("y.example")));
	pass(1);
	assert_false(memory_seen_lately(&c, STR("y.example")));
}

/* Right after the machine was started, too. */
static void an_incident_is_told_at_once(void **state)
{
	(void)state;
	steady_s = 0;
	assert_false(memory_saw(&c, STR("y.example"), TLS_VERIFY));
	assert_true(memory_saw(&c, STR("y.example"), TLS_NONE));
	assert_false(memory_saw(&c, STR("y.example"), TLS_NONE));
}

static void who_was_seen_longest_ago_makes_room(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COURIER_SEEN_MAX; i++) {
		pass(1);
		(void)memory_saw(&c, name_of(i), TLS_ENCRYPT);
	}
	assert_int_equal(memory_best(&c, name_of(0)), TLS_ENCRYPT);
	(void)memory_saw(&c, name_of(0), TLS_ENCRYPT); /* seen again */
	(void)memory_saw(&c, STR("y.example"), TLS_DANE);
	assert_int_equal(map_count(c.seen), COURIER_SEEN_MAX);
	assert_int_equal(memory_best(&c, STR("y.example")), TLS_DANE);
	assert_int_equal(memory_best(&c, name_of(0)), TLS_ENCRYPT);
	assert_int_equal(memory_best(&c, name_of(1)), TLS_NONE);
	assert_int_equal(memory_best(&c, name_of(2)), TLS_ENCRYPT);
}

static void a_hello_finds_room_as_well(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COURIER_SEEN_MAX; i++) {
		pass(1);
		memory_keep_shape(&c, name_of(i), 1);
	}
	memory_keep_shape(&c, STR("mx.y.example"), 2);
	assert_int_equal(map_count(c.shapes), COURIER_SEEN_MAX);
	assert_int_equal(memory_shape(&c, STR("mx.y.example")), 2);
	assert_int_equal(memory_shape(&c, name_of(0)), 0);
	assert_int_equal(memory_shape(&c, name_of(1)), 1);
	pass(7 * DAY_S - 1);
	assert_int_equal(memory_shape(&c, STR("mx.y.example")), 2);
	pass(1);
	assert_int_equal(memory_shape(&c, STR("mx.y.example")), 0);
}

/* The wall clock is set years ahead, and years back: neither forgotten nor kept for ever. */
static void a_wall_clock_that_jumps(void **state)
{
	(void)state;
	(void)memory_saw(&c, STR("y.example"), TLS_DANE);
	memory_keep_shape(&c, STR("mx.y.example"), 1);
	wall_s += 10 * YEAR_S;
	assert_int_equal(memory_best(&c, STR("y.example")), TLS_DANE);
	assert_true(memory_seen_lately(&c, STR("y.example")));
	assert_int_equal(memory_shape(&c, STR("mx.y.example")), 1);
	wall_s -= 40 * YEAR_S;
	assert_int_equal(memory_best(&c, STR("y.example")), TLS_DANE);
	pass(30 * DAY_S);
	assert_int_equal(memory_best(&c, STR("y.example")), TLS_NONE);
	assert_false(memory_seen_lately(&c, STR("y.example")));
	assert_int_equal(memory_shape(&c, STR("mx.y.example")), 0);
}

static void take(const char *key, const char *value, int64_t for_s)
{
	memory_take(&c, &(struct worker_remembered){ .key = str_of(key), .value = str_of(value), .for_s = for_s });
}

/* The dates in it may be any clock's: what counts is for how long it holds, and how far they lie apart. */
static void memories_of_the_last_run(void **state)
{
	(void)state;
	take("seen/a.example", "dane 100 100", 30 * DAY_S);
	take("seen/b.example", "dane 4000000000 4000000060", 2 * DAY_S);
	take("seen/c.example", "dane 100 2592100", 30 * DAY_S);  /* the best of it a month earlier */
	take("seen/d.example", "dane 100 100", 0);
	take("seen/e.example", "dane 100 100", INT64_MAX);
	take("seen/f.example", "dane 100 18446744073709551615", INT64_MIN);
	take("shape/mx.a.example", "1", 10);
	take("shape/mx.b.example", "1", INT64_MAX);
	assert_int_equal(memory_best(&c, STR("a.example")), TLS_DANE);
	assert_int_equal(memory_best(&c, STR("b.example")), TLS_DANE);
	assert_true(memory_seen_lately(&c, STR("a.example")));
	assert_false(memory_seen_lately(&c, STR("b.example")));
	assert_int_equal(memory_best(&c, STR("c.example")), TLS_NONE);
	assert_int_equal(memory_best(&c, STR("d.example")), TLS_NONE);
	assert_int_equal(memory_best(&c, STR("f.example")), TLS_NONE);
	pass(10);
	assert_int_equal(memory_shape(&c, STR("mx.a.example")), 0);
	pass(2 * DAY_S);
	assert_int_equal(memory_best(&c, STR("b.example")), TLS_NONE);
	pass(28 * DAY_S);
	assert_int_equal(memory_best(&c, STR("e.example")), TLS_NONE);
	assert_int_equal(memory_shape(&c, STR("mx.b.example")), 0);
}

#define IN_MEMORY(test) cmocka_unit_test_setup_teardown(test, open_memory, close_memory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_MEMORY(the_best_counts_for_a_month),
		IN_MEMORY(an_incident_is_told_at_once),
		IN_MEMORY(who_was_seen_longest_ago_makes_room),
		IN_MEMORY(a_hello_finds_room_as_well),
		IN_MEMORY(a_wall_clock_that_jumps),
		IN_MEMORY(memories_of_the_last_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
