/* SPDX-License-Identifier: ISC */
/* The keeper's parts that need no neighbours: what may be signed, and how failures add up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/pem.h>

#include "base/check.h"
#include "role/keeper/backoff.h"
#include "role/keeper/keys.h"
#include "tls/certificate.h"
#include "tls/home.h"

/* ---- shapes ---- */

static struct str tls13(char to[256], const char *context, size_t hash)
{
	memset(to, ' ', 64);
	size_t n = strlen(context);
	memcpy(to + 64, context, n + 1);
	memset(to + 64 + n + 1, 'h', hash);
	return (struct str){ to, 64 + n + 1 + hash };
}

static struct str tls12(char to[256], unsigned curve, size_t point)
{
	memset(to, 'r', 64);
	to[64] = 3;
	to[65] = (char)(curve >> 8);
	to[66] = (char)curve;
	to[67] = (char)point;
	memset(to + 68, 4, point);
	return (struct str){ to, 68 + point };
}

static void only_handshakes_are_signed(void **state)
{
	static const char server[] = "TLS 1.3, server CertificateVerify", client[] = "TLS 1.3, client CertificateVerify";
	char m[256];
	bool old;
	(void)state;
	assert_true(keys_may_sign(SIGN_AS_SERVER, tls13(m, server, 32), &old));
	assert_false(old);
	assert_true(keys_may_sign(SIGN_AS_SERVER, tls13(m, server, 48), &old));
	assert_false(keys_may_sign(SIGN_AS_SERVER, tls13(m, client, 32), &old));
	assert_true(keys_may_sign(SIGN_AS_CLIENT, tls13(m, client, 32), &old));
	assert_false(keys_may_sign(SIGN_AS_CLIENT, tls13(m, server, 32), &old));
	assert_false(keys_may_sign(SIGN_AS_SERVER, tls13(m, server, 31), &old));
	assert_false(keys_may_sign(SIGN_AS_SERVER, tls13(m, server, 33), &old));
	assert_false(keys_may_sign(SIGN_AS_SERVER, tls13(m, server, 0), &old));
	assert_false(keys_may_sign(SIGN_AS_SERVER, tls13(m, "TLS 1.3, server Something", 32), &old));
	struct str s = tls13(m, server, 32);
	m[0] = 'x';
	assert_false(keys_may_sign(SIGN_AS_SERVER, s, &old));
	m[0] = ' ';
	m[64 + sizeof(server) - 1] = 1;
	assert_false(keys_may_sign(SIGN_AS_SERVER, s, &old));

	static const struct { unsigned curve; size_t point; bool allowed; } rows[] = {
		{ 23, 65, true }, { 24, 97, true }, { 29, 32, true }, { 23, 64, false }, { 23, 66, false }, { 29, 65, false },
		{ 25, 133, false }, { 1, 32, false }, { 29, 0, false },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(keys_may_sign(SIGN_AS_SERVER, tls12(m, rows[i].curve, rows[i].point), &old), rows[i].allowed);
		assert_int_equal(old, rows[i].allowed);
		assert_false(keys_may_sign(SIGN_AS_CLIENT, tls12(m, rows[i].curve, rows[i].point), &old));
	}
	s = tls12(m, 29, 32);
	assert_false(keys_may_sign(SIGN_AS_SERVER, str_sub(s, 0, s.n - 1), &old));
	assert_false(keys_may_sign(SIGN_AS_SERVER, (struct str){ m, s.n + 1 }, &old));
	m[64] = 1; /* explicit curve parameters */
	assert_false(keys_may_sign(SIGN_AS_SERVER, s, &old));
	for (size_t n = 0; n < 70; n++)
		assert_false(keys_may_sign(SIGN_AS_SERVER, (struct str){ m, n }, &old));
}

static void put_key(EVP_PKEY *key, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes;
	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	long n = BIO_get_mem_data(bio, &bytes);
	assert_int_equal(buf_add(out, (struct str){ bytes, (size_t)n }), OK);
	BIO_free(bio);
}

