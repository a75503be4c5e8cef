/* SPDX-License-Identifier: ISC */
/*
 * role/spool/control_inside.h -- one operator and his request: what control.c (who asks, what is told), actions.c (what is done) and
 * under_way.c (what that means for everybody else) share.
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

struct control_session {
	struct link in_spool;
	struct spool *spool;
	struct channel *channel;
	struct timer timer;
	enum phase phase;
	struct arena *arena;             /* of the request */
	enum control_verb verb;
	struct store_selector which;
	bool body;
	bool stop;                       /* an action ends where it is */
	struct store_place place;        /* of a list or an action */
	uint64_t rows, done, offset, request;
	uint64_t on_the_way;             /* of done: the other side may take them all the same */
	uint64_t left;                   /* not done: they are being delivered */
	int64_t told_ms;                 /* that an action goes on */
	int64_t began_ms;                /* the request */
	uint64_t *made_due;              /* numbers, ascending, of what had not been tried: a list by domain may tell of it twice */
	size_t n_made_due, made_due_cap;
	bool begun;                      /* the action */
	uint64_t arrivals;               /* the last letter that had begun to come in when it did */
	struct map *late;                /* ids of those that have been committed since; NULL: none */
	uint64_t jobs_after, jobs_last;  /* numbers of jobs: of those in hand when it began, how far it has come */
	struct taken taken;
	bool stopping;                   /* c->stop was heeded */
	bool counting;                   /* what it is still to do ... */
	struct store_place counted;      /* ... as far as this */
	bool knows_to_go;
	uint64_t to_go, to_go_rows;      /* when it had come to so many rows */
	size_t part;                     /* recipients in the next transaction */
	uint64_t stirs;                  /* of the spool, when the last one began */
	bool alone;                      /* nobody else has wanted anything since then */
	size_t unread;                   /* rows that the other end has not taken, since then */
	int64_t unread_since_ms;
	bool refused;
	struct check_round *check;
	struct why_round *why;
	struct report_round *report;
	struct memories_round *recall;
	struct domains_round *domains;
	struct explanation *explanation;
};

/* control.c */
void control_say_end(struct control_session *c, int status, const char *text);
void control_nothing_matched(struct control_session *c); /* and that is the end */
void control_send_row(struct control_session *c, json_t *o);

/* actions.c: a part of what matches, durably; with the last one comes the end. */
void control_act_some(struct control_session *c);
void action_choose_part(struct control_session *c);    /* how large the next one is */
int64_t control_act_rest_ms(const struct control_session *c); /* before the next one */

/* under_way.c */
MUST_USE fault action_begin(struct control_session *c); /* from now on, what it names is its own */
size_t action_in_hand(struct control_session *c, struct store_rcpt *rows, size_t max); /* attempts that it stops: first of all */
MUST_USE fault action_do_taken(struct control_session *c, fault (*do_it)(struct control_session *c, struct store_rcpt *rows, size_t n));
size_t action_without_late(const struct control_session *c, struct store_rcpt *rows, size_t n); /* what came later than it */
void   action_end(struct control_session *c);          /* harmless if there is none */

#endif
