/* SPDX-License-Identifier: ISC */
/* role/resolver/policy_look.c -- one look at one domain: the record, the fetch, what comes of them. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "role/resolver/policies_inside.h"
#include "sys/log.h"

enum { HOST_ROOM = 260, RENEWALS_MAX = POLICIES_FETCHES_MAX / 4, STATUS_OK = 200 };

static void start_fetches(struct policies *p);

/* ---- the fetch ---- */

static fault put_name(struct buf *out, const char *prefix, struct str domain)
{
	return buf_addf(out, "%s%.*s", prefix, STR_ARG(domain));
}

static void say_trouble(const struct policy *y, int64_t now_s)
{
	bool lives = mtasts_lives(&y->known, now_s);
	if (lives && y->known.mode == MTASTS_MODE_NONE)
		return; /* RFC 8461 10.2 */
	log_event(LOG_MTASTS_TROUBLE, LOG_S("domain", y->domain), LOG_S("text", str_of(y->trouble_text)),
	          LOG_U("failures", y->known.failures),
	          LOG_Z("policy", lives ? mtasts_mode_name(y->known.mode) : ""),
	          LOG_U("expires_in_s", lives ? mtasts_expires_s(&y->known) - now_s : 0));
}

/* The policy that is known stays what it is. */
static void fetch_failed(struct policy *y, enum sts_trouble trouble, struct str text)
{
	int64_t now_s = policies_now_s(y->policies);
	bool again = y->known.failures > 0 && (y->renewing || str_eq(y->known.failed_id, y->look_id));
	y->known.failures = again ? y->known.failures + 1 : 1;
	y->known.failed_s = now_s;
	memcpy(y->failed_id, y->look_id_room, sizeof y->failed_id);
	y->known.failed_id = (struct str){ y->failed_id, y->look_id.n };
	y->trouble = trouble;
	size_t n = text.n < sizeof y->trouble_text - 1 ? text.n : sizeof y->trouble_text - 1;
	if (n > 0)
		memcpy(y->trouble_text, text.p, n);
	y->trouble_text[n] = '\0';
	say_trouble(y, now_s);
}

static void policy_take(struct policy *y, const struct mtasts_policy *policy)
{
	int64_t now_s = policies_now_s(y->policies);
	struct buf mx;
	buf_init(&mx, MTASTS_MX_MAX);
	check(mtasts_put_mx(&mx, policy) == OK);
	bool news = y->known.fetched_s == 0 || !str_eq(y->known.id, y->look_id) || y->known.mode != policy->mode ||
	            !str_eq(y->known.mx, buf_view(&mx)) || y->known.failures > 0;
	str_release(&y->mx);
	y->mx = str_keep(buf_view(&mx));
	buf_fini(&mx);
	memcpy(y->id, y->look_id_room, sizeof y->id);
	y->known = (struct mtasts_known){
		.fetched_s = now_s, .max_age_s = policy->max_age_s, .used_s = y->known.used_s, .mode = policy->mode,
		.id = { y->id, y->look_id.n }, .mx = y->mx,
	};
	y->fetched = true;
	y->trouble = STS_FINE;
	if (news)
		log_event(LOG_MTASTS, LOG_S("domain", y->domain), LOG_Z("mode", mtasts_mode_name(policy->mode)),
		          LOG_S("id", y->known.id), LOG_U("mx", policy->n_mx), LOG_U("max_age_s", policy->max_age_s));
	policy_keep(y);
}

static void judge(struct policy *y, const struct https_answer *a)
{
	struct mtasts_policy policy;
	struct why why = { "" };
	char text[64];
	if (a->result == HTTPS_NOT_TRUSTED) {
		fetch_failed(y, STS_WEBPKI_INVALID, a->text);
	} else if (a->result != HTTPS_ANSWERED) {
		fetch_failed(y, a->result == HTTPS_TOO_LARGE ? STS_POLICY_INVALID : STS_FETCH_ERROR, a->text);
	} else if (a->status != STATUS_OK) {
		struct buf words;
		buf_init(&words, sizeof text);
		fault f = buf_addf(&words, "the policy host answers with HTTP status %u", a->status);
		fetch_failed(y, STS_FETCH_ERROR, f == OK ? buf_view(&words) : STR_NONE);
		buf_fini(&words);
	} else if (!mtasts_content_type_fits(a->content_type)) {
		fetch_failed(y, STS_POLICY_INVALID, STR("what the policy host sends is not text/plain"));
	} else if (mtasts_parse(a->body, &policy, &why) != OK) {
		fetch_failed(y, STS_POLICY_INVALID, str_of(why.text));
	} else {
		policy_take(y, &policy);
	}
}

