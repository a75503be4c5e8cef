/* SPDX-License-Identifier: ISC */
/*
 * test/sim/net.c -- descriptors, sockets and streams in memory.
 *
 * A sock is one end. What is written to it lies, as segments with an arrival time, at the other end; a descriptor that
 * is passed travels with its segment, and a read never goes beyond such a segment, as in the kernel.
 */
#include "world.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "disk.h"
#include "sys/agenda.h"
#include "sys/frame.h"
#include "sys/stream.h"

enum { CAPACITY = 200 << 10, FDS_MAX = 1 << 16, REAL_NONE = -1 };

struct sock;

/* What a descriptor means: a sock of ours, or a descriptor of a file while it travels. */
struct meaning { struct sock *sock; int real; };

struct segment {
	struct link in_sock;
	struct buf bytes;
	int64_t at_ms;
	uint64_t turn;          /* in which it was written */
	bool has_fd;
	struct meaning fd;
};

struct sock {
	struct link in_net;
	unsigned refs;          /* descriptors, here and travelling */
	bool listener, tcp, broken, shut, connecting, refused;
	bool trusted;           /* what is written here is never spoiled: the supervisor's word */
	struct sock *peer;
	struct endpoint local, remote;
	struct list arriving;   /* segments */
	size_t waiting;         /* bytes in them */
	bool end;               /* the peer is gone or has shut down; reads as such once everything is read */
	int64_t end_at_ms, last_ms, decided_ms;
	struct list backlog;    /* listener: socks that wait, by in_backlog */
	struct link in_backlog;
	uint64_t id, written, frame_at; /* bytes written here, and where the next frame of a channel begins */
};

struct stream {
	struct link in_net;
	struct loop *loop;
	int fd;
	struct sock *sock;
	bool want_read, want_write, closed;
	stream_notify *notify;
	void *owner;
	struct later release;
};

static struct {
	struct list socks, streams;
	struct sock *fds[FDS_MAX];
	size_t open, next_fd;
	uint16_t next_port;
	uint64_t next_id;
	bool begun, has_from;
	struct endpoint from;
} net;

static void begin(void)
{
	if (net.begun)
		return;
	net.begun = true;
	list_init(&net.socks);
	list_init(&net.streams);
	net.next_port = 20000;
}

/* --- descriptors --- */

static struct sock *sock_of(int fd)
{
	return fd >= FAKE_FD && fd < FAKE_FD + FDS_MAX ? net.fds[fd - FAKE_FD] : NULL;
}

static int fd_for(struct sock *s)
{
	begin();
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

static void unref(struct sock *s);

static void forget_meaning(struct meaning *m)
{
	if (m->sock != NULL)
		unref(m->sock);
	fd_close(&m->real);
	*m = (struct meaning){ NULL, REAL_NONE };
}

static void drop_segment(struct sock *s, struct segment *g)
{
	link_remove(&g->in_sock);
	s->waiting -= buf_view(&g->bytes).n;
	buf_fini(&g->bytes);
	if (g->has_fd)
		forget_meaning(&g->fd);
	free(g);
}

static int64_t arrival(struct sock *to)
{
	int64_t at = world.now_ms;
	if (chance_of(world.weather.delay))
		at += (int64_t)chance_below(world.weather.delay_ms_max + 1) / (to->tcp ? 1 : 8);
	if (at < to->last_ms)
		at = to->last_ms; /* bytes never overtake each other */
	to->last_ms = at;
	return at;
}

static void end_peer(struct sock *s)
{
	struct sock *p = s->peer;
	if (p == NULL || p->end)
		return;
	p->end = true;
	p->end_at_ms = arrival(p);
}

static void free_sock(struct sock *s)
{
	link_remove(&s->in_net);
	link_remove(&s->in_backlog);
	LIST_EACH(l, &s->arriving)
		drop_segment(s, LIST_MEMBER(l, struct segment, in_sock));
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
			drop_segment(p, g);
	}
}

