/* SPDX-License-Identifier: ISC */
#include "role/porter/letter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* FNV-1a: tells apart the recipients of one message that share a Maildir. */
static uint64_t hash(struct str s)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
	return h;
}

/* A queue id begins with its time in milliseconds, 45 bits in base 32. Unlike the time of arrival, which the queue moves when the
 * clock was wrong, it never changes: a repeat after that must find the first. */
static int64_t time_of(struct str id, int64_t arrived_s)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	uint64_t ms = 0;
	if (id.n != 15)
		return arrived_s;
	for (size_t i = 0; i < 9; i++) {
		const char *digit = id.p[i] != '\0' ? strchr(digits, id.p[i]) : NULL;
		if (digit == NULL)
			return arrived_s;
		ms = ms << 5 | (uint64_t)(digit - digits);
	}
	return (int64_t)(ms / 1000);
}

void letter_name(char out[LETTER_NAME_MAX + 1], int64_t arrived_s, struct str id, struct str address,
                 struct str hostname)
{
	char safe_id[64 + 1], host[100 + 1];
	size_t n = 0;
	for (size_t i = 0; i < id.n && n + 1 < sizeof safe_id; i++)
		safe_id[n++] = ascii_is_alnum((unsigned char)id.p[i]) ? id.p[i] : '_';
	safe_id[n] = '\0';
	n = 0;
	for (size_t i = 0; i < hostname.n && n + 1 < sizeof host; i++)
		host[n++] = ascii_is_alnum((unsigned char)hostname.p[i]) || hostname.p[i] == '-' || hostname.p[i] == '.'
		                    ? hostname.p[i] : '_';
	host[n] = '\0';
	int64_t time_s = time_of(id, arrived_s);
	(void)snprintf(out, LETTER_NAME_MAX + 1, "%" PRId64 ".Q%sR%016" PRIx64 ".%s", time_s > 0 ? time_s : 0,
	               safe_id, hash(address), host);
}
