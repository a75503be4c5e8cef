/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "dns/decode.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(DNS_ANSWER_ARENA);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static struct dns_answer decode(enum dns_kind kind, struct dns_raw raw)
{
	struct dns_answer answer;
	dns_answer_decode(kind, &raw, arena, &answer);
	return answer;
}

static struct dns_answer decode_one(enum dns_kind kind, struct str rdata)
{
	return decode(kind, (struct dns_raw){ .rdata = &rdata, .n = 1 });
}

static void expect_one(enum dns_kind kind, struct str rdata, struct str text)
{
	struct dns_answer answer = decode_one(kind, rdata);
	assert_int_equal(answer.result, DNS_FOUND);
	assert_int_equal(answer.n_records, 1);
	assert_int_equal(answer.records[0].text.n, text.n);
	assert_true(str_eq(answer.records[0].text, text));
}

/* Records were there, so "there are none" would be a lie. */
static void expect_unusable(enum dns_kind kind, struct str rdata)
{
	struct dns_answer answer = decode_one(kind, rdata);
	assert_int_equal(answer.result, DNS_FAILED);
	assert_int_equal(answer.n_records, 0);
	assert_true(answer.text.n > 0);
}

static void questions(void **state)
{
	(void)state;
	const struct { enum dns_kind kind; struct str in; const char *out; } cases[] = {
		{ DNS_MX, STR("Example.ORG"), "example.org." },
		{ DNS_A, STR("a.example.org."), "a.example.org." },
		{ DNS_TLSA, STR("_25._tcp.mx.example.org"), "_25._tcp.mx.example.org." },
		{ DNS_TXT, STR("."), "." },
		{ DNS_CNAME, STR("mx.Example.org"), "mx.example.org." },
		{ DNS_PTR, STR("192.0.2.17"), "17.2.0.192.in-addr.arpa." },
		{ DNS_PTR, STR("2001:db8::1a"),
		  "a.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa." },
		{ DNS_MX, STR(""), NULL },
		{ DNS_MX, STR("a..b"), NULL },
		{ DNS_MX, STR(".a"), NULL },
		{ DNS_MX, STR("a b"), NULL },
		{ DNS_MX, STR("a\0b"), NULL },
		{ DNS_MX, STR("a\r\nb"), NULL },
		{ DNS_MX, STR("\xc3\xa4.example"), NULL },
		{ DNS_PTR, STR("example.org"), NULL },
		{ DNS_PTR, STR(""), NULL },
		{ DNS_PTR, STR("192.0.2.1\0"), NULL },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out;
		buf_init(&out, DNS_NAME_MAX + 1);
		fault f = dns_question_put(&out, cases[i].kind, cases[i].in);
		assert_int_equal(f, cases[i].out == NULL ? F_SYNTAX : OK);
		if (f == OK)
			assert_true(str_eq(buf_view(&out), str_of(cases[i].out)));
		buf_fini(&out);
	}
}

/* Labels of 63 bytes, and names of 253: just under and just over. */
static void question_limits(void **state)
{
	(void)state;
	char name[300];
	struct buf out;
	memset(name, 'a', sizeof name);
	buf_init(&out, DNS_NAME_MAX + 1);
	assert_int_equal(dns_question_put(&out, DNS_A, (struct str){ name, 63 }), OK);
	buf_clear(&out);
	assert_int_equal(dns_question_put(&out, DNS_A, (struct str){ name, 64 }), F_SYNTAX);
	buf_clear(&out);
	for (size_t i = 1; i < sizeof name; i += 2)
		name[i] = '.';
	assert_int_equal(dns_question_put(&out, DNS_A, (struct str){ name, 253 }), OK);
	assert_int_equal(buf_view(&out).n, 254);
	buf_clear(&out);
	assert_int_equal(dns_question_put(&out, DNS_A, (struct str){ name, 255 }), F_SYNTAX);
	buf_fini(&out);
}

static void addresses(void **state)
{
	(void)state;
	expect_one(DNS_A, STR("\xc0\x00\x02\x01"), STR("192.0.2.1"));
	expect_unusable(DNS_A, STR("\xc0\x00\x02"));
	expect_unusable(DNS_A, STR("\xc0\x00\x02\x01\x01"));
	expect_unusable(DNS_A, STR_NONE);
	expect_one(DNS_AAAA, STR("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"), STR("2001:db8::1"));
	expect_unusable(DNS_AAAA, STR("\x20\x01\x0d\xb8"));
}

