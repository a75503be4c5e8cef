/* SPDX-License-Identifier: ISC */
/* cmd/sink/sink.c -- takes mail and throws it away: what a sender can do when nothing holds it back. */
#include "cmd/sink/sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/amount.h"
#include "cmd/arguments.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "role/keeper/keys.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"
#include "tls/certificate.h"

enum { PEM_MAX = 1 << 20, BACKLOG = 4096, SWEEP_MS = 1000, ACCEPTS_A_TURN = 64, DELAY_MS_MAX = 600 * 1000, PATIENCE_MS = 300 * 1000 };

enum sink_tls { SINK_TLS_STARTTLS, SINK_TLS_IMPLICIT, SINK_TLS_NONE };

struct options {
	struct sink sink;
	enum sink_tls tls;
	const char *at, *cert_file, *key_file;
	struct endpoint endpoint;
	uint64_t seed;
	int64_t duration_ms;
	bool json, no_tickets;
	struct buf cert, key;
	struct keys *keys;
	struct acceptor *acceptor;
	struct timer sweep, end;
	uint64_t cpu_us;
};

static int wrong(const char *fmt, const char *what)
{
	return arguments_wrong(&command_sink, fmt, what);
}

static int bad(const char *what, const char *why)
{
	return arguments_bad(&command_sink, EXIT_CONFIGURATION, what, why);
}

/* ---- options ---- */

static int take_word(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return (int)i;
	return -1;
}

static int take_option(void *owner, int c)
{
	struct options *o = owner;
	static const char *const modes[] = { "starttls", "implicit", "none" }, *const places[] = { "dot", "rcpt", "mail" };
	struct sink_rules *r = &o->sink.rules;
	int word;
	switch (c) {
	case 't':
		if ((word = take_word(modes, COUNT(modes), optarg)) < 0)
			return wrong("--tls is starttls, implicit or none, not \"%s\"", optarg);
		o->tls = (enum sink_tls)word;
		break;
	case 'p':
		if ((word = take_word(places, COUNT(places), optarg)) < 0)
			return wrong("--at is dot, rcpt or mail, not \"%s\"", optarg);
		r->at = (enum sink_place)word;
		break;
	case 'c': o->cert_file = optarg; break;
	case 'k': o->key_file = optarg; break;
	case 'l': r->lmtp = true; break;
	case 'a': r->auth = true; break;
	case 'P': r->no_pipelining = true; break;
	case 'C': r->no_chunking = true; break;
	case 'T': o->no_tickets = true; break;
	case 'j': o->json = true; break;
	case 'D':
	case 'R':
	case 'X':
		if (!amount_share(optarg, c == 'D' ? &r->defer : c == 'R' ? &r->refuse : &r->drop))
			return wrong("\"%s\" is not a share: write 5%% or 0.5%%, up to 100%%", optarg);
		break;
	case 'd':
		if (!amount_time(optarg, DELAY_MS_MAX, &o->sink.delay_ms))
			return wrong("\"%s\" is not a delay up to 10 minutes: write 50ms or 2s", optarg);
		break;
	case 'n':
		if (!amount_count(optarg, 1, UINT64_MAX, &o->sink.count))
			return wrong("\"%s\" is not a number of messages", optarg);
		break;
	case 'u':
		if (!amount_time(optarg, INT64_MAX / 2000, &o->duration_ms) || o->duration_ms == 0)
			return wrong("\"%s\" is not a time: write 30s or 5m", optarg);
		break;
	default:
		if (!amount_count(optarg, 1, UINT64_MAX, &o->seed))
			return wrong("\"%s\" is not a seed: a number from 1", optarg);
		break;
	}
	return 0;
}

