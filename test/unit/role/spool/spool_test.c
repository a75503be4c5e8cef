/* SPDX-License-Identifier: ISC */
/* The spool among cardboard neighbours: asking on behalf of others, changes of workers and configuration, clocks, the end. */
#include "unit.h"

#include "role/spool/house.h"

#include "ipc/resolver.h"
#include "role/spool/spool.h"
#include "sys/clock.h"

static void a_clock_that_jumps_expires_nothing(void **state)
{
	(void)state;
	answer(OUTCOME_LATER, 450, "4.2.1", "busy");
	for (int i = 0; i < 2; i++) {
		h.wall_jump_s = (i == 0 ? 10 : -10) * 365LL * 86400;
		send_letter((uint64_t)i + 1, "a@x.example", "b@y.example", 0);
		wait_for("courier: body");
		settle_down();
		struct store_rcpt r[4];
		assert_int_equal(rows(r, 4), i + 1);
		for (int k = 0; k <= i; k++) {
			assert_int_equal(r[k].state, RCPT_QUEUED);
			assert_false(r[k].delay_warned);
			assert_in_range(r[k].next_s - (clock_wall_s() - h.wall_jump_s), 200, 400);
		}
	}
	command(CONTROL_RETRY, everything, false);
	wait_for("courier: body");
	wait_for("courier: body");
	settle_down();
	struct store_rcpt r[4];
	assert_int_equal(rows(r, 4), 2);
	assert_int_equal(r[0].attempts, 2);
}

static void the_queues_time_is_the_wall_clocks(void **state)
{
	(void)state;
	struct store_message m;
	struct arena *a = arena_new(1 << 20);
	h.ahead_ms += 999;
	h.wall_jump_s += 1;
	int64_t before_s = clock_wall_s();
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 1");
	assert_int_equal(store_memory.message(h.store, str_of(h.last_id), a, &m), OK);
	assert_in_range(m.arrived_s, before_s, clock_wall_s());
	arena_free(&a);
}

/* Timers that are due fire before what is asked then is answered. */
static void a_moment_passes(void)
{
	for (int i = 0; i < 2; i++) {
		h.passed = buf_view(&h.heard).n;
		channel_send(h.supervisor.channel, TO_ROLE_ASK_STATUS, &(struct to_role_ask_status){ .request = 1 });
		wait_for("supervisor: status");
	}
}

/* The store gives back what a burst needed, but not in the middle of it. */
static void it_rests_when_nothing_is_stored(void **state)
{
	(void)state;
	enum { LOOK_MS = 2000 };
	h.hands_off = true;
	for (uint64_t i = 1; i <= 3; i++) {
		send_letter(i, "a@x.example", "b@y.example", 0);
		wait_for(i == 1 ? "front: stored 1" : i == 2 ? "front: stored 2" : "front: stored 3");
		h.ahead_ms += LOOK_MS;
		a_moment_passes();
	}
	assert_int_equal(h.rests, 0);
	h.ahead_ms += LOOK_MS;
	a_moment_passes();
	assert_int_equal(h.rests, 1);
}

static void ask_to_verify(uint64_t request, const char *address)
{
	channel_send(h.front.channel, FRONT_VERIFY,
	             &(struct front_verify){ .request = request, .address = str_of(address), .sender = STR("a@x.example") });
}

static void recipients_are_verified_once(void **state)
{
	(void)state;
	answer(OUTCOME_NEVER, 550, "5.1.1", "No such user");
	ask_to_verify(1, "b@y.example");
	ask_to_verify(2, "b@y.example");
	wait_for("front: verified 1 550 5.1.1 No such user");
	wait_for("front: verified 2 550 5.1.1 No such user");
	answer(OUTCOME_DONE, 250, "2.1.5", "fine");
	ask_to_verify(3, "b@y.example");
	wait_for("front: verified 3 550 5.1.1 No such user"); /* remembered */
	assert_int_equal(h.n_jobs, 1);
	assert_int_equal(h.jobs[0].purpose, JOB_VERIFY);
	ask_to_verify(4, "c@y.example");
	wait_for("front: verified 4 250 2.1.5 fine");
	answer(OUTCOME_LATER, 451, "4.7.1", "Greylisted");
	ask_to_verify(5, "d@y.example");
	wait_for("front: verified 5 451 4.7.1 Greylisted");
	answer(OUTCOME_DONE, 250, "2.1.5", "fine");
	ask_to_verify(6, "d@y.example"); /* "later" is not remembered */
	wait_for("front: verified 6 250 2.1.5 fine");
	ask_to_verify(7, "jada@example.org");
	wait_for("front: verified 7 250");
	ask_to_verify(8, "no address");
	wait_for("front: verified 8 553");
	h.hands_off = true;
	ask_to_verify(9, "e@y.example");
	wait_for("courier: job a@x.example to e@y.example");
	link_worker(&h.courier);
	wait_for("front: verified 9 450");
}

