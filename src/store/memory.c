/* SPDX-License-Identifier: ISC */
/*
 * store/memory.c -- the queue in plain lists: the executable specification of store/store.h.
 *
 * It forgets everything when closed and looks at everything at every call. Where a reader asks what a
 * store must do, the answer is here and in its two other parts, without storage in the way: who may try what,
 * and when (memory_lease.c), what is shown of the queue, and the operator's actions on it (memory_look.c).
 */
#include "store/memory_inside.h"

#include <stdlib.h>

#include "base/check.h"

enum { TEXT_MAX = 64 << 10, NOTE_MAX = 4 << 20, MESSAGE_ARENA_MAX = 256 << 20 };
static const size_t content_bytes_max = (size_t)4 << 30;

struct store_draft {
	struct link in_store;
	struct buf content;
};

static fault memory_open(struct str directory, const struct store_options *options, struct store **out,
                         struct why *why)
{
	(void)directory, (void)options, (void)why;
	struct store *s = NEW(struct store);
	list_init(&s->messages);
	list_init(&s->drafts);
	list_init(&s->notes);
	list_init(&s->put_off);
	*out = s;
	return OK;
}

static void set_text(struct buf *b, struct str text)
{
	buf_clear(b);
	check(buf_add(b, str_sub(text, 0, b->max)) == OK);
}

/* The facts show what the buffers hold. */
static void show_texts(struct rcpt *r)
{
	r->facts.key = buf_view(&r->key);
	r->facts.last_reply = buf_view(&r->reply);
	r->facts.last_dialogue = buf_view(&r->dialogue);
}

void set_key(struct rcpt *r, struct str key)
{
	set_text(&r->key, key);
	show_texts(r);
}

void set_reply(struct rcpt *r, struct str text)
{
	set_text(&r->reply, text);
	show_texts(r);
}

void rcpt_free(struct rcpt *r)
{
	link_remove(&r->in_message);
	buf_fini(&r->key);
	buf_fini(&r->reply);
	buf_fini(&r->dialogue);
	free(r);
}

void message_free(struct message *m)
{
	LIST_EACH(l, &m->rcpts)
		rcpt_free(LIST_MEMBER(l, struct rcpt, in_message));
	link_remove(&m->in_store);
	buf_fini(&m->content);
	arena_free(&m->arena);
	free(m);
}

static void note_free(struct note *n)
{
	link_remove(&n->in_store);
	buf_fini(&n->key);
	buf_fini(&n->value);
	free(n);
}

static void memory_draft_drop(struct store *s, struct store_draft **d)
{
	(void)s;
	if (*d == NULL)
		return;
	link_remove(&(*d)->in_store);
	buf_fini(&(*d)->content);
	free(*d);
	*d = NULL;
}

static void memory_close(struct store **store)
{
	struct store *s = *store;
	if (s == NULL)
		return;
	LIST_EACH(l, &s->messages)
		message_free(LIST_MEMBER(l, struct message, in_store));
	LIST_EACH(l, &s->drafts) {
		struct store_draft *d = LIST_MEMBER(l, struct store_draft, in_store);
		memory_draft_drop(s, &d);
	}
	LIST_EACH(l, &s->notes)
		note_free(LIST_MEMBER(l, struct note, in_store));
	memory_put_off_nothing(s);
	free(s);
	*store = NULL;
}

static fault memory_draft_new(struct store *s, struct store_draft **out)
{
	struct store_draft *d = NEW(struct store_draft);
	buf_init(&d->content, content_bytes_max);
	list_add_last(&s->drafts, &d->in_store);
	*out = d;
	return OK;
}

static fault memory_draft_append(struct store *s, struct store_draft *d, struct str bytes)
{
	(void)s;
	return buf_add(&d->content, bytes);
}

struct message *message_by_id(struct store *s, struct str id)
{
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		if (str_eq(m->facts.id, id))
			return m;
	}
	return NULL;
}

struct rcpt *rcpt_by_number(const struct store *s, uint64_t number)
{
	LIST_EACH(l, &s->messages)
		LIST_EACH(k, &LIST_MEMBER(l, struct message, in_store)->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.number == number)
				return r;
		}
	return NULL;
}

