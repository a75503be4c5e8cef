/* SPDX-License-Identifier: ISC */
/* What the two sides show each other: our hello in each of its shapes, the server's chain. */
#include "unit.h"

#include "proven.h"

#include <openssl/ssl.h>
#include <stdio.h>

/* ---- shapes ---- */

struct hello { size_t n_groups; unsigned groups[16]; bool ticket; };

/* What a hello has in it, as the server's library sees it. */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
	enum { GROUPS = 10, TICKET = 35 };
	struct hello *h = arg;
	const unsigned char *p;
	size_t n;
	(void)alert;
	h->ticket = SSL_client_hello_get0_ext(ssl, TICKET, &p, &n) == 1;
	assert_int_equal(SSL_client_hello_get0_ext(ssl, GROUPS, &p, &n), 1);
	h->n_groups = 0;
	for (size_t i = 2; i + 1 < n && h->n_groups < COUNT(h->groups); i += 2)
		h->groups[h->n_groups++] = (unsigned)p[i] << 8 | p[i + 1];
	return SSL_CLIENT_HELLO_SUCCESS;
}

static void hello_of(struct place *p, struct set *set, unsigned shape, struct hello *out)
{
	struct raw raw;
	struct tls_wish wish = { .name = STR("mx.example.org"), .shape = shape };
	raw_server(&raw, p, set);
	SSL_CTX_set_client_hello_cb(raw.ctx, on_hello, out);
	struct tls *c = tls_connect_wish(p->nobody, &wish);
	raw_pump(&raw, c);
	assert_int_equal(tls_state(c), TLS_OPEN);
	tls_free(&c);
	raw_fini(&raw);
}

static void shapes_have_less_and_less(void **state)
{
	enum { P256 = 23, P384 = 24, X25519 = 29, X25519MLKEM768 = 4588 };
	struct place *p = *state;
	struct set set;
	struct hello h;
	set_make(p, &leaves[RIGHT], ALONE, &set);
	hello_of(p, &set, 0, &h);
	bool post_quantum = h.groups[0] == X25519MLKEM768;
	assert_int_equal(h.n_groups, post_quantum ? 4 : 3);
	assert_true(h.ticket);
	hello_of(p, &set, 1, &h);
	assert_int_equal(h.n_groups, 3);
	assert_int_equal(h.groups[0], X25519);
	assert_int_equal(h.groups[1], P256);
	assert_int_equal(h.groups[2], P384);
	for (unsigned shape = 2; shape < TLS_SHAPES; shape++) {
		hello_of(p, &set, shape, &h);
		assert_int_equal(h.n_groups, 2);
		assert_int_equal(h.groups[0], X25519);
		assert_int_equal(h.groups[1], P256);
		assert_int_equal(h.ticket, shape < 3);
	}
	assert_int_equal(tls_shape_after(p->nobody, 0), post_quantum ? 1 : 2);
	assert_int_equal(tls_shape_after(p->nobody, 1), 2);
	assert_int_equal(tls_shape_after(p->nobody, 2), 3);
	assert_int_equal(tls_shape_after(p->nobody, 3), TLS_SHAPES);
	assert_int_equal(tls_shape_after(p->nobody, TLS_SHAPES), TLS_SHAPES);
	assert_string_equal(tls_shape_name(0), "full");
	assert_string_equal(tls_shape_name(3), "no session tickets");
	assert_string_equal(tls_shape_name(TLS_SHAPES), "unknown");
	set_drop(p, &set);
}

/* A server that falls over what it does not know is met in the end, and still has to prove itself. */
static int on_picky_hello(SSL *ssl, int *alert, void *arg)
{
	(void)on_hello(ssl, alert, arg);
	struct hello *h = arg;
	if (!h->ticket && h->n_groups == 2)
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_HANDSHAKE_FAILURE;
	return SSL_CLIENT_HELLO_ERROR;
}

static void steps_down_in_shape_not_in_proof(void **state)
{
	struct place *p = *state;
	struct set set;
	static struct records r;
	static const struct { const char *records; bool open; } both[] = { { "3 1 1 leaf", true }, { "3 1 1 other", false } };
	set_make(p, &leaves[RIGHT], ALONE, &set);
	for (size_t i = 0; i < COUNT(both); i++) {
		struct hello h;
		unsigned shape = 0, tries = 0;
		enum tls_failure last = TLS_FAIL_HANDSHAKE;
		bool open = false;
		for (; !open && last == TLS_FAIL_HANDSHAKE && shape < TLS_SHAPES; shape = tls_shape_after(p->nobody, shape), tries++) {
			struct raw raw;
			struct tls_wish wish = dane_wish;
			set_records(p, &set, both[i].records, &r);
			wish.records = r.list;
			wish.n_records = r.n;
			wish.shape = shape;
			raw_server(&raw, p, &set);
			SSL_CTX_set_client_hello_cb(raw.ctx, on_picky_hello, &h);
			struct tls *c = tls_connect_wish(p->nobody, &wish);
			raw_pump(&raw, c);
			open = tls_state(c) == TLS_OPEN;
			last = tls_failure(c);
			tls_free(&c);
			raw_fini(&raw);
		}
		assert_true(tries >= 3);
		assert_int_equal(open, both[i].open);
		assert_int_equal(last, both[i].open ? TLS_FAIL_NONE : TLS_FAIL_DANE);
	}
	set_drop(p, &set);
}

