/* SPDX-License-Identifier: ISC */
/* role/spool/verify.c -- would the next hop take this recipient? Asked once, remembered for a while, in bounded
 * memory; only what a probe has completed is remembered. */
#include "role/spool/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { YES_MS = 3600000, NO_MS = 300000, WAIT_MS = 60000, ARENA_MAX = 64 << 10, ADDRESS_MAX = 1000 };

struct waiting { struct link in_verification; struct front *front; uint64_t request; };

static void answer(struct front *f, uint64_t request, uint64_t code, const char *status, const char *text)
{
	channel_send(f->channel, SPOOL_VERIFIED,
	             &(struct spool_verified){ .request = request, .code = code, .status = str_of(status),
	                                       .text = str_of(text) });
}

static void answer_later(struct front *f, uint64_t request)
{
	answer(f, request, 450, "4.4.1", "This recipient cannot be verified now; try again later");
}

static void tell_waiting(struct verification *v)
{
	LIST_EACH(l, &v->waiting) {
		struct waiting *w = LIST_MEMBER(l, struct waiting, in_verification);
		answer(w->front, w->request, v->code, v->status, v->text);
		link_remove(l);
		free(w);
	}
}

static void forget(struct verification *v)
{
	struct spool *s = v->spool;
	LIST_EACH(l, &v->waiting)
		free(LIST_MEMBER(l, struct waiting, in_verification));
	if (v->job != NULL) {
		v->job->verification = NULL;
		s->n_pending--;
	}
	map_remove(s->verifications, (struct str){ v->key, v->key_n });
	link_remove(&v->in_age);
	s->n_verifications--;
	free(v);
}

/* The oldest answer makes room; questions that are being asked are few. */
static void make_room(struct spool *s)
{
	LIST_EACH(l, &s->verifications_by_age) {
		struct verification *v = LIST_MEMBER(l, struct verification, in_age);
		if (s->n_verifications < VERIFY_CACHE_MAX)
			return;
		if (v->job == NULL)
			forget(v);
	}
}

static struct verification *verification_new(struct spool *s, struct str address)
{
	make_room(s);
	struct verification *v = must_alloc(sizeof *v + address.n);
	v->spool = s;
	v->key_n = address.n;
	if (address.n > 0)
		memcpy(v->key, address.p, address.n);
	list_init(&v->waiting);
	list_add_last(&s->verifications_by_age, &v->in_age);
	map_set(s->verifications, (struct str){ v->key, v->key_n }, v);
	s->n_verifications++;
	return v;
}

static void wait_for(struct verification *v, struct front *f, uint64_t request)
{
	struct waiting *w = NEW(struct waiting);
	w->front = f;
	w->request = request;
	list_add_last(&v->waiting, &w->in_verification);
}

static struct job *ask(struct verification *v, const struct route *route, struct str domain, struct str sender)
{
	struct spool *s = v->spool;
	struct arena *a = arena_new(ARENA_MAX);
	struct job *j = spool_job_new(s, JOB_VERIFY, a);
	struct str address = arena_copy(a, (struct str){ v->key, v->key_n });
	j->message.sender = arena_copy(a, sender);
	j->message.arrived_s = spool_now_s(s);
	j->route = *route;
	j->route.retry = NULL;
	j->route.name = arena_copy(a, route->name);
	j->domain = arena_copy(a, domain);
	j->worker = &s->workers[WORKER_COURIER];
	j->rcpts = NEW(struct job_rcpt);
	j->rcpts[0].facts = (struct store_rcpt){ .address = address, .original = address, .notify = NOTIFY_NEVER };
	j->n_rcpts = 1;
	j->verification = v;
	v->job = j;
	v->until_ms = loop_now_ms(s->loop) + WAIT_MS;
	s->n_pending++;
	return j;
}

