/* SPDX-License-Identifier: ISC */
#include "policy/pace.h"

#include <stdlib.h>

#include "base/check.h"

/* ---- rates ---- */

struct pace_window {
	unsigned now, n;                 /* the portion that is being used; how many there are */
	struct portion { uint64_t used; int64_t last_ms; } portions[PACE_SLOTS_MAX];
};

static uint64_t portion_size(const struct pace *p, unsigned i)
{
	unsigned n = p->window->n;
	return p->limits.rate / n + (i < p->limits.rate % n);
}

static bool is_free(const struct pace *p, unsigned i, int64_t now_ms)
{
	const struct portion *o = &p->window->portions[i];
	return o->used == 0 || o->last_ms + p->limits.rate_ms <= now_ms;
}

static uint64_t left_in(const struct pace *p, unsigned i, int64_t now_ms)
{
	return portion_size(p, i) - (is_free(p, i, now_ms) ? 0 : p->window->portions[i].used);
}

static uint64_t rate_room(const struct pace *p, int64_t now_ms, int64_t *again_ms_out)
{
	const struct pace_window *w = p->window;
	*again_ms_out = now_ms;
	if (w == NULL)
		return p->limits.rate;
	uint64_t room = left_in(p, w->now, now_ms);
	for (unsigned i = 1; i < w->n; i++) {
		unsigned next = (w->now + i) % w->n;
		if (!is_free(p, next, now_ms)) {
			*again_ms_out = w->portions[next].last_ms + p->limits.rate_ms;
			return room;
		}
		room += portion_size(p, next);
	}
	if (room == 0) /* there is only one */
		*again_ms_out = w->portions[w->now].last_ms + p->limits.rate_ms;
	return room;
}

static void rate_take(struct pace *p, uint64_t n, int64_t now_ms)
{
	if (p->window == NULL) {
		p->window = NEW(struct pace_window);
		p->window->n = p->limits.rate < PACE_SLOTS_MAX ? (unsigned)p->limits.rate : PACE_SLOTS_MAX;
	}
	struct pace_window *w = p->window;
	for (unsigned turns = 0; n > 0 && turns <= w->n; turns++) {
		struct portion *o = &w->portions[w->now];
		uint64_t left = left_in(p, w->now, now_ms), taken = n < left ? n : left;
		if (taken > 0) {
			o->used = is_free(p, w->now, now_ms) ? taken : o->used + taken;
			o->last_ms = now_ms;
			n -= taken;
		}
		if (n > 0)
			w->now = (w->now + 1) % w->n;
	}
}

uint64_t pace_used(const struct pace *p, int64_t now_ms)
{
	uint64_t used = 0;
	for (unsigned i = 0; p->window != NULL && i < p->window->n; i++)
		used += is_free(p, i, now_ms) ? 0 : p->window->portions[i].used;
	return used;
}

/* ---- limits ---- */

static unsigned at_most(unsigned n, unsigned most)
{
	return n < most ? n : most;
}

static unsigned at_least(unsigned n, unsigned least)
{
	return n > least ? n : least;
}

void pace_init(struct pace *p, const struct pace_limits *limits)
{
	*p = (struct pace){ .limits = *limits, .cut_ms = INT64_MIN, .not_before_ms = INT64_MIN };
	p->limits.concurrency = at_least(limits->concurrency, 1);
	p->allowance = at_most(PACE_BEGINS_WITH, p->limits.concurrency);
	p->knee = p->limits.concurrency;
}

void pace_fini(struct pace *p)
{
	free(p->window);
	p->window = NULL;
}

void pace_limit(struct pace *p, const struct pace_limits *limits, int64_t now_ms)
{
	bool other_rate = limits->rate != p->limits.rate || limits->rate_ms != p->limits.rate_ms;
	uint64_t used = other_rate ? pace_used(p, now_ms) : 0;
	bool has_begun = p->state != PACE_NEW || p->before > 0;
	p->limits = *limits;
	p->limits.concurrency = at_least(limits->concurrency, 1);
	p->allowance = at_most(has_begun ? p->allowance : PACE_BEGINS_WITH, p->limits.concurrency);
	p->knee = p->before == 0 ? p->limits.concurrency : at_most(p->knee, p->limits.concurrency);
	p->before = at_most(p->before, p->limits.concurrency);
	if (other_rate) {
		pace_fini(p);
		if (limits->rate > 0 && used > 0)
			rate_take(p, used, now_ms);
	}
}

unsigned pace_room(const struct pace *p, unsigned in_hand, int64_t now_ms, int64_t *again_ms_out)
{
	*again_ms_out = now_ms;
	if (p->not_before_ms > now_ms) {
		*again_ms_out = p->not_before_ms;
		return 0;
	}
	if (in_hand >= p->allowance) {
		*again_ms_out = INT64_MAX;
		return 0;
	}
	unsigned room = p->allowance - in_hand;
	if (p->limits.rate == 0)
		return room;
	uint64_t by_rate = rate_room(p, now_ms, again_ms_out);
	return by_rate < room ? (unsigned)by_rate : room;
}

void pace_began(struct pace *p, int64_t now_ms)
{
	if (p->limits.rate > 0)
		rate_take(p, 1, now_ms);
}

/* ---- what attempts show ---- */

static void grow(struct pace *p)
{
	if (p->allowance < p->knee) {
		p->allowance++;
	} else if (++p->credits >= p->allowance) {
		p->credits = 0;
		p->allowance = at_most(p->allowance + 1, p->limits.concurrency);
	}
}