void message_copy(struct store_message *to, const struct store_message *from, struct arena *a)
{
	*to = *from;
	to->id = arena_copy(a, from->id);
	to->sender = arena_copy(a, from->sender);
	to->envid = arena_copy(a, from->envid);
	to->client = arena_copy(a, from->client);
	to->helo = arena_copy(a, from->helo);
	to->user = arena_copy(a, from->user);
	to->with = arena_copy(a, from->with);
	to->tls = arena_copy(a, from->tls);
}

static void rcpt_new(struct store *s, struct message *m, const struct store_rcpt *from)
{
	struct rcpt *r = NEW(struct rcpt);
	r->message = m;
	r->facts = (struct store_rcpt){
		.number = ++s->number,
		.id = m->facts.id,
		.address = arena_copy(m->arena, from->address),
		.original = arena_copy(m->arena, from->original),
		.orcpt = arena_copy(m->arena, from->orcpt),
		.notify = from->notify,
		.state = from->state == RCPT_HELD ? RCPT_HELD : RCPT_QUEUED,
		.next_s = from->next_s,
	};
	buf_init(&r->key, TEXT_MAX);
	buf_init(&r->reply, TEXT_MAX);
	buf_init(&r->dialogue, TEXT_MAX);
	set_text(&r->key, from->key);
	set_text(&r->reply, from->last_reply);
	show_texts(r);
	list_add_last(&m->rcpts, &r->in_message);
}

static fault commit_message(struct store *s, struct store_commit *c)
{
	if (c->message.id.n == 0 || c->message.id.n > STORE_ID_MAX || c->n_rcpts == 0)
		return F_STATE;
	if (c->n_rcpts > STORE_RCPTS_MAX)
		return F_LIMIT;
	if (message_by_id(s, c->message.id) != NULL)
		return F_EXISTS;
	struct message *m = NEW(struct message);
	m->arena = arena_new(MESSAGE_ARENA_MAX);
	list_init(&m->rcpts);
	message_copy(&m->facts, &c->message, m->arena);
	m->content = c->draft->content;
	buf_init(&c->draft->content, content_bytes_max);
	m->facts.size_bytes = buf_view(&m->content).n;
	for (size_t i = 0; i < c->n_rcpts; i++)
		rcpt_new(s, m, &c->rcpts[i]);
	list_add_last(&s->messages, &m->in_store);
	return OK;
}

static fault settle(struct store *s, const struct store_outcome *o)
{
	struct rcpt *r = rcpt_by_number(s, o->rcpt);
	if (r == NULL || r->facts.state != RCPT_LEASED || r->facts.fence != o->fence)
		return F_STATE;
	if (o->kind == SETTLE_DONE) {
		struct message *m = r->message;
		rcpt_free(r);
		if (list_empty(&m->rcpts))
			message_free(m);
		return OK;
	}
	r->facts.state = o->kind == SETTLE_HELD ? RCPT_HELD : o->kind == SETTLE_DAMAGED ? RCPT_DAMAGED : RCPT_QUEUED;
	r->facts.next_s = o->next_s;
	r->facts.attempts += o->counts;
	r->facts.delay_warned |= o->delay_warned;
	if (o->key.n > 0)
		set_text(&r->key, o->key);
	if (o->reply.n > 0)
		set_text(&r->reply, o->reply);
	if (o->dialogue.n > 0)
		set_text(&r->dialogue, str_sub(o->dialogue, 0, STORE_DIALOGUE_MAX));
	show_texts(r);
	return OK;
}

static fault memory_commit(struct store *s, struct store_commit *commits, size_t n_commits,
                           struct store_outcome *outcomes, size_t n_outcomes, struct why *why)
{
	(void)why;
	for (size_t i = 0; i < n_commits; i++) {
		commits[i].result = commit_message(s, &commits[i]);
		memory_draft_drop(s, &commits[i].draft);
	}
	for (size_t i = 0; i < n_outcomes; i++) {
		const struct store_commit *needs = outcomes[i].needs;
		outcomes[i].result = needs != NULL && needs->result != OK ? needs->result : settle(s, &outcomes[i]);
	}
	return OK;
}

static fault memory_space(struct store *s, uint64_t *bytes_free_out, uint64_t *names_free_out)
{
	(void)s;
	*bytes_free_out = *names_free_out = UINT64_MAX;
	return OK;
}

static fault memory_tidy(struct store *s, bool *more_out, struct why *why)
{
	(void)s, (void)why;
	*more_out = false;
	return OK;
}