static void unref(struct sock *s)
{
	check(s->refs > 0);
	if (--s->refs > 0)
		return;
	if (world.dying)
		lose_last_words(s);
	LIST_EACH(l, &s->backlog) {
		struct sock *waiting = LIST_MEMBER(l, struct sock, in_backlog);
		link_remove(l);
		unref(waiting);
	}
	end_peer(s);
	free_sock(s);
}

void fd_close(int *fd)
{
	struct sock *s = sock_of(*fd);
	if (s != NULL) {
		net.fds[*fd - FAKE_FD] = NULL;
		net.open--;
		unref(s);
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
	return fd_for(s);
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
	begin();
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
	out[0] = fd_for(a);
	out[1] = fd_for(b);
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
	begin();
	if (listener_at(at) != NULL)
		return why_say(why, F_EXISTS, "cannot listen: somebody does already");
	struct sock *s = new_sock(at->kind != ENDPOINT_UNIX);
	s->listener = true;
	s->local = *at;
	*fd_out = fd_for(s);
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
		unref(waiting);
		return F_LIMIT;
	}
	*fd_out = fd_for(waiting);
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
	begin();
	struct sock *at = listener_at(to);
	bool tcp = to->kind != ENDPOINT_UNIX;
	if (at == NULL && !tcp)
		return F_PEER;
	struct sock *ours = new_sock(tcp);
	ours->remote = *to;
	ours->local = source_of(to, from);
	ours->decided_ms = arrival(ours);
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
	*fd_out = fd_for(ours);
	return OK;
}

static bool decided(const struct sock *s)
{
	return !s->connecting || s->decided_ms <= world.now_ms;
}

