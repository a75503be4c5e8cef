/* SPDX-License-Identifier: ISC */
/* cmd/probe/host.c -- a mail server as it looks from outside. */
#include "cmd/probe/probe.h"

#include <stdio.h>
#include <time.h>

#include "mail/json.h"
#include "proto/dane/dane.h"
#include "sys/clock.h"

enum { DAY_S = 86400, SMTP = 25, SUBMISSIONS = 465, SUBMISSION = 587 };

struct port {
	struct probe *p;
	const struct probe_host *h;
	uint16_t number;
	bool implicit;                   /* as it turned out */
	struct endpoint at;
	struct str about, ip;            /* "mx.example.org:25" */
	struct tls_wish wish;
	struct probe_visit visit;
	bool dane_proves;
};

static json_t *fact(const struct port *port, const char *kind)
{
	json_t *o = json_pack("{s:s}", "kind", kind);
	json_object_set_new(o, "name", text_as_json(port->h->name));
	json_object_set_new(o, "port", json_integer(port->number));
	return o;
}

static void set(json_t *o, const char *key, struct str value)
{
	if (value.n > 0)
		json_object_set_new(o, key, text_as_json(value));
}

static void set_day(json_t *o, const char *key, int64_t s)
{
	char day[32];
	time_t t = (time_t)s;
	struct tm at;
	if (gmtime_r(&t, &at) == NULL)
		return;
	(void)snprintf(day, sizeof day, "%04d-%02d-%02d", at.tm_year + 1900, at.tm_mon + 1, at.tm_mday);
	json_object_set_new(o, key, json_string(day));
}

static int64_t days_left(const struct probe_visit *v)
{
	int64_t s = v->chain[0].not_after_s - clock_wall_s();
	return s >= 0 ? s / DAY_S : -((-s + DAY_S - 1) / DAY_S);
}

/* ---- what was seen ---- */

static void tell_visit(const struct port *port)
{
	const struct probe_visit *v = &port->visit;
	json_t *o = fact(port, "host");
	set(o, "ip", port->ip);
	json_object_set_new(o, "mode", json_string(port->implicit ? "implicit" : "starttls"));
	set(o, "result", v->end == PROBE_READY ? STR("ready for mail, in TLS") : v->words);
	probe_fact(port->p, o);
	if (v->version.n == 0)
		return;
	o = fact(port, "tls");
	set(o, "version", v->version);
	set(o, "group", v->group);
	set(o, "cipher", v->cipher);
	json_object_set_new(o, "verified", json_string(v->verified ? "yes" : "no"));
	set(o, "by", v->by);
	set(o, "problem", v->problem);
	probe_fact(port->p, o);
	for (size_t i = 0; i < v->n_chain; i++) {
		o = fact(port, "cert");
		json_object_set_new(o, "n", json_integer((json_int_t)i));
		set(o, "subject", v->chain[i].subject);
		set(o, "issuer", v->chain[i].issuer);
		set(o, "names", i == 0 ? str_sub(v->chain[i].names, 0, 300) : STR_NONE);
		set_day(o, "until", v->chain[i].not_after_s);
		set(o, "key", v->chain[i].key);
		set(o, "spki", v->chain[i].spki);
		if (i == 0)
			json_object_set_new(o, "days_left", json_integer(days_left(v)));
		probe_fact(port->p, o);
	}
}

/* ---- connecting, in the mode that is due and, where that fails so, in the other ---- */

static void visit(struct port *port, struct probe_visit *out)
{
	probe_visit(port->p, &port->at, &port->wish, port->implicit, out);
}

/* A server that waits for TLS says nothing to who waits for its greeting, or refuses in clear text. */
static bool looks_like_the_other_mode(const struct port *port)
{
	const struct probe_visit *v = &port->visit;
	if (port->implicit)
		return v->end == PROBE_TLS_FAILED && v->n_chain == 0;
	return (v->end == PROBE_SILENT && !v->greeted) || (v->end == PROBE_REFUSED && !v->welcomed);
}

static void try_other_mode(struct port *port)
{
	struct probe_visit other;
	port->implicit = !port->implicit;
	visit(port, &other);
	bool known = port->number == SMTP || port->number == SUBMISSIONS || port->number == SUBMISSION;
	if (!other.greeted && other.n_chain == 0) {
		port->implicit = !port->implicit;
		return;
	}
	port->visit = other;
	if (known && port->implicit)
		probe_find(port->p, FINDING_BROKEN, "mode-mismatch", port->about,
		           "the server waits for TLS from the first byte, but port %u is for clear text and then STARTTLS: let it speak "
		           "first there, and offer TLS from the first byte on port 465", port->number);
	else if (known)
		probe_find(port->p, FINDING_BROKEN, "mode-mismatch", port->about,
		           "the server speaks in clear text, but port 465 is for TLS from the first byte (RFC 8314 3.3): turn that on there "
		           "(Postfix calls it wrapper mode), or close the port");
}

