/* SPDX-License-Identifier: ISC */
/* cmd/report.c -- `sealpost report`: reports on TLS sessions, those to be sent and those that came (RFC 8460). */
#include "cmd/report.h"

#include <string.h>

#include "cmd/command.h"
#include "cmd/control_client.h"
#include "cmd/options.h"

static int run(int argc, char **argv)
{
	struct common_options common = { DEFAULT_CONF_PATH, 0 };
	const char *domain = NULL;
	for (int i = 1; i < argc;) {
		int n = common_option(argc, argv, i, &common);
		if (n == 0 && argv[i][0] != '-' && domain == NULL) {
			domain = argv[i];
			n = 1;
		}
		if (n <= 0)
			return command_usage(&command_report, "one DOMAIN, --json or -c FILE is expected");
		i += n;
	}
	return report_waiting(common.conf_path, str_of(domain), common.json != 0);
}

const struct command command_report = {
	.name = "report",
	.usage = "[DOMAIN] [--json] [-c FILE]",
	.summary = "show the TLS reports that would be sent",
	.help = "Shows what has been counted of TLS sessions with other domains, or with this DOMAIN, and not been sent: for each UTC day\n"
	        "and domain the sessions that succeeded and failed, by policy and by reason, when its report is sent and where to. The\n"
	        "place is looked up now: it is what the domain's TXT record at _smtp._tls says.\n"
	        "\n"
	        "  --json            the reports themselves, one a line, as they would be sent (RFC 8460 4.4)\n"
	        "  -c FILE           the configuration (default: " DEFAULT_CONF_PATH ")\n"
	        "\n"
	        "Exit status 0; 1 if nothing has been counted; 69 if no server answers.\n",
	.example = "  sealpost report\n"
	           "  sealpost report example.net --json\n",
	.run = run,
};
