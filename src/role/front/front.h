/* SPDX-License-Identifier: ISC */
/*
 * role/front/front.h -- the process that talks to mail clients and servers; what its files share.
 *
 * front.c      the role: configuration, neighbours, limits, drain
 * accept.c     listeners, and who may connect
 * begin.c      whose connection it is: by its address, by a local user, by the word of a proxy
 * turns.c      whose turn it is to shake hands
 * session.c    one connection: bytes, TLS and time, between the stream and the SMTP core
 * warmth.c     which connections keep TLS's buffers
 * names.c      the client's name, confirmed both ways
 * events.c     what the core tells and asks: hello, login, sender, recipients
 * intake.c     a message on its way to the spool: header first, then chunks against credit
 * header.c     what a header block holds, and what it lacks
 *
 * It holds no key, password, queue or file. Every question goes to a neighbour under a number of its own, and
 * an answer to a number that nobody waits for is dropped. At most one question of a session is open at a time.
 *
 * Limits   connections, connections-per-client and connections-per-network of the configuration, in all fronts together;
 *          FRONT_SHAKING_MAX handshakes at once, each for SLOT_MS at most, SHAKING_NETWORK_MAX of one network, the others wait;
 *          FRONT_LATE_MAX that took longer; FRONT_WARM_MAX with TLS's buffers at hand, and FRONT_HALF_MAX in the middle of a record;
 *          REFUSALS_MAX recipients that are refused to one client; HELLO_BYTES_MAX for a hello; HEADER_BYTES_MAX for a header block;
 *          ENVELOPE_BYTES_MAX for an envelope; content FRONT_CREDIT_BYTES ahead of the spool.
 * Tests    test/unit/role/front/
 */
#ifndef ROLE_FRONT_FRONT_H
#define ROLE_FRONT_FRONT_H

#include "base/map.h"
#include "conf/conf.h"
#include "ipc/front_keeper.h"
#include "ipc/front_spool.h"
#include "ipc/resolver.h"
#include "mail/envelope.h"
#include "policy/crowd.h"
#include "policy/tally.h"
#include "proto/smtp/command.h"
#include "proto/smtp/server.h"
#include "role/role.h"
#include "sys/socket.h"
#include "sys/stream.h"
#include "tls/tls.h"

enum {
	FRONT_SHAKING_MAX = 64,
	SHAKING_NETWORK_MAX = 16,    /* of them; and from so many late ones on ... */
	SHAKING_NETWORK_MIN = 2,     /* ... these */
	FRONT_LATE_MAX = 192,        /* handshakes that go on without a slot: then the oldest of them ends */
	FRONT_WARM_MAX = 1024,       /* connections that keep TLS's buffers between two records ... */
	FRONT_WARM_MS = 1000,        /* ... for so long */
	FRONT_HALF_MAX = 512,        /* connections that keep them longer, in the middle of a record */
	TRIM_MS = 5 * 1000,          /* after connections have become idle or gone: until what is free in the heap goes back */
	FRONT_READ_BYTES = 32 << 10,
	FRONT_UNSENT_MAX = 16 << 20, /* of all letters together, that the spool has not read: then no client is read on ... */
	FRONT_UNSENT_LOOK_MS = 20,   /* ... for so long at a time; at twice as much no letter begins */
	REFUSALS_FREE = 10,          /* refused recipients of a client: from then on the answer comes late ... */
	REFUSALS_DELAY_MS = 500,     /* ... by so much more each time ... */
	REFUSALS_DELAY_MAX_MS = 5000,
	REFUSALS_MAX = 100,          /* ... and then the session ends */
	REFUSALS_WEAR_OFF_MS = 30 * 1000, /* one of them */
	ENVELOPE_BYTES_MAX = 1 << 20,
	RECEIVED_MAX = 100,          /* RFC 5321 6.3 */
	HEADER_DELIVERED_MAX = 50,   /* of Delivered-To: more mailboxes has no letter been in */
	FROM_ADDRESSES_MAX = 20,
	PROXY_MS = 5 * 1000,         /* for a proxy's header, which it sends at once */
	HELLO_MS = 10 * 1000,        /* for a client's whole hello: a TLS client speaks at once; who is silent waits for a greeting in clear */
	HANDSHAKE_MS = 20 * 1000,    /* for the rest, and for its turn */
	SLOT_MS = 1000,              /* a handshake that takes longer no longer keeps others waiting */
	NAME_MS = 5 * 1000,          /* for the name of a local user */
	NAME_KEPT_MS = 60 * 1000,    /* a client's name is not looked up again for so long, or less if the DNS says so ... */
	NAMES_KEPT_MAX = 256,        /* ... of so many clients, the latest */
	WRITE_MS = 5 * 60 * 1000,    /* for a client to take what we have said, or at least ... */
	WRITE_BYTES_MIN = 4 << 10,   /* ... so much of it */
	LINGER_MS = 5 * 1000,        /* for the last reply to arrive before the connection is gone */
	ANSWER_MS = 4 * 60 * 1000,   /* for a neighbour: less than a client waits for RCPT (RFC 5321 4.5.3.2.3) */
};

