/* SPDX-License-Identifier: ISC */
/* role/spool/ingest.c -- messages from the fronts, up to the moment when they are ours. */
#include "role/spool/spool.h"

#include <stdlib.h>

#include "base/check.h"

enum { TEXT_MAX = 1000 };

static void txn_free(struct txn *t, struct spool *s)
{
	s->n_arriving -= t->n_rcpts;
	if (t->front != NULL)
		map_remove_u64(t->front->txns, t->number);
	link_remove(&t->in_list);
	free(t->rcpts);
	arena_free(&t->arena);
	free(t);
}

static void txn_drop(struct spool *s, struct txn *t)
{
	if (t->draft != NULL && s->store != NULL)
		s->ops->draft_drop(s->store, &t->draft);
	txn_free(t, s);
}

/* Says no, and that is the last word: what the front has sent meanwhile finds no transaction and is passed over. */
static void refuse(struct txn *t, struct spool *s, unsigned code, const char *status, const char *text)
{
	struct spool_refused m = { .txn = t->number, .code = code, .status = str_of(status), .text = str_of(text) };
	if (t->front != NULL)
		channel_send(t->front->channel, SPOOL_REFUSED, &m);
	txn_drop(s, t);
}

static void refuse_by_fault(struct txn *t, struct spool *s, fault f)
{
	if (f == F_LIMIT)
		refuse(t, s, 452, "4.3.1", "The server's disk is full; try again later");
	else
		refuse(t, s, 451, "4.3.0", "The server cannot store mail now; try again later");
}

void spool_txn_answer(struct txn *t, struct spool *s, fault result)
{
	if (result != OK) {
		refuse_by_fault(t, s, result);
		return;
	}
	if (t->front != NULL)
		channel_send(t->front->channel, SPOOL_STORED,
		             &(struct spool_stored){ .txn = t->number, .id = t->message.id });
	txn_free(t, s);
}

/* The front keeps the limits of the RFCs; what it sends beyond them is cut. */
static bool copy_into(struct arena *a, struct str *to, struct str from)
{
	*to = arena_try_copy(a, str_sub(from, 0, TEXT_MAX));
	return to->p != NULL;
}

static bool copy_message(struct txn *t, const struct front_begin *m)
{
	struct store_message *to = &t->message;
	return copy_into(t->arena, &to->sender, m->sender) && copy_into(t->arena, &to->envid, m->envid) &&
	       copy_into(t->arena, &to->client, m->client) && copy_into(t->arena, &to->helo, m->helo) &&
	       copy_into(t->arena, &to->user, m->user) && copy_into(t->arena, &to->with, m->with) &&
	       copy_into(t->arena, &to->tls, m->tls);
}

static void begin(struct front *f, const struct front_begin *m)
{
	struct spool *s = f->spool;
	/* A session has one message at a time; its next may begin before the last word about the one before. */
	/* Without a configuration we are just beginning, or about to end because we could not take it. */
	if (s->conf == NULL || map_get_u64(f->txns, m->txn) != NULL || map_count(f->txns) >= 2 * s->conf->limits.connections) {
		channel_send(f->channel, SPOOL_REFUSED,
		             &(struct spool_refused){ .txn = m->txn, .code = 451, .status = STR("4.3.0"),
		                                      .text = s->conf == NULL ? STR("The server is just starting; try again later")
		                                                      : STR("Too many messages at a time; try again later") });
		return;
	}
	struct txn *t = NEW(struct txn);
	*t = (struct txn){ .front = f, .number = m->txn, .arrival = ++s->arrivals, .arena = arena_new(SPOOL_TXN_BYTES_MAX) };
	link_init(&t->in_list);
	map_set_u64(f->txns, t->number, t);

	char id[STORE_ID_MAX];
	spool_new_id(id);
	t->message = (struct store_message){
		.id = arena_copy(t->arena, str_of(id)),
		.arrived_s = spool_now_s(s),
		.body = m->body == BODY_8BIT ? BODY_8BIT : BODY_7BIT,
		.smtputf8 = m->smtputf8 != 0,
		.ret = m->ret <= RET_FULL ? (enum dsn_ret)m->ret : RET_DEFAULT,
	};
	struct address sender;
	uint64_t room = s->bytes_free > SPOOL_RESERVE_BYTES ? s->bytes_free - SPOOL_RESERVE_BYTES : 0;
	if (s->is_short || (s->store != NULL && m->size_bytes > room)) {
		refuse_by_fault(t, s, F_LIMIT);
	} else if (s->store == NULL || s->draining) {
		refuse_by_fault(t, s, F_STORE);
	} else if (!copy_message(t, m) ||
	           (m->sender.n > 0 && address_parse(m->sender, t->arena, &sender) != OK)) {
		refuse(t, s, 501, "5.1.7", "This sender's address is not one");
	} else {
		fault g = s->ops->draft_new(s->store, &t->draft);
		if (g != OK)
			refuse_by_fault(t, s, g);
		else
			channel_send(f->channel, SPOOL_BEGUN,
			             &(struct spool_begun){ .txn = t->number, .id = t->message.id });
	}
}

