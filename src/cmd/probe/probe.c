/* SPDX-License-Identifier: ISC */
/* cmd/probe/probe.c -- `sealpost probe`: a domain's mail, or a mail server, as it looks from outside, and what to mend. */
#include "cmd/probe/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd/arguments.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "dns/servers.h"
#include "mail/address.h"
#include "role/supervisor/load.h"

enum { ARENA_MAX = 64 << 20, FILE_MAX = 4 << 20, DAYS = 14, PATIENCE_S = 20, NUMBER_MAX = 100000 };
#define RESOLV_CONF "/etc/resolv.conf"
#define ROOT_ANCHOR "/usr/share/dns/root.key"

struct options {
	const char *conf, *anchor, *ca, *target;
	struct str server;
	bool json;
	int64_t days, patience_s;
};

/* ---- what is said ---- */

void probe_fact(const struct probe *p, json_t *fact)
{
	fact_tell(fact, p->json);
}

void probe_find(struct probe *p, enum finding_weight weight, const char *what, struct str about, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	findings_add_list(&p->findings, weight, what, about, fmt, args);
	va_end(args);
}

/* ---- options ---- */

static int wrong(const char *fmt, const char *what)
{
	return arguments_wrong(&command_probe, fmt, what);
}

static bool take_number(const char *text, int64_t *out)
{
	uint64_t n;
	if (!str_u64(str_of(text), &n) || n == 0 || n > NUMBER_MAX)
		return false;
	*out = (int64_t)n;
	return true;
}

static int take_option(void *owner, int letter)
{
	struct options *o = owner;
	switch (letter) {
	case 'j': o->json = true; break;
	case 'c':
		if (o->conf != NULL)
			return wrong("-c is given twice: %s would not count. One configuration, please", o->conf);
		o->conf = optarg;
		break;
	case 'r': o->server = str_of(optarg); break;
	case 't': o->anchor = optarg; break;
	case 'a': o->ca = optarg; break;
	case 'd':
		if (!take_number(optarg, &o->days))
			return wrong("--days is a number from 1 on, not \"%s\"", optarg);
		break;
	default:
		if (!take_number(optarg, &o->patience_s))
			return wrong("--patience is a number of seconds from 1 on, not \"%s\"", optarg);
		break;
	}
	return 0;
}

static int take_options(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },           { "days", required_argument, NULL, 'd' },
		{ "resolve", required_argument, NULL, 'r' },  { "trust-anchor", required_argument, NULL, 't' },
		{ "ca", required_argument, NULL, 'a' },       { "patience", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	int status = arguments_take(&command_probe, argc, argv, "c:", options, take_option, o);
	if (status != 0)
		return status;
	if (optind + 1 != argc)
		return wrong("expected one domain or mail server%s", "");
	o->target = argv[optind];
	return 0;
}

/* "mx.example.org", "mx.example.org:25", "192.0.2.1", "[2001:db8::1]:25". */
static bool read_target(const char *text, struct arena *a, struct probe_host *out)
{
	struct str rest = str_of(text), host = rest, number = STR_NONE;
	struct endpoint e;
	uint64_t n = 0;
	size_t colon;
	char with_port[300];
	if (str_take_char(&rest, '[')) {
		if (!str_take_until(&rest, ']', &host) || (rest.n > 0 && !str_take_char(&rest, ':')))
			return false;
		number = rest;
	} else if (str_rfind(rest, ':', &colon) && !str_has(str_sub(rest, 0, colon), ':')) {
		host = str_sub(rest, 0, colon);
		number = str_from(rest, colon + 1);
		if (number.n == 0)
			return false;
	}
	if (number.n > 0 && (!str_u64(number, &n) || n == 0 || n > 65535))
		return false;
	if (host.n == 0 || host.n > 255)
		return false;
	(void)snprintf(with_port, sizeof with_port, str_has(host, ':') ? "[%.*s]:25" : "%.*s:25", STR_ARG(host));
	*out = (struct probe_host){ .name = host, .port = (uint16_t)n };
	out->is_address = endpoint_parse(str_of(with_port), &e) == OK;
	return out->is_address || domain_to_ascii(argument_domain(host), a, &out->name) == OK;
}

