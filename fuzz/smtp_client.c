/* SPDX-License-Identifier: ISC */
/*
 * The client session: the input is what a server says, and its first bytes choose what the caller does. Whatever is said, every
 * recipient of a transaction is told exactly once, and nothing but CRLF leaves.
 */
#include <stdint.h>

#include "base/check.h"
#include "proto/smtp/client.h"

enum { RCPTS = 3 };

struct play {
	struct smtp_client *client;
	unsigned choice;
	unsigned told[RCPTS];
	bool in_transaction, content_given;
	char last;
	struct smtp_transaction txn;
};

static const struct smtp_client_rcpt rcpts[RCPTS] = {
	{ .address = { "a@x.example", 11 } }, { .address = { "b@x.example", 11 }, .params = { .notify = 2 } },
	{ .address = { "c@x.example", 11 }, .params = { .orcpt = { "rfc822;d@x", 10 } } },
};

static void check_output(struct play *p)
{
	struct str out = smtp_client_output(p->client);
	for (size_t i = 0; i < out.n; i++) {
		check((out.p[i] == '\n') == (p->last == '\r'));
		p->last = out.p[i];
	}
	smtp_client_sent(p->client, out.n, 0);
}

static void choose(struct play *p)
{
	unsigned what = p->choice++ % 7;
	fault f = F_STATE;
	if (what == 0)
		f = smtp_client_starttls(p->client, 0);
	else if (what == 1)
		f = smtp_client_auth(p->client, STR("PLAIN"), true, STR("\0u\0p"), 0);
	else if (what == 6)
		f = smtp_client_quit(p->client, 0);
	if (f == OK)
		return;
	p->txn = (struct smtp_transaction){
		.sender = STR("s@x.example"), .rcpts = rcpts, .n_rcpts = RCPTS, .probe = what == 2,
		.params = { .size_bytes = 100, .body = what == 3 ? BODY_8BIT : BODY_7BIT, .envid = STR("Q=1") },
	};
	check(smtp_client_mail(p->client, &p->txn, 0) == OK);
	p->in_transaction = true;
	p->content_given = false;
	for (size_t i = 0; i < RCPTS; i++)
		p->told[i] = 0;
}

static void meet(struct play *p, const struct smtp_client_event *e)
{
	fault f = OK;
	switch (e->kind) {
	case SMTP_CLIENT_READY: choose(p); break;
	case SMTP_CLIENT_TLS: f = smtp_client_tls_started(p->client, 0); break;
	case SMTP_CLIENT_CHALLENGE: f = smtp_client_auth_step(p->client, STR("x"), 0); break;
	case SMTP_CLIENT_RCPT:
		check(p->in_transaction && e->index < RCPTS);
		check(p->told[e->index]++ == 0);
		break;
	case SMTP_CLIENT_DONE:
		for (size_t i = 0; i < RCPTS; i++)
			check(p->told[i] == 1);
		p->in_transaction = false;
		break;
	case SMTP_CLIENT_TLS_REFUSED:
	case SMTP_CLIENT_AUTH:
	case SMTP_CLIENT_CLOSED: break;
	}
	check(f == OK);
}

static void drain(struct play *p)
{
	for (struct smtp_client_event e; smtp_client_next(p->client, &e); check_output(p))
		meet(p, &e);
	if (smtp_client_body_room(p->client) >= 16 && !p->content_given) {
		p->content_given = true;
		bool bad = p->choice % 5 == 4;
		fault f = smtp_client_body(p->client, bad ? STR("a\n.\r\n") : STR(".\r\na\r\n.b"), 0);
		check((f == F_SYNTAX) == bad);
		if (f == OK)
			check(smtp_client_body_end(p->client, 0) == OK);
		drain(p);
	}
	check_output(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	if (n < 2)
		return 0;
	struct smtp_client_conf conf = { .ehlo = STR("c.example"), .lmtp = bytes[0] & 1, .tls = bytes[0] & 2 };
	struct play p = { .client = smtp_client_new(&conf, 0), .choice = bytes[1] };
	size_t piece = 1 + (bytes[0] >> 2);
	struct str in = { (const char *)bytes + 2, n - 2 };
	for (size_t idle = 0; in.n > 0 && !smtp_client_done(p.client) && idle < 2;) {
		size_t used = smtp_client_feed(p.client, str_sub(in, 0, piece), 0);
		idle = used == 0 ? idle + 1 : 0;
		in = str_from(in, used);
		drain(&p);
	}
	smtp_client_gone(p.client, STR("end of input"));
	drain(&p);
	check(!p.in_transaction && smtp_client_done(p.client));
	struct buf dialogue;
	buf_init(&dialogue, SMTP_CLIENT_DIALOGUE_MAX);
	check(smtp_client_put_dialogue(p.client, &dialogue) == OK);
	buf_fini(&dialogue);
	smtp_client_free(&p.client);
	return 0;
}
