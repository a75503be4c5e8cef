/* SPDX-License-Identifier: ISC */
#include "proto/smtp/content.h"

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

/* The bytes at the front that may be passed on as they are. */
static size_t plain_run(struct content *c, struct str in)
{
	size_t i = 0;
	while (i < in.n) {
		unsigned char byte = (unsigned char)in.p[i];
		if (byte == '\r') {
			if (i + 1 == in.n || in.p[i + 1] != '\n')
				break;
			i += 2;
			c->place = CONTENT_LINE_START;
			c->line = 0;
			continue;
		}
		if (byte == '\n' || byte == '\0' || (c->line_max > 0 && c->line == c->line_max) ||
		    (byte == '.' && c->dots && c->place == CONTENT_LINE_START))
			break;
		c->eight_bit |= byte > 127;
		c->place = CONTENT_IN_LINE;
		c->line++;
		i++;
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
