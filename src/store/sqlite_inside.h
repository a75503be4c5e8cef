/* SPDX-License-Identifier: ISC */
/*
 * store/sqlite_inside.h -- what the parts of the SQLite store share.
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

/* Every row carries checksums of itself, as every record of the content does: a flipped byte is found, not believed.
 * They are made by checksum(), which sqlite_checksum() teaches the database. A recipient has two, one of what never
 * changes and is never made anew (so that no update can make damage look right), one of its state. */
#define MESSAGE_SUM(p, arrived, extents)                                                           \
	"checksum(" p "number," p "id," p "sender," arrived "," p "size_bytes," p "body," p "smtputf8," p "ret," p "envid," \
	p "client," p "helo," p "user," p "protocol," p "tls," extents "," p "tls_tag)"
#define MESSAGE_OK(p) p "sum=" MESSAGE_SUM(p, p "arrived_s", p "extents")
#define RCPT_SUM(p) "checksum(" p "number," p "address," p "original," p "orcpt," p "notify)"
#define STATE_SUM(p) "checksum(" p "number," p "destination," p "held," p "attempts," p "next_s," p "last_reply,"  \
	p "last_dialogue," p "delay_warned)"
/* What a caller learns of a message, in the order that message_in_row() knows. */
#define MESSAGE_FACTS(p)                                                                           \
	p "id," p "sender," p "arrived_s," p "size_bytes," p "body," p "smtputf8," p "ret," p "envid," p "client," p "helo,"   \
	p "user," p "protocol," p "tls," p "tls_tag"
enum { MESSAGE_FACTS_COLUMNS = 14, ROW_FACTS_AT = 15, ROW_EXTENTS_AT = ROW_FACTS_AT + MESSAGE_FACTS_COLUMNS };
/* As address_domain_of(), in lower case (ASCII), as the index rcpt_domain has it: of those who have been tried. What goes through at
 * once costs it nothing. */
#define DOMAIN_OF_RCPT "lower(substr(address,length(rtrim(address,replace(address,'@','')))+1))"
#define ROW_OK "(r.sum=" RCPT_SUM("r.") " AND r.state_sum=" STATE_SUM("r.") " AND " MESSAGE_OK("m.") ")"
/* What row_rcpt() reads: the first columns of a row. */
#define RCPT_FACTS                                                                                 \
	"r.number,m.id,r.address,r.original,r.orcpt,r.notify,r.destination,r.held,r.attempts,r.next_s,"  \
	"r.last_reply,r.last_dialogue,r.delay_warned," ROW_OK
#define RCPTS_WITH_MESSAGES " FROM rcpt r CROSS JOIN message m ON m.number=r.number>>20"

/* What a caller learns of a recipient, in the order that row_rcpt() knows; then come whether it is whole, and its sender. */
#define ROW_COLUMNS "r.number,m.id,r.address,r.original,r.orcpt,r.notify,r.destination,r.held,r.attempts,r.next_s,r.last_reply,"        \
	"r.last_dialogue,r.delay_warned"
#define OF_DOMAIN " FROM rcpt r INDEXED BY rcpt_domain CROSS JOIN message m ON m.number=r.number>>20"      \
	" WHERE " DOMAIN_OF_RCPT "=?3 AND r.attempts>0 AND r.number BETWEEN ?1 AND ?2 ORDER BY r.number"

