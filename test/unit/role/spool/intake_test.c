/* SPDX-License-Identifier: ISC */
/* The spool and its fronts: what is taken, what is refused, and when it is said to be ours. */
#include "unit.h"

#include "role/spool/house.h"

#include <string.h>

#include "role/spool/spool.h"

static void a_letter_goes_through(void **state)
{
	(void)state;
	send_letter(1, "a@x.example", "jada@example.org", 0);
	wait_for("front: begun 1");
	wait_for("front: taken 1 24");
	wait_for("front: stored 1");
	wait_for("porter: job a@x.example to jada@example.org and 0 more");
	wait_for("porter: body 24 whole");
	settle_down();
	assert_str(buf_view(&h.jobs[0].body), "Subject: hello\r\n\r\nbody\r\n");
	assert_string_equal(h.jobs[0].id, h.last_id);
	assert_string_equal(h.jobs[0].route_name, "/var/mail/{domain}/{local}");
	assert_string_equal(h.jobs[0].domain, "example.org");
	assert_int_equal(h.jobs[0].attempt, 1);
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
	/* The id is lower case letters and digits; its first nine are the millisecond, so later ones do not sort earlier. */
	assert_int_equal(strspn(h.last_id, "0123456789abcdefghijklmnopqrstuvwxyz"), strlen(h.last_id));
	char first[40];
	strcpy(first, h.last_id);
	send_letter(2, "a@x.example", "jada@example.org", 0);
	wait_for("front: stored 2");
	assert_true(strncmp(first, h.last_id, 9) <= 0);
	assert_string_not_equal(first, h.last_id);
}

static void stored_is_said_after_the_commit_only(void **state)
{
	(void)state;
	h.hands_off = true;
	say_begin(1, "a@x.example");
	say_rcpt(1, "b@y.example", 0);
	say_chunk(1, "x");
	wait_for("front: taken 1 1");
	assert_int_equal(h.commits, 0);
	say_finish(1, 1);
	wait_for("front: stored 1");
	assert_int_equal(h.commits, 1);
}

