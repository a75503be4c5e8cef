/* SPDX-License-Identifier: ISC */
/* Handshakes in memory, our server against our client; what is no handshake; keys that are elsewhere. */
#include "unit.h"

#include "place.h"

#include <openssl/core_names.h>
#include <stdlib.h>
#include <string.h>

#include "tls/provider.h"
#include "tls/session.h"

static void say(struct tls *from, struct tls *to, const char *text)
{
	char got[256];
	size_t n = 0, used = 0;
	assert_int_equal(tls_write(from, str_of(text)), OK);
	while (tls_output(from).n > 0) {
		assert_int_equal(tls_feed(to, tls_output(from), &used), OK);
		tls_sent(from, used);
		if (used == 0)
			break;
	}
	assert_int_equal(tls_read(to, got, sizeof(got), &n), OK);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, n);
	assert_int_equal(tls_read(to, got, sizeof(got), &n), OK);
	assert_int_equal(n, 0);
}

static void shakes_hands_and_talks(void **state)
{
	struct place *p = *state;
	struct tls *s = tls_accept(p->server), *c = tls_connect(p->trusting, STR("mx.example.org"));
	home_pump(c, s, 0);
	assert_open(c, s);
	say(c, s, "EHLO client.example\r\n");
	say(s, c, "250 mx.example.org\r\n");

	struct tls_facts facts;
	tls_facts(s, &facts);
	assert_string_equal(facts.version.p, "TLSv1.3");
	assert_true(str_starts(facts.cipher, STR("TLS_")));
	assert_true(facts.group.n > 0);
	assert_true(str_eq(facts.sni, STR("mx.example.org")));
	assert_false(facts.verified);
	tls_facts(c, &facts);
	assert_true(facts.verified);
	assert_int_equal(facts.problem.n, 0);
	assert_true(str_eq(facts.peer, STR("CN=leaf")));

	unsigned char one[32], other[32];
	assert_int_equal(tls_channel_binding(s, one), OK);
	assert_int_equal(tls_channel_binding(c, other), OK);
	assert_memory_equal(one, other, 32);

	tls_end(c);
	home_pump(c, s, 0);
	assert_int_equal(tls_state(s), TLS_ENDED);
	assert_string_equal(tls_error(s), "");
	tls_free(&s);
	tls_free(&c);
}

static void key_shares_go_with_the_handshake(void **state)
{
	struct place *p = *state;
	struct tls *s = tls_accept(p->server), *c = tls_connect(p->trusting, STR("mx.example.org"));
	if (tls_knows_post_quantum(SSL_get_SSL_CTX(s->ssl))) {
		tls_free(&s);
		tls_free(&c);
		skip(); /* in a hybrid exchange the two have other kinds of shares, and OpenSSL does not show all of them */
	}
	home_pump(c, s, 0);
	assert_open(c, s);
	struct tls *both[] = { s, c };
	for (size_t i = 0; i < COUNT(both); i++) {
		EVP_PKEY *shares[2];
		assert_int_equal(SSL_get_tmp_key(both[i]->ssl, &shares[0]), 1);
		assert_int_equal(SSL_get_peer_tmp_key(both[i]->ssl, &shares[1]), 1);
		for (size_t j = 0; j < COUNT(shares); j++) {
			unsigned char octets[256];
			size_t n = sizeof octets;
			if (j == 0) /* our own */
				assert_int_not_equal(EVP_PKEY_get_raw_private_key(shares[j], octets, &n), 1);
			n = sizeof octets;
			assert_int_not_equal(EVP_PKEY_get_raw_public_key(shares[j], octets, &n), 1);
			assert_null(EVP_PKEY_get0_provider(shares[j]));
			EVP_PKEY_free(shares[j]);
		}
	}
	assert_int_equal(SSL_key_update(s->ssl, SSL_KEY_UPDATE_REQUESTED), 1); /* what keys come from is not among them */
	say(s, c, "250 mx.example.org\r\n");
	say(c, s, "QUIT\r\n");
	tls_free(&s);
	tls_free(&c);
}

