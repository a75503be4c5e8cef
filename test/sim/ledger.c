/* SPDX-License-Identifier: ISC */
#include "ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "world.h"

/* `give-up 9h` (house.c), by a clock that goes at most twice as fast as the steady one. */
enum { EARLIEST_END_MS = 9 * 3600 * 1000 / 2 };

struct ledger ledger;

void ledger_begin(void)
{
	memset(&ledger, 0, sizeof ledger);
	buf_init(&ledger.report, 1 << 20);
}

void ledger_end(void)
{
	for (size_t i = 0; i < ledger.n; i++)
		buf_fini(&ledger.letters[i].content);
	buf_fini(&ledger.report);
}

struct letter *ledger_letter(const char *sender)
{
	check(ledger.n < LETTERS_MAX);
	struct letter *l = &ledger.letters[ledger.n];
	l->number = (unsigned)++ledger.n;
	(void)snprintf(l->sender, sizeof l->sender, "%s", sender);
	buf_init(&l->content, 16 << 20);
	return l;
}

void ledger_violation(const char *fmt, ...)
{
	char text[600];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	ledger.violations++;
	(void)!buf_addf(&ledger.report, "  %8lld ms: %s\n", (long long)world.now_ms, text);
}

/* --- reading what arrived --- */

static bool field(struct str content, struct str name, struct str *value_out)
{
	for (struct str line; str_take_line(&content, &line) && line.n > 0;) {
		struct str rest = line;
		if (str_take_nocase(&rest, name) && str_take_char(&rest, ':')) {
			*value_out = str_trim(rest);
			return true;
		}
	}
	return false;
}

/* The number, wherever the line stands: in the letter itself or in what a DSN returns of it. */
static struct letter *letter_of(struct str content)
{
	size_t at;
	uint64_t n;
	if (!str_find_str(content, STR("X-Sim: "), &at))
		return NULL;
	struct str rest = str_from(content, at + 7);
	return str_take_u64(&rest, &n) && n >= 1 && n <= ledger.n ? &ledger.letters[n - 1] : NULL;
}

static struct letter_rcpt *rcpt_of(struct letter *l, struct str address)
{
	for (size_t i = 0; i < l->n_rcpts; i++)
		if (str_eq_nocase(str_of(l->rcpts[i].address), address))
			return &l->rcpts[i];
	return NULL;
}

static void take_group(struct letter *l, struct str recipient, struct str action)
{
	struct letter_rcpt *r = rcpt_of(l, recipient);
	if (r == NULL) {
		ledger_violation("letter %u: a DSN names %.*s, who was no recipient", l->number, STR_ARG(recipient));
		return;
	}
	if (str_eq_nocase(action, STR("delayed")))
		ledger.warnings++;
	else if (str_eq_nocase(action, STR("failed")))
		r->bounces++;
	else
		ledger_violation("letter %u: a DSN that nobody asked for says %.*s", l->number, STR_ARG(action));
}

static void take_dsn(const char *where, struct str to, struct str content)
{
	struct letter *l = letter_of(content);
	struct str recipient = STR_NONE, rest = content;
	bool failed = false;
	ledger.dsns++;
	if (l == NULL) {
		ledger_violation("a DSN at %s is about no letter of ours", where);
		return;
	}
	bool double_bounce = l->sender[0] == '\0';
	if (!double_bounce && !str_eq_nocase(str_of(l->sender), to) && !str_starts_nocase(to, STR("admin@")))
		ledger_violation("letter %u: its DSN went to %.*s", l->number, STR_ARG(to));
	for (struct str line; str_take_line(&rest, &line);) {
		struct str value = line;
		if (str_take_nocase(&value, STR("Final-Recipient:")) || str_take_nocase(&value, STR("Original-Recipient:"))) {
			value = str_trim(value);
			if (str_take_nocase(&value, STR("rfc822;")))
				recipient = str_trim(value);
		} else if (str_take_nocase(&value, STR("Action:"))) {
			take_group(l, recipient, str_trim(value));
			failed = str_eq_nocase(str_trim(value), STR("failed"));
		} else if (str_take_nocase(&value, STR("Status: 4.")) && failed && world.now_ms < EARLIEST_END_MS) {
			ledger_violation("letter %u: hope for %.*s ended after %lld minutes", l->number, STR_ARG(recipient),
			                 (long long)(world.now_ms / 60000));
		}
	}
}

static struct str without_cr(struct str s, struct buf *room)
{
	buf_init(room, s.n + 1);
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\r' || i + 1 == s.n || s.p[i + 1] != '\n')
			check(buf_add_char(room, s.p[i]) == OK);
	return buf_view(room);
}

