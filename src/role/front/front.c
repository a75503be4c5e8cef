/* SPDX-License-Identifier: ISC */
/* role/front/front.c -- the role: configuration, neighbours, limits, drain. */
#include "role/front/front.h"

#include <stdlib.h>

#include "base/check.h"
#include "ipc/sign.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"

enum {
	CHAIN_BYTES_MAX = 1 << 20,
	SHORTAGE_BYTES_MAX = 256,
	SIGN_MS = 5000, /* every session waits meanwhile */
	GENERATION_BYTES_MAX = 64 << 10,
};

struct chain {
	struct link in_front;
	struct str path;
	struct buf text;
};

/* ---- generations ---- */

void generation_drop(struct generation **g_ref)
{
	struct generation *g = *g_ref;
	*g_ref = NULL;
	if (g == NULL || --g->refs > 0)
		return;
	tls_server_free(&g->tls);
	tls_server_free(&g->tls_mx);
	arena_free(&g->arena);
	free(g);
}

static void forget_chains(struct front *f)
{
	LIST_EACH(link, &f->chains) {
		struct chain *c = LIST_MEMBER(link, struct chain, in_front);
		link_remove(&c->in_front);
		buf_fini(&c->text);
		str_release(&c->path);
		free(c);
	}
}

static struct chain *chain_of(struct front *f, struct str path)
{
	LIST_EACH(link, &f->chains) {
		struct chain *c = LIST_MEMBER(link, struct chain, in_front);
		if (str_eq(c->path, path))
			return c;
	}
	return NULL;
}

static void on_file(void *role, struct str path, int fd)
{
	struct front *f = role;
	struct chain *c = NEW(struct chain);
	c->path = str_keep(path);
	buf_init(&c->text, CHAIN_BYTES_MAX);
	if (file_read_all(fd, &c->text) != OK)
		buf_clear(&c->text); /* apply() says that it holds no certificate */
	fd_close(&fd);
	list_add_last(&f->chains, &c->in_front);
}

/* Every signature is made in the keeper: the answer is awaited, because OpenSSL cannot wait. */
/* An answer that comes too late must not meet the next question, so the link is of no use any more. */
static void sign_link_broke(struct front *f, fault how)
{
	fd_close(&f->sign_fd);
	role_link_broke(f->base, ARROW_FRONT_SIGN, 0, "keeper",
	                how == F_TIMEOUT ? "a signature did not come in time" : CHANNEL_GONE);
}

static fault sign(void *owner, struct str key_id, struct str digest, unsigned padding, struct str message,
                  struct buf *signature_out)
{
	struct front *f = owner;
	_Alignas(8) unsigned char answer[IPC_MESSAGE_SIZE_MAX];
	unsigned kind;
	struct buf scratch;
	if (f->sign_fd < 0)
		return F_PEER;
	buf_init(&scratch, CHANNEL_FRAME_MAX);
	struct sign_request m = { .key = key_id, .digest = digest, .padding = padding, .message = message };
	fault e = channel_ask(f->sign_fd, &to_signer, SIGN_REQUEST, &m, &from_signer, &kind, answer, &scratch, SIGN_MS);
	if (e == OK)
		e = kind == SIGN_DONE ? buf_add(signature_out, ((const struct sign_done *)(const void *)answer)->signature)
		                      : F_DENIED;
	else
		sign_link_broke(f, e);
	buf_fini(&scratch);
	return e;
}

static fault add_certificates(struct front *f, struct tls_server *server, const struct conf *conf, struct why *why)
{
	for (size_t i = 0; i < conf->n_tls; i++) {
		const struct conf_tls *t = &conf->tls[i];
		for (size_t j = 0; j < t->certs.n; j++) {
			struct chain *c = chain_of(f, t->certs.items[j]);
			if (c == NULL)
				return why_say(why, F_ABSENT, "the certificate %.*s did not come", STR_ARG(t->certs.items[j]));
			fault e = tls_server_add(server, t->names.items, t->names.n, buf_view(&c->text), why);
			if (e != OK)
				return e;
		}
	}
	return OK;
}

