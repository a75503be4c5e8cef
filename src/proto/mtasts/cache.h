/* SPDX-License-Identifier: ISC */
/*
 * proto/mtasts/cache.h -- what is known of one domain's policy, and what to do about it. Pure decisions.
 *
 * The promise of MTA-STS is its memory: who has seen a policy keeps to it for as long as it said, whatever the network does
 * meanwhile. So a cached policy ends by three things only: its own age, a newer policy, and nothing else. A record that has
 * gone, a host that does not answer, a body that cannot be read change nothing while it lives.
 *
 *     record at _mta-sts    cached, same id    cached, other id         nothing cached
 *     one                   use it             fetch; else use it       fetch; else there is none
 *     none, several         use it             -                        there is none
 *     no answer             use it             -                        there is none (trouble)
 *
 * A fetch that failed is not tried again before MTASTS_RETRY_S for the same id, and ever more rarely. A policy is renewed
 * in the background each MTASTS_RENEW_S, or at half its age if that is sooner, whether mail flows or not and whatever the
 * record says (RFC 8461 10.2); not if it says "none", and not if it lives so short that a letter's own fetch serves better.
 *
 * Source   RFC 8461 3.3, 5.1, 8.3, 10.2.
 * Units    Seconds of one clock; mtasts_shift moves them all when that clock was set.
 * Tests    test/unit/proto/mtasts_cache_test.c
 */
#ifndef PROTO_MTASTS_CACHE_H
#define PROTO_MTASTS_CACHE_H

#include "proto/mtasts/mtasts.h"

enum {
	MTASTS_RETRY_S = 5 * 60,          /* RFC 8461 3.3: not sooner for one id */
	MTASTS_RETRY_MOST_S = 6 * 3600,   /* the back-off's end */
	MTASTS_RENEW_S = 24 * 3600,
	MTASTS_UNUSED_S = 90 * 24 * 3600, /* without a letter for so long, a policy is left to expire */
	MTASTS_KEPT_MAX = MTASTS_MX_MAX + 256, /* bytes of one policy in the form that is kept */
};

/* id and mx are the holder's. */
struct mtasts_known {
	/* the policy; fetched_s says whether there is one */
	int64_t fetched_s;                /* 0: none */
	int64_t max_age_s;
	int64_t used_s;                   /* when a letter last asked */
	enum mtasts_mode mode;
	struct str id, mx;
	/* the last fetch, if it failed */
	unsigned failures;                /* one after the other; 0: it did not fail */
	int64_t failed_s;
	struct str failed_id;             /* of the record that it was tried for */
};

/* There is a policy, and it has not expired. */
bool    mtasts_lives(const struct mtasts_known *known, int64_t now_s);
int64_t mtasts_expires_s(const struct mtasts_known *known);

enum mtasts_step {
	MTASTS_USE,       /* the policy that is known */
	MTASTS_USE_NONE,  /* there is none in force */
	MTASTS_FETCH,     /* fetch; if that fails, what is known counts as long as it lives */
};
/* What the record (found with mtasts_read_records; no_answer: the DNS gave none) means for a letter that waits. */
enum mtasts_step mtasts_decide(const struct mtasts_known *known, enum mtasts_record record, bool no_answer, struct str id,
                               int64_t now_s);

/* When the host may be asked again for this id after a failure; in the past: now. */
int64_t mtasts_retry_s(const struct mtasts_known *known, struct str id);

/* When to renew in the background: never later than half-way to its end, spread by random so that policies fetched together
 * do not come back together, and after failures as mtasts_retry_s. INT64_MAX: never. */
int64_t mtasts_renew_s(const struct mtasts_known *known, uint64_t random);

/* A policy in the form in which it is kept over a restart, and back. F_SYNTAX: it is none; *out is unchanged, and nothing of
 * it can be longer, older or larger than what mtasts_parse gives. Failures are not kept. */
MUST_USE fault mtasts_keep(struct buf *out, const struct mtasts_known *known);
MUST_USE fault mtasts_kept(struct str value, int64_t now_s, struct mtasts_known *out);

/* The clock was set by this much: ages stay what they were. */
void mtasts_shift(struct mtasts_known *known, int64_t by_s);

#endif
