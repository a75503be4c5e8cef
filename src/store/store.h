/* SPDX-License-Identifier: ISC */
/*
 * store/store.h -- the queue's contract: what is durable, whose it is, and when.
 *
 * A recipient is in exactly one state:
 *     staged   content is arriving; a crash here loses nothing that we said 250 to
 *     queued   committed and durable; ours (held: queued, and nobody may lease it)
 *     leased   one worker holds it under a fencing token until the lease ends, then it is queued again
 *     damaged  set aside: what is kept is not what was committed; never leased, kept for a person to look at
 *     settled  delivered, relayed, bounced or removed; content leaves with the last recipient
 *
 * The interface leaves room for several machines on one queue: leases carry a fence, ingest and
 * completion are batched, and nothing needs one writer's memory. store_memory is the executable
 * specification; test/unit/store/contract.h holds every store to it.
 *
 * Units    Times in wall-clock seconds, passed in: the store has no clock of its own.
 * Damage   Rows and contents carry checksums. What lease and list give may be damaged, and says so: the caller sets it
 *          aside. What claim gives is not (its content may be).
 * Limits   STORE_RCPTS_MAX recipients of a message; STORE_DIALOGUE_MAX bytes of a dialogue are kept.
 * Errors   F_LIMIT: no room (disk full); the store stays usable. F_STORE: the storage failed; what was asked
 *          for did not happen, and the store refuses to take anything until it is opened again (from content:
 *          this content is damaged). F_ABSENT, F_STATE, F_EXISTS as noted. The why says more.
 * Owns     What a call returns lives in the arena it was given.
 * Tests    test/unit/store/contract.h (every store), test/unit/store/sqlite_test.c, sqlite_crash_test.c
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/fault.h"
#include "mail/envelope.h"

struct store;

enum { STORE_ID_MAX = 32, STORE_RCPTS_MAX = 1 << 20, STORE_DIALOGUE_MAX = 8 << 10, STORE_FINDINGS_MIN = 4 };

/* What is known about a message when it is committed. Strings are canonical text. */
struct store_message {
	struct str id;                   /* [a-z0-9]+, chosen by the caller, unique */
	struct str sender;               /* "" for the null sender */
	int64_t arrived_s;
	uint64_t size_bytes;             /* set by the store from what was appended */
	enum body_type body;
	bool smtputf8;
	enum dsn_ret ret;
	enum tls_tag tls_tag;
	struct str envid, client, helo, user, with, tls;
	bool damaged;                    /* out: these are not the facts that were committed */
};

enum rcpt_state { RCPT_QUEUED, RCPT_LEASED, RCPT_HELD, RCPT_DAMAGED };

struct store_rcpt {
	uint64_t number;                 /* unique in the store; set by the store */
	struct str id, sender;           /* of the message; sender: what lease and list tell */
	struct str address, original, orcpt;
	unsigned notify;
	struct str key;                  /* destination (policy/route.h): what may share a transaction */
	enum rcpt_state state;
	unsigned attempts;
	int64_t next_s;                  /* next attempt */
	struct str last_reply;           /* why it waits, one line */
	struct str last_dialogue;        /* of the last failure; bounded */
	bool delay_warned;
	bool released;                   /* by an operator, once */
	uint64_t fence;                  /* of the current or last lease */
	int64_t lease_until_s;
	bool damaged;                    /* out: these facts, or those of the message, are not what was committed */
};

struct store_draft;                      /* content that is arriving */

struct store_commit {                    /* one message of a group commit */
	struct store_draft *draft;       /* consumed whatever happens */
	struct store_message message;
	const struct store_rcpt *rcpts;  /* address, original, orcpt, notify, key, state, next_s are read */
	size_t n_rcpts;
	fault result;                    /* out: OK means durable; F_EXISTS: the id is taken */
};

enum settle_kind {
	SETTLE_DONE,                     /* delivered, relayed, bounced or removed: the recipient is gone */
	SETTLE_LATER,                    /* queued again, for next_s */
	SETTLE_HELD,                     /* kept until somebody releases it */
	SETTLE_DAMAGED,                  /* set aside */
};

struct store_outcome {
	uint64_t rcpt, fence;
	enum settle_kind kind;
	int64_t next_s;
	struct str reply, dialogue;      /* empty: what was known stays */
	struct str key;                  /* the destination from now on; empty: as before */
	bool delay_warned;
	bool counts;                     /* this was an attempt */
	const struct store_commit *needs; /* of the same call: if it cannot be stored, this does not happen either */
	fault result;                    /* out: F_STATE for a stale fence: ignored, and told */
};

/* What an operator asks for; empty fields match everything. Addresses and domains without regard to ASCII
 * case; from "<>" is the null sender; domain is the recipient's. */
struct store_selector {
	struct str id, to, from, user, domain;
	int64_t arrived_before_s;        /* 0: any; only messages that arrived before */
	bool unchecked;                  /* list: no checksum is looked at, and no row says that it is damaged: for what is removed in any case */
};

