/* SPDX-License-Identifier: ISC */
#include "role/keeper/keys.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/map.h"
#include "tls/certificate.h"

enum { SIGNATURE_MAX = 2048 };

struct keys { struct map *by_id, *former; };  /* 32 bytes -> EVP_PKEY */

struct keys *keys_new(void)
{
	struct keys *k = NEW(struct keys);
	k->by_id = map_new(0);
	k->former = map_new(0);
	return k;
}

static void free_all(struct map **m)
{
	size_t cursor = 0;
	struct str id;
	void *key;
	while (map_each(*m, &cursor, &id, &key))
		EVP_PKEY_free(key);
	map_free(m);
}

void keys_free(struct keys **k_)
{
	struct keys *k = *k_;
	if (k == NULL)
		return;
	*k_ = NULL;
	free_all(&k->by_id);
	free_all(&k->former);
	free(k);
}

static void keep_all(struct keys *k, const struct map *older)
{
	size_t cursor = 0;
	struct str id;
	void *key;
	while (map_each(older, &cursor, &id, &key))
		if (map_get(k->by_id, id) == NULL && map_get(k->former, id) == NULL && map_count(k->former) < KEYS_FORMER_MAX &&
		    EVP_PKEY_up_ref(key) == 1)
			(void)map_set(k->former, id, key);
}

/* The nearest first: where there are too many, those of long ago are left out. */
void keys_keep_former(struct keys *k, const struct keys *older)
{
	keep_all(k, older->by_id);
	keep_all(k, older->former);
}

void keys_forget_former(struct keys *k)
{
	free_all(&k->former);
	k->former = map_new(0);
}

size_t keys_count(const struct keys *k)
{
	return map_count(k->by_id);
}

fault keys_add(struct keys *k, struct str chain_pem, struct str key_pem, struct why *why)
{
	struct certificate_facts facts;
	struct arena *a = arena_new(1 << 20);
	fault f = certificate_read(chain_pem, a, &facts, why);
	arena_free(&a);
	TRY(f);
	TRY(certificate_fits_key(chain_pem, key_pem, why));
	BIO *bio = BIO_new_mem_buf(key_pem.p, (int)key_pem.n);
	check(bio != NULL);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (key == NULL)
		return why_say(why, F_SYNTAX, "the private key cannot be read");
	EVP_PKEY_free(map_set(k->by_id, (struct str){ (const char *)facts.key_id, sizeof(facts.key_id) }, key));
	return OK;
}

/* RFC 8446 4.4.3: 64 spaces, the context, a zero byte, the transcript's hash. */
static bool is_certificate_verify(enum sign_side side, struct str message)
{
	for (size_t i = 0; i < 64; i++)
		if (message.n <= i || message.p[i] != ' ')
			return false;
	struct str rest = str_from(message, 64);
	struct str context = side == SIGN_AS_SERVER ? STR("TLS 1.3, server CertificateVerify") : STR("TLS 1.3, client CertificateVerify");
	return str_take(&rest, context) && str_take_char(&rest, '\0') && (rest.n == 32 || rest.n == 48);
}

/* RFC 8422 5.4: two randoms, then ECParameters of a named curve and the point. */
static bool is_key_exchange(struct str message)
{
	static const struct { unsigned curve; size_t n; } points[] = { { 23, 65 }, { 24, 97 }, { 29, 32 } };
	const unsigned char *p = (const unsigned char *)message.p + 64;
	if (message.n < 64 + 4 || p[0] != 3 || message.n != 64 + 4 + (size_t)p[3])
		return false;
	for (size_t i = 0; i < COUNT(points); i++)
		if (p[1] * 256u + p[2] == points[i].curve)
			return p[3] == points[i].n && (points[i].n == 32 || p[4] == 4);
	return false;
}

bool keys_may_sign(enum sign_side side, struct str message, bool *tls12_out)
{
	*tls12_out = side == SIGN_AS_SERVER && is_key_exchange(message);
	return *tls12_out || is_certificate_verify(side, message);
}

static const char *digest_of(struct str name)
{
	static const char *const known[] = { "SHA256", "SHA384", "SHA512" };
	for (size_t i = 0; i < COUNT(known); i++)
		if (str_eq(name, str_of(known[i])))
			return known[i];
	return NULL;
}

/* The padding and digest that TLS uses with this kind of key: *digest_out is NULL for Ed25519. */
static bool algorithm_fits(EVP_PKEY *key, const struct sign_request *q, bool tls12, const char **digest_out)
{
	*digest_out = digest_of(q->digest);
	if (EVP_PKEY_is_a(key, "ED25519"))
		return q->digest.n == 0 && q->padding == 0;
	if (*digest_out == NULL)
		return false;
	if (EVP_PKEY_is_a(key, "EC"))
		return q->padding == 0;
	return EVP_PKEY_is_a(key, "RSA") && (q->padding == 2 || (q->padding == 1 && tls12));
}

static bool sign(EVP_PKEY *key, const char *digest, bool pss, struct str message, unsigned char *to, size_t *n)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx = NULL;
	bool done = md != NULL && EVP_DigestSignInit_ex(md, &ctx, digest, NULL, NULL, key, NULL) == 1 &&
	            (!pss || (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	                      EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1)) &&
	            EVP_DigestSign(md, to, n, (const unsigned char *)message.p, message.n) == 1;
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return done;
}

fault keys_sign(const struct keys *k, enum sign_side side, const struct sign_request *q, struct buf *signature_out,
                struct why *why)
{
	EVP_PKEY *now = map_get(k->by_id, q->key), *key = now != NULL ? now : map_get(k->former, q->key);
	const char *digest;
	bool tls12;
	if (!keys_may_sign(side, q->message, &tls12))
		return why_say(why, F_DENIED, "this is not part of a handshake");
	if (key == NULL)
		return why_say(why, F_ABSENT, "there is no such key");
	if (!algorithm_fits(key, q, tls12, &digest))
		return why_say(why, F_DENIED, "the key does not sign so");
	unsigned char signature[SIGNATURE_MAX];
	size_t n = sizeof(signature);
	if (!sign(key, digest, q->padding == 2, q->message, signature, &n))
		return why_say(why, F_TLS, "OpenSSL cannot sign with this key");
	return buf_add(signature_out, (struct str){ (const char *)signature, n });
}
