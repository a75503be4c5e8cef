/* SPDX-License-Identifier: ISC */
/*
 * role/front/intake.c -- a message on its way to the spool: header first, then chunks against credit.
 *
 * The header block is kept until it is whole, because what is missing goes in front of it and because a
 * message may be refused for it. The rest passes through. The client's 250 is the spool's STORED.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "mail/header.h"
#include "mail/trace.h"
#include "role/front/front.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	PREFIX_BYTES_MAX = 16 << 10,
	REFUSAL_TEXT_MAX = 512,
	/* The core gives at most SMTP_INPUT_MAX at a time: room for one more must be left. */
	AHEAD_BYTES_MAX = FRONT_CREDIT_BYTES - SMTP_INPUT_MAX - 2,
};

static bool is_submission(const struct session *s)
{
	return s->kind == LISTEN_SUBMISSION || s->kind == LISTEN_SUBMISSIONS || s->kind == LISTEN_LOCAL;
}

/* ---- the end of a letter ---- */

struct intake *intake_new(struct session *s)
{
	intake_reset(s);
	s->letter = NEW(struct intake);
	s->letter->arena = arena_new(ENVELOPE_BYTES_MAX);
	s->letter->last_rcpt = &s->letter->rcpts;
	return s->letter;
}

static void forget(struct session *s)
{
	struct intake *l = s->letter;
	s->letter = NULL;
	if (l->txn != 0)
		(void)map_remove_u64(s->front->asks, l->txn);
	buf_fini(&l->header);
	str_release(&l->refusal.text);
	arena_free(&l->arena);
	free(l);
}

/* Whatever the spool has of it is void. */
void intake_reset(struct session *s)
{
	if (s->letter == NULL)
		return;
	if (s->letter->txn != 0 && s->front->spool != NULL)
		channel_send(s->front->spool, FRONT_ABORT, &(struct front_abort){ .txn = s->letter->txn });
	forget(s);
}

static void answer_all(struct session *s, struct smtp_reply reply)
{
	for (size_t n = s->letter->answers_due; n > 0; n--)
		smtp_server_answer(s->smtp, reply);
}

/* The rest of the message is read to its end, which is when the client listens. */
void intake_refuse(struct session *s, struct smtp_reply reply)
{
	struct intake *l = s->letter;
	log_event(LOG_REFUSED, LOG_U("connection", s->number), LOG_S("client", s->client), LOG_S("user", s->user),
	          LOG_S("from", l->sender_text), LOG_U("code", reply.code), LOG_S("reason", reply.text));
	if (l->phase == INTAKE_NONE) { /* DATA waits for its answer */
		smtp_server_answer(s->smtp, reply);
		intake_reset(s);
		return;
	}
	if (l->ended) {
		answer_all(s, reply);
		intake_reset(s);
		return;
	}
	if (l->txn != 0 && s->front->spool != NULL)
		channel_send(s->front->spool, FRONT_ABORT, &(struct front_abort){ .txn = l->txn });
	if (l->txn != 0)
		(void)map_remove_u64(s->front->asks, l->txn);
	l->txn = 0;
	l->phase = INTAKE_REFUSED;
	buf_fini(&l->header);
	struct str text = l->refusal.text;
	session_keep(&text, str_sub(reply.text, 0, REFUSAL_TEXT_MAX));
	l->refusal = reply;
	l->refusal.text = text;
}

/* ---- to the spool ---- */

static struct str with_word(const struct session *s)
{
	/* Who has used STARTTLS has said EHLO, though HELO may have followed: RFC 3848 knows no "SMTPS". */
	return trace_with(s->kind == LISTEN_LMTP, s->extended || s->tls != NULL, s->tls != NULL,
	                  smtp_server_logged_in(s->smtp), s->letter->params.smtputf8);
}

/* RFC 3461 5.2.7.3 (c): who is expanded to several is told of at once, and success no more of those. */
static void send_rcpt(struct session *s, const struct rcpt *r)
{
	struct front_rcpt m = { .txn = s->letter->txn, .original = r->original, .notify = r->notify, .orcpt = r->orcpt };
	bool several = r->targets != NULL && r->targets->next != NULL;
	if (several && (r->notify & NOTIFY_SUCCESS) != 0) {
		m.address = r->original;
		m.notify = NOTIFY_SUCCESS | NOTIFY_EXPANDED;
		channel_send(s->front->spool, FRONT_RCPT, &m);
		m.notify = r->notify & ~(unsigned)NOTIFY_SUCCESS;
		if (m.notify == 0)
			m.notify = NOTIFY_NEVER; /* success was all that was asked for */
	}
	for (const struct target *t = r->targets; t != NULL; t = t->next) {
		m.address = t->address;
		channel_send(s->front->spool, FRONT_RCPT, &m);
	}
}

