/* SPDX-License-Identifier: ISC */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fault base64_put(struct buf *out, struct str bytes)
{
	size_t n = (bytes.n + 2) / 3 * 4;
	if (n == 0)
		return OK;
	char *to = buf_reserve(out, n);
	if (to == NULL)
		return F_LIMIT;
	const unsigned char *p = (const unsigned char *)bytes.p;
	for (size_t i = 0; i < bytes.n; i += 3) {
		size_t left = bytes.n - i;
		uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
		             (left > 2 ? p[i + 2] : 0);
		*to++ = alphabet[v >> 18];
		*to++ = alphabet[v >> 12 & 63];
		*to++ = left > 1 ? alphabet[v >> 6 & 63] : '=';
		*to++ = left > 2 ? alphabet[v & 63] : '=';
	}
	buf_filled(out, n);
	return OK;
}

static int value_of(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

fault base64_get(struct buf *out, struct str text)
{
	if (text.n % 4 != 0)
		return F_SYNTAX;
	if (text.n == 0)
		return OK;
	size_t pad = 0;
	while (pad < 2 && text.p[text.n - 1 - pad] == '=')
		pad++;

	size_t n = text.n / 4 * 3 - pad;
	char *to = buf_reserve(out, n);
	if (to == NULL)
		return F_LIMIT;
	uint32_t bits = 0;
	size_t written = 0;
	for (size_t i = 0; i < text.n; i++) {
		int v = i < text.n - pad ? value_of((unsigned char)text.p[i]) : 0;
		if (v < 0)
			return F_SYNTAX;
		bits = bits << 6 | (uint32_t)v;
		if (i % 4 != 3)
			continue;
		for (int shift = 16; shift >= 0; shift -= 8) {
			unsigned char byte = (unsigned char)(bits >> shift & 0xff);
			if (written < n)
				to[written++] = (char)byte;
			else if (byte != 0)
				return F_SYNTAX; /* bits that padding says are unused */
		}
		bits = 0;
	}
	buf_filled(out, n);
	return OK;
}

fault hex_put(struct buf *out, struct str bytes)
{
	char *to = buf_reserve(out, bytes.n * 2);
	if (to == NULL)
		return F_LIMIT;
	for (size_t i = 0; i < bytes.n; i++) {
		unsigned char c = (unsigned char)bytes.p[i];
		*to++ = "0123456789abcdef"[c >> 4];
		*to++ = "0123456789abcdef"[c & 15];
	}
	buf_filled(out, bytes.n * 2);
	return OK;
}

int hex_digit(unsigned char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
