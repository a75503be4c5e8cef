/* SPDX-License-Identifier: ISC */
/*
 * test/sim/net_inside.h -- what the files of the network share: socket.c (sys/socket.h), stream.c (sys/stream.h) and net.c, in memory.
 *
 * A sock is one end. What is written to it lies, as segments with an arrival time, at the other end; a descriptor that
 * is passed travels with its segment, and a read never goes beyond such a segment, as in the kernel.
 */
#ifndef SIM_NET_INSIDE_H
#define SIM_NET_INSIDE_H

#include "base/list.h"
#include "sys/stream.h"
#include "world.h"

enum { FDS_MAX = 1 << 16, REAL_NONE = -1 };

struct sock;

/* What a descriptor means: a sock of ours, or a descriptor of a file while it travels. */
struct meaning { struct sock *sock; int real; };

struct segment {
	struct link in_sock;
	struct buf bytes;
	int64_t at_ms;
	uint64_t turn;          /* in which it was written */
	bool has_fd;
	struct meaning fd;
};

struct sock {
	struct link in_net;
	unsigned refs;          /* descriptors, here and travelling */
	bool listener, tcp, broken, shut, connecting, refused;
	bool trusted;           /* what is written here is never spoiled: the supervisor's word */
	struct sock *peer;
	struct endpoint local, remote;
	struct list arriving;   /* segments */
	size_t waiting;         /* bytes in them */
	bool end;               /* the peer is gone or has shut down; reads as such once everything is read */
	int64_t end_at_ms, last_ms, decided_ms;
	struct list backlog;    /* listener: socks that wait, by in_backlog */
	struct link in_backlog;
	uint64_t id, written, frame_at; /* bytes written here, and where the next frame of a channel begins */
};

struct stream {
	struct link in_net;
	struct loop *loop;
	int fd;
	struct sock *sock;
	bool want_read, want_write, closed;
	stream_notify *notify;
	void *owner;
	struct later release;
};

struct net {
	struct list socks, streams;
	struct sock *fds[FDS_MAX];
	size_t open, next_fd;
	uint16_t next_port;
	uint64_t next_id;
	bool begun, has_from;
	struct endpoint from;
};
extern struct net net;

void net_begin(void);            /* the first call does it */

/* socket.c */
struct sock *sock_of(int fd);    /* NULL: no descriptor of ours */
int     sock_fd(struct sock *s); /* one for it; takes a reference over */
void    sock_unref(struct sock *s);
void    sock_end_peer(struct sock *s);
int64_t sock_arrival(struct sock *to); /* of what is written now */
bool    sock_decided(const struct sock *s); /* its connection has come about, or not */
void    segment_drop(struct sock *s, struct segment *g);
void    meaning_forget(struct meaning *m);

/* stream.c */
bool    sock_readable(struct sock *s);
bool    sock_writable(const struct sock *s);
struct segment *sock_send(struct sock *s, struct str bytes);

#endif