/* Every statement that is run: prepared once, when first needed. */
#define SQL_STATEMENTS(SQL)                                                                        \
	SQL(SQL_BEGIN, "BEGIN IMMEDIATE")                                                          \
	SQL(SQL_COMMIT, "COMMIT")                                                                  \
	SQL(SQL_ROLLBACK, "ROLLBACK")                                                              \
	SQL(SQL_RESERVE, "UPDATE meta SET value = ?1 WHERE key IN ('next-number', 'next-number-copy')")       \
	SQL(SQL_ADD_MESSAGE, "INSERT INTO message VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15," \
	                     "checksum(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16),?16)")  \
	SQL(SQL_ADD_RCPT, "INSERT INTO rcpt(number,address,original,orcpt,notify,destination,held,next_s,last_reply,"  \
	                  "sum,state_sum) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,"                      \
	                  "checksum(?1,?2,?3,?4,?5),checksum(?1,?6,?7,0,?8,?9,'',0))")             \
	SQL(SQL_LATER, "UPDATE rcpt SET held=?2, next_s=?3, attempts=attempts+?4, delay_warned=delay_warned|?5,"      \
	               " destination=coalesce(?6,destination), last_reply=coalesce(?7,last_reply),"        \
	               " last_dialogue=coalesce(?8,last_dialogue),"                                \
	               " state_sum=checksum(number,coalesce(?6,destination),?2,attempts+?4,?3,"    \
	               "coalesce(?7,last_reply),coalesce(?8,last_dialogue),delay_warned|?5)"       \
	               " WHERE number=?1 RETURNING destination")                                   \
	SQL(SQL_REMOVE_RCPT, "DELETE FROM rcpt WHERE number=?1")                                   \
	SQL(SQL_DESERTED, "SELECT extents,size_bytes FROM message WHERE number=?1"                            \
	                  " AND NOT EXISTS (SELECT 1 FROM rcpt WHERE number BETWEEN ?2 AND ?3)")    \
	SQL(SQL_REMOVE_MESSAGE, "DELETE FROM message WHERE number=?1")                             \
	SQL(SQL_DUE, "SELECT number,next_s FROM rcpt INDEXED BY rcpt_due WHERE destination=?1 AND held=0 ORDER BY next_s,number") \
	SQL(SQL_SCAN, "SELECT r.number,r.address,m.sender,m.user,m.arrived_s" RCPTS_WITH_MESSAGES    \
	              " WHERE r.number BETWEEN ?1 AND ?2 ORDER BY r.number")                       \
	SQL(SQL_SCAN_UNTRIED, "SELECT number,address,attempts FROM rcpt WHERE number BETWEEN ?1 AND ?2 ORDER BY number")   \
	SQL(SQL_DOMAIN, "SELECT " ROW_COLUMNS "," ROW_OK ",m.sender,m.arrived_s,m.user" OF_DOMAIN)             \
	SQL(SQL_DOMAIN_NUMBERS, "SELECT number FROM rcpt INDEXED BY rcpt_domain WHERE " DOMAIN_OF_RCPT "=?3 AND attempts>0"          \
	                        " AND number BETWEEN ?1 AND ?2 ORDER BY number")                   \
	SQL(SQL_DOMAIN_UNCHECKED, "SELECT " ROW_COLUMNS ",1,m.sender,m.arrived_s,m.user" OF_DOMAIN)           \
	SQL(SQL_ROW, "SELECT " ROW_COLUMNS "," ROW_OK ",m.sender," MESSAGE_FACTS("m.") ",m.extents"           \
	             " FROM rcpt r CROSS JOIN message m ON m.number=r.number>>20 WHERE r.number=?1")        \
	SQL(SQL_WALK, "SELECT " ROW_COLUMNS "," ROW_OK ",m.sender"                                 \
	              " FROM rcpt r CROSS JOIN message m ON m.number=r.number>>20 WHERE r.number BETWEEN ?1 AND ?2 ORDER BY r.number")  \
	SQL(SQL_WALK_UNCHECKED, "SELECT " ROW_COLUMNS ",1,m.sender FROM rcpt r CROSS JOIN message m ON m.number=r.number>>20"  \
	                        " WHERE r.number BETWEEN ?1 AND ?2 ORDER BY r.number")             \
	SQL(SQL_WHOLE, "SELECT " ROW_COLUMNS "," ROW_OK ",m.sender,m.arrived_s,m.user"             \
	              " FROM rcpt r CROSS JOIN message m ON m.number=r.number>>20"                 \
	              " WHERE r.number=?1")                                                        \
	SQL(SQL_WHOLE_UNCHECKED, "SELECT " ROW_COLUMNS ",1,m.sender,m.arrived_s,m.user"            \
	                         " FROM rcpt r CROSS JOIN message m ON m.number=r.number>>20 WHERE r.number=?1")       \
	SQL(SQL_WHEN, "SELECT destination,next_s,held FROM rcpt WHERE number=?1")                  \
	SQL(SQL_DESTINATIONS, "SELECT destination,min(next_s),max(next_s),count(*) FROM rcpt INDEXED BY rcpt_due WHERE held=0 GROUP BY destination") \
	SQL(SQL_GLANCE, "SELECT r.number,r.address,r.destination,r.held,r.next_s,m.arrived_s" RCPTS_WITH_MESSAGES   \
	                " WHERE r.number>?1 ORDER BY r.number LIMIT ?2")                           \
	SQL(SQL_EXTENTS, "SELECT number,size_bytes,extents," MESSAGE_OK("") " FROM message WHERE number>?1"   \
	                 " ORDER BY number LIMIT ?2")                                              \
	SQL(SQL_MOVE, "UPDATE message SET extents=?2, sum=" MESSAGE_SUM("", "arrived_s", "?2")     \
	              " WHERE number=?1 AND " MESSAGE_OK(""))                                      \
	SQL(SQL_MESSAGE, "SELECT " MESSAGE_FACTS("") "," MESSAGE_OK("") " FROM message WHERE id=?1")         \
	SQL(SQL_CONTENT, "SELECT number,size_bytes,extents," MESSAGE_OK("") " FROM message WHERE id=?1")      \
	SQL(SQL_HOLD, "UPDATE rcpt SET held=1, next_s=?2, state_sum="                              \
	              "checksum(number,destination,1,attempts,?2,last_reply,last_dialogue,delay_warned) WHERE number=?1") \
	SQL(SQL_RELEASE, "UPDATE rcpt SET held=0, next_s=?2, destination=?3, state_sum="           \
	                 "checksum(number,?3,0,attempts,?2,last_reply,last_dialogue,delay_warned) WHERE number=?1") \
	SQL(SQL_SOONER, "UPDATE rcpt SET next_s=?2, attempts=max(min(1,attempts),attempts-1), state_sum="                \
	                "checksum(number,destination,held,max(min(1,attempts),attempts-1),?2,last_reply,last_dialogue,delay_warned)" \
	                " WHERE number=?1")                                                        \
	SQL(SQL_ASIDE, "UPDATE rcpt SET held=2, last_reply=?2, state_sum="                         \
	               "checksum(number,destination,2,attempts,next_s,?2,last_dialogue,delay_warned) WHERE number=?1") \
	SQL(SQL_CLAMP_ARRIVED, "UPDATE message SET arrived_s=?1, sum=" MESSAGE_SUM("", "?1", "extents")       \
	                       " WHERE arrived_s>?1 AND " MESSAGE_OK(""))                          \
	SQL(SQL_CLAMP_NEXT, "UPDATE rcpt SET next_s=?1, state_sum="                                \
	                    "checksum(number,destination,held,attempts,?1,last_reply,last_dialogue,delay_warned)"     \
	                    " WHERE next_s>?2 AND held=0 RETURNING destination")                              \
	SQL(SQL_SHIFT_ARRIVED, "UPDATE message SET arrived_s=max(0,arrived_s+?1), sum="            \
	                       MESSAGE_SUM("", "max(0,arrived_s+?1)", "extents") " WHERE " MESSAGE_OK(""))     \
	SQL(SQL_SHIFT_NEXT, "UPDATE rcpt SET next_s=max(0,next_s+?1), state_sum=checksum(number,destination,held,"  \
	                    "attempts,max(0,next_s+?1),last_reply,last_dialogue,delay_warned)"     \
	                    " WHERE state_sum=" STATE_SUM(""))                                     \
	SQL(SQL_SHIFT_OBSERVED, "UPDATE observation SET expires_s=max(0,expires_s+?1) WHERE expires_s<9223372036854775807") \
	SQL(SQL_TRIM, "DELETE FROM observation WHERE key IN (SELECT key FROM (SELECT key,row_number() OVER w AS n,"    \
	              "sum(length(CAST(key AS BLOB))+length(CAST(value AS BLOB))) OVER w AS bytes" \
	              " FROM observation WHERE key>=?1 AND key<?2 WINDOW w AS (ORDER BY expires_s DESC,key))"          \
	              " WHERE n>?3 OR bytes>?4)")                                                  \
	SQL(SQL_ADOPT, "SELECT extents,size_bytes,arrived_s FROM message")                         \
	SQL(SQL_COUNT_RCPTS, "SELECT count(*),(SELECT count(*) FROM rcpt INDEXED BY rcpt_aside WHERE held>1) FROM rcpt")      \
	SQL(SQL_VERIFY_MESSAGE, "SELECT number,id,size_bytes,extents," MESSAGE_OK("") " FROM message WHERE number>=?1" \
	                        " ORDER BY number LIMIT 1")                                        \
	SQL(SQL_VERIFY_RCPTS, "SELECT number,address,held,sum=" RCPT_SUM("") ",state_sum=" STATE_SUM("")      \
	                      " FROM rcpt WHERE number BETWEEN ?1 AND ?2")                         \
	SQL(SQL_BELOW, "SELECT EXISTS (SELECT 1 FROM message WHERE number<1) OR EXISTS (SELECT 1 FROM rcpt WHERE number<1)")   \
	SQL(SQL_REMEMBER, "INSERT INTO observation VALUES(?1,?2,?3) ON CONFLICT(key)"              \
	                  " DO UPDATE SET value=excluded.value, expires_s=excluded.expires_s")     \
	SQL(SQL_FORGET, "DELETE FROM observation WHERE expires_s<=?1")                             \
	SQL(SQL_RECALL, "SELECT key,value,expires_s FROM observation")                             \
	SQL(SQL_RECALL_SOME, "SELECT key,value,expires_s FROM observation WHERE key>?1 AND key>=?2 AND key<?3 ORDER BY key LIMIT ?4")

