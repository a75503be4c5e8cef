/* SPDX-License-Identifier: ISC */
/*
 * proto/tlsrpt/letter.h -- the reports in a message, or in a file that holds one alone. Pure.
 *
 * A message's reports are its parts of the types application/tlsrpt+gzip and application/tlsrpt+json, and those of another type
 * whose file has the name of a report, wherever they are in it. What begins as gzip or as a JSON object is taken for a report
 * without a message.
 *
 * Source   RFC 8460 5.1 (the name of a file), 5.3.
 * Limits   LETTER_REPORTS_MAX reports in a message; those of mail/mime.h; what unpacks to more than TLSRPT_JSON_MAX is refused as soon
 *          as it does.
 * Errors   F_ABSENT: there is no more. F_SYNTAX, F_LIMIT, with the reason: this one is none; there may be others behind it.
 * Tests    test/unit/proto/tlsrpt_letter_test.c, fuzz/tlsrpt_letter.c
 */
#ifndef PROTO_TLSRPT_LETTER_H
#define PROTO_TLSRPT_LETTER_H

#include "mail/mime.h"
#include "proto/tlsrpt/tlsrpt.h"

enum { LETTER_REPORTS_MAX = 8 };

struct tlsrpt_letter {
	struct mime mime;
	struct str bare;                 /* what is no message, until it has been read */
	size_t reports;
	bool over;
};

void tlsrpt_letter_begin(struct tlsrpt_letter *l, struct str bytes);
MUST_USE fault tlsrpt_letter_next(struct tlsrpt_letter *l, struct tlsrpt_report **out, struct why *why);

#endif
