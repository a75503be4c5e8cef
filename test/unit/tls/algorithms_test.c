/* SPDX-License-Identifier: ISC */
/* What is left of OpenSSL's algorithms, and new keys for X25519 that are made in another way than it would. */
#include "unit.h"

#include <openssl/decoder.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tls/provider.h"
#include "tls/session.h"

static void *no_memory(size_t n, const char *file, int line)
{
	(void)n;
	(void)file;
	(void)line;
	return NULL;
}

static void *no_more_memory(void *p, size_t n, const char *file, int line)
{
	(void)p;
	return no_memory(n, file, line);
}

static void none_to_free(void *p, const char *file, int line)
{
	(void)p;
	(void)file;
	(void)line;
}

/* In a process of its own: OpenSSL begins once. */
static void what_keeps_it_from_beginning_is_said_with_what_to_mend(void **state)
{
	static const char words[] = "OpenSSL does not even start; there is no TLS until its installation is mended";
	int status = -1;
	(void)state;
	if (!tls_filter_helps())
		skip(); /* then the first step is OpenSSL's own, and without memory 3.5 does not come back from it */
	pid_t child = fork();
	if (child == 0) {
		struct why why = { "" };
		bool empty = CRYPTO_set_mem_functions(no_memory, no_more_memory, none_to_free) == 1;
		_exit(empty && tls_begin(&why) == F_TLS && strncmp(why.text, words, sizeof words - 1) == 0 ? 0 : 1);
	}
	assert_true(child > 0 && waitpid(child, &status, 0) == child);
	assert_int_equal(status, 0);
}

static int setup(void **state)
{
	struct why why;
	(void)state;
	assert_int_equal(tls_begin(&why), OK);
	return 0;
}

static void skip_where_all_stay(void)
{
	if (!tls_filter_helps())
		skip(); /* this OpenSSL's default provider is used as it is */
}

/* What is left out of OpenSSL's algorithms is nothing that our rules ask for. */
static void no_cipher_and_no_group_is_missing(void **state)
{
	SSL_CTX *ours = SSL_CTX_new_ex(tls_library(), NULL, TLS_method()), *whole = SSL_CTX_new(TLS_method());
	(void)state;
	assert_int_equal(tls_knows_post_quantum(ours), tls_knows_post_quantum(whole));
	assert_true(tls_context_rules(ours, true) && tls_context_rules(whole, true));
	STACK_OF(SSL_CIPHER) *a = SSL_CTX_get_ciphers(ours), *b = SSL_CTX_get_ciphers(whole);
	assert_true(sk_SSL_CIPHER_num(a) > 10);
	assert_int_equal(sk_SSL_CIPHER_num(a), sk_SSL_CIPHER_num(b));
	for (int i = 0; i < sk_SSL_CIPHER_num(a); i++)
		assert_string_equal(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(a, i)), SSL_CIPHER_get_name(sk_SSL_CIPHER_value(b, i)));
	SSL_CTX_free(ours);
	SSL_CTX_free(whole);
}

static void count_decoder(OSSL_DECODER *decoder, void *n)
{
	(void)decoder;
	++*(size_t *)n;
}

static void count_keys(EVP_KEYMGMT *keys, void *n)
{
	(void)keys;
	++*(size_t *)n;
}

static void count_name(const OBJ_NAME *name, void *n)
{
	(void)name;
	++*(size_t *)n;
}

/* OpenSSL goes through all of them for each certificate of a peer, and through the names for each use of a key. */
static void what_is_gone_through_is_little(void **state)
{
	size_t n = 0, of_whole = 0, names = 0;
	(void)state;
	skip_where_all_stay();
	OSSL_DECODER_do_all_provided(tls_library(), count_decoder, &n);
	OSSL_DECODER_do_all_provided(NULL, count_decoder, &of_whole);
	assert_true(n > 0 && n < of_whole / 4);
	n = of_whole = 0;
	EVP_KEYMGMT_do_all_provided(tls_library(), count_keys, &n);
	EVP_KEYMGMT_do_all_provided(NULL, count_keys, &of_whole);
	assert_true(n > 0 && n < of_whole);
	OBJ_NAME_do_all(OBJ_NAME_TYPE_CIPHER_METH, count_name, &names);
	OBJ_NAME_do_all(OBJ_NAME_TYPE_MD_METH, count_name, &names);
	assert_in_range(names, 12, 40);
}

