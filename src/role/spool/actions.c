/* SPDX-License-Identifier: ISC */
/* role/spool/actions.c -- what an operator does to the queue: some recipients at a time, and mail goes on between. */
#include "role/spool/control_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
	REST_MS = 2,                     /* between two parts, where others want something: mail comes first */
	WAIT_MS = 10,                    /* between two looks whether it is its turn */
	TELL_FIRST_MS = 1000, TELL_MS = 2000, TELL_DONE_MS = 100, /* between two words that a long action goes on */
	COUNTS_AT_ONCE = 10,             /* calls of the store, each about a millisecond at most */
	ARENA_MAX = 64 << 20,
};

static const struct { const char *name, *done; enum operator_action action; } actions[] = {
	[CONTROL_RETRY] = { "retry", "due now", ACT_RETRY },
	[CONTROL_HOLD] = { "hold", "held", ACT_HOLD },
	[CONTROL_RELEASE] = { "release", "released", ACT_RELEASE },
	[CONTROL_BOUNCE] = { "bounce", "returned to the sender", ACT_REMOVE },
	[CONTROL_REMOVE] = { "remove", "removed", ACT_REMOVE },
};

static bool was_made_due(const struct control_session *c, uint64_t number)
{
	size_t from = 0, to = c->action.n_made_due;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (c->action.made_due[middle] < number)
			from = middle + 1;
		else
			to = middle;
	}
	return from < c->action.n_made_due && c->action.made_due[from] == number;
}

/* Beyond the limit they are counted twice, and made due once more. */
static void note_made_due(struct control_session *c, uint64_t number)
{
	if (c->which.domain.n == 0 || c->action.n_made_due == RETRY_NOTED_MAX)
		return;
	if (c->action.n_made_due == c->action.made_due_cap) {
		c->action.made_due_cap = c->action.made_due_cap == 0 ? ACT_LEAST : c->action.made_due_cap * 2;
		c->action.made_due = must_resize(c->action.made_due, c->action.made_due_cap * sizeof *c->action.made_due);
	}
	c->action.made_due[c->action.n_made_due++] = number;
}

/* Without what has been made due by this command, and tried since. */
static size_t not_yet_made_due(const struct control_session *c, struct store_rcpt *rows, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (!was_made_due(c, rows[i].number))
			rows[kept++] = rows[i];
	return kept;
}

static void retry_did(struct control_session *c, const struct store_rcpt *r)
{
	shape_end_rest(c->spool, r->key, c->began_ms);
	if (r->attempts == 0)
		note_made_due(c, r->number);
}

/* What is being delivered at this moment, and whether the action was done to it. */
static void note_delivery(struct control_session *c, const struct store_rcpt *r, bool did)
{
	if (r->state != RCPT_LEASED)
		return;
	bool is_done = c->verb == CONTROL_HOLD && c->spool->ops->is_held(c->spool->store, r->number); /* if it comes back */
	c->action.left += !did && !is_done;
	c->action.on_the_way += did && spool_is_on_the_way(c->spool, r);
}

static fault act(struct control_session *c, struct store_rcpt *rows, size_t n)
{
	struct spool *s = c->spool;
	enum operator_action action = actions[c->verb].action;
	bool did[ACT_MOST] = { false };
	n = not_yet_made_due(c, rows, n);
	record_action(s, rows, n, action);
	TRY(s->ops->act_on(s->store, rows, n, action, spool_now_s(s), did));
	for (size_t i = 0; i < n; i++) {
		c->action.done += did[i];
		note_delivery(c, &rows[i], did[i]);
		if (did[i] && action == ACT_RETRY)
			retry_did(c, &rows[i]);
		if (did[i] && action == ACT_REMOVE) /* silent towards everybody but the log */
			log_event(LOG_REMOVED, LOG_S("id", rows[i].id), LOG_S("to", rows[i].address));
	}
	spool_stop_unwanted_jobs(s);
	spool_turn_soon(s);
	return OK;
}

static fault bounce(struct control_session *c, struct store_rcpt *rows, size_t n)
{
	struct spool *s = c->spool;
	struct smtp_reply reply = REPLY(0, 5, 0, 0, STR("The administrator of this server has returned the message."));
	struct why why = { "" };
	for (size_t i = 0; i < n; i++)
		note_delivery(c, &rows[i], false);
	TRY(s->ops->claim(s->store, spool_now_s(s), SPOOL_LEASE_S, rows, n, &n, &why));
	TRY(spool_return_claimed(s, rows, n, &reply));
	c->action.done += n;
	spool_turn_now(s);
	return s->store != NULL ? OK : F_STORE;
}

