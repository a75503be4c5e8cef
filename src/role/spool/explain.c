/* SPDX-License-Identifier: ISC */
/* role/spool/explain.c -- what would be done now with a letter to this address? The keeper is asked who stands behind one of ours, as
 * at RCPT; it is routed as any other, and tried by who would carry it, a server as far as MAIL: nothing is queued, leased or kept. */
#include "role/spool/spool.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "ipc/front_keeper.h"
#include "ipc/spool_keeper.h"
#include "policy/place.h"

enum { WAIT_MS = 50000, ARENA_MAX = 4 << 20, JOB_ARENA_MAX = 64 << 10, ADDRESS_MAX = 1000, ANSWER_ROOM = 6 * STORY_VALUE_MAX, TARGETS_MAX = 1000 };

struct explanation {
	struct link in_spool;
	struct spool *spool;
	struct arena *arena;
	struct str address, sender;
	uint64_t request;                /* to the keeper, which has not answered; 0: none */
	struct str *targets;             /* what it has said so far */
	size_t n_targets;
	struct story known;              /* before anything that a worker tells */
	struct job *job;                 /* of who would carry it; NULL: none */
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
	story_fini(&e->known);
	free(e->targets);
	arena_free(&e->arena);
	free(e);
}

/* False: nothing of it lives on. */
static bool finish(struct explanation *e, enum outcome_class class, const struct from_worker_outcome *m, struct str text)
{
	struct story s;
	explained *tell = e->tell;
	void *owner = e->owner;
	story_init(&s);
	put_story(&s, story_text(&e->known));
	put_story(&s, e->story);
	put_answer(&s, class, m, text);
	explanation_free(e);
	tell(owner, story_text(&s), class == OUTCOME_DONE ? 0 : 1, "");
	story_fini(&s);
	return false;
}

