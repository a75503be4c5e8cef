/* SPDX-License-Identifier: ISC */
/* The session: greeting, EHLO, STARTTLS, AUTH, QUIT; feeding and events. */
#include "proto/smtp/client_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"

struct smtp_client *smtp_client_new(const struct smtp_client_conf *conf, int64_t now_ms)
{
	struct smtp_client *c = NEW(struct smtp_client);
	c->state = C_GREETING;
	c->lmtp = conf->lmtp;
	c->tls = conf->tls;
	(void)snprintf(c->ehlo, sizeof c->ehlo, "%.*s", STR_ARG(conf->ehlo));
	reply_parser_init(&c->parser);
	buf_init_secret(&c->out, SMTP_CLIENT_OUTPUT_MAX); /* a relay's password may go this way */
	buf_init(&c->challenge, SMTP_CLIENT_AUTH_MAX);
	buf_init(&c->closing.text, REPLY_TEXT_MAX);
	buf_init(&c->verdict.text, REPLY_TEXT_MAX);
	buf_init(&c->chunk, SMTP_CLIENT_CHUNK_MAX + 1); /* and a CR that was held back */
	buf_init(&c->said_head, SMTP_CLIENT_DIALOGUE_MAX / 4);
	buf_init(&c->said, SMTP_CLIENT_DIALOGUE_MAX - SMTP_CLIENT_DIALOGUE_MAX / 4 - 64);
	c->deadline_ms = now_ms + MINUTES(5);
	return c;
}

void smtp_client_free(struct smtp_client **c)
{
	if (*c == NULL)
		return;
	reply_parser_fini(&(*c)->parser);
	buf_fini(&(*c)->out);
	buf_fini(&(*c)->challenge);
	buf_fini(&(*c)->closing.text);
	buf_fini(&(*c)->verdict.text);
	buf_fini(&(*c)->chunk);
	buf_fini(&(*c)->said_head);
	buf_fini(&(*c)->said);
	free((*c)->rcpt_states);
	free(*c);
	*c = NULL;
}

void keep_reply(struct kept_reply *k, const struct smtp_reply *reply, enum outcome_class outcome)
{
	buf_clear(&k->text);
	fault f = buf_add(&k->text, reply->text); /* a parsed reply fits; longer words of ours are not made */
	k->reply = *reply;
	k->reply.text = f == OK ? buf_view(&k->text) : STR_NONE;
	k->outcome = outcome;
	k->set = true;
}

void client_command(struct smtp_client *c, struct str line, int64_t wait_until_ms)
{
	fault f = buf_add(&c->out, line);
	check(f == OK); /* commands are only made while there is room for them */
	dialogue_client(c, str_sub(line, 0, line.n - 2));
	c->deadline_ms = wait_until_ms;
}

/* ---- the end ---- */

void client_close(struct smtp_client *c, const struct smtp_reply *reply, enum outcome_class outcome)
{
	if (c->state == C_CLOSED)
		return;
	if (c->txn != NULL && !c->verdict.set)
		keep_reply(&c->verdict, reply, OUTCOME_LATER);
	c->telling = c->txn != NULL;
	keep_reply(&c->closing, reply, outcome);
	c->state = C_CLOSED;
	c->deadline_ms = INT64_MAX;
	c->ready_due = c->tls_due = false;
	c->closed_due = true;
}

/* 4.4.2 and our own words. */
static void close_words(struct smtp_client *c, const char *words)
{
	struct smtp_reply reply = REPLY(0, 4, 4, 2, str_of(words));
	client_close(c, &reply, OUTCOME_LATER);
}

/* Where the session stands, for a sentence like "... while waiting for the reply to DATA". */
static const char *waiting_for(const struct smtp_client *c)
{
	switch (c->state) {
	case C_GREETING: return "the greeting";
	case C_EHLO: return c->lmtp ? "the reply to LHLO" : "the reply to EHLO";
	case C_HELO: return "the reply to HELO";
	case C_STARTTLS: return "the reply to STARTTLS";
	case C_TLS: return "the TLS handshake";
	case C_AUTH:
	case C_AUTH_STEP: return "the reply to AUTH";
	case C_ENVELOPE:
		if (c->answered == 0)
			return "the reply to MAIL";
		return c->answered <= c->txn->n_rcpts ? "the reply to RCPT" : "the reply to DATA";
	case C_BODY: return "the server to take the content";
	case C_FINAL:
	case C_LONE_DOT: return "the final reply to the content";
	case C_RSET: return "the reply to RSET";
	case C_QUIT: return "the reply to QUIT";
	case C_READY:
	case C_CLOSED: break;
	}
	return "work";
}

