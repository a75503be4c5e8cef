/* SPDX-License-Identifier: ISC */
/*
 * cmd/sink/sink.h -- what the files of `sealpost sink` share.
 *
 *     sink.c          options, the listener, the totals
 *     guest.c         one connection: socket, TLS, the dialogue
 *     session.c       the dialogue, without I/O
 *
 * Tests    test/scenario/load_sink_test.py
 */
#ifndef CMD_SINK_SINK_H
#define CMD_SINK_SINK_H

#include "base/list.h"
#include "cmd/sink/session.h"
#include "sys/loop.h"
#include "tls/tls.h"

struct sink {
	struct loop *loop;
	struct sink_rules rules;
	bool implicit;
	struct tls_server *tls;      /* NULL: none */
	struct tls_tickets *tickets; /* NULL: nobody resumes */
	int64_t delay_ms, patience_ms;
	uint64_t count;              /* ends after so many messages; 0: when told to */
	struct list guests;
	uint64_t opened, handshakes, resumed, handshakes_failed;
	size_t open, open_most;
	int64_t first_us, last_us;   /* the first connection, the last message */
};

void guest_new(struct sink *sink, int fd);  /* takes the descriptor over */
void guest_free_all(struct sink *sink);
/* Closes those that have said nothing for the sink's patience. */
void guest_sweep(struct sink *sink);

#endif
