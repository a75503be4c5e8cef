/* SPDX-License-Identifier: ISC */
#include "store/crc32c.h"

/* A register goes over zeros bit by bit for itself, so 32 of them tell of all. */
static void learn_zeros(struct crc32c *c)
{
	uint32_t bits[32];
	for (unsigned bit = 0; bit < 32; bit++) {
		uint32_t v = (uint32_t)1 << bit;
		for (int i = 0; i < CRC32C_PART; i++)
			v = v >> 8 ^ c->table[0][v & 0xff];
		bits[bit] = v;
	}
	for (unsigned byte = 0; byte < 4; byte++)
		for (unsigned value = 0; value < 256; value++) {
			uint32_t v = 0;
			for (unsigned bit = 0; bit < 8; bit++)
				v ^= (value >> bit & 1) != 0 ? bits[8 * byte + bit] : 0;
			c->over[byte][value] = v;
		}
}

/* Eight tables, so that eight bytes are taken a step ("slicing by 8", Kounavis and Berry 2005). */
void crc32c_init(struct crc32c *c)
{
	c->by_cpu = crc32c_cpu_can();
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;
		for (int bit = 0; bit < 8; bit++)
			v = v >> 1 ^ ((v & 1) != 0 ? 0x82F63B78u : 0);
		c->table[0][i] = v;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int t = 1; t < 8; t++)
			c->table[t][i] = c->table[t - 1][i] >> 8 ^ c->table[0][c->table[t - 1][i] & 0xff];
	learn_zeros(c);
}

static uint32_t over_zeros(const struct crc32c *c, uint32_t v)
{
	return c->over[0][v & 0xff] ^ c->over[1][v >> 8 & 0xff] ^ c->over[2][v >> 16 & 0xff] ^ c->over[3][v >> 24];
}

/* The sum of two parts in a row is that of the first with zeros in place of the second, and that of the second from zero on. */
static uint32_t by_cpu(const struct crc32c *c, uint32_t crc, struct str bytes)
{
	uint32_t v = ~crc;
	while (bytes.n >= 3 * CRC32C_PART) {
		uint32_t registers[3] = { v, 0, 0 };
		crc32c_cpu_three(registers, bytes.p);
		v = over_zeros(c, over_zeros(c, registers[0]) ^ registers[1]) ^ registers[2];
		bytes = str_from(bytes, 3 * CRC32C_PART);
	}
	return crc32c_cpu(~v, bytes);
}

static uint32_t little_endian(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t crc32c(const struct crc32c *c, uint32_t crc, struct str bytes)
{
	if (c->by_cpu)
		return by_cpu(c, crc, bytes);
	const unsigned char *p = (const unsigned char *)bytes.p;
	size_t n = bytes.n;
	uint32_t v = ~crc;
	for (; n >= 8; p += 8, n -= 8) {
		uint32_t a = v ^ little_endian(p), b = little_endian(p + 4);
		v = c->table[7][a & 0xff] ^ c->table[6][a >> 8 & 0xff] ^ c->table[5][a >> 16 & 0xff] ^
		    c->table[4][a >> 24] ^ c->table[3][b & 0xff] ^ c->table[2][b >> 8 & 0xff] ^
		    c->table[1][b >> 16 & 0xff] ^ c->table[0][b >> 24];
	}
	for (; n > 0; p++, n--)
		v = v >> 8 ^ c->table[0][(v ^ *p) & 0xff];
	return ~v;
}
