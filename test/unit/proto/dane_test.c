/* SPDX-License-Identifier: ISC */
/* The tables stand in the order of RFC 7672, to be held beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "proto/dane/dane.h"

/* ---- RFC 7672 2.2.2, 2.2.3: the candidates for the TLSA base domain ---- */

/* An answer in words: "-" not there, "!" failed, else "secure" or "insecure", then the canonical name after "=". */
static struct dane_lookup lookup(const char *words)
{
	struct str text = str_of(words);
	struct dane_lookup l = { .result = DANE_FOUND };
	if (str_take_char(&text, '!'))
		l.result = DANE_FAILED;
	else if (str_take_char(&text, '-'))
		l.result = DANE_ABSENT;
	l.secure = str_take(&text, STR("secure"));
	if (!l.secure)
		(void)str_take(&text, STR("insecure"));
	if (str_take_char(&text, '='))
		l.canonical = text;
	return l;
}

struct bases_row {
	const char *a, *aaaa, *alias;   /* alias NULL: not asked for */
	enum dane_ask ask;
	const char *names;              /* of DANE_ASK_TLSA */
};

static const struct bases_row bases_rows[] = {
	/* "Not found": unreachable, and nothing to ask. */
	{ "-",              "-",              NULL, DANE_ASK_NOTHING, "" },
	{ "-secure",        "-secure",        NULL, DANE_ASK_NOTHING, "" },
	{ "!",              "!",              NULL, DANE_ASK_NOTHING, "" },
	{ "!",              "-secure",        NULL, DANE_ASK_NOTHING, "" },
	/* "Non-CNAME" */
	{ "secure",         "secure",         NULL, DANE_ASK_TLSA,    "mx.a.example" },
	{ "secure",         "-secure",        NULL, DANE_ASK_TLSA,    "mx.a.example" },
	{ "-secure",        "secure",         NULL, DANE_ASK_TLSA,    "mx.a.example" },
	{ "secure",         "!",              NULL, DANE_ASK_TLSA,    "mx.a.example" },
	{ "insecure",       "insecure",       NULL, DANE_ASK_NOTHING, "" },
	{ "insecure",       "-",              NULL, DANE_ASK_NOTHING, "" },
	{ "insecure",       "!",              NULL, DANE_ASK_NOTHING, "" },
	/* No answer can take away what a signed one has shown. */
	{ "insecure",       "secure",         NULL, DANE_ASK_TLSA,    "mx.a.example" },
	{ "insecure=x",     "secure",         NULL, DANE_ASK_TLSA,    "mx.a.example" },
	/* The name itself in capitals is no alias. */
	{ "secure=MX.A.Example", "-",         NULL, DANE_ASK_TLSA,    "mx.a.example" },
	{ "insecure=MX.A.Example", "-",       NULL, DANE_ASK_NOTHING, "" },
	/* "Secure CNAME": the expanded name first, then the one that we had. */
	{ "secure=m.b.example", "secure=m.b.example", NULL, DANE_ASK_TLSA, "m.b.example mx.a.example" },
	{ "secure=m.b.example", "-secure",    NULL, DANE_ASK_TLSA,    "m.b.example mx.a.example" },
	{ "!",          "secure=m.b.example", NULL, DANE_ASK_TLSA,    "m.b.example mx.a.example" },
	/* "Insecure CNAME": only the zone of the first alias matters, which a question of its own tells. */
	{ "insecure=m.b.example", "-",        NULL, DANE_ASK_CNAME,   "" },
	{ "-", "insecure=m.b.example",        NULL, DANE_ASK_CNAME,   "" },
	{ "insecure=m.b.example", "insecure=m.b.example", "secure", DANE_ASK_TLSA, "mx.a.example" },
	{ "insecure=m.b.example", "-",        "insecure", DANE_ASK_NOTHING, "" },
	/* The alias has just gone; the zone it was in is signed. */
	{ "insecure=m.b.example", "-",        "-secure", DANE_ASK_TLSA, "mx.a.example" },
	{ "insecure=m.b.example", "-",        "-",  DANE_ASK_NOTHING, "" },
	/* 2.1.2: what cannot be found out makes the host unreachable. */
	{ "insecure=m.b.example", "-",        "!",  DANE_ASK_FAILED,  "" },
};

