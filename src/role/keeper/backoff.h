/* SPDX-License-Identifier: ISC */
/*
 * role/keeper/backoff.h -- how often has this user name, this client failed to log in lately?
 *
 * Tables of bounded size, the least recently seen forgotten first. A failure wears off in BACKOFF_WEARS_OFF_MS, one after
 * the other. A name that is guessed at from everywhere is closed to all but the clients that have logged in with it before:
 * guessing must not lock its owner out. A login takes back only the failures of this name from this client: whoever
 * has an account of their own gains no more guesses at others. Pure but for the memory.
 *
 * Tests    test/unit/role/keeper/parts_test.c
 */
#ifndef ROLE_KEEPER_BACKOFF_H
#define ROLE_KEEPER_BACKOFF_H

#include "base/str.h"

enum {
	BACKOFF_KEPT_MAX = 8192,        /* names, clients, and pairs of them */
	BACKOFF_WEARS_OFF_MS = 60000,
	BACKOFF_DELAY_FIRST_MS = 500,   /* doubles with every failure ... */
	BACKOFF_DELAY_MAX_MS = 8000,    /* ... up to this */
	BACKOFF_CLIENT_MAX = 30,        /* from so many failures on a client is not even listened to */
	BACKOFF_NAME_MAX = 100,         /* from so many on a name is closed to strangers */
	BACKOFF_FAILURES_MAX = 200,     /* more are not remembered */
};

struct backoff;

struct backoff *backoff_new(uint64_t seed);
void backoff_free(struct backoff **b);

/* client: the peer's address in text; IPv6 counts by its /64. "" is nobody. */
bool backoff_refuses(struct backoff *b, struct str client, int64_t now_ms);
/* Closed to this client, whether the password is right or wrong, whether there is such a user or not. */
bool backoff_name_is_closed(struct backoff *b, struct str user, struct str client, int64_t now_ms);
/* How long the answer to this failure is to be held back. */
uint64_t backoff_failed(struct backoff *b, struct str user, struct str client, int64_t now_ms);
void backoff_succeeded(struct backoff *b, struct str user, struct str client, int64_t now_ms);

#endif
