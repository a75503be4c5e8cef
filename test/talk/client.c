/* SPDX-License-Identifier: ISC */
/*
 * test/talk/client.c -- plays dialogues against the SMTP client core: what the server says goes in, commands come out.
 *
 * given   mode smtp|lmtp, tls yes (from the first byte), ehlo NAME; the transaction: sender, rcpts a@x,b@y, size, body 8bit,
 *         requiretls yes, smtputf8 yes, ret hdrs|full, envid, notify N,... (bits of enum dsn_notify), orcpt; piece N (content is
 *         given in pieces of N)
 * events  ready => mail [RCPT ...] | probe [RCPT ...] | bad RCPT ... (refused here) | starttls | auth MECH [INITIAL] | quit | nothing
 *         tls => started; challenge TEXT => step TEXT | cancel; content => all TEXT | part TEXT | fail TEXT
 *         tls-refused REPLY, auth CLASS REPLY, rcpt INDEX CLASS REPLY, done, closed CLASS REPLY
 * orders  wait SECONDS, gone REASON, end (of the content), deadline SECONDS | none, offers WORDS, said TEXT, unsaid TEXT (the dialogue)
 *         mail-is FAULT (a transaction now)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/smtp/client.h"
#include "run.h"

enum { RCPTS_MAX = 200 };

struct actor {
	const struct talk *t;
	struct smtp_client *client;
	int64_t now_ms;
	struct arena *arena;
	struct smtp_client_rcpt rcpts[RCPTS_MAX];
	struct smtp_transaction txn;
	uint64_t piece;
	enum { NO_CONTENT, ASKED, GIVING, GIVEN } content;
	bool ends;
	struct buf body;
};

static void *start(const struct talk *t)
{
	struct actor *a = NEW(struct actor);
	a->t = t;
	a->arena = arena_new(4 << 20);
	a->now_ms = 1000000;
	a->piece = 1 << 20;
	(void)talk_given_number(t, "piece", &a->piece);
	buf_init(&a->body, 4 << 20);
	struct str ehlo = talk_given(t, "ehlo");
	struct smtp_client_conf conf = {
		.ehlo = ehlo.n > 0 ? ehlo : STR("client.example"),
		.lmtp = str_eq(talk_given(t, "mode"), STR("lmtp")),
		.tls = talk_given_yes(t, "tls"),
	};
	a->client = smtp_client_new(&conf, a->now_ms);
	return a;
}

static void stop(void *core)
{
	struct actor *a = core;
	smtp_client_free(&a->client);
	arena_free(&a->arena);
	buf_fini(&a->body);
	free(a);
}

static bool give_content(struct actor *a)
{
	while (a->content == GIVING && buf_view(&a->body).n > 0) {
		size_t n = smtp_client_body_room(a->client);
		if (n == 0)
			return true;
		n = n < a->piece ? n : (size_t)a->piece;
		struct str piece = str_sub(buf_view(&a->body), 0, n);
		if (smtp_client_body(a->client, piece, a->now_ms) != OK) {
			a->content = GIVEN;
			return true;
		}
		buf_drop(&a->body, piece.n);
	}
	if (a->content == GIVING && a->ends) {
		a->content = GIVEN;
		fault f = smtp_client_body_end(a->client, a->now_ms);
		return f == OK || f == F_SYNTAX;
	}
	return true;
}

static size_t feed(void *core, struct str bytes)
{
	struct actor *a = core;
	size_t used = smtp_client_feed(a->client, bytes, a->now_ms);
	(void)give_content(a);
	return used;
}

static const char *class_name(enum outcome_class class)
{
	return class == OUTCOME_DONE ? "done" : class == OUTCOME_LATER ? "later" : "never";
}

static fault put_event(const struct smtp_client_event *e, struct buf *out)
{
	switch (e->kind) {
	case SMTP_CLIENT_READY: return buf_add(out, STR("ready"));
	case SMTP_CLIENT_TLS: return buf_add(out, STR("tls"));
	case SMTP_CLIENT_DONE: return buf_add(out, STR("done"));
	case SMTP_CLIENT_CHALLENGE: return buf_addf(out, "challenge %.*s", STR_ARG(e->bytes));
	case SMTP_CLIENT_TLS_REFUSED: TRY(buf_add(out, STR("tls-refused "))); break;
	case SMTP_CLIENT_AUTH: TRY(buf_addf(out, "auth %s ", class_name(e->outcome))); break;
	case SMTP_CLIENT_RCPT: TRY(buf_addf(out, "rcpt %zu %s ", e->index, class_name(e->outcome))); break;
	case SMTP_CLIENT_CLOSED: TRY(buf_addf(out, "closed %s ", class_name(e->outcome))); break;
	}
	return reply_put_line(out, &e->reply);
}

static bool next(void *core, struct buf *text_out, struct buf *body_out)
{
	struct actor *a = core;
	(void)body_out;
	struct smtp_client_event e;
	if (smtp_client_next(a->client, &e)) {
		if (e.kind == SMTP_CLIENT_DONE)
			a->content = NO_CONTENT;
		check(put_event(&e, text_out) == OK);
		struct str text = str_trim(buf_view(text_out));
		buf_cut(text_out, text.n);
		return true;
	}
	if (a->content == NO_CONTENT && smtp_client_body_room(a->client) > 0) {
		a->content = ASKED;
		check(buf_add(text_out, STR("content")) == OK);
		return true;
	}
	return false;
}

static size_t read_rcpts(struct actor *a, struct str words, char between)
{
	struct rcpt_params params = { .orcpt = talk_given(a->t, "orcpt") };
	uint64_t notify = 0;
	(void)talk_given_number(a->t, "notify", &notify);
	params.notify = (unsigned)notify;
	size_t n = 0;
	words = str_trim(words);
	while (words.n > 0 && n < RCPTS_MAX) {
		struct str word;
		if (!str_take_until(&words, between, &word)) {
			word = words;
			words = STR_NONE;
		}
		a->rcpts[n++] = (struct smtp_client_rcpt){ arena_copy(a->arena, word), params };
	}
	return n;
}

static fault begin_transaction(struct actor *a, struct str rcpts, bool probe)
{
	const struct talk *t = a->t;
	uint64_t size = 0;
	(void)talk_given_number(t, "size", &size);
	struct str ret = talk_given(t, "ret");
	size_t n = rcpts.n > 0 ? read_rcpts(a, rcpts, ' ') : read_rcpts(a, talk_given(t, "rcpts"), ',');
	a->txn = (struct smtp_transaction){
		.sender = talk_given(t, "sender"), .rcpts = a->rcpts, .n_rcpts = n, .probe = probe,
		.params = {
			.tls_tag = talk_given_yes(t, "requiretls") ? TLS_TAG_REQUIRED : TLS_TAG_NONE,
			.size_bytes = size, .smtputf8 = talk_given_yes(t, "smtputf8"), .envid = talk_given(t, "envid"),
			.body = str_eq(talk_given(t, "body"), STR("8bit")) ? BODY_8BIT : BODY_7BIT,
			.ret = str_eq(ret, STR("full")) ? RET_FULL : str_eq(ret, STR("hdrs")) ? RET_HEADERS : RET_DEFAULT,
		},
	};
	a->content = NO_CONTENT;
	buf_clear(&a->body);
	return smtp_client_mail(a->client, &a->txn, a->now_ms);
}

static bool answer(void *core, struct str text)
{
	struct actor *a = core;
	struct str word, rest = text;
	if (!str_take_until(&rest, ' ', &word)) {
		word = text;
		rest = STR_NONE;
	}
	if (str_eq(word, STR("mail")) || str_eq(word, STR("probe")))
		return begin_transaction(a, rest, word.p[0] == 'p') == OK;
	if (str_eq(word, STR("bad")))
		return begin_transaction(a, rest, false) == F_SYNTAX;
	if (str_eq(word, STR("starttls")))
		return smtp_client_starttls(a->client, a->now_ms) == OK;
	if (str_eq(word, STR("started")))
		return smtp_client_tls_started(a->client, a->now_ms) == OK;
	if (str_eq(word, STR("quit")))
		return smtp_client_quit(a->client, a->now_ms) == OK;
	if (str_eq(word, STR("step")))
		return smtp_client_auth_step(a->client, rest, a->now_ms) == OK;
	if (str_eq(word, STR("auth"))) {
		struct str mechanism;
		bool initial = str_take_until(&rest, ' ', &mechanism);
		if (!initial)
			mechanism = rest;
		if (str_eq(rest, STR(" "))) /* an empty one: blanks at the end of an answer are trimmed unless escaped */
			rest = STR_NONE;
		return smtp_client_auth(a->client, mechanism, initial, initial ? rest : STR_NONE, a->now_ms) == OK;
	}
	if (str_eq(word, STR("fail"))) {
		smtp_client_body_fail(a->client, rest);
		return true;
	}
	if (str_eq(word, STR("all")) || str_eq(word, STR("part"))) {
		a->ends = word.p[0] == 'a';
		a->content = GIVING;
		return buf_add(&a->body, rest) == OK && give_content(a);
	}
	return false;
}

