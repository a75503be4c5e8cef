/* SPDX-License-Identifier: ISC */
/* Counting clients over several pages: what is counted together, what is full, what the dead and the hostile leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "policy/crowd.h"

enum { SEED = 7 };

static struct crowd a, b;

static int open_pages(void **state)
{
	(void)state;
	a = (struct crowd){ .seed = SEED, .own = NEW(struct crowd_page) };
	b = (struct crowd){ .seed = SEED, .own = NEW(struct crowd_page) };
	a.others[1] = b.own;
	b.others[0] = a.own;
	return 0;
}

static int close_pages(void **state)
{
	(void)state;
	free(a.own);
	free(b.own);
	return 0;
}

static struct crowd_who ipv4(unsigned char w, unsigned char x, unsigned char y, unsigned char z)
{
	unsigned char ip[16] = { w, x, y, z };
	return crowd_who(SEED, ip, false);
}

static struct crowd_who ipv6(unsigned char fifth, unsigned char seventh, unsigned char last)
{
	unsigned char ip[16] = { 0x20, 1, 0xd, 0xb8, [5] = fifth, [7] = seventh, [15] = last };
	return crowd_who(SEED, ip, true);
}

static void what_is_one_client(void **state)
{
	(void)state;
	assert_true(ipv4(192, 0, 2, 1).client == ipv4(192, 0, 2, 1).client);
	assert_true(ipv4(192, 0, 2, 1).client != ipv4(192, 0, 2, 2).client);
	assert_true(ipv4(192, 0, 2, 1).network == ipv4(192, 0, 2, 2).network);
	assert_true(ipv4(192, 0, 2, 1).network != ipv4(192, 0, 3, 1).network);
	assert_true(ipv6(1, 1, 1).client == ipv6(1, 1, 2).client);
	assert_true(ipv6(1, 1, 1).client != ipv6(1, 2, 1).client);
	assert_true(ipv6(1, 1, 1).network == ipv6(1, 2, 1).network);
	assert_true(ipv6(1, 1, 1).network != ipv6(2, 1, 1).network);
	unsigned char ip[16] = { 192, 0, 2, 1 };
	assert_true(crowd_who(SEED + 1, ip, false).client != ipv4(192, 0, 2, 1).client);
}

static void all_fronts_count_together(void **state)
{
	(void)state;
	struct crowd_who one = ipv4(192, 0, 2, 1), other = ipv4(192, 0, 2, 9);
	for (int i = 0; i < 3; i++)
		assert_int_equal(crowd_enter(&a, one), OK);
	assert_int_equal(crowd_enter(&b, one), OK);
	assert_int_equal(crowd_enter(&b, other), OK);
	assert_int_equal(crowd_count(&a, one.client), 4);
	assert_int_equal(crowd_count(&b, one.client), 4);
	assert_int_equal(crowd_count(&a, other.client), 1);
	assert_int_equal(crowd_count(&a, one.network), 5);
	assert_int_equal(crowd_total(&a), 5);
	for (int i = 0; i < 3; i++)
		crowd_leave(&a, one);
	assert_int_equal(crowd_count(&b, one.client), 1);
	assert_int_equal(crowd_count(&a, one.network), 2);
	crowd_leave(&b, one);
	crowd_leave(&b, other);
	assert_int_equal(crowd_count(&a, one.network) + crowd_count(&a, one.client) + crowd_total(&a), 0);
}

static void who_has_no_address_counts_in_the_total(void **state)
{
	(void)state;
	struct crowd_who nobody = { 0, 0 };
	assert_int_equal(crowd_enter(&a, nobody), OK);
	assert_int_equal(crowd_count(&a, nobody.client), 0);
	assert_int_equal(crowd_total(&b), 1);
	crowd_leave(&a, nobody);
	assert_int_equal(crowd_total(&b), 0);
}

/* A front that died: its page is wiped, and only what it held is gone. */
static void the_dead_give_back(void **state)
{
	(void)state;
	struct crowd_who one = ipv4(192, 0, 2, 1);
	assert_int_equal(crowd_enter(&a, one), OK);
	assert_int_equal(crowd_enter(&b, one), OK);
	memset(b.own, 0, sizeof *b.own);
	assert_int_equal(crowd_count(&a, one.client), 1);
	assert_int_equal(crowd_total(&a), 1);
}

