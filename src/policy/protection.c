/* SPDX-License-Identifier: ISC */
#include "policy/protection.h"

#include "base/check.h"

static void rule(struct protection *p, enum protection_rule r, enum protection_verdict verdict, const char *source,
                 const char *words)
{
	p->rules[r].verdict = verdict;
	p->rules[r].source = source;
	p->rules[r].words = words;
}

static void forbid(struct protection *p, enum protection_rule r, const char *source, const char *words)
{
	p->usable = false;
	rule(p, r, RULE_FORBIDS, source, words);
}

/* ---- what each rule asks for, looked at alone ---- */

/* The level that a rule demands; TLS_NONE where it demands nothing. */
struct demands { enum tls_level dane, sts, memory; bool by_dane; };

static void look_at_dane(const struct protection_question *q, struct protection *p, struct demands *d)
{
	switch (q->dane) {
	case PROTECTION_DANE_NONE:
		rule(p, RULE_DANE, RULE_ABSENT, "RFC 7672 2.2", "The host has no TLSA records that are signed all the way.");
		break;
	case PROTECTION_DANE_USABLE:
		d->dane = q->names_secure ? TLS_DANE : TLS_ENCRYPT;
		d->by_dane = true;
		if (q->names_secure)
			rule(p, RULE_DANE, RULE_WON, "RFC 7672 2.2", "The host's signed TLSA records say which certificate it has.");
		else
			rule(p, RULE_DANE, RULE_WON, "RFC 7672 2.2.1",
			     "The host must prove itself by its signed TLSA records; that it is the right host, nothing proves.");
		break;
	case PROTECTION_DANE_UNUSABLE:
		d->dane = TLS_ENCRYPT;
		rule(p, RULE_DANE, RULE_WON, "RFC 7672 2.2",
		     "The host's signed TLSA records are of no kind that proves anything: TLS is demanded, without proof.");
		break;
	case PROTECTION_DANE_TROUBLE:
		d->dane = q->names_secure ? TLS_DANE : TLS_ENCRYPT;
		d->by_dane = true;
		forbid(p, RULE_DANE, "RFC 7672 2.1.1",
		     "Whether the host has TLSA records could not be found out, so it is not used now.");
		break;
	}
}

static void look_at_sts(const struct protection_question *q, struct protection *p, struct demands *d)
{
	bool dane_decides = d->dane == TLS_DANE; /* and not where the host's name is anybody's word */
	switch (q->sts) {
	case PROTECTION_STS_NONE:
		rule(p, RULE_MTA_STS, RULE_ABSENT, "RFC 8461 3", "The domain has no MTA-STS policy in force.");
		break;
	case PROTECTION_STS_TESTING:
		rule(p, RULE_MTA_STS, RULE_LOST, "RFC 8461 5", q->sts_names_it
		     ? "The domain's MTA-STS policy is in mode testing: it is reported on, and demands nothing."
		     : "The domain's MTA-STS policy does not name this host; in mode testing that is only reported.");
		break;
	case PROTECTION_STS_ENFORCE:
		if (dane_decides) {
			rule(p, RULE_MTA_STS, RULE_LOST, "RFC 8461 2", "The domain's MTA-STS policy stands back behind DANE.");
		} else if (q->sts_names_it) {
			d->sts = TLS_MTA_STS;
			rule(p, RULE_MTA_STS, RULE_WON, "RFC 8461 4.1", "The domain's MTA-STS policy names this host.");
		} else {
			d->sts = TLS_MTA_STS;
			forbid(p, RULE_MTA_STS, "RFC 8461 4.1", "The domain's MTA-STS policy does not name this host.");
		}
		break;
	case PROTECTION_STS_UNKNOWN:
		if (dane_decides)
			rule(p, RULE_MTA_STS, RULE_LOST, "RFC 8461 2", "An MTA-STS policy, if there is one, stands back behind DANE.");
		else
			forbid(p, RULE_MTA_STS, "RFC 8461 10.2",
			       "Whether the domain has an MTA-STS policy could not be found out, so the host is not used now.");
		break;
	}
}

