/* SPDX-License-Identifier: ISC */
#include "role/hop.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sys/stream.h"

enum { READ_BYTES = 32 << 10, RECORD_BYTES = 16 << 10 };

enum hop_phase { HOP_CONNECTING, HOP_SHAKING, HOP_TALKING, HOP_OVER };

struct hop {
	struct loop *loop;
	const struct hop_handler *handler;
	void *owner;
	enum hop_phase phase;
	int fd;                      /* the stream's, to ask the socket */
	struct stream *stream;
	struct tls_client *tls_client;
	struct tls *tls;
	struct smtp_client *client;
	struct smtp_client_conf client_conf;
	char ehlo[256], tls_name[256];
	const struct tls_wish *wish;
	bool implicit, in_turn, again, heard;
	int64_t due_ms;              /* for connecting and shaking hands */
	struct timer timer;
	struct later failing;        /* a connection that failed before hop_new returned */
	struct later freeing;
	struct why why;
};

static void on_stream(void *owner, enum stream_event event);

static int64_t now(const struct hop *h)
{
	return loop_now_ms(h->loop);
}

static void set_timer(struct hop *h)
{
	int64_t due = h->due_ms;
	if (h->phase == HOP_TALKING && smtp_client_deadline_ms(h->client) < due)
		due = smtp_client_deadline_ms(h->client);
	if (h->phase == HOP_OVER || due == INT64_MAX)
		timer_clear(&h->timer);
	else
		timer_set(&h->timer, due);
}

static void fail(struct hop *h, enum hop_failure what, const char *words)
{
	if (h->phase == HOP_OVER)
		return;
	h->phase = HOP_OVER;
	stream_close(&h->stream);
	set_timer(h);
	h->handler->failed(h->owner, what, words);
}

/* ---- out ---- */

/* What the client says goes into TLS a record at a time, so that it waits in one place only. */
static bool encrypt(struct hop *h)
{
	bool moved = false;
	while (h->phase == HOP_TALKING && tls_output(h->tls).n < HOP_UNSENT_MAX) {
		struct str out = str_sub(smtp_client_output(h->client), 0, RECORD_BYTES);
		if (out.n == 0)
			break;
		if (tls_write(h->tls, out) != OK) {
			smtp_client_gone(h->client, str_of(tls_error(h->tls)));
			return true;
		}
		smtp_client_sent(h->client, out.n, now(h));
		moved = true;
	}
	return moved;
}

/* Sends what can be sent; true if anything moved. */
static bool flush(struct hop *h)
{
	if (h->stream == NULL || h->phase == HOP_CONNECTING || (h->tls == NULL && h->client == NULL))
		return false;
	bool moved = h->tls != NULL && h->client != NULL && encrypt(h);
	struct str out = h->tls != NULL ? tls_output(h->tls) : smtp_client_output(h->client);
	size_t n = 0;
	/* A write that fails is seen again, with what came before it, when we read. */
	if (out.n == 0 || stream_write(h->stream, out, &n) != OK || n == 0)
		return moved;
	if (h->tls != NULL)
		tls_sent(h->tls, n);
	else
		smtp_client_sent(h->client, n, now(h));
	return true;
}

/* ---- TLS ---- */

static void start_tls(struct hop *h)
{
	if (h->tls_client == NULL) {
		fail(h, HOP_TLS, "TLS is not set up for this connection");
		return;
	}
	h->tls = h->wish != NULL ? tls_connect_wish(h->tls_client, h->wish) : tls_connect(h->tls_client, str_of(h->tls_name));
	h->due_ms = now(h) + HOP_HANDSHAKE_MS;
	h->phase = HOP_SHAKING;
	if (tls_state(h->tls) == TLS_BROKEN)
		fail(h, HOP_TLS, tls_error(h->tls));
}

static void start_talking(struct hop *h)
{
	h->phase = HOP_TALKING;
	h->due_ms = INT64_MAX;
	h->client_conf.tls = h->tls != NULL;
	h->client_conf.ehlo = str_of(h->ehlo);
	h->client = smtp_client_new(&h->client_conf, now(h));
}

