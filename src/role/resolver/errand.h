/* SPDX-License-Identifier: ISC */
/*
 * role/resolver/errand.h -- one request to a web server that somebody else named: its addresses by our DNS, then HTTPS.
 *
 * Whoever runs a domain chooses the name that is gone to, and so the address: it may point into this network. Unless the
 * configuration says otherwise, no loopback, link-local, private or multicast address is gone to.
 *
 * Limits   ERRANDS_MAX at once; the patience of a plan covers names and answer together.
 * Owns     The DNS is borrowed, the https is its own. The callback comes from the loop; it may start and cancel errands.
 * Tests    test/unit/role/resolver/policies_test.c, test/scenario/mtasts_test.py
 */
#ifndef ROLE_RESOLVER_ERRAND_H
#define ROLE_RESOLVER_ERRAND_H

#include "dns/dns.h"
#include "https/https.h"

enum { ERRANDS_MAX = 256 };

struct errands;

struct errand_plan {
	struct str host, path;
	uint16_t port;
	struct str body, content_type;     /* content_type set: POST */
	size_t body_max;
	int64_t patience_ms;
};

struct errand;

struct errands *errands_new(struct loop *loop);
void            errands_free(struct errands **e); /* after everything under way has been cancelled */
/* The trust anchors in PEM; none: nobody is trusted. F_SYNTAX: there is no certificate in it. What is under way begins
 * again with them. */
MUST_USE fault  errands_trust(struct errands *e, struct str ca_pem, bool allow_private, struct why *why);
void            errands_use(struct errands *e, struct dns *dns); /* as lookups_use */

/* NULL: too many are under way. */
struct errand *errand_start(struct errands *e, const struct errand_plan *plan, https_answered *answered, void *owner);
void           errand_cancel(struct errand **errand); /* NULL is fine */

#endif
