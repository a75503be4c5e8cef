/* SPDX-License-Identifier: ISC */
/* cmd/check.c -- `sealpost check`: is this configuration, with all its files, fit to run? */
#include <stdio.h>

#include "cmd/arguments.h"
#include "cmd/check_files.h"
#include "cmd/command.h"
#include "cmd/control_client.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "conf/trouble.h"
#include "role/supervisor/load.h"
#include "sys/clock.h"

enum { ARENA_BYTES_MAX = 1 << 30 };

static void print_count(const char *before, size_t n, const char *what)
{
	printf("%s%zu %s%s", before, n, what, n == 1 ? "" : "s");
}

static void print_summary(const char *path, const struct conf *conf, const struct checked *checked)
{
	size_t names = 0;
	for (size_t i = 0; i < conf->n_domains; i++)
		names += conf->domains[i].names.n;
	printf("%s: ok", path);
	print_count(": ", conf->n_listeners, "listener");
	print_count(", ", names, "domain");
	print_count(", ", checked->users, "user");
	if (checked->certificates > 0) {
		print_count(", ", checked->certificates, "certificate");
		printf(" (");
		print_safely(checked->first_to_end);
		if (checked->days_left < 0)
			printf(" has expired)");
		else
			printf(" has %lld days left)", (long long)checked->days_left);
	}
	printf("\n");
}

static int check_texts(const char *path, const struct conf_texts *texts)
{
	struct conf_report report;
	struct conf *conf = NULL;
	struct checked checked = { .users = 0 };
	struct arena *a = arena_new(ARENA_BYTES_MAX);
	conf_report_init(&report);
	if (conf_read(texts->items, texts->n, &conf, &report) == OK)
		check_files(conf, texts->items, texts->n, clock_wall_s(), a, &report, &checked);
	struct str text = buf_view(&report.text);
	say_lines(stderr, text);
	int status = report.errors > 0;
	if (status == 0)
		print_summary(path, conf, &checked);
	else
		fprintf(stderr, "%s: %u error%s\n", path, report.errors, report.errors == 1 ? "" : "s");
	conf_free(&conf);
	conf_report_fini(&report);
	arena_free(&a);
	return status;
}

void check_report(const char *path, struct conf_report *report)
{
	struct conf_texts *texts;
	struct why why = { "" };
	struct conf *conf = NULL;
	struct checked checked = { .users = 0 };
	if (conf_load(path, &texts, &why) != OK) {
		report->errors++; /* its words begin with the path */
		if (buf_addf(&report->text, "%s\n", why.text) != OK)
			report->errors++;
		return;
	}
	struct arena *a = arena_new(ARENA_BYTES_MAX);
	if (conf_read(texts->items, texts->n, &conf, report) == OK)
		check_files(conf, texts->items, texts->n, clock_wall_s(), a, report, &checked);
	conf_free(&conf);
	arena_free(&a);
	conf_texts_free(&texts);
}

static int run(int argc, char **argv)
{
	const char *path = DEFAULT_CONF_PATH;
	struct why why = { "" };
	bool given = false;
	for (int i = 1; i < argc;) {
		int n = arguments_conf(argc, argv, i, &path, &given, &why);
		if (n == 0)
			(void)why_say(&why, F_SYNTAX, argv[i][0] == '-' ? "\"%.100s\" has no place here: expected -c FILE or nothing"
			                                               : "\"%.100s\" has no place here; is it the configuration? That is named with -c FILE", argv[i]);
		if (n <= 0)
			return command_usage(&command_check, why.text);
		i += n;
	}

	struct conf_texts *texts;
	if (conf_load(path, &texts, &why) != OK) {
		say(stderr, "%s", why.text);
		return 1;
	}
	int status = check_texts(path, texts);
	conf_texts_free(&texts);
	return status;
}

const struct command command_check = {
	.name = "check",
	.usage = "[-c FILE]",
	.summary = "read the configuration, certificates, keys and tables, and report every error",
	.help = "  -c FILE   the configuration (default: " DEFAULT_CONF_PATH ")\n"
	        "\n"
	        "Exit status 0 if the server runs with it, 1 if not. Warnings name what weakens it, or has others refuse it.\n",
	.example = "  sealpost check -c /etc/sealpost/sealpost.conf\n",
	.run = run,
};
