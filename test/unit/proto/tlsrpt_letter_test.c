/* SPDX-License-Identifier: ISC */
/* Reports of others: found in a message, and summed. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "proto/tlsrpt/digest.h"
#include "proto/tlsrpt/gzip.h"
#include "proto/tlsrpt/letter.h"

/* ---- made here ---- */

static void put_report(struct buf *out, const char *organization, const char *id, const char *domain, int64_t day, unsigned failures)
{
	struct tlsrpt_report *r = tlsrpt_new();
	tlsrpt_name(r, str_of(organization), STR("tls@lighthouse.example"), str_of(id));
	tlsrpt_range(r, day);
	assert_int_equal(tlsrpt_count(r, &(struct tlsrpt_session){ .domain = str_of(domain) }), OK);
	for (unsigned i = 0; i < failures; i++)
		assert_int_equal(tlsrpt_count(r, &(struct tlsrpt_session){
			.type = TLSRPT_STS, .domain = str_of(domain), .result = TLSRPT_CERTIFICATE_EXPIRED }), OK);
	assert_int_equal(tlsrpt_write(out, r), OK);
	tlsrpt_free(&r);
}

static struct tlsrpt_report *report(const char *organization, const char *id, const char *domain, int64_t day, unsigned failures)
{
	struct tlsrpt_report *r;
	struct why why = { "" };
	struct buf json;
	buf_init(&json, 1 << 20);
	put_report(&json, organization, id, domain, day, failures);
	assert_int_equal(tlsrpt_read(buf_view(&json), &r, &why), OK);
	buf_fini(&json);
	return r;
}

static void put_lines(struct buf *out, struct str bytes)
{
	struct buf text;
	buf_init(&text, 64 << 20);
	assert_int_equal(base64_put(&text, bytes), OK);
	for (struct str rest = buf_view(&text); rest.n > 0; rest = str_from(rest, 76))
		assert_int_equal(buf_addf(out, "%.*s\r\n", STR_ARG(str_sub(rest, 0, 76))), OK);
	buf_fini(&text);
}

#define HEAD "From: a@lighthouse.example\r\nContent-Type: multipart/report; report-type=\"tlsrpt\"; boundary=\"x\"\r\n\r\n" \
	"--x\r\nContent-Type: text/plain\r\n\r\n{ this is none }\r\n"

static void put_part(struct buf *out, const char *type, struct str bytes)
{
	assert_int_equal(buf_addf(out, "--x\r\nContent-Type: %s; name=\"a.json.gz\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", type), OK);
	put_lines(out, bytes);
}

/* "id|" for each report, "-|" for what is none; the last reason. */
static void tell(struct buf *out, struct str bytes, struct why *why)
{
	struct tlsrpt_letter l;
	struct tlsrpt_report *r;
	fault f;
	tlsrpt_letter_begin(&l, bytes);
	while ((f = tlsrpt_letter_next(&l, &r, why)) != F_ABSENT) {
		assert_int_equal(f == OK, r != NULL);
		assert_int_equal(buf_addf(out, "%.*s|", STR_ARG(r != NULL ? r->id : STR("-"))), OK);
		tlsrpt_free(&r);
	}
	assert_null(r);
	assert_int_equal(tlsrpt_letter_next(&l, &r, why), F_ABSENT);
}

/* ---- in a message ---- */

