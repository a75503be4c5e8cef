/* SPDX-License-Identifier: ISC */
/* cmd/queue/request.c -- the words after `sealpost queue`: what is to be done, with what; and what was meant where they say neither. */
#include "cmd/queue/parts.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cmd/arguments.h"
#include "cmd/command.h"
#include "cmd/other_words.h"
#include "conf/trouble.h"
#include "conf/value.h"
#include "mail/address.h"

static const struct { const char *name; enum control_verb verb; bool needs_which; } verbs[] = {
	{ "list", CONTROL_LIST, false },     { "show", CONTROL_SHOW, true },      { "retry", CONTROL_RETRY, false },
	{ "hold", CONTROL_HOLD, true },      { "release", CONTROL_RELEASE, true }, { "bounce", CONTROL_BOUNCE, true },
	{ "remove", CONTROL_REMOVE, true },  { "verify", CONTROL_VERIFY, false },
};

/* "-" begins no domain and no age; an address or a user's name it may. */
enum { TO, FROM, USER, DOMAIN, OLDER };
static const struct { const char *name; bool may_dash; } selectors[] = {
	[TO] = { "--to", true },          [FROM] = { "--from", true },   [USER] = { "--user", true },
	[DOMAIN] = { "--domain", false }, [OLDER] = { "--older", false },
};

struct words {
	struct queue_request *q;
	unsigned n;                      /* words that are no options */
	const char *verb, *value[COUNT(selectors)];
	struct why wrong;
};

static fault no(struct words *w, const char *fmt, const char *what) __attribute__((format(printf, 2, 0)));
static fault no(struct words *w, const char *fmt, const char *what)
{
	return why_say(&w->wrong, F_SYNTAX, fmt, what);
}

/* ---- selectors ---- */

/* As it stands behind the "@" of a recipient. */
static bool may_be_domain(struct str text)
{
	struct arena *a = arena_new(64 << 10);
	struct str ascii;
	bool is_one = text.n == 0 || text.p[0] == '[' || domain_to_ascii(text, a, &ascii) == OK;
	arena_free(&a);
	return is_one;
}

/* It is no domain; was one meant? */
static fault judge_domain(struct words *w, const char *domain)
{
	if (domain[0] == '@' && domain[1] != '\0')
		return no(w, "a domain has no \"@\": did you mean --domain %.200s?", domain + 1);
	if (strchr(domain, '*') != NULL)
		return no(w, "\"%.200s\": patterns are not known here, --domain is one domain; `sealpost queue list --by domain` shows them all", domain);
	if (strchr(domain, '@') != NULL)
		return no(w, "\"%.200s\" is no domain: for an address there are --to and --from", domain);
	return may_be_domain(argument_domain(str_of(domain))) ? OK : no(w, "\"%.200s\" is no domain, and no mail can be for it", domain);
}

static fault judge_recipient(struct words *w, const char *address)
{
	const char *at = strrchr(address, '@');
	if (at == address || (at == address + 1 && address[0] == '*'))
		return no(w, "for all recipients of a domain: --domain %.200s", at + 1);
	return at == NULL && strchr(address, '.') != NULL ? no(w, "--to wants an address; did you mean --domain %.200s?", address) : OK;
}

static fault set_selector(struct words *w, size_t which, const char *value)
{
	struct control_request *r = &w->q->request;
	int64_t older_s;
	if (w->value[which] != NULL)
		return no(w, "%s is given twice: the first would not count. One at a time, please", selectors[which].name);
	w->value[which] = value;
	switch (which) {
	case TO:
		r->to = str_of(value);
		return judge_recipient(w, value);
	case FROM:
		r->from = value[0] != '\0' ? str_of(value) : STR("<>");
		return OK;
	case USER:
		r->user = str_of(value);
		return OK;
	case DOMAIN:
		r->domain = argument_domain(str_of(value));
		return judge_domain(w, value);
	default:
		if (!value_duration(str_of(value), &older_s))
			return no(w, "--older wants an age, such as 90s, 15m, 4h or 2d, not \"%.100s\"", value);
		if (older_s == 0)
			return no(w, "--older %.100s would select everything, for which there is --all", value);
		r->older_s = (uint64_t)older_s;
		return OK;
	}
}

