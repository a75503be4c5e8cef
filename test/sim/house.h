/* SPDX-License-Identifier: ISC */
/* test/sim/house.h -- the files of a run: configuration, users, certificate; and what the porter has put into Maildirs. */
#ifndef SIM_HOUSE_H
#define SIM_HOUSE_H

#include <stddef.h>

#include "tls/tls.h"

void house_certify(void);             /* once; the certificate serves every run */
void house_forget_certificate(void);
struct tls_server *house_peers(void); /* the scripted servers' TLS */

void house_begin(void);
void house_end(void);
const char *house_path(const char *name, char *to, size_t room);
void house_look(void);                /* tells the ledger of every new file in a Maildir */
void house_vanished(void);            /* and of files that were there and are gone */

#endif
