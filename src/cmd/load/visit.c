/* SPDX-License-Identifier: ISC */
#include "cmd/load/visit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sys/clock.h"

enum { READ_BYTES = 16 << 10, RECORD_BYTES = 16 << 10 };

static void on_stream(void *owner, enum stream_event event);
static void turn(struct visit *v);
static bool flush(struct visit *v, bool *all_out);

/* ---- the end ---- */

static void tell_over(void *owner)
{
	struct visit *v = owner;
	load_visit_over(v->slot, v->failed);
}

static void over(struct visit *v, bool failed)
{
	if (v->phase == V_OVER)
		return;
	v->phase = V_OVER;
	v->failed = failed;
	later_set(v->load->loop, &v->ending);
}

void load_visit_end(struct visit *v)
{
	over(v, false);
}

void load_visit_lose(struct visit *v, enum load_loss how)
{
	if (v->phase == V_OVER)
		return;
	if (!v->is_open && !v->plan->hold && !v->load->gathering && load_wants_more(v->load)) {
		(void)load_begin_message(v->load); /* the one that it was opened for */
		v->in_message = true;
	}
	if (v->in_message || v->plan->hold || v->load->gathering)
		load_lost(v->load, how, how == LOSS_TLS && v->tls != NULL ? tls_error(v->tls) : "");
	v->in_message = false;
	over(v, v->phase != V_QUIT);
}

void load_visit_free(struct visit **v_)
{
	struct visit *v = *v_;
	if (v == NULL)
		return;
	*v_ = NULL;
	later_clear(&v->ending);
	if (v->tls != NULL && v->plan->resume) {
		struct tls_ticket *fresh = tls_ticket_of(v->tls);
		tls_ticket_free(&v->slot->ticket);
		v->slot->ticket = fresh;
	}
	bool all;
	if (v->tls != NULL && v->stream != NULL) {
		tls_end(v->tls);
		(void)flush(v, &all);
	}
	stream_close(&v->stream);
	tls_free(&v->tls);
	sasl_client_free(&v->sasl);
	reply_parser_fini(&v->parser);
	buf_fini(&v->out);
	free(v);
}

/* ---- the beginning ---- */

struct visit *load_visit_new(struct slot *slot)
{
	struct visit *v = NEW(struct visit);
	v->slot = slot;
	v->load = slot->load;
	v->plan = slot->load->plan;
	v->due_ms = loop_now_ms(v->load->loop) + v->plan->patience_ms;
	v->fd = -1;
	reply_parser_init(&v->parser);
	buf_init_secret(&v->out, VISIT_OUT_MAX);
	v->out.secret = v->plan->user.n > 0; /* a password goes this way */
	later_init(&v->ending, tell_over, v);
	if (socket_connect(&v->plan->server, NULL, &v->fd) != OK) {
		load_visit_lose(v, LOSS_CONNECT);
		return v;
	}
	v->stream = stream_new(v->load->loop, v->fd, on_stream, v);
	stream_want_read(v->stream, false);
	stream_want_write(v->stream, true);
	return v;
}

void load_visit_start_tls(struct visit *v)
{
	struct tls_wish wish = { .prove = TLS_PROVE_NOTHING, .name = v->plan->host, .ticket = v->slot->ticket };
	v->tls = tls_connect_wish(v->load->tls, &wish);
	v->phase = V_SHAKING;
	tls_ticket_free(&v->slot->ticket); /* once only */
	if (tls_state(v->tls) == TLS_BROKEN)
		load_visit_lose(v, LOSS_TLS);
}

static void connected(struct visit *v)
{
	struct why why = { "" };
	fault f = socket_connected(v->fd, &why);
	if (f == F_BUSY) {
		stream_want_write(v->stream, true);
		return;
	}
	if (f != OK) {
		load_visit_lose(v, LOSS_CONNECT);
		return;
	}
	v->load->tally.opened++;
	stream_want_read(v->stream, true);
	v->phase = V_GREETING;
	if (v->plan->tls == LOAD_IMPLICIT)
		load_visit_start_tls(v);
	turn(v);
}

static void handshake_over(struct visit *v)
{
	struct tls_facts f;
	struct load_tally *t = &v->load->tally;
	tls_facts(v->tls, &f);
	t->handshakes++;
	t->resumed += f.resumed ? 1 : 0;
	(void)snprintf(t->tls, sizeof t->tls, "%.*s %.*s %.*s", STR_ARG(f.version), STR_ARG(f.cipher), STR_ARG(f.group));
	if (v->plan->tls == LOAD_IMPLICIT)
		v->phase = V_GREETING;
	else
		dialogue_tls_started(v);
}

/* ---- out ---- */

static bool encrypt(struct visit *v)
{
	while (buf_view(&v->out).n > 0 && tls_output(v->tls).n < VISIT_UNSENT_MAX) {
		struct str piece = str_sub(buf_view(&v->out), 0, RECORD_BYTES);
		if (tls_write(v->tls, piece) != OK)
			return false;
		buf_drop(&v->out, piece.n);
	}
	return true;
}