static void on_fetched(void *owner, const struct https_answer *answer)
{
	struct policy *y = owner;
	struct policies *p = y->policies;
	y->errand = NULL;
	p->n_fetching--;
	judge(y, answer);
	policy_rest(y);
	start_fetches(p);
}

static void fetch(struct policy *y)
{
	struct policies *p = y->policies;
	struct buf host;
	buf_init(&host, HOST_ROOM);
	check(put_name(&host, "mta-sts.", y->domain) == OK);
	p->n_fetching++;
	y->step = POLICY_FETCHING;
	y->errand = errand_start(p->house.errands, &(struct errand_plan){
		.host = buf_view(&host), .path = STR("/.well-known/mta-sts.txt"), .port = 443, .body_max = MTASTS_BODY_MAX,
		.patience_ms = p->n_fetching > POLICIES_FETCHES_MAX / 2 ? POLICY_FETCH_BUSY_MS : POLICY_FETCH_MS,
	}, on_fetched, y);
	buf_fini(&host);
	if (y->errand != NULL)
		return;
	p->n_fetching--;
	fetch_failed(y, STS_FETCH_ERROR, STR("too many fetches are under way"));
	policy_rest(y);
}

static void start_fetches(struct policies *p)
{
	while (p->n_fetching < POLICIES_FETCHES_MAX && !list_empty(&p->queue)) {
		struct policy *y = LIST_FIRST(&p->queue, struct policy, in_queue);
		link_remove(&y->in_queue);
		fetch(y);
	}
}

/* Renewals have time, and leave room for letters. */
static void want_fetch(struct policy *y)
{
	struct policies *p = y->policies;
	if (y->renewing && list_empty(&y->waiters) && p->n_fetching >= RENEWALS_MAX) {
		policy_rest(y);
		return;
	}
	y->step = POLICY_QUEUED;
	list_add_last(&p->queue, &y->in_queue);
	start_fetches(p);
}

/* ---- the record ---- */

static const char *note_about(enum mtasts_record record, const struct policy *y)
{
	if (y->record != RECORD_ANSWERED)
		return y->record == RECORD_BOGUS ? "the record at _mta-sts does not validate (DNSSEC)"
		                                 : "the record at _mta-sts could not be looked up";
	return record == MTASTS_MALFORMED ? "the record at _mta-sts breaks the grammar, so there is no policy (RFC 8461 3.1)"
	     : record == MTASTS_SEVERAL ? "there are several records at _mta-sts, so there is no policy (RFC 8461 3.1)" : "";
}

static void take_look_id(struct policy *y, struct str id)
{
	if (id.n > 0)
		memcpy(y->look_id_room, id.p, id.n);
	y->look_id = (struct str){ y->look_id_room, id.n };
}

static void on_record(void *owner, const struct dns_answer *answer)
{
	struct policy *y = owner;
	struct str texts[64], id = STR_NONE;
	size_t n = answer->n_records < COUNT(texts) ? answer->n_records : COUNT(texts);
	bool no_answer = answer->result == DNS_BOGUS || answer->result == DNS_FAILED;
	y->txt = NULL;
	y->record = answer->result == DNS_BOGUS ? RECORD_BOGUS : no_answer ? RECORD_FAILED : RECORD_ANSWERED;
	for (size_t i = 0; i < n; i++)
		texts[i] = answer->records[i].text;
	enum mtasts_record record = no_answer ? MTASTS_NO_RECORD : mtasts_read_records(texts, n, &id);
	y->note = note_about(record, y);
	y->has_record = record == MTASTS_RECORD;
	if (record == MTASTS_RECORD)
		take_look_id(y, id);
	else
		take_look_id(y, y->known.id);
	bool wanted = y->renewing ||
	              mtasts_decide(&y->known, record, no_answer, id, policies_now_s(y->policies)) == MTASTS_FETCH;
	if (wanted)
		want_fetch(y);
	else
		policy_rest(y);
}

static void ask_record(struct policy *y)
{
	struct buf name;
	if (y->policies->dns == NULL)
		return;
	buf_init(&name, HOST_ROOM);
	check(put_name(&name, "_mta-sts.", y->domain) == OK);
	y->txt = dns_ask(y->policies->dns, DNS_TXT, buf_view(&name), on_record, y);
	buf_fini(&name);
}

void policy_look(struct policy *y, bool renewing)
{
	y->step = POLICY_LOOKING;
	y->renewing = renewing;
	y->fetched = false;
	timer_clear(&y->renew);
	ask_record(y);
}

void policy_look_again(struct policy *y)
{
	dns_cancel(&y->txt);
	if (y->step == POLICY_LOOKING)
		ask_record(y);
}

void policy_look_drop(struct policy *y)
{
	dns_cancel(&y->txt);
	if (y->errand != NULL)
		y->policies->n_fetching--;
	errand_cancel(&y->errand);
	link_remove(&y->in_queue);
}