static int take_options(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "tls", required_argument, NULL, 't' },      { "cert", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 'k' },      { "lmtp", no_argument, NULL, 'l' },
		{ "auth", no_argument, NULL, 'a' },           { "delay", required_argument, NULL, 'd' },
		{ "defer", required_argument, NULL, 'D' },    { "refuse", required_argument, NULL, 'R' },
		{ "drop", required_argument, NULL, 'X' },     { "at", required_argument, NULL, 'p' },
		{ "seed", required_argument, NULL, 's' },     { "count", required_argument, NULL, 'n' },
		{ "duration", required_argument, NULL, 'u' }, { "no-pipelining", no_argument, NULL, 'P' },
		{ "no-chunking", no_argument, NULL, 'C' },    { "no-tickets", no_argument, NULL, 'T' },
		{ "json", no_argument, NULL, 'j' },           { NULL, 0, NULL, 0 },
	};
	int status = arguments_take(&command_sink, argc, argv, "", options, take_option, o);
	if (status != 0)
		return status;
	if (optind == argc)
		return wrong("on which port? 0 takes a free one%s", "");
	o->at = argv[optind++];
	if (optind < argc)
		return wrong("one port: \"%s\" is too much", argv[optind]);
	const struct sink_rules *r = &o->sink.rules;
	if (r->defer + r->refuse + r->drop > 1000000)
		return wrong("--defer, --refuse and --drop are more than 100%% together%s", "");
	if ((o->cert_file != NULL) != (o->key_file != NULL))
		return wrong("--cert and --key go together%s", "");
	if (o->tls == SINK_TLS_NONE && (o->cert_file != NULL || r->auth))
		return wrong("--tls none goes without --cert and --auth%s", "");
	return 0;
}

/* A port alone is one of the loopback. */
static int read_endpoint(struct options *o)
{
	struct str text = str_of(o->at);
	uint64_t port;
	o->endpoint = (struct endpoint){ .kind = ENDPOINT_IPV4, .ip = { 127, 0, 0, 1 } };
	if (str_u64(text, &port) && port <= UINT16_MAX)
		o->endpoint.port = (uint16_t)port;
	else if (endpoint_parse(text, &o->endpoint) != OK)
		return wrong("\"%s\" is not a place to listen: write PORT, ADDRESS:PORT, [IPv6]:PORT or unix:/path", o->at);
	return 0;
}

/* ---- TLS ---- */

static fault sign(void *owner, struct str key_id, struct str digest, unsigned padding, struct str message, struct buf *signature_out)
{
	const struct options *o = owner;
	struct sign_request q = { .key = key_id, .digest = digest, .padding = padding, .message = message };
	struct why why = { "" };
	return keys_sign(o->keys, SIGN_AS_SERVER, &q, signature_out, &why);
}

static fault make_pair(struct options *o, struct why *why)
{
	const struct str names[] = { STR_INIT("localhost") };
	struct buf ca;
	buf_init(&ca, PEM_MAX);
	fault f = certificate_make(names, COUNT(names), &ca, &o->cert, &o->key, why);
	buf_fini(&ca); /* nobody can verify it; whoever wants that gives a certificate */
	return f;
}

static int prepare_tls(struct options *o)
{
	struct why why = { "" };
	char seed[TLS_TICKET_SEED_BYTES];
	const struct tls_signer signer = { sign, o };
	if (o->tls == SINK_TLS_NONE)
		return 0;
	int status = o->cert_file != NULL ? arguments_read_file(&command_sink, EXIT_CONFIGURATION, o->cert_file, &o->cert) : 0;
	if (status == 0 && o->key_file != NULL)
		status = arguments_read_file(&command_sink, EXIT_CONFIGURATION, o->key_file, &o->key);
	if (status != 0)
		return status;
	fault f = tls_begin(&why);
	if (f == OK && o->cert_file == NULL)
		f = make_pair(o, &why);
	o->keys = keys_new();
	if (f == OK)
		f = keys_add(o->keys, buf_view(&o->cert), buf_view(&o->key), &why);
	buf_wipe(&o->key);
	if (f == OK) {
		o->sink.tls = tls_server_new(&signer, true);
		f = tls_server_add(o->sink.tls, NULL, 0, buf_view(&o->cert), &why);
	}
	if (f == OK && !o->no_tickets) {
		o->sink.tickets = tls_tickets_new();
		random_bytes(seed, sizeof seed);
		f = tls_tickets_set(o->sink.tickets, (struct str){ seed, sizeof seed }, STR_NONE);
	}
	return f == OK ? 0 : bad(o->cert_file != NULL ? o->cert_file : "TLS", why.text);
}

