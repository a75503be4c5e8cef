/* SPDX-License-Identifier: ISC */
/* Real handshakes with servers that prove themselves by TLSA records, or fail to. RFC 7672 3, in its order. */
#include "unit.h"

#include "raw.h"

#include <stdio.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "tls/home.h"
#include "tls/tls.h"

enum { DATA_MAX = 4096, PEM_MAX = 1 << 20 };

struct place { struct home home; struct tls_client *nobody, *trusting; };

static int place_setup(void **state)
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

static int place_teardown(void **state)
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

struct made { unsigned char bytes[DATA_MAX]; };

static struct dane_record record_of(struct str pem, unsigned usage, unsigned selector, unsigned matching, struct made *to)
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

/* "3 1 1 leaf, 2 0 1 ca, 2 0 1 middle, 3 1 1 other": other is somebody else's certificate. */
struct records { struct dane_record list[8]; struct made made[8]; size_t n; };

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

/* ---- one handshake ---- */

enum leaf { RIGHT, OTHER_NAME, DOMAIN_NAME, EXPIRED, TOO_EARLY, SELF_SIGNED, SELF_EXPIRED, COMMON_NAME, COMMON_BESIDE, WILD, WILD_DEEP,
            WILD_PART, NO_NAMES, BY_MIDDLE };

