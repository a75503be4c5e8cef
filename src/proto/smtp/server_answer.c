/* SPDX-License-Identifier: ISC */
/* proto/smtp/server_answer.c -- what an answer to each question does, and the list of extensions. */

#include "base/base64.h"
#include "base/check.h"
#include "proto/smtp/server_state.h"

static bool is_yes(struct smtp_reply reply)
{
	return reply.code >= 200 && reply.code < 400;
}

/* A mechanism of the conf's list that may be offered now. */
static bool offerable(const struct smtp_server *s, struct str mechanism)
{
	return s->tls && (s->binding || !str_ends_nocase(mechanism, STR("-PLUS")));
}

bool smtp_server_offers(const struct smtp_server *s, struct str mechanism)
{
	struct str rest = s->conf.mechanisms, word;
	while (str_take_word(&rest, &word))
		if (str_eq_nocase(word, mechanism))
			return offerable(s, word);
	return false;
}

bool smtp_server_offers_requiretls(const struct smtp_server *s)
{
	return s->conf.requiretls && s->tls;
}

static fault put_mechanisms(const struct smtp_server *s, struct buf *text)
{
	struct str rest = s->conf.mechanisms, word;
	bool first = true;
	while (str_take_word(&rest, &word)) {
		if (!offerable(s, word))
			continue;
		TRY(buf_add(text, first ? STR("\nAUTH ") : STR(" ")));
		TRY(buf_add(text, word));
		first = false;
	}
	return OK;
}

static fault put_extensions(const struct smtp_server *s, struct buf *text)
{
	TRY(buf_add(text, s->conf.hostname));
	TRY(buf_add(text, STR("\nPIPELINING")));
	TRY(buf_addf(text, "\nSIZE %llu", (unsigned long long)s->conf.size_bytes_max));
	if (s->conf.starttls && !s->tls)
		TRY(buf_add(text, STR("\nSTARTTLS")));
	TRY(put_mechanisms(s, text));
	TRY(buf_add(text, STR("\nENHANCEDSTATUSCODES\n8BITMIME\nSMTPUTF8\nDSN\nCHUNKING")));
	if (smtp_server_offers_requiretls(s))
		TRY(buf_add(text, STR("\nREQUIRETLS")));
	return buf_addf(text, "\nLIMITS RCPTMAX=%zu", s->conf.rcpts_max);
}

/* RFC 5321 4.1.4: a refused EHLO leaves everything as it was, a good one drops the transaction. */
static void answer_hello(struct smtp_server *s, struct smtp_reply reply, bool extended)
{
	bool was_extended = s->extended;
	s->extended = false; /* RFC 2034 4: no status in the reply to EHLO itself */
	if (!is_yes(reply)) {
		smtp_server_put(s, reply);
		s->extended = was_extended;
		return;
	}
	smtp_server_reset(s, true);
	struct buf text;
	buf_init(&text, 4096);
	reply = smtp_say(SAY_HELLO);
	fault f = extended ? put_extensions(s, &text) : buf_add(&text, s->conf.hostname);
	check(f == OK);
	reply.text = buf_view(&text);
	smtp_server_put(s, reply);
	buf_fini(&text);
	s->extended = extended;
	s->state = SMTP_READY;
}

static void answer_starttls(struct smtp_server *s, struct smtp_reply reply)
{
	smtp_server_put(s, reply);
	if (!is_yes(reply))
		return;
	smtp_server_reset(s, true);
	s->phase = PHASE_TLS;
}

static void answer_auth(struct smtp_server *s, struct smtp_reply reply)
{
	s->phase = PHASE_COMMAND;
	smtp_server_put(s, reply);
	s->logged_in = is_yes(reply);
	if (!s->logged_in && ++s->logins_failed >= s->conf.logins_failed_max)
		smtp_server_end(s, SAY_TOO_MANY_LOGINS);
}

static void answer_rcpt(struct smtp_server *s, struct smtp_reply reply)
{
	if (is_yes(reply)) {
		s->rcpts++;
		s->state = SMTP_HAS_RCPT;
	} else if (s->refusals++ >= s->conf.refusals_max) {
		smtp_server_end(s, SAY_TOO_MANY_ERRORS);
		return;
	}
	smtp_server_put(s, reply);
}

