/* SPDX-License-Identifier: ISC */
/* test/sim/zone.c -- dns/dns.h from a table instead of the network; answers take a while, and fail in rough weather. */
#include "dns/dns.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "world.h"

static const struct { const char *name; enum dns_kind kind; uint32_t number; const char *text; } zone[] = {
	{ "good.example", DNS_MX, 10, "mx1.good.example" }, { "good.example", DNS_MX, 20, "mx2.good.example" },
	{ "mx1.good.example", DNS_A, 0, "203.0.113.1" },    { "mx2.good.example", DNS_A, 0, "203.0.113.2" },
	{ "flaky.example", DNS_MX, 10, "mx.flaky.example" }, { "flaky.example", DNS_MX, 10, "mx2.flaky.example" },
	{ "mx.flaky.example", DNS_A, 0, "203.0.113.3" },    { "mx2.flaky.example", DNS_A, 0, "203.0.113.4" },
	{ "grey.example", DNS_A, 0, "203.0.113.5" },        /* an implicit MX */
	{ "bad.example", DNS_MX, 10, "mx.bad.example" },    { "mx.bad.example", DNS_A, 0, "203.0.113.6" },
	{ "worse.example", DNS_MX, 10, "mx.worse.example" }, { "mx.worse.example", DNS_A, 0, "203.0.113.7" },
	{ "origin.example", DNS_MX, 10, "mx.origin.example" }, { "mx.origin.example", DNS_A, 0, "203.0.113.8" },
	{ "down.example", DNS_MX, 10, "mx.down.example" },  { "mx.down.example", DNS_A, 0, "203.0.113.250" },
	{ "nullmx.example", DNS_MX, 0, "" },
	{ "relay.corp.example", DNS_A, 0, "203.0.113.10" },
};

struct dns { struct loop *loop; struct list questions; };

struct dns_question {
	struct link in_dns;
	struct timer timer;
	enum dns_kind kind;
	char name[300];
	dns_answered *answered;
	void *owner;
};

fault dns_new(struct loop *loop, const struct dns_options *options, struct dns **out, struct why *why)
{
	(void)options;
	(void)why;
	struct dns *d = NEW(struct dns);
	d->loop = loop;
	list_init(&d->questions);
	*out = d;
	return OK;
}

static void forget(struct dns_question *q)
{
	link_remove(&q->in_dns);
	timer_clear(&q->timer);
	free(q);
}

void dns_free(struct dns **d)
{
	if (*d == NULL)
		return;
	LIST_EACH(l, &(*d)->questions)
		forget(LIST_MEMBER(l, struct dns_question, in_dns));
	free(*d);
	*d = NULL;
}

static void answer(void *owner)
{
	struct dns_question *q = owner;
	struct dns_record records[8];
	struct dns_answer a = { .result = DNS_NXDOMAIN, .ttl_s = 300, .records = records };
	for (size_t i = 0; i < COUNT(zone); i++) {
		if (!str_eq_nocase(str_of(zone[i].name), str_of(q->name)))
			continue;
		if (a.result == DNS_NXDOMAIN)
			a.result = DNS_NODATA;
		if (zone[i].kind != q->kind)
			continue;
		a.result = DNS_FOUND;
		records[a.n_records++] = (struct dns_record){ zone[i].number, str_of(zone[i].text) };
	}
	if (world.weather.refuse_tcp > 0 && chance_below(15) == 0)
		a = (struct dns_answer){ .result = DNS_FAILED, .ttl_s = 1, .text = STR("no answer"), .records = records };
	q->answered(q->owner, &a);
	forget(q);
}

struct dns_question *dns_ask(struct dns *d, enum dns_kind kind, struct str name, dns_answered *answered, void *owner)
{
	struct dns_question *q = NEW(struct dns_question);
	q->kind = kind;
	q->answered = answered;
	q->owner = owner;
	check(name.n < sizeof q->name);
	memcpy(q->name, name.p, name.n);
	list_add_last(&d->questions, &q->in_dns);
	timer_init(&q->timer, d->loop, answer, q);
	timer_set(&q->timer, world.now_ms + (int64_t)chance_below(200));
	return q;
}

void dns_cancel(struct dns_question **q)
{
	if (*q == NULL)
		return;
	forget(*q);
	*q = NULL;
}
