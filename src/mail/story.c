/* SPDX-License-Identifier: ISC */
#include "mail/story.h"

#include "base/check.h"
#include "base/escape.h"

enum { LINE_USUAL = 256 };

#define CUT_LINE "cut\n"

/* ---- writing ---- */

void story_init(struct story *s)
{
	*s = (struct story){ .full = false };
	buf_init(&s->text, STORY_BYTES_MAX);
}

void story_fini(struct story *s)
{
	buf_fini(&s->text);
	s->line = 0;
	s->full = false;
}

/* Room for the last line is kept free. */
static void note_fault(struct story *s, fault f)
{
	if (f == OK && buf_room(&s->text) > sizeof CUT_LINE)
		return;
	buf_cut(&s->text, s->line);
	s->full = true;
	f = buf_add(&s->text, STR(CUT_LINE));
	check(f == OK);
}

void story_begin(struct story *s, const char *kind)
{
	if (s->full)
		return;
	s->line = buf_view(&s->text).n;
	(void)buf_reserve(&s->text, LINE_USUAL);
	note_fault(s, buf_add(&s->text, str_of(kind)));
}

static fault put_pair(struct buf *out, const char *key, struct str value)
{
	TRY(BUF_ADD_ALL(out, STR(" "), str_of(key), STR("=")));
	return escape_put(out, value, ESCAPE_WORD, STORY_VALUE_MAX);
}

void story_add(struct story *s, const char *key, struct str value)
{
	if (!s->full && value.n > 0)
		note_fault(s, put_pair(&s->text, key, value));
}

static fault put_number(struct buf *out, const char *key, uint64_t value)
{
	TRY(BUF_ADD_ALL(out, STR(" "), str_of(key), STR("=")));
	return buf_add_u64(out, value);
}

void story_add_u64(struct story *s, const char *key, uint64_t value)
{
	if (!s->full)
		note_fault(s, put_number(&s->text, key, value));
}

void story_end(struct story *s)
{
	if (!s->full)
		note_fault(s, buf_add_char(&s->text, '\n'));
	s->line = buf_view(&s->text).n;
}

void story_append(struct story *s, struct str text)
{
	struct str line;
	while (!s->full && str_take_until(&text, '\n', &line)) {
		s->line = buf_view(&s->text).n;
		note_fault(s, buf_add(&s->text, line));
		story_end(s);
	}
}

struct str story_text(const struct story *s)
{
	return buf_view(&s->text);
}

/* ---- reading ---- */

static bool is_word(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum((unsigned char)s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
			return false;
	return s.n > 0;
}

bool story_next(struct str *rest, struct story_line *out)
{
	struct str line;
	while (str_next_line(rest, &line)) {
		size_t space = line.n;
		(void)str_find(line, ' ', &space);
		out->kind = str_sub(line, 0, space);
		out->pairs = str_from(line, space);
		if (is_word(out->kind))
			return true;
	}
	return false;
}

bool story_pair(struct story_line *line, struct str *key, struct str *value_raw)
{
	struct str rest = line->pairs;
	if (!str_take_char(&rest, ' ') || !str_take_until(&rest, '=', key) || !is_word(*key) ||
	    escape_take_word(&rest, value_raw) != OK)
		return false;
	line->pairs = rest;
	return true;
}

struct str story_value(struct story_line line, struct str key, struct buf *room)
{
	struct str name, raw;
	size_t before = buf_view(room).n;
	while (story_pair(&line, &name, &raw))
		if (str_eq(name, key))
			return escape_undo(room, raw) == OK ? str_from(buf_view(room), before) : STR_NONE;
	return STR_NONE;
}

static bool line_is_sound(struct story_line line, struct buf *room)
{
	struct str key, raw;
	while (story_pair(&line, &key, &raw)) {
		buf_clear(room);
		if (escape_undo(room, raw) != OK)
			return false;
	}
	return line.pairs.n == 0;
}

bool story_is_sound(struct str text)
{
	struct buf room;
	struct str line;
	bool sound = text.n <= STORY_BYTES_MAX;
	buf_init(&room, STORY_BYTES_MAX);
	while (sound && text.n > 0) {
		struct story_line parsed = { STR_NONE, STR_NONE };
		sound = str_take_until(&text, '\n', &line) && escape_is_plain(line) && story_next(&line, &parsed) &&
		        line_is_sound(parsed, &room);
	}
	buf_fini(&room);
	return sound;
}
