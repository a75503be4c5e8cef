/* SPDX-License-Identifier: ISC */
/*
 * policy/route.h -- where does mail for this recipient go? A pure decision.
 *
 * A local domain's `deliver` wins; other domains go by the first matching line of `route`; without
 * one, direct.
 *
 * Tests    test/unit/policy/route_test.c
 */
#ifndef POLICY_ROUTE_H
#define POLICY_ROUTE_H

#include "conf/conf.h"
#include "mail/address.h"

enum route_kind {
	ROUTE_TO_MAILDIR, /* name: the directory's template */
	ROUTE_TO_LMTP,    /* name: "unix:/path" or "host:port" */
	ROUTE_TO_MX,      /* name: the domain whose MX set is asked (deliver mx: this host is one of them) */
	ROUTE_TO_RELAY,   /* name: the relay's */
	ROUTE_ON_HOLD,
	ROUTE_REFUSED,    /* name: the text of the refusal */
};

struct route {
	enum route_kind kind;
	struct str name;                 /* points into conf or the question */
	const struct conf_retry *retry;  /* never NULL; fields of 0 mean the queue's */
	bool local;                      /* the recipient's domain is ours */
	bool backup;                     /* deliver mx: only hosts better than ourselves */
};

struct route_question {
	struct address recipient;
	struct str recipient_domain;     /* ASCII form */
	struct address sender;
	struct str client;               /* the peer's address in text, or empty */
	struct str user;
};

struct route route_plan(const struct conf *conf, const struct route_question *question);

/* Is this address, in text, in one of these networks? */
bool route_networks_hold(const struct conf_network *networks, size_t n, struct str client);

/* One string for what shares a destination: recipients with the same key of the same message travel
 * in one transaction, and concurrency is counted by it. */
MUST_USE fault route_key(const struct route *route, struct buf *out);

#endif
