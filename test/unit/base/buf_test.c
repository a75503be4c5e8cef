/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <string.h>

static void bytes_in_and_out(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1000);
	assert_int_equal(buf_view(&b).n, 0);
	assert_ok(buf_add(&b, STR("abc")));
	assert_ok(buf_add(&b, STR_NONE));
	assert_ok(buf_add_char(&b, 'd'));
	assert_ok(buf_add_u64(&b, UINT64_MAX));
	assert_ok(buf_addf(&b, "-%s-%d", "x", -5));
	assert_str(buf_view(&b), "abcd18446744073709551615-x--5");
	buf_drop(&b, 4);
	buf_cut(&b, 3);
	assert_str(buf_view(&b), "184");
	buf_drop(&b, 3);
	assert_int_equal(buf_view(&b).n, 0);
	buf_fini(&b);
	assert_ok(buf_add(&b, STR("again"))); /* may be used again */
	assert_str(buf_view(&b), "again");
	buf_fini(&b);
}

static void numbers_in_digits(void **state)
{
	(void)state;
	const struct { int64_t n; const char *text; } of_both_signs[] = {
		{ 0, "0" }, { -1, "-1" }, { INT64_MAX, "9223372036854775807" }, { INT64_MIN, "-9223372036854775808" },
	};
	const struct { uint64_t n; size_t digits; const char *text; } padded[] = {
		{ 7, 2, "07" }, { 0, 3, "000" }, { 250, 3, "250" }, { 2026, 2, "2026" }, { 5, 0, "5" }, { UINT64_MAX, 20, "18446744073709551615" },
		{ 1, 99, "00000000000000000001" },
	};
	char room[20];
	struct buf b = buf_over(room, sizeof room);
	for (size_t i = 0; i < sizeof of_both_signs / sizeof of_both_signs[0]; i++) {
		assert_ok(buf_add_s64(&b, of_both_signs[i].n));
		assert_str(buf_view(&b), of_both_signs[i].text);
		buf_clear(&b);
	}
	for (size_t i = 0; i < sizeof padded / sizeof padded[0]; i++) {
		assert_ok(buf_add_padded(&b, padded[i].n, padded[i].digits));
		assert_str(buf_view(&b), padded[i].text);
		buf_clear(&b);
	}
	assert_ok(buf_add_padded(&b, 1, 18));
	assert_int_equal(buf_add_s64(&b, -12), F_LIMIT); /* not its sign alone */
	assert_int_equal(BUF_ADD_ALL(&b, STR("a"), STR("b"), STR("c")), F_LIMIT);
	assert_str(buf_view(&b), "000000000000000001");
	assert_ok(BUF_ADD_ALL(&b, STR("a"), STR_NONE, STR("b")));
	assert_str(buf_view(&b), "000000000000000001ab");
	assert_ptr_equal(buf_view(&b).p, room);
}

static void the_ceiling_holds_to_the_byte(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 10);
	assert_ok(buf_add(&b, STR("123456789")));
	assert_int_equal(buf_room(&b), 1);
	assert_int_equal(buf_add(&b, STR("ab")), F_LIMIT);
	assert_int_equal(buf_addf(&b, "%d", 12), F_LIMIT);
	assert_int_equal(buf_add_u64(&b, 12), F_LIMIT);
	assert_str(buf_view(&b), "123456789");
	assert_ok(buf_add_char(&b, '0'));
	assert_int_equal(buf_add_char(&b, '1'), F_LIMIT);
	assert_null(buf_reserve(&b, 1));
	assert_ok(buf_add(&b, STR("")));

	buf_drop(&b, 4); /* what has left makes room again */
	assert_int_equal(buf_room(&b), 4);
	assert_ok(buf_addf(&b, "%s", "wxyz"));
	assert_str(buf_view(&b), "567890wxyz");
	assert_int_equal(buf_addf(&b, "%s", "!"), F_LIMIT);
	buf_fini(&b);

	buf_init(&b, 0);
	assert_int_equal(buf_add_char(&b, 'x'), F_LIMIT);
	assert_ok(buf_addf(&b, "%s", ""));
	buf_fini(&b);
}

static void formatting_fills_to_the_last_byte(void **state)
{
	(void)state;
	for (size_t max = 60; max < 140; max++) { /* around the first growth */
		struct buf b;
		char text[200];
		memset(text, 'x', sizeof text);
		buf_init(&b, max);
		assert_ok(buf_addf(&b, "%.*s", (int)max, text));
		assert_int_equal(buf_view(&b).n, max);
		assert_true(b.cap <= max);
		assert_int_equal(buf_addf(&b, "y"), F_LIMIT);
		buf_fini(&b);
	}
}

