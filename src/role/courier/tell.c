/* SPDX-License-Identifier: ISC */
/* Outcomes for the spool, lines for the log. */
#include <stdio.h>

#include "role/courier/courier.h"
#include "sys/log.h"

/* What a target gave in protection, in words and as a level. */
struct shown { enum tls_level level; char words[240]; };

static void protection_of(const struct visit *v, struct shown *p)
{
	*p = (struct shown){ .level = TLS_NONE };
	const struct tls *tls = v != NULL ? hop_tls(v->hop) : NULL;
	if (tls == NULL || tls_state(tls) == TLS_BROKEN)
		return;
	struct tls_facts f;
	tls_facts(tls, &f);
	p->level = visit_level(v);
	(void)snprintf(p->words, sizeof p->words, "%.*s %.*s %.*s%s", STR_ARG(f.version), STR_ARG(f.cipher), STR_ARG(f.group),
	               f.verified ? " verified" : "");
}

static void put_dialogue(const struct visit *v, struct buf *out)
{
	struct smtp_client *client = v != NULL ? hop_client(v->hop) : NULL;
	fault f = client != NULL ? smtp_client_put_dialogue(client, out) : OK;
	(void)f; /* without room it is left out */
}

void tell_outcome(struct job *j, size_t rcpt, enum outcome_class outcome, const struct smtp_reply *reply)
{
	struct courier *c = j->courier;
	struct job_rcpt *r = &j->rcpts[rcpt];
	struct visit *v = j->visit;
	struct shown p;
	char status[24] = "";
	struct buf dialogue;
	if (r->told)
		return;
	r->told = true;
	protection_of(v, &p);
	if (reply->status.class != 0)
		(void)snprintf(status, sizeof status, "%u.%u.%u", reply->status.class, reply->status.subject,
		               reply->status.detail);
	buf_init(&dialogue, SMTP_CLIENT_DIALOGUE_MAX);
	if (outcome != OUTCOME_DONE)
		put_dialogue(v, &dialogue);
	struct smtp_client *client = v != NULL ? hop_client(v->hop) : NULL;
	struct str host = v != NULL ? v->host : j->last_host, ip = v != NULL ? str_of(v->ip) : j->last_ip;
	struct from_worker_outcome m = {
		.job = j->number, .index = r->index, .class = outcome, .code = (uint64_t)reply->code,
		.status = str_of(status), .text = reply->text, .host = host, .ip = ip, .level = p.level,
		.tls = str_of(p.words), .dialogue = buf_view(&dialogue), .detail = STR_NONE,
		.dsn = outcome == OUTCOME_DONE && client != NULL && smtp_client_offers(client)->dsn,
	};
	evidence_send(j);
	if (c->spool != NULL)
		channel_send(c->spool, FROM_WORKER_OUTCOME, &m);
	buf_fini(&dialogue);
}

static const char *doing(const struct job *j)
{
	const struct visit *v = j->visit;
	if (v == NULL)
		return j->open_asks > 0 ? "asks the DNS, and for policies" : "waits for its turn";
	if (j->body_said)
		return "all of the letter has gone out, the answer is awaited";
	if (j->body_begun)
		return "the letter is going out";
	if (j->in_txn)
		return "sender and recipients are being told";
	return v->connected ? "connected; greeting, hello and TLS come first" : "is being connected to";
}

void job_tell_where(const struct job *j)
{
	const struct visit *v = j->visit;
	struct from_worker_where m = {
		.job = j->number, .host = v != NULL ? v->host : STR_NONE, .ip = v != NULL ? str_of(v->ip) : STR_NONE, .doing = str_of(doing(j)),
	};
	channel_send(j->courier->spool, FROM_WORKER_WHERE, &m);
}

/* The spool logs what becomes of each recipient; that a host failed before, only we know. */
void tell_host_failed(struct job *j, const struct visit *v, const struct smtp_reply *why)
{
	struct shown p;
	struct buf line;
	protection_of(v, &p);
	buf_init(&line, 4096);
	fault f = reply_put_line(&line, why);
	log_event(LOG_ATTEMPT, LOG_S("id", j->id), LOG_S("domain", j->domain), LOG_Z("outcome", "host-failed"),
	          LOG_S("host", v->host), LOG_Z("ip", v->ip), LOG_Z("level", tls_level_name(p.level)),
	          LOG_Z("tls", p.words), LOG_S("reply", f == OK ? buf_view(&line) : str_sub(why->text, 0, 400)),
	          LOG_U("attempt", j->attempt));
	buf_fini(&line);
}

void tell_downgrade(const struct job *j, const struct visit *v)
{
	log_event(LOG_DOWNGRADE, LOG_S("id", j->id), LOG_S("domain", j->domain), LOG_S("host", v->host), LOG_Z("ip", v->ip),
	          LOG_Z("reason", v->in_clear ? "the TLS handshake failed in an earlier try" : "STARTTLS is not offered"));
}

void tell_below(const struct job *j, const struct visit *v, enum tls_level best)
{
	char words[120];
	(void)snprintf(words, sizeof words, "the domain has shown %s before, and shows %s now", tls_level_name(best),
	               tls_level_name(visit_level(v)));
	log_event(LOG_DOWNGRADE, LOG_S("id", j->id), LOG_S("domain", j->domain), LOG_S("host", v->host), LOG_Z("ip", v->ip),
	          LOG_Z("reason", words));
}
