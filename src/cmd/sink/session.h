/* SPDX-License-Identifier: ISC */
/*
 * cmd/sink/session.h -- the dialogue of `sealpost sink`: takes whatever mail comes, keeps none of it.
 *
 * A measuring instrument, not a mail server: it asks of a command only what it needs to follow the dialogue, looks at no address, and
 * finds the end of a message by CRLF . CRLF alone. proto/smtp/server.h is what a server is made of.
 *
 *     used = sink_session_feed(s, bytes)     stops after whatever makes an event
 *     sink_session_next(s)                   what the owner is to do now
 *     s->out                                 what is to be sent
 *
 * No I/O and no clock.
 *
 * Source   RFC 5321, RFC 2033 (LMTP), RFC 2920, RFC 3030 (BDAT), RFC 3207, RFC 4954 (any login is right).
 * Limits   a line of SINK_LINE_MAX octets: what is longer is refused and ends the session. Replies that nobody reads:
 *          SINK_UNSENT_MAX, then nothing more is taken. SINK_RCPTS_MAX recipients.
 * Tests    test/scenario/load_sink_test.py, fuzz/sink.c
 */
#ifndef CMD_SINK_SESSION_H
#define CMD_SINK_SESSION_H

#include "base/buf.h"

enum { SINK_LINE_MAX = 2048, SINK_UNSENT_MAX = 64 << 10, SINK_RCPTS_MAX = 1000 };

/* Where a verdict falls. */
enum sink_place { SINK_AT_DOT, SINK_AT_RCPT, SINK_AT_MAIL };

/* Shared by all sessions. */
struct sink_rules {
	bool lmtp, starttls, auth, no_pipelining, no_chunking;
	/* Of a million messages (at RCPT: recipients), so many get this fate at this place. */
	unsigned defer, refuse, drop;
	enum sink_place at;
	uint64_t dice;               /* not 0: the state of what decides */
	uint64_t messages, recipients, octets;   /* taken */
	uint64_t deferred, refused, dropped;
};

enum sink_event {
	SINK_NOTHING,
	SINK_TLS,      /* send what is in out, then the handshake, then sink_session_tls_started */
	SINK_ANSWERED, /* a message's last reply has been put into out: whoever slows the sink down waits here */
	SINK_DROP,     /* close without a word */
	SINK_END,      /* close, once out has been sent */
};

struct sink_session {
	struct sink_rules *rules;
	struct buf out;
	enum sink_event event;
	bool tls, greeted, mail, content, ended;
	unsigned auth_steps;         /* lines of a login that are still to come */
	uint64_t rcpts;
	uint64_t octets;             /* of the content so far */
	uint64_t chunk_left;         /* of a BDAT */
	bool in_chunk, last_chunk;
	char tail[4];                /* the last octets of the content so far */
	size_t line_n;
	char line[SINK_LINE_MAX];
};

void sink_session_init(struct sink_session *s, struct sink_rules *rules, bool tls);
void sink_session_fini(struct sink_session *s);
void sink_session_greet(struct sink_session *s);
size_t sink_session_feed(struct sink_session *s, struct str bytes);
enum sink_event sink_session_next(struct sink_session *s); /* and forgets it */
void sink_session_tls_started(struct sink_session *s);

#endif
