/* SPDX-License-Identifier: ISC */
/* What a job found, decided and tried, as a story (mail/story.h): for `why`, for bounces, for whoever must believe it. */
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "role/courier/courier.h"

static struct str yes_no(bool yes)
{
	return yes ? STR("yes") : STR("no");
}

/* ---- what was found and decided ---- */

static void put_names(struct job *j, struct buf *out)
{
	for (size_t i = 0; i < j->plan.n_hosts; i++) {
		fault f = i > 0 ? buf_add_char(out, ' ') : OK;
		f = f == OK ? buf_add(out, j->plan.hosts[i].name) : f;
		if (f != OK)
			return; /* as many as there is room for */
	}
}

static void tell_mx(struct job *j)
{
	struct buf names;
	char found[80] = "found";
	buf_init(&names, STORY_VALUE_MAX);
	put_names(j, &names);
	if (j->plan.n_hosts == MX_HOSTS_MAX && j->n_mx > MX_HOSTS_MAX)
		(void)snprintf(found, sizeof found, "found, more than are tried: the %d best", MX_HOSTS_MAX);
	story_begin(&j->story, "mx");
	story_add(&j->story, "domain", j->name);
	story_add(&j->story, "secure", j->unvalidated ? STR("not validated") : yes_no(j->mx_secure));
	story_add(&j->story, "result", j->name_missing      ? STR("the domain does not exist")
	                               : j->implicit_mx     ? STR("no MX records: the domain itself")
	                               : j->plan.n_hosts > 0 ? str_of(found)
	                                                    : str_of(j->dns_words));
	story_add(&j->story, "hosts", buf_view(&names));
	story_end(&j->story);
	buf_fini(&names);
	if (!j->sts.asked)
		return;
	story_begin(&j->story, "mta-sts");
	story_add(&j->story, "domain", j->name);
	story_add(&j->story, "mode", j->sts.in_force ? str_of(mtasts_mode_name(j->sts.mode)) : STR_NONE);
	story_add(&j->story, "mx", j->sts.mx);
	story_add(&j->story, "id", j->sts.id);
	story_add(&j->story, "text", j->sts.text);
	story_end(&j->story);
}

static const char *dane_word(const struct job_host *h)
{
	static const char *const words[] = {
		[DANE_NONE] = "none", [DANE_USABLE] = "usable", [DANE_UNUSABLE] = "unusable", [DANE_TROUBLE] = "trouble",
	};
	return h->judged != NULL ? words[h->judged->verdict] : h->bases.ask == DANE_ASK_NOTHING ? "none" : "trouble";
}

static void tell_dane(struct job *j, const struct job_host *h)
{
	struct buf record;
	const struct dane_judgement *d = h->judged;
	story_begin(&j->story, "dane");
	story_add(&j->story, "host", h->name);
	story_add(&j->story, "result", str_of(dane_word(h)));
	story_add(&j->story, "base", d != NULL && d->verdict != DANE_NONE ? h->bases.names[d->base] : STR_NONE);
	story_add(&j->story, "text", str_of(d != NULL && d->problem[0] != '\0' ? d->problem : h->bases.why));
	story_end(&j->story);
	for (size_t i = 0; d != NULL && i < d->n_records && i < 4; i++) {
		buf_init(&record, STORY_VALUE_MAX);
		if (dane_record_put(&record, &d->records[i]) == OK) {
			story_begin(&j->story, "tlsa");
			story_add(&j->story, "record", buf_view(&record));
			story_end(&j->story);
		}
		buf_fini(&record);
	}
}

static void tell_host(struct job *j, struct job_host *h)
{
	if (h == NULL || h->told)
		return;
	h->told = true;
	tell_dane(j, h);
	for (enum protection_rule r = 0; r < PROTECTION_RULES; r++) {
		if (h->protection.rules[r].verdict == RULE_ABSENT)
			continue;
		story_begin(&j->story, "policy");
		story_add(&j->story, "host", h->name);
		story_add(&j->story, "name", str_of(protection_rule_name(r)));
		story_add(&j->story, "verdict", str_of(protection_verdict_name(h->protection.rules[r].verdict)));
		story_add(&j->story, "source", str_of(h->protection.rules[r].source));
		story_add(&j->story, "text", str_of(h->protection.rules[r].words));
		story_end(&j->story);
	}
}

void evidence_route(struct job *j)
{
	static const char *const kinds[] = {
		[ROUTE_TO_MAILDIR] = "maildir", [ROUTE_TO_LMTP] = "lmtp", [ROUTE_TO_MX] = "mx", [ROUTE_TO_RELAY] = "relay",
		[ROUTE_ON_HOLD] = "hold", [ROUTE_REFUSED] = "refuse",
	};
	story_begin(&j->story, "route");
	story_add(&j->story, "kind", str_of(kinds[j->kind]));
	story_add(&j->story, "name", j->name);
	story_end(&j->story);
	if (!j->direct)
		return;
	tell_mx(j);
	for (size_t i = 0; i < j->n_hosts; i++)
		if (j->hosts[i].n_addresses > 0 && !j->hosts[i].protection.usable)
			tell_host(j, &j->hosts[i]);
}

