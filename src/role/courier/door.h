/* SPDX-License-Identifier: ISC */
/*
 * role/courier/door.h -- which addresses answer, and who may knock now.
 *
 * A knock is a connection that nobody has answered yet: it costs nothing but its place, and where nobody lives it keeps that for
 * half a minute. So an address that has not answered before gets one at a time, one that answered the last time a few; whoever
 * else wants to go there waits for what comes of them. All knocks together are bounded, those at addresses that answered the last
 * time not counted. An address that stayed silent is shut for a moment, then one may knock again, and it stays shut for all others
 * until that one is answered: nobody waits for it twice. What answers at once, be it with a refusal, is never shut.
 *
 * Units    Monotonic milliseconds, from the caller: there is no clock here.
 * Limits   the enum below; docs/LIMITS.md lists them. Where there is no more room, the address goes that was looked at longest ago.
 * Owns     A door lives as long as somebody knocks, waits, or is in `opening`; else until doors_at() needs its room.
 * Tests    test/unit/role/courier/door_test.c
 */
#ifndef ROLE_COURIER_DOOR_H
#define ROLE_COURIER_DOOR_H

#include "base/list.h"
#include "base/map.h"
#include "base/str.h"

enum {
	DOORS_MAX = 20000,
	DOORS_KNOCKS_MAX = 1000,   /* at addresses that did not answer the last time, or were never tried; all together */
	DOOR_KNOCKS_MAX = 5,       /* at one that answered the last time; at others it is one */
	DOOR_SHUT_MS = 10 * 1000,  /* shorter than a destination that fails is left alone by the queue */
	DOOR_SILENT_MS = 2000,     /* what is over sooner than this was an answer */
};

struct door {
	struct link by_age;        /* the one that was looked at longest ago first */
	struct link in_opening;    /* of the courier: those who wait may go on */
	struct list waiting;       /* the courier's jobs */
	unsigned knocks;
	unsigned spare;            /* connections there that have just come free */
	bool answers, silent;      /* the last time */
	int64_t silent_ms;         /* since then */
	size_t key_n;
	char key[];
};

struct doors {
	struct map *by_key;
	struct list by_age;
	size_t n_knocks;           /* that count */
};

enum door_verdict {
	DOOR_OPEN,       /* go */
	DOOR_IS_SHUT,
	DOOR_OTHERS,     /* others have knocked there: wait for what comes of it */
	DOOR_CROWD,      /* too many knock, elsewhere */
};

enum door_end {
	KNOCK_ANSWERED,
	KNOCK_FAILED,    /* refused, lost or given up, since from_ms */
	KNOCK_DROPPED,   /* for a reason that has nothing to do with the other side */
};

void doors_init(struct doors *d, uint64_t secret);
void doors_fini(struct doors *d);                      /* nobody waits any more */
struct door *doors_at(struct doors *d, struct str key);
enum door_verdict door_ask(const struct doors *d, const struct door *one, int64_t now_ms);
int64_t door_shut_for_ms(const struct door *one, int64_t now_ms); /* 0: it is not, or somebody knocks again */
/* True: it counts. door_over must hear that. */
bool door_knock(struct doors *d, struct door *one);
void door_over(struct doors *d, struct door *one, bool counted, enum door_end end, int64_t from_ms, int64_t now_ms);

#endif
