/* SPDX-License-Identifier: ISC */
/* role/front/events.c -- what the core tells and asks: hello, login, sender, recipients. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "policy/route.h"
#include "role/front/front.h"
#include "sys/log.h"

enum { LATE_TEXT_MAX = 256 };

#define LATER_REPLY REPLY(451, 4, 3, 0, STR(LATER_TEXT))

/* ---- questions to neighbours ---- */

uint64_t session_ask(struct session *s, enum ask_kind kind)
{
	struct front *f = s->front;
	s->asked = kind;
	s->ask_number = ++f->next_number;
	s->ask_due_ms = loop_now_ms(f->loop) + ANSWER_MS;
	(void)map_set_u64(f->asks, s->ask_number, s);
	return s->ask_number;
}

void session_forget_ask(struct session *s)
{
	(void)map_remove_u64(s->front->asks, s->ask_number);
	s->asked = ASK_NOTHING;
	s->auth_open = false;
}

void session_drop_asks(struct session *s)
{
	if (s->auth_open && s->front->keeper != NULL)
		channel_send(s->front->keeper, FRONT_AUTH_CANCEL, &(struct front_auth_cancel){ .session = s->ask_number });
	session_forget_ask(s);
	s->late = false;
}

struct session *session_that_asked(struct front *f, uint64_t number)
{
	struct session *s = map_get_u64(f->asks, number);
	if (s != NULL) /* the client's time begins with the reply: it is not charged for ours */
		(void)smtp_server_feed(s->smtp, STR_NONE, loop_now_ms(f->loop));
	return s;
}

struct smtp_reply front_reply(uint64_t code, struct str status, struct str text)
{
	/* 421 is not for us to pass on: it would end this session. */
	struct smtp_reply r = { .code = code >= 400 && code <= 599 && code != 421 ? (int)code : 451, .text = text };
	if (!status_take(&status, &r.status) || r.status.class != (unsigned)r.code / 100)
		r.status = (struct status){ (uint16_t)(r.code / 100), 0, 0 };
	return r;
}

static void refused(const struct session *s, const char *what, struct str address, struct smtp_reply reply)
{
	log_event(LOG_REFUSED, LOG_U("connection", s->number), LOG_S("client", s->client), LOG_S("helo", s->helo),
	          LOG_Z("command", what), LOG_S("address", address), LOG_U("code", reply.code),
	          LOG_S("reason", reply.text));
}

static void answer_client(struct session *s, struct smtp_reply reply)
{
	smtp_server_answer(s->smtp, reply);
	session_pump(s);
}

/* ---- login ---- */

static void auth_begins(struct session *s, const struct smtp_event *e)
{
	unsigned char binding[32];
	bool bound = s->tls != NULL && tls_channel_binding(s->tls, binding) == OK;
	if (s->front->keeper == NULL || s->listener_gone) {
		smtp_server_answer(s->smtp, REPLY(454, 4, 7, 0, STR("Logins are not possible just now: try again later")));
		return;
	}
	(void)snprintf(s->mechanism, sizeof s->mechanism, "%.*s", STR_ARG(e->u.auth.mechanism));
	for (char *sign = s->mechanism; *sign != '\0'; sign++)
		if (*sign >= 'a' && *sign <= 'z')
			*sign = (char)(*sign - 'a' + 'A');
	struct front_auth_start m = {
		.session = session_ask(s, ASK_AUTH),
		.listener = s->listener,
		.mechanism = str_of(s->mechanism),
		.has_initial = e->u.auth.has_initial,
		.initial = e->u.auth.initial,
		.channel_binding = { (const char *)binding, bound ? sizeof binding : 0 },
		.client = s->client,
	};
	s->auth_open = true;
	channel_send(s->front->keeper, FRONT_AUTH_START, &m);
}

