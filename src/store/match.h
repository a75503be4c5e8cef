/* SPDX-License-Identifier: ISC */
/*
 * store/match.h -- does a recipient match what an operator selected? One rule for every store.
 *
 * Tests    test/unit/store/contract.h
 */
#ifndef STORE_MATCH_H
#define STORE_MATCH_H

#include "store/store.h"

bool selector_matches(const struct store_selector *which, const struct store_message *message,
                      const struct store_rcpt *rcpt);
/* How many messages of this key are in hand, and whether one more may be taken. */
unsigned room_load(const struct store_room *room, struct str key);

#endif