/* As it was counted, without those that it has come to since. */
static uint64_t to_go(const struct control_session *c)
{
	uint64_t since = c->rows - c->action.to_go_rows;
	return c->action.to_go > since ? c->action.to_go - since : 0;
}

static void send_result(struct control_session *c, bool complete)
{
	json_t *o = json_object();
	json_object_set_new(o, "action", json_string(actions[c->verb].name));
	json_object_set_new(o, "recipients", json_integer((json_int_t)c->action.done));
	json_object_set_new(o, "complete", json_boolean(complete));
	json_object_set_new(o, "on_the_way", json_integer((json_int_t)c->action.on_the_way));
	json_object_set_new(o, "left", json_integer((json_int_t)c->action.left));
	if (c->action.knows_to_go && !complete)
		json_object_set_new(o, "to_go", json_integer((json_int_t)to_go(c)));
	control_send_row(c, o);
}

/* What the number of recipients alone would not tell of those that are being delivered. */
static void add_deliveries(const struct control_session *c, char *said, size_t room)
{
	size_t n = strlen(said);
	unsigned long long on_the_way = c->action.on_the_way, left = c->action.left;
	if (on_the_way > 0)
		snprintf(said + n, room - n, "; %llu of these %s with the next server already: if it takes %s, %s", on_the_way,
		         on_the_way == 1 ? "is" : "are", on_the_way == 1 ? "it" : "them",
		         c->verb == CONTROL_HOLD ? "that counts as delivered" : "`sealpost why` will tell");
	else if (left > 0)
		snprintf(said + n, room - n, "; %llu %s being delivered at this moment, and left alone", left, left == 1 ? "is" : "are");
}

static void action_over(struct control_session *c, fault f)
{
	char said[320];
	unsigned long long n = c->action.done;
	send_result(c, f == OK && c->place.over);
	if (f != OK) {
		snprintf(said, sizeof said, "the queue's storage failed; see the log. Before that, %llu recipient%s %s", n, n == 1 ? " was" : "s were",
		         actions[c->verb].done);
		control_say_end(c, 1, said);
	} else if (!c->place.over) {
		unsigned long long rest = to_go(c);
		snprintf(said, sizeof said, "stopped: %llu recipient%s %s, the other %llu left as %s", n, n == 1 ? "" : "s", actions[c->verb].done, rest,
		         rest == 1 ? "it is" : "they are");
		control_say_end(c, CONTROL_STATUS_STOPPED, said);
	} else if (c->rows == 0) {
		control_nothing_matched(c);
	} else {
		snprintf(said, sizeof said, "%llu recipient%s %s", n, n == 1 ? "" : "s", actions[c->verb].done);
		add_deliveries(c, said, sizeof said);
		control_say_end(c, 0, n > 0 ? said : "nothing to change: what matches is in that state, or damaged, or being delivered at this moment");
	}
}

/* ---- how far it is ---- */

static void count_from_here(struct control_session *c)
{
	c->action.counting = true;
	c->action.counted = c->place;
	c->action.to_go = c->action.taken.n;
	c->action.to_go_rows = c->rows;
}

/* Nothing is done meanwhile; that is short beside what there is to do. */
static fault count_some(struct control_session *c)
{
	struct spool *s = c->spool;
	for (int i = 0; i < COUNTS_AT_ONCE && !c->action.counted.over; i++) {
		size_t n = 0;
		TRY(s->ops->list(s->store, &c->which, &c->action.counted, NULL, NULL, SIZE_MAX, &n));
		c->action.to_go += n;
	}
	c->action.counting = !c->action.counted.over;
	c->action.knows_to_go = c->action.counted.over;
	return OK;
}

/* So that who is cut off knows what was done. Nothing piles up for who does not read. */
static void tell_so_far(struct control_session *c)
{
	int64_t now_ms = loop_now_ms(c->spool->loop), since_ms = c->action.told_done_ms > 0 ? c->action.told_done_ms : c->began_ms;
	if (c->action.done == c->action.told_done || now_ms - since_ms < TELL_DONE_MS || channel_backlog(c->channel) > 0)
		return;
	c->action.told_done_ms = now_ms;
	c->action.told_done = c->action.done;
	control_send_row(c, json_pack("{s:I}", "so_far", (json_int_t)c->action.done));
}

