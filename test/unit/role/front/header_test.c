/* SPDX-License-Identifier: ISC */
/* What the front makes of a message's header, and what it refuses because of it. */
#include "unit.h"

#include "scene.h"

#include <stdio.h>
#include <string.h>

#include "mail/header.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(dates_and_ids_that_are_there_stay),
		TEST(messages_are_tagged),
		TEST(lmtp_is_the_end_of_what_may_be_required),
		TEST(loops_and_broken_headers_are_refused),
		TEST(test_attack_32_what_was_delivered_here_is_a_loop),
		TEST(test_attack_32_a_user_may_resend),
		TEST(a_header_has_a_ceiling),
		TEST(from_has_a_ceiling),
	};
	return cmocka_run_group_tests_name("headers at the front", tests, NULL, NULL);
}
