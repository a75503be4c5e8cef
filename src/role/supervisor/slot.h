/* SPDX-License-Identifier: ISC */
/*
 * role/supervisor/slot.h -- one place for a role's process: running, dead, or on its way.
 *
 * Tests    test/unit/role/bound_test.c, test/scenario/reload_test.py
 */
#ifndef ROLE_SUPERVISOR_SLOT_H
#define ROLE_SUPERVISOR_SLOT_H

#include "ipc/supervisor.h"
#include "role/supervisor/load.h"
#include "role/supervisor/supervisor.h"
#include "sys/channel.h"
#include "sys/log.h"
#include "sys/process.h"

enum role_kind { ROLE_KEEPER, ROLE_RESOLVER, ROLE_SPOOL, ROLE_COURIER, ROLE_PORTER, ROLE_FRONT, ROLE_KINDS };

enum { FRONTS_MAX = 64, SLOTS_MAX = ROLE_FRONT + FRONTS_MAX, STAGES = 3 };

enum { ACCOUNT_NAME_MAX = 128 };
struct account { char name[ACCOUNT_NAME_MAX]; uint32_t uid, gid; };

/* What a role is started with, beside its name: a process cannot get another account or other folders later. */
struct terms {
	struct arena *arena;
	bool has_account;                    /* else: the caller's */
	struct account account;
	const char **folders;                /* sorted, each once */
	size_t n_folders;
};

/* One generation of the configuration, as it was read. */
struct generation {
	uint64_t number;
	int64_t read_s;                /* by the wall clock; what has changed since is not in it */
	struct conf_texts *texts;
	struct conf *conf;
};

struct slot {
	struct supervisor *sv;
	enum role_kind kind;
	unsigned instance;
	struct child *child;
	struct channel *control;
	int pid;
	const char *parting_words;     /* why the control channel was closed; static text */
	bool running, drained;
	struct terms terms;            /* of the process that runs */
	bool replaced;                 /* it makes room for one with other terms: first it ends what it has in hand ... */
	bool told_to_end;              /* ... then its life */
	struct timer rest;             /* but not after this */
	uint64_t offered, accepted;    /* generation numbers; 0: none */
	unsigned restarts, deaths_in_a_row;
	int64_t started_ms;
	struct timer restart;
	int64_t offered_ms, heard_ms;  /* since then it has said that it gets on */
	struct timer ready;            /* what was offered is to be taken within a time */
	uint16_t links[IPC_ARROW_COUNT][FRONTS_MAX]; /* how many this process was given, by the neighbour's instance */
	char *status;                  /* the role's answer to the status question in hand */
};

/* A link whose ends both live; it is made again in a moment. */
struct broken_link { struct slot *from, *to; enum ipc_arrow arrow; int from_pid, to_pid; uint16_t links; };

/* What a front counts on; map: ours, to wipe it. */
struct shared_page { int write_fd, read_fd; void *map; };

/* A listening socket, kept over generations so that nobody is turned away by a reload. */
struct bound {
	struct link in_supervisor;
	struct str on;                 /* the endpoint's text, owned */
	int fd;
};

struct supervisor {
	struct loop *loop;
	struct supervisor_options options;
	struct account accounts[ROLE_KINDS]; /* as they were at the start; name "": there is none */
	struct generation current, coming;   /* number 0: none */
	uint64_t last_number;
	unsigned stage;                      /* of the coming generation */
	struct slot slots[SLOTS_MAX];
	size_t n_slots;
	struct list bound;
	struct shared_page pages[FRONTS_MAX];
	unsigned n_pages;
	uint64_t crowd_seed;
	int64_t started_s;
	bool was_ready, queue_prepared;
	uint64_t chains_number, chains_stamp; /* chains.c: how they looked when this generation was first offered */
	bool chains_changed;

	enum { SV_RUNNING, SV_DRAIN_FRONTS, SV_DRAIN_WORKERS, SV_ENDING } phase;
	struct timer drain_deadline;
	int exit_status;

	struct broken_link broken[128];
	size_t n_broken;
	struct timer relink;
	struct timer tell_again;             /* what the service manager has not heard yet */
	const char *untold;

	/* Questions from the spool, on behalf of the command line; one of each kind at a time. */
	bool reload_asked, reload_again, status_asked;
	uint64_t reload_request, status_request;
	struct timer status_deadline;
};

/* account.c */
/* The accounts of run-as are looked up once, at the start: one that comes later would not own what its role's have. */
void accounts_keep(struct supervisor *sv, const struct conf *conf);
void accounts_tell_changes(const struct supervisor *sv); /* into the log: what the next start will take */
/* The account that a role runs under: run-as with "-role" behind it if there is one, else run-as; for a porter with Maildirs
 * their owner, mail-user. False: the caller's, or it does not exist. */
