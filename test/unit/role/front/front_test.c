/* SPDX-License-Identifier: ISC */
/* The front as a whole: real sockets and real TLS; its neighbours are played by house.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "house.h"
#include "mail/header.h"

/* As in role/front/front.h, which is the role's own. */
enum { SHAKING_NETWORK = 16, HALF_HELLOS = 80 };

static struct house h;
static struct client c;

static int open_house(void **state)
{
	(void)state;
	house_open(&h, "");
	return 0;
}

static int close_house(void **state)
{
	(void)state;
	client_close(&c);
	house_close(&h);
	return 0;
}

static void expect_in(struct buf *text, const char *part)
{
	struct str s = house_text(text);
	if (!str_find_str(s, str_of(part), &(size_t){ 0 }))
		fail_msg("\"%s\" is not in \"%s\"", part, s.p);
}

static void expect_not_in(struct buf *text, const char *part)
{
	struct str s = house_text(text);
	if (str_find_str(s, str_of(part), &(size_t){ 0 }))
		fail_msg("\"%s\" is in \"%s\"", part, s.p);
}

static void log_in(int listener)
{
	client_open(&c, &h, listener);
	client_hello(&c);
	if (listener == LISTENER_SUBMISSION) {
		client_talk(&c, "STARTTLS", "220 2.0.0");
		client_start_tls(&c);
		client_talk(&c, "EHLO client.example", "250 LIMITS");
	}
	client_login(&c);
}

static void give_letter(const char *from, const char *to, const char *text, const char *reply)
{
	char line[300];
	(void)snprintf(line, sizeof line, "MAIL FROM:<%s>", from);
	client_talk(&c, line, "250 2.1.0");
	(void)snprintf(line, sizeof line, "RCPT TO:<%s>", to);
	client_talk(&c, line, "250 2.1.5");
	client_talk(&c, "DATA", "354");
	client_say(&c, text);
	client_talk(&c, ".", reply);
}

static void a_letter_goes_in_over_465(void **state)
{
	(void)state;
	log_in(LISTENER_SUBMISSIONS);
	assert_string_equal(h.binding, "32 bytes, listener 1, PLAIN");
	give_letter("jada@example.org", "staff@example.org", "From: jada@example.org\r\nSubject: hi\r\n\r\nhello",
	            "250 2.0.0 Ok: queued as q7");
	expect_in(&h.envelope, "from<jada@example.org> client<127.0.0.1> user<jada> with<ESMTPSA>");
	expect_in(&h.envelope, " to<li@example.org>=<staff@example.org>");
	expect_in(&h.envelope, " to<jada@example.org>=<staff@example.org>");
	expect_in(&h.content, "Received: from client.example");
	expect_in(&h.content, "with ESMTPSA");
	expect_in(&h.content, "id q7");
	expect_in(&h.content, "TLSv1.3");
	expect_in(&h.content, "\r\nDate: ");
	expect_in(&h.content, "\r\nMessage-ID: <");
	expect_in(&h.content, "\r\nFrom: jada@example.org\r\nSubject: hi\r\n\r\nhello\r\n");
	assert_int_equal(h.stored, 1);
	client_talk(&c, "QUIT", "221 2.0.0");
	client_hear_end(&c);
}


static void dates_and_ids_that_are_there_stay(void **state)
{
	(void)state;
	log_in(LISTENER_SUBMISSION);
	assert_string_equal(h.binding, "32 bytes, listener 2, PLAIN");
	give_letter("jada@example.org", "jada@example.org",
	            "date: then\r\nMESSAGE-ID: <mine>\r\nFrom: jada@example.org\r\n\r\nhello", "250 2.0.0");
	expect_not_in(&h.content, "Date:");
	expect_not_in(&h.content, "Message-ID");
	expect_in(&h.content, "\r\ndate: then\r\nMESSAGE-ID: <mine>\r\nFrom: jada@example.org\r\n\r\nhello\r\n");
}

static void port_25_takes_mail_for_us_and_relays_for_nobody(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_talk(&c, "AUTH PLAIN AGphZGEAc2VjcmV0", "502 5.5.1");
	client_talk(&c, "MAIL FROM:<a@x.example> BODY=7BIT", "250 2.1.0");
	client_talk(&c, "RCPT TO:<a@x.example>", "550 5.7.1 Relaying is not allowed here");
	client_talk(&c, "RCPT TO:<u@[127.0.0.1]>", "550 5.7.1 Relaying is not allowed here");
	client_talk(&c, "RCPT TO:<nobody@example.org>", "550 5.1.1");
	client_talk(&c, "RCPT TO:<broken@example.org>", "451 4.3.0");
	client_talk(&c, "RCPT TO:<verify-no@lists.example>", "550 5.1.1 says the next hop");
	client_talk(&c, "RCPT TO:<verify-yes@lists.example>", "250 2.1.5");
	client_talk(&c, "DATA", "354");
	client_talk(&c, "Subject: gr\xc3\xbc\xc3\x9f\r\n\r\nhi\r\n.", "250 2.0.0");
	expect_in(&h.envelope, "from<a@x.example> client<127.0.0.1> user<> with<ESMTP> to<verify-yes@lists.example>");
	expect_in(&h.content, "for <verify-yes@lists.example>");
	expect_not_in(&h.content, "Date:"); /* only a submission is completed */
	assert_int_equal(h.finish_body, 1);
}