static void observations_come_back(void **state)
{
	(void)state;
	channel_send(h.resolver.channel, KEEP_OBSERVATION,
	             &(struct keep_observation){ .key = STR("mta-sts/y"), .value = STR("enforce"),
	                                         .expires_s = clock_wall_s() + 100 });
	settle_down();
	struct arena *a = arena_new(1 << 20);
	house_close();
	arena_free(&a);
	house_prepare();
	assert_int_equal(store_memory.remember(h.store, STR("mta-sts/z"), STR("testing"), clock_wall_s() + 100), OK);
	assert_int_equal(store_memory.remember(h.store, STR("other/z"), STR("verify"), clock_wall_s() + 100), OK);
	house_open("");
	wait_for("resolver: kept mta-sts/z=testing");
	wait_for("resolver: kept =");
	assert_false(was_heard("kept other/z"));
	assert_false(was_heard("kept spool:clock"));
}

/* A worker that makes room for its successor: what it has begun, what it gives back, what comes meanwhile. */
static void a_worker_rests(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job a@x.example to b@y.example");
	send_letter(2, "a@x.example", "c@y.example", 0);
	wait_for("courier: job a@x.example to c@y.example");
	channel_send(h.courier.channel, FROM_WORKER_RESTING, &(struct from_worker_resting){ 0 });
	channel_send(h.courier.channel, FROM_WORKER_GIVEN_BACK, &(struct from_worker_given_back){ .job = h.jobs[1].job });
	send_letter(3, "a@x.example", "d@y.example", 0);
	wait_for("front: stored 3");
	assert_false(was_heard("rested"));
	channel_send(h.courier.channel, FROM_WORKER_OUTCOME, &(struct from_worker_outcome){ .job = h.jobs[0].job, .code = 250 });
	channel_send(h.courier.channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = h.jobs[0].job });
	wait_for("courier: rested");
	assert_int_equal(h.n_jobs, 2);
	link_worker(&h.courier);
	wait_for("courier: job a@x.example to d@y.example");
	wait_for("courier: job a@x.example to c@y.example");
	assert_int_equal(h.n_jobs, 4);
	assert_int_equal(h.jobs[3].attempt, 1); /* the first one was none */
}

static void letters_that_nobody_has_follow_a_new_configuration(void **state)
{
	(void)state;
	h.hands_off = true;
	house_open("route {\n to z.example relay old\n otherwise direct\n}\nrelay old {\n host old.example:25\n tls starttls verify\n}\n");
	channel_send(h.courier.channel, FROM_WORKER_RESTING, &(struct from_worker_resting){ 0 });
	wait_for("courier: rested");
	send_letter(1, "a@x.example", "b@z.example", 0);
	wait_for("front: stored 1");
	house_configure("route {\n to z.example relay new\n otherwise direct\n}\nrelay new {\n host new.example:25\n tls starttls verify\n}\n");
	link_worker(&h.courier);
	wait_for("courier: job a@x.example to b@z.example");
	assert_string_equal(h.jobs[0].route_name, "new");
}

static void it_drains(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	channel_send(h.supervisor.channel, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 10000 });
	send_letter(2, "a@x.example", "b@y.example", 0);
	wait_for("front: refused 2 451 4.3.0");
	assert_false(was_heard("drained"));
	channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = h.jobs[0].job, .bytes = 99 });
	wait_for("supervisor: drained");
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
}

static void draining_ends_in_time(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	channel_send(h.supervisor.channel, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 50 });
	wait_for("courier: release");
	wait_for("supervisor: drained");
}

static void a_wrong_clock_does_not_stall(void **state)
{
	(void)state;
	static const char *const to[] = { "b@y.example" };
	house_fill("m1", "a@x.example", to, 1, 0, -10 * 365 * 86400, "x"); /* it arrived in ten years */
	house_open("");
	wait_for("courier: job a@x.example to b@y.example");
	settle_down();
	struct store_rcpt r[1];
	assert_int_equal(rows(r, 1), 0);
}

static void garbage_closes_the_channel_only(void **state)
{
	(void)state;
	/* A frame with a kind that the arrow does not have: the channel is closed, the role lives on. */
	channel_send(h.courier.channel, FROM_WORKER_RENEW, &(struct from_worker_renew){ .job = 12345 });
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job");
	channel_send(h.courier.channel, FROM_WORKER_RENEW, &(struct from_worker_renew){ .job = h.jobs[0].job });
	channel_send(h.courier.channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = h.jobs[0].job, .bytes = 99 });
	wait_for("courier: body 24 whole");
	settle_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPEN(a_clock_that_jumps_expires_nothing),
		OPEN(the_queues_time_is_the_wall_clocks),
		OPEN(it_rests_when_nothing_is_stored),
		OPEN(recipients_are_verified_once),
		OPEN(observations_come_back),
		OPEN(a_worker_rests),
		PREPARED(letters_that_nobody_has_follow_a_new_configuration),
		OPEN(it_drains),
		OPEN(draining_ends_in_time),
		PREPARED(a_wrong_clock_does_not_stall),
		OPEN(garbage_closes_the_channel_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
