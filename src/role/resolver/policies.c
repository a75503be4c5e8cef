/* SPDX-License-Identifier: ISC */
#include "role/resolver/policies.h"

#include <stdlib.h>

#include "base/check.h"
#include "mail/address.h"
#include "policy/remembered.h"
#include "role/resolver/policies_inside.h"
#include "sys/clock.h"

enum { JUMP_S = 300, SPREAD_S = 60, DOMAIN_ROOM = 253 - 9 /* "_mta-sts." */, KEY_ROOM = 300 };

/* ---- the clock ---- */

/* Ages are measured by the steady clock: when the wall clock is set, what was noted down by it goes along. */
int64_t policies_now_s(struct policies *p)
{
	int64_t wall_s = clock_wall_s(), steady_ms = loop_now_ms(p->loop);
	int64_t by_s = wall_s - (p->wall_s + (steady_ms - p->steady_ms) / 1000);
	p->wall_s = wall_s;
	p->steady_ms = steady_ms;
	if (by_s >= -JUMP_S && by_s <= JUMP_S)
		return wall_s;
	LIST_EACH(at, &p->order) {
		struct policy *y = LIST_MEMBER(at, struct policy, in_order);
		mtasts_shift(&y->known, by_s);
		policy_keep(y);
	}
	return wall_s;
}

/* ---- what is kept ---- */

static fault put_key(struct buf *key, struct str domain)
{
	return buf_addf(key, REMEMBERED_POLICY "%.*s", STR_ARG(domain));
}

void policy_keep(struct policy *y)
{
	struct policies *p = y->policies;
	struct buf key, value;
	if (y->known.fetched_s == 0)
		return;
	buf_init(&key, KEY_ROOM);
	buf_init(&value, MTASTS_KEPT_MAX);
	if (put_key(&key, y->domain) == OK && mtasts_keep(&value, &y->known) == OK)
		p->house.keep(p->house.owner, buf_view(&key), buf_view(&value), mtasts_expires_s(&y->known));
	buf_fini(&key);
	buf_fini(&value);
}

static void policy_unkeep(struct policy *y)
{
	struct policies *p = y->policies;
	struct buf key;
	buf_init(&key, KEY_ROOM);
	if (y->known.fetched_s > 0 && put_key(&key, y->domain) == OK)
		p->house.keep(p->house.owner, buf_view(&key), STR_NONE, 0);
	buf_fini(&key);
}

/* ---- who is known ---- */

static void waiter_free(struct policy_waiter *w)
{
	link_remove(&w->in_policy);
	w->policy->n_waiters--;
	free(w);
}

static void policy_free(struct policy *y)
{
	LIST_EACH(at, &y->waiters)
		waiter_free(LIST_MEMBER(at, struct policy_waiter, in_policy));
	policy_look_drop(y);
	timer_clear(&y->hurry);
	timer_clear(&y->renew);
	(void)map_remove(y->policies->by_domain, y->domain);
	link_remove(&y->in_order);
	str_release(&y->domain);
	str_release(&y->mx);
	free(y);
}

static bool is_free(const struct policy *y)
{
	return y->step == POLICY_IDLE && list_empty(&y->waiters);
}

static bool forget_one(struct policies *p, int64_t now_s, bool also_living)
{
	LIST_EACH(at, &p->order) {
		struct policy *y = LIST_MEMBER(at, struct policy, in_order);
		if (!is_free(y) || (mtasts_lives(&y->known, now_s) && !also_living))
			continue;
		policy_unkeep(y);
		policy_free(y);
		return true;
	}
	return false;
}

/* Whoever makes us ask for many names shall not make us forget a policy for what is none. */
static bool make_room(struct policies *p)
{
	int64_t now_s = policies_now_s(p);
	while (map_count(p->by_domain) >= POLICIES_MAX)
		if (!forget_one(p, now_s, false) && !forget_one(p, now_s, true))
			return false;
	return true;
}

static void on_hurry(void *owner)
{
	policy_answer(owner, false);
}

static void on_renew(void *owner)
{
	struct policy *y = owner;
	int64_t now_s = policies_now_s(y->policies);
	if (!is_free(y))
		return; /* what is under way sets the next time */
	if (!mtasts_lives(&y->known, now_s))
		policy_free(y);
	else if (y->policies->restored && mtasts_renew_s(&y->known, 0) != INT64_MAX)
		policy_look(y, true);
	else
		policy_rest(y);
}

static struct policy *policy_new(struct policies *p, struct str domain)
{
	if (!make_room(p))
		return NULL;
	struct policy *y = NEW(struct policy);
	*y = (struct policy){ .policies = p, .domain = str_keep(domain), .note = "" };
	list_init(&y->waiters);
	link_init(&y->in_queue);
	timer_init(&y->hurry, p->loop, on_hurry, y);
	timer_init(&y->renew, p->loop, on_renew, y);
	list_add_last(&p->order, &y->in_order);
	(void)map_set(p->by_domain, y->domain, y);
	return y;
}

