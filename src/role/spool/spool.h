/* SPDX-License-Identifier: ISC */
/*
 * role/spool/spool.h -- the role that owns the queue: what its parts share.
 *
 *   mail in
 *     ingest.c     fronts hand in messages              verify.c     would the next hop take this recipient?
 *   mail out
 *     schedule.c   what is due is leased, and made into jobs         job.c        a job from its beginning to its end
 *     shape.c      how much each destination is given   yield.c      who has kept a place for long gives way
 *     work.c       workers fetch content and report outcomes
 *   what became of it
 *     verdict.c    an outcome becomes a decision        notice.c     a decision becomes a notice to the sender
 *     audience.c   who gets that notice                 turn.c       the group commit
 *     record.c     what is committed becomes history
 *   the operator
 *     control.c    the socket, requests                 listing.c    rows of the queue, and the content of a letter
 *     actions.c    retry, hold, release, bounce, remove under_way.c  what a running action names is handed to nobody else
 *                                                                    (these four: control_inside.h)
 *     by_domain.c  how much waits for each domain       why.c        all that is known of a letter
 *     explain.c    what would be done with a letter?    recall.c     what courier and resolver have learned
 *     check.c      is all of the queue whole?
 *   kept for others
 *     observe.c    what courier and resolver have learned, over a restart of theirs or ours
 *     tls_reports.h  TLS sessions, counted and reported (tls_reports.c, tls_send.c, tls_show.c)
 *   the role itself
 *     spool.c      its hooks                            keep.c       opening the store, space, clock, tidying
 *     id.c         what letters are called
 *
 * Everything that finishes within one turn of the loop (messages, outcomes, the notices they cause) is committed
 * together at its end; only then is anybody told. Neighbours are treated as hostile: what does not fit is
 * refused or ignored, never trusted, and cannot end this role.
 *
 * Units    Queue times are seconds of keep.c's clock; waits are monotonic milliseconds of the loop.
 * Limits   the enums below.
 * Tests    test/unit/role/spool/
 */
#ifndef ROLE_SPOOL_SPOOL_H
#define ROLE_SPOOL_SPOOL_H

#include "base/list.h"
#include "base/map.h"
#include "ipc/control.h"
#include "ipc/front_spool.h"
#include "ipc/resolver.h"
#include "ipc/spool_delivery.h"
#include "mail/reply.h"
#include "mail/story.h"
#include "policy/paces.h"
#include "policy/retry.h"
#include "policy/route.h"
#include "proto/dsn/dsn.h"
#include "role/role.h"
#include "role/spool/observe.h"
#include "role/spool/shares.h"
#include "store/store.h"
#include "sys/log.h"
#include "sys/socket.h"

enum {
	SPOOL_RCPTS_MAX = 100000,        /* of one message, after aliases */
	SPOOL_ARRIVING_MAX = 200000,     /* recipients of all messages that are arriving; messages: see conf->limits */
	SPOOL_TXN_BYTES_MAX = 64 << 20,  /* envelope of one message, in memory */
	SPOOL_JOB_RCPTS_MAX = 100,       /* RFC 5321 4.5.3.1.8: every server takes so many in one transaction */
	SPOOL_LEASE_MAX = 200,           /* recipients leased at a time */
	SPOOL_TAKEN_MAX = 2000,          /* recipients that came due and are an action's: with so many nothing is leased until it has done them */
	SPOOL_LEASE_S = 600,
	SPOOL_TURNS_AT_ONCE = 4,         /* then whoever has sent something is heard */
	SPOOL_RETURN_FULL_MAX = 1 << 20, /* larger messages come back as their headers */
	SPOOL_NOTICE_BYTES_MAX = 4 << 20,
	SPOOL_RESERVE_BYTES = 32 << 20,  /* of the disk: for notices, and for delivering what is queued */
	SPOOL_RESERVE_NAMES = 200,       /* inodes */
	VERIFY_CACHE_MAX = 10000,
	VERIFY_PENDING_MAX = 200,
	EXPLAIN_MAX = 8,                 /* addresses that are being explained */
};

struct spool;

/* ---- what arrives ---- */

struct front {
	struct link in_spool;
	struct spool *spool;
	struct channel *channel;
	unsigned instance;
	struct map *txns;                /* number -> struct txn */
};

