/* SPDX-License-Identifier: ISC */
/* role/spool/verdict.c -- what an outcome means for the recipient, and for the sender. */
#include "role/spool/spool.h"

#include <stdlib.h>

#include "base/check.h"
#include "mail/story.h"

enum { TEXT_MAX = 2000, DIALOGUE_MAX = STORE_DIALOGUE_MAX, AGAIN_S = 2 };

static struct verdict *verdict_new(struct job *j, size_t index, enum settle_kind kind, enum log_event event)
{
	struct spool *s = j->spool;
	check(index < j->n_rcpts && !j->rcpts[index].reported);
	j->rcpts[index].reported = true;
	j->verdicts++;
	struct verdict *v = NEW(struct verdict);
	*v = (struct verdict){ .job = j, .rcpt = &j->rcpts[index].facts, .kind = kind, .event = event };
	list_add_last(&s->verdicts, &v->in_spool);
	spool_turn_soon(s);
	return v;
}

void verdict_free(struct verdict *v)
{
	struct job *j = v->job;
	link_remove(&v->in_spool);
	free(v);
	j->verdicts--;
	spool_job_free_if_done(j);
}

static struct str keep(struct job *j, struct str text, size_t max)
{
	return text.n == 0 ? STR_NONE : arena_try_copy(j->arena, str_sub(text, 0, max));
}

static void keep_reply(struct verdict *v, const struct smtp_reply *reply)
{
	struct buf line;
	v->reply = *reply;
	v->reply.text = keep(v->job, reply->text, TEXT_MAX);
	buf_init(&line, 2 * TEXT_MAX + 64);
	if (reply_put_line(&line, &v->reply) == OK)
		v->line = keep(v->job, buf_view(&line), TEXT_MAX);
	buf_fini(&line);
}

/* One copy for all recipients that it holds for. */
static struct str story_of(struct job *j)
{
	if (j->story_kept.n == 0)
		j->story_kept = keep(j, j->story, STORY_BYTES_MAX);
	return j->story_kept;
}

static void keep_facts(struct verdict *v, const struct outcome_facts *o)
{
	keep_reply(v, &o->reply);
	v->host = keep(v->job, o->host, 255);
	v->ip = keep(v->job, o->ip, 64);
	v->detail = keep(v->job, o->detail, 255);
	v->reached = o->host.n > 0;
	v->level = o->level;
	v->story = story_of(v->job);
	v->dialogue = keep(v->job, o->dialogue, DIALOGUE_MAX);
	v->protection = keep(v->job, o->protection, 255);
}

/* RFC 3461 4.1: without NOTIFY the sender hears of failures, and of delays if we like. */
static bool wants(const struct store_rcpt *r, unsigned what)
{
	return r->notify == 0 || (r->notify & what) != 0;
}

/* What never can be delivered goes back; what cannot go back goes to the postmaster; what not even the postmaster
 * can get stays, held, until a person looks. */
static void make_failure(struct verdict *v)
{
	v->counts = true;
	v->notice = DSN_FAILED;
	v->to_postmaster = v->job->message.sender.n == 0;
	v->notify = v->to_postmaster || wants(v->rcpt, NOTIFY_FAILURE);
	if (v->to_postmaster && notice_was_for_postmaster(v->job->spool, v->rcpt))
		verdict_give_up(v);
}

void verdict_give_up(struct verdict *v)
{
	v->notify = false;
	if (v->notice != DSN_FAILED)
		return; /* no harm: the letter itself goes on */
	v->kind = SETTLE_HELD;
	v->event = LOG_HELD;
	log_event(LOG_TROUBLE, LOG_S("id", v->job->message.id), LOG_S("to", v->rcpt->address),
	          LOG_Z("text", "a notice cannot be delivered, not even to the postmaster; it is held: "
	                        "look at it with `sealpost queue show`"));
}

static struct route route_now(struct job *j, const struct store_rcpt *r)
{
	struct str domain, key;
	struct arena *a = arena_new(64 << 10);
	struct route route = spool_route_of(j->spool, &j->message, r, a, &domain, &key);
	arena_free(&a); /* route.retry points into the configuration; the rest is not used */
	return route;
}

/* The same for all of a job's recipients, so that they stay together. */
static uint64_t roll(const struct job *j)
{
	return j->number * 0x9E3779B97F4A7C15u >> 20;
}

static void make_later(struct verdict *v)
{
	struct job *j = v->job;
	struct spool *s = j->spool;
	const struct store_rcpt *r = v->rcpt;
	struct route route = route_now(j, r);
	int64_t now_s = spool_now_s(s);
	int64_t arrived_s = j->message.arrived_s < now_s ? j->message.arrived_s : now_s;
	if (retry_gives_up(s->conf, route.retry, arrived_s, now_s)) {
		v->kind = SETTLE_DONE;
		v->event = LOG_BOUNCED;
		make_failure(v);
		return;
	}
	v->kind = SETTLE_LATER;
	v->event = LOG_DEFERRED;
	v->counts = true;
	v->next_s = retry_next_s(s->conf, route.retry, r->attempts + 1, now_s, roll(j));
	if (!r->delay_warned && retry_warns(s->conf, route.retry, arrived_s, now_s)) {
		v->warned = true;
		v->notify = j->message.sender.n > 0 && wants(r, NOTIFY_DELAY);
		v->notice = DSN_DELAYED;
	}
}

