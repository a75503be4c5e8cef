/* SPDX-License-Identifier: ISC */
/* role/spool/schedule.c -- what is due is leased, grouped into jobs, and handed to the workers. */
#include "role/spool/spool.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
	JOB_ARENA_MAX = 32 << 20, LEASE_ARENA_MAX = 64 << 20,
	LOOK_AGAIN_MS = 200,             /* at the soonest, when something is due and could not be leased */
	SLEEP_MS_MAX = 60000,            /* the queue's clock may run faster than the loop's */
	LEASE_LEFT_S = 30,               /* of a lease, when its worker is given up: a little before the store would do it */
};
static const char hold_key[] = STORE_RELEASED;

/* ---- routes ---- */

/* `hold` lines are for what arrives: what an operator has released goes on to where the other lines send it. */
static struct route plan_past_holds(const struct conf *conf, const struct route_question *q, struct arena *a)
{
	struct conf without = *conf;
	without.routes = ARENA_ARRAY(a, struct conf_route, conf->n_routes + 1);
	without.n_routes = 0;
	for (size_t i = 0; i < conf->n_routes; i++)
		if (conf->routes[i].action != ROUTE_HOLD)
			without.routes[without.n_routes++] = conf->routes[i];
	return route_plan(&without, q);
}

static fault ask_route(struct spool *s, const struct store_message *m, struct str address, bool past_holds,
                       struct arena *a, struct route *out, struct str *domain_out)
{
	struct route_question q = { .client = m->client, .user = m->user };
	TRY(address_parse(address, a, &q.recipient));
	if (m->sender.n > 0)
		TRY(address_parse(m->sender, a, &q.sender));
	if (q.recipient.literal)
		q.recipient_domain = q.recipient.domain;
	else
		TRY(domain_to_ascii(q.recipient.domain, a, &q.recipient_domain));
	*domain_out = q.recipient_domain;
	*out = past_holds ? plan_past_holds(s->conf, &q, a) : route_plan(s->conf, &q);
	return OK;
}

static fault put_key(const struct route *route, struct arena *a, struct str *out)
{
	struct buf key;
	buf_init(&key, 4096);
	fault f = route_key(route, &key);
	if (f == OK)
		*out = arena_try_copy(a, buf_view(&key));
	buf_fini(&key);
	return f == OK && out->p != NULL ? OK : F_LIMIT;
}

static struct route route_of(struct spool *s, const struct store_message *m, struct str address, bool past_holds,
                             struct arena *a, struct str *domain_out, struct str *key_out)
{
	static const struct conf_retry of_the_queue;
	struct route route = { .kind = ROUTE_ON_HOLD, .retry = &of_the_queue };
	*domain_out = *key_out = STR_NONE;
	if (ask_route(s, m, address, past_holds, a, &route, domain_out) != OK || put_key(&route, a, key_out) != OK)
		*key_out = STR_NONE;
	return route;
}

struct route spool_route(struct spool *s, const struct store_message *m, struct str address, struct arena *a,
                         struct str *domain_out, struct str *key_out)
{
	return route_of(s, m, address, false, a, domain_out, key_out);
}

/* ---- jobs ---- */

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

static const struct job *job_of(const struct spool *s, uint64_t rcpt)
{
	LIST_EACH(l, &s->jobs) {
		const struct job *j = LIST_MEMBER(l, struct job, in_spool);
		for (size_t i = 0; i < j->n_rcpts; i++)
			if (j->rcpts[i].facts.number == rcpt && spool_rcpt_is_open(&j->rcpts[i]))
				return j;
	}
	return NULL;
}

struct str spool_key_in_hand(const struct spool *s, uint64_t rcpt, struct str otherwise)
{
	const struct job *j = job_of(s, rcpt);
	return j != NULL ? j->key : otherwise;
}

