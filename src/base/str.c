/* SPDX-License-Identifier: ISC */
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct str str_of(const char *terminated)
{
	return terminated != NULL ? (struct str){ terminated, strlen(terminated) } : STR_NONE;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = str_from(s, 1);
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eq_nocase(struct str a, struct str b)
{
	return a.n == b.n && str_starts_nocase(a, b);
}

int str_order(struct str a, struct str b)
{
	size_t shared = a.n < b.n ? a.n : b.n;
	int order = shared > 0 ? memcmp(a.p, b.p, shared) : 0;
	if (order != 0)
		return order;
	return (a.n > b.n) - (a.n < b.n);
}

bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq(str_sub(s, 0, prefix.n), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
	if (s.n < prefix.n)
		return false;
	for (size_t i = 0; i < prefix.n; i++)
		if (ascii_lower((unsigned char)s.p[i]) != ascii_lower((unsigned char)prefix.p[i]))
			return false;
	return true;
}

bool str_ends_nocase(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq_nocase(str_from(s, s.n - suffix.n), suffix);
}

bool str_find(struct str s, char c, size_t *at_out)
{
	const char *hit = s.n > 0 ? memchr(s.p, c, s.n) : NULL;
	if (hit == NULL)
		return false;
	*at_out = (size_t)(hit - s.p);
	return true;
}

bool str_rfind(struct str s, char c, size_t *at_out)
{
	for (size_t i = s.n; i > 0; i--)
		if (s.p[i - 1] == c) {
			*at_out = i - 1;
			return true;
		}
	return false;
}

bool str_find_str(struct str s, struct str what, size_t *at_out)
{
	if (what.n == 0 || s.n < what.n)
		return false;
	const char *hit = memmem(s.p, s.n, what.p, what.n);
	if (hit == NULL)
		return false;
	*at_out = (size_t)(hit - s.p);
	return true;
}

bool str_has(struct str s, char c)
{
	size_t at;
	return str_find(s, c, &at);
}

bool str_is_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_digit((unsigned char)s.p[i]))
			return false;
	return s.n > 0;
}

bool str_is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 32 || (unsigned char)s.p[i] > 126)
			return false;
	return true;
}

/* Length of the well-formed UTF-8 sequence at p, 0 if there is none (Unicode table 3-7). */
static size_t utf8_length(const unsigned char *p, size_t n)
{
	unsigned char low = 0x80, high = 0xBF;
	size_t length;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xC2 && p[0] <= 0xDF)
		length = 2;
	else if (p[0] >= 0xE0 && p[0] <= 0xEF)
		length = 3;
	else if (p[0] >= 0xF0 && p[0] <= 0xF4)
		length = 4;
	else
		return 0;
	if (n < length)
		return 0;
	if (p[0] == 0xE0)
		low = 0xA0;
	if (p[0] == 0xED)
		high = 0x9F;
	if (p[0] == 0xF0)
		low = 0x90;
	if (p[0] == 0xF4)
		high = 0x8F;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (p[i] < 0x80 || p[i] > 0xBF)
			return 0;
	return length;
}

bool str_is_utf8(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	for (size_t i = 0; i < s.n;) {
		size_t length = utf8_length(p + i, s.n - i);
		if (length == 0)
			return false;
		i += length;
	}
	return true;
}

struct str str_cut_utf8(struct str s, size_t max)
{
	if (s.n <= max)
		return s;
	while (max > 0 && ((unsigned char)s.p[max] & 0xC0) == 0x80)
		max--;
	return str_sub(s, 0, max);
}

bool str_take(struct str *rest, struct str prefix)
{
	if (!str_starts(*rest, prefix))
		return false;
	*rest = str_from(*rest, prefix.n);
	return true;
}

bool str_take_nocase(struct str *rest, struct str prefix)
{
	if (!str_starts_nocase(*rest, prefix))
		return false;
	*rest = str_from(*rest, prefix.n);
	return true;
}

bool str_take_char(struct str *rest, char c)
{
	if (rest->n == 0 || rest->p[0] != c)
		return false;
	*rest = str_from(*rest, 1);
	return true;
}

bool str_take_until(struct str *rest, char stop, struct str *out)
{
	size_t at;
	if (!str_find(*rest, stop, &at))
		return false;
	*out = str_sub(*rest, 0, at);
	*rest = str_from(*rest, at + 1);
	return true;
}

bool str_take_word(struct str *rest, struct str *out)
{
	struct str s = *rest;
	size_t n = 0;
	while (s.n > 0 && is_blank(s.p[0]))
		s = str_from(s, 1);
	while (n < s.n && !is_blank(s.p[n]))
		n++;
	if (n == 0)
		return false;
	*out = str_sub(s, 0, n);
	*rest = str_from(s, n);
	return true;
}

bool str_take_line(struct str *rest, struct str *out)
{
	if (!str_take_until(rest, '\n', out))
		return false;
	if (out->n > 0 && out->p[out->n - 1] == '\r')
		out->n--;
	return true;
}

bool str_next_line(struct str *rest, struct str *out)
{
	if (rest->n == 0)
		return false;
	if (!str_take_line(rest, out)) {
		*out = *rest;
		*rest = STR_NONE;
	}
	return true;
}

bool str_take_u64(struct str *rest, uint64_t *out)
{
	uint64_t value = 0;
	size_t n = 0;
	while (n < rest->n && ascii_is_digit((unsigned char)rest->p[n])) {
		uint64_t digit = (uint64_t)(rest->p[n] - '0');
		if (n == 20 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
		n++;
	}
	if (n == 0)
		return false;
	*out = value;
	*rest = str_from(*rest, n);
	return true;
}

bool str_u64(struct str s, uint64_t *out)
{
	uint64_t value;
	if (!str_take_u64(&s, &value) || s.n != 0)
		return false;
	*out = value;
	return true;
}

struct str str_keep(struct str s)
{
	char *p = must_alloc(s.n + 1);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return (struct str){ p, s.n };
}

void str_release(struct str *kept)
{
	free((void *)(uintptr_t)kept->p);
	*kept = STR_NONE;
}
