/* SPDX-License-Identifier: ISC */
/* cmd/main.c -- finds the subcommand by name, or by the name the program was called by. */
#include "cmd/command.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "cmd/other_words.h"
#include "cmd/say.h"
#include "conf/trouble.h"
#include "sys/process.h"

static const struct command *const commands[] = {
	&command_serve,
	&command_check,
	&command_explain,
	&command_doctor,
	&command_probe,
	&command_send,
	&command_try,
	&command_load,
	&command_sink,
	&command_queue,
	&command_why,
	&command_report,
	&command_status,
	&command_reload,
	&command_sendmail,
	&command_role,
	&command_passwd,
	&command_version,
};

int command_help(const struct command *c)
{
	printf("usage: sealpost %s%s%s\n\n%s\n\n%s\nexample:\n%s", c->name, c->usage[0] != '\0' ? " " : "", c->usage, c->summary, c->help,
	       c->example);
	return 0;
}

int command_usage(const struct command *c, const char *wrong)
{
	say(stderr, "sealpost %s: %s", c->name, wrong);
	fprintf(stderr, "usage: sealpost %s%s%s\nTry `sealpost %s --help`.\n", c->name, c->usage[0] != '\0' ? " " : "", c->usage, c->name);
	return 2;
}

static int list_commands(FILE *to, int status)
{
	fprintf(to, "Sealpost, a mail transfer server: every letter travels sealed.\n\n"
	            "usage: sealpost COMMAND [OPTION ...]\n\n");
	for (size_t i = 0; i < COUNT(commands); i++)
		if (!commands[i]->hidden)
			fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(to, "\n`sealpost COMMAND --help` tells more, with an example.\n");
	return status;
}

static int no_such_command(const char *name)
{
	struct str known[COUNT(commands)];
	size_t n = 0;
	for (size_t i = 0; i < COUNT(commands); i++)
		if (!commands[i]->hidden)
			known[n++] = str_of(commands[i]->name);
	const char *of_queue = words_for(name);
	struct str near = nearest_word(str_of(name), known, n);
	if (of_queue != NULL) {
		say(stderr, "sealpost: there is no command \"%s\"; did you mean \"queue %s\"?", name, of_queue);
		fputs("`sealpost queue --help` tells more.\n", stderr);
		return 2;
	}
	if (near.n == 0) {
		say(stderr, "sealpost: there is no command \"%s\"", name);
		fputc('\n', stderr);
		return list_commands(stderr, 2);
	}
	say(stderr, "sealpost: there is no command \"%s\"; did you mean \"%.*s\"?", name, STR_ARG(near));
	fputs("`sealpost --help` lists them all.\n", stderr);
	return 2;
}

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < COUNT(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

/* The names under which other programs expect a mailer. */
static const struct command *called_as(char **argv)
{
	static const char *const names[] = { "sendmail", "mailq", "newaliases" };
	char *slash = argv[0] != NULL ? strrchr(argv[0], '/') : NULL;
	if (slash != NULL)
		argv[0] = slash + 1;
	for (size_t i = 0; argv[0] != NULL && i < COUNT(names); i++)
		if (strcmp(argv[0], names[i]) == 0)
			return &command_sendmail;
	return NULL;
}

int main(int argc, char **argv)
{
	signals_spare_full_files();
	const struct command *mailer = called_as(argv);
	if (mailer != NULL)
		return mailer->run(argc, argv);
	if (argc < 2)
		return list_commands(stderr, 2);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
		return list_commands(stdout, 0);

	const struct command *c = strcmp(argv[1], "--version") == 0 ? &command_version : command_find(argv[1]);
	if (c == NULL)
		return no_such_command(argv[1]);
	if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0) && !c->hidden)
		return command_help(c);
	return c->run(argc - 1, argv + 1);
}