static void auth_goes_on(struct session *s, const struct smtp_event *e)
{
	if (s->front->keeper == NULL || !s->auth_open) {
		smtp_server_answer(s->smtp, REPLY(454, 4, 7, 0, STR("Logins are not possible just now: try again later")));
		return;
	}
	s->asked = ASK_AUTH;
	s->ask_due_ms = loop_now_ms(s->front->loop) + ANSWER_MS;
	channel_send(s->front->keeper, FRONT_AUTH_STEP,
	             &(struct front_auth_step){ .session = s->ask_number, .response = e->u.response });
}

static void auth_done(struct session *s, struct str user)
{
	if (!session_take_user(s, user)) {
		answer_client(s, REPLY(454, 4, 7, 0, STR("Logins are not possible just now: try again later")));
		return;
	}
	session_ask_again(s);
	log_event(LOG_LOGIN, LOG_U("connection", s->number), LOG_S("user", s->user), LOG_S("client", s->client),
	          LOG_Z("mechanism", s->mechanism), LOG_S("tls", s->tls_text));
	smtp_server_answer_ok(s->smtp);
	session_pump(s);
}

void session_late_reply(struct session *s)
{
	s->late = false;
	(void)smtp_server_feed(s->smtp, STR_NONE, loop_now_ms(s->front->loop));
	answer_client(s, s->late_reply);
	if (!s->late)
		str_release(&s->late_reply.text);
}

/* Who guesses shall not guess quickly. */
static void answer_later(struct session *s, struct smtp_reply reply, uint64_t delay_ms)
{
	if (delay_ms == 0) {
		answer_client(s, reply);
		return;
	}
	struct str text = s->late_reply.text;
	session_keep(&text, str_sub(reply.text, 0, LATE_TEXT_MAX));
	s->late_reply = reply;
	s->late_reply.text = text;
	s->late = true;
	s->late_until_ms = loop_now_ms(s->front->loop) + (int64_t)(delay_ms < ANSWER_MS ? delay_ms : ANSWER_MS);
	session_pump(s);
}

static void auth_failed(struct session *s, const struct keeper_auth_failed *m)
{
	struct smtp_reply reply = front_reply(m->code, m->status, m->text);
	log_event(LOG_LOGIN_FAILED, LOG_U("connection", s->number), LOG_S("client", s->client),
	          LOG_U("code", reply.code), LOG_S("reason", reply.text));
	answer_later(s, reply, m->delay_ms);
}

static void on_auth(struct front *f, unsigned kind, const void *msg)
{
	uint64_t number = *(const uint64_t *)msg; /* the first field of all three */
	struct session *s = session_that_asked(f, number);
	if (s == NULL || s->asked != ASK_AUTH)
		return;
	if (kind == KEEPER_AUTH_MORE) {
		s->asked = ASK_NOTHING; /* the number stays with the login */
		smtp_server_challenge(s->smtp, ((const struct keeper_auth_more *)msg)->challenge);
		session_pump(s);
		return;
	}
	session_forget_ask(s);
	if (kind == KEEPER_AUTH_DONE)
		auth_done(s, ((const struct keeper_auth_done *)msg)->user);
	else
		auth_failed(s, msg);
}

/* ---- MAIL ---- */

/* Only who has logged in is asked for proof: a trusted network and local programs send as they like. */
static bool sender_is_judged(const struct session *s)
{
	return smtp_server_logged_in(s->smtp);
}

/* False at the arena's ceiling. */
static bool keep_address(struct arena *a, const struct address *from, struct address *to)
{
	*to = *from;
	to->local = arena_try_copy(a, from->local);
	to->domain = arena_try_copy(a, from->domain);
	return to->local.p != NULL && to->domain.p != NULL;
}

static struct smtp_reply no_room(const struct session *s)
{
	return REPLY(452, 4, 3, 1, buf_view(&s->front->shortage));
}

/* Letter after letter comes from the same sender: what the keeper has allowed it need not be asked again. */
bool session_owns(const struct session *s, struct str address)
{
	return s->own_sender.n > 0 && str_eq(s->own_sender, address);
}

static void keep_own(struct session *s, struct str address)
{
	str_release(&s->own_sender);
	s->own_sender = str_keep(address);
}

