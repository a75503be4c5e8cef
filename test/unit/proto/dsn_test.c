/* SPDX-License-Identifier: ISC */
/* Notices: what they say, that programs can take them apart, and that nothing foreign can change their shape. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/header.h"
#include "proto/dsn/dsn.h"

static const struct dsn_rcpt failed = {
	.address = STR_INIT("jada@partner.example"), .original = STR_INIT("jada@example.org"),
	.orcpt = STR_INIT("rfc822;jada@example.org"), .kind = DSN_FAILED,
	.reply = { 550, { 5, 1, 1 }, STR_INIT("No such user\nTry again with another name") },
	.host = STR_INIT("mx.partner.example"), .dialogue = STR_INIT("> RCPT TO:<jada@partner.example>\n< 550 5.1.1 No such user"),
	.protection = STR_INIT("TLSv1.3, verified by DANE"), .last_attempt_s = 1795217725,
};

static const struct dsn_rcpt delayed = {
	.address = STR_INIT("kim@slow.example"), .kind = DSN_DELAYED, .reply = { 0, { 4, 4, 1 }, STR_INIT("no answer") },
	.last_attempt_s = 1795217725, .retry_until_s = 1795304125,
};

static struct dsn_facts facts_for(const struct dsn_rcpt *rcpts, size_t n)
{
	return (struct dsn_facts){
		.hostname = STR("mx1.example.org"), .to = STR("sender@example.org"), .postmaster = STR("admin@example.org"),
		.id = STR("q1"), .envid = STR("env 1"), .message_id = STR("<m@mx1.example.org>"), .boundary = STR("b0undary"),
		.arrived_s = 1795217700, .now_s = 1795217725, .rcpts = rcpts, .n_rcpts = n,
		.returned = STR("From: sender@example.org\r\nSubject: hello\r\n\r\nbody\r\n"),
	};
}

/* A notice taken apart as another mail program would. */
struct parsed {
	struct buf raw;
	struct str header, parts[8];
	size_t n;
};

static void parse_notice(const struct dsn_facts *facts, struct parsed *p)
{
	size_t n, at;
	buf_init(&p->raw, 4 << 20);
	assert_ok(dsn_put(&p->raw, facts));
	struct str rest = buf_view(&p->raw), one;
	assert_true(header_end(rest, &n));
	p->header = str_sub(rest, 0, n);
	p->n = 0;
	while (str_find_str(rest, STR("\r\n--b0undary\r\n"), &at)) {
		if (p->n > 0)
			p->parts[p->n - 1] = str_sub(rest, 0, at);
		rest = str_from(rest, at + 14);
		p->n++;
		assert_true(p->n <= COUNT(p->parts));
	}
	assert_true(str_find_str(rest, STR("\r\n--b0undary--\r\n"), &at));
	assert_int_equal(at + 16, rest.n);
	p->parts[p->n - 1] = str_sub(rest, 0, at);
	for (rest = buf_view(&p->raw); str_take_until(&rest, '\n', &one);) {
		assert_true(one.n <= 999 && one.n > 0 && one.p[one.n - 1] == '\r');
		assert_false(str_has(str_sub(one, 0, one.n - 1), '\r'));
	}
	assert_int_equal(rest.n, 0);
}

static bool has(struct str s, const char *what)
{
	size_t at;
	return str_find_str(s, str_of(what), &at);
}

#define assert_has(s_, what_)                                                        \
	do {                                                                         \
		if (!has((s_), (what_)))                                             \
			fail_msg("no \"%s\" in:\n%.*s", (what_), STR_ARG(s_));       \
	} while (0)

static struct str field(struct str header, const char *name)
{
	struct header_field f;
	struct str found = STR_NONE;
	fault got;
	while ((got = header_take(&header, &f)) == OK)
		if (str_eq_nocase(f.name, str_of(name)))
			found = str_trim(f.value);
	if (got != F_ABSENT)
		fail_msg("no header: %.*s", STR_ARG(header));
	return found;
}