static void send_envelope(struct session *s)
{
	const struct intake *l = s->letter;
	struct front_begin begin = {
		.txn = l->txn,
		.sender = l->sender_text,
		.size_bytes = l->params.size_bytes,
		.body = l->params.body,
		.smtputf8 = l->params.smtputf8,
		.ret = l->params.ret,
		.envid = l->params.envid,
		.client = s->client,
		.helo = s->helo,
		.user = s->user,
		.with = with_word(s),
		.tls = s->tls_text,
	};
	channel_send(s->front->spool, FRONT_BEGIN, &begin);
	for (const struct rcpt *r = l->rcpts; r != NULL; r = r->next)
		send_rcpt(s, r);
}

void intake_begin(struct session *s)
{
	struct front *f = s->front;
	struct intake *l = s->letter;
	if (f->spool == NULL) {
		intake_refuse(s, REPLY(451, 4, 3, 0, STR(LATER_TEXT)));
		return;
	}
	if (buf_view(&f->shortage).n > 0) {
		intake_refuse(s, REPLY(452, 4, 3, 1, buf_view(&f->shortage)));
		return;
	}
	if (channel_backlog(f->spool) > 2 * FRONT_UNSENT_MAX) {
		intake_refuse(s, REPLY(451, 4, 3, 2, STR(LATER_TEXT)));
		return;
	}
	l->txn = session_ask(s, ASK_BEGIN);
	send_envelope(s);
}

static void send_chunk(struct session *s, struct str bytes)
{
	struct intake *l = s->letter;
	l->sent_bytes += bytes.n;
	l->ahead_bytes += bytes.n;
	while (bytes.n > 0) {
		struct str piece = str_sub(bytes, 0, FRONT_CHUNK_BYTES);
		channel_send(s->front->spool, FRONT_CHUNK, &(struct front_chunk){ .txn = l->txn, .bytes = piece });
		bytes = str_from(bytes, piece.n);
	}
}

/* What is ahead of the spool is counted for each letter; ten thousand of them must not fill the memory together. */
static bool is_stalled(const struct session *s)
{
	const struct front *f = s->front;
	return s->letter != NULL && s->letter->txn != 0 && f->spool != NULL && channel_backlog(f->spool) >= FRONT_UNSENT_MAX;
}

bool intake_takes_more(const struct session *s)
{
	const struct intake *l = s->letter;
	return l == NULL || (l->phase != INTAKE_CHECKING && l->ahead_bytes <= AHEAD_BYTES_MAX && !is_stalled(s));
}

/* The spool owes an answer only to whom it has read from: the others look by themselves. */
void intake_note_stall(struct session *s)
{
	struct front *f = s->front;
	bool stalled = s->held_back && is_stalled(s);
	if (stalled == link_used(&s->in_stalled))
		return;
	if (!stalled) {
		link_remove(&s->in_stalled);
		return;
	}
	if (list_empty(&f->stalled))
		timer_set(&f->stall, loop_now_ms(f->loop) + FRONT_UNSENT_LOOK_MS);
	list_add_last(&f->stalled, &s->in_stalled);
}

void intake_go_on(void *front)
{
	struct front *f = front;
	struct session *s;
	while ((s = LIST_FIRST(&f->stalled, struct session, in_stalled)) != NULL && !is_stalled(s)) {
		link_remove(&s->in_stalled);
		session_pump(s);
	}
	if (s != NULL)
		timer_set(&f->stall, loop_now_ms(f->loop) + FRONT_UNSENT_LOOK_MS);
}

static void finish(struct session *s)
{
	struct intake *l = s->letter;
	struct front_finish m = { .txn = l->txn, .size_bytes = l->sent_bytes, .body = l->body,
	                          .tls_tag = l->params.tls_tag };
	/* The answer comes under the letter's own number. */
	s->asked = ASK_FINISH;
	s->ask_number = l->txn;
	s->ask_due_ms = loop_now_ms(s->front->loop) + ANSWER_MS;
	channel_send(s->front->spool, FRONT_FINISH, &m);
}

