/* SPDX-License-Identifier: ISC */
/*
 * role/courier/courier.h -- what the files of the courier share.
 *
 *     courier.c   the role: links, configuration, trust anchors, the list of jobs and of kept connections
 *     job.c       one job: from JOB to DONE, target after target
 *     target.c    where a job goes: MX, relay hosts, LMTP server, and their addresses
 *     publish.c   what is published about these hosts (TLSA, MTA-STS), and what it demands
 *     memory.c    what domains and hosts have shown before
 *     knock.c     who may connect now, and who waits for what
 *     door.c      which addresses answer
 *     visit.c     one connection and what is done over it: protection, login, one transaction after another
 *     tell.c      outcomes for the spool, lines for the log
 *     report.c    outcomes of TLS sessions, for reports to the domains
 *     evidence.c  the same as a story: what was found, decided and tried
 *
 * A job owns its arena; a visit owns its connection and outlives the job when it is kept for the next one. Nothing of the
 * configuration is kept by a job: a reload may come at any time.
 *
 * Tests    test/unit/role/courier
 */
#ifndef ROLE_COURIER_COURIER_H
#define ROLE_COURIER_COURIER_H

#include "base/list.h"
#include "base/map.h"
#include "ipc/courier_keeper.h"
#include "ipc/resolver.h"
#include "ipc/spool_delivery.h"
#include "mail/envelope.h"
#include "mail/story.h"
#include "policy/mx.h"
#include "policy/protection.h"
#include "policy/route.h"
#include "proto/dane/dane.h"
#include "proto/mtasts/mtasts.h"
#include "role/courier/knock.h"
#include "role/courier/memory.h"
#include "role/hop.h"
#include "role/role.h"

enum {
	COURIER_VISITS_MAX = 1500,       /* connections at a time, kept ones and DOORS_KNOCKS_MAX included */
	COURIER_KEPT_MAX = 100,
	COURIER_KEPT_MS = 30 * 1000,
	COURIER_TRIM_MS = 5 * 1000,      /* after a connection has ended: until what is free in the heap goes back */
	COURIER_LETTERS_PER_VISIT = 100,
	COURIER_RENEW_MS = 15 * 1000,
	COURIER_LOOKUP_MS = 120 * 1000,  /* for all names of one job */
	COURIER_KEEPER_MS = 30 * 1000,
	COURIER_JOBS_MAX = 5000,
	COURIER_RCPTS_MAX = 10000,       /* of one job */
	REPLY_TEXT_ROOM = 2048,          /* of a reason that is kept */
	COURIER_TARGETS_MS = 10 * 60 * 1000, /* no further target is tried after this */
	COURIER_TLSA_MAX = 64,           /* records of one host that are looked at */
	COURIER_RCPT_BYTES_MAX = 6 << 20, /* of a job: addresses */
};

/* A set of trust anchors; jobs and visits hold it over a reload. */
struct trust { unsigned refs; struct tls_client *client; bool empty, told; struct str ca_path; };

struct courier {
	struct role_base *base;
	struct loop *loop;
	const struct conf *conf;             /* NULL before the first generation */
	uint64_t generation;                 /* how many there have been */
	struct channel *spool, *keeper, *resolver;
	struct map *jobs;                    /* by the spool's number */
	struct list in_hand;                 /* every job */
	struct doors doors;
	struct list opening;                 /* doors: jobs that wait there may go on */
	struct list knocks;                  /* visits that nobody has answered, the oldest first */
	struct list waiting;                 /* jobs that wait for a connection to end, ... */
	struct list crowd;                   /* ... for a knock to end, ... */
	struct list unasked;                 /* ... for the resolver to answer others */
	struct list visits, kept;            /* busy ones, and those between two jobs */
	size_t n_visits, n_kept;
	struct map *asks, *logins, *unix_asks; /* by our own numbers */
	uint64_t next_number;
	struct map *ca_texts, *ca_coming;    /* path -> struct buf: of this generation, of the coming one */
	struct trust **trusts;
	size_t n_trusts;
	struct map *seen, *shapes;           /* memory.c's: by domain, by host */
	struct later more;                   /* something has ended: who waits may go on */
	struct timer renew, grace, look, trim;
	bool looks, will_trim;           /* the timer runs */
	bool draining, rested;           /* rested: the spool has heard the last of us */
	uint64_t n_attempts;
};

struct job_rcpt {
	uint64_t index;
	struct str address, orcpt;
	unsigned notify;
	bool told;
};

struct job_host {
	struct str name;
	uint16_t port;
	struct mx_address addresses[16];
	size_t n_addresses;
	/* What is published about it; only for hosts of MX records, or of none (publish.c). */
	unsigned awaited;         /* addresses that were asked for and have not come */
	struct dane_host dane;
	struct dane_bases bases;
	struct dane_answer tlsa[DANE_BASES_MAX];
	size_t n_tlsa;            /* bases that were asked */
	struct str *rdata;        /* of the base that is being asked */
	size_t n_rdata;
	bool rdata_lost;          /* some of them: there was no room */
	const struct dane_judgement *judged; /* NULL: DANE has no say */
	struct protection protection;
	bool told;                /* in the story */
};