struct txn {
	struct link in_list;             /* of the spool's finished ones */
	struct front *front;             /* NULL: it went away while the commit was due */
	uint64_t number;
	uint64_t arrival;                /* spool->arrivals when it began */
	struct arena *arena;
	struct store_message message;
	struct store_rcpt *rcpts;        /* grows in malloc'd memory */
	size_t n_rcpts, cap_rcpts;
	struct store_draft *draft;
	uint64_t bytes;
	bool finished;
};

/* ---- what leaves ---- */

enum worker_kind { WORKER_COURIER, WORKER_PORTER, WORKER_KINDS };

struct worker {
	struct spool *spool;
	enum worker_kind kind;
	struct channel *channel;         /* NULL: it is being started; its jobs wait */
	bool resting;                    /* so is its successor: it gets no new jobs */
	bool stalled;                    /* it has not read what it was given ... */
	struct timer stall;              /* ... when to look again */
};

struct job {
	struct link in_spool;
	struct spool *spool;
	struct worker *worker;
	uint64_t number;
	enum job_purpose purpose;
	struct arena *arena;
	struct store_message message;
	struct route route;              /* copied: a reload may come meanwhile */
	struct str domain, key;          /* key: as leased */
	struct destination *destination; /* NULL: it is not in anybody's way */
	bool remote;                     /* counted in n_remote */
	enum pace_sign sign;             /* what its recipients have shown so far */
	int64_t began_ms;
	int64_t since_ms;                /* it has kept its place without a word of ours: yield.c */
	bool waits;                      /* its destination gets nothing now: it goes back, untried */
	struct job_rcpt { struct store_rcpt facts; bool reported, gone; } *rcpts; /* gone: somebody else has it, or it was removed */
	size_t n_rcpts;
	bool sent;                       /* the worker has it ... */
	bool stopped;                    /* ... and has been asked to stop: what it has handed over stays so */
	uint64_t offset, credit;
	bool content_over, damaged;
	bool over;                       /* the worker is done with it */
	struct whereabouts { char host[256], ip[64], doing[80]; } *where; /* as its courier told the last time; NULL: never asked */
	bool where_asked;                /* and not told yet */
	struct str story;                /* what its worker has told, on the heap ... */
	struct str story_kept;           /* ... and in the arena, for verdicts */
	unsigned verdicts;               /* of its recipients, not yet committed */
	int64_t lease_until_s;
	struct verification *verification; /* JOB_VERIFY */
	struct explanation *explanation; /* JOB_EXPLAIN */
};

/* What is to become of one recipient; waits for the end of the turn. */
struct verdict {
	struct link in_spool;
	struct job *job;                 /* counted in job->verdicts */
	struct store_rcpt *rcpt;         /* in the job's arena */
	struct arena *arena;             /* its strings, if they are not the job's */
	enum settle_kind kind;
	int64_t next_s;
	bool counts, warned;
	bool moves;                      /* only its place in the queue changes: nothing is told */
	bool stays;                      /* an operator holds it: what else was to become of it does not happen */
	struct smtp_reply reply;
	struct str line;                 /* the reply as one line, for lists */
	struct str dialogue, host, ip, protection, detail;
	struct str story;                /* of the attempt, as far as this; mail/story.h */
	bool reached;                    /* there was an attempt: level tells how it was protected */
	enum tls_level level;
	bool notify;                     /* the sender is told ... */
	bool to_postmaster;              /* ... or, where that cannot be, the postmaster ... */
	enum dsn_kind notice;            /* ... this */
	enum log_event event;
};

struct verification {
	struct link in_age;
	struct spool *spool;
	struct job *job;                 /* while it is being asked */
	struct list waiting;             /* for the answer */
	uint64_t code;
	char status[16], text[256];
	int64_t until_ms;
	size_t key_n;
	char key[];
};

struct control_session;
struct tls_reports;                      /* tls_reports.h */
struct history;
struct explanation;

struct spool {
	struct loop *loop;
	struct role_base *base;
	const struct conf *conf;
	const struct store_ops *ops;
	struct store *store;             /* NULL: it failed and is not open again yet */
	struct str directory;            /* of the open store; malloc'd */

