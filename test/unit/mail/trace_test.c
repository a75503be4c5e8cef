/* SPDX-License-Identifier: ISC */
/* Trace lines: their form, their folding, and that no foreign string can forge one. */
#include "unit.h"

#include <string.h>

#include "mail/trace.h"

static const struct trace_facts whole = {
	.helo = STR_INIT("client.example"), .name = STR_INIT("host.client.example"), .client = STR_INIT("192.0.2.1"),
	.hostname = STR_INIT("mx1.example.org"), .with = STR_INIT("ESMTPSA"), .tls = STR_INIT("TLSv1.3 TLS_AES_256_GCM_SHA384 x25519"),
	.id = STR_INIT("abc123"), .for_address = STR_INIT("jada@example.org"), .wall_s = 1795217725, .zone_minutes = 60,
};

static void assert_received(const struct trace_facts *facts, const char *want)
{
	struct buf out;
	buf_init(&out, 8192);
	assert_ok(trace_put_received(&out, facts));
	assert_str(buf_view(&out), want);
	buf_fini(&out);
}

static void received_says_what_is_known(void **state)
{
	(void)state;
	assert_received(&whole,
	                "Received: from client.example (host.client.example [192.0.2.1])\r\n"
	                "\tby mx1.example.org with ESMTPSA id abc123 for <jada@example.org>\r\n"
	                "\ttls TLS_AES_256_GCM_SHA384 group x25519 (TLSv1.3);\r\n"
	                "\tSat, 21 Nov 2026 00:35:25 +0100\r\n");

	struct trace_facts f = whole;
	f.name = f.tls = f.for_address = STR_NONE;
	f.client = STR("2001:db8::1");
	f.with = STR("SMTP");
	f.zone_minutes = 0;
	assert_received(&f, "Received: from client.example ([IPv6:2001:db8::1])\r\n"
	                    "\tby mx1.example.org with SMTP id abc123;\r\n\tFri, 20 Nov 2026 23:35:25 +0000\r\n");

	f.client = f.helo = f.id = f.with = STR_NONE;
	assert_received(&f, "Received: from unknown (local)\r\n\tby mx1.example.org;\r\n"
	                    "\tFri, 20 Nov 2026 23:35:25 +0000\r\n");
}

static void a_cipher_without_registered_name_is_a_comment(void **state)
{
	(void)state;
	struct trace_facts f = whole;
	f.for_address = STR_NONE;
	f.tls = STR("TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 x25519");
	assert_received(&f, "Received: from client.example (host.client.example [192.0.2.1])\r\n"
	                    "\tby mx1.example.org with ESMTPSA id abc123\r\n"
	                    "\t(TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 x25519);\r\n"
	                    "\tSat, 21 Nov 2026 00:35:25 +0100\r\n");
	f.tls = STR("TLSv1.3");
	assert_received(&f, "Received: from client.example (host.client.example [192.0.2.1])\r\n"
	                    "\tby mx1.example.org with ESMTPSA id abc123\r\n\t(TLSv1.3);\r\n"
	                    "\tSat, 21 Nov 2026 00:35:25 +0100\r\n");
}

static void an_address_in_utf8_is_named_only_where_it_may_be(void **state)
{
	(void)state;
	struct trace_facts f = whole;
	f.tls = STR_NONE;
	f.for_address = STR("gr\xc3\xbc@x.example");
	assert_received(&f, "Received: from client.example (host.client.example [192.0.2.1])\r\n"
	                    "\tby mx1.example.org with ESMTPSA id abc123;\r\n\tSat, 21 Nov 2026 00:35:25 +0100\r\n");
	f.with = STR("UTF8SMTPSA");
	assert_received(&f, "Received: from client.example (host.client.example [192.0.2.1])\r\n"
	                    "\tby mx1.example.org with UTF8SMTPSA id abc123 for <gr\xc3\xbc@x.example>;\r\n"
	                    "\tSat, 21 Nov 2026 00:35:25 +0100\r\n");
}

/* Every foreign string, one at a time, holds something evil: the lines stay the same four, and no sign that opens
 * or ends anything comes through. */
static void nothing_foreign_forges_a_line(void **state)
{
	(void)state;
	static const struct str evil[] = {
		STR_INIT("a)(b; from=evil"), STR_INIT("x\r\nX-Forged: yes"), STR_INIT("x\nX: y"), STR_INIT("x\rX: y"), STR_INIT("\x1b]0;x\x07"), STR_INIT("(((((("),
		STR_INIT("\\"), STR_INIT("\"quoted"), STR_INIT("x;y"), STR_INIT("<a@b>"), STR_INIT("\xff\xfe"), STR_INIT("\xe2\x80\xae"), { "a\0b", 3 },
	};
	for (size_t i = 0; i < COUNT(evil); i++) {
		struct trace_facts f = whole;
		struct str *const fields[] = { &f.helo, &f.name, &f.client, &f.hostname, &f.with, &f.tls, &f.id };
		for (size_t j = 0; j < COUNT(fields); j++) {
			f = whole;
			*fields[j] = evil[i];
			struct buf out;
			buf_init(&out, 8192);
			assert_ok(trace_put_received(&out, &f));
			struct str rest = buf_view(&out), line;
			assert_true(str_is_utf8(rest));
			size_t opened = 0, closed = 0, ended = 0;
			for (size_t k = 0; k < rest.n; k++) {
				opened += rest.p[k] == '(';
				closed += rest.p[k] == ')';
				ended += rest.p[k] == ';';
				assert_true(rest.p[k] != '\0' && rest.p[k] != '\\' && rest.p[k] != '"' && rest.p[k] != 27);
			}
			assert_true(opened == closed && opened <= 2);
			assert_int_equal(ended, 1);
			for (size_t lines = 0; str_take_line(&rest, &line); lines++)
				assert_true(str_starts(line, lines == 0 ? STR("Received: ") : STR("\t")));
			buf_fini(&out);
		}
	}
}

