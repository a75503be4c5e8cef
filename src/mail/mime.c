/* SPDX-License-Identifier: ISC */
#include "mail/mime.h"

#include <string.h>

#include "base/base64.h"
#include "base/check.h"

enum { BASE64_STEP = 4096 };

/* ---- header fields ---- */

/* Blanks, folding and comments; a comment that does not end takes all. */
static void skip_blanks(struct str *rest)
{
	size_t depth = 0;
	while (rest->n > 0) {
		char c = rest->p[0];
		if (c == '(')
			depth++;
		else if (depth > 0 && c == ')')
			depth--;
		else if (depth > 0 && c == '\\')
			*rest = str_from(*rest, 1);
		else if (depth == 0 && memchr(" \t\r\n", c, 4) == NULL)
			return;
		*rest = str_from(*rest, 1);
	}
}

static struct str take_token(struct str *rest)
{
	size_t n = 0;
	while (n < rest->n && memchr(" \t\r\n;=()\"", rest->p[n], 9) == NULL)
		n++;
	struct str token = str_sub(*rest, 0, n);
	*rest = str_from(*rest, n);
	return token;
}

/* A token or a quoted string; how long it is. What is longer than the room counts as empty. */
static size_t take_value(struct str *rest, char *to, size_t room)
{
	size_t n = 0;
	if (!str_take_char(rest, '"')) {
		struct str token = take_token(rest);
		if (token.n > room)
			return 0;
		if (token.n > 0)
			memcpy(to, token.p, token.n);
		return token.n;
	}
	while (rest->n > 0 && rest->p[0] != '"') {
		if (rest->p[0] == '\\' && rest->n > 1)
			*rest = str_from(*rest, 1);
		if (rest->p[0] != '\r' && rest->p[0] != '\n') {
			if (n < room)
				to[n] = rest->p[0];
			n++;
		}
		*rest = str_from(*rest, 1);
	}
	(void)str_take_char(rest, '"');
	return n <= room ? n : 0;
}

/* RFC 2045 5.1: the first parameter of that name that is not empty; its length, or 0. */
static size_t find_parameter(struct str rest, struct str wanted, char *to, size_t room)
{
	size_t n = 0;
	for (skip_blanks(&rest); n == 0 && str_take_char(&rest, ';'); skip_blanks(&rest)) {
		skip_blanks(&rest);
		struct str name = take_token(&rest);
		skip_blanks(&rest);
		if (!str_take_char(&rest, '='))
			continue;
		skip_blanks(&rest);
		bool is_it = str_eq_nocase(name, wanted);
		n = take_value(&rest, to, is_it ? room : 0);
	}
	return n;
}

/* What stands in front of the parameters. */
static struct str take_word(struct str *rest)
{
	size_t n = 0;
	skip_blanks(rest);
	while (n < rest->n && memchr(" \t\r\n;(", rest->p[n], 6) == NULL)
		n++;
	struct str word = str_sub(*rest, 0, n);
	*rest = str_from(*rest, n);
	return word;
}

struct head {
	struct str type;
	bool has_type, has_encoding, has_disposition;
	enum mime_encoding encoding;
	struct mime_boundary boundary;
	struct mime_name name;
};

static void read_type(struct str value, struct head *h)
{
	h->has_type = true;
	h->type = take_word(&value);
	h->boundary.n = find_parameter(value, STR("boundary"), h->boundary.text, sizeof h->boundary.text);
	while (h->boundary.n > 0 && h->boundary.text[h->boundary.n - 1] == ' ')
		h->boundary.n--;
	if (h->name.n == 0) /* an older way to say it */
		h->name.n = find_parameter(value, STR("name"), h->name.text, sizeof h->name.text);
}

static void read_disposition(struct str value, struct head *h)
{
	struct mime_name name;
	h->has_disposition = true;
	(void)take_word(&value);
	name.n = find_parameter(value, STR("filename"), name.text, sizeof name.text);
	if (name.n > 0)
		h->name = name;
}

static enum mime_encoding encoding_of(struct str value)
{
	static const struct { struct str name; enum mime_encoding encoding; } known[] = {
		{ STR_INIT("7bit"), MIME_AS_IT_IS }, { STR_INIT("8bit"), MIME_AS_IT_IS }, { STR_INIT("binary"), MIME_AS_IT_IS },
		{ STR_INIT("base64"), MIME_BASE64 }, { STR_INIT("quoted-printable"), MIME_QUOTED_PRINTABLE },
	};
	skip_blanks(&value);
	struct str name = take_token(&value);
	for (size_t i = 0; i < COUNT(known); i++)
		if (str_eq_nocase(name, known[i].name))
			return known[i].encoding;
	return MIME_UNKNOWN;
}

/* The first of each counts. A line that is no field is passed over. */
static void read_field(struct str field, struct head *h)
{
	struct str name;
	if (!str_take_until(&field, ':', &name))
		return;
	name = str_trim(name);
	if (!h->has_type && str_eq_nocase(name, STR("Content-Type")))
		read_type(field, h);
	if (!h->has_encoding && str_eq_nocase(name, STR("Content-Transfer-Encoding"))) {
		h->has_encoding = true;
		h->encoding = encoding_of(field);
	}
	if (!h->has_disposition && str_eq_nocase(name, STR("Content-Disposition")))
		read_disposition(field, h);
}

/* ---- boundaries ---- */

