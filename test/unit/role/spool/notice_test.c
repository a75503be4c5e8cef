/* SPDX-License-Identifier: ISC */
/* What the spool tells senders, and whom it tells if they cannot be told. */
#include "unit.h"

#include "role/spool/house.h"

#include "ipc/front_keeper.h"
#include "mail/envelope.h"
#include "role/spool/spool.h"

/* Lets the notice wait in the queue, so that it can be looked at. */
static struct str notice(void)
{
	struct store_rcpt r[4];
	size_t n = rows(r, 4);
	for (size_t i = 0; i < n; i++)
		if (has(text_of(id_of(&r[i])), "multipart/report"))
			return text_of(id_of(&r[i]));
	fail_msg("there is no notice in the queue");
	return STR_NONE;
}

static const char hold_notices[] = "route {\n to x.example hold\n otherwise direct\n}\n";

static void send_tagged(uint64_t txn, const char *sender, enum dsn_ret ret, uint64_t tag)
{
	static const char letter[] = "Subject: hello\r\n\r\nsecret\r\n";
	channel_send(h.front.channel, FRONT_BEGIN, &(struct front_begin){ .txn = txn, .sender = str_of(sender), .ret = ret });
	say_rcpt(txn, "b@y.example", 0);
	say_chunk(txn, letter);
	channel_send(h.front.channel, FRONT_FINISH,
	             &(struct front_finish){ .txn = txn, .size_bytes = sizeof letter - 1, .tls_tag = tag });
}

/* RFC 8689 5: it carries the demand itself, and nothing of the text, whatever RET said and the configuration prefers. */
static void test_attack_38_a_bounce_is_protected_like_its_message(void **state)
{
	(void)state;
	static const struct { uint64_t given; enum tls_tag tag; bool full; enum tls_tag of_bounce; } rows_of[] = {
		{ TLS_TAG_REQUIRED, TLS_TAG_REQUIRED, false, TLS_TAG_REQUIRED },
		{ TLS_TAG_OPTIONAL, TLS_TAG_OPTIONAL, true, TLS_TAG_NONE },
		{ TLS_TAG_NONE, TLS_TAG_NONE, true, TLS_TAG_NONE },
		{ 77, TLS_TAG_REQUIRED, false, TLS_TAG_REQUIRED }, /* no front says this: the safe side */
	};
	house_open("queue {\n return full\n}\nroute {\n to x.example hold\n otherwise direct\n}\n");
	answer(OUTCOME_NEVER, 550, "5.1.1", "No such user");
	for (size_t i = 0; i < COUNT(rows_of); i++) {
		struct store_message m;
		struct arena *a = arena_new(64 << 10);
		send_tagged(i + 1, "a@x.example", i % 2 == 0 ? RET_FULL : RET_DEFAULT, rows_of[i].given);
		wait_for("courier: body");
		settle_down();
		assert_int_equal(h.jobs[i].tls_tag, rows_of[i].tag);
		if (rows_of[i].tag == TLS_TAG_REQUIRED)
			assert_int_equal(h.jobs[i].ret, RET_HEADERS);
		struct store_rcpt r = only_row();
		assert_int_equal(has(text_of(id_of(&r)), "secret"), rows_of[i].full);
		assert_true(has(text_of(id_of(&r)), "Subject: hello"));
		assert_int_equal(h.store != NULL ? store_memory.message(h.store, r.id, a, &m) : F_ABSENT, OK);
		assert_int_equal(m.tls_tag, rows_of[i].of_bounce);
		arena_free(&a);
		command(CONTROL_REMOVE, everything, false);
		settle_down();
	}
}

/* A notice to an address behind which there are several, and a message to several: all have the tag of the message. */
static void everybody_gets_the_same_tag(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example", "c@z.example" };
	house_open("");
	channel_send(h.front.channel, FRONT_BEGIN, &(struct front_begin){ .txn = 1, .sender = STR("a@x.example") });
	say_rcpt(1, to[0], 0);
	say_rcpt(1, to[1], 0);
	say_chunk(1, "x\r\n");
	channel_send(h.front.channel, FRONT_FINISH, &(struct front_finish){ .txn = 1, .size_bytes = 3, .tls_tag = TLS_TAG_REQUIRED });
	wait_for("courier: body");
	wait_for("courier: body");
	settle_down();
	assert_int_equal(h.n_jobs, 2);
	assert_int_equal(h.jobs[0].tls_tag, TLS_TAG_REQUIRED);
	assert_int_equal(h.jobs[1].tls_tag, TLS_TAG_REQUIRED);
}

