/* SPDX-License-Identifier: ISC */
/* test/sim/stream.c -- bytes and descriptors on their way, whole, in parts, spoiled or lost: sys/stream.h. */
#include "net_inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sys/frame.h"

enum { CAPACITY = 200 << 10 };

struct stream *stream_new(struct loop *loop, int fd, stream_notify *notify, void *owner)
{
	net_begin();
	struct stream *s = NEW(struct stream);
	*s = (struct stream){ .loop = loop, .fd = fd, .sock = sock_of(fd), .want_read = true, .notify = notify,
	                      .owner = owner };
	check(s->sock != NULL);
	list_add_last(&net.streams, &s->in_net);
	return s;
}

static void release(void *owner)
{
	free(owner);
}

int stream_detach(struct stream **s_ref)
{
	struct stream *s = *s_ref;
	if (s == NULL)
		return -1;
	*s_ref = NULL;
	int fd = s->fd;
	link_remove(&s->in_net);
	s->closed = true;
	later_init(&s->release, release, s);
	later_set(s->loop, &s->release);
	return fd;
}

void stream_close(struct stream **s)
{
	int fd = stream_detach(s);
	fd_close(&fd);
}

static struct segment *first_arrived(struct sock *s)
{
	struct segment *g = LIST_FIRST(&s->arriving, struct segment, in_sock);
	return g != NULL && g->at_ms <= world.now_ms ? g : NULL;
}

static bool at_end(const struct sock *s)
{
	return s->refused || s->broken || (s->end && list_empty(&s->arriving) && s->end_at_ms <= world.now_ms);
}

bool sock_readable(struct sock *s)
{
	if (s->listener)
		return !list_empty(&s->backlog);
	return sock_decided(s) && (first_arrived(s) != NULL || at_end(s));
}

bool sock_writable(const struct sock *s)
{
	if (!sock_decided(s))
		return false;
	return s->refused || s->broken || s->peer == NULL || s->peer->waiting < CAPACITY / 2;
}

/* How much of n moves now. */
static size_t part_of(size_t n)
{
	return n > 1 && chance_of(world.weather.short_io) ? 1 + (size_t)chance_below(n) : n;
}

static size_t take(struct sock *s, struct segment *g, char *to, size_t room)
{
	struct str bytes = buf_view(&g->bytes);
	size_t n = bytes.n < room ? bytes.n : room;
	memcpy(to, bytes.p, n);
	s->waiting -= n;
	buf_drop(&g->bytes, n);
	return n;
}

static int hand_over(struct segment *g)
{
	int fd = g->fd.sock != NULL ? sock_fd(g->fd.sock) : g->fd.real;
	g->has_fd = false;
	return fd;
}

fault stream_read_fd(struct stream *st, char *to, size_t room, size_t *n_out, int *fd_out)
{
	struct sock *s = st->sock;
	*n_out = 0;
	*fd_out = -1;
	if (!sock_decided(s))
		return F_BUSY;
	if (s->broken || s->refused)
		return F_PEER;
	room = part_of(room);
	for (struct segment *g; *n_out < room && (g = first_arrived(s)) != NULL;) {
		bool with_fd = g->has_fd;
		if (with_fd)
			*fd_out = hand_over(g);
		*n_out += take(s, g, to + *n_out, room - *n_out);
		if (buf_view(&g->bytes).n == 0)
			segment_drop(s, g);
		if (with_fd)
			return OK;
	}
	return *n_out > 0 || at_end(s) ? OK : F_BUSY;
}

fault stream_read(struct stream *s, char *to, size_t room, size_t *n_out)
{
	int fd;
	fault f = stream_read_fd(s, to, room, n_out, &fd);
	fd_close(&fd);
	return f;
}

static void break_both(struct sock *s)
{
	world.broken++;
	s->broken = true;
	if (s->peer != NULL) {
		s->peer->broken = true;
		s->peer->peer = NULL;
		s->peer = NULL;
	}
}

