/* SPDX-License-Identifier: ISC */
/*
 * tls/session.h -- what server.c, client.c and session.c share about one connection. Not for other rooms.
 *
 * Tests    test/unit/tls/
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
	size_t shaken;            /* bytes of the handshake so far */
	unsigned sni_n;
	char *sni;                /* server: as asked for, lower case */
	/* client: what was wished for, and once open what came of it */
	enum tls_prove prove;
	char *problem, *peer;
	const char *by;
	enum tls_failure failure, unproven;
	bool gave_up;             /* the failure proves no inability: tls_gave_up() */
	STACK_OF(X509) *chain;    /* as the server has sent it */
	struct tls_shown *shown;  /* the same in words, once somebody wants to know */
	char *error;
	struct tls_server *server;
	struct tls_tickets *tickets;
	const char *listener;     /* whose tickets */
	struct tls_client *of_client;
};

/* The rules that both sides share (versions, groups, ciphers, options). */
bool tls_context_rules(SSL_CTX *ctx, bool cbc_too);
bool tls_knows_post_quantum(SSL_CTX *ctx);  /* before the rules: it changes the groups */
struct tls *tls_of(SSL *ssl);
struct tls *tls_session_new(SSL_CTX *ctx, bool client);      /* ctx NULL: broken, with an error to be set */
void tls_break(struct tls *t, const char *fmt, ...) PRINTF(2, 3);

/* Letters, digits and hyphens in labels of 1 to 63, 253 in all, at least one letter in the last. */
bool tls_is_host_name(struct str name);

/* error.c: words for the reason on OpenSSL's error queue; true if it is that a proof has failed. */
bool tls_explain(const struct tls *t, char *to, size_t room);
const char *tls_verify_words(long result);

/* proof.c */
bool tls_expect_name(SSL *ssl, struct str name);
const char *tls_expect_dane(SSL *ssl, const struct tls_wish *wish); /* NULL, or why not; static */
int tls_verify_chain(X509_STORE_CTX *x, void *arg);
enum tls_failure tls_failure_of(long result);
void tls_client_look(struct tls *t);    /* after the handshake: fills problem, peer and by; breaks what is not proven */
void tls_forget_chain(struct tls *t);

/* client.c, server.c */
void tls_server_release(struct tls *t);
void tls_client_release(struct tls *t);

#endif