/* What was handed in is the end of what came out, byte for byte; only lines before it are new. */
static void compare(const struct letter *l, const char *where, struct str content, bool crlf)
{
	struct buf a = { 0 }, b = { 0 };
	struct str want = buf_view(&l->content);
	if (!crlf) {
		want = without_cr(want, &a);
		content = without_cr(content, &b);
	}
	if (content.n < want.n || !str_eq(str_from(content, content.n - want.n), want))
		ledger_violation("letter %u at %s: its content differs (%zu bytes, %zu handed in)", l->number, where, content.n,
		                 want.n);
	else if (!str_starts_nocase(content, STR("Received:")) && !str_starts_nocase(content, STR("Return-Path:")))
		ledger_violation("letter %u at %s: no trace line before it", l->number, where);
	buf_fini(&a);
	buf_fini(&b);
}

struct letter_rcpt *ledger_arrival(const char *where, struct str sender, struct str recipient, struct str content,
                                   bool crlf)
{
	struct str type;
	ledger.arrivals++;
	if (field(content, STR("Content-Type"), &type) && str_starts_nocase(type, STR("multipart/report"))) {
		if (sender.n > 0)
			ledger_violation("a DSN came from <%.*s>", STR_ARG(sender));
		take_dsn(where, recipient, content);
		return NULL;
	}
	struct letter *l = letter_of(content);
	if (l == NULL) {
		ledger_violation("something appeared at %s for %.*s that nobody sent", where, STR_ARG(recipient));
		return NULL;
	}
	struct letter_rcpt *r = rcpt_of(l, recipient);
	if (r == NULL) {
		ledger_violation("letter %u appeared at %s for %.*s, who was no recipient", l->number, where, STR_ARG(recipient));
		return NULL;
	}
	if (!str_eq_nocase(sender, str_of(l->sender)))
		ledger_violation("letter %u appeared at %s from <%.*s>", l->number, where, STR_ARG(sender));
	if (!r->accepted)
		ledger_violation("letter %u appeared at %s for %s, whose RCPT was refused", l->number, where, r->address);
	compare(l, where, content, crlf);
	return r;
}

/* --- judging --- */

static bool ended(const struct letter_rcpt *r)
{
	return r->copies > 0 || r->unconfirmed > 0 || r->bounces > 0;
}

static enum letter_state state_of(const struct letter *l, const struct letter_rcpt *r)
{
	return r->state != LETTER_UNSENT ? r->state : l->state;
}

bool ledger_was_accepted(const struct letter *l)
{
	for (size_t i = 0; i < l->n_rcpts; i++)
		if (l->rcpts[i].accepted && state_of(l, &l->rcpts[i]) == LETTER_ACCEPTED)
			return true;
	return false;
}

bool ledger_settled(void)
{
	for (size_t i = 0; i < ledger.n; i++) {
		const struct letter *l = &ledger.letters[i];
		for (size_t k = 0; k < l->n_rcpts; k++)
			if (l->rcpts[k].accepted && state_of(l, &l->rcpts[k]) == LETTER_ACCEPTED && !ended(&l->rcpts[k]))
				return false;
	}
	return true;
}

static void judge(const struct letter *l, const struct letter_rcpt *r, unsigned crashes)
{
	static const char *const words[] = { "without a final dot", "without a reply", "accepted", "put off", "refused" };
	enum letter_state state = state_of(l, r);
	if (state == LETTER_ACCEPTED && r->accepted && !ended(r))
		ledger_violation("LOST: letter %u to %s was accepted and is nowhere", l->number, r->address);
	bool may_exist = r->accepted && (state == LETTER_ACCEPTED || state == LETTER_UNSURE ||
	                                 (state == LETTER_LATER && crashes > 0));
	if (!may_exist && ended(r))
		ledger_violation("letter %u to %s came out (%u copies, %u bounces), though it was %s", l->number, r->address,
		                 r->copies + r->unconfirmed, r->bounces, words[state]);
	if (r->copies > 1 + crashes)
		ledger_violation("letter %u to %s came out %u times with %u crashes", l->number, r->address, r->copies, crashes);
	if (r->bounces > 1 + crashes)
		ledger_violation("letter %u to %s bounced %u times with %u crashes", l->number, r->address, r->bounces, crashes);
	if (crashes == 0 && r->bounces > 0 && r->copies > 0)
		ledger_violation("letter %u to %s both came out and bounced", l->number, r->address);
}

void ledger_judge(unsigned crashes)
{
	for (size_t i = 0; i < ledger.n; i++)
		for (size_t k = 0; k < ledger.letters[i].n_rcpts; k++)
			judge(&ledger.letters[i], &ledger.letters[i].rcpts[k], crashes);
}
