/* SPDX-License-Identifier: ISC */
#include "sys/channel.h"

#include <stdlib.h>

#include "base/check.h"
#include "sys/frame.h"
#include "sys/socket.h"
#include "sys/stream.h"

enum {
	READ_ROOM = 64 << 10,
	READS_A_TURN = 8,        /* one busy neighbour does not starve the others */
	DESCRIPTORS_WAITING = 64,
	KEEP_ROOM = 256 << 10,   /* a buffer that grew beyond this is given back once it is empty */
};

/* A descriptor leaves with the first byte of its frame, which is byte `at` of all that was ever sent here. */
struct outgoing_fd { struct link in_channel; uint64_t at; int fd; };

struct channel {
	struct loop *loop;
	struct stream *stream;
	const struct ipc_schema *in, *out;
	const struct channel_handler *handler;
	void *owner;
	struct buf unread, unsent;
	uint64_t sent;                      /* bytes, ever */
	struct list outgoing;
	int incoming[DESCRIPTORS_WAITING];  /* descriptors whose frames are not complete yet, oldest first */
	size_t incoming_n;
	struct later work;
	const char *broken;                 /* the reason, once it is over */
	bool dispatching, paused, freed, told;
};

static void work(void *owner);
static void flush(struct channel *c);
static void on_stream(void *owner, enum stream_event event);

struct channel *channel_new(struct loop *loop, int fd, const struct ipc_schema *in, const struct ipc_schema *out,
                            const struct channel_handler *handler, void *owner)
{
	struct channel *c = NEW(struct channel);
	*c = (struct channel){ .loop = loop, .in = in, .out = out, .handler = handler, .owner = owner };
	buf_init(&c->unread, FRAME_HEAD + CHANNEL_FRAME_MAX + READ_ROOM);
	buf_init(&c->unsent, CHANNEL_BACKLOG_MAX + FRAME_HEAD + CHANNEL_FRAME_MAX);
	list_init(&c->outgoing);
	later_init(&c->work, work, c);
	c->stream = stream_new(loop, fd, on_stream, c);
	return c;
}

void channel_keep_secret(struct channel *c)
{
	c->unread.secret = c->unsent.secret = true;
}

static void drop_unsent(struct channel *c)
{
	buf_fini(&c->unsent);
	LIST_EACH(l, &c->outgoing) {
		struct outgoing_fd *o = LIST_MEMBER(l, struct outgoing_fd, in_channel);
		link_remove(l);
		fd_close(&o->fd);
		free(o);
	}
}

static void release(struct channel *c)
{
	buf_fini(&c->unread);
	free(c);
}

void channel_close(struct channel **c_ref)
{
	struct channel *c = *c_ref;
	if (c == NULL)
		return;
	*c_ref = NULL;
	flush(c);
	later_clear(&c->work);
	stream_close(&c->stream);
	drop_unsent(c);
	for (size_t i = 0; i < c->incoming_n; i++)
		fd_close(&c->incoming[i]);
	c->freed = true;
	if (!c->dispatching)
		release(c);
}

/* From here on nothing is sent or received; the owner hears of it at the end of the turn, never from within a send. */
static void give_up(struct channel *c, const char *reason)
{
	if (c->broken != NULL)
		return;
	c->broken = reason;
	stream_want_read(c->stream, false);
	stream_want_write(c->stream, false);
	drop_unsent(c);
	later_set(c->loop, &c->work);
}

/* --- sending --- */

void channel_send(struct channel *c, unsigned kind, const void *msg)
{
	channel_send_fd(c, kind, msg, -1);
}

void channel_send_fd(struct channel *c, unsigned kind, const void *msg, int fd)
{
	uint64_t at = c->sent + buf_view(&c->unsent).n;
	fault f = c->broken != NULL ? F_PEER : frame_put(&c->unsent, c->out, kind, msg, fd >= 0);
	if (f != OK || buf_view(&c->unsent).n > CHANNEL_BACKLOG_MAX) {
		fd_close(&fd);
		give_up(c, f == OK ? "the neighbour does not keep up" : "a message is too large to send");
		return;
	}
	if (fd >= 0) {
		struct outgoing_fd *o = NEW(struct outgoing_fd);
		*o = (struct outgoing_fd){ .at = at, .fd = fd };
		list_add_last(&c->outgoing, &o->in_channel);
	}
	later_set(c->loop, &c->work);
}

/* Writes up to the next frame that carries a descriptor, or that frame's first byte with it. */
static fault write_some(struct channel *c, size_t *n_out, size_t *offered_out)
{
	struct outgoing_fd *o = LIST_FIRST(&c->outgoing, struct outgoing_fd, in_channel);
	struct str bytes = buf_view(&c->unsent);
	if (o == NULL || o->at > c->sent) {
		if (o != NULL)
			bytes = str_sub(bytes, 0, (size_t)(o->at - c->sent));
		*offered_out = bytes.n;
		return stream_write(c->stream, bytes, n_out);
	}
	struct link *next = o->in_channel.next;
	if (next != &c->outgoing.head)
		bytes = str_sub(bytes, 0, (size_t)(LIST_MEMBER(next, struct outgoing_fd, in_channel)->at - c->sent));
	*offered_out = bytes.n;
	TRY(stream_write_fd(c->stream, bytes, o->fd, n_out));
	if (*n_out > 0) {
		link_remove(&o->in_channel);
		fd_close(&o->fd);
		free(o);
	}
	return OK;
}

