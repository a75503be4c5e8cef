/* SPDX-License-Identifier: ISC */
/*
 * sys/stream.h -- a non-blocking byte stream on a descriptor: TCP, Unix socket or socketpair.
 *
 * The stream tells its owner when to look; the owner then reads and writes. The owner may close
 * the stream inside the notification. READABLE comes again as long as something waits and reading is
 * wanted. WRITABLE comes once for each want: a write that does not take everything wants it by itself, and a
 * pending connect is waited for with stream_want_write(s, true).
 *
 * Tests    test/unit/sys/stream_test.c
 */
#ifndef SYS_STREAM_H
#define SYS_STREAM_H

#include "base/fault.h"
#include "base/str.h"
#include "sys/loop.h"

struct stream;

enum stream_event {
	STREAM_READABLE, /* bytes, end of stream or an error wait in stream_read */
	STREAM_WRITABLE, /* after F_BUSY or a pending connect: there is room now */
};
typedef void stream_notify(void *owner, enum stream_event event);

/* Takes over the descriptor. Starts with READABLE wanted. */
struct stream *stream_new(struct loop *loop, int fd, stream_notify *notify, void *owner);
void           stream_close(struct stream **s);   /* NULL is fine; unsent bytes of the kernel still go */
int            stream_detach(struct stream **s);  /* gives the descriptor back */

/* F_BUSY: nothing now. F_PEER: reset. OK with *n_out == 0: the other end has closed. */
MUST_USE fault stream_read(struct stream *s, char *to, size_t room, size_t *n_out);
/* Writes what fits; *n_out may be less than offered, then WRITABLE follows. F_PEER: broken; what came
 * before can still be read, and then the end. */
MUST_USE fault stream_write(struct stream *s, struct str bytes, size_t *n_out);
void           stream_want_read(struct stream *s, bool want); /* back-pressure */
void           stream_want_write(struct stream *s, bool want);
void           stream_shutdown(struct stream *s);  /* no more from us: FIN */

/* Descriptors beside bytes, on Unix sockets. *fd_out is -1 if none came. A descriptor travels with the first byte
 * written and is read together with it; the writer keeps and closes its own copy. */
MUST_USE fault stream_read_fd(struct stream *s, char *to, size_t room, size_t *n_out, int *fd_out);
MUST_USE fault stream_write_fd(struct stream *s, struct str bytes, int fd, size_t *n_out);

#endif
