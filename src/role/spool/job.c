/* SPDX-License-Identifier: ISC */
/* role/spool/job.c -- a job from its beginning to its end: handed to a worker, renewed, stopped, asked about, put back. */
#include "role/spool/spool.h"

#include <stdlib.h>

#include "base/check.h"

enum { LEASE_LEFT_S = 30 };              /* of a lease, when its worker is given up: a little before the store would do it */

struct job *spool_job_new(struct spool *s, enum job_purpose purpose, struct arena *arena)
{
	struct job *j = NEW(struct job);
	*j = (struct job){ .spool = s, .purpose = purpose, .arena = arena, .number = ++s->next_job, .remote = purpose != JOB_DELIVER };
	list_add_last(&s->jobs, &j->in_spool);
	map_set_u64(s->jobs_by_number, j->number, j);
	s->n_jobs++;
	s->n_remote += j->remote;
	return j;
}

/* Its number is free, its slot too; the object stays while verdicts need what is in its arena. */
static void job_leave(struct job *j)
{
	struct spool *s = j->spool;
	if (j->over)
		return;
	j->over = true;
	map_remove_u64(s->jobs_by_number, j->number);
	shape_leave(j);
	s->n_jobs--;
}

void spool_job_free_if_done(struct job *j)
{
	if (!j->over || j->verdicts > 0)
		return;
	link_remove(&j->in_spool);
	free(j->rcpts);
	str_release(&j->story);
	free(j->where);
	arena_free(&j->arena);
	free(j);
}

void spool_job_end(struct job *j)
{
	struct spool *s = j->spool;
	bool some = false;
	for (size_t i = 0; i < j->n_rcpts; i++)
		some |= j->rcpts[i].reported;
	for (size_t i = 0; i < j->n_rcpts; i++)
		if (!spool_rcpt_is_open(&j->rcpts[i]))
			continue;
		else if (j->stopped)
			verdict_stopped(j, i);
		else if (some)
			verdict_again(j, i, "the next server takes fewer recipients at a time; this one follows");
		else
			verdict_later(j, i, "the delivery was interrupted", 0);
	job_leave(j);
	spool_job_free_if_done(j);
	spool_turn_soon(s);
}

void spool_job_put_back(struct job *j, const char *text)
{
	for (size_t i = 0; i < j->n_rcpts; i++)
		if (spool_rcpt_is_open(&j->rcpts[i]))
			verdict_again(j, i, text);
	spool_job_end(j);
}

bool spool_rcpt_is_open(const struct job_rcpt *r)
{
	return !r->reported && !r->gone;
}

void spool_job_unlease(struct job *j)
{
	struct spool *s = j->spool;
	for (size_t i = 0; i < j->n_rcpts; i++) {
		(void)s->ops->renew(s->store, j->rcpts[i].facts.number, j->rcpts[i].facts.fence, spool_now_s(s));
		j->rcpts[i].gone = true;
	}
	spool_job_end(j);
}

void spool_route_anew(struct spool *s)
{
	LIST_EACH(l, &s->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (s->store != NULL && j->purpose == JOB_DELIVER && !j->sent && !j->over)
			spool_job_put_back(j, "there is a new configuration: this one goes by it");
	}
}

void spool_job_release(struct job *j)
{
	if (j->sent && j->worker->channel != NULL)
		channel_send(j->worker->channel, WORKER_RELEASE, &(struct worker_release){ .job = j->number });
}

/* A courier decides by what domains have shown before: it first hears of that. */
static bool knows_all(const struct job *j)
{
	return j->worker->kind != WORKER_COURIER || j->spool->tours[OBSERVER_COURIER].told;
}

void spool_job_send(struct job *j)
{
	struct channel *c = j->worker->channel;
	if (c == NULL || j->sent || j->worker->resting || !knows_all(j) || !spool_worker_takes_more(j->worker))
		return;
	j->sent = true;
	j->began_ms = j->since_ms = loop_now_ms(j->spool->loop);
	const struct store_message *m = &j->message;
	unsigned attempts = j->n_rcpts > 0 ? j->rcpts[0].facts.attempts : 0;
	struct worker_job msg = { .job = j->number, .purpose = j->purpose, .id = m->id, .route_kind = j->route.kind,
		                  .route_name = j->route.name, .domain = j->domain, .sender = m->sender,
		                  .size_bytes = m->size_bytes, .body = m->body, .smtputf8 = m->smtputf8,
		                  .ret = m->ret, .envid = m->envid, .attempt = attempts + 1,
		                  .arrived_s = m->arrived_s, .tls_tag = m->tls_tag };
	channel_send(c, WORKER_JOB, &msg);
	for (size_t i = 0; i < j->n_rcpts; i++) {
		const struct store_rcpt *r = &j->rcpts[i].facts;
		channel_send(c, WORKER_RCPT, &(struct worker_rcpt){ .job = j->number, .index = i, .address = r->address,
		                                                    .original = r->original, .orcpt = r->orcpt,
		                                                    .notify = r->notify });
	}
	channel_send(c, WORKER_GO, &(struct worker_go){ .job = j->number });
}

