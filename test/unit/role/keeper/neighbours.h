/* SPDX-License-Identifier: ISC */
/* The neighbours of a keeper, over socketpairs: a supervisor, a front and its signing socket, a courier. For a group of tests. */
#ifndef TEST_ROLE_KEEPER_NEIGHBOURS_H
#define TEST_ROLE_KEEPER_NEIGHBOURS_H

#include "ipc/courier_keeper.h"
#include "ipc/front_keeper.h"
#include "ipc/sign.h"
#include "role/role.h"
#include "sys/channel.h"
#include "tls/home.h"
#include "tls/tls.h"

#define BINDING ((struct str){ "0123456789abcdef0123456789abcdef", 32 })
#define PLAIN(text) ((struct str){ text, sizeof(text) - 1 })

enum { PATIENCE_MS = 30000 };

/* Everything that has arrived, as text: "READY 1;" "AUTH_FAILED 7 535 5.7.8 500;" ... */
struct ear {
	struct buf heard;
	unsigned messages;
	struct str challenge;
	struct buf kept;
	struct str initial;
	char seed[TLS_TICKET_SEED_BYTES];
	size_t past_n;
	unsigned seeds;
	uint64_t rules;     /* the last ones that it was told of */
	uint64_t delay_ms;  /* of the last refusal */
};

extern struct loop *loop;
extern struct timer patience;
extern struct role_base *keeper;
extern struct channel *control, *front, *courier;
extern struct ear supervisor_ear, front_ear, courier_ear;
extern int sign_fd;
extern char folder[64];
extern struct buf ca_pem;
extern const struct channel_handler as_supervisor, as_front;

int  begin(void **state);
int  end(void **state);
void out_of_patience(void *owner);           /* what a timer of patience does */

void ear_init(struct ear *e);
void ear_fini(struct ear *e);
void wait_for(struct ear *e, unsigned messages);
void expect(struct ear *e, unsigned messages, const char *text);

void write_file(const char *name, struct str bytes); /* into the folder */
void make_pair(const char *crt, const char *key);
void write_users(const char *more);
void expect_ready(void);                     /* a new generation is taken */
void expect_failure(const char *without, const char *words); /* one without this file (NULL: none) is not, with these words */
int  linked(enum ipc_arrow arrow);           /* the other end of a new link */

void start(uint64_t session, const char *mechanism, struct str initial, const char *client); /* a login */

#endif
