/* SPDX-License-Identifier: ISC */
/*
 * cmd/submit.h -- hands one message to a server, from the first packet to the final reply.
 *
 * Serves `sealpost send`, `sealpost try` and, over a Unix socket, `sealpost sendmail`. Blocks, on a loop of its own, so
 * it may run on a thread. Every step is told as it happens: "TCP", "TLS", "verified", "AUTH", "MAIL", "RCPT", "DATA",
 * "reply", each with its fact for a person; never a password, never the message.
 *
 * Errors   None returned: the result holds an exit status of cmd/options.h, the final reply and a sentence.
 * Tests    test/scenario/send_test.py
 */
#ifndef CMD_SUBMIT_H
#define CMD_SUBMIT_H

#include "base/str.h"
#include "cmd/options.h"
#include "mail/envelope.h"

enum submit_tls { SUBMIT_IMPLICIT, SUBMIT_STARTTLS, SUBMIT_CLEAR };

struct submit_options {
	struct str server;             /* "host", "host:port", "[v6]:port", "unix:/path"; the port defaults by mode */
	enum submit_tls tls;
	struct str name;               /* the name the certificate must carry; empty: the host */
	struct str ca_pem;             /* trust anchors; empty: the system's */
	struct str helo;               /* empty: the address literal of our end */
	struct str user, password;     /* empty user: no login; a password never goes in clear */
	struct str from;               /* "" for the null sender */
	const struct str *to;
	size_t n_to;
	struct rcpt_params dsn;        /* for every recipient */
	struct mail_params params;     /* ret, envid and tls_tag are used; the rest follows from the message */
	struct str message;            /* CRLF line ends */
	void (*on_step)(void *owner, const char *step, const char *fact); /* may be NULL */
	void *owner;
};

struct submit_result {
	int status;                    /* an exit status: EXIT_ACCEPTED when every recipient was taken */
	int code;                      /* of the final reply; 0 if there was none */
	char text[512];                /* the final reply, or what went wrong and what to do */
	size_t n_taken;                /* recipients for whom the server has the letter, whatever the others' fate */
	char id[64];                   /* the queue id, where the reply tells one */
	char tls_version[16], cipher[64], group[32], peer[256];
	char name[256];                /* the name that the certificate was checked for */
	bool verified;
};

void submit_message(const struct submit_options *options, struct submit_result *result);

#endif
