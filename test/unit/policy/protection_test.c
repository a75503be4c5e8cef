/* SPDX-License-Identifier: ISC */
/*
 * Every input of the decision against a table to be held next to the RFCs; and what must be true whatever the
 * table says.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "policy/protection.h"

/*
 * One row: what it is about, and what follows. `-` is anything; `>x` at least x. A column of several letters is any of these.
 *
 *     exception  -  none      e  excepted
 *     wish       p  as published   r  REQUIRETLS   o  TLS-Required: No
 *     names      s  signed MX      i  insecure
 *     dane       n  none  u  usable  x  unusable  t  trouble
 *     sts        n  none  t  testing  e  enforce  u  unknown
 *     named      y  the policy has a pattern for the host   n  it has none
 *     memory     .  does not bind   1  TLS seen   2  encrypt   3  verified   4  MTA-STS   5  DANE    (binding: remember strict)
 *                v  DANE, and nothing can be validated now: binds whatever the operator says
 *
 * The first row that fits holds. Level: max(floor, ...) is written as +level, the exception's as `x`.
 */
static const struct row {
	const char *exception, *wish, *names, *dane, *sts, *named, *memory;
	const char *level, *proof, *winner, *forbidden_by;
} rows[] = {
	/* The operator's exception sets all else aside (but not what the sender requires). */
	{ "e", "po", "-", "-", "-",  "-", "-",    "x",        "level", "exception", "" },
	{ "e", "r",  "s", "-", "-",  "-", "-",    "x+verify", "level", "exception", "" },
	{ "e", "r",  "i", "-", "te", "y", "-",    "x+verify", "level", "exception", "" },
	{ "e", "r",  "i", "-", "-",  "-", "-",    "x+verify", "level", "exception", "requiretls" },

	/* RFC 8689 4.2.2: what the domain publishes is set aside, what the configuration asks is not. */
	{ "-", "o",  "-", "-", "-",  "-", "-",    "+none",    "level", "floor", "" },

	/* RFC 7672 2.1.1: not known whether there are TLSA records: the host is not used, whatever else holds. */
	{ "-", "-",  "-", "t", "-",  "-", "-",    "?",        "dane",  "?", "dane" },

	/* RFC 7672 2.1.1: what cannot be validated is indeterminate; DANE that has been shown is not gone. */
	{ "-", "-",  "s", "nx", "-",  "-", "v",   "?",        "?",     "?", "memory" },
	{ "-", "-",  "i", "-",  "-",  "-", "v",   "?",        "?",     "?", "memory" },

	/* `remember strict`: who has had DANE, or a policy, must still have it. */
	{ "-", "-",  "s", "nx", "-",  "-", "5",   "?",        "?",     "?", "memory" },
	{ "-", "-",  "i", "-",  "-",  "-", "5",   "?",        "?",     "?", "memory" },
	{ "-", "-",  "s", "nx", "nt", "-", "4",   "?",        "?",     "?", "memory" },
	{ "-", "-",  "i", "-",  "nt", "-", "4",   "?",        "?",     "?", "memory" },

	/* RFC 8461 10.2: not known whether there is a policy, and whoever may be in the way is not to be believed. */
	{ "-", "-",  "s", "nx", "u",  "-", "-",   "?",        "?",     "?", "mta-sts" },
	{ "-", "-",  "i", "-",  "u",  "-", "-",   "?",        "?",     "?", "mta-sts" },

	/* RFC 8689 4.2.1: a name that neither DNSSEC nor MTA-STS vouches for. */
	{ "-", "r",  "i", "-", "n",  "-", "-",    "?",        "?",     "?", "requiretls" },
	{ "-", "r",  "i", "-", "t",  "n", "-",    "?",        "?",     "?", "requiretls" },

	/* RFC 7672 2.2, RFC 8461 2: DANE, and MTA-STS stands back. */
	{ "-", "-",  "s", "u", "-",  "-", "-",    "+dane",    "dane",  "dane", "" },

	/* RFC 8461 4.1: a host that the policy does not name. */
	{ "-", "-",  "-", "-", "e",  "n", "-",    "?",        "?",     "?", "mta-sts" },

	/* RFC 8461 4.1 and 4.2: named, and proven by PKIX, or by DANE where the MX records are unsigned. */
	{ "-", "-",  "-", "nx", "e", "y", "-",    "+mta-sts", "name",  "mta-sts", "" },
	{ "-", "-",  "i", "u",  "e", "y", "-",    "+mta-sts", "dane",  "mta-sts", "" },

	/* No policy that demands. What was verified before must be again, where memory binds. */
	{ "-", "p",  "-", "nx", "nt", "-", "3",   "+verify",  "level", "?", "" },
	{ "-", "p",  "i", "u",  "nt", "-", "3",   "+verify",  "dane",  "?", "" },

	/* RFC 7672 2.2.1: DANE with unsigned MX records proves the host, and is not called DANE. */
	{ "-", "p",  "i", "u", "nt", "-", "-",    "+encrypt", "dane",  "?", "" },
	{ "-", "r",  "i", "u", "t",  "y", "-",    "+verify",  "dane",  "?", "" },

	/* RFC 7672 2.2: signed, but unusable: TLS. RFC 8689: proven. */
	{ "-", "p",  "-", "x", "nt", "-", "-",    "+encrypt", "level", "?", "" },
	{ "-", "r",  "-", "nx", "nt", "-", "-",   "+verify",  "level", "?", "" },

	/* Nothing published. */
	{ "-", "p",  "-", "n", "nt", "-", "12",   "+encrypt", "level", "?", "" },
	{ "-", "p",  "-", "n", "nt", "-", ".",    "+none",    "level", "floor", "" },
};

