/* SPDX-License-Identifier: ISC */
/*
 * proto/dsn/dsn.h -- builds a delivery status notification: what happened, in words and in fields.
 *
 * A multipart/report of three parts: a text that a person understands (who, why, what now, and the
 * dialogue that failed), message/delivery-status, and the returned message or its headers. With a message
 * that needs SMTPUTF8 the global types of RFC 6533 are used. The result has CRLF line ends, no line over 998, and
 * no foreign string in it unfiltered. Pure: the caller gives time, boundary and message-id.
 *
 * Source   RFC 3461 5 and 6, RFC 3462/6522, RFC 3464, RFC 6533, RFC 3834 (Auto-Submitted).
 * The notice holds bytes above 127 only with smtputf8 or original_8bit: its own envelope must say the same. An original
 * that cannot be sent back as it is (a line over 998, a bare CR or LF, 8-bit bytes that were not announced)
 * is returned as its headers, mended.
 *
 * Limits   foreign strings 2000 bytes, dialogues of the first 10 recipients, 60 lines each.
 * Errors   F_LIMIT when out has no room; out is unchanged then.
 * Tests    test/unit/proto/dsn_test.c, fuzz/dsn.c
 */
#ifndef PROTO_DSN_H
#define PROTO_DSN_H

#include "mail/reply.h"
#include "mail/envelope.h"

enum dsn_kind {
	DSN_FAILED,    /* given up */
	DSN_DELAYED,   /* still trying */
	DSN_DELIVERED, /* success, asked for */
	DSN_RELAYED,   /* success, handed to a server that does not speak DSN */
	DSN_EXPANDED,  /* success, through an alias to several */
};

/* What was proven of the connection to the next server. LOCAL: there was none, it is a mailbox here. */
enum dsn_level {
	DSN_LEVEL_UNKNOWN, DSN_LEVEL_LOCAL, DSN_LEVEL_NONE, DSN_LEVEL_OPPORTUNISTIC, DSN_LEVEL_PKIX, DSN_LEVEL_MTA_STS,
	DSN_LEVEL_DANE,
};

struct dsn_rcpt {
	struct str address, original, orcpt;   /* final, as the client said it, ORCPT ("" : none) */
	enum dsn_kind kind;
	struct smtp_reply reply;               /* the last word; code 0 for our own */
	struct str host;                       /* who said it; "" if ourselves */
	struct str dialogue;                   /* lines separated by LF; "" if none */
	struct str protection;                 /* TLS facts in words, or "" */
	enum dsn_level level;                  /* told of successes: X-Sealpost-Protection, and a sentence */
	struct str story;                      /* of the attempt, a sound one (mail/story.h), or "" */
	int64_t last_attempt_s, retry_until_s; /* wall clock; 0: unknown */
};

struct dsn_facts {
	struct str hostname;
	struct str to;                         /* the envelope sender, where the notice goes */
	struct str postmaster;                 /* whom to ask, an address */
	struct str id, envid;                  /* queue id and ENVID of the original */
	struct str message_id;                 /* for the notice itself, with <> */
	struct str boundary;                   /* unlikely to occur in the message */
	int64_t arrived_s, now_s;
	int zone_minutes;
	bool smtputf8;
	bool original_8bit;
	bool for_postmaster;                   /* the original has no sender: a notice that failed, most likely */
	const struct dsn_rcpt *rcpts;
	size_t n_rcpts;
	struct str returned;                   /* the original's bytes: headers, or all of it */
	bool returned_full;
	bool returned_lost;                    /* more of it should be returned, and cannot be read */
};

MUST_USE fault dsn_put(struct buf *out, const struct dsn_facts *facts);

/* One sentence for a person: what this status means and what to do. Never empty. */
struct str dsn_sentence(const struct smtp_reply *reply, enum dsn_kind kind);

#endif
