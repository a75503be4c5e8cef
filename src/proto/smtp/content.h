/* SPDX-License-Identifier: ISC */
/*
 * proto/smtp/content.h -- a message's bytes as they arrive: dot-unstuffed, checked, passed on in slices.
 *
 * Only CRLF ends a line and only CRLF.CRLF ends DATA. The first bare CR, bare LF or NUL, or a line over
 * the limit, is told once; from then on nothing is passed on and only the true end is looked for.
 * What is passed on ends every line with CRLF, also the last.
 *
 * Source   RFC 5321 4.5.2 (transparency), 2.3.8 and 4.1.1.4 (line ends), RFC 3030 2 (chunks are not dot-stuffed).
 * Safety   SMTP smuggling (CVE-2023-51764 and its relatives): no other sequence is ever taken for the end.
 * Tests    test/talk/smtp-server, fuzz/smtp_server.c
 */
#ifndef PROTO_SMTP_CONTENT_H
#define PROTO_SMTP_CONTENT_H

#include "base/str.h"

enum content_place { CONTENT_LINE_START, CONTENT_IN_LINE, CONTENT_AFTER_CR, CONTENT_AFTER_DOT, CONTENT_AFTER_DOT_CR };

struct content {
	enum content_place place;
	bool dots;        /* DATA: stuffed dots, and the end is in the text. BDAT: neither */
	bool lost;        /* nothing is passed on any more */
	bool eight_bit;   /* a byte above 127 was seen */
	size_t line_max;  /* without CRLF; 0: none */
	size_t line;      /* octets of the current line so far */
	uint64_t bytes;   /* passed on so far */
};

enum content_result {
	CONTENT_MORE,
	CONTENT_END,       /* DATA: the final dot has been taken */
	CONTENT_BARE,      /* told once; lost is set */
	CONTENT_LONG_LINE, /* the same */
};

/* Consumes from the front of *in, which is not empty; *out is what to pass on, perhaps empty, and
 * lies in what was consumed or is static. Call again until *in is empty. */
enum content_result content_take(struct content *c, struct str *in, struct str *out);

/* BDAT LAST: CONTENT_BARE if a CR is left over; else *out is the CRLF that the last line lacks, or empty. */
enum content_result content_finish(struct content *c, struct str *out);

#endif
