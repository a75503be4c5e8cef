/* SPDX-License-Identifier: ISC */
/*
 * role/front/session.c -- one connection: bytes, TLS and time, between the stream and the SMTP core.
 *
 * The stream is read only while the core takes what was read: an unanswered question, a slow spool or a client
 * that does not read its replies stops the reading, and so bounds the memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "policy/route.h"
#include "role/front/front.h"
#include "sys/log.h"
#include "sys/process.h"

enum {
	READS_A_TURN = 8,
	OUTPUT_BYTES_HIGH = 64 << 10,
	LAST_WORDS_BYTES = 1024,
	IN_BYTES_MAX = FRONT_READ_BYTES + (32 << 10),
	DISCARD_BYTES_MAX = 1 << 20,
	USERS_BYTES_MAX = 16 << 10,
};

static const char wrong_port_reply[] = "554 5.7.0 This port expects TLS from the first byte: choose SSL/TLS in the client, "
                                       "or port 587 for STARTTLS\r\n";
static const char wrong_port_mending[] =
	"the client spoke plain text to a port that expects TLS from the first byte: choose SSL/TLS in the client, "
	"or port 587 for STARTTLS";
static const char wrong_tls_mending[] =
	"the client began TLS at a port that starts in clear text: choose STARTTLS in the client, or port 465 for SSL/TLS";

/* ---- the end ---- */

static void bury(void *owner)
{
	struct session *s = owner;
	struct front *f = s->front;
	timer_clear(&s->timer);
	link_remove(&s->in_front);
	link_remove(&s->in_stalled);
	smtp_server_free(&s->smtp);
	generation_drop(&s->generation);
	buf_fini(&s->in);
	buf_fini(&s->cipher);
	session_ask_again(s);
	struct str *texts[] = { &s->users, &s->client, &s->name, &s->name_claimed, &s->user, &s->helo, &s->tls_text, &s->late_reply.text };
	for (size_t i = 0; i < COUNT(texts); i++)
		str_release(texts[i]);
	free(s->proxy);
	free(s);
	f->n_sessions--;
	front_perhaps_drained(f);
}

void session_keep(struct str *kept, struct str text)
{
	struct str fresh = text.n > 0 ? str_keep(text) : STR_NONE;
	str_release(kept);
	*kept = fresh;
}

void session_free_now(struct session *s)
{
	session_abandon(s);
	later_clear(&s->bury);
	bury(s);
}

void session_abandon(struct session *s)
{
	if (s->phase == SESSION_GONE)
		return;
	turn_over(s);
	warmth_leave(s);
	s->phase = SESSION_GONE;
	session_drop_asks(s);
	session_drop_lookup(s);
	intake_reset(s);
	crowd_leave(&s->front->crowd, s->who);
	tls_free(&s->tls);
	stream_close(&s->stream);
	timer_clear(&s->timer);
	log_event(LOG_DISCONNECTED, LOG_U("connection", s->number), LOG_S("client", s->client));
	later_set(s->front->loop, &s->bury);
}

/* Everything has been said. Closing at once could destroy the last reply on its way, if bytes of the
 * client are still unread. */
void session_linger(struct session *s)
{
	turn_over(s);
	s->phase = SESSION_LINGERS;
	s->phase_due_ms = loop_now_ms(s->front->loop) + LINGER_MS;
	session_drop_asks(s);
	intake_reset(s);
	if (s->tls != NULL && tls_state(s->tls) == TLS_OPEN)
		tls_end(s->tls);
	s->again = true;
}

static void take_cipher(struct session *s, struct str bytes);

/* ---- output ---- */

static struct str output(const struct session *s)
{
	return s->tls != NULL ? tls_output(s->tls) : smtp_server_output(s->smtp);
}

static bool all_sent(const struct session *s)
{
	return output(s).n == 0 && smtp_server_output(s->smtp).n == 0;
}