/* Later versions of OpenSSL give the same buffer back twice, if nothing was read in between. */
static void rests_again_without_having_read(void **state)
{
	struct place *p = *state;
	struct tls *s = tls_accept(p->server), *c = tls_connect(p->trusting, STR("mx.example.org"));
	home_pump(c, s, 0);
	assert_open(c, s);
	say(c, s, "EHLO client.example\r\n");
	for (int i = 0; i < 3; i++) {
		assert_true(tls_rest(s));
		say(s, c, "250 mx.example.org\r\n");
	}
	assert_true(tls_rest(s));
	say(c, s, "QUIT\r\n");
	tls_free(&s);
	tls_free(&c);
}

static void takes_bytes_one_by_one(void **state)
{
	struct place *p = *state;
	for (size_t step = 1; step < 8; step += 2) {
		struct tls *s = tls_accept(p->server), *c = tls_connect(p->trusting, STR("mx.example.org"));
		home_pump(c, s, step);
		assert_open(c, s);
		say(c, s, "QUIT\r\n");
		tls_free(&s);
		tls_free(&c);
	}
}

static void plaintext_holds_ciphertext_back(void **state)
{
	struct place *p = *state;
	struct tls *s = tls_accept(p->server), *c = tls_connect(p->trusting, STR("mx.example.org"));
	home_pump(c, s, 0);
	assert_open(c, s);
	assert_int_equal(tls_write(c, STR("first")), OK);
	size_t first = tls_output(c).n, used, n;
	assert_int_equal(tls_write(c, STR("second")), OK);
	char got[64];
	assert_int_equal(tls_feed(s, tls_output(c), &used), OK);
	assert_int_equal(used, first);
	tls_sent(c, used);
	assert_int_equal(tls_feed(s, tls_output(c), &used), OK);
	assert_int_equal(used, 0); /* not before "first" has been read */
	assert_int_equal(tls_read(s, got, 2, &n), OK);
	assert_int_equal(n, 2);
	assert_int_equal(tls_read(s, got, sizeof(got), &n), OK);
	assert_int_equal(n, 3);
	assert_int_equal(tls_feed(s, tls_output(c), &used), OK);
	assert_int_equal(used, tls_output(c).n);
	assert_int_equal(tls_read(s, got, sizeof(got), &n), OK);
	assert_int_equal(n, 6);
	tls_free(&s);
	tls_free(&c);
}

static void output_has_a_ceiling(void **state)
{
	enum { MEBI = 1 << 20 };
	struct place *p = *state;
	struct tls *s = tls_accept(p->server), *c = tls_connect(p->trusting, STR("mx.example.org"));
	assert_int_equal(tls_write(c, STR("early")), F_STATE);
	home_pump(c, s, 0);
	char *much = must_alloc(MEBI);
	assert_int_equal(tls_write(c, (struct str){ much, MEBI }), F_LIMIT);
	assert_int_equal(tls_output(c).n, 0);
	assert_int_equal(tls_state(c), TLS_OPEN);
	assert_int_equal(tls_write(c, (struct str){ much, MEBI - 8192 }), OK);
	assert_int_equal(tls_write(c, (struct str){ much, 8192 }), F_LIMIT);
	free(much);
	tls_free(&s);
	tls_free(&c);
}

static void every_key_type_signs(void **state)
{
	static const struct { const char *key, *digest; unsigned padding; } rows[] = {
		{ "EC P-256", "SHA256", 0 }, { "EC P-384", "SHA384", 0 }, { "RSA", "SHA256", 2 }, { "ED25519", "", 0 },
	};
	struct place *p = *state;
	struct tls_signer signer = home_signer(&p->home);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tls_server *server = tls_server_new(&signer, false);
		server_add(p, server, "mx.example.org", &(struct home_certificate){ .key = rows[i].key, .alt_names = "DNS:mx.example.org" });
		struct tls *s = tls_accept(server), *c = tls_connect(p->trusting, STR("mx.example.org"));
		tls_server_free(&server); /* the session keeps its own reference */
		home_pump(c, s, 0);
		assert_open(c, s);
		assert_string_equal(p->home.digest, rows[i].digest);
		assert_int_equal(p->home.padding, rows[i].padding);
		struct str signed_ = buf_view(&p->home.message);
		assert_true(str_starts(str_from(signed_, 64), STR("TLS 1.3, server CertificateVerify")));
		tls_free(&s);
		tls_free(&c);
	}
}

