/* SPDX-License-Identifier: ISC */
/*
 * Does work grow with what waits? Counted in steps of SQLite's machine, which are the same on every run and every computer: each thing is done
 * in a queue of a few recipients and in one of twenty thousand.
 */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "store/sqlite_inside.h"

enum { FEW = 200, MANY = 20000, EACH = 10 /* recipients of a domain */, AT_ONCE = 500, TYPES = 8 };
static const struct store_ops *const ops = &store_sqlite;

static void add(struct fixture *f, size_t from, size_t n, bool tried)
{
	struct store_commit c[AT_ONCE];
	struct store_rcpt r[AT_ONCE];
	char texts[AT_ONCE][3][48];
	assert_true(n <= AT_ONCE);
	for (size_t i = 0; i < n; i++) {
		snprintf(texts[i][0], 48, "m%09zu", from + i);
		snprintf(texts[i][1], 48, "b@d%zu.example", (from + i) / EACH);
		snprintf(texts[i][2], 48, "mx:d%zu.example", (from + i) / EACH);
		r[i] = (struct store_rcpt){ .address = str_of(texts[i][1]), .original = str_of(texts[i][1]), .key = str_of(texts[i][2]), .next_s = NOW };
		c[i] = (struct store_commit){ .message = { .id = str_of(texts[i][0]), .sender = STR("a@x.example"), .arrived_s = NOW },
			                      .rcpts = &r[i], .n_rcpts = 1 };
		assert_int_equal(ops->draft_new(f->store, &c[i].draft), OK);
		assert_int_equal(ops->draft_append(f->store, c[i].draft, STR("x")), OK);
	}
	assert_int_equal(ops->commit(f->store, c, n, NULL, 0, NULL), OK);
	struct store_rcpt out[AT_ONCE];
	struct store_outcome o[AT_ONCE];
	size_t leased = 0;
	if (tried)
		assert_int_equal(ops->lease(f->store, NOW, 60, &anything, f->arena, out, n, &leased, NULL), OK);
	assert_int_equal(leased, tried ? n : 0);
	for (size_t i = 0; i < leased; i++)
		o[i] = (struct store_outcome){ .rcpt = out[i].number, .fence = out[i].fence, .kind = SETTLE_LATER, .counts = true,
			                       .next_s = NOW + 3600 + (int64_t)((from + i) * 7919 % 3600), .reply = STR("450 busy") };
	if (leased > 0)
		assert_int_equal(ops->commit(f->store, NULL, 0, o, leased, NULL), OK);
}

static uint64_t n_steps;

static int on_step(void *owner)
{
	(void)owner;
	n_steps++;
	return 0;
}

/* Of every statement, also such as are gone: since the last call. */
static uint64_t steps(struct fixture *f)
{
	uint64_t n = n_steps;
	n_steps = 0;
	sqlite3_progress_handler(f->store->db, 1, on_step, NULL);
	return n;
}

/* ---- what is done ---- */

static size_t listed(struct fixture *f, const struct store_selector *which, struct store_rcpt *out, size_t max)
{
	struct store_place place = { 0 };
	size_t n = 0, all = 0;
	while (!place.over && all < max) {
		assert_int_equal(ops->list(f->store, which, &place, f->arena, out + all, max - all, &n), OK);
		all += n;
	}
	return all;
}

static void list_the_first(struct fixture *f)
{
	struct store_rcpt out[100];
	assert_int_equal(listed(f, &(struct store_selector){ 0 }, out, 100), 100);
}

static void list_a_domain(struct fixture *f)
{
	struct store_rcpt out[EACH + 1];
	assert_int_equal(listed(f, &(struct store_selector){ .domain = STR("d7.example") }, out, EACH + 1), EACH);
}

static void remove_a_domain(struct fixture *f)
{
	uint64_t n;
	assert_int_equal(ops->act(f->store, &(struct store_selector){ .domain = STR("D8.example") }, ACT_REMOVE, NOW, &n), OK);
	assert_int_equal(n, EACH);
}

static void retry_a_domain(struct fixture *f)
{
	uint64_t n;
	assert_int_equal(ops->act(f->store, &(struct store_selector){ .domain = STR("d9.example") }, ACT_RETRY, NOW, &n), OK);
	assert_int_equal(n, EACH);
}

