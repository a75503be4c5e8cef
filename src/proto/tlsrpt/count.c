/* SPDX-License-Identifier: ISC */
/* What is counted: policies, and under each the failures of a kind. */
#include <stdlib.h>

#include "base/check.h"
#include "proto/tlsrpt/inside.h"

static const char *const result_names[TLSRPT_RESULTS] = {
	[TLSRPT_SUCCESS] = "success",
	[TLSRPT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
	[TLSRPT_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
	[TLSRPT_CERTIFICATE_EXPIRED] = "certificate-expired",
	[TLSRPT_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
	[TLSRPT_VALIDATION_FAILURE] = "validation-failure",
	[TLSRPT_TLSA_INVALID] = "tlsa-invalid",
	[TLSRPT_DNSSEC_INVALID] = "dnssec-invalid",
	[TLSRPT_DANE_REQUIRED] = "dane-required",
	[TLSRPT_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
	[TLSRPT_STS_POLICY_INVALID] = "sts-policy-invalid",
	[TLSRPT_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
};

static const char *const type_names[TLSRPT_POLICY_TYPES] = {
	[TLSRPT_NO_POLICY] = "no-policy-found", [TLSRPT_TLSA] = "tlsa", [TLSRPT_STS] = "sts",
};

const char *tlsrpt_result_name(enum tlsrpt_result result)
{
	return result_names[result];
}

const char *tlsrpt_policy_type_name(enum tlsrpt_policy_type type)
{
	return type_names[type];
}

/* ---- texts ---- */

static struct str keep_text(struct str s, size_t most, bool lines)
{
	struct buf clean;
	buf_init(&clean, most + 1);
	s = str_cut_utf8(str_is_utf8(s) ? s : STR_NONE, most);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		fault f = buf_add_char(&clean, (c < ' ' || c == 127) && !(lines && c == '\n') ? ' ' : (char)c);
		check(f == OK);
	}
	struct str kept = str_keep(buf_view(&clean));
	buf_fini(&clean);
	return kept;
}

/* Whole lines only: half a pattern would be another one. */
static struct str keep_lines(struct str s)
{
	size_t end;
	if (s.n > TLSRPT_POLICY_MAX) {
		s = str_sub(s, 0, TLSRPT_POLICY_MAX);
		s = str_rfind(s, '\n', &end) ? str_sub(s, 0, end) : STR_NONE;
	}
	if (s.n > 0 && s.p[s.n - 1] == '\n')
		s.n--;
	return keep_text(s, TLSRPT_POLICY_MAX, true);
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > TLSRPT_COUNT_MAX - b ? TLSRPT_COUNT_MAX : a + b;
}

/* ---- coming and going ---- */

struct tlsrpt_report *tlsrpt_new(void)
{
	struct tlsrpt_report *r = NEW(struct tlsrpt_report);
	r->bytes = sizeof *r;
	return r;
}

static void detail_release(struct tlsrpt_detail *d)
{
	struct str *const texts[] = { &d->result, &d->sending_ip, &d->mx, &d->helo, &d->receiving_ip, &d->info, &d->reason };
	for (size_t i = 0; i < COUNT(texts); i++)
		str_release(texts[i]);
}

static void policy_release(struct tlsrpt_policy *p)
{
	for (size_t i = 0; i < p->n_details; i++)
		detail_release(&p->details[i]);
	free(p->details);
	str_release(&p->domain);
	str_release(&p->strings);
	str_release(&p->mx_hosts);
}

void tlsrpt_free(struct tlsrpt_report **r_ref)
{
	struct tlsrpt_report *r = *r_ref;
	*r_ref = NULL;
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n_policies; i++)
		policy_release(&r->policies[i]);
	free(r->policies);
	tlsrpt_name(r, STR_NONE, STR_NONE, STR_NONE);
	str_release(&r->organization);
	str_release(&r->contact);
	str_release(&r->id);
	free(r);
}

void tlsrpt_name(struct tlsrpt_report *r, struct str organization, struct str contact, struct str id)
{
	struct str *const texts[] = { &r->organization, &r->contact, &r->id };
	const struct str values[] = { organization, contact, id };
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct str kept = keep_text(values[i], TLSRPT_TEXT_MAX, false);
		str_release(texts[i]);
		*texts[i] = kept;
	}
}

void tlsrpt_range(struct tlsrpt_report *r, int64_t day)
{
	r->begin_s = day * TLSRPT_DAY_S;
	r->end_s = r->begin_s + TLSRPT_DAY_S - 1;
}

/* ---- counting ---- */

static bool policies_equal(const struct tlsrpt_policy *a, const struct tlsrpt_policy *b)
{
	return a->type == b->type && str_eq_nocase(a->domain, b->domain) && str_eq(a->strings, b->strings) &&
	       str_eq(a->mx_hosts, b->mx_hosts);
}

/* Consumes the texts of p, whose counts and details do not matter. NULL: there is no more room. */
static struct tlsrpt_policy *policy_of(struct tlsrpt_report *r, struct tlsrpt_policy *p)
{
	for (size_t i = 0; i < r->n_policies; i++)
		if (policies_equal(&r->policies[i], p)) {
			policy_release(p);
			return &r->policies[i];
		}
	if (r->n_policies == TLSRPT_POLICIES_MAX) {
		policy_release(p);
		return NULL;
	}
	r->policies = must_resize(r->policies, sizeof *p * (r->n_policies + 1));
	r->policies[r->n_policies] = *p;
	r->bytes += sizeof *p + p->domain.n + p->strings.n + p->mx_hosts.n;
	return &r->policies[r->n_policies++];
}

static bool details_equal(const struct tlsrpt_detail *a, const struct tlsrpt_detail *b)
{
	return str_eq(a->result, b->result) && str_eq(a->sending_ip, b->sending_ip) && str_eq_nocase(a->mx, b->mx) &&
	       str_eq(a->helo, b->helo) && str_eq(a->receiving_ip, b->receiving_ip) && str_eq(a->info, b->info) &&
	       str_eq(a->reason, b->reason);
}

static struct tlsrpt_detail *find_detail(struct tlsrpt_policy *p, const struct tlsrpt_detail *d)
{
	for (size_t i = 0; i < p->n_details; i++)
		if (details_equal(&p->details[i], d))
			return &p->details[i];
	return NULL;
}

static bool is_result(struct str name)
{
	for (int i = TLSRPT_SUCCESS + 1; i < TLSRPT_RESULTS; i++)
		if (str_eq(name, str_of(result_names[i])))
			return true;
	return false;
}

/* Too many kinds: the result type alone is left of it, and of one that is none, nothing. */
static void fold(struct tlsrpt_detail *d)
{
	struct str result = str_keep(is_result(d->result) ? d->result : str_of(result_names[TLSRPT_VALIDATION_FAILURE]));
	detail_release(d);
	*d = (struct tlsrpt_detail){ .result = result, .sessions = d->sessions };
}

/* Consumes the texts of d. */
static void count_detail(struct tlsrpt_report *r, struct tlsrpt_policy *p, struct tlsrpt_detail *d)
{
	struct tlsrpt_detail *found = find_detail(p, d);
	if (found == NULL && p->n_details >= TLSRPT_DETAILS_MAX) {
		fold(d);
		found = find_detail(p, d);
	}
	if (found != NULL) {
		found->sessions = add(found->sessions, d->sessions);
		detail_release(d);
		return;
	}
	p->details = must_resize(p->details, sizeof *d * (p->n_details + 1));
	p->details[p->n_details++] = *d;
	r->bytes += sizeof *d + d->result.n + d->sending_ip.n + d->mx.n + d->helo.n + d->receiving_ip.n + d->info.n + d->reason.n;
}

struct tlsrpt_policy *tlsrpt_add_policy(struct tlsrpt_report *r, const struct tlsrpt_policy *like)
{
	struct tlsrpt_policy p = {
		.type = like->type, .domain = keep_text(like->domain, TLSRPT_TEXT_MAX, false),
		.strings = keep_lines(like->strings), .mx_hosts = keep_lines(like->mx_hosts),
	};
	struct tlsrpt_policy *mine = policy_of(r, &p);
	if (mine != NULL) {
		mine->succeeded = add(mine->succeeded, like->succeeded);
		mine->failed = add(mine->failed, like->failed);
	}
	return mine;
}

void tlsrpt_add_detail(struct tlsrpt_report *r, struct tlsrpt_policy *p, const struct tlsrpt_detail *like)
{
	struct tlsrpt_detail d = {
		.result = keep_text(like->result, TLSRPT_TEXT_MAX, false),
		.sending_ip = keep_text(like->sending_ip, TLSRPT_TEXT_MAX, false),
		.mx = keep_text(like->mx, TLSRPT_TEXT_MAX, false),
		.helo = keep_text(like->helo, TLSRPT_TEXT_MAX, false),
		.receiving_ip = keep_text(like->receiving_ip, TLSRPT_TEXT_MAX, false),
		.info = keep_text(like->info, TLSRPT_TEXT_MAX, false),
		.reason = keep_text(like->reason, TLSRPT_TEXT_MAX, false),
		.sessions = like->sessions,
	};
	count_detail(r, p, &d);
}

fault tlsrpt_count(struct tlsrpt_report *r, const struct tlsrpt_session *s)
{
	bool failed = s->result != TLSRPT_SUCCESS;
	struct tlsrpt_policy like = {
		.type = s->type, .domain = s->domain, .strings = s->strings, .mx_hosts = s->mx_hosts,
		.succeeded = failed ? 0 : 1, .failed = failed ? 1 : 0,
	};
	struct tlsrpt_policy *p = tlsrpt_add_policy(r, &like);
	if (p == NULL)
		return F_LIMIT;
	if (failed)
		tlsrpt_add_detail(r, p, &(struct tlsrpt_detail){
			.result = str_of(tlsrpt_result_name(s->result)), .sending_ip = s->sending_ip, .mx = s->mx, .helo = s->helo,
			.receiving_ip = s->receiving_ip, .reason = s->reason, .sessions = 1,
		});
	return OK;
}

fault tlsrpt_sum(struct tlsrpt_report *into, const struct tlsrpt_report *from)
{
	fault f = OK;
	bool first = into->begin_s == 0 && into->end_s == 0;
	if (first || from->begin_s < into->begin_s)
		into->begin_s = from->begin_s;
	if (first || from->end_s > into->end_s)
		into->end_s = from->end_s;
	for (size_t i = 0; i < from->n_policies; i++) {
		struct tlsrpt_policy *p = tlsrpt_add_policy(into, &from->policies[i]);
		for (size_t k = 0; p != NULL && k < from->policies[i].n_details; k++)
			tlsrpt_add_detail(into, p, &from->policies[i].details[k]);
		f = p == NULL ? F_LIMIT : f;
	}
	return f;
}
