/* SPDX-License-Identifier: ISC */
/* Handshakes in memory: our server against our client, and against raw OpenSSL where ours would not misbehave. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tls/provider.h"
#include "tls/session.h"
#include "tls/home.h"

struct place {
	struct home home;
	struct buf chain;
	struct tls_server *server;
	struct tls_client *trusting, *careless;
};

static struct tls_client *client(struct str ca, bool verify)
{
	struct why why = { "" };
	struct tls_client *c = tls_client_new(&(struct tls_client_options){ .ca_pem = ca, .verify = verify }, &why);
	if (c == NULL)
		fail_msg("%s", why.text);
	return c;
}

static void add(struct place *p, struct tls_server *s, const char *names, const struct home_certificate *want)
{
	struct buf pem;
	struct why why = { "" };
	struct str rest = str_of(names), list[8];
	size_t n = 0;
	while (str_take_word(&rest, &list[n]))
		n++;
	buf_init(&pem, 1 << 16);
	home_certificate(&p->home, want, &pem);
	if (tls_server_add(s, list, n, buf_view(&pem), &why) != OK)
		fail_msg("%s", why.text);
	buf_fini(&pem);
}

static const struct home_certificate ordinary = { .key = "EC P-256", .alt_names = "DNS:mx.example.org,IP:127.0.0.1" };

static int place_setup(void **state)
{
	struct place *p = NEW(struct place);
	struct why why;
	assert_int_equal(tls_begin(&why), OK);
	home_init(&p->home);
	struct tls_signer signer = home_signer(&p->home);
	p->server = tls_server_new(&signer, false);
	add(p, p->server, "mx.example.org", &ordinary);
	p->trusting = client(buf_view(&p->home.ca_pem), true);
	p->careless = client(buf_view(&p->home.ca_pem), false);
	*state = p;
	return 0;
}

static int place_teardown(void **state)
{
	struct place *p = *state;
	tls_server_free(&p->server);
	tls_client_free(&p->trusting);
	tls_client_free(&p->careless);
	home_fini(&p->home);
	free(p);
	return 0;
}

static void assert_open(struct tls *c, struct tls *s)
{
	if (tls_state(c) != TLS_OPEN || tls_state(s) != TLS_OPEN)
		fail_msg("client: %s; server: %s", tls_error(c), tls_error(s));
}

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
		add(p, server, "mx.example.org", &(struct home_certificate){ .key = rows[i].key, .alt_names = "DNS:mx.example.org" });
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

/* ---- a raw OpenSSL client, to be as odd as we need ---- */

struct raw { SSL_CTX *ctx; SSL *ssl; BIO *in, *out; };