static bool connect_to(struct port *port, const struct probe_addresses *addresses)
{
	char text[100];
	for (size_t i = 0; i < addresses->n; i++) {
		struct str ip = addresses->text[i];
		(void)snprintf(text, sizeof text, str_has(ip, ':') ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(ip), port->number);
		if (endpoint_parse(str_of(text), &port->at) != OK)
			continue;
		port->ip = ip;
		visit(port, &port->visit);
		if (port->visit.end == PROBE_UNREACHABLE)
			continue;
		if (looks_like_the_other_mode(port))
			try_other_mode(port);
		return true;
	}
	return false;
}

/* ---- what to mend: protocol ---- */

static void judge_end(const struct port *port)
{
	const struct probe_visit *v = &port->visit;
	struct str words = v->words;
	if (v->end == PROBE_NO_STARTTLS)
		probe_find(port->p, FINDING_BROKEN, "no-starttls", port->about,
		           "the server does not offer STARTTLS, so mail to it travels in clear text, or not at all: give it a certificate and "
		           "turn TLS on");
	else if (v->end == PROBE_SILENT)
		probe_find(port->p, FINDING_BROKEN, "silent", port->about,
		           "the server takes the connection and then says nothing: look whether it is overloaded, or delays its greeting");
	else if (v->end == PROBE_REFUSED)
		probe_find(port->p, FINDING_BROKEN, "refused", port->about, "the server does not want to talk: %.*s", STR_ARG(words));
	else if (v->end == PROBE_TLS_FAILED)
		probe_find(port->p, FINDING_BROKEN, "tls-failed", port->about,
		           "the TLS handshake fails (%.*s): look for its side of it in the server's log", STR_ARG(words));
}

static void judge_versions(struct port *port)
{
	struct probe_visit older;
	if (!str_eq(port->visit.version, STR("TLSv1.3"))) {
		probe_find(port->p, FINDING_WEAK, "no-tls13", port->about, "the server has no TLS 1.3: update it, or allow it");
		return;
	}
	port->wish.only_tls12 = true;
	visit(port, &older);
	port->wish.only_tls12 = false;
	json_t *o = fact(port, "versions");
	json_object_set_new(o, "text", json_string(older.end == PROBE_READY ? "TLS 1.3 and TLS 1.2" : "TLS 1.3 only"));
	json_object_set_new(o, "tls13", json_true());
	json_object_set_new(o, "tls12", json_boolean(older.end == PROBE_READY));
	probe_fact(port->p, o);
}

/* ---- what to mend: the certificate ---- */

/* Who holds it to the anchors of the web: mail clients, and senders who go by MTA-STS. Others go on without proof, or by DANE. */
static enum finding_weight weight_of_certificate(const struct port *port)
{
	bool clients = port->number == SUBMISSIONS || port->number == SUBMISSION;
	if (clients || port->h->sts)
		return FINDING_BROKEN;
	return port->dane_proves ? FINDING_ADVICE : FINDING_WEAK;
}

static void judge_certificate(const struct port *port)
{
	const struct probe_visit *v = &port->visit;
	enum finding_weight weight = weight_of_certificate(port);
	if (v->n_chain == 0)
		return;
	long long left = (long long)days_left(v);
	struct str names = str_sub(v->chain[0].names, 0, 150);
	if (left < 0)
		probe_find(port->p, weight, "expired", port->about, "the certificate has ended, %lld day%s ago: renew it", -left, left == -1 ? "" : "s");
	else if (left < port->p->days)
		probe_find(port->p, FINDING_WEAK, "expires-soon", port->about, "the certificate ends in %lld day%s: renew it, and look why that did "
		           "not happen by itself", left, left == 1 ? "" : "s");
	if (v->failure == TLS_FAIL_NAME)
		probe_find(port->p, weight, "name", port->about, "the certificate is not for %.*s (it is for: %.*s): get one for the name that is "
		           "asked for", STR_ARG(port->h->name), STR_ARG(names));
	else if (v->failure == TLS_FAIL_NOT_TRUSTED)
		probe_find(port->p, weight, "not-trusted", port->about,
		           "no known authority vouches for the certificate (%.*s): send the intermediate certificates along, or get one from a "
		           "public authority", STR_ARG(v->problem));
	else if (v->failure == TLS_FAIL_EXPIRED && left >= 0)
		probe_find(port->p, weight, "not-yet", port->about, "a certificate of the chain is not valid now (%.*s): renew the chain",
		           STR_ARG(v->problem));
}

/* ---- DANE ---- */

