/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "tls/certificate.h"
#include "tls/home.h"

struct made { struct buf ca, chain, key; };

static void made_init(struct made *m)
{
	static const struct str names[] = { { "mx.example.org", 14 }, { "localhost", 9 } };
	struct why why = { "" };
	buf_init(&m->ca, 1 << 16);
	buf_init(&m->chain, 1 << 16);
	buf_init(&m->key, 1 << 16);
	if (certificate_make(names, COUNT(names), &m->ca, &m->chain, &m->key, &why) != OK)
		fail_msg("%s", why.text);
}

static void made_fini(struct made *m)
{
	buf_fini(&m->ca);
	buf_fini(&m->chain);
	buf_wipe(&m->key);
}

static void a_made_one_reads_back(void **state)
{
	struct made m;
	struct certificate_facts facts;
	struct why why = { "" };
	struct arena *a = arena_new(1 << 16);
	(void)state;
	made_init(&m);
	assert_int_equal(certificate_read(buf_view(&m.chain), a, &facts, &why), OK);
	assert_true(str_eq(facts.names, STR("mx.example.org,localhost")));
	assert_true(str_eq(facts.subject, STR("CN=Sealpost throw-away certificate")));
	assert_true(str_eq(facts.issuer, STR("CN=Sealpost throw-away CA")));
	assert_true(str_eq(facts.key_type, STR("EC P-256")));
	int64_t now_s = (int64_t)time(NULL);
	assert_true(facts.not_before_s < now_s && facts.not_before_s > now_s - 7200);
	assert_true(facts.not_after_s > now_s + 6 * 86400 && facts.not_after_s < now_s + 8 * 86400);
	assert_int_equal(certificate_fits_key(buf_view(&m.chain), buf_view(&m.key), &why), OK);
	arena_free(&a);
	made_fini(&m);
}

/* What `sealpost try` does: a made certificate, its key elsewhere, a client that trusts the made CA. */
static fault sign_with(void *key, struct str id, struct str digest, unsigned padding, struct str message, struct buf *out)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char signature[256];
	size_t n = sizeof(signature);
	assert_int_equal(id.n, 32);
	assert_int_equal(padding, 0);
	assert_true(str_eq(digest, STR("SHA256")));
	assert_int_equal(EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL, NULL, key, NULL), 1);
	assert_int_equal(EVP_DigestSign(md, signature, &n, (const unsigned char *)message.p, message.n), 1);
	EVP_MD_CTX_free(md);
	return buf_add(out, (struct str){ (const char *)signature, n });
}

static void a_made_one_shakes_hands(void **state)
{
	struct made m;
	struct why why = { "" };
	struct str name = STR("mx.example.org");
	(void)state;
	made_init(&m);
	assert_int_equal(tls_begin(&why), OK);
	BIO *bio = BIO_new_mem_buf(buf_view(&m.key).p, (int)buf_view(&m.key).n);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	struct tls_server *server = tls_server_new(&(struct tls_signer){ sign_with, key }, false);
	assert_int_equal(tls_server_add(server, &name, 1, buf_view(&m.chain), &why), OK);
	struct tls_client *client = tls_client_new(&(struct tls_client_options){ .ca_pem = buf_view(&m.ca), .verify = true }, &why);
	static const char *const hosts[] = { "mx.example.org", "localhost", "127.0.0.1" };
	for (size_t i = 0; i < COUNT(hosts); i++) {
		struct tls *s = tls_accept(server), *c = tls_connect(client, str_of(hosts[i]));
		home_pump(c, s, 0);
		if (tls_state(c) != TLS_OPEN)
			fail_msg("%s: %s / %s", hosts[i], tls_error(c), tls_error(s));
		tls_free(&s);
		tls_free(&c);
	}
	tls_client_free(&client);
	tls_server_free(&server);
	EVP_PKEY_free(key);
	made_fini(&m);
}

