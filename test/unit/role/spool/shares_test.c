/* SPDX-License-Identifier: ISC */
/* The places are shared: what hangs takes none from what goes on. A spool without its role, on a store of its own. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "role/spool/spool.h"
#include "sys/clock.h"

static struct conf conf = { .queue.destination_concurrency = 20, .queue.retry.give_up_s = 5 * 86400 };
static struct spool s;
static struct job in_hand[SPOOL_JOBS_MAX];
static size_t n_in_hand;
static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	s = (struct spool){ .conf = &conf, .ops = &store_memory, .loop = loop_new() };
	s.queue_ms = clock_wall_ms();
	s.clock_ms = loop_now_ms(s.loop);
	shape_init(&s);
	assert_ok(store_memory.open(STR_NONE, NULL, &s.store, NULL));
	arena = arena_new(64 << 20);
	return 0;
}

static void leave(struct job *j, enum pace_sign sign)
{
	j->sign = sign;
	shape_leave(j);
	s.n_jobs--;
}

static int teardown(void **state)
{
	(void)state;
	while (n_in_hand > 0)
		leave(&in_hand[--n_in_hand], PACE_NOTHING);
	assert_int_equal(s.n_jobs, 0);
	assert_int_equal(s.n_remote, 0);
	shape_fini(&s);
	store_memory.close(&s.store);
	loop_free(&s.loop);
	arena_free(&arena);
	return 0;
}

/* So many jobs are under way there. */
static void give(const char *key, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct job *j = &in_hand[n_in_hand++];
		*j = (struct job){ .spool = &s, .key = arena_copy(arena, str_of(key)) };
		shape_enter(j);
		s.n_jobs++;
	}
}

/* So many transactions there have gone well, one after the other, or have not. */
static void has_shown(const char *key, enum pace_sign sign, unsigned times)
{
	while (times-- > 0) {
		give(key, 1);
		leave(&in_hand[--n_in_hand], sign);
	}
}

static void letters(const char *key, unsigned n)
{
	static unsigned number;
	char id[20];
	for (unsigned i = 0; i < n; i++) {
		snprintf(id, sizeof id, "m%u", ++number);
		struct store_rcpt r = { .address = STR("b@y.example"), .original = STR("b@y.example"), .key = str_of(key),
			                .next_s = spool_now_s(&s) - 1 };
		struct store_commit c = { .message = { .id = str_of(id), .arrived_s = spool_now_s(&s) - 1 }, .rcpts = &r, .n_rcpts = 1 };
		assert_ok(store_memory.draft_new(s.store, &c.draft));
		assert_ok(store_memory.commit(s.store, &c, 1, NULL, 0, NULL));
		assert_ok(c.result);
	}
}

/* How many of these letters to each of two destinations are given out now. */
static void assert_given(const char *a, unsigned of_a, const char *b, unsigned of_b)
{
	struct store_rcpt rows[100];
	struct store_room room = shape_room(&s);
	unsigned n_a = 0, n_b = 0;
	size_t n;
	assert_ok(store_memory.lease(s.store, spool_now_s(&s), 60, &room, arena, rows, COUNT(rows), &n, NULL));
	for (size_t i = 0; i < n; i++) {
		n_a += str_eq(rows[i].key, str_of(a));
		n_b += str_eq(rows[i].key, str_of(b));
	}
	assert_int_equal(n_a, of_a);
	assert_int_equal(n_b, of_b);
}

static void hosts_leave_places_to_folders(void **state)
{
	(void)state;
	has_shown("mx:busy.example", PACE_GOOD, 1);
	has_shown("lmtp:y", PACE_GOOD, 1);
	letters("lmtp:y", 2);
	letters("maildir:here", 2);
	give("mx:busy.example", SPOOL_REMOTE_JOBS_MAX - 1);
	assert_true(shape_has_room(&s, STR("lmtp:y")));
	assert_given("lmtp:y", 1, "maildir:here", 2);
	letters("maildir:here", 2);
	give("lmtp:y", 1);
	assert_false(shape_has_room(&s, STR("lmtp:z"))); /* what was to go elsewhere when it was leased */
	assert_true(shape_has_room(&s, STR("maildir:here")));
	assert_given("lmtp:y", 0, "maildir:here", 2);
	/* One of them is over: the other letter has waited for that. */
	leave(&in_hand[--n_in_hand], PACE_GOOD);
	assert_given("lmtp:y", 1, "maildir:here", 0);
}

