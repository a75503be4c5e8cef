/* SPDX-License-Identifier: ISC */
/* Whose certificate it is: names that verify and that do not, and which one a server shows. */
#include "unit.h"

#include "place.h"
#include "raw.h"

#include <openssl/ssl.h>
#include <string.h>

#include "tls/session.h"

static void assert_unverified(struct place *p, const struct home_certificate *want, const char *name, const char *words)
{
	struct tls_signer signer = home_signer(&p->home);
	struct tls_server *server = tls_server_new(&signer, false);
	server_add(p, server, "any.example", want);
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
	server_add(p, server, "any.example", &(struct home_certificate){ .key = "EC P-256",
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
	server_add(p, server, "one.example", &(struct home_certificate){ .key = "EC P-256", .common_name = "first" });
	server_add(p, server, "two.example exact.wild.example", &(struct home_certificate){ .key = "EC P-256", .common_name = "second" });
	server_add(p, server, "*.wild.example", &(struct home_certificate){ .key = "ED25519", .common_name = "third" });
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
		raw_client(&r, 0, "ALL");
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
	server_add(p, server, "one.example", &(struct home_certificate){ .key = "EC P-256", .common_name = "first" });
	server_add(p, server, "two.example *.example", &(struct home_certificate){ .key = "EC P-256", .common_name = "second" });
	for (size_t i = 0; i < COUNT(odd); i++) {
		struct raw r;
		struct tls_facts facts;
		char name[64];
		struct tls *s = tls_accept(server);
		raw_client(&r, 0, "ALL");
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
	server_add(p, server, "mx.example.org mail.example.org", &(struct home_certificate){ .key = "EC P-256", .common_name = "ec" });
	server_add(p, server, "mx.example.org mail.example.org", &(struct home_certificate){ .key = "RSA", .common_name = "rsa" });
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct raw r;
		struct tls *s = tls_accept(server);
		char name[64];
		raw_client(&r, 0, "ALL");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificates_are_verified),
		cmocka_unit_test(good_names_verify),
		cmocka_unit_test(attack_45_names_that_only_look_right),
		cmocka_unit_test(attack_46_sni_is_a_name_or_nothing),
		cmocka_unit_test(sni_picks_the_certificate),
		cmocka_unit_test(odd_sni_gets_the_default),
		cmocka_unit_test(two_key_types_for_the_same_names),
	};
	return cmocka_run_group_tests_name("tls/names", tests, place_setup, place_teardown);
}
