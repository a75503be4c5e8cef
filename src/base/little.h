/* SPDX-License-Identifier: ISC */
/*
 * base/little.h -- numbers as bytes, the least first: between processes, and in the queue's files.
 *
 * Limits   n is 1 to 8 bytes; the higher ones of the number are left out.
 * Tests    test/unit/ipc/codec_test.c, test/unit/store/parts_test.c
 */
#ifndef BASE_LITTLE_H
#define BASE_LITTLE_H

#include <stddef.h>
#include <stdint.h>

static inline void put_little(char *to, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char)(v >> (8 * i) & 0xff);
}

static inline uint64_t get_little(const char *from, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)(unsigned char)from[i] << (8 * i);
	return v;
}

#endif
