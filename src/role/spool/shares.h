/* SPDX-License-Identifier: ISC */
/*
 * role/spool/shares.h -- how the attempts that may be in hand are shared: what hangs takes no place from what goes on.
 *
 * Remote is what goes to hosts, which may be slow or dead: MX hosts, relays, LMTP servers, and questions to them. The rest of the places
 * is for folders, and for what is decided here.
 *
 * Limits   the enum below; jobs, which are transactions: a message with up to SPOOL_JOB_RCPTS_MAX recipients at one destination.
 * Tests    test/unit/role/spool/shares_test.c
 */
#ifndef ROLE_SPOOL_SHARES_H
#define ROLE_SPOOL_SHARES_H

enum {
	SPOOL_JOBS_MAX = 2000,           /* attempts in hand */
	SPOOL_REMOTE_JOBS_MAX = SPOOL_JOBS_MAX - 250, /* at destinations with a host behind them */
	SPOOL_NEW_JOBS_MAX = SPOOL_JOBS_MAX - 500, /* at those of which nothing is known yet */
	SPOOL_NEW_CROWD = 500,           /* with more of them each begins with one */
	SPOOL_PROBES_MAX = 250,          /* at those that rest */
	SPOOL_UNSHARED_MAX = SPOOL_JOBS_MAX - 1000, /* remote ones: with more of them, what is left of the places is for many, ... */
	SPOOL_SHARE_PARTS = 64,          /* ... and one destination has at most this part of it, but always one */
	SPOOL_PATIENCE_MS = 60 * 1000,   /* while others wait, an attempt keeps its place for so long, ... */
	SPOOL_PATIENCE_BYTES_PER_MS = 4, /* ... and longer by the content it has fetched, at this rate; ... */
	SPOOL_PATIENCE_END_MS = 3 * 60 * 1000, /* ... and so much longer for the last word of the host, ... */
	SPOOL_HURRIED_MAX = 2,           /* ... but only in the first attempts at a letter: in others as long as the standards allow */
	SPOOL_GIVE_WAY_MAX = 25,         /* in a second */
	SPOOL_UNSENT_MAX = 16 << 20,     /* octets that a worker has not read: then it gets neither jobs nor content ... */
	SPOOL_UNSENT_LOOK_MS = 20,       /* ... for so long at a time */
};

/* Of the jobs in hand, for the store: every lane is part of those before it. */
enum { LANE_HERE, LANE_REMOTE, LANE_NEW };

#endif
