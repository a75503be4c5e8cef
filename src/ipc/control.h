/* SPDX-License-Identifier: ISC */
/*
 * ipc/control.h -- the command line <-> spool, over the owner-only control socket.
 *
 * One REQUEST per connection; ROWs (a JSON object each) and then END, whose status is the command's
 * exit status and whose text, if any, is for the person.
 *
 * RETRY, HOLD, RELEASE, BOUNCE and REMOVE have rows of their progress ("progress", recipients so far, and to_go; or "so_far" alone,
 * oftener), and a last one (action, recipients, complete; to_go, where it was stopped). A second request, STOP, ends them where they
 * are, and so does the end of the server; other requests have nothing to stop.
 *
 * VERIFY's rows are findings (id, text, set_aside), and now and then its progress (messages, bytes, and of how many);
 * the last is the sum.
 *
 * WHY (id, or to: a recipient's address) has two kinds of rows: "event", what happened to a recipient, the oldest first, and "queue",
 * what still waits, as SHOW has it.
 * RECALL (id: the beginning of the keys, "shape/" ..., or nothing for all): a row for each thing that courier and resolver have learned
 * and that still counts: what, name, value (of "mta-sts" none), until.
 * BY_DOMAIN (domain; "": all): a row for each domain of recipients, those with the most first; without body only some of them.
 * EXPLAIN (to, from): a row for each line of a story (mail/story.h), what would be done now with a letter; the last is its `answer`.
 *
 * REPORT (domain; "": all) has a row for each day of a domain whose TLS report has not been sent. With body there are BODYs
 * instead, the reports themselves, each with an end of line behind it.
 *
 * Who may not command, or comes when too many do, gets an END that says so.
 *
 * Limits   the enum below; docs/LIMITS.md lists them.
 * Tests    test/unit/ipc/codec_test.c, fuzz/ipc.c
 */
#ifndef IPC_CONTROL_H
#define IPC_CONTROL_H

#include "ipc/codec.h"

enum {
	CONTROL_SESSIONS_MAX = 32,       /* commands that are being answered */
	CONTROL_REFUSALS_MAX = 8,        /* who is being told that he may not, or not now */
	CONTROL_WHY_MAX = 8,             /* readings of the history */
	CONTROL_BY_DOMAIN_MAX = 2,       /* countings of the queue */
	CONTROL_UNREAD_MAX = 256 << 10,  /* bytes of rows that nobody has read: then no more are made */
	CONTROL_IDLE_MS = 5000,          /* from the connection to the command */
	CONTROL_STALL_MS = 30000,        /* of rows that nobody reads, or an END */
	CONTROL_GIVES_WAY_MS = 2000,     /* the same, where all places are taken and another command comes */
};

/* Of an END: as a program's that Ctrl-C has ended; and where the server cannot, or not now. */
enum { CONTROL_STATUS_STOPPED = 130, CONTROL_STATUS_UNAVAILABLE = 69 };

enum control_verb {
	CONTROL_LIST, CONTROL_SHOW, CONTROL_RETRY, CONTROL_HOLD, CONTROL_RELEASE, CONTROL_BOUNCE,
	CONTROL_REMOVE, CONTROL_STATUS, CONTROL_RELOAD, CONTROL_VERIFY, CONTROL_WHY, CONTROL_EXPLAIN,
	CONTROL_REPORT, CONTROL_RECALL, CONTROL_BY_DOMAIN, CONTROL_STOP,
};

/* Empty selectors select everything; older_s is an age in seconds, 0 for any. body: show the content,
 * which follows as BODY chunks. */
#define TO_CONTROL(MSG, U, I, S)                                                            \
	MSG(CONTROL_REQUEST, control_request, U(verb) S(id) S(to) S(from) S(user) S(domain) \
	    U(older_s) U(body))
#define FROM_CONTROL(MSG, U, I, S)                        \
	MSG(CONTROL_ROW, control_row, S(json))            \
	MSG(CONTROL_BODY, control_body, S(bytes))         \
	MSG(CONTROL_END, control_end, U(status) S(text))

IPC_DECLARE(TO_CONTROL, to_control)
IPC_DECLARE(FROM_CONTROL, from_control)

#endif
