/* SPDX-License-Identifier: ISC */
/*
 * fuzz/smtp_content.c -- ways through a transaction: the input chooses commands, not bytes, so that chunks, DATA and what may not
 * stand between them come in every order and are cut everywhere. A small machine beside the session knows each reply and each
 * octet that must arrive.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/check.h"
#include "proto/smtp/server.h"

enum { MAX = 1 << 20, COMMANDS_MAX = 1000 };

/* Lines that need their dots doubled, an empty one, and an end in the middle of a chunk's pattern. */
static const char lines[] = "ab\r\n.\r\n..c\r\n\r\nd.\r\n";

/* What the session made of it. */
struct heard { struct buf replies, bodies, body; };

struct machine {
	struct smtp_server *session;
	struct heard *heard;
	size_t piece;          /* how the input is cut */
	struct buf input;      /* what the client has not sent yet */
	struct buf replies;    /* the first digit of each reply, as it must be */
	struct buf bodies;     /* of all whole messages, each ended by a NUL */
	struct buf body;       /* of the message under way */
	bool mail, chunks;
	size_t rcpts, at;      /* in lines */
};

static void put(struct buf *b, struct str s)
{
	check(buf_add(b, s) == OK);
}

static void take_output(struct smtp_server *s, struct heard *h)
{
	struct str out = smtp_server_output(s), rest = out, line;
	while (str_next_line(&rest, &line)) {
		check(line.n >= 4);
		if (line.p[3] == ' ')
			check(buf_add_char(&h->replies, line.p[0]) == OK);
	}
	smtp_server_sent(s, out.n);
}

static void drain(struct smtp_server *s, struct heard *h)
{
	struct smtp_event e;
	while (smtp_server_next(s, &e)) {
		if (e.kind == SMTP_BODY)
			put(&h->body, e.u.body);
		if (e.kind == SMTP_DATA_BEGIN || e.kind == SMTP_RESET)
			buf_clear(&h->body);
		if (e.kind == SMTP_BODY_END) {
			check(e.u.end.size_bytes == buf_view(&h->body).n);
			put(&h->bodies, buf_view(&h->body));
			check(buf_add_char(&h->bodies, '\0') == OK);
			buf_clear(&h->body);
		}
		if (e.kind > SMTP_BODY_END)
			continue;
		if (e.kind == SMTP_RCPT && str_eq(e.u.rcpt.address.local, STR("no")))
			smtp_server_answer(s, REPLY(550, 5, 1, 1, STR("No")));
		else
			smtp_server_answer_ok(s);
		take_output(s, h);
	}
	take_output(s, h);
}

/* EHLO and DATA are the last of their group (RFC 2920 3.1): the client waits here. */
static void send_group(struct machine *m)
{
	struct str rest = buf_view(&m->input);
	while (rest.n > 0 && !smtp_server_done(m->session)) {
		rest = str_from(rest, smtp_server_feed(m->session, str_sub(rest, 0, m->piece), 0));
		drain(m->session, m->heard);
	}
	buf_clear(&m->input);
}

static void expect(struct machine *m, char digit)
{
	check(buf_add_char(&m->replies, digit) == OK);
}

static void forget(struct machine *m)
{
	m->mail = m->chunks = false;
	m->rcpts = m->at = 0;
	buf_clear(&m->body);
}

/* n octets of the pattern, and at the end of a message as many more as finish the line. */
static void make_text(struct machine *m, size_t n, bool last, struct buf *to)
{
	size_t length = sizeof lines - 1;
	for (size_t i = 0; i < n || (last && m->at > 0 && lines[m->at - 1] != '\n'); i++) {
		check(buf_add_char(to, lines[m->at]) == OK);
		m->at = (m->at + 1) % length;
	}
}

static void message_ends(struct machine *m)
{
	put(&m->bodies, buf_view(&m->body));
	check(buf_add_char(&m->bodies, '\0') == OK);
	forget(m);
	expect(m, '2');
}

