/* SPDX-License-Identifier: ISC */
/* cmd/load/load.c -- sends a mail server as much as it takes, and measures. */
#include "cmd/load/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/amount.h"
#include "cmd/arguments.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "sys/file.h"
#include "sys/process.h"

enum { PASSWORD_FILE_MAX = 4096, OWN_MAX = 256, ADDRESSES_MAX = 16, TIME_MAX_MS = 24 * 3600 * 1000 };

struct options {
	struct load_plan plan;
	struct load load;
	const char *from, *password_file, *password_variable;
	bool permitted;
	struct buf password;
};

static int wrong(const char *fmt, const char *what)
{
	return arguments_wrong(&command_load, fmt, what);
}

static int bad(int status, const char *what, const char *why)
{
	return arguments_bad(&command_load, status, what, why);
}

/* ---- options ---- */

static bool take_tls(struct load_plan *p, const char *word)
{
	static const char *const words[] = { "implicit", "starttls", "none" };
	for (size_t i = 0; i < COUNT(words); i++)
		if (strcmp(words[i], word) == 0) {
			p->tls = (enum load_tls)i;
			return true;
		}
	return false;
}

static bool take_unsigned(const char *text, unsigned most, unsigned *out)
{
	uint64_t n;
	if (!amount_count(text, 1, most, &n))
		return false;
	*out = (unsigned)n;
	return true;
}

/* Amounts: NULL, or what is wrong with this one. */
static const char *take_amount(struct load_plan *p, int c)
{
	switch (c) {
	case 'n': return amount_count(optarg, 1, INT64_MAX, &p->count) ? NULL : "\"%s\" is not a number of messages";
	case 'd':
		return amount_time(optarg, TIME_MAX_MS, &p->duration_ms) && p->duration_ms > 0 ? NULL : "\"%s\" is not a time up to a day: write 30s";
	case 'w': return amount_time(optarg, TIME_MAX_MS, &p->warm_up_ms) ? NULL : "\"%s\" is not a time up to a day: write 2s";
	case 'g':
		return amount_time(optarg, TIME_MAX_MS, &p->gather_ms) && p->gather_ms > 0 ? NULL : "\"%s\" is not a time up to a day: write 2m";
	case 'P':
		return amount_time(optarg, TIME_MAX_MS, &p->patience_ms) && p->patience_ms > 0 ? NULL : "\"%s\" is not a time up to a day: write 60s";
	case 's': return amount_size(optarg, LOAD_SIZE_MAX, &p->size) ? NULL : "\"%s\" is not a size up to 1G: 10000, 64K, 10M";
	case 'c':
		return take_unsigned(optarg, LOAD_CONNECTIONS_MAX, &p->connections) ? NULL
		                                                                   : "\"%s\" is not a number of connections from 1 to 100000";
	case 'o': return take_unsigned(optarg, LOAD_CONNECTIONS_MAX, &p->opening) ? NULL : "\"%s\" is not a number from 1 to 100000";
	case 'm':
		return amount_count(optarg, 0, UINT32_MAX, &p->per_connection) ? NULL : "\"%s\" is not a number of messages for each connection";
	case 'N': return take_unsigned(optarg, LOAD_PROCESSES_MAX, &p->processes) ? NULL : "\"%s\" is not a number of processes from 1 to 64";
	default: return take_unsigned(optarg, LOAD_RCPTS_MAX, &p->rcpts) ? NULL : "\"%s\" is not a number of recipients from 1 to 1000";
	}
}

