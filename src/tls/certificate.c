/* SPDX-License-Identifier: ISC */
#include "tls/certificate.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "tls/provider.h"

enum { NAMES_TEXT_MAX = 64 << 10 };

static BIO *bio_on(struct str text)
{
	BIO *bio = BIO_new_mem_buf(text.n > 0 ? text.p : "", text.n < INT32_MAX ? (int)text.n : 0);
	check(bio != NULL);
	return bio;
}

static struct str name_text(const X509_NAME *name, size_t max, struct arena *a)
{
	BIO *text = BIO_new(BIO_s_mem());
	check(text != NULL);
	char *bytes = NULL;
	(void)X509_NAME_print_ex(text, name, 0, XN_FLAG_RFC2253);
	long n = BIO_get_mem_data(text, &bytes);
	struct str copy = arena_try_copy(a, str_sub((struct str){ bytes, n > 0 ? (size_t)n : 0 }, 0, max));
	BIO_free(text);
	return copy;
}

static int64_t time_of(const ASN1_TIME *t)
{
	struct tm tm;
	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* A dNSName with a comma or a control byte in it is no name of ours: it is left out, so that the list cannot be
 * forged from inside. */
static bool plain_name(struct str name)
{
	return name.n > 0 && str_is_ascii(name) && !str_has(name, ',') && !str_has(name, ' ');
}

static struct str names_of(X509 *cert, size_t max, struct arena *a)
{
	struct buf all;
	buf_init(&all, max);
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		if (g->type != GEN_DNS)
			continue;
		struct str name = { (const char *)ASN1_STRING_get0_data(g->d.dNSName), (size_t)ASN1_STRING_length(g->d.dNSName) };
		if (plain_name(name) && buf_room(&all) > name.n) {
			bool added = (buf_view(&all).n == 0 || buf_add_char(&all, ',') == OK) && buf_add(&all, name) == OK;
			check(added);
		}
	}
	GENERAL_NAMES_free(names);
	struct str copy = arena_try_copy(a, buf_view(&all));
	buf_fini(&all);
	return copy;
}

static struct str key_type_text(EVP_PKEY *key, struct arena *a)
{
	char text[64] = "unknown", group[40] = "";
	if (key != NULL && EVP_PKEY_is_a(key, "EC")) {
		(void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
		const char *name = strcmp(group, "prime256v1") == 0 ? "P-256"
		                   : strcmp(group, "secp384r1") == 0 ? "P-384"
		                   : strcmp(group, "secp521r1") == 0 ? "P-521" : group;
		(void)snprintf(text, sizeof(text), "EC %s", name);
	} else if (key != NULL && EVP_PKEY_is_a(key, "RSA")) {
		(void)snprintf(text, sizeof(text), "RSA %d", EVP_PKEY_get_bits(key));
	} else if (key != NULL && EVP_PKEY_get0_type_name(key) != NULL) {
		(void)snprintf(text, sizeof(text), "%s", EVP_PKEY_get0_type_name(key));
	}
	return arena_try_copy(a, str_of(text));
}

bool tls_certificate_look(X509 *cert, size_t text_max, struct arena *a, struct certificate_facts *out)
{
	*out = (struct certificate_facts){
		.subject = name_text(X509_get_subject_name(cert), text_max, a),
		.issuer = name_text(X509_get_issuer_name(cert), text_max, a),
		.names = names_of(cert, text_max, a),
		.not_before_s = time_of(X509_get0_notBefore(cert)),
		.not_after_s = time_of(X509_get0_notAfter(cert)),
		.key_type = key_type_text(X509_get0_pubkey(cert), a),
	};
	return tls_key_id(cert, out->key_id);
}

fault certificate_read(struct str chain_pem, struct arena *a, struct certificate_facts *out, struct why *why)
{
	*out = (struct certificate_facts){ .subject = STR_NONE };
	BIO *pem = bio_on(chain_pem);
	X509 *leaf = tls_next_certificate(pem);
	bool whole = leaf != NULL;
	for (X509 *more; whole && (more = tls_next_certificate(pem)) != NULL; )
		X509_free(more);
	whole = tls_pem_ended() && leaf != NULL;
	BIO_free(pem);
	if (!whole) {
		fault f = leaf == NULL ? why_say(why, F_SYNTAX, "no certificate in PEM form (-----BEGIN CERTIFICATE-----) is in it")
		                       : why_say(why, F_SYNTAX, "a certificate in the chain is damaged");
		X509_free(leaf);
		return f;
	}
	bool known = tls_certificate_look(leaf, NAMES_TEXT_MAX, a, out);
	X509_free(leaf);
	ERR_clear_error();
	return known ? OK : why_say(why, F_SYNTAX, "the certificate's key cannot be read");
}

bool certificate_covers(const struct certificate_facts *facts, struct str name)
{
	struct str rest = facts->names, one;
	size_t dot;
	while (rest.n > 0) {
		if (!str_take_until(&rest, ',', &one)) {
			one = rest;
			rest = STR_NONE;
		}
		if (str_eq_nocase(one, name))
			return true;
		if (str_take(&one, STR("*.")) && str_find(name, '.', &dot) && dot > 0 &&
		    str_eq_nocase(one, str_from(name, dot + 1)))
			return true;
	}
	return false;
}

/* An encrypted key must not make OpenSSL ask at the terminal. */
static int no_password(char *to, int room, int writing, void *owner)
{
	(void)to;
	(void)room;
	(void)writing;
	*(bool *)owner = true;
	return -1;
}

fault certificate_fits_key(struct str chain_pem, struct str key_pem, struct why *why)
{
	BIO *pem = bio_on(chain_pem);
	X509 *leaf = PEM_read_bio_X509(pem, NULL, NULL, NULL);
	BIO_free(pem);
	if (leaf == NULL) {
		ERR_clear_error();
		return why_say(why, F_SYNTAX, "no certificate in PEM form (-----BEGIN CERTIFICATE-----) is in it");
	}
	bool encrypted = false;
	pem = bio_on(key_pem);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_password, &encrypted);
	BIO_free(pem);
	fault f = OK;
	if (key == NULL && encrypted)
		f = why_say(why, F_SYNTAX, "the private key is encrypted: Sealpost cannot ask for a passphrase; "
		                           "decrypt it with `openssl pkey -in OLD -out NEW`");
	else if (key == NULL)
		f = why_say(why, F_SYNTAX, "no private key in PEM form (-----BEGIN PRIVATE KEY-----) is in it");
	else if (EVP_PKEY_eq(X509_get0_pubkey(leaf), key) != 1)
		f = why_say(why, F_DENIED, "the private key does not fit the certificate: they are not of the same pair");
	EVP_PKEY_free(key);
	X509_free(leaf);
	ERR_clear_error();
	return f;
}