bool spool_is_on_the_way(const struct spool *s, uint64_t rcpt)
{
	const struct job *j = job_of(s, rcpt);
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

const struct whereabouts *spool_where(const struct spool *s, uint64_t rcpt)
{
	const struct job *j = job_of(s, rcpt);
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

/* ---- from leases to jobs ---- */

bool spool_copy_rcpt(struct arena *a, struct store_rcpt *to, const struct store_rcpt *from)
{
	*to = *from;
	struct str *const texts[] = { &to->id, &to->sender, &to->address, &to->original, &to->orcpt, &to->key, &to->last_reply,
		                      &to->last_dialogue };
	for (size_t i = 0; i < COUNT(texts); i++) {
		*texts[i] = arena_try_copy(a, *texts[i]);
		if (texts[i]->p == NULL)
			return false;
	}
	return true;
}

static fault job_begin(struct spool *s, const struct store_rcpt *r, const struct route *route, struct str domain,
                       struct str key, struct job **out)
{
	struct arena *a = arena_new(JOB_ARENA_MAX);
	struct store_message m;
	fault f = s->ops->message(s->store, r->id, a, &m);
	if (f != OK) {
		arena_free(&a);
		return f;
	}
	struct job *j = spool_job_new(s, JOB_DELIVER, a);
	j->message = m;
	j->route = *route;
	j->route.retry = NULL; /* of a configuration that may go; verdicts ask again */
	j->route.name = arena_copy(a, route->name);
	j->domain = arena_copy(a, domain);
	j->key = arena_copy(a, key);
	j->lease_until_s = r->lease_until_s;
	j->worker = &s->workers[route->kind == ROUTE_TO_MAILDIR ? WORKER_PORTER : WORKER_COURIER];
	j->waits = !shape_has_room(s, j->key);
	if (!j->waits)
		shape_enter(j);
	*out = j;
	return OK;
}

static bool job_take(struct job *j, const struct store_rcpt *r)
{
	if (j->n_rcpts == SPOOL_JOB_RCPTS_MAX)
		return false;
	j->rcpts = must_resize(j->rcpts, (j->n_rcpts + 1) * sizeof *j->rcpts);
	struct job_rcpt *to = &j->rcpts[j->n_rcpts];
	to->reported = to->gone = false;
	if (!spool_copy_rcpt(j->arena, &to->facts, r))
		return false;
	j->n_rcpts++;
	return true;
}

/* The message's facts are needed before its route is known, and live in a job's arena: the last one is kept. */
struct dispatch { struct job **jobs; size_t n; struct store_message message; struct str message_id; };

static struct job *job_for(struct dispatch *d, const struct store_rcpt *r, struct str key)
{
	for (size_t i = d->n; i-- > 0;) {
		struct job *j = d->jobs[i];
		if (!str_eq(j->message.id, r->id))
			return NULL; /* recipients of one message come together */
		if (str_eq(j->key, key) && j->n_rcpts < SPOOL_JOB_RCPTS_MAX)
			return j;
	}
	return NULL;
}

static fault dispatch_one(struct spool *s, struct dispatch *d, const struct store_rcpt *r, struct arena *a)
{
	struct str domain, key;
	if (!str_eq(d->message_id, r->id)) {
		TRY(s->ops->message(s->store, r->id, a, &d->message));
		d->message_id = r->id;
	}
	if (action_takes(s, &d->message, r))
		return OK;
	bool released = str_eq(r->key, str_of(hold_key)); /* and not held any more */
	struct route route = route_of(s, &d->message, r->address, released, a, &domain, &key);
	if (key.p == NULL)
		key = str_of(hold_key);
	if ((r->notify & NOTIFY_EXPANDED) != 0) {
		route.kind = ROUTE_ON_HOLD; /* nobody carries it */
		key = STR(EXPANDED_KEY);
	}
	struct job *j = job_for(d, r, key);
	if (j == NULL || !job_take(j, r)) {
		TRY(job_begin(s, r, &route, domain, key, &j));
		d->jobs[d->n++] = j;
		check(job_take(j, r));
	}
	return OK;
}

fault spool_return_claimed(struct spool *s, const struct store_rcpt *rows, size_t n, const struct smtp_reply *reply)
{
	struct route nowhere = { .kind = ROUTE_ON_HOLD };
	for (size_t i = 0; i < n; i++) {
		struct job *j;
		TRY(job_begin(s, &rows[i], &nowhere, STR_NONE, rows[i].key, &j));
		check(job_take(j, &rows[i]));
		verdict_return(j, 0, reply);
		spool_job_end(j);
	}
	return OK;
}

/* A route that leads nowhere is decided here, without a worker. */
static void job_start(struct job *j)
{
	struct smtp_reply refusal = REPLY(550, 5, 7, 1, j->route.name);
	if (j->waits) {
		shape_wait(j);
		return;
	}
	if (j->route.kind != ROUTE_ON_HOLD && j->route.kind != ROUTE_REFUSED) {
		spool_job_send(j);
		return;
	}
	for (size_t i = 0; i < j->n_rcpts; i++)
		if ((j->rcpts[i].facts.notify & NOTIFY_EXPANDED) != 0)
			verdict_expanded(j, i);
		else if (j->route.kind == ROUTE_REFUSED)
			verdict_return(j, i, &refusal);
		else
			verdict_hold(j, i, "held by a route of the configuration");
	spool_job_end(j);
}

static fault lease_some(struct spool *s, size_t *n_out, struct why *why)
{
	struct arena *a = arena_new(LEASE_ARENA_MAX);
	struct store_rcpt *rows = ARENA_ARRAY(a, struct store_rcpt, SPOOL_LEASE_MAX);
	struct store_room room = shape_room(s);
	struct dispatch d = { .jobs = ARENA_ARRAY(a, struct job *, SPOOL_LEASE_MAX) };
	*n_out = 0;
	fault f = s->ops->lease(s->store, spool_now_s(s), SPOOL_LEASE_S, &room, a, rows, SPOOL_LEASE_MAX, n_out, why);
	for (size_t i = 0; i < *n_out && f == OK; i++) {
		f = rows[i].damaged ? check_set_aside(s, &rows[i], why) : dispatch_one(s, &d, &rows[i], a);
		if (f == F_ABSENT || f == F_BUSY) { /* an index is damaged: when the lease ends, it is tried again */
			log_event(LOG_QUEUE_DAMAGED, LOG_S("id", rows[i].id), LOG_Z("text", "an index of the queue's database"));
			f = OK;
		}
	}
	for (size_t i = 0; i < d.n; i++)
		job_start(d.jobs[i]);
	arena_free(&a);
	return f;
}

static void wait_for_next(struct spool *s)
{
	struct store_room room = shape_room(s);
	int64_t due_s, now_ms = loop_now_ms(s->loop);
	timer_clear(&s->due);
	if (s->n_jobs < SPOOL_JOBS_MAX && s->ops->next_due(s->store, &room, &due_s) == OK) {
		int64_t now_s = spool_now_s(s);
		int64_t ms = due_s <= now_s ? LOOK_AGAIN_MS : due_s - now_s > 60 ? SLEEP_MS_MAX : (due_s - now_s) * 1000;
		timer_set(&s->due, now_ms + ms);
	}
}

void spool_schedule(struct spool *s)
{
	struct why why = { "" };
	size_t n = 0;
	fault f = OK;
	if (s->store == NULL || s->draining)
		return;
	for (bool more = s->n_jobs < SPOOL_JOBS_MAX && s->n_taken < SPOOL_TAKEN_MAX; more;) {
		f = lease_some(s, &n, &why);
		/* What routes decide at once is committed before more of it is leased: a reload may refuse a whole queue. So is what an
		 * action has taken. */
		more = f == OK && n > 0 && s->n_jobs < SPOOL_JOBS_MAX && list_empty(&s->verdicts) && s->n_taken == 0;
	}
	if (f == F_STORE) {
		spool_store_failed(s, why.text[0] != '\0' ? why.text : "the queue cannot be read");
	} else {
		wait_for_next(s);
		yield_watch(s);
	}
}
