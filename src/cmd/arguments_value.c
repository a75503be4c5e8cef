/* SPDX-License-Identifier: ISC */
/* cmd/arguments_value.c -- an option and its value, for commands that go through their words themselves. */
#include "cmd/arguments.h"

#include <string.h>

#include "role/spool/spool.h"

bool argument_is_option(const char *word, bool may_dash)
{
	return word[0] == '-' && word[1] != '\0' && (word[1] == '-' || !may_dash);
}

void argument_missing(struct why *wrong, const char *name, const char *next)
{
	if (next == NULL)
		(void)why_say(wrong, F_SYNTAX, "%s wants a value", name);
	else if (name[1] == '-')
		(void)why_say(wrong, F_SYNTAX, "%s wants a value, and %.100s looks like an option; a value that begins so is given as %s=%.100s", name,
		              next, name, next);
	else
		(void)why_say(wrong, F_SYNTAX, "%s wants a value, and %.100s looks like an option; a file that is called so is ./%.100s", name, next, next);
}

int arguments_value(int argc, char **argv, int at, const char *name, bool may_dash, const char **value_out, struct why *wrong)
{
	size_t n = strlen(name);
	if (name[1] == '-' && strncmp(argv[at], name, n) == 0 && argv[at][n] == '=') {
		*value_out = argv[at] + n + 1;
		return 1;
	}
	if (strcmp(argv[at], name) != 0)
		return 0;
	const char *next = at + 1 < argc ? argv[at + 1] : NULL;
	if (next == NULL || argument_is_option(next, may_dash)) {
		argument_missing(wrong, name, next);
		return -1;
	}
	*value_out = next;
	return 2;
}

int arguments_conf(int argc, char **argv, int at, const char **path_out, bool *given, struct why *wrong)
{
	const char *path;
	int n = arguments_value(argc, argv, at, "-c", false, &path, wrong);
	if (n > 0 && *given) {
		(void)why_say(wrong, F_SYNTAX, "-c is given twice: %.100s would not count. One configuration, please", *path_out);
		return -1;
	}
	if (n > 0) {
		*path_out = path;
		*given = true;
	}
	return n;
}

struct str argument_domain(struct str word)
{
	bool ends_in_one = word.n > 1 && word.p[word.n - 1] == '.' && word.p[word.n - 2] != '.';
	return str_sub(word, 0, word.n - ends_in_one);
}

bool argument_is_id(const char *word, struct why *wrong)
{
	if (spool_is_id(str_of(word)))
		return true;
	(void)why_say(wrong, F_SYNTAX, "\"%.60s\" is no ID: those have 15 letters and digits, as `sealpost queue list` and every 250 reply show them",
	              word);
	return false;
}
