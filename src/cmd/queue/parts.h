/* SPDX-License-Identifier: ISC */
/*
 * cmd/queue/parts.h -- the parts of `sealpost queue` that look at the queue's files themselves.
 *
 * Errors   None returned: the result is an exit status. What is said to a person goes to standard output and error.
 * Tests    test/scenario/queue_verify_test.py, queue_backup_test.py
 */
#ifndef CMD_QUEUE_PARTS_H
#define CMD_QUEUE_PARTS_H

#include "cmd/control_client.h"
#include "store/store.h"

/* Is all that lies in the queue what was accepted? Through the server that runs, or without one. 0, 1 if something was found. */
int queue_verify(const struct common_options *options);
/* A copy of the queue in a new directory. 0, 1 if it failed or something was damaged. */
int queue_backup(const struct common_options *options, struct str to);

/* Holds what matches, through the server that runs, or without one: before a queue that was put back is served. */
int queue_hold(const struct common_options *options, const struct control_request *request, const struct control_answers *answers);
/* The queue for ourselves, as its owner. F_BUSY: a process has it open. F_DENIED: it is somebody else's. */
MUST_USE fault queue_open_alone(const struct conf *conf, struct store **out, struct why *why);

#endif
