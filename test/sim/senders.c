/* SPDX-License-Identifier: ISC */
#include "senders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "ledger.h"
#include "sys/stream.h"
#include "wire.h"
#include "world.h"

enum manner { BY_SUBMISSIONS, BY_MX, BY_MX_CLEAR, BY_LMTP, MANNERS };
enum stage { GREETING, HELLO, START_TLS, SHAKING, HELLO_AGAIN, LOGIN, MAIL, RCPT, DATA, CONTENT, VERDICT, BYE };
enum { PATIENCE_MS = 15 * 60 * 1000 };

struct sender {
	struct link in_all;
	struct letter *letter;
	enum manner manner;
	enum stage stage;
	struct wire *wire;
	struct timer patience;
	size_t next;            /* the recipient whose reply is awaited */
	bool pipelined, chunked, leave_early, leave_after_dot, quick;
};

static struct {
	struct loop *loop;
	struct tls_client *tls;
	struct list all;
	unsigned made;
} clients;

unsigned long senders_refused, senders_lost;

static const char *const places[] = { "192.0.2.1:465", "192.0.2.1:25", "192.0.2.1:25", "127.0.0.1:24" };

static const char *const local_rcpts[] = { "ann@sim.example", "ben@sim.example", "cleo@sim.example" };
static const char *const remote_rcpts[] = {
	"u1@good.example", "u2@good.example", "u3@good.example", "u7@bad.example", "u8@worse.example", "u9@gone.example",
	"ub@nullmx.example", "uc@corp.example", "ud@corp.example",
	"u4@flaky.example", "u5@flaky.example", "u6@grey.example", "ua@down.example",
};
enum { QUICK_RCPTS = 9 };
static const char *const listed_rcpts[] = { "news@lists.example", "talk@lists.example", "odd@lists.example" };

static void finish(struct sender *s)
{
	timer_clear(&s->patience);
	wire_close(&s->wire);
	link_remove(&s->in_all);
	free(s);
}

/* --- making up a letter --- */

static void add_rcpt(struct letter *l, const char *address)
{
	for (size_t i = 0; i < l->n_rcpts; i++)
		if (strcmp(l->rcpts[i].address, address) == 0)
			return;
	(void)snprintf(l->rcpts[l->n_rcpts++].address, sizeof l->rcpts[0].address, "%s", address);
}

static void add_rcpts(struct sender *s)
{
	size_t n = 1 + (size_t)chance_below(chance_below(3) == 0 ? 5 : 2);
	for (size_t i = 0; i < n; i++) {
		uint64_t kind = chance_below(10);
		if (s->manner == BY_SUBMISSIONS && kind < 6)
			add_rcpt(s->letter, remote_rcpts[chance_below(s->quick ? QUICK_RCPTS : COUNT(remote_rcpts))]);
		else if (kind == 6)
			add_rcpt(s->letter, "nobody@sim.example");
		else if (kind == 7 && s->manner != BY_SUBMISSIONS)
			add_rcpt(s->letter, "relay@elsewhere.example");
		else if (kind < 8)
			add_rcpt(s->letter, local_rcpts[chance_below(COUNT(local_rcpts))]);
		else
			add_rcpt(s->letter, listed_rcpts[chance_below(COUNT(listed_rcpts))]);
	}
}

static void add_content(struct letter *l)
{
	static const char *const lines[] = { "Hello there", ".", "..", ".dot first", "", "a line of some length, to fill", "From me" };
	size_t n = chance_below(6) == 0 ? (size_t)chance_below(6000) : (size_t)chance_below(20);
	if (chance_below(25) == 0)
		n = 100000; /* more than every credit between the roles */
	check(buf_addf(&l->content,
	               "Date: Fri, 20 Nov 2026 12:00:00 +0000\r\nMessage-ID: <%u@client.example>\r\nFrom: <%s>\r\n"
	               "X-Sim: %u\r\nSubject: letter %u\r\n\r\n",
	               l->number, l->sender[0] != '\0' ? l->sender : "jada@sim.example", l->number, l->number) == OK);
	for (size_t i = 0; i < n; i++)
		check(buf_addf(&l->content, "%s\r\n", lines[chance_below(COUNT(lines))]) == OK);
}

static void make_letter(struct sender *s)
{
	const char *from = s->manner == BY_SUBMISSIONS  ? "jada@sim.example"
	                   : chance_below(8) == 0       ? ""
	                                                : "someone@origin.example";
	s->letter = ledger_letter(from);
	add_rcpts(s);
	add_content(s->letter);
}

