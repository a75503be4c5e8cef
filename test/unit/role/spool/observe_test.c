/* SPDX-License-Identifier: ISC */
/* What courier and resolver have kept: within bounds, for a while, and told in slices before the first job. */
#include "role/spool/house.h"
#include "role/spool/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "ipc/resolver.h"
#include "sys/clock.h"

enum { DAY_S = 86400, POLICY_BYTES = 64 << 10, SOME = 1000, MANY = 4000 };

struct sum { const char *prefix; size_t n, bytes; int64_t first_s, last_s; };

static void add(void *owner, struct str key, struct str value, int64_t expires_s)
{
	struct sum *sum = owner;
	if (!str_starts(key, str_of(sum->prefix)))
		return;
	sum->n++;
	sum->bytes += key.n + value.n;
	sum->first_s = sum->n == 1 || expires_s < sum->first_s ? expires_s : sum->first_s;
	sum->last_s = expires_s > sum->last_s ? expires_s : sum->last_s;
}

static struct sum sum_of(const char *prefix)
{
	struct sum sum = { .prefix = prefix };
	assert_int_equal(store_memory.recall(h.store, 0, NULL, add, &sum), OK);
	return sum;
}

/* What is sent over one link may come later than what is asked over another. */
static void until_there_are(const char *prefix, size_t n)
{
	for (int i = 0; i < 1000 && sum_of(prefix).n != n; i++)
		settle_down();
	assert_int_equal(sum_of(prefix).n, n);
}

static void courier_keeps(const char *key, const char *value, int64_t for_s)
{
	channel_send(h.courier.channel, FROM_WORKER_REMEMBER,
	             &(struct from_worker_remember){ .key = str_of(key), .value = str_of(value), .for_s = for_s });
}

static void resolver_keeps(const char *key, struct str value, int64_t expires_s)
{
	channel_send(h.resolver.channel, KEEP_OBSERVATION,
	             &(struct keep_observation){ .key = str_of(key), .value = value, .expires_s = expires_s });
}

static void each_keeps_its_own(void **state)
{
	(void)state;
	char long_key[MEMORY_KEY_MAX + 2], long_value[MEMORY_VALUE_MAX + 2];
	memset(long_key, 'x', sizeof long_key);
	memset(long_value, 'x', sizeof long_value);
	memcpy(long_key, "seen/", 5);
	long_key[MEMORY_KEY_MAX + 1] = long_value[MEMORY_VALUE_MAX + 1] = '\0';
	house_open("");
	courier_keeps(long_key, "dane 1 1", DAY_S);
	courier_keeps("seen/y", long_value, DAY_S);
	courier_keeps("mta-sts/y", "enforce", DAY_S);
	courier_keeps("tlsrpt/1/y", "x", DAY_S);
	courier_keeps("spool:clock", "1", DAY_S);
	resolver_keeps("seen/y", STR("dane 1 1"), clock_wall_s() + DAY_S);
	resolver_keeps("mta-sts/z", STR("enforce"), clock_wall_s() + DAY_S);
	long_key[MEMORY_KEY_MAX] = long_value[MEMORY_VALUE_MAX] = '\0';
	courier_keeps(long_key, long_value, DAY_S);
	until_there_are("seen/", 1);
	until_there_are("seen/xxx", 1);
	until_there_are("mta-sts/", 1);
	until_there_are("mta-sts/z", 1);
	assert_int_equal(sum_of("tlsrpt/").n, 0);
}

/* A time that never comes, or that is over. */
static void nothing_is_kept_for_ever(void **state)
{
	(void)state;
	house_open("");
	courier_keeps("seen/y", "dane 1 1", INT64_MAX);
	courier_keeps("seen/z", "dane 1 1", INT64_MIN);
	courier_keeps("shape/y", "1", INT64_MAX);
	resolver_keeps("mta-sts/y", STR("enforce"), INT64_MAX);
	resolver_keeps("mta-sts/z", STR("enforce"), INT64_MIN);
	until_there_are("shape/", 1);
	until_there_are("mta-sts/", 1);
	int64_t now_s = clock_wall_s();
	assert_in_range(sum_of("seen/y").last_s - now_s, 30 * DAY_S - 60, 31 * DAY_S);
	assert_in_range(sum_of("shape/y").last_s - now_s, 7 * DAY_S - 60, 8 * DAY_S);
	assert_in_range(sum_of("mta-sts/y").last_s - now_s, 365 * DAY_S, 367 * DAY_S);
	assert_int_equal(sum_of("seen/z").n + sum_of("mta-sts/z").n, 0);
}

/* The resolver goes by the wall clock, the queue has its own: what is kept holds as long by either. */
static void a_wall_clock_that_was_set(void **state)
{
	(void)state;
	house_open("");
	h.wall_jump_s = -20 * 365 * (int64_t)DAY_S;
	resolver_keeps("mta-sts/y", STR("enforce"), clock_wall_s() + DAY_S);
	until_there_are("mta-sts/", 1);
	h.wall_jump_s = 0;
	assert_in_range(sum_of("mta-sts/y").last_s - clock_wall_s(), DAY_S - 60, DAY_S + 60);
}