static bool fits(const char *letters, char is)
{
	return strcmp(letters, "-") == 0 || strchr(letters, is) != NULL;
}

/* An exception's "-" means: none. */
static bool row_fits(const struct row *r, const struct protection_question *q)
{
	char memory = q->unvalidated && q->remembered == TLS_DANE ? 'v'
	              : !q->strict || q->remembered == TLS_NONE ? '.' : (char)('0' + (int)q->remembered);
	return (*r->exception == 'e') == q->excepted && fits(r->wish, "pro"[q->wish]) && fits(r->names, q->names_secure ? 's' : 'i') &&
	       fits(r->dane, "nuxt"[q->dane]) && fits(r->sts, "nteu"[q->sts]) && fits(r->named, q->sts_names_it ? 'y' : 'n') &&
	       fits(r->memory, memory);
}

static enum tls_level level_named(const char *name)
{
	enum tls_level level = TLS_NONE;
	while (strcmp(tls_level_name(level), name) != 0)
		level++;
	return level;
}

static enum tls_level expected_level(const char *level, const struct protection_question *q)
{
	const char *plus = strchr(level, '+');
	enum tls_level base = *level == 'x' ? q->exception : q->floor;
	enum tls_level more = plus != NULL ? level_named(plus + 1) : TLS_NONE;
	return more > base ? more : base;
}

static const char *winner_of(const struct protection *p)
{
	const char *name = "";
	unsigned n = 0;
	for (enum protection_rule r = 0; r < PROTECTION_RULES; r++)
		if (p->rules[r].verdict == RULE_WON) {
			name = protection_rule_name(r);
			n++;
		}
	assert_true(n <= 1);
	return name;
}

static bool forbidden_by(const struct protection *p, const char *name)
{
	for (enum protection_rule r = 0; r < PROTECTION_RULES; r++)
		if (p->rules[r].verdict == RULE_FORBIDS && strcmp(protection_rule_name(r), name) == 0)
			return true;
	return false;
}

static const char *proof_name(enum protection_proof proof)
{
	static const char *const names[] = { "nothing", "name", "dane" };
	return names[proof];
}

/* "" where the answer is the row's. */
static const char *differs(const struct row *r, const struct protection_question *q, const struct protection *p)
{
	const char *proof = strcmp(r->proof, "level") != 0 ? r->proof : p->level >= TLS_VERIFY ? "name" : "nothing";
	if (p->usable != (*r->forbidden_by == '\0'))
		return "usable";
	if (!p->usable && !forbidden_by(p, r->forbidden_by))
		return "who forbids";
	if (*r->level != '?' && p->level != expected_level(r->level, q))
		return "level";
	if (*proof != '?' && strcmp(proof, proof_name(p->proof)) != 0)
		return "proof";
	if (*r->winner != '?' && strcmp(r->winner, winner_of(p)) != 0)
		return "winner";
	return "";
}

static void say(const struct protection_question *q, const char *what, size_t row)
{
	fail_msg("%s: row %zu; floor %s, excepted %d %s, names %s, dane %c, sts %c, named %d, wish %c, remembered %s, strict %d, unvalidated %d",
	         what, row, tls_level_name(q->floor), q->excepted, tls_level_name(q->exception), q->names_secure ? "secure" : "insecure",
	         "nuxt"[q->dane], "nteu"[q->sts], q->sts_names_it, "pro"[q->wish], tls_level_name(q->remembered), q->strict,
	         q->unvalidated);
}

/* ---- what holds whatever the table says ---- */