static void exchangers(void **state)
{
	(void)state;
	expect_one(DNS_MX, STR("\0\x0a\3mX1\7example\3org\0"), STR("mx1.example.org"));
	expect_one(DNS_MX, STR("\0\0\0"), STR(""));                 /* the null MX */
	expect_unusable(DNS_MX, STR("\0\x0a"));
	expect_unusable(DNS_MX, STR("\0\x0a\3mx1\7example\3org"));  /* no end */
	expect_unusable(DNS_MX, STR("\0\x0a\3mx1\0x"));             /* more after the end */
	expect_unusable(DNS_MX, STR("\0\x0a\xc0\x0c"));             /* a pointer */
	expect_unusable(DNS_MX, STR("\0\x0a\x09mx1"));              /* a label past the end */
	expect_unusable(DNS_MX, STR("\0\x0a\7mx1.org\0"));          /* a dot inside a label */
	expect_unusable(DNS_MX, STR("\0\x0a\3m\0x\0"));
	expect_unusable(DNS_MX, STR("\0\x0a\4m\r\nx\0"));
	expect_unusable(DNS_MX, STR("\0\x0a\3m\x7fx\0"));
	expect_unusable(DNS_MX, STR("\0\x0a\3m x\0"));
}

static void exchangers_come_by_preference(void **state)
{
	(void)state;
	struct str rdata[] = { STR("\0\x14\1b\0"), STR("\0\x1e\3a.b\0"), STR("\0\x0a\1a\0"), STR("\xff\xff\1z\0") };
	struct dns_answer answer = decode(DNS_MX, (struct dns_raw){ .rdata = rdata, .n = COUNT(rdata), .secure = true });
	assert_int_equal(answer.result, DNS_FOUND);
	assert_true(answer.secure);
	assert_int_equal(answer.n_records, 3);
	assert_int_equal(answer.records[0].number, 10);
	assert_true(str_eq(answer.records[0].text, STR("a")));
	assert_int_equal(answer.records[1].number, 20);
	assert_int_equal(answer.records[2].number, 65535);
}

static void records_limit(void **state)
{
	(void)state;
	char bytes[DNS_RECORDS_MAX + 1][5];
	struct str rdata[DNS_RECORDS_MAX + 1];
	for (size_t i = 0; i < COUNT(rdata); i++) { /* the last has the best preference */
		memcpy(bytes[i], "\0\0\1a", 5);
		bytes[i][1] = (char)(DNS_RECORDS_MAX - i);
		rdata[i] = (struct str){ bytes[i], 5 };
	}
	struct dns_answer answer = decode(DNS_MX, (struct dns_raw){ .rdata = rdata, .n = DNS_RECORDS_MAX });
	assert_int_equal(answer.n_records, DNS_RECORDS_MAX);
	answer = decode(DNS_MX, (struct dns_raw){ .rdata = rdata, .n = DNS_RECORDS_MAX + 1 });
	assert_int_equal(answer.n_records, DNS_RECORDS_MAX);
	assert_int_equal(answer.records[0].number, 0);
	assert_int_equal(answer.records[DNS_RECORDS_MAX - 1].number, DNS_RECORDS_MAX - 1);
}

static void pointers_texts_and_tlsa(void **state)
{
	(void)state;
	expect_one(DNS_PTR, STR("\4mail\7Example\0"), STR("mail.example"));
	expect_unusable(DNS_PTR, STR("\0"));
	expect_unusable(DNS_PTR, STR("\4ma\r\n\0"));
	expect_one(DNS_CNAME, STR("\4mail\7Example\0"), STR("mail.example"));
	expect_unusable(DNS_CNAME, STR("\0"));
	expect_one(DNS_TXT, STR("\5v=abc\3def"), STR("v=abcdef"));
	expect_one(DNS_TXT, STR("\0"), STR(""));
	expect_unusable(DNS_TXT, STR("\5v=ab"));
	expect_unusable(DNS_TXT, STR_NONE);
	expect_one(DNS_TLSA, STR("\3\1\1\xaa\xbb"), STR("\3\1\1\xaa\xbb"));
	expect_one(DNS_TLSA, STR("\3"), STR("\3")); /* malformed, but published */
	expect_one(DNS_TLSA, STR(""), STR(""));
}

static void aliases(void **state)
{
	(void)state;
	expect_one(DNS_CNAME, STR("\3MX1\7example\3org\0"), STR("mx1.example.org"));
	expect_unusable(DNS_CNAME, STR("\0"));
	expect_unusable(DNS_CNAME, STR("\7mx1.org\0"));
	expect_unusable(DNS_CNAME, STR("\xc0\x0c"));
	assert_int_equal(dns_kind_number(DNS_CNAME), 5);
}

/* One that is too large still says that there is one. */
static void tlsa_limit(void **state)
{
	(void)state;
	static char rdata[DNS_TLSA_BYTES_MAX + 1] = "\3\1";
	expect_one(DNS_TLSA, (struct str){ rdata, DNS_TLSA_BYTES_MAX }, (struct str){ rdata, DNS_TLSA_BYTES_MAX });
	expect_one(DNS_TLSA, (struct str){ rdata, DNS_TLSA_BYTES_MAX + 1 }, STR("\3\1\0"));
	struct str all[DNS_RECORDS_MAX];
	for (size_t i = 0; i < COUNT(all); i++)
		all[i] = (struct str){ rdata, DNS_TLSA_BYTES_MAX };
	assert_int_equal(decode(DNS_TLSA, (struct dns_raw){ .rdata = all, .n = COUNT(all) }).n_records, DNS_RECORDS_MAX);
}