void spool_forget_jobs(struct spool *s)
{
	LIST_EACH(l, &s->verdicts)
		verdict_free(LIST_MEMBER(l, struct verdict, in_spool));
	LIST_EACH(l, &s->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (j->purpose != JOB_DELIVER)
			continue;
		spool_job_release(j);
		job_leave(j);
		spool_job_free_if_done(j);
	}
}

/* Renews every lease of the job; recipients that somebody else has now are none of its business any more. */
bool spool_job_still_holds(struct job *j, int64_t until_s)
{
	struct spool *s = j->spool;
	bool any = false;
	for (size_t i = 0; i < j->n_rcpts; i++) {
		struct job_rcpt *r = &j->rcpts[i];
		if (!spool_rcpt_is_open(r))
			continue;
		r->gone = s->ops->renew(s->store, r->facts.number, r->facts.fence, until_s) != OK;
		any |= !r->gone;
	}
	return any;
}

/* Of this message, or of any: then all that is in hand is looked through. */
static const struct job *job_of(const struct spool *s, struct str id, uint64_t rcpt)
{
	LIST_EACH(l, &s->jobs) {
		const struct job *j = LIST_MEMBER(l, struct job, in_spool);
		for (size_t i = 0; i < j->n_rcpts && (id.n == 0 || str_eq(j->message.id, id)); i++)
			if (j->rcpts[i].facts.number == rcpt && spool_rcpt_is_open(&j->rcpts[i]))
				return j;
	}
	return NULL;
}

struct str spool_key_in_hand(const struct spool *s, struct str id, uint64_t rcpt, struct str otherwise)
{
	const struct job *j = job_of(s, id, rcpt);
	return j != NULL ? j->key : otherwise;
}

bool spool_is_on_the_way(const struct spool *s, const struct store_rcpt *r)
{
	const struct job *j = job_of(s, r->id, r->number);
	return j != NULL && j->content_over;
}

/* Is it in a courier's hands, and about what was asked for? */
static bool may_tell(const struct job *j, const struct store_selector *which)
{
	if (j->purpose != JOB_DELIVER || !j->sent || j->over || j->worker->kind != WORKER_COURIER || j->worker->channel == NULL)
		return false;
	bool about = which->to.n == 0;
	for (size_t i = 0; i < j->n_rcpts && !about; i++)
		about = str_eq_nocase(j->rcpts[i].facts.address, which->to);
	return about && (which->id.n == 0 || str_eq(j->message.id, which->id));
}

void spool_ask_where(struct spool *s, const struct store_selector *which)
{
	LIST_EACH(l, &s->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (!may_tell(j, which))
			continue;
		j->where_asked = true;
		channel_send(j->worker->channel, WORKER_WHERE, &(struct worker_where){ .job = j->number });
	}
}

bool spool_where_is_awaited(const struct spool *s, const struct store_selector *which)
{
	LIST_EACH(l, &s->jobs) {
		const struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (j->where_asked && may_tell(j, which))
			return true;
	}
	return false;
}

const struct whereabouts *spool_where(const struct spool *s, const struct store_rcpt *r)
{
	const struct job *j = job_of(s, r->id, r->number);
	return j != NULL && !j->where_asked ? j->where : NULL;
}

static bool is_wanted(const struct job *j)
{
	const struct spool *s = j->spool;
	for (size_t i = 0; i < j->n_rcpts; i++)
		if (spool_rcpt_is_open(&j->rcpts[i]) && !s->ops->is_held(s->store, j->rcpts[i].facts.number))
			return true;
	return false;
}

void spool_stop_unwanted_jobs(struct spool *s)
{
	if (s->store == NULL)
		return;
	LIST_EACH(l, &s->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (j->purpose != JOB_DELIVER || j->over)
			continue;
		(void)spool_job_still_holds(j, j->lease_until_s);
		if (j->stopped || is_wanted(j))
			continue;
		j->stopped = true;
		spool_job_release(j);
		if (!j->sent)
			spool_job_end(j);
	}
}

/* Its worker has not been heard of for nearly a whole lease. That was an attempt, and counts as one, or it could go on for ever. */
static void give_up_job(struct job *j)
{
	spool_job_release(j);
	for (size_t i = 0; i < j->n_rcpts; i++)
		if (spool_rcpt_is_open(&j->rcpts[i]))
			verdict_later(j, i, "the delivering process has not been heard of for ten minutes", 0);
	spool_job_end(j);
}

void spool_watch_leases(struct spool *s)
{
	if (s->store == NULL)
		return;
	int64_t now_s = spool_now_s(s);
	LIST_EACH(l, &s->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (j->purpose != JOB_DELIVER || j->over || j->lease_until_s > now_s + SPOOL_LEASE_S / 2)
			continue;
		if (!j->sent) {
			j->lease_until_s = now_s + SPOOL_LEASE_S;
			(void)spool_job_still_holds(j, j->lease_until_s);
		} else if (j->lease_until_s <= now_s + LEASE_LEFT_S) {
			give_up_job(j);
		}
	}
}
