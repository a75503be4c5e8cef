/* SPDX-License-Identifier: ISC */
/* cmd/explain.c -- `sealpost explain`: what a directive means, from the tables that the configuration is read by. */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/explain_address.h"
#include "cmd/options.h"
#include "conf/table.h"

enum { NAMES_MAX = 200, TEXT_MAX = 400 };

static bool is_block(const struct directive *d)
{
	return d->type == VALUE_BLOCK;
}

static void print_rest(const struct directive *d, const char *indent)
{
	if (!is_block(d) && d->type != VALUE_SPECIAL) {
		struct buf takes;
		buf_init(&takes, TEXT_MAX);
		if (directive_expects(&takes, d) == OK)
			printf("%stakes     %.*s\n", indent, STR_ARG(buf_view(&takes)));
		buf_fini(&takes);
	}
	if (d->preset != NULL)
		printf("%sdefault   %s\n", indent, d->preset);
	else if (d->otherwise != NULL)
		printf("%sdefault   %s\n", indent, d->otherwise);
	else if (d->flags & REQUIRED)
		printf("%sdefault   none: it must be given\n", indent);
	if (d->flags & REPEAT)
		printf("%smay be written several times\n", indent);
	if (!is_block(d) && d->example[0] != '\0')
		printf("%sexample   %s %s\n", indent, d->name, d->example);
}

static void print_one(const struct directive *block, const struct directive *d)
{
	printf("%s%s%s%s%s%s\n", block != NULL ? block->name : "", block != NULL ? "." : "", d->name, d->argument[0] ? " " : "",
	       d->argument, is_block(d) ? " { ... }" : "");
	printf("  %s\n", d->help);
	print_rest(d, "  ");
	for (const struct directive *row = d->rows; row != NULL && row->name != NULL; row++)
		printf("    %s%s%s\n", row->name, row->argument[0] ? " " : "", row->argument);
}

static void print_all(void)
{
	for (const struct directive *d = conf_directives; d->name != NULL; d++) {
		printf("%-24s %s\n", d->name, d->help);
		for (const struct directive *row = d->rows; row != NULL && row->name != NULL; row++) {
			char path[TEXT_MAX];
			snprintf(path, sizeof path, "  %s.%s", d->name, row->name);
			printf("%-24s %s\n", path, row->help);
		}
	}
	printf("\n`sealpost explain DIRECTIVE` tells more of one.\n");
}

/* "listen.auth", or every directive called "auth". */
static unsigned explain_named(struct str asked)
{
	unsigned found = 0;
	size_t dot;
	bool has_block = str_find(asked, '.', &dot);
	struct str block = has_block ? str_sub(asked, 0, dot) : STR_NONE, name = has_block ? str_from(asked, dot + 1) : asked;
	for (const struct directive *d = conf_directives; d->name != NULL; d++) {
		if (!has_block && str_eq(str_of(d->name), name)) {
			printf("%s", found++ > 0 ? "\n" : "");
			print_one(NULL, d);
		}
		if (d->rows == NULL || (has_block && !str_eq(str_of(d->name), block)))
			continue;
		const struct directive *row = directive_find(d->rows, name);
		if (row != NULL) {
			printf("%s", found++ > 0 ? "\n" : "");
			print_one(d, row);
		}
	}
	return found;
}

static int explain(const char *asked)
{
	static char paths[NAMES_MAX][64];
	struct str known[NAMES_MAX];
	size_t n = 0;
	if (explain_named(str_of(asked)) > 0)
		return 0;
	for (const struct directive *d = conf_directives; d->name != NULL; d++) {
		known[n++] = str_of(d->name);
		for (const struct directive *row = d->rows; row != NULL && row->name != NULL && n + 2 < NAMES_MAX; row++) {
			snprintf(paths[n], sizeof paths[n], "%s.%s", d->name, row->name);
			known[n] = str_of(paths[n]);
			known[n + 1] = str_of(row->name);
			n += 2;
		}
	}
	struct str near = nearest_word(str_of(asked), known, n);
	fprintf(stderr, "sealpost explain: there is no directive \"%s\"", asked);
	if (near.n > 0)
		fprintf(stderr, "; did you mean \"%.*s\"?", STR_ARG(near));
	fprintf(stderr, "\n`sealpost explain` lists them all.\n");
	return 1;
}

/* For the manual page ---------------------------------------------------------------------------- */

static bool is_argument(struct str word)
{
	bool letters = false;
	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] >= 'a' && word.p[i] <= 'z')
			return false;
		letters = letters || ascii_is_alpha((unsigned char)word.p[i]);
	}
	return letters;
}

