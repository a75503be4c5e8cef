/* SPDX-License-Identifier: ISC */
#include "talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"

enum { TALK_BYTES_MAX = 4 << 20 };

static fault bad(struct why *why, const struct talk *t, unsigned line, const char *what)
{
	return why_say(why, F_SYNTAX, "%.*s:%u: %s", STR_ARG(t->name), line, what);
}

static fault unescape(struct buf *out, struct str text);

/* \*600{ab}: what stands between the braces, 600 times. */
static fault repeat(struct buf *out, struct str *rest)
{
	uint64_t times;
	struct str what;
	if (!str_take_u64(rest, &times) || !str_take_char(rest, '{') || !str_take_until(rest, '}', &what))
		return F_SYNTAX;
	for (uint64_t i = 0; i < times; i++)
		TRY(unescape(out, what));
	return OK;
}

static fault unescape_one(struct buf *out, struct str *rest)
{
	if (rest->n == 0)
		return F_SYNTAX;
	char c = rest->p[0];
	*rest = str_from(*rest, 1);
	switch (c) {
	case 'r':
		return buf_add_char(out, '\r');
	case 'n':
		return buf_add_char(out, '\n');
	case 't':
		return buf_add_char(out, '\t');
	case '0':
		return buf_add_char(out, '\0');
	case 's':
		return buf_add_char(out, ' ');
	case '\\':
		return buf_add_char(out, '\\');
	case '*':
		return repeat(out, rest);
	case 'x':
		if (rest->n < 2 || hex_digit((unsigned char)rest->p[0]) < 0 || hex_digit((unsigned char)rest->p[1]) < 0)
			return F_SYNTAX;
		TRY(buf_add_char(out, (char)(hex_digit((unsigned char)rest->p[0]) * 16 +
					     hex_digit((unsigned char)rest->p[1]))));
		*rest = str_from(*rest, 2);
		return OK;
	default:
		return F_SYNTAX;
	}
}

static fault unescape(struct buf *out, struct str text)
{
	while (text.n > 0) {
		char c = text.p[0];
		text = str_from(text, 1);
		if (c == '\\')
			TRY(unescape_one(out, &text));
		else
			TRY(buf_add_char(out, c));
	}
	return OK;
}

static fault plain_text(struct talk *t, struct str text, bool line_end, struct str *out)
{
	struct buf plain;
	buf_init(&plain, TALK_BYTES_MAX);
	fault f = unescape(&plain, text);
	if (f == OK && line_end)
		f = buf_add(&plain, STR("\r\n"));
	if (f == OK)
		*out = arena_copy(t->arena, buf_view(&plain));
	buf_fini(&plain);
	return f;
}

static bool line_end_follows(const struct talk_step *step)
{
	if (step->side == TALK_EVENT)
		return step->mark == ':' && str_starts(step->text, STR("body"));
	return strchr(":&*", step->mark) != NULL;
}

static fault parse_step(struct talk *t, struct str line, struct talk_step *step, struct why *why)
{
	step->side = (enum talk_side)line.p[0];
	if (step->side == TALK_ORDER) {
		step->mark = ' ';
		step->text = arena_copy(t->arena, str_trim(str_from(line, 1)));
		return OK;
	}
	static const struct { char side; const char *marks; } allowed[] = {
		{ 'C', ":&=+*~" }, { 'S', ":&=+*~" }, { 'E', ":=~" },
	};
	bool known = false;
	for (size_t i = 0; i < COUNT(allowed); i++)
		known |= line.n >= 2 && line.p[0] == allowed[i].side && strchr(allowed[i].marks, line.p[1]) != NULL;
	if (!known)
		return bad(why, t, step->line, "a step starts with C: C& C= C+ S: S* S~ S= E: E= E~ or !");
	step->mark = line.p[1];
	step->text = str_from(line, 2);
	(void)str_take_char(&step->text, ' ');

	size_t arrow;
	fault f = OK;
	bool ends = line_end_follows(step);
	if (step->side == TALK_EVENT && str_find_str(step->text, STR("=>"), &arrow)) {
		f = plain_text(t, str_trim(str_from(step->text, arrow + 2)), false, &step->answer);
		step->text = str_trim(str_sub(step->text, 0, arrow));
	}
	if (f == OK)
		f = plain_text(t, step->text, ends, &step->text);
	return f == OK ? OK : bad(why, t, step->line, "an escape is \\r \\n \\t \\0 \\s \\\\ \\xHH or \\*N{text}");
}

