/* SPDX-License-Identifier: ISC */
#include "role/resolver/upstream.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "dns/servers.h"
#include "sys/clock.h"
#include "sys/log.h"

struct upstream {
	struct loop *loop;
	struct dns *validating, *plain;
	struct dns *used;             /* one of them; NULL while the verdict is awaited */
	bool strict;
	enum upstream_state state;
	int64_t tested_ms, validated_ms; /* when last; -1: never */
	char owner_name[256];         /* of the trust anchor */
	int64_t since_s;              /* wall clock */
	char reason[256];
	struct dns_question *test;
	struct timer verdict, again;
	void (*changed)(void *owner);
	void *owner;
};

const char *upstream_state_name(enum upstream_state state)
{
	switch (state) {
	case UPSTREAM_TESTING:   return "testing";
	case UPSTREAM_VALIDATES: return "validates";
	case UPSTREAM_CANNOT:    return "cannot-validate";
	case UPSTREAM_LOST:      return "lost";
	case UPSTREAM_SILENT:    return "not-tried";
	case UPSTREAM_NO_ANCHOR: return "no-anchor";
	}
	return "?";
}

enum upstream_state upstream_judge(enum upstream_state found, bool strict, int64_t since_ms)
{
	return found == UPSTREAM_CANNOT && !strict && since_ms >= 0 && since_ms < UPSTREAM_LOST_MS ? UPSTREAM_LOST : found;
}

struct dns *upstream_dns(const struct upstream *u)
{
	return u->used;
}

enum upstream_state upstream_state(const struct upstream *u)
{
	return u->state;
}

static const char *advice(const struct upstream *u)
{
	switch (u->state) {
	case UPSTREAM_CANNOT:
		return u->strict ? "no answer of these name servers can be validated with the trust anchor of the configuration: "
		                   "mail waits; check resolver { server, trust-anchor }"
		                 : "the name servers strip DNSSEC signatures: answers are used unvalidated, so DANE is inactive; "
		                   "name others with resolver { server ... }";
	case UPSTREAM_LOST:
		return "DNSSEC came through until lately, and now nothing can be validated: another network, or somebody in the way; mail "
		       "waits for half an hour, then answers are used unvalidated; check resolver { server ... }";
	case UPSTREAM_SILENT:
		return "no name server answers: mail to other servers waits; check resolver { server ... } or /etc/resolv.conf";
	case UPSTREAM_NO_ANCHOR:
		return "there is no trust anchor: answers are used unvalidated, so DANE is inactive; install the package "
		       "dns-root-data or name one with resolver { trust-anchor ... }";
	default:
		return "";
	}
}

struct upstream_facts upstream_facts(const struct upstream *u)
{
	return (struct upstream_facts){ u->since_s, str_of(u->reason), str_of(advice(u)) };
}

static void say_state(const struct upstream *u, struct str reason)
{
	if (u->state == UPSTREAM_VALIDATES)
		log_event(LOG_DNSSEC, LOG_Z("state", upstream_state_name(u->state)), LOG_Z("anchor", u->owner_name));
	else
		log_event(LOG_DNSSEC_OFF, LOG_Z("state", upstream_state_name(u->state)), LOG_S("reason", reason),
		          LOG_Z("text", advice(u)));
}

static void settle(struct upstream *u, enum upstream_state state, struct str reason)
{
	enum upstream_state before = u->state;
	int64_t now_ms = loop_now_ms(u->loop);
	state = upstream_judge(state, u->strict, u->validated_ms < 0 ? -1 : now_ms - u->validated_ms);
	if (state == UPSTREAM_VALIDATES)
		u->validated_ms = now_ms;
	struct dns *used = state == UPSTREAM_NO_ANCHOR || (state == UPSTREAM_CANNOT && !u->strict) ? u->plain
	                                                                                       : u->validating;
	u->state = state;
	timer_clear(&u->verdict);
	if (before != state) {
		u->since_s = clock_wall_s();
		(void)snprintf(u->reason, sizeof u->reason, "%.*s", STR_ARG(str_sub(reason, 0, sizeof u->reason - 1)));
		say_state(u, reason);
	}
	if (state == UPSTREAM_VALIDATES || state == UPSTREAM_CANNOT)
		timer_set(&u->again, now_ms + UPSTREAM_AGAIN_MS);
	else if (state == UPSTREAM_SILENT || state == UPSTREAM_LOST)
		timer_set(&u->again, now_ms + UPSTREAM_SILENT_MS);
	if (u->used != used) {
		u->used = used;
		u->changed(u->owner);
	}
}

