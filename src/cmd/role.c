/* SPDX-License-Identifier: ISC */
/* cmd/role.c -- one role's process, as the supervisor starts it: descriptor 3 is its control channel. */
#include "cmd/command.h"

#include <stdio.h>
#include <string.h>

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

static int run(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "sealpost role is started by the supervisor; you want `sealpost serve`\n");
		return 2;
	}
	log_begin(argv[1], false);
	process_hide_memory();
	(void)tls_wipe_memory(); /* nothing of OpenSSL has run: it cannot be too late */
	if (strcmp(argv[1], "keeper") == 0)
		(void)process_lock_memory(); /* else at least its keys and files are locked, and it says what is not */
	struct loop *loop = loop_new();
	struct role_base *role = role_start(loop, argv[1], CONTROL_FD);
	if (role == NULL) {
		fprintf(stderr, "sealpost role: there is no role \"%s\"\n", argv[1]);
		loop_free(&loop);
		return 2;
	}
	role_on_end(role, stop, loop);
	signals_watch(loop, ignore, NULL);
	loop_run(loop);
	role_free(&role);
	loop_free(&loop);
	return 0;
}

const struct command command_role = {
	.name = "role",
	.usage = "NAME",
	.summary = "one role's process",
	.help = "",
	.example = "",
	.run = run,
	.hidden = true,
};
