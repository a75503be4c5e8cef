/* SPDX-License-Identifier: ISC */
/*
 * proto/smtp/server_state.h -- what the files of the server core share; nobody else includes it.
 *
 * server.c       the calls, the queue of events, answers
 * server_line.c  lines: framing, the checks that every command passes, the commands
 * server_data.c  DATA and BDAT
 *
 * Tests    test/talk/smtp-server, fuzz/smtp_server.c
 */
#ifndef PROTO_SMTP_SERVER_STATE_H
#define PROTO_SMTP_SERVER_STATE_H

#include "proto/smtp/command.h"
#include "proto/smtp/content.h"
#include "proto/smtp/server.h"

enum smtp_phase {
	PHASE_GREETING, /* nothing said yet */
	PHASE_COMMAND,
	PHASE_AUTH,     /* the next line belongs to a login */
	PHASE_SKIP,     /* the rest of a line that is refused */
	PHASE_DATA,
	PHASE_CHUNK,
	PHASE_TLS,      /* 220 to STARTTLS said: the next bytes are not ours */
	PHASE_ENDED,
};

enum smtp_question { ASKED_NOTHING, ASKED_EHLO, ASKED_HELO, ASKED_STARTTLS, ASKED_AUTH, ASKED_MAIL, ASKED_RCPT, ASKED_BEGIN, ASKED_END };

struct smtp_server {
	struct smtp_server_conf conf;
	struct buf in, out;
	size_t used;            /* of in: consumed, but an event may still point there */
	size_t searched;        /* of in, behind used: holds no LF */
	struct arena *words;    /* what the last event points to */

	enum smtp_phase phase;
	enum smtp_state state;
	enum smtp_question asked;
	size_t answers_due;
	unsigned char events[4]; /* the kinds of those not yet taken, the first of them first */
	size_t n_events;
	struct smtp_event told; /* what one of them says: the one of this kind, as no other says anything ... */
	struct str piece;       /* ... but BODY, which may wait together with BODY_END: what that says */

	int64_t now_ms, started_ms, since_ms, data_since_ms;
	int64_t pace_since_ms;  /* since then, pace_bytes of the message have come */
	uint64_t pace_bytes;
	bool tls, binding, extended, logged_in, draining;
	bool heard;             /* a first byte has come */
	bool must_wait;         /* the client may not speak before our reply has left (RFC 2920 3.1) */
	bool early;             /* it did */
	enum smtp_say skip_say; /* when the line ends at last; SAY_NOTHING: it has been said */
	bool skip_cr;
	size_t skipped;

	struct mail_params mail;
	size_t rcpts;           /* accepted */
	struct content content;
	enum smtp_say lost_say; /* why the content is lost */
	uint64_t lost_bytes;    /* read on after it was */
	bool chunked;           /* the transaction's content comes by BDAT */
	uint64_t chunk_left;
	bool chunk_last, chunk_refused;
	size_t chunk_replies;   /* to a refused chunk */
	struct smtp_reply chunk_reply; /* its text is kept: the owner may have said it */

	unsigned errors, refusals, idle_commands, logins_failed;
};

/* server.c */
struct str smtp_server_input(const struct smtp_server *s);
void smtp_server_put(struct smtp_server *s, struct smtp_reply reply);
void smtp_server_say(struct smtp_server *s, enum smtp_say what);
void smtp_server_refuse(struct smtp_server *s, enum smtp_say what); /* say, and count it as an error */
void smtp_server_end(struct smtp_server *s, enum smtp_say last_word); /* SAY_NOTHING: in silence */
void smtp_server_push(struct smtp_server *s, enum smtp_event_kind kind); /* one that says nothing */
struct smtp_event *smtp_server_tell(struct smtp_server *s, enum smtp_event_kind kind); /* any other, but BODY: to be filled */
void smtp_server_pass_on(struct smtp_server *s, struct str bytes); /* BODY */
void smtp_server_ask(struct smtp_server *s, enum smtp_question question);
void smtp_server_reset(struct smtp_server *s, bool tell);
bool smtp_server_idles(struct smtp_server *s); /* counts; true if that was one too many, and the session has ended */
struct arena *smtp_server_words(struct smtp_server *s);

/* server_line.c: false if more input is needed */
bool smtp_server_line_step(struct smtp_server *s);
bool smtp_server_skip_step(struct smtp_server *s);
bool smtp_server_offers(const struct smtp_server *s, struct str mechanism);
bool smtp_server_offers_requiretls(const struct smtp_server *s);

/* server_data.c */
bool smtp_server_data_step(struct smtp_server *s);
bool smtp_server_chunk_step(struct smtp_server *s);
void smtp_server_content_begin(struct smtp_server *s, bool dots);
void smtp_server_chunk_refuse(struct smtp_server *s, struct smtp_reply reply, size_t replies);

#endif
