/* SPDX-License-Identifier: ISC */
#include "cmd/probe/probe.h"

/* ---- the DNS ---- */

struct asking { struct probe *probe; struct dns_answer answer; };

static void keep_answer(void *owner, const struct dns_answer *a)
{
	struct asking *q = owner;
	struct arena *arena = q->probe->arena;
	struct dns_record *records = ARENA_ARRAY(arena, struct dns_record, a->n_records + 1);
	q->answer = *a;
	q->answer.canonical = arena_copy(arena, a->canonical);
	q->answer.text = arena_copy(arena, a->text);
	for (size_t i = 0; i < a->n_records; i++)
		records[i] = (struct dns_record){ a->records[i].number, arena_copy(arena, a->records[i].text) };
	q->answer.records = records;
	loop_stop(q->probe->loop);
}

struct dns_answer probe_ask(struct probe *p, enum dns_kind kind, struct str name)
{
	struct asking q = { .probe = p };
	(void)dns_ask(p->dns, kind, name, keep_answer, &q);
	loop_run(p->loop);
	return q.answer;
}

const char *probe_dns_word(const struct dns_answer *a)
{
	static const char *const words[] = {
		[DNS_FOUND] = "found", [DNS_NODATA] = "none", [DNS_NXDOMAIN] = "the name does not exist",
		[DNS_BOGUS] = "DNSSEC validation failed", [DNS_FAILED] = "the lookup failed",
	};
	return words[a->result];
}

void probe_find_addresses(struct probe *p, struct str host, struct probe_addresses *out)
{
	*out = (struct probe_addresses){ .a = probe_ask(p, DNS_A, host), .aaaa = probe_ask(p, DNS_AAAA, host) };
	/* Of both families, in turn. */
	for (size_t i = 0; out->n < PROBE_ADDRESSES_MAX && (i < out->a.n_records || i < out->aaaa.n_records); i++) {
		if (i < out->aaaa.n_records)
			out->text[out->n++] = out->aaaa.records[i].text;
		if (i < out->a.n_records && out->n < PROBE_ADDRESSES_MAX)
			out->text[out->n++] = out->a.records[i].text;
	}
}

/* ---- a web server ---- */

struct getting { struct probe *probe; struct https_answer answer; };

static void keep_page(void *owner, const struct https_answer *a)
{
	struct getting *g = owner;
	struct arena *arena = g->probe->arena;
	g->answer = *a;
	g->answer.content_type = arena_copy(arena, a->content_type);
	g->answer.body = arena_copy(arena, a->body);
	g->answer.text = arena_copy(arena, a->text);
	loop_stop(g->probe->loop);
}

struct https_answer probe_get(struct probe *p, struct str host, struct str path, const struct str *addresses, size_t n, size_t body_max)
{
	struct getting g = { .probe = p };
	struct https_request r = {
		.host = host, .port = 443, .path = path, .addresses = addresses, .n_addresses = n, .body_max = body_max,
		.patience_ms = p->patience_ms,
	};
	(void)https_ask(p->https, &r, keep_page, &g);
	loop_run(p->loop);
	return g.answer;
}
