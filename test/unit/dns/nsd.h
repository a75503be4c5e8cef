/* SPDX-License-Identifier: ISC */
/*
 * nsd.h -- a real nsd on a free loopback port, for the tests of what asks it.
 *
 * signed.test is signed, with its key as the trust anchor; broken.signed.test has been changed after
 * signing. plain.test is not signed.
 */
#ifndef TEST_NSD_H
#define TEST_NSD_H

#include <sys/types.h>

#include "base/str.h"

struct nsd {
	char directory[64];
	char server[32];     /* "127.0.0.1:PORT" */
	char anchor[1024];
	pid_t pid;
};

void nsd_start(struct nsd *nsd);   /* answers when it returns; a missing tool fails the test */
void nsd_stop(struct nsd *nsd);

#endif