static void where_the_records_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bases_rows); i++) {
		const struct bases_row *row = &bases_rows[i];
		struct dane_host host = { .name = STR("mx.a.example"), .a = lookup(row->a), .aaaa = lookup(row->aaaa) };
		struct dane_bases bases;
		char names[600] = "";
		if (row->alias != NULL) {
			host.alias_asked = true;
			host.alias = lookup(row->alias);
		}
		dane_find_bases(&host, &bases);
		for (size_t k = 0; k < bases.n; k++)
			(void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s%.*s", k > 0 ? " " : "",
			               STR_ARG(bases.names[k]));
		if (bases.ask != row->ask || strcmp(names, row->names) != 0 || bases.why[0] == '\0')
			fail_msg("a %s, aaaa %s, alias %s: %d \"%s\" (%s)", row->a, row->aaaa, row->alias != NULL ? row->alias : "unasked",
			         (int)bases.ask, names, bases.why);
	}
}

static void the_question(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 30);
	assert_int_equal(dane_question_put(&out, 25, STR("mx.a.example")), OK);
	assert_true(str_eq(buf_view(&out), STR("_25._tcp.mx.a.example")));
	buf_clear(&out);
	assert_int_equal(dane_question_put(&out, 65535, STR("a23456789012345678")), OK);
	buf_clear(&out);
	assert_int_equal(dane_question_put(&out, 65535, STR("a234567890123456789")), F_LIMIT);
	assert_int_equal(buf_view(&out).n, 0);
	buf_fini(&out);
}

/* ---- RFC 6698 2.1, RFC 7672 3.1, RFC 7671 9: which records are usable ---- */

/* Rdata in words: usage, selector, matching type and how many bytes of data; 'D' is DER of that size. */
struct rdata { unsigned char bytes[3 + DANE_FULL_BYTES_MAX + 1]; struct str s; };

static struct str rdata(struct rdata *to, const char *words)
{
	unsigned usage, selector, matching;
	size_t n;
	char kind = 'x';
	int got = sscanf(words, "%u %u %u %zu%c", &usage, &selector, &matching, &n, &kind);
	check(got >= 4 && n <= sizeof to->bytes - 3);
	to->bytes[0] = (unsigned char)usage;
	to->bytes[1] = (unsigned char)selector;
	to->bytes[2] = (unsigned char)matching;
	memset(to->bytes + 3, 'x', n);
	if (kind == 'D') {
		unsigned char *p = to->bytes + 3;
		p[0] = 0x30;
		if (n < 130) {
			p[1] = (unsigned char)(n - 2);
		} else if (n < 259) {
			p[1] = 0x81;
			p[2] = (unsigned char)(n - 3);
		} else {
			p[1] = 0x82;
			p[2] = (unsigned char)((n - 4) >> 8);
			p[3] = (unsigned char)(n - 4);
		}
	}
	return to->s = (struct str){ (const char *)to->bytes, n + 3 };
}

