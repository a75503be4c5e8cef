/* SPDX-License-Identifier: ISC */
#include "proto/smtp/server_say.h"

#include "base/check.h"

#define ROW(name, code_, c, s, d, text_) \
	[name] = { .code = (code_), .status = { (c), (s), (d) }, .text = { (text_), sizeof(text_) - 1 } },

static const struct smtp_reply rows[SAY_COUNT] = { SMTP_SERVER_SAYS(ROW) };

struct smtp_reply smtp_say(enum smtp_say what)
{
	check(what > SAY_NOTHING && what < SAY_COUNT);
	return rows[what];
}