/* How the connection must be protected. */
struct demand {
	enum tls_level level;
	enum protection_proof proof;
	bool may_go_clear;        /* where TLS is not to be had */
	bool requires_keyword;    /* the server must offer REQUIRETLS */
};

struct target {
	struct str host;          /* for people, and the name in the certificate */
	struct endpoint at;
	struct demand demand;
	struct job_host *published; /* NULL but for hosts of MX records */
};

struct job {
	struct link in_courier, in_waiting;  /* in_waiting: in one of the courier's lists, or at a door */
	struct courier *courier;
	struct arena *arena;
	uint64_t number;
	enum job_purpose purpose;
	enum route_kind kind;
	struct str id, name, domain, sender, envid;
	struct mail_params params;
	uint64_t attempt;
	int64_t arrived_s, began_ms;
	int64_t waits_since_ms;
	bool waits;                          /* at the door of the target, since then */
	struct job_rcpt *rcpts;
	size_t n_rcpts, rcpts_room, rcpt_bytes;
	bool going, released;
	unsigned gave_way;        /* so often */

	/* how: copied from the configuration */
	uint64_t generation;      /* which one that was */
	enum tls_level level;     /* that the configuration asks for */
	bool lmtp, implicit, allow_loopback, direct;
	bool login, excepted;
	enum tls_level exception; /* where excepted */
	unsigned family;
	uint16_t port;
	struct trust *trust;      /* NULL where the configuration asks for no TLS */
	struct str ehlo;

	/* where */
	size_t open_asks;
	struct timer lookup_timer;
	struct mx_record *mx;
	size_t n_mx;
	bool full;                /* answers were lost: the arena had no room for them */
	bool implicit_mx, dns_trouble, name_missing, refused_loopback, refused_by_policy;
	bool mx_secure;           /* the MX records, or that there are none */
	bool unvalidated;         /* nothing can be validated: that something is not secure says nothing */
	struct str mx_canonical;
	struct sts {
		bool asked, in_force, trouble;
		bool unknown;           /* nobody could say: the letter waits */
		bool no_record;         /* the DNS failed: where the MX records are signed, the same */
		enum mtasts_mode mode;
		enum sts_trouble cause; /* of the trouble */
		uint64_t max_age_s;
		struct str mx, id, text;
	} sts;
	char dns_words[200];
	struct mx_plan plan;
	struct job_host *hosts;   /* made when it is known how many there may be */
	size_t n_hosts, hosts_room;
	struct target *targets;
	size_t n_targets, at;
	bool in_clear;            /* this target is tried in clear: its handshake failed */
	unsigned shape;           /* of the hello to this target: tls/tls.h */
	bool may_mend;            /* a host failed for a reason that has nothing to do with what REQUIRETLS demands */

	/* the visit and the transaction */
	struct visit *visit;
	struct smtp_transaction txn;
	struct smtp_client_rcpt *txn_rcpts;
	size_t *txn_index;        /* of the transaction's recipients in rcpts */
	bool in_txn, held;        /* held: some recipients wait for another target */
	bool body_begun, body_whole, body_came, body_said;
	size_t body_wanted;       /* asked for and not come yet */
	struct buf body;
	struct smtp_reply last;   /* why the last target failed */
	struct buf last_text;
	struct str last_host, last_ip;

	/* the evidence */
	struct story story;
	size_t story_told;        /* bytes of it that the spool has */
	const struct visit *story_visit;  /* the last one that is in it */
};

struct visit {
	struct link in_courier, in_knocks;
	struct courier *courier;
	struct job *job;          /* NULL: kept */
	struct hop *hop;
	struct trust *trust;
	struct str key;           /* what may be shared: address, name, protection, login */
	struct str host;
	struct job_host *published; /* as the target's; while the job is in hand */
	char ip[64], source[64];  /* theirs and ours, once connected */
	struct demand demand;
	struct tls_wish wish;     /* points into the job and the target: for the handshake alone */
	struct str also[DANE_ALSO_MAX];
	bool reused, in_clear, tls_refused, logged_in, kept;
	struct str tls_story;     /* kept: what evidence.c tells of its TLS */
	bool connected;           /* somebody answered: there is something to tell of the connection */
	struct endpoint at;
	struct door *door;        /* while it knocks */
	bool knocks, knocks_counted; /* nobody has said a word yet */
	int64_t knocks_since_ms;
	bool reported;            /* the outcome of its TLS session is told */
	bool may_mend;            /* it had no TLS this time: nobody has said that it cannot */
	unsigned letters;
	uint64_t login, unix_ask; /* open questions to keeper and supervisor */
	struct timer timer;       /* idle, or the keeper's answer */
};

