/* SPDX-License-Identifier: ISC */
/*
 * test/sim/ask.c -- a question in the middle of a turn: the other end's stream is told at once, what it puts off is run
 * at once, and nothing else moves meanwhile.
 */
#include "world.h"

#include "sys/agenda.h"
#include "sys/channel.h"
#include "sys/frame.h"

fault channel_ask(int fd, const struct ipc_schema *out, unsigned kind, const void *msg, const struct ipc_schema *in,
                  unsigned *kind_out, void *msg_out, struct buf *scratch, int timeout_ms)
{
	struct buf question;
	struct frame frame;
	size_t size = 0;
	(void)timeout_ms;
	buf_init(&question, FRAME_HEAD + CHANNEL_FRAME_MAX);
	fault f = frame_put(&question, out, kind, msg, false);
	buf_clear(scratch);
	if (f == OK && !net_ask(fd, buf_view(&question), scratch))
		f = F_PEER;
	buf_fini(&question);
	TRY(f);
	f = frame_take(buf_view(scratch), in, &frame, &size);
	if (f == F_BUSY)
		return F_TIMEOUT;
	TRY(f);
	*kind_out = frame.kind;
	return ipc_get(in, frame.kind, frame.payload, msg_out);
}
