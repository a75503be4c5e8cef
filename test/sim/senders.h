/* SPDX-License-Identifier: ISC */
/* test/sim/senders.h -- scripted clients: each hands in one letter, in one of several manners, and may go away early. */
#ifndef SIM_SENDERS_H
#define SIM_SENDERS_H

#include "sys/loop.h"

void senders_begin(struct loop *loop);
void senders_end(void);
/* One more letter, made up by chance, from now on. quick: to recipients whose mail ends at once, by a client that stays. */
void senders_start(bool quick);
size_t senders_at_work(void);

extern unsigned long senders_refused, senders_lost;

#endif
