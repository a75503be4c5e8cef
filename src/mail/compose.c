/* SPDX-License-Identifier: ISC */
#include "mail/compose.h"

#include "base/base64.h"

enum { TEXT_LINE_MAX = 990, FULL_NAME_MAX = 60, LIST_MAX = 10000 };

static bool is_utf8_middle(char c)
{
	return ((unsigned char)c & 0xC0) == 0x80;
}

/* -- lines ----------------------------------------------------------------------------------- */

/* One line, broken where it is too long; `glue` begins each further piece. NUL is dropped. */
static fault put_line(struct buf *out, struct str line, struct str glue)
{
	size_t column = 0;
	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == '\0')
			continue;
		if (column >= TEXT_LINE_MAX && !is_utf8_middle(line.p[i])) {
			TRY(buf_add(out, STR("\r\n")));
			TRY(buf_add(out, glue));
			column = glue.n;
		}
		TRY(buf_add_char(out, line.p[i]));
		column++;
	}
	return buf_add(out, STR("\r\n"));
}

/* A line of text: a CR inside, as progress bars print it, begins a new one. */
static fault put_text_line(struct buf *out, struct str line)
{
	struct str part;
	while (str_take_until(&line, '\r', &part))
		TRY(put_line(out, part, STR("")));
	return put_line(out, line, STR(""));
}

static fault put_header_line(struct buf *out, struct str line)
{
	size_t before = buf_view(out).n;
	TRY(put_line(out, line, STR(" ")));
	for (char *p = out->base + out->head + before; p < out->base + out->tail - 2; p++)
		if (*p == '\r' && p[1] != '\n')
			*p = ' ';
	return OK;
}

static bool next_line(struct str *rest, struct str *line)
{
	if (rest->n == 0)
		return false;
	if (!str_take_until(rest, '\n', line)) {
		*line = *rest;
		*rest = STR_NONE;
	}
	while (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return true;
}

static bool begins_field(struct str line)
{
	size_t n = 0;
	while (n < line.n && line.p[n] > 32 && line.p[n] < 127 && line.p[n] != ':')
		n++;
	return n > 0 && n < line.n && line.p[n] == ':';
}

static bool continues_field(struct str line)
{
	return line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t');
}

/* The header lines at the front of *raw, ended by CRLF. The empty line after them is consumed. */
static fault take_head(struct str *raw, bool dot_ends, struct buf *head)
{
	struct str rest = *raw, line;
	if (str_starts(rest, STR("From ")) && next_line(&rest, &line)) /* a mailbox file's separator */
		*raw = rest;
	while (next_line(&rest, &line)) {
		if (line.n == 0) {
			*raw = rest;
			return OK;
		}
		if ((dot_ends && str_eq(line, STR("."))) ||
		    (!begins_field(line) && !(continues_field(line) && buf_view(head).n > 0)))
			return OK;
		TRY(put_header_line(head, line));
		*raw = rest;
	}
	return OK;
}

static fault put_body(struct buf *out, struct str raw, bool dot_ends)
{
	struct str line;
	while (next_line(&raw, &line)) {
		if (dot_ends && str_eq(line, STR(".")))
			break;
		TRY(put_text_line(out, line));
	}
	return OK;
}

/* -- addresses ------------------------------------------------------------------------------- */

static fault add_recipient(const struct address *found, struct str origin, struct arena *a, struct recipients *rcpts)
{
	struct address address = *found;
	if (address.domain.n == 0)
		TRY(domain_to_ascii(origin, a, &address.domain));
	struct str text = address_text(&address, a);
	if (text.p == NULL)
		return F_LIMIT;
	for (size_t i = 0; i < rcpts->n; i++)
		if (str_eq(rcpts->items[i], text))
			return OK;
	if (rcpts->n == rcpts->max)
		return F_LIMIT;
	rcpts->items[rcpts->n++] = text;
	return OK;
}

fault compose_recipients(struct str list, struct str origin, struct arena *a, struct recipients *rcpts)
{
	size_t n, counted = 0;
	TRY(header_addresses(list, a, NULL, 0, &n));
	if (n > LIST_MAX)
		return F_LIMIT;
	struct address *found = arena_try_alloc(a, (n + 1) * sizeof *found);
	if (found == NULL)
		return F_LIMIT;
	TRY(header_addresses(list, a, found, n, &counted));
	for (size_t i = 0; i < n; i++)
		TRY(add_recipient(&found[i], origin, a, rcpts));
	return OK;
}

/* One entry of an address list: where its name ends, if it is a bare one. */
struct entry { size_t start, name_end; bool any, at, quoted, literal; unsigned depth; };

static fault put_entry(struct buf *out, struct str value, const struct entry *e, size_t end, struct str origin)
{
	if (!e->any || e->at)
		return buf_add(out, str_sub(value, e->start, end - e->start));
	TRY(buf_add(out, str_sub(value, e->start, e->name_end - e->start)));
	TRY(buf_add_char(out, '@'));
	TRY(buf_add(out, origin));
	return buf_add(out, str_sub(value, e->name_end, end - e->name_end));
}

/* What one sign means for the entry. True: the entry ends before it. */
static bool entry_step(struct entry *e, struct str value, size_t *i)
{
	char c = value.p[*i];
	if (c == '\\' && (e->quoted || e->depth > 0)) {
		++*i;
	} else if (e->quoted) {
		e->quoted = c != '"';
		e->name_end = *i + 1;
	} else if (c == '(') {
		e->depth++;
	} else if (e->depth > 0) {
		e->depth -= c == ')';
	} else if (e->literal || (e->at && c == '[')) {
		e->literal = c != ']';
	} else if (c == ',' || c == ';' || c == ':') {
		return true;
	} else if (c == '@') {
		e->at = true;
	} else if (c != '>' && c != ' ' && c != '\t' && c != '\r' && c != '\n') {
		e->quoted = c == '"';
		e->any = true;
		e->name_end = *i + 1;
	}
	return false;
}

/* An address list as it stands, but "root" becomes "root@origin". What is no list stays as it is. */
static fault put_completed(struct buf *out, struct str value, struct str origin, struct arena *a)
{
	size_t n;
	if (header_addresses(value, a, NULL, 0, &n) != OK)
		return buf_add(out, value);
	struct entry e = { .start = 0 };
	for (size_t i = 0; i < value.n; i++) {
		if (!entry_step(&e, value, &i))
			continue;
		if (value.p[i] == ':') /* a group's name is no address */
			e.at = true;
		TRY(put_entry(out, value, &e, i, origin));
		TRY(buf_add_char(out, value.p[i]));
		e = (struct entry){ .start = i + 1 };
	}
	return put_entry(out, value, &e, value.n, origin);
}

/* -- headers ----------------------------------------------------------------------------------- */

static bool is_one_of(struct str name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (str_eq_nocase(name, str_of(*names)))
			return true;
	return false;
}

static const char *const blind[] = { "Bcc", "Resent-Bcc", NULL };
static const char *const receivers[] = { "To", "Cc", "Bcc", NULL };
static const char *const resent_receivers[] = { "Resent-To", "Resent-Cc", "Resent-Bcc", NULL };
static const char *const completed[] = { "From", "Sender", "Reply-To", "To", "Cc", "Resent-From", "Resent-Sender",
                                         "Resent-To", "Resent-Cc", NULL };

static fault take_recipients(struct str head, struct str origin, struct arena *a, struct recipients *rcpts,
                             struct why *why)
{
	struct header_field f;
	bool resent = false;
	for (struct str rest = head; header_take(&rest, &f) == OK;)
		resent = resent || is_one_of(f.name, resent_receivers);
	for (struct str rest = head; header_take(&rest, &f) == OK;) {
		if (!is_one_of(f.name, resent ? resent_receivers : receivers))
			continue;
		fault got = compose_recipients(f.value, origin, a, rcpts);
		if (got == F_LIMIT)
			return why_say(why, got, "too many recipients, or one that is too long, in %.*s", STR_ARG(f.name));
		if (got != OK)
			return why_say(why, got, "the header %.*s is no list of addresses", STR_ARG(f.name));
	}
	return OK;
}

/* A display name as a quoted string, or an encoded word (RFC 2047 4.1) where it is not ASCII. */
static fault put_name(struct buf *out, struct str name)
{
	name = str_sub(name, 0, FULL_NAME_MAX);
	while (name.n > 0 && !str_is_utf8(name)) /* cut inside a letter, or never UTF-8 */
		name.n--;
	if (name.n == 0)
		return OK;
	if (!str_is_ascii(name)) {
		name = str_sub(name, 0, 42); /* 75 at most for the whole word */
		while (!str_is_utf8(name))
			name.n--;
		TRY(buf_add(out, STR("=?utf-8?B?")));
		TRY(base64_put(out, name));
		return buf_add(out, STR("?= "));
	}
	TRY(buf_add_char(out, '"'));
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '"' || name.p[i] == '\\')
			TRY(buf_add_char(out, '\\'));
		TRY(buf_add_char(out, name.p[i]));
	}
	return buf_add(out, STR("\" "));
}

