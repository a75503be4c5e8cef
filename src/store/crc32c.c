/* SPDX-License-Identifier: ISC */
#include "store/crc32c.h"

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
}

static uint32_t little_endian(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t crc32c(const struct crc32c *c, uint32_t crc, struct str bytes)
{
	if (c->by_cpu)
		return crc32c_cpu(crc, bytes);
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
