/* SPDX-License-Identifier: ISC */
#include "conf/tree.h"

#include <string.h>

enum { FIRST_WORDS = 4 };

struct scan {
	struct troubles *troubles;
	struct node *into;        /* the block that is open */
	unsigned depth;
	const char *file;
	unsigned line;
};

/* A word of the line: places, in bytes and characters. */
struct cursor { struct str line; size_t at; unsigned column; };

static struct conf_place place_of(const struct scan *s, unsigned column)
{
	return (struct conf_place){ s->file, s->line, column };
}

static void advance(struct cursor *c, size_t n)
{
	for (size_t end = c->at + n; c->at < end; c->at++)
		if (((unsigned char)c->line.p[c->at] & 0xc0) != 0x80)
			c->column++;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool take_quoted(struct scan *s, struct cursor *c, struct word *out)
{
	struct str rest = str_from(c->line, c->at + 1);
	size_t end = 0;
	while (end < rest.n && rest.p[end] != '"')
		end += rest.p[end] == '\\' ? 2 : 1;
	if (end >= rest.n) {
		trouble_error(s->troubles, out->at, "the quoted word does not end on its line");
		trouble_expected(s->troubles, "expected another \"");
		return false;
	}
	char *text = arena_alloc(s->troubles->arena, end + 1);
	size_t n = 0;
	for (size_t i = 0; i < end; i++) {
		if (rest.p[i] == '\\') {
			if (i + 1 < rest.n && (rest.p[i + 1] == '"' || rest.p[i + 1] == '\\')) {
				i++;
			} else {
				struct cursor there = *c;
				advance(&there, i + 1);
				trouble_error(s->troubles, place_of(s, there.column), "unknown escape in a quoted word");
				trouble_expected(s->troubles, "expected \\\" or \\\\");
			}
		}
		text[n++] = rest.p[i];
	}
	out->text = (struct str){ text, n };
	advance(c, end + 2);
	if (c->at < c->line.n && !is_blank(c->line.p[c->at])) {
		trouble_error(s->troubles, place_of(s, c->column), "text follows a quoted word at once");
		trouble_expected(s->troubles, "expected a blank after the \"");
		return false;
	}
	return true;
}

static void add_word(struct scan *s, struct node *node, struct word w)
{
	size_t n = node->n_words;
	if (n == 0 || (n >= FIRST_WORDS && (n & (n - 1)) == 0)) {
		struct word *more = ARENA_ARRAY(s->troubles->arena, struct word, n == 0 ? FIRST_WORDS : 2 * n);
		if (n > 0)
			memcpy(more, node->words, n * sizeof *more);
		node->words = more;
	}
	node->words[node->n_words++] = w;
}

enum brace { BRACE_NONE, BRACE_OPEN, BRACE_CLOSE, BRACE_BOTH /* on one line: told, and taken as an empty block */ };

/* The words of one line into node. False: the line is of no use. */
static bool scan_words(struct scan *s, struct cursor *c, struct node *node, enum brace *brace_out,
                       struct conf_place *brace_at)
{
	*brace_out = BRACE_NONE;
	for (;;) {
		while (c->at < c->line.n && is_blank(c->line.p[c->at]))
			advance(c, 1);
		if (c->at == c->line.n || c->line.p[c->at] == '#')
			return true;

		struct word w = { .at = place_of(s, c->column) };
		if (*brace_out != BRACE_NONE) {
			trouble_error(s->troubles, w.at, "text after %c", *brace_out == BRACE_OPEN ? '{' : '}');
			trouble_expected(s->troubles, "expected the next directive on a line of its own");
			if (*brace_out == BRACE_OPEN && c->line.p[c->line.n - 1] == '}')
				*brace_out = BRACE_BOTH;
			return true;
		}
		if (c->line.p[c->at] == '"') {
			if (!take_quoted(s, c, &w))
				return false;
			add_word(s, node, w);
			continue;
		}
		size_t end = c->at;
		while (end < c->line.n && !is_blank(c->line.p[end]))
			end++;
		w.text = str_sub(c->line, c->at, end - c->at);
		advance(c, w.text.n);
		if (str_eq(w.text, STR("{")) || str_eq(w.text, STR("}"))) {
			*brace_out = w.text.p[0] == '{' ? BRACE_OPEN : BRACE_CLOSE;
			*brace_at = w.at;
		} else {
			add_word(s, node, w);
		}
	}
}

/* `listen mx{`: what was meant is plain, and going on as if saves a row of errors that follow from it. */
static void mend_glued_brace(struct scan *s, struct node *node, enum brace *brace, struct conf_place *at)
{
	if (*brace != BRACE_NONE || node->n_words == 0)
		return;
	struct word *last = &node->words[node->n_words - 1];
	if (last->text.n < 2 || last->text.p[last->text.n - 1] != '{' || str_has(last->text, '}'))
		return;
	trouble_error(s->troubles, last->at, "the { is part of the word \"%.*s\"", SHOWN(last->text));
	trouble_expected(s->troubles, "expected a blank before the {");
	last->text.n--;
	*brace = BRACE_OPEN;
	*at = last->at;
}

static void append(struct node *parent, struct node *node)
{
	node->parent = parent;
	if (parent->last != NULL)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
}

static void close_block(struct scan *s, struct conf_place at)
{
	if (s->into->parent == NULL) {
		trouble_error(s->troubles, at, "this } closes nothing");
		return;
	}
	s->into = s->into->parent;
	s->depth--;
}

static void scan_line(struct scan *s, struct str line)
{
	struct str trimmed = str_trim(line);
	if (trimmed.n == 0 || trimmed.p[0] == '#')
		return;
	struct node *node = ARENA_NEW(s->troubles->arena, struct node);
	struct cursor c = { line, 0, 1 };
	enum brace brace;
	struct conf_place at = place_of(s, 1);
	if (!scan_words(s, &c, node, &brace, &at))
		return;
	mend_glued_brace(s, node, &brace, &at);

	if (brace == BRACE_CLOSE) {
		if (node->n_words > 0) {
			trouble_error(s->troubles, at, "a } stands on a line of its own");
			append(s->into, node);
		}
		close_block(s, at);
		return;
	}
	if (brace != BRACE_NONE && node->n_words == 0) {
		trouble_error(s->troubles, at, "a { on a line of its own");
		trouble_expected(s->troubles, "expected the { at the end of its directive's line");
		if (s->into->last != NULL && !s->into->last->block)
			node = s->into->last;
		else
			add_word(s, node, (struct word){ STR("{"), at });
	}
	if (node->n_words == 0)
		return;
	if (node != s->into->last)
		append(s->into, node);
	node->block = brace != BRACE_NONE;
	if (brace != BRACE_OPEN)
		return;
	if (s->depth == CONF_DEPTH_MAX) {
		trouble_error(s->troubles, at, "blocks may nest %d deep at most", CONF_DEPTH_MAX);
		return;
	}
	s->into = node;
	s->depth++;
}

/* False, and told: bytes that no text has. */
static bool line_is_text(struct scan *s, struct str line)
{
	if (!str_is_utf8(line)) {
		trouble_error(s->troubles, place_of(s, 1), "this line is not UTF-8 text");
		return false;
	}
	struct cursor c = { line, 0, 1 };
	for (; c.at < line.n; advance(&c, 1)) {
		unsigned char byte = (unsigned char)line.p[c.at];
		if ((byte < ' ' && byte != '\t') || byte == 127) {
			trouble_error(s->troubles, place_of(s, c.column), "a control character (0x%02x)", byte);
			return false;
		}
	}
	return true;
}

struct node *tree_parse(const struct conf_text *text, struct troubles *t)
{
	struct node *root = ARENA_NEW(t->arena, struct node);
	struct scan s = { .troubles = t, .into = root, .file = text->name.p };
	struct str rest = text->text;
	if (rest.n >= 3 && memcmp(rest.p, "\xef\xbb\xbf", 3) == 0)
		rest = str_from(rest, 3);
	while (rest.n > 0) {
		size_t end;
		if (!str_find(rest, '\n', &end))
			end = rest.n;
		struct str line = str_sub(rest, 0, end);
		rest = str_from(rest, end + 1);
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		s.line++;
		if (line_is_text(&s, line))
			scan_line(&s, line);
	}
	for (; s.into->parent != NULL; s.into = s.into->parent) {
		trouble_error(t, s.into->words[0].at, "the block of \"%.*s\" is not closed", SHOWN(s.into->words[0].text));
		trouble_expected(t, "expected a } before the end of the file");
	}
	return root;
}
