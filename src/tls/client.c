/* SPDX-License-Identifier: ISC */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tls/provider.h"
#include "tls/session.h"

struct tls_client {
	unsigned refs;
	SSL_CTX *ctx;
	bool verify;
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

struct tls_client *tls_client_new(const struct tls_client_options *options, struct why *why)
{
	struct tls_client *c = NEW(struct tls_client);
	c->refs = 1;
	c->verify = options->verify;
	c->ctx = SSL_CTX_new_ex(tls_library(), NULL, TLS_client_method());
	check(c->ctx != NULL);
	/* Where nothing is verified, a small key or a server without RFC 5746 is still better than clear text;
	 * we never renegotiate. */
	SSL_CTX_set_security_level(c->ctx, options->verify ? 2 : 1);
	/* As for `mx`: what fails here for want of a cipher would go in clear next time. */
	bool ruled = tls_context_rules(c->ctx, !options->verify);
	check(ruled);
	if (!options->verify)
		(void)SSL_CTX_set_options(c->ctx, SSL_OP_LEGACY_SERVER_CONNECT);
	/* Also without SSL_VERIFY_PEER OpenSSL verifies and remembers the result, which becomes a fact. */
	SSL_CTX_set_verify(c->ctx, options->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (load_anchors(c->ctx, options->ca_pem, options->only_these, why) != OK)
		tls_client_free(&c);
	return c;
}

void tls_client_free(struct tls_client **c_)
{
	struct tls_client *c = *c_;
	*c_ = NULL;
	if (c == NULL || --c->refs > 0)
		return;
	SSL_CTX_free(c->ctx);
	free(c);
}

void tls_client_release(struct tls *t)
{
	if (t->of_client != NULL)
		tls_client_free(&t->of_client);
}

/* RFC 6125 6.4: names of the subjectAltName only, * as a whole left label. */
static bool expect_name(SSL *ssl, struct str name)
{
	char text[256];
	if (name.n >= sizeof(text))
		return false;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (strlen(text) == name.n && X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1)
		return true; /* an address is no SNI name (RFC 6066 3) */
	return tls_is_host_name(name) && SSL_set1_host(ssl, text) == 1 && SSL_set_tlsext_host_name(ssl, text) == 1;
}

struct tls *tls_connect(struct tls_client *c, struct str name)
{
	struct tls *t = tls_session_new(c->ctx, true);
	t->of_client = c;
	c->refs++;
	check(t->ssl != NULL);
	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	if (!expect_name(t->ssl, name)) {
		tls_break(t, "the server's name is not one that a certificate can carry");
		return t;
	}
	/* Our first flight is ready at once. */
	size_t used;
	if (tls_feed(t, STR_NONE, &used) != OK)
		tls_break(t, "the handshake could not begin");
	return t;
}

static char *subject_text(X509 *cert)
{
	BIO *text = BIO_new(BIO_s_mem());
	check(text != NULL);
	char *bytes = NULL;
	(void)X509_NAME_print_ex(text, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253);
	long n = BIO_get_mem_data(text, &bytes);
	size_t kept = n < 0 ? 0 : n < 256 ? (size_t)n : 256;
	char *copy = must_alloc(kept + 1);
	if (kept > 0)
		memcpy(copy, bytes, kept);
	BIO_free(text);
	return copy;
}

void tls_client_look(struct tls *t)
{
	enum { ROOM = 300 };
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	long result = SSL_get_verify_result(t->ssl);
	if (cert != NULL && t->peer == NULL)
		t->peer = subject_text(cert);
	if (cert != NULL && result == X509_V_OK)
		return;
	t->problem = must_alloc(ROOM);
	(void)snprintf(t->problem, ROOM, "%s", cert == NULL ? "the server shows no certificate" : tls_verify_words(result));
}
