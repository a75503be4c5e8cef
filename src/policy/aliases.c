/* SPDX-License-Identifier: ISC */
#include "policy/aliases.h"

#include <string.h>

#include "conf/trouble.h"
#include "mail/address.h"

enum { SCRATCH_BYTES = 1 << 20 };

struct reading {
	struct arena *arena, *scratch;  /* scratch: forgotten with each line */
	struct conf_report *report;
	unsigned errors, line_number;
	const char *file;
	struct str line;                /* the physical line */
	struct alias *first, *last;
	size_t n;
	bool open;                      /* last may go on in this line */
};

static struct conf_place place_in(const struct reading *r, const char *at)
{
	struct conf_place place = { r->file, r->line_number, 1 };
	for (const char *p = r->line.p; p < at; p++)
		place.column += ((unsigned char)*p & 0xc0) != 0x80;
	return place;
}

#define COMPLAIN(r, at, ...) \
	(report_line((r)->report, false, place_in((r), (at)), (r)->line, __VA_ARGS__), (void)(r)->errors++)

static void skip_blanks(struct str *rest)
{
	while (str_take_char(rest, ' ') || str_take_char(rest, '\t'))
		;
}

/* The byte after the word that begins s: at a blank or stop character outside quotes. s.n + 1: a quote has no end. */
static size_t word_end(struct str s, const char *stops)
{
	bool quoted = false;
	size_t i = 0;
	for (; i < s.n; i++) {
		if (s.p[i] == '"')
			quoted = !quoted;
		else if (quoted && s.p[i] == '\\')
			i++;
		else if (!quoted && (s.p[i] == ' ' || s.p[i] == '\t' || str_has(str_of(stops), s.p[i])))
			return i;
	}
	return quoted || i > s.n ? s.n + 1 : i;
}

/* A word, without its quotes if all of it is quoted ("od d"@example.org keeps them). False, and told: no end. */
static bool take_token(struct reading *r, struct str *rest, const char *stops, struct str *out)
{
	struct str raw = *rest;
	size_t end = word_end(raw, stops), n = 0;
	if (end > raw.n) {
		COMPLAIN(r, raw.p, "a quote does not end on its line");
		return false;
	}
	raw.n = end;
	*rest = str_from(*rest, end);
	*out = raw;
	size_t close = 1;
	while (close < end && raw.p[close] != '"')
		close += raw.p[close] == '\\' ? 2 : 1;
	if (end < 2 || raw.p[0] != '"' || close != end - 1)
		return true;
	char *text = arena_alloc(r->arena, end);
	for (size_t i = 1; i < end - 1; i++) {
		if (raw.p[i] == '\\')
			i++;
		text[n++] = raw.p[i];
	}
	*out = (struct str){ text, n };
	return true;
}

static bool is_local_part(struct reading *r, struct str name)
{
	struct address address = { .local = name, .domain = STR("x.example") };
	struct str text = address_text(&address, r->scratch);
	return name.n > 0 && address_parse(text, r->scratch, &address) == OK;
}

/* quoted tells "a@b" apart from a@b: only outside quotes does @ part the domain. */
static bool is_name(struct reading *r, struct str name, bool quoted)
{
	struct address address;
	if (!quoted && str_has(name, '@'))
		return address_parse(name, r->scratch, &address) == OK;
	return is_local_part(r, name);
}

static bool value_is_good(struct reading *r, struct str value, bool quoted, const char *at)
{
	struct address address;
	if (value.n == 0)
		COMPLAIN(r, at, "an empty value");
	else if (value.p[0] == '|')
		COMPLAIN(r, at, "mail is never given to a command");
	else if (value.p[0] == '/')
		COMPLAIN(r, at, "mail is never written to a file that an alias names");
	else if (str_starts_nocase(value, STR(":include:")))
		COMPLAIN(r, at, ":include: is not taken: write the names here");
	else if (str_has(value, '@') ? address_parse(value, r->scratch, &address) != OK : !is_name(r, value, quoted))
		COMPLAIN(r, at, "\"%.*s\" is neither a name nor an address", SHOWN(value));
	else
		return true;
	return false;
}

