/* SPDX-License-Identifier: ISC */
/* The scripted mail servers of a world. */
#include "unit.h"

#include "world.h"

#include <stdlib.h>
#include <string.h>

#include "sys/stream.h"

enum { CONTENT_MAX = 8 << 20 };

/* ---- one connection to a scripted server ---- */

struct call {
	struct link in_peer;
	struct peer *peer;
	struct stream *stream;
	struct tls *tls;
	struct buf in, out;
	bool in_data, closing, nonsense;
	unsigned taken;
};

static void call_free(struct call *c)
{
	link_remove(&c->in_peer);
	stream_close(&c->stream);
	tls_free(&c->tls);
	buf_fini(&c->in);
	buf_fini(&c->out);
	free(c);
}

static void say(struct call *c, const char *line)
{
	assert_ok(buf_addf(&c->out, "%s\r\n", line));
}

static void say_ehlo(struct call *c, const char *words)
{
	struct str rest = str_of(words), word;
	assert_ok(buf_add(&c->out, STR("250-peer\r\n")));
	while (str_take_word(&rest, &word)) {
		if (c->tls != NULL && str_eq(word, STR("STARTTLS")))
			continue;
		assert_ok(buf_add(&c->out, STR("250-")));
		for (size_t i = 0; i < word.n; i++)
			assert_ok(buf_add_char(&c->out, word.p[i] == '_' ? ' ' : word.p[i]));
		assert_ok(buf_add(&c->out, STR("\r\n")));
	}
	say(c, "250 HELP");
}

static void call_flush(struct call *c)
{
	struct str out = buf_view(&c->out);
	size_t n;
	if (c->tls != NULL) {
		if (tls_state(c->tls) == TLS_OPEN && out.n > 0) {
			assert_ok(tls_write(c->tls, out));
			buf_clear(&c->out);
		}
		out = tls_output(c->tls);
		if (out.n > 0 && stream_write(c->stream, out, &n) == OK)
			tls_sent(c->tls, n);
	} else if (out.n > 0 && stream_write(c->stream, out, &n) == OK) {
		buf_drop(&c->out, n);
	}
}

static const char *or(const char *given, const char *otherwise)
{
	return given != NULL ? given : otherwise;
}

static void end_of_letter(struct call *c)
{
	const struct peer_script *s = &c->peer->script;
	c->in_data = false;
	c->peer->letters++;
	if (s->hang_up_at_dot)
		c->closing = true;
	if (s->silent_at_dot)
		loop_stop(c->peer->world->loop);
	if (s->hang_up_at_dot || s->silent_at_dot)
		return;
	for (unsigned i = 0; s->finals[0] != NULL && i < c->taken; i++)
		say(c, or(s->finals[i], "250 2.0.0 Ok"));
	if (s->finals[0] == NULL)
		say(c, or(s->final, "250 2.0.0 Ok"));
	c->closing = s->hang_up_after;
	c->taken = 0;
}

static void take_rcpt(struct call *c, struct str line)
{
	const char *reply = or(c->peer->script.rcpt, "250 2.1.5 Ok");
	if (str_starts_nocase(line, STR("RCPT TO:<bad")))
		reply = "550 5.1.1 No such user";
	else if (str_starts_nocase(line, STR("RCPT TO:<later")))
		reply = "450 4.2.1 Try later";
	c->taken += reply[0] == '2';
	say(c, reply);
}

static void take_command(struct call *c, struct str line)
{
	const struct peer_script *s = &c->peer->script;
	const char *ehlo = or(s->ehlo, "");
	assert_ok(buf_addf(&c->peer->said, "%.*s\r\n", STR_ARG(line)));
	if (s->silent_at != NULL && str_starts(line, str_of(s->silent_at))) {
		loop_stop(c->peer->world->loop);
		return;
	}
	if (str_starts(line, STR("EHLO")) || str_starts(line, STR("LHLO"))) {
		say_ehlo(c, c->tls != NULL ? or(s->ehlo_tls, ehlo) : ehlo);
	} else if (str_starts(line, STR("STARTTLS")) && s->starttls != NULL) {
		say(c, s->starttls);
	} else if (str_starts(line, STR("STARTTLS"))) {
		say(c, "220 Go ahead");
		call_flush(c);
		c->nonsense = s->broken_tls;
		c->closing = s->lost_hellos > c->peer->connections - 1;
		if (!c->nonsense)
			c->tls = tls_accept(c->peer->world->tls);
	} else if (str_starts(line, STR("AUTH PLAIN "))) {
		say(c, str_eq(str_from(line, 11), STR("AHVzZXIAcmlnaHQ=")) ? "235 2.7.0 Welcome" : "535 5.7.8 Wrong password");
	} else if (str_starts(line, STR("MAIL"))) {
		c->taken = 0;
		say(c, or(s->mail, "250 2.1.0 Ok"));
	} else if (str_starts(line, STR("RCPT"))) {
		take_rcpt(c, line);
	} else if (str_starts(line, STR("DATA"))) {
		buf_clear(&c->peer->content);
		c->in_data = c->taken > 0 && s->data == NULL;
		say(c, s->data != NULL ? s->data : c->in_data ? "354 Go ahead" : "503 5.5.1 Nobody");
	} else if (str_starts(line, STR("QUIT"))) {
		say(c, "221 Bye");
		c->closing = true;
	} else {
		say(c, "250 2.0.0 Ok");
	}
}

