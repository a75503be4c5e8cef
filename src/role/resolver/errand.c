/* SPDX-License-Identifier: ISC */
#include "role/resolver/errand.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "sys/socket.h"

enum { ADDRESSES_MAX = HTTPS_ADDRESSES_MAX, ADDRESS_ROOM = 48, KINDS = 2, IPV6_FIRST = 4 };

static const enum dns_kind kinds[KINDS] = { DNS_AAAA, DNS_A };

struct errands {
	struct loop *loop;
	struct dns *dns;
	struct https *https;           /* NULL: nobody is trusted */
	bool allow_private;
	struct list open;
	size_t n_open;
};

struct errand {
	struct link in_errands;
	struct errands *errands;
	https_answered *answered;
	void *owner;
	struct str host, path, body, content_type;
	uint16_t port;
	size_t body_max;
	int64_t until_ms;
	struct half { struct errand *errand; struct dns_question *question; bool done; } halves[KINDS];
	char addresses[ADDRESSES_MAX][ADDRESS_ROOM];
	size_t n_addresses;
	bool refused_private;
	enum dns_result dns_result;    /* the worst */
	struct https_question *question;
	struct timer over;
	struct later soon;             /* it goes on, or fails, in this turn's end */
};

static void errand_free(struct errand *e)
{
	for (size_t i = 0; i < KINDS; i++)
		dns_cancel(&e->halves[i].question);
	https_cancel(&e->question);
	timer_clear(&e->over);
	later_clear(&e->soon);
	link_remove(&e->in_errands);
	e->errands->n_open--;
	str_release(&e->host);
	str_release(&e->path);
	str_release(&e->body);
	str_release(&e->content_type);
	free(e);
}

/* A question that is still open ends with the errand. */
static void finish(struct errand *e, const struct https_answer *answer)
{
	https_answered *answered = e->answered;
	void *whose = e->owner;
	errand_free(e);
	answered(whose, answer);
}

static void on_answer(void *owner, const struct https_answer *answer)
{
	struct errand *e = owner;
	e->question = NULL;
	finish(e, answer);
}

static void fail(struct errand *e, const char *text)
{
	finish(e, &(struct https_answer){ .result = HTTPS_UNREACHABLE, .text = str_of(text) });
}

static void on_over(void *owner)
{
	fail(owner, "there was no whole answer in time");
}

static const char no_anchor[] = "no certificate authority is known here that could vouch for its host";

static void go(struct errand *e)
{
	struct str addresses[ADDRESSES_MAX];
	if (e->errands->https == NULL) {
		fail(e, no_anchor);
		return;
	}
	for (size_t i = 0; i < e->n_addresses; i++)
		addresses[i] = str_of(e->addresses[i]);
	if (e->n_addresses == 0) {
		fail(e, e->refused_private ? "its host has none but private or loopback addresses, which are not gone to"
		        : e->dns_result == DNS_BOGUS ? "the addresses of its host do not validate (DNSSEC)"
		        : e->dns_result == DNS_FAILED ? "the addresses of its host could not be looked up" : "its host has no address");
		return;
	}
	int64_t left_ms = e->until_ms - loop_now_ms(e->errands->loop);
	e->question = https_ask(e->errands->https, &(struct https_request){
		.host = e->host, .port = e->port, .path = e->path, .addresses = addresses, .n_addresses = e->n_addresses,
		.body = e->body, .content_type = e->content_type, .body_max = e->body_max, .patience_ms = left_ms > 1 ? left_ms : 1,
	}, on_answer, e);
}

static void on_soon(void *owner)
{
	struct errand *e = owner;
	if (e->n_addresses > 0)
		go(e);
	else
		fail(e, no_anchor);
}

/* "203.0.113.1" and "2001:db8::1", as the DNS gives them. */
static bool may_go_to(const struct errand *e, struct str address)
{
	char text[ADDRESS_ROOM + 8];
	struct endpoint at;
	struct buf with_port;
	buf_init(&with_port, sizeof text);
	fault f = buf_addf(&with_port, str_has(address, ':') ? "[%.*s]:443" : "%.*s:443", STR_ARG(address));
	bool ok = f == OK && endpoint_parse(buf_view(&with_port), &at) == OK &&
	          (e->errands->allow_private || !endpoint_is_private(&at));
	buf_fini(&with_port);
	return ok;
}