/* Is this line "--" and a boundary? The innermost that fits; blanks behind it are nothing. */
static bool is_delimiter(const struct mime *m, struct str line, size_t *level_out, bool *closes_out)
{
	if (!str_take(&line, STR("--")))
		return false;
	line.n -= line.n > 0 && line.p[line.n - 1] == '\r'; /* at the message's end no LF may follow it */
	for (size_t level = m->depth; level-- > 0;) {
		struct str rest = line;
		const struct mime_boundary *b = &m->boundaries[level];
		if (!str_take(&rest, (struct str){ b->text, b->n }))
			continue;
		bool closes = str_take(&rest, STR("--"));
		if (str_trim(rest).n == 0) {
			*level_out = level;
			*closes_out = closes;
			return true;
		}
	}
	return false;
}

/* Up to its empty line, or to a delimiter, which stays. */
static void read_header(struct mime *m, struct head *h)
{
	struct str after = m->rest, line = STR_NONE, field = { m->rest.p, 0 };
	size_t level;
	bool closes;
	while (str_next_line(&after, &line) && line.n > 0 && !is_delimiter(m, line, &level, &closes)) {
		bool folded = line.p[0] == ' ' || line.p[0] == '\t';
		if (!folded) {
			read_field(field, h);
			field.p = line.p;
		}
		field.n = (size_t)(line.p + line.n - field.p);
		m->rest = after;
	}
	read_field(field, h);
	if (line.n == 0)
		m->rest = after;
}

/* All up to the next delimiter, without the end of line that belongs to it. */
static struct str take_body(struct mime *m)
{
	struct str body = m->rest, line;
	size_t level;
	bool closes;
	while (str_next_line(&m->rest, &line)) {
		if (is_delimiter(m, line, &level, &closes)) {
			m->depth = closes ? level : level + 1;
			m->at = !closes ? MIME_AT_HEADER : level > 0 ? MIME_BETWEEN : MIME_OVER;
			body.n = (size_t)(line.p - body.p);
			body.n -= body.n > 0;
			body.n -= body.n > 0 && body.p[body.n - 1] == '\r';
			return body;
		}
	}
	m->at = MIME_OVER;
	return body;
}

/* ---- parts ---- */

void mime_begin(struct mime *m, struct str message)
{
	*m = (struct mime){ .rest = message, .at = MIME_AT_HEADER };
}

static fault refuse(struct mime *m, struct why *why, const char *what, int most)
{
	m->at = MIME_OVER;
	return why_say(why, F_LIMIT, "the message has more than %d parts%s", most, what);
}

fault mime_next(struct mime *m, struct mime_part *out, struct why *why)
{
	while (m->at != MIME_OVER) {
		struct head h = { .type = STR("text/plain"), .encoding = MIME_AS_IT_IS };
		if (m->at == MIME_BETWEEN) {
			(void)take_body(m);
			continue;
		}
		if (m->parts++ == MIME_PARTS_MAX)
			return refuse(m, why, "", MIME_PARTS_MAX);
		read_header(m, &h);
		if (str_eq_nocase(h.type, STR("message/rfc822")) || str_eq_nocase(h.type, STR("message/global")))
			continue;
		if (str_starts_nocase(h.type, STR("multipart/")) && h.boundary.n > 0) {
			if (m->depth == MIME_DEPTH_MAX)
				return refuse(m, why, " inside each other", MIME_DEPTH_MAX);
			m->boundaries[m->depth++] = h.boundary;
			m->at = MIME_BETWEEN;
			continue;
		}
		*out = (struct mime_part){ .type = h.type, .encoding = h.encoding, .body = take_body(m), .name = h.name };
		return OK;
	}
	return F_ABSENT;
}

/* ---- encodings ---- */

static fault decode_base64(struct buf *out, struct str text)
{
	char some[BASE64_STEP];
	size_t n = 0;
	bool padded = false;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (memchr(" \t\r\n", c, 4) != NULL)
			continue;
		if (padded)
			return F_SYNTAX; /* something behind the end */
		some[n++] = c;
		if (n < sizeof some)
			continue;
		TRY(base64_get(out, (struct str){ some, n }));
		padded = c == '=';
		n = 0;
	}
	return base64_get(out, (struct str){ some, n });
}

/* RFC 2045 6.7: blanks at a line's end are nothing, "=" there is no end of line. */
static fault decode_quoted(struct buf *out, struct str text)
{
	struct str line;
	while (text.n > 0) {
		bool ended = str_take_line(&text, &line);
		if (!ended) {
			line = text;
			text = STR_NONE;
		}
		while (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
			line.n--;
		bool soft = line.n > 0 && line.p[line.n - 1] == '=';
		line.n -= soft;
		for (size_t i = 0; i < line.n; i++) {
			char c = line.p[i];
			if (c == '=') {
				bool both = line.n - i > 2;
				int high = both ? hex_digit((unsigned char)line.p[i + 1]) : -1;
				int low = both ? hex_digit((unsigned char)line.p[i + 2]) : -1;
				if (high < 0 || low < 0)
					return F_SYNTAX;
				c = (char)(high << 4 | low);
				i += 2;
			}
			TRY(buf_add_char(out, c));
		}
		TRY(ended && !soft ? buf_add_char(out, '\n') : OK);
	}
	return OK;
}

fault mime_decode(struct buf *out, const struct mime_part *part, struct why *why)
{
	size_t before = buf_view(out).n;
	fault f = part->encoding == MIME_AS_IT_IS ? buf_add(out, part->body)
	          : part->encoding == MIME_BASE64 ? decode_base64(out, part->body)
	          : part->encoding == MIME_QUOTED_PRINTABLE ? decode_quoted(out, part->body) : F_SYNTAX;
	if (f == OK)
		return OK;
	buf_cut(out, before);
	return why_say(why, f, f == F_LIMIT ? "a part of the message is too large"
	                       : part->encoding == MIME_UNKNOWN ? "a part of the message has an encoding that nobody knows"
	                                                        : "a part of the message is not in the encoding that it names");
}
