/* SPDX-License-Identifier: ISC */
/* The reply parser, fed in pieces whose length the first byte says; what comes out must be harmless. */
#include <stdint.h>

#include "base/check.h"
#include "proto/smtp/reply_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct reply_parser p;
	reply_parser_init(&p);
	size_t piece = n > 0 ? 1 + bytes[0] % 64 : 1;
	fault f = OK;
	for (size_t at = 1; at < n && f == OK;) {
		size_t used;
		bool whole;
		size_t left = n - at;
		f = reply_parser_feed(&p, (struct str){ (const char *)bytes + at, left < piece ? left : piece }, &used, &whole);
		at += used;
		if (!whole)
			continue;
		struct smtp_reply r = reply_parser_reply(&p);
		check(r.code >= 200 && r.code <= 599 && r.text.n <= REPLY_TEXT_MAX);
		for (size_t i = 0; i < r.text.n; i++)
			check((unsigned char)r.text.p[i] >= 32 || r.text.p[i] == '\n' || r.text.p[i] == '\t');
	}
	reply_parser_fini(&p);
	return 0;
}
