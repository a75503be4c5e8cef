/* SPDX-License-Identifier: ISC */
#include "wire.h"

#include <stdlib.h>

#include "base/check.h"
#include "sys/stream.h"

enum { ROOM = 64 << 20, CHUNK = 16 << 10 };

struct wire {
	struct stream *stream;
	struct tls *tls;
	struct buf in, out;      /* plain text in; what is to be sent as it is */
	size_t taken;            /* given to the owner by the last call */
	bool gone, secure;
	void (*notify)(void *owner);
	void *owner;
};

static void send_some(struct wire *w, struct str bytes, size_t *n_out)
{
	if (w->gone || stream_write(w->stream, bytes, n_out) != OK) {
		w->gone = true;
		*n_out = 0;
	}
}

static void flush(struct wire *w)
{
	for (size_t n = 1; w->tls != NULL && n > 0 && tls_output(w->tls).n > 0;) {
		send_some(w, tls_output(w->tls), &n);
		if (n > 0)
			tls_sent(w->tls, n);
	}
	for (size_t n = 1; w->tls == NULL && n > 0 && buf_view(&w->out).n > 0;) {
		send_some(w, buf_view(&w->out), &n);
		buf_drop(&w->out, n);
	}
	if (w->tls == NULL || tls_state(w->tls) != TLS_OPEN)
		return;
	w->secure = true;
	while (buf_view(&w->out).n > 0 && tls_output(w->tls).n < CHUNK) {
		struct str part = str_sub(buf_view(&w->out), 0, CHUNK);
		size_t n = 0;
		if (tls_write(w->tls, part) != OK) {
			w->gone = true;
			return;
		}
		buf_drop(&w->out, part.n);
		send_some(w, tls_output(w->tls), &n);
		tls_sent(w->tls, n);
	}
}

static void decrypt(struct wire *w, struct str cipher)
{
	char plain[CHUNK];
	do {
		size_t used = 0, n = 0;
		if (tls_feed(w->tls, cipher, &used) != OK) {
			w->gone = true;
			return;
		}
		cipher = str_from(cipher, used);
		do {
			if (tls_read(w->tls, plain, sizeof plain, &n) != OK) {
				w->gone = true;
				return;
			}
			check(buf_add(&w->in, (struct str){ plain, n }) == OK);
		} while (n > 0);
		if (tls_state(w->tls) == TLS_ENDED || tls_state(w->tls) == TLS_BROKEN)
			w->gone = true;
	} while (cipher.n > 0 && !w->gone);
}

static void pull(struct wire *w)
{
	char bytes[CHUNK];
	size_t n = 0;
	fault f = stream_read(w->stream, bytes, sizeof bytes, &n);
	if (f == F_BUSY)
		return;
	if (f != OK || n == 0) {
		w->gone = true;
		stream_want_read(w->stream, false);
		return;
	}
	if (w->tls != NULL)
		decrypt(w, (struct str){ bytes, n });
	else
		check(buf_add(&w->in, (struct str){ bytes, n }) == OK);
}

static void on_stream(void *owner, enum stream_event event)
{
	struct wire *w = owner;
	if (event == STREAM_READABLE)
		pull(w);
	flush(w);
	w->notify(w->owner); /* the wire may be gone now */
}

struct wire *wire_new(struct loop *loop, int fd, void (*notify)(void *owner), void *owner)
{
	struct wire *w = NEW(struct wire);
	w->notify = notify;
	w->owner = owner;
	buf_init(&w->in, ROOM);
	buf_init(&w->out, ROOM);
	w->stream = stream_new(loop, fd, on_stream, w);
	return w;
}

void wire_close(struct wire **w_ref)
{
	struct wire *w = *w_ref;
	if (w == NULL)
		return;
	*w_ref = NULL;
	stream_close(&w->stream);
	tls_free(&w->tls);
	buf_fini(&w->in);
	buf_fini(&w->out);
	free(w);
}

void wire_tls(struct wire *w, struct tls *tls)
{
	flush(w);
	w->tls = tls;
	flush(w);
	stream_want_write(w->stream, true);
}

bool wire_secure(const struct wire *w)
{
	return w->secure;
}

bool wire_gone(const struct wire *w)
{
	return w->gone;
}

size_t wire_unsent(const struct wire *w)
{
	return buf_view(&w->out).n;
}

void wire_say(struct wire *w, struct str bytes)
{
	check(buf_add(&w->out, bytes) == OK);
	flush(w);
	stream_want_write(w->stream, !w->gone && (buf_view(&w->out).n > 0 || (w->tls != NULL && tls_output(w->tls).n > 0)));
}

static void forget_taken(struct wire *w)
{
	buf_drop(&w->in, w->taken);
	w->taken = 0;
}

bool wire_line(struct wire *w, struct str *line_out)
{
	size_t at;
	forget_taken(w);
	if (!str_find_str(buf_view(&w->in), STR("\r\n"), &at))
		return false;
	*line_out = str_sub(buf_view(&w->in), 0, at);
	w->taken = at + 2;
	return true;
}

bool wire_take(struct wire *w, size_t n, struct str *bytes_out)
{
	forget_taken(w);
	if (buf_view(&w->in).n < n)
		return false;
	*bytes_out = str_sub(buf_view(&w->in), 0, n);
	w->taken = n;
	return true;
}
