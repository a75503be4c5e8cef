/* SPDX-License-Identifier: ISC */
/*
 * policy/protection.h -- how must the connection to this mail server be protected? A pure decision.
 *
 * Asked once for every MX host, when all that is published about it is known. The strongest demand wins:
 *
 *     exception     the operator has set aside, for a while, what this domain publishes
 *     DANE          secure TLSA records of the host             RFC 7672
 *     MTA-STS       the domain's policy, in mode enforce        RFC 8461
 *     memory        what the domain has shown before, where the operator wants that to bind (`remember strict`)
 *     floor         what the configuration asks of every server
 *
 * and nothing weakens what it leaves: a demand that cannot be met makes the message wait, never go out with less. MTA-STS never
 * replaces DANE that fails. While nothing can be validated here, memory of DANE binds whatever the operator says: only a signed
 * answer takes back what a signed answer has said. Where the MX records are not signed, DANE still proves the host, but not that
 * it is the right one: the level is then not called DANE (RFC 7672 2.2.1). On top of that the sender has a word: REQUIRETLS
 * (RFC 8689) asks for a proven server, whatever else holds, and `TLS-Required: No` sets aside what the domain publishes, but not
 * what the operator asks.
 *
 * Tests    test/unit/policy/protection_test.c: every input there is, against a table
 */
#ifndef POLICY_PROTECTION_H
#define POLICY_PROTECTION_H

#include "conf/conf.h"

/* What the TLSA lookup of one host came to. */
enum protection_dane {
	PROTECTION_DANE_NONE,     /* no TLSA records, or not by an unbroken chain of signatures */
	PROTECTION_DANE_USABLE,
	PROTECTION_DANE_UNUSABLE, /* signed records, none of which we can use: RFC 7672 2.2 */
	PROTECTION_DANE_TROUBLE,  /* it could not be found out: RFC 7672 2.1.1 */
};

enum protection_sts {
	PROTECTION_STS_NONE, PROTECTION_STS_TESTING, PROTECTION_STS_ENFORCE,
	PROTECTION_STS_UNKNOWN,   /* whether there is a policy could not be found out, and has to be */
};

enum protection_wish {
	PROTECTION_AS_PUBLISHED,
	PROTECTION_REQUIRED,      /* MAIL ... REQUIRETLS, and there is a sender who can be told that it failed */
	PROTECTION_OPTIONAL,      /* TLS-Required: No */
};

struct protection_question {
	enum tls_level floor;                 /* at most TLS_VERIFY */
	bool excepted;
	enum tls_level exception;             /* at most TLS_VERIFY */
	bool names_secure;                    /* the MX records (or that there are none) are signed */
	bool unvalidated;                     /* no answer of the DNS can be validated: that they are not secure says nothing */
	enum protection_dane dane;
	enum protection_sts sts;
	bool sts_names_it;                    /* the policy has a pattern for this host */
	enum protection_wish wish;
	enum tls_level remembered;            /* the best that the domain has shown; TLS_NONE: nothing */
	bool strict;
};

enum protection_rule {
	RULE_EXCEPTION, RULE_DANE, RULE_MTA_STS, RULE_MEMORY, RULE_FLOOR, RULE_REQUIRETLS, RULE_TLS_REQUIRED,
	PROTECTION_RULES
};

enum protection_verdict {
	RULE_ABSENT,     /* it has nothing to say here */
	RULE_WON,        /* it decides the level */
	RULE_LOST,       /* a stronger one decides */
	RULE_ADDS,       /* it asks for something beside the level: RULE_REQUIRETLS */
	RULE_FORBIDS,    /* this host must not be used */
};

enum protection_proof { PROVE_NOTHING, PROVE_NAME, PROVE_DANE };

struct protection {
	bool usable;                          /* false: on to the next host; the verdicts say why */
	enum tls_level level;                 /* what must be reached, also where not usable */
	enum protection_proof proof;
	bool requires_keyword;                /* the server must offer REQUIRETLS */
	bool may_go_clear;                    /* where TLS is not to be had */
	bool may_mend;                        /* not usable, and waiting may change that */
	struct {
		enum protection_verdict verdict;
		const char *source;           /* the RFC and its section, or the directive; static */
		const char *words;            /* one sentence for people; static, "" if absent */
	} rules[PROTECTION_RULES];
};

void protection_decide(const struct protection_question *question, struct protection *out);

const char *protection_rule_name(enum protection_rule rule);          /* "dane", "mta-sts", ...: stable words */
const char *protection_verdict_name(enum protection_verdict verdict); /* "won", "lost", ... */

/* The sentence that tells a sender why this host may not be used; "" if it may. */
const char *protection_refusal(const struct protection *p);

#endif