/* What was opportunistic TLS once must be TLS now; what was proven must be proven in the same way. */
static void look_at_strict_memory(const struct protection_question *q, struct protection *p, struct demands *d)
{
	static const char source[] = "remember strict";
	enum tls_level published = d->dane > d->sts ? d->dane : d->sts;
	d->memory = q->remembered == TLS_OPPORTUNISTIC ? TLS_ENCRYPT : q->remembered;
	if (d->memory > TLS_VERIFY && published < d->memory)
		forbid(p, RULE_MEMORY, source, d->memory == TLS_DANE ? "The domain has had DANE, and now it has not."
		                                                           : "The domain has had an MTA-STS policy, and now it has not.");
	else
		rule(p, RULE_MEMORY, RULE_WON, source, "The domain must not do less than it has done before.");
}

static void look_at_memory(const struct protection_question *q, struct protection *p, struct demands *d)
{
	static const char source[] = "remember strict";
	if (q->remembered == TLS_NONE) {
		rule(p, RULE_MEMORY, RULE_ABSENT, source, "The domain has not been seen with TLS.");
	} else if (q->unvalidated && q->remembered == TLS_DANE && d->dane < TLS_DANE) {
		d->memory = TLS_DANE;
		forbid(p, RULE_MEMORY, "RFC 7672 2.1.1",
		       "The domain has had DANE, and no answer of the DNS can be validated now: it is waited for.");
	} else if (q->strict) {
		look_at_strict_memory(q, p, d);
	} else {
		rule(p, RULE_MEMORY, RULE_ABSENT, source, "What the domain has shown before does not bind here.");
	}
}

/* ---- the decision ---- */

static enum tls_level higher(enum tls_level a, enum tls_level b)
{
	return a > b ? a : b;
}

/* Several may have won by themselves; the strongest has, and among equals the first. */
static void settle(struct protection *p, const struct demands *d, enum tls_level floor)
{
	const enum tls_level asked[] = {
		[RULE_DANE] = d->dane, [RULE_MTA_STS] = d->sts, [RULE_MEMORY] = d->memory, [RULE_FLOOR] = floor,
	};
	bool won = false;
	for (enum protection_rule r = RULE_DANE; r <= RULE_FLOOR; r++) {
		if (p->rules[r].verdict != RULE_WON)
			continue;
		if (won || asked[r] != p->level)
			p->rules[r].verdict = RULE_LOST;
		else
			won = true;
	}
}

static void set_aside(struct protection *p, const char *source, const char *words)
{
	for (enum protection_rule r = RULE_DANE; r <= RULE_MEMORY; r++)
		if (p->rules[r].verdict != RULE_ABSENT)
			rule(p, r, RULE_LOST, source, words);
	p->usable = true;
}

static void require(const struct protection_question *q, struct protection *p)
{
	bool policy = q->sts == PROTECTION_STS_TESTING || q->sts == PROTECTION_STS_ENFORCE;
	bool named = q->names_secure || (policy && q->sts_names_it);
	p->level = higher(p->level, TLS_VERIFY);
	p->requires_keyword = true;
	if (named) {
		rule(p, RULE_REQUIRETLS, RULE_ADDS, "RFC 8689 4.2.1",
		     "The sender demands a proven server that promises the same for the rest of the way.");
	} else {
		forbid(p, RULE_REQUIRETLS, "RFC 8689 4.2.1", q->unvalidated
		       ? "The sender demands TLS all the way, and DNSSEC, which may vouch for the host's name, cannot be validated now."
		       : "The sender demands TLS all the way, and neither DNSSEC nor MTA-STS vouches for the host's name.");
	}
}

