/* SPDX-License-Identifier: ISC */
#include "policy/users.h"

#include "conf/trouble.h"
#include "mail/address.h"
#include "policy/aliases.h"

enum { SCRATCH_BYTES = 1 << 20 };

struct reading {
	struct arena *arena, *scratch;   /* scratch: forgotten with each line */
	struct conf_report *report;
	const char *file;
	unsigned line_number, errors;
	struct user_line *first, *last;
	size_t n;
};

static void complain(struct reading *r, const char *what)
{
	report_line(r->report, false, (struct conf_place){ r->file, r->line_number, 1 }, STR_NONE, "%s", what);
	r->errors++;
}

static bool name_is_good(struct reading *r, struct str name, bool is_address)
{
	struct address address = { .local = name, .domain = STR("x.example") };
	return address_parse(is_address ? name : address_text(&address, r->scratch), r->scratch, &address) == OK;
}

static void add_line(struct reading *r, struct str name, struct str credential)
{
	bool is_address = str_has(name, '@');
	if (name.n == 0 || !str_is_utf8(name) || !name_is_good(r, name, is_address)) {
		complain(r, "this line's name is neither a local part nor an address");
		return;
	}
	if (r->n == USERS_MAX) {
		complain(r, "too many lines");
		return;
	}
	struct user_line *line = ARENA_NEW(r->arena, struct user_line);
	*line = (struct user_line){ name, credential, is_address, { r->file, r->line_number, 1 }, NULL };
	if (r->last != NULL)
		r->last->next = line;
	else
		r->first = line;
	r->last = line;
	r->n++;
}

static bool is_credential(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return (s.n > 4 && s.p[0] == '$') || str_starts(s, STR("SCRAM-SHA-256$"));
}

static void read_user(struct reading *r, struct str line)
{
	struct str credential = line, name;
	if (!str_take_until(&credential, ':', &name))
		complain(r, "expected name:credential, as `sealpost passwd NAME` prints it");
	else if (!is_credential(credential))
		complain(r, "this credential is of no known form; `sealpost passwd NAME` makes one");
	else
		add_line(r, name, credential);
}

static void begin(struct reading *r, struct str path, struct arena *a, struct conf_report *report)
{
	*r = (struct reading){ .arena = a, .scratch = arena_new(SCRATCH_BYTES), .report = report,
		               .file = arena_copy(a, path).p };
}

/* The next line that says something, without the blanks around it. */
static bool next_line(struct reading *r, struct str *text, struct str *out)
{
	while (str_next_line(text, out)) {
		r->line_number++;
		arena_reset(r->scratch);
		*out = str_trim(*out);
		if (out->n > 0 && out->p[0] != '#')
			return true;
	}
	return false;
}

static struct user_line *end(struct reading *r, unsigned *n_errors_out)
{
	arena_free(&r->scratch);
	*n_errors_out = r->errors;
	return r->first;
}

struct user_line *users_parse(struct str path, struct str text, struct arena *a, struct conf_report *report,
                              unsigned *n_errors_out)
{
	struct reading r;
	struct str line;
	begin(&r, path, a, report);
	while (next_line(&r, &text, &line))
		read_user(&r, line);
	return end(&r, n_errors_out);
}

struct user_line *recipients_parse(struct str path, struct str text, struct arena *a, struct conf_report *report,
                                   unsigned *n_errors_out)
{
	struct reading r;
	struct str line;
	begin(&r, path, a, report);
	while (next_line(&r, &text, &line))
		add_line(&r, line, STR_NONE);
	return end(&r, n_errors_out);
}
