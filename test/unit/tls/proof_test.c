/* SPDX-License-Identifier: ISC */
/* Real handshakes with servers that prove themselves by TLSA records, or fail to. RFC 7672 3, in its order. */
#include "unit.h"

#include "proven.h"

#include <openssl/ssl.h>
#include <stdlib.h>

/* ---- one handshake ---- */

struct row {
	const char *what;
	enum leaf leaf;
	enum sends sends;
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

/* ---- an old server ---- */

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
	};
	return cmocka_run_group_tests(tests, proven_setup, proven_teardown);
}