void client_broken(struct smtp_client *c, const char *what)
{
	char words[256];
	(void)snprintf(words, sizeof words, "The server broke the protocol: %s while we waited for %s", what, waiting_for(c));
	client_close(c, &REPLY(0, 4, 5, 0, str_of(words)), OUTCOME_LATER);
}

void smtp_client_gone(struct smtp_client *c, struct str reason)
{
	char words[512];
	if (c->state == C_QUIT) { /* it need not answer */
		client_close(c, &REPLY(221, 2, 0, 0, STR_NONE), OUTCOME_DONE);
		return;
	}
	(void)snprintf(words, sizeof words, "The connection was lost while we waited for %s: %.*s", waiting_for(c),
	               STR_ARG(str_sub(reason, 0, 300)));
	close_words(c, words);
}

static void timed_out(struct smtp_client *c)
{
	char words[256];
	(void)snprintf(words, sizeof words, "Waited too long for %s", waiting_for(c));
	close_words(c, words);
}

/* ---- greeting and EHLO ---- */

void client_ready(struct smtp_client *c)
{
	c->state = C_READY;
	c->ready_due = true;
	c->chunks_unanswered = 0;
	c->deadline_ms = INT64_MAX;
	buf_shrink(&c->out);
	buf_fini(&c->chunk);
}

static void say_hello(struct smtp_client *c, bool extended, int64_t now_ms)
{
	char line[300];
	const char *verb = c->lmtp ? "LHLO" : extended ? "EHLO" : "HELO";
	int n = snprintf(line, sizeof line, "%s %s\r\n", verb, c->ehlo);
	c->state = extended ? C_EHLO : C_HELO;
	client_command(c, (struct str){ line, (size_t)n }, now_ms + MINUTES(5));
}

static void greeting_reply(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms)
{
	if (r->code == 220) {
		say_hello(c, true, now_ms);
		return;
	}
	if (r->code < 400) {
		client_broken(c, "it greeted with a code that is no greeting");
		return;
	}
	/* RFC 5321 3.1: after 554 the client says QUIT. Not for good: another host may take the letter. */
	client_command(c, STR("QUIT\r\n"), INT64_MAX);
	client_close(c, r, OUTCOME_LATER);
}

static void offer_number(struct str *rest, uint64_t *out)
{
	struct str word;
	if (!str_take_word(rest, &word) || !str_u64(word, out))
		*out = 0;
}

/* LIMITS RCPTMAX=100 MAILMAX=10 (RFC 9422 3). */
static void offer_limits(struct smtp_client *c, struct str rest)
{
	for (struct str word; str_take_word(&rest, &word);) {
		if (str_take_nocase(&word, STR("RCPTMAX=")))
			offer_number(&word, &c->offers.rcpt_max);
		else if (str_take_nocase(&word, STR("MAILMAX=")))
			offer_number(&word, &c->offers.mail_max);
	}
}

static void offer_mechanisms(struct smtp_client *c, struct str rest)
{
	size_t n = 0;
	c->offers.auth = true;
	for (struct str word; str_take_word(&rest, &word);) {
		if (n + word.n + 1 > sizeof c->mechanisms)
			break;
		if (n > 0)
			c->mechanisms[n++] = ' ';
		memcpy(c->mechanisms + n, word.p, word.n);
		n += word.n;
	}
	c->offers.mechanisms = (struct str){ c->mechanisms, n };
}

