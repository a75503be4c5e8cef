/* SPDX-License-Identifier: ISC */
/* cmd/version.c -- `sealpost version`: which Sealpost this is, and which libraries it has found here. */
#include <stdio.h>

#include <openssl/crypto.h>
#include <sqlite3.h>
#include <unbound.h>

#include "cmd/command.h"

static int run(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return command_usage(&command_version, "nothing else is expected");
	printf("Sealpost " SEALPOST_VERSION "\n%s\nSQLite %s\nlibunbound %s\n", OpenSSL_version(OPENSSL_VERSION), sqlite3_libversion(),
	       ub_version());
	return 0;
}

const struct command command_version = {
	.name = "version",
	.usage = "",
	.summary = "say which version this is, and which its libraries are",
	.help = "The libraries are those that are loaded, which may be newer than those that it was built with.\n"
	        "`sealpost --version` does the same.\n",
	.example = "  sealpost --version\n",
	.run = run,
};
