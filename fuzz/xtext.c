/* SPDX-License-Identifier: ISC */
/* What decodes holds no control byte and encodes to what decodes to the same. */
#include "base/check.h"
#include "mail/envelope.h"
#include "mail/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct str text = { (const char *)bytes, n }, rest = text;
	struct buf plain, coded, again;
	struct status status;
	buf_init(&plain, 1 << 20);
	buf_init(&coded, 4 << 20);
	buf_init(&again, 1 << 20);
	if (xtext_get(&plain, text) == OK) {
		struct str s = buf_view(&plain);
		for (size_t i = 0; i < s.n; i++)
			check((unsigned char)s.p[i] >= 32 && s.p[i] != 127);
		check(xtext_put(&coded, s) == OK && xtext_get(&again, buf_view(&coded)) == OK);
		check(str_eq(buf_view(&again), s));
	}
	buf_clear(&coded);
	struct smtp_reply reply = { 550, { 5, 1, 1 }, text };
	if (reply_put(&coded, &reply, true) == OK)
		for (struct str all = buf_view(&coded), line; str_take_until(&all, '\n', &line);)
			check(str_starts(line, STR("550")) && line.n <= 511 && line.p[line.n - 1] == '\r');
	if (status_take(&rest, &status))
		check(rest.n < n);
	buf_fini(&plain);
	buf_fini(&coded);
	buf_fini(&again);
	return 0;
}