/* A TXT record of the largest size there is. */
static void text_of_64k(void **state)
{
	(void)state;
	static char rdata[65535];
	for (size_t i = 0; i < sizeof rdata; i += 256) {
		memset(rdata + i, 'x', 256 < sizeof rdata - i ? 256 : sizeof rdata - i);
		rdata[i] = (char)(i + 256 <= sizeof rdata ? 255 : sizeof rdata - i - 1);
	}
	struct dns_answer answer = decode_one(DNS_TXT, (struct str){ rdata, sizeof rdata });
	assert_int_equal(answer.result, DNS_FOUND);
	assert_int_equal(answer.records[0].text.n, 65535 - 256);
}

static void verdicts(void **state)
{
	(void)state;
	struct str rdata = STR("\xc0\x00\x02\x01");
	struct dns_answer answer = decode(DNS_A, (struct dns_raw){ .secure = true });
	assert_int_equal(answer.result, DNS_NODATA);
	assert_true(answer.secure);
	answer = decode(DNS_A, (struct dns_raw){ .rcode = 3, .nxdomain = true });
	assert_int_equal(answer.result, DNS_NXDOMAIN);
	assert_false(answer.secure);
	answer = decode(DNS_A, (struct dns_raw){ .rcode = 2 });
	assert_int_equal(answer.result, DNS_FAILED);
	assert_true(str_eq(answer.text, STR("no usable answer came from the name servers (SERVFAIL)")));
	/* Cut, and nothing of it there: not the same as none. */
	answer = decode(DNS_MX, (struct dns_raw){ .cut = true });
	assert_int_equal(answer.result, DNS_FAILED);
	assert_true(str_eq(answer.text, STR("the answer does not fit into a message of the DNS")));
	answer = decode(DNS_A, (struct dns_raw){ .rdata = &rdata, .n = 1, .cut = true });
	assert_int_equal(answer.result, DNS_FOUND);
	answer = decode(DNS_A, (struct dns_raw){ .rcode = 23 });
	assert_int_equal(answer.result, DNS_FAILED);
	/* Bogus beats all, is never secure and brings no record. */
	answer = decode(DNS_A, (struct dns_raw){ .rdata = &rdata, .n = 1, .bogus = true, .secure = true, .rcode = 2,
	                                         .why = STR("signature\r\nexpired") });
	assert_int_equal(answer.result, DNS_BOGUS);
	assert_false(answer.secure);
	assert_int_equal(answer.n_records, 0);
	assert_true(str_eq(answer.text, STR("signature??expired")));
}