	struct list fronts;
	size_t n_arriving;               /* recipients of messages that are not committed yet */
	uint64_t arrivals;               /* messages that have begun */
	uint64_t stirs;                  /* what fronts and workers have said */
	struct worker workers[WORKER_KINDS];
	struct channel *resolver, *keeper;
	struct list audiences;
	struct list finished;            /* txns that wait for the commit */
	struct list jobs;
	struct map *jobs_by_number;
	size_t n_jobs;
	unsigned n_remote;               /* of them, those with a host behind them */
	uint64_t next_job;
	struct paces paces;              /* of the destinations that are remembered */
	uint64_t generation;             /* of the configuration */
	unsigned probes;                 /* granted in the lease that runs, to destinations that rest */
	unsigned share;                  /* in that lease: what one destination may have in hand at most */
	int64_t give_up_shortest_s;      /* of the configuration */
	int64_t overdue_left, overdue_ms; /* recipients that may be looked at only because they have waited so long; since when */
	int64_t probes_wanted_until_ms;  /* yield.c: until then more destinations that rest want to be tried than may */
	struct timer crowd;              /* who has kept his place for long? ... */
	bool looks;                      /* ... it runs */
	unsigned said, unsaid;           /* about destinations, in this minute; unsaid: in those before, too */
	int64_t said_ms;
	struct list verdicts;

	struct later turn;
	unsigned turns_at_once;          /* since descriptors were looked at, ... */
	int64_t turned_ms;               /* ... as far as the clock tells */
	struct timer due, minute, tidy, reopen, grace, breath;
	bool commit_failed;              /* wait a little before the next attempt */
	bool is_busy;                    /* something has been committed since the last look */

	int64_t queue_ms, clock_ms;      /* keep.c: the queue's time, and the monotonic time of that */
	bool clock_told;
	int64_t clock_kept_s;            /* what is known of it in the store, for the next run */
	uint64_t bytes_free, names_free;
	uint64_t taken_since;            /* bytes that arrived since then */
	bool is_short, short_of_bytes, short_of_names;

	struct history *history;         /* NULL: the store was never open */
	bool history_failed;             /* and the log knows */

	struct acceptor *control;
	struct list controls;
	size_t n_controls, n_refusals, n_whys, n_domains_rounds;
	size_t n_taken;                  /* recipients, leased to actions: under_way.c */
	uint64_t control_owner;          /* may command us, too */
	uint64_t next_request;

	struct map *verifications;
	struct list verifications_by_age;
	size_t n_verifications, n_pending;
	struct list explanations;
	size_t n_explanations;

	struct tls_reports *tls_reports;

	struct tour tours[OBSERVERS];
	struct observed observed[OBSERVED_KINDS];
	bool observed_trouble;           /* and the log knows */

	bool draining;
	struct arena *scratch;
};

/* The role on a store of the caller's choice: spool_start() takes store_sqlite. */
struct role_base *spool_start_on(struct loop *loop, int control_fd, const struct store_ops *ops);

/* ---- keep.c ---- */
int64_t spool_now_s(struct spool *s);            /* follows the wall clock, but never jumps with it */
fault   spool_open_store(struct spool *s, struct str directory, struct why *why);
void    spool_store_failed(struct spool *s, const char *text); /* refuses, forgets, opens again later */
void    spool_look_at_space(struct spool *s);
bool    spool_has_room(struct spool *s, uint64_t more); /* for so many bytes that arrive: looks anew when it matters */
void    spool_tell_shortage(struct spool *s, struct front *f);
void    spool_keep_init(struct spool *s);
void    spool_keep_fini(struct spool *s);

/* ---- id.c ---- */
void spool_new_id(char out[STORE_ID_MAX]);       /* base 32, by time, then at random; NUL-terminated */
bool spool_is_id(struct str text);               /* it looks like one of those */

/* ---- ingest.c ---- */
void spool_front_add(struct spool *s, unsigned instance, int fd);
void spool_front_drop(struct front *f);
void spool_txn_answer(struct txn *t, struct spool *s, fault result); /* after the commit; frees it */
void ingest_abandon(struct spool *s);            /* the store is gone: every draft with it */

