/* SPDX-License-Identifier: ISC */
/*
 * Reads and writes are our own; libuv only says when. A uv_poll_t lives until its close callback, so the stream's
 * memory does too, and a notification that closes its stream is safe.
 */
#include "sys/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "sys/loop_uv.h"
#include "sys/socket.h"

enum { DESCRIPTORS_AT_ONCE = 8, WATCH_AGAIN_MS = 200 };

struct stream {
	uv_poll_t poll;
	struct later kick;     /* for a descriptor that cannot be polled: its owner learns it by reading */
	struct timer again;    /* the kernel had no memory to watch it, or has its ceiling on watches: tried again */
	struct loop *loop;
	int fd;
	int polled;            /* the events that libuv watches now */
	bool want_read, want_write;
	bool closed, unpollable, comes_later;
	stream_notify *notify;
	void *owner;
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct stream *s)
{
	int wanted = (s->want_read ? UV_READABLE : 0) | (s->want_write ? UV_WRITABLE : 0);
	if (s->unpollable) {
		if (wanted != 0 && !s->comes_later)
			later_set(s->loop, &s->kick);
		return;
	}
	if (wanted == s->polled)
		return;
	s->polled = wanted;
	if (wanted == 0)
		check(uv_poll_stop(&s->poll) == 0);
	else
		check(uv_poll_start(&s->poll, wanted, on_poll) == 0);
}

static void tell(struct stream *s, bool readable, bool writable)
{
	if (writable && s->want_write) {
		s->want_write = false;
		s->notify(s->owner, STREAM_WRITABLE);
	}
	if (readable && s->want_read && !s->closed)
		s->notify(s->owner, STREAM_READABLE);
	if (!s->closed && !s->unpollable) /* a second look at a broken descriptor tells nothing new */
		watch(s);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct stream *s = poll->data;
	if (status != 0) { /* an error waits on the descriptor, and libuv has stopped watching */
		s->polled = 0;
		tell(s, true, true);
		return;
	}
	tell(s, (events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0);
}

static void kicked(void *owner)
{
	tell(owner, true, true);
}

static void init_poll(struct stream *s)
{
	int error = uv_poll_init(loop_uv(s->loop), &s->poll, s->fd);
	s->unpollable = error != 0;
	s->poll.data = s;
	s->comes_later = error == UV_ENOMEM || error == UV_ENOSPC;
	if (s->comes_later)
		timer_set(&s->again, loop_now_ms(s->loop) + WATCH_AGAIN_MS);
}

static void watch_again(void *owner)
{
	struct stream *s = owner;
	init_poll(s);
	watch(s); /* what came meanwhile is seen now */
}

struct stream *stream_new(struct loop *loop, int fd, stream_notify *notify, void *owner)
{
	struct stream *s = NEW(struct stream);
	*s = (struct stream){ .loop = loop, .fd = fd, .notify = notify, .owner = owner, .want_read = true };
	later_init(&s->kick, kicked, s);
	timer_init(&s->again, loop, watch_again, s);
	init_poll(s);
	watch(s);
	return s;
}

static void on_closed(uv_handle_t *poll)
{
	free(poll->data);
}

static void stop_watching(struct stream *s)
{
	s->closed = true;
	later_clear(&s->kick);
	timer_clear(&s->again);
	if (!s->unpollable)
		uv_close((uv_handle_t *)&s->poll, on_closed);
}

static void free_unpollable(void *owner)
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
	s->fd = -1;
	stop_watching(s);
	if (s->unpollable) { /* its notification may be what called us */
		later_init(&s->kick, free_unpollable, s);
		later_set(s->loop, &s->kick);
	}
	return fd;
}

void stream_close(struct stream **s)
{
	int fd = stream_detach(s);
	fd_close(&fd);
}

static fault fault_of_transfer(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK ? F_BUSY : F_PEER;
}

fault stream_read(struct stream *s, char *to, size_t room, size_t *n_out)
{
	ssize_t n;
	do
		n = read(s->fd, to, room);
	while (n < 0 && errno == EINTR);
	*n_out = n > 0 ? (size_t)n : 0;
	return n >= 0 ? OK : fault_of_transfer();
}

static fault written(struct stream *s, ssize_t n, size_t offered, size_t *n_out)
{
	*n_out = n > 0 ? (size_t)n : 0;
	fault f = n >= 0 ? OK : fault_of_transfer();
	/* The kernel may refuse although the other end lives (no buffers, too many descriptors under way). What is missing
	 * then must not look like silence, neither there nor here: both find the end when they have read what came before. */
	if (f == F_PEER)
		(void)shutdown(s->fd, SHUT_RDWR);
	if (f == F_BUSY || (f == OK && *n_out < offered))
		stream_want_write(s, true);
	return f == F_BUSY ? OK : f;
}

fault stream_write(struct stream *s, struct str bytes, size_t *n_out)
{
	*n_out = 0;
	if (bytes.n == 0)
		return OK;
	ssize_t n;
	do
		n = send(s->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == ENOTSOCK) {
		do
			n = write(s->fd, bytes.p, bytes.n);
		while (n < 0 && errno == EINTR);
	}
	return written(s, n, bytes.n, n_out);
}

void stream_want_read(struct stream *s, bool want)
{
	s->want_read = want;
	watch(s);
}

void stream_want_write(struct stream *s, bool want)
{
	s->want_write = want;
	watch(s);
}

void stream_shutdown(struct stream *s)
{
	(void)shutdown(s->fd, SHUT_WR);
}

/* Room for several, so that a hostile sender's surplus is received and closed instead of lost track of. */
union descriptors {
	struct cmsghdr align;
	char room[CMSG_SPACE(DESCRIPTORS_AT_ONCE * sizeof(int))];
};

static int take_descriptor(struct msghdr *msg)
{
	int first = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (first < 0)
				first = fd;
			else
				fd_close(&fd);
		}
	}
	return first;
}

fault stream_read_fd(struct stream *s, char *to, size_t room, size_t *n_out, int *fd_out)
{
	struct iovec bytes = { to, room };
	union descriptors control;
	struct msghdr msg = {
		.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room,
	};
	ssize_t n;
	*fd_out = -1;
	do
		n = recvmsg(s->fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == ENOTSOCK)
		return stream_read(s, to, room, n_out);
	*n_out = n > 0 ? (size_t)n : 0;
	if (n < 0)
		return fault_of_transfer();
	*fd_out = take_descriptor(&msg);
	return OK;
}

fault stream_write_fd(struct stream *s, struct str bytes, int fd, size_t *n_out)
{
	check(bytes.n > 0);
	struct iovec part = { (void *)(uintptr_t)bytes.p, bytes.n };
	union descriptors control;
	memset(&control, 0, sizeof control);
	struct msghdr msg = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = CMSG_SPACE(sizeof fd),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	ssize_t n;
	do
		n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return written(s, n, bytes.n, n_out);
}
