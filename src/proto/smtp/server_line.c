/* SPDX-License-Identifier: ISC */
/* proto/smtp/server_line.c -- lines: framing, the checks that every command passes, and the commands. */
#include <string.h>

#include "proto/smtp/server_state.h"

/* ---- framing ---- */

static void smuggling(struct smtp_server *s)
{
	smtp_server_push(s, SMTP_SMUGGLING);
}

/* A login does not outlive a line that is none. */
static void leave_auth(struct smtp_server *s)
{
	if (s->phase != PHASE_AUTH)
		return;
	smtp_server_push(s, SMTP_AUTH_CANCELLED);
	s->phase = PHASE_COMMAND;
}

static void skip_line(struct smtp_server *s, enum smtp_say say_at_end)
{
	leave_auth(s);
	s->phase = PHASE_SKIP;
	s->skip_say = say_at_end;
	s->skip_cr = false;
	s->skipped = 0;
}

bool smtp_server_skip_step(struct smtp_server *s)
{
	struct str in = smtp_server_input(s);
	for (size_t i = 0; i < in.n; i++) {
		bool end = s->skip_cr && in.p[i] == '\n';
		s->skip_cr = in.p[i] == '\r';
		if (++s->skipped > SMTP_SKIP_MAX) {
			smtp_server_end(s, SAY_TOO_MANY_ERRORS);
			return true;
		}
		if (!end)
			continue;
		s->used += i + 1;
		s->phase = PHASE_COMMAND;
		if (s->skip_say != SAY_NOTHING)
			smtp_server_refuse(s, s->skip_say);
		return true;
	}
	s->used += in.n;
	return false;
}

/* A bare CR, NUL or another control byte where there is one. */
static enum smtp_say bad_bytes(struct str line)
{
	enum smtp_say wrong = SAY_NOTHING;
	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == '\r')
			return SAY_BARE_CR;
		if ((unsigned char)line.p[i] < 32 || line.p[i] == 127)
			wrong = SAY_BAD_BYTES;
	}
	return wrong;
}

/* ---- what every command passes ---- */

static enum smtp_say wrong_place(struct smtp_server *s, const struct smtp_command *c)
{
	if ((c->allowed & SMTP_NEW) == 0 && s->state == SMTP_NEW)
		return s->conf.lmtp ? SAY_LHLO_FIRST : SAY_HELLO_FIRST;
	if (c->guarded && s->conf.tls_required && !s->tls)
		return SAY_TLS_FIRST;
	if (c->guarded && s->conf.auth_required && !s->logged_in)
		return SAY_AUTH_FIRST;
	if ((c->allowed & s->state) != 0)
		return SAY_NOTHING;
	if (s->state == SMTP_IN_BDAT)
		return SAY_MIXED;
	return s->state == SMTP_READY ? SAY_MAIL_FIRST : c->otherwise;
}

static enum smtp_say wrong_argument(const struct smtp_command *c, struct str argument)
{
	if (c->argument == ARGUMENT_NONE && argument.n > 0)
		return SAY_NO_ARGUMENT;
	if (c->argument == ARGUMENT_SOME && argument.n == 0)
		return c->verb == VERB_MAIL   ? SAY_MAIL_SYNTAX
		       : c->verb == VERB_RCPT ? SAY_RCPT_SYNTAX
		       : c->verb == VERB_AUTH ? SAY_AUTH_SYNTAX
		       : c->verb == VERB_VRFY ? SAY_NEEDS_ARGUMENT
		                              : SAY_HELLO_SYNTAX;
	return SAY_NOTHING;
}

/* ---- the commands ---- */

static void command_hello(struct smtp_server *s, struct str argument, bool extended)
{
	struct str name;
	if (!smtp_argument_hello(argument, &name)) {
		smtp_server_refuse(s, SAY_HELLO_SYNTAX);
		return;
	}
	if (smtp_server_idles(s))
		return;
	struct smtp_event *e = smtp_server_tell(s, SMTP_HELLO);
	e->u.hello.name = name;
	e->u.hello.extended = extended;
	smtp_server_ask(s, extended ? ASKED_EHLO : ASKED_HELO);
}

static void command_starttls(struct smtp_server *s)
{
	if (s->tls) {
		smtp_server_refuse(s, SAY_TLS_ALREADY);
	} else if (!s->conf.starttls) {
		smtp_server_refuse(s, SAY_NO_TLS);
	} else {
		smtp_server_push(s, SMTP_STARTTLS);
		smtp_server_ask(s, ASKED_STARTTLS);
	}
}

