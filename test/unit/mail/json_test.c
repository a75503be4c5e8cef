/* SPDX-License-Identifier: ISC */
/* Whatever a peer sent, it becomes JSON that reads back. */
#include "unit.h"

#include <jansson.h>

#include "mail/json.h"

static void assert_text(json_t *j, const char *want)
{
	assert_true(json_is_string(j));
	assert_str(((struct str){ json_string_value(j), json_string_length(j) }), want);
	json_decref(j);
}

static void text_is_what_it_was_or_harmless(void **state)
{
	(void)state;
	assert_text(text_as_json(STR("jada@b\xc3\xbc" "cher.example")), "jada@b\xc3\xbc" "cher.example");
	assert_text(text_as_json(STR("a\"\\\n\x7f")), "a\"\\\n\x7f");
	assert_text(text_as_json(STR("b\xfc" "cher \xc3\xbc")), "b?cher ??"); /* one wrong byte, and none of them is believed */
	assert_text(text_as_json(STR("cut \xc3")), "cut ?");
	assert_text(text_as_json(STR_NONE), "");
	json_t *j = text_as_json((struct str){ "a\0b", 3 });
	assert_int_equal(json_string_length(j), 3);
	json_decref(j);
}

static void every_time_is_a_date(void **state)
{
	(void)state;
	assert_text(date_as_json(0), "1970-01-01T00:00:00Z");
	assert_text(date_as_json(INT64_MAX), "9999-12-31T23:59:59Z");
}

static void values_come_out_as_they_went_in(void **state)
{
	(void)state;
	json_t *o = json_pack("{s:s%, s:i}", "text", "a\0b", (size_t)3, "number", 1);
	struct str text = text_in_json(o, "text");
	assert_int_equal(text.n, 3);
	assert_memory_equal(text.p, "a\0b", 3);
	assert_int_equal(text_in_json(o, "number").n, 0);
	assert_int_equal(text_in_json(o, "absent").n, 0);
	assert_int_equal(number_in_json(o, "number"), 1);
	assert_int_equal(number_in_json(o, "text"), 0);
	assert_int_equal(number_in_json(o, "absent"), 0);
	assert_int_equal(number_in_json(NULL, "number"), 0);
	assert_int_equal(text_in_json(NULL, "text").n, 0);
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_what_it_was_or_harmless),
		cmocka_unit_test(every_time_is_a_date),
		cmocka_unit_test(values_come_out_as_they_went_in),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
