/* SPDX-License-Identifier: ISC */
/*
 * base/buf.h -- owned bytes with a read head, a write tail and a ceiling stated at creation.
 *
 *     base ... head ====== tail ...... cap      head <= tail <= cap <= max
 *
 * A call that would pass max returns F_LIMIT and leaves the buffer unchanged. A view is valid
 * until the next call that is not const.
 *
 * A secret buffer overwrites with zeros whatever leaves it: what is dropped or cut, what stays behind when it grows or
 * moves, what is freed.
 *
 * Tests    test/unit/base/buf_test.c
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <string.h>

#include "base/fault.h"
#include "base/str.h"

struct buf { char *base; size_t head, tail, cap, max; bool secret; };

void buf_init(struct buf *b, size_t max); /* cannot fail; allocates nothing */
void buf_init_secret(struct buf *b, size_t max); /* for passwords and keys on their way */
/* Over memory of the caller's: it has that much room for ever, and is never freed. */
static inline struct buf buf_over(char *room, size_t n)
{
	return (struct buf){ .base = room, .cap = n, .max = n };
}

void buf_fini(struct buf *b);             /* frees; the buffer may be used again, and stays secret */
void buf_clear(struct buf *b);            /* keeps the memory */
void buf_wipe(struct buf *b);             /* overwrites with zeros, then frees: for what was secret at its end */
void buf_shrink(struct buf *b);           /* gives the memory back if the buffer is empty */

static inline struct str buf_view(const struct buf *b)
{
	return b->base != NULL ? (struct str){ b->base + b->head, b->tail - b->head } : STR_NONE;
}

/* How many bytes may still be added. */
static inline size_t buf_room(const struct buf *b)
{
	return b->max - (b->tail - b->head);
}

void       buf_drop(struct buf *b, size_t n); /* from the front; n <= length, checked */
void       buf_cut(struct buf *b, size_t n);  /* keep the first n bytes; n <= length, checked */

MUST_USE fault buf_add_growing(struct buf *b, struct str s); /* for buf_add alone */
MUST_USE static inline fault buf_add(struct buf *b, struct str s)
{
	if (s.n > b->cap - b->tail)
		return buf_add_growing(b, s);
	if (s.n > 0)
		memcpy(b->base + b->tail, s.p, s.n);
	b->tail += s.n;
	return OK;
}

/* Several pieces, one behind the other, or none of them: BUF_ADD_ALL(b, STR("<"), address, STR(">")). */
MUST_USE fault buf_add_parts(struct buf *b, const struct str *parts, size_t n);
#define BUF_PARTS(...) (const struct str[]){ __VA_ARGS__ }
#define BUF_ADD_ALL(b, ...) buf_add_parts((b), BUF_PARTS(__VA_ARGS__), sizeof(BUF_PARTS(__VA_ARGS__)) / sizeof(struct str))

MUST_USE fault buf_add_char(struct buf *b, char c);
MUST_USE fault buf_add_u64(struct buf *b, uint64_t n); /* decimal */
MUST_USE fault buf_add_s64(struct buf *b, int64_t n);
MUST_USE fault buf_add_padded(struct buf *b, uint64_t n, size_t digits); /* with zeros in front, up to 20 digits */
MUST_USE fault buf_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);

/* Room for n bytes at the tail, to be filled and then counted with buf_filled. NULL at the
 * ceiling. */
char *buf_reserve(struct buf *b, size_t n);
void  buf_filled(struct buf *b, size_t n);

#endif