void verify_ask(struct front *f, uint64_t request, struct str address, struct str sender)
{
	struct spool *s = f->spool;
	struct verification *v = map_get(s->verifications, address);
	if (v != NULL && v->job != NULL) {
		wait_for(v, f, request);
		return;
	}
	if (v != NULL && v->until_ms > loop_now_ms(s->loop)) {
		answer(f, request, v->code, v->status, v->text);
		return;
	}
	if (v != NULL)
		forget(v);
	if (address.n > ADDRESS_MAX || sender.n > ADDRESS_MAX) {
		answer(f, request, 553, "5.1.3", "This address is too long");
		return;
	}

	struct arena *a = arena_new(ARENA_MAX);
	const struct worker *courier = &s->workers[WORKER_COURIER];
	struct store_message m = { .sender = sender };
	struct str domain, key;
	struct route route = spool_route(s, &m, address, a, &domain, &key);
	if (key.p == NULL)
		answer(f, request, 553, "5.1.3", "This recipient's address is not one");
	else if (route.kind == ROUTE_REFUSED)
		answer(f, request, 550, "5.7.1", "This server does not send to this address");
	else if (route.kind == ROUTE_TO_MAILDIR || route.kind == ROUTE_ON_HOLD)
		answer(f, request, 250, "2.1.5", "Not verified");
	else if (courier->channel == NULL || courier->resting || s->n_pending >= VERIFY_PENDING_MAX || s->draining)
		answer_later(f, request);
	else {
		v = verification_new(s, address);
		wait_for(v, f, request);
		spool_job_send(ask(v, &route, domain, sender));
	}
	arena_free(&a);
}

static void put_text(char *to, size_t room, struct str text)
{
	size_t n = text.n < room - 1 ? text.n : room - 1;
	if (n > 0)
		memcpy(to, text.p, n);
	to[n] = '\0';
}

/* The next hop has spoken: yes and no are remembered, "later" is not. */
void verify_outcome(struct job *j, enum outcome_class class, const struct smtp_reply *reply)
{
	struct verification *v = j->verification;
	struct spool *s = j->spool;
	if (v == NULL)
		return;
	j->verification = NULL;
	v->job = NULL;
	s->n_pending--;

	struct status status = reply->status;
	uint16_t digit = class == OUTCOME_DONE ? 2 : class == OUTCOME_NEVER ? 5 : 4;
	bool fits = reply->code / 100 == digit;
	v->code = fits ? (uint64_t)reply->code : class == OUTCOME_DONE ? 250 : class == OUTCOME_NEVER ? 550 : 450;
	if (status.class != digit)
		status = (struct status){ digit, 1, class == OUTCOME_LATER ? 0 : class == OUTCOME_DONE ? 5 : 1 };
	snprintf(v->status, sizeof v->status, "%u.%u.%u", status.class, status.subject, status.detail);
	struct str text = reply->text, line;
	if (!str_take_until(&text, '\n', &line))
		line = text;
	put_text(v->text, sizeof v->text, line.n > 0 ? line : STR("The next server says so"));
	v->until_ms = loop_now_ms(s->loop) + (class == OUTCOME_DONE ? YES_MS : NO_MS);
	tell_waiting(v);
	if (class == OUTCOME_LATER)
		forget(v);
}

void verify_watch(struct spool *s)
{
	struct smtp_reply late = REPLY(450, 4, 4, 1, STR("This recipient cannot be verified now; try again later"));
	LIST_EACH(l, &s->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (j->verification == NULL || j->verification->until_ms > loop_now_ms(s->loop))
			continue;
		spool_job_release(j);
		j->rcpts[0].reported = true;
		verify_outcome(j, OUTCOME_LATER, &late);
		spool_job_end(j);
	}
}

void verify_forget_front(struct front *f)
{
	LIST_EACH(l, &f->spool->verifications_by_age) {
		struct verification *v = LIST_MEMBER(l, struct verification, in_age);
		LIST_EACH(k, &v->waiting) {
			struct waiting *w = LIST_MEMBER(k, struct waiting, in_verification);
			if (w->front != f)
				continue;
			link_remove(k);
			free(w);
		}
	}
}

void verify_fini(struct spool *s)
{
	LIST_EACH(l, &s->verifications_by_age)
		forget(LIST_MEMBER(l, struct verification, in_age));
	map_free(&s->verifications);
}
