/* SPDX-License-Identifier: ISC */
/* dsn/evidence.c -- what protected a letter on its way, or was to: from the story of the attempt, in sentences. */
#include "proto/dsn/evidence.h"

#include "base/check.h"
#include "mail/story.h"

enum { VALUES_MAX = 64 << 10, POLICIES_MAX = 8, FACT_MAX = 40 };

/* Of the server that was tried last. */
struct found {
	struct buf values;
	struct str version, group, problem;
	struct { struct str host, verdict, text, source; } policies[POLICIES_MAX];
	size_t n;
	struct str host;
};

static void look(struct found *f, struct str story)
{
	struct story_line line;
	while (story_next(&story, &line)) {
		if (str_eq(line.kind, STR("host"))) {
			f->host = story_value(line, STR("name"), &f->values);
			f->version = f->group = f->problem = STR_NONE;
		} else if (str_eq(line.kind, STR("tls"))) {
			f->version = str_sub(story_value(line, STR("version"), &f->values), 0, FACT_MAX);
			f->group = str_sub(story_value(line, STR("group"), &f->values), 0, FACT_MAX);
			f->problem = story_value(line, STR("problem"), &f->values);
		} else if (str_eq(line.kind, STR("policy"))) {
			size_t at = f->n % POLICIES_MAX; /* the last ones */
			f->policies[at].host = story_value(line, STR("host"), &f->values);
			f->policies[at].verdict = story_value(line, STR("verdict"), &f->values);
			f->policies[at].text = story_value(line, STR("text"), &f->values);
			f->policies[at].source = story_value(line, STR("source"), &f->values);
			f->n++;
		}
	}
}

static void begin(struct found *f, const struct dsn_rcpt *r)
{
	*f = (struct found){ .n = 0 };
	buf_init(&f->values, VALUES_MAX);
	char *room = buf_reserve(&f->values, VALUES_MAX); /* all of it, so that later values do not move earlier ones */
	check(room != NULL);
	look(f, r->story);
}

static const char *level_name(enum dsn_level level)
{
	static const char *const names[] = {
		[DSN_LEVEL_UNKNOWN] = "", [DSN_LEVEL_LOCAL] = "local", [DSN_LEVEL_NONE] = "none",
		[DSN_LEVEL_OPPORTUNISTIC] = "opportunistic", [DSN_LEVEL_PKIX] = "PKIX", [DSN_LEVEL_MTA_STS] = "MTA-STS",
		[DSN_LEVEL_DANE] = "DANE",
	};
	return (unsigned)level < COUNT(names) ? names[level] : "";
}

fault dsn_put_receipt(struct buf *out, const struct dsn_rcpt *r)
{
	struct found f;
	if (level_name(r->level)[0] == '\0')
		return OK;
	begin(&f, r);
	fault g = buf_addf(out, "%s", level_name(r->level));
	if (g == OK && r->level > DSN_LEVEL_NONE && f.version.n > 0)
		g = buf_addf(out, "; %.*s; %.*s", STR_ARG(f.version), STR_ARG(f.group));
	else if (g == OK && r->level > DSN_LEVEL_NONE && r->protection.n > 0)
		g = buf_addf(out, "; %.*s", STR_ARG(str_sub(r->protection, 0, 200)));
	buf_fini(&f.values);
	return g;
}

fault dsn_put_proof(struct buf *out, const struct dsn_rcpt *r)
{
	static const char *const proofs[] = {
		[DSN_LEVEL_OPPORTUNISTIC] = ". Nothing proved that it was the right server (opportunistic TLS).",
		[DSN_LEVEL_PKIX] = ", and the server proved who it is by a certificate for its name (PKIX).",
		[DSN_LEVEL_MTA_STS] = ", and the server proved who it is as its domain's published policy demands (MTA-STS).",
		[DSN_LEVEL_DANE] = ", and the server proved who it is by keys in its domain's signed DNS records (DANE).",
	};
	if (r->level == DSN_LEVEL_NONE)
		return buf_add(out, STR("The connection was not encrypted."));
	if (r->level < DSN_LEVEL_NONE || (unsigned)r->level >= COUNT(proofs))
		return OK;
	struct found f;
	begin(&f, r);
	fault g = buf_add(out, STR("The connection was sealed"));
	if (g == OK && f.version.n > 0)
		g = buf_addf(out, " with %.*s", STR_ARG(f.version));
	if (g == OK && f.version.n > 0 && f.group.n > 0)
		g = buf_addf(out, " (%.*s)", STR_ARG(f.group));
	if (g == OK)
		g = buf_addf(out, "%s", proofs[r->level]);
	buf_fini(&f.values);
	return g;
}

static bool decided(struct str verdict)
{
	return str_eq(verdict, STR("won")) || str_eq(verdict, STR("forbids"));
}

fault dsn_put_evidence(struct buf *out, const struct dsn_rcpt *r)
{
	struct found f;
	fault g = OK;
	begin(&f, r);
	size_t n = f.n < POLICIES_MAX ? f.n : POLICIES_MAX;
	/* Where none was tried, what was found out about the last one tells why. */
	struct str host = f.host.n > 0 || n == 0 ? f.host : f.policies[(f.n - 1) % POLICIES_MAX].host;
	for (size_t k = f.n - n; k < f.n && g == OK; k++) {
		size_t i = k % POLICIES_MAX;
		if (decided(f.policies[i].verdict) && str_eq(f.policies[i].host, host) && f.policies[i].text.n > 0)
			g = buf_addf(out, "What binds us: %.*s (%.*s)\n", STR_ARG(f.policies[i].text), STR_ARG(f.policies[i].source));
	}
	if (g == OK && f.problem.n > 0)
		g = buf_addf(out, "What is wrong with the connection to %.*s: %.*s\n", STR_ARG(host), STR_ARG(f.problem));
	buf_fini(&f.values);
	return g;
}