static struct str output(void *core)
{
	return smtp_client_output(((struct actor *)core)->client);
}

static void sent(void *core, size_t n)
{
	struct actor *a = core;
	smtp_client_sent(a->client, n, a->now_ms);
	(void)give_content(a);
}

static fault put_offers(const struct smtp_offers *o, struct buf *out)
{
	const struct { bool offered; const char *name; } flags[] = {
		{ o->extended, "extended" }, { o->starttls, "starttls" }, { o->pipelining, "pipelining" },
		{ o->eightbitmime, "8bitmime" }, { o->smtputf8, "smtputf8" }, { o->dsn, "dsn" },
		{ o->chunking, "chunking" }, { o->enhanced, "enhanced" }, { o->requiretls, "requiretls" },
	};
	for (size_t i = 0; i < COUNT(flags); i++)
		if (flags[i].offered)
			TRY(buf_addf(out, "%s ", flags[i].name));
	if (o->size)
		TRY(buf_addf(out, "size=%llu ", (unsigned long long)o->size_max));
	if (o->rcpt_max > 0 || o->mail_max > 0)
		TRY(buf_addf(out, "limits=%llu,%llu ", (unsigned long long)o->rcpt_max, (unsigned long long)o->mail_max));
	if (o->auth)
		TRY(buf_addf(out, "auth=%.*s", STR_ARG(o->mechanisms)));
	return OK;
}

