/* SPDX-License-Identifier: ISC */
/* Replies whole, cut at every byte, at their limits, and as real servers wrote them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/smtp/reply_parser.h"

struct got { fault f; int code; char text[REPLY_TEXT_MAX + 100]; size_t replies; };

/* Feeds bytes in two parts and keeps the last reply. */
static struct got *parse(struct str bytes, size_t cut)
{
	struct got *g = NEW(struct got);
	struct reply_parser p;
	reply_parser_init(&p);
	struct str parts[2] = { str_sub(bytes, 0, cut), str_from(bytes, cut) };
	for (size_t i = 0; i < 2 && g->f == OK; i++)
		while (parts[i].n > 0 && g->f == OK) {
			size_t used;
			bool whole;
			g->f = reply_parser_feed(&p, parts[i], &used, &whole);
			parts[i] = str_from(parts[i], used);
			if (!whole)
				continue;
			struct buf line;
			struct smtp_reply r = reply_parser_reply(&p);
			buf_init(&line, sizeof g->text - 1);
			assert_int_equal(reply_put_line(&line, &r), OK);
			(void)snprintf(g->text, sizeof g->text, "%.*s", STR_ARG(buf_view(&line)));
			g->code = r.code;
			g->replies++;
			buf_fini(&line);
		}
	if (g->f != OK)
		assert_true(strlen(reply_parser_problem(&p)) > 0);
	reply_parser_fini(&p);
	return g;
}

static void replies_read(void **state)
{
	(void)state;
	const struct { struct str bytes; fault f; size_t replies; const char *last; } cases[] = {
		{ STR("250 Ok\r\n"), OK, 1, "250 Ok" },
		{ STR("250\r\n"), OK, 1, "250" },
		{ STR("250 \r\n"), OK, 1, "250" },
		{ STR("250-\r\n250\r\n"), OK, 1, "250 " },
		{ STR("250 2.1.5 Ok\r\n"), OK, 1, "250 2.1.5 Ok" },
		{ STR("250-2.1.5 a\r\n250 2.1.5 b\r\n"), OK, 1, "250 2.1.5 a / b" },
		{ STR("550 5.1.1\r\n"), OK, 1, "550 5.1.1" },
		{ STR("550 5.1.1x\r\n"), OK, 1, "550 5.1.1x" },
		{ STR("550 2.1.1 x\r\n"), OK, 1, "550 2.1.1 x" },
		{ STR("220 a\r\n221 b\r\n354 c\r\n"), OK, 3, "354 c" },
		{ STR("250 a\rb\r\n"), OK, 1, "250 a?b" },
		{ STR("250 a\r\r\n"), OK, 1, "250 a?" },
		{ STR("599 x\r\n"), OK, 1, "599 x" },
		{ STR("200 x\r\n"), OK, 1, "200 x" },
		{ STR("600 x\r\n"), F_SYNTAX, 0, "" },
		{ STR("199 x\r\n"), F_SYNTAX, 0, "" },
		{ STR("25 x\r\n"), F_SYNTAX, 0, "" },
		{ STR("2500 x\r\n"), F_SYNTAX, 0, "" },
		{ STR("250_x\r\n"), F_SYNTAX, 0, "" },
		{ STR("\r\n"), F_SYNTAX, 0, "" },
		{ STR(" 250 x\r\n"), F_SYNTAX, 0, "" },
		{ STR("250-a\r\n550 b\r\n"), F_SYNTAX, 0, "" },
		{ STR("250 a\n"), F_SYNTAX, 0, "" },
		{ STR("250 a\r\nx\r\n"), F_SYNTAX, 1, "250 a" },
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t cut = 0; cut <= cases[i].bytes.n; cut++) {
			struct got *g = parse(cases[i].bytes, cut);
			if (g->f != cases[i].f || g->replies != cases[i].replies || strcmp(g->text, cases[i].last) != 0)
				fail_msg("case %zu cut at %zu: %s, %zu replies, %s", i, cut, fault_name(g->f), g->replies, g->text);
			free(g);
		}
}

static fault fill(size_t lines, size_t length)
{
	char line[REPLY_LINE_MAX + 10];
	struct reply_parser p;
	reply_parser_init(&p);
	memset(line, 'x', sizeof line);
	memcpy(line + length - 2, "\r\n", 2);
	fault f = OK;
	for (size_t i = 1; i <= lines && f == OK; i++) {
		size_t used;
		bool whole;
		memcpy(line, i == lines ? "250 " : "250-", 4);
		f = reply_parser_feed(&p, (struct str){ line, length }, &used, &whole);
		if (f == OK)
			assert_int_equal(whole, i == lines);
	}
	reply_parser_fini(&p);
	return f;
}

static void limits_hold(void **state)
{
	(void)state;
	assert_int_equal(fill(1, REPLY_LINE_MAX), OK);
	assert_int_equal(fill(1, REPLY_LINE_MAX + 1), F_LIMIT);
	assert_int_equal(fill(REPLY_LINES_MAX, 10), OK);
	assert_int_equal(fill(REPLY_LINES_MAX + 1, 10), F_LIMIT);
	/* Text is what follows the code, with a LF between lines. */
	assert_int_equal(fill(16, REPLY_TEXT_MAX / 16 + 6 - 1), OK);
	assert_int_equal(fill(16, REPLY_TEXT_MAX / 16 + 6), F_LIMIT);
}

static void nothing_after_an_error(void **state)
{
	(void)state;
	struct reply_parser p;
	size_t used;
	bool whole;
	reply_parser_init(&p);
	assert_int_equal(reply_parser_feed(&p, STR("oops\r\n"), &used, &whole), F_SYNTAX);
	assert_int_equal(reply_parser_feed(&p, STR("250 Ok\r\n"), &used, &whole), F_STATE);
	assert_false(whole);
	reply_parser_fini(&p);
}

/* One file: the lines are stored with LF; they are CRLF on the wire. */
static void read_real_reply(const char *path)
{
	char stored[8192], wire[16384];
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	size_t n = fread(stored, 1, sizeof stored, f), m = 0;
	(void)fclose(f);
	for (size_t i = 0; i < n; i++) {
		if (stored[i] == '\n' && (m == 0 || wire[m - 1] != '\r'))
			wire[m++] = '\r';
		wire[m++] = stored[i];
	}
	for (size_t cut = 0; cut <= m; cut++) {
		struct got *g = parse((struct str){ wire, m }, cut);
		if (g->f != OK || g->replies == 0)
			fail_msg("%s cut at %zu: %s after %zu replies", path, cut, fault_name(g->f), g->replies);
		free(g);
	}
}

/* Replies as real servers wrote them, where SEALPOST_VECTORS names a folder that has them. */
static void real_replies(void **state)
{
	(void)state;
	const char *vectors = getenv("SEALPOST_VECTORS");
	char folder[2048];
	(void)snprintf(folder, sizeof folder, "%s/smtp-replies-mailkit", vectors != NULL ? vectors : "");
	DIR *d = vectors != NULL ? opendir(folder) : NULL;
	if (d == NULL) {
		print_message("# SEALPOST_VECTORS names no folder with smtp-replies-mailkit: skipped\n");
		return;
	}
	size_t n = 0;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		char path[4096];
		(void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
		if (!str_ends_nocase(str_of(e->d_name), STR(".txt")))
			continue;
		read_real_reply(path);
		n++;
	}
	(void)closedir(d);
	assert_true(n > 0);
	print_message("# %zu recorded replies read\n", n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_read), cmocka_unit_test(limits_hold),
		cmocka_unit_test(nothing_after_an_error),
		cmocka_unit_test(real_replies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