static void make_done(struct verdict *v, bool next_hop_notifies)
{
	struct job *j = v->job;
	bool local = j->route.kind == ROUTE_TO_MAILDIR || j->route.kind == ROUTE_TO_LMTP;
	v->counts = true;
	/* RFC 3461 5.2.2: a next hop that speaks DSN takes over the duty. */
	v->notify = (v->rcpt->notify & NOTIFY_SUCCESS) != 0 && j->message.sender.n > 0 && (local || !next_hop_notifies);
	v->notice = local ? DSN_DELIVERED : DSN_RELAYED;
}

static struct verdict *keep_back(struct job *j, size_t index, enum settle_kind kind, const char *text)
{
	struct smtp_reply reply = REPLY(0, 0, 0, 0, str_of(text));
	struct verdict *v = verdict_new(j, index, kind, LOG_HELD);
	keep_reply(v, &reply);
	v->next_s = v->rcpt->next_s;
	return v;
}

void verdict_on_outcome(struct job *j, size_t index, const struct outcome_facts *o)
{
	if (j->damaged && o->class != OUTCOME_DONE) {
		/* Set aside: the log has it as `held` like all that waits for a person, after `queue-damaged`. */
		(void)keep_back(j, index, SETTLE_DAMAGED, "its content in the queue is damaged");
		return;
	}
	struct verdict *v = verdict_new(j, index, SETTLE_DONE, LOG_DELIVERED);
	keep_facts(v, o);
	switch (o->class) {
	case OUTCOME_DONE:
		make_done(v, o->next_hop_notifies);
		break;
	case OUTCOME_NEVER:
		v->event = LOG_BOUNCED;
		make_failure(v);
		break;
	case OUTCOME_LATER:
		make_later(v);
		break;
	}
}

static struct verdict *put_off(struct job *j, size_t index, const char *text)
{
	struct smtp_reply reply = REPLY(0, 4, 4, 2, str_of(text));
	struct verdict *v = verdict_new(j, index, SETTLE_LATER, LOG_DEFERRED);
	keep_reply(v, &reply);
	make_later(v);
	return v;
}

void verdict_later(struct job *j, size_t index, const char *text, int64_t next_s)
{
	struct verdict *v = put_off(j, index, text);
	if (next_s > 0 && v->kind == SETTLE_LATER)
		v->next_s = next_s;
}

void verdict_again(struct job *j, size_t index, const char *text)
{
	struct verdict *v = put_off(j, index, text);
	if (v->kind != SETTLE_LATER)
		return;
	v->next_s = spool_now_s(j->spool) + AGAIN_S;
	v->counts = false;
}

void verdict_wait(struct job *j, size_t index, const char *text)
{
	struct verdict *v = put_off(j, index, text);
	if (v->kind != SETTLE_LATER)
		return;
	v->next_s = spool_now_s(j->spool);
	v->counts = false;
	v->moves = !v->warned && !str_eq(v->rcpt->key, j->key);
	if (v->moves)
		v->line = STR_NONE; /* what was said last stays */
}

void verdict_stopped(struct job *j, size_t index)
{
	struct verdict *v = verdict_new(j, index, SETTLE_LATER, LOG_DEFERRED);
	v->next_s = spool_now_s(j->spool);
	v->moves = true;
}

bool verdict_is_delivery(const struct verdict *v)
{
	return v->kind == SETTLE_DONE && v->event != LOG_BOUNCED;
}

void verdict_heed_hold(struct verdict *v, bool is_held)
{
	if (is_held && !verdict_is_delivery(v) && v->kind != SETTLE_DAMAGED) {
		v->kind = SETTLE_HELD;
		v->event = LOG_HELD;
		v->notify = v->warned = false;
		v->stays = true;
	} else if (v->stays && !is_held) {
		v->kind = SETTLE_LATER;
		v->event = LOG_DEFERRED;
		v->next_s = spool_now_s(v->job->spool);
		v->stays = false;
	}
}

void verdict_hold(struct job *j, size_t index, const char *text)
{
	(void)keep_back(j, index, SETTLE_HELD, text);
}

void verdict_expanded(struct job *j, size_t index)
{
	struct smtp_reply reply = REPLY(250, 2, 1, 5, STR("expanded to several recipients"));
	struct verdict *v = verdict_new(j, index, SETTLE_DONE, LOG_EXPANDED);
	keep_reply(v, &reply);
	v->notify = j->message.sender.n > 0;
	v->notice = DSN_EXPANDED;
}

void verdict_return(struct job *j, size_t index, const struct smtp_reply *reply)
{
	struct verdict *v = verdict_new(j, index, SETTLE_DONE, LOG_BOUNCED);
	keep_reply(v, reply);
	make_failure(v);
	v->counts = false; /* nobody was asked */
}
