/* SPDX-License-Identifier: ISC */
/* cmd/sink/guest.c -- one connection to the sink. */
#include "cmd/sink/sink.h"

#include <stdlib.h>

#include "base/check.h"
#include "sys/clock.h"
#include "sys/stream.h"

enum {
	READ_BYTES = 64 << 10,
	PLAIN_BYTES = 16 << 10,
	HELD_MAX = 1 << 20,          /* of a client that goes on talking while the sink takes its time */
};

struct guest {
	struct link in_sink;
	struct sink *sink;
	struct stream *stream;
	struct tls *tls;
	struct sink_session session;
	struct buf held;             /* plaintext that waits for the pause to be over */
	struct timer pause;
	bool paused, shaking, ending;
	int64_t heard_ms;
};

static void on_stream(void *owner, enum stream_event event);
static void turn(struct guest *g);

static void guest_free(struct guest *g)
{
	link_remove(&g->in_sink);
	g->sink->open--;
	timer_clear(&g->pause);
	stream_close(&g->stream);
	tls_free(&g->tls);
	sink_session_fini(&g->session);
	buf_fini(&g->held);
	free(g);
}

static void pause_over(void *owner)
{
	struct guest *g = owner;
	g->paused = false;
	stream_want_read(g->stream, true);
	turn(g);
}

static void start_tls(struct guest *g)
{
	g->tls = tls_accept(g->sink->tls);
	if (g->sink->tickets != NULL)
		tls_use_tickets(g->tls, g->sink->tickets, "sink");
	g->shaking = true;
}

void guest_new(struct sink *sink, int fd)
{
	struct guest *g = NEW(struct guest);
	g->sink = sink;
	g->heard_ms = loop_now_ms(sink->loop);
	list_add_last(&sink->guests, &g->in_sink);
	sink_session_init(&g->session, &sink->rules, false);
	buf_init(&g->held, HELD_MAX);
	timer_init(&g->pause, sink->loop, pause_over, g);
	g->stream = stream_new(sink->loop, fd, on_stream, g);
	if (sink->opened++ == 0)
		sink->first_us = clock_ticks_us();
	if (++sink->open > sink->open_most)
		sink->open_most = sink->open;
	if (sink->implicit)
		start_tls(g);
	else
		sink_session_greet(&g->session);
	turn(g);
}

void guest_free_all(struct sink *sink)
{
	LIST_EACH(l, &sink->guests)
		guest_free(LIST_MEMBER(l, struct guest, in_sink));
}

void guest_sweep(struct sink *sink)
{
	int64_t now_ms = loop_now_ms(sink->loop);
	LIST_EACH(l, &sink->guests) {
		struct guest *g = LIST_MEMBER(l, struct guest, in_sink);
		if (!g->paused && g->heard_ms + sink->patience_ms <= now_ms)
			guest_free(g);
	}
}

/* ---- out ---- */

/* False: the connection is broken. Sets *waiting_out if something is left. */
static bool flush(struct guest *g, bool *waiting_out)
{
	struct str plain = buf_view(&g->session.out);
	*waiting_out = false;
	if (g->tls != NULL && !g->shaking && plain.n > 0 && tls_output(g->tls).n < SINK_UNSENT_MAX) {
		if (tls_write(g->tls, plain) != OK)
			return false;
		buf_drop(&g->session.out, plain.n);
	}
	struct str out = g->tls != NULL ? tls_output(g->tls) : plain;
	size_t n = 0;
	if (out.n == 0)
		return true;
	if (stream_write(g->stream, out, &n) != OK)
		return false;
	if (g->tls != NULL)
		tls_sent(g->tls, n);
	else
		buf_drop(&g->session.out, n);
	*waiting_out = n < out.n;
	return true;
}

/* ---- in ---- */

static void begin_pause(struct guest *g)
{
	if (g->sink->delay_ms == 0)
		return;
	g->paused = true;
	stream_want_read(g->stream, false);
	timer_set(&g->pause, loop_now_ms(g->sink->loop) + g->sink->delay_ms);
}

static bool had_enough(const struct sink *sink)
{
	return sink->count > 0 && sink->rules.messages >= sink->count;
}

