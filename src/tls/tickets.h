/* SPDX-License-Identifier: ISC */
/*
 * tls/tickets.h -- the keys of session tickets, from seeds that all fronts share. Not for other rooms.
 *
 * A seed is TLS_TICKET_SEED_BYTES of the keeper's randomness. The key of a ticket is derived from it, from the kind of
 * listener and from the certificates behind the name that the client asked for, so a ticket is nothing to another
 * listener or another certificate, and any front with the seed can open it. Two seeds are in use, the present one and the
 * one before it; tickets are sealed with the former. Keys that were derived are kept beside the seeds, and go with them.
 *
 * Only TLS 1.3 has tickets, and resumes with a fresh key exchange (psk_dhe_ke): whoever learns a seed later cannot read what was
 * said. In TLS 1.2 the ticket holds all that the session's secrecy hangs on.
 *
 * Source   RFC 8446 4.6.1, 2.2 and 4.2.9; RFC 5077 4 (the ticket's form) and 5.5; RFC 5869 (HKDF).
 * Limits   TICKET_KEYS_MAX keys are kept: for a further one the oldest goes, and is derived anew when it is needed. That of a listener
 *          whose name takes more than TICKET_LISTENER_MAX bytes is derived each time.
 * Tests    test/unit/tls/tickets_test.c
 */
#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H

#include <openssl/ssl.h>

#include "tls/tls.h"

enum { TICKET_KEYS_MAX = 16, TICKET_LISTENER_MAX = 16 }; /* a name with its NUL */

/* What a session's tickets are bound to; without seeds there are none. */
struct ticket_binding {
	struct tls_tickets *seeds;
	const char *listener;
	const unsigned char *certificates;   /* 32 bytes */
};

void tickets_use(SSL_CTX *ctx);              /* sessions of this context find their keys with tickets_of */
bool tickets_any(const struct tls_tickets *t);

/* server.c: false, the session has no tickets */
bool tickets_of(SSL *ssl, struct ticket_binding *out);

#endif