static fault parse_given(struct talk *t, struct str words, unsigned line, struct why *why)
{
	struct str key, value;
	while (str_take_word(&words, &key)) {
		if (!str_take_word(&words, &value))
			return bad(why, t, line, "given takes pairs: KEY VALUE KEY VALUE ...; values with blanks are written with _");
		char *copy = (char *)(uintptr_t)arena_copy(t->arena, value).p;
		for (size_t i = 0; i < value.n; i++)
			if (copy[i] == '_')
				copy[i] = ' ';
		t->given[t->n_given++] = (struct talk_given){ arena_copy(t->arena, key), { copy, value.n } };
	}
	return OK;
}

static fault parse_line(struct talk *t, struct str line, unsigned number, struct why *why)
{
	if (line.n == 0)
		return OK;
	if (line.p[0] == '#') {
		if (t->title.n == 0)
			t->title = arena_copy(t->arena, str_trim(str_from(line, 1)));
		return OK;
	}
	if (str_take(&line, STR("given ")))
		return parse_given(t, line, number, why);
	struct talk_step *step = &t->steps[t->n_steps++];
	*step = (struct talk_step){ .line = number };
	return parse_step(t, line, step, why);
}

fault talk_parse(struct str name, struct str text, struct talk *out, struct why *why)
{
	*out = (struct talk){ .arena = arena_new(4 * TALK_BYTES_MAX) };
	out->name = arena_copy(out->arena, name);
	size_t lines = 1;
	for (size_t i = 0; i < text.n; i++)
		lines += text.p[i] == '\n';
	out->steps = ARENA_ARRAY(out->arena, struct talk_step, lines);
	out->given = ARENA_ARRAY(out->arena, struct talk_given, text.n / 4 + 1);

	struct str line;
	fault f = OK;
	for (unsigned number = 1; f == OK && text.n > 0; number++) {
		if (!str_take_until(&text, '\n', &line)) {
			line = text;
			text = STR_NONE;
		}
		f = parse_line(out, line, number, why);
	}
	if (f == OK && out->title.n == 0)
		f = bad(why, out, 1, "a dialogue starts with a comment that says what it shows");
	if (f != OK)
		talk_free(out);
	return f;
}

fault talk_read(const char *path, struct talk *out, struct why *why)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return why_say(why, F_ABSENT, "%s: cannot be opened", path);
	char *text = must_alloc(TALK_BYTES_MAX);
	size_t n = fread(text, 1, TALK_BYTES_MAX, file);
	fclose(file);
	const char *slash = strrchr(path, '/');
	fault f = talk_parse(str_of(slash != NULL ? slash + 1 : path), (struct str){ text, n }, out, why);
	free(text);
	return f;
}

void talk_free(struct talk *t)
{
	arena_free(&t->arena);
	*t = (struct talk){ 0 };
}

struct str talk_given(const struct talk *t, const char *key)
{
	for (size_t i = 0; i < t->n_given; i++)
		if (str_eq(t->given[i].key, str_of(key)))
			return t->given[i].value;
	return STR_NONE;
}

bool talk_given_number(const struct talk *t, const char *key, uint64_t *out)
{
	struct str value = talk_given(t, key);
	return value.p != NULL && str_u64(value, out);
}

bool talk_given_yes(const struct talk *t, const char *key)
{
	return str_eq(talk_given(t, key), STR("yes"));
}