/* ---- where to ask, whom to trust ---- */

static int bad(const char *text)
{
	say(stderr, "sealpost probe: %s", text);
	return EXIT_CONFIGURATION;
}

struct sources { struct str resolv_conf, anchor, ca; const struct str *servers; size_t n_servers; };

static fault read_optional(const char *path, struct arena *a, struct str *out)
{
	struct why why;
	return load_file(path, FILE_MAX, a, out, &why);
}

static fault path_file(struct str path, struct arena *a, struct str *out, struct why *why)
{
	return path.n == 0 ? OK : load_file(arena_copy(a, path).p, FILE_MAX, a, out, why);
}

static fault read_conf(const char *path, struct arena *a, struct sources *s, struct why *why)
{
	struct conf_texts *texts = NULL;
	struct conf_report report;
	struct conf *conf = NULL;
	TRY(conf_load(path, &texts, why));
	conf_report_init(&report);
	fault f = conf_read(texts->items, texts->n, &conf, &report);
	if (f != OK)
		(void)why_say(why, f, "%s has errors: `sealpost check` shows them", path);
	conf_report_fini(&report);
	if (f == OK) {
		const struct conf_resolver *r = &conf->resolver;
		struct str *servers = ARENA_ARRAY(a, struct str, r->servers.n + 1);
		for (size_t i = 0; i < r->servers.n; i++)
			servers[i] = arena_copy(a, r->servers.items[i]);
		s->servers = servers;
		s->n_servers = r->servers.n;
		f = path_file(r->trust_anchor, a, &s->anchor, why);
		if (f == OK)
			f = path_file(r->ca.n > 0 ? r->ca : conf->direct.ca, a, &s->ca, why);
	}
	conf_free(&conf);
	conf_texts_free(&texts);
	return f;
}

/* The options, else the configuration, else the system. */
static fault read_sources(const struct options *o, struct arena *a, struct sources *s, struct why *why)
{
	if (o->conf != NULL)
		TRY(read_conf(o->conf, a, s, why));
	if (o->server.n > 0) {
		s->servers = &o->server;
		s->n_servers = 1;
	}
	if (o->anchor != NULL)
		TRY(load_file(o->anchor, FILE_MAX, a, &s->anchor, why));
	if (o->ca != NULL)
		TRY(load_file(o->ca, FILE_MAX, a, &s->ca, why));
	fault f = s->n_servers == 0 ? read_optional(RESOLV_CONF, a, &s->resolv_conf) : OK;
	if (f == OK && s->anchor.n == 0)
		f = read_optional(ROOT_ANCHOR, a, &s->anchor);
	for (size_t i = 0; s->ca.n == 0 && tls_system_ca_file(i) != NULL; i++)
		f = read_optional(tls_system_ca_file(i), a, &s->ca);
	(void)f; /* what is not there is done without */
	return OK;
}

/* Where signatures do not come to this machine, or its clock is wrong, every signed zone would look broken. */
static fault test_validation(struct probe *p, struct dns_options *dns, struct why *why)
{
	struct dns_answer a = probe_ask(p, DNS_TXT, dns_anchor_owner(dns->trust_anchor));
	if (a.result == DNS_FAILED || (a.result != DNS_BOGUS && a.secure))
		return OK;
	p->validates = false;
	p->no_signatures = a.result == DNS_BOGUS ? a.text : STR("the answer is not signed");
	dns->trust_anchor = STR_NONE;
	dns_free(&p->dns);
	return dns_new(p->loop, dns, &p->dns, why);
}