/* Who waits for the end hears that it goes on, and how far it is. */
static void tell_progress(struct control_session *c)
{
	int64_t now_ms = loop_now_ms(c->spool->loop);
	if (now_ms - c->began_ms < TELL_FIRST_MS || (c->action.told_ms != 0 && now_ms - c->action.told_ms < TELL_MS))
		return;
	if (!c->action.knows_to_go) {
		count_from_here(c);
		return;
	}
	c->action.told_ms = now_ms;
	json_t *o = json_object();
	json_object_set_new(o, "progress", json_true());
	json_object_set_new(o, "recipients", json_integer((json_int_t)c->action.done));
	json_object_set_new(o, "to_go", json_integer((json_int_t)to_go(c)));
	control_send_row(c, o);
}

/* ---- part by part ---- */

/* Larger parts cost less, a recipient. While nobody else wants anything, nobody waits for the end of one. */
void action_choose_part(struct control_session *c)
{
	c->action.alone = c->action.part > 0 && c->action.stirs == c->spool->stirs;
	bool large = c->action.alone && c->verb != CONTROL_BOUNCE; /* a notice for each takes room */
	c->action.part = !large ? ACT_LEAST : 2 * c->action.part < ACT_MOST ? 2 * c->action.part : ACT_MOST;
	c->action.stirs = c->spool->stirs;
}

int64_t control_act_rest_ms(const struct control_session *c)
{
	return c->action.waits ? WAIT_MS : c->action.alone ? 0 : REST_MS;
}

static fault act_listed(struct control_session *c, struct arena *a, struct store_rcpt *rows)
{
	struct spool *s = c->spool;
	size_t n = 0;
	c->which.unchecked = c->verb == CONTROL_REMOVE;
	TRY(s->ops->list(s->store, &c->which, &c->place, a, rows, c->action.part, &n));
	n = action_without_late(c, rows, n);
	c->rows += n;
	if (n == 0)
		return OK;
	return c->verb == CONTROL_BOUNCE ? bounce(c, rows, n) : act(c, rows, n);
}

/* First what has come due, then what was in hand when it began, then all the rest; but that when it is its turn. */
static fault act_part(struct control_session *c, struct arena *a)
{
	struct store_rcpt *rows = ARENA_ARRAY(a, struct store_rcpt, ACT_MOST);
	if (!c->action.begun)
		TRY(action_begin(c));
	if (c->action.taken.n > 0) {
		c->rows += c->action.taken.n;
		TRY(action_do_taken(c, c->verb == CONTROL_BOUNCE ? bounce : act));
	}
	c->action.waits = action_waits(c);
	if (c->action.waits || c->place.over)
		return OK;
	size_t n = action_in_hand(c, rows, c->action.part);
	c->rows += n;
	return n > 0 ? act(c, rows, n) : act_listed(c, a, rows);
}

/* Who breaks it off hears how many are left. False: that is known. */
static bool stop_some(struct control_session *c, fault *f_out)
{
	if (!c->action.stopping)
		count_from_here(c);
	c->action.stopping = true;
	if (c->action.counting)
		*f_out = count_some(c);
	return c->action.counting && *f_out == OK;
}

/* A part of what matches, durably; then mail has its turn. */
void control_act_some(struct control_session *c)
{
	fault f = OK;
	if (c->action.stop && c->action.begun && !c->place.over) {
		if (!stop_some(c, &f))
			action_over(c, f);
		return;
	}
	struct arena *a = arena_new(ARENA_MAX);
	action_choose_part(c);
	f = c->action.counting ? count_some(c) : act_part(c, a);
	if (f != OK || (c->place.over && c->action.taken.n == 0))
		action_over(c, f);
	else if (!c->action.counting)
		tell_progress(c);
	if (c->phase == ACTING)
		tell_so_far(c);
	arena_free(&a);
}

void actions_end_for_stop(struct spool *s)
{
	char said[200];
	LIST_EACH(l, &s->controls) {
		struct control_session *c = LIST_MEMBER(l, struct control_session, in_spool);
		if (c->phase != ACTING)
			continue;
		unsigned long long n = c->action.done;
		send_result(c, false);
		snprintf(said, sizeof said, "the server is stopping: %llu recipient%s %s, the others are as they were; the same command goes on with those", n,
		         n == 1 ? "" : "s", actions[c->verb].done);
		control_say_end(c, CONTROL_STATUS_UNAVAILABLE, said);
	}
}