static void raw_init(struct raw *r, int version_max, const char *ciphers)
{
	r->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_security_level(r->ctx, 0);
	SSL_CTX_set_min_proto_version(r->ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(r->ctx, version_max);
	assert_int_equal(SSL_CTX_set_cipher_list(r->ctx, ciphers), 1);
	r->ssl = SSL_new(r->ctx);
	r->in = BIO_new(BIO_s_mem());
	r->out = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(r->in, -1);
	BIO_set_mem_eof_return(r->out, -1);
	SSL_set_bio(r->ssl, r->in, r->out);
	SSL_set_connect_state(r->ssl);
}

static void raw_fini(struct raw *r)
{
	SSL_free(r->ssl);
	SSL_CTX_free(r->ctx);
	ERR_clear_error();
}

static void raw_pump(struct raw *r, struct tls *s)
{
	for (int round = 0; round < 10; round++) {
		char bytes[20000];
		size_t used;
		(void)SSL_do_handshake(r->ssl);
		int n = BIO_read(r->out, bytes, sizeof(bytes));
		if (n > 0 && tls_feed(s, (struct str){ bytes, (size_t)n }, &used) != OK)
			round = 9;
		struct str out = tls_output(s);
		if (out.n > 0)
			assert_int_equal(BIO_write(r->in, out.p, (int)out.n), (int)out.n);
		tls_sent(s, out.n);
	}
	ERR_clear_error();
	(void)SSL_do_handshake(r->ssl);
}

static void assert_refused(struct place *p, int version_max, const char *ciphers, const char *words)
{
	struct raw r;
	struct tls *s = tls_accept(p->server);
	raw_init(&r, version_max, ciphers);
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
	raw_init(&r, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256");
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
	raw_init(&r, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256");
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
	add(p, server, "mx.example.org", &(struct home_certificate){ .key = "RSA", .alt_names = "DNS:mx.example.org" });
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct raw r;
		struct tls *s = tls_accept(server);
		raw_init(&r, TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256");
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
	add(p, server, "mx.example.org", &ordinary);
	struct { const char *offered, *chosen; } rows[] = {
		{ "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA" },
		{ "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256" },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct raw r;
		struct tls *s = tls_accept(server);
		struct tls_facts facts;
		raw_init(&r, TLS1_2_VERSION, rows[i].offered);
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
		raw_init(&r, 0, "ALL");
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
	raw_init(&r, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256");
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
	raw_init(&r, 0, "ALL");
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

static void assert_unverified(struct place *p, const struct home_certificate *want, const char *name, const char *words)
{
	struct tls_signer signer = home_signer(&p->home);
	struct tls_server *server = tls_server_new(&signer, false);
	add(p, server, "any.example", want);
	struct tls *s = tls_accept(server), *c = tls_connect(p->trusting, str_of(name));
	home_pump(c, s, 0);
	assert_int_equal(tls_state(c), TLS_BROKEN);
	if (strstr(tls_error(c), words) == NULL)
		fail_msg("\"%s\" instead of \"%s\"", tls_error(c), words);
	assert_int_equal(tls_state(s), TLS_BROKEN);
	assert_string_not_equal(tls_error(s), "");
	tls_free(&s);
	tls_free(&c);

	/* The same, where nothing is demanded: it works, and the reason is kept. */
	struct tls_facts facts;
	s = tls_accept(server);
	c = tls_connect(p->careless, str_of(name));
	home_pump(c, s, 0);
	assert_open(c, s);
	tls_facts(c, &facts);
	assert_false(facts.verified);
	assert_non_null(strstr(facts.problem.p, words));
	tls_free(&s);
	tls_free(&c);
	tls_server_free(&server);
	p->home.n_keys--;
	EVP_PKEY_free(p->home.keys[p->home.n_keys]);
}

static void certificates_are_verified(void **state)
{
	struct place *p = *state;
	assert_unverified(p, &ordinary, "other.example.org", "another name");
	assert_unverified(p, &(struct home_certificate){ .key = "EC P-256", .common_name = "mx.example.org" }, "mx.example.org",
	                  "another name"); /* the common name is no name */
	assert_unverified(p, &(struct home_certificate){ .key = "EC P-256", .alt_names = "DNS:*.example.org" }, "a.b.example.org",
	                  "another name");
	assert_unverified(p, &(struct home_certificate){ .key = "EC P-256", .alt_names = "DNS:m*.example.org" }, "mx.example.org",
	                  "another name");
	assert_unverified(p, &(struct home_certificate){ .key = "EC P-256", .alt_names = "DNS:mx.example.org", .from_s = -7200,
	                  .until_s = -3600 }, "mx.example.org", "expired");
	assert_unverified(p, &(struct home_certificate){ .key = "EC P-256", .alt_names = "DNS:mx.example.org", .from_s = 3600,
	                  .until_s = 7200 }, "mx.example.org", "not valid yet");
	assert_unverified(p, &(struct home_certificate){ .key = "EC P-256", .alt_names = "DNS:mx.example.org", .self_signed = true },
	                  "mx.example.org", "self-signed");
	assert_unverified(p, &ordinary, "127.0.0.2", "not for this address");
}

static void attack_45_names_that_only_look_right(void **state)
{
	static const struct { const char *alt, *common, *name; } rows[] = {
		{ "DNS:*.test", NULL, "mx.test" },                   /* a wildcard for a whole top-level domain */
		{ "DNS:f*.a.test", NULL, "foo.a.test" },
		{ "DNS:*oo.a.test", NULL, "foo.a.test" },
		{ "DNS:*.*.test", NULL, "foo.a.test" },
		{ "DNS:foo.*.test", NULL, "foo.a.test" },
		{ "DNS:*.a.test", NULL, "a.test" },
		{ "DNS:*.a.test", NULL, "x.foo.a.test" },
		{ "DNS:foo.a.test.evil.example", NULL, "foo.a.test" },
		{ "email:foo.a.test@x.example", "foo.a.test", "foo.a.test" },
		{ "DNS:other.example", "foo.a.test", "foo.a.test" }, /* the common name is no name, whatever else there is */
		{ "DNS:127.0.0.1", NULL, "127.0.0.1" },              /* an address is not a name */
	};
	struct place *p = *state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_unverified(p, &(struct home_certificate){ .key = "EC P-256", .alt_names = rows[i].alt, .common_name = rows[i].common },
		                  rows[i].name, strcmp(rows[i].name, "127.0.0.1") == 0 ? "not for this address" : "another name");
	/* CVE-2009-2408: to who reads it as a C string it is the right one. */
	static const char nul[] = "foo.a.test\0.evil.example";
	assert_unverified(p, &(struct home_certificate){ .key = "EC P-256", .raw_name = { nul, sizeof nul - 1 } }, "foo.a.test",
	                  "another name");
}

static void good_names_verify(void **state)
{
	static const char *const names[] = { "mx.example.org", "MX.Example.Org", "mx.example.org.", "a.wild.example", "127.0.0.1" };
	struct place *p = *state;
	struct tls_signer signer = home_signer(&p->home);
	struct tls_server *server = tls_server_new(&signer, false);
	add(p, server, "any.example", &(struct home_certificate){ .key = "EC P-256",
	    .alt_names = "DNS:mx.example.org,DNS:*.wild.example,IP:127.0.0.1" });
	for (size_t i = 0; i < COUNT(names); i++) {
		struct tls *s = tls_accept(server), *c = tls_connect(p->trusting, str_of(names[i]));
		home_pump(c, s, 0);
		assert_open(c, s);
		tls_free(&s);
		tls_free(&c);
	}
	static const char *const bad[] = { "", ".example.org", "a b", "a\\", "a..b", "a_!.example", "-a_.example" };
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct tls *c = tls_connect(p->trusting, str_of(bad[i]));
		assert_int_equal(tls_state(c), TLS_BROKEN);
		assert_string_not_equal(tls_error(c), "");
		assert_int_equal(tls_output(c).n, 0);
		tls_free(&c);
	}
	tls_server_free(&server);
}

static void sni_picks_the_certificate(void **state)
{
	static const struct { const char *asked, *peer, *sni; } rows[] = {
		{ "one.example", "CN=first", "one.example" },    { "two.example", "CN=second", "two.example" },
		{ "TWO.example", "CN=second", "two.example" },   { "x.wild.example", "CN=third", "x.wild.example" },
		{ "a.x.wild.example", "CN=first", "a.x.wild.example" }, { "wild.example", "CN=first", "wild.example" },
		{ "unknown.example", "CN=first", "unknown.example" },   { "127.0.0.1", "CN=first", "" },
		{ "exact.wild.example", "CN=second", "exact.wild.example" },
	};
	struct place *p = *state;
	struct tls_signer signer = home_signer(&p->home);
	struct tls_server *server = tls_server_new(&signer, false);
	add(p, server, "one.example", &(struct home_certificate){ .key = "EC P-256", .common_name = "first" });
	add(p, server, "two.example exact.wild.example", &(struct home_certificate){ .key = "EC P-256", .common_name = "second" });
	add(p, server, "*.wild.example", &(struct home_certificate){ .key = "ED25519", .common_name = "third" });
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tls *s = tls_accept(server), *c = tls_connect(p->careless, str_of(rows[i].asked));
		struct tls_facts facts;
		home_pump(c, s, 0);
		assert_open(c, s);
		tls_facts(c, &facts);
		assert_string_equal(facts.peer.p, rows[i].peer);
		tls_facts(s, &facts);
		assert_true(str_eq(facts.sni, str_of(rows[i].sni)));
		tls_free(&s);
		tls_free(&c);
	}
	tls_server_free(&server);
}

static void odd_sni_gets_the_default(void **state)
{
	static char odd[][16] = { "a\\", "a b", "a_b.example", "..", "x" };
	struct place *p = *state;
	for (size_t i = 0; i < COUNT(odd); i++) {
		struct raw r;
		struct tls *s = tls_accept(p->server);
		struct tls_facts facts;
		raw_init(&r, 0, "ALL");
		assert_int_equal(SSL_set_tlsext_host_name(r.ssl, odd[i]), 1);
		raw_pump(&r, s);
		assert_int_equal(tls_state(s), TLS_OPEN);
		tls_facts(s, &facts);
		assert_int_equal(facts.sni.n, strcmp(odd[i], "x") == 0 ? 1 : 0);
		raw_fini(&r);
		tls_free(&s);
	}
}

/* What is no host name picks nothing, is told to nobody, and is not looked for anywhere. */
static void attack_46_sni_is_a_name_or_nothing(void **state)
{
	static char longest[256];
	memset(longest, 'a', 255);
	char *const odd[] = { (char[]){ "../../etc/passwd" }, (char[]){ "/etc/passwd" }, (char[]){ "127.0.0.1" }, (char[]){ "::1" },
	                      (char[]){ "two.example." }, (char[]){ ".two.example" }, (char[]){ "two.example/x" }, (char[]){ "*.example" },
	                      (char[]){ "two.example%00" }, (char[]){ "two.example\r\nX" }, (char[]){ "\xe2\x80\xae" "elpmaxe.owt" }, longest };
	struct place *p = *state;
	struct tls_signer signer = home_signer(&p->home);
	struct tls_server *server = tls_server_new(&signer, false);
	add(p, server, "one.example", &(struct home_certificate){ .key = "EC P-256", .common_name = "first" });
	add(p, server, "two.example *.example", &(struct home_certificate){ .key = "EC P-256", .common_name = "second" });
	for (size_t i = 0; i < COUNT(odd); i++) {
		struct raw r;
		struct tls_facts facts;
		char name[64];
		struct tls *s = tls_accept(server);
		raw_init(&r, 0, "ALL");
		assert_int_equal(SSL_set_tlsext_host_name(r.ssl, odd[i]), 1);
		raw_pump(&r, s);
		assert_int_equal(tls_state(s), TLS_OPEN);
		X509_NAME_oneline(X509_get_subject_name(SSL_get0_peer_certificate(r.ssl)), name, sizeof(name));
		assert_string_equal(name, "/CN=first");
		tls_facts(s, &facts);
		assert_int_equal(facts.sni.n, 0);
		raw_fini(&r);
		tls_free(&s);
	}
	tls_server_free(&server);
}

static void two_key_types_for_the_same_names(void **state)
{
	struct { char sigalgs[24]; const char *peer; } rows[] = {
		{ "rsa_pss_rsae_sha256", "/CN=rsa" }, { "ECDSA+SHA256", "/CN=ec" },
	};
	struct place *p = *state;
	struct tls_signer signer = home_signer(&p->home);
	struct tls_server *server = tls_server_new(&signer, false);
	add(p, server, "mx.example.org mail.example.org", &(struct home_certificate){ .key = "EC P-256", .common_name = "ec" });
	add(p, server, "mx.example.org mail.example.org", &(struct home_certificate){ .key = "RSA", .common_name = "rsa" });
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct raw r;
		struct tls *s = tls_accept(server);
		char name[64];
		raw_init(&r, 0, "ALL");
		assert_int_equal(SSL_set1_sigalgs_list(r.ssl, rows[i].sigalgs), 1);
		raw_pump(&r, s);
		assert_int_equal(tls_state(s), TLS_OPEN);
		X509_NAME_oneline(X509_get_subject_name(SSL_get0_peer_certificate(r.ssl)), name, sizeof(name));
		assert_string_equal(name, rows[i].peer);
		raw_fini(&r);
		tls_free(&s);
	}
	struct buf pem;
	struct why why = { "" };
	struct str names[] = { STR("mx.example.org"), STR("mail.example.org") };
	buf_init(&pem, 1 << 16);
	home_certificate(&p->home, &(struct home_certificate){ .key = "EC P-384" }, &pem);
	assert_int_equal(tls_server_add(server, names, 2, buf_view(&pem), &why), F_EXISTS);
	assert_int_equal(tls_server_add(server, names, 2, STR("nothing here"), &why), F_SYNTAX);
	assert_non_null(strstr(why.text, "no certificate"));
	buf_fini(&pem);
	tls_server_free(&server);
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
		cmocka_unit_test(takes_bytes_one_by_one),
		cmocka_unit_test(plaintext_holds_ciphertext_back),
		cmocka_unit_test(output_has_a_ceiling),
		cmocka_unit_test(every_key_type_signs),
		cmocka_unit_test(old_and_weak_is_refused),
		cmocka_unit_test(tls12_shakes_hands),
		cmocka_unit_test(rsa_signs_in_tls12),
		cmocka_unit_test(mx_takes_cbc_last),
		cmocka_unit_test(only_a_client_without_demands_offers_cbc),
		cmocka_unit_test(alpn_other_than_smtp_is_refused),
		cmocka_unit_test(renegotiation_is_refused),
		cmocka_unit_test(a_flood_of_key_updates_ends),
		cmocka_unit_test(a_handshake_has_an_end),
		cmocka_unit_test(plain_text_is_recognised),
		cmocka_unit_test(certificates_are_verified),
		cmocka_unit_test(good_names_verify),
		cmocka_unit_test(attack_45_names_that_only_look_right),
		cmocka_unit_test(attack_46_sni_is_a_name_or_nothing),
		cmocka_unit_test(sni_picks_the_certificate),
		cmocka_unit_test(odd_sni_gets_the_default),
		cmocka_unit_test(two_key_types_for_the_same_names),
		cmocka_unit_test(a_damaged_chain_is_refused),
		cmocka_unit_test(a_dead_keeper_fails_cleanly),
		cmocka_unit_test(the_private_part_is_nowhere),
		cmocka_unit_test(tls_is_recognised_on_a_plain_port),
	};
	return cmocka_run_group_tests_name("tls/session", tests, place_setup, place_teardown);
}
