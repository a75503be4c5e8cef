/* SPDX-License-Identifier: ISC */
/* role/spool/explain.c -- what would be done now with a letter to this address? Routed as any other, and what the courier carries
 * is tried by it as far as MAIL: nothing is queued, leased or kept. */
#include "role/spool/spool.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

enum { WAIT_MS = 50000, ARENA_MAX = 64 << 10, ADDRESS_MAX = 1000, ANSWER_ROOM = 6 * STORY_VALUE_MAX };

struct explanation {
	struct link in_spool;
	struct spool *spool;
	struct job *job;
	explained *tell;
	void *owner;
	struct str story;                /* what the courier has told so far, on the heap */
	struct timer limit;
};

/* ---- the last word ---- */

static const char *result_word(enum outcome_class class)
{
	return class == OUTCOME_DONE ? "yes" : class == OUTCOME_LATER ? "later" : "no";
}

static void put_answer(struct story *to, enum outcome_class class, const struct from_worker_outcome *m, struct str text)
{
	story_begin(to, "answer");
	story_add(to, "result", str_of(result_word(class)));
	story_add(to, "text", text);
	if (m != NULL && m->code > 0)
		story_add_u64(to, "code", m->code);
	if (m != NULL && class != OUTCOME_DONE)
		story_add(to, "status", m->status);
	if (m != NULL) {
		story_add(to, "host", m->host);
		story_add(to, "ip", m->ip);
	}
	if (m != NULL && m->host.n > 0 && m->level <= TLS_DANE)
		story_add(to, "level", str_of(tls_level_name((enum tls_level)m->level)));
	if (m != NULL)
		story_add(to, "tls", m->tls);
	story_end(to);
}

/* Its story, with room for the answer, which must not be what is cut. */
static void put_story(struct story *to, struct str told)
{
	struct str line;
	while (str_take_until(&told, '\n', &line) && story_text(to).n + line.n + ANSWER_ROOM < STORY_BYTES_MAX)
		story_append(to, (struct str){ line.p, line.n + 1 });
}

/* The job lives on without us, if it does. */
static void explanation_free(struct explanation *e)
{
	if (e->job != NULL)
		e->job->explanation = NULL;
	e->spool->n_explanations--;
	link_remove(&e->in_spool);
	timer_clear(&e->limit);
	str_release(&e->story);
	free(e);
}

static void finish(struct explanation *e, enum outcome_class class, const struct from_worker_outcome *m, struct str text)
{
	struct story s;
	explained *tell = e->tell;
	void *owner = e->owner;
	story_init(&s);
	put_story(&s, e->story);
	put_answer(&s, class, m, text);
	explanation_free(e);
	tell(owner, story_text(&s), class == OUTCOME_DONE ? 0 : 1, "");
	story_fini(&s);
}

/* What the courier still does for it is of no interest. */
static void give_up_job(struct explanation *e)
{
	struct job *j = e->job;
	spool_job_release(j);
	j->rcpts[0].reported = true;
	j->explanation = NULL;
	e->job = NULL;
	spool_job_end(j);
}

static void on_limit(void *owner)
{
	struct explanation *e = owner;
	give_up_job(e);
	finish(e, OUTCOME_LATER, NULL, STR("it is not known: the other side takes its time, and this is as far as it got"));
}

void explain_cancel(struct explanation **e_)
{
	struct explanation *e = *e_;
	if (e == NULL)
		return;
	*e_ = NULL;
	give_up_job(e);
	explanation_free(e);
}

void explain_stop(struct spool *s)
{
	LIST_EACH(l, &s->explanations) {
		struct explanation *e = LIST_MEMBER(l, struct explanation, in_spool);
		give_up_job(e);
		finish(e, OUTCOME_LATER, NULL, STR("it is not known: the server stops"));
	}
}

/* ---- what the courier says ---- */

void explain_story(struct job *j, struct str text)
{
	struct explanation *e = j->explanation;
	if (e == NULL)
		return;
	str_release(&e->story);
	e->story = str_keep(text);
}

static void job_is_over(struct job *j)
{
	j->rcpts[0].reported = true;
	if (j->explanation != NULL)
		j->explanation->job = NULL;
	j->explanation = NULL;
}

void explain_outcome(struct job *j, const struct from_worker_outcome *m)
{
	struct explanation *e = j->explanation;
	bool is_ready = m->class == OUTCOME_DONE && j->route.kind != ROUTE_TO_MAILDIR;
	job_is_over(j);
	if (e == NULL)
		return;
	finish(e, (enum outcome_class)m->class, m, is_ready ? STR("the next server is ready to take a letter") : m->text);
}

