/* SPDX-License-Identifier: ISC */
/*
 * mail/trace.h -- the lines that a server adds: Received, Return-Path, Delivered-To, Date, Message-ID.
 *
 * Every foreign string is filtered: what could end a comment, quote or line is replaced, lengths are capped,
 * so that neither a HELO name nor a peer's name can forge a header. Lines are folded below 78 where they can.
 *
 * Source   RFC 5321 4.4, RFC 3848 (with), RFC 8314 4.3 / RFC 6531 3.7.3, RFC 5322 3.3 and 3.6.4.
 * Limits   names 255 bytes, addresses 320, TLS facts 200: what is longer is cut. Years 1 to 9999.
 * Errors   F_LIMIT when out has no room; out is unchanged then.
 * Tests    test/unit/mail/trace_test.c
 */
#ifndef MAIL_TRACE_H
#define MAIL_TRACE_H

#include "mail/address.h"

struct trace_facts {
	struct str helo;      /* as given */
	struct str name;      /* the peer's verified name, or empty */
	struct str client;    /* "192.0.2.1", "2001:db8::1", or empty: local */
	struct str hostname;  /* ours */
	struct str with;      /* "ESMTPSA", "UTF8SMTPS", "LMTPS" ... */
	struct str tls;       /* "TLSv1.3 TLS_AES_256_GCM_SHA384 x25519", or empty */
	struct str id;        /* queue id */
	struct str for_address; /* only if there is one recipient, else empty */
	int64_t wall_s;
	int zone_minutes;
};
MUST_USE fault trace_put_received(struct buf *out, const struct trace_facts *facts);

/* RFC 3848's word from what is known: ("LMTP" or "ESMTP"/"SMTP") + S + A, UTF8 in front. */
struct str trace_with(bool lmtp, bool extended, bool tls, bool auth, bool utf8);

MUST_USE fault trace_put_return_path(struct buf *out, struct str sender); /* canonical text, "" for <> */
MUST_USE fault trace_put_delivered_to(struct buf *out, struct str address);

/* "Fri, 20 Nov 2026 23:35:25 +0000", without a field name. */
MUST_USE fault date_put(struct buf *out, int64_t wall_s, int zone_minutes);
/* "2026-11-20T23:35:25Z" for JSON, logs and lists. */
MUST_USE fault date_put_rfc3339(struct buf *out, int64_t wall_s);
/* "<random.wall@hostname>" from 16 random bytes. */
MUST_USE fault message_id_put(struct buf *out, const unsigned char random[16], int64_t wall_s,
                              struct str hostname);

#endif