bool account_of(const struct supervisor *sv, const struct conf *conf, enum role_kind kind, struct account *out);
void account_tell_all(const struct supervisor *sv, const struct conf *conf, char *to, size_t room); /* one phrase, for the log */
/* Refuses to run roles as root. */
fault account_check(const struct supervisor *sv, const struct conf *conf, struct conf_report *report);
/* Refuses a queue that the spool's account cannot use, as a restored one may be. Changes nothing. */
fault account_check_queue(const struct supervisor *sv, const struct conf *conf, struct conf_report *report);
/* Makes the queue's directory where it is missing, and gives a new one to the spool's account. */
fault account_prepare_queue(const struct supervisor *sv, const struct conf *conf, struct conf_report *report);

/* terms.c */
void terms_of(const struct supervisor *sv, const struct conf *conf, enum role_kind kind, struct terms *out);
bool terms_equal(const struct terms *a, const struct terms *b);
void terms_free(struct terms *t);
/* What a running server cannot change: the queue's place, the accounts of all roles but the porter. */
fault terms_check(const struct conf *now, const struct conf *coming, struct conf_report *report);

/* patience.c: when to look again at a role that has not taken its configuration yet; 0: never, it hangs */
int64_t patience_until_ms(int64_t offered_ms, int64_t heard_ms, int64_t now_ms);

/* slot.c */
const char *role_kind_name(enum role_kind kind);
void slot_init(struct slot *s, struct supervisor *sv, enum role_kind kind, unsigned instance);
void slot_start(struct slot *s);       /* starts the process, links it, offers it a generation if it is its turn */
/* A process whose terms are others than this generation's makes room for one with the right terms, which is then offered it. */
void slot_offer(struct slot *s, const struct generation *g);
bool slot_makes_room(struct slot *s, const struct generation *g); /* false: its terms are right */
void slot_fini(struct slot *s);
unsigned stage_of(enum role_kind kind);

/* links.c */
bool link_neighbours(struct slot *s); /* false: not with all of them, for want of descriptors */
void link_broke(struct slot *s, uint64_t arrow, uint64_t instance, uint64_t links); /* as s says */

/* stages.c: how a generation passes through the roles */
fault generation_load(struct supervisor *sv, struct generation *out, struct conf_report *report);
void  generation_free(struct generation *g);
void  generation_begin(struct supervisor *sv, struct generation *g);  /* takes it over as the coming one */
void  generation_accepted(struct slot *s, uint64_t number);
void  generation_goes_on(struct supervisor *sv); /* a role that was in its way has made room */
void  generation_refused(struct slot *s, uint64_t number, struct str text);
const struct generation *generation_for(const struct slot *s);        /* what a starting role is offered; or NULL */

/* chains.c */
void chains_offered(struct supervisor *sv, const struct generation *g); /* to a keeper or a front */
void chains_pass_again(struct supervisor *sv);  /* if they are others by now, and nothing else is on its way */

/* pages.c */
void pages_make(struct supervisor *sv, unsigned fronts);
bool pages_give(struct slot *s);       /* to a front: its own page and those of the others; false: no descriptors left */
void pages_wipe(const struct slot *s); /* it is dead, and its connections with it */
void pages_free(struct supervisor *sv);

/* bound.c */
fault bound_at_start(struct supervisor *sv, const struct generation *g, struct conf_report *report);
fault bound_all(struct supervisor *sv, const struct generation *g, struct conf_report *report);
bool  bound_offer(struct slot *s, const struct generation *g); /* LISTENER to a front, CONTROL to the spool; false: not all */
void  bound_keep(struct supervisor *sv, const struct conf *conf); /* drops what this one, which is in force, does not name */
void  bound_close_listeners(struct supervisor *sv);

/* status.c */
void status_ask(struct supervisor *sv, uint64_t request);
void status_answer(struct slot *s, uint64_t request, struct str json);

/* supervisor.c */
void supervisor_slot_ended(struct slot *s);
void supervisor_slot_drained(struct slot *s);
void supervisor_ready(struct supervisor *sv, bool reloaded);
void supervisor_reload_for(struct supervisor *sv, uint64_t request); /* who asks hears how it went */
/* Of a configuration that is refused: an event for each line, a warning as one; indented lines show the place and are for `sealpost
 * check`. name: the role that refused, or NULL. */
void supervisor_log_errors(enum log_event event, const char *name, struct str text);
void supervisor_reload_failed(struct supervisor *sv, struct str errors); /* and the service manager hears it */
void supervisor_fail(struct supervisor *sv, int status);

#endif
