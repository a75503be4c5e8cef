/* SPDX-License-Identifier: ISC */
/* role/spool/id.c -- what letters are called: in the 250, in the log, and by operators. */
#include "role/spool/spool.h"

#include <string.h>

#include "sys/clock.h"

/* 45 bits of time in milliseconds and 30 at random; the digits are in the order of their codes, so that ids sort
 * by age. Without i, l, o, u: they are read aloud. */
static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
enum { ID_DIGITS = 15, TIME_DIGITS = 9 };

void spool_new_id(char out[STORE_ID_MAX])
{
	uint64_t time = (uint64_t)clock_wall_ms(), random = random_u64();
	for (int i = TIME_DIGITS - 1; i >= 0; i--, time >>= 5)
		out[i] = digits[time & 31];
	for (int i = TIME_DIGITS; i < ID_DIGITS; i++, random >>= 5)
		out[i] = digits[random & 31];
	out[ID_DIGITS] = '\0';
}

bool spool_is_id(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == '\0' || strchr(digits, text.p[i]) == NULL)
			return false;
	return text.n == ID_DIGITS;
}
