/* SPDX-License-Identifier: ISC */
/*
 * Where a job goes. All names of a job are asked for at once; when the last answer is in, the targets are put in order and
 * the job goes on. Own addresses and such as no mail server on the internet can have are sorted out here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "role/courier/courier.h"
#include "sys/clock.h"

enum { OWN_ADDRESSES_MAX = 64, MX_RECORDS_MAX = 200 };

/* One question to the resolver. */
struct ask { struct job *job; enum dns_kind kind; size_t host; struct str name; };

static const size_t no_host = SIZE_MAX;

/* ---- asking ---- */

static void all_is_known(struct job *j);

static void one_ask_less(struct job *j)
{
	if (--j->open_asks == 0) {
		timer_clear(&j->lookup_timer);
		all_is_known(j);
	}
}

static void dns_trouble(struct job *j, enum dns_kind kind, struct str name, struct str text)
{
	static const char *const kinds[] = { "A", "AAAA", "MX", "PTR", "TXT", "TLSA", "CNAME" };
	if (j->dns_trouble && kind == DNS_TXT)
		return; /* what keeps the mail servers from being known comes first */
	j->dns_trouble = true;
	(void)snprintf(j->dns_words, sizeof j->dns_words, "The DNS did not answer the question for %s %.*s: %.*s",
	               kinds[kind], STR_ARG(str_sub(name, 0, 80)), STR_ARG(str_sub(text, 0, 80)));
}

void targets_ask(struct job *j, enum dns_kind kind, struct str name, size_t host)
{
	struct courier *c = j->courier;
	j->open_asks++;
	if (c->resolver == NULL) {
		dns_trouble(j, kind, name, STR("the resolver is not there"));
		j->open_asks--; /* whoever asks holds one more */
		return;
	}
	struct ask *a = NEW(struct ask);
	*a = (struct ask){ .job = j, .kind = kind, .host = host, .name = name };
	uint64_t number = ++c->next_number;
	(void)map_set_u64(c->asks, number, a);
	channel_send(c->resolver, RESOLVE, &(struct resolve){ .request = number, .kind = kind, .name = name });
}

/* Whether a policy is in force, only the resolver knows: without its word nothing goes out but by DANE. */
void targets_policy_unknown(struct job *j, struct str text)
{
	j->sts.unknown = true;
	j->sts.text = arena_try_copy(j->arena, text);
	dns_trouble(j, DNS_TXT, j->name, text);
}

void targets_too_much(struct job *j, struct str name)
{
	j->full = j->dns_trouble = true;
	(void)snprintf(j->dns_words, sizeof j->dns_words, "The DNS says more about %.*s than there is room for",
	               STR_ARG(str_sub(name, 0, 80)));
}

/* Without a resolver the question for the MX records fails, and with it the job. */
static void ask_policy(struct job *j, struct str domain)
{
	struct courier *c = j->courier;
	if (c->resolver == NULL)
		return;
	struct ask *a = NEW(struct ask);
	*a = (struct ask){ .job = j, .kind = DNS_TXT, .host = no_host, .name = domain };
	uint64_t number = ++c->next_number;
	j->open_asks++;
	(void)map_set_u64(c->asks, number, a);
	channel_send(c->resolver, RESOLVE_POLICY, &(struct resolve_policy){ .request = number, .domain = domain });
}

static bool parse_ip(struct str text, uint16_t port, struct endpoint *out)
{
	char whole[80];
	bool ipv6 = str_has(text, ':');
	int n = snprintf(whole, sizeof whole, ipv6 ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(text), (unsigned)port);
	return n > 0 && (size_t)n < sizeof whole && endpoint_parse((struct str){ whole, (size_t)n }, out) == OK;
}

static void add_address(struct job_host *h, const struct endpoint *e)
{
	if (h->n_addresses == COUNT(h->addresses))
		return;
	struct mx_address *a = &h->addresses[h->n_addresses++];
	a->ipv6 = e->kind == ENDPOINT_IPV6;
	memcpy(a->ip, e->ip, sizeof a->ip);
}

/* Before the first one is added: a host takes much room, and there is mostly one. */
static void make_room_for_hosts(struct job *j, size_t n)
{
	n = n < MX_HOSTS_MAX ? n : MX_HOSTS_MAX;
	j->hosts = arena_try_alloc(j->arena, n * sizeof *j->hosts);
	j->hosts_room = j->hosts != NULL ? n : 0;
	if (j->hosts == NULL)
		targets_too_much(j, j->name);
}

