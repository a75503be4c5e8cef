/* SPDX-License-Identifier: ISC */
/* Our server against a client of raw OpenSSL, that offers what ours would not. */
#include "unit.h"

#include "place.h"
#include "raw.h"

#include <openssl/ssl.h>
#include <string.h>

#include "tls/session.h"

static void assert_refused(struct place *p, int version_max, const char *ciphers, const char *words)
{
	struct raw r;
	struct tls *s = tls_accept(p->server);
	raw_client(&r, version_max, ciphers);
	raw_pump(&r, s);
	assert_int_equal(tls_state(s), TLS_BROKEN);
	assert_non_null(strstr(tls_error(s), words));
	raw_fini(&r);
	tls_free(&s);
}

static void old_and_weak_is_refused(void **state)
{
	struct place *p = *state;
	assert_refused(p, TLS1_1_VERSION, "ALL", "offers only TLS 1.1 or older");
	assert_refused(p, TLS1_VERSION, "ALL", "offers only TLS 1.1 or older");
	assert_refused(p, TLS1_2_VERSION, "AES128-SHA256:AES128-GCM-SHA256", "no cipher in common");
	assert_refused(p, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", "no cipher in common");
	assert_refused(p, TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256", "no cipher in common");
	assert_refused(p, TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", "no cipher in common"); /* our key is EC */
}

static void tls12_shakes_hands(void **state)
{
	struct place *p = *state;
	struct raw r;
	struct tls *s = tls_accept(p->server);
	struct tls_facts facts;
	raw_client(&r, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256");
	raw_pump(&r, s);
	if (tls_state(s) != TLS_OPEN)
		fail_msg("%s", tls_error(s));
	tls_facts(s, &facts);
	assert_string_equal(facts.version.p, "TLSv1.2");
	assert_string_equal(facts.cipher.p, "ECDHE-ECDSA-AES128-GCM-SHA256");
	assert_true(facts.group.n > 0);
	unsigned char here[32], there[32];
	assert_int_equal(tls_channel_binding(s, here), OK);
	assert_int_equal(SSL_export_keying_material(r.ssl, there, 32, "EXPORTER-Channel-Binding", 24, (const unsigned char *)"", 0, 1), 1);
	assert_memory_equal(here, there, 32);
	raw_fini(&r);
	tls_free(&s);

	/* Without the extended master secret the binding would not be unique. */
	s = tls_accept(p->server);
	raw_client(&r, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256");
	SSL_set_options(r.ssl, SSL_OP_NO_EXTENDED_MASTER_SECRET);
	raw_pump(&r, s);
	assert_int_equal(tls_state(s), TLS_OPEN);
	assert_int_equal(tls_channel_binding(s, here), F_STATE);
	raw_fini(&r);
	tls_free(&s);
}

static void rsa_signs_in_tls12(void **state)
{
	struct { char sigalgs[24]; unsigned padding; } rows[] = { { "RSA+SHA256", 1 }, { "rsa_pss_rsae_sha384", 2 } };
	struct place *p = *state;
	struct tls_signer signer = home_signer(&p->home);
	struct tls_server *server = tls_server_new(&signer, false);
	server_add(p, server, "mx.example.org", &(struct home_certificate){ .key = "RSA", .alt_names = "DNS:mx.example.org" });
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct raw r;
		struct tls *s = tls_accept(server);
		raw_client(&r, TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256");
		assert_int_equal(SSL_set1_sigalgs_list(r.ssl, rows[i].sigalgs), 1);
		raw_pump(&r, s);
		if (tls_state(s) != TLS_OPEN)
			fail_msg("%s: %s", rows[i].sigalgs, tls_error(s));
		assert_int_equal(p->home.padding, rows[i].padding);
		raw_fini(&r);
		tls_free(&s);
	}
	tls_server_free(&server);
}

static void mx_takes_cbc_last(void **state)
{
	struct place *p = *state;
	struct tls_signer signer = home_signer(&p->home);
	struct tls_server *server = tls_server_new(&signer, true);
	server_add(p, server, "mx.example.org", &ordinary);
	struct { const char *offered, *chosen; } rows[] = {
		{ "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA" },
		{ "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256" },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct raw r;
		struct tls *s = tls_accept(server);
		struct tls_facts facts;
		raw_client(&r, TLS1_2_VERSION, rows[i].offered);
		raw_pump(&r, s);
		assert_int_equal(tls_state(s), TLS_OPEN);
		tls_facts(s, &facts);
		assert_string_equal(facts.cipher.p, rows[i].chosen);
		raw_fini(&r);
		tls_free(&s);
	}
	tls_server_free(&server);
}

/* Does the hello at the front of this offer the cipher? (RFC 8446 4.1.2) */
static bool hello_offers(struct str hello, unsigned cipher)
{
	size_t session_id = 5 + 4 + 2 + 32;
	assert_true(hello.n > session_id + 1);
	size_t at = session_id + 1 + (unsigned char)hello.p[session_id];
	size_t n = (size_t)(unsigned char)hello.p[at] << 8 | (unsigned char)hello.p[at + 1];
	assert_true(at + 2 + n <= hello.n);
	for (size_t i = at + 2; i < at + 2 + n; i += 2)
		if (((unsigned)(unsigned char)hello.p[i] << 8 | (unsigned char)hello.p[i + 1]) == cipher)
			return true;
	return false;
}

/* What a client without demands cannot seal would go in clear, so it takes CBC as mx does; one with demands does not. */
static void only_a_client_without_demands_offers_cbc(void **state)
{
	enum { ECDHE_ECDSA_AES128_SHA = 0xC009, ECDHE_ECDSA_AES128_GCM = 0xC02B };
	(void)state;
	for (int verify = 0; verify < 2; verify++) {
		struct tls_client *client = tls_client_new(&(struct tls_client_options){ .verify = verify }, NULL);
		struct tls *t = tls_connect(client, STR("mx.example.org"));
		size_t used;
		assert_int_equal(tls_feed(t, STR_NONE, &used), OK);
		assert_true(hello_offers(tls_output(t), ECDHE_ECDSA_AES128_GCM));
		assert_int_equal(hello_offers(tls_output(t), ECDHE_ECDSA_AES128_SHA), verify == 0);
		tls_free(&t);
		tls_client_free(&client);
	}
}

static void alpn_other_than_smtp_is_refused(void **state)
{
	static const struct { const char *list; bool taken; } rows[] = {
		{ "\x02h2", false }, { "\x08http/1.1\x02h2", false }, { "\x04smtp", true }, { "\x02h2\x04smtp", true }, { "\x05smtps", false },
	};
	struct place *p = *state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct raw r;
		struct tls *s = tls_accept(p->server);
		raw_client(&r, 0, "ALL");
		assert_int_equal(SSL_set_alpn_protos(r.ssl, (const unsigned char *)rows[i].list, (unsigned)strlen(rows[i].list)), 0);
		raw_pump(&r, s);
		assert_int_equal(tls_state(s) == TLS_OPEN, rows[i].taken);
		if (!rows[i].taken)
			assert_non_null(strstr(tls_error(s), "ALPN"));
		raw_fini(&r);
		tls_free(&s);
	}
}

static void renegotiation_is_refused(void **state)
{
	struct place *p = *state;
	struct raw r;
	struct tls *s = tls_accept(p->server);
	raw_client(&r, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256");
	raw_pump(&r, s);
	assert_int_equal(tls_state(s), TLS_OPEN);
	unsigned asked = p->home.asked;
	SSL_renegotiate(r.ssl);
	raw_pump(&r, s);
	assert_int_equal(p->home.asked, asked);
	raw_fini(&r);
	tls_free(&s);
}

static void a_flood_of_key_updates_ends(void **state)
{
	struct place *p = *state;
	struct raw r;
	struct tls *s = tls_accept(p->server);
	char bytes[20000];
	fault f = OK;
	int done = 0;
	raw_client(&r, 0, "ALL");
	raw_pump(&r, s);
	assert_int_equal(tls_state(s), TLS_OPEN);
	for (; done < 300 && f == OK; done++) {
		size_t used;
		assert_int_equal(SSL_key_update(r.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		(void)SSL_do_handshake(r.ssl);
		int n = BIO_read(r.out, bytes, sizeof(bytes));
		assert_true(n > 0);
		f = tls_feed(s, (struct str){ bytes, (size_t)n }, &used);
	}
	assert_int_equal(done, 257);
	assert_int_equal(f, F_TLS);
	raw_fini(&r);
	tls_free(&s);
}

/* What a server says instead of its hello: only what is about the two of us proves that we cannot speak. */
static void who_gives_up_proves_nothing(void **state)
{
	struct place *p = *state;
	static const struct { const char *what; struct str record; bool gave_up; } said[] = {
		{ "internal_error", STR_INIT("\x15\x03\x03\x00\x02\x02\x50"), true },
		{ "user_canceled", STR_INIT("\x15\x03\x03\x00\x02\x02\x5a"), true },
		{ "close_notify", STR_INIT("\x15\x03\x03\x00\x02\x01\x00"), true },
		{ "handshake_failure", STR_INIT("\x15\x03\x03\x00\x02\x02\x28"), false },
		{ "protocol_version", STR_INIT("\x15\x03\x03\x00\x02\x02\x46"), false },
		{ "plain text", STR_INIT("554 5.7.0 Not here\r\n"), false },
	};
	for (size_t i = 0; i < COUNT(said); i++) {
		struct tls *c = tls_connect(p->careless, STR("mx1.example.test"));
		size_t used;
		assert_true(tls_gave_up(c)); /* so far, nothing was said */
		fault f = tls_feed(c, said[i].record, &used);
		if (f == OK || tls_gave_up(c) != said[i].gave_up)
			fail_msg("%s: %s, \"%s\"", said[i].what, fault_name(f), tls_error(c));
		tls_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_and_weak_is_refused),
		cmocka_unit_test(tls12_shakes_hands),
		cmocka_unit_test(rsa_signs_in_tls12),
		cmocka_unit_test(mx_takes_cbc_last),
		cmocka_unit_test(only_a_client_without_demands_offers_cbc),
		cmocka_unit_test(alpn_other_than_smtp_is_refused),
		cmocka_unit_test(renegotiation_is_refused),
		cmocka_unit_test(a_flood_of_key_updates_ends),
		cmocka_unit_test(who_gives_up_proves_nothing),
	};
	return cmocka_run_group_tests_name("tls/peers", tests, place_setup, place_teardown);
}
