/* SPDX-License-Identifier: ISC */
/*
 * sys/socket.h -- endpoints, listening, connecting.
 *
 * Tests    test/unit/sys/stream_test.c, test/unit/sys/endpoint_test.c
 */
#ifndef SYS_SOCKET_H
#define SYS_SOCKET_H

#include "base/buf.h"
#include "base/fault.h"
#include "sys/loop.h"

enum endpoint_kind { ENDPOINT_IPV4, ENDPOINT_IPV6, ENDPOINT_UNIX };

struct endpoint {
	enum endpoint_kind kind;
	unsigned char ip[16];      /* network order; the first 4 for IPv4 */
	uint32_t scope;            /* IPv6 link-local */
	uint16_t port;
	char path[108];            /* ENDPOINT_UNIX */
};

/* "192.0.2.1:25", "[2001:db8::1]:25", "unix:/path". Pure; no names are looked up. */
MUST_USE fault endpoint_parse(struct str text, struct endpoint *out);
MUST_USE fault endpoint_put(struct buf *out, const struct endpoint *e);
/* The address alone, as RFC 5321 4.1.3 writes it inside brackets: "192.0.2.1", "IPv6:2001:db8::1". */
MUST_USE fault endpoint_put_literal(struct buf *out, const struct endpoint *e);
bool endpoint_is_loopback(const struct endpoint *e);
/* Loopback, unspecified, link-local, multicast, broadcast, IPv4-mapped forms of these. */
bool endpoint_is_never_remote(const struct endpoint *e);
/* The same, and the addresses of private networks (RFC 1918, 6598, 4193): nobody far away may send us there. */
bool endpoint_is_private(const struct endpoint *e);

MUST_USE fault socket_listen(const struct endpoint *at, int backlog, int *fd_out, struct why *why);
/* A Unix socket is made for its owner only (0600); this opens it for others. F_STATE for any other kind. */
MUST_USE fault socket_set_mode(const struct endpoint *at, unsigned mode);
/* ... and this gives it away. */
MUST_USE fault socket_give(const struct endpoint *at, uint32_t uid, uint32_t gid);
/* Non-blocking accept. F_BUSY: nobody waits. F_LIMIT: no descriptor left; *fd_out is then who waited, on the descriptor
 * that is kept for this (-1: not even that): say goodbye and close it at once. */
MUST_USE fault socket_accept(int listener, int *fd_out, struct endpoint *peer_out);
/* Starts a connection; WRITABLE on its stream says it is decided, socket_connected how. from may
 * be NULL. */
MUST_USE fault socket_connect(const struct endpoint *to, const struct endpoint *from, int *fd_out);
MUST_USE fault socket_connected(int fd, struct why *why);
MUST_USE fault socket_local(int fd, struct endpoint *out);
MUST_USE fault socket_pair(int out[2]);
/* The user at the other end of a Unix socket. */
MUST_USE fault socket_peer_user(int fd, uint32_t *uid_out, uint32_t *pid_out);
void           fd_close(int *fd);  /* sets it to -1; -1 is fine */
int            fd_dup(int fd);  /* another descriptor of the same thing; -1 if there is none left */
/* The endpoints of this machine's own interfaces; used to recognise ourselves in an MX set. */
size_t socket_own_addresses(struct endpoint *out, size_t max);

/* The system's name lookup; blocks, so for commands only. F_ABSENT: no such name. F_TIMEOUT: not now. */
MUST_USE fault host_lookup(struct str host, uint16_t port, struct endpoint *out, size_t max, size_t *n_out,
                           struct why *why);

/* For commands that lend their terminal to a server: standard input goes to the connected socket, what comes back to
 * standard output, until the server ends. Blocks. F_PEER: the connection broke. */
MUST_USE fault socket_bridge(int fd);

/* Calls notify whenever somebody waits at the listener. */
struct acceptor;
struct acceptor *acceptor_new(struct loop *loop, int fd, void (*notify)(void *owner), void *owner);
void             acceptor_pause(struct acceptor *a, bool pause);
int              acceptor_fd(const struct acceptor *a);
void             acceptor_close(struct acceptor **a);

#endif
