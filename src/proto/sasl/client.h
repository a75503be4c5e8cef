/* SPDX-License-Identifier: ISC */
/*
 * proto/sasl/client.h -- logging in at another server: a challenge in, a response out.
 *
 * Chooses the strongest mechanism of those offered: SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN, LOGIN. Steps are
 * decoded bytes.
 *
 * Source   RFC 4422, RFC 4616, RFC 5802, RFC 7677, RFC 9266, RFC 4954.
 * Limits   SASL_ITERATIONS_MAX of a server's iteration count: beyond it the server only burns our time.
 * Errors   F_ABSENT: no mechanism in common; F_PEER: the server's step is wrong, or it does not know the password
 *          either; F_SYNTAX: name or password have forbidden characters.
 * Owns     Responses live until the next call. The password is wiped with the object.
 * Safety   Only for connections under TLS: PLAIN and LOGIN show the password to the server.
 * Tests    test/unit/proto/sasl
 */
#ifndef PROTO_SASL_CLIENT_H
#define PROTO_SASL_CLIENT_H

#include "base/fault.h"
#include "base/str.h"

enum { SASL_ITERATIONS_MAX = 1000000, SASL_ITERATIONS_MIN = 4096 };

struct sasl_client_options {
	struct str mechanisms;       /* as in the EHLO reply: "PLAIN LOGIN SCRAM-SHA-256" */
	struct str user, password;   /* UTF-8 */
	struct str channel_binding;  /* the 32 tls-exporter bytes, or empty */
};

struct sasl_client;

MUST_USE fault sasl_client_new(const struct sasl_client_options *options, struct sasl_client **out, struct why *why);
void sasl_client_free(struct sasl_client **c);

struct str sasl_client_mechanism(const struct sasl_client *c);
/* What goes with AUTH: has_initial false means AUTH MECHANISM alone. */
MUST_USE fault sasl_client_first(struct sasl_client *c, bool *has_initial_out, struct str *initial_out, struct why *why);
MUST_USE fault sasl_client_step(struct sasl_client *c, struct str challenge, struct str *response_out, struct why *why);
/* After the server's 235: has it proved (SCRAM) that it knows us too? True for PLAIN and LOGIN, which prove nothing. */
bool sasl_client_proved(const struct sasl_client *c);

#endif
