/* SPDX-License-Identifier: ISC */
/* role/spool/audience.c -- where a notice goes: a sender of ours may be an alias, or carry a tag, and only the keeper
 * knows. What came in over a front was asked for there; notices never pass one. */
#include "role/spool/spool.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ipc/front_keeper.h"
#include "ipc/spool_keeper.h"

enum { REMEMBER_MS = 60000, AUDIENCES_MAX = 1000, ARENA_MAX = 4 << 20, TARGETS_MAX = 1000 };

struct question { struct link in_audience; uint64_t request; struct str address; };

struct audience {
	struct link in_spool;
	struct spool *spool;
	struct arena *arena;
	struct str sender;               /* whom to tell; "" : the postmasters */
	struct list questions;           /* not answered yet */
	struct audience_member *members;
	size_t n_members;
	bool failed;                     /* the keeper could not say: asked again later */
	int64_t until_ms;                /* remembered so long, once everything is answered */
};

static void audience_free(struct audience *a)
{
	link_remove(&a->in_spool);
	free(a->members);
	arena_free(&a->arena);
	free(a);
}

static void add_member(struct audience *a, struct str address, struct str original)
{
	if (a->n_members == TARGETS_MAX)
		return;
	struct str copy = arena_try_copy(a->arena, address);
	if (copy.p == NULL)
		return;
	a->members = must_resize(a->members, (a->n_members + 1) * sizeof *a->members);
	a->members[a->n_members++] = (struct audience_member){ copy, original };
}

static void send_question(struct spool *s, const struct question *q)
{
	if (s->keeper != NULL)
		channel_send(s->keeper, SPOOL_ASK_TARGETS,
		             &(struct spool_ask_targets){ .request = q->request, .address = q->address });
}

/* Mail to others goes where the route says; the keeper is asked for what is ours. */
static void ask(struct audience *a, struct str address)
{
	struct spool *s = a->spool;
	struct arena *scratch = arena_new(64 << 10);
	struct store_message m = { .id = STR_NONE };
	struct str domain, key;
	struct route route = spool_route(s, &m, address, scratch, &domain, &key);
	arena_free(&scratch);
	struct str copy = arena_copy(a->arena, address);
	if (!route.local) {
		add_member(a, copy, copy);
		return;
	}
	struct question *q = ARENA_NEW(a->arena, struct question);
	q->request = ++s->next_request;
	q->address = copy;
	list_add_last(&a->questions, &q->in_audience);
	send_question(s, q);
}

static struct audience *audience_new(struct spool *s, struct str sender)
{
	struct audience *a = NEW(struct audience);
	a->spool = s;
	a->arena = arena_new(ARENA_MAX);
	a->sender = arena_copy(a->arena, sender);
	a->until_ms = loop_now_ms(s->loop) + REMEMBER_MS;
	list_init(&a->questions);
	list_add_last(&s->audiences, &a->in_spool);
	if (sender.n > 0)
		ask(a, sender);
	for (size_t i = 0; sender.n == 0 && i < s->conf->postmaster.n; i++)
		ask(a, s->conf->postmaster.items[i]);
	return a;
}

static struct audience *find(struct spool *s, struct str sender)
{
	LIST_EACH(l, &s->audiences) {
		struct audience *a = LIST_MEMBER(l, struct audience, in_spool);
		if (str_eq(a->sender, sender))
			return a;
	}
	return NULL;
}

fault audience_find(struct spool *s, struct str sender, const struct audience_member **members_out, size_t *n_out)
{
	struct audience *a = find(s, sender);
	if (a == NULL)
		a = audience_new(s, sender);
	if (!list_empty(&a->questions) || a->failed)
		return F_BUSY;
	*members_out = a->members;
	*n_out = a->n_members;
	return OK;
}

static struct question *question_of(struct spool *s, uint64_t request, struct audience **of_out)
{
	LIST_EACH(l, &s->audiences) {
		struct audience *a = LIST_MEMBER(l, struct audience, in_spool);
		LIST_EACH(k, &a->questions) {
			struct question *q = LIST_MEMBER(k, struct question, in_audience);
			if (q->request == request) {
				*of_out = a;
				return q;
			}
		}
	}
	return NULL;
}

static void on_keeper(void *owner, unsigned kind, const void *msg, int fd)
{
	struct spool *s = owner;
	struct audience *a;
	fd_close(&fd);
	struct question *q = question_of(s, *(const uint64_t *)msg, &a); /* every message begins with its request */
	if (q == NULL) {
		explain_keeper_says(s, kind, msg);
		return;
	}
	if (kind == KEEPER_TARGET) {
		add_member(a, ((const struct keeper_target *)msg)->address, q->address);
		return;
	}
	switch (((const struct keeper_targets_end *)msg)->verdict) {
	case RCPT_LOCAL:
	case RCPT_UNKNOWN:
		break;
	case RCPT_VERIFY:
	case RCPT_REMOTE:
		add_member(a, q->address, q->address);
		break;
	default:
		a->failed = true;
		break;
	}
	link_remove(&q->in_audience);
	if (list_empty(&a->questions))
		spool_turn_soon(s);
}

static void on_keeper_closed(void *owner, const char *reason)
{
	struct spool *s = owner;
	if (!s->draining)
		role_link_broke(s->base, ARROW_SPOOL_KEEPER, 0, "keeper", reason);
	channel_close(&s->keeper);
}

/* The keeper went in the middle of its answer: its successor tells all of it again. */
static void forget_half_an_answer(struct audience *a, const struct question *q)
{
	size_t kept = 0;
	for (size_t i = 0; i < a->n_members; i++)
		if (a->members[i].original.p != q->address.p)
			a->members[kept++] = a->members[i];
	a->n_members = kept;
}

void audience_link(struct spool *s, int fd)
{
	static const struct channel_handler handler = { on_keeper, on_keeper_closed };
	channel_close(&s->keeper);
	s->keeper = channel_new(s->loop, fd, &keeper_to_spool, &spool_to_keeper, &handler, s);
	LIST_EACH(l, &s->audiences) {
		struct audience *a = LIST_MEMBER(l, struct audience, in_spool);
		LIST_EACH(k, &a->questions) {
			struct question *q = LIST_MEMBER(k, struct question, in_audience);
			forget_half_an_answer(a, q);
			send_question(s, q);
		}
	}
	explain_keeper_came(s);
}

/* Answers grow old, and failures are asked again. */
void audience_watch(struct spool *s)
{
	size_t n = 0;
	bool again = false;
	LIST_EACH(l, &s->audiences) {
		struct audience *a = LIST_MEMBER(l, struct audience, in_spool);
		bool answered = list_empty(&a->questions);
		if (++n > AUDIENCES_MAX || a->until_ms <= loop_now_ms(s->loop) || (answered && a->failed)) {
			again |= !answered || a->failed;
			audience_free(a);
		}
	}
	if (again)
		spool_turn_soon(s);
}

void audience_forget(struct spool *s)
{
	LIST_EACH(l, &s->audiences)
		audience_free(LIST_MEMBER(l, struct audience, in_spool));
}