/* True: it goes on. */
static bool obey(struct guest *g, enum sink_event event)
{
	switch (event) {
	case SINK_NOTHING: break;
	case SINK_ANSWERED:
		g->sink->last_us = clock_ticks_us();
		begin_pause(g);
		if (had_enough(g->sink))
			loop_stop(g->sink->loop);
		break;
	case SINK_TLS: {
		bool waiting;
		bool sent = flush(g, &waiting); /* a line of 25 octets always fits */
		start_tls(g);
		return sent && !waiting;
	}
	case SINK_DROP: return false;
	case SINK_END: g->ending = true; break;
	}
	return true;
}

static bool take_plain(struct guest *g, struct str bytes)
{
	while (bytes.n > 0) {
		size_t used = 0;
		bool may = !g->paused && buf_view(&g->held).n == 0 && !g->shaking;
		if (may) {
			used = sink_session_feed(&g->session, bytes);
			bytes = str_from(bytes, used);
			if (!obey(g, sink_session_next(&g->session)))
				return false;
			if (g->shaking)
				return bytes.n == 0; /* whoever talks on after STARTTLS is not waiting for us */
		}
		if (used == 0)
			return bytes.n == 0 || buf_add(&g->held, bytes) == OK;
	}
	return true;
}

/* What was held back while the sink took its time, or while nobody read its replies. */
static bool take_held(struct guest *g)
{
	while (!g->paused && !g->shaking && buf_view(&g->held).n > 0) {
		size_t used = sink_session_feed(&g->session, buf_view(&g->held));
		buf_drop(&g->held, used);
		if (!obey(g, sink_session_next(&g->session)))
			return false;
		if (used == 0)
			break;
	}
	return true;
}

static void handshake_over(struct guest *g)
{
	struct tls_facts facts;
	tls_facts(g->tls, &facts);
	g->shaking = false;
	g->sink->handshakes++;
	g->sink->resumed += facts.resumed ? 1 : 0;
	sink_session_tls_started(&g->session);
	if (g->sink->implicit)
		sink_session_greet(&g->session);
}

static bool take_cipher(struct guest *g, struct str bytes)
{
	static char plain[PLAIN_BYTES]; /* one loop, one place to look at it */
	while (bytes.n > 0) {
		size_t used, n = 1;
		fault f = tls_feed(g->tls, bytes, &used);
		bytes = str_from(bytes, used);
		if (f != OK && g->shaking) {
			bool waiting;
			g->sink->handshakes_failed++;
			(void)flush(g, &waiting); /* the alert */
		}
		if (f != OK)
			return false;
		if (g->shaking && tls_state(g->tls) == TLS_OPEN)
			handshake_over(g);
		while (f == OK && n > 0) {
			f = tls_read(g->tls, plain, sizeof plain, &n);
			if (f == OK && n > 0 && !take_plain(g, (struct str){ plain, n }))
				return false;
		}
		if (f != OK || tls_state(g->tls) == TLS_ENDED)
			return false;
	}
	return true;
}

static bool read_in(struct guest *g)
{
	static char bytes[READ_BYTES];
	size_t n;
	fault f = stream_read(g->stream, bytes, sizeof bytes, &n);
	if (f == F_BUSY)
		return true;
	if (f != OK || n == 0)
		return false;
	g->heard_ms = loop_now_ms(g->sink->loop);
	return g->tls != NULL ? take_cipher(g, (struct str){ bytes, n }) : take_plain(g, (struct str){ bytes, n });
}

static void turn(struct guest *g)
{
	bool waiting = false, goes_on;
	do
		goes_on = take_held(g) && (g->paused || flush(g, &waiting));
	while (goes_on && !g->paused && !g->shaking && !waiting && buf_view(&g->held).n > 0);
	if (!goes_on || (g->ending && !g->paused && !waiting && buf_view(&g->session.out).n == 0)) {
		if (goes_on && g->tls != NULL)
			tls_end(g->tls);
		if (goes_on)
			(void)flush(g, &waiting);
		guest_free(g);
		return;
	}
	if (!g->paused)
		stream_want_read(g->stream, !waiting && buf_view(&g->held).n == 0);
}

static void on_stream(void *owner, enum stream_event event)
{
	struct guest *g = owner;
	if (event == STREAM_READABLE && !read_in(g))
		guest_free(g);
	else
		turn(g);
}
