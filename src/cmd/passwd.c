/* SPDX-License-Identifier: ISC */
/* cmd/passwd.c -- `sealpost passwd NAME`: a line for a users file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "proto/sasl/credential.h"
#include "sys/clock.h"
#include "sys/terminal.h"

enum { ITERATIONS_MIN = 10000 }; /* what we make; what we accept may have less (CREDENTIAL_ITERATIONS_MIN) */

static int complain(const char *what)
{
	fprintf(stderr, "sealpost passwd: %s\n", what);
	return EXIT_BAD_INPUT;
}

/* The first line of standard input, without its end. */
static fault read_password_line(struct buf *out)
{
	for (int c; (c = getchar()) != EOF && c != '\n'; )
		TRY(buf_add_char(out, (char)c));
	struct str line = buf_view(out);
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		buf_cut(out, line.n - 1);
	return OK;
}

static int ask_password(struct buf *password)
{
	fault f = terminal_ask_secret("Password: ", password);
	if (f == F_ABSENT)
		return read_password_line(password) == OK ? 0 : complain("the password is longer than 1024 bytes");
	struct buf again;
	buf_init(&again, CREDENTIAL_PASSWORD_MAX);
	if (f == OK)
		f = terminal_ask_secret("The same again: ", &again);
	bool same = str_eq(buf_view(password), buf_view(&again));
	buf_wipe(&again);
	if (f != OK)
		return complain(f == F_LIMIT ? "the password is longer than 1024 bytes" : "interrupted; nothing was made");
	return same ? 0 : complain("the two passwords differ; nothing was made");
}

static int print_line(struct str name, struct str password, uint32_t iterations)
{
	char salt[CREDENTIAL_SALT_PRESET];
	struct credential made;
	struct buf line;
	random_bytes(salt, sizeof(salt));
	if (password.n == 0)
		return complain("an empty password is none");
	if (credential_make(password, iterations, (struct str){ salt, sizeof(salt) }, &made) != OK)
		return complain("the password must be UTF-8 text without control characters (RFC 4013)");
	buf_init(&line, 1024);
	fault f = buf_addf(&line, "%.*s:", STR_ARG(name));
	if (f == OK)
		f = credential_put(&line, &made);
	if (f == OK)
		printf("%.*s\n", STR_ARG(buf_view(&line)));
	buf_fini(&line);
	return f == OK && fflush(stdout) == 0 ? 0 : complain("the line could not be written");
}

/* What stands before the colon of a users line: a name, or a whole address. */
static const char *wrong_name(struct str name)
{
	if (name.n == 0 || name.n > 255)
		return "the name must have 1 to 255 bytes";
	if (!str_is_utf8(name) || name.p[0] == '#' || name.p[0] == '-')
		return "the name must be UTF-8 text that does not begin with # or -";
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == ':' || (unsigned char)name.p[i] <= ' ' || name.p[i] == 127)
			return "the name must have no colon, blank or control character: it ends at the colon of its line";
	return NULL;
}

static int run(int argc, char **argv)
{
	struct str name = STR_NONE;
	uint64_t iterations = CREDENTIAL_ITERATIONS_PRESET;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--iterations") == 0) {
			if (i + 1 == argc || !str_u64(str_of(argv[++i]), &iterations) || iterations < ITERATIONS_MIN ||
			    iterations > CREDENTIAL_ITERATIONS_MAX)
				return command_usage(&command_passwd, "--iterations wants a number from 10000 to 10000000");
		} else if (name.p == NULL && strncmp(argv[i], "--", 2) != 0) {
			name = str_of(argv[i]);
		} else {
			return command_usage(&command_passwd, "one NAME is wanted, and nothing else");
		}
	}
	if (name.p == NULL)
		return command_usage(&command_passwd, "whose password? Give a NAME");
	const char *wrong = wrong_name(name);
	if (wrong != NULL)
		return complain(wrong);

	struct buf password;
	buf_init(&password, CREDENTIAL_PASSWORD_MAX);
	int status = ask_password(&password);
	if (status == 0)
		status = print_line(name, buf_view(&password), (uint32_t)iterations);
	buf_wipe(&password);
	return status;
}

const struct command command_passwd = {
	.name = "passwd",
	.usage = "NAME [--iterations N]",
	.summary = "print a users line for a password",
	.help = "Asks twice on the terminal, or reads the first line of standard input, and prints\n"
	        "  NAME:SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey\n"
	        "for a file that `users { source file ... }` names. The password itself cannot be read from it.\n"
	        "The file is a secret all the same: umask 077 makes it its owner's alone, and a server does not start with one that\n"
	        "everybody may read. A bare NAME logs in as NAME or NAME@domain; a whole address stands for itself.\n\n"
	        "  --iterations N   rounds of hashing, 10000 to 10000000 (20000): more makes guessing and logging in slower\n",
	.example = "  (umask 077; sealpost passwd jada >> /etc/sealpost/users)\n"
	           "  printf '%s\\n' \"$PASSWORD\" | sealpost passwd jada@example.org\n",
	.run = run,
};
