/* SPDX-License-Identifier: ISC */
/*
 * unit/role/courier/world.h -- a courier among doubles: supervisor, spool, resolver and keeper on socketpairs, and scripted
 * mail servers on real loopback sockets.
 */
#ifndef UNIT_ROLE_COURIER_WORLD_H
#define UNIT_ROLE_COURIER_WORLD_H

#include "mail/envelope.h"
#include "mail/reply.h"
#include "policy/route.h"
#include "role/role.h"
#include "tls/home.h"
#include "sys/socket.h"

/* ---- a scripted server ---- */

struct peer_script {
	const char *greeting;    /* default "220 peer" */
	const char *ehlo;        /* extension lines separated by blanks: "PIPELINING STARTTLS"; '_' is a blank inside one */
	const char *ehlo_tls;    /* the same inside TLS; NULL: as ehlo without STARTTLS */
	const char *mail, *rcpt, *data, *final; /* replies; "bad..." addresses get 550, "later..." 450 whatever rcpt says */
	const char *finals[4];   /* LMTP: one for each recipient taken */
	const char *starttls;    /* the reply; not 220: that is all */
	bool implicit;           /* TLS from the first byte */
	bool broken_tls;         /* agrees to STARTTLS, then speaks nonsense */
	unsigned lost_hellos;    /* the first so many connections are closed instead of a handshake */
	bool hang_up_after;      /* closes after the first letter */
	bool hang_up_at_dot;     /* closes in place of the final reply */
	bool silent_at_dot;      /* never gives the final reply */
	bool mute;               /* says nothing before peer_greet() */
	const char *silent_at;   /* never answers this command */
};

struct peer {
	struct peer_script script;
	struct world *world;
	struct acceptor *acceptor;
	struct endpoint at;
	struct list calls;
	unsigned connections, letters, tls_handshakes;
	struct buf content;      /* of the last letter, dots still doubled */
	struct buf said;         /* every command, CRLF ended */
};

struct world;
bool peers_open(struct world *w, uint16_t port);  /* false: the port is taken on one of the addresses; 0: any */
void peers_close(struct world *w);
void peer_greet(struct peer *p);                   /* whoever waits for it */
void peer_answer(struct peer *p, int fd);          /* a connection to it that came another way */

/* ---- the courier's neighbours ---- */

struct world {
	struct loop *loop;
	struct role_base *courier;
	struct channel *control, *spool, *resolver, *keeper;
	struct timer guard;
	struct home home;
	struct tls_server *tls;
	struct peer peers[3];    /* 127.0.0.1, .2, .3, all on one port */
	uint16_t port;
	uint64_t generation;
	char why[600];           /* of a configuration that was refused */

	const char *flooded;     /* a kind of question whose answer has more than there is room for, ... */
	bool flood_last, flood_coarse; /* ... behind its rows; but room for what is small */
	const char *zone;        /* "MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1;MX z.example bogus;..." */
	bool unvalidated;        /* the resolver has no DNSSEC: rows should have no "+" */
	struct peer *unix_peer;  /* answers UNIX_CONNECT; NULL: refused */
	const char *password;    /* of the keeper: it says PLAIN \0user\0password; NULL: it refuses */

	/* the job in hand */
	struct str content;
	size_t given, credit_max;
	bool not_whole, hold_body;
	uint64_t job, wanted, wants;
	struct buf outcomes;     /* "INDEX CLASS REPLY|" */
	struct buf last_tls, last_host, last_dialogue, story, where;
	struct buf sessions;     /* "POLICY RESULT MX IP SOURCE (REASON)|" of TLS reports */
	struct buf last_strings; /* the policy of the last one */
	struct buf remembered, last_memory; /* keys, with a space after each; the last value */
	uint64_t last_level, last_dsn;
	bool done, ready, drained, resting, spool_lost;
	bool many;               /* several jobs at a time: outcomes begin with the job's number */
	bool unix_silent;        /* the supervisor does not answer UNIX_CONNECT */
	unsigned n_done;
	unsigned renewals, given_back, unanswered;
};

void world_open(struct world *w);
void world_close(struct world *w);
/* A configuration around these lines; %PORT% stands for the port, %CA% for a file with our CA. */
void world_configure(struct world *w, const char *lines);
void world_ca_file(struct world *w, struct str pem);  /* before world_configure: passes it as /test/ca.pem */
void world_run(struct world *w);                      /* until something wanted stops the loop */
void world_link_spool(struct world *w);

struct job_spec {
	enum route_kind kind;
	const char *name, *domain, *rcpts; /* "b@y.example c@y.example" */
	const char *sender;                /* NULL: a@x.example */
	enum tls_tag tls_tag;
	uint64_t attempt;                  /* 0: 1 */
	bool verify, explain, body_8bit, smtputf8;
	const char *content;               /* NULL: a short letter */
	uint64_t notify;
};
void world_send(struct world *w, const struct job_spec *spec);   /* JOB, RCPTs, GO */
const char *world_deliver(struct world *w, const struct job_spec *spec); /* and until DONE; the outcomes */

#endif