/* ---- schedule.c ---- */
#define EXPANDED_KEY "expanded" /* the destination of recipients that others stand for */
/* Where a recipient of this message goes now: one who comes in, and one of the queue, whom no `hold` line takes once an operator has
 * released them. key lives in the arena. */
struct route spool_route(struct spool *s, const struct store_message *m, struct str address, struct arena *a,
                         struct str *domain_out, struct str *key_out);
struct route spool_route_of(struct spool *s, const struct store_message *m, const struct store_rcpt *r, struct arena *a,
                            struct str *domain_out, struct str *key_out);
void spool_schedule(struct spool *s);            /* leases what is due and hands it out */
bool spool_copy_rcpt(struct arena *a, struct store_rcpt *to, const struct store_rcpt *from); /* false: no room */
/* Leased rows go back to their senders in this turn. */
fault spool_return_claimed(struct spool *s, const struct store_rcpt *rows, size_t n, const struct smtp_reply *reply);

/* ---- job.c ---- */
struct job *spool_job_new(struct spool *s, enum job_purpose purpose, struct arena *arena);
void spool_job_send(struct job *j);                    /* when its worker is there */
bool spool_job_still_holds(struct job *j, int64_t until_s); /* renews its leases; false: it has none any more */
void spool_job_release(struct job *j);                 /* tells the worker to stop */
void spool_job_free_if_done(struct job *j);
void spool_job_end(struct job *j);                     /* its slot is free; what has no outcome is queued again */
void spool_job_put_back(struct job *j, const char *text); /* that, for one that has not been tried: in a moment */
void spool_job_unlease(struct job *j);                 /* the same without a trace: its recipients are as they were */
void spool_route_anew(struct spool *s);          /* those that no worker has: a new configuration may lead them elsewhere */
void spool_forget_jobs(struct spool *s);         /* the store is gone */
/* The destination that this recipient is on its way to, which may be another than its row has it for; else `otherwise`. */
struct str spool_key_in_hand(const struct spool *s, struct str id, uint64_t rcpt, struct str otherwise); /* id: STR_NONE if unknown; slower */
void spool_stop_unwanted_jobs(struct spool *s);  /* an operator took recipients away, or holds them */
/* Asks couriers how far they are with this letter, or with those to this recipient; their answers come later. */
void spool_ask_where(struct spool *s, const struct store_selector *which);
bool spool_where_is_awaited(const struct spool *s, const struct store_selector *which); /* until all have told, or are gone */
const struct whereabouts *spool_where(const struct spool *s, const struct store_rcpt *r); /* NULL: not known */
bool spool_rcpt_is_open(const struct job_rcpt *r);      /* its outcome is awaited */
/* A worker has been handed all of its message: nobody here can say how much of that has gone out. */
bool spool_is_on_the_way(const struct spool *s, const struct store_rcpt *r);
void spool_watch_leases(struct spool *s);        /* now and then */

/* ---- shape.c ---- */
/* How a destination is served now. */
struct shape_view {
	unsigned in_hand, allowance, ceiling; /* transactions at a time */
	uint64_t rate;                   /* at most so many ... */
	int64_t rate_s;                  /* ... in so many seconds; 0: no such limit */
	int64_t wait_s;                  /* until its rest is over, or its rate has room again; 0: neither keeps it */
	bool rests;                      /* after failures, or one letter tries whether it answers again */
	char why[300];                   /* in words, or "" */
};
/* key: a recipient's, as it is in the store. False: nothing is in hand, and nothing is known but its limits. */
bool spool_shape_of(struct spool *s, struct str key, struct shape_view *out);
enum { SHAPE_WORDS_MAX = 400 };                  /* octets that it may take, with its NUL: */
/* What this letter waits for besides its own time, "its destination: ...", or "". */
void spool_waits_for(struct spool *s, const struct store_rcpt *r, char *to, size_t room);
struct store_room shape_room(struct spool *s);   /* for the store */
/* For one more, in the lease that runs: by what it is allowed, and by its share as it was when the lease began. The rooms of the lanes
 * hold for the whole lease; a letter that is routed elsewhere than when it was queued keeps the place that it was leased with. */