static void begin_mail(const char *mail)
{
	client_talk(&c, mail, "250 2.1.0");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250 2.1.5");
	client_talk(&c, "DATA", "354");
}

/* RFC 8689 4.1: MAIL's word goes before the header's, and a header that contradicts itself has none. */
static void messages_are_tagged(void **state)
{
	static const struct { const char *mail, *header; enum tls_tag tag; } rows[] = {
		{ "", "", TLS_TAG_NONE },
		{ "", "tls-required:nO\r\n", TLS_TAG_OPTIONAL },
		{ "", "TLS-Required:\t No \r\n", TLS_TAG_OPTIONAL },
		{ "", "TLS-Required:\r\n No\r\n", TLS_TAG_OPTIONAL },
		{ "", "TLS-Required: Yes\r\n", TLS_TAG_NONE },
		{ "", "TLS-Required:\r\n", TLS_TAG_NONE },
		{ "", "TLS-Required: No thanks\r\n", TLS_TAG_NONE },
		{ "", "TLS-Required: N\r\n o\r\n", TLS_TAG_NONE },
		{ "", "TLS-Required: No (really)\r\n", TLS_TAG_NONE },
		{ "", "TLS-Required: No\r\nTLS-Required: No\r\n", TLS_TAG_NONE },
		{ "", "TLS-Required: Yes\r\nTLS-Required: No\r\n", TLS_TAG_NONE },
		{ "", "X-TLS-Required: No\r\n", TLS_TAG_NONE },
		{ "", "Subject: x\r\n\r\nTLS-Required: No\r\n", TLS_TAG_NONE },
		{ " REQUIRETLS", "", TLS_TAG_REQUIRED },
		{ " RET=FULL requiretls", "TLS-Required: No\r\n", TLS_TAG_REQUIRED },
	};
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_talk(&c, "MAIL FROM:<a@x.example> REQUIRETLS", "555 5.5.4");
	client_talk(&c, "STARTTLS", "220 2.0.0");
	client_start_tls(&c);
	client_talk(&c, "EHLO client.example", "250 LIMITS");
	for (size_t i = 0; i < COUNT(rows); i++) {
		char line[200];
		(void)snprintf(line, sizeof line, "MAIL FROM:<a@x.example>%s", rows[i].mail);
		begin_mail(line);
		(void)snprintf(line, sizeof line, "%sFrom: a@x.example\r\n\r\nhi\r\n.", rows[i].header);
		client_talk(&c, line, "250 2.0.0");
		if (h.finish_tag != rows[i].tag)
			fail_msg("%s and %s are tagged %u", rows[i].mail, rows[i].header, (unsigned)h.finish_tag);
	}
}

static void lmtp_is_the_end_of_what_may_be_required(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_LMTP);
	client_hear(&c, "220 mx1.example.org LMTP");
	client_talk(&c, "LHLO client.example", "250 LIMITS");
	client_talk(&c, "STARTTLS", "220 2.0.0");
	client_start_tls(&c);
	client_talk(&c, "LHLO client.example", "250 LIMITS");
	client_talk(&c, "MAIL FROM:<a@x.example> REQUIRETLS", "555 5.5.4");
}

static void a_user_sends_as_nobody_else(void **state)
{
	(void)state;
	log_in(LISTENER_SUBMISSIONS);
	client_talk(&c, "MAIL FROM:<li@example.org>", "553 5.7.1");
	give_letter("jada@example.org", "a@x.example", "From: li@example.org\r\n\r\nhello", "550 5.7.1 From or Sender");
	give_letter("jada@example.org", "a@x.example", "From: jada@example.org, li@example.org\r\n\r\nhello",
	            "550 5.7.1 From or Sender");
	give_letter("jada@example.org", "a@x.example", "From: jada@example.org\r\nSender: li@example.org\r\n\r\nhello",
	            "550 5.7.1 From or Sender");
	give_letter("jada@example.org", "a@x.example",
	            "From: jada@example.org\r\nFrom: jada@example.org\r\n\r\nhello", "550 5.6.0 From or Sender");
	give_letter("jada@example.org", "a@x.example", "From: \"li@example.org\" <jada@example.org>\r\n\r\nhello",
	            "250 2.0.0");
	assert_int_equal(h.stored, 1);
	assert_int_equal(h.aborted, 4);
	give_letter("", "a@x.example", "From: jada@example.org\r\n\r\nhello", "250 2.0.0");
}

