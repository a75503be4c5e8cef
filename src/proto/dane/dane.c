/* SPDX-License-Identifier: ISC */
#include "proto/dane/dane.h"

#include <string.h>

#include "base/check.h"

/* ---- where: RFC 7672 2.2.2 and 2.2.3 ---- */

static bool is_alias(const struct dane_host *host, const struct dane_lookup *l)
{
	return l->canonical.n > 0 && !str_eq_nocase(l->canonical, host->name);
}

static void say(struct dane_bases *out, enum dane_ask ask, const char *why)
{
	out->ask = ask;
	out->why = why;
}

static void add_base(struct dane_bases *out, struct str name)
{
	check(out->n < DANE_BASES_MAX);
	out->names[out->n++] = name;
}

/* The first alias leads, with no break in the signatures, to the addresses; or there is none. */
static void bases_of_secure(const struct dane_host *host, const struct dane_lookup *l, struct dane_bases *out)
{
	if (is_alias(host, l)) {
		add_base(out, l->canonical);
		say(out, DANE_ASK_TLSA, "the addresses are signed, under another name too");
	} else {
		say(out, DANE_ASK_TLSA, "the addresses are signed");
	}
	add_base(out, host->name);
}

/* "Insecure CNAME": only the first one matters, for it lies in the zone that could hold the records. */
static void bases_of_insecure_alias(const struct dane_host *host, struct dane_bases *out)
{
	if (!host->alias_asked) {
		say(out, DANE_ASK_CNAME, "the name is an alias of addresses that are not signed");
	} else if (host->alias.result == DANE_FAILED) {
		say(out, DANE_ASK_FAILED, "whether the alias is signed could not be found out");
	} else if (host->alias.secure) {
		say(out, DANE_ASK_TLSA, "the alias is signed, where it leads to is not");
		add_base(out, host->name);
	} else {
		say(out, DANE_ASK_NOTHING, "neither the alias nor the addresses are signed");
	}
}

void dane_find_bases(const struct dane_host *host, struct dane_bases *out)
{
	const struct dane_lookup *const answers[] = { &host->a, &host->aaaa };
	const struct dane_lookup *secure = NULL, *alias = NULL;
	bool found = false;
	*out = (struct dane_bases){ .ask = DANE_ASK_NOTHING, .why = "" };
	for (size_t i = 0; i < COUNT(answers); i++) {
		const struct dane_lookup *l = answers[i];
		if (l->result != DANE_FOUND)
			continue;
		found = true;
		/* One is enough: nobody but the zone's owner can make it, so the other one cannot be made to weaken it. */
		if (l->secure && secure == NULL)
			secure = l;
		if (is_alias(host, l))
			alias = l;
	}
	if (!found)
		say(out, DANE_ASK_NOTHING, "there are no addresses");
	else if (secure != NULL)
		bases_of_secure(host, secure, out);
	else if (alias != NULL)
		bases_of_insecure_alias(host, out);
	else
		say(out, DANE_ASK_NOTHING, "the addresses are not signed");
}

fault dane_question_put(struct buf *out, uint16_t port, struct str base)
{
	size_t before = buf_view(out).n;
	fault f = buf_addf(out, "_%u._tcp.", (unsigned)port);
	if (f == OK)
		f = buf_add(out, base);
	if (f != OK)
		buf_cut(out, before);
	return f;
}

/* ---- what: RFC 7672 2.2 and 3.1, RFC 7671 9 ---- */

/* The strongest digest that an answer uses, for each usage and selector. Whole certificates and keys use none. */
struct strongest { uint8_t matching[DANE_EE + 1][DANE_SPKI + 1]; };

static struct strongest find_strongest(const struct dane_answer *answer)
{
	struct strongest s = { { { 0 } } };
	struct dane_record r;
	for (size_t i = 0; i < answer->n; i++)
		if (dane_decode(answer->rdata[i], &r) == NULL && r.matching > s.matching[r.usage][r.selector])
			s.matching[r.usage][r.selector] = r.matching;
	return s;
}

/* Usage 3 before 2, otherwise as they came; when there are too many, the last one goes. */
static void keep(struct dane_judgement *out, const struct dane_record *record)
{
	size_t at = out->n_records;
	while (at > 0 && out->records[at - 1].usage < record->usage)
		at--;
	if (at == DANE_RECORDS_MAX)
		return;
	if (out->n_records == DANE_RECORDS_MAX)
		out->n_records--;
	memmove(out->records + at + 1, out->records + at, (out->n_records - at) * sizeof *out->records);
	out->records[at] = *record;
	out->n_records++;
}

static void judge_records(const struct dane_answer *answer, dane_parses *parses, struct dane_judgement *out)
{
	struct strongest strongest = find_strongest(answer);
	for (size_t i = 0; i < answer->n; i++) {
		struct dane_record r;
		const char *problem = dane_decode(answer->rdata[i], &r);
		if (problem == NULL && r.matching == DANE_FULL && parses != NULL && !parses(&r))
			problem = "it holds neither a certificate nor a key that can be read";
		if (problem != NULL) {
			if (out->n_unusable++ == 0)
				out->problem = problem;
		} else if (r.matching != DANE_FULL && r.matching < strongest.matching[r.usage][r.selector]) {
			out->n_weaker++;
		} else {
			keep(out, &r);
		}
	}
	out->verdict = out->n_records > 0 ? DANE_USABLE : DANE_UNUSABLE;
}

void dane_judge(const struct dane_answer *answers, size_t n, dane_parses *parses, struct dane_judgement *out)
{
	*out = (struct dane_judgement){ .verdict = DANE_NONE, .problem = "" };
	for (size_t i = 0; i < n; i++) {
		const struct dane_answer *a = &answers[i];
		out->base = i;
		if (a->result == DANE_FAILED) {
			out->verdict = DANE_TROUBLE;
			out->problem = "the TLSA lookup failed";
			return;
		}
		if (a->result == DANE_FOUND && a->secure && a->n > 0) {
			judge_records(a, parses, out);
			return;
		}
	}
	out->base = 0;
}

/* ---- names: RFC 7672 3.2.2 ---- */

static void add_name(struct str name, struct str base, struct str also[DANE_ALSO_MAX], size_t *n)
{
	if (name.n == 0 || str_eq_nocase(name, base) || (*n > 0 && str_eq_nocase(name, also[0])))
		return;
	also[(*n)++] = name;
}

size_t dane_also(const struct dane_way *way, struct str base, struct str also[DANE_ALSO_MAX])
{
	size_t n = 0;
	if (way->mx && !way->secure)
		return 0; /* whoever forged the MX records could have a certificate for any of the names */
	add_name(way->domain, base, also, &n);
	if (way->mx)
		add_name(way->expanded, base, also, &n);
	return n;
}
