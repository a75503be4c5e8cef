/* SPDX-License-Identifier: ISC */
/*
 * tls/session.h -- what server.c, client.c and session.c share about one connection. Not for other rooms.
 *
 * Tests    test/unit/tls/session_test.c
 */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include <openssl/ssl.h>

#include "tls/tls.h"

struct tls {
	SSL *ssl;                 /* NULL: was broken from the start */
	enum tls_state state;
	bool client;
	struct str feed;          /* ciphertext offered right now; empty outside tls_feed */
	struct buf out;
	unsigned key_updates;
	unsigned sni_n;
	char *sni;                /* server: as asked for, lower case */
	char *problem, *peer;     /* client, once open */
	char *error;
	struct tls_server *server;
	const struct tls_tickets *tickets;
	const char *listener;     /* whose tickets */
	struct tls_client *of_client;
};

/* The rules that both sides share (versions, groups, ciphers, options). */
bool tls_context_rules(SSL_CTX *ctx, bool cbc_too);
struct tls *tls_session_new(SSL_CTX *ctx, bool client);      /* ctx NULL: broken, with an error to be set */
void tls_break(struct tls *t, const char *fmt, ...) PRINTF(2, 3);

/* Letters, digits and hyphens in labels of 1 to 63, 253 in all, at least one letter in the last. */
bool tls_is_host_name(struct str name);

/* error.c: words for the reason on OpenSSL's error queue. */
void tls_explain(const struct tls *t, char *to, size_t room);
const char *tls_verify_words(long result);

/* client.c, server.c */
void tls_client_look(struct tls *t);    /* fills problem and peer after the handshake */
void tls_server_release(struct tls *t);
void tls_client_release(struct tls *t);

#endif