static void never_weaker(const struct protection_question *q, const struct protection *p)
{
	bool sender_sets_aside = q->wish == PROTECTION_OPTIONAL;
	if (!q->excepted && p->level < q->floor)
		say(q, "below the floor", 0);
	if (p->usable && !q->excepted && !sender_sets_aside) {
		if (q->dane == PROTECTION_DANE_TROUBLE)
			say(q, "used although DANE could not be looked up", 0);
		if (q->dane == PROTECTION_DANE_USABLE && p->proof != PROVE_DANE)
			say(q, "TLSA records that nobody checks", 0);
		if (q->dane != PROTECTION_DANE_NONE && p->may_go_clear)
			say(q, "clear text in spite of DANE", 0);
		if (q->sts == PROTECTION_STS_ENFORCE && (p->level < TLS_MTA_STS || p->proof == PROVE_NOTHING))
			say(q, "less than MTA-STS enforces", 0);
		if (q->sts == PROTECTION_STS_UNKNOWN && p->level < TLS_DANE)
			say(q, "used although a policy could not be looked for", 0);
		if ((q->strict || (q->unvalidated && q->remembered == TLS_DANE)) && p->level < q->remembered)
			say(q, "less than memory demands", 0);
	}
	if (q->wish == PROTECTION_REQUIRED && (p->proof == PROVE_NOTHING || p->may_go_clear || !p->requires_keyword))
		say(q, "less than REQUIRETLS", 0);
	/* Waiting may mend a lookup that failed, what memory holds against the domain, and trouble of our own; a host without anybody
	 * who vouches for it stays one. */
	bool policy = q->sts == PROTECTION_STS_TESTING || q->sts == PROTECTION_STS_ENFORCE;
	bool lacks_a_name = q->wish == PROTECTION_REQUIRED && !q->names_secure && !(policy && q->sts_names_it);
	bool ours = q->unvalidated || forbidden_by(p, "dane") || forbidden_by(p, "memory") ||
	            (q->sts == PROTECTION_STS_UNKNOWN && forbidden_by(p, "mta-sts"));
	if (p->may_mend != (!p->usable && (ours || !lacks_a_name)))
		say(q, "whether waiting may mend it", 0);
	if (lacks_a_name && p->usable)
		say(q, "used without a name that something vouches for", 0);
	if (p->level == TLS_DANE && p->usable && !q->names_secure)
		say(q, "called DANE with unsigned MX records", 0);
	if (p->may_go_clear && (p->level > TLS_OPPORTUNISTIC || p->proof != PROVE_NOTHING))
		say(q, "clear text beside a demand", 0);
}

/* More published, more remembered, or a higher floor never asks for less. */
static void monotonous(const struct protection_question *q, const struct protection *p)
{
	struct protection more;
	for (int change = 0; change < 4; change++) {
		struct protection_question m = *q;
		if (change == 0 && m.floor < TLS_VERIFY)
			m.floor++;
		else if (change == 1 && m.sts < PROTECTION_STS_ENFORCE)
			m.sts++;
		else if (change == 2 && m.remembered < TLS_DANE)
			m.remembered++;
		else if (change == 3 && m.dane == PROTECTION_DANE_NONE)
			m.dane = PROTECTION_DANE_USABLE;
		protection_decide(&m, &more);
		if (more.usable && p->usable && (more.level < p->level || (more.proof == PROVE_NOTHING && p->proof != PROVE_NOTHING)))
			say(q, "more known, less asked", (size_t)change);
	}
}

static void words_for_every_rule(const struct protection *p)
{
	for (enum protection_rule r = 0; r < PROTECTION_RULES; r++) {
		assert_true(strlen(p->rules[r].source) > 0);
		assert_true(p->rules[r].verdict == RULE_ABSENT || strlen(p->rules[r].words) > 0);
	}
	assert_true(p->usable == (strlen(protection_refusal(p)) == 0));
}

static unsigned used[COUNT(rows)];

static void one(const struct protection_question *q)
{
	struct protection p;
	size_t row = 0;
	protection_decide(q, &p);
	while (row < COUNT(rows) && !row_fits(&rows[row], q))
		row++;
	if (row == COUNT(rows))
		say(q, "no row", row);
	used[row]++;
	const char *difference = differs(&rows[row], q, &p);
	if (*difference != '\0')
		say(q, difference, row);
	never_weaker(q, &p);
	monotonous(q, &p);
	words_for_every_rule(&p);
}

static void test_p12_every_input(void **state)
{
	(void)state;
	static const unsigned sizes[] = { 4, 5, 2, 4, 4, 2, 3, 6, 2, 2 };
	unsigned n = 1;
	for (size_t i = 0; i < COUNT(sizes); i++)
		n *= sizes[i];
	for (unsigned at = 0; at < n; at++) {
		unsigned digit[COUNT(sizes)], rest = at;
		for (size_t i = 0; i < COUNT(sizes); i++) {
			digit[i] = rest % sizes[i];
			rest /= sizes[i];
		}
		one(&(struct protection_question){
			.floor = (enum tls_level)digit[0], .excepted = digit[1] > 0,
			.exception = digit[1] > 0 ? (enum tls_level)(digit[1] - 1) : TLS_NONE, .names_secure = digit[2] > 0,
			.dane = (enum protection_dane)digit[3], .sts = (enum protection_sts)digit[4], .sts_names_it = digit[5] > 0,
			.wish = (enum protection_wish)digit[6], .remembered = (enum tls_level)digit[7], .strict = digit[8] > 0,
			.unvalidated = digit[9] > 0,
		});
	}
	for (size_t i = 0; i < COUNT(rows); i++)
		if (used[i] == 0)
			fail_msg("row %zu is of no use", i);
	print_message("# %u inputs, %zu rows\n", n, COUNT(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_p12_every_input) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
