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
		assert_int_equal(f->ops->list(f->store, &cases[i].which, NULL, f->arena, out, 9, &n), OK);
		if (n != cases[i].n)
			fail_msg("case %zu: %zu rows", i, n);
		struct store_selector unchecked = cases[i].which;
		unchecked.unchecked = true;
		assert_int_equal(f->ops->list(f->store, &unchecked, NULL, f->arena, out, 9, &n), OK);
		assert_int_equal(n, cases[i].n);
		assert_int_equal(f->ops->list(f->store, &cases[i].which, NULL, NULL, NULL, 9, &n), OK);
		assert_int_equal(n, cases[i].n);
		assert_int_equal(f->ops->claim(f->store, NOW, 60, out, n, &n, NULL), OK);
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
	struct store_place place = { 0 };
	uint64_t after = 0;
	size_t n, total = 0;
	do {
		assert_int_equal(f->ops->list(f->store, &(struct store_selector){ 0 }, &place, f->arena, out, 10, &n), OK);
		if (total == 0)
			put_one(f, "late", "b@y", "y"); /* it came after the list began */
		for (size_t i = 0; i < n; i++) {
			assert_true(out[i].number > after);
			after = out[i].number;
			snprintf(id, sizeof id, "m%zu", total++);
			assert_str(out[i].id, id);
		}
	} while (!place.over);
	assert_int_equal(total, 25);
}

/* What is done once stays done, each by itself, whatever becomes of the row. */
static void who_was_released_stays_marked(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("1@y", "y", NOW), rcpt_to("2@y", "y", NOW) }, out[4];
	struct store_selector all = { 0 }, one = { .to = STR("1@y") };
	uint64_t n;
	assert_int_equal(put(f, "m1", STR("x"), r, 2), OK);
	assert_int_equal(f->ops->act(f->store, &one, ACT_HOLD, NOW, &n), OK);
	assert_int_equal(f->ops->act(f->store, &one, ACT_RELEASE, NOW, &n), OK);
	for (int turn = 0; turn < 3; turn++) {
		assert_int_equal(lease(f, NOW, out, 4), 2);
		for (size_t i = 0; i < 2; i++) {
			assert_int_equal(out[i].released, str_eq(out[i].address, STR("1@y")));
			assert_int_equal(out[i].delay_warned, turn == 2);
			struct store_outcome o = { .rcpt = out[i].number, .fence = out[i].fence, .kind = SETTLE_LATER, .next_s = NOW,
				                   .key = STR("y"), .delay_warned = turn == 1 };
			assert_int_equal(f->ops->commit(f->store, NULL, 0, &o, 1, NULL), OK);
			assert_int_equal(o.result, OK);
		}
		assert_int_equal(f->ops->act(f->store, &all, ACT_RETRY, NOW, &n), OK);
	}
	struct store_round round = { 0 };
	struct store_finding found[4];
	while (!round.over) {
		assert_int_equal(f->ops->verify(f->store, &round, 1 << 20, f->arena, found, 4, &n, NULL), OK);
		assert_int_equal(n, 0);
	}
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
	assert_int_equal(lease(f, NOW + 9999, none, 4), 0); /* the leased one is held now, too */
	assert_int_equal(settle(f, &out[0], SETTLE_DONE, 0), F_STATE);
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