static void never_goes_back(void **state)
{
	(void)state;
	house_open(""); /* notices go out too: the courier refuses nothing else */
	answer(OUTCOME_NEVER, 550, "5.1.1", "No such user here");
	h.answer.dialogue = STR("RCPT TO:<b@y.example>\n550 5.1.1 No such user here");
	send_letter(1, "jada@example.org", "b@y.example", 0);
	wait_for("courier: body 24 whole");
	answer(OUTCOME_DONE, 250, "2.0.0", "ok");
	wait_for("porter: job  to jada@example.org and 0 more");
	settle_down();
	assert_int_equal(h.most_both, 2); /* the notice and the outcome in one commit */
	struct str text = buf_view(&h.jobs[1].body);
	assert_true(has(text, "550 5.1.1 No such user here"));
	assert_true(has(text, "b@y.example"));
	assert_true(has(text, "Subject: hello"));
	assert_false(has(text, "body\r\n")); /* headers only */
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
}

static void one_notice_tells_all(void **state)
{
	(void)state;
	static const char *const to[] = { "1@y.example", "2@y.example", "3@z.example" };
	house_fill("m1", "a@x.example", to, 3, 0, 10, "Subject: s\r\n\r\n");
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	house_open(hold_notices);
	settle_down();
	struct store_rcpt r[4];
	size_t n = rows(r, 4);
	assert_true(n == 1 || n == 2); /* two couriers' answers may come in two turns */
	if (n == 1)
		assert_true(has(notice(), "1@y.example") && has(notice(), "2@y.example") && has(notice(), "3@z.example"));
	for (size_t i = 0; i < n; i++) {
		struct str text = text_of(id_of(&r[i]));
		assert_int_equal(has(text, "1@y.example"), has(text, "2@y.example"));
	}
}

static void notify_never_means_never(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	house_fill("m1", "a@x.example", to, 1, NOTIFY_NEVER, 10, "x");
	house_fill("m2", "a@x.example", to, 1, NOTIFY_SUCCESS | NOTIFY_DELAY, 10, "x");
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	house_open("");
	wait_for("courier: body");
	wait_for("courier: body");
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
	assert_int_equal(h.n_jobs, 2);
}

static void success_is_told_when_asked(void **state)
{
	(void)state;
	house_open(hold_notices);
	send_letter(1, "a@x.example", "jada@example.org", NOTIFY_SUCCESS);
	wait_for("porter: body");
	settle_down();
	assert_true(has(notice(), "delivered"));
}

static void send_expanded(uint64_t txn, const char *sender)
{
	say_begin(txn, sender);
	say_rcpt(txn, "staff@example.org", NOTIFY_SUCCESS | NOTIFY_EXPANDED);
	say_rcpt(txn, "jada@example.org", NOTIFY_NEVER);
	say_chunk(txn, "Subject: x\r\n\r\nhi\r\n");
	say_finish(txn, 18);
	wait_for("porter: job");
	wait_for("porter: body");
	settle_down();
}

static void what_is_expanded_is_told_once(void **state)
{
	(void)state;
	struct store_rcpt r[4];
	house_open(hold_notices);
	send_expanded(1, "a@x.example");
	struct str text = notice();
	assert_true(has(text, "Final-Recipient: rfc822; staff@example.org\r\nAction: expanded\r\nStatus: 2.1.5"));
	assert_false(has(text, "Action: delivered"));
	assert_int_equal(rows(r, 4), 1);
	assert_int_equal(h.n_jobs, 1); /* nothing goes to the address itself */
	assert_string_equal(h.jobs[0].to[0], "jada@example.org");
	send_expanded(2, "");
	assert_int_equal(rows(r, 4), 1); /* a null sender is told nothing */
}

static void relaying_is_told_unless_the_next_hop_does(void **state)
{
	(void)state;
	house_open(hold_notices);
	h.answer.dsn = 1;
	send_letter(1, "a@x.example", "b@y.example", NOTIFY_SUCCESS);
	wait_for("courier: body");
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
	h.answer.dsn = 0;
	send_letter(2, "a@x.example", "b@y.example", NOTIFY_SUCCESS);
	wait_for("courier: body");
	settle_down();
	assert_true(has(notice(), "relayed"));
}

static void hope_ends(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	house_fill("m1", "a@x.example", to, 1, 0, 5 * 86400 - 100, "x");
	house_fill("m2", "a@x.example", to, 1, 0, 5 * 86400 + 1, "x");
	answer(OUTCOME_LATER, 451, "4.4.1", "Not now");
	house_open(hold_notices);
	wait_for("courier: body");
	wait_for("courier: body");
	settle_down();
	struct store_rcpt r[4];
	size_t n = rows(r, 4), queued = 0, warned = 0;
	for (size_t i = 0; i < n; i++) {
		queued += r[i].state == RCPT_QUEUED;
		warned += r[i].delay_warned;
		if (str_eq(r[i].address, STR("a@x.example")))
			assert_true(has(text_of(id_of(&r[i])), "451 4.4.1 Not now"));
	}
	assert_int_equal(n, 3);       /* the younger one, its delay warning, the notice that the older has failed */
	assert_int_equal(queued, 1);
	assert_int_equal(warned, 1);
}