static void a_failure_is_told_to_people_and_programs(void **state)
{
	(void)state;
	struct dsn_facts facts = facts_for(&failed, 1);
	struct parsed p;
	parse_notice(&facts, &p);
	assert_int_equal(p.n, 3);
	assert_str(field(p.header, "From"), "Mail Delivery System <admin@example.org>");
	assert_str(field(p.header, "To"), "<sender@example.org>");
	assert_str(field(p.header, "Subject"), "Your message was not delivered to jada@example.org");
	assert_str(field(p.header, "Date"), "Fri, 20 Nov 2026 23:35:25 +0000");
	assert_str(field(p.header, "Message-ID"), "<m@mx1.example.org>");
	assert_str(field(p.header, "Auto-Submitted"), "auto-replied");
	assert_str(field(p.header, "MIME-Version"), "1.0");
	assert_str(field(p.header, "Content-Type"), "multipart/report; report-type=delivery-status;\r\n\tboundary=\"b0undary\"");
	assert_str(field(p.header, "Content-Transfer-Encoding"), "");

	assert_has(p.parts[0], "Content-Type: text/plain; charset=utf-8\r\n");
	assert_has(p.parts[0], "  jada@example.org (that is: jada@partner.example)\r\n");
	assert_has(p.parts[0], "    There is no mailbox with this name.");
	assert_has(p.parts[0], "    mx.partner.example said:\r\n      550 5.1.1 No such user / Try again with another name\r\n");
	assert_has(p.parts[0], "    The connection: TLSv1.3, verified by DANE\r\n");
	assert_has(p.parts[0], "      > RCPT TO:<jada@partner.example>\r\n      < 550 5.1.1 No such user\r\n");
	assert_has(p.parts[0], "known here as q1");

	assert_str(p.parts[1], "Content-Type: message/delivery-status\r\nContent-Description: The same for programs\r\n"
	                       "Content-Transfer-Encoding: 7bit\r\n\r\n"
	                       "Original-Envelope-Id: env 1\r\nReporting-MTA: dns; mx1.example.org\r\n"
	                       "X-Sealpost-Queue-ID: q1\r\nArrival-Date: Fri, 20 Nov 2026 23:35:00 +0000\r\n\r\n"
	                       "Original-Recipient: rfc822;jada@example.org\r\nFinal-Recipient: rfc822; jada@partner.example\r\n"
	                       "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.partner.example\r\n"
	                       "Diagnostic-Code: smtp; 550 5.1.1 No such user / Try again with another name\r\n"
	                       "Last-Attempt-Date: Fri, 20 Nov 2026 23:35:25 +0000\r\n");
	assert_str(p.parts[2], "Content-Type: text/rfc822-headers\r\n"
	                       "Content-Description: The header lines of your message\r\n"
	                       "Content-Transfer-Encoding: 7bit\r\n\r\n"
	                       "From: sender@example.org\r\nSubject: hello\r\n\r\n");
	buf_fini(&p.raw);
}

static void a_delay_says_how_long_we_try(void **state)
{
	(void)state;
	struct dsn_facts facts = facts_for(&delayed, 1);
	facts.envid = facts.returned = STR_NONE;
	struct parsed p;
	parse_notice(&facts, &p);
	assert_int_equal(p.n, 2);
	assert_str(field(p.header, "Subject"), "Your message is delayed on its way to kim@slow.example");
	assert_has(p.parts[0], "You need not send it\r\nagain: I keep trying");
	assert_has(p.parts[0], "We keep trying until Sat, 21 Nov 2026 23:35:25 +0000.\r\n");
	assert_has(p.parts[1], "\r\n\r\nReporting-MTA: dns; mx1.example.org\r\n");
	assert_has(p.parts[1], "Final-Recipient: rfc822; kim@slow.example\r\nAction: delayed\r\nStatus: 4.4.1\r\n"
	                       "Diagnostic-Code: x-sealpost; 4.4.1 no answer\r\n");
	assert_has(p.parts[1], "Will-Retry-Until: Sat, 21 Nov 2026 23:35:25 +0000\r\n");
	assert_false(has(p.parts[1], "Original-"));
	buf_fini(&p.raw);
}