/* A name, or an address in text. */
static void add_host(struct job *j, struct str name, uint16_t port)
{
	if (j->n_hosts == j->hosts_room)
		return;
	size_t index = j->n_hosts++;
	struct job_host *h = &j->hosts[index];
	struct endpoint e;
	*h = (struct job_host){ .name = name, .port = port };
	if (parse_ip(name, port, &e)) {
		add_address(h, &e);
	} else if (str_eq_nocase(name, STR("localhost"))) { /* RFC 6761 6.3: never asked for */
		bool known = parse_ip(STR("127.0.0.1"), port, &e);
		add_address(h, &e);
		known = known && parse_ip(STR("::1"), port, &e);
		check(known);
		add_address(h, &e);
	} else {
		h->awaited = j->family == FAMILY_ANY ? 2 : 1;
		h->dane.a.result = h->dane.aaaa.result = DANE_ABSENT;
		if (j->family != FAMILY_IPV4)
			targets_ask(j, DNS_AAAA, name, index);
		if (j->family != FAMILY_IPV6)
			targets_ask(j, DNS_A, name, index);
	}
}

/* "host:port" or "[2001:db8::1]:port", as the configuration has checked it. */
static void add_host_port(struct job *j, struct str text)
{
	struct str host = text, port = STR_NONE;
	size_t colon;
	uint64_t number = 0;
	if (str_rfind(text, ':', &colon)) {
		host = str_sub(text, 0, colon);
		port = str_from(text, colon + 1);
	}
	if (host.n > 2 && host.p[0] == '[')
		host = str_sub(host, 1, host.n - 2);
	if (str_u64(port, &number) && number > 0 && number < 65536)
		add_host(j, arena_copy(j->arena, host), (uint16_t)number);
}

static void on_lookup_timer(void *owner)
{
	struct job *j = owner;
	targets_forget(j);
	job_fail_all(j, OUTCOME_LATER, &REPLY(0, 4, 4, 3, STR("The DNS did not answer in time")));
}

