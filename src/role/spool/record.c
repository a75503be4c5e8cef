/* SPDX-License-Identifier: ISC */
/*
 * role/spool/record.c -- what becomes of letters goes into the history (store/history.h), when it is committed.
 *
 * A record tells of recipients of one message that fared alike in one turn: `event`; `accepted`, how it came, before the first
 * attempt was made; `rcpt` for each; then the story of the attempt, and the dialogue that failed (`said`). A letter that goes
 * through at once makes one record. Nothing here can fail in a way that mail would notice.
 */
#include "role/spool/spool.h"

#include "mail/story.h"
#include "store/history.h"

enum {
	RCPT_ROOM = 8 * STORY_VALUE_MAX, /* for one more recipient in a record */
	FLUSH_BYTES = 1 << 20,           /* so much is written at once, in the middle of a turn */
	ARENA_MAX = 8 << 20,
};

/* ---- the files ---- */

void record_open(struct spool *s)
{
	if (s->history == NULL)
		s->history = history_new(s->directory);
	history_limit(s->history, s->conf->queue.history_s, s->conf->queue.history_bytes);
}

void record_tidy(struct spool *s)
{
	if (s->history != NULL)
		history_tidy(s->history, spool_now_s(s));
}

/* What is left of the disk is for mail. */
void record_flush(struct spool *s)
{
	struct why why = { "" };
	if (s->history == NULL || history_gathered(s->history) == 0)
		return;
	fault f = OK;
	if (s->is_short) {
		history_forget(s->history);
		f = why_say(&why, F_LIMIT, "the disk is nearly full");
	} else {
		f = history_flush(s->history, spool_now_s(s), &why);
	}
	if (f != OK && !s->history_failed)
		log_event(LOG_TROUBLE, LOG_Z("text", "the history of letters cannot be written; mail goes on without it, and `sealpost why` "
		                                     "will not know of what happens now"), LOG_Z("reason", why.text));
	s->history_failed = f != OK;
}

void record_close(struct spool *s)
{
	if (s->history != NULL)
		record_flush(s);
	history_free(&s->history);
}

/* ---- a record ---- */

static void begin(struct story *to, struct spool *s, const struct store_message *m, bool first)
{
	story_begin(to, "event");
	story_add_u64(to, "at", (uint64_t)spool_now_s(s));
	story_add(to, "id", m->id);
	story_add(to, "sender", m->sender);
	story_end(to);
	if (!first)
		return;
	story_begin(to, "accepted");
	story_add_u64(to, "at", (uint64_t)m->arrived_s);
	story_add_u64(to, "size", m->size_bytes);
	story_add(to, "client", m->client);
	story_add(to, "helo", m->helo);
	story_add(to, "user", m->user);
	story_add(to, "protocol", m->with);
	story_add(to, "tls", m->tls);
	story_add(to, "tls_wish", tls_tag_name(m->tls_tag));
	story_end(to);
}

static void begin_rcpt(struct story *to, const struct store_rcpt *r, const char *what)
{
	story_begin(to, "rcpt");
	story_add(to, "address", r->address);
	if (!str_eq(r->original, r->address))
		story_add(to, "original", r->original);
	story_add(to, "what", str_of(what));
}

static bool has_room(const struct story *s)
{
	return story_text(s).n + RCPT_ROOM < STORY_BYTES_MAX;
}

static void add(struct spool *s, const struct story *lines, const struct str *more, size_t n_more)
{
	if (!history_add(s->history, story_text(lines), more, n_more) && history_is_on(s->history) && !s->history_failed) {
		s->history_failed = true;
		log_event(LOG_TROUBLE, LOG_Z("text", "too much happens at once for the history of letters: some of it is left out"));
	}
	if (history_gathered(s->history) > FLUSH_BYTES)
		record_flush(s);
}

/* ---- what was settled ---- */

static const char *word_for(const struct verdict *v)
{
	if (v->kind == SETTLE_HELD)
		return "held";
	if (v->kind == SETTLE_DAMAGED)
		return "damaged";
	if (v->kind == SETTLE_LATER)
		return "deferred";
	if (v->event == LOG_BOUNCED)
		return "bounced";
	return v->notice == DSN_RELAYED ? "relayed" : v->notice == DSN_EXPANDED ? "expanded" : "delivered";
}

/* Recipients that follow in a moment have not been tried. */
static bool counts(const struct verdict *v, const struct store_outcome *o)
{
	return o->result == OK && !v->moves && (v->counts || v->kind != SETTLE_LATER);
}

static bool fared_alike(const struct verdict *a, const struct verdict *b)
{
	return a->job == b->job && a->story.p == b->story.p && str_eq(a->dialogue, b->dialogue);
}