static bool same_offers(struct actor *a, struct str expected)
{
	struct buf text;
	buf_init(&text, 4096);
	check(put_offers(smtp_client_offers(a->client), &text) == OK);
	bool same = str_eq(str_trim(buf_view(&text)), expected);
	if (!same)
		printf("# offers are: %.*s\n", STR_ARG(buf_view(&text)));
	buf_fini(&text);
	return same;
}

static bool dialogue_has(struct actor *a, struct str what, bool wanted)
{
	struct buf text;
	size_t at;
	buf_init(&text, SMTP_CLIENT_DIALOGUE_MAX);
	check(smtp_client_put_dialogue(a->client, &text) == OK);
	bool has = str_find_str(buf_view(&text), what, &at);
	if (has != wanted)
		printf("# the dialogue is:\n# %.*s\n", STR_ARG(buf_view(&text)));
	buf_fini(&text);
	return has == wanted;
}

static bool deadline_is(struct actor *a, struct str expected)
{
	int64_t due = smtp_client_deadline_ms(a->client);
	uint64_t seconds;
	if (!str_u64(expected, &seconds))
		return due == INT64_MAX;
	if (due != a->now_ms + (int64_t)seconds * 1000)
		printf("# the deadline is in %lld ms\n", (long long)(due - a->now_ms));
	return due == a->now_ms + (int64_t)seconds * 1000;
}

static bool order(void *core, struct str text)
{
	struct actor *a = core;
	uint64_t seconds;
	if (str_take(&text, STR("wait ")) && str_u64(text, &seconds)) {
		a->now_ms += (int64_t)seconds * 1000;
		(void)smtp_client_feed(a->client, STR_NONE, a->now_ms);
		return true;
	}
	if (str_take(&text, STR("gone "))) {
		smtp_client_gone(a->client, text);
		return true;
	}
	if (str_eq(text, STR("end"))) {
		a->ends = true;
		a->content = GIVING;
		return give_content(a);
	}
	if (str_take(&text, STR("deadline ")))
		return deadline_is(a, text);
	if (str_take(&text, STR("offers")))
		return same_offers(a, str_trim(text));
	if (str_take(&text, STR("said ")))
		return dialogue_has(a, text, true);
	if (str_take(&text, STR("unsaid ")))
		return dialogue_has(a, text, false);
	if (str_take(&text, STR("mail-is ")))
		return str_eq(text, str_of(fault_name(begin_transaction(a, STR_NONE, false))));
	return false;
}

static bool done(void *core)
{
	return smtp_client_done(((struct actor *)core)->client);
}

/* Arguments: dialogue files, or folders of them. */
int main(int argc, char **argv)
{
	static const struct talk_subject subject = {
		.input = TALK_SERVER, .start = start, .stop = stop, .feed = feed, .next = next, .answer = answer,
		.output = output, .sent = sent, .order = order, .done = done,
	};
	struct talk_count count = { 0 };
	for (int i = 1; i < argc; i++)
		talk_play_all(argv[i], &subject, &count);
	printf("# %zu client dialogues, played with %zu splits, %zu failed\n1..%zu\n", count.dialogues, count.splits,
	       count.failures, count.dialogues);
	return count.failures > 0 || count.dialogues == 0;
}