static void take_lines(struct call *c)
{
	struct str line;
	size_t at;
	while (!c->closing && !c->nonsense && str_find_str(buf_view(&c->in), STR("\r\n"), &at)) {
		line = str_sub(buf_view(&c->in), 0, at);
		if (!c->in_data)
			take_command(c, line);
		else if (str_eq(line, STR(".")))
			end_of_letter(c);
		else
			assert_ok(buf_addf(&c->peer->content, "%.*s\r\n", STR_ARG(line)));
		buf_drop(&c->in, at + 2);
		if (c->tls != NULL && tls_state(c->tls) == TLS_SHAKING)
			return;
	}
}

static void take_tls(struct call *c, struct str bytes)
{
	char plain[16 << 10];
	size_t used, n;
	while (bytes.n > 0) {
		bool shaking = tls_state(c->tls) == TLS_SHAKING;
		if (tls_feed(c->tls, bytes, &used) != OK) {
			c->closing = true;
			return;
		}
		bytes = str_from(bytes, used);
		if (shaking && tls_state(c->tls) == TLS_OPEN) {
			c->peer->tls_handshakes++;
			if (c->peer->script.implicit)
				say(c, or(c->peer->script.greeting, "220 peer"));
		}
		while (tls_read(c->tls, plain, sizeof plain, &n) == OK && n > 0)
			assert_ok(buf_add(&c->in, (struct str){ plain, n }));
	}
}

static void on_call(void *owner, enum stream_event event)
{
	struct call *c = owner;
	char bytes[32 << 10];
	size_t n;
	if (event == STREAM_READABLE) {
		fault f = stream_read(c->stream, bytes, sizeof bytes, &n);
		if (f == F_BUSY)
			return;
		if (f != OK || n == 0) {
			call_free(c);
			return;
		}
		if (c->nonsense)
			assert_ok(buf_add(&c->out, STR("I do not speak TLS\r\n")));
		else if (c->tls != NULL)
			take_tls(c, (struct str){ bytes, n });
		else
			assert_ok(buf_add(&c->in, (struct str){ bytes, n }));
		take_lines(c);
	}
	call_flush(c);
	bool sent = buf_view(&c->out).n == 0 && (c->tls == NULL || tls_output(c->tls).n == 0);
	if (c->closing && sent)
		call_free(c);
}

void peer_answer(struct peer *p, int fd)
{
	struct call *c = NEW(struct call);
	c->peer = p;
	buf_init(&c->in, CONTENT_MAX);
	buf_init(&c->out, CONTENT_MAX);
	list_add_last(&p->calls, &c->in_peer);
	p->connections++;
	c->stream = stream_new(p->world->loop, fd, on_call, c);
	if (p->script.implicit)
		c->tls = tls_accept(p->world->tls);
	else if (!p->script.mute)
		say(c, or(p->script.greeting, "220 peer"));
	else
		loop_stop(p->world->loop);
	call_flush(c);
}

void peer_greet(struct peer *p)
{
	LIST_EACH(l, &p->calls) {
		struct call *c = LIST_MEMBER(l, struct call, in_peer);
		say(c, "220 peer");
		call_flush(c);
	}
	p->script.mute = false;
}

static void on_accept(void *owner)
{
	struct peer *p = owner;
	struct endpoint from;
	int fd;
	while (socket_accept(acceptor_fd(p->acceptor), &fd, &from) == OK)
		peer_answer(p, fd);
}

bool peers_open(struct world *w, uint16_t port)
{
	for (size_t i = 0; i < COUNT(w->peers); i++) {
		struct peer *p = &w->peers[i];
		struct why why;
		int fd;
		p->at = (struct endpoint){ .kind = ENDPOINT_IPV4, .ip = { 127, 0, 0, (unsigned char)(i + 1) }, .port = port };
		if (socket_listen(&p->at, 16, &fd, &why) != OK)
			return false;
		assert_ok(socket_local(fd, &p->at));
		port = p->at.port;
		p->world = w;
		list_init(&p->calls);
		buf_init(&p->content, CONTENT_MAX);
		buf_init(&p->said, CONTENT_MAX);
		p->acceptor = acceptor_new(w->loop, fd, on_accept, p);
	}
	w->port = port;
	return true;
}

void peers_close(struct world *w)
{
	for (size_t i = 0; i < COUNT(w->peers); i++) {
		struct peer *p = &w->peers[i];
		if (p->acceptor == NULL)
			continue;
		acceptor_close(&p->acceptor);
		while (!list_empty(&p->calls))
			call_free(LIST_FIRST(&p->calls, struct call, in_peer));
		buf_fini(&p->content);
		buf_fini(&p->said);
	}
}