fault socket_connected(int fd, struct why *why)
{
	struct sock *s = sock_of(fd);
	check(s != NULL);
	if (!decided(s))
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

/* --- streams --- */

struct stream *stream_new(struct loop *loop, int fd, stream_notify *notify, void *owner)
{
	begin();
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

static bool readable(struct sock *s)
{
	if (s->listener)
		return !list_empty(&s->backlog);
	return decided(s) && (first_arrived(s) != NULL || at_end(s));
}

static bool writable(const struct sock *s)
{
	if (!decided(s))
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
	int fd = g->fd.sock != NULL ? fd_for(g->fd.sock) : g->fd.real;
	g->has_fd = false;
	return fd;
}

fault stream_read_fd(struct stream *st, char *to, size_t room, size_t *n_out, int *fd_out)
{
	struct sock *s = st->sock;
	*n_out = 0;
	*fd_out = -1;
	if (!decided(s))
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
			drop_segment(s, g);
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

static struct segment *send_bytes(struct sock *s, struct str bytes)
{
	struct segment *g = NEW(struct segment);
	buf_init(&g->bytes, bytes.n);
	check(buf_add(&g->bytes, bytes) == OK);
	spoil(s, &g->bytes);
	g->at_ms = arrival(s->peer);
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
	if (decided(s) && s->tcp && !s->refused && s->peer != NULL && chance_of(world.weather.break_tcp))
		break_both(s);
	if (decided(s) && (s->refused || s->broken || s->shut || s->peer == NULL))
		return F_PEER;
	if (!decided(s) || s->peer->waiting >= CAPACITY) {
		st->want_write = true;
		return OK;
	}
	size_t room = CAPACITY - s->peer->waiting;
	size_t n = part_of(bytes.n < room ? bytes.n : room);
	*out = send_bytes(s, str_sub(bytes, 0, n));
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
		end_peer(s->sock);
}

/* --- the turn --- */

static bool ready(struct stream *s)
{
	return (s->want_write && writable(s->sock)) || (s->want_read && readable(s->sock));
}

static void tell(struct stream *s)
{
	if (s->want_write && writable(s->sock)) {
		s->want_write = false;
		s->notify(s->owner, STREAM_WRITABLE);
	} else {
		s->notify(s->owner, STREAM_READABLE);
	}
}

bool net_dispatch(void)
{
	size_t n = 0;
	struct stream *chosen = NULL;
	begin();
	LIST_EACH(l, &net.streams) {
		struct stream *s = LIST_MEMBER(l, struct stream, in_net);
		if (ready(s) && chance_below(++n) == 0)
			chosen = s;
	}
	if (chosen != NULL)
		tell(chosen);
	return chosen != NULL;
}

static void earlier(int64_t at_ms, int64_t *first_ms)
{
	if (at_ms > world.now_ms && at_ms < *first_ms)
		*first_ms = at_ms;
}

bool net_next_arrival(int64_t *at_ms_out)
{
	int64_t first_ms = INT64_MAX;
	begin();
	LIST_EACH(l, &net.streams) {
		struct stream *st = LIST_MEMBER(l, struct stream, in_net);
		struct sock *s = st->sock;
		if (!st->want_read && !st->want_write)
			continue;
		if (s->connecting)
			earlier(s->decided_ms, &first_ms);
		struct segment *g = LIST_FIRST(&s->arriving, struct segment, in_sock);
		if (st->want_read && g != NULL)
			earlier(g->at_ms, &first_ms);
		if (st->want_read && s->end)
			earlier(s->end_at_ms, &first_ms);
	}
	*at_ms_out = first_ms;
	return first_ms != INT64_MAX;
}

/* --- a question that is answered at once --- */

static struct stream *stream_on(const struct sock *s)
{
	LIST_EACH(l, &net.streams) {
		struct stream *st = LIST_MEMBER(l, struct stream, in_net);
		if (st->sock == s)
			return st;
	}
	return NULL;
}

static void drain_into(struct sock *s, struct buf *to)
{
	for (struct segment *g; (g = LIST_FIRST(&s->arriving, struct segment, in_sock)) != NULL;) {
		if (to != NULL)
			check(buf_add(to, buf_view(&g->bytes)) == OK);
		drop_segment(s, g);
	}
}

/* What others have put off waits until the question is answered. */
static void set_aside(struct list *from, struct list *to)
{
	list_init(to);
	LIST_EACH(l, from) {
		link_remove(l);
		list_add_last(to, l);
	}
}

static void put_back(struct list *from, struct list *to)
{
	while (!list_empty(from)) {
		struct link *last = from->head.prev;
		link_remove(last);
		list_add_first(to, last);
	}
}

bool net_ask(int fd, struct str question, struct buf *answer)
{
	struct sock *s = sock_of(fd);
	struct stream *other = s != NULL && s->peer != NULL && !world.dying ? stream_on(s->peer) : NULL;
	if (other == NULL)
		return false;
	struct agenda *agenda = loop_agenda(other->loop);
	struct list waiting;
	struct weather before = world.weather;
	world.weather = (struct weather){ 0 };
	drain_into(s, NULL);
	set_aside(&agenda->laters, &waiting);
	send_bytes(s, question)->at_ms = world.now_ms;
	other->notify(other->owner, STREAM_READABLE);
	(void)agenda_run_laters(agenda);
	put_back(&waiting, &agenda->laters);
	world.weather = before;
	drain_into(s, answer);
	return true;
}

/* --- the end --- */

void net_describe(struct buf *out)
{
	LIST_EACH(l, &net.socks) {
		struct sock *s = LIST_MEMBER(l, struct sock, in_net);
		struct buf place;
		buf_init(&place, 200);
		(void)(endpoint_put(&place, &s->local) == OK && buf_add(&place, STR(" <- ")) == OK &&
		       endpoint_put(&place, &s->remote) == OK);
		(void)!buf_addf(out, "  sock %llu refs %u %s%s%s waiting %zu %.*s\n", (unsigned long long)s->id, s->refs,
		                s->listener ? "listener " : "", s->tcp ? "tcp" : "unix", s->end ? " ended" : "", s->waiting,
		                STR_ARG(buf_view(&place)));
		buf_fini(&place);
	}
}

void net_end(void)
{
	LIST_EACH(l, &net.streams) {
		struct stream *s = LIST_MEMBER(l, struct stream, in_net);
		stream_close(&s);
	}
	for (int fd = FAKE_FD; fd < FAKE_FD + FDS_MAX; fd++) {
		int each = fd;
		if (sock_of(fd) != NULL)
			fd_close(&each);
	}
	memset(&net, 0, sizeof net);
}