static const struct home_certificate leaves[] = {
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

struct row {
	const char *what;
	enum leaf leaf;
	enum { ALONE, CA, MIDDLE, BOTH } sends;  /* with the leaf */
	const char *records;
	const char *also;          /* one further name, or NULL */
	const char *by;            /* what it is verified by; NULL: the handshake fails */
	enum tls_failure failure;
};

static const struct row rows[] = {
	/* 3.1.1: DANE-EE(3), each selector with each matching type. */
	{ "ee cert full", RIGHT, ALONE, "3 0 0 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee cert 256", RIGHT, ALONE, "3 0 1 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee cert 512", RIGHT, ALONE, "3 0 2 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee key full", RIGHT, ALONE, "3 1 0 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee key 256", RIGHT, ALONE, "3 1 1 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee key 512", RIGHT, ALONE, "3 1 2 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee self-signed", SELF_SIGNED, ALONE, "3 1 1 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee with its ca", RIGHT, CA, "3 1 1 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	/* "The expiration date of the server certificate MUST be ignored", "authenticated even if none of the names match". */
	{ "ee expired", EXPIRED, ALONE, "3 1 1 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee expired, by certificate", EXPIRED, CA, "3 0 1 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee too early", TOO_EARLY, ALONE, "3 1 1 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee other name", OTHER_NAME, ALONE, "3 1 1 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee no name", NO_NAMES, ALONE, "3 1 1 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee all wrong but the key", SELF_EXPIRED, ALONE, "3 1 1 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	/* 3.2: "Messages MUST NOT be delivered via the SMTP server if authentication fails." */
	{ "ee wrong digest", RIGHT, CA, "3 1 1 other", NULL, NULL, TLS_FAIL_DANE },
	{ "ee wrong certificate digest", RIGHT, CA, "3 0 1 other", NULL, NULL, TLS_FAIL_DANE },
	{ "ee wrong whole key", RIGHT, CA, "3 1 0 other", NULL, NULL, TLS_FAIL_DANE },
	{ "ee wrong whole certificate", RIGHT, CA, "3 0 0 other", NULL, NULL, TLS_FAIL_DANE },
	{ "ee of the ca", RIGHT, CA, "3 1 1 ca", NULL, NULL, TLS_FAIL_DANE },
	/* 4: rolled keys. */
	{ "ee old and new", RIGHT, ALONE, "3 1 1 other, 3 1 1 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee new and old", RIGHT, ALONE, "3 1 1 leaf, 3 1 1 other", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "ee wrong, ta right", RIGHT, CA, "3 1 1 other, 2 0 1 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ee right, ta wrong", RIGHT, CA, "3 1 1 leaf, 2 0 1 other", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	{ "both wrong", RIGHT, CA, "3 1 1 other, 2 0 1 other", NULL, NULL, TLS_FAIL_DANE },
	/* 3.1.2: DANE-TA(2), the anchor sent. */
	{ "ta cert full", RIGHT, CA, "2 0 0 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta cert 256", RIGHT, CA, "2 0 1 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta cert 512", RIGHT, CA, "2 0 2 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta key full", RIGHT, CA, "2 1 0 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta key 256", RIGHT, CA, "2 1 1 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta key 512", RIGHT, CA, "2 1 2 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	/* Not sent: a digest is not enough, what is whole in the record is. */
	{ "ta 256 not sent", RIGHT, ALONE, "2 0 1 ca", NULL, NULL, TLS_FAIL_DANE },
	{ "ta key 256 not sent", RIGHT, ALONE, "2 1 1 ca", NULL, NULL, TLS_FAIL_DANE },
	{ "ta full not sent", RIGHT, ALONE, "2 0 0 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta whole key not sent", RIGHT, ALONE, "2 1 0 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta wrong", RIGHT, CA, "2 0 1 other", NULL, NULL, TLS_FAIL_DANE },
	{ "ta is not the leaf's key", RIGHT, ALONE, "2 1 0 other", NULL, NULL, TLS_FAIL_DANE },
	/* An anchor in the middle of the chain, and one at its end. */
	{ "ta in the middle", BY_MIDDLE, MIDDLE, "2 0 1 middle", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta in the middle, the end sent too", BY_MIDDLE, BOTH, "2 1 1 middle", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta at the end", BY_MIDDLE, BOTH, "2 0 1 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta at the end not sent", BY_MIDDLE, MIDDLE, "2 0 1 ca", NULL, NULL, TLS_FAIL_DANE },
	{ "ta at the end, whole, not sent", BY_MIDDLE, MIDDLE, "2 0 0 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta at the end, a whole key, not sent", BY_MIDDLE, MIDDLE, "2 1 0 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta at the end, the middle left out", BY_MIDDLE, CA, "2 0 1 ca", NULL, NULL, TLS_FAIL_DANE },
	{ "ta in the middle, nothing sent", BY_MIDDLE, ALONE, "2 0 1 middle", NULL, NULL, TLS_FAIL_DANE },
	/* 3.2.2: names and dates count. */
	{ "ta other name", OTHER_NAME, CA, "2 0 1 ca", NULL, NULL, TLS_FAIL_NAME },
	{ "ta expired", EXPIRED, CA, "2 0 1 ca", NULL, NULL, TLS_FAIL_EXPIRED },
	{ "ta too early", TOO_EARLY, CA, "2 0 1 ca", NULL, NULL, TLS_FAIL_EXPIRED },
	{ "ta no name", NO_NAMES, CA, "2 0 1 ca", NULL, NULL, TLS_FAIL_NAME },
	{ "ta domain's name", DOMAIN_NAME, CA, "2 0 1 ca", "example.org", "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta domain's name unasked", DOMAIN_NAME, CA, "2 0 1 ca", NULL, NULL, TLS_FAIL_NAME },
	{ "ta right name beside", RIGHT, CA, "2 0 1 ca", "example.org", "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta key 256 other name", OTHER_NAME, CA, "2 1 1 ca", "example.org", NULL, TLS_FAIL_NAME },
	{ "ta full not sent, other name", OTHER_NAME, ALONE, "2 0 0 ca", NULL, NULL, TLS_FAIL_NAME },
	{ "ta whole key not sent, other name", OTHER_NAME, ALONE, "2 1 0 ca", NULL, NULL, TLS_FAIL_NAME },
	/* An anchor that matches does not make good for another record's mismatch of the name, nor the reverse. */
	{ "ee wrong, ta other name", OTHER_NAME, CA, "3 1 1 other, 2 0 1 ca", NULL, NULL, TLS_FAIL_NAME },
	{ "ee right, ta other name", OTHER_NAME, CA, "2 0 1 ca, 3 1 1 leaf", NULL, "DANE-EE(3)", TLS_FAIL_NONE },
	/* 3.2.3: the common name only where there is no dNSName; wildcards are one whole label. */
	{ "ta common name", COMMON_NAME, CA, "2 0 1 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta common name beside a name", COMMON_BESIDE, CA, "2 0 1 ca", NULL, NULL, TLS_FAIL_NAME },
	{ "ta wildcard", WILD, CA, "2 0 1 ca", NULL, "DANE-TA(2)", TLS_FAIL_NONE },
	{ "ta wildcard of a domain", WILD_DEEP, CA, "2 0 1 ca", NULL, NULL, TLS_FAIL_NAME },
	{ "ta part of a label", WILD_PART, CA, "2 0 1 ca", NULL, NULL, TLS_FAIL_NAME },
	/* 3.1.3, and none at all: not even begun. */
	{ "pkix", RIGHT, CA, "1 1 1 leaf, 0 0 1 ca", NULL, NULL, TLS_FAIL_DANE },
	{ "none", RIGHT, CA, "", NULL, NULL, TLS_FAIL_DANE },
};

struct set { struct buf chain, other; struct tls_server *server; };

static void set_make(struct place *p, const struct home_certificate *leaf, unsigned sends, struct set *out)
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

static void set_drop(struct place *p, struct set *s)
{
	tls_server_free(&s->server);
	buf_fini(&s->chain);
	buf_fini(&s->other);
	for (; p->home.n_keys > 0; p->home.n_keys--)
		EVP_PKEY_free(p->home.keys[p->home.n_keys - 1]);
}

static void set_records(struct place *p, const struct set *s, const char *words, struct records *out)
{
	records(out, words, buf_view(&s->chain), &p->home, buf_view(&s->other));
}

static const struct tls_wish dane_wish = { .prove = TLS_PROVE_DANE, .base = { "mx.example.org", 14 } };

/* Neither what is written now nor what is written then comes out at the other side. */
static void assert_nothing_leaves(struct tls *c, struct tls *s)
{
	char plain[64];
	size_t n = 1;
	assert_int_equal(tls_state(c), TLS_BROKEN);
	assert_int_equal(tls_write(c, STR("MAIL FROM:<secret@example.org>\r\n")), F_TLS);
	home_pump(c, s, 0);
	(void)!tls_read(s, plain, sizeof plain, &n);
	assert_int_equal(n, 0);
	assert_int_not_equal(tls_state(s), TLS_OPEN);
}

static void judge_row(struct place *p, const struct row *row)
{
	struct set set;
	static struct records r;
	struct str also = str_of(row->also);
	struct tls_facts facts;
	set_make(p, &leaves[row->leaf], row->sends, &set);
	set_records(p, &set, row->records, &r);
	struct tls_wish wish = dane_wish;
	wish.records = r.list;
	wish.n_records = r.n;
	wish.also = &also;
	wish.n_also = row->also != NULL;
	struct tls *s = tls_accept(set.server), *c = tls_connect_wish(p->nobody, &wish);
	home_pump(c, s, 0);
	if ((tls_state(c) == TLS_OPEN) != (row->by != NULL) || tls_failure(c) != row->failure)
		fail_msg("%s: %s, class %d, \"%s\"", row->what, tls_state(c) == TLS_OPEN ? "open" : "failed", (int)tls_failure(c), tls_error(c));
	tls_facts(c, &facts);
	if (row->by != NULL) {
		assert_true(facts.verified);
		assert_true(str_eq(facts.by, str_of(row->by)));
		assert_int_equal(facts.problem.n, 0);
		tls_facts(s, &facts);
		assert_true(str_eq(facts.sni, STR("mx.example.org"))); /* 8.1 */
	} else {
		assert_string_not_equal(tls_error(c), "");
		assert_false(facts.verified);
		assert_int_equal(facts.by.n, 0);
		assert_nothing_leaves(c, s);
	}
	tls_free(&s);
	tls_free(&c);
	set_drop(p, &set);
}

static void attack_36_records_are_held_to(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++)
		judge_row(*state, &rows[i]);
}

/* An anchor of ours for the server's CA is no substitute for a record. */
static void attack_36_anchors_play_no_part(void **state)
{
	struct place *p = *state;
	struct set set;
	static struct records r;
	set_make(p, &leaves[RIGHT], CA, &set);
	static const char *const wrong[] = { "3 1 1 other", "2 0 1 other" };
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct tls_wish wish = dane_wish;
		set_records(p, &set, wrong[i], &r);
		wish.records = r.list;
		wish.n_records = r.n;
		struct tls *s = tls_accept(set.server), *c = tls_connect_wish(p->trusting, &wish);
		home_pump(c, s, 0);
		assert_int_equal(tls_failure(c), TLS_FAIL_DANE);
		assert_nothing_leaves(c, s);
		tls_free(&s);
		tls_free(&c);
	}
	set_drop(p, &set);
}

/* Who has the certificate, as everybody may, but not its key. */
static void attack_36_the_key_must_sign(void **state)
{
	struct place *p = *state;
	struct set set;
	static struct records r;
	set_make(p, &leaves[RIGHT], CA, &set);
	set_records(p, &set, "3 1 1 leaf", &r);
	struct tls_wish wish = dane_wish;
	wish.records = r.list;
	wish.n_records = r.n;
	EVP_PKEY *key = p->home.keys[0];
	p->home.keys[0] = p->home.keys[1];
	p->home.keys[1] = key;
	struct tls *s = tls_accept(set.server), *c = tls_connect_wish(p->nobody, &wish);
	home_pump(c, s, 0);
	assert_int_equal(tls_failure(c), TLS_FAIL_HANDSHAKE);
	assert_nothing_leaves(c, s);
	tls_free(&s);
	tls_free(&c);
	set_drop(p, &set);
}

/* ---- names ---- */

static void bases_that_are_none(void **state)
{
	static const struct { const char *base; bool taken; } bases[] = {
		{ "mx.example.org", true }, { "MX.example.org", true }, { "mail_1.example.org", true }, { "mx.example.org.", true },
		{ "", false }, { "192.0.2.1", false }, { "a b.example", false }, { "a..example", false }, { ".", false }, { "2001:db8::1", false },
	};
	struct place *p = *state;
	struct set set;
	static struct records r;
	set_make(p, &leaves[OTHER_NAME], ALONE, &set);
	set_records(p, &set, "3 1 1 leaf", &r);
	for (size_t i = 0; i < COUNT(bases); i++) {
		struct tls_wish wish = { .prove = TLS_PROVE_DANE, .base = str_of(bases[i].base), .records = r.list, .n_records = r.n };
		struct tls *s = tls_accept(set.server), *c = tls_connect_wish(p->nobody, &wish);
		home_pump(c, s, 0);
		if ((tls_state(c) == TLS_OPEN) != bases[i].taken)
			fail_msg("%s: %s", bases[i].base, tls_error(c));
		assert_int_equal(tls_failure(c), bases[i].taken ? TLS_FAIL_NONE : TLS_FAIL_DANE);
		tls_free(&s);
		tls_free(&c);
	}
	set_drop(p, &set);
}

/* The wish decides, not what the client was made for. */
static void wishes_without_dane(void **state)
{
	struct place *p = *state;
	struct set set;
	struct tls_facts facts;
	set_make(p, &leaves[RIGHT], ALONE, &set);
	static const struct {
		bool trusting;
		enum tls_prove prove;
		const char *name;
		bool open;
		const char *by;
		enum tls_failure failure, unproven;
	} wishes[] = {
		{ true,  TLS_PROVE_NAME,    "mx.example.org", true,  "PKIX", TLS_FAIL_NONE, TLS_FAIL_NONE },
		{ true,  TLS_PROVE_NOTHING, "mx.example.org", true,  "PKIX", TLS_FAIL_NONE, TLS_FAIL_NONE },
		{ true,  TLS_PROVE_NOTHING, "mx.example.net", true,  "",     TLS_FAIL_NONE, TLS_FAIL_NAME },
		{ true,  TLS_PROVE_NAME,    "mx.example.net", false, "",     TLS_FAIL_NAME, TLS_FAIL_NONE },
		{ false, TLS_PROVE_NOTHING, "mx.example.org", true,  "",     TLS_FAIL_NONE, TLS_FAIL_NOT_TRUSTED },
		{ false, TLS_PROVE_NAME,    "mx.example.org", false, "",     TLS_FAIL_NOT_TRUSTED, TLS_FAIL_NONE },
		{ true,  TLS_PROVE_NOTHING, "mx_1.example.org", true, "",    TLS_FAIL_NONE, TLS_FAIL_NAME },
		{ true,  TLS_PROVE_NAME,    "mx_1.example.org", false, "",   TLS_FAIL_NAME, TLS_FAIL_NONE },
	};
	for (size_t i = 0; i < COUNT(wishes); i++) {
		struct tls_wish wish = { .name = str_of(wishes[i].name), .prove = wishes[i].prove };
		struct tls *s = tls_accept(set.server), *c = tls_connect_wish(wishes[i].trusting ? p->trusting : p->nobody, &wish);
		home_pump(c, s, 0);
		assert_int_equal(tls_state(c) == TLS_OPEN, wishes[i].open);
		tls_facts(c, &facts);
		assert_true(str_eq(facts.by, str_of(wishes[i].by)));
		assert_int_equal(facts.verified, wishes[i].by[0] != '\0');
		assert_int_equal(tls_failure(c), wishes[i].failure);
		assert_int_equal(facts.unproven, wishes[i].unproven);
		tls_free(&s);
		tls_free(&c);
	}
	set_drop(p, &set);
}

/* ---- records that hold something whole ---- */

static void what_parses(void **state)
{
	struct place *p = *state;
	struct set set;
	static struct made made;
	set_make(p, &leaves[RIGHT], ALONE, &set);
	for (unsigned selector = DANE_CERT; selector <= DANE_SPKI; selector++) {
		struct dane_record r = record_of(buf_view(&set.chain), DANE_EE, selector, DANE_FULL, &made), other = r;
		assert_true(tls_parses(&r));
		other.selector = selector == DANE_CERT ? DANE_SPKI : DANE_CERT;
		assert_false(tls_parses(&other));
		r.data.n--;
		assert_false(tls_parses(&r));
		r.data.n += 2;
		assert_false(tls_parses(&r));
		r.data.n = 0;
		assert_false(tls_parses(&r));
		/* OpenSSL says the same of what it is given. */
		struct tls_wish wish = dane_wish;
		wish.records = &other;
		wish.n_records = 1;
		struct tls *c = tls_connect_wish(p->nobody, &wish);
		assert_int_equal(tls_failure(c), TLS_FAIL_DANE);
		assert_int_equal(tls_output(c).n, 0);
		tls_free(&c);
	}
	set_drop(p, &set);
}

/* ---- an OpenSSL server, to be as old and odd as we need ---- */

static void raw_server(struct raw *r, struct place *p, struct set *set)
{
	X509 *x = read_pem(buf_view(&set->chain));
	raw_context(r, TLS_server_method(), "ALL");
	assert_int_equal(SSL_CTX_use_certificate(r->ctx, x), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(r->ctx, p->home.keys[1]), 1);
	X509_free(x);
	raw_session(r);
	SSL_set_accept_state(r->ssl);
}

static void attack_39_never_below_tls_1_2(void **state)
{
	static const struct { int version; const char *ciphers; bool open; } old[] = {
		{ TLS1_VERSION, "ALL", false }, { TLS1_1_VERSION, "ALL", false }, { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", false }, { TLS1_3_VERSION, "ALL", true },
	};
	struct place *p = *state;
	struct set set;
	static struct records r;
	set_make(p, &leaves[RIGHT], ALONE, &set);
	set_records(p, &set, "3 1 1 leaf", &r);
	for (size_t i = 0; i < COUNT(old); i++)
		for (unsigned shape = 0; shape < TLS_SHAPES; shape++) {
			struct raw raw;
			struct tls_wish wish = dane_wish;
			wish.records = r.list;
			wish.n_records = r.n;
			wish.shape = shape;
			raw_server(&raw, p, &set);
			SSL_set_max_proto_version(raw.ssl, old[i].version);
			assert_int_equal(SSL_set_cipher_list(raw.ssl, old[i].ciphers), 1);
			struct tls *c = tls_connect_wish(p->nobody, &wish);
			raw_pump(&raw, c);
			if ((tls_state(c) == TLS_OPEN) != old[i].open)
				fail_msg("row %zu, shape %u: %s", i, shape, tls_error(c));
			assert_int_equal(tls_failure(c), old[i].open ? TLS_FAIL_NONE : TLS_FAIL_HANDSHAKE);
			if (!old[i].open)
				assert_int_equal(tls_write(c, STR("MAIL")), F_TLS);
			tls_free(&c);
			raw_fini(&raw);
		}
	set_drop(p, &set);
}

/* Where nothing is to be proven, CBC is taken, which an old version could use as well: only the version itself keeps it out. */
static void attack_39_nor_where_nothing_is_proven(void **state)
{
	static const struct { int version; bool open; } old[] = {
		{ TLS1_VERSION, false }, { TLS1_1_VERSION, false }, { TLS1_2_VERSION, true },
	};
	struct place *p = *state;
	struct set set;
	set_make(p, &leaves[RIGHT], ALONE, &set);
	for (size_t i = 0; i < COUNT(old); i++) {
		struct raw raw;
		struct tls_wish wish = { .name = STR("mx.example.org") };
		raw_server(&raw, p, &set);
		SSL_set_max_proto_version(raw.ssl, old[i].version);
		assert_int_equal(SSL_set_cipher_list(raw.ssl, "ECDHE-ECDSA-AES128-SHA"), 1);
		struct tls *c = tls_connect_wish(p->nobody, &wish);
		raw_pump(&raw, c);
		if ((tls_state(c) == TLS_OPEN) != old[i].open)
			fail_msg("row %zu: %s", i, tls_error(c));
		tls_free(&c);
		raw_fini(&raw);
	}
	set_drop(p, &set);
}

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
		cmocka_unit_test(attack_36_records_are_held_to),
		cmocka_unit_test(attack_36_anchors_play_no_part),
		cmocka_unit_test(attack_36_the_key_must_sign),
		cmocka_unit_test(bases_that_are_none),
		cmocka_unit_test(wishes_without_dane),
		cmocka_unit_test(what_parses),
		cmocka_unit_test(attack_39_never_below_tls_1_2),
		cmocka_unit_test(attack_39_nor_where_nothing_is_proven),
		cmocka_unit_test(shapes_have_less_and_less),
		cmocka_unit_test(steps_down_in_shape_not_in_proof),
		cmocka_unit_test(chains_are_shown_also_when_refused),
		cmocka_unit_test(chains_are_bounded),
	};
	return cmocka_run_group_tests(tests, place_setup, place_teardown);
}
