/* SPDX-License-Identifier: ISC */
/*
 * fuzz/smtp_server.c -- a whole server session. The first byte chooses the listener, the second how the rest is
 * cut; the owner says yes to everything, but refuses what holds "no".
 */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "proto/smtp/server.h"

static bool refused(const struct smtp_event *e)
{
	struct str local = e->kind == SMTP_MAIL   ? e->u.mail.address.local
	                   : e->kind == SMTP_RCPT ? e->u.rcpt.address.local
	                                          : STR_NONE;
	return str_starts(local, STR("no"));
}

/* What was passed on must be fit to be passed on. */
static void check_body(struct str body, char *last)
{
	for (size_t i = 0; i < body.n; i++) {
		check(body.p[i] != '\0');
		check((body.p[i] == '\n') == (*last == '\r'));
		*last = body.p[i];
	}
}

/* REQUIRETLS is known under TLS, where it is offered. */
static void check_mail(const struct smtp_event *e, bool may_be_tagged)
{
	enum tls_tag tag = e->kind == SMTP_MAIL ? e->u.mail.params.tls_tag : TLS_TAG_NONE;
	check(tag == TLS_TAG_NONE || (may_be_tagged && tag == TLS_TAG_REQUIRED));
}

struct seen { char last; bool requiretls, tls; };

static void drain(struct smtp_server *s, struct seen *seen)
{
	struct smtp_event e;
	char *last = &seen->last;
	while (smtp_server_next(s, &e)) {
		check_mail(&e, seen->tls && seen->requiretls);
		if (e.kind == SMTP_BODY)
			check_body(e.u.body, last);
		if (e.kind == SMTP_BODY_END)
			check(*last == '\0' || *last == '\n');
		if (e.kind == SMTP_DATA_BEGIN)
			*last = '\0';
		if (e.kind > SMTP_BODY_END)
			continue;
		if (refused(&e))
			smtp_server_answer(s, REPLY(550, 5, 1, 1, STR("No")));
		else if (e.kind == SMTP_AUTH && !e.u.auth.has_initial)
			smtp_server_challenge(s, STR("go on"));
		else
			for (size_t n = e.kind == SMTP_BODY_END ? e.u.end.answers_due : 1; n > 0; n--)
				smtp_server_answer_ok(s);
	}
	struct str out = smtp_server_output(s);
	check(out.n == 0 || out.p[out.n - 1] == '\n');
	smtp_server_sent(s, out.n);
	if (smtp_server_tls_awaited(s)) {
		seen->tls = true;
		smtp_server_tls_started(s, true);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct smtp_server_conf conf = smtp_server_conf_usual();
	conf.hostname = STR("mx1.example.org");
	conf.lmtp = (data[0] & 1) != 0;
	conf.starttls = (data[0] & 2) != 0;
	conf.tls_required = (data[0] & 4) != 0;
	conf.auth_required = (data[0] & 8) != 0;
	conf.requiretls = !conf.lmtp;
	conf.mechanisms = STR("PLAIN SCRAM-SHA-256-PLUS");
	conf.size_bytes_max = (data[0] & 16) != 0 ? 100 : 100000;
	conf.text_line_max = 1000;
	conf.rcpts_max = 3;

	struct seen seen = { '\0', conf.requiretls, (data[0] & 32) != 0 };
	int64_t now = 0;
	size_t piece = 1 + data[1] % 64u * data[1];
	struct smtp_server *s = smtp_server_new(&conf, now);
	if ((data[0] & 32) != 0)
		smtp_server_tls_started(s, (data[0] & 64) != 0);
	smtp_server_greet(s);
	struct str rest = { (const char *)data + 2, size - 2 };
	while (rest.n > 0 && !smtp_server_done(s)) {
		size_t used = smtp_server_feed(s, str_sub(rest, 0, piece), now += 10);
		rest = str_from(rest, used);
		drain(s, &seen);
	}
	now += 10 * 60 * 60 * 1000;
	(void)smtp_server_feed(s, STR_NONE, now);
	drain(s, &seen);
	smtp_server_free(&s);
	return 0;
}