/* --- speaking --- */

static void sayf(struct sender *s, const char *fmt, const char *what)
{
	struct buf line;
	buf_init(&line, 4096);
	check(buf_addf(&line, fmt, what) == OK);
	wire_say(s->wire, buf_view(&line));
	buf_fini(&line);
}

static void say_content(struct sender *s)
{
	struct str rest = buf_view(&s->letter->content);
	if (s->leave_early)
		rest = str_sub(rest, 0, (size_t)chance_below(rest.n));
	if (s->chunked) {
		if (!s->leave_early)
			s->letter->state = LETTER_UNSURE;
		struct buf head;
		buf_init(&head, 100);
		check(buf_addf(&head, "BDAT %zu LAST\r\n", buf_view(&s->letter->content).n) == OK);
		wire_say(s->wire, buf_view(&head));
		buf_fini(&head);
		wire_say(s->wire, rest);
		return;
	}
	for (struct str line; str_take_line(&rest, &line);) {
		if (line.n > 0 && line.p[0] == '.')
			wire_say(s->wire, STR("."));
		wire_say(s->wire, line);
		wire_say(s->wire, STR("\r\n"));
	}
	if (s->leave_early)
		return;
	s->letter->state = LETTER_UNSURE;
	wire_say(s->wire, STR(".\r\n"));
}

static void say_mail(struct sender *s)
{
	sayf(s, "MAIL FROM:<%s>\r\n", s->letter->sender);
	s->stage = MAIL;
	s->next = 0;
	if (!s->pipelined)
		return;
	for (size_t i = 0; i < s->letter->n_rcpts; i++)
		sayf(s, "RCPT TO:<%s>\r\n", s->letter->rcpts[i].address);
}

static void log_in(struct sender *s)
{
	struct buf line;
	buf_init(&line, 200);
	check(buf_add(&line, STR("AUTH PLAIN ")) == OK && base64_put(&line, STR("\0jada\0secret of jada")) == OK &&
	      buf_add(&line, STR("\r\n")) == OK);
	wire_say(s->wire, buf_view(&line));
	buf_fini(&line);
	s->stage = LOGIN;
}

static void begin_content(struct sender *s)
{
	bool any = false;
	for (size_t i = 0; i < s->letter->n_rcpts; i++)
		any = any || s->letter->rcpts[i].accepted;
	if (!any) {
		sayf(s, "QUIT%s\r\n", "");
		s->stage = BYE;
		return;
	}
	if (!s->chunked) {
		sayf(s, "DATA%s\r\n", "");
		s->stage = DATA;
		return;
	}
	s->stage = VERDICT;
	s->next = 0;
	say_content(s);
}

static void after_hello(struct sender *s)
{
	if (s->manner == BY_SUBMISSIONS) {
		log_in(s);
		return;
	}
	say_mail(s);
}

static void hello(struct sender *s, enum stage stage)
{
	sayf(s, "%s client.example\r\n", s->manner == BY_LMTP ? "LHLO" : "EHLO");
	s->stage = stage;
}

/* --- what the replies do --- */

static void on_rcpt(struct sender *s, unsigned code)
{
	s->letter->rcpts[s->next].accepted = code == 250;
	s->next++;
	if (s->next == s->letter->n_rcpts)
		begin_content(s);
	else if (!s->pipelined)
		sayf(s, "RCPT TO:<%s>\r\n", s->letter->rcpts[s->next].address);
}

static enum letter_state state_for(unsigned code)
{
	if (code < 300)
		return LETTER_ACCEPTED;
	senders_refused++;
	return code < 500 ? LETTER_LATER : LETTER_REFUSED;
}

/* LMTP: one verdict for each accepted recipient, in their order. */
static void on_verdict(struct sender *s, unsigned code)
{
	struct letter *l = s->letter;
	if (s->manner != BY_LMTP) {
		l->state = state_for(code);
	} else {
		while (s->next < l->n_rcpts && !l->rcpts[s->next].accepted)
			s->next++;
		if (s->next < l->n_rcpts)
			l->rcpts[s->next++].state = state_for(code);
		for (size_t i = s->next; i < l->n_rcpts; i++)
			if (l->rcpts[i].accepted)
				return;
	}
	sayf(s, "QUIT%s\r\n", "");
	s->stage = BYE;
}