/* What slowed it is over when it has come as far as it was. */
static void see_whether_over(struct pace *p)
{
	if (p->state != PACE_RESTING && p->allowance >= p->before)
		p->before = 0;
}

/* It answers (again), whatever it says. */
static void answers(struct pace *p)
{
	if (p->state == PACE_RESTING) {
		p->allowance = at_most(PACE_BEGINS_WITH, p->limits.concurrency);
		p->knee = p->before > p->allowance ? p->before : p->limits.concurrency; /* it had not come far: as at first */
	}
	p->state = PACE_PROVEN;
	p->in_a_row = p->rests = 0;
	p->not_before_ms = INT64_MIN;
}

static void rest(struct pace *p, int64_t now_ms, int64_t rest_ms_max, uint64_t random)
{
	int64_t ms = PACE_REST_MS;
	for (unsigned i = 0; i < p->rests && ms < PACE_REST_MS_MAX; i++)
		ms *= 2;
	ms = ms > PACE_REST_MS_MAX ? PACE_REST_MS_MAX : ms;
	ms += ms * ((int64_t)(random % 401) - 200) / 1000;
	ms = ms > rest_ms_max ? rest_ms_max : ms;
	ms = ms > PACE_REST_MS_MAX ? PACE_REST_MS_MAX : ms < PACE_REST_MS_MIN ? PACE_REST_MS_MIN : ms;
	p->rests++;
	p->state = PACE_RESTING;
	p->allowance = 1;
	p->not_before_ms = now_ms + ms;
}

static void trouble(struct pace *p, int64_t began_ms, int64_t now_ms, int64_t rest_ms_max, uint64_t random)
{
	if (p->state == PACE_RESTING && began_ms <= p->cut_ms)
		return; /* what was under way with the others */
	if (p->before == 0)
		p->before = p->allowance;
	if (p->in_a_row++ == 0)
		p->in_a_row_max = p->state == PACE_PROVEN ? at_least(p->allowance / 2, 2) : 1;
	p->credits = 0;
	if (began_ms > p->cut_ms) {
		p->cut_ms = now_ms;
		p->allowance = p->knee = at_least(p->allowance / 2, 1);
	}
	if (p->in_a_row >= p->in_a_row_max) {
		p->cut_ms = now_ms;
		rest(p, now_ms, rest_ms_max, random);
	}
}

void pace_ended(struct pace *p, enum pace_sign sign, int64_t began_ms, int64_t now_ms, int64_t rest_ms_max, uint64_t random)
{
	if (sign == PACE_SOFT && ++p->soft >= PACE_SOFT_MAX)
		sign = PACE_TROUBLE;
	switch (sign) {
	case PACE_TROUBLE:
		trouble(p, began_ms, now_ms, rest_ms_max, random);
		return;
	case PACE_GOOD:
		answers(p);
		p->soft = 0;
		grow(p);
		break;
	case PACE_SOFT:
	case PACE_ALIVE:
		answers(p);
		break;
	case PACE_NOTHING:
		break;
	}
	see_whether_over(p);
}

bool pace_wake(struct pace *p, int64_t until_ms, int64_t now_ms)
{
	if (p->state != PACE_RESTING || p->cut_ms > until_ms || p->not_before_ms <= now_ms)
		return false;
	p->not_before_ms = INT64_MIN;
	p->rests -= p->rests > 0;
	return true;
}

/* ---- what replies mean ---- */

/* A reply 4yz of the server. Its text is not looked at: everybody writes another one. */
static enum pace_sign sign_of_refusal(const struct smtp_reply *reply)
{
	struct status s = reply->status;
	if (reply->code == 421)
		return PACE_TROUBLE;         /* the service closes, or wants fewer connections */
	switch (s.class == 4 ? s.subject : 0) {
	case 3:
		return PACE_TROUBLE;         /* the system: full, down, busy */
	case 4:
		return s.detail == 5 ? PACE_TROUBLE : PACE_SOFT; /* 4.4.5: congestion */
	case 5:
		return s.detail == 3 ? PACE_ALIVE : PACE_SOFT;   /* 4.5.3: too many recipients; the rest follows */
	case 7:
		/* 4.7.28 and the like (a rate), 4.7.5xx and 4.7.6xx (busy, throttled); 4.7.1 is greylisting as often as not. */
		return s.detail == 28 || s.detail >= 500 ? PACE_TROUBLE : PACE_SOFT;
	default:
		return PACE_SOFT;
	}
}

enum pace_sign pace_sign_of(enum outcome_class outcome, const struct smtp_reply *reply)
{
	switch (outcome) {
	case OUTCOME_DONE:
		return PACE_GOOD;
	case OUTCOME_NEVER:
		return PACE_ALIVE;
	case OUTCOME_LATER:
		break;
	}
	if (reply->code >= 400)
		return sign_of_refusal(reply);
	/* Our own words: about the way there (4), or what protects it (7); else the trouble is ours. */
	return reply->status.subject == 4 || reply->status.subject == 7 ? PACE_TROUBLE : PACE_NOTHING;
}

enum pace_sign pace_signs_join(enum pace_sign a, enum pace_sign b)
{
	if ((a == PACE_GOOD && b == PACE_TROUBLE) || (a == PACE_TROUBLE && b == PACE_GOOD))
		return PACE_ALIVE;
	return a > b ? a : b;
}
