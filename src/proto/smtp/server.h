/* SPDX-License-Identifier: ISC */
/*
 * proto/smtp/server.h -- one SMTP or LMTP server session: bytes in, events and replies out.
 *
 * The owner says greet(), feeds bytes, drains events, answers each event that is a question, and sends whatever
 * output() shows. A positive answer gives the text where one is needed; answer_ok() takes the usual words.
 *
 *     used = smtp_server_feed(s, bytes, now);        keep what was not taken
 *     while (smtp_server_next(s, &event)) ...        until a question waits for its answer
 *     output / sent, deadline_ms; feed(s, STR_NONE, now) when the deadline has come
 *     done: close once output() is empty
 *
 * Source   RFC 5321 3 and 4; RFC 2033 (LMTP); RFC 2920 (pipelining); RFC 3207 (STARTTLS); RFC 4954 (AUTH);
 *          RFC 3030 (BDAT, without BINARYMIME); RFC 2034; RFC 1870; RFC 6152; RFC 6531; RFC 3461; RFC 9422; RFC 8689.
 * Units    Times are monotonic milliseconds from the caller. Sizes are bytes.
 * Limits   Lines as in command.h; unparsed input SMTP_INPUT_MAX, unsent output SMTP_OUTPUT_HIGH before it stops
 *          reading; the rest in the conf. A line that never ends: SMTP_SKIP_MAX octets, then 421.
 * Errors   None returned. A breach becomes a reply; a fatal one also makes done() true.
 * Owns     The session owns its memory; strings of the conf must outlive it. Slices in an event live until
 *          the next call of next(), feed() or answer().
 * Safety   Only CRLF ends a line. A bare CR, LF or NUL in a message: 550 5.6.11 after the true end, then closed.
 *          A byte after STARTTLS and before the handshake, before the greeting, or past a command that must be
 *          the last of its group while its reply has not been sent: closed. AUTH exists under TLS only. Every
 *          way out of DATA and BDAT passes one reset. A refused command leaves no trace, but that what is mixed into
 *          BDAT ends the transaction. No byte of the client is repeated in a reply.
 * Tests    test/talk/smtp-server, test/unit/proto/smtp/server_test.c, order_test.c and smuggling_test.c beside it,
 *          fuzz/smtp_server.c
 */
#ifndef PROTO_SMTP_SERVER_H
#define PROTO_SMTP_SERVER_H

#include "mail/envelope.h"
#include "mail/reply.h"

enum {
	SMTP_INPUT_MAX = 16 << 10,
	SMTP_OUTPUT_HIGH = 16 << 10,
	SMTP_SKIP_MAX = 1 << 20,
};

struct smtp_server_conf {
	struct str hostname;
	bool lmtp;
	bool starttls;          /* offered as long as the session is in clear */
	bool tls_required;      /* 530 to MAIL and AUTH before it */
	bool auth_required;     /* 530 to MAIL before it */
	bool requiretls;        /* offered under TLS (RFC 8689 2): the owner keeps what is promised by it */
	struct str mechanisms;  /* separated by blanks; offered under TLS only, *-PLUS only with channel binding */
	uint64_t size_bytes_max;
	size_t rcpts_max;
	size_t text_line_max;   /* without CRLF */
	unsigned errors_max;        /* 5yz of our own before 421 */
	unsigned refusals_max;      /* refused recipients before 421: no guessing of addresses */
	unsigned idle_commands_max; /* EHLO, NOOP, RSET, VRFY, refused MAIL: between two messages */
	unsigned logins_failed_max;
	int64_t command_ms;     /* for one command line, from the reply before it (RFC 5321 4.5.3.2.7) */
	int64_t data_ms;        /* for the next data_bytes_min of a message */
	uint64_t data_bytes_min;
	int64_t data_total_ms;  /* for a whole message */
	int64_t session_ms;     /* for everything; a message under way may end, within data_total_ms */
};

/* The usual limits; the rest is to be filled in. */
struct smtp_server_conf smtp_server_conf_usual(void);

enum smtp_event_kind {
	/* Questions: answer() exactly once, but for BODY_END. */
	SMTP_HELLO,      /* positive: the core writes the list of extensions itself */
	SMTP_STARTTLS,   /* 220: the owner sends output(), starts the handshake and calls tls_started() */
	SMTP_AUTH,       /* answer(), or challenge() for one step more */
	SMTP_AUTH_STEP,
	SMTP_MAIL,
	SMTP_RCPT,
	SMTP_DATA_BEGIN, /* may the content come? At DATA (354) and at the first BDAT */
	SMTP_BODY_END,   /* the message is whole: answers_due answers, one per recipient in LMTP */
	/* News. */
	SMTP_BODY,       /* content: CRLF line ends, not dot-stuffed */
	SMTP_RESET,      /* the transaction is over; after DATA_BEGIN: without its end, so the content is void */
	SMTP_AUTH_CANCELLED,
	SMTP_SMUGGLING,  /* a bare CR, LF or NUL; a reply has been or will be given */
	SMTP_WRONG_PROTOCOL, /* TLS or HTTP on this port; the session ends */
	SMTP_QUIT,
	SMTP_TIMED_OUT,
};

enum smtp_protocol { SMTP_PROTOCOL_TLS, SMTP_PROTOCOL_HTTP };

struct smtp_event {
	enum smtp_event_kind kind;
	union {
		struct { struct str name; bool extended; } hello;
		struct { struct str mechanism, initial; bool has_initial; } auth;
		struct str response;  /* AUTH_STEP: decoded */
		struct { struct address address; struct mail_params params; } mail;
		struct { struct address address; struct rcpt_params params; } rcpt;
		struct { bool chunked; } begin;
		struct str body;
		struct { uint64_t size_bytes; enum body_type body; size_t answers_due; } end;
		enum smtp_protocol protocol;
	} u;
};

struct smtp_server;

struct smtp_server *smtp_server_new(const struct smtp_server_conf *conf, int64_t now_ms);
void smtp_server_free(struct smtp_server **s);

void smtp_server_greet(struct smtp_server *s); /* 220; nobody is greeted twice */

/* How many bytes were taken: fewer than offered while a question waits or output piles up. STR_NONE
 * just tells the time. */
size_t smtp_server_feed(struct smtp_server *s, struct str bytes, int64_t now_ms);
bool   smtp_server_next(struct smtp_server *s, struct smtp_event *out);

void smtp_server_answer(struct smtp_server *s, struct smtp_reply reply); /* 421 ends the session */
void smtp_server_answer_ok(struct smtp_server *s);
void smtp_server_challenge(struct smtp_server *s, struct str bytes); /* AUTH: 334, encoded here */

struct str smtp_server_output(const struct smtp_server *s);
void       smtp_server_sent(struct smtp_server *s, size_t n);
int64_t    smtp_server_deadline_ms(const struct smtp_server *s); /* INT64_MAX: none, it is our turn */
/* The owner took nothing for a while: that is not the client's slowness. */
void       smtp_server_forgive(struct smtp_server *s, int64_t now_ms);

/* After the handshake: also of implicit TLS, then before greet(). */
void smtp_server_tls_started(struct smtp_server *s, bool channel_binding);
/* 421 as soon as no message is under way. */
void smtp_server_drain(struct smtp_server *s);

bool smtp_server_done(const struct smtp_server *s);
bool smtp_server_tls_awaited(const struct smtp_server *s);  /* 220 to STARTTLS was said */
bool smtp_server_logged_in(const struct smtp_server *s);

#endif
