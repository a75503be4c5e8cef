/* SPDX-License-Identifier: ISC */
/*
 * cmd/control_client.h -- one command to the running server, over the control socket of the configuration.
 *
 * Blocks until the server has answered. What it says to a person goes to standard error.
 *
 * Errors   None returned: the result is an exit status of cmd/options.h, EXIT_UNAVAILABLE where no server answers.
 * Tests    test/scenario/queue_test.py
 */
#ifndef CMD_CONTROL_CLIENT_H
#define CMD_CONTROL_CLIENT_H

#include <jansson.h>

#include "conf/conf.h"
#include "ipc/control.h"

struct control_answers {
	void (*row)(void *owner, struct str json);
	void (*body)(void *owner, struct str bytes);  /* may be NULL */
	void (*end)(void *owner, int status, struct str text); /* the last word; NULL: it is printed to standard error */
	void (*cut_off)(void *owner);                 /* there will be no last word, which has been said already; may be NULL */
	void *owner;
	int patience_ms;                              /* from one answer to the next; 0: a minute */
	bool quiet;                                   /* it is said to nobody that there is no last word */
};

int control_command(const char *conf_path, const struct control_request *request, const struct control_answers *answers);

/* Does it change the queue, in parts? Such a one that SIGINT or SIGTERM interrupts is stopped by the server, which says how far it came;
 * a second one does not wait for that. */
bool control_is_action(uint64_t verb);

/* The two halves of it. The configuration is read and the server called: 0, or an exit status and why_out. *conf_out is the
 * caller's even where no server answers; NULL if it could not be read whole, which a server that runs may answer all the same. */
int control_call(const char *conf_path, struct conf **conf_out, int *fd_out, struct why *why_out);
int control_converse(int fd, const struct control_request *request, const struct control_answers *answers); /* closes fd */

/* Which configuration the server at this socket reads, by its own word. False: it has not said so in a few seconds. */
bool control_file(struct str control, char *to, size_t room);
/* The same, in what it says of itself (`sealpost status --json`): is that another file than this one? */
bool control_reads_another(const json_t *status, const char *conf_path);

/* Text of others for a terminal: controls, and characters that hide or reorder text, become '?'. */
void print_safely(struct str text);
void print_padded(struct str text, int width); /* the same, in a column of so many characters */

/* Options that these commands share: returns how many words were taken, 0 if it is none, -1 if its value is missing, or it was given before;
 * wrong says so. */
struct common_options { const char *conf_path; int json; bool conf_given; struct why wrong; };
int common_option(int argc, char **argv, int at, struct common_options *out);
/* What common_option has found wrong, or that this word has no place here: what is expected instead, in a whole sentence. */
const char *common_wrong(struct common_options *o, const char *word, const char *expected);

#endif
