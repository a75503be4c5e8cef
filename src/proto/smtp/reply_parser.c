/* SPDX-License-Identifier: ISC */
#include "proto/smtp/reply_parser.h"

void reply_parser_init(struct reply_parser *p)
{
	*p = (struct reply_parser){ .problem = "" };
	buf_init(&p->line, REPLY_LINE_MAX);
	buf_init(&p->text, REPLY_TEXT_MAX);
}

void reply_parser_fini(struct reply_parser *p)
{
	buf_fini(&p->line);
	buf_fini(&p->text);
}

struct smtp_reply reply_parser_reply(const struct reply_parser *p)
{
	return (struct smtp_reply){ .code = p->code, .status = p->status, .text = buf_view(&p->text) };
}

const char *reply_parser_problem(const struct reply_parser *p)
{
	return p->problem;
}

static fault broken(struct reply_parser *p, fault f, const char *problem)
{
	p->problem = problem;
	return f;
}

/* "250", then '-' (more lines follow), SP, or the end. */
static bool take_code(struct str *rest, int *code_out, bool *more_out)
{
	if (rest->n < 3 || rest->p[0] < '2' || rest->p[0] > '5' || !ascii_is_digit((unsigned char)rest->p[1]) ||
	    !ascii_is_digit((unsigned char)rest->p[2]))
		return false;
	if (rest->n > 3 && rest->p[3] != ' ' && rest->p[3] != '-')
		return false;
	*code_out = (rest->p[0] - '0') * 100 + (rest->p[1] - '0') * 10 + (rest->p[2] - '0');
	*more_out = rest->n > 3 && rest->p[3] == '-';
	*rest = str_from(*rest, 4);
	return true;
}

/* The status code of RFC 2034 in front of the text, if it fits the reply's class. */
static void take_status(struct reply_parser *p, struct str *text)
{
	struct str rest = *text;
	struct status s;
	if (!status_take(&rest, &s) || s.class != p->code / 100 || (rest.n > 0 && rest.p[0] != ' '))
		return;
	if (p->lines == 1)
		p->status = s;
	str_take_char(&rest, ' ');
	*text = rest;
}

/* Nothing that a peer says may move a cursor or end a line where it is shown. */
static fault add_harmless(struct buf *to, struct str text)
{
	bool utf8 = str_is_utf8(text);
	size_t from = buf_view(to).n;
	TRY(buf_add(to, text));
	for (size_t i = from; i < to->tail - to->head; i++) {
		unsigned char c = (unsigned char)to->base[to->head + i];
		if ((c < 32 && c != '\t') || c == 127 || (c > 127 && !utf8))
			to->base[to->head + i] = '?';
	}
	return OK;
}

static fault end_line(struct reply_parser *p)
{
	struct str rest = buf_view(&p->line);
	int code;
	bool more;
	if (!take_code(&rest, &code, &more))
		return broken(p, F_SYNTAX, "a line without a reply code");
	if (p->code != 0 && code != p->code)
		return broken(p, F_SYNTAX, "a reply whose lines carry different codes");
	if (++p->lines > REPLY_LINES_MAX)
		return broken(p, F_LIMIT, "a reply of too many lines");
	p->code = code;
	take_status(p, &rest);
	if ((p->lines > 1 && buf_add_char(&p->text, '\n') != OK) || add_harmless(&p->text, rest) != OK)
		return broken(p, F_LIMIT, "a reply that is too long");
	buf_clear(&p->line);
	p->whole = !more;
	return OK;
}

static fault take_part(struct reply_parser *p, struct str part)
{
	/* Room for the CRLF is part of the limit (RFC 5321 4.5.3.1.5 counts it). */
	if (buf_view(&p->line).n + part.n > REPLY_LINE_MAX - 2)
		return broken(p, F_LIMIT, "a line that is too long");
	return buf_add(&p->line, part);
}

fault reply_parser_feed(struct reply_parser *p, struct str bytes, size_t *used_out, bool *whole_out)
{
	*used_out = 0;
	*whole_out = false;
	if (p->problem[0] != '\0')
		return F_STATE;
	if (p->whole) {
		buf_clear(&p->text);
		p->code = 0;
		p->lines = 0;
		p->status = (struct status){ 0 };
		p->whole = false;
	}
	for (size_t at = 0; at < bytes.n && !p->whole; *used_out = at) {
		char c = bytes.p[at];
		if (p->after_cr && c == '\n') {
			p->after_cr = false;
			at++;
			TRY(end_line(p));
			continue;
		}
		if (p->after_cr) { /* a CR alone is text, and shown as '?' */
			p->after_cr = false;
			TRY(take_part(p, STR("\r")));
			continue;
		}
		if (c == '\n')
			return broken(p, F_SYNTAX, "a line ended by LF alone");
		if (c == '\r') {
			p->after_cr = true;
			at++;
			continue;
		}
		size_t n = 0;
		while (at + n < bytes.n && bytes.p[at + n] != '\r' && bytes.p[at + n] != '\n')
			n++;
		TRY(take_part(p, str_sub(bytes, at, n)));
		at += n;
	}
	*whole_out = p->whole;
	return OK;
}