#define SQL_ENUM(name, text) name,
enum sql { SQL_STATEMENTS(SQL_ENUM) SQL_COUNT };

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
fault sqlite_clamp(struct store *s, int64_t now_s, int64_t latest_s, uint64_t *n_out);
fault sqlite_shift(struct store *s, int64_t by_s);
fault learn_schedule(struct store *s, struct why *why);
fault sqlite_counts(struct store *s, struct store_counts *out);
fault sqlite_glance(struct store *s, uint64_t after_number, struct arena *a, struct store_glance *out, size_t max, size_t *n_out);
fault observations_put(struct store *s, struct why *why);   /* into the transaction that is open; ... */
void  observations_forget(struct store *s);                 /* ... and when it has been committed */
fault observations_write(struct store *s, struct why *why); /* both, with a flush of their own */
fault sqlite_trim(struct store *s, struct str prefix, uint64_t most, uint64_t bytes_max, uint64_t *gone_out);
fault sqlite_remember(struct store *s, struct str key, struct str value, int64_t expires_s);
fault sqlite_recall(struct store *s, int64_t now_s, struct arena *a,
                    void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner);
fault sqlite_recall_some(struct store *s, struct str prefix, struct str after, size_t max,
                         void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner, size_t *n_out);
enum rcpt_state state_of(int held);
/* MESSAGE_FACTS from this column on, until the next step. */
struct store_message message_in_row(sqlite3_stmt *st, int at);
bool  message_show(const struct store_message *from, struct arena *a, struct store_message *out);  /* false: no room in the arena */
fault state_in_table(struct store *s, uint64_t rcpt, enum rcpt_state *out, struct why *why); /* leases and checksums apart; absent: *out stays */
/* One row of a statement with ROW_COLUMNS; false: no room in the arena. */
bool  row_rcpt(struct store *s, sqlite3_stmt *st, struct arena *a, struct store_rcpt *out);

/* ---- sqlite_act.c ---- */

fault sqlite_list(struct store *s, const struct store_selector *which, struct store_place *place, struct arena *a,
                  struct store_rcpt *out, size_t max, size_t *n_out);
fault sqlite_act_on(struct store *s, const struct store_rcpt *rows, size_t n, enum operator_action action, int64_t now_s, bool *did);
fault sqlite_act(struct store *s, const struct store_selector *which, enum operator_action action, int64_t now_s,
                 uint64_t *n_out);

#endif