static void verify(EVP_PKEY *key, const char *digest, unsigned padding, struct str message, struct str signature)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx;
	assert_int_equal(EVP_DigestVerifyInit_ex(md, &ctx, digest[0] != '\0' ? digest : NULL, NULL, NULL, key, NULL), 1);
	if (padding == 2) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST), 1);
	}
	assert_int_equal(EVP_DigestVerify(md, (const unsigned char *)signature.p, signature.n, (const unsigned char *)message.p, message.n), 1);
	EVP_MD_CTX_free(md);
}

static void keys_sign_as_tls_does(void **state)
{
	static const struct { const char *key, *digest; unsigned padding; bool tls12, allowed; } rows[] = {
		{ "EC P-256", "SHA256", 0, false, true }, { "EC P-384", "SHA384", 0, true, true }, { "ED25519", "", 0, false, true },
		{ "RSA", "SHA256", 2, false, true }, { "RSA", "SHA512", 2, true, true }, { "RSA", "SHA256", 1, true, true },
		{ "RSA", "SHA256", 1, false, false }, { "RSA", "SHA256", 0, true, false }, { "RSA", "", 2, false, false },
		{ "EC P-256", "SHA256", 1, false, false }, { "EC P-256", "", 0, false, false }, { "EC P-256", "SHA1", 0, false, false },
		{ "ED25519", "SHA256", 0, false, false }, { "RSA", "SHA256", 3, true, false }, { "RSA", "MD5", 2, false, false },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct home h;
		struct buf chain, pem, signature;
		struct why why = { "" };
		char message[256];
		home_init(&h);
		buf_init(&chain, 1 << 16);
		buf_init(&pem, 1 << 16);
		buf_init(&signature, 4096);
		home_certificate(&h, &(struct home_certificate){ .key = rows[i].key }, &chain);
		put_key(h.keys[0], &pem);
		struct keys *k = keys_new();
		if (keys_add(k, buf_view(&chain), buf_view(&pem), &why) != OK)
			fail_msg("%s", why.text);
		struct str m = rows[i].tls12 ? tls12(message, 29, 32) : tls13(message, "TLS 1.3, server CertificateVerify", 32);
		struct sign_request q = { { (const char *)h.ids[0], 32 }, str_of(rows[i].digest), rows[i].padding, m };
		fault f = keys_sign(k, SIGN_AS_SERVER, &q, &signature, &why);
		if (f != (rows[i].allowed ? OK : F_DENIED))
			fail_msg("row %zu: %s %s", i, fault_name(f), why.text);
		if (f == OK)
			verify(h.keys[0], rows[i].digest, rows[i].padding, m, buf_view(&signature));
		/* A second time with what the first has got ready. */
		char another[256];
		q.message = rows[i].tls12 ? tls12(another, 23, 65) : tls13(another, "TLS 1.3, server CertificateVerify", 48);
		buf_clear(&signature);
		assert_int_equal(keys_sign(k, SIGN_AS_SERVER, &q, &signature, &why), f);
		if (f == OK)
			verify(h.keys[0], rows[i].digest, rows[i].padding, q.message, buf_view(&signature));
		unsigned char nobody[32] = { 0 };
		q.key = (struct str){ (const char *)nobody, 32 };
		assert_int_equal(keys_sign(k, SIGN_AS_SERVER, &q, &signature, &why), F_ABSENT);
		q.key = STR("short");
		assert_int_equal(keys_sign(k, SIGN_AS_SERVER, &q, &signature, &why), F_ABSENT);
		/* A newer configuration without it: it signs until the fronts have let it go. */
		struct keys *newer = keys_new(), *newest = keys_new();
		q.key = (struct str){ (const char *)h.ids[0], 32 };
		keys_keep_former(newer, k);
		keys_keep_former(newest, newer);
		keys_free(&newer);
		assert_int_equal(keys_sign(newest, SIGN_AS_SERVER, &q, &signature, &why), f);
		assert_int_equal(keys_count(newest), 0);
		keys_forget_former(newest);
		assert_int_equal(keys_sign(newest, SIGN_AS_SERVER, &q, &signature, &why), F_ABSENT);
		keys_free(&newest);
		q = (struct sign_request){ { (const char *)h.ids[0], 32 }, STR("SHA256"), 0, STR("anything else") };
		assert_int_equal(keys_sign(k, SIGN_AS_SERVER, &q, &signature, &why), F_DENIED);
		keys_free(&k);
		buf_fini(&chain);
		buf_wipe(&pem);
		buf_fini(&signature);
		home_fini(&h);
	}
}