static void seal(struct session *s)
{
	struct str plain = smtp_server_output(s->smtp);
	if (s->tls == NULL || s->phase == SESSION_SHAKES || plain.n == 0 || tls_output(s->tls).n > OUTPUT_BYTES_HIGH)
		return;
	warmth_touch(s); /* what it answers may have been long in coming, and the buffers be gone */
	if (tls_write(s->tls, plain) == OK)
		smtp_server_sent(s->smtp, plain.n);
	else
		session_abandon(s);
}

/* True if something has left. */
static bool flush(struct session *s)
{
	seal(s);
	if (s->phase == SESSION_GONE)
		return false;
	struct str bytes = output(s);
	size_t n = 0;
	if (bytes.n > 0 && stream_write(s->stream, bytes, &n) != OK) {
		session_abandon(s);
		return false;
	}
	if (s->tls != NULL)
		tls_sent(s->tls, n);
	else
		smtp_server_sent(s->smtp, n);
	/* Who takes a few octets now and then is as stuck as who takes none. */
	s->stuck_sent += n;
	if (n == bytes.n) {
		s->stuck_since_ms = 0;
	} else if (s->stuck_since_ms == 0 || s->stuck_sent >= WRITE_BYTES_MIN) {
		s->stuck_since_ms = loop_now_ms(s->front->loop);
		s->stuck_sent = 0;
	}
	return n > 0;
}

/* ---- TLS ---- */

struct tls_server *session_certificates(const struct session *s)
{
	bool public_port = s->kind == LISTEN_MX || s->kind == LISTEN_LMTP;
	return public_port ? s->generation->tls_mx : s->generation->tls;
}

void session_shake(struct session *s)
{
	struct buf kept = s->cipher;
	buf_init(&s->cipher, IN_BYTES_MAX);
	s->tls = tls_accept(session_certificates(s));
	tls_use_tickets(s->tls, s->front->tickets, listen_kind_name(s->kind));
	warmth_touch(s);
	s->phase = SESSION_SHAKES;
	take_cipher(s, buf_view(&kept));
	buf_fini(&kept);
}

void session_expect_tls(struct session *s)
{
	s->phase = SESSION_EXPECTS;
	s->phase_due_ms = loop_now_ms(s->front->loop) + HELLO_MS;
}

static void shaken(struct session *s)
{
	struct tls_facts facts;
	char text[160];
	tls_facts(s->tls, &facts);
	(void)snprintf(text, sizeof text, "%.*s %.*s%s%.*s", STR_ARG(facts.version),
	               STR_ARG(facts.cipher), facts.group.n > 0 ? " " : "", STR_ARG(facts.group));
	session_keep(&s->tls_text, str_of(text));
	log_event(LOG_TLS_STARTED, LOG_U("connection", s->number), LOG_S("client", s->client),
	          LOG_S("tls", s->tls_text), LOG_S("sni", facts.sni));
	turn_over(s);
	s->phase = SESSION_SPEAKS;
	smtp_server_tls_started(s->smtp, tls_can_bind(s->tls));
	smtp_server_greet(s->smtp); /* harmless after STARTTLS: nobody is greeted twice */
}

static void tls_failed(struct session *s)
{
	log_event(LOG_TLS_FAILED, LOG_U("connection", s->number), LOG_S("client", s->client),
	          LOG_Z("reason", tls_error(s->tls)));
	session_linger(s);
}

/* In clear, on a port where TLS was expected; the client shows it to its user. */
static void tell_wrong_port(struct session *s)
{
	size_t n;
	log_event(LOG_WRONG_PORT, LOG_U("connection", s->number), LOG_S("client", s->client),
	          LOG_Z("problem", wrong_port_mending));
	fault ignored = stream_write(s->stream, str_of(wrong_port_reply), &n);
	(void)ignored;
	session_linger(s);
}

/* ---- input ---- */

static void wish_to_shake(struct session *s)
{
	s->phase_due_ms = loop_now_ms(s->front->loop) + HANDSHAKE_MS;
	s->phase = SESSION_WAITS;
	if (turn_wish(s))
		session_shake(s);
}

/* The first bytes where TLS is expected. */
static void take_hello(struct session *s, struct str bytes)
{
	if (s->implicit && buf_view(&s->cipher).n == 0 && !tls_looks_like(bytes))
		tell_wrong_port(s);
	else if (buf_add(&s->cipher, bytes) != OK)
		session_abandon(s);
	else if (tls_hello_is_whole(buf_view(&s->cipher)))
		wish_to_shake(s);
}