bool shape_has_room(struct spool *s, struct str key);
void shape_enter(struct job *j);                 /* it takes a place at its destination */
void shape_leave(struct job *j);                 /* harmless if it has none */
void shape_note(struct job *j, enum outcome_class outcome, const struct smtp_reply *reply);
void shape_wait(struct job *j);                  /* its recipients go back, untried; the job ends with that */
void shape_route_anew(struct spool *s);          /* a new configuration */
void shape_end_rest(struct spool *s, struct str key, int64_t until_ms); /* if it began until then: an operator wants to see what happens */
void shape_init(struct spool *s);
void shape_fini(struct spool *s);

/* ---- under_way.c ---- */
/* This one, just leased, is what an action under way was going to do: it has it now, and does it. */
bool action_takes(struct spool *s, const struct store_message *m, const struct store_rcpt *r);
void action_saw_commit(struct spool *s, const struct txn *t); /* it came in */
void action_forget_taken(struct spool *s);       /* the store is gone, and all leases with it */
/* Does it wait for an action under way? In words. */
bool action_waits_for(const struct spool *s, const struct store_message *m, const struct store_rcpt *r, char *to, size_t room);

/* ---- yield.c ---- */
void yield_watch(struct spool *s);               /* after each lease: does anything wait for a place? */
void yield_probes_wanted(struct spool *s);       /* more destinations that rest are to be tried than may be at a time */
void yield_init(struct spool *s);
void yield_fini(struct spool *s);

/* ---- work.c ---- */
void spool_worker_link(struct spool *s, enum worker_kind kind, int fd);
void spool_worker_init(struct worker *w, struct spool *s, enum worker_kind kind);
void spool_worker_fini(struct worker *w);
bool spool_worker_takes_more(struct worker *w);  /* false: once it does, its jobs go on by themselves */
void spool_worker_send_jobs(struct worker *w);   /* those that have waited for it */

/* ---- verdict.c ---- */
struct outcome_facts {
	enum outcome_class class;
	struct smtp_reply reply;
	struct str host, ip, dialogue, protection, detail;
	enum tls_level level;
	bool next_hop_notifies;
};
void verdict_on_outcome(struct job *j, size_t index, const struct outcome_facts *o);
void verdict_later(struct job *j, size_t index, const char *text, int64_t next_s); /* 0: by the retry list */
void verdict_again(struct job *j, size_t index, const char *text); /* there was no attempt: in a moment, and not counted as one */
void verdict_wait(struct job *j, size_t index, const char *text);  /* that, and behind those that are due now */
void verdict_hold(struct job *j, size_t index, const char *text);
void verdict_stopped(struct job *j, size_t index);  /* because an operator asked for it: due now, unless he holds it */
bool verdict_is_delivery(const struct verdict *v);
void verdict_heed_hold(struct verdict *v, bool is_held); /* by the operator, who may have changed his mind since the last time */
void verdict_expanded(struct job *j, size_t index); /* there is nothing to deliver, but to tell */
void verdict_return(struct job *j, size_t index, const struct smtp_reply *reply); /* to the sender, now */
void verdict_free(struct verdict *v);

void verdict_give_up(struct verdict *v);         /* the notice it wants can be sent to nobody */

/* ---- audience.c ---- */
struct audience_member { struct str address, original; };
/* Who is told what a sender is told; "" : the postmasters. F_BUSY: the keeper has been asked, and its answer brings
 * a new turn. OK with none: there is nobody. The members live until the turn ends. */
fault audience_find(struct spool *s, struct str sender, const struct audience_member **members_out, size_t *n_out);
void  audience_link(struct spool *s, int fd);
void  audience_watch(struct spool *s);
void  audience_forget(struct spool *s);

/* ---- notice.c ---- */
/* Builds the notices that these verdicts (all of one message) cause. F_ABSENT: none is wanted. */
struct notice {
	struct store_commit commit;
	char id[STORE_ID_MAX];
	struct str to;                   /* for the log */
};
fault notice_build(struct spool *s, struct verdict *const *verdicts, size_t n, struct arena *a, struct notice *out);
/* Is it known who is to be told? F_BUSY: not yet. Where the sender is nobody, it becomes the postmaster's. */
fault notice_is_ready(struct spool *s, struct verdict *v);
/* Was this recipient a postmaster of ours? Then there is nobody left to tell. */
bool  notice_was_for_postmaster(const struct spool *s, const struct store_rcpt *r);

