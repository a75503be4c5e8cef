/* SPDX-License-Identifier: ISC */
/*
 * One job: its recipients at one destination, target after target, until each of them has an outcome.
 *
 * What a target says about one recipient is final for this attempt. What befalls the whole session or transaction before any
 * content has left sends the job to the next target (RFC 5321 5.1). Once content has left there is no other target: the
 * spool hands it out once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "role/courier/courier.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { JOB_ARENA_MAX = 16 << 20, WANT_BYTES = 128 << 10 };

/* ---- taking it ---- */

static enum route_kind known_kind(uint64_t kind)
{
	return kind <= ROUTE_REFUSED ? (enum route_kind)kind : ROUTE_REFUSED;
}

void job_take(struct courier *c, const struct worker_job *m)
{
	if (map_get_u64(c->jobs, m->job) != NULL || map_count(c->jobs) >= COURIER_JOBS_MAX)
		return; /* never said: the lease ends by itself */
	struct job *j = NEW(struct job);
	struct arena *a = arena_new(JOB_ARENA_MAX);
	j->courier = c;
	j->arena = a;
	j->number = m->job;
	j->purpose = m->purpose <= JOB_EXPLAIN ? (enum job_purpose)m->purpose : JOB_EXPLAIN;
	story_init(&j->story);
	j->kind = known_kind(m->route_kind);
	j->id = arena_copy(a, m->id);
	j->name = arena_copy(a, m->route_name);
	j->domain = arena_copy(a, m->domain);
	j->sender = arena_copy(a, m->sender);
	j->params = (struct mail_params){
		.size_bytes = m->size_bytes, .body = m->body == BODY_8BIT ? BODY_8BIT : BODY_7BIT,
		.smtputf8 = m->smtputf8 != 0, .ret = m->ret <= RET_FULL ? (enum dsn_ret)m->ret : RET_DEFAULT,
		.envid = arena_copy(a, m->envid),
		.tls_tag = m->tls_tag <= TLS_TAG_OPTIONAL ? (enum tls_tag)m->tls_tag : TLS_TAG_REQUIRED,
	};
	j->attempt = m->attempt;
	j->arrived_s = m->arrived_s;
	j->began_ms = loop_now_ms(c->loop);
	buf_init(&j->body, DELIVERY_CREDIT_BYTES);
	buf_init(&j->last_text, REPLY_TEXT_ROOM);
	link_init(&j->in_waiting);
	list_add_last(&c->in_hand, &j->in_courier);
	(void)map_set_u64(c->jobs, j->number, j);
}

void job_add_rcpt(struct courier *c, const struct worker_rcpt *m)
{
	struct job *j = map_get_u64(c->jobs, m->job);
	if (j == NULL || j->going || j->n_rcpts >= COURIER_RCPTS_MAX)
		return;
	size_t bytes = m->address.n + m->orcpt.n + 2;
	if (bytes > COURIER_RCPT_BYTES_MAX - j->rcpt_bytes)
		return;
	j->rcpt_bytes += bytes;
	struct str address = arena_copy(j->arena, m->address), orcpt = arena_copy(j->arena, m->orcpt);
	if (j->n_rcpts == j->rcpts_room) {
		j->rcpts_room = j->rcpts_room == 0 ? 4 : j->rcpts_room * 2;
		j->rcpts = must_resize(j->rcpts, j->rcpts_room * sizeof *j->rcpts);
	}
	j->rcpts[j->n_rcpts++] = (struct job_rcpt){
		.index = m->index, .address = address, .orcpt = orcpt, .notify = (unsigned)(m->notify & 15),
	};
}

/* What the configuration says about this way; a copy, because a reload may come. */
static bool read_configuration(struct job *j)
{
	struct courier *c = j->courier;
	const struct conf *conf = c->conf;
	struct str ehlo = conf->hostname, ca = STR_NONE;
	j->generation = c->generation;
	j->allow_loopback = conf->direct.allow_loopback;
	j->level = TLS_NONE;
	if (j->kind == ROUTE_TO_RELAY) {
		const struct conf_relay *relay = conf_relay_find(conf, j->name);
		if (relay == NULL)
			return false;
		j->level = relay->level;
		j->implicit = relay->implicit;
		j->login = relay->login_name.n > 0;
		ehlo = conf->direct.ehlo;
		ca = relay->ca;
	} else if (j->kind == ROUTE_TO_MX) {
		j->direct = true;
		j->level = conf->direct.level;
		j->port = conf->direct.port;
		j->family = conf->direct.family;
		const struct conf_exception *e = conf_exception_find(conf, j->domain, clock_wall_s());
		j->excepted = e != NULL;
		j->exception = e != NULL ? e->level : TLS_NONE;
		ehlo = conf->direct.ehlo;
		ca = conf->direct.ca;
		if (j->name.n == 0)
			j->name = j->domain;
	} else if (j->kind == ROUTE_TO_LMTP) {
		j->lmtp = true;
		j->level = str_starts(j->name, STR("unix:")) ? TLS_NONE : TLS_OPPORTUNISTIC;
	} else {
		return false;
	}
	j->ehlo = arena_copy(j->arena, ehlo.n > 0 ? ehlo : conf->hostname);
	bool to_prove = j->kind == ROUTE_TO_RELAY && job_wish(j) == PROTECTION_REQUIRED;
	if (j->level == TLS_NONE && !j->direct && !to_prove)
		return true;
	j->trust = trust_hold(courier_trust(c, ca));
	return j->trust != NULL;
}

