/* SPDX-License-Identifier: ISC */
/*
 * What each TLS session with a host of strangers came to, told to the spool, which counts (RFC 8460).
 *
 * A session is held to the policy that applies: DANE where the host has signed TLSA records, else the domain's MTA-STS policy,
 * also in mode testing, else none. Where an exception or a sender set DANE aside, nothing was held to it, and nothing is told.
 * A policy that could not be had is one failure for each job.
 */
#include <string.h>

#include "base/base64.h"
#include "proto/tlsrpt/tlsrpt.h"
#include "role/courier/courier.h"

enum { STRINGS_MAX = TLSRPT_POLICY_MAX };

/* ---- the policy ---- */

/* RFC 8460 4.5: usage, selector, matching type and data of each record. What does not fit whole is left out. */
static void put_tlsa(struct buf *out, const struct job_host *h)
{
	const struct dane_judgement *d = h->judged;
	const struct dane_answer *a = d != NULL && d->verdict != DANE_TROUBLE && d->base < h->n_tlsa ? &h->tlsa[d->base] : NULL;
	for (size_t i = 0; a != NULL && i < a->n; i++) {
		const unsigned char *p = (const unsigned char *)a->rdata[i].p;
		size_t before = buf_view(out).n;
		if (a->rdata[i].n <= 3)
			continue;
		fault f = buf_addf(out, "%u %u %u ", p[0], p[1], p[2]);
		f = f == OK ? hex_put(out, str_from(a->rdata[i], 3)) : f;
		f = f == OK ? buf_add_char(out, '\n') : f;
		if (f != OK)
			buf_cut(out, before);
	}
}

static void put_sts(struct buf *out, const struct sts *sts)
{
	struct str mx = sts->mx;
	fault f = buf_addf(out, "version: STSv1\nmode: %s\nmax_age: %llu\n", mtasts_mode_name(sts->mode), (unsigned long long)sts->max_age_s);
	for (bool more = mx.n > 0; more && f == OK; ) {
		struct str pattern = mx;
		more = str_take_until(&mx, ' ', &pattern);
		f = buf_addf(out, "mx: %.*s\n", STR_ARG(pattern));
	}
}

static bool dane_speaks(const struct job_host *h)
{
	return h->protection.rules[RULE_DANE].verdict != RULE_ABSENT;
}

static enum tlsrpt_policy_type policy_of(const struct job *j, const struct job_host *h)
{
	return dane_speaks(h) ? TLSRPT_TLSA : j->sts.in_force && j->sts.mode != MTASTS_MODE_NONE ? TLSRPT_STS : TLSRPT_NO_POLICY;
}

/* ---- telling ---- */

struct told { enum tlsrpt_policy_type type; enum tlsrpt_result result; struct str mx, ip, source, reason; };

static void tell(struct job *j, const struct job_host *h, const struct told *t)
{
	struct courier *c = j->courier;
	struct buf strings;
	if (c->spool == NULL || j->purpose == JOB_EXPLAIN || (j->name.n > 0 && j->name.p[0] == '['))
		return;
	buf_init(&strings, STRINGS_MAX);
	if (t->type == TLSRPT_TLSA)
		put_tlsa(&strings, h);
	else if (t->type == TLSRPT_STS && j->sts.in_force)
		put_sts(&strings, &j->sts);
	channel_send(c->spool, FROM_WORKER_TLS, &(struct from_worker_tls){
		.job = j->number, .policy = t->type, .result = t->result, .domain = j->name, .strings = buf_view(&strings), .mx = t->mx,
		.ip = t->ip, .source = t->source, .reason = str_sub(t->reason, 0, TLSRPT_TEXT_MAX),
	});
	buf_fini(&strings);
}

static void tell_session(struct visit *v, enum tlsrpt_result result, struct str reason)
{
	struct job *j = v->job;
	if (v->reported || j == NULL || v->published == NULL)
		return;
	v->reported = true;
	tell(j, v->published, &(struct told){ policy_of(j, v->published), result, v->host, str_of(v->ip), str_of(v->source), reason });
}