/* The time was wrong between two runs, by years. */
static void a_wall_clock_that_is_set_between_two_runs(void **state)
{
	(void)state;
	char before[24];
	int64_t then_s = clock_wall_s() - 3 * 365 * (int64_t)DAY_S;
	snprintf(before, sizeof before, "%lld", (long long)then_s);
	assert_int_equal(store_memory.remember(h.store, STR("spool:clock"), str_of(before), INT64_MAX), OK);
	assert_int_equal(store_memory.remember(h.store, STR("seen/y"), STR("dane 1 1"), then_s + 3600), OK);
	house_open("");
	wait_for("courier: remembered seen/y=dane 1 1");
	assert_in_range(sum_of("seen/y").last_s - clock_wall_s(), 3000, 3700);
}

static void assert_trimmed(unsigned n, const char *prefix)
{
	assert_int_equal(h.trims.n, n);
	assert_true(str_eq(h.trims.prefix, str_of(prefix)));
	assert_int_equal(h.trims.most, OBSERVED_MAX);
	assert_int_equal(h.trims.bytes, OBSERVED_BYTES_MAX);
}

/* When the queue is opened, and after each step: what trim does is the store's contract. */
static void test_attack_72_names_are_bounded(void **state)
{
	(void)state;
	char key[40];
	house_open("");
	assert_trimmed(OBSERVED_KINDS, "shape/");
	for (unsigned i = 0; i < OBSERVED_STEP - 1; i++) {
		snprintf(key, sizeof key, "seen/new%u.example", i);
		courier_keeps(key, "dane 1 1", DAY_S);
	}
	until_there_are("seen/", OBSERVED_STEP - 1);
	assert_int_equal(h.trims.n, OBSERVED_KINDS);
	courier_keeps("seen/one.more.example", "dane 1 1", DAY_S);
	until_there_are("seen/", OBSERVED_STEP);
	assert_trimmed(OBSERVED_KINDS + 1, "seen/");
}

static void test_attack_72_policies_are_bounded(void **state)
{
	(void)state;
	enum { N = OBSERVED_STEP_BYTES / POLICY_BYTES }; /* the keys count as well */
	struct buf value;
	char key[40];
	house_open("");
	buf_init(&value, POLICY_BYTES);
	while (buf_view(&value).n < POLICY_BYTES)
		assert_int_equal(buf_add_char(&value, 'x'), OK);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(h.trims.n, OBSERVED_KINDS);
		snprintf(key, sizeof key, "mta-sts/y%u.example", i);
		resolver_keeps(key, buf_view(&value), clock_wall_s() + 1000);
		until_there_are("mta-sts/", i + 1);
	}
	buf_fini(&value);
	assert_trimmed(OBSERVED_KINDS + 1, "mta-sts/");
}

static void remember_domains(unsigned n)
{
	char key[MEMORY_KEY_MAX];
	for (unsigned i = 0; i < n; i++) {
		snprintf(key, sizeof key, "seen/d%04u.%0280u", i, 0u);
		assert_int_equal(store_memory.remember(h.store, str_of(key), STR("dane 1 1"), clock_wall_s() + DAY_S), OK);
	}
}

/* Nothing piles up for a courier that does not read. */
static void a_courier_that_does_not_read_is_told_little(void **state)
{
	(void)state;
	remember_domains(MANY);
	house_open("");
	wait_for("courier: remembered");
	settle_down();
	link_worker(&h.courier);
	channel_pause(h.courier.channel, true);
	h.slices = 0;
	for (int i = 0; i < 10; i++)
		settle_down();
	assert_in_range(h.slices, 1, MANY / 200 * 3 / 4); /* as much as the kernel takes beside what the channel may hold */
	channel_pause(h.courier.channel, false);
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job a@x.example to b@y.example");
	assert_true(h.slices > MANY / 200);
}

/* All of it comes before the first job, to a second courier as to the first, and more than goes out at once. */
static void a_courier_first_hears_all(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	remember_domains(SOME);
	assert_int_equal(store_memory.remember(h.store, STR("seen/d0500.over"), STR("dane 1 1"), clock_wall_s() - 1), OK);
	assert_int_equal(store_memory.remember(h.store, STR("shape/last"), STR("1"), clock_wall_s() + DAY_S), OK);
	house_fill("q1", "a@x.example", to, 1, 0, 10, "content");
	house_open("");
	for (int round = 0; round < 2; round++) {
		size_t before = h.passed, at, job = 0, n = 0;
		wait_for("courier: job a@x.example to b@y.example");
		struct str heard = str_from(buf_view(&h.heard), before);
		for (struct str rest = heard; str_find_str(rest, STR("courier: remembered seen/d"), &at); rest = str_from(rest, at + 1))
			n++;
		assert_int_equal(n, SOME);
		assert_true(str_find_str(heard, STR("courier: remembered shape/last"), &at));
		assert_true(str_find_str(heard, STR("courier: job"), &job) && at < job);
		settle_down();
		link_worker(&h.courier);
		send_letter(9, "a@x.example", "b@y.example", 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PREPARED(each_keeps_its_own),
		PREPARED(nothing_is_kept_for_ever),
		PREPARED(a_wall_clock_that_was_set),
		PREPARED(a_wall_clock_that_is_set_between_two_runs),
		PREPARED(test_attack_72_names_are_bounded),
		PREPARED(test_attack_72_policies_are_bounded),
		PREPARED(a_courier_first_hears_all),
		PREPARED(a_courier_that_does_not_read_is_told_little),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
