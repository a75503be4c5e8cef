/* SPDX-License-Identifier: ISC */
/* cmd/status.c -- the running server at a glance: roles, queue, listeners, certificates. */
#include "cmd/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/control_client.h"
#include "cmd/options.h"
#include "cmd/resting.h"
#include "cmd/say.h"
#include "mail/json.h"

static void put(const char *before, struct str text, const char *after)
{
	fputs(before, stdout);
	print_safely(text);
	fputs(after, stdout);
}

static void put_members(const json_t *o);

static void put_value(const json_t *v)
{
	if (json_is_string(v))
		print_safely((struct str){ json_string_value(v), json_string_length(v) });
	else if (json_is_integer(v))
		printf("%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		fputs(json_is_true(v) ? "yes" : "no", stdout);
	else if (json_is_object(v))
		put_members(v);
	else
		putchar('-'); /* a list has a table of its own */
}

/* "messages=3"; a program gets seconds since 1970 in a number, a person the date. */
static void put_fact(const char *key, const json_t *v)
{
	static const char seconds[] = "_since_s";
	size_t n = strlen(key), n_seconds = sizeof seconds - 1;
	bool is_date = json_is_integer(v) && n > n_seconds && strcmp(key + n - n_seconds, seconds) == 0;
	json_t *date = is_date ? date_as_json(json_integer_value(v)) : NULL;
	printf("%.*s=", (int)(is_date ? n - 2 : n), key);
	put_value(is_date ? date : v);
	json_decref(date);
}

/* "(known=3 failing=0)" */
static void put_members(const json_t *o)
{
	const char *key, *before = "(";
	json_t *v;
	json_object_foreach((json_t *)(uintptr_t)o, key, v) {
		fputs(before, stdout);
		put_fact(key, v);
		before = " ";
	}
	fputs(before[0] == ' ' ? ")" : "-", stdout);
}

static bool is_shown_already(const char *key)
{
	static const char *const shown[] = { "role", "instance", "pid", "ready", "restarts", "confinement", "short_of", "certificates" };
	for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
		if (strcmp(key, shown[i]) == 0)
			return true;
	return false;
}

/* Whole sentences stand in lines of their own. */
static bool is_sentence(const json_t *v)
{
	return json_is_string(v) && strchr(json_string_value(v), ' ') != NULL;
}

/* A line for each role: what every role has, then what it tells of itself. */
static void show_roles(json_t *roles)
{
	size_t i;
	json_t *role, *v;
	const char *key;
	printf("\n%-10s %8s %-6s %8s  %s\n", "ROLE", "PID", "READY", "RESTARTS", "FACTS");
	json_array_foreach(roles, i, role) {
		print_padded(text_in_json(role, "role"), 10);
		printf(" %8lld %-6s %8lld ", number_in_json(role, "pid"),
		       json_is_true(json_object_get(role, "ready")) ? "yes" : "no",
		       number_in_json(role, "restarts"));
		json_object_foreach(role, key, v) {
			if (is_shown_already(key) || is_sentence(v))
				continue;
			putchar(' ');
			put_fact(key, v);
		}
		putchar('\n');
		json_object_foreach(role, key, v)
			if (!is_shown_already(key) && is_sentence(v)) {
				printf("%36s%s: ", "", key);
				put_value(v);
				putchar('\n');
			}
	}
}

static void show_queue(json_t *roles)
{
	size_t i;
	json_t *role;
	char resting[200];
	json_array_foreach(roles, i, role) {
		if (!str_eq(text_in_json(role, "role"), STR("spool")) || json_object_get(role, "queued") == NULL)
			continue;
		printf("queue: %lld message%s; recipients: %lld queued, %lld being tried, %lld held; %lld MB free\n",
		       number_in_json(role, "messages"), number_in_json(role, "messages") == 1 ? "" : "s", number_in_json(role, "queued"),
		       number_in_json(role, "leased"), number_in_json(role, "held"), number_in_json(role, "disk_free_bytes") >> 20);
		if (resting_words(role, resting, sizeof resting))
			printf("queue: %s\n", resting);
		if (number_in_json(role, "damaged") > 0)
			printf("queue: %lld recipient%s DAMAGED and set aside: `sealpost queue verify` tells more\n",
			       number_in_json(role, "damaged"), number_in_json(role, "damaged") == 1 ? "" : "s");
		if (!json_is_true(json_object_get(role, "open")))
			puts("queue: ITS STORAGE HAS FAILED; mail is refused: see the log");
		if (json_is_true(json_object_get(role, "short")))
			printf("queue: THE DISK %s; new mail is refused, deliveries go on\n",
			       str_eq(text_in_json(role, "short_of"), STR("inodes")) ? "HAS NO INODES LEFT" : "IS FULL");
	}
}

/* One process of each kind: the fronts are alike. */
static void show_confinement(json_t *roles)
{
	size_t i;
	json_t *role;
	printf("\n%-10s %s\n", "CONFINED", "HOW");
	json_array_foreach(roles, i, role) {
		const json_t *c = json_object_get(role, "confinement");
		struct str less = text_in_json(c, "less");
		if (number_in_json(role, "instance") != 0)
			continue;
		print_padded(text_in_json(role, "role"), 10);
		if (!json_is_object(c)) {
			puts(" unknown: it has not answered");
			continue;
		}
		printf(" user %lld, no capabilities%s%s", number_in_json(c, "user"),
		       json_is_true(json_object_get(c, "empty_root")) ? ", empty root" : "",
		       json_is_true(json_object_get(c, "seccomp")) ? ", listed system calls" : "");
		if (number_in_json(c, "landlock") > 0)
			printf(", Landlock %lld", number_in_json(c, "landlock"));
		if (less.n > 0)
			put(" (", less, ")");
		putchar('\n');
	}
}

static void show_listeners(json_t *listeners)
{
	size_t i;
	json_t *l;
	printf("\n%-12s %s\n", "LISTENER", "ON");
	json_array_foreach(listeners, i, l) {
		print_padded(text_in_json(l, "kind"), 13);
		put("", text_in_json(l, "on"), "\n");
	}
}

static void show_certificates(json_t *certificates)
{
	size_t i;
	json_t *c;
	if (json_array_size(certificates) == 0)
		return;
	printf("\n%-9s %-21s %s\n", "DAYS LEFT", "EXPIRES", "CERTIFICATE");
	json_array_foreach(certificates, i, c) {
		if (json_is_string(json_object_get(c, "problem"))) {
			printf("%9s %-21s ", "?", "?");
			put("", text_in_json(c, "file"), ": ");
			put("", text_in_json(c, "problem"), "\n");
			continue;
		}
		printf("%9lld ", number_in_json(c, "days_left"));
		print_padded(text_in_json(c, "not_after"), 22);
		put("", text_in_json(c, "file"), "  ");
		put("", text_in_json(c, "names"), "  ");
		put("(", text_in_json(c, "key"), ")\n");
	}
}

static void on_row(void *owner, struct str json)
{
	const struct common_options *common = owner;
	if (common->json) {
		say_json(json);
		return;
	}
	json_t *o = json_loadb(json.p, json.n, 0, NULL);
	put("", text_in_json(o, "hostname"), "");
	put(json_is_true(json_object_get(o, "running")) ? " is running since " : " is starting or stopping; since ",
	    text_in_json(o, "since"), "");
	printf(", configuration %lld", number_in_json(o, "generation"));
	if (text_in_json(o, "configuration").n > 0)
		put(" of ", text_in_json(o, "configuration"), "");
	putchar('\n');
	show_queue(json_object_get(o, "roles"));
	show_roles(json_object_get(o, "roles"));
	show_confinement(json_object_get(o, "roles"));
	show_listeners(json_object_get(o, "listeners"));
	show_certificates(json_object_get(o, "certificates"));
	json_decref(o);
}

static int run(int argc, char **argv)
{
	struct common_options common = { .conf_path = DEFAULT_CONF_PATH };
	for (int i = 1; i < argc;) {
		int n = common_option(argc, argv, i, &common);
		if (n <= 0)
			return command_usage(&command_status, common_wrong(&common, argv[i], "expected -c FILE or --json"));
		i += n;
	}
	struct control_request request = { .verb = CONTROL_STATUS };
	struct control_answers answers = { .row = on_row, .owner = &common };
	return control_command(common.conf_path, &request, &answers);
}

const struct command command_status = {
	.name = "status",
	.usage = "[--json] [-c FILE]",
	.summary = "the running server at a glance: roles, queue, listeners, certificates",
	.help = "  --json    one JSON object\n"
	        "  -c FILE   the configuration, to find the control socket (default: " DEFAULT_CONF_PATH ")\n"
	        "\n"
	        "Exit status 0; 69 if no server answers.\n",
	.example = "  sealpost status\n",
	.run = run,
};
