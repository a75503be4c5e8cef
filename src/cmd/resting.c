/* SPDX-License-Identifier: ISC */
#include "cmd/resting.h"

#include <stdio.h>

#include "mail/json.h"

bool resting_words(const json_t *spool, char *to, size_t room)
{
	long long n = number_in_json(spool, "resting");
	if (n <= 0 || number_in_json(spool, "queued") <= 0)
		return false;
	(void)snprintf(to, room, "%lld destination%s after failures, then get%s one letter to try: `sealpost queue list --by domain` says which, and why",
	               n, n == 1 ? " rests" : "s rest", n == 1 ? "s" : "");
	return true;
}
