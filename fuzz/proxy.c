/* SPDX-License-Identifier: ISC */
/* A PROXY header means the same however it is cut: no part of it is decided and then decided otherwise. */
#include "base/check.h"
#include "proto/proxy/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct proxy_header whole, part;
	enum proxy_result end = proxy_parse((struct str){ (const char *)bytes, n }, &whole);
	bool decided = false;
	for (size_t i = 0; i < n && i <= PROXY_BYTES_MAX + 1; i++) {
		enum proxy_result r = proxy_parse((struct str){ (const char *)bytes, i }, &part);
		check(!decided || r != PROXY_MORE);
		decided = r != PROXY_MORE;
		if (decided)
			check(r == end && part.bytes == whole.bytes && part.client == whole.client);
	}
	if (end == PROXY_DONE)
		check(whole.bytes >= 16 && whole.bytes <= n && whole.bytes <= PROXY_BYTES_MAX);
	return 0;
}
