/* SPDX-License-Identifier: ISC */
/* sys/acceptor.c -- a listener on the loop: a stream that is only asked when to look. */
#include "sys/socket.h"

#include <stdlib.h>

#include "base/check.h"
#include "sys/stream.h"

struct acceptor {
	struct stream *stream;
	int fd;
	void (*notify)(void *owner);
	void *owner;
};

static void on_stream(void *owner, enum stream_event event)
{
	struct acceptor *a = owner;
	if (event == STREAM_READABLE)
		a->notify(a->owner);
}

struct acceptor *acceptor_new(struct loop *loop, int fd, void (*notify)(void *owner), void *owner)
{
	struct acceptor *a = NEW(struct acceptor);
	*a = (struct acceptor){ .fd = fd, .notify = notify, .owner = owner };
	a->stream = stream_new(loop, fd, on_stream, a);
	return a;
}

void acceptor_pause(struct acceptor *a, bool pause)
{
	stream_want_read(a->stream, !pause);
}

int acceptor_fd(const struct acceptor *a)
{
	return a->fd;
}

void acceptor_close(struct acceptor **a_ref)
{
	struct acceptor *a = *a_ref;
	if (a == NULL)
		return;
	*a_ref = NULL;
	stream_close(&a->stream);
	free(a);
}
