/* SPDX-License-Identifier: ISC */
/*
 * tls/certificate.h -- what `check`, `status` and `try` want to know of certificates and keys.
 *
 * Errors   The why says what is wrong and what to do: expired, for another name, key does not fit.
 * Tests    test/unit/tls/certificate_test.c
 */
#ifndef TLS_CERTIFICATE_H
#define TLS_CERTIFICATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"

struct certificate_facts {
	struct str subject, issuer, names;   /* names: comma-separated SAN dNSNames */
	int64_t not_before_s, not_after_s;
	unsigned char key_id[32];            /* SHA-256 of the SubjectPublicKeyInfo of the leaf */
	struct str key_type;                 /* "EC P-256", "RSA 2048", "ED25519" */
};
MUST_USE fault certificate_read(struct str chain_pem, struct arena *a, struct certificate_facts *out,
                                struct why *why);
bool certificate_covers(const struct certificate_facts *facts, struct str name); /* SAN; * is a whole left label */
/* Does this private key belong to the leaf? Reads the key: for keeper and `check` only. */
MUST_USE fault certificate_fits_key(struct str chain_pem, struct str key_pem, struct why *why);

/* A throw-away CA and a certificate for these names and 127.0.0.1, ECDSA P-256, valid for a week. PEM. */
MUST_USE fault certificate_make(const struct str *names, size_t n, struct buf *ca_out, struct buf *chain_out,
                                struct buf *key_out, struct why *why);

#endif