/* ---- what the server has shown ---- */

static void assert_chain(struct place *p, struct tls *c, const struct set *set)
{
	struct tls_certificate_facts leaf, ca, none;
	static struct made made;
	struct dane_record key = record_of(buf_view(&set->chain), DANE_EE, DANE_SPKI, DANE_SHA256, &made);
	char spki[65] = "";
	(void)p;
	assert_true(tls_chain(c, 0, &leaf));
	assert_true(tls_chain(c, 1, &ca));
	assert_false(tls_chain(c, 2, &none));
	assert_true(str_eq(leaf.subject, STR("CN=leaf")));
	assert_true(str_eq(leaf.issuer, STR("CN=Home CA")));
	assert_true(str_eq(leaf.names, STR("mx.example.org")));
	assert_int_equal(leaf.not_after_s - leaf.not_before_s, 3600);
	assert_true(str_eq(leaf.key, STR("EC P-256")));
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(spki + 2 * i, 3, "%02x", (unsigned char)key.data.p[i]);
	assert_true(str_eq(leaf.spki, str_of(spki)));
	assert_true(str_eq(ca.subject, STR("CN=Home CA")));
	assert_int_equal(ca.names.n, 0);
}

static void chains_are_shown_also_when_refused(void **state)
{
	struct place *p = *state;
	struct set set;
	static struct records r;
	set_make(p, &leaves[RIGHT], CA, &set);
	static const struct { const char *records; bool open; } both[] = { { "3 1 1 leaf", true }, { "3 1 1 other", false } };
	for (size_t i = 0; i < COUNT(both); i++) {
		struct tls_wish wish = dane_wish;
		struct tls_certificate_facts none;
		set_records(p, &set, both[i].records, &r);
		wish.records = r.list;
		wish.n_records = r.n;
		struct tls *s = tls_accept(set.server), *c = tls_connect_wish(p->nobody, &wish);
		assert_false(tls_chain(c, 0, &none));
		home_pump(c, s, 0);
		assert_int_equal(tls_state(c) == TLS_OPEN, both[i].open);
		assert_chain(p, c, &set);
		assert_false(tls_chain(s, 0, &none));
		tls_free(&s);
		tls_free(&c);
	}
	set_drop(p, &set);
}

/* Many certificates, each with names without end. */
static void chains_are_bounded(void **state)
{
	enum { NAMES = 200 };
	struct place *p = *state;
	struct set set;
	struct buf names;
	struct tls_certificate_facts f;
	buf_init(&names, 1 << 16);
	for (size_t i = 0; i < NAMES; i++)
		assert_int_equal(buf_addf(&names, "%sDNS:name-%zu.example.org", i > 0 ? "," : "", i), OK);
	assert_int_equal(buf_add_char(&names, '\0'), OK);
	set_make(p, &(struct home_certificate){ .key = "EC P-256", .alt_names = buf_view(&names).p }, ALONE, &set);
	struct tls_signer signer = home_signer(&p->home);
	for (size_t more = TLS_CHAIN_MAX - 1; more <= TLS_CHAIN_MAX; more++) {
		struct str name = STR("any.example");
		struct buf chain;
		buf_init(&chain, PEM_MAX);
		for (size_t i = 0; i <= more; i++)
			assert_int_equal(buf_add(&chain, buf_view(&set.chain)), OK);
		struct tls_server *server = tls_server_new(&signer, false);
		assert_int_equal(tls_server_add(server, &name, 1, buf_view(&chain), NULL), OK);
		struct tls_wish wish = { .name = STR("mx.example.org") };
		struct tls *s = tls_accept(server), *c = tls_connect_wish(p->nobody, &wish);
		home_pump(c, s, 0);
		assert_int_equal(tls_state(c), TLS_OPEN);
		for (size_t i = 0; i < TLS_CHAIN_MAX; i++) {
			assert_true(tls_chain(c, i, &f));
			assert_true(f.names.n <= TLS_CERTIFICATE_TEXT_MAX && f.names.n > TLS_CERTIFICATE_TEXT_MAX - 32);
			assert_true(str_ends_nocase(f.names, STR(".example.org"))); /* whole names only */
			assert_int_equal(f.spki.n, 64);
		}
		assert_false(tls_chain(c, TLS_CHAIN_MAX, &f));
		tls_free(&s);
		tls_free(&c);
		tls_server_free(&server);
		buf_fini(&chain);
	}
	buf_fini(&names);
	set_drop(p, &set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes_have_less_and_less),
		cmocka_unit_test(steps_down_in_shape_not_in_proof),
		cmocka_unit_test(chains_are_shown_also_when_refused),
		cmocka_unit_test(chains_are_bounded),
	};
	return cmocka_run_group_tests(tests, proven_setup, proven_teardown);
}
