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

/* What is that old arrived before; an age of 0 is any, and of one beyond all times there is nothing. */
int64_t selector_before(int64_t now_s, uint64_t older_s);

#endif
