/* SPDX-License-Identifier: ISC */
/* Records and reports: what is taken is whole, bounded, and comes back the same. The first byte says which of them the rest is. */
#include "base/check.h"
#include "proto/tlsrpt/gzip.h"
#include "proto/tlsrpt/tlsrpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One a line. */
static void try_records(struct str text)
{
	struct str records[8];
	struct str uris[TLSRPT_URIS_MAX];
	size_t n = 0, n_uris;
	while (n < COUNT(records) && str_next_line(&text, &records[n]))
		n++;
	enum tlsrpt_record found = tlsrpt_read_records(records, n, uris, &n_uris);
	check(n_uris <= TLSRPT_URIS_MAX && (found == TLSRPT_RECORD || n_uris == 0));
	for (size_t i = 0; i < n_uris; i++)
		check(uris[i].n <= TLSRPT_URI_MAX && str_is_ascii(uris[i]) && !str_has(uris[i], ','));
}

/* What was read, written and read again is the same text. */
static void check_report(const struct tlsrpt_report *r)
{
	struct tlsrpt_report *back, *sum = tlsrpt_new();
	struct why why = { "" };
	struct buf one, two;
	buf_init(&one, 64 << 20);
	buf_init(&two, 64 << 20);
	check(r->n_policies <= TLSRPT_POLICIES_MAX && tlsrpt_write(&one, r) == OK);
	if (tlsrpt_read(buf_view(&one), &back, &why) == OK) {
		check(tlsrpt_write(&two, back) == OK && str_eq(buf_view(&one), buf_view(&two)));
		check(tlsrpt_sum(sum, back) == OK && tlsrpt_sum(sum, r) == OK && sum->n_policies == r->n_policies);
		tlsrpt_free(&back);
	} else {
		/* Only where the texts make it longer than a report may be. */
		check(buf_view(&one).n > TLSRPT_JSON_MAX);
	}
	tlsrpt_free(&sum);
	buf_fini(&one);
	buf_fini(&two);
}

static void try_report(struct str json)
{
	struct tlsrpt_report *r;
	struct why why = { "" };
	fault f = tlsrpt_read(json, &r, &why);
	check((f == OK) == (r != NULL) && (f == OK) == (why.text[0] == '\0'));
	if (r != NULL)
		check_report(r);
	tlsrpt_free(&r);
}

static void try_packed(struct str packed)
{
	struct buf plain;
	buf_init(&plain, 1 << 20);
	if (gzip_get(&plain, packed) == OK)
		try_report(buf_view(&plain));
	else
		check(buf_view(&plain).n == 0);
	buf_fini(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct str text = { (const char *)data + 1, size - 1 };
	if (data[0] == 'r')
		try_records(text);
	else if (data[0] == 'z')
		try_packed(text);
	else
		try_report(text);
	return 0;
}