static bool answered(const struct dns_answer *answer)
{
	return answer->result == DNS_FOUND || answer->result == DNS_NODATA || answer->result == DNS_NXDOMAIN;
}

static void on_plain_answer(void *owner, const struct dns_answer *answer)
{
	struct upstream *u = owner;
	u->test = NULL;
	settle(u, answered(answer) ? UPSTREAM_CANNOT : UPSTREAM_SILENT, answer->text);
}

static void on_validated_answer(void *owner, const struct dns_answer *answer)
{
	struct upstream *u = owner;
	u->test = NULL;
	if (answered(answer) && answer->secure)
		settle(u, UPSTREAM_VALIDATES, STR_NONE);
	else if (answer->result == DNS_BOGUS || answered(answer))
		settle(u, UPSTREAM_CANNOT, answer->text);
	else /* is nobody there, or do they choke on DNSSEC? */
		u->test = dns_ask(u->plain, DNS_TXT, str_of(u->owner_name), on_plain_answer, u);
}

static void begin_test(void *owner)
{
	struct upstream *u = owner;
	u->tested_ms = loop_now_ms(u->loop);
	if (u->test == NULL)
		u->test = dns_ask(u->validating, DNS_TXT, str_of(u->owner_name), on_validated_answer, u);
}

void upstream_doubt(struct upstream *u)
{
	if (u->state == UPSTREAM_VALIDATES && u->test == NULL && loop_now_ms(u->loop) - u->tested_ms >= UPSTREAM_DOUBT_MS)
		begin_test(u);
}

/* The verdict is slow: go on as if it were good; what does not validate then waits. */
static void on_verdict_late(void *owner)
{
	struct upstream *u = owner;
	u->used = u->validating;
	u->changed(u->owner);
}

static void on_no_anchor(void *owner)
{
	settle(owner, UPSTREAM_NO_ANCHOR, STR("no trust anchor"));
}

fault upstream_new(struct loop *loop, const struct dns_options *options, bool strict,
                   void (*changed)(void *owner), void *owner, struct upstream **out, struct why *why)
{
	struct dns_options plain = *options;
	struct upstream *u = NEW(struct upstream);
	*u = (struct upstream){ .loop = loop, .strict = strict, .validated_ms = -1, .since_s = clock_wall_s(), .changed = changed, .owner = owner };
	plain.trust_anchor = STR_NONE;
	fault f = dns_new(loop, options, &u->validating, why);
	if (f == OK)
		f = dns_new(loop, &plain, &u->plain, why);
	if (f != OK) {
		dns_free(&u->validating);
		free(u);
		return f;
	}
	struct str name = dns_anchor_owner(options->trust_anchor);
	for (size_t i = 0; i < name.n && i < sizeof u->owner_name - 1; i++)
		u->owner_name[i] = name.p[i];
	timer_init(&u->verdict, loop, on_verdict_late, u);
	timer_init(&u->again, loop, begin_test, u);
	if (options->trust_anchor.n > 0) {
		timer_set(&u->verdict, loop_now_ms(loop) + UPSTREAM_VERDICT_MS);
		begin_test(u);
	} else {
		u->verdict.fire = on_no_anchor;
		timer_set(&u->verdict, loop_now_ms(loop));
	}
	*out = u;
	return OK;
}

void upstream_free(struct upstream **u_ref)
{
	struct upstream *u = *u_ref;
	*u_ref = NULL;
	if (u == NULL)
		return;
	timer_clear(&u->verdict);
	timer_clear(&u->again);
	dns_cancel(&u->test);
	dns_free(&u->validating);
	dns_free(&u->plain);
	free(u);
}
