/* SPDX-License-Identifier: ISC */
/*
 * store/memory_inside.h -- what the parts of the store in memory share; they are cut as those of the SQLite store.
 *
 * Tests    test/unit/store/contract.h
 */
#ifndef STORE_MEMORY_INSIDE_H
#define STORE_MEMORY_INSIDE_H

#include "base/list.h"
#include "store/store.h"

struct message {
	struct link in_store;
	struct store_message facts;
	struct buf content;
	struct list rcpts;
	struct arena *arena;             /* of the strings that never change */
};

struct rcpt {
	struct link in_message;
	struct message *message;
	struct store_rcpt facts;
	struct buf key, reply, dialogue; /* the strings that do */
	enum rcpt_state unleased;        /* what it is again when its lease ends */
	bool held;                       /* since it was leased */
};

struct note {
	struct link in_store;
	struct buf key, value;
	int64_t expires_s;
};

/* A destination that is not looked at yet. */
struct put_off {
	struct link in_store;
	struct buf key;
	int64_t not_before_s;
	unsigned lane;
};

struct store {
	struct list messages, drafts, notes, put_off;
	uint64_t number, fence;
};

/* ---- memory.c ---- */

struct message *message_by_id(struct store *s, struct str id);        /* NULL: not here */
struct rcpt    *rcpt_by_number(const struct store *s, uint64_t number); /* NULL: not here */
void message_copy(struct store_message *to, const struct store_message *from, struct arena *a);
void message_free(struct message *m);
void rcpt_free(struct rcpt *r);
void set_reply(struct rcpt *r, struct str text);
void set_key(struct rcpt *r, struct str key);

/* ---- memory_lease.c ---- */

fault memory_lease(struct store *s, int64_t now_s, int64_t lease_s, const struct store_room *room, struct arena *a,
                   struct store_rcpt *out, size_t max, size_t *n_out, struct why *why);
fault memory_renew(struct store *s, uint64_t rcpt, uint64_t fence, int64_t until_s);
bool  memory_is_held(const struct store *s, uint64_t rcpt);
fault memory_claim(struct store *s, int64_t now_s, int64_t lease_s, struct store_rcpt *rows, size_t n, size_t *n_out, struct why *why);
fault memory_reclaim(struct store *s, struct why *why);
fault memory_next_due(struct store *s, const struct store_room *room, int64_t *due_s_out);
void  memory_ask_again(struct store *s, struct str key);
void  memory_put_off_nothing(struct store *s);                        /* all may be looked at again */

/* ---- memory_look.c ---- */

/* A copy of the recipient, and of every string in it, for the caller's arena; false: it has no room. */
bool  rcpt_show(const struct rcpt *r, struct arena *a, struct store_rcpt *out);
fault memory_message(struct store *s, struct str id, struct arena *a, struct store_message *out);
fault memory_content(struct store *s, struct str id, uint64_t offset, char *to, size_t room, size_t *n_out);
fault memory_list(struct store *s, const struct store_selector *which, struct store_place *place, struct arena *a,
                  struct store_rcpt *out, size_t max, size_t *n_out);
fault memory_act_on(struct store *s, const struct store_rcpt *rows, size_t n, enum operator_action action, int64_t now_s, bool *did);
fault memory_act(struct store *s, const struct store_selector *which, enum operator_action action, int64_t now_s,
                 uint64_t *n_out);
fault memory_verify(struct store *s, struct store_round *round, uint64_t bytes, struct arena *a,
                    struct store_finding *out, size_t max, size_t *n_out, struct why *why);
fault memory_set_aside(struct store *s, uint64_t rcpt, struct str text, struct why *why);
fault memory_clamp(struct store *s, int64_t now_s, int64_t latest_s, uint64_t *n_out);
fault memory_shift(struct store *s, int64_t by_s);
fault memory_counts(struct store *s, struct store_counts *out);
fault memory_glance(struct store *s, uint64_t after_number, struct arena *a, struct store_glance *out, size_t max, size_t *n_out);

#endif