/* Nobody can know how far it has got: who has the lease settles it. */
static void what_is_held_while_it_is_leased_keeps_its_lease(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("1@y", "y", NOW), rcpt_to("2@y", "y", NOW), rcpt_to("3@y", "y", NOW) }, out[4], none[4];
	struct store_selector all = { 0 }, third = { .to = STR("3@y") };
	uint64_t n;
	assert_int_equal(put(f, "m1", STR("x"), r, 3), OK);
	assert_int_equal(lease(f, NOW, out, 4), 3);
	assert_false(f->ops->is_held(f->store, out[0].number));
	assert_int_equal(f->ops->act(f->store, &all, ACT_HOLD, NOW, &n), OK);
	assert_int_equal(n, 3);
	assert_int_equal(f->ops->act(f->store, &all, ACT_HOLD, NOW, &n), OK);
	assert_int_equal(n, 0);
	assert_int_equal(counts(f).leased, 3);
	assert_true(f->ops->is_held(f->store, out[0].number));
	assert_int_equal(f->ops->renew(f->store, out[0].number, out[0].fence, NOW + 60), OK);
	assert_int_equal(settle(f, &out[0], SETTLE_DONE, 0), OK);
	assert_int_equal(settle(f, &out[1], SETTLE_HELD, NOW), OK);
	assert_int_equal(counts(f).held, 1);
	assert_int_equal(f->ops->act(f->store, &third, ACT_RELEASE, NOW, &n), OK);
	assert_int_equal(n, 1);
	assert_false(f->ops->is_held(f->store, out[2].number));
	assert_int_equal(f->ops->act(f->store, &third, ACT_RELEASE, NOW, &n), OK);
	assert_int_equal(n, 0);
	assert_int_equal(lease(f, NOW, none, 4), 0); /* it is leased still */
	assert_int_equal(settle(f, &out[2], SETTLE_LATER, NOW + 5), OK);
	assert_int_equal(lease(f, NOW + 5, out, 4), 1);
	assert_false(f->ops->is_held(f->store, out[0].number));
	assert_int_equal(f->ops->act(f->store, &all, ACT_HOLD, NOW, &n), OK);
	assert_int_equal(n, 1);
	assert_int_equal(f->ops->reclaim(f->store, NULL), OK); /* as at the next start */
	assert_int_equal(counts(f).held, 2);
	assert_int_equal(lease(f, NOW + 9999, none, 4), 0);
}

/* What was held before somebody settles it for the operator is no order to hold it. */
static void a_claim_is_no_hold(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("1@y", "y", NOW) }, out[4];
	struct store_selector all = { 0 };
	uint64_t did;
	size_t n;
	assert_int_equal(put(f, "m1", STR("x"), r, 1), OK);
	assert_int_equal(f->ops->act(f->store, &all, ACT_HOLD, NOW, &did), OK);
	assert_int_equal(f->ops->list(f->store, &all, NULL, f->arena, out, 4, &n), OK);
	assert_int_equal(f->ops->claim(f->store, NOW, 60, out, n, &n, NULL), OK);
	assert_int_equal(n, 1);
	assert_false(f->ops->is_held(f->store, out[0].number));
	assert_int_equal(f->ops->act(f->store, &all, ACT_RELEASE, NOW, &did), OK);
	assert_int_equal(did, 0);
	assert_int_equal(f->ops->act(f->store, &all, ACT_HOLD, NOW, &did), OK);
	assert_int_equal(did, 1);
	assert_true(f->ops->is_held(f->store, out[0].number));
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

/* In parts, as it is listed. */
static size_t counted(struct fixture *f, const struct store_selector *which)
{
	struct store_place place = { 0 };
	size_t n, all = 0;
	for (; !place.over; all += n)
		assert_int_equal(f->ops->list(f->store, which, &place, NULL, NULL, 7, &n), OK);
	return all;
}