/* What a session keeps from the configuration of its beginning. */
struct generation {
	size_t refs;
	struct arena *arena;
	struct str hostname;
	struct tls_server *tls, *tls_mx;   /* NULL without certificates */
};
void generation_drop(struct generation **g);

struct front {
	struct role_base *base;
	struct loop *loop;
	const struct conf *conf;        /* in force; NULL before the first */
	struct generation *generation;

	struct tls_tickets *tickets;    /* of the keeper, for all fronts the same */

	struct channel *spool, *keeper, *resolver;
	int sign_fd;
	struct buf shortage;            /* the spool's words; empty: there is room */

	struct list listeners, coming;  /* struct listener; coming: of the generation that is arriving */
	struct list chains;             /* certificate files of it */
	struct list sessions;
	size_t n_sessions;
	struct crowd crowd;             /* who is here, in all fronts */
	bool crowd_is_shared;
	struct tally refusals;          /* of recipients, by client, in all fronts; lies on the pages of the crowd */
	struct map *neighbourhoods;     /* turns.c: network -> its handshakes */
	struct list wanting;            /* of them, those whose next one may go */
	struct list late;               /* sessions that had to give their slot back */
	size_t shaking, n_late;
	bool giving_turns;
	struct list warm;               /* warmth.c: sessions with traffic, the latest last */
	size_t n_warm;
	struct timer cool, trim;
	struct list stalled;            /* sessions with content that the spool does not read fast enough */
	struct timer stall;
	struct list halves;             /* of those that have become idle, who stopped in the middle of a record; the latest last */
	size_t n_halves;
	bool will_trim;
	struct map *asks, *lookups;     /* number -> session */
	struct map *names;              /* names.c: client -> its name, for a while */
	struct list named;              /* of them, the oldest first */
	uint64_t next_number;

	bool draining;
	struct timer grace;
	uint64_t connections, messages, refused_connections;
	char scratch[FRONT_READ_BYTES];
};

struct listener {
	struct link in_front;
	struct front *front;
	size_t index, on;               /* conf->listeners[index].on.items[on] */
	int fd;                         /* -1 once the acceptor has it */
	struct acceptor *acceptor;
	struct timer rest;              /* after a descriptor shortage */
};

/* accept.c */
void listener_add(struct front *f, size_t index, size_t on, int fd);
/* Says who it is and counts them: NULL, or why they may not come in, and what to say. */
const char *accept_client(struct front *f, const struct endpoint *peer, struct crowd_who *who_out, struct str *say_out);
void listeners_use(struct front *f);    /* the coming ones, instead of those in force */
void listeners_close(struct list *list);
void accept_page(struct front *f, const struct to_role_crowd *m, int fd); /* fd is taken over */
void accept_forget_pages(struct front *f);

/* header.c */
struct header_facts {
	size_t fields, received, delivered_tos;
	size_t froms, senders;
	struct str from, sender;        /* the values of the last such field */
	size_t tls_requireds;           /* fields TLS-Required */
	bool tls_optional;              /* the last one says `No` */
	bool date, message_id;
	size_t broken_line;             /* the first line that is no field, from 1; 0: none */
	size_t fields_bytes;            /* the block as far as it is whole fields */
};
void header_facts_read(struct str block, struct header_facts *out);
/* One of its first HEADER_DELIVERED_MAX Delivered-To fields names this address. */
bool header_was_delivered_to(struct str block, struct str address);

enum ask_kind {
	ASK_NOTHING,
	ASK_AUTH,           /* keeper */
	ASK_MAIL_SENDER,
	ASK_HEADER_SENDER,
	ASK_RCPT,
	ASK_VERIFY,         /* spool */
	ASK_BEGIN,
	ASK_FINISH,
};

struct rcpt {
	struct rcpt *next;
	struct str original, orcpt;
	unsigned notify;
	struct target { struct target *next; struct str address; } *targets;
};