/* ---- a throw-away CA ---- */

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool added = e != NULL && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return added;
}

static X509 *bare_certificate(EVP_PKEY *key, const char *common_name)
{
	enum { WEEK_S = 7 * 86400, SKEW_S = 3600 };
	X509 *cert = X509_new();
	BIGNUM *serial = BN_new();
	X509_NAME *name = X509_NAME_new();
	bool done = cert != NULL && serial != NULL && name != NULL && X509_set_version(cert, X509_VERSION_3) == 1 &&
	            BN_rand(serial, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
	            BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) != NULL &&
	            X509_gmtime_adj(X509_getm_notBefore(cert), -SKEW_S) != NULL &&
	            X509_gmtime_adj(X509_getm_notAfter(cert), WEEK_S) != NULL && X509_set_pubkey(cert, key) == 1 &&
	            X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1,
	                                       0) == 1 &&
	            X509_set_subject_name(cert, name) == 1;
	X509_NAME_free(name);
	BN_free(serial);
	if (done)
		return cert;
	X509_free(cert);
	return NULL;
}

static X509 *make_ca(EVP_PKEY *key)
{
	X509 *ca = bare_certificate(key, "Sealpost throw-away CA");
	if (ca != NULL && X509_set_issuer_name(ca, X509_get_subject_name(ca)) == 1 &&
	    add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	    add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	    add_extension(ca, ca, NID_subject_key_identifier, "hash") && X509_sign(ca, key, EVP_sha256()) > 0)
		return ca;
	X509_free(ca);
	return NULL;
}

static X509 *make_leaf(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const char *alt_names)
{
	X509 *leaf = bare_certificate(key, "Sealpost throw-away certificate");
	if (leaf != NULL && X509_set_issuer_name(leaf, X509_get_subject_name(ca)) == 1 &&
	    add_extension(leaf, ca, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(leaf, ca, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(leaf, ca, NID_ext_key_usage, "serverAuth,clientAuth") &&
	    add_extension(leaf, ca, NID_subject_key_identifier, "hash") &&
	    add_extension(leaf, ca, NID_authority_key_identifier, "keyid:always") &&
	    add_extension(leaf, ca, NID_subject_alt_name, alt_names) && X509_sign(leaf, ca_key, EVP_sha256()) > 0)
		return leaf;
	X509_free(leaf);
	return NULL;
}

static fault pem_put(BIO *bio, struct buf *out)
{
	char *bytes = NULL;
	long n = BIO_get_mem_data(bio, &bytes);
	return buf_add(out, (struct str){ bytes, n > 0 ? (size_t)n : 0 });
}

static fault put_certificate(X509 *cert, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	check(bio != NULL);
	fault f = PEM_write_bio_X509(bio, cert) == 1 ? pem_put(bio, out) : F_TLS;
	BIO_free(bio);
	return f;
}

static fault put_key(EVP_PKEY *key, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	check(bio != NULL);
	fault f = PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 ? pem_put(bio, out) : F_TLS;
	BIO_free(bio);
	return f;
}

static fault put_all(X509 *ca, X509 *leaf, EVP_PKEY *key, struct buf *ca_out, struct buf *chain_out, struct buf *key_out)
{
	TRY(put_certificate(ca, ca_out));
	TRY(put_certificate(leaf, chain_out));
	return put_key(key, key_out);
}

fault certificate_make(const struct str *names, size_t n, struct buf *ca_out, struct buf *chain_out, struct buf *key_out,
                       struct why *why)
{
	struct buf alt;
	buf_init(&alt, NAMES_TEXT_MAX);
	fault f = OK;
	for (size_t i = 0; f == OK && i < n; i++)
		f = !plain_name(names[i]) ? F_SYNTAX : buf_addf(&alt, "DNS:%.*s,", STR_ARG(names[i]));
	if (f == OK)
		f = buf_add(&alt, (struct str){ "IP:127.0.0.1", sizeof("IP:127.0.0.1") }); /* with its NUL */
	if (f != OK) {
		buf_fini(&alt);
		return why_say(why, f, "a name does not fit into a certificate");
	}
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *ca = ca_key != NULL ? make_ca(ca_key) : NULL;
	X509 *leaf = ca != NULL && key != NULL ? make_leaf(key, ca, ca_key, buf_view(&alt).p) : NULL;
	f = leaf != NULL ? put_all(ca, leaf, key, ca_out, chain_out, key_out) : F_TLS;
	if (f != OK)
		f = why_say(why, f, "the throw-away certificate cannot be made: %s",
		            f == F_TLS ? ERR_reason_error_string(ERR_peek_last_error()) : fault_name(f));
	X509_free(leaf);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	buf_fini(&alt);
	ERR_clear_error();
	return f;
}
