/* SPDX-License-Identifier: ISC */
/*
 * cmd/load/load.h -- what the files of `sealpost load` share.
 *
 *     load.c           options, and whether we may
 *     split.c          several processes: shares and sums
 *     run.c            who opens a connection when, and what is counted; warm-up, end, progress
 *     gather.c         all connections first: nobody sends before
 *     visit.c          one connection: socket, TLS, buffers
 *     dialogue.c       what it says and what it makes of the answers
 *     message.c        addresses and content
 *     report.c         the result, as text and as JSON
 *
 * A message counts when its final 250 (in LMTP: all of them) has been read.
 *
 * Units    Times are microseconds of clock_ticks_us where their name says so, else the loop's milliseconds.
 * Limits   LOAD_*_MAX; what a server answers, as in proto/smtp/reply_parser.h.
 * Tests    test/scenario/load_sink_test.py, test/unit/base/histogram_test.c
 */
#ifndef CMD_LOAD_LOAD_H
#define CMD_LOAD_LOAD_H

#include "base/histogram.h"
#include "base/list.h"
#include "proto/sasl/client.h"
#include "proto/smtp/reply_parser.h"
#include "sys/loop.h"
#include "sys/socket.h"
#include "tls/tls.h"

enum {
	LOAD_CONNECTIONS_MAX = 100000,
	LOAD_PROCESSES_MAX = 64,
	LOAD_RCPTS_MAX = 1000,
	LOAD_SIZE_MAX = 1 << 30,
	LOAD_PATTERNS_MAX = 100,
	LOAD_PATTERN_BYTES_MAX = 128,
	LOAD_CHALLENGE_MAX = 12288,
};

enum load_tls { LOAD_IMPLICIT, LOAD_STARTTLS, LOAD_CLEAR };

struct load_plan {
	struct endpoint server;
	const char *server_text;
	struct str host;                     /* of it, for SNI */
	enum load_tls tls;
	bool resume, pipelining, lmtp, hold, json, quiet;
	struct str user, password, mechanism, helo;
	struct str from;                     /* patterns, see message.c */
	struct str to[LOAD_PATTERNS_MAX];
	size_t n_to;
	unsigned connections, opening, rcpts, processes;
	uint64_t per_connection;             /* 0: no end; of one that is held: none */
	uint64_t size;
	uint64_t count;                      /* messages, without the warm-up; 0: as long as duration_ms */
	int64_t duration_ms, warm_up_ms, patience_ms;
	int64_t gather_ms;                   /* how long to wait until all connections stand (gather.c); 0: each sends at once */
};

/* What ended a message other than a reply. */
enum load_loss { LOSS_CONNECT, LOSS_TLS, LOSS_CLOSED, LOSS_TIME, LOSS_PROTOCOL, LOSS_LOGIN, LOSSES };

struct load_tally {
	uint64_t accepted;                   /* in the time that is measured */
	uint64_t accepted_in_all;            /* with warm-up and what came in after the end */
	uint64_t rcpts, octets;              /* of those accepted in the time that is measured */
	uint64_t refused[600];               /* messages, by the code that refused them */
	uint64_t rcpts_refused[600];
	uint64_t lost[LOSSES];
	uint64_t opened, handshakes, resumed;
	uint64_t gather_lost[LOSSES];        /* connections, before the first message */
	unsigned stood;                      /* when it began */
	int64_t gathered_us;                 /* how long that took */
	struct histogram dot_us;             /* from the dot to the 250 */
	char tls[120];                       /* as agreed on last */
	char first_refusal[400];             /* the first reply that was none of the hoped-for */
	bool pipelining_missed;
	int64_t begun_us, ended_us;          /* the time that is measured */
	uint64_t cpu_us;
};

struct visit;

struct load {
	const struct load_plan *plan;
	unsigned process;                    /* which one of several */
	struct load_tally tally;
	struct loop *loop;
	struct tls_client *tls;
	struct slot *slots;
	struct list waiting;                 /* slots that want to open a connection */
	unsigned opening, busy, held;
	unsigned not_held;                   /* lost, of those that were to be held */
	uint64_t begun, finished;            /* messages; begun is the number of the next one */
	uint64_t warm_up_messages;           /* begun in the warm-up: they are not part of count */
	bool gathering, warm, over, held_told;
	unsigned standing;                   /* while it gathers */
	int64_t started_us;
	struct timer warm_up, end, tick, gather_end;
	struct later all_stand;
	struct buf body;                     /* see message.c */
	char date[64];                       /* its header line */
	uint64_t told;                       /* of finished, by the last word on progress */
	int64_t told_us;
};

/* A place for one connection after the other. */
struct slot {
	struct link waits;
	struct load *load;
	unsigned number;
	struct visit *visit;
	struct tls_ticket *ticket;
	struct timer again;
	bool is_open, is_held;
	bool is_out;                         /* did not stand in time: see gather.c */
};

/* run.c */
void load_run(struct load *load);
bool load_wants_more(const struct load *load);          /* may another message begin? */
uint64_t load_begin_message(struct load *load);         /* its number */
void load_accepted(struct load *load, int64_t dot_us, size_t rcpts, uint64_t octets);
void load_refused(struct load *load, const struct smtp_reply *reply);
void load_lost(struct load *load, enum load_loss how, const char *words);
void load_note_refusal(struct load *load, const struct smtp_reply *reply); /* for people: the first of all */
void load_refused_rcpt(struct load *load, const struct smtp_reply *reply);
void load_is_open(struct slot *slot);                   /* the connection stands, and the server has said what it offers */
void load_is_held(struct slot *slot);                   /* it has sent what it should, and waits */
void load_visit_over(struct slot *slot, bool failed);
void load_begin(struct load *load);                     /* the warm-up, if there is one, else what is measured */
void load_end(struct load *load);                       /* once what is under way is done */

/* gather.c */
void gather_begin(struct load *load);
void gather_stands(struct load *load);                  /* one more */
void gather_forget(struct load *load);

/* visit.c */
struct visit *load_visit_new(struct slot *slot);             /* load_visit_over follows, never at once */
void load_visit_free(struct visit **v);
bool load_visit_stands(const struct visit *v);            /* open, and without a message */
void load_visit_begin(struct visit *v);                   /* the first message of one that stands */
void load_visit_stop(struct visit *v);                    /* unless a message is under way */
void load_visit_sweep(struct visit *v, int64_t now_ms);      /* has it waited too long? */

/* message.c */
void message_prepare(struct load *load);
/* A pattern with %m (the message's number), %c (the connection's), %r (the recipient's): %100m counts from 0 to 99, again and again. */
bool pattern_is_good(struct str pattern);
MUST_USE fault pattern_put(struct buf *out, struct str pattern, uint64_t message, unsigned connection, unsigned rcpt);
MUST_USE fault message_put_header(const struct load *load, struct buf *out, uint64_t message, unsigned connection);
/* How long the body behind such a header is, and a piece of it. */
uint64_t message_body_octets(const struct load *load, size_t header_octets);
struct str message_body(const struct load *load, uint64_t octets, uint64_t from);

/* split.c: as load_run, in as many processes as the plan has; OK: the tally is the sum of theirs. */
MUST_USE fault load_run_split(struct load *load, struct load_plan *plan);

/* report.c */
void load_report_gathered(const struct load *load);     /* how many stand; from now on they send */
void load_report_held(const struct load *load);         /* how many are held, once each is or is lost */
void load_report(const struct load *load);
int load_status(const struct load *load);

#endif
