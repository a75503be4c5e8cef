/* SPDX-License-Identifier: ISC */
/*
 * cmd/options.h -- what the commands share: where the configuration lies, and the exit codes of sysexits.h.
 */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#define DEFAULT_CONF_PATH "/etc/sealpost/sealpost.conf"

/* What hands mail over ends with one of these; scripts rely on them. */
enum exit_status {
	EXIT_ACCEPTED = 0,
	EXIT_USAGE = 64, /* sendmail only: the other commands end with 2 */
	EXIT_BAD_INPUT = 65,
	EXIT_NO_USER = 67,
	EXIT_NO_HOST = 68,
	EXIT_UNAVAILABLE = 69,
	EXIT_SOFTWARE = 70,
	EXIT_TEMPORARY = 75,
	EXIT_PROTOCOL = 76,
	EXIT_REFUSED_LOGIN = 77,
	EXIT_CONFIGURATION = 78,
};

#endif