static bool is_all_sent(const struct visit *v)
{
	return (v->tls == NULL || tls_output(v->tls).n == 0) && (v->phase == V_SHAKING || buf_view(&v->out).n == 0);
}

/* Sends what can be sent now. *all_taken: the kernel would take more, and will not say so again. */
static bool flush(struct visit *v, bool *all_taken)
{
	bool under_tls = v->tls != NULL;
	*all_taken = false;
	if (under_tls && v->phase != V_SHAKING && !encrypt(v))
		return false;
	struct str out = under_tls ? tls_output(v->tls) : buf_view(&v->out);
	size_t n = 0;
	if (out.n > 0 && stream_write(v->stream, out, &n) != OK)
		return false;
	if (n > 0 && under_tls)
		tls_sent(v->tls, n);
	else if (n > 0)
		buf_drop(&v->out, n);
	*all_taken = n == out.n;
	return true;
}

static void turn(struct visit *v)
{
	bool all = true;
	while (v->phase != V_OVER && v->phase != V_CONNECTING && all) {
		if (v->phase == V_CONTENT)
			dialogue_give_content(v);
		if (is_all_sent(v))
			break;
		if (!flush(v, &all)) {
			load_visit_lose(v, LOSS_CLOSED);
			return;
		}
	}
	if (v->phase == V_FINAL && v->dot_us == 0 && is_all_sent(v))
		v->dot_us = clock_ticks_us(); /* the kernel has the dot */
}

/* ---- in ---- */

static void take_plain(struct visit *v, struct str bytes)
{
	while (bytes.n > 0 && v->phase != V_OVER) {
		size_t used;
		bool whole;
		if (reply_parser_feed(&v->parser, bytes, &used, &whole) != OK) {
			load_visit_lose(v, LOSS_PROTOCOL);
			return;
		}
		bytes = str_from(bytes, used);
		if (!whole)
			continue;
		struct smtp_reply reply = reply_parser_reply(&v->parser);
		v->due_ms = loop_now_ms(v->load->loop) + v->plan->patience_ms;
		dialogue_reply(v, &reply);
		if (v->phase == V_SHAKING) { /* RFC 3207: nothing may follow in clear */
			if (bytes.n > 0)
				load_visit_lose(v, LOSS_PROTOCOL);
			return;
		}
	}
}

static void take_cipher(struct visit *v, struct str bytes)
{
	char plain[RECORD_BYTES];
	while (bytes.n > 0 && v->phase != V_OVER) {
		size_t used, n = 1;
		fault f = tls_feed(v->tls, bytes, &used);
		bytes = str_from(bytes, used);
		if (f == OK && v->phase == V_SHAKING && tls_state(v->tls) == TLS_OPEN)
			handshake_over(v);
		while (f == OK && n > 0 && v->phase != V_SHAKING && v->phase != V_OVER) {
			f = tls_read(v->tls, plain, sizeof plain, &n);
			if (f == OK && n > 0)
				take_plain(v, (struct str){ plain, n });
		}
		if (f != OK)
			load_visit_lose(v, LOSS_TLS);
		else if (tls_state(v->tls) == TLS_ENDED)
			load_visit_lose(v, v->phase == V_SHAKING ? LOSS_TLS : LOSS_CLOSED);
	}
}

static void read_in(struct visit *v)
{
	char bytes[READ_BYTES];
	size_t n;
	fault f = stream_read(v->stream, bytes, sizeof bytes, &n);
	if (f == F_BUSY)
		return;
	if (f != OK || n == 0)
		load_visit_lose(v, v->phase == V_SHAKING ? LOSS_TLS : LOSS_CLOSED);
	else if (v->tls != NULL)
		take_cipher(v, (struct str){ bytes, n });
	else
		take_plain(v, (struct str){ bytes, n });
}

static void on_stream(void *owner, enum stream_event event)
{
	struct visit *v = owner;
	if (v->phase == V_OVER)
		return;
	if (v->phase == V_CONNECTING) {
		connected(v);
		return;
	}
	if (event == STREAM_READABLE)
		read_in(v);
	turn(v);
	if (v->phase == V_OVER)
		stream_want_read(v->stream, false);
}

void load_visit_stop(struct visit *v)
{
	if (!v->in_message)
		over(v, false);
}

bool load_visit_stands(const struct visit *v)
{
	return v->phase == V_IDLE;
}

void load_visit_begin(struct visit *v)
{
	v->due_ms = loop_now_ms(v->load->loop) + v->plan->patience_ms;
	dialogue_next_message(v);
	turn(v);
}

void load_visit_sweep(struct visit *v, int64_t now_ms)
{
	if (v->phase != V_IDLE && v->phase != V_OVER && v->due_ms <= now_ms)
		load_visit_lose(v, v->phase == V_CONNECTING ? LOSS_CONNECT : LOSS_TIME);
}