static EVP_PKEY *key_like(const char *kind)
{
	if (strncmp(kind, "RSA", 3) != 0)
		return strncmp(kind, "P-", 2) == 0 ? EVP_EC_gen(kind) : EVP_PKEY_Q_keygen(NULL, NULL, kind);
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	assert_true(EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) == 1 &&
	            EVP_PKEY_generate(ctx, &key) == 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* As it comes from a peer: parsed where TLS works, its key decoded there. */
static X509 *certificate_by(EVP_PKEY *key, const EVP_MD *digest)
{
	unsigned char *der = NULL;
	X509 *cert = X509_new(), *read = X509_new_ex(tls_library(), NULL);
	assert_true(X509_set_version(cert, X509_VERSION_3) == 1 && X509_set_pubkey(cert, key) == 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), 0));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 60));
	assert_true(X509_sign(cert, key, digest) > 0);
	int n = i2d_X509(cert, &der);
	const unsigned char *p = der;
	assert_non_null(d2i_X509(&read, &p, n));
	OPENSSL_free(der);
	X509_free(cert);
	return read;
}

static void certificates_of_all_kinds_can_be_verified(void **state)
{
	static const struct { const char *key; const EVP_MD *(*digest)(void); } kinds[] = {
		{ "RSA", EVP_sha1 }, { "RSA", EVP_sha256 }, { "RSA", EVP_sha384 }, { "RSA", EVP_sha512 }, { "RSA-PSS", EVP_sha256 },
		{ "P-256", EVP_sha224 }, { "P-256", EVP_sha256 }, { "P-384", EVP_sha384 }, { "P-521", EVP_sha512 },
		{ "ED25519", NULL }, { "ED448", NULL },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		EVP_PKEY *key = key_like(kinds[i].key);
		X509 *cert = certificate_by(key, kinds[i].digest != NULL ? kinds[i].digest() : NULL);
		if (X509_get0_pubkey(cert) == NULL || X509_verify(cert, X509_get0_pubkey(cert)) != 1)
			fail_msg("a certificate by %s is not verified", kinds[i].key);
		X509_free(cert);
		EVP_PKEY_free(key);
	}
}

/* ---- X25519 ---- */

static EVP_PKEY *new_key(OSSL_LIB_CTX *ctx)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(ctx, NULL, "X25519");
	assert_non_null(key);
	return key;
}

static void parts_of(EVP_PKEY *key, unsigned char secret[32], unsigned char public[32])
{
	size_t a = 32, b = 32;
	assert_true(EVP_PKEY_get_raw_private_key(key, secret, &a) == 1 && EVP_PKEY_get_raw_public_key(key, public, &b) == 1);
	assert_true(a == 32 && b == 32);
}

/* RFC 7748 6.1. */
static void public_parts_are_those_of_the_rfc(void **state)
{
	static const struct { unsigned char secret[32], public[32]; } vectors[] = {
		{ { 0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
		    0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a },
		  { 0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a,
		    0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a } },
		{ { 0x5d, 0xab, 0x08, 0x7e, 0x62, 0x4a, 0x8a, 0x4b, 0x79, 0xe1, 0x7f, 0x8b, 0x83, 0x80, 0x0e, 0xe6,
		    0x6f, 0x3b, 0xb1, 0x29, 0x26, 0x18, 0xb6, 0xfd, 0x1c, 0x2f, 0x8b, 0x27, 0xff, 0x88, 0xe0, 0xeb },
		  { 0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4, 0xd3, 0x5b, 0x61, 0xc2, 0xec, 0xe4, 0x35, 0x37,
		    0x3f, 0x83, 0x43, 0xc8, 0x5b, 0x78, 0x67, 0x4d, 0xad, 0xfc, 0x7e, 0x14, 0x6f, 0x88, 0x2b, 0x4f } },
	};
	(void)state;
	skip_where_all_stay();
	for (size_t i = 0; i < COUNT(vectors); i++) {
		unsigned char secret[32], public[32];
		memcpy(secret, vectors[i].secret, sizeof secret);
		assert_true(x25519_public_of(secret, public));
		assert_memory_equal(public, vectors[i].public, sizeof public);
	}
}

