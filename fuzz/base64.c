/* SPDX-License-Identifier: ISC */
/* Strict decoding: what is taken has one spelling only. */
#include "base/base64.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct str text = { (const char *)bytes, n };
	struct buf plain, coded;
	buf_init(&plain, 4 << 20);
	buf_init(&coded, 8 << 20);
	if (base64_get(&plain, text) == OK) {
		check(base64_put(&coded, buf_view(&plain)) == OK);
		check(str_eq(buf_view(&coded), text));
	} else {
		check(buf_view(&plain).n == 0);
	}
	buf_clear(&plain);
	buf_clear(&coded);
	check(base64_put(&coded, text) == OK && base64_get(&plain, buf_view(&coded)) == OK);
	check(str_eq(buf_view(&plain), text));
	buf_fini(&plain);
	buf_fini(&coded);
	return 0;
}