static void a_wrong_password_is_told_late(void **state)
{
	(void)state;
	h.login_delay_ms = 30;
	client_open(&c, &h, LISTENER_SUBMISSIONS);
	client_hello(&c);
	int64_t before = loop_now_ms(h.loop);
	client_talk(&c, "AUTH PLAIN AGphZGEAd3Jvbmc=", "535 5.7.8");
	assert_true(loop_now_ms(h.loop) - before >= 30);
	client_talk(&c, "AUTH PLAIN", "334 ");
	client_talk(&c, "*", "501 5.0.0");
	client_talk(&c, "AUTH PLAIN", "334 ");
	client_talk(&c, "AGphZGEAc2VjcmV0", "235 2.7.0");
	assert_int_equal(h.cancelled, 1);
	client_talk(&c, "AUTH PLAIN", "503 5.5.1");
}

static void routes_refuse(void **state)
{
	(void)state;
	log_in(LISTENER_SUBMISSIONS);
	client_talk(&c, "MAIL FROM:<jada@example.org>", "250 2.1.0");
	client_talk(&c, "RCPT TO:<a@refused.example>", "550 5.7.1 Not there");
	client_talk(&c, "RCPT TO:<a@other.example>", "250 2.1.5");
}

static void plain_text_on_a_tls_port_is_told_so(void **state)
{
	(void)state;
	client_open_clear(&c, &h, LISTENER_SUBMISSIONS);
	client_say(&c, "EHLO client.example");
	client_hear(&c, "554 5.7.0 This port expects TLS from the first byte: choose SSL/TLS in the client, or port 587 for STARTTLS");
	client_hear_end(&c);
}

static void tls_on_a_plain_port_is_told_so(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_SUBMISSION);
	client_hear(&c, "220 ");
	client_send(&c, STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"));
	client_hear(&c, "554 This port starts in clear text: choose STARTTLS in the client, or port 465 for SSL/TLS");
	client_hear_end(&c);
}

static void bytes_behind_starttls_end_the_session(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_send(&c, STR("STARTTLS\r\nEHLO injected.example\r\n"));
	client_hear(&c, "554 5.5.0");
	client_hear_end(&c);
}

static void starttls_forgets_everything(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	client_talk(&c, "STARTTLS", "220 2.0.0");
	client_start_tls(&c);
	client_talk(&c, "RCPT TO:<jada@example.org>", "503");
	client_talk(&c, "EHLO client.example", "250 LIMITS");
	give_letter("a@x.example", "jada@example.org", "Subject: x\r\n\r\nhi", "250 2.0.0");
	expect_in(&h.envelope, "with<ESMTPS>");
}

static void a_trusted_network_needs_no_login(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_CLEAR);
	client_hello(&c);
	give_letter("anybody@x.example", "a@y.example", "From: anybody@x.example\r\n\r\nhi", "250 2.0.0");
	expect_in(&h.content, "\r\nDate: ");
}

static void a_local_program_is_known_by_its_account(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_LOCAL);
	client_hello(&c);
	give_letter("root@example.org", "a@y.example", "hello without a header", "250 2.0.0");
	expect_in(&h.envelope, "user<jada>");
	expect_in(&h.envelope, "client<>");
	expect_in(&h.content, "\r\nMessage-ID: <");
	expect_in(&h.content, "\r\n\r\nhello without a header\r\n");
}

static void a_local_program_without_a_name_is_a_number(void **state)
{
	(void)state;
	char number[32];
	(void)snprintf(number, sizeof number, "user<uid-%u>", (unsigned)geteuid());
	h.knows_no_user = true;
	client_open(&c, &h, LISTENER_LOCAL);
	client_hello(&c);
	give_letter("root@example.org", "a@y.example", "hello without a header", "250 2.0.0");
	expect_in(&h.envelope, number);
}

static void lmtp_takes_for_our_domains_only(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_LMTP);
	client_hear(&c, "220 mx1.example.org LMTP");
	client_talk(&c, "LHLO client.example", "250 LIMITS");
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	client_talk(&c, "RCPT TO:<a@y.example>", "550 5.7.1");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
	client_talk(&c, "RCPT TO:<li@example.org>", "250");
	client_talk(&c, "DATA", "354");
	client_say(&c, "Subject: x\r\n\r\nhi\r\n.");
	client_hear(&c, "250 2.0.0");
	client_hear(&c, "250 2.0.0");
	expect_in(&h.envelope, "with<LMTP>");
}

static void loops_and_broken_headers_are_refused(void **state)
{
	(void)state;
	struct buf text;
	buf_init(&text, 1 << 16);
	log_in(LISTENER_SUBMISSIONS);
	give_letter("jada@example.org", "a@x.example", "From: jada@example.org\r\nthis is no field\r\n\r\nhello",
	            "550 5.6.0 Line 2 of the message's header is no field");
	for (int i = 0; i < 100; i++)
		assert_int_equal(buf_add(&text, STR("Received: by x\r\n")), OK);
	assert_int_equal(buf_add(&text, STR("\r\nhi")), OK);
	give_letter("jada@example.org", "a@x.example", house_text(&text).p, "250 2.0.0");
	buf_cut(&text, buf_view(&text).n - 4);
	assert_int_equal(buf_add(&text, STR("Received: by x\r\n\r\nhi")), OK);
	give_letter("jada@example.org", "a@x.example", house_text(&text).p, "554 5.4.6");
	assert_int_equal(h.aborted, 2);
	buf_fini(&text);
}

