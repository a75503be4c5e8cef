/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "mail/story.h"

static void a_story_is_told_and_read(void **state)
{
	(void)state;
	struct story s;
	story_init(&s);
	story_begin(&s, "mx");
	story_add(&s, "domain", STR("example.org"));
	story_add(&s, "result", STR_NONE);
	story_add(&s, "hosts", STR("mx1.example.org mx2.example.org"));
	story_end(&s);
	story_begin(&s, "reply");
	story_add_u64(&s, "code", 451);
	story_add(&s, "text", STR("no\r\nroute kind=evil \"x\""));
	story_end(&s);
	assert_true(str_eq(story_text(&s), STR("mx domain=example.org hosts=\"mx1.example.org mx2.example.org\"\n"
	                                       "reply code=451 text=\"no\\x0d\\x0aroute kind=evil \\\"x\\\"\"\n")));
	assert_true(story_is_sound(story_text(&s)));

	struct str rest = story_text(&s), key, raw;
	struct story_line line;
	struct buf room;
	buf_init(&room, 1024);
	assert_true(story_next(&rest, &line) && str_eq(line.kind, STR("mx")));
	assert_true(str_eq(story_value(line, STR("hosts"), &room), STR("mx1.example.org mx2.example.org")));
	assert_true(story_value(line, STR("result"), &room).p == NULL);
	assert_true(story_next(&rest, &line) && str_eq(line.kind, STR("reply")));
	assert_true(story_pair(&line, &key, &raw) && str_eq(key, STR("code")) && str_eq(raw, STR("451")));
	assert_true(str_eq(story_value(line, STR("text"), &room), STR("no\r\nroute kind=evil \"x\"")));
	assert_false(story_next(&rest, &line));
	buf_fini(&room);
	story_fini(&s);
}

static void a_story_ends_where_there_is_no_room(void **state)
{
	(void)state;
	char value[STORY_VALUE_MAX + 1]; /* each is cut */
	struct story s;
	memset(value, 'v', sizeof value);
	story_init(&s);
	for (int i = 0; i < 100; i++) {
		story_begin(&s, "note");
		story_add(&s, "text", (struct str){ value, sizeof value });
		story_end(&s);
	}
	struct str text = story_text(&s);
	assert_true(text.n <= STORY_BYTES_MAX && text.n > STORY_BYTES_MAX - 2 * STORY_VALUE_MAX);
	assert_true(str_ends_nocase(text, STR("v...\"\ncut\n")));
	assert_true(story_is_sound(text));
	story_fini(&s);
}

/* Lines of one byte more or less than there is room for. */
static void the_edge_of_a_story(void **state)
{
	(void)state;
	char bytes[STORY_BYTES_MAX + 1];
	memset(bytes, '\n', sizeof bytes);
	for (size_t n = STORY_BYTES_MAX - 16; n <= STORY_BYTES_MAX; n++) {
		struct story s;
		memset(bytes, 'w', n);
		story_init(&s);
		story_append(&s, (struct str){ bytes, n + 1 < sizeof bytes ? n + 1 : n });
		struct str text = story_text(&s);
		assert_true(text.n <= STORY_BYTES_MAX);
		assert_true(text.n == 0 || text.p[text.n - 1] == '\n');
		story_fini(&s);
	}
	memset(bytes, 'w', sizeof bytes);
	bytes[STORY_BYTES_MAX - 1] = bytes[STORY_BYTES_MAX] = '\n';
	assert_true(story_is_sound((struct str){ bytes, STORY_BYTES_MAX }));
	bytes[STORY_BYTES_MAX - 1] = 'w';
	assert_false(story_is_sound((struct str){ bytes, STORY_BYTES_MAX + 1 }));
}

static void what_is_no_story(void **state)
{
	(void)state;
	const struct str wrong[] = {
		STR("mx domain=a"), STR("mx domain\n"), STR("mx  a=b\n"), STR("mx a=b \n"), STR("m x=\"\n"), STR("mx a=\"b\"c\n"),
		STR("mx a=\x1b[0m\n"), STR("\n"), STR(" a=b\n"), STR("mx a=\"\\x4 \"\n"), STR("mx a=b\r\n"), STR("mx =b\n"),
		STR("mx a=\xc3\n"), STR("mx a=\xe2\x80\xae\n"),
	};
	for (size_t i = 0; i < COUNT(wrong); i++)
		if (story_is_sound(wrong[i]))
			fail_msg("%.*s", STR_ARG(wrong[i]));
	assert_true(story_is_sound(STR_NONE));
	assert_true(story_is_sound(STR("cut\n")));
}

static void stories_are_joined(void **state)
{
	(void)state;
	struct story s;
	story_init(&s);
	story_append(&s, STR("mx domain=a\nhost name=b\ntorn"));
	assert_true(str_eq(story_text(&s), STR("mx domain=a\nhost name=b\n")));
	story_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_story_is_told_and_read),
		cmocka_unit_test(a_story_ends_where_there_is_no_room),
		cmocka_unit_test(the_edge_of_a_story),
		cmocka_unit_test(what_is_no_story),
		cmocka_unit_test(stories_are_joined),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
