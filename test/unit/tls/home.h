/* SPDX-License-Identifier: ISC */
/*
 * unit/tls/home.h -- certificates of every kind and a signer that has their keys at home.
 */
#ifndef UNIT_TLS_HOME_H
#define UNIT_TLS_HOME_H

#include <openssl/evp.h>

#include "tls/tls.h"

enum { HOME_KEYS_MAX = 64 };

struct home {
	EVP_PKEY *ca_key, *middle_key;
	struct buf ca_pem, middle_pem;  /* middle: a CA below the first */
	EVP_PKEY *keys[HOME_KEYS_MAX];
	unsigned char ids[HOME_KEYS_MAX][32];
	size_t n_keys;
	/* What the signer was asked last. */
	unsigned asked, padding;
	char digest[16];
	struct buf message;
	bool refuse;
};

struct home_certificate {
	const char *key;        /* "EC P-256", "EC P-384", "RSA", "ED25519" */
	const char *alt_names;  /* "DNS:a.example,IP:127.0.0.1"; NULL: none */
	struct str raw_name;    /* one more dNSName, of any bytes */
	const char *common_name;
	int from_s, until_s;    /* from now; until 0: an hour */
	bool self_signed, by_middle;
};

void home_init(struct home *h);
void home_fini(struct home *h);
/* Appends the leaf to the buffer and keeps its key. */
void home_certificate(struct home *h, const struct home_certificate *want, struct buf *pem_out);
struct tls_signer home_signer(struct home *h);
fault home_sign(void *home, struct str key_id, struct str digest, unsigned padding, struct str message, struct buf *out);

/* Carries bytes between the two until nothing moves; step bytes at a time (0: all). */
void home_pump(struct tls *client, struct tls *server, size_t step);

#endif
