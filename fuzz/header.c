/* SPDX-License-Identifier: ISC */
/* Fields follow each other without a gap, and every address found in one is an address. */
#include "base/check.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void addresses_of(struct str value)
{
	struct arena *a = arena_new(1 << 20);
	struct address got[4], again;
	size_t count = 0;
	if (header_addresses(value, a, got, COUNT(got), &count) == OK)
		for (size_t i = 0; i < count && i < COUNT(got); i++) {
			check(got[i].local.n > 0 || got[i].domain.n > 0);
			check(got[i].domain.n == 0 || address_parse(address_text(&got[i], a), a, &again) == OK);
		}
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct str all = { (const char *)bytes, n }, rest = all;
	struct header_field f;
	size_t end, left = n;
	while (header_take(&rest, &f) == OK) {
		check(f.whole.p + f.whole.n == rest.p || rest.n == 0);
		check(rest.n < left && f.name.n > 0 && left - rest.n == f.whole.n);
		left = rest.n;
		addresses_of(f.value);
	}
	if (header_end(all, &end))
		check(end >= 2 && end <= n);
	addresses_of(all);
	return 0;
}
