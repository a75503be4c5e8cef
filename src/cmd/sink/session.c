/* SPDX-License-Identifier: ISC */
#include "cmd/sink/session.h"

#include <string.h>

#include "base/check.h"

enum { MILLION = 1000000, REPLY_MAX = 256 };

void sink_session_init(struct sink_session *s, struct sink_rules *rules, bool tls)
{
	*s = (struct sink_session){ .rules = rules, .tls = tls };
	buf_init(&s->out, SINK_UNSENT_MAX + SINK_RCPTS_MAX * REPLY_MAX); /* one reply to each in LMTP */
}

void sink_session_fini(struct sink_session *s)
{
	buf_fini(&s->out);
}

enum sink_event sink_session_next(struct sink_session *s)
{
	enum sink_event event = s->event;
	s->event = SINK_NOTHING;
	return event;
}

static void say(struct sink_session *s, struct str line)
{
	fault f = buf_add(&s->out, line);
	check(f == OK); /* nothing is taken while there is no room for what it may bring */
}

void sink_session_greet(struct sink_session *s)
{
	say(s, s->rules->lmtp ? STR("220 sink LMTP\r\n") : STR("220 sink ESMTP\r\n"));
}

void sink_session_tls_started(struct sink_session *s)
{
	s->tls = true;
	s->greeted = s->mail = false;
	s->rcpts = 0;
	s->line_n = 0;
}

static void end(struct sink_session *s, struct str words)
{
	say(s, words);
	s->ended = true;
	s->event = SINK_END;
}

/* ---- fates ---- */

/* xorshift64*: the same seed gives the same fates. */
static unsigned throw_dice(struct sink_rules *r)
{
	r->dice ^= r->dice >> 12;
	r->dice ^= r->dice << 25;
	r->dice ^= r->dice >> 27;
	return (unsigned)((r->dice * UINT64_C(2685821657736338717) >> 32) % MILLION);
}

/* True if it is not to be taken: then there is a reply, or the connection is to be dropped without one. */
static bool meets_fate(struct sink_session *s, enum sink_place at, struct str *reply_out)
{
	struct sink_rules *r = s->rules;
	if (r->at != at || (r->drop | r->defer | r->refuse) == 0)
		return false;
	unsigned eyes = throw_dice(r);
	if (eyes < r->drop) {
		*reply_out = STR_NONE;
		r->dropped++;
		s->ended = true;
		s->event = SINK_DROP;
	} else if (eyes < r->drop + r->defer) {
		r->deferred++;
		*reply_out = STR("451 4.3.0 Not now, says the sink\r\n");
	} else if (eyes < r->drop + r->defer + r->refuse) {
		r->refused++;
		*reply_out = STR("550 5.7.1 Refused, says the sink\r\n");
	} else {
		return false;
	}
	return true;
}

/* ---- content ---- */

static void reset(struct sink_session *s)
{
	s->mail = s->content = s->in_chunk = s->last_chunk = false;
	s->rcpts = s->octets = s->chunk_left = 0;
}

static void take_message(struct sink_session *s)
{
	struct sink_rules *r = s->rules;
	uint64_t replies = r->lmtp ? s->rcpts : 1;
	struct str reply = STR("250 2.0.0 Ok: gone\r\n");
	s->event = SINK_ANSWERED;
	if (!meets_fate(s, SINK_AT_DOT, &reply)) {
		r->messages++;
		r->recipients += s->rcpts;
		r->octets += s->octets;
	}
	for (uint64_t i = 0; i < replies; i++)
		say(s, reply);
	reset(s);
}

static void remember_tail(struct sink_session *s, struct str bytes)
{
	if (bytes.n >= sizeof s->tail) {
		memcpy(s->tail, bytes.p + bytes.n - sizeof s->tail, sizeof s->tail);
		return;
	}
	memmove(s->tail, s->tail + bytes.n, sizeof s->tail - bytes.n);
	memcpy(s->tail + sizeof s->tail - bytes.n, bytes.p, bytes.n);
}

