/* SPDX-License-Identifier: ISC */
/*
 * mail/envelope.h -- what travels beside a message: the parameters of MAIL and RCPT.
 *
 * Source   RFC 3461 (DSN), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 1870 (SIZE), RFC 8689 (REQUIRETLS).
 * Errors   F_SYNTAX, F_LIMIT (out has no room); out is unchanged then.
 * Tests    test/unit/mail/envelope_test.c, fuzz/xtext.c
 */
#ifndef MAIL_ENVELOPE_H
#define MAIL_ENVELOPE_H

#include "mail/address.h"

enum body_type { BODY_7BIT = 0, BODY_8BIT = 1 };

enum dsn_ret { RET_DEFAULT = 0, RET_HEADERS = 1, RET_FULL = 2 };

/* How a message is tagged (RFC 8689 4): by REQUIRETLS behind MAIL, or by its header field `TLS-Required: No`. The queue keeps
 * these numbers. */
enum tls_tag { TLS_TAG_NONE = 0, TLS_TAG_REQUIRED = 1, TLS_TAG_OPTIONAL = 2 };
struct str tls_tag_name(enum tls_tag tag); /* "", "required", "optional": stable words */

/* RFC 3461 4.1. 0: no NOTIFY was given, which means FAILURE and, here, DELAY. */
enum dsn_notify {
	NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8,
	NOTIFY_EXPANDED = 16, /* our own, never on the wire: this one has been expanded to others, and there is but that to tell */
};

struct mail_params {
	uint64_t size_bytes;      /* 0: not given */
	enum body_type body;
	bool smtputf8;
	enum dsn_ret ret;
	enum tls_tag tls_tag;
	struct str envid;         /* decoded from xtext, printable ASCII; empty: none */
};

struct rcpt_params {
	unsigned notify;          /* bits of enum dsn_notify */
	struct str orcpt;         /* "type;address", the address decoded; empty: none */
};

/* xtext (RFC 3461 4): +XX for '+', '=' and what is not printable ASCII. Decoding refuses whatever
 * decodes to a control byte or to what is no UTF-8, so that no parameter can carry a line break. */
MUST_USE fault xtext_put(struct buf *out, struct str text);
MUST_USE fault xtext_get(struct buf *out, struct str xtext);

#endif
