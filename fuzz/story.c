/* SPDX-License-Identifier: ISC */
/* A story that somebody else tells is read without harm; what is told of any bytes is sound, and reads as it was told. */
#include "base/check.h"
#include "mail/story.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void read_all(struct str text)
{
	struct story_line line;
	struct str key, raw;
	while (story_next(&text, &line))
		while (story_pair(&line, &key, &raw))
			check(key.n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct str text = { (const char *)bytes, n };
	struct story s;
	struct buf room;
	read_all(text);
	story_init(&s);
	if (story_is_sound(text)) {
		story_append(&s, text);
		check(str_eq(story_text(&s), text) || str_ends_nocase(story_text(&s), STR("cut\n")));
	}
	story_begin(&s, "note");
	story_add(&s, "text", text);
	story_end(&s);
	check(story_is_sound(story_text(&s)));

	struct str rest = story_text(&s);
	struct story_line line;
	bool last = false;
	buf_init(&room, 4 << 20);
	while (story_next(&rest, &line))
		last = str_eq(line.kind, STR("note")) && rest.n == 0;
	if (last && n > 0 && n * 4 < STORY_VALUE_MAX)
		check(str_eq(story_value(line, STR("text"), &room), text));
	buf_fini(&room);
	story_fini(&s);
	return 0;
}