static const struct { const char *words; bool usable; } usable_rows[] = {
	/* RFC 7672 3.1.1, 3.1.2 */
	{ "3 1 1 32", true }, { "3 0 1 32", true }, { "3 1 2 64", true }, { "3 0 2 64", true },
	{ "2 0 1 32", true }, { "2 1 1 32", true }, { "2 0 2 64", true }, { "2 1 2 64", true },
	{ "3 0 0 500D", true }, { "3 1 0 91D", true }, { "2 0 0 500D", true }, { "2 1 0 91D", true },
	/* 3.1.3 */
	{ "0 0 1 32", false }, { "1 1 1 32", false }, { "0 0 0 500D", false },
	/* Numbers that nobody has given a meaning. */
	{ "4 1 1 32", false }, { "255 1 1 32", false }, { "3 2 1 32", false }, { "3 255 1 32", false },
	{ "3 1 3 32", false }, { "3 1 3 64", false }, { "3 1 255 32", false },
	/* RFC 7671 9: "incorrect digest length" */
	{ "3 1 1 0", false }, { "3 1 1 31", false }, { "3 1 1 33", false }, { "3 1 1 64", false },
	{ "3 1 2 0", false }, { "3 1 2 63", false }, { "3 1 2 65", false }, { "3 1 2 32", false },
	/* Full(0): one whole piece of DER, of a size that is worth a look. */
	{ "3 0 0 0", false }, { "3 0 0 1", false }, { "3 0 0 500", false }, { "3 1 0 32", false },
	{ "3 1 0 2D", true }, { "3 1 0 129D", true }, { "3 1 0 131D", true }, { "3 1 0 258D", true }, { "3 1 0 260D", true },
	{ "3 0 0 4095D", true }, { "3 0 0 4096D", true }, { "3 0 0 4097D", false },
};

static void which_records_are_usable(void **state)
{
	(void)state;
	assert_int_equal(DANE_FULL_BYTES_MAX, 4096);
	struct rdata one;
	struct dane_record r;
	for (size_t i = 0; i < COUNT(usable_rows); i++) {
		const char *problem = dane_decode(rdata(&one, usable_rows[i].words), &r);
		if ((problem == NULL) != usable_rows[i].usable)
			fail_msg("%s: %s", usable_rows[i].words, problem != NULL ? problem : "usable");
	}
	for (size_t n = 0; n < 3; n++)
		assert_non_null(dane_decode(str_sub(rdata(&one, "3 1 1 32"), 0, n), &r));
}

static void der_ends_where_it_says(void **state)
{
	(void)state;
	static const struct { struct str data; bool whole; } rows[] = {
		{ STR_INIT("\3\0\0\x30\x02xx"), true },
		{ STR_INIT("\3\0\0\x30\x02x"), false },
		{ STR_INIT("\3\0\0\x30\x02xxx"), false },
		{ STR_INIT("\3\0\0\x30"), false },
		{ STR_INIT("\3\0\0\x31\x02xx"), false },
		{ STR_INIT("\3\0\0\x30\x80xx"), false },           /* no length */
		{ STR_INIT("\3\0\0\x30\x81\x02xx"), false },       /* too long a length */
		{ STR_INIT("\3\0\0\x30\x82\x00\x02xx"), false },
		{ STR_INIT("\3\0\0\x30\x84\0\0\0\2xx"), false },
		{ STR_INIT("\3\0\0\x30\x82"), false },
	};
	struct dane_record r;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(dane_decode(rows[i].data, &r) == NULL, rows[i].whole);
	char padded[7 + 128] = "\3\0\0\x30\x82\x00\x80"; /* a length with a zero before it */
	assert_non_null(dane_decode((struct str){ padded, sizeof padded }, &r));
}

static void records_in_words(void **state)
{
	(void)state;
	struct buf out;
	struct dane_record r = { 3, 1, 1, STR("\x8c\xb0") };
	static char large[65];
	buf_init(&out, 200);
	assert_int_equal(dane_record_put(&out, &r), OK);
	assert_true(str_eq(buf_view(&out), STR("3 1 1 8cb0")));
	r.data = (struct str){ large, 64 };
	buf_clear(&out);
	assert_int_equal(dane_record_put(&out, &r), OK);
	assert_int_equal(buf_view(&out).n, 6 + 128);
	r.data = (struct str){ large, 65 };
	buf_clear(&out);
	assert_int_equal(dane_record_put(&out, &r), OK);
	assert_true(str_ends_nocase(buf_view(&out), STR("00... (65 bytes)")));
	buf_fini(&out);
	buf_init(&out, 9);
	assert_int_equal(dane_record_put(&out, &(struct dane_record){ 3, 1, 1, STR("\x8c\xb0") }), F_LIMIT);
	assert_int_equal(buf_view(&out).n, 0);
	buf_fini(&out);
	assert_string_equal(dane_usage_name(DANE_EE), "DANE-EE(3)");
	assert_string_equal(dane_usage_name(DANE_TA), "DANE-TA(2)");
	assert_string_equal(dane_usage_name(4), "unknown");
}

