/* SPDX-License-Identifier: ISC */
/* The contract of times that move, and of what an operator may choose and do. */
#include "unit.h"

#include "contract.h"

#include <stdio.h>

static void a_clock_that_was_wrong_is_mended(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("1@y", "y", NOW + 900000), rcpt_to("2@y", "z", NOW + 500) }, out[4];
	assert_int_equal(put(f, "m1", STR("x"), r, 2), OK);
	uint64_t n;
	assert_int_equal(f->ops->clamp(f->store, NOW - 10, NOW + 500, &n), OK);
	assert_int_equal(n, 1);
	struct store_message m;
	assert_int_equal(f->ops->message(f->store, STR("m1"), f->arena, &m), OK);
	assert_int_equal(m.arrived_s, NOW - 10);
	assert_int_equal(lease(f, NOW - 10, out, 4), 1);
	assert_str(out[0].address, "1@y");
	assert_int_equal(lease(f, NOW + 499, out + 1, 3), 1);
	assert_str(out[1].address, "1@y"); /* its lease was over */
}

static void times_move_together(void **state)
{
	struct fixture *f = *state;
	put_one(f, "m1", "a@x", "k");
	struct store_rcpt r;
	struct store_message m;
	size_t n;
	int64_t due_s;
	assert_int_equal(f->ops->shift(f->store, 5000), OK);
	assert_int_equal(f->ops->message(f->store, STR("m1"), f->arena, &m), OK);
	assert_int_equal(m.arrived_s, NOW + 5000);
	assert_false(m.damaged);
	assert_int_equal(f->ops->lease(f->store, NOW + 4999, 60, &anything, f->arena, &r, 1, &n, NULL), OK);
	assert_int_equal(n, 0);
	assert_int_equal(f->ops->shift(f->store, -6000), OK);
	assert_int_equal(f->ops->next_due(f->store, &anything, &due_s), OK);
	assert_true(due_s <= NOW - 1000);
	assert_int_equal(f->ops->lease(f->store, NOW - 1000, 60, &anything, f->arena, &r, 1, &n, NULL), OK);
	assert_int_equal(n, 1);
	assert_int_equal(r.next_s, NOW - 1000);
	assert_false(r.damaged);
	assert_int_equal(f->ops->shift(f->store, -2 * NOW), OK);
	assert_int_equal(f->ops->message(f->store, STR("m1"), f->arena, &m), OK);
	assert_int_equal(m.arrived_s, 0);
}

static void selectors_select(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("Bo@y.example", "y", NOW), rcpt_to("c@z.example", "z", NOW) }, out[9];
	assert_int_equal(put(f, "m1", STR("x"), r, 2), OK);
	assert_int_equal(put_from(f, "m2", "", STR("x"), r, 1), OK);
	const struct { struct store_selector which; size_t n; } cases[] = {
		{ { .id = STR_NONE }, 3 },
		{ { .id = STR("m1") }, 2 }, { { .id = STR("M1") }, 0 }, { { .id = STR("m") }, 0 },
		{ { .to = STR("bO@Y.example") }, 2 }, { { .to = STR("o@y.example") }, 0 },
		{ { .from = STR("A@x.example") }, 2 }, { { .from = STR("<>") }, 1 }, { { .from = STR("x") }, 0 },
		{ { .user = STR("JADA") }, 3 }, { { .user = STR("jad") }, 0 },
		{ { .domain = STR("Z.example") }, 1 }, { { .domain = STR("example") }, 0 },
		{ { .arrived_before_s = NOW + 1 }, 3 }, { { .arrived_before_s = NOW }, 0 },
		{ { .id = STR("m2"), .to = STR("bo@y.example"), .domain = STR("y.example") }, 1 },
		{ { .id = STR("m2"), .to = STR("c@z.example") }, 0 },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t n = 99;
		assert_int_equal(f->ops->list(f->store, &cases[i].which, 0, f->arena, out, 9, &n), OK);
		if (n != cases[i].n)
			fail_msg("case %zu: %zu rows", i, n);
		assert_int_equal(f->ops->claim(f->store, &cases[i].which, NOW, 60, f->arena, out, 9, &n, NULL), OK);
		assert_int_equal(n, cases[i].n);
		assert_int_equal(f->ops->reclaim(f->store, NULL), OK);
		uint64_t hit = 99;
		assert_int_equal(f->ops->act(f->store, &cases[i].which, ACT_RETRY, NOW, &hit), OK);
		assert_int_equal(hit, cases[i].n);
	}
}

