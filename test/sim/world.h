/* SPDX-License-Identifier: ISC */
/*
 * test/sim/world.h -- the world that the simulation puts in place of sys/: one virtual clock, one seed, no real socket.
 *
 * loop.c time and chance; socket.c and stream.c the network in memory, net.c its turns; disk.c and vfs.c files in memory, on a medium
 * (medium.h) that forgets what was not synced when the power fails; roles.c roles in this process instead of children;
 * ask.c channel_ask. What stands on the names of sys/ alone (acceptor, agenda, channel, endpoint, frame, log_format) is
 * the program's own.
 *
 * Everything that could differ from run to run comes from the seed, so a seed repeats its run.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/buf.h"
#include "sys/loop.h"
#include "sys/process.h"
#include "sys/socket.h"

/* How rough the world is: in ten thousand, of each occasion. All zero while a run is set up. */
struct weather {
	unsigned short_io;      /* a read or write moves only a part */
	unsigned delay;         /* bytes are late by up to delay_ms_max */
	unsigned delay_ms_max;
	unsigned break_tcp;     /* a connection breaks at a write */
	unsigned refuse_tcp;    /* a connection is refused */
	unsigned accept_limit;  /* no descriptor left at an accept */
	unsigned disk_full;     /* a write fails */
	unsigned sync_fails;
	unsigned spoil;         /* a role sends something else than it meant to: it has been taken over */
	unsigned crash;         /* a role crashes, of each turn */
};

struct world {
	uint64_t seed, chance;
	int64_t now_ms, wall_start_ms;
	uint64_t turn;
	struct weather weather;
	bool verbose;
	bool stopped;
	bool dying;             /* a crashed role is being taken apart: nothing it does reaches anybody */
	void (*between_turns)(void *owner);
	void *between_owner;
	bool syncs_lie;         /* a planted fault: nothing is durable whatever is synced */
	unsigned long crashes, broken, faults;
};
extern struct world world;

void     world_begin(uint64_t seed);
uint64_t chance_below(uint64_t n);             /* 0 ... n-1 */
bool     chance_of(unsigned ten_thousandths);

/* --- net.c --- */
enum { FAKE_FD = 1 << 20 };  /* descriptors from here on are ours, smaller ones the system's */
bool    net_dispatch(void);  /* tells one stream, chosen by chance, that it may look; false: none is ready */
bool    net_next_arrival(int64_t *at_ms_out);
size_t  net_descriptors(void); /* open, ours */
void    net_trust(int fd);     /* what is written to it is not spoiled */
void    net_describe(struct buf *out);  /* what is still open, for a run that does not end */
void    net_end(void);
/* For ask.c: bytes to the other end and back, at once. */
bool    net_ask(int fd, struct str question, struct buf *answer);
bool    net_from(const struct endpoint *from); /* the address of the next socket_connect without one */

/* --- roles.c --- */
bool roles_crash_one(void);        /* any role, at once; false: none runs */
bool roles_crash(const char *name);
extern const char *roles_hang;      /* the next process of this role does nothing; then NULL */
void roles_signal(enum signal_kind which);
void roles_end(void);              /* all at once, as when the power fails; their children are still the supervisor's */
size_t roles_running(void);

/* The log, as lines. */
extern struct buf world_log;

#endif
