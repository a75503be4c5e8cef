/* SPDX-License-Identifier: ISC */
/* sys/channel_ask.c -- the one place that waits for an answer instead of going back to the loop. */
#include "sys/channel.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sys/frame.h"

enum { READ_ROOM = 4096 };

static int64_t monotonic_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static fault wait_for(int fd, short events, int64_t until_ms)
{
	for (;;) {
		int64_t left_ms = until_ms - monotonic_ms();
		if (left_ms <= 0)
			return F_TIMEOUT;
		struct pollfd p = { .fd = fd, .events = events };
		int n = poll(&p, 1, (int)left_ms);
		if (n > 0)
			return OK;
		if (n < 0 && errno != EINTR)
			return F_SYS;
	}
}

static bool would_block(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static fault send_all(int fd, struct str bytes, int64_t until_ms)
{
	while (bytes.n > 0) {
		ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (would_block(n)) {
			TRY(wait_for(fd, POLLOUT, until_ms));
			continue;
		}
		if (n < 0)
			return F_PEER;
		bytes = str_from(bytes, (size_t)n);
	}
	return OK;
}

static fault receive_frame(int fd, const struct ipc_schema *in, struct buf *to, struct frame *out, int64_t until_ms)
{
	for (;;) {
		size_t size = 0;
		fault f = frame_take(buf_view(to), in, out, &size);
		if (f == OK)
			return out->has_fd || size != buf_view(to).n ? F_SYNTAX : OK;
		if (f != F_BUSY)
			return f;
		char *room = buf_reserve(to, READ_ROOM);
		if (room == NULL)
			return F_LIMIT;
		ssize_t n = recv(fd, room, READ_ROOM, MSG_DONTWAIT);
		if (would_block(n)) {
			TRY(wait_for(fd, POLLIN, until_ms));
			continue;
		}
		if (n <= 0)
			return F_PEER;
		buf_filled(to, (size_t)n);
	}
}

/* An answer that came after its question was given up. */
static void drop_stale(int fd)
{
	char room[READ_ROOM];
	while (recv(fd, room, sizeof room, MSG_DONTWAIT) > 0)
		;
}

fault channel_ask(int fd, const struct ipc_schema *out, unsigned kind, const void *msg, const struct ipc_schema *in,
                  unsigned *kind_out, void *msg_out, struct buf *scratch, int timeout_ms)
{
	int64_t until_ms = monotonic_ms() + timeout_ms;
	struct frame frame;
	drop_stale(fd);
	buf_clear(scratch);
	TRY(frame_put(scratch, out, kind, msg, false));
	TRY(send_all(fd, buf_view(scratch), until_ms));
	buf_clear(scratch);
	TRY(receive_frame(fd, in, scratch, &frame, until_ms));
	*kind_out = frame.kind;
	return ipc_get(in, frame.kind, frame.payload, msg_out);
}