static enum smtp_say wrong_auth(struct smtp_server *s, struct str argument, struct smtp_event *out)
{
	if (s->conf.mechanisms.n == 0)
		return SAY_NO_AUTH;
	if (!s->tls)
		return s->conf.tls_required ? SAY_TLS_FIRST : SAY_AUTH_NEEDS_TLS;
	if (s->logged_in)
		return SAY_AUTH_ALREADY;
	enum smtp_say wrong = smtp_argument_auth(argument, smtp_server_words(s), &out->u.auth.mechanism,
	                                         &out->u.auth.has_initial, &out->u.auth.initial);
	if (wrong == SAY_NOTHING && !smtp_server_offers(s, out->u.auth.mechanism))
		return SAY_NO_MECHANISM;
	return wrong;
}

static void command_auth(struct smtp_server *s, struct str argument)
{
	struct smtp_event e = { .kind = SMTP_AUTH };
	enum smtp_say wrong = wrong_auth(s, argument, &e);
	if (wrong != SAY_NOTHING) {
		smtp_server_refuse(s, wrong);
		return;
	}
	*smtp_server_tell(s, SMTP_AUTH) = e;
	smtp_server_ask(s, ASKED_AUTH);
}

static struct params_rules rules(const struct smtp_server *s)
{
	return (struct params_rules){
		.extended = s->extended,
		.auth = s->conf.mechanisms.n > 0 && s->tls,
		.smtputf8 = s->mail.smtputf8,
		.requiretls = smtp_server_offers_requiretls(s),
		.size_bytes_max = s->conf.size_bytes_max,
	};
}

static void command_mail(struct smtp_server *s, struct str argument)
{
	struct params_rules r = rules(s);
	struct smtp_event e = { .kind = SMTP_MAIL };
	enum smtp_say wrong =
		smtp_argument_mail(argument, &r, smtp_server_words(s), &e.u.mail.address, &e.u.mail.params);
	if (wrong != SAY_NOTHING) {
		smtp_server_refuse(s, wrong);
		return;
	}
	s->mail.smtputf8 = e.u.mail.params.smtputf8;
	s->mail.body = e.u.mail.params.body;
	*smtp_server_tell(s, SMTP_MAIL) = e;
	smtp_server_ask(s, ASKED_MAIL);
}

static void command_rcpt(struct smtp_server *s, struct str argument)
{
	struct params_rules r = rules(s);
	struct smtp_event e = { .kind = SMTP_RCPT };
	enum smtp_say wrong =
		smtp_argument_rcpt(argument, &r, smtp_server_words(s), &e.u.rcpt.address, &e.u.rcpt.params);
	if (wrong != SAY_NOTHING) {
		smtp_server_refuse(s, wrong);
	} else if (s->rcpts >= s->conf.rcpts_max) {
		smtp_server_say(s, SAY_TOO_MANY_RCPTS); /* the client's good right to try: no error */
	} else {
		*smtp_server_tell(s, SMTP_RCPT) = e;
		smtp_server_ask(s, ASKED_RCPT);
	}
}

static void ask_begin(struct smtp_server *s, bool chunked)
{
	s->chunked = chunked;
	smtp_server_tell(s, SMTP_DATA_BEGIN)->u.begin.chunked = chunked;
	smtp_server_ask(s, ASKED_BEGIN);
}

/* RFC 3030 2: the octets follow at once, so even a refused chunk is read; one without a readable size
 * cannot be, and ends the session. */
static void command_bdat(struct smtp_server *s, const struct smtp_command *c, struct str argument)
{
	uint64_t bytes;
	bool last;
	if (smtp_argument_bdat(argument, &bytes, &last) != SAY_NOTHING) {
		smtp_server_end(s, SAY_BDAT_SYNTAX);
		return;
	}
	s->chunk_left = bytes;
	s->chunk_last = last;
	s->chunk_refused = false;
	if (s->state != SMTP_IN_BDAT) {
		s->data_since_ms = s->pace_since_ms = s->now_ms;
		s->pace_bytes = 0;
	}
	enum smtp_say wrong = wrong_place(s, c);
	if (wrong == SAY_NOTHING && bytes > s->conf.size_bytes_max - (s->state == SMTP_IN_BDAT ? s->content.bytes : 0))
		wrong = SAY_TOO_BIG;
	if (wrong != SAY_NOTHING) {
		s->errors++;
		smtp_server_chunk_refuse(s, smtp_say(wrong), wrong == SAY_TOO_BIG && last && s->conf.lmtp ? s->rcpts : 1);
		s->phase = PHASE_CHUNK;
		if (wrong == SAY_TOO_BIG)
			smtp_server_reset(s, true);
	} else if (s->state == SMTP_HAS_RCPT) {
		ask_begin(s, true);
	} else {
		s->phase = PHASE_CHUNK;
	}
}

static void idle(struct smtp_server *s, const struct smtp_command *c, enum smtp_say what)
{
	if (!c->idle || !smtp_server_idles(s))
		smtp_server_say(s, what);
}