/* HelloRequest (RFC 8446 4: reserved) is passed over wherever it stands: as many as the server likes would keep us at it. */
static void a_handshake_has_an_end(void **state)
{
	enum { RECORDS = 64, ROUNDS = 4, BYTES_MAX = 256 << 10 };
	static const unsigned char request[] = { 22, 3, 3, 0, 4, 0, 0, 0, 0 };
	struct place *p = *state;
	struct tls *c = tls_connect(p->trusting, STR("mx.example.org"));
	char bytes[RECORDS * sizeof request];
	size_t used, fed = 0;
	fault f = OK;
	for (size_t i = 0; i < RECORDS; i++)
		memcpy(&bytes[i * sizeof request], request, sizeof request);
	for (; f == OK && fed < ROUNDS * (size_t)BYTES_MAX; fed += f == OK ? used : 0)
		f = tls_feed(c, (struct str){ bytes, sizeof bytes }, &used);
	assert_int_equal(f, F_TLS);
	assert_in_range(fed, BYTES_MAX - sizeof bytes, BYTES_MAX);
	assert_string_equal(tls_error(c), "the handshake has no end");
	tls_free(&c);
}

static void plain_text_is_recognised(void **state)
{
	static const struct { const char *sent, *words; } rows[] = {
		{ "EHLO client.example\r\n", "plain text instead of TLS" },
		{ "GET / HTTP/1.1\r\n", "HTTP" },
		{ "POST / HTTP/1.1\r\n", "HTTP" },
		{ "CONNECT a:25 HTTP/1.1\r\n", "HTTP" },
	};
	struct place *p = *state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tls *s = tls_accept(p->server);
		size_t used;
		assert_int_equal(tls_feed(s, str_of(rows[i].sent), &used), F_TLS);
		assert_int_equal(tls_state(s), TLS_BROKEN);
		assert_non_null(strstr(tls_error(s), rows[i].words));
		assert_int_equal(tls_feed(s, STR("more"), &used), F_TLS);
		tls_free(&s);
	}
	struct tls *c = tls_connect(p->trusting, STR("mx.example.org"));
	size_t used;
	assert_int_equal(tls_feed(c, STR("220 mx.example.org ESMTP\r\n"), &used), F_TLS);
	assert_non_null(strstr(tls_error(c), "STARTTLS"));
	tls_free(&c);
}

static void a_damaged_chain_is_refused(void **state)
{
	struct place *p = *state;
	struct tls_signer signer = home_signer(&p->home);
	struct tls_server *server = tls_server_new(&signer, false);
	struct str name = STR("mx.example.org");
	struct buf pem;
	struct why why = { "" };
	buf_init(&pem, 1 << 16);
	home_certificate(&p->home, &ordinary, &pem);
	assert_int_equal(buf_add(&pem, STR("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")), OK);
	assert_int_equal(tls_server_add(server, &name, 1, buf_view(&pem), &why), F_SYNTAX);
	assert_non_null(strstr(why.text, "damaged"));

	struct tls *s = tls_accept(server); /* no certificate at all */
	assert_int_equal(tls_state(s), TLS_BROKEN);
	assert_string_equal(tls_error(s), "no certificate is configured");
	tls_free(&s);
	buf_fini(&pem);
	tls_server_free(&server);
}

static void a_dead_keeper_fails_cleanly(void **state)
{
	struct place *p = *state;
	struct tls *s = tls_accept(p->server), *c = tls_connect(p->trusting, STR("mx.example.org"));
	p->home.refuse = true;
	home_pump(c, s, 0);
	assert_int_equal(tls_state(s), TLS_BROKEN);
	assert_int_equal(tls_state(c), TLS_BROKEN);
	p->home.refuse = false;
	if (strstr(tls_error(s), "did not sign") == NULL)
		fail_msg("%s", tls_error(s));
	tls_free(&s);
	tls_free(&c);
}

