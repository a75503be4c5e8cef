/* SPDX-License-Identifier: ISC */
#include "tls/home.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/check.h"

static X509 *certificate(EVP_PKEY *key, const char *name, int from_s, int until_s)
{
	X509 *x = X509_new();
	X509_NAME *n = X509_NAME_new();
	check(X509_set_version(x, X509_VERSION_3) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(x), 4711) == 1);
	check(X509_gmtime_adj(X509_getm_notBefore(x), from_s) && X509_gmtime_adj(X509_getm_notAfter(x), until_s));
	check(X509_NAME_add_entry_by_NID(n, NID_commonName, MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1);
	check(X509_set_subject_name(x, n) == 1 && X509_set_pubkey(x, key) == 1);
	X509_NAME_free(n);
	return x;
}

static void extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	check(e != NULL && X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static void extend_raw(X509 *x, struct str bytes)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	check(names != NULL && name != NULL && ASN1_STRING_set(text, bytes.p, (int)bytes.n) == 1);
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	check(sk_GENERAL_NAME_push(names, name) == 1 && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1);
	GENERAL_NAMES_free(names);
}

static void put(X509 *x, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes;
	check(PEM_write_bio_X509(bio, x) == 1);
	long n = BIO_get_mem_data(bio, &bytes);
	check(buf_add(out, (struct str){ bytes, (size_t)n }) == OK);
	BIO_free(bio);
}

static const char ca_name[] = "Home CA", middle_name[] = "Home CA below";

static void issue(X509 *x, const char *issuer)
{
	X509_NAME *name = X509_NAME_new();
	check(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)issuer, -1, -1, 0) == 1);
	check(X509_set_issuer_name(x, name) == 1);
	X509_NAME_free(name);
}

static void make_ca(EVP_PKEY *key, const char *name, EVP_PKEY *by, struct buf *pem)
{
	X509 *ca = certificate(key, name, -86400, 86400);
	issue(ca, ca_name);
	extend(ca, NID_basic_constraints, "critical,CA:TRUE");
	check(X509_sign(ca, by, EVP_sha256()) > 0);
	buf_init(pem, 1 << 16);
	put(ca, pem);
	X509_free(ca);
}

void home_init(struct home *h)
{
	*h = (struct home){ .ca_key = EVP_EC_gen("P-256"), .middle_key = EVP_EC_gen("P-256") };
	buf_init(&h->message, 1 << 16);
	make_ca(h->ca_key, ca_name, h->ca_key, &h->ca_pem);
	make_ca(h->middle_key, middle_name, h->ca_key, &h->middle_pem);
}

void home_fini(struct home *h)
{
	for (size_t i = 0; i < h->n_keys; i++)
		EVP_PKEY_free(h->keys[i]);
	EVP_PKEY_free(h->ca_key);
	EVP_PKEY_free(h->middle_key);
	buf_fini(&h->ca_pem);
	buf_fini(&h->middle_pem);
	buf_fini(&h->message);
}

static EVP_PKEY *key_of(const char *kind)
{
	if (strncmp(kind, "EC ", 3) == 0)
		return EVP_EC_gen(kind + 3);
	if (strcmp(kind, "RSA") == 0)
		return EVP_RSA_gen(2048);
	return EVP_PKEY_Q_keygen(NULL, NULL, kind);
}

void home_certificate(struct home *h, const struct home_certificate *want, struct buf *pem_out)
{
	EVP_PKEY *key = key_of(want->key);
	check(key != NULL && h->n_keys < HOME_KEYS_MAX);
	X509 *x = certificate(key, want->common_name != NULL ? want->common_name : "leaf", want->from_s,
	                      want->until_s != 0 ? want->until_s : 3600);
	if (want->self_signed)
		check(X509_set_issuer_name(x, X509_get_subject_name(x)) == 1);
	else
		issue(x, want->by_middle ? middle_name : ca_name);
	if (want->alt_names != NULL)
		extend(x, NID_subject_alt_name, want->alt_names);
	if (want->raw_name.n > 0)
		extend_raw(x, want->raw_name);
	EVP_PKEY *by = want->self_signed ? key : want->by_middle ? h->middle_key : h->ca_key;
	check(X509_sign(x, by, EVP_PKEY_is_a(by, "ED25519") ? NULL : EVP_sha256()) > 0);
	put(x, pem_out);

	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	check(n > 0 && EVP_Digest(der, (size_t)n, h->ids[h->n_keys], NULL, EVP_sha256(), NULL) == 1);
	OPENSSL_free(der);
	h->keys[h->n_keys++] = key;
	X509_free(x);
}

struct tls_signer home_signer(struct home *h)
{
	return (struct tls_signer){ home_sign, h };
}

fault home_sign(void *home, struct str key_id, struct str digest, unsigned padding, struct str message, struct buf *out)
{
	struct home *h = home;
	h->asked++;
	h->padding = padding;
	buf_clear(&h->message);
	check(digest.n < sizeof(h->digest) && buf_add(&h->message, message) == OK);
	memset(h->digest, 0, sizeof(h->digest));
	if (digest.n > 0)
		memcpy(h->digest, digest.p, digest.n);
	for (size_t i = 0; i < h->n_keys && !h->refuse; i++) {
		if (!str_eq(key_id, (struct str){ (const char *)h->ids[i], 32 }))
			continue;
		EVP_MD_CTX *md = EVP_MD_CTX_new();
		EVP_PKEY_CTX *ctx;
		unsigned char signature[512];
		size_t n = sizeof(signature);
		check(EVP_DigestSignInit_ex(md, &ctx, digest.n > 0 ? h->digest : NULL, NULL, NULL, h->keys[i], NULL) == 1);
		check(padding != 2 || (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		                       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1));
		check(EVP_DigestSign(md, signature, &n, (const unsigned char *)message.p, message.n) == 1);
		EVP_MD_CTX_free(md);
		return buf_add(out, (struct str){ (const char *)signature, n });
	}
	return F_ABSENT;
}

static bool carry(struct tls *from, struct tls *to, size_t step)
{
	struct str out = tls_output(from);
	if (out.n == 0)
		return false;
	size_t used = 0, n = step != 0 && step < out.n ? step : out.n;
	fault f = tls_feed(to, str_sub(out, 0, n), &used);
	tls_sent(from, f == OK ? used : out.n);
	return used > 0;
}

void home_pump(struct tls *client, struct tls *server, size_t step)
{
	while (carry(client, server, step) || carry(server, client, step))
		;
}
