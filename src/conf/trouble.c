/* SPDX-License-Identifier: ISC */
#include "conf/trouble.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

enum { MESSAGE_MAX = 400, SHOWN_LINE_MAX = 200, SHOWN_WORD_MAX = 60, SLIP_MAX = 40 };

void conf_report_init(struct conf_report *r)
{
	*r = (struct conf_report){ .errors = 0 };
	buf_init(&r->text, CONF_REPORT_BYTES_MAX);
}

void conf_report_fini(struct conf_report *r)
{
	buf_fini(&r->text);
}

void troubles_init(struct troubles *t, struct arena *a, const struct conf_text *texts, size_t n)
{
	*t = (struct troubles){ .arena = a, .texts = texts, .n_texts = n };
}

struct str shown(struct str s)
{
	return str_cut_utf8(s, SHOWN_WORD_MAX);
}

static struct str format(struct arena *a, const char *fmt, va_list args)
{
	char text[MESSAGE_MAX];
	int n = vsnprintf(text, sizeof text, fmt, args);
	size_t length = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
	return arena_copy(a, (struct str){ text, length });
}

static void add(struct troubles *t, struct conf_place at, bool warning, const char *fmt, va_list args)
{
	if (warning)
		t->warnings++;
	else
		t->errors++;
	if (t->items == NULL)
		t->items = ARENA_ARRAY(t->arena, struct trouble, TROUBLES_MAX);
	if (t->n < TROUBLES_MAX)
		t->items[t->n++] = (struct trouble){ at, warning, format(t->arena, fmt, args), STR_NONE };
}

void trouble_error(struct troubles *t, struct conf_place at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	add(t, at, false, fmt, args);
	va_end(args);
}

void trouble_warn(struct troubles *t, struct conf_place at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	add(t, at, true, fmt, args);
	va_end(args);
}

void trouble_expected(struct troubles *t, const char *fmt, ...)
{
	if (t->n == 0 || t->n == TROUBLES_MAX)
		return;
	va_list args;
	va_start(args, fmt);
	t->items[t->n - 1].expected = format(t->arena, fmt, args);
	va_end(args);
}

