/* SPDX-License-Identifier: ISC */
/* role/spool/turn.c -- the end of a turn: everything that finished in it becomes durable together, then it is said. */
#include "role/spool/spool.h"

#include <stdlib.h>

enum {
	TURN_ARENA_MAX = 512 << 20,
	NOTICE_RCPTS_MAX = 500,          /* with 5 KB each and the message itself they stay below SPOOL_NOTICE_BYTES_MAX */
};

/* One commit as it is put together. */
struct turn {
	struct spool *s;
	struct arena *arena;
	struct store_commit *commits;    /* first the messages of fronts, then notices */
	struct txn **txns;
	size_t n_txns;
	struct notice *notices;
	size_t n_notices;
	struct verdict **verdicts;
	struct store_outcome *outcomes;  /* one for each verdict */
	size_t n_verdicts;
};

/* Where routes decide at once, each turn brings the next: a refused queue of a million would keep all else waiting. */
void spool_turn_soon(struct spool *s)
{
	int64_t now_ms = loop_now_ms(s->loop);
	if (s->turns_at_once < SPOOL_TURNS_AT_ONCE || s->turned_ms != now_ms)
		later_set(s->loop, &s->turn);
	else
		timer_set(&s->breath, now_ms + 1);
}

static void count_turn(struct spool *s)
{
	int64_t now_ms = loop_now_ms(s->loop);
	s->turns_at_once = s->turned_ms == now_ms ? s->turns_at_once + 1 : 1;
	s->turned_ms = now_ms;
}

static size_t length(const struct list *list)
{
	size_t n = 0;
	LIST_EACH(l, list)
		n++;
	return n;
}

static void collect_txns(struct turn *t)
{
	LIST_EACH(l, &t->s->finished) {
		struct txn *x = LIST_MEMBER(l, struct txn, in_list);
		t->commits[t->n_txns] = (struct store_commit){ .draft = x->draft, .message = x->message,
			                                       .rcpts = x->rcpts, .n_rcpts = x->n_rcpts };
		x->draft = NULL; /* the store's from now on, whatever happens */
		t->txns[t->n_txns++] = x;
	}
}

static int by_message(const void *a, const void *b)
{
	const struct verdict *x = *(struct verdict *const *)a, *y = *(struct verdict *const *)b;
	int order = str_order(x->job->message.id, y->job->message.id);
	if (order != 0)
		return order;
	if (x->to_postmaster != y->to_postmaster)
		return x->to_postmaster ? 1 : -1;
	return x->rcpt->number < y->rcpt->number ? -1 : x->rcpt->number > y->rcpt->number;
}

static void tell_verdict(struct spool *s, const struct verdict *v, const struct store_outcome *o, const char *notice_id)
{
	const struct store_message *m = &v->job->message;
	int64_t now_s = spool_now_s(s);
	if (v->moves)
		return;
	log_event(v->event, LOG_S("id", m->id), LOG_S("from", m->sender), LOG_S("to", v->rcpt->address),
	          LOG_S("host", v->host), LOG_S("reply", v->line), LOG_U("attempts", v->rcpt->attempts + o->counts),
	          LOG_U("delay_s", now_s - m->arrived_s),
	          LOG_U("next_s", v->kind == SETTLE_LATER ? v->next_s - now_s : 0),
	          LOG_Z("notice", o->needs != NULL ? notice_id : "none"));
	if (v->warned && o->needs != NULL)
		log_event(LOG_DELAY_WARNED, LOG_S("id", m->id), LOG_S("to", v->rcpt->address), LOG_Z("notice", notice_id));
}

/* An operator has removed it meanwhile: there is nothing to settle, and nobody to tell. But that it got there is known. */
static void tell_late_delivery(struct spool *s, struct verdict *v)
{
	struct store_outcome o = { .result = OK, .counts = v->counts };
	if (!verdict_is_delivery(v))
		return;
	record_verdicts(s, &v, &o, 1);
	tell_verdict(s, v, &o, "none");
}

/* What an operator has done meanwhile goes before. */
static void collect_verdicts(struct turn *t)
{
	struct spool *s = t->s;
	int64_t until_s = spool_now_s(s) + SPOOL_LEASE_S;
	LIST_EACH(l, &s->verdicts) {
		struct verdict *v = LIST_MEMBER(l, struct verdict, in_spool);
		if (s->ops->renew(s->store, v->rcpt->number, v->rcpt->fence, until_s) != OK) {
			tell_late_delivery(s, v);
			verdict_free(v);
			continue;
		}
		verdict_heed_hold(v, s->ops->is_held(s->store, v->rcpt->number));
		if (!v->notify || notice_is_ready(s, v) == OK)
			t->verdicts[t->n_verdicts++] = v; /* else it waits until it is known who is to be told */
	}
	if (t->n_verdicts > 0)
		qsort(t->verdicts, t->n_verdicts, sizeof *t->verdicts, by_message);
}

static struct store_outcome outcome_of(const struct verdict *v)
{
	return (struct store_outcome){
		.rcpt = v->rcpt->number,
		.fence = v->rcpt->fence,
		.kind = v->kind,
		.next_s = v->next_s,
		.reply = v->line,
		.dialogue = v->dialogue,
		.key = str_eq(v->job->key, v->rcpt->key) ? STR_NONE : v->job->key,
		.delay_warned = v->warned,
		.counts = v->counts,
	};
}

