/* SPDX-License-Identifier: ISC */
#include "mail/envelope.h"

#include "base/base64.h"

struct str tls_tag_name(enum tls_tag tag)
{
	switch (tag) {
	case TLS_TAG_REQUIRED: return STR("required");
	case TLS_TAG_OPTIONAL: return STR("optional");
	case TLS_TAG_NONE: break;
	}
	return STR_NONE;
}

static bool is_printable(unsigned char c)
{
	return c > 32 && c < 127;
}

fault xtext_put(struct buf *out, struct str text)
{
	size_t before = buf_view(out).n;
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool plain = is_printable(c) && c != '+' && c != '=';
		fault f = plain ? buf_add_char(out, (char)c) : buf_addf(out, "+%02X", c);
		if (f != OK) {
			buf_cut(out, before);
			return f;
		}
	}
	return OK;
}

/* One byte of xtext at the front of *rest: a plain one, or '+' and two hexadecimal digits. */
static bool take_byte(struct str *rest, unsigned char *out)
{
	unsigned char c = (unsigned char)rest->p[0];
	size_t used = 1;
	if (c == '+') {
		int high = rest->n >= 3 ? hex_digit((unsigned char)rest->p[1]) : -1;
		int low = rest->n >= 3 ? hex_digit((unsigned char)rest->p[2]) : -1;
		if (high < 0 || low < 0)
			return false;
		c = (unsigned char)(high * 16 + low);
		if (c < 32)
			return false;
		used = 3;
	} else if (c == '=' || c <= 32) {
		return false;
	}
	*out = c;
	*rest = str_from(*rest, used);
	return c != 127;
}

fault xtext_get(struct buf *out, struct str xtext)
{
	size_t before = buf_view(out).n;
	fault f = OK;
	while (f == OK && xtext.n > 0) {
		unsigned char c = 0;
		f = take_byte(&xtext, &c) ? buf_add_char(out, (char)c) : F_SYNTAX;
	}
	if (f == OK && !str_is_utf8(str_from(buf_view(out), before)))
		f = F_SYNTAX;
	if (f != OK)
		buf_cut(out, before);
	return f;
}