static struct dane_lookup lookup_of(const struct dns_answer *a)
{
	enum dane_result r = a->result == DNS_FOUND ? DANE_FOUND
	                   : a->result == DNS_NODATA || a->result == DNS_NXDOMAIN ? DANE_ABSENT : DANE_FAILED;
	return (struct dane_lookup){ r, a->secure, a->canonical };
}

static void find_bases(struct probe *p, struct dane_host *host, struct dane_bases *bases)
{
	dane_find_bases(host, bases);
	if (bases->ask != DANE_ASK_CNAME)
		return;
	struct dns_answer a = probe_ask(p, DNS_CNAME, host->name);
	host->alias_asked = true;
	host->alias = lookup_of(&a);
	if (a.n_records > 0)
		host->alias.canonical = a.records[0].text;
	dane_find_bases(host, bases);
}

struct records { struct dns_answer answers[DANE_BASES_MAX]; struct dane_answer judged[DANE_BASES_MAX]; size_t n; struct dane_judgement j; };

static void find_records(const struct port *port, const struct dane_bases *bases, struct records *r)
{
	struct probe *p = port->p;
	dane_judge(NULL, 0, tls_parses, &r->j);
	while (r->n < bases->n && r->j.verdict == DANE_NONE) {
		struct buf name;
		buf_init(&name, 600);
		struct dns_answer *a = &r->answers[r->n];
		if (dane_question_put(&name, port->number, bases->names[r->n]) == OK)
			*a = probe_ask(p, DNS_TLSA, buf_view(&name));
		buf_fini(&name);
		struct str *rdata = ARENA_ARRAY(p->arena, struct str, a->n_records + 1);
		for (size_t i = 0; i < a->n_records; i++)
			rdata[i] = a->records[i].text;
		struct dane_lookup l = lookup_of(a);
		r->judged[r->n] = (struct dane_answer){ l.result, l.secure, rdata, a->n_records };
		r->n++;
		dane_judge(r->judged, r->n, tls_parses, &r->j);
	}
}

static bool proves(struct port *port, const struct dane_record *records, size_t n, struct str base, struct probe_visit *out)
{
	struct tls_wish wish = port->wish;
	wish.prove = TLS_PROVE_DANE;
	wish.records = records;
	wish.n_records = n;
	wish.base = base;
	probe_visit(port->p, &port->at, &wish, port->implicit, out);
	return out->end == PROBE_READY;
}

/* Each record alone: those that match nothing are a trap for the day when the others go. */
static void try_records(struct port *port, const struct records *r, struct str base)
{
	const struct dane_answer *a = &r->judged[r->j.base];
	for (size_t i = 0; i < a->n && i < PROBE_RECORDS_MAX; i++) {
		struct dane_record record = { 0 };
		struct probe_visit v;
		struct buf text;
		const char *unusable = dane_decode(a->rdata[i], &record);
		json_t *o = fact(port, "tlsa");
		buf_init(&text, 600);
		if (dane_record_put(&text, &record) == OK)
			set(o, "record", buf_view(&text));
		bool matches = unusable == NULL && port->visit.end == PROBE_READY && proves(port, &record, 1, base, &v);
		json_object_set_new(o, "matches", json_boolean(matches));
		if (unusable != NULL)
			probe_find(port->p, FINDING_WEAK, "tlsa-unusable", port->about, "the TLSA record %.*s cannot be used: %s; remove it",
			           STR_ARG(buf_view(&text)), unusable);
		else if (!matches && port->visit.end == PROBE_READY)
			probe_find(port->p, FINDING_ADVICE, "tlsa-unmatched", port->about,
			           "the TLSA record %.*s does not match what the server shows: right before a change of keys, else remove it",
			           STR_ARG(buf_view(&text)));
		set(o, "problem", str_of(unusable != NULL ? unusable : ""));
		buf_fini(&text);
		probe_fact(port->p, o);
	}
}

static void judge_records(struct port *port, const struct records *r, struct str base)
{
	struct probe_visit v;
	if (r->j.verdict == DANE_UNUSABLE)
		probe_find(port->p, FINDING_BROKEN, "dane-unusable", port->about,
		           "none of the TLSA records can be used (%s): publish one as 3 1 1", r->j.problem);
	else if (r->j.verdict == DANE_TROUBLE)
		probe_find(port->p, FINDING_BROKEN, "dane-trouble", port->about,
		           "whether there are TLSA records cannot be found out (%s), so who goes by DANE does not deliver here: mend the zone's "
		           "signatures, or its name servers' answers for TLSA", r->j.problem);
	else if (r->j.verdict == DANE_USABLE && port->visit.end == PROBE_READY) {
		port->dane_proves = proves(port, r->j.records, r->j.n_records, base, &v);
		struct str words = v.words;
		if (!port->dane_proves)
			probe_find(port->p, FINDING_BROKEN, "dane-mismatch", port->about,
			           "no TLSA record matches the certificate (%.*s), so who goes by DANE does not deliver here: publish 3 1 1 %.*s, or "
			           "put the old key back", STR_ARG(words), STR_ARG(port->visit.n_chain > 0 ? port->visit.chain[0].spki : STR("...")));
	}
}

