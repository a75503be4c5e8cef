/* SPDX-License-Identifier: ISC */
/* role/front/accept.c -- listeners, and who may connect. */
#include <stdlib.h>

#include "base/check.h"
#include "role/front/front.h"
#include "sys/log.h"
#include "sys/shared.h"

enum {
	ACCEPTS_A_TURN = 4, /* few, so that the other fronts at the same socket get their share */
	REST_MS = 500, /* without descriptors: rest instead of spinning */
};

static struct crowd_who who_is(const struct front *f, const struct endpoint *peer)
{
	if (peer->kind == ENDPOINT_UNIX)
		return (struct crowd_who){ 0, 0 };
	return crowd_who(f->crowd.seed, peer->ip, peer->kind == ENDPOINT_IPV6);
}

/* Said in clear even on a TLS port: a handshake for a refusal is what a flood wants. */
static void turn_away(struct front *f, int fd, const struct endpoint *peer, const char *reason, struct str line)
{
	size_t n;
	f->refused_connections++;
	char client[64];
	log_event(LOG_REFUSED, LOG_S("client", session_address(peer, client)), LOG_Z("reason", reason));
	struct stream *stream = stream_new(f->loop, fd, NULL, NULL);
	stream_want_read(stream, false);
	fault ignored = stream_write(stream, line, &n);
	(void)ignored;
	stream_close(&stream);
}

static const char *too_many(const struct front *f, struct crowd_who who, struct str *say)
{
	const struct conf_limits *limits = &f->conf->limits;
	uint64_t of_network = limits->connections_per_network;
	if (of_network < limits->connections_per_client)
		of_network = limits->connections_per_client;
	*say = STR("421 4.3.2 Too many connections: try again later\r\n");
	if (crowd_total(&f->crowd) >= limits->connections)
		return "limits connections";
	*say = STR("421 Too many connections from your address\r\n");
	if (crowd_count(&f->crowd, who.client) >= limits->connections_per_client)
		return "limits connections-per-client";
	*say = STR("421 Too many connections from your network\r\n");
	if (crowd_count(&f->crowd, who.network) >= of_network)
		return "limits connections-per-network";
	return NULL;
}

const char *accept_client(struct front *f, const struct endpoint *peer, struct crowd_who *who_out, struct str *say_out)
{
	*who_out = who_is(f, peer);
	const char *reason = too_many(f, *who_out, say_out);
	if (reason != NULL || crowd_enter(&f->crowd, *who_out) == OK)
		return reason;
	*say_out = STR("421 Too many clients: try again later\r\n");
	return "no room to count one more client";
}

static void greet(struct listener *l, int fd, const struct endpoint *peer)
{
	struct front *f = l->front;
	struct str say;
	struct crowd_who who;
	bool proxied = is_proxy(&f->conf->listeners[l->index], peer);
	/* A proxy is no client: it counts in the total alone, until it has said whom it brings. */
	static const struct endpoint nobody = { .kind = ENDPOINT_UNIX };
	const char *reason = accept_client(f, proxied ? &nobody : peer, &who, &say);
	if (reason != NULL)
		turn_away(f, fd, peer, reason, say);
	else
		session_new(f, l, fd, peer, who, proxied);
}

/* ---- the pages that the fronts count on ---- */

static void drop_own_page(struct front *f)
{
	if (f->crowd_is_shared)
		shared_unmap(f->crowd.own, sizeof *f->crowd.own);
	else
		free(f->crowd.own);
	f->crowd.own = NULL;
}

/* Without one of the pages this front and the others would each let in as many as all together may: another process shall have it. */
static void page_is_missing(struct front *f, fault how)
{
	log_event(LOG_TROUBLE, LOG_Z("text", "a page on which the fronts count their clients cannot be used: another front takes this one's place"),
	          LOG_Z("fault", fault_name(how)));
	channel_send(role_control(f->base), FROM_ROLE_STALE, &(struct from_role_stale){ 0 });
}

/* Pages come before the first configuration, so nobody has been counted yet. */
void accept_page(struct front *f, const struct to_role_crowd *m, int fd)
{
	void *map = NULL;
	fault e = fd < 0 ? F_LIMIT : F_STATE;
	if (fd >= 0 && m->instance < CROWD_PAGES_MAX && f->n_sessions == 0)
		e = shared_map(fd, sizeof(struct crowd_page), m->own == 1, &map);
	fd_close(&fd);
	if (e != OK) {
		page_is_missing(f, e);
		return;
	}
	f->crowd.seed = m->seed;
	if (m->own == 1) {
		drop_own_page(f);
		f->crowd.own = map;
		f->refusals.own = &f->crowd.own->refusals;
		f->crowd_is_shared = true;
	} else {
		shared_unmap((void *)(uintptr_t)f->crowd.others[m->instance], sizeof(struct crowd_page));
		f->crowd.others[m->instance] = map;
		f->refusals.others[m->instance] = &f->crowd.others[m->instance]->refusals;
	}
}

void accept_forget_pages(struct front *f)
{
	drop_own_page(f);
	for (size_t i = 0; i < CROWD_PAGES_MAX; i++)
		shared_unmap((void *)(uintptr_t)f->crowd.others[i], sizeof(struct crowd_page));
}

static void rested(void *owner)
{
	struct listener *l = owner;
	acceptor_pause(l->acceptor, false);
}

static void on_ready(void *owner)
{
	struct listener *l = owner;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		struct endpoint peer = { 0 };
		int fd = -1;
		fault f = socket_accept(acceptor_fd(l->acceptor), &fd, &peer);
		if (f == F_LIMIT) {
			log_event(LOG_TROUBLE, LOG_Z("text", "no descriptors left: raise LimitNOFILE, or lower `limits { connections }`"));
			if (fd >= 0)
				turn_away(l->front, fd, &peer, "no descriptors left",
				          STR("421 4.3.2 Too many connections: try again later\r\n"));
			acceptor_pause(l->acceptor, true);
			timer_set(&l->rest, loop_now_ms(l->front->loop) + REST_MS);
		}
		if (f != OK)
			return; /* nobody waits, or who waited has gone */
		greet(l, fd, &peer);
	}
}

void listener_add(struct front *f, size_t index, size_t on, int fd)
{
	struct listener *l = NEW(struct listener);
	*l = (struct listener){ .front = f, .index = index, .on = on, .fd = fd };
	timer_init(&l->rest, f->loop, rested, l);
	list_add_last(&f->coming, &l->in_front);
}

void listeners_close(struct list *list)
{
	LIST_EACH(link, list) {
		struct listener *l = LIST_MEMBER(link, struct listener, in_front);
		link_remove(&l->in_front);
		timer_clear(&l->rest);
		acceptor_close(&l->acceptor);
		fd_close(&l->fd);
		free(l);
	}
}

/* The old and the new descriptor are of the same socket: nobody who waits is lost. */
void listeners_use(struct front *f)
{
	listeners_close(&f->listeners);
	LIST_EACH(link, &f->coming) {
		struct listener *l = LIST_MEMBER(link, struct listener, in_front);
		link_remove(&l->in_front);
		list_add_last(&f->listeners, &l->in_front);
		l->acceptor = acceptor_new(f->loop, l->fd, on_ready, l);
		l->fd = -1;
	}
}