/* ---- what was tried ---- */

enum { DAY_ROOM = 48 };

static void put_day(char day[DAY_ROOM], int64_t s)
{
	time_t t = (time_t)s;
	struct tm at;
	day[0] = '\0';
	if (gmtime_r(&t, &at) != NULL)
		(void)snprintf(day, DAY_ROOM, "%04d-%02d-%02d", at.tm_year + 1900, at.tm_mon + 1, at.tm_mday);
}

static void tell_chain(struct story *s, struct hop *hop)
{
	struct tls_certificate_facts c;
	char until[DAY_ROOM];
	for (size_t i = 0; i < 3 && hop_chain(hop, i, &c); i++) {
		put_day(until, c.not_after_s);
		story_begin(s, "cert");
		story_add_u64(s, "n", i);
		story_add(s, "subject", c.subject);
		story_add(s, "issuer", c.issuer);
		story_add(s, "names", i == 0 ? str_sub(c.names, 0, 200) : STR_NONE);
		story_add(s, "until", str_of(until));
		story_add(s, "key", c.key);
		story_add(s, "spki", c.spki);
		story_end(s);
	}
}

static void tell_tls(struct story *s, const struct visit *v)
{
	const struct tls *tls = hop_tls(v->hop);
	struct tls_facts f = { .verified = false };
	bool open = tls != NULL && tls_state(tls) == TLS_OPEN;
	if (open)
		tls_facts(tls, &f);
	story_begin(s, "tls");
	story_add(s, "level", str_of(tls_level_name(visit_level(v))));
	story_add(s, "demanded", str_of(tls_level_name(v->demand.level)));
	story_add(s, "version", f.version);
	story_add(s, "group", f.group);
	story_add(s, "cipher", f.cipher);
	story_add(s, "verified", open ? yes_no(f.verified) : STR_NONE);
	story_add(s, "by", f.by);
	story_add(s, "problem", open ? f.problem : tls != NULL ? str_of(tls_error(tls)) : STR_NONE);
	story_add(s, "hello", v->wish.shape > 0 ? str_of(tls_shape_name(v->wish.shape)) : STR_NONE);
	story_end(s);
	tell_chain(s, v->hop);
}

/* The same for each letter over one connection: it is looked up and written once. */
static void tell_tls_again(struct story *s, struct visit *v)
{
	const struct tls *tls = hop_tls(v->hop);
	size_t before = story_text(s).n;
	if (!v->connected)
		return;
	if (v->tls_story.n > 0) {
		story_append(s, v->tls_story);
		return;
	}
	tell_tls(s, v);
	if (tls != NULL && tls_state(tls) == TLS_OPEN && !s->full)
		v->tls_story = str_keep(str_from(story_text(s), before));
}

void evidence_visit(struct job *j, struct visit *v)
{
	if (j->story_visit == v)
		return;
	j->story_visit = v;
	tell_host(j, v->published);
	story_begin(&j->story, "host");
	story_add(&j->story, "name", v->host);
	story_add(&j->story, "ip", str_of(v->ip));
	story_add(&j->story, "connection", v->reused ? STR("kept from an earlier message") : STR_NONE);
	story_end(&j->story);
	tell_tls_again(&j->story, v);
}

static void tell_reply(struct job *j, const struct smtp_reply *why)
{
	char status[24] = "";
	if (why->status.class != 0)
		(void)snprintf(status, sizeof status, "%u.%u.%u", why->status.class, why->status.subject, why->status.detail);
	story_begin(&j->story, "reply");
	if (why->code > 0)
		story_add_u64(&j->story, "code", (uint64_t)why->code);
	story_add(&j->story, "status", str_of(status));
	story_add(&j->story, "text", why->text);
	story_end(&j->story);
}

void evidence_failed(struct job *j, struct visit *v, const struct smtp_reply *why)
{
	evidence_visit(j, v);
	j->story_visit = NULL; /* another one may lie at the same place */
	tell_reply(j, why);
}

void evidence_passed_by(struct job *j, const struct target *t, struct str ip, const struct smtp_reply *why)
{
	tell_host(j, t->published);
	story_begin(&j->story, "host");
	story_add(&j->story, "name", t->host);
	story_add(&j->story, "ip", ip);
	story_add(&j->story, "connection", why->status.detail == 5 ? STR("none: others are connecting to it")
	                                                           : STR("none: it did not answer a moment ago"));
	story_end(&j->story);
	tell_reply(j, why);
}

void evidence_send(struct job *j)
{
	struct courier *c = j->courier;
	struct str text = story_text(&j->story);
	if (c->spool == NULL || text.n == j->story_told)
		return;
	j->story_told = text.n;
	channel_send(c->spool, FROM_WORKER_STORY, &(struct from_worker_story){ .job = j->number, .text = text });
}