/* What a destination may be given now. When it has got that much, or nothing, and more of it is due, it is passed over, without a
 * look at it, until not_before_s or ask_again() (that is part of the schedule in memory: a restart forgets it). */
struct store_grant {
	unsigned messages;               /* so many more ... */
	unsigned lane;                   /* ... as far as there is room in this lane; if not, it waits there until there is */
	int64_t not_before_s;            /* never sooner than a second from now */
	int64_t overdue_s;               /* what has been due since then or longer is given beyond all this; 0: nothing */
};

/* Lanes let many destinations of one kind wait for room that they share, without a look at each of them. Each is a part of those before
 * it: what is given in a lane takes room in all of them, and there is none where one of them has none. */
enum { STORE_LANES = 3 };
struct store_room {
	struct store_grant (*grant)(void *owner, struct str key); /* asked once in a call for each destination that is due */
	void *owner;
	unsigned lane_room[STORE_LANES]; /* messages */
	unsigned rcpts_max;              /* every so many recipients of a message at a destination count as a message; 0: any number */
};

/* How far list() has come: begins with zeros. */
struct store_place {
	uint64_t after, last;            /* numbers: looked at as far as this; who came later is not told of */
	bool begun, untried_over, over;
};

/* As much of a recipient as it takes to count it; next_s: of what is queued. */
struct store_glance { uint64_t number; struct str address, key; enum rcpt_state state; int64_t next_s, arrived_s; };
struct store_counts { uint64_t messages, queued, leased, held, damaged, content_bytes, disk_bytes; };

/* How far verify() has come: begins with zeros. */
struct store_round { uint64_t message, offset, messages, bytes; bool over; };
/* Something that is not as it was committed, in words for a person. */
struct store_finding {
	struct str id;                   /* "" where even that is unknown */
	struct str text;
	uint64_t set_aside;              /* recipients, by this call; others were before */
};

struct store_options {
	uint64_t segment_bytes;          /* of one content file; 0: the default of 64 MB */
	uint64_t keep_free_bytes;        /* of the disk: nothing is written ahead of use into this, and what was is given back; 0: nothing */
	void (*working)(void *owner);    /* now and then within a call that takes long, at open above all; NULL: nobody wants to know */
	void *owner;
};

/* The destination of what nobody may carry, and of what was released, until an outcome has its own. */
#define STORE_RELEASED "hold:"

/* ACT_RETRY makes due what is not, and takes back one attempt, since the one that follows is not of the schedule. The first one is never
 * taken back: what was tried once stays so, however often it is asked for. */
enum operator_action { ACT_RETRY, ACT_HOLD, ACT_RELEASE, ACT_REMOVE };

struct store_ops {
	const char *name;
	/* options may be NULL. F_BUSY: another process has it open. */
	fault (*open)(struct str directory, const struct store_options *options, struct store **out, struct why *why);
	void  (*close)(struct store **store);

	/* Content in: not durable until commit. A draft that is dropped leaves nothing. */
	fault (*draft_new)(struct store *s, struct store_draft **out);
	fault (*draft_append)(struct store *s, struct store_draft *d, struct str bytes);
	void  (*draft_drop)(struct store *s, struct store_draft **d);

	/* All or, per message, none: contents durable first, then one transaction. Messages whose result is
	 * OK survive a power cut. Outcomes ride in the same transaction (bounces are committed together with
	 * the failure that causes them, so neither is lost nor doubled): an outcome whose needs was not stored is not
	 * applied and gets that result. The return value is the storage's. */
	fault (*commit)(struct store *s, struct store_commit *commits, size_t n_commits,
	                struct store_outcome *outcomes, size_t n_outcomes, struct why *why);

	/* Queued recipients with next_s <= now_s, destinations by their oldest next_s, at most max, each leased
	 * until now_s + lease_s under a fresh fence. Leases that have ended count as queued. Destinations get what the
	 * room grants them. Recipients of one message with one key and one next_s come together. */
	fault (*lease)(struct store *s, int64_t now_s, int64_t lease_s, const struct store_room *room,
	               struct arena *a, struct store_rcpt *out, size_t max, size_t *n_out, struct why *why);
	fault (*renew)(struct store *s, uint64_t rcpt, uint64_t fence, int64_t until_s); /* F_STATE: stale */
	/* It is leased, and an operator has held it since then: whoever has the lease settles it as done if it is, else as held. */
	bool  (*is_held)(const struct store *s, uint64_t rcpt);
	/* Of these rows, as list has just given them, leases those that are queued or held, whatever their next_s: for an operator who
	 * settles them now. Only those are left in rows. */
	fault (*claim)(struct store *s, int64_t now_s, int64_t lease_s, struct store_rcpt *rows, size_t n, size_t *n_out, struct why *why);
	/* Gives every lease back: the spool is alone on its store after a restart. */
	fault (*reclaim)(struct store *s, struct why *why);

