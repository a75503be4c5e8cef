/* SPDX-License-Identifier: ISC */
/*
 * proto/sasl/server.h -- one SASL exchange as the server runs it: a response in, a challenge or a verdict out.
 *
 * A new object for each attempt, over GNU SASL: PLAIN, LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS and nothing else
 * that the library knows. Steps are decoded bytes. An initial response is the first step's response; without one the
 * first step gets an empty response.
 *
 * Source   RFC 4422, RFC 4616 (PLAIN), RFC 5802, RFC 7677, RFC 9266 (tls-exporter), RFC 4954 (SMTP AUTH).
 * Limits   a response of SASL_RESPONSE_MAX bytes, a challenge of as many.
 * Errors   None: a bad response makes the verdict SASL_DENIED, and the exchange is over.
 * Owns     A challenge and the user's name live until the next call. Password and credential are copied and wiped.
 * Safety   An unknown user costs what a known one costs and is answered alike. An authorization identity other than
 *          the user is denied. Where a binding is known, a client that says it was offered none is denied ("y"
 *          downgrade). The server's last word in SCRAM (v=) goes out before the verdict.
 * Tests    test/unit/proto/sasl, fuzz/sasl.c
 */
#ifndef PROTO_SASL_SERVER_H
#define PROTO_SASL_SERVER_H

#include "base/fault.h"
#include "base/str.h"
#include "proto/sasl/kinds.h"

enum { SASL_RESPONSE_MAX = 12288 };

/* Where credentials come from. Asked only from within sasl_server_step; the answers are copied. */
struct sasl_users {
	/* The canonical name and the credential's text of a login name; F_ABSENT: nobody is called so. */
	fault (*find)(void *owner, struct str login, struct str *name_out, struct str *credential_out);
	void *owner;
	struct str pepper;        /* random bytes of this process, for the answers to unknown names; outlives the exchange */
	const struct credential_kinds *kinds; /* what an unknown user's verifier is like; used within sasl_server_step */
};

struct sasl_server;

/* NULL: not a mechanism that we offer. channel_binding: the 32 tls-exporter bytes, or empty; always given where there
 * are any, also for mechanisms that do not use them. */
struct sasl_server *sasl_server_new(struct str mechanism, const struct sasl_users *users, struct str channel_binding);
void sasl_server_free(struct sasl_server **s);

/* MORE: send the challenge, which may be empty. MEASURE: a password waits to be measured, which is slow by intention:
 * call sasl_server_measure on a thread, then sasl_server_measured for the verdict. */
enum sasl_verdict { SASL_MORE, SASL_MEASURE, SASL_DONE, SASL_DENIED };

enum sasl_verdict sasl_server_step(struct sasl_server *s, struct str response, struct str *challenge_out);
void sasl_server_measure(struct sasl_server *s);   /* touches nothing but s; no other call on s meanwhile */
enum sasl_verdict sasl_server_measured(struct sasl_server *s);

const char *sasl_server_mechanism(const struct sasl_server *s);
struct str sasl_server_user(const struct sasl_server *s);  /* canonical name, after SASL_DONE */
struct str sasl_server_login(const struct sasl_server *s); /* the name as it was tried; "" before it is known */
/* The user is there, but the credential cannot be used (broken, or crypt(3) with SCRAM): for the log. */
bool sasl_server_useless(const struct sasl_server *s);

#endif