static int take_option(void *owner, int c)
{
	struct options *o = owner;
	struct load_plan *p = &o->plan;
	switch (c) {
	case 't': return take_tls(p, optarg) ? 0 : wrong("--tls is implicit, starttls or none, not \"%s\"", optarg);
	case 'f': o->from = optarg; break;
	case 'T':
		if (p->n_to == LOAD_PATTERNS_MAX)
			return wrong("more than 100 times --to%s", "");
		p->to[p->n_to++] = str_of(optarg);
		break;
	case 'u': p->user = str_of(optarg); break;
	case 'F': o->password_file = optarg; break;
	case 'E': o->password_variable = optarg; break;
	case 'M': p->mechanism = str_of(optarg); break;
	case 'h': p->helo = str_of(optarg); break;
	case 'R': p->resume = true; break;
	case 'p': p->pipelining = true; break;
	case 'l': p->lmtp = true; break;
	case 'H': p->hold = true; break;
	case 'j': p->json = true; break;
	case 'q': p->quiet = true; break;
	case 'Y': o->permitted = true; break;
	default: {
		const char *trouble = take_amount(p, c);
		return trouble == NULL ? 0 : wrong(trouble, optarg);
	}
	}
	return 0;
}

static bool is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum((unsigned char)s.p[i]) && !str_has(STR("-.[]:_"), s.p[i]))
			return false;
	return s.n > 0 && s.n <= 255;
}

static int judge_addresses(struct options *o)
{
	struct load_plan *p = &o->plan;
	if (p->n_to == 0 && (!p->hold || p->per_connection > 0))
		return wrong("--to is missing: who shall get the mail?%s", "");
	if (p->n_to == 0)
		p->to[p->n_to++] = STR_NONE; /* nothing is sent */
	p->from = o->from != NULL ? str_of(o->from) : p->to[0];
	for (size_t i = 0; i < p->n_to; i++)
		if (!pattern_is_good(p->to[i]))
			return wrong("\"%s\" is not a pattern for addresses: name%%m@example.test", p->to[i].p);
	return pattern_is_good(p->from) ? 0 : wrong("\"%s\" is not a pattern for addresses: name%%m@example.test", o->from);
}

static int judge(struct options *o)
{
	struct load_plan *p = &o->plan;
	if (p->count > 0 && p->duration_ms > 0)
		return wrong("--count and --duration contradict each other%s", "");
	if (p->processes > 1 && (p->hold || p->processes > p->connections || (p->count > 0 && p->processes > p->count)))
		return wrong("--processes goes without --hold, and with as many connections and messages at least%s", "");
	if (p->processes > 1 && p->gather_ms > 0)
		return wrong("--gather is for one process: it goes without --processes%s", "");
	if (p->hold && (p->count > 0 || p->warm_up_ms > 0))
		return wrong("--hold counts by connection: it goes with --messages, not with --count or --warm-up%s", "");
	if (p->user.n > 0 && (o->password_file != NULL) == (o->password_variable != NULL))
		return wrong("--user goes with --password-file or --password-variable%s", "");
	if (p->user.n == 0 && (o->password_file != NULL || o->password_variable != NULL || p->mechanism.n > 0))
		return wrong("a password or mechanism goes with --user%s", "");
	if (p->user.n > 0 && p->tls == LOAD_CLEAR)
		return wrong("a password never goes in clear: --user goes with --tls implicit or starttls%s", "");
	if (p->resume && p->tls == LOAD_CLEAR)
		return wrong("--resume goes with TLS%s", "");
	if (!is_name(p->helo))
		return wrong("--helo \"%s\" is not a name", p->helo.p);
	if (p->count == 0 && p->duration_ms == 0 && !p->hold)
		p->duration_ms = 10 * 1000;
	if (p->rcpts == 0)
		p->rcpts = p->n_to > 0 ? (unsigned)p->n_to : 1;
	return judge_addresses(o);
}