static fault put_from(struct buf *out, const struct compose_options *o)
{
	TRY(buf_add(out, STR("From: ")));
	TRY(put_name(out, o->full_name));
	TRY(buf_add_char(out, '<'));
	TRY(buf_add(out, o->from));
	return buf_add(out, STR(">\r\n"));
}

static fault put_head(struct buf *out, struct str head, const struct compose_options *o, struct arena *a)
{
	struct header_field f;
	bool has_from = false;
	while (header_take(&head, &f) == OK) {
		has_from = has_from || str_eq_nocase(f.name, STR("From"));
		if (o->take_recipients && is_one_of(f.name, blind))
			continue;
		if (!is_one_of(f.name, completed)) {
			TRY(buf_add(out, f.whole));
			continue;
		}
		TRY(buf_add(out, f.name));
		TRY(buf_add_char(out, ':'));
		TRY(put_completed(out, f.value, o->origin, a));
		TRY(buf_add(out, STR("\r\n")));
	}
	return has_from || o->from.n == 0 ? OK : put_from(out, o);
}

fault compose_message(struct str raw, const struct compose_options *options, struct arena *a, struct buf *out,
                      struct recipients *rcpts, struct why *why)
{
	struct buf head;
	buf_init(&head, HEADER_BYTES_MAX);
	fault f = take_head(&raw, options->dot_ends, &head);
	if (f == F_LIMIT)
		(void)why_say(why, f, "the headers are longer than %d bytes", HEADER_BYTES_MAX);
	if (f == OK && options->take_recipients)
		f = take_recipients(buf_view(&head), options->origin, a, rcpts, why);
	if (f == OK) {
		f = put_head(out, buf_view(&head), options, a);
		if (f == OK)
			f = buf_add(out, STR("\r\n"));
		if (f == OK)
			f = put_body(out, raw, options->dot_ends);
		if (f == F_LIMIT)
			(void)why_say(why, f, "the message is too large");
	}
	buf_fini(&head);
	return f;
}
