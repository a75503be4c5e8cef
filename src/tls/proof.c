/* SPDX-License-Identifier: ISC */
/* tls/proof.c -- what a server must prove to our client, whether it has, and what it has shown. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "tls/certificate.h"
#include "tls/provider.h"
#include "tls/session.h"

enum { NAME_ROOM = 256, SPKI_TEXT = 64, CHAIN_ARENA = TLS_CHAIN_MAX * (4 * TLS_CERTIFICATE_TEXT_MAX + 512) };

struct tls_shown {
	struct arena *a;
	size_t n;
	struct tls_certificate_facts certificates[TLS_CHAIN_MAX];
};

/* ---- demands ---- */

static bool name_copy(struct str name, char to[NAME_ROOM])
{
	if (name.n == 0 || name.n >= NAME_ROOM || str_has(name, '\0'))
		return false;
	memcpy(to, name.p, name.n);
	to[name.n] = '\0';
	return true;
}

/* Mail servers with an underscore in their name are real. Hardly a certificate has such a name, but DANE-EE(3) asks for none, and
 * opportunistic TLS neither. */
static bool is_name(struct str name, char text[NAME_ROOM])
{
	char plain[NAME_ROOM];
	if (!name_copy(name, text) || !name_copy(name, plain))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (plain[i] == '_')
			plain[i] = 'x';
	return tls_is_host_name((struct str){ plain, name.n });
}

/* RFC 6125 6.4: names of the subjectAltName only, * as a whole left label. */
bool tls_expect_name(SSL *ssl, struct str name)
{
	char text[NAME_ROOM];
	if (!name_copy(name, text))
		return false;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1)
		return true; /* an address is no SNI name (RFC 6066 3) */
	return is_name(name, text) && SSL_set1_host(ssl, text) == 1 && SSL_set_tlsext_host_name(ssl, text) == 1;
}

static size_t add_records(SSL *ssl, const struct tls_wish *wish)
{
	size_t n = 0;
	for (size_t i = 0; i < wish->n_records && i < DANE_RECORDS_MAX; i++) {
		const struct dane_record *r = &wish->records[i];
		if ((r->usage == DANE_TA || r->usage == DANE_EE) &&
		    SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching, (const unsigned char *)r->data.p, r->data.n) == 1)
			n++;
	}
	ERR_clear_error();
	return n;
}

/* RFC 7672 3.2.3: the common name counts where there is no dNSName; * is a whole first label, and stands for one. */
const char *tls_expect_dane(SSL *ssl, const struct tls_wish *wish)
{
	char text[NAME_ROOM];
	if (!is_name(wish->base, text) || SSL_dane_enable(ssl, text) != 1)
		return "the TLSA base domain is not a name that a server can be asked for";
	(void)SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; i < wish->n_also; i++)
		if (is_name(wish->also[i], text))
			(void)SSL_add1_host(ssl, text);
	return add_records(ssl, wish) > 0 ? NULL : "none of the server's TLSA records can be used";
}

bool tls_parses(const struct dane_record *record)
{
	const unsigned char *p = (const unsigned char *)record->data.p, *end = p + record->data.n;
	bool parsed = false;
	if (record->data.n == 0 || record->data.n > DANE_FULL_BYTES_MAX)
		return false;
	if (record->selector == DANE_CERT) {
		X509 *cert = d2i_X509(NULL, &p, (long)record->data.n);
		parsed = cert != NULL && p == end && X509_get0_pubkey(cert) != NULL;
		X509_free(cert);
	} else {
		EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)record->data.n);
		parsed = key != NULL && p == end;
		EVP_PKEY_free(key);
	}
	ERR_clear_error();
	return parsed;
}

/* ---- the verdict ---- */

int tls_verify_chain(X509_STORE_CTX *x, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = tls_of(ssl);
	(void)arg;
	/* OpenSSL forgets a chain that it refuses; it is what people want to see then. */
	if (t->chain == NULL)
		t->chain = X509_chain_up_ref(X509_STORE_CTX_get0_untrusted(x));
	return X509_verify_cert(x) == 1;
}

