/* SPDX-License-Identifier: ISC */
/*
 * policy/remembered.h -- what courier and resolver have learned and the spool keeps for them: the beginnings of the keys, and what a value
 * says that more than its role reads.
 *
 * A key is one of these words and a name. How long something holds is kept beside it (role/spool/observe.h).
 *
 * Tests    test/unit/policy/remembered_test.c, fuzz/remembered.c
 */
#ifndef POLICY_REMEMBERED_H
#define POLICY_REMEMBERED_H

#include "conf/conf.h"

#define REMEMBERED_POLICY "mta-sts/" /* a domain: its MTA-STS policy (role/resolver/policies.c) */
#define REMEMBERED_DNSSEC "dnssec/"  /* when it last worked (role/resolver/upstream.h) */
#define REMEMBERED_SEEN   "seen/"    /* a domain: how well its mail was protected, below */
#define REMEMBERED_SHAPE  "shape/"   /* a host: the hello that it takes, a number below TLS_SHAPES (tls/tls.h) */

/* The times are for people; what counts is how far they lie apart. Seconds of the wall clock, not negative. */
struct remembered_seen { enum tls_level best; int64_t best_s, last_s; };

enum { REMEMBERED_SEEN_MAX = 80 };
void remembered_seen_put(const struct remembered_seen *s, char out[REMEMBERED_SEEN_MAX]); /* "dane 1770000000 1770100000" */
bool remembered_seen_read(struct str value, struct remembered_seen *out);                 /* false: it is none, *out untouched */

#endif
