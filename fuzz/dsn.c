/* SPDX-License-Identifier: ISC */
/* The input, cut into foreign strings at each LF LF, makes a notice of legal lines with its parts in place. */
#include "base/check.h"
#include "proto/dsn/dsn.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static struct str next_string(struct str *rest)
{
	size_t at;
	struct str s = *rest;
	if (!str_find_str(*rest, STR("\n\n"), &at)) {
		*rest = STR_NONE;
		return s;
	}
	*rest = str_from(*rest, at + 2);
	return str_sub(s, 0, at);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct str rest = { (const char *)bytes, n };
	unsigned char first = n > 0 ? bytes[0] : 0;
	struct dsn_rcpt rcpt = { .kind = first % 5, .level = first % 9, .reply = { first % 2 == 0 ? 550 : 0, { first % 6, 1, 1 }, STR_NONE } };
	struct dsn_facts facts = { .boundary = STR("bOuNdArY"), .smtputf8 = first & 8, .original_8bit = first & 16,
	                           .returned_full = first & 32, .rcpts = &rcpt, .n_rcpts = 1 };
	struct str *const fields[] = { &rcpt.address, &rcpt.original, &rcpt.orcpt, &rcpt.reply.text, &rcpt.host, &rcpt.dialogue,
	                               &rcpt.protection, &rcpt.story, &facts.hostname, &facts.to, &facts.postmaster, &facts.id,
	                               &facts.envid, &facts.message_id, &facts.returned };
	for (size_t i = 0; i < COUNT(fields); i++)
		*fields[i] = next_string(&rest);

	struct buf out;
	buf_init(&out, 8 << 20);
	check(dsn_put(&out, &facts) == OK);
	struct str all = buf_view(&out), line;
	size_t boundaries = 0;
	bool known = str_find_str(facts.returned, STR("--bOuNdArY"), &(size_t){ 0 });
	while (str_take_until(&all, '\n', &line)) {
		check(line.n > 0 && line.p[line.n - 1] == '\r' && line.n <= 999);
		boundaries += str_starts(line, STR("--bOuNdArY"));
		for (size_t i = 0; i + 1 < line.n; i++)
			check(line.p[i] != '\0' && line.p[i] != '\r' &&
			      ((unsigned char)line.p[i] < 128 || facts.smtputf8 || facts.original_8bit));
	}
	check(all.n == 0);
	check(known || boundaries == 3u + (facts.returned.n > 0));
	buf_fini(&out);
	return 0;
}
