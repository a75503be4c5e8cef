/* SPDX-License-Identifier: ISC */
/*
 * The commands of a transaction are steps: 0 is MAIL, then the RCPTs, the last is DATA; the n-th reply answers the n-th step. With
 * pipelining all are issued at once, else each when the one before it has been answered.
 */
#include "cmd/load/visit.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "sys/clock.h"

static void put(struct visit *v, struct str line)
{
	fault f = buf_add(&v->out, line);
	check(f == OK); /* commands are short, and content leaves room for them */
}

/* ---- the beginning of a session ---- */

static void say_hello(struct visit *v)
{
	put(v, v->plan->lmtp ? STR("LHLO ") : STR("EHLO "));
	put(v, v->plan->helo);
	put(v, STR("\r\n"));
	v->phase = V_HELLO;
}

void dialogue_tls_started(struct visit *v)
{
	say_hello(v);
}

static void take_offers(struct visit *v, struct str text)
{
	struct str line, word;
	v->pipelining = v->starttls = false;
	v->mechanisms[0] = '\0';
	while (str_next_line(&text, &line)) {
		if (!str_take_word(&line, &word))
			continue;
		v->pipelining = v->pipelining || str_eq_nocase(word, STR("PIPELINING"));
		v->starttls = v->starttls || str_eq_nocase(word, STR("STARTTLS"));
		if (str_eq_nocase(word, STR("AUTH")))
			(void)snprintf(v->mechanisms, sizeof v->mechanisms, "%.*s", STR_ARG(line));
	}
}

static void quit(struct visit *v)
{
	put(v, STR("QUIT\r\n"));
	v->phase = V_QUIT;
}

static void session_ready(struct visit *v)
{
	v->is_open = true;
	load_is_open(v->slot);
	if (v->load->gathering)
		v->phase = V_IDLE;
	else
		dialogue_next_message(v);
}

/* ---- logging in ---- */

static struct str chosen_mechanisms(const struct visit *v)
{
	struct str rest = str_of(v->mechanisms), word;
	if (v->plan->mechanism.n == 0)
		return rest;
	while (str_take_word(&rest, &word))
		if (str_eq_nocase(word, v->plan->mechanism))
			return word;
	return STR_NONE;
}

static fault put_auth(struct visit *v)
{
	unsigned char binding[32];
	struct why why = { "" };
	bool bound = tls_channel_binding(v->tls, binding) == OK, has_initial;
	struct sasl_client_options o = {
		.mechanisms = chosen_mechanisms(v), .user = v->plan->user, .password = v->plan->password,
		.channel_binding = bound ? (struct str){ (const char *)binding, sizeof binding } : STR_NONE,
	};
	struct str initial;
	TRY(sasl_client_new(&o, &v->sasl, &why));
	TRY(sasl_client_first(v->sasl, &has_initial, &initial, &why));
	TRY(buf_addf(&v->out, "AUTH %.*s", STR_ARG(sasl_client_mechanism(v->sasl))));
	if (has_initial) {
		TRY(buf_add_char(&v->out, ' '));
		TRY(initial.n > 0 ? base64_put(&v->out, initial) : buf_add_char(&v->out, '='));
	}
	return buf_add(&v->out, STR("\r\n"));
}

static void begin_login(struct visit *v)
{
	v->phase = V_AUTH;
	if (put_auth(v) != OK)
		load_visit_lose(v, LOSS_LOGIN);
}

static fault put_step(struct visit *v, struct str challenge)
{
	struct buf decoded;
	struct str response;
	struct why why = { "" };
	buf_init_secret(&decoded, LOAD_CHALLENGE_MAX);
	fault f = base64_get(&decoded, challenge);
	if (f == OK)
		f = sasl_client_step(v->sasl, buf_view(&decoded), &response, &why);
	if (f == OK)
		f = base64_put(&v->out, response);
	if (f == OK)
		f = buf_add(&v->out, STR("\r\n"));
	buf_fini(&decoded);
	return f;
}