static void lease_what_is_due(struct fixture *f)
{
	struct store_rcpt out[2 * EACH];
	size_t n;
	assert_int_equal(ops->lease(f->store, NOW, 60, &anything, f->arena, out, COUNT(out), &n, NULL), OK);
	assert_int_equal(n, EACH);
}

static size_t filled; /* recipients, each of a message */

static void count(struct fixture *f)
{
	struct store_counts c;
	assert_int_equal(ops->counts(f->store, &c), OK);
	assert_int_equal(c.messages, filled - EACH); /* a domain was removed */
}

static void look_when_the_next_is_due(struct fixture *f)
{
	int64_t due_s;
	assert_int_equal(ops->next_due(f->store, &anything, &due_s), OK);
	assert_int_equal(due_s, NOW + 60); /* what was leased */
}

static void accept_some(struct fixture *f)
{
	add(f, 900000, 2 * EACH, false);
}

static const struct { const char *name; void (*run)(struct fixture *f); } types[TYPES] = {
	{ "the first of a list", list_the_first }, { "a domain's list", list_a_domain }, { "a domain's removal", remove_a_domain },
	{ "a domain called due", retry_a_domain }, { "a lease", lease_what_is_due }, { "counts", count },
	{ "a look when the next is due", look_when_the_next_is_due }, { "messages accepted", accept_some },
};

/* It takes no step at all. */
static bool is_known(size_t type)
{
	return types[type].run == count || types[type].run == look_when_the_next_is_due;
}

static void measure(struct fixture *f, uint64_t out[TYPES])
{
	list_a_domain(f); /* once after the start, all are looked at: have they been tried? */
	(void)steps(f);
	for (size_t i = 0; i < TYPES; i++) {
		types[i].run(f);
		out[i] = steps(f);
		assert_int_equal(out[i] == 0, is_known(i));
	}
	/* Nothing escapes the counting. */
	assert_int_equal(sqlite3_exec(f->store->db, "SELECT max(size_bytes) FROM message", NULL, NULL, NULL), SQLITE_OK);
	assert_true(steps(f) > filled);
}

static void fill(struct fixture *f, size_t n)
{
	for (size_t from = 0; from < n; from += n < AT_ONCE ? n : AT_ONCE) {
		add(f, from, n < AT_ONCE ? n : AT_ONCE, true);
		arena_reset(f->arena);
	}
	filled = n;
}

static void work_does_not_grow_with_what_waits(void **state)
{
	struct fixture *f = *state;
	uint64_t few[TYPES], many[TYPES];
	fill(f, FEW);
	reopen(f);
	measure(f, few);
	fixture_teardown(state);
	*state = f = fixture_new(ops, "/dev/shm");
	fill(f, MANY);
	reopen(f);
	measure(f, many);
	for (size_t i = 0; i < TYPES; i++)
		if (many[i] > few[i] + few[i] / 4 + 20)
			fail_msg("%s: %llu steps where %d wait, %llu where %d do", types[i].name, (unsigned long long)few[i], FEW,
			         (unsigned long long)many[i], MANY);
}

/* Any other selector looks at all, but never at many in one call. */
static void a_part_is_never_long(void **state)
{
	struct fixture *f = *state;
	struct store_selector nobody = { .to = STR("nobody@d1.example") };
	struct store_place place = { 0 };
	struct store_rcpt out[10];
	uint64_t longest = 0, calls = 0;
	size_t n;
	fill(f, MANY);
	for (; !place.over; calls++) {
		(void)steps(f);
		assert_int_equal(ops->list(f->store, &nobody, &place, f->arena, out, 10, &n), OK);
		assert_int_equal(n, 0);
		uint64_t now = steps(f);
		longest = now > longest ? now : longest;
	}
	assert_in_range(calls, MANY / 2000, MANY / 2000 + 2);
	assert_in_range(longest, 2000, 2000 * 20);
}

static int setup(void **state)
{
	*state = fixture_new(ops, "/dev/shm");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(work_does_not_grow_with_what_waits, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_part_is_never_long, setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