/* Those of one domain, whatever has become of them so far, each once; and nothing but them is acted on. */
static void a_domain_is_found_in_parts(void **state)
{
	struct fixture *f = *state;
	struct store_selector y = { .domain = STR("Y.example") };
	struct store_rcpt out[3];
	struct store_place place = { 0 };
	char id[16];
	size_t n, seen = 0, acted = 0;
	for (int i = 0; i < 40; i++) {
		struct store_rcpt r[] = { rcpt_to("a@Y.example", "mx:y", NOW + i % 2 * 500), rcpt_to("\"b@y.example\"@x.example", "mx:x", NOW + 500),
			                  rcpt_to("c@z.y.example", "mx:z", NOW + 500) };
		snprintf(id, sizeof id, "m%02d", i);
		r[0].state = i % 5 == 4 ? RCPT_HELD : RCPT_QUEUED;
		assert_int_equal(put(f, id, STR("x"), r, COUNT(r)), OK);
	}
	for (int i = 0; i < 4 && lease(f, NOW, out, 3) > 0; i++)
		for (size_t k = 0; k < 3; k++)
			assert_int_equal(settle(f, &out[k], SETTLE_LATER, NOW + 100), OK);
	assert_int_equal(counted(f, &y), 40);
	while (!place.over) {
		bool did[3];
		y.unchecked = !y.unchecked;
		assert_int_equal(f->ops->list(f->store, &y, &place, f->arena, out, 3, &n), OK);
		for (size_t i = 0; i < n; i++)
			assert_true(str_eq(out[i].address, STR("a@Y.example")) && str_eq(out[i].sender, STR("a@x.example")));
		seen += n;
		assert_int_equal(f->ops->act_on(f->store, out, n, ACT_REMOVE, NOW, did), OK);
		for (size_t i = 0; i < n; i++)
			acted += did[i];
		if (seen == 3)
			put_one(f, "late", "late@y.example", "mx:y"); /* not one of them */
	}
	assert_int_equal(seen, 40);
	assert_int_equal(acted, 40);
	assert_int_equal(f->ops->list(f->store, &y, NULL, f->arena, out, 3, &n), OK);
	assert_int_equal(n, 1);
	assert_str(out[0].id, "late");
	assert_int_equal(counts(f).messages, 41);
}

/* Its content began to arrive before others came that have been tried by now. */
static void what_was_arriving_is_found_by_domain(void **state)
{
	struct fixture *f = *state;
	struct store_selector y = { .domain = STR("y.example") };
	struct store_rcpt slow = rcpt_to("slow@y.example", "mx:y", NOW), out[4];
	struct store_commit c = { .draft = draft_of(f, STR("x")), .message = { .id = STR("slow"), .arrived_s = NOW }, .rcpts = &slow, .n_rcpts = 1 };
	size_t n;
	put_one(f, "quick", "quick@y.example", "mx:y");
	assert_int_equal(lease(f, NOW, out, 4), 1);
	assert_int_equal(settle(f, &out[0], SETTLE_LATER, NOW + 100), OK);
	assert_int_equal(f->ops->list(f->store, &y, NULL, f->arena, out, 4, &n), OK);
	assert_int_equal(n, 1);
	assert_int_equal(f->ops->commit(f->store, &c, 1, NULL, 0, NULL), OK);
	assert_int_equal(f->ops->list(f->store, &y, NULL, f->arena, out, 4, &n), OK);
	assert_int_equal(n, 2);
}

/* As a look at every row has it. */
static void assert_counts(struct fixture *f)
{
	struct store_rcpt out[32];
	struct store_place place = { 0 };
	struct store_counts seen = { 0 }, told = counts(f);
	while (!place.over) {
		size_t n;
		assert_int_equal(f->ops->list(f->store, &(struct store_selector){ 0 }, &place, f->arena, out, 32, &n), OK);
		for (size_t i = 0; i < n; i++) {
			seen.queued += out[i].state == RCPT_QUEUED;
			seen.leased += out[i].state == RCPT_LEASED;
			seen.held += out[i].state == RCPT_HELD;
			seen.damaged += out[i].state == RCPT_DAMAGED;
		}
	}
	assert_int_equal(told.queued, seen.queued);
	assert_int_equal(told.leased, seen.leased);
	assert_int_equal(told.held, seen.held);
	assert_int_equal(told.damaged, seen.damaged);
}

