/* SPDX-License-Identifier: ISC */
/*
 * role/hop.h -- one outgoing connection: socket, TLS and the SMTP client core, kept moving.
 *
 * The courier's deliveries and `sealpost send` stand on it. The owner is told what happens, answers through hop_client() and,
 * when it does so outside of a notification, calls hop_turn().
 *
 * Limits   connecting and each TLS handshake have a deadline; the rest are the client core's. Ciphertext that waits to
 *          be sent stays below HOP_UNSENT_MAX and one record.
 * Owns     hop_free may be called inside a notification.
 * Tests    test/unit/role/courier/courier_test.c, test/scenario/send_test.py
 */
#ifndef ROLE_HOP_H
#define ROLE_HOP_H

#include "proto/smtp/client.h"
#include "sys/loop.h"
#include "sys/socket.h"
#include "tls/tls.h"

enum { HOP_UNSENT_MAX = 64 << 10, HOP_CONNECT_MS = 30 * 1000, HOP_HANDSHAKE_MS = 60 * 1000 };

enum hop_failure {
	HOP_CONNECT, /* nobody there */
	HOP_TLS,     /* the handshake failed */
};

struct hop_handler {
	void (*connected)(void *owner);                                   /* may be NULL */
	void (*heard)(void *owner);                                       /* the first bytes; may be NULL */
	void (*tls_open)(void *owner);                                    /* may be NULL */
	void (*event)(void *owner, const struct smtp_client_event *e);    /* all but SMTP_CLIENT_TLS */
	void (*body)(void *owner);                                        /* there is room for content */
	/* Over before or beside SMTP; words for a person. Nothing follows. */
	void (*failed)(void *owner, enum hop_failure what, const char *words);
};

struct hop_options {
	int fd;                          /* connected already; -1: connect to `to` */
	struct endpoint to;
	const struct endpoint *from;     /* may be NULL */
	struct tls_client *tls;          /* must outlive the hop; NULL: never TLS */
	struct str tls_name;             /* SNI, and the name that the certificate must carry ... */
	const struct tls_wish *wish;     /* ... unless this says more; must last until the handshake is over */
	bool implicit;                   /* TLS from the first byte */
	struct smtp_client_conf client;
};

struct hop;

struct hop *hop_new(struct loop *loop, const struct hop_options *options, const struct hop_handler *handler, void *owner);
void hop_free(struct hop **h);   /* what can be sent at once still is, as a QUIT */
void hop_turn(struct hop *h);    /* something was answered or given from outside */

struct smtp_client *hop_client(struct hop *h);      /* NULL before it talks, and for h == NULL */
const struct tls   *hop_tls(const struct hop *h);   /* NULL in clear */
bool                hop_chain(struct hop *h, size_t i, struct tls_certificate_facts *out); /* tls_chain of it; false in clear */
void                hop_set_ehlo(struct hop *h, struct str ehlo); /* in `connected`, when our own address is known */
MUST_USE fault      hop_local(const struct hop *h, struct endpoint *out);

#endif