/* Keys that fall on one stretch of the page: the last that fits, and the first that does not. */
static void a_full_stretch_is_told(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < CROWD_REACH; i++)
		assert_int_equal(crowd_enter(&a, (struct crowd_who){ 5 + (i + 1) * CROWD_PLACES, 0 }), OK);
	struct crowd_who more = { 5, 0 };
	assert_int_equal(crowd_enter(&a, more), F_LIMIT);
	assert_int_equal(crowd_total(&a), CROWD_REACH);
	/* The client has a place, its network has none: nothing is counted. */
	assert_int_equal(crowd_enter(&a, (struct crowd_who){ 99, 5 }), F_LIMIT);
	assert_int_equal(crowd_count(&a, 99), 0);
	crowd_leave(&a, (struct crowd_who){ 5 + 3 * CROWD_PLACES, 0 });
	assert_int_equal(crowd_enter(&a, more), OK);
	assert_int_equal(crowd_count(&b, 5), 1);
	assert_int_equal(crowd_count(&b, 5 + 4 * (uint64_t)CROWD_PLACES), 1);
}

/* Very many clients: all are counted, and nothing is left of them. */
static void a_crowd_comes_and_goes(void **state)
{
	enum { MANY = 10000 };
	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(crowd_enter(&a, ipv4(10, (unsigned char)(i >> 16), (unsigned char)(i >> 8), (unsigned char)i)), OK);
	assert_int_equal(crowd_total(&b), MANY);
	assert_int_equal(crowd_count(&b, ipv4(10, 0, 3, 0).network), 256);
	for (unsigned i = 0; i < MANY; i++)
		crowd_leave(&a, ipv4(10, (unsigned char)(i >> 16), (unsigned char)(i >> 8), (unsigned char)i));
	for (size_t i = 0; i < CROWD_PLACES; i++)
		assert_int_equal(a.own->places[i].key, 0);
}

/* A front that is owned by an attacker writes what it likes: sums stay sums, and what others counted stays. */
static void attack_69_a_hostile_page_is_only_numbers(void **state)
{
	(void)state;
	struct crowd_who one = ipv4(192, 0, 2, 1);
	assert_int_equal(crowd_enter(&a, one), OK);
	memset(b.own, 0xff, sizeof *b.own);
	assert_int_equal(crowd_count(&a, one.client), 1);
	assert_int_equal(crowd_total(&a), 1 + (uint64_t)CROWD_COUNT_MAX);
	for (size_t i = 0; i < CROWD_PLACES; i++)
		b.own->places[i].key = one.client;
	assert_int_equal(crowd_count(&a, one.client), 1 + (uint64_t)CROWD_COUNT_MAX);
	crowd_leave(&a, one);
	assert_int_equal(crowd_count(&a, one.client), CROWD_COUNT_MAX);
	/* Leaving twice takes nothing from nobody. */
	crowd_leave(&b, ipv4(1, 2, 3, 4));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pages, close_pages)
	const struct CMUnitTest tests[] = {
		TEST(what_is_one_client),
		TEST(all_fronts_count_together),
		TEST(who_has_no_address_counts_in_the_total),
		TEST(the_dead_give_back),
		TEST(a_full_stretch_is_told),
		TEST(a_crowd_comes_and_goes),
		TEST(attack_69_a_hostile_page_is_only_numbers),
	};
	return cmocka_run_group_tests_name("crowd", tests, NULL, NULL);
}