static void tls_is_open(struct hop *h)
{
	h->due_ms = INT64_MAX;
	if (h->handler->tls_open != NULL)
		h->handler->tls_open(h->owner);
	if (h->phase == HOP_OVER)
		return;
	if (h->client == NULL) {
		start_talking(h);
		return;
	}
	h->phase = HOP_TALKING;
	fault f = smtp_client_tls_started(h->client, now(h));
	if (f != OK)
		fail(h, HOP_TLS, "the session was over before the handshake");
}

/* ---- in ---- */

static void drain(struct hop *h)
{
	struct smtp_client_event e;
	while (h->phase == HOP_TALKING && smtp_client_next(h->client, &e)) {
		h->again = true;
		if (e.kind == SMTP_CLIENT_TLS)
			start_tls(h);
		else
			h->handler->event(h->owner, &e);
	}
}

static void take_plain(struct hop *h, struct str bytes)
{
	while (h->phase == HOP_TALKING && bytes.n > 0) {
		size_t used = smtp_client_feed(h->client, bytes, now(h));
		bytes = str_from(bytes, used);
		drain(h);
	}
}

static void lost(struct hop *h, const char *reason)
{
	char words[400];
	if (h->phase == HOP_SHAKING) {
		(void)snprintf(words, sizeof words, "the connection was lost during the TLS handshake (%s)", reason);
		fail(h, HOP_TLS, words);
	} else if (h->phase == HOP_TALKING) {
		stream_want_read(h->stream, false);
		smtp_client_gone(h->client, str_of(reason));
		drain(h);
	}
}

static void take_cipher(struct hop *h, struct str bytes)
{
	static const char ended[] = "the server ended TLS";
	char plain[RECORD_BYTES];
	size_t used, n = 1;
	while (h->phase != HOP_OVER && bytes.n > 0) {
		fault f = tls_feed(h->tls, bytes, &used);
		bytes = str_from(bytes, used);
		if (h->phase == HOP_SHAKING && (f != OK || tls_state(h->tls) == TLS_ENDED)) {
			(void)flush(h); /* the alert tells the other side why */
			fail(h, HOP_TLS, f != OK ? tls_error(h->tls) : ended);
			return;
		}
		if (h->phase == HOP_SHAKING && tls_state(h->tls) == TLS_OPEN)
			tls_is_open(h);
		if (h->phase != HOP_TALKING)
			continue;
		do {
			f = f == OK ? tls_read(h->tls, plain, sizeof plain, &n) : f;
			if (f == OK && n > 0)
				take_plain(h, (struct str){ plain, n });
		} while (f == OK && n > 0 && h->phase == HOP_TALKING);
		if (h->phase == HOP_TALKING && (f != OK || tls_state(h->tls) == TLS_ENDED)) {
			lost(h, f != OK ? tls_error(h->tls) : ended);
			return;
		}
	}
}

static void read_in(struct hop *h)
{
	char bytes[READ_BYTES];
	size_t n;
	fault f = stream_read(h->stream, bytes, sizeof bytes, &n);
	if (f == F_BUSY)
		return;
	h->again = true;
	if (f == OK && n > 0 && !h->heard && h->handler->heard != NULL)
		h->handler->heard(h->owner);
	h->heard = true;
	if (f != OK || n == 0)
		lost(h, f != OK ? "connection reset" : "the server closed the connection");
	else if (h->tls != NULL)
		take_cipher(h, (struct str){ bytes, n });
	else
		take_plain(h, (struct str){ bytes, n });
}

/* ---- one turn ---- */

static void turn(struct hop *h, bool readable)
{
	if (h->in_turn) {
		h->again = true;
		return;
	}
	h->in_turn = true;
	if (readable && h->stream != NULL)
		read_in(h);
	do {
		h->again = false;
		drain(h);
		if (h->phase == HOP_TALKING && smtp_client_body_room(h->client) > 0)
			h->handler->body(h->owner);
		drain(h); /* content that was refused makes events */
		if (h->phase != HOP_OVER && flush(h))
			h->again = true;
	} while (h->again && h->phase != HOP_OVER);
	h->in_turn = false;
	set_timer(h);
}

void hop_turn(struct hop *h)
{
	if (h->phase != HOP_OVER)
		turn(h, false);
}

/* ---- connecting ---- */

static void connected(struct hop *h)
{
	stream_want_read(h->stream, true);
	h->due_ms = INT64_MAX;
	h->phase = HOP_SHAKING; /* neither TLS nor SMTP yet */
	if (h->handler->connected != NULL)
		h->handler->connected(h->owner);
	if (h->phase == HOP_OVER)
		return;
	if (h->implicit)
		start_tls(h);
	else
		start_talking(h);
	turn(h, false);
}