/* Edits between two words, a swap of neighbours counting as one. */
static size_t distance(struct str a, struct str b)
{
	size_t row[3][SLIP_MAX + 1];
	for (size_t j = 0; j <= b.n; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t *now = row[i % 3], *above = row[(i + 2) % 3], *twice = row[(i + 1) % 3];
		now[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			size_t best = above[j - 1] + (a.p[i - 1] != b.p[j - 1]);
			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
			    twice[j - 2] + 1 < best)
				best = twice[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[a.n % 3][b.n];
}

struct str nearest_word(struct str s, const struct str *known, size_t n)
{
	struct str best = STR_NONE;
	size_t best_distance = s.n <= 3 ? 2 : s.n / 3 + 2;   /* must be below this */
	if (s.n < 2 || s.n > SLIP_MAX)
		return best;
	for (size_t i = 0; i < n; i++) {
		if (known[i].n > SLIP_MAX || known[i].n == 0)
			continue;
		size_t d = distance(s, known[i]);
		if (d < best_distance && d < known[i].n) {
			best_distance = d;
			best = known[i];
		}
	}
	return best;
}

void trouble_near(struct troubles *t, struct str word, const struct str *known, size_t n)
{
	struct str near = nearest_word(word, known, n);
	if (near.n == 0 || t->n == 0 || t->n == TROUBLES_MAX)
		return;
	struct trouble *last = &t->items[t->n - 1];
	char text[MESSAGE_MAX + SHOWN_WORD_MAX];
	int length = snprintf(text, sizeof text, "%.*s; did you mean \"%.*s\"?", STR_ARG(last->message), SHOWN(near));
	check(length > 0 && (size_t)length < sizeof text);
	last->message = arena_copy(t->arena, (struct str){ text, (size_t)length });
}

static unsigned file_rank(const struct troubles *t, const char *file)
{
	unsigned i = 0;
	while (i < t->n_texts && t->texts[i].name.p != file)
		i++;
	return i;
}

/* The collected order settles what stands at one place. */
static bool stands_before(const struct troubles *t, const struct trouble *a, const struct trouble *b)
{
	if (a->warning != b->warning)
		return b->warning;
	unsigned fa = file_rank(t, a->at.file), fb = file_rank(t, b->at.file);
	if (fa != fb)
		return fa < fb;
	if (a->at.line != b->at.line)
		return a->at.line < b->at.line;
	return a->at.column < b->at.column;
}

static void sort(struct troubles *t)
{
	for (size_t i = 1; i < t->n; i++) {
		struct trouble moving = t->items[i];
		size_t j = i;
		for (; j > 0 && stands_before(t, &moving, &t->items[j - 1]); j--)
			t->items[j] = t->items[j - 1];
		t->items[j] = moving;
	}
}

static struct str nth_line(struct str rest, unsigned n)
{
	struct str line = STR_NONE;
	for (unsigned i = 0; i < n; i++) {
		line = STR_NONE;
		if (rest.n == 0)
			break;
		size_t end;
		if (!str_find(rest, '\n', &end))
			end = rest.n;
		line = str_sub(rest, 0, end);
		rest = str_from(rest, end + 1);
	}
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

static struct str line_at(const struct troubles *t, const struct conf_place *at)
{
	unsigned rank = file_rank(t, at->file);
	return rank < t->n_texts ? nth_line(t->texts[rank].text, at->line) : STR_NONE;
}

/* The report's ceiling cuts text, never an error's count. */
static void say(struct conf_report *to, struct str s)
{
	fault cut_off = buf_add(&to->text, s);
	(void)cut_off;
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static void show_line(struct conf_report *to, struct str line, unsigned column)
{
	line = str_cut_utf8(line, SHOWN_LINE_MAX);
	say(to, STR("    "));
	for (size_t i = 0; i < line.n; i++) {
		unsigned char c = (unsigned char)line.p[i];
		say(to, c == '\t' || (c >= ' ' && c != 127) ? str_sub(line, i, 1) : STR("?"));
	}
	say(to, STR("\n"));

	unsigned characters = 0;
	size_t at = 0;
	for (; at < line.n; at++)
		if (!is_continuation(line.p[at]) && ++characters == column)
			break;
	if (column == 0 || characters + (at == line.n) < column)
		return;
	say(to, STR("    "));
	for (size_t i = 0; i < at; i++)
		if (!is_continuation(line.p[i]))
			say(to, line.p[i] == '\t' ? STR("\t") : STR(" "));
	say(to, STR("^\n"));
}

static void tell(struct conf_report *to, const struct conf_place *at, bool warning, struct str line,
                 struct str message, struct str expected)
{
	char head[64];
	say(to, str_of(at->file));
	if (at->line > 0) {
		int n = snprintf(head, sizeof head, ":%u:%u", at->line, at->column);
		say(to, (struct str){ head, (size_t)n });
	}
	say(to, warning ? STR(": warning: ") : STR(": "));
	say(to, message);
	say(to, STR("\n"));
	if (at->line > 0 && line.p != NULL && str_is_utf8(line))
		show_line(to, line, at->column);
	if (expected.n > 0) {
		say(to, STR("  "));
		say(to, expected);
		say(to, STR("\n"));
	}
}

void troubles_tell(struct troubles *t, struct conf_report *to)
{
	sort(t);
	for (size_t i = 0; i < t->n; i++) {
		const struct trouble *x = &t->items[i];
		tell(to, &x->at, x->warning, line_at(t, &x->at), x->message, x->expected);
	}
	to->errors += t->errors;
	to->warnings += t->warnings;
	if (t->errors + t->warnings > t->n)
		say(to, STR("... and more; mend these first\n"));
}

static void report(struct conf_report *to, bool warning, struct conf_place at, struct str line_text, const char *fmt,
                   va_list args)
{
	char text[MESSAGE_MAX];
	int n = vsnprintf(text, sizeof text, fmt, args);
	size_t length = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;

	tell(to, &at, warning, line_text, (struct str){ text, length }, STR_NONE);
	*(warning ? &to->warnings : &to->errors) += 1;
}

void report_line(struct conf_report *to, bool warning, struct conf_place at, struct str line_text, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	report(to, warning, at, line_text, fmt, args);
	va_end(args);
}

void report_at(struct conf_report *to, bool warning, const struct conf_text *texts, size_t n, struct conf_place at,
               const char *fmt, ...)
{
	struct str line = STR_NONE;
	for (size_t i = 0; i < n; i++)
		if (str_eq(texts[i].name, str_of(at.file)))
			line = nth_line(texts[i].text, at.line);
	va_list args;
	va_start(args, fmt);
	report(to, warning, at, line, fmt, args);
	va_end(args);
}