/* ---- the header ---- */

static fault put_received(struct session *s, struct buf *out)
{
	const struct intake *l = s->letter;
	int64_t wall_s = clock_wall_s();
	struct trace_facts facts = {
		.helo = s->helo,
		.name = s->name,
		.client = s->client,
		.hostname = s->generation->hostname,
		.with = with_word(s),
		.tls = s->tls_text,
		.id = str_of(l->id),
		.for_address = l->n_rcpts == 1 ? l->rcpts->original : STR_NONE,
		.wall_s = wall_s,
		.zone_minutes = clock_zone_minutes(wall_s),
	};
	return trace_put_received(out, &facts);
}

/* RFC 6409 8.2 and 8.3. */
static fault put_missing(struct session *s, const struct header_facts *facts, struct buf *out)
{
	int64_t wall_s = clock_wall_s();
	if (!facts->date) {
		TRY(buf_add(out, STR("Date: ")));
		TRY(date_put(out, wall_s, clock_zone_minutes(wall_s)));
		TRY(buf_add(out, STR("\r\n")));
	}
	if (!facts->message_id) {
		unsigned char random[16];
		random_bytes(random, sizeof random);
		TRY(buf_add(out, STR("Message-ID: ")));
		TRY(message_id_put(out, random, wall_s, s->generation->hostname));
		TRY(buf_add(out, STR("\r\n")));
	}
	return OK;
}

/* What goes before the message, then the message so far. */
static void send_header(struct session *s)
{
	struct intake *l = s->letter;
	struct header_facts facts;
	struct buf prefix;
	header_facts_read(buf_view(&l->header), &facts);
	buf_init(&prefix, PREFIX_BYTES_MAX);
	fault f = put_received(s, &prefix);
	if (f == OK && is_submission(s))
		f = put_missing(s, &facts, &prefix);
	/* A local program's text without any header gets one: what was added, and an empty line. */
	if (f == OK && s->kind == LISTEN_LOCAL && facts.broken_line == 1)
		f = buf_add(&prefix, STR("\r\n"));
	check(f == OK); /* every part of it is capped by mail/trace.h */
	bool together = buf_add(&prefix, buf_view(&l->header)) == OK;
	send_chunk(s, buf_view(&prefix));
	if (!together)
		send_chunk(s, buf_view(&l->header));
	buf_fini(&prefix);
	buf_fini(&l->header);
	l->phase = INTAKE_BODY;
	if (l->ended)
		finish(s);
}

static void ask_next_sender(struct session *s)
{
	struct intake *l = s->letter;
	while (l->checked < l->n_checks && session_owns(s, l->checks[l->checked]))
		l->checked++;
	if (l->checked == l->n_checks) {
		send_header(s);
		return;
	}
	if (s->front->keeper == NULL || s->listener_gone) {
		intake_refuse(s, REPLY(451, 4, 3, 0, STR(LATER_TEXT)));
		return;
	}
	l->phase = INTAKE_CHECKING;
	struct front_ask_sender m = { .request = session_ask(s, ASK_HEADER_SENDER), .listener = s->listener,
		                      .user = s->user, .address = l->checks[l->checked] };
	channel_send(s->front->keeper, FRONT_ASK_SENDER, &m);
}

void intake_sender_judged(struct session *s, bool allowed)
{
	struct intake *l = s->letter;
	l->checked++;
	if (allowed)
		ask_next_sender(s);
	else
		intake_refuse(s, REPLY(550, 5, 7, 1, STR("From or Sender in the message's header is not your address")));
}

/* Appends the addresses of one field to the checks. A bare name is one of our own domain. */
static fault take_senders(struct session *s, struct str value)
{
	struct intake *l = s->letter;
	struct address found[FROM_ADDRESSES_MAX];
	size_t n;
	TRY(header_addresses(value, l->arena, found, FROM_ADDRESSES_MAX, &n));
	if (n == 0 || n > FROM_ADDRESSES_MAX - l->n_checks)
		return F_SYNTAX;
	for (size_t i = 0; i < n; i++) {
		if (found[i].domain.n == 0)
			found[i].domain = s->front->conf->origin;
		struct str text = address_text(&found[i], l->arena);
		if (text.p == NULL)
			return F_LIMIT;
		if (l->checks == NULL && (l->checks = arena_try_alloc(l->arena, FROM_ADDRESSES_MAX * sizeof *l->checks)) == NULL)
			return F_LIMIT;
		l->checks[l->n_checks++] = text;
	}
	return OK;
}

