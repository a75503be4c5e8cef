/* SPDX-License-Identifier: ISC */
/*
 * store/memory.c -- the queue in plain lists: the executable specification of store/store.h.
 *
 * It forgets everything when closed and looks at everything at every call. Where a reader asks what a
 * store must do, the answer is here, without storage in the way.
 */
#include "store/match.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"

enum { TEXT_MAX = 64 << 10, MESSAGE_ARENA_MAX = 256 << 20 };
static const size_t content_bytes_max = (size_t)4 << 30;

struct store_draft {
	struct link in_store;
	struct buf content;
};

struct message {
	struct link in_store;
	struct store_message facts;
	struct buf content;
	struct list rcpts;
	struct arena *arena;             /* of the strings that never change */
};

struct rcpt {
	struct link in_message;
	struct message *message;
	struct store_rcpt facts;
	struct buf key, reply, dialogue; /* the strings that do */
	enum rcpt_state unleased;        /* what it is again when its lease ends */
};

struct note {
	struct link in_store;
	struct buf key, value;
	int64_t expires_s;
};

struct store {
	struct list messages, drafts, notes;
	uint64_t number, fence;
};

static fault memory_open(struct str directory, const struct store_options *options, struct store **out,
                         struct why *why)
{
	(void)directory, (void)options, (void)why;
	struct store *s = NEW(struct store);
	list_init(&s->messages);
	list_init(&s->drafts);
	list_init(&s->notes);
	*out = s;
	return OK;
}

static void set_text(struct buf *b, struct str text)
{
	buf_clear(b);
	check(buf_add(b, str_sub(text, 0, TEXT_MAX)) == OK);
}

/* The facts show what the buffers hold. */
static void show_texts(struct rcpt *r)
{
	r->facts.key = buf_view(&r->key);
	r->facts.last_reply = buf_view(&r->reply);
	r->facts.last_dialogue = buf_view(&r->dialogue);
}

static void rcpt_free(struct rcpt *r)
{
	link_remove(&r->in_message);
	buf_fini(&r->key);
	buf_fini(&r->reply);
	buf_fini(&r->dialogue);
	free(r);
}

static void message_free(struct message *m)
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

static struct message *message_by_id(struct store *s, struct str id)
{
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		if (str_eq(m->facts.id, id))
			return m;
	}
	return NULL;
}

static struct rcpt *rcpt_by_number(struct store *s, uint64_t number)
{
	LIST_EACH(l, &s->messages)
		LIST_EACH(k, &LIST_MEMBER(l, struct message, in_store)->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.number == number)
				return r;
		}
	return NULL;
}

static void message_copy(struct store_message *to, const struct store_message *from, struct arena *a)
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

/* A copy of the recipient, and of every string in it, for the caller's arena. */
static bool rcpt_show(const struct rcpt *r, struct arena *a, struct store_rcpt *out)
{
	*out = r->facts;
	const struct { struct str *to, from; } texts[] = {
		{ &out->id, r->facts.id }, { &out->address, r->facts.address },
		{ &out->original, r->facts.original }, { &out->orcpt, r->facts.orcpt },
		{ &out->key, r->facts.key }, { &out->last_reply, r->facts.last_reply },
		{ &out->last_dialogue, r->facts.last_dialogue },
	};
	for (size_t i = 0; i < COUNT(texts); i++) {
		*texts[i].to = arena_try_copy(a, texts[i].from);
		if (texts[i].to->p == NULL)
			return false;
	}
	return true;
}

static void end_old_leases(struct store *s, int64_t now_s)
{
	LIST_EACH(l, &s->messages)
		LIST_EACH(k, &LIST_MEMBER(l, struct message, in_store)->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.state == RCPT_LEASED && r->facts.lease_until_s <= now_s)
				r->facts.state = r->unleased;
		}
}

/* How many messages of each key have been taken in this call, beyond the load that the caller named. */
struct taken { struct str key; unsigned messages; };

static unsigned taken_of(const struct taken *taken, size_t n, struct str key)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(taken[i].key, key))
			return taken[i].messages;
	return 0;
}

static struct rcpt *oldest_due(struct store *s, int64_t now_s, const struct store_room *room,
                               const struct taken *taken, size_t n_taken)
{
	struct rcpt *best = NULL;
	LIST_EACH(l, &s->messages)
		LIST_EACH(k, &LIST_MEMBER(l, struct message, in_store)->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.state == RCPT_QUEUED && r->facts.next_s <= now_s &&
			    (best == NULL || r->facts.next_s < best->facts.next_s) &&
			    room_load(room, r->facts.key) + taken_of(taken, n_taken, r->facts.key) < room->key_max)
				best = r;
		}
	return best;
}