static void reports_are_found(void **state)
{
	(void)state;
	struct buf json, packed, bad, text, told;
	struct why why = { "" };
	buf_init(&json, 1 << 20);
	buf_init(&packed, 1 << 20);
	buf_init(&bad, 1 << 20);
	buf_init(&text, 1 << 20);
	buf_init(&told, 1 << 10);
	put_report(&json, "Lighthouse", "1", "harbour.example", 16892, 2);
	assert_int_equal(gzip_put(&packed, buf_view(&json)), OK);
	assert_int_equal(buf_add(&bad, str_sub(buf_view(&packed), 0, buf_view(&packed).n - 1)), OK);
	assert_int_equal(buf_add(&text, STR(HEAD)), OK);
	put_part(&text, "application/tlsrpt+gzip", buf_view(&packed));
	put_part(&text, "Application/TLSRPT+JSON", buf_view(&json));
	put_part(&text, "application/tlsrpt+json", buf_view(&packed)); /* the type is wrong, the report is not */
	put_part(&text, "application/gzip", buf_view(&packed));        /* of something else */
	put_part(&text, "application/tlsrpt+gzip", buf_view(&bad));
	put_part(&text, "application/tlsrpt+gzip", buf_view(&json));
	assert_int_equal(buf_add(&text, STR("--x\r\nContent-Type: application/tlsrpt+gzip\r\n\r\nno gzip\r\n--x--\r\n")), OK);
	tell(&told, buf_view(&text), &why);
	assert_str(buf_view(&told), "1|1|1|-|1|-|");

	/* Alone. */
	const struct { struct str bytes; const char *want; } alone[] = {
		{ buf_view(&json), "1|" }, { buf_view(&packed), "1|" }, { buf_view(&bad), "-|" }, { STR("{"), "-|" }, { STR("\r\n {}"), "-|" },
		{ STR("[]"), "" }, { STR(""), "" }, { STR("\x1f\x8b"), "-|" },
	};
	for (size_t i = 0; i < COUNT(alone); i++) {
		buf_clear(&told);
		tell(&told, alone[i].bytes, &why);
		if (!str_eq(buf_view(&told), str_of(alone[i].want)))
			fail_msg("%zu: %.*s", i, STR_ARG(buf_view(&told)));
	}
	buf_fini(&json);
	buf_fini(&packed);
	buf_fini(&bad);
	buf_fini(&text);
	buf_fini(&told);
}

/* RFC 8460 5.1: what another type hides, the name of the file may tell. */
static void reports_are_known_by_their_names(void **state)
{
	(void)state;
	static const struct { const char *name; bool is_one; } names[] = {
		{ "mail.sndr.example.com!example.net!1470013207!1470186007!001.json.gz", true }, { "a!b!1!2.json.gz", true },
		{ "a!b!1!2.json", true }, { "A!B!1!2.JSON.GZ", true }, { "a!b!1!2!x!y.json", true },
		{ "a!b!1!2.xml.gz", false }, { "a!b!1!2.json.zip", false }, { "a!b!1!2.gz", false }, { "a!b!1!2.json.gz ", false },
		{ "a!b!1.json.gz", false }, { "!b!1!2.json.gz", false }, { "a!!1!2.json.gz", false }, { "a!b!!2.json.gz", false },
		{ "a!b!1!.json.gz", false }, { "a!b!1!!x.json.gz", false }, { "a!b!-1!2.json.gz", false }, { "a!b!1!2x.json.gz", false },
		{ "report.json.gz", false }, { ".json.gz", false }, { ".json", false }, { "json", false }, { "", false },
	};
	struct buf json, packed, text, told;
	struct why why = { "" };
	buf_init(&json, 1 << 20);
	buf_init(&packed, 1 << 20);
	put_report(&json, "Lighthouse", "1", "harbour.example", 16892, 2);
	assert_int_equal(gzip_put(&packed, buf_view(&json)), OK);
	for (size_t i = 0; i < COUNT(names); i++) {
		buf_init(&text, 1 << 20);
		buf_init(&told, 1 << 10);
		assert_int_equal(buf_addf(&text, HEAD "--x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
		                          "Content-Disposition: attachment;\r\n filename=\"%s\"\r\n\r\n", names[i].name), OK);
		put_lines(&text, buf_view(&packed));
		tell(&told, buf_view(&text), &why);
		if (!str_eq(buf_view(&told), names[i].is_one ? STR("1|") : STR_NONE))
			fail_msg("%s: %.*s", names[i].name, STR_ARG(buf_view(&told)));
		buf_fini(&text);
		buf_fini(&told);
	}
	buf_fini(&json);
	buf_fini(&packed);
}

