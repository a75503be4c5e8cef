/* SPDX-License-Identifier: ISC */
#include "cmd/say.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/escape.h"

enum { PIECE = 4096, ROOM = 8 * PIECE }; /* a byte takes at most six */

static void put(FILE *to, struct str text, enum escape_form form, bool lines)
{
	struct buf out;
	buf_init(&out, ROOM);
	while (text.n > 0) {
		size_t n = 0;
		bool plain;
		while (n < text.n && n < PIECE) /* whole characters */
			n += escape_character(str_from(text, n), &plain);
		buf_clear(&out);
		fault f = escape_put_text(&out, str_sub(text, 0, n), form, lines);
		check(f == OK);
		(void)fwrite(buf_view(&out).p, 1, buf_view(&out).n, to);
		text = str_from(text, n);
	}
	buf_fini(&out);
}

void say(FILE *to, const char *fmt, ...)
{
	char *text = must_alloc(SAY_BYTES_MAX);
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, SAY_BYTES_MAX, fmt, args);
	va_end(args);
	put(to, str_of(text), ESCAPE_WORD, false);
	(void)putc('\n', to);
	free(text);
}

void say_lines(FILE *to, struct str text)
{
	put(to, text, ESCAPE_WORD, true);
}

void say_json(struct str value)
{
	put(stdout, value, ESCAPE_JSON, false);
	(void)putc('\n', stdout);
}
