/* SPDX-License-Identifier: ISC */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/check.h"
#include "tls/provider.h"
#include "tls/session.h"

struct tls_client {
	unsigned refs;
	SSL_CTX *strict, *loose;   /* for what is to be proven, and for what is not; the anchors are shared */
	bool verify, post_quantum;
};

const char *tls_system_ca_file(size_t i)
{
	const char *const places[] = {
		getenv(X509_get_default_cert_file_env()), X509_get_default_cert_file(), "/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
	};
	if (places[0] == NULL)
		i++;
	return i < COUNT(places) ? places[i] : NULL;
}

static fault load_anchors(SSL_CTX *ctx, struct str ca_pem, bool only_these, struct why *why)
{
	if (ca_pem.n == 0 && only_these)
		return OK; /* nobody is trusted */
	if (ca_pem.n == 0)
		return SSL_CTX_set_default_verify_paths(ctx) == 1
		               ? OK : why_say(why, F_TLS, "the system's CA certificates cannot be loaded");
	BIO *pem = BIO_new_mem_buf(ca_pem.p, ca_pem.n < INT32_MAX ? (int)ca_pem.n : 0);
	check(pem != NULL);
	unsigned n = 0;
	for (X509 *cert; (cert = tls_next_certificate(pem)) != NULL; X509_free(cert))
		if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) == 1)
			n++;
	BIO_free(pem);
	ERR_clear_error();
	return n > 0 ? OK : why_say(why, F_SYNTAX, "no CA certificate in PEM form (-----BEGIN CERTIFICATE-----) is in it");
}

/* loose: nothing is to be proven. A small key, a server without RFC 5746 or a cipher with CBC is then still better than clear text,
 * which is what would come next; we never renegotiate. */
static SSL_CTX *context_new(bool loose)
{
	SSL_CTX *ctx = SSL_CTX_new_ex(tls_library(), NULL, TLS_client_method());
	check(ctx != NULL);
	SSL_CTX_set_security_level(ctx, loose ? 1 : 2);
	bool ruled = tls_context_rules(ctx, loose);
	check(ruled);
	if (loose)
		(void)SSL_CTX_set_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
	/* Also without SSL_VERIFY_PEER OpenSSL verifies and remembers the result, which becomes a fact. */
	SSL_CTX_set_verify(ctx, loose ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, tls_verify_chain, NULL);
	return ctx;
}

struct tls_client *tls_client_new(const struct tls_client_options *options, struct why *why)
{
	struct tls_client *c = NEW(struct tls_client);
	c->refs = 1;
	c->verify = options->verify;
	c->strict = context_new(false);
	c->loose = context_new(true);
	c->post_quantum = tls_knows_post_quantum(c->strict);
	bool ready = tls_context_rules(c->strict, false) && SSL_CTX_dane_enable(c->strict) == 1;
	check(ready);
	SSL_CTX_set1_cert_store(c->loose, SSL_CTX_get_cert_store(c->strict));
	if (load_anchors(c->strict, options->ca_pem, options->only_these, why) != OK)
		tls_client_free(&c);
	return c;
}

void tls_client_free(struct tls_client **c_)
{
	struct tls_client *c = *c_;
	*c_ = NULL;
	if (c == NULL || --c->refs > 0)
		return;
	SSL_CTX_free(c->strict);
	SSL_CTX_free(c->loose);
	free(c);
}

void tls_client_release(struct tls *t)
{
	if (t->of_client != NULL)
		tls_client_free(&t->of_client);
}

/* ---- shapes ---- */

enum { NO_POST_QUANTUM = 1, FEW_GROUPS = 2, NO_TICKETS = 3 };

static bool take_shape(SSL *ssl, unsigned shape)
{
	char groups[] = "X25519:P-256:P-384", few[] = "X25519:P-256";
	if (shape >= NO_TICKETS)
		(void)SSL_set_options(ssl, SSL_OP_NO_TICKET);
	return shape == 0 || SSL_set1_groups_list(ssl, shape >= FEW_GROUPS ? few : groups) == 1;
}

unsigned tls_shape_after(const struct tls_client *c, unsigned shape)
{
	if (shape == 0 && !c->post_quantum)
		return FEW_GROUPS;
	return shape < TLS_SHAPES ? shape + 1 : TLS_SHAPES;
}

const char *tls_shape_name(unsigned shape)
{
	static const char *const names[TLS_SHAPES] = { "full", "no post-quantum share", "fewer groups", "no session tickets" };
	return shape < TLS_SHAPES ? names[shape] : "unknown";
}

/* ---- resuming ---- */

struct tls_ticket { SSL_SESSION *session; };

struct tls_ticket *tls_ticket_of(const struct tls *t)
{
	SSL_SESSION *session = t->ssl != NULL && t->client ? SSL_get0_session(t->ssl) : NULL;
	if (session == NULL || SSL_SESSION_is_resumable(session) != 1)
		return NULL;
	struct tls_ticket *k = NEW(struct tls_ticket);
	k->session = SSL_SESSION_dup(session); /* a connection that ends without close_notify spoils its own */
	check(k->session != NULL);
	return k;
}

void tls_ticket_free(struct tls_ticket **k_)
{
	struct tls_ticket *k = *k_;
	*k_ = NULL;
	if (k == NULL)
		return;
	SSL_SESSION_free(k->session);
	free(k);
}

/* ---- a session ---- */

static struct str without_dot(struct str name)
{
	return name.n > 1 && name.p[name.n - 1] == '.' ? str_sub(name, 0, name.n - 1) : name;
}

/* NULL, or why it cannot even be tried. */
static const char *demand(struct tls *t, const struct tls_wish *wish)
{
	struct tls_wish w = *wish;
	w.base = without_dot(w.base);
	if (w.only_tls12 && SSL_set_max_proto_version(t->ssl, TLS1_2_VERSION) != 1)
		return "the library has no TLS 1.2";
	if (!take_shape(t->ssl, w.shape))
		return "the library refuses the shape of the handshake";
	if (w.ticket != NULL && w.prove == TLS_PROVE_NOTHING && SSL_set_session(t->ssl, w.ticket->session) != 1)
		return "the library cannot resume by this ticket";
	if (w.prove == TLS_PROVE_DANE)
		return tls_expect_dane(t->ssl, &w);
	return tls_expect_name(t->ssl, without_dot(w.name)) ? NULL : "the server's name is not one that a certificate can carry";
}

struct tls *tls_connect_wish(struct tls_client *c, const struct tls_wish *wish)
{
	struct tls *t = tls_session_new(wish->prove == TLS_PROVE_NOTHING ? c->loose : c->strict, true);
	t->of_client = c;
	t->prove = wish->prove;
	c->refs++;
	check(t->ssl != NULL);
	const char *problem = demand(t, wish);
	ERR_clear_error();
	if (problem != NULL) {
		t->failure = wish->prove == TLS_PROVE_DANE ? TLS_FAIL_DANE : TLS_FAIL_NAME;
		tls_break(t, "%s", problem);
		return t;
	}
	/* Our first flight is ready at once. */
	size_t used;
	if (tls_feed(t, STR_NONE, &used) != OK)
		tls_break(t, "the handshake could not begin");
	return t;
}

struct tls *tls_connect(struct tls_client *c, struct str name)
{
	struct tls_wish wish = { .name = name, .prove = c->verify ? TLS_PROVE_NAME : TLS_PROVE_NOTHING };
	return tls_connect_wish(c, &wish);
}
