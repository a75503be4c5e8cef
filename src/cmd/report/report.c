/* SPDX-License-Identifier: ISC */
/* cmd/report/report.c -- `sealpost report`: reports on TLS sessions, those to be sent and those that came (RFC 8460). */
#include "cmd/report/report.h"

#include <string.h>

#include "base/arena.h"
#include "cmd/arguments.h"
#include "cmd/command.h"
#include "cmd/control_client.h"
#include "cmd/options.h"
#include "mail/address.h"

enum { ARENA_BYTES_MAX = 64 << 10 };

static bool is_domain(struct str domain)
{
	struct arena *a = arena_new(ARENA_BYTES_MAX);
	struct str ascii;
	bool is = domain_to_ascii(domain, a, &ascii) == OK && domain_is_valid(ascii);
	arena_free(&a);
	return is;
}

static int run(int argc, char **argv)
{
	struct common_options common = { .conf_path = DEFAULT_CONF_PATH };
	const char *domain = NULL, *received = NULL;
	for (int i = 1; i < argc;) {
		int n = common_option(argc, argv, i, &common);
		if (n == 0 && argv[i][0] != '-' && domain == NULL) {
			domain = argv[i];
			n = 1;
		} else if (n == 0 && received == NULL) {
			n = arguments_value(argc, argv, i, "--received", false, &received, &common.wrong);
		}
		if (n <= 0)
			return command_usage(&command_report, common_wrong(&common, argv[i],
			                                                   "one DOMAIN or --received FILE|MAILDIR, --json or -c FILE is expected"));
		i += n;
	}
	if (received != NULL && domain != NULL)
		return command_usage(&command_report, "either a DOMAIN, or --received: it sums the reports on all domains");
	if (domain != NULL && !is_domain(argument_domain(str_of(domain))))
		return arguments_wrong(&command_report, "\"%.200s\" is no domain: example.org is one", domain);
	if (received != NULL)
		return report_received(received, common.json != 0);
	return report_waiting(common.conf_path, domain != NULL ? argument_domain(str_of(domain)) : STR_NONE, common.json != 0);
}

const struct command command_report = {
	.name = "report",
	.usage = "[DOMAIN | --received FILE|MAILDIR] [--json] [-c FILE]",
	.summary = "show the TLS reports that would be sent, or sum those that came",
	.help = "Shows what has been counted of TLS sessions with other domains, or with this DOMAIN, and not been sent: for each UTC day\n"
	        "and domain the sessions that succeeded and failed, by policy and by reason, when its report is sent and where to. The\n"
	        "place is looked up now: it is what the domain's TXT record at _smtp._tls says.\n"
	        "\n"
	        "With --received it sums the reports that others have sent, for each policy domain and reporting organisation: how many\n"
	        "reports and sessions, and how many sessions failed for which reason. A report that came twice counts once. No server has to\n"
	        "run. Who a report says it is from is not proven by anything: whoever may write to the address of `rua` may say so.\n"
	        "\n"
	        "  --received PATH   a message, a Maildir, a folder of messages, a report (JSON, perhaps gzip), or - for standard input\n"
	        "  --json            the reports to be sent, one a line, as they would be sent (RFC 8460 4.4); with --received JSON Lines\n"
	        "  -c FILE           the configuration (default: " DEFAULT_CONF_PATH ")\n"
	        "\n"
	        "Exit status 0; 1 if there is nothing to show, or something could not be read, which is named; 69 if no server answers.\n",
	.example = "  sealpost report\n"
	           "  sealpost report example.net --json\n"
	           "  sealpost report --received /var/vmail/example.org/tls-reports\n",
	.run = run,
};