static void judge_dane(struct port *port, const struct probe_addresses *addresses)
{
	static const char *const words[] = {
		[DANE_NONE] = "none", [DANE_USABLE] = "usable", [DANE_UNUSABLE] = "unusable", [DANE_TROUBLE] = "trouble",
	};
	struct probe *p = port->p;
	struct dane_host host = { .name = port->h->name, .a = lookup_of(&addresses->a), .aaaa = lookup_of(&addresses->aaaa) };
	struct dane_bases bases;
	struct records *r = ARENA_NEW(p->arena, struct records);
	*r = (struct records){ .n = 0 };
	find_bases(p, &host, &bases);
	if (bases.ask == DANE_ASK_TLSA)
		find_records(port, &bases, r);
	else if (bases.ask == DANE_ASK_FAILED)
		r->j = (struct dane_judgement){ .verdict = DANE_TROUBLE, .problem = bases.why };
	struct str base = r->n > 0 && r->j.verdict != DANE_NONE ? bases.names[r->j.base] : STR_NONE;
	json_t *o = fact(port, "dane");
	set(o, "host", port->h->name);
	set(o, "result", str_of(words[r->j.verdict]));
	set(o, "base", base);
	set(o, "text", str_of(r->j.problem != NULL && r->j.problem[0] != '\0' ? r->j.problem : bases.why));
	probe_fact(p, o);
	judge_records(port, r, base);
	if (base.n > 0 && r->j.verdict != DANE_TROUBLE)
		try_records(port, r, base);
	if (r->j.verdict == DANE_NONE && p->validates && port->number == SMTP)
		probe_find(p, FINDING_ADVICE, "no-dane", port->about, "there are no signed TLSA records: with DNSSEC and one as 3 1 1, senders could "
		           "know whom they talk to (RFC 7672)");
}

/* ---- a port, a host ---- */

static bool look_at_port(struct probe *p, const struct probe_host *h, uint16_t number, const struct probe_addresses *addresses, bool must)
{
	struct port *port = ARENA_NEW(p->arena, struct port);
	char about[300];
	(void)snprintf(about, sizeof about, "%.*s:%u", STR_ARG(h->name), number);
	*port = (struct port){ .p = p, .h = h, .number = number, .implicit = number == SUBMISSIONS, .wish = { .name = h->name } };
	port->about = arena_copy(p->arena, str_of(about));
	bool there = connect_to(port, addresses);
	struct str words = port->visit.words;
	if (!there) {
		json_t *o = fact(port, "host");
		set(o, "result", words);
		probe_fact(p, o);
		if (must)
			probe_find(p, FINDING_BROKEN, "unreachable", port->about, "nobody answers (%.*s): look at the server, the firewall and the address "
			           "in the DNS", STR_ARG(words));
		return false;
	}
	tell_visit(port);
	judge_end(port);
	if (port->visit.end == PROBE_READY)
		judge_versions(port);
	if (!h->is_address && (number == SMTP || h->port > 0))
		judge_dane(port, addresses);
	judge_certificate(port);
	return true;
}

void probe_host(struct probe *p, const struct probe_host *h)
{
	struct probe_addresses addresses = { .n = 0 };
	if (h->is_address)
		addresses.text[addresses.n++] = h->name;
	else
		probe_find_addresses(p, h->name, &addresses);
	if (addresses.n == 0) {
		const struct dns_answer *a = addresses.a.result > addresses.aaaa.result ? &addresses.a : &addresses.aaaa;
		probe_find(p, FINDING_BROKEN, "no-address", h->name, "the name has no address (%s%s%.*s): mend its A and AAAA records",
		           probe_dns_word(a), a->text.n > 0 ? ": " : "", STR_ARG(a->text));
		return;
	}
	if (h->port > 0 || h->is_mx) {
		(void)look_at_port(p, h, h->port > 0 ? h->port : SMTP, &addresses, true);
		return;
	}
	bool any = look_at_port(p, h, SMTP, &addresses, false);
	any |= look_at_port(p, h, SUBMISSIONS, &addresses, false);
	any |= look_at_port(p, h, SUBMISSION, &addresses, false);
	if (!any)
		probe_find(p, FINDING_BROKEN, "unreachable", h->name, "nobody answers on port 25, 465 or 587: look at the server, the firewall and the "
		           "addresses in the DNS");
}
