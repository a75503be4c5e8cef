/* SPDX-License-Identifier: ISC */
/*
 * store/store.h -- the queue's contract: what is durable, whose it is, and when.
 *
 * A recipient is in exactly one state:
 *     staged   content is arriving; a crash here loses nothing that we said 250 to
 *     queued   committed and durable; ours (held: queued, and nobody may lease it)
 *     leased   one worker holds it under a fencing token until the lease ends, then it is queued again
 *     settled  delivered, relayed, bounced or removed; content leaves with the last recipient
 *
 * The interface leaves room for several machines on one queue: leases carry a fence, ingest and
 * completion are batched, and nothing needs one writer's memory. store_memory is the executable
 * specification; test/unit/store/contract.c holds every store to it.
 *
 * Units    Times in wall-clock seconds, passed in: the store has no clock of its own.
 * Errors   F_LIMIT: no room (disk full). F_STORE, F_SYS: the storage failed; what was asked for did not
 *          happen, the why says more. F_ABSENT, F_STATE as noted.
 * Owns     What a call returns lives in the arena it was given.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/fault.h"
#include "mail/envelope.h"

struct store;

enum { STORE_ID_MAX = 32 };

/* What is known about a message when it is committed. Strings are canonical text. */
struct store_message {
	struct str id;                   /* [a-z0-9]+, chosen by the caller, unique */
	struct str sender;               /* "" for the null sender */
	int64_t arrived_s;
	uint64_t size_bytes;             /* set by the store from what was appended */
	enum body_type body;
	bool smtputf8;
	enum dsn_ret ret;
	struct str envid, client, helo, user, with, tls;
};

enum rcpt_state { RCPT_QUEUED, RCPT_LEASED, RCPT_HELD };

struct store_rcpt {
	uint64_t number;                 /* unique in the store; set by the store */
	struct str id;                   /* of the message */
	struct str address, original, orcpt;
	unsigned notify;
	struct str key;                  /* destination (policy/route.h): what may share a transaction */
	enum rcpt_state state;
	unsigned attempts;
	int64_t next_s;                  /* next attempt */
	struct str last_reply;           /* why it waits, one line */
	struct str last_dialogue;        /* of the last failure; bounded */
	bool delay_warned;
	uint64_t fence;                  /* of the current or last lease */
	int64_t lease_until_s;
};

struct store_draft;                      /* content that is arriving */

struct store_commit {                    /* one message of a group commit */
	struct store_draft *draft;       /* consumed whatever happens */
	struct store_message message;
	const struct store_rcpt *rcpts;  /* address, original, orcpt, notify, key, state, next_s are read */
	size_t n_rcpts;
	fault result;                    /* out: OK means durable */
};

enum settle_kind {
	SETTLE_DONE,                     /* delivered, relayed, bounced or removed: the recipient is gone */
	SETTLE_LATER,                    /* queued again, for next_s */
};

struct store_outcome {
	uint64_t rcpt, fence;
	enum settle_kind kind;
	int64_t next_s;
	struct str reply, dialogue;
	bool delay_warned;
	bool counts;                     /* this was an attempt */
	fault result;                    /* out: F_STATE for a stale fence: ignored, and told */
};

/* What an operator or the scheduler asks for; empty fields match everything. */
struct store_selector {
	struct str id, to, from, user, domain;
	int64_t arrived_before_s;        /* 0: any */
};

struct store_counts { uint64_t messages, queued, leased, held, content_bytes, disk_bytes; };

enum operator_action { ACT_RETRY, ACT_HOLD, ACT_RELEASE, ACT_REMOVE };

struct store_ops {
	const char *name;
	fault (*open)(struct str directory, struct store **out, struct why *why);
	void  (*close)(struct store **store);

	/* Content in: not durable until commit. A draft that is dropped leaves nothing. */
	fault (*draft_new)(struct store *s, struct store_draft **out);
	fault (*draft_append)(struct store *s, struct store_draft *d, struct str bytes);
	void  (*draft_drop)(struct store *s, struct store_draft **d);

	/* All or, per message, none: contents durable first, then one transaction. Messages whose result is
	 * OK survive a power cut. Outcomes ride in the same transaction (bounces are committed together with
	 * the failure that causes them, so neither is lost nor doubled). The return value is the storage's. */
	fault (*commit)(struct store *s, struct store_commit *commits, size_t n_commits,
	                struct store_outcome *outcomes, size_t n_outcomes, struct why *why);

	/* Queued recipients with next_s <= now_s, oldest next_s first, at most max, each leased until
	 * now_s + lease_s under a fresh fence. Leases that have ended count as queued. Keys in `busy` are passed over.
	 * Recipients of one message with one key come together. */
	fault (*lease)(struct store *s, int64_t now_s, int64_t lease_s, const struct str *busy, size_t n_busy,
	               struct arena *a, struct store_rcpt *out, size_t max, size_t *n_out, struct why *why);
	fault (*renew)(struct store *s, uint64_t rcpt, uint64_t fence, int64_t until_s); /* F_STATE: stale */
	/* Gives every lease back: the spool is alone on its store after a restart. */
	fault (*reclaim)(struct store *s, struct why *why);

	/* When lease would next find something; F_ABSENT if nothing waits. */
	fault (*next_due)(struct store *s, int64_t *due_s_out);

	fault (*message)(struct store *s, struct str id, struct arena *a, struct store_message *out);
	/* Content out, checked against its checksum. *n_out < room only at the end. F_STORE: damaged. */
	fault (*content)(struct store *s, struct str id, uint64_t offset, char *to, size_t room, size_t *n_out);

	fault (*list)(struct store *s, const struct store_selector *which, uint64_t after_number, struct arena *a,
	              struct store_rcpt *out, size_t max, size_t *n_out);
	/* Acts on all that match and are not leased (remove and hold also mark leased ones: the lease's fence
	 * becomes stale). RETRY sets next_s to now_s. */
	fault (*act)(struct store *s, const struct store_selector *which, enum operator_action action, int64_t now_s,
	             uint64_t *n_out);

	fault (*counts)(struct store *s, struct store_counts *out);
	/* Small work between turns: recycle and compact segments, checkpoint. Never more than a few ms. */
	fault (*tidy)(struct store *s, struct why *why);

	/* Observations of the resolver worth keeping (policies, levels): key, value, until when. */
	fault (*remember)(struct store *s, struct str key, struct str value, int64_t expires_s);
	fault (*recall)(struct store *s, int64_t now_s, struct arena *a,
	                void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner);
};

extern const struct store_ops store_sqlite, store_memory;

#endif