enum intake_phase {
	INTAKE_NONE,       /* no DATA yet, or not yet answered */
	INTAKE_HEADER,     /* collecting the header block */
	INTAKE_CHECKING,   /* the keeper is asked about its senders */
	INTAKE_BODY,
	INTAKE_REFUSED,    /* the rest is read and dropped; `refusal` is the answer at the end */
};

/* From MAIL to the end of its letter: an idle session has none. */
struct intake {
	struct arena *arena;            /* envelope */
	struct address sender;
	struct str sender_text;
	struct mail_params params;
	struct rcpt *rcpts, **last_rcpt;
	size_t n_rcpts;
	struct rcpt *asked_rcpt;        /* being looked up */
	struct address asked_address;
	struct str asked_domain;        /* its domain in ASCII; STR_NONE: there is none that is valid */
	bool too_many_targets;

	enum intake_phase phase;
	uint64_t txn;                   /* 0: the spool has heard of nothing */
	char id[40];
	struct buf header;
	size_t header_bytes;            /* of it, with the empty line, once it has come */
	struct str *checks;             /* header addresses that the keeper must allow: room for FROM_ADDRESSES_MAX, once there is one */
	size_t n_checks, checked;
	uint64_t sent_bytes, ahead_bytes; /* to the spool; of those not yet taken */
	bool ended;                     /* BODY_END waits for us ... */
	enum body_type body;            /* ... and says this */
	size_t answers_due;
	struct smtp_reply refusal;      /* its text is kept */
};

enum session_phase {
	SESSION_UNNAMED,    /* on a local socket: the supervisor looks for the user's name */
	SESSION_PROXIED,    /* a proxy says first whose connection it is */
	SESSION_EXPECTS,    /* the first bytes of TLS */
	SESSION_WAITS,      /* has them, and waits for its turn to shake hands */
	SESSION_SHAKES,
	SESSION_SPEAKS,
	SESSION_LINGERS,    /* everything said: the client may read it */
	SESSION_GONE,       /* freed at the end of the turn */
};

struct session {
	struct link in_front, in_turns, in_warm, in_stalled; /* in_warm: also in halves */
	bool is_half;
	int64_t warm_ms;                /* when bytes of TLS came last */
	struct front *front;
	struct generation *generation;
	enum listen_kind kind;
	bool implicit;                  /* TLS from the first byte */
	size_t listener;                /* index in the configuration in force */
	bool listener_gone;             /* no listener there has the same users any more */
	struct str users;               /* kept: the names of its users tables, to find one again after a reload */
	struct stream *stream;
	struct tls *tls;
	struct smtp_server *smtp;
	enum session_phase phase;
	struct buf in;                  /* clear text that the core has not taken */
	struct buf cipher;              /* bytes that TLS has not taken */
	struct endpoint *proxy;         /* where it came from, while or if it is proxied; else NULL */
	bool has_slot;                  /* counts among the handshakes under way ... */
	int64_t slot_until_ms;          /* ... until then at most */
	bool is_late;                   /* and after that here */
	struct timer timer;
	struct later bury;
	int64_t phase_due_ms;           /* handshake, linger */
	int64_t stuck_since_ms;         /* output that the client does not read; 0: none */
	size_t stuck_sent;              /* since then */
	bool pumping, again;
	bool readable;                  /* the stream has told so, and was not read to its end since */
	bool sealed;                    /* TLS was fed, and has not given all that was in it since */
	bool held_back;                 /* by a slow spool: the client cannot go on */
	bool said_all;                  /* lingers, and nothing is left to send */
	size_t discarded;

	/* Texts are kept: ten thousand sessions shall not each have room for the longest. See session_keep(). */
	struct str client;              /* "192.0.2.1"; empty on a local socket */
	struct crowd_who who;           /* as what it is counted */
	struct str name;                /* the client's, if its address and its name agree; empty as long as unknown */
	struct str name_claimed;        /* by the address; not yet confirmed by the name */
	uint64_t lookup;                /* the resolver's question under way; 0: none */
	bool asks_address;              /* it is the second one */
	uint32_t name_ttl_s;            /* the least of the answers so far */
	bool trusted;
	char mechanism[24];             /* of the last AUTH */
	struct str user;                /* logged in, or the account on a local socket */
	struct str helo;
	bool extended;
	struct str tls_text;
	uint64_t number;                /* of the connection, for logs */

