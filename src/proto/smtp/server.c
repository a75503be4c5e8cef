/* SPDX-License-Identifier: ISC */
#include "proto/smtp/server_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { OUTPUT_MAX = 1 << 20, WORDS_MAX = 64 << 10 };

struct smtp_server_conf smtp_server_conf_usual(void)
{
	return (struct smtp_server_conf){
		.size_bytes_max = 50 << 20,
		.rcpts_max = 1000,
		.text_line_max = 64 << 10,
		.errors_max = 20,
		.refusals_max = 100,
		.idle_commands_max = 100,
		.logins_failed_max = 5,
		.command_ms = 5 * 60 * 1000,
		.data_ms = 3 * 60 * 1000,
		.data_bytes_min = 4 << 10,
		.data_total_ms = 2 * 60 * 60 * 1000,
		.session_ms = 4 * 60 * 60 * 1000,
	};
}

struct smtp_server *smtp_server_new(const struct smtp_server_conf *conf, int64_t now_ms)
{
	struct smtp_server *s = NEW(struct smtp_server);
	s->conf = *conf;
	buf_init_secret(&s->in, SMTP_INPUT_MAX); /* passwords come this way */
	buf_init(&s->out, OUTPUT_MAX);
	s->state = SMTP_NEW;
	s->now_ms = s->started_ms = s->since_ms = now_ms;
	return s;
}

void smtp_server_free(struct smtp_server **s)
{
	if (*s == NULL)
		return;
	buf_fini(&(*s)->in);
	buf_fini(&(*s)->out);
	arena_free(&(*s)->words);
	str_release(&(*s)->chunk_reply.text);
	free(*s);
	*s = NULL;
}

struct str smtp_server_input(const struct smtp_server *s)
{
	return str_from(buf_view(&s->in), s->used);
}

struct arena *smtp_server_words(struct smtp_server *s)
{
	if (s->words == NULL)
		s->words = arena_new_secret(WORDS_MAX);
	return s->words;
}

/* What the last event pointed to may go now. An idle session keeps no buffers. */
static void release(struct smtp_server *s)
{
	bool in_content = s->phase == PHASE_DATA || s->phase == PHASE_CHUNK;
	if (!in_content && s->used == buf_view(&s->in).n)
		buf_fini(&s->in); /* overwritten once, not as what is dropped and again as what is freed */
	else if (s->used > 0)
		buf_drop(&s->in, s->used);
	s->used = 0;
	arena_free(&s->words);
}

void smtp_server_put(struct smtp_server *s, struct smtp_reply reply)
{
	s->since_ms = s->now_ms;
	if (reply_put(&s->out, &reply, s->extended) != OK)
		s->phase = PHASE_ENDED; /* a reply beyond all measure: nothing sensible can follow */
}

void smtp_server_say(struct smtp_server *s, enum smtp_say what)
{
	smtp_server_put(s, smtp_say(what));
}

void smtp_server_end(struct smtp_server *s, enum smtp_say last_word)
{
	if (last_word != SAY_NOTHING)
		smtp_server_say(s, last_word);
	s->phase = PHASE_ENDED;
	s->asked = ASKED_NOTHING;
}

void smtp_server_refuse(struct smtp_server *s, enum smtp_say what)
{
	if (s->errors++ >= s->conf.errors_max)
		smtp_server_end(s, SAY_TOO_MANY_ERRORS);
	else
		smtp_server_say(s, what);
}

void smtp_server_push(struct smtp_server *s, enum smtp_event_kind kind)
{
	check(s->n_events < COUNT(s->events));
	s->events[s->n_events++] = (unsigned char)kind;
}

static bool is_waiting(const struct smtp_server *s, enum smtp_event_kind kind)
{
	return memchr(s->events, (int)kind, s->n_events) != NULL;
}

/* Ten thousand idle sessions shall not each have room for several long ones: no two that say something wait together. */
struct smtp_event *smtp_server_tell(struct smtp_server *s, enum smtp_event_kind kind)
{
	check(!is_waiting(s, s->told.kind));
	smtp_server_push(s, kind);
	s->told = (struct smtp_event){ .kind = kind };
	return &s->told;
}

void smtp_server_pass_on(struct smtp_server *s, struct str bytes)
{
	if (bytes.n == 0)
		return;
	check(!is_waiting(s, SMTP_BODY));
	smtp_server_push(s, SMTP_BODY);
	s->piece = bytes;
}