/* A letter that is cut anywhere holds the report or tells why not; it never holds another one. */
static void a_letter_cut_anywhere(void **state)
{
	(void)state;
	struct buf json, packed, text;
	buf_init(&json, 1 << 20);
	buf_init(&packed, 1 << 20);
	buf_init(&text, 1 << 20);
	put_report(&json, "Lighthouse", "1", "harbour.example", 16892, 2);
	assert_int_equal(gzip_put(&packed, buf_view(&json)), OK);
	assert_int_equal(buf_add(&text, STR(HEAD)), OK);
	put_part(&text, "application/tlsrpt+gzip", buf_view(&packed));
	size_t whole = buf_view(&text).n - 2;
	assert_int_equal(buf_add(&text, STR("--x--\r\n")), OK);
	for (size_t n = 0; n <= buf_view(&text).n; n++) {
		struct why why = { "" };
		struct buf told;
		char *p = malloc(n + 1);
		assert_non_null(p);
		memcpy(p, buf_view(&text).p, n);
		buf_init(&told, 1 << 10);
		tell(&told, (struct str){ p, n }, &why);
		/* A piece of the last boundary is no boundary, and no base64 either. */
		bool must = (n >= whole && n <= whole + 2) || n >= buf_view(&text).n - 2;
		bool may = n >= whole;
		if (!str_eq(buf_view(&told), STR("1|")) ? must || buf_view(&told).n > 2 : !may)
			fail_msg("cut at %zu of %zu: %.*s", n, whole, STR_ARG(buf_view(&told)));
		assert_int_equal(str_eq(buf_view(&told), STR("-|")), why.text[0] != '\0');
		buf_fini(&told);
		free(p);
	}
	buf_fini(&json);
	buf_fini(&packed);
	buf_fini(&text);
}

/* LETTER_REPORTS_MAX, and what unpacks to more than TLSRPT_JSON_MAX. */
static void test_attack_53_report_bombs(void **state)
{
	(void)state;
	struct why why = { "" };
	struct buf text, packed, plain, told;
	for (int more = 0; more <= 1; more++) {
		buf_init(&text, 64 << 20);
		buf_init(&told, 1 << 10);
		assert_int_equal(buf_add(&text, STR(HEAD)), OK);
		for (int i = 0; i < LETTER_REPORTS_MAX + 2 * more; i++)
			put_part(&text, "application/tlsrpt+json", STR("no json"));
		tell(&told, buf_view(&text), &why);
		assert_int_equal(buf_view(&told).n, 2 * (LETTER_REPORTS_MAX + more)); /* and no further one is looked at */
		assert_int_equal(strstr(why.text, "more than 8 reports") != NULL, more);
		buf_clear(&told);
		buf_clear(&text);

		buf_init(&plain, 64 << 20);
		buf_init(&packed, 1 << 20);
		put_report(&plain, "Lighthouse", "1", "harbour.example", 16892, 0);
		while (buf_view(&plain).n < TLSRPT_JSON_MAX + (size_t)more)
			assert_int_equal(buf_add_char(&plain, ' '), OK);
		assert_int_equal(gzip_put(&packed, buf_view(&plain)), OK);
		tell(&told, buf_view(&packed), &why);
		assert_str(buf_view(&told), more ? "-|" : "1|");
		if (more)
			assert_string_equal(why.text, "the report unpacks to more than 10485760 bytes");
		buf_fini(&plain);
		buf_fini(&packed);
		buf_fini(&text);
		buf_fini(&told);
	}
}

/* ---- summed ---- */

static fault add(struct digest *d, const char *organization, const char *id, const char *domain, int64_t day, unsigned failures)
{
	struct tlsrpt_report *r = report(organization, id, domain, day, failures);
	fault f = digest_add(d, r);
	tlsrpt_free(&r);
	return f;
}

static void sums_by_domain_and_organisation(void **state)
{
	(void)state;
	struct digest *d = digest_new(1);
	size_t n;
	assert_int_equal(add(d, "Lighthouse", "1", "harbour.example", 16893, 2), OK);
	assert_int_equal(add(d, "Lighthouse", "2", "Harbour.example", 16892, 3), OK);
	assert_int_equal(add(d, "Anchor", "1", "harbour.example", 16890, 0), OK);
	assert_int_equal(add(d, "Lighthouse", "3", "quay.example", 16890, 1), OK);
	/* The same again. */
	assert_int_equal(add(d, "lighthouse", "1", "harbour.example", 16893, 2), F_EXISTS);
	assert_int_equal(add(d, "Lighthouse", "1", "quay.example", 16894, 7), F_EXISTS);
	const struct digest_entry *const *list = digest_list(d, &n);
	assert_int_equal(n, 3);
	assert_int_equal(digest_reports(d), 4);
	assert_str(list[0]->organization, "Anchor");
	assert_int_equal(list[0]->n_results, 0);
	assert_str(list[1]->domain, "harbour.example");
	assert_int_equal(list[1]->reports, 2);
	assert_int_equal(list[1]->succeeded, 2);
	assert_int_equal(list[1]->failed, 5);
	assert_int_equal(list[1]->begin_s, 16892 * 86400);
	assert_int_equal(list[1]->end_s, 16894 * 86400 - 1);
	assert_int_equal(list[1]->n_results, 1);
	assert_str(list[1]->results[0].name, "certificate-expired");
	assert_int_equal(list[1]->results[0].sessions, 5);
	assert_str(list[2]->domain, "quay.example");
	assert_int_equal(list[2]->reports, 1); /* of two policies */
	digest_free(&d);
}