/* ---- RFC 7672 2.2: what the answers come to ---- */

/* Answers, one a base: "-", "!", or "secure" or "insecure" with records after ":" and commas between them. The outcome: verdict, base,
 * and the records that are to be tried, in order. */
struct judge_row { const char *first, *second, *outcome; };

static const struct judge_row judge_rows[] = {
	/* "A secure TLSA RRset with at least one usable record" */
	{ "secure:3 1 1 32",                NULL, "usable 0: 3 1 1" },
	{ "secure:2 0 1 32",                NULL, "usable 0: 2 0 1" },
	{ "secure:0 0 1 32,3 1 1 32",       NULL, "usable 0: 3 1 1" },
	{ "secure:3 1 1 31,2 0 1 32",       NULL, "usable 0: 2 0 1" },
	{ "secure:2 0 1 32,3 1 1 32",       NULL, "usable 0: 3 1 1, 2 0 1" },
	{ "secure:2 1 1 32,3 0 1 32,2 0 1 32,3 1 1 32", NULL, "usable 0: 3 0 1, 3 1 1, 2 1 1, 2 0 1" },
	/* Rolled keys (RFC 7672 4): all of a kind are tried. */
	{ "secure:3 1 1 32,3 1 1 32",       NULL, "usable 0: 3 1 1, 3 1 1" },
	/* "A secure non-empty TLSA RRset where all the records are unusable" */
	{ "secure:0 0 1 32",                NULL, "unusable 0:" },
	{ "secure:1 1 1 32,3 1 1 31,3 9 1 32", NULL, "unusable 0:" },
	/* "An insecure TLSA RRset or DNSSEC-authenticated denial of existence" */
	{ "insecure:3 1 1 32",              NULL, "none" },
	{ "-secure",                        NULL, "none" },
	{ "-",                              NULL, "none" },
	/* "Any lookup error" */
	{ "!",                              NULL, "trouble 0:" },
	/* 2.2.3: the first candidate to yield a secure RRset is the base, usable or not. */
	{ "-secure",     "secure:3 1 1 32",       "usable 1: 3 1 1" },
	{ "insecure:3 1 1 32", "secure:2 0 1 32", "usable 1: 2 0 1" },
	{ "secure:3 1 1 32", "secure:2 0 1 32",   "usable 0: 3 1 1" },
	{ "secure:0 0 1 32", "secure:3 1 1 32",   "unusable 0:" },
	{ "-secure",     "-secure",               "none" },
	{ "-secure",     "!",                     "trouble 1:" },
	{ "!",           "secure:3 1 1 32",       "trouble 0:" },
	{ "secure:3 1 1 32", "!",                 "usable 0: 3 1 1" },
	{ NULL,          NULL,                    "none" },
	/* RFC 7671 9: the strongest digest of each usage and selector, and what is whole. */
	{ "secure:3 1 1 32,3 1 2 64",       NULL, "usable 0: 3 1 2" },
	{ "secure:3 1 1 32,3 1 2 64,3 1 0 91D", NULL, "usable 0: 3 1 2, 3 1 0" },
	{ "secure:3 1 1 32,3 0 2 64",       NULL, "usable 0: 3 1 1, 3 0 2" },
	{ "secure:3 1 1 32,2 1 2 64",       NULL, "usable 0: 3 1 1, 2 1 2" },
	{ "secure:3 1 1 32,3 1 0 91D",      NULL, "usable 0: 3 1 1, 3 1 0" },
	{ "secure:3 1 1 32,3 1 2 63",       NULL, "usable 0: 3 1 1" },   /* first the malformed go */
	{ "secure:3 1 1 32,1 1 2 64",       NULL, "usable 0: 3 1 1" },
	{ "secure:2 0 1 32,2 0 2 64,2 0 2 64,2 0 1 32", NULL, "usable 0: 2 0 2, 2 0 2" },
};

