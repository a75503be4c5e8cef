/* SPDX-License-Identifier: ISC */
/*
 * cmd/command.h -- the one program's table of subcommands.
 *
 * Each command is one file in cmd/ with one `const struct command`; main.c lists them. --help prints usage, help and the example
 * from here, so every command has them.
 */
#ifndef CMD_COMMAND_H
#define CMD_COMMAND_H

#include <stdbool.h>

struct command {
	const char *name;
	const char *usage;    /* after "sealpost NAME" */
	const char *summary;  /* one line for the list */
	const char *help;     /* options and what they mean, lines ended by \n */
	const char *example;  /* at least one command line, lines ended by \n */
	int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit status */
	bool hidden;          /* not in the list: internal */
};

extern const struct command command_serve, command_check, command_try, command_send, command_sendmail, command_queue, command_why,
	command_status, command_reload, command_passwd, command_explain, command_probe, command_report, command_doctor, command_version,
	command_role, command_load, command_sink;

/* By its name; NULL if there is none. */
const struct command *command_find(const char *name);

/* Prints the command's help to standard output, or its usage line to standard error with status 2. */
int command_help(const struct command *c);
int command_usage(const struct command *c, const char *wrong); /* returns 2 */

#endif
