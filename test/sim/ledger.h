/* SPDX-License-Identifier: ISC */
/*
 * test/sim/ledger.h -- the oracle: what was handed in, what we were told, what came out where.
 *
 * A letter carries its number in an X-Sim line. A recipient of a letter that was answered 250 must end delivered, relayed
 * or bounced; nothing of a letter whose final dot never went out, or that was refused for good, may appear.
 */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "base/buf.h"

enum { LETTERS_MAX = 200, LETTER_RCPTS_MAX = 8 };

enum letter_state {
	LETTER_UNSENT,    /* the final dot has not gone out */
	LETTER_UNSURE,    /* it has, and no reply was seen: both ends are right */
	LETTER_ACCEPTED,  /* 250 */
	LETTER_LATER,     /* 4yz to the dot */
	LETTER_REFUSED,   /* 5yz */
};

struct letter_rcpt {
	char address[64];
	bool accepted;        /* 250 to RCPT, and for LMTP to its dot */
	enum letter_state state;
	unsigned copies;      /* that came out, each confirmed */
	unsigned unconfirmed; /* the other side cannot know that we took it */
	unsigned bounces;
};

struct letter {
	unsigned number;
	char sender[64];
	struct buf content;   /* as handed in, CRLF, not dot-stuffed */
	enum letter_state state;
	struct letter_rcpt rcpts[LETTER_RCPTS_MAX];
	size_t n_rcpts;
};

struct ledger {
	struct letter letters[LETTERS_MAX];
	size_t n;
	unsigned violations;
	struct buf report;
	unsigned long arrivals, dsns, warnings;
};
extern struct ledger ledger;

void ledger_begin(void);
void ledger_end(void);
struct letter *ledger_letter(const char *sender);
void ledger_violation(const char *fmt, ...) PRINTF(1, 2);

/* A copy came out at `where` for this recipient. crlf: its line ends are those of the wire. Returns the recipient's row,
 * or NULL for a DSN or a stranger. */
struct letter_rcpt *ledger_arrival(const char *where, struct str sender, struct str recipient, struct str content,
                                   bool crlf);
bool ledger_was_accepted(const struct letter *l); /* for one recipient at least */
bool ledger_settled(void);       /* every accepted recipient has ended */
void ledger_judge(unsigned crashes); /* at the end of a run */

#endif