static void a_list_goes_on_where_it_stopped(void **state)
{
	struct fixture *f = *state;
	char id[16];
	for (int i = 0; i < 25; i++) {
		snprintf(id, sizeof id, "m%d", i);
		put_one(f, id, "b@y", "y");
	}
	struct store_rcpt out[10];
	uint64_t after = 0;
	size_t n, total = 0;
	do {
		assert_int_equal(f->ops->list(f->store, &(struct store_selector){ 0 }, after, f->arena, out, 10, &n), OK);
		for (size_t i = 0; i < n; i++) {
			assert_true(out[i].number > after);
			after = out[i].number;
			snprintf(id, sizeof id, "m%zu", total++);
			assert_str(out[i].id, id);
		}
	} while (n > 0);
	assert_int_equal(total, 25);
}

static void the_operator_acts(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("1@y", "y", NOW + 500), rcpt_to("2@y", "y", NOW) }, out[4], none[4];
	assert_int_equal(put(f, "m1", STR("x"), r, 2), OK);
	struct store_selector all = { 0 }, one = { .to = STR("1@y") }, two = { .to = STR("2@y") };
	uint64_t n;
	assert_int_equal(lease(f, NOW, out, 4), 1);
	assert_str(out[0].address, "2@y");

	assert_int_equal(f->ops->act(f->store, &all, ACT_RETRY, NOW, &n), OK);
	assert_int_equal(n, 1); /* the leased one is being tried anyway */
	assert_int_equal(f->ops->act(f->store, &all, ACT_RELEASE, NOW, &n), OK);
	assert_int_equal(n, 0);
	assert_int_equal(f->ops->act(f->store, &all, ACT_HOLD, NOW, &n), OK);
	assert_int_equal(n, 2);
	assert_int_equal(f->ops->act(f->store, &all, ACT_HOLD, NOW, &n), OK);
	assert_int_equal(n, 0);
	assert_int_equal(settle(f, &out[0], SETTLE_DONE, 0), F_STATE); /* its fence is stale */
	assert_int_equal(lease(f, NOW + 9999, none, 4), 0);
	assert_int_equal(f->ops->act(f->store, &all, ACT_RETRY, NOW, &n), OK);
	assert_int_equal(n, 0);
	assert_int_equal(f->ops->act(f->store, &one, ACT_RELEASE, NOW, &n), OK);
	assert_int_equal(n, 1);
	assert_int_equal(lease(f, NOW, out, 4), 1);
	assert_str(out[0].address, "1@y");
	assert_str(out[0].key, STORE_RELEASED);
	assert_int_equal(f->ops->act(f->store, &one, ACT_REMOVE, NOW, &n), OK);
	assert_int_equal(n, 1);
	assert_int_equal(settle(f, &out[0], SETTLE_LATER, NOW), F_STATE);
	assert_int_equal(counts(f).held, 1);
	assert_int_equal(f->ops->act(f->store, &two, ACT_REMOVE, NOW, &n), OK);
	assert_int_equal(n, 1);
	assert_int_equal(counts(f).messages, 0);
	assert_int_equal(f->ops->act(f->store, &all, ACT_REMOVE, NOW, &n), OK);
	assert_int_equal(n, 0);
}

