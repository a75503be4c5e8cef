/* SPDX-License-Identifier: ISC */
/* store/crc32c_x86.c -- the processor's own instruction for this sum; the build takes this file on x86-64. */
#include "store/crc32c.h"

#include <nmmintrin.h>
#include <string.h>

bool crc32c_cpu_can(void)
{
	return __builtin_cpu_supports("sse4.2") != 0;
}

__attribute__((target("sse4.2"))) uint32_t crc32c_cpu(uint32_t crc, struct str bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	size_t n = bytes.n;
	uint64_t v = (uint32_t)~crc;
	for (; n >= 8; p += 8, n -= 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		v = _mm_crc32_u64(v, word);
	}
	uint32_t rest = (uint32_t)v;
	for (; n > 0; p++, n--)
		rest = _mm_crc32_u8(rest, *p);
	return ~rest;
}
