/* SPDX-License-Identifier: ISC */
/*
 * proto/smtp/command.h -- the commands of SMTP and LMTP as one table, and their arguments.
 *
 * Takes a line without its CRLF. Pure: where a command is allowed is a column of the table; whether
 * this session is there, the session knows.
 *
 * Tolerated  Any case of the verb; blanks at the end of the line (RFC 5321 4.1.1) and after the colon of
 *            MAIL FROM: and RCPT TO:. Nothing else.
 * Source     RFC 5321 4.1.1, RFC 2033 (LHLO), RFC 3207, RFC 4954, RFC 3030 2; RFC 2920 3.1 (sync).
 * Limits     A line of 512 octets with its CRLF (RFC 5321 4.5.3.1.4); MAIL and RCPT 2048 for their parameters
 *            (RFC 3461 4 asks for 1036); AUTH 12288 (RFC 4954 4).
 * Errors     The reply to give, SAY_NOTHING if all is well.
 * Tests    test/talk/smtp-server, fuzz/smtp_command.c
 */
#ifndef PROTO_SMTP_COMMAND_H
#define PROTO_SMTP_COMMAND_H

#include "proto/smtp/params.h"

enum {
	SMTP_LINE_MAX = 512,
	SMTP_LINE_PARAMS_MAX = 2048,
	SMTP_LINE_AUTH_MAX = 12288,
	SMTP_NAME_MAX = 255, /* what a client may call itself */
};

/* Where a session stands between two commands. */
enum smtp_state {
	SMTP_NEW = 1,     /* nobody has said EHLO */
	SMTP_READY = 2,
	SMTP_HAS_MAIL = 4,
	SMTP_HAS_RCPT = 8,
	SMTP_IN_BDAT = 16, /* a chunk has been taken, the last one not */
	SMTP_ANYWHERE = 31,
};

enum smtp_verb {
	VERB_UNKNOWN,
	VERB_EHLO, VERB_HELO, VERB_LHLO, VERB_STARTTLS, VERB_AUTH, VERB_MAIL, VERB_RCPT, VERB_DATA, VERB_BDAT,
	VERB_RSET, VERB_VRFY, VERB_EXPN, VERB_NOOP, VERB_HELP, VERB_QUIT,
	VERB_HTTP, /* a browser, or somebody who makes one talk to us */
};

enum smtp_argument { ARGUMENT_NONE, ARGUMENT_SOME, ARGUMENT_ANY };

struct smtp_command {
	const char *name;
	enum smtp_verb verb;
	unsigned allowed;          /* states */
	enum smtp_say otherwise;   /* in other states, once greeted */
	bool sync;                 /* must be the last of a group (RFC 2920 3.1): what follows came too early */
	bool guarded;              /* refused until TLS and login are as the listener demands */
	bool smtp, lmtp;           /* where it exists */
	bool idle;                 /* brings no message nearer: counted */
	enum smtp_argument argument;
	size_t line_max;           /* with CRLF */
};

/* Never NULL: an unknown verb has a row too. *argument_out: what follows the verb, without blanks around it. */
const struct smtp_command *smtp_command_find(struct str line, bool lmtp, struct str *argument_out);

/* A host name or address literal as clients write them: printable ASCII without blanks. Whether it is
 * true is nobody's business (RFC 5321 4.1.4). */
bool smtp_argument_hello(struct str argument, struct str *name_out);

enum smtp_say smtp_argument_mail(struct str argument, const struct params_rules *rules, struct arena *a,
                                 struct address *address_out, struct mail_params *params_out);
enum smtp_say smtp_argument_rcpt(struct str argument, const struct params_rules *rules, struct arena *a,
                                 struct address *address_out, struct rcpt_params *params_out);
enum smtp_say smtp_argument_bdat(struct str argument, uint64_t *bytes_out, bool *last_out);

/* initial: decoded, in the arena. "=" is an empty initial response, which is not none. */
enum smtp_say smtp_argument_auth(struct str argument, struct arena *a, struct str *mechanism_out,
                                 bool *has_initial_out, struct str *initial_out);
/* One line of a login: base64, perhaps empty. "*" cancels. */
enum smtp_say smtp_argument_auth_step(struct str line, struct arena *a, struct str *response_out);

#endif
