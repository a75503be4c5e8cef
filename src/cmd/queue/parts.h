/* SPDX-License-Identifier: ISC */
/*
 * cmd/queue/parts.h -- the parts of `sealpost queue`: what was asked for, and what looks at the queue's files itself.
 *
 * Errors   None returned: the result is an exit status. What is said to a person goes to standard output and error.
 * Tests    test/unit/cmd/queue_test.py, test/scenario/queue_test.py, queue_verify_test.py, queue_backup_test.py
 */
#ifndef CMD_QUEUE_PARTS_H
#define CMD_QUEUE_PARTS_H

#include "cmd/control_client.h"
#include "store/store.h"

/* What was asked for. */
struct queue_request {
	struct common_options common;
	struct control_request request;
	bool everything;                 /* --all */
	bool backup;                     /* the second word is a directory */
	bool by_domain;
};

/* The words of the command line, --help aside. 0, or 2: what is wrong with them has been said. */
int queue_understand(int argc, char **argv, struct queue_request *out);
const char *queue_verb_name(uint64_t verb); /* as it is given */

/* Is all that lies in the queue what was accepted? Through the server that runs, or without one. 0, 1 if something was found. */
int queue_verify(const struct common_options *options);
/* A copy of the queue in a new directory. 0, 1 if it failed or something was damaged. */
int queue_backup(const struct common_options *options, struct str to);

/* Holds what matches, through the server that runs, or without one: before a queue that was put back is served. */
int queue_hold(const struct common_options *options, const struct control_request *request, const struct control_answers *answers);
/* The queue for ourselves, as its owner. F_BUSY: a process has it open. F_DENIED: it is somebody else's. */
MUST_USE fault queue_open_alone(const struct conf *conf, struct store **out, struct why *why);

#endif
