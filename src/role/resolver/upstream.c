/* SPDX-License-Identifier: ISC */
#include "role/resolver/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dns/decode.h"
#include "dns/servers.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { OPTIONS_ARENA = 16 << 20 }; /* an anchor file has at most half of it */

struct upstream {
	struct upstream_house house;
	struct loop *loop;
	struct arena *arena;          /* has the options */
	struct dns_options options;
	struct dns *validating, *plain;
	struct dns *fresh[2];         /* of the last test: without and with an anchor */
	struct dns *used;             /* one of them; NULL while the verdict is awaited */
	bool strict, held;            /* held: signatures do not come, which counts once the memory has come */
	enum upstream_state state;
	int64_t tested_ms;
	char owner_name[256];         /* of the trust anchor */
	int64_t since_s;              /* wall clock: the state is what it is */
	char reason[DNS_TEXT_MAX];    /* why the last test has failed */
	struct dns_question *test;
	struct timer verdict, again;
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

/* ---- the memory ---- */

int64_t upstream_memory_for_s(const struct upstream_memory *m, int64_t now_ms)
{
	int64_t for_s = m->validated ? UPSTREAM_KEPT_S - (now_ms - m->validated_ms) / 1000 : 0;
	return for_s > 0 ? for_s : 0;
}

void upstream_memory_take(struct upstream_memory *m, int64_t for_s, int64_t now_ms)
{
	if (for_s <= 0)
		return;
	int64_t since_s = for_s < UPSTREAM_KEPT_S ? UPSTREAM_KEPT_S - for_s : 0;
	int64_t validated_ms = now_ms - since_s * 1000;
	if (m->validated && m->validated_ms >= validated_ms)
		return;
	m->validated = true;
	m->validated_ms = validated_ms;
}

enum upstream_state upstream_judge(enum upstream_state found, bool strict, const struct upstream_memory *m, int64_t now_ms)
{
	if (found != UPSTREAM_CANNOT || strict)
		return found;
	if (m->validated && now_ms - m->validated_ms < UPSTREAM_LOST_MS)
		return UPSTREAM_LOST;
	return m->known ? UPSTREAM_CANNOT : UPSTREAM_TESTING;
}

/* ---- what is said ---- */

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
		                 : "the name servers strip DNSSEC signatures, or this machine's clock is wrong: answers are used "
		                   "unvalidated, so DANE is inactive, and mail to domains that are known to have it waits; name other "
		                   "servers with resolver { server ... }";
	case UPSTREAM_LOST:
		return "DNSSEC came through until lately, and now nothing can be validated: another network, or somebody in the way; mail "
		       "waits for half an hour, then answers are used unvalidated; check resolver { server ... }";
	case UPSTREAM_SILENT:
		return "no name server answers: mail to other servers waits; check resolver { server ... } or /etc/resolv.conf";
	case UPSTREAM_NO_ANCHOR:
		return "there is no trust anchor: answers are used unvalidated, so DANE is inactive, and mail to domains that are known to "
		       "have it waits; install the package dns-root-data or name one with resolver { trust-anchor ... }";
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

static int64_t until_next_ms(enum upstream_state state)
{
	switch (state) {
	case UPSTREAM_VALIDATES: return UPSTREAM_AGAIN_MS;
	case UPSTREAM_CANNOT:    return UPSTREAM_CANNOT_MS;
	default:                 return UPSTREAM_SILENT_MS;
	}
}

/* The verdict may have to wait for the memory; so long the validating library is used, if need be. */
static void settle(struct upstream *u, enum upstream_state found)
{
	enum upstream_state before = u->state;
	int64_t now_ms = loop_now_ms(u->loop);
	enum upstream_state state = upstream_judge(found, u->strict, u->house.memory, now_ms);
	if (state != UPSTREAM_NO_ANCHOR)
		timer_set(&u->again, now_ms + until_next_ms(state));
	u->held = state == UPSTREAM_TESTING;
	if (u->held)
		return;
	struct dns *used = state == UPSTREAM_NO_ANCHOR || (state == UPSTREAM_CANNOT && !u->strict) ? u->plain
	                                                                                       : u->validating;
	u->state = state;
	timer_clear(&u->verdict);
	if (before != state) {
		u->since_s = clock_wall_s();
		say_state(u, str_of(u->reason));
	}
	if (state == UPSTREAM_VALIDATES) {
		u->house.memory->validated = true;
		u->house.memory->validated_ms = now_ms;
		u->house.validated(u->house.owner);
	}
	if (u->used != used) {
		u->used = used;
		u->house.changed(u->house.owner);
	}
}

void upstream_memory_came(struct upstream *u)
{
	if (u->held)
		settle(u, UPSTREAM_CANNOT);
}

static bool answered(const struct dns_answer *answer)
{
	return answer->result == DNS_FOUND || answer->result == DNS_NODATA || answer->result == DNS_NXDOMAIN;
}

static void on_plain_answer(void *owner, const struct dns_answer *answer)
{
	struct upstream *u = owner;
	u->test = NULL;
	settle(u, answered(answer) ? UPSTREAM_CANNOT : UPSTREAM_SILENT);
}

static void because(struct upstream *u, struct str text)
{
	text = str_sub(text, 0, sizeof u->reason - 1);
	if (text.n > 0)
		memcpy(u->reason, text.p, text.n);
	u->reason[text.n] = '\0';
}

/* Each test is asked of a library that has no cache: what the others know, they would say for a day whatever the network does, and
 * what is not there they conclude from what is (RFC 8198). The old one goes now, and not at once after its answer: one that gave none
 * may be dead, which takes it a while to find out. */
static bool ask_fresh(struct upstream *u, bool validating, dns_answered *answered_by)
{
	struct dns_options options = u->options;
	struct why why = { "" };
	if (!validating)
		options.trust_anchor = STR_NONE;
	dns_free(&u->fresh[validating]);
	if (dns_new(u->loop, &options, &u->fresh[validating], &why) != OK) {
		because(u, str_of(why.text));
		timer_set(&u->again, loop_now_ms(u->loop) + UPSTREAM_SILENT_MS);
		return false;
	}
	u->test = dns_ask(u->fresh[validating], DNS_TXT, str_of(u->owner_name), answered_by, u);
	return true;
}

/* Is nobody there, do they choke on DNSSEC, or lose it? */
static void on_validated_answer(void *owner, const struct dns_answer *answer)
{
	struct upstream *u = owner;
	u->test = NULL;
	bool validates = answered(answer) && answer->secure;
	because(u, validates ? STR_NONE : answered(answer) ? STR("the answer is not signed") : answer->text);
	if (validates)
		settle(u, UPSTREAM_VALIDATES);
	else if (!ask_fresh(u, false, on_plain_answer))
		settle(u, UPSTREAM_SILENT);
}

static void begin_test(void *owner)
{
	struct upstream *u = owner;
	u->tested_ms = loop_now_ms(u->loop);
	if (u->test == NULL)
		(void)ask_fresh(u, true, on_validated_answer);
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
	u->house.changed(u->house.owner);
}

static void on_no_anchor(void *owner)
{
	because(owner, STR("no trust anchor"));
	settle(owner, UPSTREAM_NO_ANCHOR);
}

static void keep_options(struct upstream *u, const struct dns_options *options)
{
	size_t n = options->n_servers < DNS_SERVERS_MAX ? options->n_servers : DNS_SERVERS_MAX;
	u->arena = arena_new(OPTIONS_ARENA);
	struct str *servers = ARENA_ARRAY(u->arena, struct str, DNS_SERVERS_MAX);
	for (size_t i = 0; i < n; i++)
		servers[i] = arena_copy(u->arena, options->servers[i]);
	u->options = *options;
	u->options.servers = servers;
	u->options.n_servers = n;
	u->options.resolv_conf = arena_copy(u->arena, options->resolv_conf);
	u->options.trust_anchor = arena_copy(u->arena, options->trust_anchor);
}

fault upstream_new(const struct upstream_house *house, const struct dns_options *options, bool strict, struct upstream **out,
                   struct why *why)
{
	struct dns_options plain = *options;
	struct loop *loop = house->loop;
	struct upstream *u = NEW(struct upstream);
	*u = (struct upstream){ .house = *house, .loop = loop, .strict = strict, .since_s = clock_wall_s() };
	keep_options(u, options);
	plain.trust_anchor = STR_NONE;
	fault f = dns_new(loop, options, &u->validating, why);
	if (f == OK)
		f = dns_new(loop, &plain, &u->plain, why);
	if (f != OK) {
		dns_free(&u->validating);
		arena_free(&u->arena);
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
	dns_free(&u->fresh[true]);
	dns_free(&u->fresh[false]);
	dns_free(&u->validating);
	dns_free(&u->plain);
	arena_free(&u->arena);
	free(u);
}
