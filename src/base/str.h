/* SPDX-License-Identifier: ISC */
/*
 * base/str.h -- a borrowed slice of bytes: pointer and length.
 *
 * A struct str owns nothing, unless it came from str_keep(); it may hold NUL, and is not terminated. An absent
 * string is { NULL, 0 } and compares equal to an empty one.
 *
 * The _take functions consume from the front of *rest; where the thing asked for is not there
 * they return false and leave *rest untouched.
 *
 * Tests    test/unit/base/str_test.c
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str { const char *p; size_t n; };

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
/* The same where only a constant will do: the initialiser of a static table. */
#define STR_INIT(literal) { "" literal, sizeof(literal) - 1 }
#define STR_NONE ((struct str){ NULL, 0 })
/* For printf's %.*s, where the text is known to be harmless. */
#define STR_ARG(s) (int)(s).n, ((s).p != NULL ? (s).p : "")

struct str str_of(const char *terminated);           /* NULL gives STR_NONE */

/* Clipped to s. Inline, as are the other smallest ones: the parsers live in them. */
static inline struct str str_sub(struct str s, size_t from, size_t n)
{
	if (from > s.n)
		from = s.n;
	if (n > s.n - from)
		n = s.n - from;
	return (struct str){ s.p != NULL ? s.p + from : NULL, n };
}

/* What follows the first `from` bytes. */
static inline struct str str_from(struct str s, size_t from)
{
	return str_sub(s, from, s.n);
}

struct str str_trim(struct str s);                   /* without SP and TAB at both ends */

bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b);      /* ASCII case only */
int  str_order(struct str a, struct str b);          /* by byte, shorter first on a tie */
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends_nocase(struct str s, struct str suffix);
bool str_find(struct str s, char c, size_t *at_out);
bool str_rfind(struct str s, char c, size_t *at_out);
bool str_find_str(struct str s, struct str what, size_t *at_out);
bool str_has(struct str s, char c);
bool str_is_ascii(struct str s);                     /* no byte above 126, none below 32 */
bool str_is_digits(struct str s);                    /* at least one, and nothing else */
bool str_is_utf8(struct str s);                      /* well-formed: no overlong, no surrogate */
struct str str_cut_utf8(struct str s, size_t max);   /* its first max bytes at most, and no part of a character at the end */

bool str_take(struct str *rest, struct str prefix);
bool str_take_nocase(struct str *rest, struct str prefix);
bool str_take_char(struct str *rest, char c);
bool str_take_until(struct str *rest, char stop, struct str *out); /* stop is consumed, not in out */
bool str_take_word(struct str *rest, struct str *out); /* skips SP and TAB, then up to the next one */
bool str_take_line(struct str *rest, struct str *out); /* up to LF; LF and a CR before it are consumed */
bool str_next_line(struct str *rest, struct str *out); /* the same, and a last line may lack its LF; false: nothing is left */
bool str_take_u64(struct str *rest, uint64_t *out);   /* decimal, at most 20 digits, no overflow */

bool str_u64(struct str s, uint64_t *out);            /* the whole of s is one decimal number */

/* A copy on the heap, for whoever holds it longer than its source lives. There is a NUL after it; STR_NONE gives an empty
 * one. str_release() frees it and leaves STR_NONE; it may be called again. */
struct str str_keep(struct str s);
void       str_release(struct str *kept);

static inline unsigned char ascii_lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

static inline bool ascii_is_alpha(unsigned char c)
{
	unsigned char l = ascii_lower(c);
	return l >= 'a' && l <= 'z';
}

static inline bool ascii_is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static inline bool ascii_is_alnum(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

#endif