static void successes_and_a_mixture(void **state)
{
	(void)state;
	struct dsn_rcpt rcpts[] = {
		{ .address = STR("a@x.example"), .kind = DSN_DELIVERED, .reply = { 250, { 2, 1, 5 }, STR("ok") } },
		{ .address = STR("b@x.example"), .kind = DSN_RELAYED, .reply = { 250, { 0, 0, 0 }, STR("ok") },
		  .host = STR("mx.x.example") },
		{ .address = STR("c@x.example"), .kind = DSN_EXPANDED },
		failed,
		{ .address = STR("d@x.example"), .kind = DSN_FAILED, .reply = { 0, { 4, 4, 7 }, STR("") } },
	};
	struct dsn_facts facts = facts_for(rcpts, 3);
	struct parsed p;
	parse_notice(&facts, &p);
	assert_str(field(p.header, "Subject"), "Your message has reached a@x.example and 2 others");
	assert_has(p.parts[0], "Your message is in the mailbox.");
	assert_false(has(p.parts[0], "said:"));
	assert_has(p.parts[1], "Final-Recipient: rfc822; a@x.example\r\nAction: delivered\r\nStatus: 2.1.5\r\n");
	assert_has(p.parts[1], "Action: relayed\r\nStatus: 2.0.0\r\nRemote-MTA: dns; mx.x.example\r\n");
	assert_has(p.parts[1], "Action: expanded\r\nStatus: 2.0.0\r\n");
	assert_false(has(p.parts[1], "Diagnostic-Code"));
	buf_fini(&p.raw);

	facts = facts_for(rcpts, 5);
	parse_notice(&facts, &p);
	assert_str(field(p.header, "Subject"), "Your message was not delivered to jada@example.org and 1 other");
	assert_has(p.parts[1], "Final-Recipient: rfc822; d@x.example\r\nAction: failed\r\nStatus: 4.4.7\r\n");
	buf_fini(&p.raw);

	facts = facts_for(rcpts + 1, 1);
	parse_notice(&facts, &p);
	assert_str(field(p.header, "Subject"), "Your message was passed on towards b@x.example");
	buf_fini(&p.raw);
}

static void the_postmaster_learns_why_it_is_him(void **state)
{
	(void)state;
	struct dsn_facts facts = facts_for(&failed, 1);
	struct parsed p;
	facts.for_postmaster = true;
	facts.to = STR("admin@example.org");
	parse_notice(&facts, &p);
	assert_str(field(p.header, "Subject"), "A message without a sender did not reach jada@example.org");
	assert_has(p.parts[0], "You get this as the postmaster:");
	buf_fini(&p.raw);
}

static void the_status_fits_the_action(void **state)
{
	(void)state;
	static const struct { enum dsn_kind kind; int code; struct status status; const char *want; } rows[] = {
		{ DSN_FAILED, 550, { 0, 0, 0 }, "Status: 5.0.0\r\n" }, { DSN_FAILED, 450, { 0, 0, 0 }, "Status: 4.0.0\r\n" },
		{ DSN_FAILED, 0, { 0, 0, 0 }, "Status: 5.0.0\r\n" }, { DSN_DELAYED, 0, { 0, 0, 0 }, "Status: 4.0.0\r\n" },
		{ DSN_DELAYED, 451, { 2, 0, 0 }, "Status: 4.0.0\r\n" }, { DSN_DELIVERED, 250, { 5, 0, 0 }, "Status: 2.0.0\r\n" },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dsn_rcpt r = { .address = STR("a@b"), .kind = rows[i].kind, .reply = { rows[i].code, rows[i].status, STR("") } };
		struct dsn_facts facts = facts_for(&r, 1);
		struct parsed p;
		parse_notice(&facts, &p);
		assert_has(p.parts[1], rows[i].want);
		assert_true(dsn_sentence(&r.reply, r.kind).n > 0);
		buf_fini(&p.raw);
	}
}

static void the_whole_message_comes_back_if_asked(void **state)
{
	(void)state;
	struct dsn_facts facts = facts_for(&failed, 1);
	facts.returned_full = true;
	facts.original_8bit = true;
	facts.returned = STR("Subject: gr\xc3\xbc\r\n\r\nb\xfc" "dy\r\n.\r\nno end");
	struct parsed p;
	parse_notice(&facts, &p);
	assert_str(field(p.header, "Content-Transfer-Encoding"), "8bit");
	assert_str(p.parts[2], "Content-Type: message/rfc822\r\nContent-Description: Your message\r\n"
	                       "Content-Transfer-Encoding: 8bit\r\n\r\n"
	                       "Subject: gr\xc3\xbc\r\n\r\nb\xfc" "dy\r\n.\r\nno end");
	buf_fini(&p.raw);
}

