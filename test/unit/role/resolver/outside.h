/* SPDX-License-Identifier: ISC */
/*
 * unit/role/resolver/outside.h -- what the resolver's parts see of the world, played: the clocks, the DNS, web servers.
 *
 * The test program has its own dns/dns.h and https/https.h; both ask the test, in the next turn of the loop, what to answer.
 * Time passes by outside_pass alone.
 */
#ifndef UNIT_ROLE_RESOLVER_OUTSIDE_H
#define UNIT_ROLE_RESOLVER_OUTSIDE_H

#include "dns/dns.h"
#include "https/https.h"
#include "sys/loop.h"

struct outside {
	struct loop *loop;
	/* False: no answer, for ever. validates: asked of a library that has a trust anchor. */
	bool (*dns)(bool validates, enum dns_kind kind, struct str name, struct dns_answer *out);
	bool dns_caches;                  /* the last answer of each library */
	bool (*web)(const struct https_request *request, struct https_answer *out);
	unsigned n_asked, n_requests;     /* since the beginning */
	unsigned n_open, most_open;       /* requests */
	struct https_request last_request; /* its numbers */
};
extern struct outside outside;

void outside_begin(void);
void outside_end(void);
void outside_turn(void);                 /* until there is nothing to do now */
void outside_pass(int64_t ms);           /* time passes, on both clocks, all at once: as when the machine slept */
void outside_live(int64_t ms, int64_t step_ms); /* the same in steps */
void outside_set_clock(int64_t by_s);    /* somebody sets the date */

#endif