static bool take_lease(struct store *s, struct rcpt *r, int64_t until_s, struct arena *a, struct store_rcpt *out)
{
	struct store_rcpt before = r->facts;
	r->unleased = r->facts.state;
	r->facts.state = RCPT_LEASED;
	r->facts.fence = s->fence + 1;
	r->facts.lease_until_s = until_s;
	if (!rcpt_show(r, a, out)) {
		r->facts = before;
		return false;
	}
	s->fence++;
	return true;
}

static fault memory_lease(struct store *s, int64_t now_s, int64_t lease_s, const struct store_room *room,
                          struct arena *a, struct store_rcpt *out, size_t max, size_t *n_out, struct why *why)
{
	(void)why;
	*n_out = 0;
	end_old_leases(s, now_s);
	struct taken *taken = must_alloc(sizeof *taken * (max + 1));
	size_t n_taken = 0;
	bool room_left = true;
	while (*n_out < max && room_left) {
		struct rcpt *first = oldest_due(s, now_s, room, taken, n_taken);
		if (first == NULL)
			break;
		size_t i = 0;
		while (i < n_taken && !str_eq(taken[i].key, first->facts.key))
			i++;
		if (i == n_taken)
			taken[n_taken++].key = first->facts.key;
		taken[i].messages++;
		struct str key = first->facts.key;
		int64_t next_s = first->facts.next_s;
		LIST_EACH(l, &first->message->rcpts) {
			struct rcpt *r = LIST_MEMBER(l, struct rcpt, in_message);
			if (*n_out == max || !room_left)
				break;
			if (r->facts.state != RCPT_QUEUED || r->facts.next_s != next_s || !str_eq(r->facts.key, key))
				continue;
			room_left = take_lease(s, r, now_s + lease_s, a, &out[*n_out]);
			*n_out += room_left;
		}
	}
	free(taken);
	return OK;
}

static fault memory_renew(struct store *s, uint64_t rcpt, uint64_t fence, int64_t until_s)
{
	struct rcpt *r = rcpt_by_number(s, rcpt);
	if (r == NULL || r->facts.state != RCPT_LEASED || r->facts.fence != fence)
		return F_STATE;
	r->facts.lease_until_s = until_s;
	return OK;
}

static fault memory_claim(struct store *s, const struct store_selector *which, int64_t now_s, int64_t lease_s,
                          struct arena *a, struct store_rcpt *out, size_t max, size_t *n_out, struct why *why)
{
	(void)why;
	*n_out = 0;
	end_old_leases(s, now_s);
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		LIST_EACH(k, &m->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.state == RCPT_LEASED || !selector_matches(which, &m->facts, &r->facts))
				continue;
			if (*n_out == max || !take_lease(s, r, now_s + lease_s, a, &out[*n_out]))
				return OK;
			++*n_out;
		}
	}
	return OK;
}

static fault memory_reclaim(struct store *s, struct why *why)
{
	(void)why;
	end_old_leases(s, INT64_MAX);
	return OK;
}

static fault memory_next_due(struct store *s, const struct store_room *room, int64_t *due_s_out)
{
	bool found = false;
	LIST_EACH(l, &s->messages)
		LIST_EACH(k, &LIST_MEMBER(l, struct message, in_store)->rcpts) {
			const struct store_rcpt *r = &LIST_MEMBER(k, struct rcpt, in_message)->facts;
			if (r->state == RCPT_HELD || r->state == RCPT_DAMAGED || room_load(room, r->key) >= room->key_max)
				continue;
			int64_t due_s = r->state == RCPT_LEASED ? r->lease_until_s : r->next_s;
			if (!found || due_s < *due_s_out)
				*due_s_out = due_s;
			found = true;
		}
	return found ? OK : F_ABSENT;
}

static fault memory_message(struct store *s, struct str id, struct arena *a, struct store_message *out)
{
	struct message *m = message_by_id(s, id);
	if (m == NULL)
		return F_ABSENT;
	message_copy(out, &m->facts, a);
	return OK;
}

static fault memory_content(struct store *s, struct str id, uint64_t offset, char *to, size_t room, size_t *n_out)
{
	struct message *m = message_by_id(s, id);
	if (m == NULL)
		return F_ABSENT;
	struct str all = buf_view(&m->content);
	struct str part = offset < all.n ? str_sub(all, (size_t)offset, room) : STR_NONE;
	if (part.n > 0)
		memcpy(to, part.p, part.n);
	*n_out = part.n;
	return OK;
}

static fault memory_list(struct store *s, const struct store_selector *which, uint64_t after_number, struct arena *a,
                         struct store_rcpt *out, size_t max, size_t *n_out)
{
	*n_out = 0;
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		LIST_EACH(k, &m->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.number <= after_number || !selector_matches(which, &m->facts, &r->facts))
				continue;
			if (*n_out == max || !rcpt_show(r, a, &out[*n_out]))
				return OK;
			++*n_out;
		}
	}
	return OK;
}

