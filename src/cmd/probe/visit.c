/* SPDX-License-Identifier: ISC */
/* cmd/probe/visit.c -- one connection: greeting, EHLO, STARTTLS, handshake, EHLO, QUIT. */
#include "cmd/probe/probe.h"

#include <string.h>

struct visiting {
	struct probe *probe;
	struct probe_visit *out;
	struct hop *hop;
	struct timer limit;
	bool implicit, connected, over;
};

static void finish(struct visiting *v, enum probe_end end, struct str words)
{
	if (v->over)
		return;
	v->over = true;
	v->out->end = end;
	v->out->words = arena_copy(v->probe->arena, str_sub(words, 0, 400));
	loop_stop(v->probe->loop);
}

/* ---- what is kept ---- */

static void keep_chain(struct visiting *v)
{
	struct probe_visit *out = v->out;
	struct arena *a = v->probe->arena;
	struct tls_certificate_facts c;
	for (out->n_chain = 0; out->n_chain < PROBE_CHAIN_MAX && hop_chain(v->hop, out->n_chain, &c); out->n_chain++)
		out->chain[out->n_chain] = (struct probe_certificate){
			.subject = arena_copy(a, c.subject), .issuer = arena_copy(a, c.issuer), .names = arena_copy(a, c.names),
			.key = arena_copy(a, c.key), .spki = arena_copy(a, c.spki),
			.not_before_s = c.not_before_s, .not_after_s = c.not_after_s,
		};
}

static void keep_tls(struct visiting *v)
{
	const struct tls *tls = hop_tls(v->hop);
	struct arena *a = v->probe->arena;
	struct tls_facts f;
	if (tls == NULL)
		return;
	tls_facts(tls, &f);
	v->out->version = arena_copy(a, f.version);
	v->out->group = arena_copy(a, f.group);
	v->out->cipher = arena_copy(a, f.cipher);
	v->out->by = arena_copy(a, f.by);
	v->out->problem = arena_copy(a, f.problem);
	v->out->verified = f.verified;
	v->out->failure = tls_state(tls) == TLS_OPEN ? f.unproven : tls_failure(tls);
	keep_chain(v);
}

/* ---- what happens ---- */

static void on_connected(void *owner)
{
	struct visiting *v = owner;
	v->connected = true;
}

static void on_tls_open(void *owner)
{
	keep_tls(owner);
}

static void ready(struct visiting *v)
{
	struct smtp_client *client = hop_client(v->hop);
	int64_t now_ms = loop_now_ms(v->probe->loop);
	v->out->greeted = v->out->welcomed = true;
	if (hop_tls(v->hop) != NULL)
		finish(v, PROBE_READY, STR_NONE);
	else if (!smtp_client_offers(client)->starttls)
		finish(v, PROBE_NO_STARTTLS, STR("the server does not offer STARTTLS"));
	else if (smtp_client_starttls(client, now_ms) != OK)
		finish(v, PROBE_REFUSED, STR("the server was not ready for STARTTLS"));
	if (v->over && smtp_client_quit(client, now_ms) == OK)
		hop_turn(v->hop);
}

static void on_event(void *owner, const struct smtp_client_event *e)
{
	struct visiting *v = owner;
	struct buf line;
	if (v->over)
		return;
	if (e->kind == SMTP_CLIENT_READY) {
		ready(v);
		return;
	}
	if (e->kind != SMTP_CLIENT_TLS_REFUSED && e->kind != SMTP_CLIENT_CLOSED)
		return;
	buf_init(&line, 20 << 10);
	fault f = reply_put_line(&line, &e->reply);
	v->out->greeted = v->out->greeted || e->reply.code > 0 || e->kind == SMTP_CLIENT_TLS_REFUSED;
	finish(v, hop_tls(v->hop) != NULL ? PROBE_TLS_FAILED : PROBE_REFUSED, f == OK ? buf_view(&line) : e->reply.text);
	buf_fini(&line);
}

static void on_body(void *owner)
{
	(void)owner; /* nothing is sent */
}

static void on_failed(void *owner, enum hop_failure what, const char *words)
{
	struct visiting *v = owner;
	if (what == HOP_TLS)
		keep_tls(v);
	if (what == HOP_TLS && !v->implicit)
		v->out->greeted = true;
	finish(v, what == HOP_CONNECT ? PROBE_UNREACHABLE : PROBE_TLS_FAILED, str_of(words));
}

static void on_limit(void *owner)
{
	struct visiting *v = owner;
	if (!v->connected)
		finish(v, PROBE_UNREACHABLE, STR("no answer in time"));
	else if (v->implicit)
		finish(v, PROBE_TLS_FAILED, STR("the handshake was not over in time"));
	else
		finish(v, PROBE_SILENT, STR("connected, and then nothing came in time"));
}

void probe_visit(struct probe *p, const struct endpoint *to, const struct tls_wish *wish, bool implicit, struct probe_visit *out)
{
	static const struct hop_handler handler = {
		.connected = on_connected, .tls_open = on_tls_open, .event = on_event, .body = on_body, .failed = on_failed,
	};
	struct visiting v = { .probe = p, .out = out, .implicit = implicit };
	struct hop_options o = {
		.fd = -1, .to = *to, .tls = p->tls, .tls_name = wish->name, .wish = wish, .implicit = implicit,
		.client = { .ehlo = STR("localhost") },
	};
	*out = (struct probe_visit){ .end = PROBE_UNREACHABLE };
	timer_init(&v.limit, p->loop, on_limit, &v);
	timer_set(&v.limit, loop_now_ms(p->loop) + p->patience_ms);
	v.hop = hop_new(p->loop, &o, &handler, &v);
	loop_run(p->loop);
	timer_clear(&v.limit);
	hop_free(&v.hop);
}
