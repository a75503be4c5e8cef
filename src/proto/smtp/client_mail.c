/* SPDX-License-Identifier: ISC */
/*
 * One transaction. MAIL, the RCPTs and DATA are numbered steps; the n-th reply answers the n-th step (RFC 2920 3.1),
 * so that one function says what may be issued next, with PIPELINING or without, and one takes the replies.
 */
#include "proto/smtp/client_core.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum {
	LINE_BYTES_MAX = 4096,
	ADDRESS_BYTES_MAX = 1000,  /* far above RFC 5321 4.5.3.1.3: a guard, not a rule */
	GROUP_BYTES_MAX = 16 << 10 /* unsent commands; the rest follows as they leave */
};

/* ---- may this message go there at all? ---- */

static void refuse_all(struct smtp_client *c, struct smtp_reply why)
{
	keep_reply(&c->verdict, &why, OUTCOME_NEVER);
	c->telling = true;
}

static bool address_is_harmless(struct str address)
{
	for (size_t i = 0; i < address.n; i++)
		if ((unsigned char)address.p[i] < 32 || address.p[i] == 127)
			return false;
	return address.n <= ADDRESS_BYTES_MAX;
}

static bool needs_utf8(const struct smtp_transaction *t)
{
	bool utf8 = t->params.smtputf8 || !str_is_ascii(t->sender);
	for (size_t i = 0; i < t->n_rcpts && !utf8; i++)
		utf8 = !str_is_ascii(t->rcpts[i].address);
	return utf8;
}

/* What the next server cannot carry is refused for good: waiting would not teach it. */
static bool cannot_carry(struct smtp_client *c, const struct smtp_transaction *t)
{
	const struct smtp_offers *o = &c->offers;
	char words[200];
	if (o->size_max > 0 && t->params.size_bytes > o->size_max) {
		(void)snprintf(words, sizeof words, "The message has %llu octets, the next server takes at most %llu",
		               (unsigned long long)t->params.size_bytes, (unsigned long long)o->size_max);
		refuse_all(c, REPLY(0, 5, 3, 4, str_of(words)));
		return true;
	}
	if (t->params.body == BODY_8BIT && !o->eightbitmime) {
		refuse_all(c, REPLY(0, 5, 6, 3, STR("The message holds 8-bit text, and the next server takes 7-bit text only "
		                                    "(it does not offer 8BITMIME)")));
		return true;
	}
	if (needs_utf8(t) && !o->smtputf8) {
		refuse_all(c, REPLY(0, 5, 6, 7, STR("The message has internationalised addresses or headers, which the next "
		                                    "server does not understand (it does not offer SMTPUTF8)")));
		return true;
	}
	return false;
}

fault smtp_client_mail(struct smtp_client *c, const struct smtp_transaction *t, int64_t now_ms)
{
	if (c->state != C_READY || c->txn != NULL || t->n_rcpts == 0)
		return F_STATE;
	bool harmless = address_is_harmless(t->sender);
	for (size_t i = 0; i < t->n_rcpts; i++)
		harmless = harmless && t->rcpts[i].address.n > 0 && address_is_harmless(t->rcpts[i].address);
	if (!harmless)
		return F_SYNTAX;

	c->txn = t;
	c->rcpt_states = must_resize(c->rcpt_states, t->n_rcpts);
	memset(c->rcpt_states, R_WAITING, t->n_rcpts);
	c->issued = c->answered = c->n_taken = c->tell_at = c->final_at = 0;
	c->mail_refused = false;
	c->verdict.set = false;
	c->chunking = c->offers.chunking;
	dialogue_new_transaction(c);
	if (cannot_carry(c, t)) {
		c->ready_due = true;
		return OK;
	}
	c->ready_due = false;
	c->state = C_ENVELOPE;
	envelope_issue(c, now_ms);
	return OK;
}

/* ---- what we say ---- */

static fault put_xtext_word(struct buf *line, const char *keyword, struct str text)
{
	TRY(buf_add(line, str_of(keyword)));
	return xtext_put(line, text);
}

static fault put_mail(const struct smtp_client *c, struct buf *line)
{
	const struct smtp_transaction *t = c->txn;
	const struct smtp_offers *o = &c->offers;
	TRY(BUF_ADD_ALL(line, STR("MAIL FROM:<"), t->sender, STR(">")));
	if (o->size && t->params.size_bytes > 0) {
		TRY(buf_add(line, STR(" SIZE=")));
		TRY(buf_add_u64(line, t->params.size_bytes));
	}
	if (t->params.body == BODY_8BIT)
		TRY(buf_add(line, STR(" BODY=8BITMIME")));
	if (needs_utf8(t))
		TRY(buf_add(line, STR(" SMTPUTF8")));
	if (t->params.tls_tag == TLS_TAG_REQUIRED && o->requiretls && c->tls)
		TRY(buf_add(line, STR(" REQUIRETLS")));
	if (!o->dsn)
		return OK;
	if (t->params.ret != RET_DEFAULT)
		TRY(buf_add(line, t->params.ret == RET_FULL ? STR(" RET=FULL") : STR(" RET=HDRS")));
	if (t->params.envid.n > 0 && t->params.envid.n <= 400)
		TRY(put_xtext_word(line, " ENVID=", t->params.envid));
	return OK;
}

