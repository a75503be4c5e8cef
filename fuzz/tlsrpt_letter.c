/* SPDX-License-Identifier: ISC */
/* Letters with reports of others: what is read is within its limits, and is summed once. */
#include "base/check.h"
#include "proto/tlsrpt/digest.h"
#include "proto/tlsrpt/letter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sum(struct digest *d, const struct tlsrpt_report *r)
{
	size_t before = digest_reports(d), n;
	fault f = digest_add(d, r);
	check(f == OK || f == F_EXISTS);
	check(digest_reports(d) == before + (f == OK));
	check(digest_add(d, r) == F_EXISTS);
	const struct digest_entry *const *list = digest_list(d, &n);
	for (size_t i = 0; i < n; i++)
		check(list[i]->reports >= 1 && list[i]->n_results <= DIGEST_RESULTS_MAX + 1 && list[i]->begin_s <= list[i]->end_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct digest *d = digest_new(1);
	struct tlsrpt_letter l;
	struct tlsrpt_report *r;
	struct why why = { "" };
	size_t n = 0;
	fault f;
	tlsrpt_letter_begin(&l, (struct str){ (const char *)data, size });
	while ((f = tlsrpt_letter_next(&l, &r, &why)) != F_ABSENT) {
		check(++n <= LETTER_REPORTS_MAX + 1 && (f == OK) == (r != NULL) && (f == OK || why.text[0] != '\0'));
		if (r != NULL)
			sum(d, r);
		tlsrpt_free(&r);
	}
	digest_free(&d);
	return 0;
}
