/* SPDX-License-Identifier: ISC */
/* cmd/serve.c -- runs the server in the foreground, under the service manager or by hand. */
#include "cmd/command.h"

#include <stdio.h>

#include "cmd/arguments.h"
#include "cmd/check_files.h"
#include "cmd/control_client.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "role/supervisor/supervisor.h"
#include "sys/file.h"
#include "sys/process.h"

enum { FILE_ROOM = 4096 };

struct serve {
	struct loop *loop;
	struct supervisor *supervisor;
	const char *conf_path;
	int status;
};

static void on_ended(void *owner, int status)
{
	struct serve *s = owner;
	s->status = status;
	loop_stop(s->loop);
}

static void on_signal(void *owner, enum signal_kind which)
{
	struct serve *s = owner;
	if (which == SIGNAL_RELOAD)
		supervisor_reload(s->supervisor);
	else
		supervisor_stop(s->supervisor);
}

static void on_other(void *owner, struct str control, unsigned long pid, char *to, size_t room)
{
	const struct serve *s = owner;
	char theirs[FILE_ROOM], ours[FILE_ROOM];
	if (!control_file(control, theirs, sizeof theirs))
		(void)snprintf(to, room, "process %lu has the control socket %.*s, and does not say which configuration it serves with; `kill %lu` stops it", pid,
		               STR_ARG(control), pid);
	else if (path_absolute(s->conf_path, ours, sizeof ours) == OK && path_is_same(theirs, ours))
		(void)snprintf(to, room, "process %lu serves with this configuration already: `sealpost reload -c %s` has it read anew, `kill %lu` stops it",
		               pid, s->conf_path, pid);
	else
		(void)snprintf(to, room, "process %lu serves with %s at the same control socket: `sealpost reload -c %s` has that read anew, `kill %lu` "
		               "stops it; a second server wants a `control` of its own, as it does a queue and addresses", pid, theirs, theirs, pid);
}

/* The first thing that was wrong has ended the start; the others are told, too. */
static void tell_all(const char *conf_path, struct str first)
{
	struct conf_report report;
	size_t at;
	conf_report_init(&report);
	check_report(conf_path, &report);
	if (report.errors == 0 || !str_find_str(buf_view(&report.text), first, &at))
		say_lines(stderr, first);
	if (report.errors > 0)
		say_lines(stderr, buf_view(&report.text));
	conf_report_fini(&report);
}

static int serve(const char *conf_path, unsigned fronts)
{
	process_hide_memory();
	struct serve s = { .loop = loop_new(), .conf_path = conf_path };
	struct conf_report report;
	struct supervisor_options options = { .conf_path = conf_path, .fronts = fronts, .ended = on_ended, .tell_other = on_other, .owner = &s };
	conf_report_init(&report);
	fault f = supervisor_new(s.loop, &options, &s.supervisor, &report);
	if (f == OK) {
		say_lines(stderr, buf_view(&report.text));
		signals_watch(s.loop, on_signal, &s);
		loop_run(s.loop);
		supervisor_free(&s.supervisor);
	}
	int status = f == OK ? s.status : EXIT_CONFIGURATION;
	if (status == EXIT_CONFIGURATION)
		tell_all(conf_path, f == OK ? STR_NONE : buf_view(&report.text));
	conf_report_fini(&report);
	loop_free(&s.loop);
	return status;
}

static int run(int argc, char **argv)
{
	const char *conf_path = DEFAULT_CONF_PATH;
	uint64_t fronts = 0;
	struct why why = { "" };
	bool given = false;
	for (int i = 1; i < argc;) {
		const char *number;
		int n = arguments_conf(argc, argv, i, &conf_path, &given, &why);
		if (n == 0 && (n = arguments_value(argc, argv, i, "--fronts", false, &number, &why)) > 0 &&
		    (!str_u64(str_of(number), &fronts) || fronts < 1 || fronts > 64))
			n = 0;
		if (n <= 0)
			return command_usage(&command_serve, n < 0 ? why.text : "expected -c FILE, or --fronts with a number from 1 to 64");
		i += n;
	}
	return serve(conf_path, (unsigned)fronts);
}

const struct command command_serve = {
	.name = "serve",
	.usage = "[-c FILE] [--fronts N]",
	.summary = "run the server in the foreground",
	.help = "  -c FILE      the configuration (" DEFAULT_CONF_PATH ")\n"
	        "  --fronts N   processes that speak with clients, 1 to 64 (one per core)\n"
	        "\n"
	        "SIGHUP reads configuration and certificates anew without dropping a connection; SIGTERM finishes what is\n"
	        "in hand and ends. Exit status 78 says that the configuration has errors; they are printed.\n",
	.example = "  sealpost serve -c /etc/sealpost/sealpost.conf\n",
	.run = run,
};
