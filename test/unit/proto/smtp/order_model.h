/* SPDX-License-Identifier: ISC */
/* What a client may say to the server core, and a small model of RFC 5321 that knows the code of each answer. */
#ifndef TEST_UNIT_PROTO_SMTP_ORDER_MODEL_H
#define TEST_UNIT_PROTO_SMTP_ORDER_MODEL_H

#include <stdbool.h>

enum { SIZE_BYTES_MAX = 12, RCPTS_MAX = 2 };

enum what {
	EHLO, EHLO_NO, EHLO_BAD, HELO, HELO_NO, STARTTLS, STARTTLS_NO, STARTTLS_BAD, AUTH, AUTH_NO, AUTH_STAR, AUTH_BAD,
	MAIL, MAIL_UTF8, MAIL_TLS, MAIL_NO, MAIL_UTF8_NO, MAIL_TLS_NO, MAIL_BAD, MAIL_BIG, RCPT, RCPT_UTF8, RCPT_NO, RCPT_BAD, DATA, DATA_NO,
	DATA_END_NO, DATA_BARE, DATA_BIG, DATA_BAD, BDAT, BDAT_NO, BDAT_LAST, BDAT_EMPTY, BDAT_END_NO, BDAT_BARE, BDAT_BARE_LAST,
	BDAT_BIG, BDAT_HUGE, BDAT_BAD,
	RSET, RSET_BAD, NOOP, HELP, VRFY, VRFY_BAD, EXPN, UNKNOWN, BARE_LF, CONTROL, LONG, QUIT, WHATS,
};

enum { NEVER = -1 }; /* nobody asks the owner something that he would refuse here */

/* In `text` a "|" waits for a 334 or 354; NULL: a line that is too long. `no` is the question that the owner answers with no. */
extern const struct step { const char *text; int no; } steps[WHATS];

enum hello { HELLO_NONE, HELLO_OLD, HELLO_EXTENDED };
enum transaction { NO_MAIL, HAS_SENDER, HAS_RCPTS, HAS_CHUNKS };

struct conf { const char *name; bool lmtp, starttls, tls_required, auth_required, tls, mechanisms, requiretls; };

struct model {
	const struct conf *conf;
	bool tls, logged_in, utf8, ended;
	enum hello hello;
	enum transaction at;
	unsigned rcpts, bytes;
};

int model_take(struct model *m, enum what what); /* the code of the last reply; 0: none */

#endif
