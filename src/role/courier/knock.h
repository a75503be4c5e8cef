/* SPDX-License-Identifier: ISC */
/*
 * role/courier/knock.h -- who may connect now, and who waits for what.
 *
 * A job waits for an answer to others who knocked at the same address (door.h), for room among those who knock, for room among all
 * connections, or for room among the questions to the resolver. Who waits is never forgotten: whatever is waited for says
 * knock_soon when it ends. At an address that takes long for its first word, very many might wait for days, each in a place that
 * others need: nobody waits there for longer than KNOCK_WAIT_MS.
 *
 * Limits   the enum below; docs/LIMITS.md lists them.
 * Tests    test/unit/role/courier/knock_test.c, test/scenario/dead_hosts_test.py
 */
#ifndef ROLE_COURIER_KNOCK_H
#define ROLE_COURIER_KNOCK_H

#include "role/courier/door.h"

enum {
	KNOCK_HASTE_MS = 10 * 1000,    /* for an address to accept a connection, while others wait for room to try theirs; ... */
	KNOCK_PATIENCE_MS = 60 * 1000, /* ... for a server to say its first word */
	KNOCK_WAIT_MS = 2 * 60 * 1000, /* for others who knock at the same address */
	KNOCK_ASKS_MAX = 1200,         /* questions to the resolver, when a job begins with its own: well below what it takes */
};

struct courier;
struct job;
struct target;
struct visit;

enum knock {
	KNOCK_NOW,
	KNOCK_LATER,  /* the job waits; job_next follows */
	KNOCK_NEVER,  /* this address is shut, or others have been before it for too long */
};

/* Why an address is passed by. */
struct passing { struct status status; char words[400]; };

/* why_out: set with NEVER. */
enum knock knock_ask(struct job *j, const struct target *t, struct passing *why_out);
void knock_begin(struct visit *v);
void knock_over(struct visit *v, enum door_end end);  /* harmless if it does not knock any more */
void knock_spare(struct visit *v);                    /* its connection is free for another job */
bool knock_may_look_up(struct job *j);                /* false: it waits, and targets_find follows */
void knock_soon(struct courier *c);                   /* something has ended: who waits may go on */
void knock_init(struct courier *c);
void knock_fini(struct courier *c);

#endif
