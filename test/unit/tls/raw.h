/* SPDX-License-Identifier: ISC */
/* The other side of a handshake made of OpenSSL itself, to be as old and odd as a test needs. */
#ifndef UNIT_TLS_RAW_H
#define UNIT_TLS_RAW_H

#include <openssl/ssl.h>

#include "tls/tls.h"

struct raw { SSL_CTX *ctx; SSL *ssl; BIO *in, *out; };

void raw_context(struct raw *r, const SSL_METHOD *method, const char *ciphers); /* TLS 1.0 to the newest, at no level of security */
void raw_session(struct raw *r);                 /* of the context as it is now; whether it connects or accepts is the test's to say */
void raw_client(struct raw *r, int version_max, const char *ciphers); /* all of that for one that connects */
void raw_pump(struct raw *r, struct tls *t);     /* carries bytes between the two until nothing moves */
void raw_fini(struct raw *r);

#endif