	/* When lease would next find something, or ask; perhaps a little early. F_ABSENT if nothing waits, or only in lanes
	 * without room. */
	fault (*next_due)(struct store *s, const struct store_room *room, int64_t *due_s_out);
	/* This destination may have room (again): the next lease asks, whatever the last grant said. */
	void  (*ask_again)(struct store *s, struct str key);

	fault (*message)(struct store *s, struct str id, struct arena *a, struct store_message *out);
	/* Content out, checked against its checksum; perhaps less than there is room for, nothing only at the end.
	 * F_STORE: damaged. */
	fault (*content)(struct store *s, struct str id, uint64_t offset, char *to, size_t room, size_t *n_out);

	/* What matches, a part at a time and never for long: perhaps nothing, until place->over. All that was there when it began and stays
	 * is told of; with a domain, one that is tried for the first time meanwhile perhaps twice, else in the order of numbers.
	 * place NULL: from the beginning until max, however long it takes. out NULL: they are only counted. */
	fault (*list)(struct store *s, const struct store_selector *which, struct store_place *place, struct arena *a,
	              struct store_rcpt *out, size_t max, size_t *n_out);
	/* Acts on these rows, as list has just given them, in one transaction. did: for each row. RETRY sets next_s to now_s. RELEASE gives the
	 * destination STORE_RELEASED, and marks the row as released for good; what is damaged it reads first, and releases it only if it is
	 * whole (again). Of what is leased, RETRY leaves all as it is; REMOVE makes the fence stale; HOLD leaves the lease as it is, since
	 * nobody can know how far it has got: the recipient is held when it ends (is_held), and at once for whoever opens the store anew;
	 * RELEASE takes that back. */
	fault (*act_on)(struct store *s, const struct store_rcpt *rows, size_t n, enum operator_action action, int64_t now_s, bool *did);
	/* The same with all that match, in parts. If it fails, some may have been done: *n_out of them. */
	fault (*act)(struct store *s, const struct store_selector *which, enum operator_action action, int64_t now_s,
	             uint64_t *n_out);

	/* Reads all that lies in the queue, about so many bytes a call, and sets aside what is not as it was committed (leases of
	 * it become stale). Everything damaged is found in every round, set aside before or not. */
	fault (*verify)(struct store *s, struct store_round *round, uint64_t bytes, struct arena *a,
	                struct store_finding *out, size_t max, size_t *n_out, struct why *why);
	/* This recipient is set aside, leased or not; text says why. F_BUSY: not yet; its lease goes on. */
	fault (*set_aside)(struct store *s, uint64_t rcpt, struct str text, struct why *why);

	/* For a clock that was wrong once: of what is queued, next_s beyond latest_s and arrived_s beyond now_s become now_s. */
	fault (*clamp)(struct store *s, int64_t now_s, int64_t latest_s, uint64_t *n_out);
	/* Moves every time in the queue and of observations, so that ages and waits stay what they were; INT64_MAX stays. */
	fault (*shift)(struct store *s, int64_t by_s);

	fault (*counts)(struct store *s, struct store_counts *out);
	/* Recipients in the order of their numbers, those behind this one. No checksum is looked at. */
	fault (*glance)(struct store *s, uint64_t after_number, struct arena *a, struct store_glance *out, size_t max, size_t *n_out);
	/* Room left where the store lives, with what is written ahead for messages to come. */
	fault (*space)(struct store *s, uint64_t *bytes_free_out, uint64_t *names_free_out);
	/* Small work between turns: prepare, recycle, give back and compact content files. Never more than a few ms;
	 * *more_out says that there is more of it. */
	fault (*tidy)(struct store *s, bool *more_out, struct why *why);
	/* To be called when nothing is being done: gives back the memory of what can be read again. True: so much that the heap has holes now. */
	bool (*rest)(struct store *s);

	/* Of the observations whose keys begin with prefix, keeps no more than both limits allow; what expires first goes first. bytes: of
	 * keys and values. */
	fault (*trim)(struct store *s, struct str prefix, uint64_t most, uint64_t bytes_max, uint64_t *gone_out);
	/* Observations worth keeping (policies, levels): key, value, until when. They are durable after the next commit or tidy. */
	fault (*remember)(struct store *s, struct str key, struct str value, int64_t expires_s);
	fault (*recall)(struct store *s, int64_t now_s, struct arena *a,
	                void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner);
	/* Those whose keys begin with prefix and come behind after, in the order of bytes, at most max; also such as have expired and
	 * are not forgotten yet. Nothing is changed but what waited to be durable. */
	fault (*recall_some)(struct store *s, struct str prefix, struct str after, size_t max,
	                     void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner, size_t *n_out);
};

extern const struct store_ops store_sqlite, store_memory;

#endif
