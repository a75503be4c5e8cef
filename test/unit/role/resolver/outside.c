/* SPDX-License-Identifier: ISC */
#include "outside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

#include "base/check.h"
#include "dns/dns.h"
#include "sys/clock.h"

enum { TURNS = 6, SUMMER_2026_S = 1780000000 };

struct outside outside;
static struct timer poke;
static int64_t now_ms, wall_ms;
static uint64_t next_random;

/* ---- clocks ---- */

uint64_t __wrap_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	(void)loop;
	return (uint64_t)now_ms;
}

int64_t clock_wall_ms(void)
{
	return wall_ms;
}

int64_t clock_wall_s(void)
{
	return wall_ms / 1000;
}

int clock_zone_minutes(int64_t wall_s)
{
	(void)wall_s;
	return 0;
}

/* Steady, so that a test does the same each time (splitmix64). */
uint64_t random_u64(void)
{
	uint64_t z = next_random += 0x9e3779b97f4a7c15U;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

void random_bytes(void *to, size_t n)
{
	unsigned char *p = to;
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)random_u64();
}

static void on_poke(void *owner)
{
	(void)owner;
	loop_stop(outside.loop);
}

void outside_turn(void)
{
	for (unsigned i = 0; i < TURNS; i++) {
		timer_set(&poke, now_ms);
		loop_run(outside.loop);
	}
}

void outside_pass(int64_t ms)
{
	now_ms += ms;
	wall_ms += ms;
	outside_turn();
}

void outside_live(int64_t ms, int64_t step_ms)
{
	for (int64_t gone_ms = 0; gone_ms < ms; gone_ms += step_ms)
		outside_pass(step_ms);
}

void outside_set_clock(int64_t by_s)
{
	wall_ms += by_s * 1000;
	outside_turn();
}

void outside_begin(void)
{
	now_ms = 1000000;
	wall_ms = (int64_t)SUMMER_2026_S * 1000;
	next_random = 1;
	outside = (struct outside){ .loop = loop_new() };
	timer_init(&poke, outside.loop, on_poke, NULL);
}

void outside_end(void)
{
	timer_clear(&poke);
	assert_int_equal(outside.n_open, 0);
	loop_free(&outside.loop);
}

/* ---- the DNS ---- */

/* It knows for ever what it was answered once. */
struct dns { bool validates, knows; unsigned open; struct dns_answer known; char known_name[300]; };
struct dns_question {
	struct dns *dns;
	dns_answered *answered;
	void *owner;
	enum dns_kind kind;
	struct later soon;
	char name[300];
};

fault dns_new(struct loop *loop, const struct dns_options *options, struct dns **out, struct why *why)
{
	(void)loop;
	(void)why;
	*out = NEW(struct dns);
	(*out)->validates = options->trust_anchor.n > 0;
	return OK;
}

void dns_free(struct dns **dns)
{
	if (*dns != NULL)
		assert_int_equal((*dns)->open, 0);
	free(*dns);
	*dns = NULL;
}

static void question_free(struct dns_question *q)
{
	later_clear(&q->soon);
	q->dns->open--;
	free(q);
}

static void on_soon(void *owner)
{
	struct dns_question *q = owner;
	struct dns_answer answer = { .result = DNS_NXDOMAIN };
	dns_answered *answered = q->answered;
	void *whose = q->owner;
	struct dns *dns = q->dns;
	if (outside.dns_caches && dns->knows && strcmp(dns->known_name, q->name) == 0)
		answer = dns->known;
	else if (!outside.dns(dns->validates, q->kind, str_of(q->name), &answer))
		return;
	dns->knows = answer.result != DNS_FAILED;
	dns->known = answer;
	(void)snprintf(dns->known_name, sizeof dns->known_name, "%s", q->name);
	answer.unvalidated = !q->dns->validates;
	question_free(q);
	answered(whose, &answer);
}

struct dns_question *dns_ask(struct dns *dns, enum dns_kind kind, struct str name, dns_answered *answered, void *owner)
{
	struct dns_question *q = NEW(struct dns_question);
	*q = (struct dns_question){ .dns = dns, .answered = answered, .owner = owner, .kind = kind };
	(void)snprintf(q->name, sizeof q->name, "%.*s", STR_ARG(name));
	dns->open++;
	outside.n_asked++;
	later_init(&q->soon, on_soon, q);
	later_set(outside.loop, &q->soon);
	return q;
}

void dns_cancel(struct dns_question **question)
{
	if (*question != NULL)
		question_free(*question);
	*question = NULL;
}

/* ---- web servers ---- */

struct https { unsigned open; };
struct https_question {
	struct https *https;
	struct later soon;
	struct timer patience;
	struct https_request request;
	char host[300];
	https_answered *answered;
	void *owner;
};

void https_begin(void)
{
}

fault https_new(struct loop *loop, struct str ca_pem, struct https **out, struct why *why)
{
	(void)loop;
	(void)ca_pem;
	(void)why;
	*out = NEW(struct https);
	return OK;
}

void https_free(struct https **https)
{
	if (*https != NULL)
		assert_int_equal((*https)->open, 0);
	free(*https);
	*https = NULL;
}

static void web_free(struct https_question *q)
{
	later_clear(&q->soon);
	timer_clear(&q->patience);
	q->https->open--;
	outside.n_open--;
	free(q);
}

static void web_answer(struct https_question *q, const struct https_answer *answer)
{
	https_answered *answered = q->answered;
	void *owner = q->owner;
	web_free(q);
	answered(owner, answer);
}

static void on_patience(void *owner)
{
	web_answer(owner, &(struct https_answer){ .result = HTTPS_UNREACHABLE, .text = STR("too late") });
}

static void on_web(void *owner)
{
	struct https_question *q = owner;
	struct https_answer answer = { .result = HTTPS_ANSWERED, .status = 200, .content_type = STR("text/plain") };
	if (outside.web(&q->request, &answer))
		web_answer(q, &answer);
}

struct https_question *https_ask(struct https *https, const struct https_request *request, https_answered *answered, void *owner)
{
	struct https_question *q = NEW(struct https_question);
	*q = (struct https_question){ .https = https, .request = *request, .answered = answered, .owner = owner };
	(void)snprintf(q->host, sizeof q->host, "%.*s", STR_ARG(request->host));
	q->request.host = str_of(q->host);
	https->open++;
	outside.n_requests++;
	outside.last_request = q->request;
	if (++outside.n_open > outside.most_open)
		outside.most_open = outside.n_open;
	later_init(&q->soon, on_web, q);
	later_set(outside.loop, &q->soon);
	timer_init(&q->patience, outside.loop, on_patience, q);
	timer_set(&q->patience, now_ms + request->patience_ms);
	return q;
}

void https_cancel(struct https_question **question)
{
	if (*question != NULL)
		web_free(*question);
	*question = NULL;
}
