/* SPDX-License-Identifier: ISC */
/* What was kept by an earlier run, or by a courier that somebody has taken over: what is read can be written and read again. */
#include "base/check.h"
#include "policy/remembered.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct remembered_seen seen, again;
	char text[REMEMBERED_SEEN_MAX];
	if (!remembered_seen_read((struct str){ (const char *)bytes, n }, &seen))
		return 0;
	remembered_seen_put(&seen, text);
	check(remembered_seen_read(str_of(text), &again));
	check(seen.best == again.best && seen.best_s == again.best_s && seen.last_s == again.last_s);
	return 0;
}
