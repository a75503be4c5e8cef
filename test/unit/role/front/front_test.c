/* SPDX-License-Identifier: ISC */
/* The front as a whole, on real sockets: who may hand in what at which port. */
#include "unit.h"

#include "scene.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* RFC 3461 5.2.7.2 and 5.2.7.3 (c). */
static void success_is_told_of_who_is_expanded(void **state)
{
	static const struct { const char *rcpt, *envelope; } rows[] = {
		{ "RCPT TO:<staff@example.org> NOTIFY=SUCCESS,FAILURE",
		  " to<staff@example.org>=<staff@example.org>!18 to<li@example.org>=<staff@example.org>!4 to<jada@example.org>=<staff@example.org>!4" },
		{ "RCPT TO:<staff@example.org> NOTIFY=SUCCESS",
		  " to<staff@example.org>=<staff@example.org>!18 to<li@example.org>=<staff@example.org>!1 to<jada@example.org>=<staff@example.org>!1" },
		{ "RCPT TO:<staff@example.org> NOTIFY=FAILURE",
		  " to<li@example.org>=<staff@example.org>!4 to<jada@example.org>=<staff@example.org>!4" },
		{ "RCPT TO:<jada@example.org> NOTIFY=SUCCESS", " to<jada@example.org>=<jada@example.org>!2" },
	};
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	for (size_t i = 0; i < COUNT(rows); i++) {
		client_talk(&c, "MAIL FROM:<a@x.example>", "250 2.1.0");
		client_talk(&c, rows[i].rcpt, "250 2.1.5");
		client_talk(&c, "DATA", "354");
		client_say(&c, "Subject: x\r\n\r\nhi");
		client_talk(&c, ".", "250 2.0.0");
		expect_in(&h.envelope, rows[i].envelope);
		assert_false(i > 1 && str_find_str(house_text(&h.envelope), STR("!18"), &(size_t){ 0 }));
	}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_letter_goes_in_over_465),
		TEST(success_is_told_of_who_is_expanded),
		TEST(port_25_takes_mail_for_us_and_relays_for_nobody),
		TEST(a_user_sends_as_nobody_else),
		TEST(a_wrong_password_is_told_late),
		TEST(routes_refuse),
		TEST(a_trusted_network_needs_no_login),
		TEST(a_local_program_is_known_by_its_account),
		TEST(a_local_program_without_a_name_is_a_number),
		TEST(lmtp_takes_for_our_domains_only),
		TEST(a_big_letter_passes_in_little_memory),
		TEST(too_many_errors_end_the_session),
	};
	return cmocka_run_group_tests_name("front", tests, NULL, NULL);
}
