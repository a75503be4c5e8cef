/* SPDX-License-Identifier: ISC */
/*
 * proto/smtp/client_core.h -- what the files of the client share; for client*.c only.
 *
 *     client.c           greeting, EHLO, STARTTLS, AUTH, QUIT; feeding and events
 *     client_mail.c      one transaction: MAIL, RCPT, DATA in groups, verdicts
 *     client_body.c      content: dots and chunks
 *     client_dialogue.c  the transcript
 *
 * Tests    test/talk/smtp-client, test/talk/lmtp-client, fuzz/smtp_client.c
 */
#ifndef PROTO_SMTP_CLIENT_CORE_H
#define PROTO_SMTP_CLIENT_CORE_H

#include "proto/smtp/client.h"
#include "proto/smtp/reply_parser.h"

enum client_state {
	C_GREETING, C_EHLO, C_HELO, C_READY,
	C_STARTTLS,  /* said, not answered */
	C_TLS,       /* 220 came: the handshake is the caller's */
	C_AUTH,      /* waiting for the server */
	C_AUTH_STEP, /* waiting for the caller */
	C_ENVELOPE, C_BODY,
	C_FINAL,     /* the end of the content is said */
	C_LONE_DOT,  /* DATA was taken without a recipient: RFC 2920 3.1 */
	C_RSET, C_QUIT, C_CLOSED,
};

enum rcpt_state { R_WAITING, R_TAKEN, R_TOLD };

/* A reply kept over several calls. */
struct kept_reply { struct smtp_reply reply; struct buf text; enum outcome_class outcome; bool set; };

struct smtp_client {
	enum client_state state;
	bool lmtp, tls;
	char ehlo[260];
	struct reply_parser parser;
	struct buf out;
	int64_t deadline_ms;
	size_t sent_since_progress;
	struct smtp_offers offers;
	char mechanisms[512];

	/* events that wait to be taken, in this order */
	bool slot_full;
	struct smtp_client_event slot;
	struct buf challenge;
	bool ready_due, tls_due, done_due, closed_due;
	struct kept_reply closing;

	/* the transaction */
	const struct smtp_transaction *txn;   /* NULL: none */
	unsigned char *rcpt_states;
	size_t issued, answered;              /* commands of the envelope: MAIL is 0, RCPTs, DATA is the last */
	size_t n_taken;
	bool telling;                         /* it is over: who has not been told gets the verdict */
	size_t tell_at;
	size_t final_at;                      /* LMTP: whose final reply comes next */
	bool mail_refused;
	struct kept_reply verdict;            /* for every recipient not yet told */

	/* the content */
	bool chunking, at_line_start, after_cr, end_wanted;
	struct buf chunk;
	size_t chunks_unanswered;
	uint64_t content_bytes;

	/* the dialogue */
	struct buf said_head, said;
	bool said_begun, said_cut;
};

#define SECONDS(n) ((int64_t)(n) * 1000)
#define MINUTES(n) ((int64_t)(n) * 60 * 1000)

/* client.c */
void client_command(struct smtp_client *c, struct str line, int64_t wait_until_ms); /* with its CRLF; recorded */
void client_close(struct smtp_client *c, const struct smtp_reply *reply, enum outcome_class outcome);
void client_broken(struct smtp_client *c, const char *what);        /* the server said what */
void client_ready(struct smtp_client *c);
void keep_reply(struct kept_reply *k, const struct smtp_reply *reply, enum outcome_class outcome);

/* client_mail.c */
void envelope_reply(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms);
void final_reply(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms);
void rset_reply(struct smtp_client *c, const struct smtp_reply *r);
void envelope_issue(struct smtp_client *c, int64_t now_ms); /* as much as may be said now */
bool verdict_next(struct smtp_client *c, struct smtp_client_event *out);

/* client_body.c */
void body_begin(struct smtp_client *c, bool chunking, int64_t now_ms);
void body_go_on(struct smtp_client *c, int64_t now_ms); /* there may be room for the last chunk now */
void body_reply(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms);
/* A reply before all of the content is with the server; true if it has been dealt with. */
bool final_reply_is_early(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms);

/* client_dialogue.c */
void dialogue_client(struct smtp_client *c, struct str line);
void dialogue_server(struct smtp_client *c, const struct smtp_reply *r, bool hide_text);
void dialogue_new_transaction(struct smtp_client *c);

#endif