static void add_chunk(struct machine *m, size_t n, bool last)
{
	struct buf text;
	size_t at = m->at;
	buf_init(&text, MAX);
	make_text(m, n, last, &text);
	check(buf_addf(&m->input, "BDAT %zu%s\r\n", buf_view(&text).n, last ? " LAST" : "") == OK);
	put(&m->input, buf_view(&text));
	if (!m->mail || m->rcpts == 0) {
		m->at = at;
		expect(m, '5'); /* its octets are read and dropped all the same */
	} else {
		m->chunks = true;
		put(&m->body, buf_view(&text));
		if (last)
			message_ends(m);
		else
			expect(m, '2');
	}
	buf_fini(&text);
}

static void add_data(struct machine *m, size_t n)
{
	put(&m->input, STR("DATA\r\n"));
	send_group(m);
	if (!m->mail || m->rcpts == 0 || m->chunks) {
		expect(m, '5');
		if (m->chunks)
			forget(m);
		return;
	}
	expect(m, '3');
	make_text(m, n, true, &m->body);
	struct str rest = buf_view(&m->body), line;
	while (str_next_line(&rest, &line)) {
		if (str_starts(line, STR(".")))
			put(&m->input, STR("."));
		put(&m->input, line);
		put(&m->input, STR("\r\n"));
	}
	put(&m->input, STR(".\r\n"));
	message_ends(m);
}

/* Between two chunks nothing of a transaction may stand (RFC 3030 2): what does is refused, and what came is void. */
static void add_command(struct machine *m, unsigned what, size_t n)
{
	switch (what % 9) {
	case 0:
		put(&m->input, STR("MAIL FROM:<a@x.example>\r\n"));
		expect(m, m->mail ? '5' : '2');
		if (!m->mail)
			m->mail = true;
		else if (m->chunks)
			forget(m);
		break;
	case 1:
		put(&m->input, STR("RCPT TO:<b@x.example>\r\n"));
		expect(m, m->mail && !m->chunks ? '2' : '5');
		m->rcpts += m->mail && !m->chunks;
		if (m->chunks)
			forget(m);
		break;
	case 2:
		put(&m->input, STR("RCPT TO:<no@x.example>\r\n"));
		expect(m, '5');
		if (m->chunks)
			forget(m);
		break;
	case 3:
		put(&m->input, STR("RSET\r\n"));
		expect(m, '2');
		forget(m);
		break;
	case 4:
		put(&m->input, STR("NOOP\r\n"));
		expect(m, '2');
		break;
	case 5:
		put(&m->input, STR("EHLO c.example\r\n"));
		send_group(m);
		expect(m, '2');
		forget(m);
		break;
	case 6: add_chunk(m, n, false); break;
	case 7: add_chunk(m, n, true); break;
	case 8: add_data(m, n); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard h;
	struct machine m = { .heard = &h };
	if (size < 2)
		return 0;
	struct buf *const all[] = { &m.input, &m.replies, &m.bodies, &m.body, &h.replies, &h.bodies, &h.body };
	for (size_t i = 0; i < COUNT(all); i++)
		buf_init(all[i], MAX);
	struct smtp_server_conf conf = smtp_server_conf_usual();
	conf.hostname = STR("mx1.example.org");
	conf.size_bytes_max = conf.rcpts_max = conf.text_line_max = MAX;
	conf.errors_max = conf.refusals_max = conf.idle_commands_max = MAX;
	m.piece = 1 + (size_t)data[0] * data[0];
	m.session = smtp_server_new(&conf, 0);
	smtp_server_greet(m.session);
	expect(&m, '2');
	add_command(&m, 5, 0);
	for (size_t i = 1; i + 1 < size && i < COMMANDS_MAX; i += 2)
		add_command(&m, data[i], data[i + 1]);
	send_group(&m);

	check(!smtp_server_done(m.session));
	check(str_eq(buf_view(&m.replies), buf_view(&h.replies)));
	check(str_eq(buf_view(&m.bodies), buf_view(&h.bodies)));
	smtp_server_free(&m.session);
	for (size_t i = 0; i < COUNT(all); i++)
		buf_fini(all[i]);
	return 0;
}