/* How many octets until the end of CRLF . CRLF, which may have begun in what came before; 0: it is not there. */
static size_t find_end(const struct sink_session *s, struct str bytes)
{
	static const char mark[] = "\r\n.\r\n";
	enum { MARK = sizeof mark - 1 };
	char seam[sizeof s->tail * 2];
	size_t n = bytes.n < sizeof s->tail ? bytes.n : sizeof s->tail;
	memcpy(seam, s->tail, sizeof s->tail);
	memcpy(seam + sizeof s->tail, bytes.p, n);
	const char *at = memmem(seam, sizeof s->tail + n, mark, MARK);
	if (at != NULL)
		return (size_t)(at - seam) + MARK - sizeof s->tail;
	at = memmem(bytes.p, bytes.n, mark, MARK);
	return at != NULL ? (size_t)(at - bytes.p) + MARK : 0;
}

static size_t take_content(struct sink_session *s, struct str bytes)
{
	size_t n = find_end(s, bytes);
	s->octets += n > 0 ? n : bytes.n;
	if (n == 0) {
		remember_tail(s, bytes);
		return bytes.n;
	}
	s->octets -= 3; /* the dot and its line's end; the CRLF before them is content */
	take_message(s);
	return n;
}

static void begin_content(struct sink_session *s)
{
	static const char line_start[sizeof s->tail] = { '\0', '\0', '\r', '\n' };
	memcpy(s->tail, line_start, sizeof s->tail);
	s->content = true;
}

static void end_chunk(struct sink_session *s)
{
	s->in_chunk = false;
	if (s->last_chunk)
		take_message(s);
	else
		say(s, STR("250 2.0.0 Ok: goes on\r\n"));
}

static size_t take_chunk(struct sink_session *s, struct str bytes)
{
	size_t n = bytes.n < s->chunk_left ? bytes.n : (size_t)s->chunk_left;
	s->octets += n;
	s->chunk_left -= n;
	if (s->chunk_left == 0)
		end_chunk(s);
	return n;
}

/* ---- commands ---- */

static void hello(struct sink_session *s, bool extended)
{
	const struct sink_rules *r = s->rules;
	reset(s);
	s->greeted = true;
	if (!extended) {
		say(s, STR("250 sink\r\n"));
		return;
	}
	say(s, STR("250-sink\r\n"));
	if (!r->no_pipelining)
		say(s, STR("250-PIPELINING\r\n"));
	if (!r->no_chunking)
		say(s, STR("250-CHUNKING\r\n"));
	if (r->starttls && !s->tls)
		say(s, STR("250-STARTTLS\r\n"));
	if (r->auth && s->tls)
		say(s, STR("250-AUTH PLAIN LOGIN\r\n"));
	say(s, STR("250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 SIZE\r\n"));
}

static void command_mail(struct sink_session *s)
{
	struct str reply = STR("250 2.1.0 Ok\r\n");
	if (!s->greeted || s->mail)
		reply = STR("503 5.5.1 Not now\r\n");
	else
		s->mail = !meets_fate(s, SINK_AT_MAIL, &reply);
	say(s, reply);
}

static void command_rcpt(struct sink_session *s)
{
	struct str reply = STR("250 2.1.5 Ok\r\n");
	if (!s->mail)
		reply = STR("503 5.5.1 MAIL first\r\n");
	else if (s->rcpts == SINK_RCPTS_MAX)
		reply = STR("452 4.5.3 Too many recipients\r\n");
	else if (!meets_fate(s, SINK_AT_RCPT, &reply))
		s->rcpts++;
	say(s, reply);
}

static void command_data(struct sink_session *s)
{
	if (s->rcpts == 0 || s->octets > 0) {
		say(s, STR("503 5.5.1 RCPT first\r\n"));
		return;
	}
	begin_content(s);
	say(s, STR("354 Go on\r\n"));
}

static void command_bdat(struct sink_session *s, struct str rest)
{
	uint64_t n;
	struct str word;
	if (!str_take_word(&rest, &word) || !str_u64(word, &n)) {
		end(s, STR("501 5.5.4 BDAT wants a number of octets\r\n")); /* what follows might be content */
		return;
	}
	s->last_chunk = str_take_word(&rest, &word) && str_eq_nocase(word, STR("LAST"));
	if (s->rcpts == 0) {
		end(s, STR("503 5.5.1 RCPT first\r\n"));
		return;
	}
	s->chunk_left = n;
	s->in_chunk = true;
	if (n == 0)
		end_chunk(s);
}

