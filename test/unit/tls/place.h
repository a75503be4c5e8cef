/* SPDX-License-Identifier: ISC */
/* A server that is mx.example.org, a client that wants proof of it, and one that does not care. For a group of tests. */
#ifndef UNIT_TLS_PLACE_H
#define UNIT_TLS_PLACE_H

#include "tls/home.h"

struct place {
	struct home home;
	struct buf chain;
	struct tls_server *server;
	struct tls_client *trusting, *careless;
};

extern const struct home_certificate ordinary;

int place_setup(void **state);
int place_teardown(void **state);

struct tls_client *client_new(struct str ca, bool verify);
void server_add(struct place *p, struct tls_server *s, const char *names, const struct home_certificate *want);
void assert_open(struct tls *c, struct tls *s);

#endif