/* A header of exactly so many bytes, its empty line included. */
static void give_header_of(size_t bytes, const char *reply)
{
	struct buf text;
	buf_init(&text, 1 << 20);
	while (buf_view(&text).n + 120 + 120 <= bytes)
		assert_int_equal(buf_addf(&text, "X: %0115zu\r\n", buf_view(&text).n), OK);
	size_t left = bytes - 2 - buf_view(&text).n - 5;
	assert_int_equal(buf_addf(&text, "X: %0*d\r\n\r\nhello", (int)left, 0), OK);
	assert_int_equal(buf_view(&text).n, bytes + 5);
	give_letter("a@x.example", "jada@example.org", house_text(&text).p, reply);
	buf_fini(&text);
}

static void give_fields(size_t n, const char *reply)
{
	struct buf text;
	buf_init(&text, 1 << 20);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_add(&text, STR("X: y\r\n")), OK);
	give_letter("a@x.example", "jada@example.org", house_text(&text).p, reply);
	buf_fini(&text);
}

/* A filter that sends on what our porter delivered to it, and gets it back. */
static void test_attack_32_what_was_delivered_here_is_a_loop(void **state)
{
	(void)state;
	struct buf text;
	buf_init(&text, 1 << 16);
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	give_letter("a@x.example", "jada@example.org", "Delivered-To:  JADA@example.org\r\nSubject: x\r\n\r\nhi", "554 5.4.6");
	give_letter("a@x.example", "staff@example.org", "delivered-to: jada@example.org\r\nDelivered-To: li@example.org\r\n\r\nhi", "554 5.4.6");
	give_letter("a@x.example", "staff@example.org", "Delivered-To: jada@example.org\r\n\r\nhi", "250 2.0.0");
	give_letter("a@x.example", "jada@example.org", "Delivered-To: li@example.org\r\nX-To: jada@example.org\r\n\r\nhi", "250 2.0.0");
	give_letter("a@x.example", "jada@example.org", "Subject: x\r\n\r\nDelivered-To: jada@example.org\r\n\r\nhi", "250 2.0.0");

	client_talk(&c, "MAIL FROM:<a@x.example>", "250 2.1.0"); /* one of two has not had it */
	client_talk(&c, "RCPT TO:<jada@example.org>", "250 2.1.5");
	client_talk(&c, "RCPT TO:<verify-yes@lists.example>", "250 2.1.5");
	client_talk(&c, "DATA", "354");
	client_talk(&c, "Delivered-To: jada@example.org\r\n\r\nhi\r\n.", "250 2.0.0");

	for (int i = 0; i < 50; i++)
		assert_int_equal(buf_add(&text, STR("Delivered-To: li@example.org\r\n")), OK);
	assert_int_equal(buf_add(&text, STR("Delivered-To: jada@example.org\r\n\r\nhi")), OK);
	give_letter("a@x.example", "jada@example.org", house_text(&text).p, "250 2.0.0");
	buf_drop(&text, strlen("Delivered-To: li@example.org\r\n"));
	give_letter("a@x.example", "jada@example.org", house_text(&text).p, "554 5.4.6");
	buf_fini(&text);
}

/* Who resends a letter of theirs to themselves may. */
static void test_attack_32_a_user_may_resend(void **state)
{
	(void)state;
	log_in(LISTENER_SUBMISSIONS);
	give_letter("jada@example.org", "jada@example.org", "From: jada@example.org\r\nDelivered-To: jada@example.org\r\n\r\nhi", "250 2.0.0");
}

static void a_header_has_a_ceiling(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	give_header_of(HEADER_BYTES_MAX, "250 2.0.0");
	give_header_of(HEADER_BYTES_MAX + 1, "552 5.3.4 The message's header is too big");
	give_header_of(3 * HEADER_BYTES_MAX, "552 5.3.4 The message's header is too big");
	give_fields(HEADER_FIELDS_MAX, "250 2.0.0");
	give_fields(HEADER_FIELDS_MAX + 1, "552 5.3.4 The message's header has too many fields");
}

static void from_has_a_ceiling(void **state)
{
	struct buf text;
	(void)state;
	buf_init(&text, 1 << 16);
	log_in(LISTENER_SUBMISSIONS);
	for (int i = 1; i <= 21; i++) {
		assert_int_equal(buf_add(&text, i == 1 ? STR("From: jada@example.org") : STR(", jada@example.org")), OK);
		if (i < 20)
			continue;
		char letter[1000];
		(void)snprintf(letter, sizeof letter, "%s\r\n\r\nhi", house_text(&text).p);
		give_letter("jada@example.org", "a@x.example", letter, i == 20 ? "250 2.0.0" : "550 5.6.0");
	}
	buf_fini(&text);
}