static bool senders_readable(struct session *s, const struct header_facts *facts)
{
	if (facts->froms > 1 || facts->senders > 1)
		return false;
	return (facts->froms == 0 || take_senders(s, facts->from) == OK) &&
	       (facts->senders == 0 || take_senders(s, facts->sender) == OK);
}

static void refuse_broken(struct session *s, size_t line)
{
	char text[160];
	(void)snprintf(text, sizeof text, "Line %zu of the message's header is no field: a field looks like \"Name: text\"",
	               line);
	intake_refuse(s, REPLY(550, 5, 6, 0, str_of(text)));
}

/* Somebody sends on what our porter has put into these very mailboxes: it would come back for ever. Who hands in
 * a letter of their own may do so. */
static bool had_it_already(const struct session *s, const struct header_facts *facts, struct str block)
{
	if (facts->delivered_tos == 0 || is_submission(s))
		return false;
	for (const struct rcpt *r = s->letter->rcpts; r != NULL; r = r->next)
		for (const struct target *t = r->targets; t != NULL; t = t->next)
			if (!header_was_delivered_to(block, t->address))
				return false;
	return true;
}

/* RFC 8689 4.1: the header has a word only where MAIL had none, and not if it contradicts itself. */
static void take_tag(struct intake *l, const struct header_facts *facts)
{
	if (l->params.tls_tag == TLS_TAG_NONE && facts->tls_requireds == 1 && facts->tls_optional)
		l->params.tls_tag = TLS_TAG_OPTIONAL;
}

/* The header block is whole, or the message has ended within it. */
static void header_whole(struct session *s)
{
	struct intake *l = s->letter;
	struct header_facts facts;
	struct str block = str_sub(buf_view(&l->header), 0, l->header_bytes);
	header_facts_read(block, &facts);
	bool bare_text = s->kind == LISTEN_LOCAL && facts.broken_line == 1;
	take_tag(l, &facts);
	if (facts.received > RECEIVED_MAX)
		intake_refuse(s, REPLY(554, 5, 4, 6, STR("A mail loop: the message has been through too many servers")));
	else if (had_it_already(s, &facts, block))
		intake_refuse(s, REPLY(554, 5, 4, 6, STR("A mail loop: everybody whom it is for has had this message already")));
	else if (facts.fields > HEADER_FIELDS_MAX)
		intake_refuse(s, REPLY(552, 5, 3, 4, STR("The message's header has too many fields")));
	else if (is_submission(s) && facts.broken_line > 0 && !bare_text)
		refuse_broken(s, facts.broken_line);
	else if (smtp_server_logged_in(s->smtp) && !senders_readable(s, &facts))
		intake_refuse(s, REPLY(550, 5, 6, 0,
		                       STR("From or Sender in the message's header cannot be read, or is there twice")));
	else
		ask_next_sender(s);
}

/* before: so much of it had no end in it. */
static bool find_end(struct str block, size_t before, size_t *length)
{
	size_t from = before > 3 ? before - 3 : 0, at;
	if (str_starts(block, STR("\r\n"))) {
		*length = 2;
		return true;
	}
	if (!str_find_str(str_from(block, from), STR("\r\n\r\n"), &at))
		return false;
	*length = from + at + 4;
	return true;
}

void intake_body(struct session *s, struct str bytes)
{
	struct intake *l = s->letter;
	if (l->phase == INTAKE_BODY)
		send_chunk(s, bytes);
	if (l->phase != INTAKE_HEADER)
		return;
	/* Mostly the block lies whole in the first piece: then what follows it is not copied. */
	size_t before = buf_view(&l->header).n, used = bytes.n;
	bool whole = before == 0 && find_end(bytes, 0, &used);
	fault f = buf_add(&l->header, str_sub(bytes, 0, used));
	check(f == OK); /* never over its ceiling before, and room for one more piece */
	l->header_bytes = used;
	whole = whole || find_end(buf_view(&l->header), before, &l->header_bytes);
	if ((whole ? l->header_bytes : buf_view(&l->header).n) > HEADER_BYTES_MAX)
		intake_refuse(s, REPLY(552, 5, 3, 4, STR("The message's header is too big")));
	else if (whole)
		header_whole(s);
	bytes = str_from(bytes, used);
	if (l->phase == INTAKE_BODY && bytes.n > 0)
		send_chunk(s, bytes);
	else if (l->phase == INTAKE_CHECKING)
		f = buf_add(&l->header, bytes);
	check(f == OK);
}