/* As libunbound 1.17 and 1.22 say it, asked by way of servers that drop, refuse, empty or strip; without "from" nobody has answered. */
static void want_of_an_answer_is_no_forgery(void **state)
{
	(void)state;
#define OF "validation failure <a.x.test. A IN>: "
#define BUILDING " while building chain of trust"
#define PREVIOUS "key for validation x.test. is marked as invalid because of a previous "
#define REFUSED "[all the configured stub or forward servers failed, at zone . from 127.0.0.1 got REFUSED]"
	static const struct { const char *why; enum dns_result result; } rows[] = {
		{ OF "No DNSKEY record for key x.test." BUILDING, DNS_FAILED },
		{ OF "SERVFAIL no DS for DS x.test." BUILDING, DNS_FAILED },
		{ OF "no DNSKEY rrset for trust anchor test." BUILDING, DNS_FAILED },
		{ OF PREVIOUS OF "No DNSKEY record for key x.test." BUILDING, DNS_FAILED },
		{ OF PREVIOUS OF "No DNSKEY record from 127.0.0.1 for key x.test." BUILDING, DNS_BOGUS },
		{ OF "No DNSKEY record from 127.0.0.1 for key x.test." BUILDING, DNS_BOGUS },
		{ OF "no DNSKEY rrset from 127.0.0.1 for trust anchor test." BUILDING, DNS_BOGUS },
		{ OF "no signatures from 127.0.0.1 for trust anchor test." BUILDING, DNS_BOGUS },
		{ OF "no signatures from 127.0.0.1", DNS_BOGUS },
		{ OF "ECDSA signature verification failed from 127.0.0.1", DNS_BOGUS },
		{ OF "no DNSSEC records from 127.0.0.1 for DS x.test." BUILDING, DNS_BOGUS },
		{ OF "signature expired from 127.0.0.1", DNS_BOGUS },
		{ OF "No DNSKEY record " REFUSED " for key x.test." BUILDING, DNS_FAILED },
		{ OF "No DNSKEY record [twice " REFUSED "] for key x.test." BUILDING, DNS_FAILED },
		{ OF PREVIOUS "No DNSKEY record " REFUSED, DNS_FAILED },
		{ OF "no DNSKEY rrset " REFUSED " for trust anchor test." BUILDING, DNS_FAILED },
		{ OF PREVIOUS "no DNSKEY rrset " REFUSED, DNS_FAILED },
		{ OF "SERVFAIL " REFUSED " no DS for DS x.test." BUILDING, DNS_FAILED },
		{ OF PREVIOUS "no DS", DNS_FAILED },
		{ OF "No DNSKEY record [misc failure] from 127.0.0.1 for key x.test." BUILDING, DNS_BOGUS },
		{ OF "No DNSKEY record [misc failure for key x.test." BUILDING, DNS_BOGUS },
		{ OF "No DNSKEY record]] for key x.test." BUILDING, DNS_BOGUS },
		{ OF PREVIOUS "No DNSKEY record [misc failure]", DNS_BOGUS },
		{ OF PREVIOUS "No DNSKEY record", DNS_BOGUS },
		{ OF PREVIOUS "no DNSKEY rrset [misc failure]", DNS_BOGUS },
		{ OF PREVIOUS "no DNSSEC records", DNS_BOGUS },
		{ OF PREVIOUS "no signatures", DNS_BOGUS },
		{ OF PREVIOUS "signature crypto failed", DNS_BOGUS },
		{ "", DNS_BOGUS },
	};
	struct str rdata = STR("\x7f\0\0\1");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dns_answer answer = decode(DNS_A, (struct dns_raw){ .rdata = &rdata, .n = 1, .bogus = true,
		                                                           .why = str_of(rows[i].why) });
		if (answer.result != rows[i].result || answer.secure || answer.n_records > 0 || answer.text.n == 0)
			fail_msg("%s", rows[i].why);
	}
}

static void long_reason_is_cut(void **state)
{
	(void)state;
	char why[DNS_TEXT_MAX + 1];
	memset(why, 'x', sizeof why);
	struct dns_answer answer = decode(DNS_A, (struct dns_raw){ .bogus = true, .why = { why, DNS_TEXT_MAX } });
	assert_int_equal(answer.text.n, DNS_TEXT_MAX);
	answer = decode(DNS_A, (struct dns_raw){ .bogus = true, .why = { why, DNS_TEXT_MAX + 1 } });
	assert_int_equal(answer.text.n, DNS_TEXT_MAX);
}

static void times_to_live(void **state)
{
	(void)state;
	assert_int_equal(decode(DNS_A, (struct dns_raw){ .ttl_s = -1 }).ttl_s, 0);
	assert_int_equal(decode(DNS_A, (struct dns_raw){ .ttl_s = DNS_TTL_MAX_S - 1 }).ttl_s, DNS_TTL_MAX_S - 1);
	assert_int_equal(decode(DNS_A, (struct dns_raw){ .ttl_s = DNS_TTL_MAX_S + 1 }).ttl_s, DNS_TTL_MAX_S);
}

static void canonical_names(void **state)
{
	(void)state;
	struct str rdata = STR("\xc0\x00\x02\x01");
	struct dns_raw raw = { .rdata = &rdata, .n = 1, .canonical = STR("Real.Example.") };
	struct dns_answer answer = decode(DNS_A, raw);
	assert_int_equal(answer.result, DNS_FOUND);
	assert_true(str_eq(answer.canonical, STR("real.example")));
	raw.canonical = STR("re?al.example");
	assert_int_equal(decode(DNS_A, raw).result, DNS_FAILED);
	struct str ptr = STR("\4mail\0");
	raw = (struct dns_raw){ .rdata = &ptr, .n = 1, .canonical = STR("1.0?25.2.0.192.in-addr.arpa") };
	answer = decode(DNS_PTR, raw);
	assert_int_equal(answer.result, DNS_FOUND);
	assert_int_equal(answer.canonical.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions),
		cmocka_unit_test(question_limits),
		cmocka_unit_test(addresses),
		cmocka_unit_test(exchangers),
		cmocka_unit_test(exchangers_come_by_preference),
		cmocka_unit_test(records_limit),
		cmocka_unit_test(pointers_texts_and_tlsa),
		cmocka_unit_test(aliases),
		cmocka_unit_test(tlsa_limit),
		cmocka_unit_test(text_of_64k),
		cmocka_unit_test(verdicts),
		cmocka_unit_test(want_of_an_answer_is_no_forgery),
		cmocka_unit_test(long_reason_is_cut),
		cmocka_unit_test(times_to_live),
		cmocka_unit_test(canonical_names),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