static fault make_server(struct front *f, const struct conf *conf, bool for_mx, struct tls_server **out,
                         struct why *why)
{
	const struct tls_signer signer = { sign, f };
	if (conf->n_tls == 0)
		return OK;
	*out = tls_server_new(&signer, for_mx);
	return add_certificates(f, *out, conf, why);
}

static fault make_generation(struct front *f, const struct conf *conf, struct generation **out, struct why *why)
{
	struct generation *g = NEW(struct generation);
	g->refs = 1;
	g->arena = arena_new(GENERATION_BYTES_MAX);
	g->hostname = arena_copy(g->arena, conf->hostname);
	fault e = make_server(f, conf, false, &g->tls, why);
	if (e == OK)
		e = make_server(f, conf, true, &g->tls_mx, why);
	if (e != OK)
		generation_drop(&g);
	*out = g;
	return e;
}

/* ---- a new configuration ---- */

static bool has_users(const struct conf_listener *l, struct str users)
{
	struct str name;
	size_t i = 0;
	while (i < l->auth.n && str_take_word(&users, &name))
		if (!str_eq(name, l->auth.items[i++]))
			return false;
	return i == l->auth.n && str_trim(users).n == 0;
}

/* A session asks the keeper by the listener's number, which may mean another one now. What the number stands
 * for are the users tables: any listener with the same ones will do. */
static void find_listener(struct session *s)
{
	const struct conf *conf = s->front->conf;
	struct str users = s->users;
	if (users.n == 0)
		return;
	s->listener_gone = true;
	for (size_t i = 0; i < conf->n_listeners && s->listener_gone; i++) {
		if (has_users(&conf->listeners[i], users)) {
			s->listener = i;
			s->listener_gone = false;
		}
	}
	if (s->listener_gone)
		smtp_server_drain(s->smtp);
}

static fault on_apply(void *role, const struct conf *conf, struct why *why)
{
	struct front *f = role;
	struct generation *g = NULL;
	fault e = make_generation(f, conf, &g, why);
	forget_chains(f);
	if (e != OK) {
		listeners_close(&f->coming);
		return e;
	}
	generation_drop(&f->generation);
	f->generation = g;
	f->conf = conf;
	LIST_EACH(link, &f->sessions) {
		struct session *s = LIST_MEMBER(link, struct session, in_front);
		find_listener(s);
		session_ask_again(s);
	}
	if (f->draining)
		listeners_close(&f->coming);
	else
		listeners_use(f);
	return OK;
}

static void on_listener(void *role, size_t listener, size_t on, int fd)
{
	listener_add(role, listener, on, fd);
}

/* ---- neighbours ---- */

static void all_ask_again(struct front *f)
{
	LIST_EACH(link, &f->sessions)
		session_ask_again(LIST_MEMBER(link, struct session, in_front));
}

static void keeper_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct front *f = owner;
	fd_close(&fd);
	if (kind == KEEPER_TICKET_SEEDS) {
		const struct keeper_ticket_seeds *m = msg;
		if (tls_tickets_set(f->tickets, m->present, m->past) != OK)
			log_event(LOG_TROUBLE, LOG_Z("text", "the keeper's seeds for session tickets are no seeds: they are not used"));
	} else if (kind == KEEPER_RULES) {
		all_ask_again(f);
	} else {
		session_on_keeper(f, kind, msg);
	}
}

static void spool_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct front *f = owner;
	fd_close(&fd);
	if (kind == SPOOL_SHORTAGE) {
		const struct spool_shortage *m = msg;
		buf_clear(&f->shortage);
		fault cut = buf_add(&f->shortage, str_sub(m->text, 0, SHORTAGE_BYTES_MAX));
		check(cut == OK);
	} else if (kind == SPOOL_VERIFIED) {
		session_on_verified(f, msg);
	} else {
		intake_on_spool(f, kind, msg);
	}
}

