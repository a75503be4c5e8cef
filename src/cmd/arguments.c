/* SPDX-License-Identifier: ISC */
#include "cmd/arguments.h"

#include <string.h>

#include "cmd/say.h"
#include "sys/file.h"
#include "sys/socket.h"

/* Of several letters in one argument, getopt is at that argument still: `last` is another one then. */
static int no_option(const struct command *c, const char *last)
{
	const char letter[] = { '-', (char)optopt, '\0' };
	bool is_long = optopt == 0 || (strncmp(last, "--", 2) == 0 && strchr(last, '=') != NULL);
	return arguments_wrong(c, "there is no option %s", is_long ? last : letter);
}

/* getopt takes the next word, whatever it is. */
static bool has_swallowed(char **argv)
{
	return optarg != NULL && optind > 1 && optarg == argv[optind - 1] && argument_is_option(optarg, true);
}

int arguments_take(const struct command *c, int argc, char **argv, const char *letters, const struct option *options,
                   int (*take)(void *owner, int letter), void *owner)
{
	int letter, status = 0;
	char with_colon[64]; /* so that getopt tells a missing value from an unknown option */
	(void)snprintf(with_colon, sizeof with_colon, ":%s", letters);
	opterr = 0;
	optind = 1;
	while (status == 0 && (letter = getopt_long(argc, argv, with_colon, options, NULL)) != -1)
		if (letter == ':')
			status = arguments_wrong(c, "%s wants a value", argv[optind - 1]);
		else if (letter == '?')
			status = no_option(c, argv[optind - 1]);
		else if (has_swallowed(argv)) {
			struct why wrong;
			argument_missing(&wrong, argv[optind - 2], optarg);
			status = arguments_wrong(c, "%s", wrong.text);
		} else
			status = take(owner, letter);
	return status;
}

int arguments_wrong(const struct command *c, const char *fmt, const char *what)
{
	char text[400];
	(void)snprintf(text, sizeof text, fmt, what);
	return command_usage(c, text);
}

int arguments_bad(const struct command *c, int status, const char *what, const char *why)
{
	say(stderr, "sealpost %s: %s: %s", c->name, what, why);
	return status;
}

int arguments_read_file(const struct command *c, int status, const char *path, struct buf *to)
{
	struct why why = { "" };
	int fd = -1;
	fault f = file_open(FILE_CWD, path, FILE_READ, 0, &fd, &why);
	if (f == OK)
		f = file_read_all(fd, to);
	fd_close(&fd);
	if (f == OK)
		return 0;
	if (why.text[0] == '\0')
		return arguments_bad(c, status, path, f == F_LIMIT ? "too big" : "cannot be read");
	say(stderr, "sealpost %s: %s", c->name, why.text); /* it names the file */
	return status;
}
