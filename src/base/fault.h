/* SPDX-License-Identifier: ISC */
/*
 * base/fault.h -- what went wrong, for code and for people.
 *
 * A function that can fail returns a fault and must be looked at; TRY passes it up. Text for a
 * person goes into a struct why, and only where a person will read it. What a peer or a policy
 * says ("no such user") is data, never a fault.
 *
 * A call that fails leaves its object unchanged, unless its header says otherwise.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

typedef enum fault {
	OK = 0,
	F_LIMIT,   /* a ceiling we set was reached */
	F_SYNTAX,  /* input does not follow its grammar */
	F_STATE,   /* the right call at the wrong moment */
	F_DENIED,  /* not allowed */
	F_ABSENT,  /* not there */
	F_EXISTS,  /* already there */
	F_BUSY,    /* would block, or is in use: try again */
	F_TIMEOUT, /* took too long */
	F_PEER,    /* the other end broke the protocol or went away */
	F_TLS,     /* the TLS library refused */
	F_STORE,   /* the queue store failed */
	F_SYS,     /* the system refused; errno was put into the why */
} fault;

#define TRY(call)                        \
	do {                             \
		fault try_ = (call);     \
		if (try_ != OK)          \
			return try_;     \
	} while (0)

const char *fault_name(fault f); /* static text, for logs */

struct why { char text[512]; };

/* Write the reason and return f, so that `return why_say(why, F_SYNTAX, "...")` reads well.
 * why may be NULL. Longer text is cut. */
fault why_say(struct why *why, fault f, const char *fmt, ...) PRINTF(3, 4);

#endif
