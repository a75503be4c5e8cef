/* SPDX-License-Identifier: ISC */
/*
 * role/resolver/resolver.c -- the process that asks the DNS for front and courier, and web servers for policies.
 *
 * What it needs from files it reads when it starts, before it may be confined: the system's resolv.conf
 * and root anchor. What the configuration names instead comes from the supervisor.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/escape.h"
#include "base/map.h"
#include "policy/remembered.h"
#include "role/resolver/lookups.h"
#include "role/resolver/policies.h"
#include "role/resolver/reports.h"
#include "role/resolver/upstream.h"
#include "role/role.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/socket.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define ROOT_ANCHOR "/usr/share/dns/root.key"

enum { SYSTEM_FILE_MAX = 64 << 10, LINKS_OF_ONE_ARROW = 1 << 16, SETTINGS_MAX = 256 << 10,
       NAMED_FILE_MAX = 8 << 20, WORDS_MAX = 1000 };

struct resolver {
	struct role_base *base;
	struct loop *loop;
	struct buf resolv_conf, root_anchor;   /* the system's */
	struct map *coming;                    /* path -> struct buf: the coming generation's files; "": the system's authorities */
	struct buf settings;                   /* what upstream was made of: unchanged, it and its cache stay */
	struct upstream *upstream;
	struct upstream_memory memory;
	struct errands *errands;
	struct policies *policies;
	struct reports *reports;
	struct lookups *lookups;
	struct channel *spool;
};

/* A file that is not there counts as empty. */
static void read_system_file(struct buf *to, const char *path)
{
	int fd = -1;
	buf_clear(to);
	if (file_open(FILE_CWD, path, FILE_READ, 0, &fd, NULL) != OK)
		return;
	if (file_read_all(fd, to) != OK)
		buf_clear(to);
	fd_close(&fd);
}

static void forget_coming(struct resolver *r)
{
	size_t at = 0;
	struct str path;
	void *text;
	while (map_each(r->coming, &at, &path, &text)) {
		buf_fini(text);
		free(text);
	}
	map_free(&r->coming);
	r->coming = map_new(0);
}

static void on_file(void *role, struct str path, int fd)
{
	struct resolver *r = role;
	struct buf *text = NEW(struct buf);
	buf_init(text, NAMED_FILE_MAX);
	if (file_read_all(fd, text) != OK)
		buf_clear(text);
	fd_close(&fd);
	struct buf *old = map_set(r->coming, path, text);
	if (old != NULL)
		buf_fini(old);
	free(old);
}

static struct str coming(const struct resolver *r, struct str path)
{
	const struct buf *text = map_get(r->coming, path);
	return text != NULL ? buf_view(text) : STR_NONE;
}

static void use_dns(struct resolver *r, struct dns *dns)
{
	lookups_use(r->lookups, dns);
	errands_use(r->errands, dns);
	policies_use(r->policies, dns);
	reports_use(r->reports, dns);
}

static void on_upstream_changed(void *owner)
{
	struct resolver *r = owner;
	use_dns(r, upstream_dns(r->upstream));
}

static void on_bogus(void *owner)
{
	struct resolver *r = owner;
	if (r->upstream != NULL)
		upstream_doubt(r->upstream);
}

/* ---- what is kept over a restart, by the spool ---- */

static const struct str validated_key = STR_INIT(REMEMBERED_DNSSEC "validated");

static void keep(void *owner, struct str key, struct str value, int64_t expires_s)
{
	struct resolver *r = owner;
	if (r->spool != NULL)
		channel_send(r->spool, KEEP_OBSERVATION, &(struct keep_observation){ .key = key, .value = value, .expires_s = expires_s });
}

static void keep_memory(void *owner)
{
	struct resolver *r = owner;
	int64_t for_s = upstream_memory_for_s(&r->memory, loop_now_ms(r->loop));
	if (for_s > 0)
		keep(r, validated_key, STR("1"), clock_wall_s() + for_s);
}

/* An empty key: that was all. When it comes again, from another spool, what came meanwhile is not there. */
static void memory_kept(struct resolver *r, struct str key, int64_t expires_s)
{
	int64_t wall_s = clock_wall_s();
	if (str_eq(key, validated_key)) {
		upstream_memory_take(&r->memory, expires_s > wall_s ? expires_s - wall_s : 0, loop_now_ms(r->loop));
	} else if (key.n == 0) {
		r->memory.known = true;
		keep_memory(r);
		if (r->upstream != NULL)
			upstream_memory_came(r->upstream);
	}
}

