/* SPDX-License-Identifier: ISC */
/* role/spool/schedule.c -- what is due is leased, routed, and grouped into jobs for the workers. */
#include "role/spool/spool.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
	JOB_ARENA_MAX = 32 << 20, LEASE_ARENA_MAX = 64 << 20,
	LOOK_AGAIN_MS = 200,             /* at the soonest, when something is due and could not be leased */
	SLEEP_MS_MAX = 60000,            /* the queue's clock may run faster than the loop's */
};

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

struct route spool_route_of(struct spool *s, const struct store_message *m, const struct store_rcpt *r, struct arena *a,
                            struct str *domain_out, struct str *key_out)
{
	bool released = r->released || str_eq(r->key, STR(STORE_RELEASED));
	return route_of(s, m, r->address, released, a, domain_out, key_out);
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

/* What one lease becomes. A recipient's route depends on the message; recipients of one message come together, so it is read once. */
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
	struct route route = spool_route_of(s, &d->message, r, a, &domain, &key);
	if (key.p == NULL)
		key = STR(STORE_RELEASED); /* it leads nowhere: nobody carries it, so it has no destination */
	if ((r->notify & NOTIFY_EXPANDED) != 0) {
		route.kind = ROUTE_ON_HOLD; /* nobody carries it */
		key = STR(EXPANDED_KEY);
	}
	if (str_eq(r->key, STR(STORE_RELEASED)) || !str_eq(r->key, key))
		s->ops->ask_again(s->store, r->key); /* there may be more, and what was granted is no place of where this one goes */
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

/* Others get the place that it was given. */
static fault set_damaged_aside(struct spool *s, const struct store_rcpt *r, struct why *why)
{
	s->ops->ask_again(s->store, r->key);
	return check_set_aside(s, r, why);
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
		f = rows[i].damaged ? set_damaged_aside(s, &rows[i], why) : dispatch_one(s, &d, &rows[i], a);
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
