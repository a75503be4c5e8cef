/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "proven.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

int proven_setup(void **state)
{
	struct place *p = NEW(struct place);
	struct why why = { "" };
	assert_int_equal(tls_begin(&why), OK);
	home_init(&p->home);
	/* Under DANE no anchor of ours plays a part, so this client has none. */
	p->nobody = tls_client_new(&(struct tls_client_options){ .only_these = true, .verify = false }, &why);
	p->trusting = tls_client_new(&(struct tls_client_options){ .ca_pem = buf_view(&p->home.ca_pem), .verify = true }, &why);
	assert_non_null(p->nobody);
	assert_non_null(p->trusting);
	*state = p;
	return 0;
}

int proven_teardown(void **state)
{
	struct place *p = *state;
	tls_client_free(&p->nobody);
	tls_client_free(&p->trusting);
	home_fini(&p->home);
	free(p);
	return 0;
}

/* ---- TLSA records of what a server has ---- */

static X509 *read_pem(struct str pem)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	assert_non_null(x);
	return x;
}

struct dane_record record_of(struct str pem, unsigned usage, unsigned selector, unsigned matching, struct made *to)
{
	X509 *x = read_pem(pem);
	unsigned char *der = NULL;
	int n = selector == DANE_CERT ? i2d_X509(x, &der) : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	unsigned size = (unsigned)n;
	assert_true(n > 0 && n <= DATA_MAX);
	if (matching == DANE_FULL)
		memcpy(to->bytes, der, (size_t)n);
	else
		assert_int_equal(EVP_Digest(der, (size_t)n, to->bytes, &size, matching == DANE_SHA256 ? EVP_sha256() : EVP_sha512(), NULL), 1);
	OPENSSL_free(der);
	X509_free(x);
	return (struct dane_record){ (uint8_t)usage, (uint8_t)selector, (uint8_t)matching, { (char *)to->bytes, size } };
}

static void records(struct records *r, const char *words, struct str leaf, const struct home *h, struct str other)
{
	struct str rest = str_of(words), one;
	r->n = 0;
	for (bool more = rest.n > 0; more; r->n++) {
		char text[32];
		unsigned usage, selector, matching;
		char of[8];
		one = rest;
		more = str_take_until(&rest, ',', &one);
		check(one.n < sizeof text && r->n < COUNT(r->list));
		memcpy(text, one.p, one.n);
		text[one.n] = '\0';
		check(sscanf(text, " %u %u %u %7s", &usage, &selector, &matching, of) == 4);
		r->list[r->n] = record_of(strcmp(of, "leaf") == 0 ? leaf : strcmp(of, "ca") == 0 ? buf_view(&h->ca_pem)
		                          : strcmp(of, "middle") == 0 ? buf_view(&h->middle_pem) : other, usage, selector, matching,
		                          &r->made[r->n]);
	}
}

/* ---- what a server shows ---- */

const struct home_certificate leaves[LEAVES] = {
	[RIGHT] = { .key = "EC P-256", .alt_names = "DNS:mx.example.org" },
	[OTHER_NAME] = { .key = "EC P-256", .alt_names = "DNS:other.example.net" },
	[DOMAIN_NAME] = { .key = "RSA", .alt_names = "DNS:example.org" },
	[EXPIRED] = { .key = "EC P-256", .alt_names = "DNS:mx.example.org", .from_s = -7200, .until_s = -3600 },
	[TOO_EARLY] = { .key = "EC P-256", .alt_names = "DNS:mx.example.org", .from_s = 3600, .until_s = 7200 },
	[SELF_SIGNED] = { .key = "EC P-256", .alt_names = "DNS:mx.example.org", .self_signed = true },
	[SELF_EXPIRED] = { .key = "EC P-384", .alt_names = "DNS:other.example.net", .self_signed = true, .from_s = -7200, .until_s = -3600 },
	[COMMON_NAME] = { .key = "EC P-256", .common_name = "mx.example.org" },
	[COMMON_BESIDE] = { .key = "EC P-256", .common_name = "mx.example.org", .alt_names = "DNS:other.example.net" },
	[WILD] = { .key = "EC P-256", .alt_names = "DNS:*.example.org" },
	[WILD_DEEP] = { .key = "EC P-256", .alt_names = "DNS:*.org" },
	[WILD_PART] = { .key = "EC P-256", .alt_names = "DNS:m*.example.org" },
	[NO_NAMES] = { .key = "EC P-256" },
	[BY_MIDDLE] = { .key = "EC P-256", .alt_names = "DNS:mx.example.org", .by_middle = true },
};

void set_make(struct place *p, const struct home_certificate *leaf, unsigned sends, struct set *out)
{
	struct tls_signer signer = home_signer(&p->home);
	struct why why = { "" };
	struct str name = STR("any.example");
	buf_init(&out->chain, PEM_MAX);
	buf_init(&out->other, PEM_MAX);
	home_certificate(&p->home, &leaves[RIGHT], &out->other);
	home_certificate(&p->home, leaf, &out->chain);
	if (sends & MIDDLE)
		assert_int_equal(buf_add(&out->chain, buf_view(&p->home.middle_pem)), OK);
	if (sends & CA)
		assert_int_equal(buf_add(&out->chain, buf_view(&p->home.ca_pem)), OK);
	out->server = tls_server_new(&signer, false);
	if (tls_server_add(out->server, &name, 1, buf_view(&out->chain), &why) != OK)
		fail_msg("%s", why.text);
}

void set_drop(struct place *p, struct set *s)
{
	tls_server_free(&s->server);
	buf_fini(&s->chain);
	buf_fini(&s->other);
	for (; p->home.n_keys > 0; p->home.n_keys--)
		EVP_PKEY_free(p->home.keys[p->home.n_keys - 1]);
}

void set_records(struct place *p, const struct set *s, const char *words, struct records *out)
{
	records(out, words, buf_view(&s->chain), &p->home, buf_view(&s->other));
}

const struct tls_wish dane_wish = { .prove = TLS_PROVE_DANE, .base = { "mx.example.org", 14 } };

void raw_server(struct raw *r, struct place *p, struct set *set)
{
	X509 *x = read_pem(buf_view(&set->chain));
	raw_context(r, TLS_server_method(), "ALL");
	assert_int_equal(SSL_CTX_use_certificate(r->ctx, x), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(r->ctx, p->home.keys[1]), 1);
	X509_free(x);
	raw_session(r);
	SSL_set_accept_state(r->ssl);
}