/* ---- the configuration ---- */

static fault settings_put(struct buf *out, const struct dns_options *options, bool strict)
{
	TRY(buf_addf(out, "%d ", strict));
	for (size_t i = 0; i < options->n_servers; i++) {
		TRY(buf_add(out, options->servers[i]));
		TRY(buf_add_char(out, ' '));
	}
	TRY(buf_add_char(out, '\n'));
	TRY(buf_add(out, options->trust_anchor));
	TRY(buf_add_char(out, '\n'));
	return buf_add(out, options->resolv_conf);
}

static fault use(struct resolver *r, const struct dns_options *options, bool strict, struct why *why)
{
	struct upstream *fresh = NULL;
	struct buf settings;
	buf_init(&settings, SETTINGS_MAX);
	fault f = settings_put(&settings, options, strict);
	bool same = f == OK && r->upstream != NULL && str_eq(buf_view(&settings), buf_view(&r->settings));
	if (f == OK && !same)
		f = upstream_new(&(struct upstream_house){ r->loop, &r->memory, on_upstream_changed, keep_memory, r }, options, strict,
		                 &fresh, why);
	if (fresh == NULL) {
		buf_fini(&settings);
		return f;
	}
	use_dns(r, NULL);
	upstream_free(&r->upstream);
	r->upstream = fresh;
	buf_fini(&r->settings);
	r->settings = settings;
	use_dns(r, upstream_dns(fresh));
	return OK;
}

/* Without any authority no policy can be had: that is said, and mail goes on without. */
static fault trust(struct resolver *r, const struct conf *conf, struct why *why)
{
	struct str ca = coming(r, conf->resolver.ca);
	if (ca.n == 0 && conf->resolver.ca.n > 0)
		return why_say(why, F_ABSENT, "the CA file %.*s is empty or could not be read", STR_ARG(conf->resolver.ca));
	if (ca.n == 0)
		log_event(LOG_TROUBLE, LOG_Z("text", "the system's CA certificates were not found: no MTA-STS policy can be fetched; install "
		                                     "the package ca-certificates, or name a file with resolver { ca ... }"));
	return errands_trust(r->errands, ca, conf->resolver.allow_private, why);
}

static fault apply(struct resolver *r, const struct conf *conf, struct why *why)
{
	struct str named = conf->resolver.trust_anchor, anchor = coming(r, named);
	if (named.n > 0 && anchor.n == 0)
		return why_say(why, F_ABSENT, "the trust anchor %.*s is empty or could not be read", STR_ARG(named));
	struct dns_options options = {
		.servers = conf->resolver.servers.items,
		.n_servers = conf->resolver.servers.n,
		.resolv_conf = buf_view(&r->resolv_conf),
		.trust_anchor = named.n > 0 ? anchor : buf_view(&r->root_anchor),
	};
	TRY(trust(r, conf, why));
	return use(r, &options, named.n > 0, why);
}

static fault on_apply(void *role, const struct conf *conf, struct why *why)
{
	struct resolver *r = role;
	fault f = apply(r, conf, why);
	forget_coming(r);
	return f;
}

/* ---- the spool ---- */

static void on_report_sent(void *owner, uint64_t request, bool ok, struct str text)
{
	struct resolver *r = owner;
	if (r->spool != NULL)
		channel_send(r->spool, SENT_REPORT, &(struct sent_report){ .request = request, .ok = ok, .text = text });
}

static void on_report_wish(void *owner, uint64_t request, enum report_state wish, struct str uris)
{
	struct resolver *r = owner;
	if (r->spool != NULL)
		channel_send(r->spool, REPORT_WISH, &(struct report_wish){ .request = request, .wish = wish, .uris = uris });
}

static void on_spool_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct resolver *r = owner;
	fd_close(&fd);
	if (kind == KEPT_OBSERVATION) {
		const struct kept_observation *m = msg;
		memory_kept(r, m->key, m->expires_s);
		policies_kept(r->policies, m->key, m->value, m->expires_s);
	} else if (kind == SEND_REPORT) {
		const struct send_report *m = msg;
		reports_send(r->reports, m->request, m->url, m->body);
	} else if (kind == ASK_REPORT) {
		const struct ask_report *m = msg;
		reports_ask(r->reports, m->request, m->domain);
	}
}