static void put_verdict(struct story *to, const struct verdict *v, const struct store_outcome *o)
{
	begin_rcpt(to, v->rcpt, word_for(v));
	if (v->counts)
		story_add_u64(to, "attempt", v->rcpt->attempts + 1);
	story_add(to, "host", v->host);
	story_add(to, "ip", v->ip);
	if (v->reached)
		story_add(to, "level", str_of(tls_level_name(v->level)));
	story_add(to, "tls", v->protection);
	story_add(to, "reply", v->line);
	story_add(to, "file", v->detail);
	if (v->kind == SETTLE_LATER)
		story_add_u64(to, "next", v->next_s > 0 ? (uint64_t)v->next_s : 0);
	if (v->warned)
		story_add(to, "warned", STR("yes"));
	if (o->needs != NULL)
		story_add(to, "notice", o->needs->message.id);
	story_end(to);
}

static void put_dialogue(struct story *to, struct str text)
{
	struct str line;
	while (str_next_line(&text, &line)) {
		story_begin(to, "said");
		story_add(to, "text", line);
		story_end(to);
	}
}

void record_verdicts(struct spool *s, struct verdict *const *verdicts, const struct store_outcome *outcomes, size_t n)
{
	if (s->history == NULL || !history_is_on(s->history))
		return;
	for (size_t i = 0, end; i < n; i = end) {
		end = i + 1;
		if (!counts(verdicts[i], &outcomes[i]))
			continue;
		struct story lines, said;
		story_init(&lines);
		story_init(&said);
		begin(&lines, s, &verdicts[i]->job->message, verdicts[i]->rcpt->attempts == 0);
		put_verdict(&lines, verdicts[i], &outcomes[i]);
		for (; end < n && counts(verdicts[end], &outcomes[end]) && fared_alike(verdicts[i], verdicts[end]) && has_room(&lines); end++)
			put_verdict(&lines, verdicts[end], &outcomes[end]);
		put_dialogue(&said, verdicts[i]->dialogue);
		struct str more[] = { verdicts[i]->story, story_text(&said) };
		add(s, &lines, more, 2);
		story_fini(&said);
		story_fini(&lines);
	}
}

/* ---- what no worker did ---- */

static void record_rows(struct spool *s, const struct store_message *m, const struct store_rcpt *rows, size_t n, const char *what,
                        const char *by)
{
	for (size_t i = 0; i < n;) {
		struct story lines;
		story_init(&lines);
		begin(&lines, s, m, rows[i].attempts == 0);
		do {
			begin_rcpt(&lines, &rows[i], what);
			if (by == NULL)
				story_add(&lines, "reply", rows[i].last_reply);
			else
				story_add(&lines, "by", str_of(by));
			story_end(&lines);
		} while (++i < n && has_room(&lines));
		add(s, &lines, NULL, 0);
		story_fini(&lines);
	}
}

void record_held(struct spool *s, const struct store_message *m, const struct store_rcpt *rcpts, size_t n)
{
	if (s->history == NULL || !history_is_on(s->history))
		return;
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i; end < n && rcpts[end].state == RCPT_HELD;)
			end++;
		record_rows(s, m, &rcpts[i], end - i, "held", NULL);
		end += end == i;
	}
}

/* Will this be done to that one? What is damaged is released only if it is whole, which shows later. */
static bool concerns(const struct spool *s, enum operator_action action, const struct store_rcpt *r)
{
	bool leased = r->state == RCPT_LEASED, held = leased ? s->ops->is_held(s->store, r->number) : r->state == RCPT_HELD;
	if (action == ACT_HOLD)
		return r->state == RCPT_QUEUED || (leased && !held);
	return action == ACT_REMOVE || (action == ACT_RELEASE && held);
}

void record_action(struct spool *s, const struct store_rcpt *rows, size_t n, enum operator_action action)
{
	static const char *const words[] = { [ACT_RETRY] = "retried", [ACT_HOLD] = "held", [ACT_RELEASE] = "released",
		                             [ACT_REMOVE] = "removed" };
	if (s->history == NULL || !history_is_on(s->history) || action == ACT_RETRY)
		return;
	struct arena *a = arena_new(ARENA_MAX);
	struct store_message m = { .id = STR_NONE };
	bool whole = false;
	for (size_t i = 0; i < n; i++) {
		if (!concerns(s, action, &rows[i]))
			continue;
		bool untold = rows[i].attempts == 0; /* else how it came was told with the first attempt */
		if (!str_eq(m.id, rows[i].id) || (untold && !whole)) {
			whole = untold && s->ops->message(s->store, rows[i].id, a, &m) == OK;
			if (!whole)
				m = (struct store_message){ .id = rows[i].id, .sender = rows[i].sender };
		}
		record_rows(s, &m, &rows[i], 1, words[action], "the operator");
	}
	arena_free(&a);
}
