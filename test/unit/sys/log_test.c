/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "sys/log_format.h"

static void a_line_is_one_line(void **state)
{
	(void)state;
	struct buf out;
	const struct log_fact facts[] = { LOG_Z("id", "q1"), LOG_Z("client", "a b"), LOG_U("size", 12) };
	buf_init(&out, LOG_LINE_MAX);
	log_format(&out, false, "front", 1795217725123, LOG_ACCEPTED, COUNT(facts), facts);
	assert_int_equal(buf_add_char(&out, '\0'), OK);
	assert_string_equal(buf_view(&out).p,
	                    "2026-11-20T23:35:25.123Z info front accepted id=q1 client=\"a b\" size=12\n");
	buf_clear(&out);
	log_format(&out, true, "front", 1795217725123, LOG_ACCEPTED, COUNT(facts), facts);
	assert_int_equal(buf_add_char(&out, '\0'), OK);
	assert_string_equal(buf_view(&out).p,
	                    "{\"time\":\"2026-11-20T23:35:25.123Z\",\"level\":\"info\",\"role\":\"front\","
	                    "\"event\":\"accepted\",\"id\":\"q1\",\"client\":\"a b\",\"size\":12}\n");
	buf_fini(&out);
}

static void every_line_of_json_is_json(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 0x10000; c++) {
		char bytes[2] = { (char)(c >> 8), (char)(c & 0xff) };
		struct log_fact fact = LOG_S("v", ((struct str){ bytes, 2 }));
		struct buf out;
		buf_init(&out, LOG_LINE_MAX);
		log_format(&out, true, "front", 0, LOG_TROUBLE, 1, &fact);
		struct str line = buf_view(&out);
		json_t *j = json_loadb(line.p, line.n, JSON_ALLOW_NUL, NULL);
		if (j == NULL)
			fail_msg("bytes %04x: %.*s", c, STR_ARG(line));
		json_decref(j);
		size_t lf;
		assert_true(str_find(line, '\n', &lf) && lf == line.n - 1);
		buf_fini(&out);
	}
}

static void too_many_facts_are_left_out_whole(void **state)
{
	(void)state;
	struct log_fact facts[100];
	char text[400];
	memset(text, 'y', sizeof text);
	for (size_t i = 0; i < COUNT(facts); i++)
		facts[i] = LOG_S("key", ((struct str){ text, sizeof text }));
	struct buf out;
	buf_init(&out, LOG_LINE_MAX);
	log_format(&out, true, "front", 0, LOG_TROUBLE, COUNT(facts), facts);
	assert_true(str_ends_nocase(buf_view(&out), STR("y\"}\n")));
	buf_fini(&out);
}

static void every_event_has_a_name_and_a_meaning(void **state)
{
	(void)state;
	for (unsigned e = 0; e < LOG_EVENT_COUNT; e++) {
		struct str name = str_of(log_event_name((enum log_event)e));
		struct str meaning = str_of(log_event_meaning((enum log_event)e));
		assert_true(name.n > 0 && !str_has(name, ' '));
		assert_true(str_ends_nocase(meaning, STR(".")));
		for (unsigned other = 0; other < e; other++)
			assert_false(str_eq(name, str_of(log_event_name((enum log_event)other))));
	}
	assert_string_equal(log_event_name((enum log_event)LOG_EVENT_COUNT), "unknown");
}

static void a_line_goes_to_standard_error_in_one_piece(void **state)
{
	(void)state;
	int ends[2], before = dup(2);
	char got[1000];
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], 2), 2);
	log_begin("porter", false);
	log_event(LOG_DELIVERED, LOG_Z("id", "q7"));
	log_event(LOG_CONNECTED, LOG_Z("client", "192.0.2.1")); /* debug: not wanted */
	assert_int_equal(dup2(before, 2), 2);
	close(before);
	close(ends[1]);
	ssize_t n = read(ends[0], got, sizeof got - 1);
	assert_true(n > 0);
	got[n] = '\0';
	assert_non_null(strstr(got, "Z info porter delivered id=q7\n"));
	assert_int_equal(read(ends[0], got, sizeof got), 0);
	close(ends[0]);
}

int main(void)
{
	unsetenv("SEALPOST_DEBUG");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_one_line),
		cmocka_unit_test(every_line_of_json_is_json),
		cmocka_unit_test(too_many_facts_are_left_out_whole),
		cmocka_unit_test(every_event_has_a_name_and_a_meaning),
		cmocka_unit_test(a_line_goes_to_standard_error_in_one_piece),
	};
	return cmocka_run_group_tests_name("sys/log", tests, NULL, NULL);
}