/* One word of a usage: WORDS are arguments, words literal, the brackets and bars mdoc's own punctuation. */
static void mdoc_word(struct str word)
{
	size_t colon;
	bool closes = false;
	if (str_take_char(&word, '['))
		printf(" [");
	if (word.n > 1 && word.p[word.n - 1] == ']' && !str_has(word, '[')) {
		closes = true;
		word.n--;
	}
	if (is_argument(word))
		printf(" Ar %.*s", STR_ARG(word));
	else if (str_find(word, ':', &colon) && is_argument(str_from(word, colon + 1)))
		printf(" Cm %.*s Ns Ar %.*s", STR_ARG(str_sub(word, 0, colon + 1)), STR_ARG(str_from(word, colon + 1)));
	else if (str_eq(word, STR("|")) || str_eq(word, STR("...")))
		printf(" %.*s", STR_ARG(word));
	else
		printf(" Cm %.*s", STR_ARG(word));
	if (closes)
		printf(" ]");
}

static void mdoc_text(const char *text)
{
	bool open = false;
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '`') {
			printf("%s", open ? "\\(rq" : "\\(lq");
			open = !open;
		} else if (*p == '\\') {
			printf("\\e");
		} else if (*p == '"') {
			printf("\\(dq");
		} else if (*p == '.' && p[1] == ' ') {
			printf(".\n");
			p++;
		} else {
			putchar(*p);
		}
	}
	printf("\n");
}

static void mdoc_item(const struct directive *d)
{
	struct str rest = str_of(d->argument), word;
	printf(".It Ic %s", d->name);
	while (str_take_word(&rest, &word))
		mdoc_word(word);
	if (is_block(d))
		printf(" Brq ...");
	printf("\n");
	mdoc_text(d->help);
	if (d->max > 0) {
		struct buf takes;
		buf_init(&takes, TEXT_MAX);
		if (directive_expects(&takes, d) == OK)
			printf("It takes %.*s.\n", STR_ARG(buf_view(&takes)));
		buf_fini(&takes);
	}
	if (d->preset != NULL)
		printf("Default:\n.Li %s .\n", d->preset);
	else if (d->otherwise != NULL)
		printf("Default: %s.\n", d->otherwise);
	else if (d->flags & REQUIRED)
		printf("It must be given.\n");
	if ((d->flags & REPEAT) && !is_block(d))
		printf("May be written several times.\n");
	if (!is_block(d) && d->example[0] != '\0') {
		printf(".Dl %s ", d->name);
		mdoc_text(d->example);
	}
}

static int print_mdoc(void)
{
	printf(".Bl -tag -width Ds\n");
	for (const struct directive *d = conf_directives; d->name != NULL; d++) {
		mdoc_item(d);
		if (d->rows == NULL)
			continue;
		printf(".Bl -tag -width Ds\n");
		for (const struct directive *row = d->rows; row->name != NULL; row++)
			mdoc_item(row);
		printf(".El\n");
	}
	printf(".El\n");
	return 0;
}

static int run(int argc, char **argv)
{
	if (argc == 1) {
		print_all();
		return 0;
	}
	for (int i = 1; i < argc; i++)
		if (strchr(argv[i], '@') != NULL)
			return explain_address(argc, argv);
	if (argc != 2)
		return command_usage(&command_explain, "expected an ADDRESS, or one DIRECTIVE alone");
	if (strcmp(argv[1], "--mdoc") == 0)
		return print_mdoc();
	if (argv[1][0] == '-')
		return command_usage(&command_explain, "there is no such option");
	return explain(argv[1]);
}

const struct command command_explain = {
	.name = "explain",
	.usage = "[ADDRESS [--from ADDRESS] [--json] [-c FILE] | DIRECTIVE | --mdoc]",
	.summary = "what would be done now with a letter to an address; or what a directive means",
	.help = "  ADDRESS          ask the running server, which looks everything up and goes as far as\n"
	        "                   the next server's door: nothing is sent\n"
	        "  --from ADDRESS   as for a letter of this sender (default: <>)\n"
	        "  --json           one JSON object a line\n"
	        "  -c FILE          the configuration, to find the control socket (default: " DEFAULT_CONF_PATH ")\n"
	        "  DIRECTIVE        its name, or with its block: listen.auth; without it, all are listed\n"
	        "  --mdoc           the list as the manual page has it\n"
	        "\n"
	        "Exit status with an address: 0 a letter would be handed over now, 1 it would not, 69 no server\n"
	        "answers, 78 the configuration cannot be read.\n",
	.example = "  sealpost explain sam@example.org\n"
	           "  sealpost explain listen.auth\n",
	.run = run,
};