static void rcpt(struct txn *t, const struct front_rcpt *m)
{
	struct spool *s = t->front->spool;
	if (t->finished)
		return;
	if (t->n_rcpts == SPOOL_RCPTS_MAX || s->n_arriving == SPOOL_ARRIVING_MAX) {
		refuse(t, s, 452, "4.5.3", "Too many recipients in one message");
		return;
	}
	if (t->n_rcpts == t->cap_rcpts) {
		t->cap_rcpts = t->cap_rcpts == 0 ? 4 : t->cap_rcpts * 2;
		t->rcpts = must_resize(t->rcpts, t->cap_rcpts * sizeof *t->rcpts);
	}
	struct store_rcpt *r = &t->rcpts[t->n_rcpts];
	struct str domain;
	*r = (struct store_rcpt){ .notify = (unsigned)(m->notify & (2 * NOTIFY_EXPANDED - 1)), .next_s = t->message.arrived_s };
	if (!copy_into(t->arena, &r->address, m->address) || !copy_into(t->arena, &r->original, m->original) ||
	    !copy_into(t->arena, &r->orcpt, m->orcpt)) {
		refuse(t, s, 452, "4.5.3", "Too many recipients in one message");
		return;
	}
	if ((r->notify & NOTIFY_EXPANDED) != 0) {
		r->key = STR(EXPANDED_KEY);
		t->n_rcpts++;
		s->n_arriving++;
		return;
	}
	struct route route = spool_route(s, &t->message, r->address, t->arena, &domain, &r->key);
	if (r->key.p == NULL) {
		refuse(t, s, 553, "5.1.3", "This recipient's address is not one");
	} else if (route.kind == ROUTE_REFUSED) {
		struct why text;
		(void)why_say(&text, OK, "%.*s", STR_ARG(route.name));
		refuse(t, s, 550, "5.7.1", text.text);
	} else {
		r->state = route.kind == ROUTE_ON_HOLD ? RCPT_HELD : RCPT_QUEUED;
		if (r->state == RCPT_HELD)
			r->last_reply = STR("held by a route of the configuration");
		t->n_rcpts++;
		s->n_arriving++;
	}
}

static void chunk(struct txn *t, const struct front_chunk *m)
{
	struct spool *s = t->front->spool;
	channel_send(t->front->channel, SPOOL_TAKEN, &(struct spool_taken){ .txn = t->number, .bytes = m->bytes.n });
	if (t->finished)
		return;
	/* The front counts too; a little more is for the lines that it adds. */
	if (t->bytes + m->bytes.n > s->conf->limits.message_bytes + (64 << 10)) {
		refuse(t, s, 552, "5.3.4", "The message is larger than this server takes");
		return;
	}
	fault f = spool_has_room(s, m->bytes.n) ? s->ops->draft_append(s->store, t->draft, m->bytes) : F_LIMIT;
	t->bytes += m->bytes.n;
	if (f != OK)
		refuse_by_fault(t, s, f);
}

