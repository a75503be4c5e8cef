/* SPDX-License-Identifier: ISC */
/*
 * house.h -- a front with everything around it played by the test: supervisor, spool, keeper, signer, clients.
 *
 * All of it runs on one loop, but for the signer, whose answer the front awaits: a thread.
 */
#ifndef FRONT_HOUSE_H
#define FRONT_HOUSE_H

#include <pthread.h>

#include "base/buf.h"
#include "ipc/front_keeper.h"
#include "ipc/front_spool.h"
#include "ipc/resolver.h"
#include "role/role.h"
#include "sys/channel.h"
#include "sys/socket.h"
#include "sys/stream.h"
#include "mail/envelope.h"
#include "tls/tls.h"

enum { LISTENER_MX, LISTENER_SUBMISSIONS, LISTENER_SUBMISSION, LISTENER_LMTP, LISTENER_LOCAL, LISTENER_CLEAR, LISTENERS };

struct house {
	struct loop *loop;
	struct role_base *front;
	struct channel *supervisor, *spool, *keeper, *resolver;
	uint64_t generation;
	bool ready, drained, closing;
	char failed[512], status[1024];
	bool has_status;
	bool knows_no_user;             /* the supervisor has no name for an account */
	bool hold_user;                 /* ... or says nothing */
	bool stale;                     /* the front has asked for a new one in its place */
	bool still;                     /* the test moves the clock: nothing waits for it */
	struct endpoint at[LISTENERS];
	int listening[LISTENERS];
	struct buf ca, chain, key;
	struct tls_client *trusting;

	/* The spool: what it was told, and how it behaves. */
	struct buf envelope;      /* "from <s> rcpt <a>/<o> ..." */
	struct buf content;
	uint64_t txn, taken, finish_size, finish_body, finish_tag;
	size_t ahead_max;         /* the most that was ahead of TAKEN */
	size_t begun, aborted, stored;
	bool hold_begin, hold_taken, hold_store;
	struct spool_refused refuse_begin, refuse_store; /* code 0: no */
	char verify_answer[8];

	/* The keeper. */
	size_t cancelled, asked;
	uint64_t sender_request;  /* the last one */
	bool silent;
	char binding[64];
	uint64_t login_delay_ms;

	const char *claimed_name, *name_address; /* of the client; NULL: none */
	uint64_t name_ttl_s;
	size_t looked_up;         /* questions to the resolver */

	pthread_t signer;
	int signer_fd;
};

void house_open(struct house *h, const char *more_conf);
void house_close(struct house *h);
void house_configure(struct house *h, const char *more_conf);  /* a new generation */
void house_give_keeper(struct house *h);
void house_give_spool(struct house *h);
void house_give_resolver(struct house *h);
uint64_t house_status(struct house *h, const char *name);     /* a number of the front's status */
void house_take_keeper(struct house *h);                      /* it dies */
void house_take_spool(struct house *h);

struct client {
	struct house *house;
	struct stream *stream;
	struct tls *tls;
	struct buf heard, line;
	bool closed;
	char wanted[200];
};

void client_open(struct client *c, struct house *h, int listener);
void client_open_clear(struct client *c, struct house *h, int listener); /* without TLS even where it is due */
void client_open_from(struct client *c, struct house *h, int listener, const char *address); /* in clear */
void client_fall_silent(struct client *c);       /* reads nothing any more */
void client_close(struct client *c);
void client_begin_tls(struct client *c);
void client_wait_tls(struct client *c);
void client_start_tls(struct client *c);         /* both */
void client_end_tls(struct client *c);           /* close_notify; what is sent later goes in clear */
void client_send(struct client *c, struct str bytes);
void client_say(struct client *c, const char *line);
/* The next line must start so. All lines of a reply: the last one. */
void client_hear(struct client *c, const char *start);
void client_hear_last(struct client *c, const char *start);
void client_hear_end(struct client *c);          /* nothing more, and the connection is closed */
void client_talk(struct client *c, const char *line, const char *start);  /* say, hear_last */
void client_hello(struct client *c);             /* greeting and EHLO */
void client_login(struct client *c);             /* jada */

/* Runs the loop until *what is true; fails after ten seconds. */
void house_wait(struct house *h, const bool *what);
void house_run_once(struct house *h);            /* one turn of the loop */
void house_wait_once(struct house *h);           /* the same, for what may take a moment */
void house_turn(struct house *h, int64_t ms);    /* lets the loop run for so long; if the clock stands still, for some turns */
struct str house_text(struct buf *b);            /* with a NUL behind it */

#endif