static void what_cannot_be_sent_back_is_cut_to_mended_headers(void **state)
{
	(void)state;
	static char text[4000];
	struct str originals[] = {
		STR("Subject: x\r\n\r\nbare\nLF\r\n"), STR("Subject: x\r\n\r\nbare\rCR\r\n"), STR("Subject: x\r\n\r\n8-bit \xc3\xbc\r\n"),
		{ "Subject: x\r\n\r\n\0\r\n", 17 }, { text, 0 }, STR("Subject: x\r\n\r\nends in CR\r"),
	};
	memcpy(text, "Subject: x\r\n\r\n", 14);
	memset(text + 14, 'y', 999);
	memcpy(text + 14 + 999, "\r\n", 2);
	originals[4].n = 14 + 999 + 2;
	for (size_t i = 0; i < COUNT(originals); i++) {
		struct dsn_facts facts = facts_for(&failed, 1);
		struct parsed p;
		facts.returned_full = true;
		facts.returned = originals[i];
		parse_notice(&facts, &p);
		assert_has(p.parts[0], "Only the header lines of your message are returned");
		assert_has(p.parts[2], "Content-Type: text/rfc822-headers\r\n");
		assert_has(p.parts[2], "\r\n\r\nSubject: x\r\n\r\n");
		buf_fini(&p.raw);
	}
	struct dsn_facts lost = facts_for(&failed, 1);
	struct parsed without;
	parse_notice(&lost, &without);
	size_t found;
	assert_false(str_find_str(without.parts[0], STR("could not be read"), &found));
	buf_fini(&without.raw);
	lost.returned_lost = true;
	parse_notice(&lost, &without);
	assert_has(without.parts[0], "Not all of your message that should be returned is:");
	buf_fini(&without.raw);
	/* just under: a line of 998 goes back whole */
	memcpy(text + 14 + 998, "\r\n", 2);
	struct dsn_facts facts = facts_for(&failed, 1);
	struct parsed p;
	facts.returned_full = true;
	facts.returned = (struct str){ text, 14 + 998 + 2 };
	parse_notice(&facts, &p);
	assert_has(p.parts[2], "Content-Type: message/rfc822\r\n");
	buf_fini(&p.raw);

	facts.returned_full = false;
	facts.returned = STR("Subject: \xc3\xbc\0x\r\nX: bare\ny\r\n\r\n");
	parse_notice(&facts, &p);
	assert_has(p.parts[2], "7bit\r\n\r\nSubject: ???x\r\nX: bare\r\ny\r\n\r\n");
	buf_fini(&p.raw);
}

static void letters_beyond_ascii_need_the_global_types(void **state)
{
	(void)state;
	struct dsn_rcpt r = failed;
	r.address = STR("gr\xc3\xbc@x.example");
	r.original = STR_NONE;
	r.orcpt = STR("utf-8;gr\xc3\xbc@x.example");
	struct dsn_facts facts = facts_for(&r, 1);
	facts.smtputf8 = true;
	facts.to = STR("s\xc3\xa4nder@example.org");
	struct parsed p;
	parse_notice(&facts, &p);
	assert_str(field(p.header, "To"), "<s\xc3\xa4nder@example.org>");
	assert_str(field(p.header, "Content-Transfer-Encoding"), "8bit");
	assert_has(p.header, "report-type=global-delivery-status;");
	assert_has(p.parts[1], "Content-Type: message/global-delivery-status\r\n");
	assert_has(p.parts[1], "Original-Recipient: utf-8;gr\xc3\xbc@x.example\r\nFinal-Recipient: utf-8; gr\xc3\xbc@x.example\r\n");
	assert_has(p.parts[2], "Content-Type: message/global-headers\r\n");
	buf_fini(&p.raw);

	facts.returned_full = true;
	parse_notice(&facts, &p);
	assert_has(p.parts[2], "Content-Type: message/global\r\n");
	buf_fini(&p.raw);

	facts.smtputf8 = facts.returned_full = false; /* then none may come through */
	parse_notice(&facts, &p);
	assert_str(field(p.header, "To"), "<postmaster@mx1.example.org>");
	struct str raw = buf_view(&p.raw);
	for (size_t i = 0; i < raw.n; i++)
		assert_true((unsigned char)raw.p[i] < 127);
	buf_fini(&p.raw);
}

/* ---- how it was protected ---- */

#define TLS_LINE "tls level=dane version=TLSv1.3 group=X25519MLKEM768 cipher=TLS_AES_256_GCM_SHA384 verified=yes\n"