/* What the courier still does for it is of no interest. */
static void give_up_job(struct explanation *e)
{
	struct job *j = e->job;
	if (j == NULL)
		return;
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

/* ---- where it goes ---- */

struct way { struct route route; struct str domain; bool is_address; };

static struct way way_of(struct explanation *e, struct str address)
{
	struct way w = { .route = { .kind = ROUTE_REFUSED } };
	struct store_message m = { .sender = e->sender };
	struct str key = STR_NONE;
	if (address.n <= ADDRESS_MAX && e->sender.n <= ADDRESS_MAX)
		w.route = spool_route(e->spool, &m, address, e->arena, &w.domain, &key);
	w.is_address = key.p != NULL;
	return w;
}

/* A Maildir by its path. */
static void put_way(struct explanation *e, const char *line, struct str address, const struct route *route)
{
	static const char *const kinds[] = {
		[ROUTE_TO_MAILDIR] = "maildir", [ROUTE_TO_LMTP] = "lmtp", [ROUTE_TO_MX] = "mx", [ROUTE_TO_RELAY] = "relay",
		[ROUTE_ON_HOLD] = "hold", [ROUTE_REFUSED] = "refuse",
	};
	struct place place;
	char path[2 * PLACE_MAX];
	struct str name = route->name;
	if (route->kind == ROUTE_TO_MAILDIR && place_find(route->name, address, &place) == OK) {
		(void)snprintf(path, sizeof path, "%s/%s", place.fixed, place.below);
		name = str_of(path);
	}
	story_begin(&e->known, line);
	story_add(&e->known, "address", address);
	story_add(&e->known, "kind", str_of(kinds[route->kind]));
	story_add(&e->known, "name", name);
	story_end(&e->known);
}

/* Other servers are the courier's. */
static struct worker *worker_for(struct spool *s, const struct route *route)
{
	return &s->workers[route->kind == ROUTE_TO_MAILDIR ? WORKER_PORTER : WORKER_COURIER];
}

static bool ask_worker(struct explanation *e, struct str address, const struct way *w)
{
	struct spool *s = e->spool;
	struct arena *a = arena_new(JOB_ARENA_MAX);
	struct job *j = spool_job_new(s, JOB_EXPLAIN, a);
	j->message.sender = arena_copy(a, e->sender);
	j->message.arrived_s = spool_now_s(s);
	j->route = w->route;
	j->route.retry = NULL;
	j->route.name = arena_copy(a, w->route.name);
	j->domain = arena_copy(a, w->domain);
	j->worker = worker_for(s, &w->route);
	j->rcpts = NEW(struct job_rcpt);
	struct str copy = arena_copy(a, address);
	j->rcpts[0].facts = (struct store_rcpt){ .address = copy, .original = copy, .notify = NOTIFY_NEVER };
	j->n_rcpts = 1;
	j->explanation = e;
	e->job = j;
	spool_job_send(j);
	return true;
}

static bool may_wait(const struct explanation *e)
{
	return e->spool->n_explanations <= EXPLAIN_MAX && !e->spool->draining; /* this one is counted */
}

static const char too_many[] = "it is not known: as many addresses are being explained as the server does at a time; ask again in a moment";

/* True: it is not over. What the courier finds begins with the route, too. */
static bool go(struct explanation *e, struct str address, const struct way *w)
{
	const struct worker *worker = worker_for(e->spool, &w->route);
	bool tried = w->is_address && w->route.kind != ROUTE_REFUSED && w->route.kind != ROUTE_ON_HOLD;
	bool here = worker->channel != NULL && !worker->resting, goes = tried && here && may_wait(e);
	if (w->is_address && (!goes || w->route.kind == ROUTE_TO_MAILDIR))
		put_way(e, "route", address, &w->route);
	if (goes)
		return ask_worker(e, address, w);
	if (!w->is_address)
		return finish(e, OUTCOME_NEVER, NULL, STR("that is no mail address, or the one that it comes from is none"));
	if (w->route.kind == ROUTE_REFUSED)
		return finish(e, OUTCOME_NEVER, NULL, STR("the configuration refuses mail for this address"));
	if (w->route.kind == ROUTE_ON_HOLD)
		return finish(e, OUTCOME_LATER, NULL, STR("the configuration holds it until an operator releases it"));
	return finish(e, OUTCOME_LATER, NULL,
	              here ? str_of(too_many) : STR("it is not known: the process that knows is being started; ask again in a moment"));
}

/* ---- who stands behind it ---- */

static void put_recipient(struct explanation *e, const char *result)
{
	story_begin(&e->known, "recipient");
	story_add(&e->known, "address", e->address);
	story_add(&e->known, "result", str_of(result));
	if (e->n_targets > 1)
		story_add_u64(&e->known, "targets", e->n_targets);
	story_end(&e->known);
}

/* RFC 5321 3.9. Several go each a way of their own: they are named, and none is tried. */
static bool expand(struct explanation *e)
{
	enum outcome_class worst = OUTCOME_DONE;
	bool itself = e->n_targets == 1 && str_eq_nocase(e->targets[0], e->address);
	put_recipient(e, itself ? "mailbox" : "expanded");
	for (size_t i = 0; i < e->n_targets; i++) {
		struct way w = way_of(e, e->targets[i]);
		if (!itself)
			put_way(e, "target", e->targets[i], &w.route);
		if (e->n_targets == 1)
			return go(e, e->targets[i], &w);
		if (!w.is_address || w.route.kind == ROUTE_REFUSED)
			worst = OUTCOME_NEVER;
		else if (w.route.kind == ROUTE_ON_HOLD && worst == OUTCOME_DONE)
			worst = OUTCOME_LATER;
	}
	return finish(e, worst, NULL, worst == OUTCOME_NEVER ? STR("one of the addresses that it expands to is refused by the configuration")
	                            : worst == OUTCOME_LATER ? STR("one of the addresses that it expands to is held by the configuration")
	                                                     : STR("it goes to each of these: explain one to have it tried"));
}

static void take_verdict(struct explanation *e, uint64_t verdict)
{
	static const struct from_worker_outcome unknown = { .code = 550, .status = STR_INIT("5.1.1") };
	e->request = 0;
	if (verdict == RCPT_LOCAL && e->n_targets > 0) {
		expand(e);
	} else if (verdict == RCPT_VERIFY || verdict == RCPT_REMOTE) {
		struct way w = way_of(e, e->address);
		go(e, e->address, &w);
	} else if (verdict == RCPT_LOCAL || verdict == RCPT_UNKNOWN) {
		put_recipient(e, "unknown");
		finish(e, OUTCOME_NEVER, &unknown, STR("There is no such recipient here: RCPT is answered so"));
	} else {
		finish(e, OUTCOME_LATER, NULL, STR("it is not known: the keeper could not look it up; ask again in a moment"));
	}
}

static void add_target(struct explanation *e, struct str address)
{
	struct str copy = e->n_targets < TARGETS_MAX ? arena_try_copy(e->arena, address) : STR_NONE;
	if (copy.p == NULL)
		return;
	e->targets = must_resize(e->targets, (e->n_targets + 1) * sizeof *e->targets);
	e->targets[e->n_targets++] = copy;
}

void explain_keeper_says(struct spool *s, unsigned kind, const void *msg)
{
	uint64_t request = *(const uint64_t *)msg; /* every message begins with it */
	LIST_EACH(l, &s->explanations) {
		struct explanation *e = LIST_MEMBER(l, struct explanation, in_spool);
		if (e->request == 0 || e->request != request)
			continue;
		if (kind == KEEPER_TARGET)
			add_target(e, ((const struct keeper_target *)msg)->address);
		else
			take_verdict(e, ((const struct keeper_targets_end *)msg)->verdict);
		return;
	}
}

static void send_question(struct explanation *e)
{
	e->n_targets = 0;
	if (e->spool->keeper != NULL)
		channel_send(e->spool->keeper, SPOOL_ASK_TARGETS, &(struct spool_ask_targets){ .request = e->request, .address = e->address });
}

void explain_keeper_came(struct spool *s)
{
	LIST_EACH(l, &s->explanations) {
		struct explanation *e = LIST_MEMBER(l, struct explanation, in_spool);
		if (e->request != 0)
			send_question(e);
	}
}

/* ---- the question ---- */

static struct explanation *explanation_new(struct spool *s, struct str address, struct str sender)
{
	struct explanation *e = NEW(struct explanation);
	e->spool = s;
	e->arena = arena_new(ARENA_MAX);
	e->address = arena_copy(e->arena, address);
	e->sender = arena_copy(e->arena, sender);
	story_init(&e->known);
	list_add_last(&s->explanations, &e->in_spool);
	s->n_explanations++;
	timer_init(&e->limit, s->loop, on_limit, e);
	timer_set(&e->limit, loop_now_ms(s->loop) + WAIT_MS);
	return e;
}

struct explanation *explain_ask(struct spool *s, struct str address, struct str sender, explained *tell, void *owner)
{
	struct explanation *e = explanation_new(s, address, sender);
	e->tell = tell;
	e->owner = owner;
	struct way w = way_of(e, e->address);
	if (!w.is_address || !w.route.local)
		return go(e, e->address, &w) ? e : NULL;
	if (!may_wait(e)) {
		finish(e, OUTCOME_LATER, NULL, str_of(too_many));
		return NULL;
	}
	e->request = ++s->next_request;
	send_question(e);
	return e;
}
