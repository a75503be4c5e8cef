/* SPDX-License-Identifier: ISC */
/*
 * role/keeper/keeper.h -- what the keeper's files share. It holds keys and credentials, and answers on its sockets.
 *
 * Tests    test/unit/role/keeper/
 */
#ifndef ROLE_KEEPER_KEEPER_H
#define ROLE_KEEPER_KEEPER_H

#include "base/list.h"
#include "base/map.h"
#include "ipc/courier_keeper.h"
#include "ipc/front_keeper.h"
#include "ipc/spool_keeper.h"
#include "role/keeper/backoff.h"
#include "role/keeper/vault.h"
#include "role/role.h"
#include "tls/tls.h"

enum {
	LOGINS_OF_LINK_MAX = 10000,  /* open exchanges of one front */
	TICKET_SEED_S = 6 * 3600,    /* a new one, the one before it still good; at most a day in all */
	WORK_MAX = 64,               /* passwords being measured at once: what comes beyond is asked to come again */
};

/* Threads may outlast the keeper itself, in a simulation: the last one of both frees this. */
struct work_count { unsigned running; bool keeper_gone; };

/* For session tickets, which the fronts seal and open. */
struct ticket_seeds { unsigned n; char seeds[2][TLS_TICKET_SEED_BYTES]; };

struct keeper {
	struct role_base *base;
	struct loop *loop;
	char pepper[32];
	struct files *coming;
	struct vault *now;      /* NULL until the first configuration */
	uint64_t number;             /* counts generations: an exchange does not outlive its own */
	struct backoff *backoff;
	struct ticket_seeds *tickets;   /* on pages of their own */
	struct timer rotation, settled;
	struct list links;
	struct work_count *work;
	uint64_t signatures, refused_signatures, logins, refused_logins;
};

/* A neighbour: a front, the courier, or one of their signing sockets. */
struct keeper_link {
	struct link in_keeper;
	struct keeper *keeper;
	enum ipc_arrow arrow;
	unsigned instance;
	struct channel *channel;
	struct map *logins;          /* number -> struct login or struct relay_login */
};

/* logins.c: clients of ours log in. */
void logins_on_start(struct keeper_link *l, const struct front_auth_start *m);
void logins_on_step(struct keeper_link *l, const struct front_auth_step *m);
void logins_cancel(struct keeper_link *l, uint64_t session);
void logins_forget(struct keeper_link *l);          /* the link is going */

/* relay_logins.c: the courier logs in elsewhere. */
void relay_logins_on_start(struct keeper_link *l, const struct courier_login_start *m);
void relay_logins_on_step(struct keeper_link *l, const struct courier_login_step *m);
void relay_logins_cancel(struct keeper_link *l, uint64_t session);
void relay_logins_forget(struct keeper_link *l);

/* answers.c: recipients and senders. */
void answers_on_rcpt(struct keeper_link *l, const struct front_ask_rcpt *m);
void answers_on_sender(struct keeper_link *l, const struct front_ask_sender *m);
void answers_on_targets(struct keeper_link *l, const struct spool_ask_targets *m);

#endif
