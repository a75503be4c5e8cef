/* SPDX-License-Identifier: ISC */
/*
 * tls/algorithms.c -- OpenSSL's default provider, with those algorithms only that TLS here has a use for.
 *
 * For each certificate that a peer shows, OpenSSL copies its list of all algorithms, some three hundred, and looks through all
 * decoders, more than ninety. That costs a client more than the key exchange. For each use of a key, several in a handshake, it
 * goes through the names of all algorithms, those of its older interface too. So there are few of each here; kinds of algorithms
 * that are not named below pass through unchanged. A certificate's key (SubjectPublicKeyInfo) is all that is ever decoded: what
 * reads the files of private keys works in OpenSSL's ordinary context.
 *
 * The default provider itself is loaded in a context of its own behind ours, where its algorithms find each other.
 */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/check.h"
#include "tls/provider.h"

enum { FEW_MAX = 48 };

/* Of an operation that is not in this table, all. HMAC is a key and a signature too: so OpenSSL protects TLS 1.2 with CBC. */
static const struct rule {
	int operation;
	const char *names[6];      /* how the names of those that stay begin, unless ... */
	const char *property;      /* ... they lack this */
} rules[] = {
	{ OSSL_OP_CIPHER, { "AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305", "AES-128-CBC", "AES-256-CBC" }, NULL },
	{ OSSL_OP_DIGEST, { "SHA1", "SHA2-", "MD5" }, NULL },
	{ OSSL_OP_MAC, { "HMAC" }, NULL },
	{ OSSL_OP_KDF, { "HKDF", "TLS1" }, NULL },
	{ OSSL_OP_KEYMGMT, { "RSA", "EC", "ED", "X25519", "ML-", "HMAC" }, NULL },
	{ OSSL_OP_KEYEXCH, { "ECDH", "X25519" }, NULL },
	{ OSSL_OP_SIGNATURE, { "RSA", "EC", "ED", "ML-", "HMAC" }, NULL },
	{ OSSL_OP_DECODER, { "RSA", "EC", "ED", "ML-" }, "structure=SubjectPublicKeyInfo" },
};

/* Made once per process, by tls_begin, as the library's context is. */
static struct {
	OSSL_PROVIDER *all;
	OSSL_ALGORITHM few[COUNT(rules)][FEW_MAX + 1];   /* those that stay, and an end */
} behind;

static const OSSL_PARAM *gettable(void *provider)
{
	(void)provider;
	return OSSL_PROVIDER_gettable_params(behind.all);
}

static int get_params(void *provider, OSSL_PARAM params[])
{
	(void)provider;
	return OSSL_PROVIDER_get_params(behind.all, params);
}

static int get_capabilities(void *provider, const char *which, OSSL_CALLBACK *callback, void *arg)
{
	(void)provider;
	return OSSL_PROVIDER_get_capabilities(behind.all, which, callback, arg);
}

static size_t rule_of(int operation)
{
	size_t i = 0;
	while (i < COUNT(rules) && rules[i].operation != operation)
		i++;
	return i;
}

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
	(void)provider;
	size_t i = rule_of(operation);
	const OSSL_ALGORITHM *all = OSSL_PROVIDER_query_operation(behind.all, operation, no_cache);
	return i < COUNT(rules) ? behind.few[i] : all;
}

static void unquery(void *provider, int operation, const OSSL_ALGORITHM *found)
{
	(void)provider;
	if (rule_of(operation) == COUNT(rules))
		OSSL_PROVIDER_unquery_operation(behind.all, operation, found);
}

static bool stays(const struct rule *r, const OSSL_ALGORITHM *a)
{
	if (r->property != NULL && strstr(a->property_definition, r->property) == NULL)
		return false;
	for (size_t i = 0; i < COUNT(r->names) && r->names[i] != NULL; i++)
		if (strncmp(a->algorithm_names, r->names[i], strlen(r->names[i])) == 0)
			return true;
	return r->names[0] == NULL;
}