static void a_delay_is_told_once(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	house_fill("m1", "a@x.example", to, 1, 0, 4 * 3600 + 5, "x");
	house_fill("m2", "a@x.example", to, 1, NOTIFY_FAILURE, 4 * 3600 + 5, "x");
	house_fill("m3", "a@x.example", to, 1, 0, 4 * 3600 - 60, "x");
	answer(OUTCOME_LATER, 451, "4.4.1", "Not now");
	house_open(hold_notices);
	for (int i = 0; i < 3; i++)
		wait_for("courier: body");
	settle_down();
	assert_true(has(notice(), "delayed"));
	struct store_rcpt r[8];
	assert_int_equal(rows(r, 8), 4);
	command(CONTROL_RETRY, (struct store_selector){ .id = STR("m1") }, false);
	wait_for("courier: body");
	settle_down();
	assert_int_equal(rows(r, 8), 4);
}

static void a_bounce_that_fails_goes_to_the_postmaster(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" }, *const pm[] = { "PM@example.org" };
	house_fill("m1", "", to, 1, 0, 10, "Subject: a bounce\r\n\r\n");
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	house_open("");
	wait_for("courier: body");
	wait_for("porter: job  to pm@example.org and 0 more");
	settle_down(); /* the postmaster's mailbox refuses too */
	struct store_rcpt r = only_row();
	assert_str(r.address, "pm@example.org");
	assert_int_equal(r.state, RCPT_HELD);
	assert_true(has(text_of(id_of(&r)), "Subject: a bounce"));
	(void)pm;
}

static void a_notice_finds_who_is_behind_an_alias(void **state)
{
	(void)state;
	house_open("");
	h.alias.address = "sales+x@example.org";
	h.alias.targets[0] = "jada@example.org";
	h.alias.targets[1] = "sam@elsewhere.example";
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	h.hands_off = true;
	send_letter(1, "sales+x@example.org", "b@y.example", 0);
	wait_for("courier: job");
	h.hands_off = false;
	channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = h.jobs[0].job, .bytes = 99 });
	wait_for("keeper: asked sales+x@example.org");
	answer(OUTCOME_DONE, 250, "2.0.0", "ok");
	settle_down();
	assert_true(was_heard("porter: job  to jada@example.org and 0 more"));
	assert_true(was_heard("courier: job  to sam@elsewhere.example and 0 more"));
}

static void a_notice_waits_for_the_keeper(void **state)
{
	(void)state;
	house_open("");
	channel_close(&h.keeper.channel);
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	send_letter(1, "jada@example.org", "b@y.example", 0);
	wait_for("courier: body");
	for (int i = 0; i < 5; i++) { /* turns go by, and nothing is settled */
		channel_send(h.supervisor.channel, TO_ROLE_ASK_STATUS, &(struct to_role_ask_status){ .request = 1 });
		wait_for("supervisor: status");
	}
	struct store_rcpt r = only_row();
	assert_int_equal(r.state, RCPT_LEASED);
	answer(OUTCOME_DONE, 250, "2.0.0", "ok");
	link_keeper();
	wait_for("porter: job  to jada@example.org and 0 more");
	settle_down();
	assert_int_equal(rows(&r, 1), 0);
}

static void half_an_answer_of_the_keeper_counts_for_nothing(void **state)
{
	(void)state;
	house_open("");
	h.alias.address = "sales@example.org";
	h.alias.targets[0] = "jada@example.org";
	h.alias.goes_before_the_end = true;
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	send_letter(1, "sales@example.org", "b@y.example", 0);
	wait_for("keeper: asked sales@example.org");
	answer(OUTCOME_DONE, 250, "2.0.0", "ok");
	link_keeper();
	settle_down();
	assert_true(was_heard("porter: job  to jada@example.org and 0 more"));
}

static void a_notice_to_nobody_goes_to_the_postmaster(void **state)
{
	(void)state;
	house_open("");
	h.alias.address = "nobody@example.org";
	h.alias.verdict = RCPT_UNKNOWN;
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	h.hands_off = true;
	send_letter(1, "nobody@example.org", "b@y.example", 0);
	wait_for("courier: job");
	channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = h.jobs[0].job, .bytes = 99 });
	wait_for("porter: job  to pm@example.org and 0 more");
	struct store_rcpt r = only_row();
	assert_str(r.address, "pm@example.org");
}

