/* SPDX-License-Identifier: ISC */
/*
 * What is published about the hosts of a job, and what it demands: the questions for TLSA records follow the addresses of each
 * host (RFC 7672 2.2), the question for the domain's MTA-STS policy goes out with that for its MX records.
 *
 * Only for mail servers that the DNS names: what a relay of ours must show, the configuration says.
 */
#include "base/check.h"
#include "role/courier/courier.h"

enum { NAME_BYTES_MAX = 253 }; /* of a name in the DNS, as text */

/* ---- DANE ---- */

static enum dane_result dane_result(uint64_t result)
{
	return result == DNS_FOUND ? DANE_FOUND : result == DNS_NODATA || result == DNS_NXDOMAIN ? DANE_ABSENT : DANE_FAILED;
}

static struct dane_lookup lookup_of(struct job *j, const struct resolved_end *m)
{
	struct dane_lookup l = { .result = dane_result(m->result), .secure = m->secure != 0,
	                         .canonical = arena_try_copy(j->arena, m->canonical) };
	if (l.canonical.p == NULL)
		l.result = DANE_FAILED; /* an alias that there was no room for is not the same as none */
	return l;
}

/* Without room for it, it is as if there were no answer: TROUBLE. */
static void judge(struct job *j, struct job_host *h)
{
	struct dane_judgement *judged = arena_try_alloc(j->arena, sizeof *judged);
	h->judged = judged;
	if (judged == NULL)
		targets_too_much(j, h->name);
	else
		dane_judge(h->tlsa, h->n_tlsa, tls_parses, judged);
}

/* It is as if there were no answer: TROUBLE. */
static void too_much(struct job *j, size_t host)
{
	j->hosts[host].judged = NULL;
	targets_too_much(j, j->hosts[host].name);
}

static void ask_name(struct job *j, size_t host, struct str name)
{
	struct str copy = arena_try_copy(j->arena, name);
	if (copy.p != NULL)
		targets_ask(j, DNS_TLSA, copy, host);
	else
		too_much(j, host);
}

static bool ask_base(struct job *j, size_t host)
{
	struct job_host *h = &j->hosts[host];
	struct buf name;
	buf_init(&name, NAME_BYTES_MAX);
	bool fits = dane_question_put(&name, h->port, h->bases.names[h->n_tlsa]) == OK;
	if (fits)
		ask_name(j, host, buf_view(&name));
	buf_fini(&name);
	return fits;
}

/* The next base that was not asked yet. */
static void ask_tlsa(struct job *j, size_t host)
{
	struct job_host *h = &j->hosts[host];
	h->rdata = NULL;
	h->n_rdata = 0;
	h->rdata_lost = false;
	while (h->n_tlsa < h->bases.n && !ask_base(j, host)) {
		h->tlsa[h->n_tlsa++] = (struct dane_answer){ .result = DANE_ABSENT }; /* no such name can exist */
		judge(j, h);
	}
}

static void go_on(struct job *j, size_t host)
{
	struct job_host *h = &j->hosts[host];
	dane_find_bases(&h->dane, &h->bases);
	if (h->bases.ask == DANE_ASK_CNAME)
		targets_ask(j, DNS_CNAME, h->name, host);
	else if (h->bases.ask == DANE_ASK_TLSA)
		ask_tlsa(j, host);
}

void publish_address_answered(struct job *j, size_t host, enum dns_kind kind, const struct resolved_end *m)
{
	struct job_host *h = &j->hosts[host];
	*(kind == DNS_A ? &h->dane.a : &h->dane.aaaa) = lookup_of(j, m);
	h->dane.name = h->name;
	if (h->awaited > 0 && --h->awaited == 0)
		go_on(j, host);
}

void publish_take_record(struct job *j, size_t host, struct str rdata)
{
	struct job_host *h = &j->hosts[host];
	if (h->n_rdata == COURIER_TLSA_MAX)
		return;
	if (h->rdata == NULL)
		h->rdata = arena_try_alloc(j->arena, COURIER_TLSA_MAX * sizeof *h->rdata);
	struct str copy = h->rdata != NULL ? arena_try_copy(j->arena, rdata) : STR_NONE;
	if (copy.p != NULL)
		h->rdata[h->n_rdata++] = copy;
	else
		h->rdata_lost = true;
}

void publish_answered(struct job *j, size_t host, enum dns_kind kind, const struct resolved_end *m)
{
	struct job_host *h = &j->hosts[host];
	if (kind == DNS_CNAME) {
		h->dane.alias = lookup_of(j, m);
		h->dane.alias_asked = true;
		go_on(j, host);
		return;
	}
	if (kind != DNS_TLSA || h->n_tlsa >= h->bases.n)
		return;
	/* Records that there was no room for are not the same as none. */
	bool lost = m->result == DNS_FOUND && (h->n_rdata == 0 || h->rdata_lost);
	enum dane_result result = lost ? DANE_FAILED : dane_result(m->result);
	if (h->rdata_lost)
		targets_too_much(j, h->name);
	h->tlsa[h->n_tlsa++] = (struct dane_answer){ .result = result, .secure = m->secure != 0,
	                                             .rdata = h->rdata, .n = h->n_rdata };
	judge(j, h);
	if (h->judged != NULL && h->judged->verdict == DANE_NONE && h->n_tlsa < h->bases.n)
		ask_tlsa(j, host);
}

