/* SPDX-License-Identifier: ISC */
/*
 * role/resolver/policies_inside.h -- what policies.c (who is known, who waits) and policy_look.c (one look at one domain) share.
 */
#ifndef ROLE_RESOLVER_POLICIES_INSIDE_H
#define ROLE_RESOLVER_POLICIES_INSIDE_H

#include "base/list.h"
#include "base/map.h"
#include "role/resolver/policies.h"

struct policies {
	struct policies_house house;
	struct loop *loop;
	struct dns *dns;
	struct map *by_domain;
	struct list order;           /* every policy, the longest unused first */
	struct list queue;           /* those whose fetch waits for a place */
	size_t n_fetching;
	bool restored;
	struct timer restore;
	int64_t wall_s, steady_ms;   /* when the wall clock was last looked at */
};

enum policy_step { POLICY_IDLE, POLICY_LOOKING, POLICY_QUEUED, POLICY_FETCHING, POLICY_ANSWERING };

struct policy {
	struct link in_order, in_queue;
	struct policies *policies;
	struct str domain;
	struct list waiters;
	size_t n_waiters;
	enum policy_step step;
	struct timer hurry, renew;

	/* what is known; its slices are those below */
	struct mtasts_known known;
	char id[MTASTS_ID_MAX], failed_id[MTASTS_ID_MAX];
	struct str mx;

	/* the look in hand, or the last one */
	bool renewing, fetched, has_record;
	enum { RECORD_ANSWERED, RECORD_FAILED, RECORD_BOGUS } record; /* how the question for it ended */
	struct str look_id;          /* in look_id_room */
	char look_id_room[MTASTS_ID_MAX];
	struct dns_question *txt;
	struct errand *errand;
	const char *note;            /* about the record; "" */
	enum sts_trouble trouble;    /* of the last fetch */
	char trouble_text[HTTPS_TEXT_MAX];
};

struct policy_waiter {
	struct link in_policy;
	struct policy *policy;
	policy_answered *answered;
	void *owner;
};

/* policies.c */
int64_t policies_now_s(struct policies *p);
void    policy_answer(struct policy *y, bool in_time);  /* whoever waits; not in time: the look goes on */
void    policy_rest(struct policy *y);                  /* the look is over: answers, and what comes next */
void    policy_keep(struct policy *y);

/* policy_look.c */
void policy_look(struct policy *y, bool renewing);
void policy_look_again(struct policy *y);   /* the DNS is another one */
void policy_look_drop(struct policy *y);

#endif