static void resolver_message(void *owner, unsigned kind, const void *msg, int fd)
{
	fd_close(&fd);
	session_on_resolver(owner, kind, msg);
}

/* Nobody leaves the list within: who is done with goes at the end of the turn. */
static void all_in_vain(struct front *f, bool keeper)
{
	LIST_EACH(link, &f->sessions) {
		struct session *s = LIST_MEMBER(link, struct session, in_front);
		bool of_keeper = s->auth_open || s->asked == ASK_AUTH || s->asked == ASK_MAIL_SENDER ||
		                 s->asked == ASK_HEADER_SENDER || s->asked == ASK_RCPT;
		if (s->phase == SESSION_GONE)
			continue;
		if (keeper)
			session_ask_again(s);
		if (!keeper && s->letter != NULL && s->letter->txn != 0) {
			intake_spool_lost(s);
			session_pump(s);
		} else if (keeper ? of_keeper : s->asked == ASK_VERIFY) {
			session_asked_in_vain(s);
		}
	}
}

static void drop_keeper(struct front *f)
{
	channel_close(&f->keeper);
	all_in_vain(f, true);
}

static void keeper_closed(void *owner, const char *reason)
{
	struct front *f = owner;
	role_link_broke(f->base, ARROW_FRONT_KEEPER, 0, "keeper", reason);
	drop_keeper(f);
}

static void drop_spool(struct front *f)
{
	channel_close(&f->spool);
	buf_clear(&f->shortage); /* the next one will say so itself */
	all_in_vain(f, false);
}

static void spool_closed(void *owner, const char *reason)
{
	struct front *f = owner;
	role_link_broke(f->base, ARROW_FRONT_SPOOL, 0, "spool", reason);
	drop_spool(f);
}

static void resolver_closed(void *owner, const char *reason)
{
	struct front *f = owner;
	role_link_broke(f->base, ARROW_FRONT_RESOLVER, 0, "resolver", reason);
	channel_close(&f->resolver);
}

static void on_link(void *role, enum ipc_arrow arrow, unsigned instance, int fd)
{
	static const struct channel_handler keeper = { keeper_message, keeper_closed };
	static const struct channel_handler spool = { spool_message, spool_closed };
	static const struct channel_handler resolver = { resolver_message, resolver_closed };
	struct front *f = role;
	(void)instance;
	switch (arrow) {
	case ARROW_FRONT_KEEPER:
		if (f->keeper != NULL)
			drop_keeper(f);
		f->keeper = channel_new(f->loop, fd, &keeper_to_front, &front_to_keeper, &keeper, f);
		channel_keep_secret(f->keeper);
		break;
	case ARROW_FRONT_SPOOL:
		if (f->spool != NULL)
			drop_spool(f);
		f->spool = channel_new(f->loop, fd, &spool_to_front, &front_to_spool, &spool, f);
		break;
	case ARROW_FRONT_RESOLVER:
		channel_close(&f->resolver);
		f->resolver = channel_new(f->loop, fd, &from_resolver, &to_resolver, &resolver, f);
		break;
	case ARROW_FRONT_SIGN:
		fd_close(&f->sign_fd);
		f->sign_fd = fd;
		break;
	default:
		fd_close(&fd);
		break;
	}
}

/* ---- drain, status, end ---- */

void front_perhaps_drained(struct front *f)
{
	if (!f->draining || f->n_sessions > 0)
		return;
	timer_clear(&f->grace);
	role_drained(f->base);
}

static void grace_is_over(void *owner)
{
	struct front *f = owner;
	LIST_EACH(link, &f->sessions)
		session_abandon(LIST_MEMBER(link, struct session, in_front));
	front_perhaps_drained(f);
}

static void on_drain(void *role, uint64_t grace_ms)
{
	struct front *f = role;
	f->draining = true;
	listeners_close(&f->listeners);
	timer_set(&f->grace, loop_now_ms(f->loop) + (int64_t)(grace_ms < INT32_MAX ? grace_ms : INT32_MAX));
	LIST_EACH(link, &f->sessions) {
		struct session *s = LIST_MEMBER(link, struct session, in_front);
		smtp_server_drain(s->smtp);
		session_pump(s);
	}
	front_perhaps_drained(f);
}