void intake_end(struct session *s, const struct smtp_event *e)
{
	struct intake *l = s->letter;
	l->ended = true;
	l->body = e->u.end.body;
	l->answers_due = e->u.end.answers_due;
	if (l->phase == INTAKE_REFUSED) {
		answer_all(s, l->refusal);
		intake_reset(s);
	} else if (l->phase == INTAKE_HEADER) {
		l->header_bytes = buf_view(&l->header).n;
		header_whole(s);
	} else if (l->phase == INTAKE_BODY) {
		finish(s);
	}
}

/* ---- the spool's answers ---- */

static void begun(struct session *s, const struct spool_begun *m)
{
	struct intake *l = s->letter;
	if (s->asked != ASK_BEGIN)
		return;
	s->asked = ASK_NOTHING; /* the number stays with the letter */
	(void)snprintf(l->id, sizeof l->id, "%.*s", STR_ARG(m->id));
	buf_init(&l->header, HEADER_BYTES_MAX + SMTP_INPUT_MAX);
	l->phase = INTAKE_HEADER;
	smtp_server_answer_ok(s->smtp);
}

static void taken(struct session *s, uint64_t bytes)
{
	struct intake *l = s->letter;
	l->ahead_bytes -= bytes < l->ahead_bytes ? bytes : l->ahead_bytes;
}

static void stored(struct session *s)
{
	struct intake *l = s->letter;
	char text[96];
	if (s->asked != ASK_FINISH)
		return;
	s->asked = ASK_NOTHING;
	s->front->messages++;
	log_event(LOG_ACCEPTED, LOG_Z("id", l->id), LOG_U("connection", s->number), LOG_S("client", s->client),
	          LOG_S("helo", s->helo), LOG_S("tls", s->tls_text), LOG_S("user", s->user),
	          LOG_S("from", l->sender_text), LOG_U("recipients", l->n_rcpts), LOG_U("size", l->sent_bytes));
	(void)snprintf(text, sizeof text, "Ok: queued as %s", l->id);
	answer_all(s, REPLY(250, 2, 0, 0, str_of(text)));
	forget(s);
}

static void spool_refused(struct session *s, const struct spool_refused *m)
{
	struct smtp_reply reply = front_reply(m->code, m->status, m->text);
	if (s->asked == ASK_BEGIN || s->asked == ASK_FINISH)
		s->asked = ASK_NOTHING;
	(void)map_remove_u64(s->front->asks, s->letter->txn);
	s->letter->txn = 0; /* the spool has forgotten it already */
	s->letter->ahead_bytes = 0;
	if (s->asked == ASK_HEADER_SENDER)
		session_forget_ask(s);
	intake_refuse(s, reply);
}

void intake_on_spool(struct front *f, unsigned kind, const void *msg)
{
	uint64_t txn = *(const uint64_t *)msg; /* the first field of all four */
	struct session *s = session_that_asked(f, txn);
	if (s == NULL || s->letter == NULL || s->letter->txn != txn)
		return;
	switch (kind) {
	case SPOOL_BEGUN:
		begun(s, msg);
		break;
	case SPOOL_TAKEN:
		taken(s, ((const struct spool_taken *)msg)->bytes);
		if (!s->held_back)
			return; /* nothing has waited for it */
		break;
	case SPOOL_STORED:
		stored(s);
		break;
	case SPOOL_REFUSED:
		spool_refused(s, msg);
		break;
	default:
		break;
	}
	session_pump(s);
}

/* The spool is gone, and with it whatever it had not stored. */
void intake_spool_lost(struct session *s)
{
	struct intake *l = s->letter;
	if (l == NULL || l->txn == 0)
		return;
	if (s->asked == ASK_BEGIN || s->asked == ASK_FINISH || s->asked == ASK_HEADER_SENDER)
		session_forget_ask(s);
	(void)map_remove_u64(s->front->asks, l->txn);
	l->txn = 0;
	l->ahead_bytes = 0;
	intake_refuse(s, REPLY(451, 4, 3, 0, STR(LATER_TEXT)));
}