/* ---- MTA-STS ---- */

void publish_take_policy(struct job *j, const struct resolved_policy *m)
{
	struct str mx = m->state == STS_POLICY ? arena_try_copy(j->arena, m->mx) : STR_NONE;
	j->sts.asked = true;
	if (m->state > STS_TROUBLE) {
		targets_policy_unknown(j, m->text);
		return;
	}
	j->sts.no_record = m->state == STS_TROUBLE && m->trouble == STS_RECORD_ERROR;
	j->sts.trouble = m->state == STS_TROUBLE;
	j->sts.in_force = m->state == STS_POLICY && m->mode <= MTASTS_MODE_ENFORCE; /* patterns without room name no host */
	j->sts.mode = j->sts.in_force ? (enum mtasts_mode)m->mode : MTASTS_MODE_NONE;
	j->sts.cause = m->state == STS_TROUBLE && m->trouble <= STS_WEBPKI_INVALID ? (enum sts_trouble)m->trouble : STS_FINE;
	j->sts.max_age_s = m->max_age_s;
	j->sts.mx = mx;
	j->sts.id = arena_try_copy(j->arena, m->id);
	j->sts.text = arena_try_copy(j->arena, m->text);
}

/* ---- what follows ---- */

static enum protection_dane dane_says(const struct job_host *h)
{
	if (h->dane.name.n == 0) /* an address, not a name */
		return PROTECTION_DANE_NONE;
	if (h->bases.ask == DANE_ASK_NOTHING)
		return PROTECTION_DANE_NONE;
	if (h->bases.ask != DANE_ASK_TLSA || h->judged == NULL) /* a question failed, or there was nobody to ask */
		return PROTECTION_DANE_TROUBLE;
	switch (h->judged->verdict) {
	case DANE_NONE: return PROTECTION_DANE_NONE;
	case DANE_USABLE: return PROTECTION_DANE_USABLE;
	case DANE_UNUSABLE: return PROTECTION_DANE_UNUSABLE;
	case DANE_TROUBLE: return PROTECTION_DANE_TROUBLE;
	}
	return PROTECTION_DANE_TROUBLE;
}

void publish_decide(struct job *j, size_t host)
{
	static const enum protection_sts modes[] = {
		[MTASTS_MODE_NONE] = PROTECTION_STS_NONE, [MTASTS_MODE_TESTING] = PROTECTION_STS_TESTING,
		[MTASTS_MODE_ENFORCE] = PROTECTION_STS_ENFORCE,
	};
	struct job_host *h = &j->hosts[host];
	bool unknown = j->sts.unknown || (j->sts.no_record && j->mx_secure); /* nothing but a signed answer says: none */
	struct protection_question q = {
		.floor = j->level, .names_secure = j->mx_secure, .unvalidated = j->unvalidated, .dane = dane_says(h),
		.sts = unknown ? PROTECTION_STS_UNKNOWN : modes[j->sts.mode],
		.sts_names_it = mtasts_mx_allows(j->sts.mx, h->name), .excepted = j->excepted, .exception = j->exception,
		.remembered = memory_best(j->courier, j->domain), .strict = j->courier->conf->direct.remember_strict,
		.wish = job_wish(j),
	};
	protection_decide(&q, &h->protection);
}

/* A certificate is held to the host's name; under TLSA records, to the base and the names beside it. */
void publish_wish(const struct job *j, const struct target *t, struct tls_wish *wish, struct str also[DANE_ALSO_MAX])
{
	unsigned known = t->published != NULL ? memory_shape(j->courier, t->host) : 0;
	*wish = (struct tls_wish){ .name = t->host, .shape = j->shape > known ? j->shape : known };
	wish->prove = t->demand.proof == PROVE_NAME ? TLS_PROVE_NAME : TLS_PROVE_NOTHING;
	if (t->demand.proof != PROVE_DANE)
		return;
	const struct job_host *h = t->published;
	struct dane_way way = { .domain = j->name, .expanded = j->mx_canonical, .mx = !j->implicit_mx, .secure = j->mx_secure };
	check(h != NULL && h->judged != NULL && h->judged->verdict == DANE_USABLE);
	wish->prove = TLS_PROVE_DANE;
	wish->records = h->judged->records;
	wish->n_records = h->judged->n_records;
	wish->base = h->bases.names[h->judged->base];
	wish->n_also = dane_also(&way, wish->base, also);
	wish->also = also;
}