static void take_clear(struct session *s, struct str bytes)
{
	size_t used = smtp_server_feed(s->smtp, bytes, loop_now_ms(s->front->loop));
	if (buf_add(&s->in, str_from(bytes, used)) != OK)
		session_abandon(s);
}

static void take_cipher(struct session *s, struct str bytes)
{
	size_t used = 0;
	fault f = tls_feed(s->tls, bytes, &used);
	s->sealed = true;
	if (f == OK && buf_add(&s->cipher, str_from(bytes, used)) != OK)
		f = F_LIMIT;
	if (s->phase == SESSION_SHAKES && (f != OK || tls_state(s->tls) == TLS_BROKEN))
		tls_failed(s);
	else if (s->phase == SESSION_SHAKES && tls_state(s->tls) == TLS_OPEN)
		shaken(s);
	else if (f != OK)
		session_abandon(s);
}

void session_take(struct session *s, struct str bytes)
{
	if (s->phase == SESSION_LINGERS) {
		s->discarded += bytes.n;
		if (s->discarded > DISCARD_BYTES_MAX)
			session_abandon(s);
	} else if (s->phase == SESSION_PROXIED) {
		proxied_take(s, bytes);
	} else if (s->phase == SESSION_EXPECTS) {
		take_hello(s, bytes);
	} else if (s->tls != NULL) {
		take_cipher(s, bytes);
	} else {
		take_clear(s, bytes);
	}
}

/* From the stream. True if bytes came. */
static bool read_stream(struct session *s, bool *more_out)
{
	size_t n = 0;
	*more_out = false;
	fault f = stream_read(s->stream, s->front->scratch, sizeof s->front->scratch, &n);
	if (f == F_BUSY)
		return false;
	if (f != OK || n == 0) {
		session_abandon(s);
		return false;
	}
	*more_out = n == sizeof s->front->scratch; /* what comes meanwhile is told of again */
	bool clear = s->tls == NULL;
	if (!clear)
		warmth_touch(s);
	session_take(s, (struct str){ s->front->scratch, n });
	if (clear)
		explicit_bzero(s->front->scratch, n); /* on a port without TLS a password may have come by */
	return true;
}

/* Clear text out of TLS. True if there was some. Whatever a neighbour answers, we come by here: OpenSSL is not asked in vain. */
static bool open_sealed(struct session *s)
{
	size_t n = 0;
	if (!s->sealed || s->phase != SESSION_SPEAKS)
		return false;
	if (tls_read(s->tls, s->front->scratch, sizeof s->front->scratch, &n) != OK) {
		session_abandon(s);
		return false;
	}
	s->sealed = n == sizeof s->front->scratch; /* no record is as long: the next one waits in cipher until we feed it */
	if (n > 0) {
		take_clear(s, (struct str){ s->front->scratch, n });
		explicit_bzero(s->front->scratch, n); /* a password may have come by */
		return true;
	}
	/* The end of TLS is the end of the session, in whatever state: nothing in clear follows it. */
	if (tls_state(s->tls) == TLS_ENDED || tls_state(s->tls) == TLS_BROKEN)
		session_abandon(s);
	return false;
}

/* What waits with us, before anything new. True if it moved. */
static bool take_kept(struct session *s)
{
	struct str kept = buf_view(&s->in);
	if (kept.n > 0) {
		size_t used = smtp_server_feed(s->smtp, kept, loop_now_ms(s->front->loop));
		buf_drop(&s->in, used);
		buf_shrink(&s->in);
		return used > 0;
	}
	if (open_sealed(s))
		return true;
	kept = buf_view(&s->cipher);
	if (s->phase == SESSION_GONE || kept.n == 0 || s->tls == NULL)
		return false;
	size_t used = 0;
	s->sealed = true;
	if (tls_feed(s->tls, kept, &used) != OK) {
		session_abandon(s);
		return false;
	}
	buf_drop(&s->cipher, used);
	buf_shrink(&s->cipher);
	return used > 0;
}

