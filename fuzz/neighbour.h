/* SPDX-License-Identifier: ISC */
/* A hostile neighbour of a role: its end of an arrow, and messages made of the fuzzer's bytes. */
#ifndef FUZZ_NEIGHBOUR_H
#define FUZZ_NEIGHBOUR_H

#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "ipc/arrows.h"
#include "sys/channel.h"
#include "sys/loop.h"
#include "sys/socket.h"

struct neighbour { struct channel *channel; };

static inline void on_message(void *owner, unsigned kind, const void *msg, int fd)
{
	(void)owner, (void)kind, (void)msg;
	fd_close(&fd);
}

static inline void on_closed(void *owner, const char *reason)
{
	struct neighbour *n = owner;
	(void)reason;
	channel_close(&n->channel);
}

static inline int neighbour_begin(struct loop *loop, struct neighbour *n, const struct ipc_schema *in, const struct ipc_schema *out)
{
	static const struct channel_handler handler = { on_message, on_closed };
	int fds[2];
	check(socket_pair(fds) == OK);
	n->channel = channel_new(loop, fds[0], in, out, &handler, n);
	return fds[1];
}

static inline void stop(void *loop)
{
	loop_stop(loop);
}

static inline void let_time_pass(struct loop *loop)
{
	struct timer t;
	timer_init(&t, loop, stop, loop);
	timer_set(&t, loop_now_ms(loop) + 2);
	loop_run(loop);
	timer_clear(&t);
}

static inline uint8_t next_byte(struct str *in)
{
	if (in->n == 0)
		return 0;
	uint8_t b = (uint8_t)in->p[0];
	*in = str_from(*in, 1);
	return b;
}

static inline void say(struct neighbour *n, const struct ipc_schema *schema, struct str *in)
{
	union { uint64_t number; struct str text; char bytes[IPC_MESSAGE_SIZE_MAX]; } msg = { .number = 0 };
	unsigned kind = next_byte(in) % (unsigned)schema->n;
	char *at = msg.bytes;
	for (const char *shape = schema->messages[kind].shape; *shape != '\0'; shape++) {
		if (*shape == 's') {
			uint8_t length = next_byte(in);
			struct str s = str_sub(*in, 0, length);
			*in = str_from(*in, s.n);
			memcpy(at, &s, sizeof s);
			at += sizeof s;
		} else {
			uint64_t v = next_byte(in);
			v = v == 255 ? UINT64_MAX : v;
			memcpy(at, &v, sizeof v);
			at += sizeof v;
		}
	}
	if (n->channel != NULL)
		channel_send(n->channel, kind, msg.bytes);
}

#endif
