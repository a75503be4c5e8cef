/* SPDX-License-Identifier: ISC */
/*
 * role/spool/control_inside.h -- one operator and his request: what control.c (who asks, what is told) and actions.c (what is done) share.
 *
 * Limits   the first enum below; docs/LIMITS.md lists it.
 * Owns     control_send_row takes the object over.
 * Tests    test/unit/role/spool/operator_test.c
 */
#ifndef ROLE_SPOOL_CONTROL_INSIDE_H
#define ROLE_SPOOL_CONTROL_INSIDE_H

#include <jansson.h>

#include "role/spool/by_domain.h"
#include "role/spool/spool.h"

enum { RETRY_NOTED_MAX = 1 << 14 };   /* recipients of a domain who are not told of twice */

enum phase { AWAITING, LISTING, SENDING_BODY, VERIFYING, TELLING_WHY, REPORTING, RECALLING, BY_DOMAIN, ACTING, ASKING, EXPLAINING, ENDED };

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

#endif
