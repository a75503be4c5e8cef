/* SPDX-License-Identifier: ISC */
/*
 * role/resolver/resolver.c -- the process that asks the DNS for front and courier.
 *
 * What it needs from files it reads when it starts, before it may be confined: the system's resolv.conf
 * and root anchor. What the configuration names instead comes from the supervisor.
 */
#include <stdlib.h>

#include "base/check.h"
#include "role/resolver/lookups.h"
#include "role/resolver/upstream.h"
#include "role/role.h"
#include "sys/file.h"
#include "sys/socket.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define ROOT_ANCHOR "/usr/share/dns/root.key"

enum { SYSTEM_FILE_MAX = 64 << 10, LINKS_OF_ONE_ARROW = 1 << 16, SETTINGS_MAX = 256 << 10 };

struct resolver {
	struct role_base *base;
	struct loop *loop;
	struct buf resolv_conf, root_anchor;   /* the system's */
	struct buf anchor;                     /* the configuration's, of the coming generation */
	struct buf settings;                   /* what upstream was made of: unchanged, it and its cache stay */
	struct upstream *upstream;
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

static void on_file(void *role, struct str path, int fd)
{
	struct resolver *r = role;
	(void)path; /* no other file is for this role */
	buf_clear(&r->anchor);
	if (file_read_all(fd, &r->anchor) != OK)
		buf_clear(&r->anchor);
	fd_close(&fd);
}

static void on_upstream_changed(void *owner)
{
	struct resolver *r = owner;
	lookups_use(r->lookups, upstream_dns(r->upstream));
}

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
		f = upstream_new(r->loop, options, strict, on_upstream_changed, r, &fresh, why);
	if (fresh == NULL) {
		buf_fini(&settings);
		return f;
	}
	lookups_use(r->lookups, NULL);
	upstream_free(&r->upstream);
	r->upstream = fresh;
	buf_fini(&r->settings);
	r->settings = settings;
	lookups_use(r->lookups, upstream_dns(fresh));
	return OK;
}

static fault on_apply(void *role, const struct conf *conf, struct why *why)
{
	struct resolver *r = role;
	bool named = conf->resolver.trust_anchor.n > 0;
	if (named && buf_view(&r->anchor).n == 0)
		return why_say(why, F_ABSENT, "the trust anchor %.*s is empty or could not be read",
		               STR_ARG(conf->resolver.trust_anchor));
	struct dns_options options = {
		.servers = conf->resolver.servers.items,
		.n_servers = conf->resolver.servers.n,
		.resolv_conf = buf_view(&r->resolv_conf),
		.trust_anchor = buf_view(named ? &r->anchor : &r->root_anchor),
	};
	fault f = use(r, &options, named, why);
	buf_clear(&r->anchor);
	return f;
}

/* Nothing is kept over a restart yet: what the spool says is not asked for, and not looked at. */
static void on_spool_message(void *owner, unsigned kind, const void *msg, int fd)
{
	(void)owner;
	(void)kind;
	(void)msg;
	fd_close(&fd);
}

static void on_spool_closed(void *owner, const char *reason)
{
	struct resolver *r = owner;
	(void)reason;
	channel_close(&r->spool);
}

static void on_link(void *role, enum ipc_arrow arrow, unsigned instance, int fd)
{
	static const struct channel_handler spool_handler = { on_spool_message, on_spool_closed };
	struct resolver *r = role;
	if (arrow == ARROW_RESOLVER_SPOOL) {
		channel_close(&r->spool);
		r->spool = channel_new(r->loop, fd, &spool_to_resolver, &resolver_to_spool, &spool_handler, r);
	} else if ((arrow == ARROW_FRONT_RESOLVER || arrow == ARROW_COURIER_RESOLVER) &&
	           instance < LINKS_OF_ONE_ARROW) {
		lookups_link(r->lookups, (unsigned)arrow * LINKS_OF_ONE_ARROW + instance, fd);
	} else {
		fd_close(&fd);
	}
}

static void on_status(void *role, struct buf *json)
{
	struct resolver *r = role;
	const char *state = r->upstream == NULL ? "testing" : upstream_state_name(upstream_state(r->upstream));
	/* A buffer without room keeps what it has: still an object. */
	fault f = buf_addf(json, "\"dnssec\": \"%s\", \"open\": %zu, \"asked\": %llu", state,
	                   lookups_open(r->lookups), (unsigned long long)lookups_asked(r->lookups));
	(void)f;
}

static void on_free(void *role)
{
	struct resolver *r = role;
	lookups_free(&r->lookups);
	upstream_free(&r->upstream);
	channel_close(&r->spool);
	buf_fini(&r->resolv_conf);
	buf_fini(&r->root_anchor);
	buf_fini(&r->anchor);
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
	buf_init(&r->anchor, SYSTEM_FILE_MAX);
	buf_init(&r->settings, SETTINGS_MAX);
	read_system_file(&r->resolv_conf, RESOLV_CONF);
	read_system_file(&r->root_anchor, ROOT_ANCHOR);
	r->lookups = lookups_new(loop);
	r->base = role_base_new(loop, control_fd, &hooks, r);
	return r->base;
}