/* ---- running ---- */

static void on_waiting(void *owner)
{
	struct options *o = owner;
	for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
		struct endpoint peer;
		int fd = -1;
		fault f = socket_accept(acceptor_fd(o->acceptor), &fd, &peer);
		if (f == F_LIMIT)
			fd_close(&fd);
		if (f != OK)
			return;
		guest_new(&o->sink, fd);
	}
}

static void on_sweep(void *owner)
{
	struct options *o = owner;
	guest_sweep(&o->sink);
	timer_set(&o->sweep, loop_now_ms(o->sink.loop) + SWEEP_MS);
}

static void on_end(void *owner)
{
	loop_stop(((struct options *)owner)->sink.loop);
}

static void on_signal(void *owner, enum signal_kind which)
{
	if (which == SIGNAL_STOP)
		on_end(owner);
}

static void tell_place(const struct options *o, int fd)
{
	struct endpoint here = o->endpoint;
	struct buf text;
	static const char *const modes[] = { "STARTTLS is offered", "TLS from the first byte", "in clear" };
	buf_init(&text, 200);
	fault f = o->endpoint.kind == ENDPOINT_UNIX ? OK : socket_local(fd, &here);
	if (f == OK)
		f = endpoint_put(&text, &here);
	struct str at = f == OK ? buf_view(&text) : str_of(o->at);
	if (o->json)
		printf("{\"kind\": \"ready\", \"at\": \"%.*s\", \"port\": %u}\n", STR_ARG(at), here.port);
	else
		printf("%s at %.*s, %s: what comes is thrown away\n", o->sink.rules.lmtp ? "LMTP" : "SMTP", STR_ARG(at), modes[o->tls]);
	(void)fflush(stdout);
	buf_fini(&text);
}

static void tell_totals(const struct options *o)
{
	const struct sink *s = &o->sink;
	const struct sink_rules *r = &s->rules;
	double seconds = s->last_us > s->first_us ? (double)(s->last_us - s->first_us) / 1e6 : 0;
	double rate = seconds > 0 ? (double)r->messages / seconds : 0;
	if (o->json) {
		printf("{\"kind\": \"total\", \"messages\": %" PRIu64 ", \"recipients\": %" PRIu64 ", \"octets\": %" PRIu64
		       ", \"seconds\": %.3f, \"rate\": %.1f, \"deferred\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"dropped\": %" PRIu64
		       ", \"connections\": %" PRIu64 ", \"connections_most\": %zu, \"handshakes\": %" PRIu64 ", \"resumed\": %" PRIu64
		       ", \"handshakes_failed\": %" PRIu64 ", \"cpu_seconds\": %.3f}\n",
		       r->messages, r->recipients, r->octets, seconds, rate, r->deferred, r->refused, r->dropped, s->opened, s->open_most,
		       s->handshakes, s->resumed, s->handshakes_failed, (double)(process_cpu_us() - o->cpu_us) / 1e6);
		return;
	}
	printf("%" PRIu64 " messages to %" PRIu64 " recipients, %.1f MB, in %.2f s: %.1f a second\n", r->messages, r->recipients,
	       (double)r->octets / 1e6, seconds, rate);
	if (r->deferred + r->refused + r->dropped > 0)
		printf("%" PRIu64 " deferred, %" PRIu64 " refused, %" PRIu64 " dropped\n", r->deferred, r->refused, r->dropped);
	printf("%" PRIu64 " connections, %zu at once; %" PRIu64 " TLS handshakes, %" PRIu64 " of them resumed, %" PRIu64 " failed\n", s->opened,
	       s->open_most, s->handshakes, s->resumed, s->handshakes_failed);
	printf("this program used %.2f s of CPU\n", (double)(process_cpu_us() - o->cpu_us) / 1e6);
}