static void on_status(void *role, struct buf *json)
{
	struct front *f = role;
	/* A buffer without room keeps what it has: still an object. */
	fault e = buf_addf(json,
	                   "\"sessions\": %zu, \"handshakes\": %zu, \"late_handshakes\": %zu, \"warm\": %zu, \"half_records\": %zu, "
	                   "\"connections\": %llu, \"refused\": %llu, \"messages\": %llu",
	                   f->n_sessions, f->shaking, f->n_late, f->n_warm, f->n_halves, (unsigned long long)f->connections,
	                   (unsigned long long)f->refused_connections, (unsigned long long)f->messages);
	(void)e;
}

static void on_message(void *role, unsigned kind, const void *msg, int fd)
{
	if (kind == TO_ROLE_CROWD)
		accept_page(role, msg, fd); /* and closes it */
	else
		fd_close(&fd);
	if (kind == TO_ROLE_USER)
		session_on_user(role, msg);
}

static void on_free(void *role)
{
	struct front *f = role;
	f->draining = false;
	LIST_EACH(link, &f->sessions)
		session_free_now(LIST_MEMBER(link, struct session, in_front));
	listeners_close(&f->listeners);
	listeners_close(&f->coming);
	forget_chains(f);
	timer_clear(&f->grace);
	timer_clear(&f->cool);
	timer_clear(&f->stall);
	timer_clear(&f->trim);
	channel_close(&f->keeper);
	channel_close(&f->spool);
	channel_close(&f->resolver);
	fd_close(&f->sign_fd);
	generation_drop(&f->generation);
	tls_tickets_free(&f->tickets);
	buf_fini(&f->shortage);
	accept_forget_pages(f);
	map_free(&f->neighbourhoods);
	map_free(&f->asks);
	map_free(&f->lookups);
	names_forget(f);
	map_free(&f->names);
	free(f);
}

struct role_base *front_start(struct loop *loop, int control_fd)
{
	static const struct role_hooks hooks = {
		.name = "front", .file = on_file, .listener = on_listener, .apply = on_apply, .link = on_link,
		.message = on_message, .status = on_status, .drain = on_drain, .free = on_free,
	};
	struct why why = { "" };
	/* Two for each that is warm, and for those that shake hands. Without them it works as well. */
	(void)tls_buffers_apart(2 * (FRONT_WARM_MAX + FRONT_SHAKING_MAX + FRONT_LATE_MAX));
	struct front *f = NEW(struct front);
	f->loop = loop;
	f->sign_fd = -1;
	f->tickets = tls_tickets_new();
	buf_init(&f->shortage, SHORTAGE_BYTES_MAX);
	list_init(&f->listeners);
	list_init(&f->coming);
	list_init(&f->chains);
	list_init(&f->sessions);
	list_init(&f->wanting);
	list_init(&f->late);
	list_init(&f->halves);
	list_init(&f->warm);
	list_init(&f->stalled);
	f->neighbourhoods = map_new(random_u64());
	f->crowd.seed = random_u64();
	f->crowd.own = NEW(struct crowd_page);
	f->refusals = (struct tally){ .wears_off_ms = REFUSALS_WEAR_OFF_MS, .own = &f->crowd.own->refusals };
	f->asks = map_new(0);
	f->lookups = map_new(0);
	f->names = map_new(random_u64());
	list_init(&f->named);
	timer_init(&f->grace, loop, grace_is_over, f);
	timer_init(&f->cool, loop, warmth_cool, f);
	timer_init(&f->stall, loop, intake_go_on, f);
	timer_init(&f->trim, loop, warmth_trim, f);
	if (tls_begin(&why) != OK)
		log_event(LOG_TROUBLE, LOG_Z("text", why.text));
	f->base = role_base_new(loop, control_fd, &hooks, f);
	return f->base;
}