static void finish(struct txn *t, const struct front_finish *m)
{
	struct spool *s = t->front->spool;
	if (t->finished)
		return;
	if (m->size_bytes != t->bytes || t->n_rcpts == 0) {
		refuse(t, s, 451, "4.3.0", "The message did not arrive whole; try again later");
		return;
	}
	t->finished = true;
	t->message.size_bytes = t->bytes;
	if (m->body == BODY_8BIT)
		t->message.body = BODY_8BIT;
	t->message.tls_tag = m->tls_tag <= TLS_TAG_OPTIONAL ? (enum tls_tag)m->tls_tag : TLS_TAG_REQUIRED;
	if (t->message.tls_tag == TLS_TAG_REQUIRED)
		t->message.ret = RET_HEADERS; /* RFC 8689 5: whatever was said, here and by who comes after us */
	list_add_last(&s->finished, &t->in_list);
	spool_turn_soon(s);
}

static void on_front(void *owner, unsigned kind, const void *msg, int fd)
{
	struct front *f = owner;
	f->spool->stirs++;
	fd_close(&fd);
	if (kind == FRONT_BEGIN) {
		begin(f, msg);
		return;
	}
	if (kind == FRONT_VERIFY) {
		const struct front_verify *m = msg;
		verify_ask(f, m->request, m->address, m->sender);
		return;
	}
	/* Every other message begins with its transaction. One that we do not know was refused or is over. */
	struct txn *t = map_get_u64(f->txns, *(const uint64_t *)msg);
	if (t == NULL)
		return;
	if (kind == FRONT_RCPT)
		rcpt(t, msg);
	else if (kind == FRONT_CHUNK)
		chunk(t, msg);
	else if (kind == FRONT_FINISH)
		finish(t, msg);
	else if (kind == FRONT_ABORT && !t->finished) /* after FINISH it is too late: it may be ours already */
		txn_drop(f->spool, t);
}

static void on_front_closed(void *owner, const char *reason)
{
	struct front *f = owner;
	if (!f->spool->draining)
		role_link_broke(f->spool->base, ARROW_FRONT_SPOOL, f->instance, "front", reason);
	spool_front_drop(f);
}

void spool_front_add(struct spool *s, unsigned instance, int fd)
{
	static const struct channel_handler handler = { on_front, on_front_closed };
	LIST_EACH(l, &s->fronts) { /* one that was restarted takes the place of its former self */
		struct front *old = LIST_MEMBER(l, struct front, in_spool);
		if (old->instance == instance)
			spool_front_drop(old);
	}
	struct front *f = NEW(struct front);
	*f = (struct front){ .spool = s, .instance = instance, .txns = map_new(instance) };
	f->channel = channel_new(s->loop, fd, &front_to_spool, &spool_to_front, &handler, f);
	list_add_last(&s->fronts, &f->in_spool);
	if (s->is_short)
		spool_tell_shortage(s, f);
}

/* What was finished is committed all the same: the client may have been told nothing, and repeats it at worst. */
void spool_front_drop(struct front *f)
{
	struct spool *s = f->spool;
	size_t cursor = 0;
	void *value;
	while (map_each(f->txns, &cursor, NULL, &value)) {
		struct txn *t = value;
		map_remove_u64(f->txns, t->number);
		t->front = NULL;
		if (!t->finished)
			txn_drop(s, t);
		cursor = 0;
	}
	verify_forget_front(f);
	link_remove(&f->in_spool);
	map_free(&f->txns);
	channel_close(&f->channel);
	free(f);
}

void ingest_abandon(struct spool *s)
{
	LIST_EACH(l, &s->fronts) {
		struct front *f = LIST_MEMBER(l, struct front, in_spool);
		size_t cursor = 0;
		void *value;
		while (map_each(f->txns, &cursor, NULL, &value)) {
			if (((struct txn *)value)->finished)
				continue;
			refuse_by_fault(value, s, F_STORE);
			cursor = 0;
		}
	}
	LIST_EACH(l, &s->finished)
		spool_txn_answer(LIST_MEMBER(l, struct txn, in_list), s, F_STORE);
}