/* ---- back-off ---- */

static void delays_grow_and_wear_off(void **state)
{
	struct backoff *b = backoff_new(1);
	(void)state;
	assert_int_equal(backoff_failed(b, STR("jada"), STR("192.0.2.1"), 0), 500);
	assert_int_equal(backoff_failed(b, STR("jada"), STR("192.0.2.2"), 0), 1000); /* the name counts from anywhere */
	assert_int_equal(backoff_failed(b, STR("other"), STR("192.0.2.2"), 0), 1000);
	assert_int_equal(backoff_failed(b, STR("third"), STR("192.0.2.3"), 0), 500);
	for (int i = 0; i < 10; i++)
		(void)backoff_failed(b, STR("jada"), STR("192.0.2.1"), 0);
	assert_int_equal(backoff_failed(b, STR("jada"), STR("192.0.2.1"), 0), BACKOFF_DELAY_MAX_MS);
	assert_int_equal(backoff_failed(b, STR("jada"), STR("192.0.2.9"), 14 * BACKOFF_WEARS_OFF_MS), 500);
	(void)backoff_failed(b, STR("jada"), STR("192.0.2.9"), 14 * BACKOFF_WEARS_OFF_MS);
	backoff_succeeded(b, STR("jada"), STR("192.0.2.9"), 14 * BACKOFF_WEARS_OFF_MS);
	assert_int_equal(backoff_failed(b, STR("jada"), STR("192.0.2.9"), 14 * BACKOFF_WEARS_OFF_MS), 500);
	backoff_free(&b);
}

static void a_client_is_refused_at_last(void **state)
{
	struct backoff *b = backoff_new(1);
	char name[16];
	(void)state;
	for (unsigned i = 0; i < BACKOFF_CLIENT_MAX; i++) {
		assert_false(backoff_refuses(b, STR("192.0.2.1"), 0));
		snprintf(name, sizeof(name), "u%u", i);
		(void)backoff_failed(b, str_of(name), STR("192.0.2.1"), 0);
	}
	assert_true(backoff_refuses(b, STR("192.0.2.1"), 0));
	assert_false(backoff_refuses(b, STR("192.0.2.2"), 0));
	assert_false(backoff_refuses(b, STR_NONE, 0));
	assert_true(backoff_refuses(b, STR("192.0.2.1"), BACKOFF_WEARS_OFF_MS - 1));
	assert_false(backoff_refuses(b, STR("192.0.2.1"), BACKOFF_WEARS_OFF_MS));

	/* A /64 is one client. */
	for (unsigned i = 0; i < BACKOFF_CLIENT_MAX; i++) {
		snprintf(name, sizeof(name), "2001:db8::%x", i);
		(void)backoff_failed(b, STR_NONE, str_of(name), 0);
	}
	assert_true(backoff_refuses(b, STR("2001:db8::ffff"), 0));
	assert_false(backoff_refuses(b, STR("2001:db8:0:1::1"), 0));
	backoff_free(&b);
}

