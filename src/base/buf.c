/* SPDX-License-Identifier: ISC */
#include "base/buf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_init_secret(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max, .secret = true };
}

static void forget(const struct buf *b, size_t at, size_t n)
{
	if (b->secret && n > 0)
		explicit_bzero(b->base + at, n);
}

void buf_fini(struct buf *b)
{
	if (b->base != NULL)
		forget(b, 0, b->cap);
	free(b->base);
	*b = (struct buf){ .max = b->max, .secret = b->secret };
}

void buf_clear(struct buf *b)
{
	forget(b, b->head, b->tail - b->head);
	b->head = b->tail = 0;
}

void buf_wipe(struct buf *b)
{
	if (b->base != NULL)
		explicit_bzero(b->base, b->cap);
	buf_fini(b);
}

void buf_shrink(struct buf *b)
{
	if (b->head == b->tail)
		buf_fini(b);
}

void buf_drop(struct buf *b, size_t n)
{
	check(n <= b->tail - b->head);
	forget(b, b->head, n);
	b->head += n;
	if (b->head == b->tail)
		buf_clear(b);
}

void buf_cut(struct buf *b, size_t n)
{
	check(n <= b->tail - b->head);
	forget(b, b->head + n, b->tail - b->head - n);
	b->tail = b->head + n;
}

/* realloc(3) would leave the old bytes where they were. */
static void resize(struct buf *b, size_t used, size_t cap)
{
	if (b->secret && b->base != NULL) {
		char *fresh = must_alloc(cap);
		memcpy(fresh, b->base, used);
		forget(b, 0, b->cap);
		free(b->base);
		b->base = fresh;
	} else {
		b->base = must_resize(b->base, cap);
	}
	b->cap = cap;
}

char *buf_reserve(struct buf *b, size_t n)
{
	if (n > buf_room(b))
		return NULL;
	if (n <= b->cap - b->tail && b->base != NULL)
		return b->base + b->tail;

	size_t used = b->tail - b->head;
	if (b->head > 0) {
		memmove(b->base, b->base + b->head, used);
		forget(b, used, b->head);
		b->head = 0;
		b->tail = used;
	}
	if (n > b->cap - b->tail || b->base == NULL) {
		size_t cap = b->cap < 64 ? 64 : b->cap * 2;
		if (cap < used + n)
			cap = used + n;
		if (cap > b->max)
			cap = b->max;
		resize(b, used, cap);
	}
	return b->base + b->tail;
}

void buf_filled(struct buf *b, size_t n)
{
	check(n <= b->cap - b->tail);
	b->tail += n;
}

fault buf_add_growing(struct buf *b, struct str s)
{
	char *to = buf_reserve(b, s.n);
	if (to == NULL)
		return F_LIMIT;
	memcpy(to, s.p, s.n);
	b->tail += s.n;
	return OK;
}

fault buf_add_parts(struct buf *b, const struct str *parts, size_t n)
{
	size_t before = buf_view(b).n;
	for (size_t i = 0; i < n; i++) {
		fault f = buf_add(b, parts[i]);
		if (f != OK) {
			buf_cut(b, before);
			return f;
		}
	}
	return OK;
}

fault buf_add_char(struct buf *b, char c)
{
	return buf_add(b, (struct str){ &c, 1 });
}

enum { DIGITS_MAX = 20 }; /* of UINT64_MAX */

fault buf_add_padded(struct buf *b, uint64_t n, size_t least)
{
	char digits[DIGITS_MAX];
	size_t at = sizeof digits, padded_at = sizeof digits - (least < sizeof digits ? least : sizeof digits);
	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	while (at > padded_at)
		digits[--at] = '0';
	return buf_add(b, (struct str){ digits + at, sizeof digits - at });
}

fault buf_add_u64(struct buf *b, uint64_t n)
{
	return buf_add_padded(b, n, 1);
}

fault buf_add_s64(struct buf *b, int64_t n)
{
	char signed_digits[DIGITS_MAX + 1];
	struct buf text = buf_over(signed_digits, sizeof signed_digits);
	if (n < 0)
		TRY(buf_add(&text, STR("-")));
	TRY(buf_add_u64(&text, n < 0 ? 0 - (uint64_t)n : (uint64_t)n));
	return buf_add(b, buf_view(&text)); /* all of it, or nothing */
}

fault buf_addf(struct buf *b, const char *fmt, ...)
{
	/* It is mostly short, and there is room. */
	size_t spare = b->cap - b->tail;
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(b->base != NULL ? b->base + b->tail : NULL, spare, fmt, args);
	va_end(args);
	check(n >= 0);
	if ((size_t)n < spare) {
		b->tail += (size_t)n;
		return OK;
	}
	if (spare > 0)
		forget(b, b->tail, spare);

	/* vsnprintf wants room for its NUL, which is written but not counted. */
	size_t need = (size_t)n + 1;
	if ((size_t)n > buf_room(b))
		return F_LIMIT;
	char *to = need <= buf_room(b) ? buf_reserve(b, need) : NULL;
	va_start(args, fmt);
	if (to != NULL) {
		(void)vsnprintf(to, need, fmt, args);
		b->tail += (size_t)n;
		va_end(args);
		return OK;
	}
	char *exact = must_alloc(need);
	(void)vsnprintf(exact, need, fmt, args);
	va_end(args);
	fault f = buf_add(b, (struct str){ exact, (size_t)n });
	if (b->secret)
		explicit_bzero(exact, need);
	free(exact);
	return f;
}