static fault put_notify(struct buf *line, unsigned notify)
{
	static const struct { unsigned bit; const char *word; } words[] = {
		{ NOTIFY_SUCCESS, "SUCCESS" }, { NOTIFY_FAILURE, "FAILURE" }, { NOTIFY_DELAY, "DELAY" },
	};
	if (notify & NOTIFY_NEVER)
		return buf_add(line, STR(" NOTIFY=NEVER"));
	const char *before = " NOTIFY=";
	for (size_t i = 0; i < COUNT(words); i++) {
		if (!(notify & words[i].bit))
			continue;
		TRY(buf_addf(line, "%s%s", before, words[i].word));
		before = ",";
	}
	return OK;
}

/* "type;address": the type stays, the address is encoded (RFC 3461 4.2). */
static fault put_orcpt(struct buf *line, struct str orcpt)
{
	struct str type;
	if (orcpt.n > ADDRESS_BYTES_MAX || !str_take_until(&orcpt, ';', &type) || type.n == 0)
		return OK;
	for (size_t i = 0; i < type.n; i++)
		if (!ascii_is_alnum((unsigned char)type.p[i]) && type.p[i] != '-')
			return OK;
	TRY(buf_addf(line, " ORCPT=%.*s;", STR_ARG(type)));
	return xtext_put(line, orcpt);
}

static fault put_rcpt(const struct smtp_client *c, size_t index, struct buf *line)
{
	const struct smtp_client_rcpt *r = &c->txn->rcpts[index];
	TRY(BUF_ADD_ALL(line, STR("RCPT TO:<"), r->address, STR(">")));
	if (!c->offers.dsn)
		return OK;
	TRY(put_notify(line, r->params.notify));
	return put_orcpt(line, r->params.orcpt);
}

/* ---- when we say it ---- */

static bool data_is_a_step(const struct smtp_client *c)
{
	return !c->txn->probe && !c->chunking;
}

static bool more_steps(const struct smtp_client *c)
{
	size_t rcpts_end = 1 + c->txn->n_rcpts;
	if (c->mail_refused || c->issued >= rcpts_end + (data_is_a_step(c) ? 1 : 0))
		return false;
	/* DATA for nobody is only said where it was said before that was known. */
	return !(c->issued == rcpts_end && c->answered == rcpts_end && c->n_taken == 0);
}

void envelope_issue(struct smtp_client *c, int64_t now_ms)
{
	struct buf line;
	buf_init(&line, LINE_BYTES_MAX);
	while (c->state == C_ENVELOPE && more_steps(c) && buf_view(&c->out).n < GROUP_BYTES_MAX &&
	       (c->offers.pipelining || c->issued == c->answered)) {
		size_t rcpts_end = 1 + c->txn->n_rcpts;
		fault f;
		buf_clear(&line);
		if (c->issued == 0)
			f = put_mail(c, &line);
		else if (c->issued < rcpts_end)
			f = put_rcpt(c, c->issued - 1, &line);
		else
			f = buf_add(&line, STR("DATA"));
		if (f == OK)
			f = buf_add(&line, STR("\r\n"));
		check(f == OK); /* every part was bounded above */
		client_command(c, buf_view(&line), now_ms + (c->issued == rcpts_end ? MINUTES(2) : MINUTES(5)));
		c->issued++;
	}
	buf_fini(&line);
}

/* ---- what they answer ---- */

static const char wrong_code[] = "it sent a code that does not belong there";

static void tell_rcpt(struct smtp_client *c, size_t index, enum outcome_class outcome, const struct smtp_reply *r)
{
	c->rcpt_states[index] = R_TOLD;
	c->slot = (struct smtp_client_event){
		.kind = SMTP_CLIENT_RCPT, .index = index, .outcome = outcome, .reply = *r,
	};
	c->slot_full = true;
}

static void mail_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	if (r->code / 100 == 3) {
		client_broken(c, wrong_code);
	} else if (r->code >= 400) {
		c->mail_refused = true;
		keep_reply(&c->verdict, r, reply_class(r));
	}
}