/* Guessed at from everywhere: strangers are shut out, whoever logged in from there before is not. */
static void attack_57_a_name_is_closed_to_strangers(void **state)
{
	struct backoff *b = backoff_new(1);
	char client[32];
	(void)state;
	backoff_succeeded(b, STR("jada"), STR("192.0.2.1"), 0);
	for (unsigned i = 0; i < BACKOFF_NAME_MAX; i++) {
		assert_false(backoff_name_is_closed(b, STR("jada"), STR("198.51.100.1"), 0));
		snprintf(client, sizeof(client), "10.0.0.%u", i);
		(void)backoff_failed(b, STR("jada"), str_of(client), 0);
	}
	assert_true(backoff_name_is_closed(b, STR("jada"), STR("198.51.100.1"), 0));
	assert_false(backoff_name_is_closed(b, STR("jada"), STR("192.0.2.1"), 0));
	assert_true(backoff_name_is_closed(b, STR("jada"), STR_NONE, 0));
	assert_false(backoff_name_is_closed(b, STR("sam"), STR("198.51.100.1"), 0));
	/* Its owner mistypes: neither closed nor as slow as the guessers. */
	assert_int_equal(backoff_failed(b, STR("jada"), STR("192.0.2.1"), 0), BACKOFF_DELAY_FIRST_MS);
	assert_true(backoff_name_is_closed(b, STR("jada"), STR("198.51.100.1"), BACKOFF_WEARS_OFF_MS));
	assert_false(backoff_name_is_closed(b, STR("jada"), STR("198.51.100.1"), 2 * BACKOFF_WEARS_OFF_MS));
	/* It is open again in finite time, however long it was guessed at. */
	for (unsigned i = 0; i < 10 * BACKOFF_NAME_MAX; i++)
		(void)backoff_failed(b, STR("jada"), STR_NONE, 2 * BACKOFF_WEARS_OFF_MS);
	int64_t open_ms = (2 + BACKOFF_FAILURES_MAX - BACKOFF_NAME_MAX + 1) * BACKOFF_WEARS_OFF_MS;
	assert_true(backoff_name_is_closed(b, STR("jada"), STR_NONE, open_ms - 1));
	assert_false(backoff_name_is_closed(b, STR("jada"), STR_NONE, open_ms));
	backoff_free(&b);
}

/* A login in between takes back nothing but its own name's failures. */
static void attack_57_an_own_account_gives_no_more_guesses(void **state)
{
	struct backoff *b = backoff_new(1);
	(void)state;
	for (unsigned i = 0; i < BACKOFF_CLIENT_MAX; i++) {
		assert_false(backoff_refuses(b, STR("192.0.2.1"), 0));
		(void)backoff_failed(b, STR("jada"), STR("192.0.2.1"), 0);
		backoff_succeeded(b, STR("mallory"), STR("192.0.2.1"), 0);
	}
	assert_true(backoff_refuses(b, STR("192.0.2.1"), 0));
	/* The right password for that name is another thing. */
	backoff_succeeded(b, STR("jada"), STR("192.0.2.1"), 0);
	assert_false(backoff_refuses(b, STR("192.0.2.1"), 0));
	backoff_free(&b);
}

static void memory_is_bounded(void **state)
{
	struct backoff *b = backoff_new(1);
	char name[32];
	(void)state;
	for (unsigned i = 0; i < BACKOFF_KEPT_MAX + 10; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		assert_int_equal(backoff_failed(b, str_of(name), STR_NONE, 0), 500);
	}
	assert_int_equal(backoff_failed(b, STR("user0"), STR_NONE, 0), 500);  /* forgotten */
	snprintf(name, sizeof(name), "user%u", BACKOFF_KEPT_MAX + 9);
	assert_int_equal(backoff_failed(b, str_of(name), STR_NONE, 0), 1000); /* still known */
	backoff_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_handshakes_are_signed), cmocka_unit_test(keys_sign_as_tls_does),
		cmocka_unit_test(delays_grow_and_wear_off),   cmocka_unit_test(a_client_is_refused_at_last),
		cmocka_unit_test(memory_is_bounded), cmocka_unit_test(attack_57_a_name_is_closed_to_strangers),
		cmocka_unit_test(attack_57_an_own_account_gives_no_more_guesses),
	};
	return cmocka_run_group_tests_name("keeper/parts", tests, NULL, NULL);
}