static fault begin(struct probe *p, const struct options *o, struct why *why)
{
	struct sources s = { .n_servers = 0 };
	TRY(read_sources(o, p->arena, &s, why));
	https_begin();
	TRY(tls_begin(why));
	struct dns_options dns = { .servers = s.servers, .n_servers = s.n_servers, .resolv_conf = s.resolv_conf,
		                   .trust_anchor = s.anchor, .patience_ms = p->patience_ms };
	p->validates = s.anchor.n > 0;
	TRY(dns_new(p->loop, &dns, &p->dns, why));
	if (p->validates)
		TRY(test_validation(p, &dns, why));
	p->tls = tls_client_new(&(struct tls_client_options){ .ca_pem = s.ca }, why);
	if (p->tls == NULL)
		return F_SYNTAX;
	return s.ca.n > 0 ? https_new(p->loop, s.ca, &p->https, why) : OK;
}

static void end(struct probe *p)
{
	https_free(&p->https);
	dns_free(&p->dns);
	tls_client_free(&p->tls);
	loop_run(p->loop); /* what is still said in parting */
	loop_free(&p->loop);
	findings_fini(&p->findings);
	arena_free(&p->arena);
}

/* ---- all of it ---- */

static void look(struct probe *p, const struct probe_host *target)
{
	if (p->no_signatures.n > 0)
		probe_find(p, FINDING_ADVICE, "no-validation", target->name, "this machine cannot validate DNSSEC (%.*s): the name servers that it asks "
		           "strip signatures, or its clock is wrong. That is not the domain's fault; DANE cannot be looked at: ask another server with "
		           "--resolve", STR_ARG(p->no_signatures));
	else if (!p->validates)
		probe_find(p, FINDING_ADVICE, "no-validation", target->name, "there is no trust anchor of the DNS on this machine, so DANE cannot be "
		           "looked at: install the root's (dns-root-data), or give --trust-anchor");
	if (target->is_address || target->port > 0 || !probe_domain(p, target->name))
		probe_host(p, target);
}

static int run(int argc, char **argv)
{
	struct options o = { .days = DAYS, .patience_s = PATIENCE_S };
	int status = take_options(&o, argc, argv);
	if (status != 0)
		return status;
	struct probe p = { .arena = arena_new(ARENA_MAX), .json = o.json, .days = o.days, .patience_ms = o.patience_s * 1000 };
	struct probe_host target;
	struct why why = { "" };
	p.loop = loop_new();
	findings_init(&p.findings);
	if (!read_target(o.target, p.arena, &target)) {
		status = wrong("\"%.200s\" is neither a domain nor HOST:PORT", o.target);
	} else if (begin(&p, &o, &why) != OK) {
		status = bad(why.text);
	} else {
		look(&p, &target);
		status = findings_tell(&p.findings, p.json);
	}
	end(&p);
	return status;
}

const struct command command_probe = {
	.name = "probe",
	.usage = "HOST[:PORT] | DOMAIN [--json] [--days N] [OPTION ...]",
	.summary = "look at a domain's mail, or at a mail server, from outside, and say what to mend",
	.help = "  DOMAIN              its MX records, MTA-STS, TLS reporting, and each of its servers on port 25\n"
	        "  HOST[:PORT]         a server: that port, or 25, 465 and 587. [IPv6]:PORT\n"
	        "  --json              one JSON object a line; findings last, the gravest first\n"
	        "  --days N            a certificate that ends within N days is to be renewed (default: 14)\n"
	        "  --patience N        seconds to wait for each answer (default: 20)\n"
	        "  -c FILE             ask the DNS, and trust, as this configuration says\n"
	        "  --resolve IP[:PORT] ask this DNS server\n"
	        "  --trust-anchor FILE DNSSEC's trust anchor, instead of the root's\n"
	        "  --ca FILE           trust these certificates (PEM) instead of the system's\n"
	        "\n"
	        "Exit status, for monitoring: 0 nothing needs mending, 1 something does, or cannot be reached,\n"
	        "2 usage, 78 files or options that cannot be used. Advice alone leaves it at 0.\n",
	.example = "  sealpost probe example.org\n"
	           "  sealpost probe mail.example.org:465 --days 21\n",
	.run = run,
};
