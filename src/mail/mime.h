/* SPDX-License-Identifier: ISC */
/*
 * mail/mime.h -- the parts of a message that hold something, one after the other. Pure.
 *
 * What encloses parts, multipart/... and message/rfc822, is opened; the rest comes as it stands in the message, to be decoded by
 * mime_decode. A message is read once from its front to its end, whatever its boundaries say: one that never comes ends with the
 * message, one of an enclosing part ends those in it, a multipart without one is a part like any other. Lines end with LF or CRLF.
 *
 * Source   RFC 2045 5 and 6; RFC 2046 5.1, 5.2.1; RFC 2183 2.3 (file names; not those of RFC 2231); RFC 5322 2.2.
 * Limits   MIME_DEPTH_MAX multiparts in each other, MIME_PARTS_MAX headers in all, boundaries of MIME_BOUNDARY_MAX bytes, file names
 *          of MIME_NAME_MAX (a longer one is none). Time and memory: linear in the message.
 * Errors   mime_next: F_ABSENT at the end; F_LIMIT, and that is the end. mime_decode: F_SYNTAX, F_LIMIT; the buffer is unchanged.
 * Owns     Slices point into the message.
 * Tests    test/unit/mail/mime_test.c, fuzz/mime.c
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include "base/buf.h"
#include "base/fault.h"
#include "base/str.h"

enum { MIME_DEPTH_MAX = 8, MIME_PARTS_MAX = 200, MIME_BOUNDARY_MAX = 70, MIME_NAME_MAX = 255 };

enum mime_encoding { MIME_AS_IT_IS, MIME_BASE64, MIME_QUOTED_PRINTABLE, MIME_UNKNOWN };

struct mime_part {
	struct str type;                 /* "text/plain" where nothing is said; letters as they are written */
	enum mime_encoding encoding;
	struct str body;
	struct mime_name { size_t n; char text[MIME_NAME_MAX]; } name; /* of a file, as the sender has it; n is 0 if it has none */
};

struct mime {
	struct str rest;
	enum { MIME_AT_HEADER, MIME_BETWEEN, MIME_OVER } at;
	size_t parts, depth;
	struct mime_boundary { size_t n; char text[MIME_BOUNDARY_MAX]; } boundaries[MIME_DEPTH_MAX];
};

void mime_begin(struct mime *m, struct str message);
MUST_USE fault mime_next(struct mime *m, struct mime_part *out, struct why *why);

MUST_USE fault mime_decode(struct buf *out, const struct mime_part *part, struct why *why);

#endif