static void on_spool_closed(void *owner, const char *reason)
{
	struct resolver *r = owner;
	(void)reason;
	reports_drop(r->reports); /* nobody would hear of them */
	channel_close(&r->spool);
}

static void on_link(void *role, enum ipc_arrow arrow, unsigned instance, int fd)
{
	static const struct channel_handler spool_handler = { on_spool_message, on_spool_closed };
	struct resolver *r = role;
	if (arrow == ARROW_RESOLVER_SPOOL) {
		reports_drop(r->reports);
		channel_close(&r->spool);
		r->spool = channel_new(r->loop, fd, &spool_to_resolver, &resolver_to_spool, &spool_handler, r);
	} else if ((arrow == ARROW_FRONT_RESOLVER || arrow == ARROW_COURIER_RESOLVER) &&
	           instance < LINKS_OF_ONE_ARROW) {
		lookups_link(r->lookups, (unsigned)arrow * LINKS_OF_ONE_ARROW + instance, fd,
		             arrow == ARROW_COURIER_RESOLVER);
	} else {
		fd_close(&fd);
	}
}

static fault put_why(struct buf *json, const struct upstream_facts *why)
{
	TRY(buf_addf(json, ", \"dnssec_since_s\": %lld, \"dnssec_reason\": ", (long long)why->since_s));
	TRY(escape_put(json, why->reason, ESCAPE_JSON, WORDS_MAX));
	TRY(buf_add(json, STR(", \"dnssec_advice\": ")));
	return escape_put(json, why->advice, ESCAPE_JSON, WORDS_MAX);
}

static void on_status(void *role, struct buf *json)
{
	struct resolver *r = role;
	const char *state = r->upstream == NULL ? "testing" : upstream_state_name(upstream_state(r->upstream));
	struct policies_facts facts;
	policies_facts(r->policies, &facts);
	struct upstream_facts why = { .since_s = 0 };
	if (r->upstream != NULL)
		why = upstream_facts(r->upstream);
	/* A buffer without room keeps what it has: still an object. */
	fault f = buf_addf(json, "\"dnssec\": \"%s\", \"dane\": \"%s\", \"open\": %zu, \"asked\": %llu, \"policies\": {\"known\": %zu, "
	                   "\"enforced\": %zu, \"failing\": %zu, \"fetching\": %zu}", state,
	                   strcmp(state, "validates") == 0 ? "active" : "inactive",
	                   lookups_open(r->lookups), (unsigned long long)lookups_asked(r->lookups), facts.known, facts.enforced,
	                   facts.failing, facts.fetching);
	if (f == OK)
		f = put_why(json, &why);
	(void)f;
}

static void on_free(void *role)
{
	struct resolver *r = role;
	lookups_free(&r->lookups);
	policies_free(&r->policies);
	reports_free(&r->reports);
	errands_free(&r->errands);
	upstream_free(&r->upstream);
	channel_close(&r->spool);
	buf_fini(&r->resolv_conf);
	buf_fini(&r->root_anchor);
	forget_coming(r);
	map_free(&r->coming);
	buf_fini(&r->settings);
	free(r);
}

struct role_base *resolver_start(struct loop *loop, int control_fd)
{
	static const struct role_hooks hooks = {
		.name = "resolver", .file = on_file, .apply = on_apply, .link = on_link, .status = on_status,
		.free = on_free,
	};
	struct resolver *r = NEW(struct resolver);
	r->loop = loop;
	buf_init(&r->resolv_conf, SYSTEM_FILE_MAX);
	buf_init(&r->root_anchor, SYSTEM_FILE_MAX);
	buf_init(&r->settings, SETTINGS_MAX);
	read_system_file(&r->resolv_conf, RESOLV_CONF);
	read_system_file(&r->root_anchor, ROOT_ANCHOR);
	r->coming = map_new(0);
	https_begin();
	r->errands = errands_new(loop);
	r->policies = policies_new(&(struct policies_house){ .loop = loop, .errands = r->errands, .keep = keep, .owner = r });
	r->reports = reports_new(&(struct reports_house){ r->errands, on_report_sent, on_report_wish, r });
	r->lookups = lookups_new(loop, r->policies);
	lookups_on_bogus(r->lookups, on_bogus, r);
	r->base = role_base_new(loop, control_fd, &hooks, r);
	return r->base;
}
