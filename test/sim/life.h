/* SPDX-License-Identifier: ISC */
/*
 * test/sim/life.h -- a short life of a queue, and what must be found of it after a crash.
 *
 * A life is a sequence of deeds, chosen by its seed: letters are committed in groups, leased and settled, notices are committed
 * with the failure that causes them, recipients are removed by hand, drafts are left open, the store is tidied, closed and
 * opened. Letters are so large that segments fill, are recycled and compacted. Before and after each deed a mark goes to the
 * medium, so that at every operation it is known what was promised.
 *
 * What is promised: a deed that was told to be done is found whole; one that was under way is found whole or not at all;
 * one that had not begun is not found. So a letter that was told to be committed is there until all its recipients are told to be
 * settled, none that was settled comes back, and nothing appears that was not committed. Every content is what was
 * handed in.
 */
#ifndef SIM_LIFE_H
#define SIM_LIFE_H

#include "base/buf.h"
#include "store/store.h"

enum { DEEDS_MAX = 200 };

enum deed_status { DEED_NOT_BEGUN, DEED_UNDER_WAY, DEED_DONE };
struct belief { unsigned char status[DEEDS_MAX]; };

struct life;

struct life_plant { bool told_early, settled_unflushed, moved_unflushed; };

struct life_sum {
	unsigned long letters, recipients, contents, deeds;  /* looked at; bytes compared; done */
	unsigned long tidied, compactions, reopened;
};

struct life *life_new(uint64_t seed, const struct life_plant *plant);
void life_free(struct life **l);
/* The whole of it, on the disk as it is. False: the store does not open any more. */
bool life_run(struct life *l, unsigned steps);
/* A mark that was found among the operations. */
void life_mark(struct belief *b, uint64_t mark);
/* After a crash: opens the store and looks at everything; exact: what was under way is held to have happened whole or not at
 * all, for nothing has come after it. goes_on: then lives on for a while, opens the store once more and looks again. What is
 * wrong is added to the report. */
void life_judge(struct life *l, const struct belief *b, bool exact, bool goes_on, struct buf *report);
void life_rewind(struct life *l); /* to the end of life_run: what judging has added is forgotten */
const struct belief *life_belief(const struct life *l);
extern struct life_sum life_sum;

#endif
