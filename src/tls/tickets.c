/* SPDX-License-Identifier: ISC */
#include "tls/tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sys/secret.h"
#include "tls/provider.h"

enum { TICKET_LIFE_S = 6 * 3600 };

struct ticket_key { unsigned char name[16], cipher[32], mac[32]; };

/* A key as it was derived, and what it was derived from. */
struct kept_key {
	unsigned seed;
	char listener[TICKET_LISTENER_MAX];
	unsigned char certificates[32];
	struct ticket_key key;
};

struct tls_tickets {
	unsigned n;
	unsigned char seeds[2][TLS_TICKET_SEED_BYTES];   /* the present one first */
	struct kept_key kept[TICKET_KEYS_MAX];                  /* of these seeds */
	unsigned n_kept, next;                           /* next: the one that goes for a new one */
};

struct tls_tickets *tls_tickets_new(void)
{
	bool locked; /* as well as it goes: a seed opens no recorded session */
	struct tls_tickets *t = secret_new(sizeof(*t), &locked);
	check(t != NULL);
	return t;
}

void tls_tickets_free(struct tls_tickets **t)
{
	void *pages = *t;
	*t = NULL;
	secret_free(&pages, sizeof(**t));
}

static bool is_seed(struct str s)
{
	unsigned char any = 0;
	for (size_t i = 0; i < s.n; i++)
		any |= (unsigned char)s.p[i];
	return s.n == TLS_TICKET_SEED_BYTES && any != 0;
}

fault tls_tickets_set(struct tls_tickets *t, struct str present, struct str past)
{
	if (!is_seed(present) || (past.n > 0 && !is_seed(past)))
		return F_SYNTAX; /* zeros above all: tickets that anybody can forge (CVE-2020-13777) */
	OPENSSL_cleanse(t, sizeof(*t));
	memcpy(t->seeds[0], present.p, sizeof(t->seeds[0]));
	if (past.n > 0)
		memcpy(t->seeds[1], past.p, sizeof(t->seeds[1]));
	t->n = past.n > 0 ? 2 : 1;
	return OK;
}

bool tickets_any(const struct tls_tickets *t)
{
	return t != NULL && t->n > 0;
}

/* ---- keys ---- */

static bool derive(const struct ticket_binding *b, unsigned seed, struct ticket_key *out)
{
	char digest[] = "SHA256";
	unsigned char secret[TLS_TICKET_SEED_BYTES], certificates[32];
	memcpy(secret, b->seeds->seeds[seed], sizeof(secret));
	memcpy(certificates, b->certificates, sizeof(certificates));
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, secret, sizeof(secret)),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, certificates, sizeof(certificates)),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)b->listener, strlen(b->listener)),
		OSSL_PARAM_END,
	};
	EVP_KDF *kdf = EVP_KDF_fetch(tls_library(), "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
	bool done = ctx != NULL && EVP_KDF_derive(ctx, (unsigned char *)out, sizeof(*out), params) == 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	OPENSSL_cleanse(secret, sizeof(secret));
	return done;
}

static struct kept_key *kept_for(const struct ticket_binding *b, unsigned seed)
{
	for (unsigned i = 0; i < b->seeds->n_kept; i++) {
		struct kept_key *k = &b->seeds->kept[i];
		if (k->seed == seed && strcmp(k->listener, b->listener) == 0 &&
		    memcmp(k->certificates, b->certificates, sizeof(k->certificates)) == 0)
			return k;
	}
	return NULL;
}

/* Few listeners and certificates have most of the clients: for them, each key is derived once. */
static bool key_of(const struct ticket_binding *b, unsigned seed, struct ticket_key *out)
{
	struct tls_tickets *t = b->seeds;
	const struct kept_key *had = kept_for(b, seed);
	if (had != NULL) {
		*out = had->key;
		return true;
	}
	size_t n = strlen(b->listener) + 1;
	if (!derive(b, seed, out))
		return false;
	if (n > TICKET_LISTENER_MAX)
		return true;
	struct kept_key *k = &t->kept[t->next];
	t->next = (t->next + 1) % TICKET_KEYS_MAX;
	if (t->n_kept < TICKET_KEYS_MAX)
		t->n_kept++;
	k->seed = seed;
	k->key = *out;
	memcpy(k->listener, b->listener, n);
	memcpy(k->certificates, b->certificates, sizeof(k->certificates));
	return true;
}

static bool start(struct ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool sealing)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_END,
	};
	EVP_CIPHER *aes = EVP_CIPHER_fetch(tls_library(), "AES-256-CBC", NULL);
	bool done = aes != NULL && EVP_MAC_CTX_set_params(mac, params) == 1 &&
	            EVP_CipherInit_ex2(cipher, aes, key->cipher, iv, sealing, NULL) == 1;
	EVP_CIPHER_free(aes);
	return done;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 go on, 2 go on and renew, 0 no such key, -1 failure. */
enum { TICKET_FAILURE = -1, TICKET_UNKNOWN = 0, TICKET_GOES = 1, TICKET_GOES_AND_RENEW = 2 };

static int seal(const struct ticket_binding *b, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	struct ticket_key key;
	bool done = key_of(b, 0, &key) && RAND_bytes_ex(tls_library(), iv, 16, 0) == 1 && start(&key, iv, cipher, mac, true);
	memcpy(name, key.name, sizeof(key.name));
	OPENSSL_cleanse(&key, sizeof(key));
	return done ? TICKET_GOES : TICKET_FAILURE;
}

static int open_sealed(const struct ticket_binding *b, const unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac)
{
	int result = TICKET_UNKNOWN;
	for (unsigned i = 0; i < b->seeds->n && result == TICKET_UNKNOWN; i++) {
		struct ticket_key key;
		if (!key_of(b, i, &key))
			result = TICKET_FAILURE;
		else if (CRYPTO_memcmp(name, key.name, sizeof(key.name)) == 0)
			result = !start(&key, iv, cipher, mac, false) ? TICKET_FAILURE : i == 0 ? TICKET_GOES : TICKET_GOES_AND_RENEW;
		OPENSSL_cleanse(&key, sizeof(key));
	}
	return result;
}

static int give_key(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
	struct ticket_binding b;
	if (!tickets_of(ssl, &b))
		return sealing ? TICKET_FAILURE : TICKET_UNKNOWN;
	return sealing ? seal(&b, name, iv, cipher, mac) : open_sealed(&b, name, iv, cipher, mac);
}

void tickets_use(SSL_CTX *ctx)
{
	(void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, give_key);
	(void)SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
	(void)SSL_CTX_clear_options(ctx, SSL_OP_ALLOW_NO_DHE_KEX); /* whatever OpenSSL's configuration file says */
}
