/* SPDX-License-Identifier: ISC */
/* Whatever is taken as an address says the same again: parse and text are inverse. */
#include "base/check.h"
#include "mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct str text = { (const char *)bytes, n }, rest = text, ascii;
	struct arena *a = arena_new(64 << 10);
	struct address first, again, path;
	if (address_parse(text, a, &first) == OK) {
		struct str canonical = address_text(&first, a);
		check(address_parse(canonical, a, &again) == OK);
		check(address_equal(&first, &again));
		check(str_eq(canonical, address_text(&again, a)));
		check(first.literal || domain_to_ascii(first.domain, a, &ascii) == OK);
		check(first.literal || domain_is_valid(ascii));
	}
	if (path_parse(&rest, a, &path) == OK)
		check(rest.n < n);
	else
		check(rest.n == n);
	if (domain_to_ascii(text, a, &ascii) == OK)
		check(domain_is_valid(ascii));
	(void)local_is_file_safe(text);
	arena_free(&a);
	return 0;
}