/* Where nothing is known is a host, too. */
static void new_ones_count_with_the_others(void **state)
{
	(void)state;
	has_shown("mx:busy.example", PACE_GOOD, 1);
	letters("mx:new.example", 2);
	letters("maildir:here", 1);
	give("mx:busy.example", SPOOL_REMOTE_JOBS_MAX - 1);
	assert_given("mx:new.example", 1, "maildir:here", 1);
	give("mx:busy.example", 1);
	letters("maildir:here", 1);
	assert_given("mx:new.example", 0, "maildir:here", 1);
}

/* As many as it takes, and fast: it is alone. */
static void one_may_have_half(void **state)
{
	(void)state;
	static struct conf wide = { .queue.destination_concurrency = 1000, .queue.retry.give_up_s = 5 * 86400 };
	s.conf = &wide;
	has_shown("relay:bulk", PACE_GOOD, 1000);
	letters("relay:bulk", 2);
	give("relay:bulk", 999);
	assert_given("relay:bulk", 1, "", 0);
	s.conf = &conf;
}

static void the_last_places_are_shared(void **state)
{
	(void)state;
	enum { SHARE = (SPOOL_REMOTE_JOBS_MAX - (SPOOL_UNSHARED_MAX + 1)) / SPOOL_SHARE_PARTS };
	has_shown("mx:busy.example", PACE_GOOD, 1);
	has_shown("mx:y.example", PACE_GOOD, 30);
	has_shown("mx:z.example", PACE_GOOD, 30);
	give("mx:y.example", 5);
	give("mx:busy.example", SPOOL_UNSHARED_MAX - 5);
	letters("mx:y.example", 30);
	assert_given("mx:y.example", 15, "", 0); /* half: up to its ceiling of 20 */
	give("mx:busy.example", 1);
	letters("mx:z.example", 30);
	store_memory.ask_again(s.store, STR("mx:y.example"));
	assert_given("mx:y.example", SHARE - 5, "mx:z.example", SHARE);
	/* Near the end everybody still gets one. */
	give("mx:busy.example", SPOOL_REMOTE_JOBS_MAX - s.n_remote - 3);
	store_memory.ask_again(s.store, STR("mx:y.example"));
	store_memory.ask_again(s.store, STR("mx:z.example"));
	assert_given("mx:y.example", 0, "mx:z.example", 1);
	assert_false(shape_has_room(&s, STR("mx:y.example")));
	assert_true(shape_has_room(&s, STR("mx:z.example")));
}

static void new_ones_have_a_share(void **state)
{
	(void)state;
	has_shown("mx:y.example", PACE_GOOD, 1);
	letters("mx:new.example", 1);
	letters("mx:newer.example", 1);
	letters("mx:y.example", 2);
	give("mx:silent.example", SPOOL_NEW_JOBS_MAX - 1);
	assert_given("mx:new.example", 1, "mx:newer.example", 0);
	letters("mx:y.example", 1);
	give("mx:silent.example", 1);
	assert_given("mx:newer.example", 0, "mx:y.example", 1);
}

static void those_that_rest_have_a_share(void **state)
{
	(void)state;
	char key[40];
	letters("mx:r1.example", 2);
	letters("mx:r2.example", 2);
	for (unsigned i = 0; i <= SPOOL_PROBES_MAX; i++) {
		snprintf(key, sizeof key, "mx:r%u.example", i + 1);
		has_shown(key, PACE_TROUBLE, 1);
		shape_end_rest(&s, str_of(key), INT64_MAX);
		if (i >= 2)
			give(key, 1); /* one tries */
	}
	assert_given("mx:r1.example", 1, "mx:r2.example", 0);
}

static void all_together_have_an_end(void **state)
{
	(void)state;
	letters("maildir:here", 2);
	give("maildir:there", SPOOL_JOBS_MAX - 1);
	assert_given("maildir:here", 1, "", 0);
	give("maildir:there", 1);
	assert_given("maildir:here", 0, "", 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hosts_leave_places_to_folders),
		TEST(new_ones_count_with_the_others),
		TEST(one_may_have_half),
		TEST(the_last_places_are_shared),
		TEST(new_ones_have_a_share),
		TEST(those_that_rest_have_a_share),
		TEST(all_together_have_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