void explain_interrupted(struct job *j)
{
	struct explanation *e = j->explanation;
	job_is_over(j);
	if (e != NULL)
		finish(e, OUTCOME_LATER, NULL, STR("it is not known: the process that was asked makes room for a new one, or has ended; ask again in a moment"));
}

/* ---- the question ---- */

static void put_route(struct story *to, const struct route *route)
{
	static const char *const kinds[] = {
		[ROUTE_TO_MAILDIR] = "maildir", [ROUTE_TO_LMTP] = "lmtp", [ROUTE_TO_MX] = "mx", [ROUTE_TO_RELAY] = "relay",
		[ROUTE_ON_HOLD] = "hold", [ROUTE_REFUSED] = "refuse",
	};
	story_begin(to, "route");
	story_add(to, "kind", str_of(kinds[route->kind]));
	story_add(to, "name", route->name);
	story_end(to);
}

static void tell_at_once(explained *tell, void *owner, const struct route *route, enum outcome_class class, const char *text)
{
	struct story s;
	story_init(&s);
	if (route != NULL)
		put_route(&s, route);
	put_answer(&s, class, NULL, str_of(text));
	tell(owner, story_text(&s), class == OUTCOME_DONE ? 0 : 1, "");
	story_fini(&s);
}

/* Other servers are the courier's, and what is published about them its story; of a Maildir there is but the route to tell. */
static struct worker *worker_for(struct spool *s, const struct route *route)
{
	return &s->workers[route->kind == ROUTE_TO_MAILDIR ? WORKER_PORTER : WORKER_COURIER];
}

static struct str story_before(const struct route *route)
{
	struct story s;
	if (route->kind != ROUTE_TO_MAILDIR)
		return STR_NONE;
	story_init(&s);
	put_route(&s, route);
	struct str story = str_keep(story_text(&s));
	story_fini(&s);
	return story;
}

static struct explanation *ask(struct spool *s, struct str address, struct str sender, const struct route *route, struct str domain)
{
	struct arena *a = arena_new(ARENA_MAX);
	struct job *j = spool_job_new(s, JOB_EXPLAIN, a);
	struct explanation *e = NEW(struct explanation);
	j->message.sender = arena_copy(a, sender);
	j->message.arrived_s = spool_now_s(s);
	j->route = *route;
	j->route.retry = NULL;
	j->route.name = arena_copy(a, route->name);
	j->domain = arena_copy(a, domain);
	j->worker = worker_for(s, route);
	j->rcpts = NEW(struct job_rcpt);
	struct str copy = arena_copy(a, address);
	j->rcpts[0].facts = (struct store_rcpt){ .address = copy, .original = copy, .notify = NOTIFY_NEVER };
	j->n_rcpts = 1;
	j->explanation = e;
	e->spool = s;
	e->job = j;
	e->story = story_before(route);
	list_add_last(&s->explanations, &e->in_spool);
	s->n_explanations++;
	timer_init(&e->limit, s->loop, on_limit, e);
	timer_set(&e->limit, loop_now_ms(s->loop) + WAIT_MS);
	return e;
}

struct explanation *explain_ask(struct spool *s, struct str address, struct str sender, explained *tell, void *owner)
{
	struct explanation *e = NULL;
	struct arena *a = arena_new(ARENA_MAX);
	struct store_message m = { .sender = sender };
	struct str domain = STR_NONE, key = STR_NONE;
	struct route route = { .kind = ROUTE_REFUSED };
	if (address.n <= ADDRESS_MAX && sender.n <= ADDRESS_MAX)
		route = spool_route(s, &m, address, a, &domain, &key);
	if (key.p == NULL)
		tell_at_once(tell, owner, NULL, OUTCOME_NEVER, "that is no mail address, or the one that it comes from is none");
	else if (route.kind == ROUTE_REFUSED)
		tell_at_once(tell, owner, &route, OUTCOME_NEVER, "the configuration refuses mail for this address");
	else if (route.kind == ROUTE_ON_HOLD)
		tell_at_once(tell, owner, &route, OUTCOME_LATER, "the configuration holds it until an operator releases it");
	else if (worker_for(s, &route)->channel == NULL || worker_for(s, &route)->resting)
		tell_at_once(tell, owner, &route, OUTCOME_LATER, "it is not known: the process that knows is being started; ask again in a moment");
	else if (s->n_explanations >= EXPLAIN_MAX || s->draining)
		tell_at_once(tell, owner, &route, OUTCOME_LATER,
		             "it is not known: as many addresses are being explained as the server does at a time; ask again in a moment");
	else
		e = ask(s, address, sender, &route, domain);
	arena_free(&a);
	if (e == NULL)
		return NULL;
	e->tell = tell;
	e->owner = owner;
	spool_job_send(e->job);
	return e;
}