static struct smtp_event take_event(struct smtp_server *s)
{
	struct smtp_event e = { .kind = (enum smtp_event_kind)s->events[0] };
	if (e.kind == SMTP_BODY)
		e.u.body = s->piece;
	else if (e.kind == s->told.kind)
		e = s->told;
	s->n_events--;
	memmove(&s->events[0], &s->events[1], s->n_events * sizeof s->events[0]);
	return e;
}

void smtp_server_ask(struct smtp_server *s, enum smtp_question question)
{
	check(s->asked == ASKED_NOTHING);
	s->asked = question;
}

bool smtp_server_idles(struct smtp_server *s)
{
	if (s->idle_commands++ < s->conf.idle_commands_max)
		return false;
	smtp_server_end(s, SAY_TOO_MANY_COMMANDS);
	return true;
}

static bool in_mail(const struct smtp_server *s)
{
	return (s->state & (SMTP_HAS_MAIL | SMTP_HAS_RCPT | SMTP_IN_BDAT)) != 0;
}

/* The one way out of a transaction. */
void smtp_server_reset(struct smtp_server *s, bool tell)
{
	if (!in_mail(s))
		return;
	s->state = SMTP_READY;
	s->mail = (struct mail_params){ 0 };
	s->rcpts = 0;
	s->chunked = false;
	if (tell)
		smtp_server_push(s, SMTP_RESET);
}

static void greeting(struct smtp_server *s)
{
	char text[SMTP_NAME_MAX + 16];
	size_t n = s->conf.hostname.n < SMTP_NAME_MAX ? s->conf.hostname.n : SMTP_NAME_MAX;
	if (n > 0)
		memcpy(text, s->conf.hostname.p, n);
	memcpy(text + n, s->conf.lmtp ? " LMTP" : " ESMTP", s->conf.lmtp ? 5 : 6);
	struct smtp_reply reply = smtp_say(SAY_GREETING);
	reply.text = (struct str){ text, n + (s->conf.lmtp ? 5 : 6) };
	smtp_server_put(s, reply);
}

/* RFC 8314 3.4: what speaks TLS to a port that starts in clear is told so; nobody greeted yet is told nothing else. */
static bool strange_beginning(struct smtp_server *s)
{
	struct str in = smtp_server_input(s);
	if (in.n == 0)
		return false;
	if (!s->heard && !s->tls && in.p[0] == 0x16) {
		smtp_server_tell(s, SMTP_WRONG_PROTOCOL)->u.protocol = SMTP_PROTOCOL_TLS;
		smtp_server_end(s, SAY_NOT_TLS_PORT);
		return true;
	}
	s->heard = true;
	if (s->phase != PHASE_GREETING)
		return false;
	smtp_server_end(s, SAY_TOO_EARLY);
	return true;
}

void smtp_server_greet(struct smtp_server *s)
{
	if (s->phase != PHASE_GREETING || strange_beginning(s))
		return;
	s->phase = PHASE_COMMAND;
	greeting(s);
}

size_t smtp_server_feed(struct smtp_server *s, struct str bytes, int64_t now_ms)
{
	s->now_ms = now_ms;
	if (bytes.n == 0)
		return 0;
	if (s->phase == PHASE_TLS)
		smtp_server_end(s, SAY_NOTHING); /* injected before the handshake (CVE-2011-0411 and later) */
	if (s->must_wait)
		s->early = true;
	if (s->phase == PHASE_ENDED || s->early)
		return bytes.n;

	if (s->n_events == 0)
		release(s);
	size_t n = bytes.n < buf_room(&s->in) ? bytes.n : buf_room(&s->in);
	check(buf_add(&s->in, str_sub(bytes, 0, n)) == OK);
	if (s->phase != PHASE_DATA && s->phase != PHASE_CHUNK)
		return n;
	s->pace_bytes += n;
	if (s->pace_bytes >= s->conf.data_bytes_min)
		smtp_server_forgive(s, now_ms);
	return n;
}

void smtp_server_forgive(struct smtp_server *s, int64_t now_ms)
{
	s->now_ms = s->pace_since_ms = now_ms;
	s->pace_bytes = 0;
	if (s->phase != PHASE_DATA && s->phase != PHASE_CHUNK)
		s->since_ms = now_ms;
}

static bool session_is_over(const struct smtp_server *s)
{
	return s->now_ms - s->started_ms >= s->conf.session_ms;
}