/* ---- when to look next ---- */

/* Without a policy: until a failure need not be known any more. */
static int64_t rest_until_s(const struct policy *y, int64_t now_s)
{
	if (mtasts_lives(&y->known, now_s)) {
		int64_t due_s = mtasts_renew_s(&y->known, random_u64());
		if (due_s == INT64_MAX)
			return mtasts_expires_s(&y->known) + 1;
		return due_s > now_s ? due_s : now_s + 1 + (int64_t)(random_u64() % SPREAD_S); /* after a restart, many are due */
	}
	int64_t retry_s = mtasts_retry_s(&y->known, y->known.failed_id);
	return retry_s > now_s ? retry_s + (retry_s - y->known.failed_s) : now_s;
}

static void set_renew(struct policy *y, int64_t now_s)
{
	int64_t until_s = rest_until_s(y, now_s);
	timer_set(&y->renew, loop_now_ms(y->policies->loop) + (until_s > now_s ? until_s - now_s : 0) * 1000);
}

/* ---- answers ---- */

static struct policy_answer answer_now(const struct policy *y, int64_t now_s, bool in_time)
{
	struct policy_answer a = { .state = STS_NONE, .text = str_of(y->note) };
	bool failed = y->known.failures > 0;
	if (y->record == RECORD_BOGUS)
		a.state = STS_UNASKED;
	else if (y->record == RECORD_FAILED)
		a = (struct policy_answer){ .state = STS_TROUBLE, .trouble = STS_RECORD_ERROR, .text = a.text };
	if (!in_time)
		a = (struct policy_answer){ .state = STS_TROUBLE,
		                            .trouble = y->step == POLICY_LOOKING ? STS_RECORD_ERROR : STS_FETCH_ERROR,
		                            .text = STR("its policy host, or the DNS, has not answered in time") };
	else if (failed && (y->has_record || mtasts_lives(&y->known, now_s)))
		a = (struct policy_answer){ .state = STS_TROUBLE, .trouble = y->trouble, .text = str_of(y->trouble_text) };
	if (!mtasts_lives(&y->known, now_s))
		return a;
	a.state = STS_POLICY;
	a.known = &y->known;
	a.cached = !y->fetched;
	return a;
}

static void set_hurry(struct policy *y)
{
	bool lives = mtasts_lives(&y->known, policies_now_s(y->policies));
	timer_set(&y->hurry, loop_now_ms(y->policies->loop) + (lives ? POLICY_CACHED_WAIT_MS : POLICY_WAIT_MS));
}

void policy_answer(struct policy *y, bool in_time)
{
	struct policy_answer a = answer_now(y, policies_now_s(y->policies), in_time);
	enum policy_step step = y->step;
	struct list answered;
	y->step = POLICY_ANSWERING; /* so that nothing that an answer leads to forgets it, or looks again within */
	list_init(&answered);
	LIST_EACH(at, &y->waiters) {
		link_remove(at);
		list_add_last(&answered, at);
	}
	while (!list_empty(&answered)) {
		struct policy_waiter *w = LIST_FIRST(&answered, struct policy_waiter, in_policy);
		policy_answered *tell = w->answered;
		void *owner = w->owner;
		waiter_free(w);
		tell(owner, &a);
	}
	y->step = step;
	if (!list_empty(&y->waiters))
		set_hurry(y);
}

void policy_rest(struct policy *y)
{
	y->step = POLICY_IDLE;
	y->renewing = false;
	timer_clear(&y->hurry);
	policy_answer(y, true);
	if (list_empty(&y->waiters))
		set_renew(y, policies_now_s(y->policies));
	else
		policy_look(y, false);
}

/* ---- questions ---- */

bool policies_can_have(struct str domain)
{
	return domain.n <= DOMAIN_ROOM && domain_is_valid(domain);
}

struct policy_waiter *policies_ask(struct policies *p, struct str domain, policy_answered *answered, void *owner)
{
	char lower[DOMAIN_ROOM];
	if (!policies_can_have(domain))
		return NULL;
	for (size_t i = 0; i < domain.n; i++)
		lower[i] = (char)ascii_lower((unsigned char)domain.p[i]);
	domain.p = lower;
	struct policy *y = map_get(p->by_domain, domain);
	if (y == NULL)
		y = policy_new(p, domain);
	if (y == NULL || y->n_waiters >= POLICIES_WAITERS_MAX)
		return NULL;
	link_remove(&y->in_order);
	list_add_last(&p->order, &y->in_order);
	y->known.used_s = policies_now_s(p);
	struct policy_waiter *w = NEW(struct policy_waiter);
	*w = (struct policy_waiter){ .policy = y, .answered = answered, .owner = owner };
	list_add_last(&y->waiters, &w->in_policy);
	if (++y->n_waiters == 1 && y->step != POLICY_ANSWERING)
		set_hurry(y);
	if (y->step == POLICY_IDLE && p->restored)
		policy_look(y, false);
	return w;
}

