/* SPDX-License-Identifier: ISC */
/* test/sim/hosts.h -- scripted next hops: an MX that takes mail, one that is moody, one that refuses; an LMTP server. */
#ifndef SIM_HOSTS_H
#define SIM_HOSTS_H

#include "sys/loop.h"
#include "tls/tls.h"

void hosts_begin(struct loop *loop, struct tls_server *tls);
void hosts_end(void);
extern bool hosts_calm;              /* no more moods: what is refused for good stays refused */
/* Faults on purpose, to see that the oracle finds them: a copy in three is lost after its 250, or kept twice. */
extern bool hosts_lose, hosts_repeat;
extern unsigned long hosts_sessions, hosts_took, hosts_moods;

#endif