enum tls_failure tls_failure_of(long result)
{
	switch (result) {
	case X509_V_OK:
		return TLS_FAIL_NONE;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
	case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
	case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
		return TLS_FAIL_EXPIRED;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return TLS_FAIL_NAME;
	case X509_V_ERR_DANE_NO_MATCH:
		return TLS_FAIL_DANE;
	default:
		return TLS_FAIL_NOT_TRUSTED;
	}
}

enum tls_failure tls_failure(const struct tls *t)
{
	return t->failure;
}

bool tls_gave_up(const struct tls *t)
{
	return t->failure == TLS_FAIL_NONE || t->gave_up;
}

static const char *proven_by(SSL *ssl, enum tls_prove prove)
{
	uint8_t usage;
	if (prove != TLS_PROVE_DANE)
		return "PKIX";
	if (SSL_get0_dane_authority(ssl, NULL, NULL) < 0 || SSL_get0_dane_tlsa(ssl, &usage, NULL, NULL, NULL, NULL) < 0)
		return NULL;
	return dane_usage_name(usage);
}

static char *subject_text(X509 *cert)
{
	BIO *text = BIO_new(BIO_s_mem());
	check(text != NULL);
	char *bytes = NULL;
	(void)X509_NAME_print_ex(text, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253);
	long n = BIO_get_mem_data(text, &bytes);
	size_t kept = n < 0 ? 0 : n < NAME_ROOM ? (size_t)n : NAME_ROOM;
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
	t->by = cert != NULL && result == X509_V_OK ? proven_by(t->ssl, t->prove) : NULL;
	if (t->by != NULL)
		return;
	t->unproven = result != X509_V_OK ? tls_failure_of(result) : TLS_FAIL_NOT_TRUSTED;
	t->problem = must_alloc(ROOM);
	(void)snprintf(t->problem, ROOM, "%s", cert == NULL ? "the server shows no certificate"
	               : result == X509_V_OK ? "nothing says what has verified the certificate" : tls_verify_words(result));
	/* OpenSSL has broken off by now where a proof is demanded; should it ever not, we do. */
	if (t->prove != TLS_PROVE_NOTHING) {
		t->failure = t->unproven;
		tls_break(t, "%s", t->problem);
	}
}

/* ---- what the server has shown ---- */

static struct str hex(struct arena *a, const unsigned char *bytes, size_t n)
{
	char text[SPKI_TEXT + 1] = "";
	check(n * 2 <= SPKI_TEXT);
	for (size_t i = 0; i < n; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return arena_try_copy(a, str_of(text));
}

static struct tls_shown *look_at_chain(struct tls *t)
{
	struct tls_shown *shown = NEW(struct tls_shown);
	shown->a = arena_new(CHAIN_ARENA);
	for (int i = 0; i < sk_X509_num(t->chain) && i < TLS_CHAIN_MAX; i++) {
		struct certificate_facts f;
		bool known = tls_certificate_look(sk_X509_value(t->chain, i), TLS_CERTIFICATE_TEXT_MAX, shown->a, &f);
		shown->certificates[shown->n++] = (struct tls_certificate_facts){
			.subject = f.subject, .issuer = f.issuer, .names = f.names, .not_before_s = f.not_before_s,
			.not_after_s = f.not_after_s, .key = f.key_type,
			.spki = known ? hex(shown->a, f.key_id, sizeof f.key_id) : STR_NONE,
		};
	}
	ERR_clear_error();
	return shown;
}

bool tls_chain(struct tls *t, size_t i, struct tls_certificate_facts *out)
{
	if (t->chain == NULL)
		return false;
	if (t->shown == NULL)
		t->shown = look_at_chain(t);
	if (i >= t->shown->n)
		return false;
	*out = t->shown->certificates[i];
	return true;
}

void tls_forget_chain(struct tls *t)
{
	if (t->shown != NULL)
		arena_free(&t->shown->a);
	free(t->shown);
	t->shown = NULL;
	sk_X509_pop_free(t->chain, X509_free);
	t->chain = NULL;
}
