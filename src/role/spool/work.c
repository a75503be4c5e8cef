/* SPDX-License-Identifier: ISC */
/* role/spool/work.c -- the workers: content goes out by credit, outcomes come back. */
#include "role/spool/tls_reports.h"

#include <stdio.h>

#include "base/check.h"
#include "mail/story.h"

static const char *const worker_names[] = { "courier", "porter" };

/* ---- what waits to be read ---- */

/* Credit is counted for each job; two thousand of them must not fill the channel together when their worker stands still. */
bool spool_worker_takes_more(struct worker *w)
{
	if (channel_backlog(w->channel) < SPOOL_UNSENT_MAX)
		return true;
	if (!w->stalled)
		timer_set(&w->stall, loop_now_ms(w->spool->loop) + SPOOL_UNSENT_LOOK_MS);
	w->stalled = true;
	return false;
}

/* ---- content ---- */

static void end_content(struct job *j, bool whole)
{
	j->content_over = true;
	j->since_ms = loop_now_ms(j->spool->loop);
	channel_send(j->worker->channel, WORKER_BODY_END, &(struct worker_body_end){ .job = j->number, .whole = whole });
}

static void pump(struct job *j)
{
	static const size_t chunk_bytes = DELIVERY_CHUNK_BYTES;
	struct spool *s = j->spool;
	char chunk[DELIVERY_CHUNK_BYTES];
	while (j->credit > 0 && !j->content_over && spool_worker_takes_more(j->worker)) {
		size_t room = j->credit < chunk_bytes ? (size_t)j->credit : chunk_bytes, n = 0;
		if (j->offset == j->message.size_bytes) {
			end_content(j, true);
			return;
		}
		fault f = s->ops->content(s->store, j->message.id, j->offset, chunk, room, &n);
		if (f != OK || n == 0) {
			j->damaged = f == F_STORE || f == OK;
			if (j->damaged)
				log_event(LOG_QUEUE_DAMAGED, LOG_S("id", j->message.id), LOG_U("offset", j->offset));
			end_content(j, false);
			return;
		}
		channel_send(j->worker->channel, WORKER_BODY,
		             &(struct worker_body){ .job = j->number, .bytes = { chunk, n } });
		j->offset += n;
		j->credit -= n;
	}
}

static void want(struct job *j, uint64_t bytes)
{
	static const uint64_t most = DELIVERY_CREDIT_BYTES;
	if (j->purpose != JOB_DELIVER || j->spool->store == NULL)
		return;
	j->credit = bytes > most || j->credit + bytes > most ? most : j->credit + bytes;
	pump(j);
}

/* ---- outcomes ---- */

static void log_attempt(struct job *j, const struct store_rcpt *r, const struct from_worker_outcome *m)
{
	static const char *const classes[] = { "done", "later", "never" };
	log_event(LOG_ATTEMPT, LOG_S("id", j->message.id), LOG_S("to", r->address), LOG_Z("outcome", classes[m->class]),
	          LOG_S("host", m->host), LOG_S("ip", m->ip),
	          LOG_Z("level", m->level <= TLS_DANE ? tls_level_name((enum tls_level)m->level) : "?"),
	          LOG_S("tls", m->tls), LOG_U("code", m->code), LOG_S("status", m->status), LOG_S("text", m->text),
	          LOG_S("detail", m->detail), LOG_U("delay_s", spool_now_s(j->spool) - j->message.arrived_s));
}

static void outcome(struct job *j, const struct from_worker_outcome *m)
{
	if (m->index >= j->n_rcpts || j->rcpts[m->index].reported || m->class > OUTCOME_NEVER || m->code > 599)
		return;
	struct smtp_reply reply = { .code = (int)m->code, .text = m->text };
	struct str status = m->status;
	if (!status_take(&status, &reply.status))
		reply.status = (struct status){ 0 };
	if (j->purpose == JOB_VERIFY) {
		j->rcpts[m->index].reported = true;
		verify_outcome(j, (enum outcome_class)m->class, &reply);
		return;
	}
	if (j->purpose == JOB_EXPLAIN) {
		explain_outcome(j, m);
		return;
	}
	shape_note(j, (enum outcome_class)m->class, &reply);
	log_attempt(j, &j->rcpts[m->index].facts, m);
	if (j->rcpts[m->index].gone && m->class != OUTCOME_DONE)
		return; /* nobody waits for it any more */
	struct outcome_facts facts = {
		.class = (enum outcome_class)m->class,
		.reply = reply,
		.host = m->host,
		.ip = m->ip,
		.detail = m->detail,
		.level = m->level <= TLS_DANE ? (enum tls_level)m->level : TLS_NONE,
		.dialogue = m->dialogue,
		.protection = m->tls,
		.next_hop_notifies = m->dsn == 1,
	};
	verdict_on_outcome(j, (size_t)m->index, &facts);
}

/* Who tells it may be hostile: what is no story is not kept. */
static void take_story(struct job *j, struct str text)
{
	if (!story_is_sound(text))
		return;
	if (j->purpose == JOB_EXPLAIN) {
		explain_story(j, text);
		return;
	}
	str_release(&j->story);
	j->story = str_keep(text);
	j->story_kept = STR_NONE;
}

static void take_where(struct job *j, const struct from_worker_where *m)
{
	if (j->where == NULL)
		j->where = NEW(struct whereabouts);
	j->where_asked = false;
	snprintf(j->where->host, sizeof j->where->host, "%.*s", STR_ARG(m->host));
	snprintf(j->where->ip, sizeof j->where->ip, "%.*s", STR_ARG(m->ip));
	snprintf(j->where->doing, sizeof j->where->doing, "%.*s", STR_ARG(m->doing));
}