static void offer(struct smtp_client *c, struct str line)
{
	static const struct { const char *keyword; size_t at; } flags[] = {
		{ "STARTTLS", offsetof(struct smtp_offers, starttls) },
		{ "PIPELINING", offsetof(struct smtp_offers, pipelining) },
		{ "8BITMIME", offsetof(struct smtp_offers, eightbitmime) },
		{ "SMTPUTF8", offsetof(struct smtp_offers, smtputf8) },
		{ "DSN", offsetof(struct smtp_offers, dsn) },
		{ "CHUNKING", offsetof(struct smtp_offers, chunking) },
		{ "ENHANCEDSTATUSCODES", offsetof(struct smtp_offers, enhanced) },
		{ "REQUIRETLS", offsetof(struct smtp_offers, requiretls) },
	};
	struct str keyword;
	if (!str_take_word(&line, &keyword))
		return;
	for (size_t i = 0; i < COUNT(flags); i++)
		if (str_eq_nocase(keyword, str_of(flags[i].keyword)))
			*(bool *)(void *)((char *)&c->offers + flags[i].at) = true;
	if (str_eq_nocase(keyword, STR("SIZE"))) {
		c->offers.size = true;
		offer_number(&line, &c->offers.size_max);
	} else if (str_eq_nocase(keyword, STR("AUTH"))) {
		offer_mechanisms(c, line);
	} else if (str_eq_nocase(keyword, STR("LIMITS"))) {
		offer_limits(c, line);
	}
}

static void hello_reply(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms)
{
	if (r->code / 100 == 5 && c->state == C_EHLO && !c->lmtp) {
		say_hello(c, false, now_ms); /* RFC 5321 3.2 */
		return;
	}
	if (r->code / 100 >= 4) {
		client_command(c, STR("QUIT\r\n"), INT64_MAX);
		client_close(c, r, OUTCOME_LATER);
		return;
	}
	if (r->code != 250) {
		client_broken(c, "it sent a code that does not belong there");
		return;
	}
	c->offers = (struct smtp_offers){ .extended = c->state == C_EHLO };
	struct str rest = r->text, line;
	(void)str_take_until(&rest, '\n', &line); /* the first line is a greeting */
	if (c->offers.extended && rest.n < r->text.n)
		while (rest.n > 0) {
			if (!str_take_until(&rest, '\n', &line)) {
				line = rest;
				rest = STR_NONE;
			}
			offer(c, line);
		}
	if (c->tls)
		c->offers.starttls = false;
	client_ready(c);
}

/* ---- STARTTLS ---- */

fault smtp_client_starttls(struct smtp_client *c, int64_t now_ms)
{
	if (c->state != C_READY)
		return F_STATE;
	if (!c->offers.starttls)
		return F_ABSENT;
	c->ready_due = false;
	c->state = C_STARTTLS;
	client_command(c, STR("STARTTLS\r\n"), now_ms + MINUTES(2));
	return OK;
}

static void put_slot(struct smtp_client *c, enum smtp_client_event_kind kind, enum outcome_class outcome,
                     const struct smtp_reply *r)
{
	c->slot = (struct smtp_client_event){ .kind = kind, .outcome = outcome, .reply = *r };
	c->slot_full = true;
}

static void starttls_reply(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms)
{
	if (r->code == 220) {
		c->state = C_TLS;
		c->tls_due = true;
		c->deadline_ms = now_ms + MINUTES(2);
	} else if (r->code >= 400) {
		c->offers.starttls = false; /* asked and refused: not again on this connection */
		put_slot(c, SMTP_CLIENT_TLS_REFUSED, reply_class(r), r);
		client_ready(c);
	} else {
		client_broken(c, "it sent a code that does not belong there");
	}
}

fault smtp_client_tls_started(struct smtp_client *c, int64_t now_ms)
{
	if (c->state != C_TLS)
		return F_STATE;
	c->tls_due = false;
	c->tls = true;
	c->offers = (struct smtp_offers){ 0 }; /* RFC 3207 4.2 */
	dialogue_client(c, STR("(TLS begins)"));
	say_hello(c, true, now_ms);
	return OK;
}

/* ---- AUTH ---- */