static struct dsn_rcpt arrived(enum dsn_level level, const char *story)
{
	return (struct dsn_rcpt){ .address = STR("jada@partner.example"), .kind = DSN_RELAYED, .reply = { 250, { 2, 0, 0 }, STR("ok") },
		                  .host = STR("mx.partner.example"), .last_attempt_s = 1795217725, .level = level,
		                  .story = str_of(story) };
}

/* The words of a paragraph, wherever its lines end. */
static void assert_says(struct str text, const char *words)
{
	struct buf flat;
	struct str word;
	buf_init(&flat, 1 << 20);
	while (text.n > 0) {
		text = str_trim(text);
		for (size_t i = 0; i < text.n && (text.p[i] == '\r' || text.p[i] == '\n');)
			text = str_trim(str_from(text, 1));
		size_t n = 0;
		while (n < text.n && text.p[n] != ' ' && text.p[n] != '\r' && text.p[n] != '\n')
			n++;
		word = str_sub(text, 0, n);
		text = str_from(text, n);
		assert_ok(buf_addf(&flat, "%.*s ", STR_ARG(word)));
	}
	size_t at;
	if (!str_find_str(buf_view(&flat), str_of(words), &at))
		fail_msg("\"%s\" is not in \"%.*s\"", words, STR_ARG(buf_view(&flat)));
	buf_fini(&flat);
}

