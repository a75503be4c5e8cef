/* SPDX-License-Identifier: ISC */
/*
 * cmd/try_house.h -- what `sealpost try` makes on the spot: a folder with CA, certificate, key, user, configuration.
 *
 *     DIR/sealpost.conf  tls/ca.pem cert.pem key.pem  users  password  mail/  spool/  control.sock
 *
 * Tests    test/unit/cmd/try_house_test.c, test/scenario/try_test.py
 */
#ifndef CMD_TRY_HOUSE_H
#define CMD_TRY_HOUSE_H

#include "base/buf.h"

struct try_house {
	char directory[1024];
	bool is_named;           /* by whoever called: it stays */
	unsigned port_submissions, port_submission, port_mx;
	const char *user;        /* the login name and local part */
	char address[64], password[32];
	struct buf ca;           /* PEM */
	struct buf letter;       /* the message to send */
	char subject[64];        /* tells our letter from older ones in the same Maildir */
};

void try_house_init(struct try_house *h, const char *directory, unsigned port_base);
void try_house_fini(struct try_house *h);

/* Makes everything; standard error goes to DIR/sealpost.log from here on, failures are told before that. */
MUST_USE fault try_house_build(struct try_house *h, struct why *why);

/* The path of the letter, once it is in the Maildir. */
bool try_house_find(const struct try_house *h, char *path, size_t room);

/* The folder and all that is in it, unless it was named; links in it are removed, never followed. False: it stays, or some of it. */
bool try_house_remove(const struct try_house *h);

#endif
