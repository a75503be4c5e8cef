/* SPDX-License-Identifier: ISC */
#include "policy/remembered.h"

#include <inttypes.h>
#include <stdio.h>

void remembered_seen_put(const struct remembered_seen *s, char out[REMEMBERED_SEEN_MAX])
{
	(void)snprintf(out, REMEMBERED_SEEN_MAX, "%s %" PRId64 " %" PRId64, tls_level_name(s->best), s->best_s, s->last_s);
}

static bool read_level(struct str word, enum tls_level *out)
{
	for (enum tls_level level = TLS_NONE; level <= TLS_DANE; level++)
		if (str_eq(word, str_of(tls_level_name(level)))) {
			*out = level;
			return true;
		}
	return false;
}

bool remembered_seen_read(struct str value, struct remembered_seen *out)
{
	struct str word;
	enum tls_level best;
	uint64_t best_s, last_s;
	if (!str_take_word(&value, &word) || !read_level(word, &best) || !str_take_char(&value, ' ') || !str_take_u64(&value, &best_s) ||
	    !str_take_char(&value, ' ') || !str_u64(value, &last_s) || best_s > INT64_MAX || last_s > INT64_MAX)
		return false;
	*out = (struct remembered_seen){ best, (int64_t)best_s, (int64_t)last_s };
	return true;
}