/* The verdicts of one message, first to end, and the notice they cause. If it cannot be written now, they wait. */
static size_t settle_message(struct turn *t, size_t first, size_t end, size_t kept)
{
	struct notice *n = &t->notices[t->n_notices];
	fault f = notice_build(t->s, &t->verdicts[first], end - first, t->arena, n);
	if (f != OK && f != F_ABSENT) {
		t->s->commit_failed = true;
		log_event(LOG_TROUBLE, LOG_S("id", t->verdicts[first]->job->message.id),
		          LOG_Z("text", "a notice cannot be written now; it is tried again"), LOG_Z("fault", fault_name(f)));
		return kept;
	}
	struct store_commit *commit = NULL;
	if (f == OK) {
		commit = &t->commits[t->n_txns + t->n_notices++];
		*commit = n->commit;
	}
	for (size_t i = first; i < end; i++) {
		t->verdicts[kept] = t->verdicts[i];
		t->outcomes[kept] = outcome_of(t->verdicts[kept]);
		t->outcomes[kept].needs = t->verdicts[kept]->notify ? commit : NULL;
		kept++;
	}
	return kept;
}

static void settle_messages(struct turn *t)
{
	size_t kept = 0, end;
	for (size_t first = 0; first < t->n_verdicts; first = end) {
		struct str id = t->verdicts[first]->job->message.id;
		for (end = first + 1; end < t->n_verdicts && end - first < NOTICE_RCPTS_MAX &&
		                      str_eq(t->verdicts[end]->job->message.id, id) &&
		                      t->verdicts[end]->to_postmaster == t->verdicts[first]->to_postmaster;)
			end++;
		kept = settle_message(t, first, end, kept);
	}
	t->n_verdicts = kept;
}

static void tell_held(const struct txn *x)
{
	for (size_t i = 0; i < x->n_rcpts; i++)
		if (x->rcpts[i].state == RCPT_HELD)
			log_event(LOG_HELD, LOG_S("id", x->message.id), LOG_S("to", x->rcpts[i].address),
			          LOG_S("reply", x->rcpts[i].last_reply));
}

static void tell(struct turn *t)
{
	struct spool *s = t->s;
	record_verdicts(s, t->verdicts, t->outcomes, t->n_verdicts);
	for (size_t i = 0; i < t->n_txns; i++) {
		if (t->commits[i].result == OK) {
			tell_held(t->txns[i]);
			action_saw_commit(s, t->txns[i]);
			record_held(s, &t->txns[i]->message, t->txns[i]->rcpts, t->txns[i]->n_rcpts);
		}
		spool_txn_answer(t->txns[i], s, t->commits[i].result);
	}
	for (size_t i = 0; i < t->n_notices; i++) {
		const struct store_commit *c = &t->commits[t->n_txns + i];
		if (c->result == OK)
			log_event(LOG_NOTICE, LOG_S("id", c->message.id), LOG_S("to", t->notices[i].to));
	}
	for (size_t i = 0; i < t->n_verdicts; i++) {
		const struct store_outcome *o = &t->outcomes[i];
		if (o->result == OK)
			tell_verdict(s, t->verdicts[i], o, o->needs != NULL ? o->needs->message.id.p : "none");
		if (o->result == OK || o->result == F_STATE)
			verdict_free(t->verdicts[i]);
		else
			s->commit_failed = true; /* they stay, and are tried again a little later */
	}
}

static void commit(struct turn *t)
{
	struct spool *s = t->s;
	struct why why = { "" };
	s->is_busy = true;
	fault f = s->ops->commit(s->store, t->commits, t->n_txns + t->n_notices, t->outcomes, t->n_verdicts, &why);
	if (f == F_STORE) {
		spool_store_failed(s, why.text);
		return;
	}
	if (f != OK)
		log_event(LOG_QUEUE_FAILED, LOG_Z("text", why.text));
	if (f == F_LIMIT)
		spool_look_at_space(s);
	tell(t);
}

void spool_turn_now(struct spool *s)
{
	later_clear(&s->turn);
	count_turn(s);
	size_t n_txns = length(&s->finished), n_verdicts = s->commit_failed ? 0 : length(&s->verdicts);
	if (s->store != NULL && n_txns + n_verdicts > 0) {
		struct turn t = { .s = s, .arena = arena_new(TURN_ARENA_MAX) };
		t.commits = ARENA_ARRAY(t.arena, struct store_commit, n_txns + n_verdicts + 1);
		t.txns = ARENA_ARRAY(t.arena, struct txn *, n_txns + 1);
		t.notices = ARENA_ARRAY(t.arena, struct notice, n_verdicts + 1);
		t.verdicts = ARENA_ARRAY(t.arena, struct verdict *, n_verdicts + 1);
		t.outcomes = ARENA_ARRAY(t.arena, struct store_outcome, n_verdicts + 1);
		collect_txns(&t);
		if (n_verdicts > 0)
			collect_verdicts(&t);
		settle_messages(&t);
		commit(&t);
		arena_free(&t.arena);
	}
	record_flush(s);
	spool_schedule(s);
}
