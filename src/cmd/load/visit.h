/* SPDX-License-Identifier: ISC */
/*
 * cmd/load/visit.h -- what visit.c and dialogue.c share: one connection of `sealpost load`.
 *
 *     visit.c          socket, TLS, what goes out and comes in
 *     dialogue.c       which command follows which reply
 *
 * Tests    test/scenario/load_sink_test.py
 */
#ifndef CMD_LOAD_VISIT_H
#define CMD_LOAD_VISIT_H

#include "cmd/load/load.h"
#include "sys/stream.h"

enum { VISIT_UNSENT_MAX = 64 << 10, VISIT_OUT_MAX = 2 << 20 }; /* a group of all commands fits */

enum visit_phase {
	V_CONNECTING, V_SHAKING,
	V_GREETING, V_HELLO, V_STARTTLS, V_AUTH, /* a reply is awaited */
	V_ENVELOPE, V_CONTENT, V_FINAL, V_RESET, V_QUIT,
	V_IDLE,                                  /* held open, or gathered: see gather.c */
	V_OVER,
};

struct visit {
	struct slot *slot;
	struct load *load;
	const struct load_plan *plan;
	enum visit_phase phase;
	int fd;
	struct stream *stream;
	struct tls *tls;
	struct reply_parser parser;
	struct buf out;
	int64_t due_ms;
	bool is_open, failed;
	struct later ending;

	/* what the server offers */
	bool pipelining, starttls;
	char mechanisms[256];
	struct sasl_client *sasl;
	bool logged_in;

	/* the message under way; in_message until its fate has been counted */
	bool in_message, refusing;
	uint64_t done, message, body_octets, body_given, octets;
	size_t issued, answered;                 /* of MAIL, each RCPT, DATA */
	size_t rcpts_taken, replies_due;
	int64_t dot_us;
};

/* dialogue.c */
void dialogue_next_message(struct visit *v);   /* or what else the connection is there for */
void dialogue_reply(struct visit *v, const struct smtp_reply *reply);
void dialogue_tls_started(struct visit *v);
void dialogue_give_content(struct visit *v);  /* while there is room */

/* visit.c */
void load_visit_end(struct visit *v);                           /* as it should */
void load_visit_lose(struct visit *v, enum load_loss how);
void load_visit_start_tls(struct visit *v);

#endif