static bool may_read(const struct session *s)
{
	return s->phase == SESSION_LINGERS || s->phase == SESSION_EXPECTS || s->phase == SESSION_PROXIED ||
	       (s->phase != SESSION_WAITS && s->phase != SESSION_UNNAMED && buf_view(&s->in).n == 0 && buf_view(&s->cipher).n == 0);
}

/* ---- turns ---- */

static bool drain_events(struct session *s)
{
	struct smtp_event e;
	bool any = false;
	if (s->held_back && intake_takes_more(s))
		smtp_server_forgive(s->smtp, loop_now_ms(s->front->loop));
	while (s->phase == SESSION_SPEAKS && intake_takes_more(s) && smtp_server_next(s->smtp, &e)) {
		if (e.kind == SMTP_WRONG_PROTOCOL)
			log_event(LOG_WRONG_PORT, LOG_U("connection", s->number), LOG_S("client", s->client),
			          LOG_Z("problem", e.u.protocol == SMTP_PROTOCOL_TLS ? wrong_tls_mending
			                                                             : "HTTP was spoken to a mail port"));
		else
			session_event(s, &e);
		any = true;
	}
	return any;
}

static void begin_tls(struct session *s)
{
	/* Bytes that came with STARTTLS were sent in clear: the core ends the session (RFC 3207 and CVE-2011-0411). */
	if (buf_view(&s->in).n > 0) {
		(void)smtp_server_feed(s->smtp, buf_view(&s->in), loop_now_ms(s->front->loop));
		buf_clear(&s->in);
		return;
	}
	s->implicit = false;
	session_expect_tls(s);
}

/* The last reply, if no more than that is left to be said, and close_notify behind it in the same packet. */
static bool takes_leave(struct session *s)
{
	if (s->tls == NULL || !smtp_server_done(s->smtp) || tls_output(s->tls).n > 0 ||
	    smtp_server_output(s->smtp).n > LAST_WORDS_BYTES)
		return false;
	seal(s);
	if (s->phase == SESSION_SPEAKS && smtp_server_output(s->smtp).n == 0)
		session_linger(s);
	return s->phase != SESSION_SPEAKS;
}

static void speak(struct session *s)
{
	for (bool moved = true; moved && s->phase == SESSION_SPEAKS;) {
		moved = drain_events(s);
		if (s->phase != SESSION_SPEAKS || takes_leave(s))
			return;
		moved |= flush(s);
		if (s->phase != SESSION_SPEAKS)
			return;
		if (smtp_server_tls_awaited(s->smtp) && all_sent(s)) {
			begin_tls(s);
			s->again = true;
			return;
		}
		if (smtp_server_done(s->smtp)) {
			if (all_sent(s))
				session_linger(s);
			return;
		}
		moved |= take_kept(s);
	}
}