static void on_stream(void *owner, enum stream_event event)
{
	struct hop *h = owner;
	if (h->phase == HOP_OVER)
		return;
	if (h->phase != HOP_CONNECTING) {
		turn(h, event == STREAM_READABLE);
		return;
	}
	fault f = socket_connected(h->fd, &h->why);
	if (f == F_BUSY)
		stream_want_write(h->stream, true);
	else if (f != OK)
		fail(h, HOP_CONNECT, h->why.text);
	else
		connected(h);
}

static void on_timer(void *owner)
{
	struct hop *h = owner;
	if (h->phase == HOP_CONNECTING) {
		fail(h, HOP_CONNECT, "no answer in 30 seconds");
	} else if (h->phase == HOP_SHAKING) {
		fail(h, HOP_TLS, "the TLS handshake took longer than a minute");
	} else if (h->phase == HOP_TALKING) {
		(void)smtp_client_feed(h->client, STR_NONE, now(h));
		turn(h, false);
	}
}

static void on_failing(void *owner)
{
	struct hop *h = owner;
	fail(h, HOP_CONNECT, h->why.text);
}

static void on_freeing(void *owner)
{
	struct hop *h = owner;
	tls_free(&h->tls);
	smtp_client_free(&h->client);
	free(h);
}

struct hop *hop_new(struct loop *loop, const struct hop_options *o, const struct hop_handler *handler, void *owner)
{
	struct hop *h = NEW(struct hop);
	h->loop = loop;
	h->handler = handler;
	h->owner = owner;
	h->tls_client = o->tls;
	h->wish = o->wish;
	h->implicit = o->implicit;
	h->client_conf = o->client;
	(void)snprintf(h->ehlo, sizeof h->ehlo, "%.*s", STR_ARG(o->client.ehlo));
	(void)snprintf(h->tls_name, sizeof h->tls_name, "%.*s", STR_ARG(o->tls_name));
	timer_init(&h->timer, loop, on_timer, h);
	later_init(&h->failing, on_failing, h);
	later_init(&h->freeing, on_freeing, h);
	h->due_ms = loop_now_ms(loop) + HOP_CONNECT_MS;
	h->fd = o->fd;
	fault f = o->fd >= 0 ? OK : socket_connect(&o->to, o->from, &h->fd);
	if (f != OK) {
		(void)why_say(&h->why, f, "%s", f == F_LIMIT    ? "no descriptor or memory is left here"
		                                : f == F_DENIED ? "this system does not permit it"
		                                                : "there is no way to this address from here");
		later_set(loop, &h->failing);
		return h;
	}
	h->stream = stream_new(loop, h->fd, on_stream, h);
	stream_want_read(h->stream, false);
	stream_want_write(h->stream, true); /* also for a connected one: the first turn comes from the loop */
	set_timer(h);
	return h;
}

void hop_free(struct hop **h_)
{
	struct hop *h = *h_;
	if (h == NULL)
		return;
	*h_ = NULL;
	if (h->phase == HOP_TALKING) {
		(void)flush(h);
		if (h->tls != NULL) {
			tls_end(h->tls);
			(void)flush(h);
		}
	}
	h->phase = HOP_OVER;
	timer_clear(&h->timer);
	later_clear(&h->failing);
	stream_close(&h->stream);
	later_set(h->loop, &h->freeing);
}

bool hop_chain(struct hop *h, size_t i, struct tls_certificate_facts *out)
{
	return h != NULL && h->tls != NULL && tls_chain(h->tls, i, out);
}

struct smtp_client *hop_client(struct hop *h)
{
	return h != NULL && h->phase == HOP_TALKING ? h->client : NULL;
}

const struct tls *hop_tls(const struct hop *h)
{
	return h != NULL && h->tls != NULL && tls_state(h->tls) != TLS_SHAKING ? h->tls : NULL;
}

void hop_set_ehlo(struct hop *h, struct str ehlo)
{
	(void)snprintf(h->ehlo, sizeof h->ehlo, "%.*s", STR_ARG(ehlo));
}

fault hop_local(const struct hop *h, struct endpoint *out)
{
	return h->stream != NULL ? socket_local(h->fd, out) : F_STATE;
}
