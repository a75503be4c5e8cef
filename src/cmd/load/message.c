/* SPDX-License-Identifier: ISC */
/* cmd/load/message.c -- addresses and content: lines of letters, made once, and a header of its own for each message. */
#include "cmd/load/load.h"

#include "base/check.h"

enum { LINE = 78, BLOCK_LINES = 800 };

/* ---- patterns ---- */

/* "%m", "%100m", "%%" at the front of *rest, behind the %. modulo_out is 0 for none. */
static bool take_place(struct str *rest, char *what_out, uint64_t *modulo_out)
{
	struct str r = *rest;
	*modulo_out = 0;
	if (r.n > 0 && ascii_is_digit((unsigned char)r.p[0]) && (!str_take_u64(&r, modulo_out) || *modulo_out == 0))
		return false;
	if (r.n == 0 || (r.p[0] != 'm' && r.p[0] != 'c' && r.p[0] != 'r' && (r.p[0] != '%' || *modulo_out != 0)))
		return false;
	*what_out = r.p[0];
	*rest = str_from(r, 1);
	return true;
}

bool pattern_is_good(struct str pattern)
{
	char what;
	uint64_t modulo;
	if (pattern.n > LOAD_PATTERN_BYTES_MAX)
		return false;
	while (pattern.n > 0) {
		unsigned char c = (unsigned char)pattern.p[0];
		pattern = str_from(pattern, 1);
		if (c <= ' ' || c == 127 || c == '<' || c == '>')
			return false;
		if (c == '%' && !take_place(&pattern, &what, &modulo))
			return false;
	}
	return true;
}

fault pattern_put(struct buf *out, struct str pattern, uint64_t message, unsigned connection, unsigned rcpt)
{
	while (pattern.n > 0) {
		char what = '%';
		uint64_t modulo = 0;
		size_t at;
		bool more = str_find(pattern, '%', &at);
		TRY(buf_add(out, str_sub(pattern, 0, more ? at : pattern.n)));
		pattern = str_from(pattern, more ? at + 1 : pattern.n);
		if (!more)
			break;
		bool good = take_place(&pattern, &what, &modulo);
		check(good); /* pattern_is_good has said so */
		uint64_t n = what == 'm' ? message : what == 'c' ? connection : rcpt;
		TRY(what == '%' ? buf_add_char(out, '%') : buf_add_u64(out, modulo != 0 ? n % modulo : n));
	}
	return OK;
}

/* ---- content ---- */

static void put_line(struct load *load, size_t octets)
{
	char line[LINE + 1];
	for (size_t i = 0; i + 2 < octets; i++)
		line[i] = (char)('a' + (i * 7 + octets) % 26);
	line[octets - 2] = '\r';
	line[octets - 1] = '\n';
	fault f = buf_add(&load->body, (struct str){ line, octets });
	check(f == OK);
}

/* Lines of 78 octets, and one of 79. */
void message_prepare(struct load *load)
{
	buf_init(&load->body, (size_t)LINE * (BLOCK_LINES + 2));
	for (size_t i = 0; i < BLOCK_LINES; i++)
		put_line(load, LINE);
	put_line(load, LINE + 1);
}

uint64_t message_body_octets(const struct load *load, size_t header_octets)
{
	uint64_t size = load->plan->size, n = size > header_octets ? size - header_octets : 0;
	return n == 1 ? 0 : n; /* a line has two octets at least */
}

/* What is left for the last line is 2 to 79 octets: the end of a line, which ends with CRLF as it does. */
struct str message_body(const struct load *load, uint64_t octets, uint64_t from)
{
	size_t last = (size_t)(octets % LINE == 1 ? LINE + 1 : octets % LINE);
	struct str lines = buf_view(&load->body), block = str_sub(lines, 0, (size_t)LINE * BLOCK_LINES);
	uint64_t full = octets - last;
	if (from < full)
		return str_sub(block, (size_t)(from % block.n), full - from < block.n ? (size_t)(full - from) : block.n);
	return str_from(lines, lines.n - last + (size_t)(from - full));
}

fault message_put_header(const struct load *load, struct buf *out, uint64_t message, unsigned connection)
{
	const struct load_plan *p = load->plan;
	TRY(buf_add(out, STR("From: <")));
	TRY(pattern_put(out, p->from, message, connection, 0));
	TRY(buf_add(out, STR(">\r\nTo: <")));
	TRY(pattern_put(out, p->to[0], message, connection, 0));
	TRY(buf_add(out, STR(">\r\n")));
	TRY(buf_add(out, str_of(load->date)));
	TRY(buf_add(out, STR("Message-ID: <")));
	TRY(buf_add_u64(out, message));
	TRY(buf_add_char(out, '.'));
	TRY(buf_add_u64(out, (uint64_t)load->started_us));
	TRY(buf_add_char(out, '@'));
	TRY(buf_add(out, p->helo));
	TRY(buf_add(out, STR(">\r\nSubject: load ")));
	TRY(buf_add_u64(out, message));
	return buf_add(out, STR("\r\n\r\n"));
}