enum { ROW_RECORDS = 8 };

static struct dane_answer answer_of(const char *words, struct rdata *store, struct str *list)
{
	struct str text = str_of(words), one;
	struct dane_lookup l = lookup(words);
	struct dane_answer a = { .result = l.result, .secure = l.secure, .rdata = list };
	if (!str_take_until(&text, ':', &one))
		return a;
	for (bool more = true; more; a.n++) {
		char row[32];
		one = text;
		more = str_take_until(&text, ',', &one);
		check(a.n < ROW_RECORDS && one.n < sizeof row);
		memcpy(row, one.p, one.n);
		row[one.n] = '\0';
		list[a.n] = rdata(&store[a.n], row);
	}
	return a;
}

static void outcome(const struct dane_judgement *j, char *to, size_t room)
{
	static const char *const names[] = { "none", "usable", "unusable", "trouble" };
	int n = snprintf(to, room, j->verdict == DANE_NONE ? "%s" : "%s %zu:", names[j->verdict], j->base);
	for (size_t i = 0; i < j->n_records; i++)
		n += snprintf(to + n, room - (size_t)n, "%s %u %u %u", i > 0 ? "," : "", j->records[i].usage, j->records[i].selector,
		              j->records[i].matching);
}

static void what_the_answers_come_to(void **state)
{
	(void)state;
	static struct rdata store[2][ROW_RECORDS];
	for (size_t i = 0; i < COUNT(judge_rows); i++) {
		const struct judge_row *row = &judge_rows[i];
		const char *const words[] = { row->first, row->second };
		struct str lists[2][ROW_RECORDS];
		struct dane_answer answers[2];
		struct dane_judgement j;
		size_t n = 0;
		char got[300];
		for (; n < 2 && words[n] != NULL; n++)
			answers[n] = answer_of(words[n], store[n], lists[n]);
		dane_judge(answers, n, NULL, &j);
		outcome(&j, got, sizeof got);
		if (strcmp(got, row->outcome) != 0)
			fail_msg("%s, then %s: %s, not %s", row->first, row->second != NULL ? row->second : "nothing", got, row->outcome);
		assert_int_equal(j.problem[0] != '\0', j.n_unusable > 0 || j.verdict == DANE_TROUBLE);
		if (j.verdict == DANE_USABLE || j.verdict == DANE_UNUSABLE)
			assert_int_equal(j.n_records + j.n_unusable + j.n_weaker, answers[j.base].n);
	}
}

static bool reads_nothing(const struct dane_record *record)
{
	assert_int_equal(record->matching, DANE_FULL);
	return false;
}

static void what_the_library_cannot_read_is_unusable(void **state)
{
	(void)state;
	static struct rdata store[ROW_RECORDS];
	struct str list[ROW_RECORDS];
	struct dane_judgement j;
	struct dane_answer a = answer_of("secure:3 0 0 500D,3 1 0 91D", store, list);
	dane_judge(&a, 1, reads_nothing, &j);
	assert_int_equal(j.verdict, DANE_UNUSABLE);
	a = answer_of("secure:3 0 0 500D,3 1 1 32", store, list);
	dane_judge(&a, 1, reads_nothing, &j);
	assert_int_equal(j.verdict, DANE_USABLE);
	assert_int_equal(j.n_records, 1);
}