static void reserved_room_is_counted_when_filled(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 300);
	assert_ok(buf_add(&b, STR("head")));
	char *to = buf_reserve(&b, 200);
	assert_non_null(to);
	memcpy(to, "tail", 4);
	assert_str(buf_view(&b), "head");
	buf_filled(&b, 4);
	assert_str(buf_view(&b), "headtail");
	buf_drop(&b, 4);
	to = buf_reserve(&b, 296); /* moves to the front, and grows to the ceiling */
	assert_non_null(to);
	assert_str(buf_view(&b), "tail");
	assert_null(buf_reserve(&b, 297));
	buf_fini(&b);
}

static void a_stream_passes_through_a_small_buffer(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 16);
	unsigned char next_in = 0, next_out = 0;
	for (int i = 0; i < 10000; i++) {
		while (buf_room(&b) > (size_t)(i % 5))
			assert_ok(buf_add_char(&b, (char)next_in++));
		size_t n = (size_t)(i % 7) + 1;
		struct str s = buf_view(&b);
		for (size_t k = 0; k < n && k < s.n; k++)
			assert_int_equal((unsigned char)s.p[k], next_out++);
		buf_drop(&b, n < s.n ? n : s.n);
	}
	assert_true(b.cap <= 16);
	buf_fini(&b);
}

static void wiping_and_shrinking(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	assert_ok(buf_add(&b, STR("secret")));
	buf_shrink(&b); /* not empty: stays */
	assert_str(buf_view(&b), "secret");
	buf_clear(&b);
	assert_non_null(b.base);
	buf_shrink(&b);
	assert_null(b.base);
	assert_ok(buf_add(&b, STR("secret")));
	buf_wipe(&b);
	assert_null(b.base);
	assert_int_equal(buf_view(&b).n, 0);
	buf_wipe(&b);
	buf_fini(&b);
}

/* Is the word anywhere in the buffer's memory, in use or not? */
static bool lies_in(const struct buf *b, const char *word)
{
	return b->base != NULL && memmem(b->base, b->cap, word, strlen(word)) != NULL;
}

static void a_secret_buffer_leaves_nothing_behind(void **state)
{
	(void)state;
	struct buf b;
	buf_init_secret(&b, 4096);
	assert_ok(buf_add(&b, STR("AUTH password MAIL")));
	buf_drop(&b, 13);
	assert_str(buf_view(&b), " MAIL");
	assert_false(lies_in(&b, "password"));

	assert_ok(buf_add(&b, STR(" password")));
	buf_cut(&b, 5);
	assert_false(lies_in(&b, "password"));

	/* Moved to the front to make room: the old place is empty. */
	assert_ok(buf_add(&b, STR("12345678901234567890123456789012345678901 pass")));
	assert_int_equal(b.cap, 64);
	buf_drop(&b, 46);
	assert_ok(buf_add(&b, STR("0123456789012345678901234567890123456789")));
	assert_int_equal(b.head, 0);
	buf_cut(&b, 5);
	assert_int_equal(b.cap, 64);
	assert_false(lies_in(&b, "passpass"));
	assert_str(buf_view(&b), " pass");
	buf_drop(&b, 5);
	assert_false(lies_in(&b, "pass"));

	assert_ok(buf_add(&b, STR("password")));
	buf_clear(&b);
	assert_false(lies_in(&b, "password"));
	buf_fini(&b);
	assert_true(b.secret);
	buf_fini(&b);
}

/* A growing buffer moves; the memory it leaves is looked at through a buffer that gets it next. */
static void a_secret_buffer_grows_without_a_trace(void **state)
{
	(void)state;
	struct buf b;
	buf_init_secret(&b, 1 << 20);
	assert_ok(buf_add(&b, STR("password")));
	for (int i = 0; i < 1000; i++)
		assert_ok(buf_addf(&b, "%d ", i));
	assert_true(str_starts(buf_view(&b), STR("password0 1 2 ")));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_buffer_leaves_nothing_behind),
		cmocka_unit_test(a_secret_buffer_grows_without_a_trace),
		cmocka_unit_test(bytes_in_and_out),
		cmocka_unit_test(numbers_in_digits),
		cmocka_unit_test(the_ceiling_holds_to_the_byte),
		cmocka_unit_test(formatting_fills_to_the_last_byte),
		cmocka_unit_test(reserved_room_is_counted_when_filled),
		cmocka_unit_test(a_stream_passes_through_a_small_buffer),
		cmocka_unit_test(wiping_and_shrinking),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