static int serve(struct options *o)
{
	struct why why = { "" };
	int fd = -1;
	if (socket_listen(&o->endpoint, BACKLOG, &fd, &why) != OK) {
		say(stderr, "sealpost sink: %s", why.text);
		return EXIT_UNAVAILABLE;
	}
	struct sink *s = &o->sink;
	s->implicit = o->tls == SINK_TLS_IMPLICIT;
	s->rules.starttls = o->tls == SINK_TLS_STARTTLS;
	s->rules.dice = o->seed != 0 ? o->seed : random_u64() | 1;
	s->patience_ms = PATIENCE_MS;
	list_init(&s->guests);
	process_raise_descriptors();
	s->loop = loop_new();
	timer_init(&o->sweep, s->loop, on_sweep, o);
	timer_init(&o->end, s->loop, on_end, o);
	timer_set(&o->sweep, loop_now_ms(s->loop) + SWEEP_MS);
	if (o->duration_ms > 0)
		timer_set(&o->end, loop_now_ms(s->loop) + o->duration_ms);
	signals_watch(s->loop, on_signal, o);
	o->acceptor = acceptor_new(s->loop, fd, on_waiting, o);
	o->cpu_us = process_cpu_us();
	tell_place(o, fd);
	loop_run(s->loop);
	acceptor_close(&o->acceptor);
	guest_free_all(s);
	timer_clear(&o->sweep);
	timer_clear(&o->end);
	tell_totals(o);
	loop_free(&s->loop);
	return 0;
}

static int run(int argc, char **argv)
{
	static struct options o;
	o = (struct options){ .tls = SINK_TLS_STARTTLS };
	buf_init(&o.cert, PEM_MAX);
	buf_init_secret(&o.key, PEM_MAX);
	int status = take_options(&o, argc, argv);
	if (status == 0)
		status = read_endpoint(&o);
	if (status == 0)
		status = prepare_tls(&o);
	if (status == 0)
		status = serve(&o);
	tls_server_free(&o.sink.tls);
	if (o.sink.tickets != NULL)
		tls_tickets_free(&o.sink.tickets);
	if (o.keys != NULL)
		keys_free(&o.keys);
	buf_fini(&o.cert);
	buf_wipe(&o.key);
	return status;
}

const struct command command_sink = {
	.name = "sink",
	.usage = "[OPTION ...] [ADDRESS:]PORT",
	.summary = "take mail and throw it away, to measure or to try a sender",
	.help =
		"Listens on 127.0.0.1 unless an address is given (ADDRESS:PORT, [IPv6]:PORT, unix:/path); port 0 is a free one.\n"
		"Any mail to anybody is taken and forgotten; totals are printed at the end (Ctrl-C).\n\n"
		"  --tls starttls         offer STARTTLS (the default)\n"
		"  --tls implicit         TLS from the first byte\n"
		"  --tls none             in clear\n"
		"  --cert FILE            the certificate chain (PEM) ...\n"
		"  --key FILE             ... and its key; without them a throw-away one is made\n"
		"  --no-tickets           nobody may resume a TLS session\n"
		"  --auth                 offer AUTH under TLS; any password is right\n"
		"  --lmtp                 speak LMTP: one reply for each recipient\n"
		"  --no-pipelining        do not offer PIPELINING\n"
		"  --no-chunking          do not offer CHUNKING (BDAT)\n"
		"  --delay TIME           wait so long before the reply to each message: 50ms, 2s\n"
		"  --defer SHARE          answer 451 to this share of the messages: 5%\n"
		"  --refuse SHARE         answer 550\n"
		"  --drop SHARE           close the connection instead of answering\n"
		"  --at dot|rcpt|mail     where the last three happen; default: dot\n"
		"  --seed NUMBER          the same fates each time\n"
		"  --count NUMBER         end after so many messages\n"
		"  --duration TIME        end after so long: 30s, 5m\n"
		"  --json                 a line when it is ready (\"kind\": \"ready\") and one at the end (\"kind\": \"total\")\n\n"
		"Exit status: 0, 69 cannot listen there, 78 a certificate that cannot be used, 2 usage.\n",
	.example =
		"  sealpost sink --tls implicit --delay 50ms --defer 2% 2465\n",
	.run = run,
};
