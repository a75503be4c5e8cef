/* SPDX-License-Identifier: ISC */
/*
 * policy/retry.h -- when a recipient that could not be delivered is tried again, and when hope ends.
 *
 * Pure decisions. retry is that of the route (a relay's, a domain's); what it leaves at 0 is the queue's.
 *
 * Source   RFC 5321 4.5.4.1: retry intervals that grow, giving up after days.
 * Units    Wall-clock seconds.
 * Limits   Each interval is moved by up to a fifth either way, so that what failed together does not come back
 *          together; never below a second.
 * Tests    test/unit/policy/retry_test.c
 */
#ifndef POLICY_RETRY_H
#define POLICY_RETRY_H

#include "conf/conf.h"

/* attempts: how many have failed, 1 after the first. random: any number, evenly spread. */
int64_t retry_next_s(const struct conf *conf, const struct conf_retry *retry, unsigned attempts, int64_t now_s,
                     uint64_t random);
/* No further attempt: the letter goes back. True from arrival + give-up on. */
bool retry_gives_up(const struct conf *conf, const struct conf_retry *retry, int64_t arrived_s, int64_t now_s);
int64_t retry_gives_up_at_s(const struct conf *conf, const struct conf_retry *retry, int64_t arrived_s);
/* Is it time for the one delay warning? Whether one was sent already, and whether NOTIFY allows one, the caller
 * knows. Never when the letter goes back now. */
bool retry_warns(const struct conf *conf, const struct conf_retry *retry, int64_t arrived_s, int64_t now_s);

#endif