static void long_names_are_cut_and_lines_stay_legal(void **state)
{
	(void)state;
	static char text[100000];
	memset(text, 'a', sizeof text);
	struct trace_facts f = whole;
	f.helo = f.name = f.client = f.hostname = f.with = f.tls = f.id = f.for_address = (struct str){ text, sizeof text };
	struct buf out;
	buf_init(&out, 8192);
	assert_ok(trace_put_received(&out, &f));
	struct str rest = buf_view(&out), line;
	assert_true(rest.n < 2000);
	while (str_take_line(&rest, &line))
		assert_true(line.n <= 998);
	assert_int_equal(rest.n, 0);
	buf_fini(&out);
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
	(void)state;
	struct buf out;
	for (size_t room = 0; room < 204; room += 7) {
		buf_init(&out, 4 + room);
		assert_ok(buf_add(&out, STR("kept")));
		assert_int_equal(trace_put_received(&out, &whole), F_LIMIT);
		assert_str(buf_view(&out), "kept");
		buf_fini(&out);
	}
}

static void the_word_with(void **state)
{
	(void)state;
	assert_str(trace_with(false, false, false, false, false), "SMTP");
	assert_str(trace_with(false, true, false, false, false), "ESMTP");
	assert_str(trace_with(false, true, true, false, false), "ESMTPS");
	assert_str(trace_with(false, true, false, true, false), "ESMTPA");
	assert_str(trace_with(false, true, true, true, false), "ESMTPSA");
	assert_str(trace_with(false, true, true, true, true), "UTF8SMTPSA");
	assert_str(trace_with(true, true, true, false, false), "LMTPS");
	assert_str(trace_with(true, true, false, false, true), "UTF8LMTP");
}

static void the_lines_of_final_delivery(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 8192);
	assert_ok(trace_put_return_path(&out, STR("")));
	assert_ok(trace_put_return_path(&out, STR("\"a b\"@x.example")));
	assert_ok(trace_put_delivered_to(&out, STR("gr\xc3\xbc@x.example")));
	assert_ok(trace_put_delivered_to(&out, STR("a@x\r\nX: y\x7f\xff")));
	assert_str(buf_view(&out), "Return-Path: <>\r\nReturn-Path: <\"a b\"@x.example>\r\n"
	                           "Delivered-To: gr\xc3\xbc@x.example\r\nDelivered-To: a@x??X: y??\r\n");
	buf_fini(&out);
}

static void dates(void **state)
{
	(void)state;
	static const struct { int64_t wall_s; int zone; const char *rfc5322, *rfc3339; } rows[] = {
		{ 0, 0, "Thu, 01 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00Z" },
		{ 1795217725, 0, "Fri, 20 Nov 2026 23:35:25 +0000", "2026-11-20T23:35:25Z" },
		{ 1795217725, -210, "Fri, 20 Nov 2026 20:05:25 -0330", "2026-11-20T23:35:25Z" },
		{ 1795217725, 765, "Sat, 21 Nov 2026 12:20:25 +1245", "2026-11-20T23:35:25Z" },
		{ 1709164800, 0, "Thu, 29 Feb 2024 00:00:00 +0000", "2024-02-29T00:00:00Z" },
		{ 4102444800, 0, "Fri, 01 Jan 2100 00:00:00 +0000", "2100-01-01T00:00:00Z" },
		{ -1, 0, "Wed, 31 Dec 1969 23:59:59 +0000", "1969-12-31T23:59:59Z" },
		{ INT64_MAX, 60, "Fri, 31 Dec 9999 23:59:59 +0100", "9999-12-31T23:59:59Z" },
		{ INT64_MIN, -60, "Mon, 01 Jan 0001 00:00:00 -0100", "0001-01-01T00:00:00Z" },
		{ 0, 24 * 60, "Thu, 01 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00Z" },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out;
		buf_init(&out, 100);
		assert_ok(date_put(&out, rows[i].wall_s, rows[i].zone));
		assert_str(buf_view(&out), rows[i].rfc5322);
		buf_clear(&out);
		assert_ok(date_put_rfc3339(&out, rows[i].wall_s));
		assert_str(buf_view(&out), rows[i].rfc3339);
		buf_fini(&out);
	}
}

static void message_ids(void **state)
{
	(void)state;
	static const unsigned char random[16] = { 0, 1, 0xfe, 0xff };
	struct buf out;
	buf_init(&out, 400);
	assert_ok(message_id_put(&out, random, 1795217725, STR("mx1.example.org")));
	assert_str(buf_view(&out), "<0001feff000000000000000000000000.1795217725@mx1.example.org>");
	buf_clear(&out);
	assert_ok(message_id_put(&out, random, -5, STR("a>\r\n")));
	assert_str(buf_view(&out), "<0001feff000000000000000000000000.0@a??" "?>");
	buf_clear(&out);
	assert_ok(message_id_put(&out, random, 1, STR("")));
	assert_str(buf_view(&out), "<0001feff000000000000000000000000.1@localhost>");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(received_says_what_is_known),
		cmocka_unit_test(a_cipher_without_registered_name_is_a_comment),
		cmocka_unit_test(an_address_in_utf8_is_named_only_where_it_may_be),
		cmocka_unit_test(nothing_foreign_forges_a_line),
		cmocka_unit_test(long_names_are_cut_and_lines_stay_legal),
		cmocka_unit_test(a_full_buffer_is_left_as_it_was),
		cmocka_unit_test(the_word_with),
		cmocka_unit_test(the_lines_of_final_delivery),
		cmocka_unit_test(dates),
		cmocka_unit_test(message_ids),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
