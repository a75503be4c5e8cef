/* SPDX-License-Identifier: ISC */
/*
 * role/keeper/backoff.h -- how often has this user name, this client failed to log in lately?
 *
 * Two tables of bounded size, the least recently seen forgotten first. A failure wears off in BACKOFF_WEARS_OFF_MS, one after
 * the other. Pure but for the memory.
 *
 * Tests    test/unit/role/keeper_parts_test.c
 */
#ifndef ROLE_KEEPER_BACKOFF_H
#define ROLE_KEEPER_BACKOFF_H

#include "base/str.h"

enum {
	BACKOFF_KEPT_MAX = 8192,        /* names, and clients */
	BACKOFF_WEARS_OFF_MS = 60000,
	BACKOFF_DELAY_FIRST_MS = 500,   /* doubles with every failure ... */
	BACKOFF_DELAY_MAX_MS = 8000,    /* ... up to this */
	BACKOFF_CLIENT_MAX = 30,        /* from so many failures on a client is not even listened to */
};

struct backoff;

struct backoff *backoff_new(uint64_t seed);
void backoff_free(struct backoff **b);

/* client: the peer's address in text; IPv6 counts by its /64. "" is nobody. */
bool backoff_refuses(struct backoff *b, struct str client, int64_t now_ms);
/* How long the answer to this failure is to be held back. */
uint64_t backoff_failed(struct backoff *b, struct str user, struct str client, int64_t now_ms);
void backoff_succeeded(struct backoff *b, struct str user, struct str client);

#endif