static void login_reply(struct visit *v, const struct smtp_reply *r)
{
	if (r->code == 334) {
		if (put_step(v, r->text) != OK)
			load_visit_lose(v, LOSS_LOGIN);
		return;
	}
	if (r->code != 235 || !sasl_client_proved(v->sasl)) {
		load_note_refusal(v->load, r);
		load_visit_lose(v, LOSS_LOGIN);
		return;
	}
	v->logged_in = true;
	session_ready(v);
}

static void hello_reply(struct visit *v, const struct smtp_reply *r)
{
	if (r->code != 250) {
		load_note_refusal(v->load, r);
		load_visit_lose(v, LOSS_PROTOCOL);
		return;
	}
	take_offers(v, r->text);
	if (v->plan->tls == LOAD_STARTTLS && v->tls == NULL) {
		if (!v->starttls) {
			load_visit_lose(v, LOSS_TLS);
			return;
		}
		put(v, STR("STARTTLS\r\n"));
		v->phase = V_STARTTLS;
		return;
	}
	if (v->plan->pipelining && !v->pipelining)
		v->load->tally.pipelining_missed = true;
	v->pipelining = v->pipelining && v->plan->pipelining;
	if (v->plan->user.n > 0)
		begin_login(v);
	else
		session_ready(v);
}

/* ---- a message ---- */

static size_t steps(const struct visit *v)
{
	return v->plan->rcpts + 2;
}

static fault put_step_of(struct visit *v, size_t step)
{
	const struct load_plan *p = v->plan;
	if (step == 0) {
		TRY(buf_add(&v->out, STR("MAIL FROM:<")));
		TRY(pattern_put(&v->out, p->from, v->message, v->slot->number, 0));
	} else if (step <= p->rcpts) {
		unsigned n = (unsigned)step - 1;
		TRY(buf_add(&v->out, STR("RCPT TO:<")));
		TRY(pattern_put(&v->out, p->to[n % p->n_to], v->message, v->slot->number, n));
	} else {
		return buf_add(&v->out, STR("DATA\r\n"));
	}
	return buf_add(&v->out, STR(">\r\n"));
}

static void issue(struct visit *v)
{
	/* Without pipelining: DATA only if somebody wants it. */
	size_t until = v->pipelining ? steps(v) : v->answered + 1;
	for (; v->issued < until && v->issued < steps(v); v->issued++) {
		fault f = put_step_of(v, v->issued);
		check(f == OK); /* LOAD_RCPTS_MAX of them do not fill the buffer: see begin_message */
	}
}

void dialogue_next_message(struct visit *v)
{
	bool stays = v->plan->per_connection == 0 || v->done < v->plan->per_connection;
	if (buf_view(&v->out).n > 0) { /* it answers what it has not been told: who would write all that it provokes? */
		load_visit_lose(v, LOSS_PROTOCOL);
		return;
	}
	if (v->plan->hold && v->done == v->plan->per_connection) {
		v->phase = V_IDLE;
		load_is_held(v->slot);
		return;
	}
	if (!stays || !load_wants_more(v->load)) {
		quit(v);
		return;
	}
	v->message = load_begin_message(v->load);
	v->in_message = true;
	v->done++;
	v->issued = v->answered = v->rcpts_taken = v->replies_due = 0;
	v->refusing = false;
	v->dot_us = 0;
	v->phase = V_ENVELOPE;
	issue(v);
}

/* The message has met its end other than by a 250; the first reason counts. */
static void refused(struct visit *v, const struct smtp_reply *r)
{
	if (v->in_message)
		load_refused(v->load, r);
	v->in_message = false;
}

static void give_up(struct visit *v)
{
	put(v, STR("RSET\r\n"));
	v->phase = V_RESET;
}

