/* SPDX-License-Identifier: ISC */
/* The clients of a front: what they say, in clear and under TLS, and what they must hear. */
#include "unit.h"

#include "house.h"

#include <stdio.h>
#include <string.h>

#include "sys/clock.h"
#include "tls/certificate.h"

static void client_flush(struct client *c)
{
	while (c->tls != NULL && c->stream != NULL && tls_output(c->tls).n > 0) {
		size_t n = 0;
		if (stream_write(c->stream, tls_output(c->tls), &n) != OK || n == 0)
			return;
		tls_sent(c->tls, n);
	}
}

static void client_take(struct client *c, struct str bytes)
{
	char plain[4096];
	size_t n, used;
	if (c->tls == NULL) {
		assert_int_equal(buf_add(&c->heard, bytes), OK);
		return;
	}
	do {
		assert_int_equal(tls_feed(c->tls, bytes, &used), OK);
		bytes = str_from(bytes, used);
		while (tls_state(c->tls) != TLS_SHAKING && tls_read(c->tls, plain, sizeof plain, &n) == OK && n > 0)
			assert_int_equal(buf_add(&c->heard, (struct str){ plain, n }), OK);
	} while (bytes.n > 0 && used > 0);
	client_flush(c);
}

static void client_notified(void *owner, enum stream_event event)
{
	struct client *c = owner;
	char room[16384];
	size_t n = 0;
	if (event == STREAM_WRITABLE) {
		client_flush(c);
		return;
	}
	fault f = stream_read(c->stream, room, sizeof room, &n);
	if (f == F_BUSY)
		return;
	if (f != OK || n == 0) {
		c->closed = true;
		stream_want_read(c->stream, false);
		return;
	}
	client_take(c, (struct str){ room, n });
}

void client_open_clear(struct client *c, struct house *h, int listener)
{
	client_open_from(c, h, listener, "127.0.0.1:0");
}

void client_fall_silent(struct client *c)
{
	stream_want_read(c->stream, false);
}

void client_open_from(struct client *c, struct house *h, int listener, const char *address)
{
	int fd = -1;
	struct endpoint from;
	assert_int_equal(endpoint_parse(str_of(address), &from), OK);
	memset(c, 0, sizeof *c);
	c->house = h;
	buf_init(&c->heard, 1 << 20);
	buf_init(&c->line, 1 << 16);
	assert_int_equal(socket_connect(&h->at[listener], h->at[listener].kind == ENDPOINT_UNIX ? NULL : &from, &fd), OK);
	c->stream = stream_new(h->loop, fd, client_notified, c);
}

void client_open(struct client *c, struct house *h, int listener)
{
	client_open_clear(c, h, listener);
	if (listener == LISTENER_SUBMISSIONS)
		client_start_tls(c);
}

void client_close(struct client *c)
{
	stream_close(&c->stream);
	tls_free(&c->tls);
	buf_fini(&c->heard);
	buf_fini(&c->line);
}

void client_begin_tls(struct client *c)
{
	c->tls = tls_connect(c->house->trusting, STR("mx1.example.org"));
	assert_int_equal(tls_feed(c->tls, STR_NONE, &(size_t){ 0 }), OK);
	client_flush(c);
}

void client_wait_tls(struct client *c)
{
	for (int i = 0; i < 1000 && tls_state(c->tls) == TLS_SHAKING && !c->closed; i++) {
		client_flush(c);
		house_wait_once(c->house);
	}
	client_flush(c);
	if (tls_state(c->tls) != TLS_OPEN)
		fail_msg("no TLS: %s", tls_error(c->tls));
}

void client_start_tls(struct client *c)
{
	client_begin_tls(c);
	client_wait_tls(c);
}

void client_end_tls(struct client *c)
{
	tls_end(c->tls);
	client_flush(c);
	tls_free(&c->tls);
}

void client_send(struct client *c, struct str bytes)
{
	if (c->tls != NULL) {
		assert_int_equal(tls_write(c->tls, bytes), OK);
		client_flush(c);
		return;
	}
	while (bytes.n > 0 && !c->closed) {
		size_t n = 0;
		assert_int_equal(stream_write(c->stream, bytes, &n), OK);
		bytes = str_from(bytes, n);
		if (n == 0)
			house_run_once(c->house);
	}
}

void client_say(struct client *c, const char *line)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	assert_int_equal(buf_addf(&b, "%s\r\n", line), OK);
	client_send(c, buf_view(&b));
	buf_fini(&b);
}

static struct str next_line(struct client *c)
{
	struct str rest, line;
	for (int i = 0; i < 2000; i++) {
		rest = buf_view(&c->heard);
		if (str_find_str(rest, STR("\r\n"), &(size_t){ 0 }))
			break;
		if (c->closed)
			fail_msg("closed while a line was awaited");
		house_wait_once(c->house);
	}
	rest = buf_view(&c->heard);
	if (!str_take_line(&rest, &line))
		fail_msg("no line came");
	buf_clear(&c->line);
	assert_int_equal(buf_add(&c->line, line), OK);
	buf_drop(&c->heard, buf_view(&c->heard).n - rest.n);
	return house_text(&c->line);
}

static void compare(struct str line, const char *start)
{
	if (!str_starts(line, str_of(start)))
		fail_msg("expected \"%s\", heard \"%.*s\"", start, STR_ARG(line));
}

void client_hear(struct client *c, const char *start)
{
	compare(next_line(c), start);
}

void client_hear_last(struct client *c, const char *start)
{
	struct str line;
	do
		line = next_line(c);
	while (line.n > 3 && line.p[3] == '-');
	compare(line, start);
}

void client_hear_end(struct client *c)
{
	house_wait(c->house, &c->closed);
	assert_int_equal(buf_view(&c->heard).n, 0);
}

void client_talk(struct client *c, const char *line, const char *start)
{
	client_say(c, line);
	client_hear_last(c, start);
}

void client_hello(struct client *c)
{
	client_hear(c, "220 mx1.example.org ESMTP");
	client_talk(c, "EHLO client.example", "250 LIMITS RCPTMAX=1000");
}

void client_login(struct client *c)
{
	client_talk(c, "AUTH PLAIN AGphZGEAc2VjcmV0", "235 2.7.0");
}