	enum ask_kind asked;
	uint64_t ask_number;
	int64_t ask_due_ms;
	struct str own_sender;          /* kept: the last sender's address that the keeper allowed its user */
	bool sender_asked_before;       /* before a reload, the keeper's or ours: the answer may be of that time, too */
	bool auth_open;                 /* the keeper holds a login under ask_number */
	bool late;                      /* a refused login is told later, so that guessing is slow */
	int64_t late_until_ms;
	struct smtp_reply late_reply;   /* its text is kept */

	struct intake *letter;          /* NULL between two transactions */
};

/* front.c */
void front_perhaps_drained(struct front *f);


/* session.c */
void session_new(struct front *f, const struct listener *l, int fd, const struct endpoint *peer, struct crowd_who who, bool proxied);
struct tls_server *session_certificates(const struct session *s);
void session_expect_tls(struct session *s);
void session_linger(struct session *s);         /* all is said, or nothing is to be said */
void session_take(struct session *s, struct str bytes); /* from the stream */
void session_pump(struct session *s);           /* goes on after an answer came */
void session_abandon(struct session *s);        /* closes at once */
void session_free_now(struct session *s);       /* the role ends */
void session_keep(struct str *kept, struct str text); /* instead of what it held; kept.n == 0: nothing is allocated */
void session_shake(struct session *s);          /* its turn has come */
void session_too_slow(struct session *s);       /* a handshake is given up */

/* begin.c */
bool session_take_user(struct session *s, struct str name);    /* false: empty, or longer than any */
void session_named(struct session *s, struct str name);        /* "": nobody knows the user's name */
struct str session_address(const struct endpoint *e, char to[static 64]); /* "192.0.2.1"; "" of a Unix socket */
void session_begin(struct session *s, int fd, const struct endpoint *client); /* it is known whose connection it is; fd: or -1 */
bool is_proxy(const struct conf_listener *l, const struct endpoint *peer);
void proxied_begin(struct session *s, const struct endpoint *peer);
void proxied_take(struct session *s, struct str bytes);
void proxied_too_slow(struct session *s);

/* turns.c */
bool turn_wish(struct session *s);              /* its hello is whole; true: it may shake hands now */
void turn_is_late(struct session *s);           /* it used up the time of its slot */
void turn_over(struct session *s);

/* warmth.c */
void warmth_touch(struct session *s);           /* bytes of TLS have come for it */
void warmth_leave(struct session *s);
void warmth_cool(void *front);                  /* the timer's: those without traffic since */
void warmth_trim(void *front);                  /* the timer's, too */

/* names.c */
void session_look_up(struct session *s);
void session_drop_lookup(struct session *s);
void names_forget(struct front *f);
void session_on_resolver(struct front *f, unsigned kind, const void *msg);
void session_ask_user(struct session *s, uint32_t uid);        /* session_named follows */
void session_on_user(struct front *f, const struct to_role_user *m);

/* events.c */
void session_event(struct session *s, const struct smtp_event *e);
uint64_t session_ask(struct session *s, enum ask_kind kind);   /* the number to send along */
void session_asked_in_vain(struct session *s);                 /* the neighbour is gone or silent */
void session_on_keeper(struct front *f, unsigned kind, const void *msg);
void session_on_verified(struct front *f, const struct spool_verified *m);
void session_late_reply(struct session *s);
void session_drop_asks(struct session *s);                     /* answers still to come go nowhere */
void session_forget_ask(struct session *s);                    /* it has been answered */
struct session *session_that_asked(struct front *f, uint64_t number);
bool session_owns(const struct session *s, struct str address); /* the keeper has said so */
void session_ask_again(struct session *s);                     /* it may no longer say so */
struct smtp_reply front_reply(uint64_t code, struct str status, struct str text); /* a neighbour's words */

/* intake.c */
struct intake *intake_new(struct session *s);   /* for a transaction that begins; what was there goes, as with: */
void intake_reset(struct session *s);           /* tells the spool, forgets everything */
void intake_begin(struct session *s);           /* DATA_BEGIN */
bool intake_takes_more(const struct session *s);
void intake_note_stall(struct session *s);      /* it is held back, or not any more */
void intake_go_on(void *front);                 /* the timer's: does the spool read again? */
void intake_body(struct session *s, struct str bytes);
void intake_end(struct session *s, const struct smtp_event *e);
void intake_on_spool(struct front *f, unsigned kind, const void *msg);
void intake_spool_lost(struct session *s);
void intake_sender_judged(struct session *s, bool allowed);
void intake_refuse(struct session *s, struct smtp_reply reply); /* says it at once if BODY_END waits */

#define LATER_TEXT "Something is not available here just now: try again later"

#endif
