/* SPDX-License-Identifier: ISC */
/*
 * server.c -- the driver of the SMTP server core: talk_server AT_LEAST FILE-OR-FOLDER...
 *
 * given   lmtp yes, hostname H, starttls no, tls-required yes, auth-required yes, requiretls yes, mechanisms A_B, size-max N, rcpts-max N,
 *         text-line-max N, errors-max N, refusals-max N, idle-max N, logins-max N, data-min N; tls implicit (binding yes: with channel
 *         binding); greeting no: only by the order `greet`
 * events  ehlo NAME, helo NAME, starttls, auth MECH [=INITIAL], step RESPONSE, mail ADDRESS [PARAMS], rcpt ADDRESS [PARAMS],
 *         data, bdat, body, end SIZE [8bit] [answers=N], reset, auth-cancelled, smuggling, wrong-protocol tls|http, quit,
 *         timed-out
 * answers ok | CODE [STATUS] TEXT | challenge BYTES; several, for LMTP, are separated by " | "
 * orders  wait SECONDS, tls [binding], greet, drain
 *
 * Fails when fewer dialogues ran than expected, or when a reply of the core's table was never said.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "proto/smtp/server.h"
#include "proto/smtp/server_say.h"
#include "run.h"

struct core {
	struct smtp_server *server;
	int64_t now_ms;
};

static bool said[SAY_COUNT];

static bool conf_from(const struct talk *t, struct smtp_server_conf *conf)
{
	*conf = smtp_server_conf_usual();
	conf->hostname = talk_given(t, "hostname").n > 0 ? talk_given(t, "hostname") : STR("mx1.example.org");
	conf->lmtp = talk_given_yes(t, "lmtp");
	conf->starttls = !str_eq(talk_given(t, "starttls"), STR("no"));
	conf->tls_required = talk_given_yes(t, "tls-required");
	conf->auth_required = talk_given_yes(t, "auth-required");
	conf->requiretls = talk_given_yes(t, "requiretls");
	conf->mechanisms = talk_given(t, "mechanisms");

	uint64_t n;
	if (talk_given_number(t, "size-max", &n))
		conf->size_bytes_max = n;
	if (talk_given_number(t, "rcpts-max", &n))
		conf->rcpts_max = (size_t)n;
	if (talk_given_number(t, "text-line-max", &n))
		conf->text_line_max = (size_t)n;
	if (talk_given_number(t, "errors-max", &n))
		conf->errors_max = (unsigned)n;
	if (talk_given_number(t, "refusals-max", &n))
		conf->refusals_max = (unsigned)n;
	if (talk_given_number(t, "idle-max", &n))
		conf->idle_commands_max = (unsigned)n;
	if (talk_given_number(t, "data-min", &n))
		conf->data_bytes_min = n;
	if (talk_given_number(t, "logins-max", &n))
		conf->logins_failed_max = (unsigned)n;
	return true;
}

static void *start(const struct talk *t)
{
	struct smtp_server_conf conf;
	if (!conf_from(t, &conf))
		return NULL;
	struct core *c = NEW(struct core);
	c->now_ms = 1000;
	c->server = smtp_server_new(&conf, c->now_ms);
	if (str_eq(talk_given(t, "tls"), STR("implicit")))
		smtp_server_tls_started(c->server, talk_given_yes(t, "binding"));
	if (!str_eq(talk_given(t, "greeting"), STR("no")))
		smtp_server_greet(c->server);
	return c;
}

static void stop(void *core)
{
	struct core *c = core;
	smtp_server_free(&c->server);
	free(c);
}

static size_t feed(void *core, struct str bytes)
{
	struct core *c = core;
	return smtp_server_feed(c->server, bytes, c->now_ms);
}

static fault put_mail(struct buf *text, const struct smtp_event *e)
{
	const struct mail_params *p = &e->u.mail.params;
	TRY(buf_add(text, STR("mail ")));
	TRY(address_is_null(&e->u.mail.address) ? buf_add(text, STR("<>")) : address_put(text, &e->u.mail.address));
	if (p->size_bytes > 0)
		TRY(buf_addf(text, " size=%llu", (unsigned long long)p->size_bytes));
	if (p->body == BODY_8BIT)
		TRY(buf_add(text, STR(" 8bit")));
	if (p->smtputf8)
		TRY(buf_add(text, STR(" utf8")));
	if (p->ret != RET_DEFAULT)
		TRY(buf_add(text, p->ret == RET_FULL ? STR(" ret=full") : STR(" ret=headers")));
	if (p->tls_tag == TLS_TAG_REQUIRED)
		TRY(buf_add(text, STR(" requiretls")));
	if (p->envid.n > 0)
		TRY(buf_addf(text, " envid=%.*s", STR_ARG(p->envid)));
	return OK;
}

static fault put_rcpt(struct buf *text, const struct smtp_event *e)
{
	const struct rcpt_params *p = &e->u.rcpt.params;
	TRY(buf_add(text, STR("rcpt ")));
	TRY(address_put(text, &e->u.rcpt.address));
	if (p->notify != 0)
		TRY(buf_addf(text, " notify=%u", p->notify));
	if (p->orcpt.n > 0)
		TRY(buf_addf(text, " orcpt=%.*s", STR_ARG(p->orcpt)));
	return OK;
}

static fault put_word(struct buf *text, struct str before, struct str bytes)
{
	TRY(buf_add(text, before));
	return buf_add(text, bytes);
}

static fault put_auth(struct buf *text, const struct smtp_event *e)
{
	TRY(buf_addf(text, "auth %.*s", STR_ARG(e->u.auth.mechanism)));
	return e->u.auth.has_initial ? put_word(text, STR(" ="), e->u.auth.initial) : OK;
}

static fault put_end(struct buf *text, const struct smtp_event *e, bool lmtp)
{
	TRY(buf_addf(text, "end %llu", (unsigned long long)e->u.end.size_bytes));
	if (e->u.end.body == BODY_8BIT)
		TRY(buf_add(text, STR(" 8bit")));
	return lmtp ? buf_addf(text, " answers=%zu", e->u.end.answers_due) : OK;
}

static fault put_event(struct buf *text, const struct smtp_event *e)
{
	switch (e->kind) {
	case SMTP_HELLO:
		return buf_addf(text, "%s %.*s", e->u.hello.extended ? "ehlo" : "helo", STR_ARG(e->u.hello.name));
	case SMTP_STARTTLS:
		return buf_add(text, STR("starttls"));
	case SMTP_AUTH:
		return put_auth(text, e);
	case SMTP_AUTH_STEP:
		return put_word(text, STR("step "), e->u.response);
	case SMTP_MAIL:
		return put_mail(text, e);
	case SMTP_RCPT:
		return put_rcpt(text, e);
	case SMTP_DATA_BEGIN:
		return buf_add(text, e->u.begin.chunked ? STR("bdat") : STR("data"));
	case SMTP_BODY_END:
		return put_end(text, e, e->u.end.answers_due > 1);
	case SMTP_BODY:
		return buf_add(text, STR("body"));
	case SMTP_RESET:
		return buf_add(text, STR("reset"));
	case SMTP_AUTH_CANCELLED:
		return buf_add(text, STR("auth-cancelled"));
	case SMTP_SMUGGLING:
		return buf_add(text, STR("smuggling"));
	case SMTP_WRONG_PROTOCOL:
		return buf_addf(text, "wrong-protocol %s", e->u.protocol == SMTP_PROTOCOL_TLS ? "tls" : "http");
	case SMTP_QUIT:
		return buf_add(text, STR("quit"));
	case SMTP_TIMED_OUT:
		return buf_add(text, STR("timed-out"));
	}
	return F_STATE;
}

static bool next(void *core, struct buf *text_out, struct buf *body_out)
{
	struct core *c = core;
	struct smtp_event e;
	if (!smtp_server_next(c->server, &e))
		return false;
	check(put_event(text_out, &e) == OK);
	if (e.kind == SMTP_BODY)
		check(buf_add(body_out, e.u.body) == OK);
	return true;
}

static bool reply_from(struct str text, struct smtp_reply *out)
{
	uint64_t code;
	if (!str_take_u64(&text, &code) || code < 200 || code > 599)
		return false;
	*out = (struct smtp_reply){ .code = (int)code };
	(void)str_take_char(&text, ' ');
	(void)status_take(&text, &out->status);
	out->text = str_trim(text);
	return true;
}

static bool answer_one(struct core *c, struct str text)
{
	struct smtp_reply reply;
	if (str_eq(text, STR("ok"))) {
		smtp_server_answer_ok(c->server);
	} else if (str_take(&text, STR("challenge"))) {
		(void)str_take_char(&text, ' ');
		smtp_server_challenge(c->server, text);
	} else if (reply_from(text, &reply)) {
		smtp_server_answer(c->server, reply);
	} else {
		return false;
	}
	return true;
}

static bool answer(void *core, struct str text)
{
	struct str one;
	for (size_t at; str_find_str(text, STR(" | "), &at); text = str_from(text, at + 3)) {
		one = str_sub(text, 0, at);
		if (!answer_one(core, one))
			return false;
	}
	return answer_one(core, text);
}

static struct str output(void *core)
{
	return smtp_server_output(((struct core *)core)->server);
}

static void sent(void *core, size_t n)
{
	smtp_server_sent(((struct core *)core)->server, n);
}

static bool order(void *core, struct str words)
{
	struct core *c = core;
	uint64_t seconds;
	if (str_take(&words, STR("wait ")) && str_u64(words, &seconds)) {
		c->now_ms += (int64_t)seconds * 1000;
		(void)smtp_server_feed(c->server, STR_NONE, c->now_ms);
	} else if (str_eq(words, STR("tls"))) {
		smtp_server_tls_started(c->server, false);
	} else if (str_eq(words, STR("tls binding"))) {
		smtp_server_tls_started(c->server, true);
	} else if (str_eq(words, STR("greet"))) {
		smtp_server_greet(c->server);
	} else if (str_eq(words, STR("drain"))) {
		smtp_server_drain(c->server);
	} else {
		return false;
	}
	return true;
}

static bool done(void *core)
{
	return smtp_server_done(((struct core *)core)->server);
}

static bool is_line_of(struct str line, struct smtp_reply row, bool enhanced)
{
	struct buf text;
	buf_init(&text, 1024);
	check(reply_put(&text, &row, enhanced) == OK);
	struct str whole = buf_view(&text);
	bool same = str_eq(str_sub(whole, 0, whole.n - 2), line);
	buf_fini(&text);
	return same;
}

static void note(struct str line)
{
	for (enum smtp_say what = SAY_NOTHING + 1; what < SAY_COUNT; what++) {
		struct smtp_reply row = smtp_say(what);
		uint64_t code;
		if (row.text.n == 0)
			said[what] |= str_u64(str_sub(line, 0, 3), &code) && code == (uint64_t)row.code;
		else
			said[what] |= is_line_of(line, row, true) || is_line_of(line, row, false);
	}
}

static size_t unsaid(void)
{
	size_t n = 0;
	for (enum smtp_say what = SAY_NOTHING + 1; what < SAY_COUNT; what++) {
		if (said[what])
			continue;
		struct smtp_reply row = smtp_say(what);
		printf("# no dialogue hears: %d %u.%u.%u %.*s\n", row.code, row.status.class, row.status.subject,
		       row.status.detail, STR_ARG(row.text));
		n++;
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct talk_subject subject = {
		.input = TALK_CLIENT, .start = start, .stop = stop, .feed = feed, .next = next, .answer = answer,
		.output = output, .sent = sent, .order = order, .done = done, .said = note,
	};
	if (argc < 3) {
		fprintf(stderr, "usage: talk_server AT_LEAST FILE-OR-FOLDER...\n");
		return 2;
	}
	struct talk_count count = { 0 };
	for (int i = 2; i < argc; i++)
		talk_play_all(argv[i], &subject, &count);

	size_t at_least = strtoul(argv[1], NULL, 10);
	size_t missing = at_least < 2 ? 0 : unsaid(); /* 1: to play a file by hand */
	bool enough = count.dialogues >= at_least;
	printf("%s %zu - every reply of the table was heard\n", missing == 0 ? "ok" : "not ok", count.dialogues + 1);
	printf("%s %zu - at least %s dialogues\n", enough ? "ok" : "not ok", count.dialogues + 2, argv[1]);
	printf("1..%zu\n", count.dialogues + 2);
	printf("# %zu dialogues, played %zu times with the input cut, %zu failed\n", count.dialogues, count.splits,
	       count.failures);
	return count.failures > 0 || missing > 0 || !enough;
}
