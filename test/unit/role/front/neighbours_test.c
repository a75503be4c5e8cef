/* SPDX-License-Identifier: ISC */
/* The front when its neighbours refuse, are slow, or are lost; when it is told something new, or to go. */
#include "unit.h"

#include "scene.h"

#include <string.h>

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

/* What the keeper has allowed is asked once, whether a domain is ours not at all; after a reload all is asked anew. */
static void the_keeper_is_not_asked_twice(void **state)
{
	(void)state;
	log_in(LISTENER_SUBMISSIONS);
	size_t before = h.asked;
	give_letter("jada@example.org", "a@x.example", "From: jada@example.org\r\n\r\nhi", "250 2.0.0");
	assert_int_equal(h.asked - before, 1);
	give_letter("jada@example.org", "a@x.example", "From: jada@example.org\r\n\r\nhi", "250 2.0.0");
	assert_int_equal(h.asked - before, 1);
	client_talk(&c, "MAIL FROM:<li@example.org>", "553 5.7.1");
	assert_int_equal(h.asked - before, 2);
	give_letter("jada@example.org", "li@example.org", "From: jada@example.org\r\n\r\nhi", "250 2.0.0");
	assert_int_equal(h.asked - before, 3); /* the recipient */
	house_configure(&h, "");
	give_letter("jada@example.org", "a@x.example", "From: jada@example.org\r\n\r\nhi", "250 2.0.0");
	assert_int_equal(h.asked - before, 4);
}

/* A reload passes through the keeper first, and one that this front refuses leaves the keeper with the older rules again: what it
 * has allowed in between does not count. */
static void what_the_keeper_allows_ends_with_its_rules(void **state)
{
	(void)state;
	log_in(LISTENER_SUBMISSIONS);
	for (uint64_t number = 1; number <= 3; number++) {
		size_t before = h.asked;
		client_talk(&c, "MAIL FROM:<jada@example.org>", "250 2.");
		client_talk(&c, "RSET", "250");
		client_talk(&c, "MAIL FROM:<jada@example.org>", "250 2.");
		client_talk(&c, "RSET", "250");
		assert_int_equal(h.asked - before, 1);
		if (number == 2) {
			buf_clear(&h.chain);
			assert_int_equal(buf_add(&h.chain, STR("no certificate")), OK);
			house_configure(&h, "");
			assert_string_not_equal(h.failed, "");
		}
		channel_send(h.keeper, KEEPER_RULES, &(struct keeper_rules){ .number = number });
		house_turn(&h, 10);
	}
}

/* The answer is of the time before the reload: good for what was asked, and for nothing that comes later. */
static void an_answer_that_a_reload_overtakes_is_not_kept(void **state)
{
	(void)state;
	log_in(LISTENER_SUBMISSIONS);
	size_t before = h.asked;
	h.silent = true;
	client_say(&c, "MAIL FROM:<jada@example.org>");
	while (h.asked == before)
		house_wait_once(&h);
	house_configure(&h, "");
	channel_send(h.keeper, KEEPER_SENDER, &(struct keeper_sender){ .request = h.sender_request, .allowed = true });
	client_hear(&c, "250 2.");
	h.silent = false;
	client_talk(&c, "RSET", "250");
	for (int i = 0; i < 2; i++) {
		client_talk(&c, "MAIL FROM:<jada@example.org>", "250 2.");
		client_talk(&c, "RSET", "250");
		assert_int_equal(h.asked - before, 2); /* and that one's is kept */
	}
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
	h.name_ttl_s = 3600;
	for (size_t i = 0; i < 2; i++) { /* the second time it is still known */
		buf_clear(&h.content);
		client_open(&c, &h, LISTENER_MX);
		client_hello(&c);
		give_letter("a@x.example", "jada@example.org", "Subject: x\r\n\r\nhi", "250 2.0.0");
		expect_in(&h.content, "(client.example [127.0.0.1])");
		if (i == 0)
			client_close(&c);
	}
	assert_int_equal(h.looked_up, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_spool_may_refuse),
		TEST(a_lost_spool_is_told_and_nothing_is_lost),
		TEST(a_lost_keeper_is_told),
		TEST(logins_fail_softly_without_a_keeper),
		TEST(content_waits_for_credit),
		TEST(a_client_that_leaves_leaves_nothing),
		TEST(a_reload_drops_nobody),
		TEST(the_keeper_is_not_asked_twice),
		TEST(what_the_keeper_allows_ends_with_its_rules),
		TEST(an_answer_that_a_reload_overtakes_is_not_kept),
		TEST(drain_lets_a_letter_end),
		TEST(a_name_counts_if_both_ways_agree),
	};
	return cmocka_run_group_tests_name("the front's neighbours", tests, NULL, NULL);
}