static void all_connections_together_have_a_ceiling(void **state)
{
	struct client two;
	(void)state;
	house_configure(&h, "limits {\n connections 1\n}\n");
	client_open(&c, &h, LISTENER_LOCAL);
	client_hear(&c, "220");
	client_open(&two, &h, LISTENER_MX);
	client_hear(&two, "421 4.3.2 Too many connections");
	client_hear_end(&two);
	client_close(&two);
}

static void the_spool_may_refuse(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	h.refuse_begin = (struct spool_refused){ .code = 452, .status = STR("4.3.1"), .text = STR("No room") };
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
	client_talk(&c, "DATA", "452 4.3.1 No room");
	h.refuse_begin.code = 0;
	h.refuse_store = (struct spool_refused){ .code = 451, .status = STR("4.3.0"), .text = STR("Disk") };
	give_letter("a@x.example", "jada@example.org", "Subject: x\r\n\r\nhi", "451 4.3.0 Disk");
	h.refuse_store.code = 0;
	channel_send(h.spool, SPOOL_SHORTAGE, &(struct spool_shortage){ .text = STR("The disk is full") });
	house_turn(&h, 10);
	client_talk(&c, "MAIL FROM:<a@x.example>", "452 4.3.1 The disk is full");
	channel_send(h.spool, SPOOL_SHORTAGE, &(struct spool_shortage){ .text = STR_NONE });
	house_turn(&h, 10);
	give_letter("a@x.example", "jada@example.org", "Subject: x\r\n\r\nhi", "250 2.0.0");
}

static void a_lost_spool_is_told_and_nothing_is_lost(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
	client_talk(&c, "DATA", "354");
	client_say(&c, "Subject: x\r\n\r\nhi");
	house_turn(&h, 10);
	house_take_spool(&h);
	house_turn(&h, 10);
	client_talk(&c, ".", "451 4.3.0");
	client_talk(&c, "MAIL FROM:<a@x.example>", "451 4.3.0");
	house_give_spool(&h);
	house_turn(&h, 10);
	h.hold_store = true;
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
	client_talk(&c, "DATA", "354");
	client_say(&c, "Subject: x\r\n\r\nhi\r\n.");
	house_turn(&h, 10);
	house_take_spool(&h);
	client_hear(&c, "451 4.3.0");
	house_give_spool(&h);
	h.hold_store = false;
	house_turn(&h, 10);
	give_letter("a@x.example", "jada@example.org", "Subject: x\r\n\r\nhi", "250 2.0.0");
	assert_int_equal(h.stored, 1);
}

static void a_lost_keeper_is_told(void **state)
{
	(void)state;
	log_in(LISTENER_SUBMISSIONS);
	h.silent = true;
	client_say(&c, "MAIL FROM:<jada@example.org>");
	house_turn(&h, 10);
	house_take_keeper(&h);
	client_hear(&c, "451 4.3.0");
	client_talk(&c, "MAIL FROM:<jada@example.org>", "451 4.3.0");
	h.silent = false;
	house_give_keeper(&h);
	house_turn(&h, 10);
	client_talk(&c, "MAIL FROM:<jada@example.org>", "250");
	house_take_keeper(&h);
	house_turn(&h, 10);
	client_talk(&c, "RCPT TO:<a@x.example>", "451 4.3.0");
	client_close(&c);
	client_open(&c, &h, LISTENER_SUBMISSION);
	client_hello(&c);
	client_talk(&c, "STARTTLS", "220");
	house_turn(&h, 10);
}

static void logins_fail_softly_without_a_keeper(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_SUBMISSIONS);
	client_hello(&c);
	house_take_keeper(&h);
	house_turn(&h, 10);
	client_talk(&c, "AUTH PLAIN AGphZGEAc2VjcmV0", "454 4.7.0");
}

static void content_waits_for_credit(void **state)
{
	(void)state;
	char line[1024];
	memset(line, 'a', 998);
	memcpy(line + 998, "\r\n", 2);
	h.hold_taken = true;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
	client_talk(&c, "DATA", "354");
	client_send(&c, STR("Subject: x\r\n\r\n"));
	for (int i = 0; i < 400; i++)
		client_send(&c, (struct str){ line, 1000 });
	house_turn(&h, 50);
	size_t before = buf_view(&h.content).n;
	assert_true(before < FRONT_CREDIT_BYTES);
	assert_true(before > FRONT_CREDIT_BYTES / 2);
	h.hold_taken = false;
	h.taken = before;
	channel_send(h.spool, SPOOL_TAKEN, &(struct spool_taken){ .txn = h.txn, .bytes = before });
	client_talk(&c, ".", "250 2.0.0");
	assert_true(buf_view(&h.content).n > 400000);
}