static int take_options(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "tls", required_argument, NULL, 't' },        { "resume", no_argument, NULL, 'R' },
		{ "connections", required_argument, NULL, 'c' }, { "messages", required_argument, NULL, 'm' },
		{ "opening", required_argument, NULL, 'o' },    { "count", required_argument, NULL, 'n' },
		{ "duration", required_argument, NULL, 'd' },   { "warm-up", required_argument, NULL, 'w' },
		{ "size", required_argument, NULL, 's' },       { "from", required_argument, NULL, 'f' },
		{ "to", required_argument, NULL, 'T' },         { "recipients", required_argument, NULL, 'r' },
		{ "pipelining", no_argument, NULL, 'p' },       { "lmtp", no_argument, NULL, 'l' },
		{ "user", required_argument, NULL, 'u' },       { "password-file", required_argument, NULL, 'F' },
		{ "password-variable", required_argument, NULL, 'E' }, { "mechanism", required_argument, NULL, 'M' },
		{ "processes", required_argument, NULL, 'N' },  { "gather", required_argument, NULL, 'g' },
		{ "helo", required_argument, NULL, 'h' },       { "patience", required_argument, NULL, 'P' },
		{ "hold", no_argument, NULL, 'H' },             { "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },            { "with-permission", no_argument, NULL, 'Y' },
		{ NULL, 0, NULL, 0 },
	};
	int status = arguments_take(&command_load, argc, argv, "", options, take_option, o);
	if (status != 0)
		return status;
	if (optind == argc)
		return wrong("which server? HOST:PORT%s", "");
	o->plan.server_text = argv[optind++];
	if (optind < argc)
		return wrong("one server: \"%s\" is too much", argv[optind]);
	return judge(o);
}

/* ---- whom ---- */

static bool same_address(const struct endpoint *a, const struct endpoint *b)
{
	return a->kind == b->kind && memcmp(a->ip, b->ip, a->kind == ENDPOINT_IPV4 ? 4 : 16) == 0;
}

static bool is_this_machine(const struct endpoint *e)
{
	static struct endpoint own[OWN_MAX];
	if (e->kind == ENDPOINT_UNIX || endpoint_is_loopback(e))
		return true;
	size_t n = socket_own_addresses(own, OWN_MAX);
	for (size_t i = 0; i < n; i++)
		if (same_address(&own[i], e))
			return true;
	return false;
}

static int find_server(struct options *o)
{
	struct load_plan *p = &o->plan;
	struct str text = str_of(p->server_text);
	struct why why = { "" };
	uint64_t port;
	size_t colon, n = 0;
	struct endpoint found[ADDRESSES_MAX];
	p->host = str_rfind(text, ':', &colon) ? str_sub(text, 0, colon) : text;
	if (endpoint_parse(text, &p->server) != OK) {
		if (!str_rfind(text, ':', &colon) || !str_u64(str_from(text, colon + 1), &port) || port == 0 || port > UINT16_MAX)
			return wrong("\"%s\" is not a server: write HOST:PORT, [IPv6]:PORT or unix:/path", p->server_text);
		if (host_lookup(p->host, (uint16_t)port, found, ADDRESSES_MAX, &n, &why) != OK || n == 0)
			return bad(EXIT_NO_HOST, p->server_text, why.text);
		p->server = found[0];
	}
	if (!o->permitted && !is_this_machine(&p->server))
		return bad(EXIT_CONFIGURATION, p->server_text,
		           "is another machine. A load test may put a mail server out of action and fill its disk: ask who runs it, and "
		           "say --with-permission");
	return 0;
}

static int read_password(struct options *o)
{
	struct load_plan *p = &o->plan;
	if (o->password_variable != NULL) {
		p->password = str_of(getenv(o->password_variable));
		return p->password.n > 0 ? 0 : bad(EXIT_CONFIGURATION, o->password_variable, "there is no password in this variable");
	}
	if (o->password_file == NULL)
		return 0;
	int status = arguments_read_file(&command_load, EXIT_CONFIGURATION, o->password_file, &o->password);
	if (status != 0)
		return status;
	struct str rest = buf_view(&o->password);
	if (!str_next_line(&rest, &p->password) || p->password.n == 0)
		return bad(EXIT_CONFIGURATION, o->password_file, "holds no password in its first line");
	return 0;
}

static int prepare_tls(struct options *o)
{
	struct why why = { "" };
	/* Whom we measure, we do not judge: `sealpost probe` does. */
	const struct tls_client_options nobody = { .only_these = true };
	if (o->plan.tls == LOAD_CLEAR)
		return 0;
	if (tls_begin(&why) == OK)
		o->load.tls = tls_client_new(&nobody, &why);
	return o->load.tls != NULL ? 0 : bad(EXIT_CONFIGURATION, "TLS", why.text);
}

