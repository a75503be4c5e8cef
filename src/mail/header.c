/* SPDX-License-Identifier: ISC */
#include "mail/header.h"

#include <string.h>

enum { COMMENT_DEPTH_MAX = 16, ADDRESS_TEXT_MAX = 254, LOCAL_MAX = 64 };

/* -- fields -------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The length of a value at the front of s, from after the colon to before the last CRLF. */
static fault value_length(struct str s, size_t *n_out)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n')
			return F_SYNTAX;
		if (s.p[i] != '\r')
			continue;
		if (i + 1 >= s.n || s.p[i + 1] != '\n')
			return F_SYNTAX;
		if (i + 2 < s.n && is_blank(s.p[i + 2])) {
			i++;
			continue;
		}
		*n_out = i;
		return OK;
	}
	return F_SYNTAX;
}

fault header_take(struct str *rest, struct header_field *out)
{
	if (rest->n == 0 || str_take(rest, STR("\r\n")))
		return F_ABSENT;
	size_t name = 0, n;
	while (name < rest->n && rest->p[name] > 32 && rest->p[name] < 127 && rest->p[name] != ':')
		name++;
	size_t colon = name;
	while (colon < rest->n && is_blank(rest->p[colon])) /* RFC 5322 4.5: once there could be blanks here */
		colon++;
	if (name == 0 || colon == rest->n || rest->p[colon] != ':')
		return F_SYNTAX;
	TRY(value_length(str_from(*rest, colon + 1), &n));
	*out = (struct header_field){
		.name = str_sub(*rest, 0, name),
		.value = str_sub(*rest, colon + 1, n),
		.whole = str_sub(*rest, 0, colon + 1 + n + 2),
	};
	*rest = str_from(*rest, out->whole.n);
	return OK;
}

bool header_end(struct str bytes, size_t *length_out)
{
	size_t at;
	if (str_starts(bytes, STR("\r\n"))) {
		*length_out = 2;
		return true;
	}
	if (!str_find_str(bytes, STR("\r\n\r\n"), &at))
		return false;
	*length_out = at + 4;
	return true;
}

/* -- address lists ------------------------------------------------------------------------- */

/* Words that may turn out to be a display name or a local part: what follows them decides. */
struct words {
	size_t count;
	bool is_local;   /* one word, or several with a dot between each two */
	bool after_dot;
	char text[LOCAL_MAX];
	size_t n;        /* over LOCAL_MAX: too long to be a local part */
};

struct list_reader {
	struct str rest;
	struct arena *arena;
	struct address *out;
	size_t max, n;
};

static bool skip_comment(struct str *rest)
{
	size_t depth = 0, i = 0;
	do {
		char c = rest->p[i++];
		if (c == '\\' && i < rest->n)
			i++;
		else if (c == '(' && ++depth > COMMENT_DEPTH_MAX)
			return false;
		else if (c == ')')
			depth--;
	} while (depth > 0 && i < rest->n);
	*rest = str_from(*rest, i);
	return depth == 0;
}

/* Blanks, folding and comments. False: a comment that does not end, or nests too deep. */
static bool skip_blanks(struct str *rest)
{
	while (rest->n > 0) {
		if (memchr(" \t\r\n", rest->p[0], 4) != NULL)
			*rest = str_from(*rest, 1);
		else if (rest->p[0] != '(')
			break;
		else if (!skip_comment(rest))
			return false;
	}
	return true;
}

static void word_add(struct words *w, char c)
{
	if (w->n < LOCAL_MAX)
		w->text[w->n] = c;
	w->n++;
}

static fault take_quoted(struct str *rest, struct words *w)
{
	size_t i = 1;
	for (; i < rest->n && rest->p[i] != '"'; i++) {
		if (rest->p[i] == '\r' || rest->p[i] == '\n')
			continue; /* folding: only the blank after it counts */
		if (rest->p[i] == '\\' && ++i == rest->n)
			return F_SYNTAX;
		word_add(w, rest->p[i]);
	}
	if (i >= rest->n)
		return F_SYNTAX;
	*rest = str_from(*rest, i + 1);
	return OK;
}

static bool is_special(char c)
{
	return memchr("()<>@,;:\" \t\r\n", c, 13) != NULL;
}

/* Words and dots, as far as they go. A display name is taken as people write it, dots and brackets
 * included. */
