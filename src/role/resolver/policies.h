/* SPDX-License-Identifier: ISC */
/*
 * role/resolver/policies.h -- the MTA-STS policies of other domains: found, fetched, kept, renewed.
 *
 * The decisions are those of proto/mtasts/cache.h; here they meet DNS, HTTPS and the clock. Equal questions are asked once. A
 * domain whose policy host is slow makes its own letters wait, a short while if there is a policy to use meanwhile; many slow
 * ones make the patience with each shorter.
 *
 *     ask -> TXT at _mta-sts.DOMAIN -> mtasts_decide -> answer
 *                                         |
 *                                       FETCH -> errand -> mtasts_parse -> known, keep -> answer
 *
 * Nothing is asked before what was kept over the restart has come, or POLICIES_RESTORE_MS are over: a policy that is merely
 * not read yet is not gone.
 *
 * Limits   POLICIES_MAX domains are known, those without a policy go first, then the longest unused; POLICIES_FETCHES_MAX fetches
 *          run, a quarter of them renewals; POLICY_FETCH_MS for one fetch, and POLICY_FETCH_BUSY_MS while more than half of the
 *          fetches are under way.
 * Units    Times in seconds are the wall clock's; when it is set, all of them go along.
 * Tests    test/unit/role/resolver/policies_test.c, test/unit/role/resolver_test.c, test/scenario/mtasts_test.py
 */
#ifndef ROLE_RESOLVER_POLICIES_H
#define ROLE_RESOLVER_POLICIES_H

#include "proto/mtasts/cache.h"
#include "role/resolver/errand.h"

enum {
	POLICIES_MAX = 10000,
	POLICIES_FETCHES_MAX = 128,
	POLICIES_WAITERS_MAX = 10000,      /* letters that wait for one domain */
	POLICY_FETCH_MS = 60 * 1000,       /* RFC 8461 3.3 */
	POLICY_FETCH_BUSY_MS = 15 * 1000,
	POLICY_CACHED_WAIT_MS = 10 * 1000, /* for something newer, when there is a policy to use */
	POLICY_WAIT_MS = 90 * 1000,
	POLICIES_RESTORE_MS = 10 * 1000,
};

struct policies;

struct policy_answer {
	enum sts_state state;
	const struct mtasts_known *known;  /* with STS_POLICY */
	bool cached;
	enum sts_trouble trouble;
	struct str text;
};
typedef void policy_answered(void *owner, const struct policy_answer *answer);

/* keep is called for each policy to be kept over a restart, and with expires_s 0 for one to be forgotten. */
struct policies_house {
	struct loop *loop;
	struct errands *errands;
	void (*keep)(void *owner, struct str key, struct str value, int64_t expires_s);
	void *owner;
};

struct policies *policies_new(const struct policies_house *house);
void             policies_free(struct policies **p);
void             policies_use(struct policies *p, struct dns *dns);   /* as lookups_use */

/* What was kept, and until when it holds by the clock as it is now: between two runs it may have been set. An empty key says that this
 * was all of it. */
void policies_kept(struct policies *p, struct str key, struct str value, int64_t expires_s);

/* Can a policy be published under this name? */
bool policies_can_have(struct str domain);

/* The callback comes later, from the loop; it lives in what it was given. NULL: too much is waiting, or policies_can_have not. */
struct policy_waiter;
struct policy_waiter *policies_ask(struct policies *p, struct str domain, policy_answered *answered, void *owner);
void                  policies_cancel(struct policy_waiter **w); /* NULL is fine */

struct policies_facts { size_t known, enforced, failing, fetching; };
void policies_facts(const struct policies *p, struct policies_facts *out);

#endif
