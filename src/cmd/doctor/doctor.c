/* SPDX-License-Identifier: ISC */
/* cmd/doctor/doctor.c -- `sealpost doctor`: the whole server, what is wrong with it or soon will be, and what to do. */
#include "cmd/doctor/doctor.h"

#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/control_client.h"
#include "cmd/options.h"
#include "cmd/running_conf.h"
#include "cmd/say.h"
#include "sys/clock.h"

enum { ARENA_BYTES_MAX = 1 << 30 };

/* One that is being edited is looked at as far as it goes. */
static int open_conf(struct doctor *d)
{
	struct conf_report report;
	struct why why = { "" };
	bool whole;
	if (conf_load(d->conf_path, &d->texts, &d->unread) != OK) {
		d->half = true;
		if (running_conf(d->conf_path, "sealpost doctor", &d->conf, &whole, &why) == OK)
			return 0;
		say(stderr, "sealpost doctor: %s", d->unread.text);
		return EXIT_CONFIGURATION;
	}
	conf_report_init(&report);
	d->half = conf_read_some(d->texts->items, d->texts->n, &d->conf, &report) != OK;
	if (d->conf == NULL) {
		say_lines(stderr, buf_view(&report.text));
		say(stderr, "sealpost doctor: %s has errors: mend them first", d->conf_path);
	} else if (d->half) {
		say(stderr, "sealpost doctor: %s has %u error%s; going on with what can be read of it", d->conf_path, report.errors,
		    report.errors == 1 ? "" : "s");
	}
	conf_report_fini(&report);
	return d->conf != NULL ? 0 : EXIT_CONFIGURATION;
}

static int run(int argc, char **argv)
{
	struct common_options common = { .conf_path = DEFAULT_CONF_PATH };
	struct doctor d = { .now_s = clock_wall_s() };
	for (int i = 1; i < argc;) {
		int n = common_option(argc, argv, i, &common);
		if (n == 0 && strcmp(argv[i], "--seen") == 0) {
			d.seen = true;
			n = 1;
		}
		if (n <= 0)
			return command_usage(&command_doctor, common_wrong(&common, argv[i], "expected --json, --seen or -c FILE"));
		i += n;
	}
	d.conf_path = common.conf_path;
	d.json = common.json != 0;
	d.arena = arena_new(ARENA_BYTES_MAX);
	findings_init(&d.findings);
	int status = open_conf(&d);
	if (status == 0) {
		doctor_server(&d);
		doctor_files(&d);
		if (!d.running)
			doctor_stopped(&d);
		else if (d.read_s > 0 && !d.reads_another)
			doctor_changes(&d);
		status = findings_tell(&d.findings, d.json);
		if (d.half || d.has_errors)
			status = EXIT_CONFIGURATION;
	}
	findings_fini(&d.findings);
	conf_free(&d.conf);
	conf_texts_free(&d.texts);
	arena_free(&d.arena);
	return status;
}

const struct command command_doctor = {
	.name = "doctor",
	.usage = "[--seen] [--json] [-c FILE]",
	.summary = "look at the whole server, and say what is wrong, or will be soon, and what to do",
	.help = "Looks at the configuration and its files, and asks the server, if it runs: queue and room, DNSSEC,\n"
	        "certificates, secrets, Maildirs, exceptions, and what was learned of other mail servers.\n"
	        "\n"
	        "  --seen    list what each domain has shown at best\n"
	        "  --json    one JSON object a line; findings last, the gravest first\n"
	        "  -c FILE   the configuration (default: " DEFAULT_CONF_PATH ")\n"
	        "\n"
	        "Exit status, for monitoring: 0 nothing needs mending, 1 something does, or the server does not run,\n"
	        "2 usage, 78 the configuration, or a file that it names, has errors: what can be read of it is looked at. Advice alone leaves it at 0.\n",
	.example = "  sealpost doctor\n"
	           "  sealpost doctor --json | grep '\"weight\":\"broken\"'\n",
	.run = run,
};