static fault take_words(struct str *rest, struct words *w)
{
	*w = (struct words){ .is_local = true, .after_dot = true };
	for (;;) {
		if (!skip_blanks(rest))
			return F_SYNTAX;
		if (rest->n == 0 || (is_special(rest->p[0]) && rest->p[0] != '"'))
			break;
		if (rest->p[0] == '.') {
			w->is_local = w->is_local && !w->after_dot;
			w->after_dot = true;
			word_add(w, '.');
			*rest = str_from(*rest, 1);
			continue;
		}
		w->is_local = w->is_local && w->after_dot;
		w->after_dot = false;
		w->count++;
		if (rest->p[0] == '"') {
			TRY(take_quoted(rest, w));
			continue;
		}
		while (rest->n > 0 && !is_special(rest->p[0]) && rest->p[0] != '.') {
			w->is_local = w->is_local && memchr("[]\\", rest->p[0], 3) == NULL;
			word_add(w, rest->p[0]);
			*rest = str_from(*rest, 1);
		}
	}
	w->is_local = w->is_local && !w->after_dot && w->n <= LOCAL_MAX;
	return OK;
}

static fault take_domain(struct str *rest, struct buf *out)
{
	if (!skip_blanks(rest))
		return F_SYNTAX;
	if (rest->n > 0 && rest->p[0] == '[') {
		size_t end;
		if (!str_find(*rest, ']', &end))
			return F_SYNTAX;
		TRY(buf_add(out, str_sub(*rest, 0, end + 1)));
		*rest = str_from(*rest, end + 1);
		return skip_blanks(rest) ? OK : F_SYNTAX;
	}
	for (;;) {
		size_t n = 0;
		while (n < rest->n && !is_special(rest->p[n]) && rest->p[n] != '.')
			n++;
		TRY(n > 0 ? buf_add(out, str_sub(*rest, 0, n)) : F_SYNTAX);
		*rest = str_from(*rest, n);
		if (!skip_blanks(rest))
			return F_SYNTAX;
		if (!str_take_char(rest, '.'))
			return OK;
		TRY(buf_add_char(out, '.'));
		if (!skip_blanks(rest))
			return F_SYNTAX;
	}
}

/* The words just read, with what follows: "@domain", or nothing: a bare name. */
static fault finish_address(struct list_reader *r, const struct words *w, struct address *out)
{
	bool bare = !str_take_char(&r->rest, '@');
	if (!w->is_local || (bare && w->n == 0))
		return F_SYNTAX;
	struct address raw = { .local = { w->text, w->n }, .domain = STR("x") };
	struct buf text;
	buf_init(&text, 2 * ADDRESS_TEXT_MAX);
	fault f = address_put(&text, &raw);
	if (!bare && f == OK) {
		buf_cut(&text, buf_view(&text).n - 1);
		f = take_domain(&r->rest, &text);
	}
	if (f == OK)
		f = address_parse(buf_view(&text), r->arena, out);
	if (f == OK && bare)
		out->domain = STR_NONE;
	buf_fini(&text);
	return f;
}

static fault take_angle(struct list_reader *r, struct address *out)
{
	struct words w;
	r->rest = str_from(r->rest, 1);
	TRY(take_words(&r->rest, &w));
	TRY(finish_address(r, &w, out));
	return str_take_char(&r->rest, '>') ? OK : F_SYNTAX;
}

static bool next_is(const struct list_reader *r, char c)
{
	return r->rest.n > 0 && r->rest.p[0] == c;
}

static void keep(struct list_reader *r, const struct address *address)
{
	if (r->n < r->max)
		r->out[r->n] = *address;
	r->n++;
}

/* One mailbox, or the name that opens a group. */
static fault take_entry(struct list_reader *r, bool *in_group)
{
	struct words w;
	struct address first, second;
	TRY(take_words(&r->rest, &w));
	if (next_is(r, ':')) {
		if (*in_group || w.count == 0)
			return F_SYNTAX;
		*in_group = true;
		r->rest = str_from(r->rest, 1);
		return OK;
	}
	if (next_is(r, '<')) {
		TRY(take_angle(r, &first));
		keep(r, &first);
		return OK;
	}
	TRY(finish_address(r, &w, &first));
	/* "a@b <a@b>" is written by many programs that do not quote; with two addresses it is a trap. */
	if (next_is(r, '<')) {
		TRY(take_angle(r, &second));
		if (!address_equal(&first, &second))
			return F_SYNTAX;
	}
	keep(r, &first);
	return OK;
}

static fault read_list(struct list_reader *r)
{
	bool in_group = false, need_comma = false;
	for (;;) {
		if (!skip_blanks(&r->rest))
			return F_SYNTAX;
		if (r->rest.n == 0)
			return OK; /* also "undisclosed-recipients:" without its end */
		if (str_take_char(&r->rest, ',')) {
			need_comma = false;
		} else if (in_group && str_take_char(&r->rest, ';')) {
			in_group = false;
			need_comma = true;
		} else {
			bool before = in_group;
			if (need_comma)
				return F_SYNTAX;
			TRY(take_entry(r, &in_group));
			need_comma = in_group == before;
		}
	}
}

fault header_addresses(struct str value, struct arena *a, struct address *out, size_t max, size_t *n_out)
{
	struct list_reader r = { .rest = value, .arena = a, .out = out, .max = max };
	TRY(read_list(&r));
	*n_out = r.n;
	return OK;
}