/* An empty --to, --user or --domain would select everything. */
static bool is_empty(const struct words *w, size_t which)
{
	return w->value[which] != NULL && w->value[which][0] == '\0' && which != FROM;
}

/* ---- words ---- */

const char *queue_verb_name(uint64_t verb)
{
	for (size_t i = 0; i < COUNT(verbs); i++)
		if ((uint64_t)verbs[i].verb == verb)
			return verbs[i].name;
	return "";
}

static struct str nearest_verb(const char *word)
{
	struct str known[COUNT(verbs) + 1];
	for (size_t i = 0; i < COUNT(verbs); i++)
		known[i] = str_of(verbs[i].name);
	known[COUNT(verbs)] = STR("backup");
	return nearest_word(str_of(word), known, COUNT(known));
}

static fault take_verb(struct words *w, const char *word)
{
	const char *ours = words_for(word);
	struct str near = ours != NULL ? str_of(ours) : nearest_verb(word);
	w->verb = word;
	if (strcmp(word, "backup") == 0) {
		w->q->backup = true;
		return OK;
	}
	for (size_t i = 0; i < COUNT(verbs); i++)
		if (strcmp(word, verbs[i].name) == 0) {
			w->q->request.verb = (uint64_t)verbs[i].verb;
			return OK;
		}
	if (near.n > 0)
		return why_say(&w->wrong, F_SYNTAX, "there is no \"%.100s\"; did you mean \"%.*s\"?", word, STR_ARG(near));
	return no(w, "there is no \"%.100s\": list, show, retry, hold, release, bounce, remove, verify and backup are", word);
}

/* An ID is letters and digits: with an "@", a dot or a "*" something else was meant. */
static fault take_id(struct words *w, const char *word)
{
	const char *at = strrchr(word, '@');
	w->q->request.id = str_of(word);
	if (w->q->backup)
		return OK;
	if (word[0] == '\0')
		return why_say(&w->wrong, F_SYNTAX, "the ID is empty, and would select everything, for which there is --all");
	if (at == word || (at == NULL && strchr(word, '.') != NULL && strchr(word, '*') == NULL))
		return why_say(&w->wrong, F_SYNTAX, "\"%.100s\" is no ID; did you mean --domain %.200s?", word, at == word ? word + 1 : word);
	if (strchr(word, '*') != NULL)
		return no(w, "\"%.100s\" is no ID, and patterns are not known: --domain is one domain; `sealpost queue list --by domain` shows them all",
		          word);
	if (at != NULL)
		return no(w, "\"%.200s\" is no ID; did you mean it with --to, or with --from?", word);
	return w->q->request.verb == CONTROL_VERIFY || argument_is_id(word, &w->wrong) ? OK : F_SYNTAX; /* that takes none */
}

static fault take_word(struct words *w, const char *word)
{
	switch (++w->n) {
	case 1:
		return take_verb(w, word);
	case 2:
		return take_id(w, word);
	default:
		return no(w, "\"%.100s\" is one word too many: one ID at a time, or selectors (--to, --from, --user, --domain, --older)", word);
	}
}

static fault no_such_option(struct words *w, const char *option)
{
	static const char *const others[] = { "--by", "--body", "--all", "--json", "--help" };
	struct str known[COUNT(selectors) + COUNT(others)], near;
	for (size_t i = 0; i < COUNT(selectors); i++)
		known[i] = str_of(selectors[i].name);
	for (size_t i = 0; i < COUNT(others); i++)
		known[COUNT(selectors) + i] = str_of(others[i]);
	near = nearest_word(str_of(option), known, COUNT(known));
	if (near.n > 0)
		return why_say(&w->wrong, F_SYNTAX, "there is no option %.100s; did you mean %.*s?", option, STR_ARG(near));
	return no(w, "there is no option %.100s: --to, --from, --user, --domain, --older, --by domain, --body, --all, --json and -c are", option);
}

