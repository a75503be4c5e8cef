/* SPDX-License-Identifier: ISC */
/*
 * cmd/role.c -- one role's process, as the supervisor starts it: descriptor 3 is its control channel, the arguments are the
 * folders that it may use. It takes what it needs of the system (OpenSSL's configuration, resolv.conf), is confined, and
 * only then looks at what anybody says.
 */
#include "cmd/command.h"

#include <stdio.h>
#include <string.h>

#include "cmd/role.h"
#include "role/role.h"
#include "sys/log.h"
#include "sys/process.h"
#include "tls/tls.h"

enum { CONTROL_FD = 3 };

static void stop(void *owner)
{
	loop_stop(owner);
}

/* Signals of a terminal reach every process of the group; only the supervisor decides what they mean. */
static void ignore(void *owner, enum signal_kind which)
{
	(void)owner;
	(void)which;
}

static void start_pool(void *owner)
{
	work_begin(owner);
}

int role_process(const char *name, const char *const *folders, size_t n_folders, void (*once_confined)(const char *name))
{
	struct why why = { "" };
	const struct confine_rules *rules = role_rules(name);
	if (rules == NULL) {
		fprintf(stderr, "sealpost role: there is no role \"%s\"\n", name);
		return 2;
	}
	log_begin(name, false);
	process_hide_memory();
	(void)tls_wipe_memory(); /* nothing of OpenSSL has run: it cannot be too late */
	if (strcmp(name, "keeper") == 0)
		(void)process_lock_memory(); /* else at least its keys and files are locked, and it says what is not */
	if (confine_without_rings(&why) != OK) {
		log_event(LOG_TROUBLE, LOG_Z("text", why.text));
		return 71;
	}
	struct loop *loop = loop_new();
	struct role_base *role = role_start(loop, name, CONTROL_FD);
	role_on_end(role, stop, loop);
	signals_watch(loop, ignore, NULL);
	if (confine(rules, folders, n_folders, start_pool, loop, &why) != OK) {
		log_event(LOG_TROUBLE, LOG_Z("text", why.text));
		return 71;
	}
	if (once_confined != NULL)
		once_confined(name);
	loop_run(loop);
	role_free(&role);
	loop_free(&loop);
	return 0;
}

static int run(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "sealpost role is started by the supervisor; you want `sealpost serve`\n");
		return 2;
	}
	return role_process(argv[1], (const char *const *)argv + 2, (size_t)argc - 2, NULL);
}

const struct command command_role = {
	.name = "role",
	.usage = "NAME [FOLDER...]",
	.summary = "one role's process",
	.help = "",
	.example = "",
	.run = run,
	.hidden = true,
};
