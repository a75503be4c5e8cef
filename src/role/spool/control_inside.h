/* SPDX-License-Identifier: ISC */
/*
 * role/spool/control_inside.h -- one operator and his request: what control.c (who asks), listing.c (what is told), actions.c (what is
 * done) and under_way.c (what that means for everybody else) share.
 *
 * Limits   the first enum below; docs/LIMITS.md lists it.
 * Owns     control_send_row takes the object over.
 * Tests    test/unit/role/spool/operator_test.c, under_way_test.c
 */
#ifndef ROLE_SPOOL_CONTROL_INSIDE_H
#define ROLE_SPOOL_CONTROL_INSIDE_H

#include <jansson.h>

#include "role/spool/by_domain.h"
#include "role/spool/spool.h"

enum {
	RETRY_NOTED_MAX = 1 << 14,       /* recipients of a domain who are not told of twice */
	ACT_LEAST = 200,                 /* recipients, in a transaction: with their commit, some ms */
	ACT_MOST = 2000,                 /* where nobody else wants anything */
};

enum phase { AWAITING, LISTING, SENDING_BODY, VERIFYING, TELLING_WHY, REPORTING, RECALLING, BY_DOMAIN, ACTING, ASKING, EXPLAINING, ENDED };

/* Recipients who came due while an action goes on that names them: leased to it. */
struct taken { struct arena *arena; struct store_rcpt *rows; size_t n, cap; };

/* retry, hold, release, bounce or remove, from its first part to its last. */
struct action {
	bool begun;
	bool stop;                       /* the operator has broken it off: it ends where it is ... */
	bool stopping;                   /* ... and that was heeded */
	uint64_t done;                   /* recipients ... */
	uint64_t on_the_way;             /* ... of them: the other side may take them all the same */
	uint64_t left;                   /* not done: they are being delivered */

	/* what is not its business, or has been done already */
	uint64_t arrivals;               /* the last letter that had begun to come in when it began */
	struct map *late;                /* ids of those that have been committed since; NULL: none */
	uint64_t *made_due;              /* numbers, ascending, of what had not been tried: a list by domain may tell of it twice */
	size_t n_made_due, made_due_cap;

	/* what goes first: jobs in hand when it began, and what came due since */
	uint64_t jobs_after, jobs_last;  /* numbers of jobs: how far it has come, and the last of them */
	struct taken taken;

	/* how large the next part is */
	size_t part;                     /* recipients in one transaction */
	uint64_t stirs;                  /* of the spool, when the last part began */
	bool waits;                      /* for its turn */
	bool alone;                      /* nobody else has wanted anything since then */

	/* how far it is */
	int64_t told_ms;                 /* when that was said */
	int64_t told_done_ms;            /* when the number alone was told: who is cut off knows it ... */
	uint64_t told_done;              /* ... and which */
	bool counting;                   /* what it is still to do ... */
	struct store_place counted;      /* ... as far as this */
	bool knows_to_go;
	uint64_t to_go, to_go_rows;      /* when it had come to so many rows */
};

struct control_session {
	struct link in_spool;
	struct spool *spool;
	struct channel *channel;
	struct timer timer;
	enum phase phase;
	bool refused;                    /* it hears why, and nothing else */
	size_t unread;                   /* octets that the other end has not taken ... */
	int64_t unread_since_ms;         /* ... since then */

	/* the request */
	struct arena *arena;
	int64_t began_ms;
	enum control_verb verb;
	struct store_selector which;
	bool body;
	uint64_t request;                /* ascending in the order of requests: to the supervisor, and of actions */

	/* what it has come to; where a pointer is NULL, none is under way */
	struct store_place place;        /* of a list or an action */
	uint64_t rows, offset;           /* rows: told, or come to by the action; offset: in the body */
	struct action action;
	struct check_round *check;
	struct why_round *why;
	struct report_round *report;
	struct memories_round *recall;
	struct domains_round *domains;
	struct explanation *explanation;
};

/* control.c */
void control_say_end(struct control_session *c, int status, const char *text);
void control_send_row(struct control_session *c, json_t *o);

/* listing.c */
void control_list_some(struct control_session *c);       /* the next rows */
void control_body_some(struct control_session *c);       /* the next piece of the content */
void control_nothing_matched(struct control_session *c); /* and that is the end */

/* actions.c: a part of what matches, durably; with the last one comes the end. */
void control_act_some(struct control_session *c);
void action_choose_part(struct control_session *c);    /* how large the next one is */
int64_t control_act_rest_ms(const struct control_session *c); /* before the next one */

/* under_way.c */
MUST_USE fault action_begin(struct control_session *c); /* from now on, what it names is its own */
size_t action_in_hand(struct control_session *c, struct store_rcpt *rows, size_t max); /* attempts that it stops: first of all */
MUST_USE fault action_do_taken(struct control_session *c, fault (*do_it)(struct control_session *c, struct store_rcpt *rows, size_t n));
size_t action_without_late(const struct control_session *c, struct store_rcpt *rows, size_t n); /* what came later than it */
bool   action_waits(const struct control_session *c);  /* for one that came before, and does the opposite to perhaps the same */
void   action_end(struct control_session *c);          /* harmless if there is none */

#endif
