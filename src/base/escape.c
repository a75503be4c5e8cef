/* SPDX-License-Identifier: ISC */
#include "base/escape.h"

#include <stdio.h>
#include <string.h>

enum { ONE_MAX = 32 }; /* a character, as it is written */

/* ---- writing ---- */

/* Controls, and what makes a reader see another text than is there: direction marks, invisible characters, tags. */
static bool deceives(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

/* The length of the UTF-8 character that s begins with, or 0. */
static size_t character(struct str s, uint32_t *out)
{
	unsigned char first = (unsigned char)s.p[0];
	size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (n > s.n || !str_is_utf8(str_sub(s, 0, n)))
		return 0;
	*out = n == 1 ? first : first & (0x7fu >> n);
	for (size_t i = 1; i < n; i++)
		*out = *out << 6 | ((unsigned char)s.p[i] & 0x3f);
	return n;
}

static size_t escape_bytes(char *to, struct str bytes, const char *format)
{
	size_t n = 0;
	for (size_t i = 0; i < bytes.n; i++)
		n += (size_t)snprintf(to + n, ONE_MAX - n, format, (unsigned)(unsigned char)bytes.p[i]);
	return n;
}

/* One character as it is written between quotes; says how many bytes of s it was. */
static size_t write_character(char to[ONE_MAX], size_t *written_out, struct str s, bool json)
{
	uint32_t c = 0;
	size_t n = character(s, &c);
	if (n == 0) {
		*written_out = escape_bytes(to, str_sub(s, 0, 1), json ? "\\\\x%02x" : "\\x%02x");
		return 1;
	}
	if (deceives(c)) {
		if (!json)
			*written_out = escape_bytes(to, str_sub(s, 0, n), "\\x%02x");
		else if (c > 0xffff)
			*written_out = (size_t)snprintf(to, ONE_MAX, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (c >> 10)),
			                               (unsigned)(0xdc00 + (c & 0x3ff)));
		else
			*written_out = (size_t)snprintf(to, ONE_MAX, "\\u%04x", (unsigned)c);
		return n;
	}
	*written_out = 0;
	if (c == '"' || c == '\\')
		to[(*written_out)++] = '\\';
	memcpy(to + *written_out, s.p, n);
	*written_out += n;
	return n;
}

/* Nearly all that is put: printable ASCII, which is written as it is. How many such characters are at the front. */
static size_t simple_run(struct str s)
{
	size_t n = 0;
	while (n < s.n && s.p[n] >= ' ' && s.p[n] < 0x7f && s.p[n] != '"' && s.p[n] != '\\')
		n++;
	return n;
}

static bool stands_bare(struct str s, size_t max)
{
	return s.n > 0 && s.n <= max && simple_run(s) == s.n && !str_has(s, ' ');
}

static fault put_quoted(struct buf *out, struct str value, bool json, size_t max)
{
	size_t n = 0;
	TRY(buf_add_char(out, '"'));
	while (value.n > 0) {
		char one[ONE_MAX];
		size_t written = 0, run = simple_run(value), room = max - n;
		TRY(buf_add(out, str_sub(value, 0, run < room ? run : room)));
		n += run;
		value = str_from(value, run);
		if (n <= max && value.n == 0)
			break;
		size_t used = n > max ? 0 : write_character(one, &written, value, json);
		n += written;
		if (n > max) {
			TRY(buf_add(out, STR("...")));
			break;
		}
		TRY(buf_add(out, (struct str){ one, written }));
		value = str_from(value, used);
	}
	return buf_add_char(out, '"');
}

fault escape_put(struct buf *out, struct str value, enum escape_form form, size_t max)
{
	size_t before = buf_view(out).n;
	if (form == ESCAPE_WORD && stands_bare(value, max))
		return buf_add(out, value);
	fault f = put_quoted(out, value, form == ESCAPE_JSON, max);
	if (f != OK)
		buf_cut(out, before);
	return f;
}

size_t escape_character(struct str text, bool *plain_out)
{
	uint32_t c = 0;
	size_t n = character(text, &c);
	*plain_out = n > 0 && !deceives(c);
	return n > 0 ? n : 1;
}

fault escape_put_text(struct buf *out, struct str text, enum escape_form form, bool lines)
{
	size_t before = buf_view(out).n;
	while (text.n > 0) {
		char one[ONE_MAX];
		size_t written = 0;
		bool plain;
		size_t used = escape_character(text, &plain);
		bool stays = plain || (lines && (text.p[0] == '\n' || text.p[0] == '\t'));
		if (!stays)
			used = write_character(one, &written, text, form == ESCAPE_JSON);
		fault f = buf_add(out, stays ? str_sub(text, 0, used) : (struct str){ one, written });
		if (f != OK) {
			buf_cut(out, before);
			return f;
		}
		text = str_from(text, used);
	}
	return OK;
}

bool escape_is_plain(struct str text)
{
	uint32_t c = 0;
	while (text.n > 0) {
		size_t n = simple_run(text);
		if (n == 0)
			n = character(text, &c);
		else
			c = ' ';
		if (n == 0 || deceives(c))
			return false;
		text = str_from(text, n);
	}
	return true;
}

/* ---- reading ---- */

fault escape_take_word(struct str *rest, struct str *raw_out)
{
	struct str s = *rest;
	size_t n = 0;
	bool quoted = s.n > 0 && s.p[0] == '"', closed = !quoted;
	if (quoted)
		for (n = 1; n < s.n && !closed; n++) {
			if (s.p[n] == '\\')
				n++;
			else
				closed = s.p[n] == '"';
		}
	else
		while (n < s.n && s.p[n] != ' ')
			n++;
	if (!closed || (n < s.n && s.p[n] != ' '))
		return F_SYNTAX;
	*raw_out = str_sub(s, 0, n);
	*rest = str_from(s, n);
	return OK;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* At a backslash. */
static fault undo_one(struct buf *out, struct str *inside)
{
	struct str s = *inside;
	if (s.n < 2)
		return F_SYNTAX;
	size_t used = 2;
	char c = s.p[1];
	if (c == 'x') {
		int high = s.n >= 4 ? hex_digit(s.p[2]) : -1, low = s.n >= 4 ? hex_digit(s.p[3]) : -1;
		if (high < 0 || low < 0)
			return F_SYNTAX;
		c = (char)(unsigned char)(high * 16 + low);
		used = 4;
	} else if (c != '"' && c != '\\') {
		return F_SYNTAX;
	}
	*inside = str_from(s, used);
	return buf_add_char(out, c);
}

fault escape_undo(struct buf *out, struct str raw)
{
	size_t before = buf_view(out).n;
	if (raw.n < 2 || raw.p[0] != '"')
		return buf_add(out, raw);
	struct str inside = str_sub(raw, 1, raw.n - 2);
	fault f = OK;
	while (f == OK && inside.n > 0) {
		size_t run = inside.n;
		(void)str_find(inside, '\\', &run);
		f = buf_add(out, str_sub(inside, 0, run));
		inside = str_from(inside, run);
		if (f == OK && inside.n > 0)
			f = undo_one(out, &inside);
	}
	if (f != OK)
		buf_cut(out, before);
	return f;
}