fault smtp_client_auth(struct smtp_client *c, struct str mechanism, bool has_initial, struct str initial, int64_t now_ms)
{
	if (c->state != C_READY)
		return F_STATE;
	if (!c->offers.auth)
		return F_ABSENT;
	struct buf line;
	buf_init_secret(&line, SMTP_CLIENT_AUTH_MAX);
	fault f = buf_addf(&line, "AUTH %.*s", STR_ARG(mechanism));
	size_t shown = buf_view(&line).n;
	if (f == OK && has_initial)
		f = initial.n > 0 ? buf_add_char(&line, ' ') : buf_add(&line, STR(" ="));
	if (f == OK && has_initial && initial.n > 0)
		f = base64_put(&line, initial);
	if (f == OK)
		f = buf_add(&line, STR("\r\n"));
	if (f == OK)
		f = buf_add(&c->out, buf_view(&line));
	if (f == OK) {
		buf_cut(&line, shown);
		fault hidden = has_initial ? buf_add(&line, STR(" (hidden)")) : OK;
		(void)hidden;
		dialogue_client(c, buf_view(&line));
		c->ready_due = false;
		c->state = C_AUTH;
		c->deadline_ms = now_ms + MINUTES(5);
	}
	buf_fini(&line);
	return f;
}

fault smtp_client_auth_step(struct smtp_client *c, struct str response, int64_t now_ms)
{
	if (c->state != C_AUTH_STEP)
		return F_STATE;
	struct buf line;
	buf_init_secret(&line, SMTP_CLIENT_AUTH_MAX);
	fault f = base64_put(&line, response);
	if (f == OK)
		f = buf_add(&line, STR("\r\n"));
	if (f == OK)
		f = buf_add(&c->out, buf_view(&line));
	if (f == OK) {
		dialogue_client(c, STR("(hidden)"));
		c->state = C_AUTH;
		c->deadline_ms = now_ms + MINUTES(5);
	}
	buf_fini(&line);
	return f;
}

static void auth_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	if (r->code == 334) {
		buf_clear(&c->challenge);
		/* "=" alone is an empty challenge to some servers, none at all to the rest. */
		if (!str_eq(r->text, STR("=")) && base64_get(&c->challenge, r->text) != OK) {
			client_broken(c, "it sent a challenge that is not base64");
			return;
		}
		c->state = C_AUTH_STEP;
		c->deadline_ms = INT64_MAX; /* the next word is the caller's */
		put_slot(c, SMTP_CLIENT_CHALLENGE, OUTCOME_DONE, r);
		c->slot.bytes = buf_view(&c->challenge);
	} else if (r->code == 235 || r->code >= 400) {
		put_slot(c, SMTP_CLIENT_AUTH, reply_class(r), r);
		client_ready(c);
	} else {
		client_broken(c, "it sent a code that does not belong there");
	}
}

fault smtp_client_quit(struct smtp_client *c, int64_t now_ms)
{
	if (c->state != C_READY)
		return F_STATE;
	c->ready_due = false;
	c->state = C_QUIT;
	client_command(c, STR("QUIT\r\n"), now_ms + SECONDS(10));
	return OK;
}

/* ---- feeding and events ---- */

/* The command that this reply would answer has not even left: somebody answers in advance, or one reply was two. Taken
 * for an answer, it would shift all that follow by one, and the last of them says whose the letter is. */
static bool is_premature(const struct smtp_client *c)
{
	struct str out = buf_view(&c->out), line;
	size_t unsent = 0;
	switch (c->state) {
	case C_ENVELOPE: /* a group may be on its way; every command is one line */
		while (str_take_line(&out, &line))
			unsent++;
		return c->answered + unsent >= c->issued;
	case C_EHLO:
	case C_HELO:
	case C_STARTTLS:
	case C_AUTH:
	case C_LONE_DOT:
	case C_RSET:
		return out.n > 0;
	default: /* of content, client_body.c knows */
		return false;
	}
}

static void on_reply(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms)
{
	if (c->chunks_unanswered == 0 || r->code >= 400 || c->state == C_FINAL)
		dialogue_server(c, r, c->state == C_AUTH && r->code == 334);
	if (c->state == C_QUIT) {
		client_close(c, r, OUTCOME_DONE);
		return;
	}
	if (r->code == 421) { /* at any time: RFC 5321 3.8 */
		client_close(c, r, OUTCOME_LATER);
		return;
	}
	if (is_premature(c)) {
		client_broken(c, "it spoke unasked");
		return;
	}
	switch (c->state) {
	case C_GREETING: greeting_reply(c, r, now_ms); break;
	case C_EHLO:
	case C_HELO: hello_reply(c, r, now_ms); break;
	case C_STARTTLS: starttls_reply(c, r, now_ms); break;
	case C_AUTH: auth_reply(c, r); break;
	case C_ENVELOPE: envelope_reply(c, r, now_ms); break;
	case C_BODY: body_reply(c, r, now_ms); break;
	case C_FINAL:
		if (!final_reply_is_early(c, r, now_ms))
			final_reply(c, r, now_ms);
		break;
	case C_LONE_DOT:
	case C_RSET: rset_reply(c, r); break;
	case C_READY:
	case C_AUTH_STEP: client_broken(c, "it spoke unasked"); break;
	case C_TLS:
	case C_QUIT:
	case C_CLOSED: break;
	}
}

