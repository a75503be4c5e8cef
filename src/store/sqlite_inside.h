/* SPDX-License-Identifier: ISC */
/*
 * store/sqlite_inside.h -- what the parts of the SQLite store share.
 *
 *     sqlite.c         statements, transactions, drafts, the group commit    sqlite_open.c     opening and closing
 *     sqlite_lease.c   who may try what, and when                            sqlite_look.c     reading: messages, contents, counts
 *     sqlite_act.c     what an operator names and does                       sqlite_clock.c    times, where a clock was wrong
 *     sqlite_verify.c  is it whole?                                          sqlite_tidy.c     small work between turns
 *     sqlite_observations.c  what others have learned                        sqlite_schema.h   what the database is made of
 *     sqlite_statements.h    all that is said to the database
 *
 * The database is the truth about what is queued, the content log holds the bytes. Two things live in memory
 * alone, because this process is alone on its queue: leases (a restart ends them all) and the schedule (derived).
 *
 * A recipient's number is its message's number, shifted, and its index: so the recipients of a message lie
 * together in their table, and no index is needed from one to the other. Numbers are never used twice, not even
 * by drafts that came to nothing: a record in the log is recognised by them.
 *
 * Tests    test/unit/store/sqlite_test.c, test/unit/store/contract.h
 */
#ifndef STORE_SQLITE_INSIDE_H
#define STORE_SQLITE_INSIDE_H

#include <sqlite3.h>

#include "base/list.h"
#include "base/map.h"
#include "store/content_log.h"
#include "store/crc32c.h"
#include "store/schedule.h"
#include "store/sqlite_statements.h"
#include "store/store.h"

enum { RCPT_INDEX_BITS = 20 };
static inline uint64_t message_of(uint64_t rcpt)
{
	return rcpt >> RCPT_INDEX_BITS;
}
static inline uint64_t rcpts_from(uint64_t message)
{
	return message << RCPT_INDEX_BITS;
}

/* No number is below 1. What had one could neither be delivered nor named: no queue is opened with it. */
#define BELOW_TEXT                                                                                 \
	"there are rows with numbers that cannot be right: put queue.db back from a backup, or let go of them "               \
	"(sqlite3 queue.db 'DELETE FROM rcpt WHERE number<1; DELETE FROM message WHERE number<1')"

/* A message of which something is leased: whoever holds it asks for it again, and it does not change. */
struct in_hand {
	uint64_t number;
	size_t leases;
	struct store_message facts;
	struct str extents;              /* what tidying moves meanwhile is not found there, and looked up in the database */
	struct arena *arena;
};

struct lease {
	struct link in_order;            /* by until_s */
	struct in_hand *message;         /* NULL: the database knows */
	uint64_t rcpt, fence;
	int64_t until_s;
	enum rcpt_state was;             /* what the database has */
	bool held;                       /* an operator has held it since it was leased */
	bool ending;                     /* settled by the transaction that is open */
};

struct store_draft {
	struct link in_store;
	uint64_t number, bytes;          /* bytes: in records already */
	struct buf pending;              /* gathered until a record is worth it */
	struct buf extents;              /* packed, as the database keeps them */
	fault broken;
};

/* What the database has; what is leased counts as what it was before. */
struct holding { int64_t messages, bytes, queued, held, damaged; };

