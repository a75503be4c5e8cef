/* SPDX-License-Identifier: ISC */
/*
 * A spool with neighbours made of cardboard: they note what they hear, and workers do as they are told.
 *
 * Everything runs in one loop over socketpairs. The store is the memory store behind a table of its own, so that a
 * test can fill it beforehand, look into it, and let it fail.
 */
#ifndef TEST_ROLE_SPOOL_HOUSE_H
#define TEST_ROLE_SPOOL_HOUSE_H

#include "base/buf.h"
#include "ipc/control.h"
#include "ipc/front_spool.h"
#include "ipc/spool_delivery.h"
#include "mail/reply.h"
#include "role/role.h"
#include "store/store.h"

struct seen_job {
	uint64_t job;
	unsigned purpose, route_kind, attempt, tls_tag, ret;
	char id[40], route_name[100], domain[100], sender[100], to[120][64];
	size_t n_to;
	struct buf body;
	bool whole, ended, released;
};

struct neighbour { struct house *house; const char *name; struct channel *channel; };

struct house {
	struct loop *loop;
	struct role_base *spool;
	struct neighbour supervisor, front, courier, porter, operator, resolver, keeper;
	struct buf heard;                /* "front: stored 1\n" ... */
	size_t passed;                   /* of heard: what a test has waited for already */
	const char *wanted;
	char last_id[40];                /* of the last BEGUN */

	/* What workers answer: every recipient gets this, unless hands_off. */
	bool hands_off;
	bool silent;                     /* they take the content, and say nothing */
	struct from_worker_outcome answer;
	uint64_t report_request;         /* the last one to the resolver */
	struct buf report_body;
	const char *story;               /* told before that; NULL: none */
	const char *doing;               /* what a courier says that it does; NULL: it does not answer */
	struct seen_job jobs[64];
	size_t n_jobs;

	/* What the keeper says of one address; every other one of ours is itself. */
	struct { const char *address, *targets[2]; unsigned verdict; bool goes_before_the_end; } alias;
	int64_t wall_jump_s;             /* the wall clock is wrong by so much */
	uint64_t ahead_ms;               /* the loop's clock is put forward by so much */

	struct store *store;
	fault commit_fault, content_fault;
	const char *key;                 /* where house_fill says that it goes; NULL: to what nobody knows */
	const char *damaged;             /* lease: of who has this in his address the envelope is found to be */
	uint64_t bytes_free, names_free;
	struct { unsigned n; struct str prefix; uint64_t most, bytes; } trims; /* calls of trim, and the last one */
	unsigned slices, glances;        /* calls of recall_some and glance */
	fault (*glance)(struct store *s, uint64_t after, struct arena *a, struct store_glance *out, size_t max, size_t *n_out); /* instead */
	bool tells_twice;                /* list: of what is untried, then of what has been tried by then */
	bool numbers_early;              /* list: who is committed meanwhile may be told of, as where numbers are given at the beginning of a letter */
	unsigned made_up;                /* list: so many who have not been tried, and then the same, who have; nothing is done to them */
	unsigned acts;                   /* parts of an operator's action */
	void (*at_first_act)(void);
	unsigned commits, rests;         /* calls of commit and rest */
	void (*at_first_commit)(void);
	size_t most_messages, most_outcomes, most_both; /* in one call */
	char socket[64];                 /* in a folder of its own, where the history is, too */
};

extern struct house h;
extern const struct store_selector everything;

/* A test that finds an open house, or a prepared one, which it may fill before it opens. */
#define OPEN(name) cmocka_unit_test_setup_teardown(name, setup_open, teardown)
#define PREPARED(name) cmocka_unit_test_setup_teardown(name, setup_prepared, teardown)
int setup_open(void **state);
int setup_prepared(void **state);
int teardown(void **state);

/* conf is added to the basic one. now: what clock_wall_s says. */
void house_open(const char *conf);
void house_configure(const char *conf); /* again */
void house_send_conf(const char *conf); /* does not wait until it is in force */
void house_close(void);
void house_fill(const char *id, const char *sender, const char *const *to, size_t n, unsigned notify, int64_t age_s,
                const char *content); /* between house_prepare and house_open */
/* So many letters m00, m01 ... from a@x.example, each so many times to this address. */
void house_fill_many(unsigned letters, size_t rcpts, const char *address, int64_t age_s);
void house_prepare(void);
void house_begin(void);              /* a spool without a configuration; house_open brings it */

int  link_supervisor(void);          /* the spool's end of it */
void link_front(void);
void link_worker(struct neighbour *w);
void link_keeper(void);
void link_resolver(void);
void wait_for(const char *text);     /* runs the loop until this has been heard (again) */
void settle_down(void);              /* runs the loop until nothing is in hand */
bool was_heard(const char *text);    /* ever */
size_t times_heard(const char *what);

void say_begin(uint64_t txn, const char *sender);
void say_rcpt(uint64_t txn, const char *to, unsigned notify);
void say_chunk(uint64_t txn, const char *text);
void say_bytes(uint64_t txn, struct str bytes);
void say_finish(uint64_t txn, size_t bytes);
void send_letter(uint64_t txn, const char *sender, const char *to, unsigned notify);

void answer(enum outcome_class class, unsigned code, const char *status, const char *text); /* what workers say from now on */

size_t rows(struct store_rcpt *out, size_t max); /* what is in the queue */
struct store_rcpt only_row(void);                /* there must be just one */
const char *id_of(const struct store_rcpt *r);   /* valid until the next call */
bool   has(struct str text, const char *what);
struct str text_of(const char *id);              /* its content */
void   command_begin(enum control_verb verb, struct store_selector which, bool body); /* does not wait for its end */
void   command(enum control_verb verb, struct store_selector which, bool body);

#endif