static void renew(struct job *j)
{
	struct spool *s = j->spool;
	if (s->store == NULL || j->purpose != JOB_DELIVER)
		return;
	int64_t until_s = spool_now_s(s) + SPOOL_LEASE_S;
	if (spool_job_still_holds(j, until_s))
		j->lease_until_s = until_s; /* a job that holds nothing any more ends with its last lease at the latest */
}

static void done(struct job *j)
{
	if (j->purpose == JOB_VERIFY) {
		struct smtp_reply none = REPLY(0, 4, 4, 2, STR("the delivery was interrupted"));
		if (!j->rcpts[0].reported)
			verify_outcome(j, OUTCOME_LATER, &none);
		j->rcpts[0].reported = true;
	} else if (j->purpose == JOB_EXPLAIN) {
		explain_interrupted(j);
	}
	spool_job_end(j);
}

/* ---- a worker makes room for its successor ---- */

static void given_back(struct job *j)
{
	if (j->purpose != JOB_DELIVER)
		done(j);
	else
		spool_job_put_back(j, "the delivering process makes room for a new one: this one follows");
}

/* Once nothing is in its hands any more. */
static void let_rest(struct worker *w)
{
	if (!w->resting || w->channel == NULL)
		return;
	LIST_EACH(l, &w->spool->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (j->worker == w && j->sent && !j->over)
			return;
	}
	channel_send(w->channel, WORKER_RESTED, &(struct worker_rested){ 0 });
}

static void on_worker(void *owner, unsigned kind, const void *msg, int fd)
{
	struct worker *w = owner;
	w->spool->stirs++;
	fd_close(&fd);
	if (kind == FROM_WORKER_RESTING) {
		w->resting = true;
		let_rest(w);
		return;
	}
	if (kind == FROM_WORKER_REMEMBER) {
		const struct from_worker_remember *m = msg;
		if (w->kind == WORKER_COURIER)
			observe_keep(w->spool, OBSERVER_COURIER, m->key, m->value, m->for_s);
		return;
	}
	/* Every other message begins with its job; one that is over, or another worker's, is passed over. */
	struct job *j = map_get_u64(w->spool->jobs_by_number, *(const uint64_t *)msg);
	if (j == NULL || j->worker != w || !j->sent) {
		let_rest(w);
		return;
	}
	switch (kind) {
	case FROM_WORKER_WANT:
		want(j, ((const struct from_worker_want *)msg)->bytes);
		break;
	case FROM_WORKER_OUTCOME:
		outcome(j, msg);
		break;
	case FROM_WORKER_STORY:
		take_story(j, ((const struct from_worker_story *)msg)->text);
		break;
	case FROM_WORKER_WHERE:
		take_where(j, msg);
		break;
	case FROM_WORKER_RENEW:
		renew(j);
		break;
	case FROM_WORKER_DONE:
		done(j);
		break;
	case FROM_WORKER_TLS:
		if (w->kind == WORKER_COURIER)
			tls_reports_count(w->spool->tls_reports, j, msg);
		break;
	case FROM_WORKER_GIVEN_BACK:
		given_back(j);
		break;
	default:
		break;
	}
	let_rest(w);
}

/* Its leases go back at once. A first time they are tried again at once, too; then as after any failure, because
 * it may be one of them that brings the worker down. */
static void drop(struct worker *w)
{
	struct spool *s = w->spool;
	if (w->channel == NULL)
		return;
	channel_close(&w->channel);
	w->resting = false;
	LIST_EACH(l, &s->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (j->worker != w || !j->sent || j->over)
			continue;
		for (size_t i = 0; i < j->n_rcpts && j->purpose == JOB_DELIVER; i++)
			if (!j->rcpts[i].reported && !j->rcpts[i].gone)
				verdict_later(j, i, "the delivering process ended",
				              j->rcpts[i].facts.attempts == 0 ? spool_now_s(s) : 0);
		done(j);
	}
}

static void on_worker_closed(void *owner, const char *reason)
{
	struct worker *w = owner;
	if (!w->spool->draining)
		role_link_broke(w->spool->base, w->kind == WORKER_COURIER ? ARROW_SPOOL_COURIER : ARROW_SPOOL_PORTER, 0,
		                worker_names[w->kind], reason);
	drop(w);
}

static void go_on(void *owner)
{
	struct worker *w = owner;
	w->stalled = false;
	if (w->channel == NULL || !spool_worker_takes_more(w))
		return;
	LIST_EACH(l, &w->spool->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (j->worker == w && j->sent && !j->over && j->credit > 0)
			pump(j);
	}
	spool_worker_send_jobs(w);
}

void spool_worker_init(struct worker *w, struct spool *s, enum worker_kind kind)
{
	*w = (struct worker){ .spool = s, .kind = kind };
	timer_init(&w->stall, s->loop, go_on, w);
}

void spool_worker_fini(struct worker *w)
{
	timer_clear(&w->stall);
	channel_close(&w->channel);
}

void spool_worker_send_jobs(struct worker *w)
{
	LIST_EACH(l, &w->spool->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (j->worker == w && !j->over)
			spool_job_send(j);
	}
}

void spool_worker_link(struct spool *s, enum worker_kind kind, int fd)
{
	static const struct channel_handler handler = { on_worker, on_worker_closed };
	struct worker *w = &s->workers[kind];
	drop(w);
	w->channel = channel_new(s->loop, fd, &worker_to_spool, &spool_to_worker, &handler, w);
	if (kind == WORKER_COURIER)
		observe_linked(s, OBSERVER_COURIER); /* the jobs follow */
	else
		spool_worker_send_jobs(w);
}
