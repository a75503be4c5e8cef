/* SPDX-License-Identifier: ISC */
/*
 * tls/provider.h -- OpenSSL keys without their private part: a provider whose signature asks a signer.
 *
 * Everything of tls/ works in a library context of its own, made by tls_begin: there the default provider
 * does all cryptography but one thing, the signature with a certificate's key. A key object here holds the
 * public parameters, the key's id and the signer; what does not exist in the process cannot leak from it.
 *
 * Source   provider(7), provider-keymgmt(7), provider-signature(7) of OpenSSL 3.0.
 * Safety   Exporting any selection with the private part is refused; otherwise OpenSSL would move the public
 *          half to the default provider and fail there.
 * Tests    test/unit/tls/session_test.c
 */
#ifndef TLS_PROVIDER_H
#define TLS_PROVIDER_H

#include <openssl/core.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/x509.h>

#include "tls/certificate.h"
#include "tls/tls.h"

OSSL_LIB_CTX *tls_library(void); /* aborts if tls_begin has not been called */

/* ISO C has no cast between function types that keeps the compiler's eyes open; OpenSSL's dispatch tables need one. */
#define PROVIDER_FUNCTION(f) ((void (*)(void))(f))

/* algorithms.c: what makes the default provider, seen through a filter. */
int tls_algorithms_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider);
/* Is the OpenSSL that runs one that is quicker with it? With any other, the default provider is used as it is. */
bool tls_filter_helps(void);
/* The same for OpenSSL's older interface. Before anything else of OpenSSL; later it changes nothing. False: out of memory. */
bool tls_keep_few_older_names(void);

/* x25519.c: what the default provider can do with such keys, with a faster way to a new one where there is one. Once per process:
 * room is the context of that provider, which lasts. */
const OSSL_DISPATCH *x25519_functions(OSSL_LIB_CTX *room, void *provider, const OSSL_DISPATCH *keys, const OSSL_DISPATCH *exchange);
/* RFC 7748 6.1: the public part of a secret one. Once x25519_functions has been called. */
bool x25519_public_of(unsigned char secret[32], unsigned char out[32]);

/* SHA-256 of the SubjectPublicKeyInfo: how keeper and contexts name a key. */
bool tls_key_id(X509 *leaf, unsigned char out[32]);

/* certificate.c: what is in a certificate, each text cut to text_max bytes, names at a comma. False: its key cannot be read. */
bool tls_certificate_look(X509 *cert, size_t text_max, struct arena *a, struct certificate_facts *out);

/* The next certificate of a PEM text, NULL at its end or where it is damaged. The text up to a damaged certificate
 * must not pass as a shorter chain (clients would fail, far away): tls_pem_ended tells the two apart. */
X509 *tls_next_certificate(BIO *pem);
bool  tls_pem_ended(void);

/* The key-less counterpart of the leaf's public key. NULL with the reason: a kind of key we do not know. */
EVP_PKEY *provider_key_new(X509 *leaf, const struct tls_signer *signer, struct why *why);

#endif