static void the_postmaster_may_be_an_alias(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	h.alias.address = "pm@example.org";
	h.alias.targets[0] = "jada@example.org";
	house_fill("m1", "", to, 1, 0, 10, "Subject: a bounce\r\n\r\n");
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	house_open("");
	wait_for("courier: body");
	wait_for("porter: job  to jada@example.org and 0 more");
	settle_down(); /* whose mailbox refuses too: it ends here */
	struct store_rcpt r = only_row();
	assert_str(r.address, "jada@example.org");
	assert_int_equal(r.state, RCPT_HELD);
}

static void without_a_way_to_a_postmaster_it_is_held(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	h.alias.address = "pm@example.org";
	h.alias.verdict = RCPT_UNKNOWN;
	house_fill("m1", "", to, 1, 0, 10, "Subject: a bounce\r\n\r\n");
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	house_open("");
	wait_for("courier: body");
	settle_down();
	assert_str(only_row().address, "b@y.example");
	assert_int_equal(only_row().state, RCPT_HELD);
}

static void a_notice_that_cannot_be_stored_settles_nothing(void **state)
{
	(void)state;
	answer(OUTCOME_NEVER, 550, "5.1.1", "No");
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	h.commit_fault = F_LIMIT;
	channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = h.jobs[0].job, .bytes = 99 });
	wait_for("courier: body");
	unsigned before = h.commits;
	while (h.commits == before)
		send_letter(2, "a@x.example", "b@y.example", 0), wait_for("front: refused 2 452");
	assert_str(only_row().address, "b@y.example");
	h.commit_fault = OK;
	h.hands_off = false;
	answer(OUTCOME_DONE, 250, "2.0.0", "ok");
	wait_for("courier: job  to a@x.example"); /* a few seconds later both happen */
	settle_down();
}

static void the_operator_returns_to_the_sender(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example", "c@y.example", "d@y.example" };
	house_fill("m1", "a@x.example", to, 3, 0, 10, "Subject: s\r\n\r\n");
	answer(OUTCOME_LATER, 450, "4.2.1", "busy");
	house_open(hold_notices);
	wait_for("courier: body");
	settle_down();
	command(CONTROL_BOUNCE, (struct store_selector){ .from = STR("a@x.example") }, false);
	assert_true(was_heard("operator: end 0 3 recipients returned to the sender"));
	struct store_rcpt r = only_row(); /* one notice */
	assert_str(r.address, "a@x.example");
	assert_true(has(text_of(id_of(&r)), "administrator"));
	assert_true(has(text_of(id_of(&r)), "d@y.example"));
}

static void a_notice_says_that_the_content_cannot_be_read(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	house_fill("m1", "a@x.example", to, 1, 0, 10, "Subject: secret\r\n\r\n");
	answer(OUTCOME_LATER, 450, "4.2.1", "busy");
	house_open(hold_notices);
	wait_for("courier: body");
	settle_down();
	h.content_fault = F_SYS;
	command(CONTROL_BOUNCE, (struct store_selector){ .from = STR("a@x.example") }, false);
	h.content_fault = OK;
	struct store_rcpt r = only_row();
	assert_true(has(text_of(id_of(&r)), "Nothing of your message is returned: it could not be read here."));
	assert_false(has(text_of(id_of(&r)), "Subject: secret"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PREPARED(never_goes_back),
		PREPARED(test_attack_38_a_bounce_is_protected_like_its_message),
		PREPARED(everybody_gets_the_same_tag),
		PREPARED(one_notice_tells_all),
		PREPARED(notify_never_means_never),
		PREPARED(success_is_told_when_asked),
		PREPARED(what_is_expanded_is_told_once),
		PREPARED(relaying_is_told_unless_the_next_hop_does),
		PREPARED(hope_ends),
		PREPARED(a_delay_is_told_once),
		PREPARED(a_bounce_that_fails_goes_to_the_postmaster),
		PREPARED(a_notice_finds_who_is_behind_an_alias),
		PREPARED(a_notice_waits_for_the_keeper),
		PREPARED(half_an_answer_of_the_keeper_counts_for_nothing),
		PREPARED(a_notice_to_nobody_goes_to_the_postmaster),
		PREPARED(the_postmaster_may_be_an_alias),
		PREPARED(without_a_way_to_a_postmaster_it_is_held),
		OPEN(a_notice_that_cannot_be_stored_settles_nothing),
		PREPARED(the_operator_returns_to_the_sender),
		PREPARED(a_notice_says_that_the_content_cannot_be_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
