/* SPDX-License-Identifier: ISC */
/*
 * mail/reply.h -- an SMTP reply and the enhanced status code in it.
 *
 * Source   RFC 5321 4.2, RFC 3463 (status codes), RFC 2034.
 * Limits   A reply line is 512 octets with its CRLF (RFC 5321 4.5.3.1.5): longer text is cut.
 * Errors   F_LIMIT when out has no room; out is unchanged then.
 * Tests    test/unit/mail/reply_test.c
 */
#ifndef MAIL_REPLY_H
#define MAIL_REPLY_H

#include "base/buf.h"

/* class 2, 4 or 5; class 0 stands for "none given". */
struct status { uint16_t class, subject, detail; };

struct smtp_reply {
	int code;              /* 200 to 599 */
	struct status status;
	struct str text;       /* lines separated by LF, without code and status; may be empty */
};

#define REPLY(code_, c_, s_, d_, text_) \
	((struct smtp_reply){ .code = (code_), .status = { (c_), (s_), (d_) }, .text = (text_) })

enum outcome_class { OUTCOME_DONE, OUTCOME_LATER, OUTCOME_NEVER };

/* 2yz and 3yz done, 4yz and anything odd later, 5yz never (RFC 5321 4.2.1). */
enum outcome_class reply_class(const struct smtp_reply *reply);

/* The reply as it goes onto the wire, every line ended by CRLF. Control bytes in the text become
 * '?'; without `enhanced` the status code is left out, as before EHLO, and so is one whose class is not the
 * code's (RFC 2034 4). */
MUST_USE fault reply_put(struct buf *out, const struct smtp_reply *reply, bool enhanced);

/* "4.7.1" at the front of *rest. */
bool status_take(struct str *rest, struct status *out);
MUST_USE fault status_put(struct buf *out, struct status status);

/* One line for logs and lists: "550 5.1.1 No such user"; lines joined by " / ". */
MUST_USE fault reply_put_line(struct buf *out, const struct smtp_reply *reply);

#endif