void session_ask_again(struct session *s)
{
	s->sender_asked_before = s->asked == ASK_MAIL_SENDER;
	str_release(&s->own_sender);
}

static void mail(struct session *s, const struct smtp_event *e)
{
	struct front *f = s->front;
	if (f->spool == NULL) {
		smtp_server_answer(s->smtp, LATER_REPLY);
		return;
	}
	if (buf_view(&f->shortage).n > 0) {
		smtp_server_answer(s->smtp, no_room(s));
		return;
	}
	struct intake *l = intake_new(s);
	bool kept = keep_address(l->arena, &e->u.mail.address, &l->sender);
	check(kept); /* an address and its ENVID, in a megabyte */
	l->sender_text = address_text(&l->sender, l->arena);
	l->params = e->u.mail.params;
	l->params.envid = arena_copy(l->arena, e->u.mail.params.envid);
	if (!sender_is_judged(s) || address_is_null(&l->sender)) {
		smtp_server_answer_ok(s->smtp);
		return;
	}
	if (f->keeper == NULL || s->listener_gone) {
		smtp_server_answer(s->smtp, LATER_REPLY);
		return;
	}
	if (session_owns(s, l->sender_text)) {
		smtp_server_answer_ok(s->smtp);
		return;
	}
	s->sender_asked_before = false;
	struct front_ask_sender m = { .request = session_ask(s, ASK_MAIL_SENDER), .listener = s->listener,
		                      .user = s->user, .address = l->sender_text };
	channel_send(f->keeper, FRONT_ASK_SENDER, &m);
}

static void on_sender(struct front *f, const struct keeper_sender *m)
{
	struct session *s = session_that_asked(f, m->request);
	if (s == NULL || (s->asked != ASK_MAIL_SENDER && s->asked != ASK_HEADER_SENDER))
		return;
	enum ask_kind asked = s->asked;
	session_forget_ask(s);
	if (asked == ASK_HEADER_SENDER) {
		intake_sender_judged(s, m->allowed == 1);
		session_pump(s);
	} else if (m->allowed == 1) {
		if (!s->sender_asked_before)
			keep_own(s, s->letter->sender_text);
		smtp_server_answer_ok(s->smtp);
		session_pump(s);
	} else {
		struct smtp_reply no = REPLY(553, 5, 7, 1, STR("This sender address is not yours"));
		refused(s, "MAIL", s->letter->sender_text, no);
		answer_client(s, no);
	}
}

/* ---- RCPT ---- */

/* The domain of the recipient in hand as the configuration has it; STR_NONE: there is none, or it is not valid. */
static struct str asked_domain(const struct session *s)
{
	const struct address *a = &s->letter->asked_address;
	struct str ascii = a->domain;
	return a->literal || domain_to_ascii(a->domain, s->letter->arena, &ascii) == OK ? ascii : STR_NONE;
}

static void rcpt_remote(struct session *s);

static void rcpt(struct session *s, const struct smtp_event *e)
{
	struct intake *l = s->letter;
	struct rcpt *r = arena_try_alloc(l->arena, sizeof *r);
	struct str text = address_text(&e->u.rcpt.address, l->arena);
	struct str orcpt = arena_try_copy(l->arena, e->u.rcpt.params.orcpt);
	if (r == NULL || text.p == NULL || orcpt.p == NULL ||
	    !keep_address(l->arena, &e->u.rcpt.address, &l->asked_address)) {
		smtp_server_answer(s->smtp, REPLY(452, 4, 5, 3, STR("Too many recipients for one message")));
		return;
	}
	if (s->front->keeper == NULL || s->front->spool == NULL) {
		smtp_server_answer(s->smtp, LATER_REPLY);
		return;
	}
	*r = (struct rcpt){ .original = text, .orcpt = orcpt, .notify = e->u.rcpt.params.notify };
	l->asked_rcpt = r;
	l->asked_domain = asked_domain(s);
	/* The configuration says which domains are ours; who in them is a recipient, only the keeper knows. */
	if (l->asked_domain.n > 0 && conf_domain_find(s->front->conf, l->asked_domain) == NULL) {
		rcpt_remote(s);
		return;
	}
	channel_send(s->front->keeper, FRONT_ASK_RCPT,
	             &(struct front_ask_rcpt){ .request = session_ask(s, ASK_RCPT), .address = text });
}