static void reports_without_an_id(void **state)
{
	(void)state;
	struct digest *d = digest_new(1);
	assert_int_equal(add(d, "Lighthouse", "", "harbour.example", 16892, 1), OK);
	assert_int_equal(add(d, "Lighthouse", "", "harbour.example", 16892, 1), F_EXISTS);
	assert_int_equal(add(d, "Lighthouse", "", "harbour.example", 16892, 2), OK);
	digest_free(&d);
	digest_free(&d);
}

/* DIGEST_ENTRIES_MAX, DIGEST_RESULTS_MAX */
static void sums_are_bounded(void **state)
{
	(void)state;
	struct digest *d = digest_new(1);
	struct tlsrpt_report *many = tlsrpt_new();
	char name[40];
	size_t n;
	tlsrpt_range(many, 16892);
	many->n_policies = 1;
	struct tlsrpt_detail details[DIGEST_RESULTS_MAX + 3];
	char names[DIGEST_RESULTS_MAX + 3][20];
	for (size_t i = 0; i < COUNT(details); i++) {
		(void)snprintf(names[i], sizeof names[i], "kind-%zu", i);
		details[i] = (struct tlsrpt_detail){ .result = str_of(names[i]), .sessions = 10 };
	}
	details[COUNT(details) - 1].result = STR("kind-0");
	struct tlsrpt_policy policy = { .domain = STR("harbour.example"), .details = details, .n_details = COUNT(details),
		                        .succeeded = TLSRPT_COUNT_MAX - 1 };
	many->policies = &policy;
	assert_int_equal(digest_add(d, many), OK);
	const struct digest_entry *const *list = digest_list(d, &n);
	assert_int_equal(list[0]->n_results, DIGEST_RESULTS_MAX + 1);
	assert_str(list[0]->results[DIGEST_RESULTS_MAX].name, "other");
	assert_int_equal(list[0]->results[DIGEST_RESULTS_MAX].sessions, 20);
	assert_int_equal(list[0]->results[0].sessions, 20);
	/* Numbers stop where they would no longer be true in JSON. */
	policy.succeeded = 2;
	assert_int_equal(digest_add(d, many), OK);
	assert_int_equal(list[0]->succeeded, TLSRPT_COUNT_MAX);
	many->policies = NULL;
	many->n_policies = 0;
	tlsrpt_free(&many);
	for (int i = 1; i < DIGEST_ENTRIES_MAX; i++) {
		(void)snprintf(name, sizeof name, "d%d.example", i);
		struct tlsrpt_policy one = { .domain = str_of(name) };
		struct tlsrpt_report r = { .id = str_of(name), .policies = &one, .n_policies = 1 };
		assert_int_equal(digest_add(d, &r), OK);
	}
	assert_int_equal(add(d, "Lighthouse", "one more", "harbour.example", 16892, 0), F_LIMIT);
	assert_int_equal(add(d, "", "one more", "harbour.example", 16892, 0), OK);
	assert_int_equal(digest_reports(d), DIGEST_ENTRIES_MAX + 2);
	digest_free(&d);
}

/* DIGEST_REPORTS_MAX */
static void reports_are_bounded(void **state)
{
	(void)state;
	struct digest *d = digest_new(1);
	char id[40];
	for (int i = 0; i <= DIGEST_REPORTS_MAX; i++) {
		(void)snprintf(id, sizeof id, "%d", i);
		struct tlsrpt_report r = { .id = str_of(id) };
		assert_int_equal(digest_add(d, &r), i < DIGEST_REPORTS_MAX ? OK : F_LIMIT);
	}
	digest_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reports_are_found),
		cmocka_unit_test(reports_are_known_by_their_names),
		cmocka_unit_test(a_letter_cut_anywhere),
		cmocka_unit_test(test_attack_53_report_bombs),
		cmocka_unit_test(sums_by_domain_and_organisation),
		cmocka_unit_test(reports_without_an_id),
		cmocka_unit_test(sums_are_bounded),
		cmocka_unit_test(reports_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
