/* SPDX-License-Identifier: ISC */
/* test/sim/socket.c -- descriptors and sockets of the simulated world: sys/socket.h. */
#include "net_inside.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "disk.h"

/* --- descriptors --- */

struct sock *sock_of(int fd)
{
	return fd >= FAKE_FD && fd < FAKE_FD + FDS_MAX ? net.fds[fd - FAKE_FD] : NULL;
}

int sock_fd(struct sock *s)
{
	net_begin();
	for (size_t tried = 0; tried < FDS_MAX; tried++) {
		size_t i = net.next_fd++ % FDS_MAX;
		if (net.fds[i] == NULL) {
			net.fds[i] = s;
			net.open++;
			return FAKE_FD + (int)i;
		}
	}
	check(false);
	return -1;
}

void meaning_forget(struct meaning *m)
{
	if (m->sock != NULL)
		sock_unref(m->sock);
	fd_close(&m->real);
	*m = (struct meaning){ NULL, REAL_NONE };
}

void segment_drop(struct sock *s, struct segment *g)
{
	link_remove(&g->in_sock);
	s->waiting -= buf_view(&g->bytes).n;
	buf_fini(&g->bytes);
	if (g->has_fd)
		meaning_forget(&g->fd);
	free(g);
}

int64_t sock_arrival(struct sock *to)
{
	int64_t at = world.now_ms;
	if (chance_of(world.weather.delay))
		at += (int64_t)chance_below(world.weather.delay_ms_max + 1) / (to->tcp ? 1 : 8);
	if (at < to->last_ms)
		at = to->last_ms; /* bytes never overtake each other */
	to->last_ms = at;
	return at;
}

void sock_end_peer(struct sock *s)
{
	struct sock *p = s->peer;
	if (p == NULL || p->end)
		return;
	p->end = true;
	p->end_at_ms = sock_arrival(p);
}

static void free_sock(struct sock *s)
{
	link_remove(&s->in_net);
	link_remove(&s->in_backlog);
	LIST_EACH(l, &s->arriving)
		segment_drop(s, LIST_MEMBER(l, struct segment, in_sock));
	if (s->peer != NULL)
		s->peer->peer = NULL;
	free(s);
}

/* A process that dies may not have come to its last writes: those of this turn are lost, or not. */
static void lose_last_words(struct sock *s)
{
	struct sock *p = s->peer;
	if (p == NULL || chance_below(2) == 0)
		return;
	LIST_EACH(l, &p->arriving) {
		struct segment *g = LIST_MEMBER(l, struct segment, in_sock);
		if (g->turn == world.turn)
			segment_drop(p, g);
	}
}

void sock_unref(struct sock *s)
{
	check(s->refs > 0);
	if (--s->refs > 0)
		return;
	if (world.dying)
		lose_last_words(s);
	LIST_EACH(l, &s->backlog) {
		struct sock *waiting = LIST_MEMBER(l, struct sock, in_backlog);
		link_remove(l);
		sock_unref(waiting);
	}
	sock_end_peer(s);
	free_sock(s);
}

void fd_close(int *fd)
{
	struct sock *s = sock_of(*fd);
	if (s != NULL) {
		net.fds[*fd - FAKE_FD] = NULL;
		net.open--;
		sock_unref(s);
	} else if (disk_has_fd(*fd)) {
		disk_fd_close(*fd);
	} else if (*fd >= 0 && *fd < FAKE_FD) {
		(void)close(*fd);
	}
	*fd = -1;
}

int fd_dup(int fd)
{
	struct sock *s = sock_of(fd);
	if (disk_has_fd(fd))
		return disk_fd_dup(fd);
	if (s == NULL)
		return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	s->refs++;
	return sock_fd(s);
}

void net_trust(int fd)
{
	check(sock_of(fd) != NULL);
	sock_of(fd)->trusted = true;
}

size_t net_descriptors(void)
{
	return net.open;
}

/* --- sockets --- */

static struct sock *new_sock(bool tcp)
{
	net_begin();
	struct sock *s = NEW(struct sock);
	s->refs = 1;
	s->tcp = tcp;
	s->id = ++net.next_id;
	list_init(&s->arriving);
	list_init(&s->backlog);
	link_init(&s->in_backlog);
	list_add_last(&net.socks, &s->in_net);
	return s;
}

fault socket_pair(int out[2])
{
	struct sock *a = new_sock(false), *b = new_sock(false);
	a->peer = b;
	b->peer = a;
	a->local.kind = a->remote.kind = b->local.kind = b->remote.kind = ENDPOINT_UNIX;
	out[0] = sock_fd(a);
	out[1] = sock_fd(b);
	return OK;
}