/* What must happen in memory once a transaction is durable, and must not if it fails. */
struct after {
	struct released { struct extent *items; size_t n, cap; } released;
	struct ended { uint64_t *items; size_t n, cap; } ended;    /* recipients whose lease is over */
	struct turned { struct turn { uint64_t rcpt; bool held; } *items; size_t n, cap; } turned; /* held, or released again, while leased */
	struct noted { struct note { struct str key; int64_t due_s; } *items; size_t n, cap; } noted;
	struct holding more;             /* or less */
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[SQL_COUNT];
	int directory, lock;
	struct content_log *log;
	struct schedule *schedule;
	struct map *leases;              /* recipient -> struct lease */
	struct list leases_by_end;
	struct map *in_hand;             /* id -> struct in_hand */
	struct list drafts;
	uint64_t next_number, reserved_to; /* numbers below reserved_to are ours, durably */
	uint64_t fence;
	bool failed;
	bool making;                     /* a new queue, which is not whole yet */
	bool index_damaged;              /* an index does not agree with its table: it can be built anew */
	struct crc32c crc;
	struct holding holding;
	int64_t latest_due_s, latest_arrived_s; /* of anything queued, of any message: perhaps later than it is by now */
	uint64_t untried_from;           /* recipients below have been tried */
	struct after after;
	struct arena *scratch;           /* of one transaction */
	uint64_t moving_after;           /* tidying: messages up to this one have been moved */
	bool moving;
	void (*working)(void *owner);    /* as the options say */
	void *working_owner;
	uint64_t keep_free_bytes;
	struct list observations;        /* that wait for a commit */
	size_t n_observations;
};

/* ---- sqlite.c ---- */

sqlite3_stmt *sql(struct store *s, enum sql which);       /* ready to be bound; NULL: it cannot be prepared */
void  sql_done(sqlite3_stmt *st);
fault sql_run(struct store *s, sqlite3_stmt *st, struct why *why);   /* to its end */
fault sql_rest(struct store *s, sqlite3_stmt *st, int rc, struct why *why); /* of one whose last step gave rc */
fault sql_fault(struct store *s, int rc, struct why *why);           /* what SQLite's result means for us */
void  bind_str(sqlite3_stmt *st, int at, struct str text);           /* never NULL */
void  bind_u64(sqlite3_stmt *st, int at, uint64_t v);
void  bind_s64(sqlite3_stmt *st, int at, int64_t v);
struct str column_str(sqlite3_stmt *st, int at);                     /* until the next step */
uint64_t column_u64(sqlite3_stmt *st, int at);

MUST_USE fault sqlite_checksum(sqlite3 *db, struct crc32c *crc); /* teaches this database checksum(); crc outlives it */
void *array_grown(void *items, size_t n, size_t *cap, size_t size); /* with room for one more than n */
fault transaction_begin(struct store *s, struct why *why);
/* Commits if f is OK and applies what was put off, else rolls back. Returns f or what went wrong; F_BUSY also
 * where an index had to be built anew: the same again may work. */
fault transaction_end(struct store *s, fault f, struct why *why);
void  after_release(struct store *s, struct str extents);
void  after_end(struct store *s, uint64_t rcpt);
void  after_turn(struct store *s, uint64_t rcpt, bool held);         /* the lease goes on */
void  after_note(struct store *s, struct str key, int64_t due_s);
void  after_change(struct store *s, enum rcpt_state from, enum rcpt_state to); /* of one recipient, leases apart */
/* And its message with the last one. was: what the database has, not that it is leased. */
fault remove_rcpt(struct store *s, uint64_t rcpt, enum rcpt_state was, struct why *why);

struct extent extent_at(struct str packed, size_t i);
void          extent_pack(struct buf *to, struct extent e);
enum { EXTENT_PACKED = 12 };

fault sqlite_draft_new(struct store *s, struct store_draft **out);
fault sqlite_draft_append(struct store *s, struct store_draft *d, struct str bytes);
void  sqlite_draft_drop(struct store *s, struct store_draft **d);
void  draft_free(struct store_draft **d);                            /* what it holds lives on */
fault sqlite_commit(struct store *s, struct store_commit *commits, size_t n_commits, struct store_outcome *outcomes,
                    size_t n_outcomes, struct why *why);

/* ---- sqlite_tidy.c ---- */

fault sqlite_tidy(struct store *s, bool *more_out, struct why *why);
bool  sqlite_rest(struct store *s);

/* ---- sqlite_verify.c ---- */

fault any_below(struct store *s, bool *any_out, struct why *why);   /* rows: see BELOW_TEXT */
fault sqlite_verify(struct store *s, struct store_round *round, uint64_t bytes, struct arena *a,
                    struct store_finding *out, size_t max, size_t *n_out, struct why *why);