/* job.c */
void job_take(struct courier *c, const struct worker_job *m);
void job_add_rcpt(struct courier *c, const struct worker_rcpt *m);
void job_go(struct job *j);
void job_take_body(struct job *j, struct str bytes);
void job_body_ends(struct job *j, bool whole);
void job_release(struct job *j);
void job_tell_where(const struct job *j);         /* how far it is, for an operator */
void job_give_way(struct job *j);                 /* it takes long, and others wait for its place */
void job_free(struct job *j);                     /* says nothing to the spool */
void job_next(struct job *j);                     /* the target at j->at, or the end */
void job_fail_all(struct job *j, enum outcome_class outcome, const struct smtp_reply *why); /* and it is over */
void job_begin_letter(struct job *j);             /* the visit is ready for a transaction */
void job_explained(struct job *j);                /* the same: as far as that an explanation would get; the visit is free again */
void job_rcpt_event(struct job *j, const struct smtp_client_event *e);
void job_letter_done(struct job *j);
void job_visit_ready_again(struct job *j);        /* after a transaction that others may still carry */
void job_visit_unfit(struct job *j, const struct smtp_reply *why); /* others may use the connection */
enum protection_wish job_wish(const struct job *j);
bool job_is_hopeless(const struct job *j);         /* no host can do what REQUIRETLS demands, and waiting would not teach one */
void job_visit_failed(struct job *j, const struct smtp_reply *why, bool tls);
void job_give_body(struct job *j);

/* target.c */
void targets_find(struct job *j);
void targets_answer(struct courier *c, unsigned kind, const void *msg); /* from the resolver */
void targets_resolver_gone(struct courier *c);
void targets_forget(struct job *j);
void targets_ask(struct job *j, enum dns_kind kind, struct str name, size_t host);
void targets_policy_unknown(struct job *j, struct str text);
void targets_too_much(struct job *j, struct str name);  /* there is no room for what is said of it: the letter waits */

/* publish.c */
void publish_address_answered(struct job *j, size_t host, enum dns_kind kind, const struct resolved_end *m);
void publish_take_record(struct job *j, size_t host, struct str rdata);      /* TLSA */
void publish_answered(struct job *j, size_t host, enum dns_kind kind, const struct resolved_end *m); /* TLSA, CNAME */
void publish_take_policy(struct job *j, const struct resolved_policy *m);
void publish_decide(struct job *j, size_t host);    /* when all is known: host->protection */
void publish_wish(const struct job *j, const struct target *t, struct tls_wish *wish, struct str also[DANE_ALSO_MAX]);

/* visit.c */
bool visit_start(struct job *j, const struct target *t, struct passing *why_out); /* false: not now */
void visit_give_up(struct visit *v, int64_t after_ms); /* nobody answers, and others wait */
void visit_give_way(struct visit *v, int64_t after_ms); /* that, for an attempt that has lasted so long */
void visit_put_ip(const struct target *t, char ip[64]);
void visit_free(struct visit *v);                 /* the connection is dropped */
void visit_keeper_says(struct courier *c, unsigned kind, const void *msg);
void visit_keeper_gone(struct courier *c);
void visit_unix_connected(struct courier *c, uint64_t request, int fd, const char *error);
unsigned visit_next_shape(const struct visit *v);    /* TLS_SHAPES: a smaller hello would not help */
enum tls_level visit_level(const struct visit *v);  /* that was reached */
void visit_end_kept(struct courier *c);           /* says QUIT on every kept connection */

/* tell.c */
void tell_outcome(struct job *j, size_t rcpt, enum outcome_class outcome, const struct smtp_reply *reply);
void tell_host_failed(struct job *j, const struct visit *v, const struct smtp_reply *why);
void tell_downgrade(const struct job *j, const struct visit *v);
void tell_below(const struct job *j, const struct visit *v, enum tls_level best);

/* report.c */
void report_route(struct job *j);                  /* when the targets are known: hosts that must not be used */
void report_connected(struct visit *v);
void report_open(struct visit *v);                 /* the handshake is over */
void report_failed(struct visit *v, const char *words);
void report_clear(struct visit *v);                /* there is no TLS to be had */

/* evidence.c */
void evidence_route(struct job *j);                /* when the targets are known */
void evidence_visit(struct job *j, struct visit *v); /* once for each: how it is protected */
void evidence_failed(struct job *j, struct visit *v, const struct smtp_reply *why);
void evidence_passed_by(struct job *j, const struct target *t, struct str ip, const struct smtp_reply *why);
void evidence_send(struct job *j);                 /* what the spool does not have yet */

/* courier.c */
void courier_job_over(struct job *j);             /* frees it; somebody who waits may go on */
void courier_trim_soon(struct courier *c);        /* something large is gone */
struct trust *trust_hold(struct trust *t);
void trust_drop(struct trust *t);
struct trust *courier_trust(struct courier *c, struct str ca_path);
void trust_is_needed(struct trust *t);            /* a name must be proven: tells once if no anchor is there */

#endif
