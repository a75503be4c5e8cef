/* SPDX-License-Identifier: ISC */
/*
 * role/supervisor/supervisor.h -- reads the configuration, binds ports, starts the roles and starts them
 * again; parses no network byte and reads no key.
 *
 * Every role's child process gets its links to its neighbours, then a generation of the configuration, stage by
 * stage: the keeper first, whose tables and keys can be wrong, the workers next, the fronts last, so that nobody is
 * let in before there is somewhere to put their mail. If a role refuses a generation, all go back to the old one.
 *
 * Limits   A role that dies comes back at once, then after 1, 2, 4 ... 60 s while it keeps dying.
 * Owns     The supervisor owns its children, their channels and the listening sockets.
 * Tests    test/scenario
 */
#ifndef ROLE_SUPERVISOR_H
#define ROLE_SUPERVISOR_H

#include "base/fault.h"
#include "conf/conf.h"
#include "sys/loop.h"

struct supervisor;

struct supervisor_options {
	const char *conf_path;
	unsigned fronts;                               /* 0: one per core */
	void (*ready)(void *owner);                    /* the first time that mail is accepted; may be NULL */
	void (*ended)(void *owner, int status);        /* nothing runs any more; status is sysexits.h's */
	/* Process pid serves at this control socket, so that we cannot: who that is, and what to do, for the operator. May be NULL. */
	void (*tell_other)(void *owner, struct str control, unsigned long pid, char *to, size_t room);
	void *owner;
};

/* F_SYNTAX, with all the errors in the report: nothing was started. */
MUST_USE fault supervisor_new(struct loop *loop, const struct supervisor_options *options,
                              struct supervisor **out, struct conf_report *report);
void supervisor_free(struct supervisor **sv);     /* ends what still runs */

void supervisor_reload(struct supervisor *sv);    /* as SIGHUP does */
void supervisor_stop(struct supervisor *sv);      /* as SIGTERM does: drains; a second time: at once */

#endif