fault sqlite_set_aside(struct store *s, uint64_t rcpt, struct str text, struct why *why);
/* Is all of this recipient's message what was committed? */
fault message_is_whole(struct store *s, uint64_t rcpt, bool *whole_out);

/* ---- sqlite_lease.c ---- */

void  lease_end(struct store *s, uint64_t rcpt);                     /* harmless if there is none */
struct lease *lease_find(const struct store *s, uint64_t rcpt);
const struct in_hand *in_hand_find(const struct store *s, struct str id);
void  in_hand_forget(struct store *s);                               /* all of them: their facts have changed */
fault sqlite_lease(struct store *s, int64_t now_s, int64_t lease_s, const struct store_room *room, struct arena *a,
                   struct store_rcpt *out, size_t max, size_t *n_out, struct why *why);
fault sqlite_renew(struct store *s, uint64_t rcpt, uint64_t fence, int64_t until_s);
fault sqlite_claim(struct store *s, int64_t now_s, int64_t lease_s, struct store_rcpt *rows, size_t n, size_t *n_out, struct why *why);
fault sqlite_reclaim(struct store *s, struct why *why);
fault sqlite_next_due(struct store *s, const struct store_room *room, int64_t *due_s_out);
void  sqlite_ask_again(struct store *s, struct str key);
bool  sqlite_is_held(const struct store *s, uint64_t rcpt);

/* ---- sqlite_look.c ---- */

fault sqlite_message(struct store *s, struct str id, struct arena *a, struct store_message *out);
fault sqlite_content(struct store *s, struct str id, uint64_t offset, char *to, size_t room, size_t *n_out);
fault sqlite_counts(struct store *s, struct store_counts *out);
fault sqlite_glance(struct store *s, uint64_t after_number, struct arena *a, struct store_glance *out, size_t max, size_t *n_out);
enum rcpt_state state_of(int held);
/* MESSAGE_FACTS from this column on, until the next step. */
struct store_message message_in_row(sqlite3_stmt *st, int at);
bool  message_show(const struct store_message *from, struct arena *a, struct store_message *out);  /* false: no room in the arena */
fault state_in_table(struct store *s, uint64_t rcpt, enum rcpt_state *out, struct why *why); /* leases and checksums apart; absent: *out stays */
/* One row of a statement with ROW_COLUMNS; false: no room in the arena. */
bool  row_rcpt(struct store *s, sqlite3_stmt *st, struct arena *a, struct store_rcpt *out);

/* ---- sqlite_open.c ---- */

fault learn_schedule(struct store *s, struct why *why);

/* ---- sqlite_clock.c ---- */

fault sqlite_clamp(struct store *s, int64_t now_s, int64_t latest_s, uint64_t *n_out);
fault sqlite_shift(struct store *s, int64_t by_s);

/* ---- sqlite_observations.c ---- */

fault observations_put(struct store *s, struct why *why);   /* into the transaction that is open; ... */
void  observations_forget(struct store *s);                 /* ... and when it has been committed */
fault observations_write(struct store *s, struct why *why); /* both, with a flush of their own */
fault sqlite_trim(struct store *s, struct str prefix, uint64_t most, uint64_t bytes_max, uint64_t *gone_out);
fault sqlite_remember(struct store *s, struct str key, struct str value, int64_t expires_s);
fault sqlite_recall(struct store *s, int64_t now_s, struct arena *a,
                    void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner);
fault sqlite_recall_some(struct store *s, struct str prefix, struct str after, size_t max,
                         void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner, size_t *n_out);

/* ---- sqlite_act.c ---- */

fault sqlite_list(struct store *s, const struct store_selector *which, struct store_place *place, struct arena *a,
                  struct store_rcpt *out, size_t max, size_t *n_out);
fault sqlite_act_on(struct store *s, const struct store_rcpt *rows, size_t n, enum operator_action action, int64_t now_s, bool *did);
fault sqlite_act(struct store *s, const struct store_selector *which, enum operator_action action, int64_t now_s,
                 uint64_t *n_out);

#endif