static void answer_begin(struct smtp_server *s, struct smtp_reply reply)
{
	bool yes = is_yes(reply);
	s->data_since_ms = s->pace_since_ms = s->now_ms;
	if (s->chunked) {
		s->phase = PHASE_CHUNK;
		if (yes) {
			s->state = SMTP_IN_BDAT;
			smtp_server_content_begin(s, false);
		} else {
			smtp_server_chunk_refuse(s, reply, s->chunk_last && s->conf.lmtp ? s->rcpts : 1);
			smtp_server_reset(s, false);
		}
		return;
	}
	if (!yes) {
		smtp_server_put(s, reply);
		smtp_server_reset(s, false);
		return;
	}
	smtp_server_say(s, SAY_GO_AHEAD);
	smtp_server_content_begin(s, true);
	s->phase = PHASE_DATA;
}

static void answer_end(struct smtp_server *s, struct smtp_reply reply)
{
	smtp_server_put(s, reply);
	if (is_yes(reply))
		s->errors = s->idle_commands = 0;
	if (s->answers_due > 0) {
		s->asked = ASKED_END;
		return;
	}
	smtp_server_reset(s, false);
	s->phase = s->phase == PHASE_ENDED ? PHASE_ENDED : PHASE_COMMAND;
}

void smtp_server_answer(struct smtp_server *s, struct smtp_reply reply)
{
	enum smtp_question asked = s->asked;
	if (asked == ASKED_NOTHING)
		return; /* the session ended meanwhile */
	s->asked = ASKED_NOTHING;
	if (s->early) {
		smtp_server_end(s, SAY_TOO_EARLY);
		return;
	}
	if (reply.code == 421) { /* RFC 5321 3.8: whoever says it closes */
		smtp_server_put(s, reply);
		smtp_server_end(s, SAY_NOTHING);
		return;
	}
	switch (asked) {
	case ASKED_NOTHING:
		break;
	case ASKED_EHLO:
	case ASKED_HELO:
		answer_hello(s, reply, asked == ASKED_EHLO);
		break;
	case ASKED_STARTTLS:
		answer_starttls(s, reply);
		break;
	case ASKED_AUTH:
		answer_auth(s, reply);
		break;
	case ASKED_MAIL:
		if (is_yes(reply)) {
			s->state = SMTP_HAS_MAIL;
		} else {
			s->mail = (struct mail_params){ 0 };
			if (smtp_server_idles(s))
				return;
		}
		smtp_server_put(s, reply);
		break;
	case ASKED_RCPT:
		answer_rcpt(s, reply);
		break;
	case ASKED_BEGIN:
		answer_begin(s, reply);
		break;
	case ASKED_END:
		s->answers_due--;
		answer_end(s, reply);
		break;
	}
}

void smtp_server_answer_ok(struct smtp_server *s)
{
	static const enum smtp_say usual[] = {
		[ASKED_NOTHING] = SAY_DONE, [ASKED_EHLO] = SAY_HELLO,     [ASKED_HELO] = SAY_HELLO,
		[ASKED_STARTTLS] = SAY_TLS_GO, [ASKED_AUTH] = SAY_LOGGED_IN, [ASKED_MAIL] = SAY_SENDER_OK,
		[ASKED_RCPT] = SAY_RCPT_OK, [ASKED_BEGIN] = SAY_GO_AHEAD, [ASKED_END] = SAY_DONE,
	};
	smtp_server_answer(s, smtp_say(usual[s->asked]));
}

void smtp_server_challenge(struct smtp_server *s, struct str bytes)
{
	if (s->asked != ASKED_AUTH)
		return;
	if (s->early) {
		smtp_server_end(s, SAY_TOO_EARLY);
		return;
	}
	/* Not by reply_put: a challenge may be longer than a reply line (RFC 4954 4), and is never cut. */
	size_t before = buf_view(&s->out).n;
	s->asked = ASKED_NOTHING;
	s->phase = PHASE_AUTH;
	s->since_ms = s->now_ms;
	if (buf_addf(&s->out, "%d ", smtp_say(SAY_CHALLENGE).code) != OK || base64_put(&s->out, bytes) != OK ||
	    buf_add(&s->out, STR("\r\n")) != OK) {
		buf_cut(&s->out, before);
		smtp_server_end(s, SAY_NOTHING);
	}
}