static void run(struct smtp_server *s, const struct smtp_command *c, struct str argument)
{
	switch (c->verb) {
	case VERB_EHLO:
	case VERB_LHLO:
	case VERB_HELO:
		command_hello(s, argument, c->verb != VERB_HELO);
		break;
	case VERB_STARTTLS:
		command_starttls(s);
		break;
	case VERB_AUTH:
		command_auth(s, argument);
		break;
	case VERB_MAIL:
		command_mail(s, argument);
		break;
	case VERB_RCPT:
		command_rcpt(s, argument);
		break;
	case VERB_DATA:
		ask_begin(s, false);
		break;
	case VERB_RSET:
		smtp_server_reset(s, true);
		idle(s, c, SAY_DONE);
		break;
	case VERB_NOOP:
		idle(s, c, SAY_DONE);
		break;
	case VERB_VRFY:
		idle(s, c, SAY_VRFY);
		break;
	case VERB_HELP:
		idle(s, c, SAY_HELP);
		break;
	case VERB_EXPN:
		smtp_server_refuse(s, SAY_NO_EXPN);
		break;
	case VERB_QUIT:
		smtp_server_push(s, SMTP_QUIT);
		smtp_server_end(s, SAY_BYE);
		break;
	case VERB_BDAT:
	case VERB_HTTP:
	case VERB_UNKNOWN:
		smtp_server_refuse(s, SAY_UNKNOWN);
		break;
	}
}

/* A whole line, without CRLF; whole: its length with it. */
static void command_line(struct smtp_server *s, struct str line, size_t whole)
{
	struct str argument;
	const struct smtp_command *c = smtp_command_find(line, s->conf.lmtp, &argument);
	enum smtp_say wrong = bad_bytes(str_trim(line));
	if (wrong == SAY_BARE_CR || memchr(line.p, '\0', line.n) != NULL)
		smuggling(s);

	if (c->verb == VERB_HTTP) {
		smtp_server_tell(s, SMTP_WRONG_PROTOCOL)->u.protocol = SMTP_PROTOCOL_HTTP;
		smtp_server_end(s, SAY_NOT_HTTP);
		return;
	}
	if (c->verb == VERB_UNKNOWN && wrong != SAY_NOTHING && s->state == SMTP_NEW) {
		smtp_server_end(s, wrong); /* not a word of SMTP yet, and now this: some other protocol */
		return;
	}
	if (whole > c->line_max)
		wrong = SAY_LINE_TOO_LONG;
	if (c->sync)
		s->must_wait = true;
	if (c->sync && smtp_server_input(s).n > 0) {
		smtp_server_end(s, SAY_TOO_EARLY);
		return;
	}
	if (c->verb == VERB_BDAT) {
		if (wrong == SAY_NOTHING)
			command_bdat(s, c, argument);
		else
			smtp_server_end(s, wrong); /* its octets would be taken for commands */
		return;
	}
	if (wrong == SAY_NOTHING)
		wrong = wrong_argument(c, argument);
	if (wrong == SAY_NOTHING)
		wrong = wrong_place(s, c);
	if (wrong == SAY_MIXED)
		smtp_server_reset(s, true);
	if (wrong != SAY_NOTHING)
		smtp_server_refuse(s, wrong);
	else
		run(s, c, argument);
}

static void auth_line(struct smtp_server *s, struct str line)
{
	s->must_wait = true;
	if (smtp_server_input(s).n > 0) {
		smtp_server_push(s, SMTP_AUTH_CANCELLED);
		smtp_server_end(s, SAY_TOO_EARLY);
		return;
	}
	struct str response;
	enum smtp_say wrong = smtp_argument_auth_step(line, smtp_server_words(s), &response);
	if (wrong != SAY_NOTHING) {
		leave_auth(s);
		smtp_server_refuse(s, wrong);
		return;
	}
	smtp_server_tell(s, SMTP_AUTH_STEP)->u.response = response;
	smtp_server_ask(s, ASKED_AUTH);
}

bool smtp_server_line_step(struct smtp_server *s)
{
	struct str in = str_sub(smtp_server_input(s), 0, SMTP_LINE_AUTH_MAX);
	size_t at;
	if (!str_find(str_from(in, s->searched), '\n', &at)) {
		s->searched = in.n;
		if (in.n < SMTP_LINE_AUTH_MAX)
			return false;
		s->searched = 0;
		skip_line(s, s->phase == PHASE_AUTH ? SAY_AUTH_LINE_TOO_LONG : SAY_LINE_TOO_LONG);
		return true;
	}
	at += s->searched;
	s->searched = 0;
	s->used += at + 1;
	if (at == 0 || in.p[at - 1] != '\r') {
		smuggling(s);
		skip_line(s, SAY_NOTHING);
		smtp_server_refuse(s, SAY_BARE_LF);
		return true;
	}
	struct str line = str_sub(in, 0, at - 1);
	if (s->phase == PHASE_AUTH)
		auth_line(s, line);
	else
		command_line(s, line, at + 1);
	return true;
}