static void a_client_that_leaves_leaves_nothing(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
	client_talk(&c, "DATA", "354");
	client_say(&c, "Subject: x\r\n\r\nhi");
	house_turn(&h, 10);
	stream_close(&c.stream);
	house_turn(&h, 20);
	assert_int_equal(h.aborted, 1);
	assert_int_equal(h.stored, 0);
}

static void connections_have_a_ceiling(void **state)
{
	struct client two, three;
	(void)state;
	house_configure(&h, "limits {\n connections-per-client 2\n}\n");
	client_open(&c, &h, LISTENER_MX);
	client_hear(&c, "220");
	client_open(&two, &h, LISTENER_MX);
	client_hear(&two, "220");
	client_open(&three, &h, LISTENER_MX);
	client_hear(&three, "421");
	client_hear_end(&three);
	client_close(&three);
	client_close(&two);
	house_turn(&h, 20);
	client_open(&three, &h, LISTENER_MX);
	client_hear(&three, "220");
	client_close(&three);
}

static void a_reload_drops_nobody(void **state)
{
	struct client late;
	(void)state;
	log_in(LISTENER_SUBMISSIONS);
	client_talk(&c, "MAIL FROM:<jada@example.org>", "250");
	house_configure(&h, "limits {\n message-size 100K\n}\n");
	assert_string_equal(h.failed, "");
	client_talk(&c, "RCPT TO:<a@x.example>", "250");
	client_talk(&c, "DATA", "354");
	client_talk(&c, "From: jada@example.org\r\n\r\nhi\r\n.", "250 2.0.0");
	client_open(&late, &h, LISTENER_MX);
	client_hear(&late, "220");
	client_say(&late, "EHLO late.example");
	client_hear(&late, "250-mx1");
	client_hear(&late, "250-PIPELINING");
	client_hear(&late, "250-SIZE 102400");
	client_close(&late);
	buf_clear(&h.chain);
	assert_int_equal(buf_add(&h.chain, STR("no certificate")), OK);
	house_configure(&h, "");
	assert_string_not_equal(h.failed, "");
	give_letter("jada@example.org", "a@x.example", "From: jada@example.org\r\n\r\nhi", "250 2.0.0");
}

static void drain_lets_a_letter_end(void **state)
{
	struct client idle;
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_open(&idle, &h, LISTENER_MX);
	client_hello(&idle);
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	channel_send(h.supervisor, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 60000 });
	client_hear(&idle, "421 4.3.2");
	client_hear_end(&idle);
	client_close(&idle);
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
	client_talk(&c, "DATA", "354");
	client_talk(&c, "Subject: x\r\n\r\nhi\r\n.", "250 2.0.0");
	client_hear(&c, "421 4.3.2");
	client_hear_end(&c);
	stream_close(&c.stream);
	house_wait(&h, &h.drained);
}

static void a_name_counts_if_both_ways_agree(void **state)
{
	(void)state;
	house_give_resolver(&h);
	h.claimed_name = "client.example";
	h.name_address = "192.0.2.1";
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	give_letter("a@x.example", "jada@example.org", "Subject: x\r\n\r\nhi", "250 2.0.0");
	expect_not_in(&h.content, "(client.example");
	client_close(&c);
	h.name_address = "127.0.0.1";
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	give_letter("a@x.example", "jada@example.org", "Subject: x\r\n\r\nhi", "250 2.0.0");
	expect_in(&h.content, "(client.example [127.0.0.1])");
}

/* CVE-2026-45185: a close_notify inside BDAT, then a byte in clear. */
static void the_end_of_tls_is_the_end(void **state)
{
	(void)state;
	log_in(LISTENER_SUBMISSIONS);
	client_talk(&c, "MAIL FROM:<jada@example.org>", "250");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
	client_send(&c, STR("BDAT 100\r\nabc"));
	house_turn(&h, 10);
	client_end_tls(&c);
	client_send(&c, STR("x"));
	house_wait(&h, &c.closed);
	assert_int_equal(h.aborted, 1);
	assert_int_equal(h.stored, 0);
}

/* Half a hello takes no slot, however many there are: somebody else shakes hands at once. */
static void attack_62_half_a_hello_keeps_nobody_waiting(void **state)
{
	static struct client half[HALF_HELLOS];
	(void)state;
	house_configure(&h, "limits {\n connections-per-client 1000\n}\n");
	for (size_t i = 0; i < HALF_HELLOS; i++) {
		client_open_clear(&half[i], &h, LISTENER_SUBMISSIONS);
		client_send(&half[i], STR("\x16\x03\x01\x02\x00\x01"));
		house_turn(&h, 1); /* the listener's queue is short */
	}
	while (house_status(&h, "sessions") < HALF_HELLOS)
		house_turn(&h, 1);
	assert_int_equal(house_status(&h, "handshakes") + house_status(&h, "late_handshakes"), 0);
	client_open(&c, &h, LISTENER_SUBMISSIONS);
	client_hello(&c);
	for (size_t i = 0; i < HALF_HELLOS; i++)
		client_close(&half[i]);
}

