/* SPDX-License-Identifier: ISC */
/* A message's parts: within their number, one behind the other, and decoded into no more than they are. */
#include "base/check.h"
#include "mail/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_part(const struct mime_part *part)
{
	struct why why = { "" };
	struct buf out;
	buf_init(&out, part->body.n + 1);
	fault f = mime_decode(&out, part, &why);
	check(f == OK || (f == F_SYNTAX && buf_view(&out).n == 0 && why.text[0] != '\0'));
	check(part->name.n <= MIME_NAME_MAX);
	check(f != OK || part->encoding != MIME_AS_IT_IS || str_eq(buf_view(&out), part->body));
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct mime m;
	struct mime_part part;
	struct why why = { "" };
	const char *at = text.p;
	size_t n = 0;
	fault f;
	mime_begin(&m, text);
	while ((f = mime_next(&m, &part, &why)) == OK) {
		check(++n <= MIME_PARTS_MAX && m.depth <= MIME_DEPTH_MAX);
		if (part.body.n > 0) {
			check(part.body.p >= at && part.body.p + part.body.n <= text.p + text.n);
			at = part.body.p + part.body.n;
		}
		try_part(&part);
	}
	check(f == F_ABSENT || (f == F_LIMIT && why.text[0] != '\0'));
	check(mime_next(&m, &part, &why) == F_ABSENT);
	return 0;
}
