/* SPDX-License-Identifier: ISC */
/* What is left of OpenSSL's algorithms. */
#include "unit.h"

#include <openssl/decoder.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

#include "tls/provider.h"
#include "tls/session.h"

static int setup(void **state)
{
	struct why why;
	(void)state;
	assert_int_equal(tls_begin(&why), OK);
	return 0;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_cipher_and_no_group_is_missing),
		cmocka_unit_test(what_is_gone_through_is_little),
		cmocka_unit_test(certificates_of_all_kinds_can_be_verified),
	};
	return cmocka_run_group_tests_name("tls/algorithms", tests, setup, NULL);
}