static bool add_target(struct session *s, struct str address)
{
	struct intake *l = s->letter;
	struct target *t = arena_try_alloc(l->arena, sizeof *t);
	struct str copy = arena_try_copy(l->arena, address);
	if (t == NULL || copy.p == NULL)
		return false;
	*t = (struct target){ .next = l->asked_rcpt->targets, .address = copy };
	l->asked_rcpt->targets = t;
	return true;
}

static void on_target(struct front *f, const struct keeper_rcpt_target *m)
{
	struct session *s = session_that_asked(f, m->request);
	if (s != NULL && s->asked == ASK_RCPT && !add_target(s, m->address))
		s->letter->too_many_targets = true;
}

static void rcpt_taken(struct session *s)
{
	struct intake *l = s->letter;
	if (l->too_many_targets || (l->asked_rcpt->targets == NULL && !add_target(s, l->asked_rcpt->original))) {
		l->too_many_targets = false;
		answer_client(s, REPLY(452, 4, 5, 3, STR("Too many recipients for one message")));
		return;
	}
	*l->last_rcpt = l->asked_rcpt;
	l->last_rcpt = &l->asked_rcpt->next;
	l->n_rcpts++;
	smtp_server_answer_ok(s->smtp);
	session_pump(s);
}

static bool may_relay(const struct session *s)
{
	return s->kind != LISTEN_LMTP && (s->user.n > 0 || s->trusted);
}

/* Who tries name after name is answered ever later, then not at all. */
static void rcpt_refused(struct session *s, struct smtp_reply reply)
{
	uint64_t delay_ms = 0;
	unsigned n = may_relay(s) || s->who.client == 0 || reply.code < 500
	                     ? 0 : tally_add(&s->front->refusals, s->who.client, loop_now_ms(s->front->loop));
	if (n > REFUSALS_MAX)
		reply = REPLY(421, 4, 7, 0, STR("Too many recipients that are not here: closing, try again later"));
	if (n > REFUSALS_FREE)
		delay_ms = (n - REFUSALS_FREE) * REFUSALS_DELAY_MS;
	refused(s, "RCPT", s->letter->asked_rcpt->original, reply);
	answer_later(s, reply, delay_ms < REFUSALS_DELAY_MAX_MS ? delay_ms : REFUSALS_DELAY_MAX_MS);
}

/* Not our domain: whoever may relay gets the route's decision. */
static void rcpt_remote(struct session *s)
{
	struct intake *l = s->letter;
	if (!may_relay(s)) {
		rcpt_refused(s, REPLY(550, 5, 7, 1,
		                      STR("Relaying is not allowed here: log in at port 465 or 587 to send mail onwards")));
		return;
	}
	if (l->asked_domain.n == 0) {
		rcpt_refused(s, REPLY(550, 5, 1, 2, STR("This domain name is not valid")));
		return;
	}
	struct route_question q = { .recipient = l->asked_address, .recipient_domain = l->asked_domain, .sender = l->sender,
		                    .client = s->client, .user = s->user };
	struct route route = route_plan(s->front->conf, &q);
	if (route.kind == ROUTE_REFUSED)
		rcpt_refused(s, REPLY(550, 5, 7, 1, route.name));
	else
		rcpt_taken(s);
}

static void rcpt_verify(struct session *s)
{
	struct front *f = s->front;
	if (f->spool == NULL) {
		answer_client(s, LATER_REPLY);
		return;
	}
	struct front_verify m = { .request = session_ask(s, ASK_VERIFY), .address = s->letter->asked_rcpt->original,
		                  .sender = s->letter->sender_text };
	channel_send(f->spool, FRONT_VERIFY, &m);
}