static void add_value(struct reading *r, struct str value, const char *at)
{
	struct alias *alias = r->last;
	if (alias->n == ALIAS_VALUES_MAX) {
		COMPLAIN(r, at, "more than %d values for one name", ALIAS_VALUES_MAX);
		r->open = false;
		return;
	}
	if ((alias->n & (alias->n - 1)) == 0) {
		struct alias_value *more = ARENA_ARRAY(r->arena, struct alias_value, alias->n == 0 ? 1 : 2 * alias->n);
		if (alias->n > 0)
			memcpy(more, alias->values, alias->n * sizeof *more);
		alias->values = more;
	}
	alias->values[alias->n++] = (struct alias_value){ value, place_in(r, at), r->line };
}

static void read_values(struct reading *r, struct str rest)
{
	while (r->open) {
		struct str value;
		skip_blanks(&rest);
		if (rest.n == 0 || rest.p[0] == '#')
			return;
		const char *at = rest.p;
		if (rest.n > 1 && rest.p[0] == '\\')
			rest = str_from(rest, 1);
		const char *word = rest.p;
		if (!take_token(r, &rest, ",", &value)) {
			r->open = false;
			return;
		}
		if (value_is_good(r, value, value.p != word, at))
			add_value(r, value, at);
		skip_blanks(&rest);
		if (!str_take_char(&rest, ',') && rest.n > 0 && rest.p[0] != '#') {
			COMPLAIN(r, rest.p, "expected a comma between values");
			r->open = false;
		}
	}
}

static void read_name(struct reading *r)
{
	struct str rest = r->line, name;
	r->open = false;
	if (!take_token(r, &rest, ":", &name))
		return;
	skip_blanks(&rest);
	const char *after = rest.p;
	if (!str_take_char(&rest, ':')) {
		COMPLAIN(r, after, "expected a colon after the name");
		return;
	}
	if (!is_name(r, name, name.p != r->line.p)) {
		COMPLAIN(r, r->line.p, "\"%.*s\" is not a name", SHOWN(name));
		return;
	}
	if (r->n == ALIASES_MAX) {
		COMPLAIN(r, r->line.p, "more than %d names", ALIASES_MAX);
		return;
	}
	struct alias *alias = ARENA_NEW(r->arena, struct alias);
	alias->name = name;
	alias->at = place_in(r, r->line.p);
	alias->line = r->line;
	if (r->last != NULL)
		r->last->next = alias;
	else
		r->first = alias;
	r->last = alias;
	r->n++;
	r->open = true;
	read_values(r, rest);
}

static void check_has_values(struct reading *r)
{
	for (struct alias *alias = r->first; alias != NULL; alias = alias->next)
		if (alias->n == 0 && r->errors == 0) {
			report_line(r->report, false, alias->at, alias->line, "\"%.*s\" leads nowhere: expected a name or an address after the colon",
			            SHOWN(alias->name));
			r->errors++;
		}
}

struct alias *aliases_parse(struct str path, struct str text, struct arena *a, struct conf_report *report,
                            unsigned *n_errors_out)
{
	struct reading r = { .arena = a, .scratch = arena_new(SCRATCH_BYTES), .report = report,
		                 .file = arena_copy(a, path).p };
	while (str_next_line(&text, &r.line)) {
		r.line_number++;
		arena_reset(r.scratch);
		struct str trimmed = str_trim(r.line);
		if (trimmed.n == 0 || trimmed.p[0] == '#')
			continue;
		if (!str_is_utf8(r.line)) {
			report_line(report, false, place_in(&r, r.line.p), STR_NONE, "this line is not UTF-8 text");
			r.errors++;
			r.open = false;
		} else if (r.line.p[0] != ' ' && r.line.p[0] != '\t') {
			read_name(&r);
		} else if (r.open) {
			read_values(&r, r.line);
		} else if (r.first == NULL) {
			COMPLAIN(&r, trimmed.p, "a line that begins with a blank goes on with the one above, and there is none");
		}
	}
	check_has_values(&r);
	arena_free(&r.scratch);
	*n_errors_out = r.errors;
	return r.first;
}