void job_go(struct job *j)
{
	if (j->going)
		return;
	j->going = true;
	if (j->n_rcpts == 0) {
		courier_job_over(j);
	} else if (j->courier->conf == NULL || !read_configuration(j)) {
		job_fail_all(j, OUTCOME_LATER,
		             &REPLY(0, 4, 3, 5, STR("The configuration does not name the way that this message was to take")));
	} else if (knock_may_look_up(j)) {
		targets_find(j);
	}
}

void job_free(struct job *j)
{
	struct courier *c = j->courier;
	targets_forget(j);
	if (j->visit != NULL)
		visit_free(j->visit);
	link_remove(&j->in_waiting);
	link_remove(&j->in_courier);
	(void)map_remove_u64(c->jobs, j->number);
	trust_drop(j->trust);
	story_fini(&j->story);
	buf_fini(&j->body);
	buf_fini(&j->last_text);
	free(j->rcpts);
	free(j->txn_rcpts);
	free(j->txn_index);
	arena_free(&j->arena);
	free(j);
}

void job_fail_all(struct job *j, enum outcome_class outcome, const struct smtp_reply *why)
{
	for (size_t i = 0; i < j->n_rcpts; i++)
		tell_outcome(j, i, outcome, why);
	courier_job_over(j);
}

/* ---- target after target ---- */

/* RFC 8689 4.2.1: a bounce is never lost for it. */
enum protection_wish job_wish(const struct job *j)
{
	if (j->params.tls_tag == TLS_TAG_OPTIONAL)
		return PROTECTION_OPTIONAL;
	return j->params.tls_tag == TLS_TAG_REQUIRED && j->sender.n > 0 ? PROTECTION_REQUIRED : PROTECTION_AS_PUBLISHED;
}

bool job_is_hopeless(const struct job *j)
{
	return job_wish(j) == PROTECTION_REQUIRED && !j->lmtp && !j->may_mend && !j->dns_trouble;
}

static void keep_reason_of(struct job *j, struct str host, struct str ip, const struct smtp_reply *why)
{
	buf_clear(&j->last_text);
	fault f = buf_add(&j->last_text, str_sub(why->text, 0, REPLY_TEXT_ROOM));
	check(f == OK);
	j->last = *why;
	j->last.text = buf_view(&j->last_text);
	j->last_host = arena_try_copy(j->arena, host);
	j->last_ip = arena_try_copy(j->arena, ip);
}

static void keep_reason(struct job *j, const struct visit *v, const struct smtp_reply *why)
{
	keep_reason_of(j, v->host, str_of(v->ip), why);
}

/* It did not answer somebody else a moment ago, or is slow to: this one does not wait for it, too. */
static void pass_by(struct job *j, const struct target *t, const struct passing *passing)
{
	char ip[64] = "";
	struct smtp_reply why = { .status = passing->status, .text = str_of(passing->words) };
	visit_put_ip(t, ip);
	evidence_passed_by(j, t, str_of(ip), &why);
	keep_reason_of(j, t->host, str_of(ip), &why);
	j->may_mend = true;
	j->in_clear = j->waits = false;
	j->shape = 0;
	j->at++;
}

void job_next(struct job *j)
{
	struct courier *c = j->courier;
	bool late = loop_now_ms(c->loop) - j->began_ms > COURIER_TARGETS_MS || j->gave_way > 1;
	struct passing why;
	j->held = j->in_txn = false;
	if (j->purpose == JOB_EXPLAIN)
		evidence_send(j); /* whoever asks may not have the time to hear of the last one */
	for (; j->at < j->n_targets && !late; pass_by(j, &j->targets[j->at], &why))
		if (visit_start(j, &j->targets[j->at], &why))
			return;
	if (j->at >= j->n_targets && job_is_hopeless(j)) {
		bool unable = j->last.status.subject == 7 && j->last.status.detail == 30;
		j->last.status = (struct status){ 5, 7, unable ? 30 : 10 };
		job_fail_all(j, OUTCOME_NEVER, &j->last);
		return;
	}
	if (j->last.status.class == 0)
		j->last = REPLY(0, 4, 4, 5, STR("Nothing was tried: too many others were before this message"));
	job_fail_all(j, OUTCOME_LATER, &j->last);
}

