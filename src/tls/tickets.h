/* SPDX-License-Identifier: ISC */
/*
 * tls/tickets.h -- the keys of session tickets: random, in memory only, changed every TICKETS_KEY_S, two kept.
 *
 * Each tls_server has its own, so a ticket of one listener is nothing to another, and a reload or restart forgets all.
 *
 * Source   RFC 5077 4 and 5.5, RFC 8446 4.6.1.
 * Tests    test/unit/tls/session_test.c
 */
#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdint.h>

enum { TICKETS_KEY_S = 6 * 3600 };

struct ticket_key { unsigned char name[16], cipher[32], mac[32]; };
struct tickets {
	struct ticket_key keys[2];  /* the present one, and the one before it */
	unsigned n;
	int64_t since_s;            /* wall clock, of the present one */
};

void tickets_wipe(struct tickets *t);
void tickets_use(SSL_CTX *ctx); /* sessions of this context find their tickets with tickets_of */
void tickets_rotate(struct tickets *t, int64_t now_s); /* now, whatever the age */

struct tickets *tickets_of(SSL *ssl); /* server.c */

#endif