static int run(int argc, char **argv)
{
	static struct options o;
	o = (struct options){ .plan = { .tls = LOAD_IMPLICIT, .connections = 10, .opening = 100, .size = 10000, .processes = 1, .patience_ms = 60 * 1000,
		                        .helo = STR_INIT("load.invalid") } };
	o.load.plan = &o.plan;
	buf_init_secret(&o.password, PASSWORD_FILE_MAX);
	int status = take_options(&o, argc, argv);
	if (status == 0)
		status = find_server(&o);
	if (status == 0)
		status = read_password(&o);
	if (status == 0)
		status = prepare_tls(&o);
	if (status == 0) {
		process_raise_descriptors();
		fault f = load_run_split(&o.load, &o.plan);
		if (f == OK)
			load_report(&o.load);
		status = f == OK ? load_status(&o.load) : bad(EXIT_SOFTWARE, "--processes", fault_name(f));
	}
	tls_client_free(&o.load.tls);
	buf_wipe(&o.password);
	return status;
}

const struct command command_load = {
	.name = "load",
	.usage = "--to ADDRESS [OPTION ...] HOST:PORT",
	.summary = "send a mail server as much as it takes, and measure it",
	.help =
		"Speaks SMTP to HOST:PORT over as many connections as asked for, without a pause. A message counts when its final\n"
		"250 has been read. What is accepted is real mail, so aim it where the mail ends, as at `sealpost sink`.\n"
		"Any machine but this one is refused without --with-permission. Certificates are not verified.\n\n"
		"  --to ADDRESS           a recipient; several are taken in turn. In addresses %m is the message's number, %c the\n"
		"                         connection's, %r the recipient's; %100m counts from 0 to 99 again and again; %% is a %\n"
		"  --from ADDRESS         the sender, '' for none; default: as the first --to\n"
		"  --recipients NUMBER    of each message; default: as many as there are --to\n"
		"  --size SIZE            of each message, with its header: 10000 (the default), 64K, 10M\n"
		"  --connections NUMBER   at once; default: 10\n"
		"  --messages NUMBER      on each connection before a new one is made; default: no end. 1: a handshake for each\n"
		"  --opening NUMBER       connect and shake hands with so many at once; default: 100\n"
		"  --gather TIME          open all connections before any of them sends; one that is not ready by then stays out\n"
		"  --count NUMBER         end after so many messages ...\n"
		"  --duration TIME        ... or after so long: 30s, 5m; default: 10s\n"
		"  --warm-up TIME         do not measure what comes first\n"
		"  --tls implicit         TLS from the first byte (the default)\n"
		"  --tls starttls         TLS after STARTTLS\n"
		"  --tls none             in clear\n"
		"  --resume               resume the TLS sessions of earlier connections; else each handshake is a full one\n"
		"  --pipelining           send MAIL, all RCPT and DATA at once (RFC 2920)\n"
		"  --lmtp                 speak LMTP\n"
		"  --user NAME            log in on each connection\n"
		"  --password-file FILE   the password is its first line\n"
		"  --password-variable VARIABLE  ... or in this variable of the environment\n"
		"  --mechanism NAME       log in so, and not by the strongest way that is offered: PLAIN\n"
		"  --processes NUMBER     share the work among so many, where one core is not enough; no word on progress then\n"
		"  --helo NAME            what to say in EHLO; default: load.invalid\n"
		"  --patience TIME        give a connection up after so long without an answer; default: 60s\n"
		"  --hold                 only open the connections, and hold them; with --messages after those\n"
		"  --with-permission      this may be another machine: who runs it has agreed\n"
		"  --json                 the result as one line of JSON\n"
		"  --quiet                no word on progress\n\n"
		"Exit status: 0 all messages were accepted (and with --gather all connections stood), 1 not all, 68 no such host,\n"
		"78 options that cannot be used or no permission, 2 usage.\n",
	.example =
		"  sealpost load --to sam@example.org --connections 50 --messages 100 --duration 30s localhost:465\n",
	.run = run,
};