static void all_of_one_turn_share_a_commit(void **state)
{
	(void)state;
	h.hands_off = true;
	for (unsigned i = 1; i <= 20; i++)
		send_letter(i, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 20");
	assert_int_equal(h.commits, 1);
	assert_int_equal(h.most_messages, 20);
}

/* A spool that could not take its configuration lives on for a moment, and its neighbours know nothing of that. */
static void without_a_configuration_letters_are_refused(void **state)
{
	(void)state;
	house_begin();
	link_front();
	say_begin(1, "a@x.example");
	wait_for("front: refused 1 451 4.3.0");
	house_open("");
	send_letter(2, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 2");
}

static void what_is_wrong_is_refused(void **state)
{
	(void)state;
	say_begin(1, "not an address");
	wait_for("front: refused 1 501 5.1.7");
	say_begin(2, "a@x.example");
	say_rcpt(2, "not an address", 0);
	wait_for("front: refused 2 553 5.1.3");
	say_begin(3, "a@x.example");
	say_chunk(3, "abc");
	say_finish(3, 3);
	wait_for("front: refused 3 451 4.3.0"); /* no recipient */
	say_begin(4, "a@x.example");
	say_rcpt(4, "b@y.example", 0);
	say_chunk(4, "abc");
	say_finish(4, 4);
	wait_for("front: refused 4 451 4.3.0"); /* a byte is missing */
	say_begin(5, "a@x.example");
	say_rcpt(5, "b@y.example", 0);
	say_begin(5, "a@x.example");
	wait_for("front: refused 5 451 4.3.0"); /* the number is in use */
	say_begin(6, "a@x.example");
	say_rcpt(6, "b@y.example", 0);
	channel_send(h.front.channel, FRONT_ABORT, &(struct front_abort){ .txn = 6 });
	say_finish(6, 0);
	say_finish(77, 0); /* nobody knows it */
	settle_down();
	assert_int_equal(h.commits, 0);
	assert_false(was_heard("6 "));
}

static void routes_may_refuse(void **state)
{
	(void)state;
	house_open("route {\n to *.refuse.example refuse \"No mail for them\"\n otherwise direct\n}\n");
	say_begin(1, "a@x.example");
	say_rcpt(1, "b@un.refuse.example", 0);
	wait_for("front: refused 1 550 5.7.1 No mail for them");
}

static void a_message_too_large_is_refused(void **state)
{
	(void)state;
	house_open("limits {\n message-size 100K\n}\n");
	static char big[60001];
	memset(big, 'x', 60000);
	h.hands_off = true;
	say_begin(1, "a@x.example");
	say_rcpt(1, "b@y.example", 0);
	say_chunk(1, big);
	say_chunk(1, big);
	say_finish(1, 120000); /* a little more than the limit is for the lines that the front adds */
	wait_for("front: stored 1");
	say_begin(2, "a@x.example");
	say_rcpt(2, "b@y.example", 0);
	say_chunk(2, big);
	say_chunk(2, big);
	say_chunk(2, big);
	wait_for("front: refused 2 552 5.3.4");
}

static void too_many_recipients_are_refused(void **state)
{
	(void)state;
	enum { MOST = 100000 };
	h.hands_off = true;
	for (uint64_t txn = 1; txn <= 2; txn++) {
		say_begin(txn, "a@x.example");
		for (unsigned i = 0; i < MOST; i++)
			say_rcpt(txn, "b@held.example", 0);
		say_chunk(txn, "x");
		wait_for(txn == 1 ? "front: taken 1" : "front: taken 2");
	}
	say_begin(3, "a@x.example");
	say_rcpt(3, "b@y.example", 0);
	wait_for("front: refused 3 452 4.5.3"); /* the first two take all the room there is */
	say_rcpt(1, "b@y.example", 0);
	wait_for("front: refused 1 452 4.5.3"); /* one more than a message may have */
	send_letter(4, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 4");
	channel_send(h.front.channel, FRONT_ABORT, &(struct front_abort){ .txn = 2 });
}

static void too_many_messages_at_a_time_are_refused(void **state)
{
	(void)state;
	house_open("limits {\n connections 5\n}\n");
	for (uint64_t txn = 1; txn <= 11; txn++)
		say_begin(txn, "a@x.example");
	wait_for("front: begun 10");
	wait_for("front: refused 11 451 4.3.0");
}

static void a_front_that_dies_leaves_nothing_half(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	say_begin(2, "a@x.example");
	say_rcpt(2, "b@y.example", 0);
	say_chunk(2, "half");
	wait_for("front: taken 2 4");
	link_front();
	send_letter(2, "a@x.example", "c@y.example", 0); /* the new front counts from the beginning */
	wait_for("front: stored 2");
	struct store_rcpt r[4];
	assert_int_equal(rows(r, 4), 2);
	assert_str(r[1].address, "c@y.example");
}

static void failing_commits_are_told(void **state)
{
	(void)state;
	h.hands_off = true;
	h.commit_fault = F_LIMIT;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("front: refused 1 452 4.3.1");
	h.commit_fault = F_BUSY;
	send_letter(2, "a@x.example", "b@y.example", 0);
	wait_for("front: refused 2 451 4.3.0");
	h.commit_fault = OK;
	send_letter(3, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 3");
	h.commit_fault = F_STORE;
	say_begin(5, "a@x.example");
	send_letter(4, "a@x.example", "b@y.example", 0);
	wait_for("front: refused 5 451 4.3.0"); /* it was in the middle: its content is gone with the storage */
	wait_for("front: refused 4 451 4.3.0");
	wait_for("courier: release");
	send_letter(6, "a@x.example", "b@y.example", 0);
	wait_for("front: refused 6 451 4.3.0"); /* until it is open again */
	h.commit_fault = OK;
	wait_for("courier: job a@x.example to b@y.example and 0 more"); /* five seconds later */
	send_letter(7, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 7");
}

static void a_short_disk_refuses_early(void **state)
{
	(void)state;
	h.bytes_free = 1 << 20;
	house_open("");
	wait_for("front: shortage yes");
	say_begin(1, "a@x.example");
	wait_for("front: refused 1 452 4.3.1");
	h.bytes_free = UINT64_MAX;
	wait_for("front: shortage no");
	send_letter(2, "a@x.example", "jada@example.org", 0);
	wait_for("front: stored 2");
}

/* Just under the reserve mail is refused, at the reserve it is taken; once short, a quarter more is wanted. */
static void test_p7_the_reserve_to_the_byte(void **state)
{
	(void)state;
	h.bytes_free = SPOOL_RESERVE_BYTES - 1;
	house_open("");
	wait_for("front: shortage yes");
	send_letter(1, "a@x.example", "jada@example.org", 0);
	wait_for("front: refused 1 452 4.3.1");
	h.bytes_free = SPOOL_RESERVE_BYTES + SPOOL_RESERVE_BYTES / 4;
	wait_for("front: shortage no");
	h.bytes_free = SPOOL_RESERVE_BYTES;
	settle_down();
	send_letter(2, "a@x.example", "jada@example.org", 0);
	wait_for("front: stored 2");
	h.names_free = SPOOL_RESERVE_NAMES - 1;
	wait_for("front: shortage yes: The server's disk has no inodes left for new files");
	h.bytes_free = SPOOL_RESERVE_BYTES - 1; /* of both: room is what more people know */
	wait_for("front: shortage yes: The server's disk is full");
	h.bytes_free = UINT64_MAX;
	wait_for("front: shortage yes: The server's disk has no inodes");
	send_letter(3, "a@x.example", "jada@example.org", 0);
	wait_for("front: refused 3 452 4.3.1");
	h.names_free = SPOOL_RESERVE_NAMES + SPOOL_RESERVE_NAMES / 4;
	wait_for("front: shortage no");
	h.names_free = SPOOL_RESERVE_NAMES;
	send_letter(4, "a@x.example", "jada@example.org", 0);
	wait_for("front: stored 4");
}

/* What arrives when the reserve is reached may end, but not take more than half of it. */
static void test_p7_what_arrives_leaves_half_of_the_reserve(void **state)
{
	static char much[64 << 10];
	(void)state;
	house_open("limits {\n message-size 100M\n}\n");
	memset(much, 'x', sizeof much);
	say_begin(1, "a@x.example");
	say_rcpt(1, "jada@example.org", 0);
	wait_for("front: begun 1");
	h.bytes_free = SPOOL_RESERVE_BYTES / 2;
	for (int i = 0; i < 80; i++)
		say_bytes(1, (struct str){ much, sizeof much });
	wait_for("front: shortage yes");
	h.bytes_free = SPOOL_RESERVE_BYTES / 2 - 1;
	for (int i = 0; i < 80; i++)
		say_bytes(1, (struct str){ much, sizeof much });
	wait_for("front: refused 1 452 4.3.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPEN(a_letter_goes_through),
		OPEN(stored_is_said_after_the_commit_only),
		OPEN(all_of_one_turn_share_a_commit),
		PREPARED(without_a_configuration_letters_are_refused),
		OPEN(what_is_wrong_is_refused),
		PREPARED(routes_may_refuse),
		PREPARED(a_message_too_large_is_refused),
		OPEN(too_many_recipients_are_refused),
		PREPARED(too_many_messages_at_a_time_are_refused),
		OPEN(a_front_that_dies_leaves_nothing_half),
		OPEN(failing_commits_are_told),
		PREPARED(a_short_disk_refuses_early),
		PREPARED(test_p7_the_reserve_to_the_byte),
		PREPARED(test_p7_what_arrives_leaves_half_of_the_reserve),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