static void command_starttls(struct sink_session *s)
{
	if (!s->rules->starttls || s->tls) {
		say(s, STR("502 5.5.1 Not here\r\n"));
		return;
	}
	say(s, STR("220 2.0.0 Go on\r\n"));
	s->event = SINK_TLS;
}

static void command_auth(struct sink_session *s, struct str rest)
{
	struct str mechanism, initial;
	if (!s->rules->auth || !s->tls) {
		say(s, STR("502 5.5.1 Not here\r\n"));
		return;
	}
	if (!str_take_word(&rest, &mechanism)) {
		say(s, STR("501 5.5.4 Which mechanism?\r\n"));
		return;
	}
	s->auth_steps = str_eq_nocase(mechanism, STR("LOGIN")) ? 2 : 1;
	if (str_take_word(&rest, &initial))
		s->auth_steps--;
	say(s, s->auth_steps > 0 ? STR("334 \r\n") : STR("235 2.7.0 Whoever you are\r\n"));
}

static bool is(struct str *line, const char *verb)
{
	struct str rest = *line;
	if (!str_take_nocase(&rest, str_of(verb)) || (rest.n > 0 && rest.p[0] != ' '))
		return false;
	*line = rest;
	return true;
}

static void command(struct sink_session *s, struct str line)
{
	if (str_starts_nocase(line, STR("MAIL FROM:")))
		command_mail(s);
	else if (str_starts_nocase(line, STR("RCPT TO:")))
		command_rcpt(s);
	else if (is(&line, "DATA"))
		command_data(s);
	else if (is(&line, "BDAT") && !s->rules->no_chunking)
		command_bdat(s, line);
	else if (is(&line, s->rules->lmtp ? "LHLO" : "EHLO"))
		hello(s, true);
	else if (is(&line, "HELO") && !s->rules->lmtp)
		hello(s, false);
	else if (is(&line, "RSET")) {
		reset(s);
		say(s, STR("250 2.0.0 Ok\r\n"));
	} else if (is(&line, "QUIT"))
		end(s, STR("221 2.0.0 Bye\r\n"));
	else if (is(&line, "STARTTLS"))
		command_starttls(s);
	else if (is(&line, "AUTH"))
		command_auth(s, line);
	else if (is(&line, "NOOP"))
		say(s, STR("250 2.0.0 Ok\r\n"));
	else
		say(s, STR("500 5.5.1 The sink does not know this\r\n"));
}

static void take_line(struct sink_session *s, struct str line)
{
	if (s->auth_steps == 0) {
		command(s, line);
	} else if (str_eq(line, STR("*"))) {
		s->auth_steps = 0;
		say(s, STR("501 5.7.0 As you like\r\n"));
	} else {
		s->auth_steps--;
		say(s, s->auth_steps > 0 ? STR("334 \r\n") : STR("235 2.7.0 Whoever you are\r\n"));
	}
}

static size_t take_command(struct sink_session *s, struct str bytes)
{
	size_t at;
	bool whole = str_find(bytes, '\n', &at);
	struct str part = str_sub(bytes, 0, whole ? at : bytes.n), line = part;
	if (part.n > sizeof s->line - s->line_n) {
		end(s, STR("500 5.5.2 The line is too long\r\n"));
		return bytes.n;
	}
	if (!whole || s->line_n > 0) {
		memcpy(s->line + s->line_n, part.p, part.n);
		s->line_n += part.n;
		line = (struct str){ s->line, s->line_n };
	}
	if (!whole)
		return bytes.n;
	s->line_n = 0;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	take_line(s, line);
	return at + 1;
}

size_t sink_session_feed(struct sink_session *s, struct str bytes)
{
	size_t used = 0;
	while (used < bytes.n && s->event == SINK_NOTHING) {
		struct str rest = str_from(bytes, used);
		if (s->ended)
			return bytes.n;
		if (buf_view(&s->out).n >= SINK_UNSENT_MAX)
			break;
		used += s->in_chunk ? take_chunk(s, rest) : s->content ? take_content(s, rest) : take_command(s, rest);
	}
	return used;
}
