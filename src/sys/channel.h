/* SPDX-License-Identifier: ISC */
/*
 * sys/channel.h -- typed messages between two processes over a socketpair.
 *
 * A frame is a 32-bit length, a 16-bit kind and the fields (ipc/codec.h), and may carry one
 * descriptor. The receiver treats the sender as hostile: whatever does not decode closes the
 * channel, never the role. Several frames of one turn leave in one write.
 *
 * Limits   frame CHANNEL_FRAME_MAX; unsent bytes CHANNEL_BACKLOG_MAX, over which the channel is
 *          given up as broken: arrows that carry content use credit and never come near.
 * Tests    test/unit/sys/channel_test.c
 */
#ifndef SYS_CHANNEL_H
#define SYS_CHANNEL_H

#include "ipc/codec.h"
#include "sys/loop.h"

enum { CHANNEL_FRAME_MAX = 1 << 20, CHANNEL_BACKLOG_MAX = 64 << 20 };

/* The reason that closed() is given when the other end is simply gone; every other one is a breach. */
#define CHANNEL_GONE "the neighbour is gone"

struct channel;

struct channel_handler {
	/* msg is the decoded struct of this kind; its slices and it live until the call returns.
	 * fd is -1 or now belongs to the handler. */
	void (*message)(void *owner, unsigned kind, const void *msg, int fd);
	/* The other end is gone or broke the protocol; called once, never from within a send. The owner
	 * calls channel_close. */
	void (*closed)(void *owner, const char *reason);
};

/* `in` is what arrives here, `out` what is sent; takes over fd. */
struct channel *channel_new(struct loop *loop, int fd, const struct ipc_schema *in,
                            const struct ipc_schema *out, const struct channel_handler *handler,
                            void *owner);
void   channel_keep_secret(struct channel *c); /* at once after channel_new: what has passed is overwritten with zeros */
void   channel_close(struct channel **c); /* what fits into the socket now is still sent */
void   channel_send(struct channel *c, unsigned kind, const void *msg);
void   channel_send_fd(struct channel *c, unsigned kind, const void *msg, int fd); /* fd is moved */
void   channel_flush(struct channel *c);            /* what fits into the socket leaves now, not at the end of the turn */
size_t channel_backlog(const struct channel *c);    /* unsent bytes */
void   channel_pause(struct channel *c, bool pause); /* stop reading, and hand out nothing of what was read */

/* A question that must be answered at once, on a socketpair of its own: used where a library
 * cannot wait (the signature inside a TLS handshake). Blocks at most timeout_ms. The answer's
 * slices point into scratch. Errors: F_TIMEOUT, F_PEER, F_SYNTAX. */
MUST_USE fault channel_ask(int fd, const struct ipc_schema *out, unsigned kind, const void *msg,
                           const struct ipc_schema *in, unsigned *kind_out, void *msg_out,
                           struct buf *scratch, int timeout_ms);

#endif
