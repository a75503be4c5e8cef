/* SPDX-License-Identifier: ISC */
/* A day's file of history with anything in it: it is read to its end, in one piece or in two, and never beyond it. */
#include "base/check.h"
#include "store/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

struct found { struct str within; size_t n; };

static void each(void *owner, struct str lines)
{
	struct found *f = owner;
	check(str_starts(lines, STR("event ")) && lines.p >= f->within.p && lines.p + lines.n <= f->within.p + f->within.n);
	(void)history_is_about(lines, STR("abc"), STR("bob@example.org"));
	f->n++;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct crc32c crc;
	if (crc.table[0][1] == 0)
		crc32c_init(&crc);
	struct str all = { (const char *)bytes, n };
	struct found whole = { .within = all }, parts = { .within = all };
	check(history_take(&crc, all, true, each, &whole) == n);
	size_t first = history_take(&crc, str_sub(all, 0, n / 2), false, each, &parts);
	check(first <= n / 2);
	(void)history_take(&crc, str_from(all, first), true, each, &parts);
	check(parts.n == whole.n || n > HISTORY_RECORD_MAX);
	return 0;
}