/* False if this action is not for a recipient in this state. */
static bool act_on(struct rcpt *r, enum operator_action action, int64_t now_s)
{
	enum rcpt_state state = r->facts.state;
	switch (action) {
	case ACT_RETRY:
		if (state == RCPT_QUEUED)
			r->facts.next_s = now_s;
		return state == RCPT_QUEUED;
	case ACT_HOLD:
		if (state == RCPT_HELD || state == RCPT_DAMAGED)
			return false;
		r->facts.state = RCPT_HELD;
		return true;
	case ACT_RELEASE: /* memory is always whole */
		if (state != RCPT_HELD && state != RCPT_DAMAGED)
			return false;
		r->facts.state = RCPT_QUEUED;
		r->facts.next_s = now_s;
		return true;
	case ACT_REMOVE:
		rcpt_free(r);
		return true;
	}
	return false;
}

static fault memory_act(struct store *s, const struct store_selector *which, enum operator_action action,
                        int64_t now_s, uint64_t *n_out)
{
	*n_out = 0;
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		LIST_EACH(k, &m->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (selector_matches(which, &m->facts, &r->facts))
				*n_out += act_on(r, action, now_s);
		}
		if (list_empty(&m->rcpts))
			message_free(m);
	}
	return OK;
}

/* Nothing here can be torn; what a caller has set aside is whole, and that is told. */
static fault memory_verify(struct store *s, struct store_round *round, uint64_t bytes, struct arena *a,
                           struct store_finding *out, size_t max, size_t *n_out, struct why *why)
{
	(void)bytes, (void)why;
	uint64_t at = 0;
	*n_out = 0;
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		bool aside = false;
		if (++at <= round->message)
			continue;
		if (*n_out == max)
			return OK;
		LIST_EACH(k, &m->rcpts)
			aside |= LIST_MEMBER(k, struct rcpt, in_message)->facts.state == RCPT_DAMAGED;
		if (aside)
			out[(*n_out)++] = (struct store_finding){ .id = arena_copy(a, m->facts.id),
				.text = STR("was set aside, and is whole: release it") };
		round->message++;
		round->messages++;
		round->bytes += buf_view(&m->content).n;
	}
	round->over = true;
	return OK;
}

static fault memory_set_aside(struct store *s, uint64_t rcpt, struct str text, struct why *why)
{
	struct rcpt *r = rcpt_by_number(s, rcpt);
	if (r == NULL)
		return why_say(why, F_ABSENT, "no such recipient");
	r->facts.state = RCPT_DAMAGED;
	set_text(&r->reply, text);
	show_texts(r);
	return OK;
}

static fault memory_clamp(struct store *s, int64_t now_s, int64_t latest_s, uint64_t *n_out)
{
	*n_out = 0;
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		if (m->facts.arrived_s > now_s)
			m->facts.arrived_s = now_s;
		LIST_EACH(k, &m->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.next_s <= latest_s)
				continue;
			r->facts.next_s = now_s;
			++*n_out;
		}
	}
	return OK;
}

static int64_t moved(int64_t time_s, int64_t by_s)
{
	return time_s + by_s < 0 ? 0 : time_s + by_s;
}

static fault memory_shift(struct store *s, int64_t by_s)
{
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		m->facts.arrived_s = moved(m->facts.arrived_s, by_s);
		LIST_EACH(k, &m->rcpts) {
			struct store_rcpt *r = &LIST_MEMBER(k, struct rcpt, in_message)->facts;
			r->next_s = moved(r->next_s, by_s);
		}
	}
	return OK;
}

static fault memory_counts(struct store *s, struct store_counts *out)
{
	*out = (struct store_counts){ 0 };
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		out->messages++;
		out->content_bytes += m->facts.size_bytes;
		LIST_EACH(k, &m->rcpts) {
			enum rcpt_state state = LIST_MEMBER(k, struct rcpt, in_message)->facts.state;
			out->queued += state == RCPT_QUEUED;
			out->leased += state == RCPT_LEASED;
			out->held += state == RCPT_HELD;
			out->damaged += state == RCPT_DAMAGED;
		}
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
		buf_init(&found->value, TEXT_MAX);
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
	.claim = memory_claim,
	.reclaim = memory_reclaim,
	.next_due = memory_next_due,
	.message = memory_message,
	.content = memory_content,
	.list = memory_list,
	.act = memory_act,
	.verify = memory_verify,
	.set_aside = memory_set_aside,
	.clamp = memory_clamp,
	.shift = memory_shift,
	.counts = memory_counts,
	.space = memory_space,
	.tidy = memory_tidy,
	.remember = memory_remember,
	.recall = memory_recall,
};
