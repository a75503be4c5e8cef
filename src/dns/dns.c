/* SPDX-License-Identifier: ISC */
#include "dns/dns.h"

#include <stdlib.h>
#include <string.h>
#include <unbound.h>

#include "base/check.h"
#include "base/list.h"
#include "dns/decode.h"
#include "dns/servers.h"
#include "sys/log.h"
#include "sys/process.h"
#include "sys/stream.h"

/* PROBE_PART: of the patience with a question, what is granted to an answer that needs no other server. */
enum { PATIENCE_MS = 20000, PROBE_PART = 4, EXIT_DEAF = 70, CLASS_IN = 1, RECORD_TEXT_MAX = 4096, RDATA_MAX = 4096 };

struct dns {
	struct ub_ctx *ub;
	struct loop *loop;
	struct stream *results;      /* the library's descriptor: only watched, never read here */
	struct arena *arena;         /* of the answer in hand */
	bool validates;
	struct list questions;
	int64_t patience_ms;
	struct timer probe_over;     /* set while the probe is under way */
	int probe;                   /* its number with the library, -1: there is none */
};

struct dns_question {
	struct link in_dns;
	struct dns *dns;
	dns_answered *answered;
	void *owner;
	enum dns_kind kind;
	char name[DNS_NAME_MAX + 2];
	int id;
	bool asked;                  /* the library knows it, as id */
	struct timer patience;
	struct later refused;        /* what could not be asked is answered in the next turn */
	struct dns_answer refusal;
};

static void question_free(struct dns_question *q)
{
	timer_clear(&q->patience);
	later_clear(&q->refused);
	link_remove(&q->in_dns);
	free(q);
}

static void question_answer(struct dns_question *q, const struct dns_answer *answer)
{
	dns_answered *answered = q->answered;
	void *owner = q->owner;
	struct dns_answer a = *answer;
	a.unvalidated = !q->dns->validates;
	question_free(q);
	answered(owner, &a);
}

/* ---- does the library still live? Its thread may have lost its descriptors, or a record in its pipes. ---- */

static void on_probe(void *owner, int error, struct ub_result *result)
{
	struct dns *dns = owner;
	(void)error; /* any answer is a sign of life */
	dns->probe = -1;
	timer_clear(&dns->probe_over);
	ub_resolve_free(result);
}

/* To delete it could wait for its thread for ever, so this process ends, and is started again with a new one. */
static void on_deaf(void *owner)
{
	(void)owner;
	log_event(LOG_TROUBLE, LOG_Z("text", "the DNS library has stopped answering: this process ends, and starts anew"));
	process_end(EXIT_DEAF);
}

/* It knows localhost by itself: an answer that no name server can delay. */
static void probe(struct dns *dns)
{
	if (dns->probe != -1)
		return;
	if (ub_resolve_async(dns->ub, "localhost.", dns_kind_number(DNS_A), CLASS_IN, dns, on_probe, &dns->probe) != 0 &&
	    dns->probe != -1) {
		ub_cancel(dns->ub, dns->probe);
		dns->probe = -1;
	}
	timer_set(&dns->probe_over, loop_now_ms(dns->loop) + dns->patience_ms / PROBE_PART);
}

/* ---- questions ---- */

static void on_refused(void *owner)
{
	struct dns_question *q = owner;
	struct dns_answer answer = q->refusal;
	if (answer.result == DNS_FAILED)
		probe(q->dns);
	question_answer(q, &answer);
}

static void refuse(struct dns_question *q, enum dns_result result, struct str text)
{
	q->refusal = (struct dns_answer){ .result = result, .text = text };
	later_set(q->dns->loop, &q->refused);
}

static void on_patience_over(void *owner)
{
	struct dns_question *q = owner;
	struct dns_answer answer = { .result = DNS_FAILED, .text = STR("no name server has answered in time") };
	if (q->asked)
		ub_cancel(q->dns->ub, q->id);
	probe(q->dns);
	question_answer(q, &answer);
}

/* The library says a canonical name even where there was no CNAME. */
static struct str canonical(const struct dns_question *q, const struct ub_result *result)
{
	struct str name = str_of(result->canonname), asked = str_of(q->name);
	if (str_eq_nocase(name, asked) || str_eq_nocase(name, str_sub(asked, 0, asked.n - 1)))
		return STR_NONE;
	return name;
}

static size_t rdata_list(const struct ub_result *result, struct str *list)
{
	size_t n = 0;
	while (result->havedata && n < RDATA_MAX && result->data[n] != NULL) {
		list[n] = (struct str){ result->data[n], (size_t)result->len[n] };
		n++;
	}
	return n;
}