static void expire(struct smtp_server *s)
{
	if (s->now_ms < smtp_server_deadline_ms(s))
		return;
	bool content = s->phase == PHASE_DATA || s->phase == PHASE_CHUNK || s->state == SMTP_IN_BDAT;
	smtp_server_push(s, SMTP_TIMED_OUT);
	smtp_server_end(s, content ? SAY_TOO_SLOW : session_is_over(s) ? SAY_SESSION_OVER : SAY_TIMED_OUT);
}

/* A message under way may end, within the time that one may take. */
static int64_t session_end(const struct smtp_server *s)
{
	return s->started_ms + s->conf.session_ms + (in_mail(s) ? s->conf.data_total_ms : 0);
}

/* False: more input, or room in the output, is needed. */
static bool step(struct smtp_server *s)
{
	if (s->early) {
		smtp_server_end(s, SAY_TOO_EARLY);
		return true;
	}
	if (buf_view(&s->out).n >= SMTP_OUTPUT_HIGH)
		return false;
	if (s->phase <= PHASE_COMMAND && strange_beginning(s))
		return true;
	if (s->draining && s->phase == PHASE_COMMAND && !in_mail(s)) {
		smtp_server_end(s, SAY_SHUTTING_DOWN);
		return true;
	}
	/* Who never pauses has no deadline that could fire. */
	if (s->phase == PHASE_COMMAND && s->state != SMTP_IN_BDAT && s->now_ms >= session_end(s)) {
		expire(s);
		return true;
	}
	switch (s->phase) {
	case PHASE_COMMAND:
	case PHASE_AUTH:
		return smtp_server_line_step(s);
	case PHASE_SKIP:
		return smtp_server_skip_step(s);
	case PHASE_DATA:
		return smtp_server_data_step(s);
	case PHASE_CHUNK:
		return smtp_server_chunk_step(s);
	case PHASE_GREETING:
	case PHASE_TLS:
	case PHASE_ENDED:
		break;
	}
	return false;
}

bool smtp_server_next(struct smtp_server *s, struct smtp_event *out)
{
	if (s->n_events == 0)
		release(s);
	while (s->n_events == 0) {
		if (s->asked != ASKED_NOTHING || s->phase == PHASE_ENDED)
			return false;
		if (step(s))
			continue;
		expire(s);
		if (s->n_events == 0)
			return false;
	}
	*out = take_event(s);
	return true;
}

struct str smtp_server_output(const struct smtp_server *s)
{
	return buf_view(&s->out);
}

void smtp_server_sent(struct smtp_server *s, size_t n)
{
	buf_drop(&s->out, n);
	buf_shrink(&s->out);
	if (buf_view(&s->out).n == 0 && s->asked == ASKED_NOTHING)
		s->must_wait = false;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t smtp_server_deadline_ms(const struct smtp_server *s)
{
	if (s->asked != ASKED_NOTHING)
		return INT64_MAX;
	int64_t message = s->data_since_ms + s->conf.data_total_ms;
	if (s->state == SMTP_IN_BDAT && s->phase < PHASE_TLS) /* between two chunks as well their message must come on */
		return earlier(s->pace_since_ms + s->conf.command_ms, message);
	switch (s->phase) {
	case PHASE_COMMAND:
	case PHASE_AUTH:
	case PHASE_SKIP:
		return earlier(s->since_ms + s->conf.command_ms, session_end(s));
	case PHASE_DATA:
	case PHASE_CHUNK:
		return earlier(s->pace_since_ms + s->conf.data_ms, message);
	case PHASE_GREETING:
	case PHASE_TLS:
	case PHASE_ENDED:
		break;
	}
	return INT64_MAX;
}

/* RFC 3207 4.2: what was known before is forgotten. */
void smtp_server_tls_started(struct smtp_server *s, bool channel_binding)
{
	if (s->phase != PHASE_GREETING && s->phase != PHASE_TLS)
		return;
	if (s->phase == PHASE_TLS)
		s->phase = PHASE_COMMAND;
	s->tls = true;
	s->binding = channel_binding;
	s->extended = s->heard = false;
	s->state = SMTP_NEW;
	s->since_ms = s->now_ms;
}

void smtp_server_drain(struct smtp_server *s)
{
	s->draining = true;
}

bool smtp_server_done(const struct smtp_server *s)
{
	return s->phase == PHASE_ENDED;
}

bool smtp_server_tls_awaited(const struct smtp_server *s)
{
	return s->phase == PHASE_TLS;
}

bool smtp_server_logged_in(const struct smtp_server *s)
{
	return s->logged_in;
}