/* Whole hellos and then silence, from one network: it gets its share of the slots, and others theirs. */
static void attack_62_a_network_has_its_share_of_the_handshakes(void **state)
{
	static struct client mute[SHAKING_NETWORK + 20];
	char from[32];
	uint64_t most = 0;
	(void)state;
	house_configure(&h, "limits {\n connections-per-client 1000\n}\n");
	for (size_t i = 0; i < COUNT(mute); i++) {
		(void)snprintf(from, sizeof from, "127.0.0.%zu:0", i + 1);
		client_open_from(&mute[i], &h, LISTENER_SUBMISSIONS, from);
		client_begin_tls(&mute[i]);
		client_fall_silent(&mute[i]);
		uint64_t now = house_status(&h, "handshakes");
		most = now > most ? now : most;
	}
	while (house_status(&h, "sessions") < COUNT(mute)) {
		uint64_t now = house_status(&h, "handshakes");
		most = now > most ? now : most;
	}
	assert_int_equal(most, SHAKING_NETWORK);
	client_open_from(&c, &h, LISTENER_SUBMISSIONS, "127.0.1.1:0");
	client_start_tls(&c);
	client_hello(&c);
	for (size_t i = 0; i < COUNT(mute); i++)
		client_close(&mute[i]);
}

/* Its slot is lent for a second; who answers later is served all the same. */
static void a_late_handshake_gives_its_slot_back(void **state)
{
	(void)state;
	client_open_clear(&c, &h, LISTENER_SUBMISSIONS);
	client_begin_tls(&c);
	client_fall_silent(&c);
	while (house_status(&h, "handshakes") == 0)
		house_turn(&h, 1);
	while (house_status(&h, "late_handshakes") == 0)
		house_turn(&h, 10);
	assert_int_equal(house_status(&h, "handshakes"), 0);
	stream_want_read(c.stream, true);
	client_wait_tls(&c);
	client_hello(&c);
	assert_int_equal(house_status(&h, "late_handshakes"), 0);
}

/* ---- behind a proxy ---- */

#define PROXIED "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02"        /* 192.0.2. ... */
#define TO_US "\x7f\x00\x00\x01\x12\x34\x00\x19"
static const char proxy_at[] = "127.0.9.9:0";

/* From there, and then: text of its own length. */
static void open_proxied(struct client *to, int listener, struct str bytes)
{
	client_open_from(to, &h, listener, proxy_at);
	client_send(to, bytes);
}

static void the_client_is_whom_the_proxy_names(void **state)
{
	struct client second, other;
	(void)state;
	house_configure(&h, "limits {\n connections-per-client 1\n}\n");
	open_proxied(&c, LISTENER_MX, STR(PROXIED "\x4d" TO_US));
	client_hello(&c);
	open_proxied(&second, LISTENER_MX, STR(PROXIED "\x4d" TO_US));
	client_hear(&second, "421 Too many connections from your address");
	client_hear_end(&second);
	client_close(&second);
	open_proxied(&other, LISTENER_MX, STR(PROXIED "\x4e" TO_US));
	client_hello(&other);
	client_close(&other);
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
	client_talk(&c, "DATA", "354");
	client_talk(&c, "Subject: x\r\n\r\nhi\r\n.", "250 2.0.0");
	expect_in(&h.content, "[192.0.2.77]");
	expect_not_in(&h.content, "127.0.9.9");
}

static void a_proxy_may_look_whether_we_live(void **state)
{
	(void)state;
	open_proxied(&c, LISTENER_MX, STR("\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"));
	client_hello(&c);
}

/* TLS begins behind the header, in the same segment or in another. */
static void tls_behind_a_proxy(void **state)
{
	(void)state;
	open_proxied(&c, LISTENER_SUBMISSIONS, STR(PROXIED "\x4d" TO_US));
	client_start_tls(&c);
	client_hello(&c);
	client_login(&c);
}

/* What a proxy must not say: each ends the connection without a word. */
static void attack_25_a_proxy_says_a_header_or_nothing(void **state)
{
	(void)state;
	static const struct str wrong[] = {
		{ "EHLO client.example\r\n", 21 },
		{ "PROXY TCP4 192.0.2.1 198.51.100.1 4660 25\r\n", 43 },
		{ "\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 16 },
		{ "\r\n\r\n\0\r\nQUIT\n\x21\x12\x00\x0c", 16 },
		{ "\x16\x03\x01\x02\x00\x01", 6 },
	};
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct client bad;
		open_proxied(&bad, i % 2 ? LISTENER_SUBMISSIONS : LISTENER_MX, wrong[i]);
		client_hear_end(&bad);
		client_close(&bad);
	}
	/* What comes behind its header is the client's. */
	open_proxied(&c, LISTENER_MX, STR(PROXIED "\x4d" TO_US "\x16\x03\x01\x02\x00\x01"));
	client_hear(&c, "220");
	client_hear(&c, "554 This port starts in clear text");
}

