/* SPDX-License-Identifier: ISC */
/* Parts of the store that need no disk: checksums, and which destination is due first. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "store/crc32c.h"
#include "store/schedule.h"
#include "store/store.h"

static void crc32c_agrees_with_the_rfc(void **state)
{
	(void)state;
	struct crc32c c;
	char bytes[32];
	crc32c_init(&c);
	for (int by_cpu = c.by_cpu; by_cpu >= 0; by_cpu--) { /* the processor's way, if it has one, and the tables' */
		c.by_cpu = by_cpu != 0;
		assert_int_equal(crc32c(&c, 0, STR("123456789")), 0xe3069283);
		memset(bytes, 0, 32);
		assert_int_equal(crc32c(&c, 0, (struct str){ bytes, 32 }), 0x8a9136aa);
		memset(bytes, 0xff, 32);
		assert_int_equal(crc32c(&c, 0, (struct str){ bytes, 32 }), 0x62a8ab43);
		for (int i = 0; i < 32; i++)
			bytes[i] = (char)i;
		assert_int_equal(crc32c(&c, 0, (struct str){ bytes, 32 }), 0x46dd794e);
		uint32_t in_parts = crc32c(&c, 0, (struct str){ bytes, 13 });
		assert_int_equal(crc32c(&c, in_parts, (struct str){ bytes + 13, 19 }), 0x46dd794e);
	}
}

/* Of every length around those at which the processor's way goes on by parts, from every sum, in two pieces and in one. */
static void both_ways_of_a_checksum_agree(void **state)
{
	(void)state;
	static char bytes[7 * CRC32C_PART];
	static const size_t lengths[] = { 0, 1, 7, 8, 9, CRC32C_PART, 3 * CRC32C_PART - 1, 3 * CRC32C_PART, 3 * CRC32C_PART + 1,
		                          6 * CRC32C_PART - 1, 6 * CRC32C_PART, 6 * CRC32C_PART + 13, 7 * CRC32C_PART };
	struct crc32c cpu, tables;
	crc32c_init(&cpu);
	crc32c_init(&tables);
	tables.by_cpu = false;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * i * 31 + i / 7);
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct str whole = { bytes + i, lengths[i] < sizeof bytes - i ? lengths[i] : sizeof bytes - i };
		uint32_t so_far = (uint32_t)i * 0x9e3779b9u, sum = crc32c(&tables, so_far, whole);
		assert_int_equal(crc32c(&cpu, so_far, whole), sum);
		uint32_t part = crc32c(&cpu, so_far, str_sub(whole, 0, whole.n / 3));
		assert_int_equal(crc32c(&cpu, part, str_from(whole, whole.n / 3)), sum);
	}
}

static const unsigned all[STORE_LANES] = { 1, 1, 1 };

static void a_schedule_gives_the_earliest(void **state)
{
	(void)state;
	struct schedule *s = schedule_new();
	struct str key;
	int64_t due_s, last = -1;
	char name[16];
	assert_false(schedule_take(s, all, &key, &due_s));
	for (unsigned i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "k%u", i * 7 % 100);
		schedule_note(s, str_of(name), (int64_t)(i * 7919 % 1000) + 5);
	}
	schedule_note(s, STR("k3"), 1);
	schedule_note(s, STR("k3"), 9000); /* later does not count */
	assert_true(schedule_take(s, all, &key, &due_s));
	assert_true(str_eq(key, STR("k3")));
	assert_int_equal(due_s, 1);
	unsigned n = 1;
	for (; schedule_take(s, all, &key, &due_s); n++) {
		assert_true(due_s >= last);
		last = due_s;
	}
	assert_int_equal(n, 100);
	schedule_note(s, STR("left"), 1);
	schedule_free(&s);
}

static void what_is_put_off_comes_later(void **state)
{
	(void)state;
	static const unsigned first_only[STORE_LANES] = { 1, 0 };
	struct schedule *s = schedule_new();
	struct str key;
	int64_t due_s, at_s;
	schedule_note(s, STR("a"), 10);
	schedule_put_off(s, STR("b"), 1, 50, 0);
	schedule_put_off(s, STR("c"), 2, INT64_MIN, 1);
	schedule_note(s, STR("b"), 0); /* that changes nothing of when it is looked at */
	assert_true(schedule_first(s, first_only, &at_s));
	assert_int_equal(at_s, 10);
	assert_true(schedule_first(s, all, &at_s));
	assert_int_equal(at_s, 2);
	assert_true(schedule_take(s, first_only, &key, &due_s));
	assert_true(str_eq(key, STR("a")));
	assert_true(schedule_first(s, first_only, &at_s));
	assert_int_equal(at_s, 50);
	schedule_ask_again(s, STR("b"));
	schedule_ask_again(s, STR("nobody"));
	assert_true(schedule_first(s, first_only, &at_s));
	assert_int_equal(at_s, 0);
	assert_true(schedule_take(s, first_only, &key, &due_s));
	assert_true(str_eq(key, STR("b")));
	assert_int_equal(due_s, 0);
	assert_false(schedule_take(s, first_only, &key, &due_s));
	schedule_ask_again(s, STR("c"));
	assert_true(schedule_take(s, first_only, &key, &due_s));
	assert_true(str_eq(key, STR("c")));
	schedule_free(&s);
}

/* Whatever happens to it, a heap gives what is first; keys leave it from the middle. */
static void a_schedule_stays_in_order(void **state)
{
	(void)state;
	struct schedule *s = schedule_new();
	struct str key;
	char name[16];
	unsigned seed = 3, n = 0;
	int64_t due_s, at_s, last = -1;
	for (unsigned i = 0; i < 5000; i++) {
		seed = seed * 1103515245 + 12345;
		snprintf(name, sizeof name, "k%u", (seed >> 16) % 300);
		if (i % 3 == 0)
			schedule_note(s, str_of(name), (seed >> 8) % 1000);
		else if (i % 3 == 1)
			schedule_put_off(s, str_of(name), (seed >> 8) % 1000, (seed >> 4) % 2000, (seed >> 20) % STORE_LANES);
		else
			schedule_ask_again(s, str_of(name));
		if (i == 2500)
			schedule_ask_all_again(s);
	}
	while (schedule_first(s, all, &at_s)) {
		assert_true(at_s >= last);
		last = at_s;
		assert_true(schedule_take(s, all, &key, &due_s));
		assert_true(due_s <= at_s);
		n++;
	}
	assert_int_equal(n, 300);
	schedule_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32c_agrees_with_the_rfc),
		cmocka_unit_test(both_ways_of_a_checksum_agree),
		cmocka_unit_test(a_schedule_gives_the_earliest),
		cmocka_unit_test(what_is_put_off_comes_later),
		cmocka_unit_test(a_schedule_stays_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