static bool same_place(const struct endpoint *a, const struct endpoint *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == ENDPOINT_UNIX)
		return strcmp(a->path, b->path) == 0;
	return a->port == b->port && memcmp(a->ip, b->ip, a->kind == ENDPOINT_IPV4 ? 4 : 16) == 0;
}

static struct sock *listener_at(const struct endpoint *at)
{
	LIST_EACH(l, &net.socks) {
		struct sock *s = LIST_MEMBER(l, struct sock, in_net);
		if (s->listener && same_place(&s->local, at))
			return s;
	}
	return NULL;
}

fault socket_listen(const struct endpoint *at, int backlog, int *fd_out, struct why *why)
{
	(void)backlog;
	net_begin();
	if (listener_at(at) != NULL)
		return why_say(why, F_EXISTS, "cannot listen: somebody does already");
	struct sock *s = new_sock(at->kind != ENDPOINT_UNIX);
	s->listener = true;
	s->local = *at;
	*fd_out = sock_fd(s);
	return OK;
}

fault socket_set_mode(const struct endpoint *at, unsigned mode)
{
	(void)mode;
	return at->kind == ENDPOINT_UNIX ? OK : F_STATE;
}

fault socket_give(const struct endpoint *at, uint32_t uid, uint32_t gid)
{
	(void)uid;
	(void)gid;
	return at->kind == ENDPOINT_UNIX ? OK : F_STATE;
}

fault socket_accept(int listener, int *fd_out, struct endpoint *peer_out)
{
	struct sock *s = sock_of(listener);
	check(s != NULL && s->listener);
	struct sock *waiting = LIST_FIRST(&s->backlog, struct sock, in_backlog);
	if (waiting == NULL)
		return F_BUSY;
	link_remove(&waiting->in_backlog);
	if (chance_of(world.weather.accept_limit)) {
		world.faults++;
		sock_unref(waiting);
		return F_LIMIT;
	}
	*fd_out = sock_fd(waiting);
	*peer_out = waiting->remote;
	return OK;
}

bool net_from(const struct endpoint *from)
{
	net.has_from = from != NULL;
	if (from != NULL)
		net.from = *from;
	return true;
}

static struct endpoint source_of(const struct endpoint *to, const struct endpoint *from)
{
	struct endpoint own = { .kind = to->kind };
	if (from != NULL)
		own = *from;
	else if (net.has_from)
		own = net.from;
	else if (to->kind == ENDPOINT_IPV4)
		memcpy(own.ip, (const unsigned char[]){ 198, 51, 100, 1 }, 4);
	else if (to->kind == ENDPOINT_IPV6)
		memcpy(own.ip, (const unsigned char[]){ 0x20, 1, 0x0d, 0xb8, [15] = 1 }, 16);
	if (own.port == 0)
		own.port = net.next_port++;
	if (net.next_port < 20000)
		net.next_port = 20000;
	return own;
}

fault socket_connect(const struct endpoint *to, const struct endpoint *from, int *fd_out)
{
	net_begin();
	struct sock *at = listener_at(to);
	bool tcp = to->kind != ENDPOINT_UNIX;
	if (at == NULL && !tcp)
		return F_PEER;
	struct sock *ours = new_sock(tcp);
	ours->remote = *to;
	ours->local = source_of(to, from);
	ours->decided_ms = sock_arrival(ours);
	ours->connecting = tcp;
	if (at == NULL || (tcp && chance_of(world.weather.refuse_tcp))) {
		ours->refused = true;
	} else {
		struct sock *theirs = new_sock(tcp);
		theirs->local = *to;
		theirs->remote = ours->local;
		theirs->peer = ours;
		ours->peer = theirs;
		list_add_last(&at->backlog, &theirs->in_backlog);
	}
	*fd_out = sock_fd(ours);
	return OK;
}

bool sock_decided(const struct sock *s)
{
	return !s->connecting || s->decided_ms <= world.now_ms;
}

fault socket_connected(int fd, struct why *why)
{
	struct sock *s = sock_of(fd);
	check(s != NULL);
	if (!sock_decided(s))
		return why_say(why, F_BUSY, "not connected yet");
	if (s->refused)
		return why_say(why, F_PEER, "Connection refused");
	return OK;
}

fault socket_local(int fd, struct endpoint *out)
{
	struct sock *s = sock_of(fd);
	check(s != NULL);
	*out = s->local;
	return OK;
}

fault socket_peer_user(int fd, uint32_t *uid_out, uint32_t *pid_out)
{
	(void)fd;
	*uid_out = process_user();
	*pid_out = 1;
	return OK;
}

size_t socket_own_addresses(struct endpoint *out, size_t max)
{
	struct endpoint own = { .kind = ENDPOINT_IPV4, .ip = { 198, 51, 100, 1 } };
	if (max > 0)
		out[0] = own;
	return max > 0 ? 1 : 0;
}
