/* SPDX-License-Identifier: ISC */
/* cmd/reload.c -- the running server takes its configuration anew; its errors are shown here. */
#include "cmd/command.h"

#include <stdio.h>

#include "cmd/control_client.h"
#include "cmd/options.h"
#include "cmd/say.h"

static void on_row(void *owner, struct str json)
{
	(void)owner, (void)json; /* there are none */
}

static void on_end(void *owner, int status, struct str text)
{
	(void)owner;
	FILE *to = status == 0 ? stdout : stderr;
	say_lines(to, text);
	if (text.n > 0 && text.p[text.n - 1] != '\n')
		(void)putc('\n', to);
	if (status == 0)
		puts("The new configuration is in force.");
	else
		fputs("The new configuration was not taken; the old one stays in force.\n", stderr);
}

static int run(int argc, char **argv)
{
	struct common_options common = { DEFAULT_CONF_PATH, 0 };
	for (int i = 1; i < argc;) {
		int n = common_option(argc, argv, i, &common);
		if (n <= 0 || common.json)
			return command_usage(&command_reload, "expected -c FILE or nothing");
		i += n;
	}
	struct control_request request = { .verb = CONTROL_RELOAD };
	struct control_answers answers = { on_row, NULL, on_end, NULL };
	return control_command(common.conf_path, &request, &answers);
}

const struct command command_reload = {
	.name = "reload",
	.usage = "[-c FILE]",
	.summary = "make the running server read its configuration and certificates again",
	.help = "  -c FILE   the configuration, to find the control socket (default: " DEFAULT_CONF_PATH ")\n"
	        "\n"
	        "The same as SIGHUP, with the errors shown. No connection is dropped.\n"
	        "Exit status 0 if the new configuration is in force; 1 if it has errors and the old one stays;\n"
	        "69 if no server answers.\n",
	.example = "  sealpost reload\n",
	.run = run,
};