void policies_cancel(struct policy_waiter **w)
{
	if (*w != NULL)
		waiter_free(*w);
	*w = NULL;
}

/* ---- the restart ---- */

static void on_restored(void *owner)
{
	struct policies *p = owner;
	p->restored = true;
	timer_clear(&p->restore);
	LIST_EACH(at, &p->order) {
		struct policy *y = LIST_MEMBER(at, struct policy, in_order);
		if (y->step == POLICY_IDLE && !list_empty(&y->waiters))
			policy_look(y, false);
	}
}

static void take(struct policies *p, struct str domain, const struct mtasts_known *kept)
{
	struct policy *y = map_get(p->by_domain, domain);
	if (y == NULL)
		y = policy_new(p, domain);
	if (y == NULL || y->known.fetched_s >= kept->fetched_s)
		return;
	unsigned failures = y->known.failures;
	int64_t failed_s = y->known.failed_s, used_s = y->known.used_s;
	struct str failed_id = y->known.failed_id;
	y->known = *kept;
	y->known.failures = failures;
	y->known.failed_s = failed_s;
	y->known.failed_id = failed_id;
	if (used_s > y->known.used_s)
		y->known.used_s = used_s;
	for (size_t i = 0; i < kept->id.n; i++)
		y->id[i] = kept->id.p[i];
	y->known.id.p = y->id;
	str_release(&y->mx);
	y->mx = y->known.mx = str_keep(kept->mx);
	if (is_free(y))
		set_renew(y, policies_now_s(p));
}

/* Its times were those of a clock that may have been set since; how long it holds from now, the keeper has counted on. */
static void to_this_clock(struct mtasts_known *kept, int64_t expires_s, int64_t now_s)
{
	if (now_s < 0 || expires_s <= now_s || expires_s - now_s > kept->max_age_s)
		return;
	mtasts_shift(kept, expires_s - mtasts_expires_s(kept));
}

void policies_kept(struct policies *p, struct str key, struct str value, int64_t expires_s)
{
	struct mtasts_known kept;
	int64_t now_s = policies_now_s(p);
	if (key.n == 0 && !p->restored) {
		timer_set(&p->restore, loop_now_ms(p->loop));
	} else if (key.n == 0) { /* another spool: what came while there was none, it does not have */
		LIST_EACH(at, &p->order)
			policy_keep(LIST_MEMBER(at, struct policy, in_order));
	}
	if (!str_take(&key, STR(REMEMBERED_POLICY)) || !policies_can_have(key))
		return;
	if (mtasts_kept(value, now_s, &kept) != OK)
		return;
	to_this_clock(&kept, expires_s, now_s);
	if (mtasts_lives(&kept, now_s))
		take(p, key, &kept);
}

/* ---- the whole ---- */

void policies_use(struct policies *p, struct dns *dns)
{
	p->dns = dns;
	LIST_EACH(at, &p->order)
		policy_look_again(LIST_MEMBER(at, struct policy, in_order));
}

void policies_facts(const struct policies *p, struct policies_facts *out)
{
	*out = (struct policies_facts){ .fetching = p->n_fetching };
	LIST_EACH(at, &p->order) {
		const struct policy *y = LIST_MEMBER(at, struct policy, in_order);
		out->known += y->known.fetched_s > 0;
		out->enforced += y->known.fetched_s > 0 && y->known.mode == MTASTS_MODE_ENFORCE;
		out->failing += y->known.failures > 0;
	}
}

struct policies *policies_new(const struct policies_house *house)
{
	struct policies *p = NEW(struct policies);
	*p = (struct policies){ .house = *house, .loop = house->loop, .wall_s = clock_wall_s(),
	                        .steady_ms = loop_now_ms(house->loop) };
	p->by_domain = map_new(random_u64());
	list_init(&p->order);
	list_init(&p->queue);
	timer_init(&p->restore, p->loop, on_restored, p);
	timer_set(&p->restore, p->steady_ms + POLICIES_RESTORE_MS);
	return p;
}

void policies_free(struct policies **p_ref)
{
	struct policies *p = *p_ref;
	*p_ref = NULL;
	if (p == NULL)
		return;
	LIST_EACH(at, &p->order)
		policy_free(LIST_MEMBER(at, struct policy, in_order));
	timer_clear(&p->restore);
	map_free(&p->by_domain);
	free(p);
}