/* RFC 5321 4.5.3.1.10: some say 552 for too many recipients, which is not for good. */
static enum outcome_class rcpt_class(const struct smtp_reply *r)
{
	bool too_many = r->code == 552 && (r->status.class == 0 || (r->status.subject == 5 && r->status.detail == 3));
	return too_many ? OUTCOME_LATER : reply_class(r);
}

static void rcpt_reply(struct smtp_client *c, size_t index, const struct smtp_reply *r)
{
	if (r->code / 100 == 3) {
		client_broken(c, wrong_code);
	} else if (c->mail_refused) {
		return; /* MAIL's reply is the reason, not this "need MAIL first" */
	} else if (r->code >= 400) {
		tell_rcpt(c, index, rcpt_class(r), r);
	} else {
		c->rcpt_states[index] = R_TAKEN;
		c->n_taken++;
		if (c->txn->probe)
			tell_rcpt(c, index, OUTCOME_DONE, r);
	}
}

static void transaction_over(struct smtp_client *c)
{
	c->telling = true;
}

static void data_reply(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms)
{
	bool anybody = c->n_taken > 0 && !c->mail_refused;
	if (r->code == 354 && anybody) {
		body_begin(c, false, now_ms);
	} else if (r->code == 354 && c->lmtp) {
		/* How many replies would follow the dot? RFC 2033 4.2 forbids this. */
		client_broken(c, "it took DATA without a recipient");
	} else if (r->code == 354) {
		c->state = C_LONE_DOT;
		transaction_over(c);
		client_command(c, STR(".\r\n"), now_ms + MINUTES(10));
	} else if (r->code < 400) {
		client_broken(c, wrong_code);
	} else if (anybody) {
		keep_reply(&c->verdict, r, reply_class(r));
	}
}

static void envelope_over(struct smtp_client *c, int64_t now_ms)
{
	bool anybody = c->n_taken > 0 && !c->mail_refused && !c->verdict.set;
	if (anybody && !c->txn->probe) {
		body_begin(c, true, now_ms);
		return;
	}
	transaction_over(c);
	if (c->mail_refused) {
		client_ready(c);
		return;
	}
	c->state = C_RSET;
	client_command(c, STR("RSET\r\n"), now_ms + MINUTES(2));
}

void envelope_reply(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms)
{
	if (c->answered == c->issued) {
		client_broken(c, "it spoke unasked");
		return;
	}
	size_t step = c->answered++;
	if (step == 0)
		mail_reply(c, r);
	else if (step <= c->txn->n_rcpts)
		rcpt_reply(c, step - 1, r);
	else
		data_reply(c, r, now_ms);
	if (c->state != C_ENVELOPE)
		return;
	if (c->issued == c->answered && !more_steps(c)) {
		envelope_over(c, now_ms);
		return;
	}
	bool data_next = c->answered == 1 + c->txn->n_rcpts;
	c->deadline_ms = now_ms + (data_next ? MINUTES(2) : MINUTES(5));
	envelope_issue(c, now_ms);
}

void rset_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	/* Whatever it thought of a lone dot, there was no message; RSET must be understood. */
	if (c->state == C_LONE_DOT || r->code / 100 == 2)
		client_ready(c);
	else if (r->code >= 400)
		client_close(c, r, OUTCOME_LATER);
	else
		client_broken(c, wrong_code);
}

void final_reply(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms)
{
	if (r->code / 100 == 3) {
		client_broken(c, wrong_code);
		return;
	}
	if (!c->lmtp) {
		keep_reply(&c->verdict, r, reply_class(r));
		transaction_over(c);
		client_ready(c);
		return;
	}
	while (c->rcpt_states[c->final_at] != R_TAKEN) /* one is left, or we were not here */
		c->final_at++;
	tell_rcpt(c, c->final_at, reply_class(r), r);
	if (--c->n_taken > 0) {
		c->deadline_ms = now_ms + MINUTES(10);
		return;
	}
	transaction_over(c);
	client_ready(c);
}

/* ---- telling ---- */

bool verdict_next(struct smtp_client *c, struct smtp_client_event *out)
{
	if (!c->telling)
		return false;
	for (; c->tell_at < c->txn->n_rcpts; c->tell_at++) {
		if (c->rcpt_states[c->tell_at] == R_TOLD)
			continue;
		check(c->verdict.set);
		c->rcpt_states[c->tell_at] = R_TOLD;
		*out = (struct smtp_client_event){
			.kind = SMTP_CLIENT_RCPT, .index = c->tell_at, .whole = true,
			.outcome = c->verdict.outcome, .reply = c->verdict.reply,
		};
		return true;
	}
	c->telling = false;
	c->verdict.set = false;
	c->txn = NULL;
	c->done_due = true;
	return false;
}