/* RFC 1035 4.1.1: the bit TC, as the library passes it on. */
static bool was_cut(const struct ub_result *result)
{
	const unsigned char *packet = result->answer_packet;
	return packet != NULL && result->answer_len > 2 && (packet[2] & 2) != 0;
}

static void answer_from(struct dns_question *q, const struct ub_result *result)
{
	struct dns *dns = q->dns;
	struct str *list = must_alloc(sizeof *list * RDATA_MAX);
	struct dns_raw raw = {
		.rdata = list, .n = rdata_list(result, list), .canonical = canonical(q, result),
		.rcode = result->rcode, .nxdomain = result->nxdomain, .secure = result->secure,
		.bogus = result->bogus, .cut = was_cut(result), .ttl_s = result->ttl, .why = str_of(result->why_bogus),
	};
	struct dns_answer answer;
	arena_reset(dns->arena);
	dns_answer_decode(q->kind, &raw, dns->arena, &answer);
	free(list);
	question_answer(q, &answer);
}

/* Called from ub_process, in our own thread. */
static void on_result(void *owner, int error, struct ub_result *result)
{
	struct dns_question *q = owner;
	q->asked = false;
	if (error != 0) {
		struct dns_answer answer = { .result = DNS_FAILED, .text = str_of(ub_strerror(error)) };
		question_answer(q, &answer);
	} else {
		answer_from(q, result);
	}
	ub_resolve_free(result);
}

static void on_readable(void *owner, enum stream_event event)
{
	struct dns *dns = owner;
	if (event == STREAM_READABLE)
		(void)ub_process(dns->ub);
}

struct dns_question *dns_ask(struct dns *dns, enum dns_kind kind, struct str name,
                             dns_answered *answered, void *owner)
{
	struct dns_question *q = NEW(struct dns_question);
	*q = (struct dns_question){ .dns = dns, .answered = answered, .owner = owner, .kind = kind };
	list_add_last(&dns->questions, &q->in_dns);
	timer_init(&q->patience, dns->loop, on_patience_over, q);
	later_init(&q->refused, on_refused, q);

	struct buf text;
	buf_init(&text, sizeof q->name - 1);
	fault f = dns_question_put(&text, kind, name);
	if (f == OK)
		memcpy(q->name, buf_view(&text).p, buf_view(&text).n);
	buf_fini(&text);
	if (f != OK) {
		refuse(q, DNS_NXDOMAIN, STR("no such name can exist"));
		return q;
	}
	q->id = -1;
	int error = ub_resolve_async(dns->ub, q->name, dns_kind_number(kind), CLASS_IN, q, on_result, &q->id);
	if (error != 0) {
		/* The library may have failed after it had passed the question on: then an answer would still come. */
		if (q->id != -1)
			ub_cancel(dns->ub, q->id);
		refuse(q, DNS_FAILED, str_of(ub_strerror(error)));
		return q;
	}
	q->asked = true;
	timer_set(&q->patience, loop_now_ms(dns->loop) + dns->patience_ms);
	return q;
}

void dns_cancel(struct dns_question **question)
{
	struct dns_question *q = *question;
	*question = NULL;
	if (q == NULL)
		return;
	if (q->asked)
		ub_cancel(q->dns->ub, q->id);
	question_free(q);
}

static fault refused_by_library(struct why *why, int error, const char *what)
{
	return why_say(why, F_SYS, "the DNS library refused %s: %s", what, ub_strerror(error));
}

static fault server_add(struct dns *dns, struct str server, struct why *why)
{
	struct buf text;
	buf_init(&text, DNS_SERVER_TEXT_MAX);
	fault f = dns_server_put(&text, server);
	if (f == OK)
		f = buf_add_char(&text, '\0');
	int error = f == OK ? ub_ctx_set_fwd(dns->ub, buf_view(&text).p) : 0;
	buf_fini(&text);
	if (f != OK || error != 0)
		return why_say(why, F_SYNTAX, "\"%.*s\" is not the address of a name server: write 192.0.2.1, "
		               "192.0.2.1:53 or [2001:db8::1]:53", STR_ARG(server));
	/* Unasked, the library never asks itself. */
	if (dns_server_is_loopback(server)) {
		error = ub_ctx_set_option(dns->ub, "do-not-query-localhost:", "no");
		if (error != 0)
			return refused_by_library(why, error, "a server on loopback");
	}
	return OK;
}