/* Each family has its share, so that a long list of the one leaves room for the other. */
static void keep_addresses(struct errand *e, const struct dns_answer *answer, size_t most)
{
	for (size_t i = 0; i < answer->n_records && most > 0 && e->n_addresses < ADDRESSES_MAX; i++) {
		struct str address = answer->records[i].text;
		if (address.n >= ADDRESS_ROOM || !may_go_to(e, address)) {
			e->refused_private = true;
			continue;
		}
		for (size_t k = 0; k < address.n; k++)
			e->addresses[e->n_addresses][k] = address.p[k];
		e->addresses[e->n_addresses++][address.n] = '\0';
		most--;
	}
}

static void on_addresses(void *owner, const struct dns_answer *answer)
{
	struct half *half = owner;
	struct errand *e = half->errand;
	half->question = NULL;
	half->done = true;
	if (answer->result > e->dns_result)
		e->dns_result = answer->result;
	keep_addresses(e, answer, half == &e->halves[0] ? IPV6_FIRST : ADDRESSES_MAX);
	for (size_t i = 0; i < KINDS; i++)
		if (!e->halves[i].done)
			return;
	go(e);
}

static void ask_addresses(struct errand *e)
{
	if (e->errands->dns == NULL)
		return;
	for (size_t i = 0; i < KINDS; i++)
		if (!e->halves[i].done)
			e->halves[i].question = dns_ask(e->errands->dns, kinds[i], e->host, on_addresses, &e->halves[i]);
}

struct errand *errand_start(struct errands *s, const struct errand_plan *plan, https_answered *answered, void *owner)
{
	if (s->n_open >= ERRANDS_MAX)
		return NULL;
	struct errand *e = NEW(struct errand);
	*e = (struct errand){
		.errands = s, .answered = answered, .owner = owner, .host = str_keep(plan->host), .path = str_keep(plan->path),
		.body = str_keep(plan->body), .content_type = str_keep(plan->content_type), .port = plan->port,
		.body_max = plan->body_max, .until_ms = loop_now_ms(s->loop) + plan->patience_ms,
	};
	for (size_t i = 0; i < KINDS; i++)
		e->halves[i].errand = e;
	list_add_last(&s->open, &e->in_errands);
	s->n_open++;
	timer_init(&e->over, s->loop, on_over, e);
	later_init(&e->soon, on_soon, e);
	timer_set(&e->over, e->until_ms);
	if (s->https == NULL)
		later_set(s->loop, &e->soon);
	else
		ask_addresses(e);
	return e;
}

void errand_cancel(struct errand **errand)
{
	if (*errand != NULL)
		errand_free(*errand);
	*errand = NULL;
}

void errands_use(struct errands *s, struct dns *dns)
{
	s->dns = dns;
	LIST_EACH(at, &s->open) {
		struct errand *e = LIST_MEMBER(at, struct errand, in_errands);
		for (size_t i = 0; i < KINDS; i++)
			dns_cancel(&e->halves[i].question);
		ask_addresses(e);
	}
}

fault errands_trust(struct errands *s, struct str ca_pem, bool allow_private, struct why *why)
{
	struct https *fresh = NULL;
	if (ca_pem.n > 0)
		TRY(https_new(s->loop, ca_pem, &fresh, why));
	LIST_EACH(at, &s->open) {
		struct errand *e = LIST_MEMBER(at, struct errand, in_errands);
		if (e->question != NULL) {
			https_cancel(&e->question);
			later_set(s->loop, &e->soon);
		}
	}
	https_free(&s->https);
	s->https = fresh;
	s->allow_private = allow_private;
	return OK;
}

struct errands *errands_new(struct loop *loop)
{
	struct errands *s = NEW(struct errands);
	s->loop = loop;
	list_init(&s->open);
	return s;
}

void errands_free(struct errands **s_ref)
{
	struct errands *s = *s_ref;
	*s_ref = NULL;
	if (s == NULL)
		return;
	LIST_EACH(at, &s->open)
		errand_free(LIST_MEMBER(at, struct errand, in_errands));
	https_free(&s->https);
	free(s);
}
