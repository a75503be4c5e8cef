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

/* The instruction takes three cycles and can begin in each: one register alone waits two of three. */
__attribute__((target("sse4.2"))) void crc32c_cpu_three(uint32_t registers[3], const char *parts)
{
	uint64_t a = registers[0], b = registers[1], c = registers[2];
	for (size_t i = 0; i < CRC32C_PART; i += 8) {
		uint64_t word[3];
		memcpy(&word[0], parts + i, 8);
		memcpy(&word[1], parts + CRC32C_PART + i, 8);
		memcpy(&word[2], parts + 2 * CRC32C_PART + i, 8);
		a = _mm_crc32_u64(a, word[0]);
		b = _mm_crc32_u64(b, word[1]);
		c = _mm_crc32_u64(c, word[2]);
	}
	registers[0] = (uint32_t)a;
	registers[1] = (uint32_t)b;
	registers[2] = (uint32_t)c;
}