/* As the C library does: without any nameserver line the one of this machine is asked. */
static fault servers_add(struct dns *dns, const struct dns_options *options, struct why *why)
{
	struct str rest = options->resolv_conf, server;
	for (size_t i = 0; i < options->n_servers && i < DNS_SERVERS_MAX; i++)
		TRY(server_add(dns, options->servers[i], why));
	if (options->n_servers > 0)
		return OK;
	size_t n = 0;
	while (n < DNS_SERVERS_MAX && dns_nameserver_take(&rest, &server)) {
		TRY(server_add(dns, server, why));
		n++;
	}
	return n > 0 ? OK : server_add(dns, STR("127.0.0.1"), why);
}

static fault anchors_add(struct dns *dns, struct str text, struct why *why)
{
	struct str rest = text, record;
	char z[RECORD_TEXT_MAX];
	size_t n = 0;
	for (; dns_anchor_take(&rest, &record); n++) {
		if (record.n >= sizeof z || str_has(record, '\0'))
			return why_say(why, F_SYNTAX, "the trust anchor has a line that is no DS or DNSKEY record");
		memcpy(z, record.p, record.n);
		z[record.n] = '\0';
		if (ub_ctx_add_ta(dns->ub, z) != 0)
			return why_say(why, F_SYNTAX, "the trust anchor \"%.60s\" is no DS or DNSKEY record", z);
	}
	if (n == 0 && text.n > 0)
		return why_say(why, F_SYNTAX, "the trust anchor file holds no DS or DNSKEY record");
	return OK;
}

/* unblock: private networks have reverse zones that the servers given may know. val-log-level: with less it does not say why an answer
 * is bogus; the log goes nowhere. */
static fault options_set(struct dns *dns, struct why *why)
{
	static const struct { const char *name, *value; } options[] = {
		{ "unblock-lan-zones:", "yes" }, { "insecure-lan-zones:", "yes" },
		{ "module-config:", "validator iterator" }, { "cache-max-ttl:", "86400" },
		{ "cache-max-negative-ttl:", "300" }, { "val-log-level:", "2" },
	};
	for (size_t i = 0; i < COUNT(options); i++) {
		int error = ub_ctx_set_option(dns->ub, options[i].name, options[i].value);
		if (error != 0)
			return refused_by_library(why, error, options[i].name);
	}
	(void)ub_ctx_debugout(dns->ub, NULL);
	int error = ub_ctx_async(dns->ub, 1);
	return error == 0 ? OK : refused_by_library(why, error, "to work in the background");
}

/* The library reads what it was given only when it is first used; a change of its zones is such a use.
 * test. is shut off there by default, with an apex of its own, but a network may well have one. */
static fault begin(struct dns *dns, struct why *why)
{
	int error = ub_ctx_zone_remove(dns->ub, "test.");
	if (error != 0)
		return why_say(why, F_SYNTAX, "the DNS library refused the servers or the trust anchor (%s): "
		               "an anchor is a DS or DNSKEY record, one a line", ub_strerror(error));
	dns->results = stream_new(dns->loop, ub_fd(dns->ub), on_readable, dns);
	return OK;
}

fault dns_new(struct loop *loop, const struct dns_options *options, struct dns **out, struct why *why)
{
	struct ub_ctx *ub = ub_ctx_create();
	if (ub == NULL)
		return why_say(why, F_SYS, "the DNS library could not be started");
	struct dns *dns = NEW(struct dns);
	*dns = (struct dns){ .ub = ub, .loop = loop, .arena = arena_new(DNS_ANSWER_ARENA),
	                     .patience_ms = options->patience_ms > 0 ? options->patience_ms : PATIENCE_MS,
	                     .validates = options->trust_anchor.n > 0 };
	list_init(&dns->questions);
	dns->probe = -1;
	timer_init(&dns->probe_over, loop, on_deaf, dns);
	fault f = options_set(dns, why);
	if (f == OK)
		f = servers_add(dns, options, why);
	if (f == OK)
		f = anchors_add(dns, options->trust_anchor, why);
	if (f == OK)
		f = begin(dns, why);
	if (f != OK) {
		dns_free(&dns);
		return f;
	}
	*out = dns;
	return OK;
}

void dns_free(struct dns **dns)
{
	struct dns *d = *dns;
	*dns = NULL;
	if (d == NULL)
		return;
	LIST_EACH(at, &d->questions) {
		struct dns_question *q = LIST_MEMBER(at, struct dns_question, in_dns);
		dns_cancel(&q);
	}
	timer_clear(&d->probe_over);
	if (d->results != NULL)
		(void)stream_detach(&d->results);
	ub_ctx_delete(d->ub);
	arena_free(&d->arena);
	free(d);
}