/* Does this piece begin with a frame? Follows the lengths; a head that is cut in two ends that for good. */
static bool begins_a_frame(struct sock *s, struct str piece)
{
	bool begins = s->frame_at == s->written;
	uint64_t end = s->written + piece.n;
	while (s->frame_at >= s->written && s->frame_at + FRAME_HEAD <= end) {
		const unsigned char *head = (const unsigned char *)piece.p + (s->frame_at - s->written);
		s->frame_at += FRAME_HEAD + (head[0] | (uint64_t)head[1] << 8 | (uint64_t)head[2] << 16 | (uint64_t)head[3] << 24);
	}
	s->written = end;
	return begins;
}

/* A neighbour that has been taken over: here a byte, there a length, a number of its messages is another. */
static void spoil(struct sock *s, struct buf *bytes)
{
	struct str all = buf_view(bytes);
	bool begins = !s->tcp && begins_a_frame(s, all);
	if (s->tcp || s->trusted || !chance_of(world.weather.spoil))
		return;
	if (world.seed % 2 == 0) { /* what is no message at all: the link breaks, and no more */
		if (begins && all.n > 4) {
			bytes->base[bytes->head + 4] = 0x7f;
			world.faults++;
		}
		return;
	}
	world.faults++;
	for (uint64_t times = 1 + chance_below(4); times > 0; times--) {
		char *at = bytes->base + bytes->head + chance_below(all.n);
		*at = (char)(chance_below(3) == 0 ? chance_below(256) : (unsigned char)*at ^ 1u << chance_below(8));
	}
}

struct segment *sock_send(struct sock *s, struct str bytes)
{
	struct segment *g = NEW(struct segment);
	buf_init(&g->bytes, bytes.n);
	check(buf_add(&g->bytes, bytes) == OK);
	spoil(s, &g->bytes);
	g->at_ms = sock_arrival(s->peer);
	g->turn = world.turn;
	g->fd = (struct meaning){ NULL, REAL_NONE };
	list_add_last(&s->peer->arriving, &g->in_sock);
	s->peer->waiting += bytes.n;
	return g;
}

static fault write_segment(struct stream *st, struct str bytes, size_t *n_out, struct segment **out)
{
	struct sock *s = st->sock;
	*n_out = 0;
	*out = NULL;
	if (world.dying)
		return F_PEER;
	if (sock_decided(s) && s->tcp && !s->refused && s->peer != NULL && chance_of(world.weather.break_tcp))
		break_both(s);
	if (sock_decided(s) && (s->refused || s->broken || s->shut || s->peer == NULL))
		return F_PEER;
	if (!sock_decided(s) || s->peer->waiting >= CAPACITY) {
		st->want_write = true;
		return OK;
	}
	size_t room = CAPACITY - s->peer->waiting;
	size_t n = part_of(bytes.n < room ? bytes.n : room);
	*out = sock_send(s, str_sub(bytes, 0, n));
	*n_out = n;
	if (n < bytes.n)
		st->want_write = true;
	return OK;
}

fault stream_write(struct stream *s, struct str bytes, size_t *n_out)
{
	struct segment *g;
	*n_out = 0;
	return bytes.n > 0 ? write_segment(s, bytes, n_out, &g) : OK;
}

fault stream_write_fd(struct stream *s, struct str bytes, int fd, size_t *n_out)
{
	struct segment *g;
	check(bytes.n > 0);
	TRY(write_segment(s, bytes, n_out, &g));
	if (g == NULL)
		return OK;
	g->has_fd = true;
	g->fd.sock = sock_of(fd);
	if (g->fd.sock != NULL)
		g->fd.sock->refs++;
	else
		g->fd.real = fd_dup(fd);
	return OK;
}

void stream_want_read(struct stream *s, bool want)
{
	s->want_read = want;
}

void stream_want_write(struct stream *s, bool want)
{
	s->want_write = want;
}

void stream_shutdown(struct stream *s)
{
	s->sock->shut = true;
	if (!world.dying)
		sock_end_peer(s->sock);
}