/* False: the sender is done. */
static bool on_reply(struct sender *s, unsigned code)
{
	switch (s->stage) {
	case GREETING:
		if (code != 220)
			return false;
		hello(s, HELLO);
		return true;
	case HELLO:
		if (code != 250)
			return false;
		if (s->manner == BY_MX) {
			sayf(s, "STARTTLS%s\r\n", "");
			s->stage = START_TLS;
		} else {
			after_hello(s);
		}
		return true;
	case START_TLS:
		if (code != 220)
			return false;
		wire_tls(s->wire, tls_connect(clients.tls, STR("mx1.sim.example")));
		s->stage = SHAKING;
		return true;
	case HELLO_AGAIN:
		after_hello(s);
		return code == 250;
	case LOGIN:
		if (code != 235)
			return false;
		say_mail(s);
		return true;
	case MAIL:
		if (code != 250)
			return false;
		if (!s->pipelined)
			sayf(s, "RCPT TO:<%s>\r\n", s->letter->rcpts[0].address);
		s->stage = RCPT;
		return true;
	case RCPT:
		on_rcpt(s, code);
		return true;
	case DATA:
		if (code != 354)
			return false;
		s->stage = VERDICT;
		s->next = 0;
		say_content(s);
		return true;
	case VERDICT:
		on_verdict(s, code);
		return true;
	case SHAKING:
	case CONTENT:
	case BYE:
		break;
	}
	return false;
}

static bool leaves_now(const struct sender *s)
{
	return s->stage == VERDICT && (s->leave_early || s->leave_after_dot) && wire_unsent(s->wire) == 0;
}

static void on_wire(void *owner)
{
	struct sender *s = owner;
	if (s->stage == SHAKING && wire_secure(s->wire))
		hello(s, HELLO_AGAIN);
	for (struct str line; wire_line(s->wire, &line);) {
		uint64_t code;
		if (line.n < 3 || !str_u64(str_sub(line, 0, 3), &code)) {
			ledger_violation("the server said: %.*s", STR_ARG(line));
			finish(s);
			return;
		}
		if (line.n > 3 && line.p[3] == '-')
			continue;
		if (!on_reply(s, (unsigned)code)) {
			finish(s);
			return;
		}
	}
	if (wire_gone(s->wire) || leaves_now(s)) {
		senders_lost += s->stage != BYE;
		finish(s);
	}
}

static void out_of_patience(void *owner)
{
	struct sender *s = owner;
	senders_lost++;
	if (world.weather.delay == 0)
		ledger_violation("letter %u: no reply in %d minutes, in fair weather, at stage %d", s->letter->number,
		                 PATIENCE_MS / 60000, (int)s->stage);
	finish(s);
}

/* --- the set of them --- */

void senders_begin(struct loop *loop)
{
	struct tls_client_options options = { .ca_pem = STR_NONE, .verify = false };
	struct why why = { "" };
	memset(&clients, 0, sizeof clients);
	clients.loop = loop;
	clients.tls = tls_client_new(&options, &why);
	if (clients.tls == NULL)
		fprintf(stderr, "sim: %s\n", why.text);
	check(clients.tls != NULL);
	list_init(&clients.all);
	senders_refused = senders_lost = 0;
}

void senders_end(void)
{
	LIST_EACH(l, &clients.all)
		finish(LIST_MEMBER(l, struct sender, in_all));
	tls_client_free(&clients.tls);
}

void senders_start(bool quick)
{
	struct sender *s = NEW(struct sender);
	struct endpoint at, from;
	int fd = -1;
	s->manner = (enum manner)chance_below(MANNERS);
	s->pipelined = chance_below(2) == 0;
	s->chunked = chance_below(3) == 0;
	s->leave_early = chance_below(12) == 0 && !quick;
	s->leave_after_dot = chance_below(12) == 0 && !quick;
	s->quick = quick;
	make_letter(s);
	list_add_last(&clients.all, &s->in_all);
	timer_init(&s->patience, clients.loop, out_of_patience, s);
	timer_set(&s->patience, world.now_ms + PATIENCE_MS);
	check(endpoint_parse(str_of(places[s->manner]), &at) == OK);
	check(endpoint_parse(s->manner == BY_LMTP ? STR("127.0.0.1:0") : STR("203.0.113.77:0"), &from) == OK);
	if (socket_connect(&at, &from, &fd) != OK) {
		finish(s);
		return;
	}
	s->wire = wire_new(clients.loop, fd, on_wire, s);
	if (s->manner == BY_SUBMISSIONS)
		wire_tls(s->wire, tls_connect(clients.tls, STR("mx1.sim.example")));
}

size_t senders_at_work(void)
{
	size_t n = 0;
	LIST_EACH(l, &clients.all)
		n++;
	return n;
}