static void on_rcpt(struct front *f, const struct keeper_rcpt *m)
{
	struct session *s = session_that_asked(f, m->request);
	if (s == NULL || s->asked != ASK_RCPT)
		return;
	session_forget_ask(s);
	switch (m->verdict) {
	case RCPT_LOCAL:
		rcpt_taken(s);
		break;
	case RCPT_VERIFY:
		rcpt_verify(s);
		break;
	case RCPT_UNKNOWN:
		rcpt_refused(s, REPLY(550, 5, 1, 1, STR("There is no such recipient here")));
		break;
	case RCPT_REMOTE:
		rcpt_remote(s);
		break;
	default:
		rcpt_refused(s, LATER_REPLY);
		break;
	}
}

/* The next hop's word, by way of the spool. */
void session_on_verified(struct front *f, const struct spool_verified *m)
{
	struct session *s = session_that_asked(f, m->request);
	if (s == NULL || s->asked != ASK_VERIFY)
		return;
	session_forget_ask(s);
	if (m->code >= 200 && m->code < 300)
		rcpt_taken(s);
	else
		rcpt_refused(s, front_reply(m->code, m->status, m->text));
}

/* ---- neighbours gone or silent ---- */

void session_asked_in_vain(struct session *s)
{
	enum ask_kind asked = s->asked;
	if (asked == ASK_AUTH || s->auth_open) {
		bool answer = asked == ASK_AUTH;
		session_drop_asks(s);
		if (answer)
			answer_client(s, REPLY(454, 4, 7, 0, STR("Logins are not possible just now: try again later")));
		return;
	}
	session_forget_ask(s);
	if (asked == ASK_MAIL_SENDER || asked == ASK_RCPT || asked == ASK_VERIFY) {
		answer_client(s, LATER_REPLY);
	} else if (asked != ASK_NOTHING) {
		intake_refuse(s, LATER_REPLY);
		session_pump(s);
	}
}

void session_on_keeper(struct front *f, unsigned kind, const void *msg)
{
	switch (kind) {
	case KEEPER_AUTH_MORE:
	case KEEPER_AUTH_DONE:
	case KEEPER_AUTH_FAILED:
		on_auth(f, kind, msg);
		break;
	case KEEPER_RCPT_TARGET:
		on_target(f, msg);
		break;
	case KEEPER_RCPT:
		on_rcpt(f, msg);
		break;
	case KEEPER_SENDER:
		on_sender(f, msg);
		break;
	default:
		break;
	}
}

/* ---- what the core says ---- */

static void hello(struct session *s, const struct smtp_event *e)
{
	session_keep(&s->helo, e->u.hello.name);
	s->extended = e->u.hello.extended;
	smtp_server_answer_ok(s->smtp);
}

void session_event(struct session *s, const struct smtp_event *e)
{
	switch (e->kind) {
	case SMTP_HELLO:
		hello(s, e);
		break;
	case SMTP_STARTTLS:
		smtp_server_answer_ok(s->smtp);
		break;
	case SMTP_AUTH:
		auth_begins(s, e);
		break;
	case SMTP_AUTH_STEP:
		auth_goes_on(s, e);
		break;
	case SMTP_MAIL:
		mail(s, e);
		break;
	case SMTP_RCPT:
		rcpt(s, e);
		break;
	case SMTP_DATA_BEGIN:
		intake_begin(s);
		break;
	case SMTP_BODY:
		intake_body(s, e->u.body);
		break;
	case SMTP_BODY_END:
		intake_end(s, e);
		break;
	case SMTP_RESET:
		intake_reset(s);
		break;
	case SMTP_AUTH_CANCELLED:
		session_drop_asks(s);
		break;
	case SMTP_SMUGGLING:
		log_event(LOG_REFUSED, LOG_U("connection", s->number), LOG_S("client", s->client),
		          LOG_Z("reason", "a bare CR, LF or NUL: nothing but CR LF ends a line"));
		break;
	case SMTP_TIMED_OUT:
	case SMTP_QUIT:
	case SMTP_WRONG_PROTOCOL:
		break;
	}
}