static bool choose(size_t rule)
{
	int no_cache;
	size_t n = 0;
	const OSSL_ALGORITHM *a = OSSL_PROVIDER_query_operation(behind.all, rules[rule].operation, &no_cache);
	for (; a != NULL && a->algorithm_names != NULL && n <= FEW_MAX; a++)
		if (stays(&rules[rule], a))
			behind.few[rule][n++] = *a;
	if (n > FEW_MAX)
		return false;
	behind.few[rule][n] = (OSSL_ALGORITHM){ NULL, NULL, NULL, NULL };
	return true;
}

static OSSL_ALGORITHM *few_named(int operation, const char *name)
{
	OSSL_ALGORITHM *a = behind.few[rule_of(operation)];
	while (a->algorithm_names != NULL && strncmp(a->algorithm_names, name, strlen(name)) != 0)
		a++;
	return a;
}

static void hasten(OSSL_LIB_CTX *room)
{
	OSSL_ALGORITHM *keys = few_named(OSSL_OP_KEYMGMT, "X25519:"), *exchange = few_named(OSSL_OP_KEYEXCH, "X25519:");
	if (keys->implementation != NULL && exchange->implementation != NULL)
		keys->implementation = x25519_functions(room, OSSL_PROVIDER_get0_provider_ctx(behind.all), keys->implementation,
		                                        exchange->implementation);
}

int tls_algorithms_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider)
{
	static const OSSL_DISPATCH functions[] = {
		{ OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, PROVIDER_FUNCTION(gettable) },
		{ OSSL_FUNC_PROVIDER_GET_PARAMS, PROVIDER_FUNCTION(get_params) },
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, PROVIDER_FUNCTION(query) },
		{ OSSL_FUNC_PROVIDER_UNQUERY_OPERATION, PROVIDER_FUNCTION(unquery) },
		{ OSSL_FUNC_PROVIDER_GET_CAPABILITIES, PROVIDER_FUNCTION(get_capabilities) },
		{ 0, NULL },
	};
	(void)handle;
	(void)in;
	OSSL_LIB_CTX *room = OSSL_LIB_CTX_new();
	behind.all = room != NULL ? OSSL_PROVIDER_load(room, "default") : NULL;
	unsigned char seeded;
	/* New keys take their random numbers from there: seeded now, before the process is confined. */
	bool ready = behind.all != NULL && RAND_bytes_ex(room, &seeded, 1, 0) == 1 && RAND_priv_bytes_ex(room, &seeded, 1, 0) == 1;
	for (size_t i = 0; ready && i < COUNT(rules); i++)
		ready = choose(i);
	if (!ready)
		return 0;
	hasten(room);
	*provider = OSSL_PROVIDER_get0_provider_ctx(behind.all);
	*out = functions;
	return 1;
}

/* Only 3.0 looks through so much. And the filter relies on what a provider is inside, which changes: from 3.2 on, for one, random
 * numbers come from the provider that has this one's name. */
bool tls_filter_helps(void)
{
	return OPENSSL_version_major() == 3 && OPENSSL_version_minor() == 0;
}

/* Those that are needed: by them OpenSSL also knows a cipher's number, and the digest of a certificate's signature. */
bool tls_keep_few_older_names(void)
{
	const EVP_CIPHER *const ciphers[] = {
		EVP_aes_128_gcm(), EVP_aes_256_gcm(), EVP_chacha20_poly1305(), EVP_aes_128_cbc(), EVP_aes_256_cbc(),
	};
	const EVP_MD *const digests[] = { EVP_md5(), EVP_md5_sha1(), EVP_sha1(), EVP_sha224(), EVP_sha256(), EVP_sha384(), EVP_sha512() };
	bool done = OPENSSL_init_crypto(OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS, NULL) == 1;
	for (size_t i = 0; i < COUNT(ciphers); i++)
		done = done && EVP_add_cipher(ciphers[i]) == 1;
	for (size_t i = 0; i < COUNT(digests); i++)
		done = done && EVP_add_digest(digests[i]) == 1;
	return done;
}
