/* SPDX-License-Identifier: ISC */
/* role/front/accept.c -- listeners, and who may connect. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "role/front/front.h"
#include "sys/log.h"

enum {
	ACCEPTS_A_TURN = 4, /* few, so that the other fronts at the same socket get their share */
	REST_MS = 500, /* without descriptors: rest instead of spinning */
};

/* One count for each IPv4 address and each IPv6 /64: who has a /64 has all of it. */
static struct str client_key(const struct endpoint *peer, char to[static 64])
{
	struct buf text;
	struct endpoint e = *peer;
	buf_init(&text, 63);
	if (e.kind == ENDPOINT_UNIX)
		return STR_NONE;
	if (e.kind == ENDPOINT_IPV6)
		memset(e.ip + 8, 0, 8);
	fault f = endpoint_put_literal(&text, &e);
	struct str s = buf_view(&text);
	if (f == OK && s.n > 0)
		memcpy(to, s.p, s.n);
	buf_fini(&text);
	return (struct str){ to, f == OK ? s.n : 0 };
}

/* Counts are kept in the pointer itself: the map owns nothing. */
static uintptr_t connections_of(const struct front *f, struct str key)
{
	return (uintptr_t)map_get(f->clients, key);
}

static void client_comes(struct front *f, struct str key)
{
	if (key.n > 0)
		(void)map_set(f->clients, key, (void *)(connections_of(f, key) + 1));
}

void client_leaves(struct front *f, struct str key)
{
	if (key.n == 0)
		return;
	uintptr_t n = connections_of(f, key);
	if (n > 1)
		(void)map_set(f->clients, key, (void *)(n - 1));
	else
		(void)map_remove(f->clients, key);
}

/* Said in clear even on a TLS port: a handshake for a refusal is what a flood wants. */
static void turn_away(struct front *f, int fd, struct str key, const char *reason, struct str line)
{
	size_t n;
	f->refused_connections++;
	log_event(LOG_REFUSED, LOG_S("client", key), LOG_Z("reason", reason));
	struct stream *stream = stream_new(f->loop, fd, NULL, NULL);
	stream_want_read(stream, false);
	fault ignored = stream_write(stream, line, &n);
	(void)ignored;
	stream_close(&stream);
}

static void greet(struct listener *l, int fd, const struct endpoint *peer)
{
	struct front *f = l->front;
	char room[64];
	struct str key = client_key(peer, room);
	const struct conf_limits *limits = &f->conf->limits;
	if (f->n_sessions >= limits->connections) {
		turn_away(f, fd, key, "limits connections", STR("421 Too many connections: try again later\r\n"));
	} else if (key.n > 0 && connections_of(f, key) >= limits->connections_per_client) {
		turn_away(f, fd, key, "limits connections-per-client",
		          STR("421 Too many connections from your address\r\n"));
	} else {
		client_comes(f, key);
		session_new(f, l, fd, peer, key);
	}
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
		struct endpoint peer;
		int fd = -1;
		fault f = socket_accept(acceptor_fd(l->acceptor), &fd, &peer);
		if (f == F_LIMIT) {
			log_event(LOG_TROUBLE, LOG_Z("problem", "no descriptors left"),
			          LOG_Z("do", "raise LimitNOFILE or lower `limits { connections }`"));
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