/* TLS is not to be had there, or not what REQUIRETLS asks for beside it. */
static bool is_for_want_of_tls(const struct smtp_reply *why, bool tls)
{
	return tls || (why->code == 0 && why->status.subject == 7 && (why->status.detail == 10 || why->status.detail == 30));
}

void job_visit_failed(struct job *j, const struct smtp_reply *why, bool tls)
{
	struct visit *v = j->visit;
	struct courier *c = j->courier;
	tell_host_failed(j, v, why);
	evidence_failed(j, v, why);
	keep_reason(j, v, why);
	bool stale = v->reused && !tls;
	bool careless = job_wish(j) == PROTECTION_OPTIONAL;
	/* A handshake that fails again in a later attempt: in clear, if nothing binds us and the domain never did better; at
	 * once, if the sender does not mind (RFC 8689 4.2.2). */
	bool in_clear = tls && v->demand.may_go_clear && v->demand.level == TLS_OPPORTUNISTIC && !j->implicit && !v->in_clear &&
	                (careless || ((j->attempt > 1 || j->lmtp) && !memory_seen_lately(c, j->domain)));
	/* First with less in the hello: what the server stumbles over may be its size, or something new in it. */
	unsigned shape = tls && !v->in_clear ? visit_next_shape(v) : TLS_SHAPES;
	j->may_mend |= !stale && shape == TLS_SHAPES && (v->may_mend || !is_for_want_of_tls(why, tls));
	j->visit = NULL;
	visit_free(v);
	j->in_clear = in_clear && shape == TLS_SHAPES;
	j->shape = shape < TLS_SHAPES ? shape : 0;
	if (!stale && !j->in_clear && shape == TLS_SHAPES)
		j->at++;
	job_next(j);
}

/* ---- one transaction ---- */

static size_t collect_rcpts(struct job *j, uint64_t most)
{
	size_t n = 0;
	if (j->txn_rcpts == NULL) {
		j->txn_rcpts = must_alloc(j->n_rcpts * sizeof *j->txn_rcpts);
		j->txn_index = must_alloc(j->n_rcpts * sizeof *j->txn_index);
	}
	for (size_t i = 0; i < j->n_rcpts && (most == 0 || n < most); i++) {
		const struct job_rcpt *r = &j->rcpts[i];
		if (r->told)
			continue;
		j->txn_rcpts[n] = (struct smtp_client_rcpt){ r->address, { r->notify, r->orcpt } };
		j->txn_index[n++] = i;
	}
	return n;
}

void job_explained(struct job *j)
{
	struct visit *v = j->visit;
	evidence_visit(j, v);
	for (size_t i = 0; i < j->n_rcpts; i++)
		tell_outcome(j, i, OUTCOME_DONE, &REPLY(0, 2, 0, 0, STR("The next server is ready for a message")));
	v->job = NULL;
	j->visit = NULL;
	courier_job_over(j);
}

void job_begin_letter(struct job *j)
{
	struct courier *c = j->courier;
	evidence_visit(j, j->visit);
	struct smtp_client *client = hop_client(j->visit->hop);
	/* Who is over the server's limit gets no outcome and so comes again in a moment (RFC 9422 4). */
	size_t n = collect_rcpts(j, smtp_client_offers(client)->rcpt_max);
	j->txn = (struct smtp_transaction){
		.sender = j->sender, .params = j->params, .rcpts = j->txn_rcpts, .n_rcpts = n,
		.probe = j->purpose == JOB_VERIFY,
	};
	j->in_txn = true;
	c->n_attempts++;
	fault f = smtp_client_mail(client, &j->txn, loop_now_ms(c->loop));
	if (f == OK)
		return;
	struct visit *v = j->visit;
	j->in_txn = false;
	j->visit = NULL;
	visit_free(v);
	if (f == F_SYNTAX)
		job_fail_all(j, OUTCOME_NEVER, &REPLY(0, 5, 1, 3, STR("An address of this message has bytes that must not be sent "
		                                                      "to a mail server")));
	else
		job_fail_all(j, OUTCOME_LATER, &REPLY(0, 4, 4, 2, STR("The connection was not ready for another message")));
}