/* How many words it took; -1: it is wrong. */
static int take_option(struct words *w, int argc, char **argv, int at)
{
	const char *value;
	int n = common_option(argc, argv, at, &w->q->common);
	if (n < 0)
		w->wrong = w->q->common.wrong;
	if (n != 0)
		return n;
	for (size_t i = 0; i < COUNT(selectors); i++)
		if ((n = arguments_value(argc, argv, at, selectors[i].name, selectors[i].may_dash, &value, &w->wrong)) != 0)
			return n < 0 || set_selector(w, i, value) != OK ? -1 : n;
	if ((n = arguments_value(argc, argv, at, "--by", false, &value, &w->wrong)) != 0) {
		w->q->by_domain = true;
		return n < 0 || (strcmp(value, "domain") != 0 && no(w, "the queue is counted --by domain, not by \"%.100s\"", value) != OK) ? -1 : n;
	}
	if (strcmp(argv[at], "--body") == 0) {
		w->q->request.body = 1;
		return 1;
	}
	if (strcmp(argv[at], "--all") == 0) {
		w->q->everything = true;
		return 1;
	}
	return (argv[at][0] == '-' ? no_such_option(w, argv[at]) : take_word(w, argv[at])) != OK ? -1 : 1;
}

/* ---- the whole ---- */

static bool names_something(const struct queue_request *q)
{
	const struct control_request *r = &q->request;
	return r->id.n + r->to.n + r->from.n + r->user.n + r->domain.n > 0 || r->older_s > 0;
}

/* NULL: --by domain stands where it belongs. */
static const char *by_domain_misused(struct queue_request *q)
{
	struct control_request *r = &q->request;
	if (!q->by_domain)
		return NULL;
	if (q->backup || r->verb != CONTROL_LIST)
		return "--by domain goes with `list`";
	if (r->id.n + r->to.n + r->from.n + r->user.n > 0 || r->older_s > 0)
		return "--by domain counts whole domains: --domain is the only selector that it takes";
	r->verb = CONTROL_BY_DOMAIN;
	r->body = q->everything;
	return NULL;
}

static const char *misused(struct words *w)
{
	struct queue_request *q = w->q;
	if (w->n == 0)
		return "what? list, show, retry, hold, release, bounce, remove, verify or backup";
	for (size_t i = 0; i < COUNT(selectors); i++)
		if (is_empty(w, i)) {
			(void)no(w, "%s wants something: an empty one would select everything, for which there is --all", selectors[i].name);
			return w->wrong.text;
		}
	if (q->request.body && (q->backup || q->request.verb != CONTROL_SHOW))
		return "--body goes with `show ID`";
	const char *by_domain = by_domain_misused(q);
	if (by_domain != NULL)
		return by_domain;
	if (q->backup)
		return q->request.id.n > 0 ? NULL : "backup to which directory? it is made, or must be empty";
	if (q->request.verb == CONTROL_VERIFY)
		return names_something(q) ? "verify looks at the whole queue: no ID, no selector" : NULL;
	if (q->request.verb == CONTROL_SHOW && q->request.id.n == 0)
		return "show which message? name its ID";
	for (size_t i = 0; i < COUNT(verbs); i++)
		if ((uint64_t)verbs[i].verb == q->request.verb && verbs[i].needs_which && !names_something(q) && !q->everything)
			return "which? name an ID or a selector, or say --all";
	return NULL;
}

int queue_understand(int argc, char **argv, struct queue_request *out)
{
	struct words w = { .q = out };
	for (int i = 1; i < argc;) {
		int n = take_option(&w, argc, argv, i);
		if (n < 0)
			return command_usage(&command_queue, w.wrong.text);
		i += n;
	}
	const char *wrong = misused(&w);
	return wrong != NULL ? command_usage(&command_queue, wrong) : 0;
}