/* All that there is room for, and one more: it is one of usage 2 that goes, not one that came early. */
static void too_many_records(void **state)
{
	(void)state;
	static struct rdata store[DANE_RECORDS_MAX + 1];
	struct str list[DANE_RECORDS_MAX + 1];
	for (size_t i = 0; i < COUNT(list); i++)
		list[i] = rdata(&store[i], i == 0 ? "2 0 1 32" : "3 1 1 32");
	struct dane_answer a = { .result = DANE_FOUND, .secure = true, .rdata = list, .n = DANE_RECORDS_MAX };
	struct dane_judgement j;
	dane_judge(&a, 1, NULL, &j);
	assert_int_equal(j.n_records, DANE_RECORDS_MAX);
	assert_int_equal(j.records[DANE_RECORDS_MAX - 1].usage, DANE_TA);
	a.n++;
	dane_judge(&a, 1, NULL, &j);
	assert_int_equal(j.n_records, DANE_RECORDS_MAX);
	assert_int_equal(j.records[DANE_RECORDS_MAX - 1].usage, DANE_EE);
	assert_ptr_equal(j.records[DANE_RECORDS_MAX - 1].data.p, list[DANE_RECORDS_MAX].p + 3);
}

/* The stronger digest is looked for among all of them, not only among those that are kept. */
static void the_strongest_digest_may_come_last(void **state)
{
	(void)state;
	static struct rdata store[DANE_RECORDS_MAX + 1];
	struct str list[DANE_RECORDS_MAX + 1];
	for (size_t i = 0; i < COUNT(list); i++)
		list[i] = rdata(&store[i], i < DANE_RECORDS_MAX ? "3 1 1 32" : "3 1 2 64");
	struct dane_answer a = { .result = DANE_FOUND, .secure = true, .rdata = list, .n = COUNT(list) };
	struct dane_judgement j;
	dane_judge(&a, 1, NULL, &j);
	assert_int_equal(j.n_records, 1);
	assert_int_equal(j.records[0].matching, DANE_SHA512);
	assert_int_equal(j.n_weaker, DANE_RECORDS_MAX);
}

/* ---- RFC 7672 3.2.2: reference identifiers ---- */

static const struct {
	const char *domain, *expanded;
	bool mx, secure;
	const char *base, *also;
} also_rows[] = {
	/* The example there: exchange.example.org is an alias of example.com. */
	{ "exchange.example.org", "example.com", true, true, "mx10.example.com", "exchange.example.org example.com" },
	{ "exchange.example.org", "example.com", true, true, "mxbackup.example.net", "exchange.example.org example.com" },
	{ "example.com", "", true, true, "mx10.example.com", "example.com" },
	{ "example.com", "Example.COM", true, true, "mx10.example.com", "example.com" },
	/* The domain is its own mail server. */
	{ "example.com", "", true, true, "example.com", "" },
	{ "exchange.example.org", "example.com", true, true, "example.com", "exchange.example.org" },
	/* "Despite insecure MX redirection, the MX hostname is the only reference identifier." */
	{ "example.com", "", true, false, "mx10.example.com", "" },
	{ "exchange.example.org", "example.com", true, false, "mx10.example.com", "" },
	/* "TLSA records for non-MX hostnames" */
	{ "relay.example.com", "", false, true, "relay.example.com", "" },
	{ "relay.example.com", "", false, true, "host.example.net", "relay.example.com" },
	{ "relay.example.com", "", false, false, "host.example.net", "relay.example.com" },
};

static void names_beside_the_base(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(also_rows); i++) {
		struct dane_way way = { str_of(also_rows[i].domain), str_of(also_rows[i].expanded), also_rows[i].mx, also_rows[i].secure };
		struct str also[DANE_ALSO_MAX];
		char got[200] = "";
		size_t n = dane_also(&way, str_of(also_rows[i].base), also);
		for (size_t k = 0; k < n; k++)
			(void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", k > 0 ? " " : "", STR_ARG(also[k]));
		if (strcmp(got, also_rows[i].also) != 0)
			fail_msg("row %zu: %s", i, got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_the_records_are),
		cmocka_unit_test(the_question),
		cmocka_unit_test(which_records_are_usable),
		cmocka_unit_test(der_ends_where_it_says),
		cmocka_unit_test(records_in_words),
		cmocka_unit_test(what_the_answers_come_to),
		cmocka_unit_test(what_the_library_cannot_read_is_unusable),
		cmocka_unit_test(too_many_records),
		cmocka_unit_test(the_strongest_digest_may_come_last),
		cmocka_unit_test(names_beside_the_base),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
