/* SPDX-License-Identifier: ISC */
#include "cmd/command.h"
static int run(int argc, char **argv) { (void)argc; (void)argv; return 1; }
const struct command command_serve = { "serve", "-c FILE", "run the server in the foreground", "", "", run, false };
const struct command command_role = { "role", "NAME", "one role's process", "", "", run, true };