static void wrong_keys_are_told(void **state)
{
	struct made m, other;
	struct why why = { "" };
	(void)state;
	made_init(&m);
	made_init(&other);
	assert_int_equal(certificate_fits_key(buf_view(&m.chain), buf_view(&other.key), &why), F_DENIED);
	assert_non_null(strstr(why.text, "does not fit"));
	assert_int_equal(certificate_fits_key(buf_view(&m.chain), buf_view(&m.chain), &why), F_SYNTAX);
	assert_non_null(strstr(why.text, "no private key"));
	assert_int_equal(certificate_fits_key(buf_view(&m.key), buf_view(&m.key), &why), F_SYNTAX);
	assert_non_null(strstr(why.text, "no certificate"));
	assert_int_equal(certificate_fits_key(buf_view(&m.chain), STR(""), &why), F_SYNTAX);

	BIO *bio = BIO_new_mem_buf(buf_view(&m.key).p, (int)buf_view(&m.key).n), *out = BIO_new(BIO_s_mem());
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL), 1);
	char *bytes;
	long n = BIO_get_mem_data(out, &bytes);
	assert_int_equal(certificate_fits_key(buf_view(&m.chain), (struct str){ bytes, (size_t)n }, &why), F_SYNTAX);
	assert_non_null(strstr(why.text, "encrypted"));
	EVP_PKEY_free(key);
	BIO_free(bio);
	BIO_free(out);
	made_fini(&m);
	made_fini(&other);
}

static void broken_texts_are_told(void **state)
{
	static const char *const texts[] = { "", "x", "-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" };
	struct arena *a = arena_new(1 << 16);
	struct certificate_facts facts;
	struct why why;
	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		assert_int_equal(certificate_read(str_of(texts[i]), a, &facts, &why), F_SYNTAX);
		assert_non_null(strstr(why.text, "no certificate"));
	}
	struct made m;
	made_init(&m);
	assert_int_equal(buf_add(&m.chain, str_of(texts[3])), OK);
	assert_int_equal(certificate_read(buf_view(&m.chain), a, &facts, &why), F_SYNTAX);
	assert_non_null(strstr(why.text, "damaged"));
	made_fini(&m);
	arena_free(&a);
}

static void names_cover(void **state)
{
	static const struct { const char *names, *name; bool covered; } rows[] = {
		{ "mx.example.org", "mx.example.org", true },      { "mx.example.org", "MX.EXAMPLE.ORG", true },
		{ "a.example,*.example.org", "b.example.org", true }, { "*.example.org", "a.b.example.org", false },
		{ "*.example.org", "example.org", false },         { "*.example.org", ".example.org", false },
		{ "f*.example.org", "foo.example.org", false },    { "", "example.org", false },
		{ "mx.example.org", "example.org", false },        { "*", "org", false },
		{ "a.*.org", "a.b.org", false },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct certificate_facts facts = { .names = str_of(rows[i].names) };
		if (certificate_covers(&facts, str_of(rows[i].name)) != rows[i].covered)
			fail_msg("%s and %s", rows[i].names, rows[i].name);
	}
}

static void key_types_have_words(void **state)
{
	static const struct { const char *key, *words; } rows[] = {
		{ "EC P-256", "EC P-256" }, { "EC P-384", "EC P-384" }, { "RSA", "RSA 2048" }, { "ED25519", "ED25519" },
	};
	struct home h;
	(void)state;
	home_init(&h);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena *a = arena_new(1 << 16);
		struct certificate_facts facts;
		struct buf pem;
		buf_init(&pem, 1 << 16);
		home_certificate(&h, &(struct home_certificate){ .key = rows[i].key, .alt_names = "DNS:a.example,email:x@b.example" }, &pem);
		assert_int_equal(certificate_read(buf_view(&pem), a, &facts, NULL), OK);
		assert_true(str_eq(facts.key_type, str_of(rows[i].words)));
		assert_true(str_eq(facts.names, STR("a.example")));
		assert_memory_equal(facts.key_id, h.ids[i], 32);
		buf_fini(&pem);
		arena_free(&a);
	}
	home_fini(&h);
}

static void names_that_cannot_be(void **state)
{
	static const struct str bad[] = { { "a,DNS:b", 7 }, { "a b", 3 }, { "", 0 }, { "a\nb", 3 } };
	struct made m;
	struct why why;
	(void)state;
	buf_init(&m.ca, 1 << 16);
	buf_init(&m.chain, 1 << 16);
	buf_init(&m.key, 1 << 16);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(certificate_make(&bad[i], 1, &m.ca, &m.chain, &m.key, &why), F_SYNTAX);
	made_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_made_one_reads_back), cmocka_unit_test(a_made_one_shakes_hands),
		cmocka_unit_test(wrong_keys_are_told),   cmocka_unit_test(broken_texts_are_told),
		cmocka_unit_test(names_cover),           cmocka_unit_test(key_types_have_words),
		cmocka_unit_test(names_that_cannot_be),
	};
	return cmocka_run_group_tests_name("tls/certificate", tests, NULL, NULL);
}
