/* SPDX-License-Identifier: ISC */
/* sys/bridge.c -- standard input and output joined to a socket, for commands. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/socket.h"

enum { STEP_BYTES = 16 << 10 };

/* All of it, waiting for room where the descriptor does not block by itself. */
static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EAGAIN) {
			struct pollfd room = { .fd = fd, .events = POLLOUT };
			(void)poll(&room, 1, -1);
		} else if (done < 0 && errno != EINTR) {
			return false;
		} else if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
	return true;
}

/* One step from one side to the other. False at the end or on an error. */
static bool copy_some(int from, int to, bool *broke)
{
	char bytes[STEP_BYTES];
	ssize_t n = read(from, bytes, sizeof bytes);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	*broke = n < 0 || (n > 0 && !write_all(to, bytes, (size_t)n));
	return n > 0 && !*broke;
}

fault socket_bridge(int fd)
{
	struct pollfd ends[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
	for (;;) {
		bool broke = false;
		if (poll(ends, 2, -1) < 0 && errno != EINTR)
			return F_SYS;
		if (ends[1].revents != 0 && !copy_some(fd, STDOUT_FILENO, &broke))
			return broke ? F_PEER : OK;
		if (ends[0].revents != 0 && !copy_some(STDIN_FILENO, fd, &broke)) {
			(void)shutdown(fd, SHUT_WR); /* the server answers what it has, and ends */
			ends[0].fd = -1;
		}
	}
}