/* The one that expires first; with equals the last in the order of keys. */
static struct note *note_to_go(struct store *s, struct str prefix, uint64_t *n_out, uint64_t *bytes_out)
{
	struct note *first = NULL;
	*n_out = *bytes_out = 0;
	LIST_EACH(l, &s->notes) {
		struct note *n = LIST_MEMBER(l, struct note, in_store);
		struct str key = buf_view(&n->key);
		if (!str_starts(key, prefix))
			continue;
		++*n_out;
		*bytes_out += key.n + buf_view(&n->value).n;
		if (first == NULL || n->expires_s < first->expires_s ||
		    (n->expires_s == first->expires_s && str_order(key, buf_view(&first->key)) > 0))
			first = n;
	}
	return first;
}

static bool memory_rest(struct store *s)
{
	(void)s;
	return false;
}

static fault memory_trim(struct store *s, struct str prefix, uint64_t most, uint64_t bytes_max, uint64_t *gone_out)
{
	uint64_t n, bytes;
	*gone_out = 0;
	for (struct note *o; (o = note_to_go(s, prefix, &n, &bytes)) != NULL && (n > most || bytes > bytes_max); ++*gone_out)
		note_free(o);
	return OK;
}

static fault memory_remember(struct store *s, struct str key, struct str value, int64_t expires_s)
{
	struct note *found = NULL;
	LIST_EACH(l, &s->notes) {
		struct note *n = LIST_MEMBER(l, struct note, in_store);
		if (str_eq(buf_view(&n->key), key))
			found = n;
	}
	if (found == NULL) {
		found = NEW(struct note);
		buf_init(&found->key, TEXT_MAX);
		buf_init(&found->value, NOTE_MAX);
		set_text(&found->key, key);
		list_add_last(&s->notes, &found->in_store);
	}
	set_text(&found->value, value);
	found->expires_s = expires_s;
	return OK;
}

static fault memory_recall(struct store *s, int64_t now_s, struct arena *a,
                           void (*each)(void *owner, struct str key, struct str value, int64_t expires_s),
                           void *owner)
{
	(void)a;
	LIST_EACH(l, &s->notes) {
		struct note *n = LIST_MEMBER(l, struct note, in_store);
		if (n->expires_s <= now_s)
			note_free(n);
		else
			each(owner, buf_view(&n->key), buf_view(&n->value), n->expires_s);
	}
	return OK;
}

/* The first key behind `after`. */
static struct note *note_behind(struct store *s, struct str prefix, struct str after)
{
	struct note *first = NULL;
	LIST_EACH(l, &s->notes) {
		struct note *n = LIST_MEMBER(l, struct note, in_store);
		struct str key = buf_view(&n->key);
		if (str_starts(key, prefix) && str_order(key, after) > 0 && (first == NULL || str_order(key, buf_view(&first->key)) < 0))
			first = n;
	}
	return first;
}

static fault memory_recall_some(struct store *s, struct str prefix, struct str after, size_t max,
                                void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner,
                                size_t *n_out)
{
	struct note *n;
	for (*n_out = 0; *n_out < max && (n = note_behind(s, prefix, after)) != NULL; ++*n_out) {
		after = buf_view(&n->key);
		each(owner, after, buf_view(&n->value), n->expires_s);
	}
	return OK;
}

const struct store_ops store_memory = {
	.name = "memory",
	.open = memory_open,
	.close = memory_close,
	.draft_new = memory_draft_new,
	.draft_append = memory_draft_append,
	.draft_drop = memory_draft_drop,
	.commit = memory_commit,
	.lease = memory_lease,
	.renew = memory_renew,
	.is_held = memory_is_held,
	.claim = memory_claim,
	.reclaim = memory_reclaim,
	.next_due = memory_next_due,
	.ask_again = memory_ask_again,
	.message = memory_message,
	.content = memory_content,
	.list = memory_list,
	.act_on = memory_act_on,
	.act = memory_act,
	.verify = memory_verify,
	.set_aside = memory_set_aside,
	.clamp = memory_clamp,
	.shift = memory_shift,
	.counts = memory_counts,
	.glance = memory_glance,
	.space = memory_space,
	.tidy = memory_tidy,
	.rest = memory_rest,
	.trim = memory_trim,
	.remember = memory_remember,
	.recall = memory_recall,
	.recall_some = memory_recall_some,
};
