/* SPDX-License-Identifier: ISC */
#include "proto/smtp/content.h"

#include <string.h>

static enum content_result lose(struct content *c, enum content_result why)
{
	c->lost = true;
	return why;
}

/* Where one more byte leads, in a message of which nothing is passed on. */
static enum content_place step(const struct content *c, char byte)
{
	bool after_cr = c->place == CONTENT_AFTER_CR || c->place == CONTENT_AFTER_DOT_CR;
	if (byte == '\n' && after_cr)
		return CONTENT_LINE_START;
	if (byte == '\r')
		return c->place == CONTENT_AFTER_DOT ? CONTENT_AFTER_DOT_CR : CONTENT_AFTER_CR;
	if (byte == '.' && c->dots && c->place == CONTENT_LINE_START)
		return CONTENT_AFTER_DOT;
	return CONTENT_IN_LINE;
}

static enum content_result skip(struct content *c, struct str *in)
{
	for (size_t i = 0; i < in->n; i++) {
		bool end = c->place == CONTENT_AFTER_DOT_CR && in->p[i] == '\n';
		c->place = step(c, in->p[i]);
		if (end) {
			*in = str_from(*in, i + 1);
			return CONTENT_END;
		}
	}
	*in = str_from(*in, in->n);
	return CONTENT_MORE;
}

/* Eight octets at once, which is where the time of a message went: each octet of the result is 0x80 where that of `word` is
 * zero. An octet above a zero may be marked too, so only the lowest mark is sure; none at all is sure as well. */
static uint64_t zeros_of(uint64_t word)
{
	return (word - 0x0101010101010101u) & ~word & 0x8080808080808080u;
}

/* Is an octet below 16 among the eight? That is what CR, LF and NUL are; of the text, only tabs are. */
static bool has_control(uint64_t word)
{
	return ((word - 0x1010101010101010u) & ~word & 0x8080808080808080u) != 0;
}

/* Eight octets, the first one the least. */
static uint64_t word_at(const char *p)
{
	uint64_t word;
	memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

/* How many octets at the front are neither CR, LF nor NUL. *seen_out: all of them or'ed. */
static size_t quiet_octets(struct str in, uint64_t *seen_out)
{
	uint64_t seen = 0;
	size_t i = 0;
	for (; in.n - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		uint64_t word = word_at(in.p + i), ends = 0;
		if (has_control(word))
			ends = zeros_of(word) | zeros_of(word ^ 0x0a0a0a0a0a0a0a0au) | zeros_of(word ^ 0x0d0d0d0d0d0d0d0du);
		if (ends != 0) {
			size_t n = (size_t)__builtin_ctzll(ends) / 8;
			*seen_out = seen | (word & (((uint64_t)1 << 8 * n) - 1));
			return i + n;
		}
		seen |= word;
	}
	for (; i < in.n && in.p[i] != '\r' && in.p[i] != '\n' && in.p[i] != '\0'; i++)
		seen |= (unsigned char)in.p[i];
	*seen_out = seen;
	return i;
}

/* The octets at the front that stay within a line. */
static size_t quiet_run(struct content *c, struct str in)
{
	size_t room = c->line_max > 0 ? c->line_max - c->line : in.n;
	uint64_t seen;
	size_t i = quiet_octets(str_sub(in, 0, room), &seen);
	c->eight_bit |= (seen & 0x8080808080808080u) != 0;
	if (i > 0)
		c->place = CONTENT_IN_LINE;
	c->line += i;
	return i;
}

/* The bytes at the front that may be passed on as they are. */
static size_t plain_run(struct content *c, struct str in)
{
	size_t i = 0;
	while (i < in.n) {
		if (in.p[i] == '.' && c->dots && c->place == CONTENT_LINE_START)
			break;
		i += quiet_run(c, str_from(in, i));
		if (in.n - i < 2 || in.p[i] != '\r' || in.p[i + 1] != '\n')
			break;
		i += 2;
		c->place = CONTENT_LINE_START;
		c->line = 0;
	}
	return i;
}

/* The byte in hand cannot be passed on with the run before it. */
static enum content_result take_special(struct content *c, struct str *in)
{
	char byte = in->p[0];
	if (byte == '\r') {
		c->place = CONTENT_AFTER_CR;
		*in = str_from(*in, 1);
		return CONTENT_MORE;
	}
	if (byte == '\n' || byte == '\0')
		return lose(c, CONTENT_BARE);
	if (byte == '.' && c->dots && c->place == CONTENT_LINE_START) {
		c->place = CONTENT_AFTER_DOT;
		*in = str_from(*in, 1);
		return CONTENT_MORE;
	}
	return lose(c, CONTENT_LONG_LINE);
}

static enum content_result take_after_cr(struct content *c, struct str *in, struct str *out)
{
	if (in->p[0] != '\n')
		return lose(c, CONTENT_BARE);
	enum content_place place = c->place;
	*in = str_from(*in, 1);
	c->place = CONTENT_LINE_START;
	c->line = 0;
	if (place == CONTENT_AFTER_DOT_CR)
		return CONTENT_END;
	*out = STR("\r\n");
	c->bytes += out->n;
	return CONTENT_MORE;
}

enum content_result content_take(struct content *c, struct str *in, struct str *out)
{
	*out = STR_NONE;
	if (c->lost)
		return skip(c, in);
	if (c->place == CONTENT_AFTER_CR || c->place == CONTENT_AFTER_DOT_CR)
		return take_after_cr(c, in, out);
	if (c->place == CONTENT_AFTER_DOT) {
		if (in->p[0] == '\r') {
			c->place = CONTENT_AFTER_DOT_CR;
			*in = str_from(*in, 1);
			return CONTENT_MORE;
		}
		c->place = CONTENT_IN_LINE; /* the dot was stuffing */
	}
	size_t n = plain_run(c, *in);
	if (n == 0)
		return take_special(c, in);
	*out = str_sub(*in, 0, n);
	*in = str_from(*in, n);
	c->bytes += n;
	return CONTENT_MORE;
}

enum content_result content_finish(struct content *c, struct str *out)
{
	*out = STR_NONE;
	if (c->lost)
		return CONTENT_MORE;
	if (c->place == CONTENT_AFTER_CR)
		return lose(c, CONTENT_BARE);
	if (c->place == CONTENT_IN_LINE) {
		*out = STR("\r\n");
		c->bytes += out->n;
		c->place = CONTENT_LINE_START;
	}
	return CONTENT_MORE;
}