static void the_private_part_is_nowhere(void **state)
{
	struct place *p = *state;
	struct buf pem;
	buf_init(&pem, 1 << 16);
	home_certificate(&p->home, &ordinary, &pem);
	BIO *bio = BIO_new_mem_buf(buf_view(&pem).p, (int)buf_view(&pem).n);
	X509 *leaf = tls_next_certificate(bio);
	struct tls_signer signer = home_signer(&p->home);
	struct why why;
	EVP_PKEY *key = provider_key_new(leaf, &signer, &why);
	assert_non_null(key);

	OSSL_PARAM *params = NULL;
	BIGNUM *secret = NULL;
	assert_int_equal(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &params), 0);
	assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &secret), 0);
	assert_int_equal(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &params), 1);
	assert_null(OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_PRIV_KEY));
	assert_non_null(OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_PUB_KEY));
	OSSL_PARAM_free(params);
	assert_int_equal(EVP_PKEY_eq(key, X509_get0_pubkey(leaf)), 1);
	EVP_PKEY_free(key);
	X509_free(leaf);
	BIO_free(bio);
	buf_fini(&pem);
}

static void tls_is_recognised_on_a_plain_port(void **state)
{
	(void)state;
	assert_true(tls_looks_like((struct str){ "\x16\x03\x01\x02\x00\x01\x00", 7 }));
	assert_true(tls_looks_like((struct str){ "\x16", 1 }));
	assert_false(tls_looks_like((struct str){ "\x16\x04", 2 }));
	assert_false(tls_looks_like((struct str){ "\x16\x03\x01\x02\x00\x02", 6 }));
	assert_false(tls_looks_like(STR("EHLO x\r\n")));
	assert_false(tls_looks_like(STR("")));
}

/* A hello in one record, in several, cut anywhere; and what the library is to judge. */
static void a_hello_is_whole_or_not(void **state)
{
	(void)state;
	static const char one[] = "\x16\x03\x01\x00\x07\x01\x00\x00\x03" "abc";
	static const char several[] = "\x16\x03\x01\x00\x01\x01" "\x16\x03\x01\x00\x04\x00\x00\x03" "a" "\x16\x03\x01\x00\x02" "bc";
	for (size_t n = 0; n < sizeof one - 1; n++)
		assert_false(tls_hello_is_whole((struct str){ one, n }));
	assert_true(tls_hello_is_whole((struct str){ one, sizeof one - 1 }));
	for (size_t n = 0; n < sizeof several - 1; n++)
		assert_false(tls_hello_is_whole((struct str){ several, n }));
	assert_true(tls_hello_is_whole((struct str){ several, sizeof several - 1 }));
	assert_true(tls_hello_is_whole(STR("EHLO x")));
	assert_true(tls_hello_is_whole((struct str){ "\x16\x03\x01\x00\x00", 5 }));
	static char endless[HELLO_BYTES_MAX] = "\x16\x03\x01\xff\xff\x01\xff\xff\xff";
	assert_false(tls_hello_is_whole((struct str){ endless, HELLO_BYTES_MAX - 1 }));
	assert_true(tls_hello_is_whole((struct str){ endless, HELLO_BYTES_MAX }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hello_is_whole_or_not),
		cmocka_unit_test(shakes_hands_and_talks),
		cmocka_unit_test(key_shares_go_with_the_handshake),
		cmocka_unit_test(rests_again_without_having_read),
		cmocka_unit_test(takes_bytes_one_by_one),
		cmocka_unit_test(plaintext_holds_ciphertext_back),
		cmocka_unit_test(output_has_a_ceiling),
		cmocka_unit_test(every_key_type_signs),
		cmocka_unit_test(a_handshake_has_an_end),
		cmocka_unit_test(plain_text_is_recognised),
		cmocka_unit_test(a_damaged_chain_is_refused),
		cmocka_unit_test(a_dead_keeper_fails_cleanly),
		cmocka_unit_test(the_private_part_is_nowhere),
		cmocka_unit_test(tls_is_recognised_on_a_plain_port),
	};
	return cmocka_run_group_tests_name("tls/session", tests, place_setup, place_teardown);
}
