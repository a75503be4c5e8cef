/* SPDX-License-Identifier: ISC */
/*
 * role/courier/memory.h -- what domains and hosts have shown before.
 *
 * The best protection of a domain, and the hello that a host could bear. The spool keeps it over a restart of this role (role/spool/observe.h).
 * Ages are measured by the steady clock: when the wall clock is set, nothing is forgotten for it, nor kept for longer.
 *
 * Limits   COURIER_SEEN_MAX domains, and as many hosts: where there is no more room, the domain goes that was seen longest ago, the
 *          host whose hello is soonest doubted again.
 * Tests    test/unit/role/courier/memory_test.c
 */
#ifndef ROLE_COURIER_MEMORY_H
#define ROLE_COURIER_MEMORY_H

#include "base/str.h"
#include "ipc/spool_delivery.h"
#include "policy/protection.h"

enum { COURIER_SEEN_MAX = 20000 };

struct courier;

enum tls_level memory_best(const struct courier *c, struct str domain);    /* TLS_NONE: nothing, or long ago */
bool memory_seen_lately(const struct courier *c, struct str domain);       /* with TLS, within a day */
bool memory_saw(struct courier *c, struct str domain, enum tls_level level); /* true: it is less than before, and worth a line */
unsigned memory_shape(const struct courier *c, struct str host);           /* of the hello that it can bear; 0: no reason to doubt */
void memory_keep_shape(struct courier *c, struct str host, unsigned shape);
void memory_take(struct courier *c, const struct worker_remembered *m);

#endif