static void a_success_says_what_was_proven(void **state)
{
	static const struct { enum dsn_level level; const char *story, *field, *words; } rows[] = {
		{ DSN_LEVEL_DANE, TLS_LINE, "DANE; TLSv1.3; X25519MLKEM768",
		  "sealed with TLSv1.3 (X25519MLKEM768), and the server proved who it is by keys in its domain's signed DNS records (DANE)." },
		{ DSN_LEVEL_MTA_STS, TLS_LINE, "MTA-STS; TLSv1.3; X25519MLKEM768", "published policy demands (MTA-STS)." },
		{ DSN_LEVEL_PKIX, TLS_LINE, "PKIX; TLSv1.3; X25519MLKEM768", "by a certificate for its name (PKIX)." },
		{ DSN_LEVEL_OPPORTUNISTIC, TLS_LINE, "opportunistic; TLSv1.3; X25519MLKEM768", "Nothing proved that it was the right server" },
		{ DSN_LEVEL_OPPORTUNISTIC, "", "opportunistic", "The connection was sealed. Nothing proved" },
		{ DSN_LEVEL_NONE, "tls level=none\n", "none", "The connection was not encrypted." },
		/* Of several servers the last one has it. */
		{ DSN_LEVEL_DANE, "host name=a\ntls version=TLSv1.2 group=P-256\nhost name=b\n" TLS_LINE, "DANE; TLSv1.3; X25519MLKEM768",
		  "sealed with TLSv1.3 (X25519MLKEM768)" },
		{ DSN_LEVEL_OPPORTUNISTIC, "host name=a\ntls version=TLSv1.2 group=P-256\nhost name=b\ntls level=none\n", "opportunistic",
		  "The connection was sealed. Nothing" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dsn_rcpt r = arrived(rows[i].level, rows[i].story);
		struct dsn_facts facts = facts_for(&r, 1);
		struct parsed p;
		char field[200];
		parse_notice(&facts, &p);
		snprintf(field, sizeof field, "\r\nX-Sealpost-Protection: %s\r\n", rows[i].field);
		assert_has(p.parts[1], field);
		assert_says(p.parts[0], rows[i].words);
		buf_fini(&p.raw);
	}
}

static void what_is_not_known_is_not_said(void **state)
{
	(void)state;
	struct dsn_rcpt r[] = { arrived(DSN_LEVEL_UNKNOWN, TLS_LINE), arrived(DSN_LEVEL_DANE, TLS_LINE) };
	r[1].kind = DSN_FAILED; /* nothing was carried */
	for (size_t i = 0; i < COUNT(r); i++) {
		struct dsn_facts facts = facts_for(&r[i], 1);
		struct parsed p;
		size_t at;
		parse_notice(&facts, &p);
		assert_false(str_find_str(p.parts[1], STR("X-Sealpost-Protection"), &at));
		assert_false(str_find_str(p.parts[0], STR("The connection was"), &at));
		buf_fini(&p.raw);
	}
	struct dsn_rcpt here = arrived(DSN_LEVEL_LOCAL, "");
	struct dsn_facts facts = facts_for(&here, 1);
	struct parsed p;
	parse_notice(&facts, &p);
	assert_has(p.parts[1], "\r\nX-Sealpost-Protection: local\r\n");
	buf_fini(&p.raw);
}

static void a_failure_says_what_stood_in_the_way(void **state)
{
	(void)state;
	struct dsn_rcpt r = failed;
	r.story = STR("policy host=a.example name=dane verdict=won source=\"RFC 1\" text=\"Of another server.\"\n"
	              "host name=a.example\ntls problem=\"of the other one\"\n"
	              "policy host=mx.example name=dane verdict=won source=\"RFC 7672 2.2\" text=\"Its records say which key.\"\n"
	              "policy host=mx.example name=mta-sts verdict=lost source=\"RFC 8461 2\" text=\"A stronger one decides.\"\n"
	              "host name=mx.example\ntls level=none problem=\"the key is another one\"\n");
	struct dsn_facts facts = facts_for(&r, 1);
	struct parsed p;
	size_t at;
	parse_notice(&facts, &p);
	assert_says(p.parts[0], "What binds us: Its records say which key. (RFC 7672 2.2)");
	assert_says(p.parts[0], "What is wrong with the connection to mx.example: the key is another one");
	assert_false(str_find_str(p.parts[0], STR("another server"), &at));
	assert_false(str_find_str(p.parts[0], STR("stronger"), &at));
	assert_false(str_find_str(p.parts[0], STR("other one\r\n    What"), &at));
	buf_fini(&p.raw);
	r.story = STR("policy host=mx.example name=mta-sts verdict=forbids source=\"RFC 8461 4.1\" text=\"The policy does not name it.\"\n");
	parse_notice(&facts, &p); /* no server could be used at all */
	assert_says(p.parts[0], "What binds us: The policy does not name it. (RFC 8461 4.1)");
	buf_fini(&p.raw);
}

/* Every foreign string in turn holds something evil: parts, fields and lines stay what they were. */
static void nothing_foreign_changes_the_shape(void **state)
{
	(void)state;
	static char lots[100000];
	memset(lots, 'a', sizeof lots);
	for (size_t i = 70; i < sizeof lots; i += 70)
		lots[i] = ' ';
	const struct str evil[] = {
		STR("a\r\nAction: delivered\r\n"), STR("a\r\n\r\n--b0undary\r\n"), STR("\n.\n"), STR("\x1b[2J\xff"), { "a\0b", 3 },
		{ lots, sizeof lots }, { lots, 69 }, STR(" "), STR("\t"),
	};
	for (size_t i = 0; i < COUNT(evil); i++) {
		for (size_t j = 0; j < 16; j++) {
			struct dsn_rcpt r = failed;
			struct dsn_facts facts = facts_for(&r, 1);
			struct str *const fields[] = {
				&r.address, &r.original, &r.orcpt, &r.reply.text, &r.host, &r.dialogue, &r.protection, &r.story, &facts.hostname,
				&facts.to, &facts.postmaster, &facts.id, &facts.envid, &facts.message_id,
			};
			if (j >= COUNT(fields))
				break;
			*fields[j] = evil[i];
			facts.smtputf8 = i % 2 == 0;
			struct parsed p;
			parse_notice(&facts, &p);
			assert_int_equal(p.n, 3);
			size_t at = 0, actions = 0;
			struct str rest = p.parts[1];
			for (; str_find_str(rest, STR("\r\nAction: "), &at); actions++)
				rest = str_from(rest, at + 1);
			assert_int_equal(actions, 1);
			assert_str(field(p.header, "Auto-Submitted"), "auto-replied");
			buf_fini(&p.raw);
		}
	}
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
	(void)state;
	struct dsn_facts facts = facts_for(&failed, 1);
	struct buf out;
	buf_init(&out, 1 << 20);
	assert_ok(buf_add(&out, STR("kept")));
	assert_ok(dsn_put(&out, &facts));
	size_t whole = buf_view(&out).n;
	buf_fini(&out);
	for (size_t max = 4; max < whole; max += 13) {
		buf_init(&out, max);
		assert_ok(buf_add(&out, STR("kept")));
		assert_int_equal(dsn_put(&out, &facts), F_LIMIT);
		assert_str(buf_view(&out), "kept");
		buf_fini(&out);
	}
	buf_init(&out, whole);
	assert_ok(buf_add(&out, STR("kept")));
	assert_ok(dsn_put(&out, &facts));
	buf_fini(&out);
}

static void many_recipients_stay_short(void **state)
{
	(void)state;
	static struct dsn_rcpt rcpts[1000];
	for (size_t i = 0; i < COUNT(rcpts); i++)
		rcpts[i] = failed;
	struct dsn_facts facts = facts_for(rcpts, COUNT(rcpts));
	struct parsed p;
	parse_notice(&facts, &p);
	assert_str(field(p.header, "Subject"), "Your message was not delivered to jada@example.org and 999 others");
	size_t at, dialogues = 0;
	struct str rest = p.parts[0];
	for (; str_find_str(rest, STR("> RCPT"), &at); dialogues++)
		rest = str_from(rest, at + 1);
	assert_int_equal(dialogues, 10);
	buf_fini(&p.raw);
}

static void every_status_has_a_sentence(void **state)
{
	(void)state;
	static const struct { struct status status; const char *starts; } rows[] = {
		{ { 5, 1, 1 }, "There is no mailbox" }, { { 5, 1, 2 }, "There is no mail server" },
		{ { 5, 1, 10 }, "This domain has declared" }, { { 5, 2, 2 }, "The mailbox is full" },
		{ { 4, 2, 2 }, "The mailbox is full" }, { { 5, 3, 4 }, "The message is larger" },
		{ { 5, 4, 4 }, "There is no way" }, { { 5, 4, 6 }, "The message went around in circles" },
		{ { 5, 4, 7 }, "The message could not be handed over within" }, { { 4, 4, 7 }, "The message could not be handed" },
		{ { 5, 6, 3 }, "The other server cannot carry a message with 8-bit" },
		{ { 5, 6, 7 }, "The address or the headers use letters" }, { { 5, 7, 1 }, "The other server refuses" },
		{ { 4, 7, 1 }, "The other server puts" }, { { 5, 7, 99 }, "The other server refuses" },
		{ { 4, 4, 1 }, "The mail server of this domain does not answer" }, { { 5, 99, 99 }, "The other server has refused" },
		{ { 4, 99, 1 }, "The other server could not take" }, { { 0, 0, 0 }, "The other server has refused" },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct smtp_reply reply = { 550, rows[i].status, STR_NONE };
		struct str sentence = dsn_sentence(&reply, DSN_FAILED);
		if (!str_starts(sentence, str_of(rows[i].starts)))
			fail_msg("%u.%u.%u: %.*s", rows[i].status.class, rows[i].status.subject, rows[i].status.detail, STR_ARG(sentence));
	}
	for (uint16_t class = 0; class < 8; class++)
		for (uint16_t subject = 0; subject < 10; subject++)
			for (uint16_t detail = 0; detail < 40; detail++)
				for (unsigned kind = DSN_FAILED; kind <= DSN_EXPANDED; kind++) {
					struct smtp_reply reply = { 0, { class, subject, detail }, STR_NONE };
					struct str sentence = dsn_sentence(&reply, kind);
					assert_true(sentence.n > 10 && str_is_ascii(sentence));
				}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_is_told_to_people_and_programs),
		cmocka_unit_test(a_delay_says_how_long_we_try),
		cmocka_unit_test(successes_and_a_mixture),
		cmocka_unit_test(the_postmaster_learns_why_it_is_him),
		cmocka_unit_test(the_status_fits_the_action),
		cmocka_unit_test(the_whole_message_comes_back_if_asked),
		cmocka_unit_test(what_cannot_be_sent_back_is_cut_to_mended_headers),
		cmocka_unit_test(letters_beyond_ascii_need_the_global_types),
		cmocka_unit_test(a_success_says_what_was_proven),
		cmocka_unit_test(what_is_not_known_is_not_said),
		cmocka_unit_test(a_failure_says_what_stood_in_the_way),
		cmocka_unit_test(nothing_foreign_changes_the_shape),
		cmocka_unit_test(a_full_buffer_is_left_as_it_was),
		cmocka_unit_test(many_recipients_stay_short),
		cmocka_unit_test(every_status_has_a_sentence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