void job_rcpt_event(struct job *j, const struct smtp_client_event *e)
{
	bool others_may = e->whole && e->outcome == OUTCOME_LATER && !j->body_begun;
	if (others_may) {
		j->held = true;
		keep_reason(j, j->visit, &e->reply);
		return;
	}
	tell_outcome(j, j->txn_index[e->index], e->outcome, &e->reply);
}

void job_letter_done(struct job *j)
{
	j->in_txn = false;
	if (j->held)
		return; /* the visit says next whether it lives */
	j->visit->job = NULL;
	j->visit = NULL;
	courier_job_over(j);
}

void job_visit_ready_again(struct job *j)
{
	struct visit *v = j->visit;
	j->may_mend |= !is_for_want_of_tls(&j->last, false);
	tell_host_failed(j, v, &j->last);
	evidence_failed(j, v, &j->last);
	j->visit = NULL;
	v->job = NULL;
	j->shape = 0;
	j->in_clear = false; /* that was about this target's handshake alone */
	j->at++;
	job_next(j);
}

void job_visit_unfit(struct job *j, const struct smtp_reply *why)
{
	keep_reason(j, j->visit, why);
	job_visit_ready_again(j);
}

/* ---- content ---- */

static void want_body(struct job *j)
{
	size_t waiting = buf_view(&j->body).n + j->body_wanted;
	if (j->body_came || waiting > WANT_BYTES / 2 || j->courier->spool == NULL)
		return;
	size_t n = WANT_BYTES - waiting;
	j->body_wanted += n;
	channel_send(j->courier->spool, FROM_WORKER_WANT, &(struct from_worker_want){ .job = j->number, .bytes = n });
}

void job_give_body(struct job *j)
{
	struct smtp_client *client = hop_client(j->visit->hop);
	int64_t now_ms = loop_now_ms(j->courier->loop);
	size_t room;
	if (client == NULL || !j->in_txn || j->body_said)
		return;
	j->body_begun = true;
	while ((room = smtp_client_body_room(client)) > 0 && buf_view(&j->body).n > 0) {
		struct str piece = str_sub(buf_view(&j->body), 0, room);
		fault f = smtp_client_body(client, piece, now_ms);
		buf_drop(&j->body, piece.n);
		if (f != OK)
			return; /* refused for good; the events say so */
	}
	if (smtp_client_body_room(client) == 0 && !(j->body_came && buf_view(&j->body).n == 0))
		return;
	if (!j->body_came) {
		want_body(j);
		return;
	}
	if (buf_view(&j->body).n > 0)
		return;
	j->body_said = true;
	if (!j->body_whole)
		smtp_client_body_fail(client, STR("The queue could not read the message to its end"));
	else if (smtp_client_body_end(client, now_ms) != OK)
		log_event(LOG_TROUBLE, LOG_S("id", j->id), LOG_Z("text", "the end of the message was refused"));
}

static void body_moved(struct job *j)
{
	if (j->visit != NULL && j->in_txn)
		hop_turn(j->visit->hop);
}

void job_take_body(struct job *j, struct str bytes)
{
	j->body_wanted -= bytes.n < j->body_wanted ? bytes.n : j->body_wanted;
	if (j->body_came)
		return;
	if (buf_add(&j->body, bytes) != OK) { /* more than was asked for: not to be trusted any more */
		j->body_came = true;
		j->body_whole = false;
	}
	body_moved(j);
}

void job_body_ends(struct job *j, bool whole)
{
	if (j->body_came)
		return;
	j->body_came = true;
	j->body_whole = whole;
	body_moved(j);
}

/* What has been handed over stays so: after the end of the content only the reply is waited for. */
void job_release(struct job *j)
{
	if (j->body_said)
		return;
	courier_job_over(j);
}

/* Who waits for his turn here waits for nobody outside: door.h and knock.h see to that. One more host is tried. */
void job_give_way(struct job *j)
{
	int64_t after_ms = loop_now_ms(j->courier->loop) - j->began_ms;
	char text[160];
	if (j->visit == NULL && j->open_asks == 0)
		return;
	j->gave_way++;
	if (j->visit != NULL && !j->body_begun) {
		visit_give_way(j->visit, after_ms);
		return;
	}
	(void)snprintf(text, sizeof text, "%s: after %lld seconds this message makes room for others",
	               j->visit != NULL ? "The server has not taken it yet" : "What the DNS says of its domain has not come yet",
	               (long long)after_ms / 1000);
	struct smtp_reply why = REPLY(0, 4, 4, j->visit != NULL ? 2 : 3, str_of(text));
	if (j->visit != NULL) {
		tell_host_failed(j, j->visit, &why);
		evidence_failed(j, j->visit, &why);
	}
	job_fail_all(j, OUTCOME_LATER, &why);
}
