/* SPDX-License-Identifier: ISC */
/*
 * policy/pace.h -- how much a destination is given at a time: it begins small, grows while that goes well, shrinks when it does not.
 *
 * A destination has an allowance of transactions at a time. Each success adds one, so that it doubles with every round, up to the
 * ceiling, or up to where it was too much the last time; from there on it takes a round of successes to add one. Trouble of the host
 * (nobody answers, or it says that it has too much to do) halves it, once for all that was under way then. When half of what was under
 * way fails in a row, or the very first attempt does, the destination rests: nothing goes there for a while, then one
 * attempt alone, and so on with longer rests until one succeeds. Then it begins as at first.
 *
 * A refusal of one recipient for now (greylisting, a full mailbox) is not trouble of the host, until there are PACE_SOFT_MAX in a row.
 *
 * A rate is a ceiling: in no span of rate_ms begin more than `rate` transactions. It is counted in up to PACE_SLOTS_MAX portions, each
 * free again rate_ms after its last one.
 *
 * Source   RFC 5321 4.5.4.1 (a sender remembers hosts that it could not reach), RFC 3463 (what a status code is about).
 * Units    Milliseconds of any clock that never goes back, passed in.
 * Limits   The allowance is never below 1 or above the ceiling; a rest never longer than PACE_REST_MS_MAX, or than the caller says.
 * Tests    test/unit/policy/pace_test.c
 */
#ifndef POLICY_PACE_H
#define POLICY_PACE_H

#include "mail/reply.h"

enum {
	PACE_BEGINS_WITH = 5,
	PACE_SOFT_MAX = 5,
	PACE_REST_MS = 15 * 1000,        /* the first one; each is twice as long, +-20 % */
	PACE_REST_MS_MAX = 5 * 60 * 1000,
	PACE_REST_MS_MIN = 1000,
	PACE_SLOTS_MAX = 16,
};

struct pace_limits { unsigned concurrency; uint64_t rate; int64_t rate_ms; }; /* rate 0: none */

enum pace_state {
	PACE_NEW,                        /* nothing is known */
	PACE_PROVEN,                     /* it answers */
	PACE_RESTING,                    /* it rests, or one attempt is to show whether it answers again */
	PACE_STATES
};

/* What an attempt has shown of the destination. */
enum pace_sign { PACE_NOTHING, PACE_ALIVE, PACE_SOFT, PACE_GOOD, PACE_TROUBLE };

struct pace_window;

struct pace {
	struct pace_limits limits;
	enum pace_state state;
	unsigned allowance;
	unsigned knee;                   /* up to here every success adds one */
	unsigned credits;                /* successes since the last growth beyond it */
	unsigned before;                 /* the allowance before it was slowed; 0: it is not */
	unsigned in_a_row, in_a_row_max; /* troubles without a success between, and how many of them are too many */
	unsigned soft, rests;            /* in a row */
	int64_t cut_ms;                  /* what began before has been answered for */
	int64_t not_before_ms;
	struct pace_window *window;      /* NULL: nothing has been counted */
};

void pace_init(struct pace *p, const struct pace_limits *limits);
void pace_fini(struct pace *p);
/* From now on these. What has been counted goes on counting. */
void pace_limit(struct pace *p, const struct pace_limits *limits, int64_t now_ms);

/* How many more may begin now. With 0: when to look again at the latest; INT64_MAX: when one of those in hand has ended. */
unsigned pace_room(const struct pace *p, unsigned in_hand, int64_t now_ms, int64_t *again_ms_out);
/* One begins. */
void pace_began(struct pace *p, int64_t now_ms);
/* One is over. rest_ms_max: of the rest that may follow; random: any number, evenly spread. */
void pace_ended(struct pace *p, enum pace_sign sign, int64_t began_ms, int64_t now_ms, int64_t rest_ms_max, uint64_t random);
/* A rest that began until then ends now: one may try at once. True: it had not been over. If that one fails, too,
 * the next rest is as long as this one was to be. */
bool pace_wake(struct pace *p, int64_t until_ms, int64_t now_ms);
/* How many of the rate have been used up, in the span that ends now. */
uint64_t pace_used(const struct pace *p, int64_t now_ms);

/* What an outcome for one recipient shows. reply: with code 0 if nobody has said it. */
enum pace_sign pace_sign_of(enum outcome_class outcome, const struct smtp_reply *reply);
/* What those of two recipients of one transaction show together. */
enum pace_sign pace_signs_join(enum pace_sign a, enum pace_sign b);

#endif
