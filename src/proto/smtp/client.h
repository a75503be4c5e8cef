/* SPDX-License-Identifier: ISC */
/*
 * proto/smtp/client.h -- one SMTP or LMTP client session: bytes in, events and commands out.
 *
 * The caller feeds what the server says, drains events, answers those that ask, and sends whatever output() shows:
 *
 *     SMTP_CLIENT_READY      asks what to do: starttls, auth, mail, quit -- or nothing, and the connection is kept
 *     SMTP_CLIENT_TLS        asks for the handshake, then tls_started
 *     SMTP_CLIENT_CHALLENGE  asks for auth_step or auth_cancel
 *
 * the others are news. A transaction reports each recipient exactly once with SMTP_CLIENT_RCPT, whatever happens, and then
 * SMTP_CLIENT_DONE. Content is pulled: while body_room() is not 0, give as much with body(), then body_end().
 * No I/O and no clock.
 *
 * Source   RFC 5321 3, 4; RFC 2920 (PIPELINING); RFC 3207 (STARTTLS); RFC 3030 (CHUNKING); RFC 1870 (SIZE); RFC 6152
 *          (8BITMIME); RFC 6531 (SMTPUTF8); RFC 3461 (DSN); RFC 4954 (AUTH); RFC 9422 (LIMITS); RFC 2033 (LMTP); RFC 8689 (REQUIRETLS).
 * Units    Times are monotonic milliseconds from the caller. Waits are those of RFC 5321 4.5.3.2.
 * Limits   Unsent output SMTP_CLIENT_OUTPUT_MAX, replies as in reply_parser.h, dialogue SMTP_CLIENT_DIALOGUE_MAX.
 * Errors   F_STATE: not now. F_ABSENT: not offered. What the server does wrong becomes SMTP_CLIENT_CLOSED.
 * Safety   Content with a CR or LF that is not CRLF is refused and never completed (the ends of SMTP smuggling). A byte
 *          after the 220 to STARTTLS ends the session (response injection, RFC 3207 6), and so does a reply to what has
 *          not left yet. Everything learned in clear is forgotten at tls_started. The dialogue holds no credentials and no content.
 * Owns     Slices in an event live until the next call. The transaction is the caller's until SMTP_CLIENT_DONE.
 * Tests    test/talk/smtp-client, test/unit/proto/smtp/client_test.c and reply_order_test.c, fuzz/smtp_client.c
 */
#ifndef PROTO_SMTP_CLIENT_H
#define PROTO_SMTP_CLIENT_H

#include "mail/envelope.h"
#include "mail/reply.h"

enum {
	SMTP_CLIENT_OUTPUT_MAX = 192 << 10,
	SMTP_CLIENT_CHUNK_MAX = 64 << 10,     /* one BDAT */
	SMTP_CLIENT_DIALOGUE_MAX = 8 << 10,
	SMTP_CLIENT_AUTH_MAX = 12288,         /* one line of AUTH, RFC 4954 4 */
};

struct smtp_client_conf {
	struct str ehlo;   /* our name or literal, without control bytes */
	bool lmtp;
	bool tls;          /* TLS from the first byte */
};

/* What the server offers now. */
struct smtp_offers {
	bool extended;     /* it understood EHLO or LHLO */
	bool starttls, pipelining, eightbitmime, smtputf8, dsn, chunking, enhanced, requiretls, size, auth;
	uint64_t size_max; /* 0: no limit said */
	uint64_t rcpt_max; /* of one transaction, RFC 9422; 0: not said */
	uint64_t mail_max; /* transactions on one connection; 0: not said */
	struct str mechanisms; /* words separated by a blank */
};

struct smtp_client_rcpt { struct str address; struct rcpt_params params; };

struct smtp_transaction {
	struct str sender;         /* canonical text, empty for <> */
	struct mail_params params; /* size_bytes: 0 if not known */
	const struct smtp_client_rcpt *rcpts;
	size_t n_rcpts;
	bool probe;                /* MAIL, RCPT, RSET: would they be taken? */
};

enum smtp_client_event_kind {
	SMTP_CLIENT_READY,     /* question; see smtp_client_offers */
	SMTP_CLIENT_TLS,       /* question */
	SMTP_CLIENT_TLS_REFUSED,  /* reply; READY follows */
	SMTP_CLIENT_CHALLENGE, /* question: bytes, decoded */
	SMTP_CLIENT_AUTH,      /* outcome DONE: logged in. reply. READY follows */
	SMTP_CLIENT_RCPT,      /* index, outcome, reply; code 0: our own words */
	SMTP_CLIENT_DONE,      /* the transaction is over */
	SMTP_CLIENT_CLOSED,    /* the session is over: reply says why; outcome DONE only after our QUIT */
};

struct smtp_client_event {
	enum smtp_client_event_kind kind;
	size_t index;
	enum outcome_class outcome;
	struct smtp_reply reply;
	struct str bytes;
	bool whole;            /* RCPT: this is the verdict on the whole transaction or session, not on this recipient */
};

struct smtp_client;

struct smtp_client *smtp_client_new(const struct smtp_client_conf *conf, int64_t now_ms);
void smtp_client_free(struct smtp_client **c);

/* Returns how many bytes were taken; drain the events, then offer the rest again. With no bytes: the time is now. */
size_t     smtp_client_feed(struct smtp_client *c, struct str bytes, int64_t now_ms);
/* The connection is gone; reason in words for a person, as "Connection reset by peer". */
void       smtp_client_gone(struct smtp_client *c, struct str reason);
bool       smtp_client_next(struct smtp_client *c, struct smtp_client_event *out);
struct str smtp_client_output(const struct smtp_client *c);
void       smtp_client_sent(struct smtp_client *c, size_t n, int64_t now_ms);
int64_t    smtp_client_deadline_ms(const struct smtp_client *c); /* INT64_MAX: none */
bool       smtp_client_done(const struct smtp_client *c); /* over, and every event has been taken */

const struct smtp_offers *smtp_client_offers(const struct smtp_client *c);

/* Answers to READY. */
MUST_USE fault smtp_client_starttls(struct smtp_client *c, int64_t now_ms);
MUST_USE fault smtp_client_auth(struct smtp_client *c, struct str mechanism, bool has_initial, struct str initial,
                                int64_t now_ms); /* F_LIMIT: initial too long */
MUST_USE fault smtp_client_mail(struct smtp_client *c, const struct smtp_transaction *t, int64_t now_ms);
MUST_USE fault smtp_client_quit(struct smtp_client *c, int64_t now_ms);

MUST_USE fault smtp_client_tls_started(struct smtp_client *c, int64_t now_ms);
MUST_USE fault smtp_client_auth_step(struct smtp_client *c, struct str response, int64_t now_ms);

/* How many bytes of content may be given now. */
size_t         smtp_client_body_room(const struct smtp_client *c);
/* All of bytes is taken; bytes.n <= body_room. F_SYNTAX: a bare CR or LF; the message is refused, the session over. */
MUST_USE fault smtp_client_body(struct smtp_client *c, struct str bytes, int64_t now_ms);
MUST_USE fault smtp_client_body_end(struct smtp_client *c, int64_t now_ms);
/* The content cannot be given to the end: recipients without an outcome are LATER, the session is over. */
void           smtp_client_body_fail(struct smtp_client *c, struct str reason);

/* What was said in this session and transaction, for people: "C: ..." and "S: ..." lines ended by LF. */
MUST_USE fault smtp_client_put_dialogue(const struct smtp_client *c, struct buf *out);

#endif