static void new_keys_are_those_that_openssl_would_make(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		unsigned char secret[32], public[32], another[32], secret_there[32], public_there[32];
		EVP_PKEY *key = new_key(tls_library()), *next = new_key(tls_library());
		parts_of(key, secret, public);
		assert_true((secret[0] & 7) == 0 && (secret[31] & 0xc0) == 0x40); /* RFC 7748 5 */
		EVP_PKEY *there = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, secret, sizeof secret);
		parts_of(there, secret_there, public_there);
		assert_memory_equal(public, public_there, sizeof public);
		parts_of(next, another, public);
		assert_memory_not_equal(secret, another, sizeof secret);
		EVP_PKEY_free(key);
		EVP_PKEY_free(next);
		EVP_PKEY_free(there);
	}
}

static void shared_secret(OSSL_LIB_CTX *ctx, EVP_PKEY *own, EVP_PKEY *peer, unsigned char out[32])
{
	size_t n = 32;
	EVP_PKEY_CTX *d = EVP_PKEY_CTX_new_from_pkey(ctx, own, NULL);
	assert_true(EVP_PKEY_derive_init(d) == 1 && EVP_PKEY_derive_set_peer(d, peer) == 1 && EVP_PKEY_derive(d, out, &n) == 1);
	assert_int_equal(n, 32);
	EVP_PKEY_CTX_free(d);
}

static void new_keys_agree_with_others(void **state)
{
	unsigned char secret[32], public[32], here[32], there[32];
	EVP_PKEY *ours = new_key(tls_library()), *theirs = new_key(NULL);
	(void)state;
	parts_of(theirs, secret, public);
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key_ex(tls_library(), "X25519", NULL, public, sizeof public);
	shared_secret(tls_library(), ours, peer, here);
	parts_of(ours, secret, public);
	EVP_PKEY *back = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, public, sizeof public);
	shared_secret(NULL, theirs, back, there);
	assert_memory_equal(here, there, sizeof here);
	EVP_PKEY_free(ours);
	EVP_PKEY_free(theirs);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(back);
}

/* RFC 7748 6.1, RFC 8446 7.4.2: whoever shows a point of small order knows the shared secret beforehand, zero. */
static void points_of_small_order_are_refused(void **state)
{
	static const unsigned char points[][32] = {
		{ 0 }, { 1 },
		{ 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		  0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00 },
		{ 0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
		  0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57 },
		{ 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
	};
	EVP_PKEY *ours = new_key(tls_library());
	(void)state;
	for (size_t i = 0; i < COUNT(points); i++) {
		unsigned char out[32];
		size_t n = sizeof out;
		EVP_PKEY *peer = EVP_PKEY_new_raw_public_key_ex(tls_library(), "X25519", NULL, points[i], sizeof points[i]);
		EVP_PKEY_CTX *d = EVP_PKEY_CTX_new_from_pkey(tls_library(), ours, NULL);
		assert_true(EVP_PKEY_derive_init(d) == 1 && EVP_PKEY_derive_set_peer(d, peer) == 1);
		assert_int_not_equal(EVP_PKEY_derive(d, out, &n), 1);
		EVP_PKEY_CTX_free(d);
		EVP_PKEY_free(peer);
	}
	EVP_PKEY_free(ours);
}

/* A name of another group is refused; parameters alone are an empty key, that takes a peer's public part. */
static void keys_are_made_for_one_group_only(void **state)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(tls_library(), "X25519", NULL);
	EVP_PKEY *empty = NULL;
	unsigned char public[32] = { 9 };
	size_t n = 0;
	(void)state;
	assert_true(EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_group_name(ctx, "x25519") == 1);
	assert_int_not_equal(EVP_PKEY_CTX_set_group_name(ctx, "x448"), 1);
	assert_true(EVP_PKEY_paramgen_init(ctx) == 1 && EVP_PKEY_generate(ctx, &empty) == 1);
	assert_int_not_equal(EVP_PKEY_get_raw_public_key(empty, public, &n), 1);
	assert_int_equal(EVP_PKEY_set1_encoded_public_key(empty, public, sizeof public), 1);
	EVP_PKEY_free(empty);
	EVP_PKEY_CTX_free(ctx);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_keeps_it_from_beginning_is_said_with_what_to_mend), /* before any other has begun */
		TEST(no_cipher_and_no_group_is_missing),
		TEST(what_is_gone_through_is_little),
		TEST(certificates_of_all_kinds_can_be_verified),
		TEST(public_parts_are_those_of_the_rfc),
		TEST(new_keys_are_those_that_openssl_would_make),
		TEST(new_keys_agree_with_others),
		TEST(points_of_small_order_are_refused),
		TEST(keys_are_made_for_one_group_only),
	};
	return cmocka_run_group_tests_name("tls/algorithms", tests, NULL, NULL);
}