/* From any other address the header is so much noise. */
static void attack_25_nobody_else_is_a_proxy(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hear(&c, "220");
	client_send(&c, STR(PROXIED "\x4d" TO_US));
	client_say(&c, "");
	client_hear(&c, "500");
	struct client tls;
	client_open_clear(&tls, &h, LISTENER_SUBMISSIONS);
	client_send(&tls, STR(PROXIED "\x4d" TO_US));
	client_hear(&tls, "554 5.7.0 This port expects TLS");
	client_close(&tls);
}

/* 20 MB over TLS, against a spool that takes its time: never more than the credit under way. */
static void a_big_letter_passes_in_little_memory(void **state)
{
	(void)state;
	char text[20 * 1000];
	log_in(LISTENER_SUBMISSIONS);
	client_talk(&c, "MAIL FROM:<jada@example.org>", "250");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
	client_talk(&c, "DATA", "354");
	client_send(&c, STR("From: jada@example.org\r\n\r\n"));
	memset(text, 'x', sizeof text);
	for (size_t i = 100; i <= sizeof text; i += 100)
		memcpy(text + i - 2, "\r\n", 2);
	for (int i = 0; i < 1000; i++) {
		client_send(&c, (struct str){ text, sizeof text });
		while (tls_output(c.tls).n > 200000)
			house_turn(&h, 1);
	}
	client_talk(&c, ".", "250 2.0.0");
	assert_true(buf_view(&h.content).n > 20 * 1000 * 1000);
	assert_true(h.ahead_max <= FRONT_CREDIT_BYTES);
}

static void too_many_errors_end_the_session(void **state)
{
	(void)state;
	char text[600];
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	for (size_t i = 0; i < sizeof text; i += 6)
		memcpy(text + i, "RCPT\r\n", 6);
	client_send(&c, (struct str){ text, sizeof text });
	for (int i = 0; i < 20; i++)
		client_hear(&c, "501 5.5.4");
	client_hear(&c, "421 4.7.0 Too many errors");
	client_hear_end(&c);
}

static void a_broken_hello_gets_an_alert(void **state)
{
	(void)state;
	client_open_clear(&c, &h, LISTENER_SUBMISSIONS);
	client_send(&c, STR("\x16\x03\x01\x00\x05\x01\x00\x00\x01z")); /* whole, and nonsense */
	house_wait(&h, &c.closed);
	assert_true(buf_view(&c.heard).n == 0 || buf_view(&c.heard).p[0] == 0x15); /* an alert, no text */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_house, close_house)
	const struct CMUnitTest tests[] = {
		TEST(a_letter_goes_in_over_465),
		TEST(dates_and_ids_that_are_there_stay),
		TEST(port_25_takes_mail_for_us_and_relays_for_nobody),
		TEST(messages_are_tagged),
		TEST(lmtp_is_the_end_of_what_may_be_required),
		TEST(a_user_sends_as_nobody_else),
		TEST(a_wrong_password_is_told_late),
		TEST(routes_refuse),
		TEST(plain_text_on_a_tls_port_is_told_so),
		TEST(tls_on_a_plain_port_is_told_so),
		TEST(bytes_behind_starttls_end_the_session),
		TEST(starttls_forgets_everything),
		TEST(a_trusted_network_needs_no_login),
		TEST(a_local_program_is_known_by_its_account),
		TEST(a_local_program_without_a_name_is_a_number),
		TEST(lmtp_takes_for_our_domains_only),
		TEST(loops_and_broken_headers_are_refused),
		TEST(test_attack_32_what_was_delivered_here_is_a_loop),
		TEST(test_attack_32_a_user_may_resend),
		TEST(a_header_has_a_ceiling),
		TEST(from_has_a_ceiling),
		TEST(all_connections_together_have_a_ceiling),
		TEST(the_spool_may_refuse),
		TEST(a_lost_spool_is_told_and_nothing_is_lost),
		TEST(a_lost_keeper_is_told),
		TEST(logins_fail_softly_without_a_keeper),
		TEST(content_waits_for_credit),
		TEST(a_client_that_leaves_leaves_nothing),
		TEST(connections_have_a_ceiling),
		TEST(a_reload_drops_nobody),
		TEST(drain_lets_a_letter_end),
		TEST(a_name_counts_if_both_ways_agree),
		TEST(the_end_of_tls_is_the_end),
		TEST(attack_62_half_a_hello_keeps_nobody_waiting),
		TEST(attack_62_a_network_has_its_share_of_the_handshakes),
		TEST(a_late_handshake_gives_its_slot_back),
		TEST(the_client_is_whom_the_proxy_names),
		TEST(a_proxy_may_look_whether_we_live),
		TEST(tls_behind_a_proxy),
		TEST(attack_25_a_proxy_says_a_header_or_nothing),
		TEST(attack_25_nobody_else_is_a_proxy),
		TEST(a_big_letter_passes_in_little_memory),
		TEST(too_many_errors_end_the_session),
		TEST(a_broken_hello_gets_an_alert),
	};
	return cmocka_run_group_tests_name("front", tests, NULL, NULL);
}