/* Our own address, while there is a socket that has it. */
void report_connected(struct visit *v)
{
	struct endpoint from;
	struct buf text;
	buf_init(&text, sizeof v->source - 1);
	if (v->published != NULL && hop_local(v->hop, &from) == OK && from.kind != ENDPOINT_UNIX && endpoint_put_literal(&text, &from) == OK) {
		struct str ip = buf_view(&text);
		(void)str_take(&ip, STR("IPv6:"));
		memcpy(v->source, ip.p, ip.n); /* and the NUL is there */
	}
	buf_fini(&text);
}

/* ---- what it came to ---- */

static enum tlsrpt_result result_of(enum tls_failure failure)
{
	switch (failure) {
	case TLS_FAIL_EXPIRED: return TLSRPT_CERTIFICATE_EXPIRED;
	case TLS_FAIL_NOT_TRUSTED: return TLSRPT_CERTIFICATE_NOT_TRUSTED;
	case TLS_FAIL_NAME:
	case TLS_FAIL_DANE: return TLSRPT_CERTIFICATE_HOST_MISMATCH; /* 4.3.1: what the policy demands, DANE's too */
	case TLS_FAIL_HANDSHAKE:
	case TLS_FAIL_NONE: break;
	}
	return TLSRPT_VALIDATION_FAILURE;
}

static const char not_named[] = "the policy does not name this host";

void report_open(struct visit *v)
{
	struct tls_facts f;
	if (v->published == NULL)
		return;
	enum tlsrpt_policy_type type = policy_of(v->job, v->published);
	tls_facts(hop_tls(v->hop), &f);
	if (type == TLSRPT_TLSA && v->published->judged != NULL && v->published->judged->verdict == DANE_UNUSABLE)
		tell_session(v, TLSRPT_TLSA_INVALID, str_of(v->published->judged->problem));
	else if (type == TLSRPT_TLSA && v->demand.proof != PROVE_DANE)
		v->reported = true;
	else if (type == TLSRPT_STS && !mtasts_mx_allows(v->job->sts.mx, v->host))
		tell_session(v, TLSRPT_VALIDATION_FAILURE, str_of(not_named));
	else if (type == TLSRPT_STS && !f.verified)
		tell_session(v, result_of(f.unproven), f.problem);
	else
		tell_session(v, TLSRPT_SUCCESS, STR_NONE);
}

void report_failed(struct visit *v, const char *words)
{
	const struct tls *tls = hop_tls(v->hop);
	tell_session(v, result_of(tls != NULL ? tls_failure(tls) : TLS_FAIL_HANDSHAKE), str_of(words));
}

/* After a handshake that failed, the failure has been told. */
void report_clear(struct visit *v)
{
	if (!v->in_clear)
		tell_session(v, TLSRPT_STARTTLS_NOT_SUPPORTED, v->tls_refused ? STR("STARTTLS is offered and refused") : STR_NONE);
}

void report_route(struct job *j)
{
	static const enum tlsrpt_result troubles[] = {
		[STS_FETCH_ERROR] = TLSRPT_STS_POLICY_FETCH_ERROR, [STS_POLICY_INVALID] = TLSRPT_STS_POLICY_INVALID,
		[STS_WEBPKI_INVALID] = TLSRPT_STS_WEBPKI_INVALID,
	};
	if (!j->direct)
		return;
	if (j->sts.cause != STS_FINE)
		tell(j, NULL, &(struct told){ .type = TLSRPT_STS, .result = troubles[j->sts.cause], .reason = j->sts.text });
	for (size_t i = 0; i < j->n_hosts; i++) {
		const struct job_host *h = &j->hosts[i];
		if (h->protection.usable || h->n_addresses == 0)
			continue;
		if (h->protection.rules[RULE_DANE].verdict == RULE_FORBIDS)
			tell(j, h, &(struct told){ .type = TLSRPT_TLSA, .result = TLSRPT_DNSSEC_INVALID, .mx = h->name });
		else if (h->protection.rules[RULE_MTA_STS].verdict == RULE_FORBIDS && j->sts.in_force)
			tell(j, h, &(struct told){ .type = TLSRPT_STS, .result = TLSRPT_VALIDATION_FAILURE, .mx = h->name,
			                           .reason = str_of(not_named) });
	}
}