static void begin_content(struct visit *v)
{
	size_t before = buf_view(&v->out).n;
	v->phase = V_CONTENT;
	if (v->rcpts_taken == 0) { /* 354 although nobody was taken: RFC 2920 3.1 */
		put(v, STR(".\r\n"));
		v->replies_due = 1;
		v->phase = V_FINAL;
		return;
	}
	fault f = message_put_header(v->load, &v->out, v->message, v->slot->number);
	check(f == OK);
	v->octets = buf_view(&v->out).n - before;
	v->body_octets = message_body_octets(v->load, (size_t)v->octets);
	v->octets += v->body_octets;
	v->body_given = 0;
}

void dialogue_give_content(struct visit *v)
{
	while (v->body_given < v->body_octets && buf_view(&v->out).n < VISIT_UNSENT_MAX) {
		struct str piece = str_sub(message_body(v->load, v->body_octets, v->body_given), 0, VISIT_UNSENT_MAX);
		put(v, piece);
		v->body_given += piece.n;
	}
	if (v->body_given < v->body_octets)
		return;
	put(v, STR(".\r\n"));
	v->replies_due = v->plan->lmtp ? v->rcpts_taken : 1;
	v->phase = V_FINAL;
}

static void envelope_over(struct visit *v, const struct smtp_reply *last)
{
	if (last->code == 354) {
		begin_content(v);
	} else {
		refused(v, last);
		give_up(v);
	}
}

static void envelope_reply(struct visit *v, const struct smtp_reply *r)
{
	size_t step = v->answered++;
	bool good = r->code / 100 == 2;
	if (step == 0 && !good) {
		refused(v, r);
		if (!v->pipelining) {
			dialogue_next_message(v);
			return;
		}
	} else if (step > 0 && step <= v->plan->rcpts) {
		v->rcpts_taken += good ? 1 : 0;
		if (!good && v->in_message)
			load_refused_rcpt(v->load, r);
		if (step == v->plan->rcpts && v->rcpts_taken == 0)
			refused(v, r);
	} else if (step > v->plan->rcpts) {
		envelope_over(v, r);
		return;
	}
	if (!v->in_message && !v->pipelining)
		give_up(v);
	else
		issue(v);
}

static void final_reply(struct visit *v, const struct smtp_reply *r)
{
	if (r->code != 250)
		refused(v, r);
	if (--v->replies_due > 0)
		return;
	if (v->in_message)
		load_accepted(v->load, clock_ticks_us() - v->dot_us, v->rcpts_taken, v->octets);
	v->in_message = false;
	dialogue_next_message(v);
}

void dialogue_reply(struct visit *v, const struct smtp_reply *r)
{
	if (r->code == 421 && v->phase != V_QUIT) {
		refused(v, r);
		load_note_refusal(v->load, r);
		load_visit_lose(v, LOSS_CLOSED);
		return;
	}
	switch (v->phase) {
	case V_GREETING:
		if (r->code == 220) {
			say_hello(v);
			return;
		}
		load_note_refusal(v->load, r);
		load_visit_lose(v, LOSS_PROTOCOL);
		break;
	case V_HELLO: hello_reply(v, r); break;
	case V_STARTTLS:
		if (r->code == 220)
			load_visit_start_tls(v);
		else
			load_visit_lose(v, LOSS_TLS);
		break;
	case V_AUTH: login_reply(v, r); break;
	case V_ENVELOPE: envelope_reply(v, r); break;
	case V_CONTENT: /* it has heard enough; where it stands in the stream is not known any more */
		refused(v, r);
		load_visit_lose(v, LOSS_PROTOCOL);
		break;
	case V_FINAL:
		if (v->dot_us != 0) {
			final_reply(v, r);
			break;
		}
		refused(v, r); /* before the dot */
		load_visit_lose(v, LOSS_PROTOCOL);
		break;
	case V_RESET: dialogue_next_message(v); break;
	case V_QUIT: load_visit_end(v); break;
	case V_IDLE: load_visit_lose(v, LOSS_PROTOCOL); break;
	case V_CONNECTING:
	case V_SHAKING:
	case V_OVER: break;
	}
}