/* A host that nothing vouches for learns nothing by waiting (RFC 8689 4.2.1); whatever else forbids one may pass. */
static bool may_mend(const struct protection_question *q, const struct protection *p)
{
	bool passes = q->unvalidated || p->rules[RULE_DANE].verdict == RULE_FORBIDS || p->rules[RULE_MEMORY].verdict == RULE_FORBIDS ||
	              (p->rules[RULE_MTA_STS].verdict == RULE_FORBIDS && q->sts == PROTECTION_STS_UNKNOWN);
	return !p->usable && (passes || p->rules[RULE_REQUIRETLS].verdict != RULE_FORBIDS);
}

void protection_decide(const struct protection_question *q, struct protection *p)
{
	struct demands d = { TLS_NONE, TLS_NONE, TLS_NONE, false };
	bool optional = q->wish == PROTECTION_OPTIONAL && !q->excepted;
	check(q->floor <= TLS_VERIFY && q->exception <= TLS_VERIFY);
	*p = (struct protection){ .usable = true };
	look_at_dane(q, p, &d);
	look_at_sts(q, p, &d);
	look_at_memory(q, p, &d);
	rule(p, RULE_FLOOR, RULE_WON, "direct { tls }", "The configuration asks this of every server.");
	rule(p, RULE_EXCEPTION, RULE_ABSENT, "direct { exception }", "");
	rule(p, RULE_REQUIRETLS, RULE_ABSENT, "RFC 8689 4.2.1", "");
	rule(p, RULE_TLS_REQUIRED, RULE_ABSENT, "RFC 8689 4.2.2", "");

	if (q->excepted) {
		set_aside(p, "direct { exception }", "An exception in the configuration sets it aside.");
		rule(p, RULE_FLOOR, RULE_LOST, "direct { exception }", "An exception in the configuration sets it aside.");
		rule(p, RULE_EXCEPTION, RULE_WON, "direct { exception }", "The configuration makes an exception for this domain.");
		p->level = q->exception;
		d.by_dane = false;
	} else if (optional) {
		set_aside(p, "RFC 8689 4.2.2", "The sender asked that the message goes out even if this cannot be kept.");
		rule(p, RULE_TLS_REQUIRED, RULE_ADDS, "RFC 8689 4.2.2",
		     "The sender says `TLS-Required: No`: what the domain publishes is set aside, what the configuration asks is not.");
		p->level = q->floor;
		d.by_dane = false;
	} else {
		p->level = higher(higher(d.dane, d.sts), higher(d.memory, q->floor));
		settle(p, &d, q->floor);
	}
	if (q->wish == PROTECTION_REQUIRED)
		require(q, p);
	p->proof = d.by_dane ? PROVE_DANE : p->level >= TLS_VERIFY ? PROVE_NAME : PROVE_NOTHING;
	p->may_go_clear = p->usable && p->level <= TLS_OPPORTUNISTIC;
	p->may_mend = may_mend(q, p);
}

/* ---- words ---- */

const char *protection_rule_name(enum protection_rule r)
{
	static const char *const names[] = {
		[RULE_EXCEPTION] = "exception", [RULE_DANE] = "dane", [RULE_MTA_STS] = "mta-sts", [RULE_MEMORY] = "memory",
		[RULE_FLOOR] = "floor", [RULE_REQUIRETLS] = "requiretls", [RULE_TLS_REQUIRED] = "tls-required",
	};
	return names[r];
}

const char *protection_verdict_name(enum protection_verdict verdict)
{
	static const char *const names[] = {
		[RULE_ABSENT] = "absent", [RULE_WON] = "won", [RULE_LOST] = "lost", [RULE_ADDS] = "adds", [RULE_FORBIDS] = "forbids",
	};
	return names[verdict];
}

const char *protection_refusal(const struct protection *p)
{
	for (enum protection_rule r = 0; !p->usable && r < PROTECTION_RULES; r++)
		if (p->rules[r].verdict == RULE_FORBIDS)
			return p->rules[r].words;
	return "";
}
