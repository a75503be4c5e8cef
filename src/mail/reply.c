/* SPDX-License-Identifier: ISC */
#include "mail/reply.h"

enum { REPLY_LINE_MAX = 512 }; /* with code and CRLF, RFC 5321 4.5.3.1.5 */

enum outcome_class reply_class(const struct smtp_reply *reply)
{
	switch (reply->code / 100) {
	case 2:
	case 3:
		return OUTCOME_DONE;
	case 5:
		return OUTCOME_NEVER;
	default:
		return OUTCOME_LATER;
	}
}

static bool take_number(struct str *rest, uint16_t *out)
{
	struct str s = *rest;
	uint64_t n;
	if (s.n > 1 && s.p[0] == '0' && ascii_is_digit((unsigned char)s.p[1]))
		return false;
	if (!str_take_u64(&s, &n) || n > 999)
		return false;
	*out = (uint16_t)n;
	*rest = s;
	return true;
}

bool status_take(struct str *rest, struct status *out)
{
	struct str s = *rest;
	struct status got;
	if (!take_number(&s, &got.class) || (got.class != 2 && got.class != 4 && got.class != 5))
		return false;
	if (!str_take_char(&s, '.') || !take_number(&s, &got.subject))
		return false;
	if (!str_take_char(&s, '.') || !take_number(&s, &got.detail))
		return false;
	if (s.n > 0 && (s.p[0] == '.' || ascii_is_alnum((unsigned char)s.p[0])))
		return false;
	*out = got;
	*rest = s;
	return true;
}

fault status_put(struct buf *out, struct status status)
{
	if (status.class == 0)
		return OK;
	size_t before = buf_view(out).n;
	fault f = buf_add_u64(out, status.class);
	f = f == OK ? buf_add_char(out, '.') : f;
	f = f == OK ? buf_add_u64(out, status.subject) : f;
	f = f == OK ? buf_add_char(out, '.') : f;
	f = f == OK ? buf_add_u64(out, status.detail) : f;
	if (f != OK)
		buf_cut(out, before);
	return f;
}

static bool is_unclean(unsigned char c, bool utf8)
{
	return c < 32 || c == 127 || (c > 127 && !utf8);
}

static fault put_clean(struct buf *out, struct str line)
{
	bool utf8 = str_is_utf8(line);
	while (line.n > 0) {
		size_t n = 0;
		while (n < line.n && !is_unclean((unsigned char)line.p[n], utf8))
			n++;
		TRY(buf_add(out, str_sub(line, 0, n)));
		if (n < line.n)
			TRY(buf_add_char(out, '?'));
		line = str_from(line, n + 1);
	}
	return OK;
}

/* The next line of a reply's text. False after the last one. */
static bool next_line(struct str *text, struct str *line)
{
	if (text->n == 0)
		return false;
	if (!str_take_until(text, '\n', line)) {
		*line = *text;
		*text = STR_NONE;
	}
	return true;
}

static fault put_code(struct buf *out, int code)
{
	return buf_add_padded(out, (uint64_t)code, 3);
}

static fault put_line(struct buf *out, const struct smtp_reply *reply, bool status, bool last, struct str line)
{
	size_t before = buf_view(out).n;
	TRY(put_code(out, reply->code));
	TRY(buf_add_char(out, last ? ' ' : '-'));
	if (status) {
		TRY(status_put(out, reply->status));
		if (line.n > 0)
			TRY(buf_add_char(out, ' '));
	}
	size_t head = buf_view(out).n - before;
	TRY(put_clean(out, str_cut_utf8(line, REPLY_LINE_MAX - 2 - head)));
	return buf_add(out, STR("\r\n"));
}

fault reply_put(struct buf *out, const struct smtp_reply *reply, bool enhanced)
{
	size_t before = buf_view(out).n;
	/* RFC 2034 4: the class is the code's first digit; 3yz replies have none. */
	bool status = enhanced && reply->status.class != 0 && reply->status.class == reply->code / 100;
	struct str rest = reply->text, line = STR_NONE;
	fault f = OK;
	(void)next_line(&rest, &line);
	do {
		struct str this_line = line;
		bool more = next_line(&rest, &line);
		f = put_line(out, reply, status, !more, this_line);
		if (!more)
			break;
	} while (f == OK);
	if (f != OK)
		buf_cut(out, before);
	return f;
}

static fault put_one_line(struct buf *out, const struct smtp_reply *reply)
{
	struct str rest = reply->text, line;
	const char *gap = "";
	if (reply->code != 0) {
		TRY(put_code(out, reply->code));
		gap = " ";
	}
	if (reply->status.class != 0) {
		TRY(buf_add(out, str_of(gap)));
		TRY(status_put(out, reply->status));
		gap = " ";
	}
	while (next_line(&rest, &line)) {
		TRY(buf_add(out, str_of(gap)));
		TRY(put_clean(out, line));
		gap = " / ";
	}
	return OK;
}

fault reply_put_line(struct buf *out, const struct smtp_reply *reply)
{
	size_t before = buf_view(out).n;
	fault f = put_one_line(out, reply);
	if (f != OK)
		buf_cut(out, before);
	return f;
}