static void add_unix(struct job *j, struct str name)
{
	struct endpoint e;
	if (endpoint_parse(name, &e) != OK)
		return;
	j->targets = ARENA_NEW(j->arena, struct target);
	j->targets[j->n_targets++] = (struct target){ .host = name, .at = e };
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" in place of a domain (RFC 5321 4.1.3). */
static void add_literal(struct job *j, struct str literal)
{
	struct str ip = str_sub(literal, 1, literal.n > 2 ? literal.n - 2 : 0);
	struct endpoint e;
	(void)str_take_nocase(&ip, STR("IPv6:"));
	if (!parse_ip(ip, j->port, &e))
		return;
	make_room_for_hosts(j, 1);
	add_host(j, ip, j->port);
}

void targets_find(struct job *j)
{
	struct courier *c = j->courier;
	struct str name = j->name;
	timer_init(&j->lookup_timer, c->loop, on_lookup_timer, j);
	timer_set(&j->lookup_timer, loop_now_ms(c->loop) + COURIER_LOOKUP_MS);
	j->open_asks = 1; /* until everything has been asked */
	if (j->kind == ROUTE_TO_RELAY) {
		const struct conf_relay *relay = conf_relay_find(c->conf, name);
		make_room_for_hosts(j, relay != NULL ? relay->hosts.n : 0);
		for (size_t i = 0; relay != NULL && i < relay->hosts.n; i++)
			add_host_port(j, relay->hosts.items[i]);
	} else if (j->kind == ROUTE_TO_LMTP && str_starts(name, STR("unix:"))) {
		add_unix(j, name);
	} else if (j->kind == ROUTE_TO_LMTP) {
		make_room_for_hosts(j, 1);
		add_host_port(j, name);
	} else if (name.n > 0 && name.p[0] == '[') {
		add_literal(j, name);
	} else {
		targets_ask(j, DNS_MX, name, no_host);
		ask_policy(j, name);
	}
	one_ask_less(j);
}

/* ---- answers ---- */

/* The resolver sends the best first. */
static void take_mx(struct job *j, const struct resolved_record *m)
{
	if (j->n_mx == MX_RECORDS_MAX)
		return;
	if (j->mx == NULL)
		j->mx = arena_try_alloc(j->arena, MX_RECORDS_MAX * sizeof *j->mx);
	struct str host = j->mx != NULL ? arena_try_copy(j->arena, m->text) : STR_NONE;
	if (host.p != NULL)
		j->mx[j->n_mx++] = (struct mx_record){ .preference = m->number, .host = host };
	else
		targets_too_much(j, j->name);
}

static void take_record(const struct ask *a, const struct resolved_record *m)
{
	struct job *j = a->job;
	struct endpoint e;
	if (a->kind == DNS_MX) {
		take_mx(j, m);
		return;
	}
	if (a->kind == DNS_TLSA)
		publish_take_record(j, a->host, m->text);
	if (a->kind != DNS_A && a->kind != DNS_AAAA)
		return;
	struct job_host *h = &j->hosts[a->host];
	if (parse_ip(m->text, h->port, &e) && (e.kind == ENDPOINT_IPV6) == (a->kind == DNS_AAAA))
		add_address(h, &e);
}

static void plan_mx(struct job *j)
{
	const struct conf *conf = j->courier->conf;
	struct str own[2] = { conf->hostname, conf->direct.ehlo };
	struct mx_question q = {
		.domain = j->name, .records = j->mx, .n_records = j->n_mx, .own_names = own, .n_own_names = 2,
		.random = random_u64(),
	};
	mx_plan_hosts(&q, &j->plan);
	j->implicit_mx = j->plan.implicit;
	make_room_for_hosts(j, j->plan.n_hosts);
	for (size_t i = 0; i < j->plan.n_hosts; i++)
		add_host(j, j->plan.hosts[i].name, j->port);
}

static void mx_answered(struct job *j, struct str name, const struct resolved_end *m)
{
	j->mx_secure = m->secure != 0;
	j->mx_canonical = arena_try_copy(j->arena, m->canonical);
	if (j->full && j->n_mx == 0)
		return; /* records that there was no room for are not the same as none */
	switch (m->result) {
	case DNS_FOUND:
	case DNS_NODATA: plan_mx(j); break;
	case DNS_NXDOMAIN: j->name_missing = true; break;
	case DNS_BOGUS: dns_trouble(j, DNS_MX, name, STR("its signature is wrong (DNSSEC: bogus)")); break;
	default: dns_trouble(j, DNS_MX, name, m->text); break;
	}
}

static bool is_answer(uint64_t result)
{
	return result == DNS_FOUND || result == DNS_NODATA || result == DNS_NXDOMAIN;
}

static void address_answered(struct job *j, const struct ask *a, const struct resolved_end *m)
{
	struct job_host *h = &j->hosts[a->host];
	if (!is_answer(m->result))
		dns_trouble(j, a->kind, a->name, m->result == DNS_BOGUS ? STR("its signature is wrong (DNSSEC: bogus)") : m->text);
	/* What a bogus answer says is not used, whatever it said. */
	if (m->result == DNS_BOGUS)
		h->n_addresses = 0;
	if (j->direct)
		publish_address_answered(j, a->host, a->kind, m);
}

static void take_end(const struct ask *a, const struct resolved_end *m)
{
	struct job *j = a->job;
	j->unvalidated |= m->unvalidated != 0;
	if (a->kind == DNS_MX)
		mx_answered(j, a->name, m);
	else if (a->kind == DNS_A || a->kind == DNS_AAAA)
		address_answered(j, a, m);
	else if (a->host != no_host)
		publish_answered(j, a->host, a->kind, m);
	else
		targets_policy_unknown(j, m->text);
	one_ask_less(j);
}

static void take_policy(const struct ask *a, const struct resolved_policy *m)
{
	if (a->kind == DNS_TXT) {
		publish_take_policy(a->job, m);
		one_ask_less(a->job);
	}
}

void targets_answer(struct courier *c, unsigned kind, const void *msg)
{
	if (kind == RESOLVED_RECORD) {
		const struct resolved_record *m = msg;
		struct ask *a = map_get_u64(c->asks, m->request);
		if (a != NULL && a->job != NULL)
			take_record(a, m);
	} else if (kind == RESOLVED_END) {
		const struct resolved_end *m = msg;
		struct ask *a = map_remove_u64(c->asks, m->request);
		if (a != NULL && a->job != NULL)
			take_end(a, m);
		free(a);
		knock_soon(c);
	} else if (kind == RESOLVED_POLICY) {
		const struct resolved_policy *m = msg;
		struct ask *a = map_remove_u64(c->asks, m->request);
		if (a != NULL && a->job != NULL)
			take_policy(a, m);
		free(a);
		knock_soon(c);
	}
}

void targets_resolver_gone(struct courier *c)
{
	size_t cursor = 0;
	struct str key;
	void *value;
	struct resolved_end failed = { .result = DNS_FAILED, .text = STR("the resolver is not there") };
	/* Answering may end jobs but asks nothing new: c->resolver is gone. */
	struct map *asks = c->asks;
	c->asks = map_new(0);
	while (map_each(asks, &cursor, &key, &value)) {
		struct ask *a = value;
		if (a->job != NULL) {
			struct ask copy = *a;
			a->job = NULL;
			take_end(&copy, &failed);
		}
	}
	for (cursor = 0; map_each(asks, &cursor, &key, &value);)
		free(value);
	map_free(&asks);
	knock_soon(c);
}

void targets_forget(struct job *j)
{
	size_t cursor = 0;
	struct str key;
	void *value;
	timer_clear(&j->lookup_timer);
	if (j->open_asks == 0)
		return;
	while (map_each(j->courier->asks, &cursor, &key, &value))
		if (((struct ask *)value)->job == j)
			((struct ask *)value)->job = NULL;
	j->open_asks = 0;
}

/* ---- the order ---- */

static void to_endpoint(const struct mx_address *a, uint16_t port, struct endpoint *out)
{
	*out = (struct endpoint){ .kind = a->ipv6 ? ENDPOINT_IPV6 : ENDPOINT_IPV4, .port = port };
	memcpy(out->ip, a->ip, sizeof out->ip);
}

static bool same_ip(const struct endpoint *a, const struct endpoint *b)
{
	return a->kind == b->kind && memcmp(a->ip, b->ip, a->kind == ENDPOINT_IPV6 ? 16 : 4) == 0;
}

/* The plan loses ourselves and whoever is not better than us (RFC 5321 5.1). */
static void drop_ourselves(struct job *j)
{
	struct endpoint own[OWN_ADDRESSES_MAX], e;
	size_t n_own = socket_own_addresses(own, COUNT(own));
	for (size_t i = 0; i < j->plan.n_hosts; i++)
		for (size_t a = 0; a < j->hosts[i].n_addresses; a++) {
			to_endpoint(&j->hosts[i].addresses[a], j->port, &e);
			for (size_t k = 0; k < n_own; k++)
				if (same_ip(&own[k], &e) && !endpoint_is_loopback(&e)) {
					mx_plan_is_ours(&j->plan, i);
					break;
				}
			if (i >= j->plan.n_hosts)
				break;
		}
	if (j->plan.n_hosts < j->n_hosts)
		j->n_hosts = j->plan.n_hosts;
}

/* Only mail for strangers: a relay or an LMTP server of ours may well be on this machine. */
static void drop_never_remote(struct job *j, struct job_host *h)
{
	size_t kept = 0;
	for (size_t i = 0; i < h->n_addresses; i++) {
		struct endpoint e;
		to_endpoint(&h->addresses[i], h->port, &e);
		if (endpoint_is_never_remote(&e))
			j->refused_loopback = true;
		else
			h->addresses[kept++] = h->addresses[i];
	}
	h->n_addresses = kept;
}

/* A relay and an LMTP server are ours: what the configuration asks is all, but for REQUIRETLS at a relay, for which mail goes on
 * from there. LMTP that stays on this machine needs no TLS. */
static void set_demand(const struct job *j, struct job_host *h, struct target *t)
{
	enum tls_level level = j->lmtp && endpoint_is_loopback(&t->at) ? TLS_NONE : j->level;
	bool required = j->kind == ROUTE_TO_RELAY && job_wish(j) == PROTECTION_REQUIRED;
	if (required && level < TLS_VERIFY)
		level = TLS_VERIFY;
	t->demand = (struct demand){ level, level >= TLS_VERIFY ? PROVE_NAME : PROVE_NOTHING, level <= TLS_OPPORTUNISTIC, required };
	if (!j->direct)
		return;
	const struct protection *p = &h->protection;
	t->published = h;
	t->demand = (struct demand){ p->level, p->proof, p->may_go_clear, p->requires_keyword };
}

static void order_targets(struct job *j)
{
	size_t room = 0;
	for (size_t i = 0; i < j->n_hosts; i++)
		room += j->hosts[i].n_addresses;
	j->targets = arena_try_alloc(j->arena, room * sizeof *j->targets);
	if (j->targets == NULL) {
		targets_too_much(j, j->name);
		return;
	}
	for (size_t i = 0; i < j->n_hosts; i++) {
		struct mx_address ordered[MX_ADDRESSES_MAX];
		struct job_host *h = &j->hosts[i];
		if (j->direct && !j->allow_loopback)
			drop_never_remote(j, h);
		if (j->direct)
			publish_decide(j, i);
		if (j->direct && !h->protection.usable) {
			j->refused_by_policy |= h->n_addresses > 0;
			j->may_mend |= h->protection.may_mend || j->sts.trouble;
			continue;
		}
		size_t n = mx_order_addresses(h->addresses, h->n_addresses, j->family, ordered);
		for (size_t k = 0; k < n; k++) {
			struct target *t = &j->targets[j->n_targets++];
			t->host = h->name;
			to_endpoint(&ordered[k], h->port, &t->at);
			set_demand(j, h, t);
		}
	}
}

/* There are hosts, and what is published forbids each: the best one's reason stands for all. */
static void refused_by_policy(struct job *j)
{
	char words[500];
	const struct job_host *h = j->hosts;
	while (h->protection.usable || h->n_addresses == 0)
		h++;
	bool lost = h->protection.rules[RULE_MTA_STS].verdict == RULE_FORBIDS && !j->sts.in_force && j->sts.text.n > 0;
	(void)snprintf(words, sizeof words, "%.*s must not be used: %s%s%.*s%s", STR_ARG(str_sub(h->name, 0, 200)),
	               protection_refusal(&h->protection), lost ? " (" : "", STR_ARG(lost ? str_sub(j->sts.text, 0, 80) : STR_NONE),
	               lost ? ")" : "");
	j->last_host = h->name;
	if (job_is_hopeless(j))
		job_fail_all(j, OUTCOME_NEVER, &REPLY(0, 5, 7, 10, str_of(words)));
	else
		job_fail_all(j, OUTCOME_LATER, &REPLY(0, 4, 7, 5, str_of(words)));
}

/* Nowhere to go: for good, unless the DNS or the administrator may mend it. */
static void no_target(struct job *j)
{
	struct smtp_reply later = REPLY(0, 4, 4, 3, str_of(j->dns_words)), why;
	if (j->refused_by_policy) {
		refused_by_policy(j);
		return;
	}
	if (j->dns_trouble) {
		job_fail_all(j, OUTCOME_LATER, &later);
		return;
	}
	if (j->kind != ROUTE_TO_MX) {
		why = REPLY(0, 4, 4, 4, STR("The configured next server has no address; look at its name in the configuration"));
		job_fail_all(j, OUTCOME_LATER, &why);
		return;
	}
	if (j->name_missing)
		why = REPLY(0, 5, 1, 2, STR("The domain does not exist"));
	else if (j->plan.verdict != MX_HOSTS)
		why = mx_refusal(j->plan.verdict);
	else if (j->refused_loopback)
		why = REPLY(0, 5, 4, 4, STR("The domain's mail servers have only addresses that no server on the internet can have "
		                            "(loopback, link-local, multicast)"));
	else if (j->implicit_mx)
		why = REPLY(0, 5, 1, 2, STR("The domain has no mail server and no address"));
	else
		why = REPLY(0, 5, 4, 4, STR("None of the domain's mail servers has an address"));
	job_fail_all(j, OUTCOME_NEVER, &why);
}

static void all_is_known(struct job *j)
{
	if (j->direct && !j->allow_loopback && j->plan.n_hosts > 0)
		drop_ourselves(j);
	if (j->n_targets == 0)
		order_targets(j);
	evidence_route(j);
	report_route(j);
	for (size_t i = 0; i < j->n_targets; i++)
		if (j->targets[i].demand.proof == PROVE_NAME)
			trust_is_needed(j->trust);
	if (j->n_targets == 0)
		no_target(j);
	else
		job_next(j);
}
