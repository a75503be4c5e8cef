/* SPDX-License-Identifier: ISC */
/* cmd/reload.c -- the running server takes its configuration anew; its errors are shown here. */
#include "cmd/command.h"

#include <stdio.h>

#include <jansson.h>

#include "cmd/control_client.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "mail/json.h"

enum { SOON_DAYS = 14, FILE_BYTES_MAX = 4096 };

struct reload { struct common_options common; struct buf file; }; /* file: that the server reads; empty: it has not said so */

/* The control socket may have been found in another file than the server reads. */
static void note_file(void *owner, struct str json)
{
	struct reload *r = owner;
	json_t *status = json_loadb(json.p, json.n, 0, NULL);
	struct str file = text_in_json(status, "configuration");
	buf_clear(&r->file);
	fault f = buf_add(&r->file, file);
	(void)f; /* one without room for it is named nowhere */
	if (control_reads_another(status, r->common.conf_path))
		say(stderr, "sealpost reload: the server that runs reads %.*s, and not %s: that has only told where it is", STR_ARG(file), r->common.conf_path);
	json_decref(status);
}

static void on_row(void *owner, struct str json)
{
	(void)owner, (void)json; /* there are none */
}

static void on_end(void *owner, int status, struct str text)
{
	const struct reload *r = owner;
	struct str file = buf_view(&r->file);
	FILE *to = status == 0 ? stdout : stderr;
	say_lines(to, text);
	if (text.n > 0 && text.p[text.n - 1] != '\n')
		(void)putc('\n', to);
	if (status == 0)
		say(stdout, "The new configuration is in force%s%.*s.", file.n > 0 ? ": " : "", STR_ARG(file));
	else
		say(stderr, "The new configuration%s%.*s was not taken; the old one stays in force.", file.n > 0 ? " in " : "", STR_ARG(file));
}

/* A warning of `sealpost check`, too. The server goes on with it, as it does when it expires while it runs. */
static void warn_of_certificates(void *owner, struct str json)
{
	(void)owner;
	size_t i, j;
	json_t *status = json_loadb(json.p, json.n, 0, NULL), *role, *c;
	json_array_foreach(json_object_get(status, "roles"), i, role)
		json_array_foreach(json_object_get(role, "certificates"), j, c) {
			struct str names = text_in_json(c, "names");
			long long days = number_in_json(c, "days_left");
			if (names.n == 0)
				names = STR("no name (it carries no SAN)");
			if (days <= 0)
				say(stderr, "The certificate for %.*s has expired, or does so today: clients refuse it then.", STR_ARG(names));
			else if (days < SOON_DAYS)
				say(stderr, "The certificate for %.*s expires in %lld day%s.", STR_ARG(names), days, days == 1 ? "" : "s");
		}
	json_decref(status);
}

static void say_no_more(void *owner, int status, struct str text)
{
	(void)owner, (void)status, (void)text; /* the reload is over, whatever becomes of this question */
}

static int reload(struct reload *r)
{
	struct control_request look = { .verb = CONTROL_STATUS }, request = { .verb = CONTROL_RELOAD };
	struct control_answers whose = { .row = note_file, .owner = r };
	struct control_answers answers = { .row = on_row, .end = on_end, .owner = r };
	struct control_answers certificates = { .row = warn_of_certificates, .end = say_no_more };
	int status = control_command(r->common.conf_path, &look, &whose);
	if (status == 0)
		status = control_command(r->common.conf_path, &request, &answers);
	if (status == 0)
		(void)control_command(r->common.conf_path, &look, &certificates);
	return status;
}

static int run(int argc, char **argv)
{
	struct reload r = { .common = { .conf_path = DEFAULT_CONF_PATH } };
	for (int i = 1; i < argc;) {
		int n = common_option(argc, argv, i, &r.common);
		if (n <= 0 || r.common.json)
			return command_usage(&command_reload, common_wrong(&r.common, argv[i], "expected -c FILE or nothing"));
		i += n;
	}
	buf_init(&r.file, FILE_BYTES_MAX);
	int status = reload(&r);
	buf_fini(&r.file);
	return status;
}

const struct command command_reload = {
	.name = "reload",
	.usage = "[-c FILE]",
	.summary = "make the running server read its configuration and certificates again",
	.help = "  -c FILE   a configuration, to find the control socket (default: " DEFAULT_CONF_PATH "). The server reads the one\n"
	        "            that it was started with, and its name is told\n"
	        "\n"
	        "The same as SIGHUP, with the errors shown, and certificates that have expired or soon will. No connection is dropped.\n"
	        "Exit status 0 if the new configuration is in force; 1 if it has errors and the old one stays;\n"
	        "69 if no server answers.\n",
	.example = "  sealpost reload\n",
	.run = run,
};
