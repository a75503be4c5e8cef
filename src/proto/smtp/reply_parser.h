/* SPDX-License-Identifier: ISC */
/*
 * proto/smtp/reply_parser.h -- takes a server's replies out of a stream of bytes, one at a time.
 *
 * Source   RFC 5321 4.2.1 (the grammar; a code without text is accepted), RFC 2034 (status codes).
 * Strict   Only CRLF ends a line, the code is three digits from 200 to 599, all lines of one reply carry the same
 *          code. Control bytes and what is not UTF-8 in the text become '?', so that a reply is harmless to show.
 * Limits   REPLY_LINE_MAX octets a line, REPLY_LINES_MAX lines, REPLY_TEXT_MAX octets of text in one reply.
 * Errors   F_SYNTAX: not a reply. F_LIMIT: too long. After either the stream has lost its sense: nothing more is
 *          taken, and reply_parser_problem says what was wrong.
 * Owns     The reply's text lives until the next call of reply_parser_feed.
 * Tests    test/unit/proto/smtp/reply_parser_test.c, fuzz/smtp_reply.c
 */
#ifndef PROTO_SMTP_REPLY_PARSER_H
#define PROTO_SMTP_REPLY_PARSER_H

#include "mail/reply.h"

enum { REPLY_LINE_MAX = 2048, REPLY_LINES_MAX = 256, REPLY_TEXT_MAX = 16 << 10 };

struct reply_parser {
	struct buf line;       /* the line so far, without its CRLF */
	struct buf text;
	int code;              /* 0: between replies */
	unsigned lines;
	struct status status;
	bool after_cr, whole;
	const char *problem;
};

void reply_parser_init(struct reply_parser *p);
void reply_parser_fini(struct reply_parser *p);

/* Takes bytes up to the end of one reply. *whole_out: it is complete, look at reply_parser_reply. */
MUST_USE fault    reply_parser_feed(struct reply_parser *p, struct str bytes, size_t *used_out, bool *whole_out);
struct smtp_reply reply_parser_reply(const struct reply_parser *p);
const char       *reply_parser_problem(const struct reply_parser *p);

#endif