static bool event_waits(const struct smtp_client *c)
{
	return c->slot_full || c->telling || c->done_due || c->tls_due || c->ready_due || c->closed_due;
}

size_t smtp_client_feed(struct smtp_client *c, struct str bytes, int64_t now_ms)
{
	size_t total = 0;
	while (total < bytes.n && !(event_waits(c) && c->state != C_TLS)) {
		size_t used;
		bool whole;
		if (c->state == C_CLOSED)
			return bytes.n; /* nobody listens any more */
		if (c->state == C_TLS) {
			client_close(c, &REPLY(0, 4, 5, 0, STR("The server sent more after it had agreed to STARTTLS: somebody "
			                                       "may be tampering with the connection")), OUTCOME_LATER);
			return bytes.n;
		}
		fault f = reply_parser_feed(&c->parser, str_from(bytes, total), &used, &whole);
		total += used;
		if (f != OK) {
			client_broken(c, reply_parser_problem(&c->parser));
			break;
		}
		if (whole) {
			struct smtp_reply reply = reply_parser_reply(&c->parser);
			on_reply(c, &reply, now_ms);
		}
	}
	if (now_ms >= c->deadline_ms)
		timed_out(c);
	return total;
}

bool smtp_client_next(struct smtp_client *c, struct smtp_client_event *out)
{
	if (c->slot_full) {
		*out = c->slot;
		c->slot_full = false;
		return true;
	}
	if (verdict_next(c, out))
		return true;
	*out = (struct smtp_client_event){ .outcome = OUTCOME_DONE };
	if (c->done_due) {
		c->done_due = false;
		out->kind = SMTP_CLIENT_DONE;
		return true;
	}
	if (c->closed_due) {
		c->closed_due = false;
		out->kind = SMTP_CLIENT_CLOSED;
		out->reply = c->closing.reply;
		out->outcome = c->closing.outcome;
		return true;
	}
	if (c->tls_due || c->ready_due) {
		out->kind = c->tls_due ? SMTP_CLIENT_TLS : SMTP_CLIENT_READY;
		c->tls_due = c->ready_due = false;
		return true;
	}
	return false;
}

struct str smtp_client_output(const struct smtp_client *c)
{
	return buf_view(&c->out);
}

void smtp_client_sent(struct smtp_client *c, size_t n, int64_t now_ms)
{
	enum { PROGRESS = 16 << 10 }; /* a peer that takes less in the time of one block is stalling */
	buf_drop(&c->out, n);
	if (c->state == C_ENVELOPE)
		envelope_issue(c, now_ms);
	body_go_on(c, now_ms);
	if (c->state != C_BODY && c->state != C_FINAL)
		return;
	c->sent_since_progress += n;
	bool empty = buf_view(&c->out).n == 0;
	if (empty && c->state == C_FINAL)
		c->deadline_ms = now_ms + MINUTES(10);
	else if (empty && c->chunks_unanswered == 0)
		c->deadline_ms = INT64_MAX; /* the next move is the caller's */
	else if (empty || c->sent_since_progress >= PROGRESS)
		c->deadline_ms = now_ms + MINUTES(3);
	if (empty || c->sent_since_progress >= PROGRESS)
		c->sent_since_progress = 0;
}

int64_t smtp_client_deadline_ms(const struct smtp_client *c)
{
	return c->deadline_ms;
}

bool smtp_client_done(const struct smtp_client *c)
{
	return c->state == C_CLOSED && !event_waits(c);
}

const struct smtp_offers *smtp_client_offers(const struct smtp_client *c)
{
	return &c->offers;
}
