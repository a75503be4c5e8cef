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

enum { SIGNATURE_BYTES_MAX = 2048 };
static const char *const digest_names[] = { "SHA256", "SHA384", "SHA512" };

/* OpenSSL takes nearly as long to get ready for a signature as to make it. So what is ready is kept, from the first signature on. */
struct signing_key {
	EVP_PKEY *pkey;
	enum { KEY_OTHER, KEY_EC, KEY_RSA, KEY_ED25519 } kind;
	EVP_PKEY_CTX *ready[COUNT(digest_names)][SIGN_PADDINGS];
};

struct keys {
	struct map *by_id, *former;  /* 32 bytes -> struct signing_key */
	EVP_MD *digests[COUNT(digest_names)];
};

struct keys *keys_new(void)
{
	struct keys *k = NEW(struct keys);
	k->by_id = map_new(0);
	k->former = map_new(0);
	for (size_t i = 0; i < COUNT(digest_names); i++)
		k->digests[i] = EVP_MD_fetch(NULL, digest_names[i], NULL);
	return k;
}

/* Owns pkey from now on. */
static struct signing_key *signing_key_new(EVP_PKEY *pkey)
{
	struct signing_key *key = NEW(struct signing_key);
	key->pkey = pkey;
	key->kind = EVP_PKEY_is_a(pkey, "EC") ? KEY_EC : EVP_PKEY_is_a(pkey, "RSA") ? KEY_RSA :
	            EVP_PKEY_is_a(pkey, "ED25519") ? KEY_ED25519 : KEY_OTHER;
	return key;
}

static void signing_key_free(struct signing_key *key)
{
	if (key == NULL)
		return;
	for (size_t i = 0; i < COUNT(digest_names); i++)
		for (size_t j = 0; j < SIGN_PADDINGS; j++)
			EVP_PKEY_CTX_free(key->ready[i][j]);
	EVP_PKEY_free(key->pkey);
	free(key);
}

static void free_all(struct map **m)
{
	size_t cursor = 0;
	struct str id;
	void *key;
	while (map_each(*m, &cursor, &id, &key))
		signing_key_free(key);
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
	for (size_t i = 0; i < COUNT(digest_names); i++)
		EVP_MD_free(k->digests[i]);
	free(k);
}

static void keep_all(struct keys *k, const struct map *older)
{
	size_t cursor = 0;
	struct str id;
	void *key_;
	while (map_each(older, &cursor, &id, &key_)) {
		const struct signing_key *key = key_;
		if (map_get(k->by_id, id) == NULL && map_get(k->former, id) == NULL && map_count(k->former) < KEYS_FORMER_MAX &&
		    EVP_PKEY_up_ref(key->pkey) == 1)
			(void)map_set(k->former, id, signing_key_new(key->pkey));
	}
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
	signing_key_free(map_set(k->by_id, (struct str){ (const char *)facts.key_id, sizeof(facts.key_id) }, signing_key_new(key)));
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

/* COUNT(digest_names): none of them. */
static size_t digest_of(struct str name)
{
	size_t i = 0;
	while (i < COUNT(digest_names) && !str_eq(name, str_of(digest_names[i])))
		i++;
	return i;
}

/* The padding and digest that TLS uses with this kind of key. */
static bool algorithm_fits(const struct signing_key *key, const struct sign_request *q, bool tls12)
{
	if (key->kind == KEY_ED25519)
		return q->digest.n == 0 && q->padding == SIGN_PADS_NOT;
	if (digest_of(q->digest) == COUNT(digest_names))
		return false;
	if (key->kind == KEY_EC)
		return q->padding == SIGN_PADS_NOT;
	return key->kind == KEY_RSA && (q->padding == SIGN_PSS || (q->padding == SIGN_PKCS1 && tls12));
}

/* For signatures of this digest; pss: else PKCS#1, or no padding where the key has none. */
static EVP_PKEY_CTX *get_ready(const struct signing_key *key, const EVP_MD *digest, bool pss)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	if (ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_CTX_set_signature_md(ctx, digest) == 1 &&
	    (!pss || (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	              EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1)))
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

static bool sign_digest(struct signing_key *key, const EVP_MD *digest, EVP_PKEY_CTX **ready, bool pss, struct str message,
                        unsigned char *to, size_t *n)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned n_hash = sizeof(hash);
	if (*ready == NULL)
		*ready = get_ready(key, digest, pss);
	return *ready != NULL && EVP_Digest(message.p, message.n, hash, &n_hash, digest, NULL) == 1 &&
	       EVP_PKEY_sign(*ready, to, n, hash, n_hash) == 1;
}

/* Ed25519 has no digest of its own to be signed, and nothing to be kept (RFC 8032 5.1.6). */
static bool sign_whole(const struct signing_key *key, struct str message, unsigned char *to, size_t *n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool done = ctx != NULL && EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key->pkey, NULL) == 1 &&
	            EVP_DigestSign(ctx, to, n, (const unsigned char *)message.p, message.n) == 1;
	EVP_MD_CTX_free(ctx);
	return done;
}

fault keys_sign(struct keys *k, enum sign_side side, const struct sign_request *q, struct buf *signature_out, struct why *why)
{
	struct signing_key *now = map_get(k->by_id, q->key), *key = now != NULL ? now : map_get(k->former, q->key);
	bool tls12;
	if (!keys_may_sign(side, q->message, &tls12))
		return why_say(why, F_DENIED, "this is not part of a handshake");
	if (key == NULL)
		return why_say(why, F_ABSENT, "there is no such key");
	if (!algorithm_fits(key, q, tls12))
		return why_say(why, F_DENIED, "the key does not sign so");
	unsigned char signature[SIGNATURE_BYTES_MAX];
	size_t n = sizeof(signature), i = digest_of(q->digest);
	bool done = key->kind == KEY_ED25519
	                ? sign_whole(key, q->message, signature, &n)
	                : sign_digest(key, k->digests[i], &key->ready[i][q->padding], q->padding == SIGN_PSS, q->message, signature, &n);
	ERR_clear_error();
	if (!done)
		return why_say(why, F_TLS, "OpenSSL cannot sign with this key");
	return buf_add(signature_out, (struct str){ (const char *)signature, n });
}
