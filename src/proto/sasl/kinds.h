/* SPDX-License-Identifier: ISC */
/*
 * proto/sasl/kinds.h -- what verifiers there are, by what it costs to measure with them, and how many of each.
 *
 * A name that nobody has gets a verifier as well, so that it costs what a user costs: one of a kind that users have, each kind as often
 * as among the users. Which one it is depends on the name and a secret alone, so a name does not change its cost from one
 * attempt to the next, which would tell that nobody has it. Upper and lower case are the same, as they are for users.
 *
 * Limits   CREDENTIAL_KINDS_MAX kinds; what more there are count for none.
 * Owns     The crypt(3) strings of kinds are slices of what was added.
 * Tests    test/unit/proto/sasl/kinds_test.c
 */
#ifndef PROTO_SASL_KINDS_H
#define PROTO_SASL_KINDS_H

#include "proto/sasl/credential.h"

enum { CREDENTIAL_KINDS_MAX = 64 };

struct credential_kinds {
	struct credential_kind { struct credential like; uint64_t users; } kinds[CREDENTIAL_KINDS_MAX];
	size_t n;
	uint64_t users;   /* of all kinds */
};

void credential_kinds_add(struct credential_kinds *k, const struct credential *c);
/* The verifier for a name that nobody has. scram: one that SCRAM can use; users with crypt(3) strings get the commonest there. A
 * crypt(3) string is a user's, and may fit: whoever measures with it denies all the same. */
void credential_kinds_fake(const struct credential_kinds *k, struct str pepper, struct str name, bool scram, struct credential *out);

#endif