static void counts_stay_true(void **state)
{
	static const enum settle_kind kinds[] = { SETTLE_LATER, SETTLE_HELD, SETTLE_DAMAGED, SETTLE_DONE };
	struct fixture *f = *state;
	struct store_selector all = { 0 };
	struct store_rcpt r[12], out[12], claimed[12];
	size_t n;
	for (size_t i = 0; i < COUNT(r); i++) {
		r[i] = rcpt_to("b@y", "y", NOW);
		r[i].state = i % 6 == 5 ? RCPT_HELD : RCPT_QUEUED;
	}
	assert_int_equal(put(f, "m1", STR("twelve"), r, COUNT(r)), OK);
	assert_int_equal(put(f, "m1", STR("twelve"), r, COUNT(r)), F_EXISTS);
	assert_counts(f);
	assert_int_equal(lease(f, NOW, out, 6), 6);
	assert_counts(f);
	for (size_t i = 0; i < COUNT(kinds); i++) {
		assert_int_equal(settle(f, &out[i], kinds[i], NOW), OK);
		assert_counts(f);
	}
	assert_int_equal(f->ops->set_aside(f->store, out[4].number, STR("why"), NULL), OK);
	assert_counts(f);
	static const enum operator_action actions[] = { ACT_HOLD, ACT_RETRY, ACT_RELEASE, ACT_HOLD, ACT_RELEASE };
	for (size_t i = 0; i < COUNT(actions); i++) {
		uint64_t did;
		assert_int_equal(f->ops->act(f->store, &all, actions[i], NOW, &did), OK);
		assert_counts(f);
	}
	assert_int_equal(f->ops->act(f->store, &all, ACT_HOLD, NOW, &(uint64_t){ 0 }), OK);
	assert_int_equal(f->ops->list(f->store, &all, NULL, f->arena, claimed, 4, &n), OK);
	assert_int_equal(f->ops->claim(f->store, NOW, 60, claimed, n, &n, NULL), OK);
	assert_int_equal(n, 4);
	assert_counts(f);
	assert_int_equal(settle(f, &claimed[0], SETTLE_LATER, NOW), OK);
	assert_int_equal(settle(f, &claimed[1], SETTLE_DONE, NOW), OK);
	assert_counts(f);
	assert_int_equal(f->ops->act(f->store, &all, ACT_REMOVE, NOW, &(uint64_t){ 0 }), OK);
	assert_counts(f);
	assert_int_equal(counts(f).messages, 0);
	assert_int_equal(counts(f).content_bytes, 0);
}

static void recipients_at_a_glance(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("1@b", "mx:b", NOW), rcpt_to("2@b", "mx:b", NOW + 9), rcpt_to("3@a", "mx:a", NOW + 1) }, out[8];
	struct store_glance g[8];
	size_t n;
	r[2].state = RCPT_HELD;
	assert_int_equal(put(f, "m1", STR("x"), r, 2), OK);
	assert_int_equal(put(f, "m2", STR("x"), &r[2], 1), OK);
	assert_int_equal(lease(f, NOW, out, 8), 1);
	assert_int_equal(f->ops->glance(f->store, 0, f->arena, g, 2, &n), OK);
	assert_int_equal(n, 2);
	assert_str(g[0].address, "1@b");
	assert_str(g[0].key, "mx:b");
	assert_int_equal(g[0].state, RCPT_LEASED);
	assert_int_equal(g[1].state, RCPT_QUEUED);
	assert_int_equal(g[1].next_s, NOW + 9);
	assert_int_equal(f->ops->glance(f->store, g[1].number, f->arena, g, 8, &n), OK);
	assert_int_equal(n, 1);
	assert_str(g[0].address, "3@a");
	assert_int_equal(g[0].state, RCPT_HELD);
	struct store_message m;
	assert_int_equal(f->ops->message(f->store, STR("m2"), f->arena, &m), OK);
	assert_int_equal(g[0].arrived_s, m.arrived_s);
	assert_int_equal(f->ops->glance(f->store, g[0].number, f->arena, g, 8, &n), OK);
	assert_int_equal(n, 0);
}

int main(void)
{
	static const struct contract_case cases[] = {
		CASE(a_clock_that_was_wrong_is_mended),
		CASE(times_move_together),
		CASE(selectors_select),
		CASE(a_list_goes_on_where_it_stopped),
		CASE(who_was_released_stays_marked),
	CASE(the_operator_acts),
		CASE(what_is_held_while_it_is_leased_keeps_its_lease),
		CASE(a_claim_is_no_hold),
		CASE(an_attempt_that_is_asked_for_is_not_of_the_schedule),
		CASE(the_first_attempt_stays_made),
		CASE(a_domain_is_found_in_parts),
		CASE(what_was_arriving_is_found_by_domain),
		CASE(counts_stay_true),
		CASE(recipients_at_a_glance),
	};
	return contract_run(cases, COUNT(cases));
}
