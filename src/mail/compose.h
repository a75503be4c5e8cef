/* SPDX-License-Identifier: ISC */
/*
 * mail/compose.h -- makes a message that may travel of what a local program has written.
 *
 * Programs write LF line ends, forget headers, name recipients "root" and print whatever their output was. Here
 * lines come to end with CRLF and nothing else, long ones are broken, NUL is dropped, a text without headers gets an
 * empty line before it, bare names in From, Sender, Reply-To, To and Cc are completed, a missing From is added,
 * and where recipients are read from the headers, Bcc goes.
 *
 * Source   RFC 5322 2.1.1 (998), 3.6; RFC 6409 8 (what submission may mend); sendmail(1) for -t and -i.
 * Limits   HEADER_BYTES_MAX for the headers, out's own ceiling for the whole.
 * Errors   F_SYNTAX: recipients that are none (the why names the field); F_LIMIT. out is unspecified then.
 * Tests    test/unit/mail/compose_test.c
 */
#ifndef MAIL_COMPOSE_H
#define MAIL_COMPOSE_H

#include "mail/header.h"

struct compose_options {
	struct str origin;       /* completes bare names */
	struct str from;         /* an address, for a message without From; empty: none is added */
	struct str full_name;    /* the name beside it, or empty */
	bool take_recipients;    /* those of To, Cc and Bcc, or of Resent-To and so on if there is one */
	bool dot_ends;           /* a line of one dot is the end */
};

struct recipients { struct str *items; size_t n, max; }; /* canonical text; n goes up */

MUST_USE fault compose_message(struct str raw, const struct compose_options *options, struct arena *a,
                               struct buf *out, struct recipients *rcpts, struct why *why);

/* The addresses of a list, bare names completed; each once. */
MUST_USE fault compose_recipients(struct str list, struct str origin, struct arena *a, struct recipients *rcpts);

#endif