static void turn(struct session *s)
{
	if (s->phase == SESSION_SPEAKS)
		speak(s);
	else if (s->phase == SESSION_SHAKES)
		(void)flush(s);
	if (s->phase == SESSION_LINGERS && !s->said_all) {
		(void)flush(s);
		if (s->phase == SESSION_LINGERS && output(s).n == 0) {
			s->said_all = true;
			stream_shutdown(s->stream);
		}
	}
	for (int i = 0; i < READS_A_TURN && s->readable && !s->again && s->phase != SESSION_GONE && may_read(s); i++) {
		if (!read_stream(s, &s->readable))
			break;
		if (s->phase == SESSION_SPEAKS)
			speak(s);
		else if (s->phase == SESSION_SHAKES)
			(void)flush(s);
		else if (s->phase == SESSION_LINGERS && !s->said_all)
			s->again = true;
	}
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void set_timer(struct session *s)
{
	int64_t due = INT64_MAX;
	s->held_back = s->phase == SESSION_SPEAKS && !intake_takes_more(s);
	intake_note_stall(s);
	if (s->phase == SESSION_SPEAKS) {
		if (!s->held_back)
			due = smtp_server_deadline_ms(s->smtp);
		if (s->asked != ASK_NOTHING)
			due = earlier(due, s->ask_due_ms);
		if (s->late)
			due = earlier(due, s->late_until_ms);
	} else {
		due = s->phase_due_ms;
		if (s->has_slot)
			due = earlier(due, s->slot_until_ms);
	}
	if (s->stuck_since_ms != 0)
		due = earlier(due, s->stuck_since_ms + WRITE_MS);
	if (due == INT64_MAX)
		timer_clear(&s->timer);
	else
		timer_set(&s->timer, due);
}

void session_pump(struct session *s)
{
	if (s->pumping || s->phase == SESSION_GONE) {
		s->again = true;
		return;
	}
	s->pumping = true;
	do {
		s->again = false;
		turn(s);
	} while (s->again && s->phase != SESSION_GONE);
	s->pumping = false;
	if (s->phase == SESSION_GONE)
		return;
	stream_want_read(s->stream, may_read(s));
	set_timer(s);
}

static void on_stream(void *owner, enum stream_event event)
{
	struct session *s = owner;
	s->readable |= event == STREAM_READABLE;
	session_pump(s);
}

void session_too_slow(struct session *s)
{
	bool crowd = s->phase == SESSION_WAITS || s->front->n_late > FRONT_LATE_MAX;
	log_event(LOG_TLS_FAILED, LOG_U("connection", s->number), LOG_S("client", s->client),
	          LOG_Z("reason", crowd ? "too many handshakes at once" : "the handshake took too long"));
	session_abandon(s);
}

static void on_timer(void *owner)
{
	struct session *s = owner;
	int64_t now = loop_now_ms(s->front->loop);
	if (s->stuck_since_ms != 0 && now >= s->stuck_since_ms + WRITE_MS) {
		session_abandon(s);
		return;
	}
	switch (s->phase) {
	case SESSION_SPEAKS:
		if (s->late && now >= s->late_until_ms)
			session_late_reply(s);
		if (s->asked != ASK_NOTHING && now >= s->ask_due_ms)
			session_asked_in_vain(s);
		(void)smtp_server_feed(s->smtp, STR_NONE, now);
		break;
	case SESSION_UNNAMED:
		session_named(s, STR_NONE);
		break;
	case SESSION_PROXIED:
		proxied_too_slow(s);
		break;
	case SESSION_EXPECTS:
		if (s->implicit && buf_view(&s->cipher).n == 0)
			tell_wrong_port(s);
		else
			session_too_slow(s);
		break;
	case SESSION_WAITS:
	case SESSION_SHAKES:
		if (now >= s->phase_due_ms)
			session_too_slow(s);
		else
			turn_is_late(s);
		break;
	case SESSION_LINGERS:
	case SESSION_GONE:
		session_abandon(s);
		break;
	}
	if (s->phase != SESSION_GONE)
		session_pump(s);
}

/* ---- the beginning ---- */

void session_new(struct front *f, const struct listener *at, int fd, const struct endpoint *peer, struct crowd_who who, bool proxied)
{
	struct smtp_server_conf conf = smtp_server_conf_usual(); /* until it is known who is there */
	struct session *s = NEW(struct session);
	s->front = f;
	s->generation = f->generation;
	s->generation->refs++;
	s->kind = f->conf->listeners[at->index].kind;
	s->listener = at->index;
	s->number = ++f->next_number;
	s->readable = true; /* a hello comes along with the connection */
	s->who = who;
	buf_init_secret(&s->in, IN_BYTES_MAX);
	buf_init(&s->cipher, IN_BYTES_MAX);
	link_init(&s->in_turns);
	link_init(&s->in_warm);
	link_init(&s->in_stalled);
	list_add_last(&f->sessions, &s->in_front);
	f->n_sessions++;
	f->connections++;
	later_init(&s->bury, bury, s);
	timer_init(&s->timer, f->loop, on_timer, s);
	s->stream = stream_new(f->loop, fd, on_stream, s);
	s->smtp = smtp_server_new(&conf, loop_now_ms(f->loop));
	if (proxied)
		proxied_begin(s, peer);
	else
		session_begin(s, fd, peer);
	session_pump(s);
}