/* However often it is asked for: the attempt that follows costs no step of the schedule. */
static void an_attempt_that_is_asked_for_is_not_of_the_schedule(void **state)
{
	struct fixture *f = *state;
	struct store_selector all = { 0 };
	struct store_rcpt out[4];
	uint64_t n;
	put_one(f, "m1", "b@y", "y");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(lease(f, NOW + 1000 * i, out, 4), 1);
		assert_int_equal(out[0].attempts, i);
		assert_int_equal(settle(f, &out[0], SETTLE_LATER, NOW + 1000 * (i + 1)), OK);
	}
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned again = 0; again < 3; again++) {
			assert_int_equal(f->ops->act(f->store, &all, ACT_RETRY, NOW + 10 * i, &n), OK);
			assert_int_equal(n, 1);
		}
		assert_int_equal(lease(f, NOW + 10 * i, out, 4), 1);
		assert_int_equal(out[0].attempts, 2);
		assert_int_equal(settle(f, &out[0], SETTLE_LATER, NOW + 9000), OK);
	}
	assert_int_equal(lease(f, NOW + 9000, out, 4), 1); /* of the schedule again */
	assert_int_equal(out[0].attempts, 3);
	put_one(f, "m2", "never-tried@z", "z");
	assert_int_equal(settle(f, &out[0], SETTLE_DONE, 0), OK);
	assert_int_equal(f->ops->act(f->store, &all, ACT_RETRY, NOW - 5, &n), OK);
	assert_int_equal(lease(f, NOW, out, 4), 1);
	assert_int_equal(out[0].attempts, 0);
}

/* What a second attempt may do is not put off for ever by somebody who asks for one every minute. */
static void the_first_attempt_stays_made(void **state)
{
	struct fixture *f = *state;
	struct store_selector all = { 0 };
	struct store_rcpt out[4];
	uint64_t n;
	put_one(f, "m1", "b@y", "y");
	assert_int_equal(lease(f, NOW, out, 4), 1);
	assert_int_equal(settle(f, &out[0], SETTLE_LATER, NOW + 1000), OK);
	for (unsigned i = 1; i < 4; i++) {
		assert_int_equal(f->ops->act(f->store, &all, ACT_RETRY, NOW + 10 * i, &n), OK);
		assert_int_equal(lease(f, NOW + 10 * i, out, 4), 1);
		assert_int_equal(out[0].attempts, 1);
		struct store_outcome o = { .rcpt = out[0].number, .fence = out[0].fence, .kind = SETTLE_LATER, .next_s = NOW + 5000,
			                   .counts = i == 3 }; /* before that, nothing was tried, and it is asked for again */
		assert_int_equal(f->ops->commit(f->store, NULL, 0, &o, 1, NULL), OK);
	}
	assert_int_equal(lease(f, NOW + 5000, out, 4), 1);
	assert_int_equal(out[0].attempts, 2);
}

static void destinations_are_counted(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("1@b", "mx:b", NOW + 9), rcpt_to("2@b", "mx:b", NOW), rcpt_to("3@a", "mx:a", NOW + 1), rcpt_to("4@c", "mx:c", NOW),
		                  rcpt_to("5@d", "mx:d", NOW + 2), rcpt_to("6@a", "relay:x", NOW + 3) }, out[8];
	struct store_tally t[8];
	size_t n;
	r[3].state = RCPT_HELD;
	assert_int_equal(put(f, "m1", STR("x"), r, COUNT(r)), OK);
	assert_int_equal(lease(f, NOW, out, 8), 1); /* and counts all the same */
	assert_int_equal(f->ops->tally(f->store, STR_NONE, f->arena, t, 2, &n), OK);
	assert_int_equal(n, 2);
	assert_str(t[0].key, "mx:a");
	assert_int_equal(t[0].queued, 1);
	assert_int_equal(t[0].next_s, NOW + 1);
	assert_str(t[1].key, "mx:b");
	assert_int_equal(t[1].queued, 2);
	assert_int_equal(t[1].next_s, NOW);
	assert_int_equal(f->ops->tally(f->store, t[1].key, f->arena, t, 8, &n), OK);
	assert_int_equal(n, 2);
	assert_str(t[0].key, "mx:d");
	assert_str(t[1].key, "relay:x");
	assert_int_equal(f->ops->tally(f->store, t[1].key, f->arena, t, 8, &n), OK);
	assert_int_equal(n, 0);
}

int main(void)
{
	static const struct contract_case cases[] = {
		CASE(a_clock_that_was_wrong_is_mended),
		CASE(times_move_together),
		CASE(selectors_select),
		CASE(a_list_goes_on_where_it_stopped),
		CASE(the_operator_acts),
		CASE(an_attempt_that_is_asked_for_is_not_of_the_schedule),
		CASE(the_first_attempt_stays_made),
		CASE(destinations_are_counted),
	};
	return contract_run(cases, COUNT(cases));
}