/* ---- record.c ---- */
void record_open(struct spool *s);               /* and again, after a new configuration */
void record_tidy(struct spool *s);
void record_flush(struct spool *s);              /* at the end of a turn */
void record_close(struct spool *s);
/* Outcomes that were committed. */
void record_verdicts(struct spool *s, struct verdict *const *verdicts, const struct store_outcome *outcomes, size_t n);
void record_held(struct spool *s, const struct store_message *m, const struct store_rcpt *rcpts, size_t n); /* those of them */
void record_action(struct spool *s, const struct store_rcpt *rows, size_t n, enum operator_action action); /* just before it is done */

/* ---- turn.c ---- */
void spool_turn_soon(struct spool *s);
void spool_turn_now(struct spool *s);

/* ---- verify.c ---- */
void verify_ask(struct front *f, uint64_t request, struct str address, struct str sender);
void verify_outcome(struct job *j, enum outcome_class class, const struct smtp_reply *reply);
void verify_forget_front(struct front *f);
void verify_watch(struct spool *s);              /* now and then: questions that nobody answers */
void verify_fini(struct spool *s);

/* ---- explain.c ---- */
/* Called once, perhaps within explain_ask, which then gives NULL. The story lives until it returns. status: of the command. */
typedef void explained(void *owner, struct str story, int status, const char *text);
struct explanation *explain_ask(struct spool *s, struct str address, struct str sender, explained *tell, void *owner);
void explain_cancel(struct explanation **e);     /* nobody wants to know any more */
void explain_keeper_says(struct spool *s, unsigned kind, const void *msg);
void explain_keeper_came(struct spool *s);       /* a new one: it is asked again */
void explain_story(struct job *j, struct str text);
void explain_outcome(struct job *j, const struct from_worker_outcome *m);
void explain_interrupted(struct job *j);         /* the courier is done, or gone: the job's one recipient counts as reported */
void actions_end_for_stop(struct spool *s);      /* where they are, and they say so: the server stops */
void explain_stop(struct spool *s);              /* all of them: the server stops */

/* ---- control.c ---- */
void control_listen(struct spool *s, int fd, uint64_t owner);
void control_status(struct spool *s, uint64_t request, struct str json);
void control_reloaded(struct spool *s, uint64_t request, bool ok, struct str errors);
void control_fini(struct spool *s);
/* The reader sets the pace: nothing piles up for one who does not read. */
bool control_takes_more(const struct channel *operator);

/* ---- listing.c ---- */
struct json_t;
struct json_t *control_recipient(struct spool *s, const struct store_message *m, const struct store_rcpt *r); /* all about one that waits */

/* ---- why.c ---- */
struct json_t *control_story_line(struct story_line line); /* with its kind */
struct why_round;
struct why_round *why_begin(struct spool *s, struct channel *to, const struct store_selector *which);
/* A little of it; false: it is over, and the status and the last words are there. */
bool why_some(struct why_round *w, int *status_out, struct why *last_words);
void why_end(struct why_round **w);

/* ---- tls_show.c ---- */
struct report_round;
/* domain: "" for all; documents: the reports themselves. */
struct report_round *report_begin(struct spool *s, struct channel *to, struct str domain, bool documents);
/* A little of it; false: it is over, and the status and the last words are there. */
bool report_some(struct report_round *w, int *status_out, struct why *last_words);
void report_end(struct report_round **w);

/* ---- recall.c ---- */
struct memories_round;
struct memories_round *memories_begin(struct spool *s, struct channel *to, struct str wanted); /* a prefix, or empty */
/* A little of it; false: it is over, and the status and the last words are there. */
bool memories_some(struct memories_round *r, int *status_out, struct why *last_words);
void memories_end(struct memories_round **r);

/* ---- check.c ---- */
struct check_round;
struct check_round *check_begin(struct spool *s, struct channel *to);
/* A little of it; false: it is over, and the status and the last words are there. */
bool check_some(struct check_round *c, int *status_out, struct why *last_words);
void check_end(struct check_round **c);
/* This row is not what was committed: it goes nowhere from now on. */
fault check_set_aside(struct spool *s, const struct store_rcpt *r, struct why *why);

#endif