static void flush(struct channel *c)
{
	while (c->broken == NULL && buf_view(&c->unsent).n > 0) {
		size_t n = 0, offered = 0;
		if (write_some(c, &n, &offered) != OK) {
			/* What the neighbour said before it went is still to be read; reading finds the end. */
			drop_unsent(c);
			if (c->paused)
				give_up(c, CHANNEL_GONE);
			return;
		}
		buf_drop(&c->unsent, n);
		c->sent += n;
		if (n < offered)
			return; /* WRITABLE follows */
	}
	if (c->unsent.cap > KEEP_ROOM)
		buf_shrink(&c->unsent);
}

void channel_flush(struct channel *c)
{
	flush(c);
}

size_t channel_backlog(const struct channel *c)
{
	return buf_view(&c->unsent).n;
}

/* --- receiving --- */

/* The oldest descriptor that arrived, for a frame that announces one. */
static bool take_incoming(struct channel *c, int *fd_out)
{
	if (c->incoming_n == 0)
		return false;
	*fd_out = c->incoming[0];
	c->incoming_n--;
	for (size_t i = 0; i < c->incoming_n; i++)
		c->incoming[i] = c->incoming[i + 1];
	return true;
}

static bool dispatch_one(struct channel *c)
{
	_Alignas(max_align_t) char msg[IPC_MESSAGE_SIZE_MAX];
	struct frame frame;
	size_t size = 0;
	fault f = frame_take(buf_view(&c->unread), c->in, &frame, &size);
	if (f == F_BUSY)
		return false;
	if (f == OK)
		f = ipc_get(c->in, frame.kind, frame.payload, msg);
	int fd = -1;
	if (f != OK || (frame.has_fd && !take_incoming(c, &fd))) {
		give_up(c, "the neighbour sent something that is not a message");
		return false;
	}
	c->handler->message(c->owner, frame.kind, msg, fd);
	buf_drop(&c->unread, size);
	return true;
}

/* False if the owner has closed the channel meanwhile. */
static bool dispatch(struct channel *c)
{
	if (c->dispatching)
		return true;
	c->dispatching = true;
	while (!c->freed && !c->paused && c->broken == NULL && dispatch_one(c))
		;
	c->dispatching = false;
	if (c->freed) {
		release(c);
		return false;
	}
	if (c->unread.cap > KEEP_ROOM)
		buf_shrink(&c->unread);
	return true;
}

static void keep_incoming(struct channel *c, int fd)
{
	if (fd < 0)
		return;
	if (c->incoming_n == DESCRIPTORS_WAITING) {
		fd_close(&fd);
		give_up(c, "the neighbour sent descriptors without messages");
		return;
	}
	c->incoming[c->incoming_n++] = fd;
}

/* True if there may be more to read. */
static bool read_some(struct channel *c)
{
	size_t n = 0;
	int fd = -1;
	char *to = buf_reserve(&c->unread, READ_ROOM);
	check(to != NULL); /* an incomplete frame always leaves this much */
	fault f = stream_read_fd(c->stream, to, READ_ROOM, &n, &fd);
	if (f == F_BUSY)
		return false;
	keep_incoming(c, fd);
	if (f != OK || n == 0) {
		give_up(c, buf_view(&c->unread).n > 0 ? "the neighbour is gone in the middle of a message"
		                                      : CHANNEL_GONE);
		return false;
	}
	buf_filled(&c->unread, n);
	return n == READ_ROOM || fd >= 0;
}

static void on_stream(void *owner, enum stream_event event)
{
	struct channel *c = owner;
	if (event == STREAM_WRITABLE) {
		flush(c);
		return;
	}
	if (!dispatch(c))
		return;
	for (int i = 0; i < READS_A_TURN && !c->paused && c->broken == NULL; i++) {
		bool more = read_some(c);
		if (!dispatch(c) || !more)
			return;
	}
}

void channel_pause(struct channel *c, bool pause)
{
	if (c->paused == pause)
		return;
	c->paused = pause;
	if (c->broken != NULL)
		return;
	stream_want_read(c->stream, !pause);
	if (!pause)
		later_set(c->loop, &c->work); /* what was read before the pause */
}

/* At the end of the turn: one write for all its frames, what a pause left behind, the end. */
static void work(void *owner)
{
	struct channel *c = owner;
	flush(c);
	if (c->broken == NULL && !dispatch(c))
		return;
	if (c->broken != NULL && !c->told) {
		c->told = true;
		c->handler->closed(c->owner, c->broken);
	}
}
