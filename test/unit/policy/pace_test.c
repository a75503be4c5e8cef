/* SPDX-License-Identifier: ISC */
/* How a destination's allowance grows, shrinks and comes back; its rate; what replies show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "policy/pace.h"

enum { MIDDLE = 200, LONG = INT32_MAX }; /* of chance: neither longer nor shorter */
static const struct pace_limits twenty = { .concurrency = 20 };

static unsigned room(const struct pace *p, unsigned in_hand, int64_t now_ms)
{
	int64_t again_ms;
	return pace_room(p, in_hand, now_ms, &again_ms);
}

static void ends(struct pace *p, enum pace_sign sign, int64_t began_ms, int64_t now_ms)
{
	pace_ended(p, sign, began_ms, now_ms, LONG, MIDDLE);
}

static void it_doubles_up_to_the_ceiling(void **state)
{
	(void)state;
	struct pace p;
	pace_init(&p, &twenty);
	assert_int_equal(room(&p, 0, 0), PACE_BEGINS_WITH);
	assert_int_equal(room(&p, 3, 0), PACE_BEGINS_WITH - 3);
	for (int i = 0; i < 5; i++)
		ends(&p, PACE_GOOD, 1, 2);
	assert_int_equal(p.before, 0);
	assert_int_equal(p.allowance, 10);
	for (int i = 0; i < 100; i++)
		ends(&p, PACE_GOOD, 1, 2);
	assert_int_equal(p.allowance, 20);
	int64_t again_ms;
	assert_int_equal(pace_room(&p, 20, 9, &again_ms), 0);
	assert_true(again_ms == INT64_MAX);
}

/* All that was under way together counts as one trouble. */
static void trouble_halves_once_for_what_was_under_way(void **state)
{
	(void)state;
	struct pace p;
	pace_init(&p, &twenty);
	for (int i = 0; i < 20; i++)
		ends(&p, PACE_GOOD, 1, 2);
	ends(&p, PACE_TROUBLE, 10, 20);
	assert_int_equal(p.before, 20);
	assert_int_equal(p.allowance, 10);
	for (int i = 0; i < 5; i++)
		ends(&p, PACE_TROUBLE, 15, 25);
	assert_int_equal(p.allowance, 10);
	ends(&p, PACE_GOOD, 15, 26);
	ends(&p, PACE_TROUBLE, 21, 30); /* that one began later */
	assert_int_equal(p.allowance, 5);
	assert_int_equal(p.before, 20);
	/* Beyond where it was too much it grows slowly, and is slowed until it is as before. */
	unsigned n = 0;
	for (; p.before > 0 && n < 1000; n++) {
		assert_in_range(p.allowance, 5, 19);
		ends(&p, PACE_GOOD, 31, 40);
	}
	assert_int_equal(p.allowance, 20);
	assert_in_range(n, 100, 250);
}

static void half_of_it_failing_in_a_row_is_dead(void **state)
{
	(void)state;
	struct pace p;
	pace_init(&p, &twenty);
	for (int i = 0; i < 20; i++)
		ends(&p, PACE_GOOD, 1, 2);
	for (int i = 0; i < 9; i++)
		ends(&p, PACE_TROUBLE, 10, 20);
	assert_int_equal(p.state, PACE_PROVEN);
	ends(&p, PACE_TROUBLE, 10, 20);
	assert_int_equal(p.state, PACE_RESTING);
	assert_int_equal(room(&p, 10, 21), 0);
	assert_int_equal(room(&p, 0, 20 + PACE_REST_MS - 1), 0);
	/* What comes home of the others makes it no longer, nor does it count as a probe. */
	ends(&p, PACE_TROUBLE, 15, 20 + PACE_REST_MS - 1);
	assert_int_equal(room(&p, 0, 20 + PACE_REST_MS), 1);
	assert_int_equal(room(&p, 1, 20 + PACE_REST_MS), 0); /* one at a time */
}

static void rests_grow_and_have_an_end(void **state)
{
	(void)state;
	static const int64_t lengths_ms[] = { 15000, 30000, 60000, 120000, 240000, 300000, 300000 };
	struct pace p;
	int64_t now_ms = 100, again_ms;
	pace_init(&p, &twenty);
	for (size_t i = 0; i < COUNT(lengths_ms); i++) {
		ends(&p, PACE_TROUBLE, now_ms, now_ms + 7); /* the first attempt ever is enough */
		assert_int_equal(pace_room(&p, 0, now_ms + 7, &again_ms), 0);
		assert_int_equal(again_ms, now_ms + 7 + lengths_ms[i]);
		now_ms = again_ms;
		assert_int_equal(room(&p, 0, now_ms), 1);
	}
	/* It answers: at once it gets what it got at first. */
	assert_int_equal(p.state, PACE_RESTING);
	ends(&p, PACE_GOOD, now_ms, now_ms + 5);
	assert_int_equal(p.state, PACE_PROVEN);
	assert_int_equal(p.before, 0);
	assert_true(room(&p, 0, now_ms + 5) >= PACE_BEGINS_WITH);
	ends(&p, PACE_TROUBLE, now_ms + 6, now_ms + 8);
	ends(&p, PACE_TROUBLE, now_ms + 6, now_ms + 8);
	ends(&p, PACE_TROUBLE, now_ms + 6, now_ms + 8);
	(void)pace_room(&p, 0, now_ms + 8, &again_ms);
	assert_int_equal(again_ms, now_ms + 8 + 15000); /* and the next rest is a short one */
}

/* Whoever asks again and again does not make it worse; what fails by itself does. */
static void a_rest_that_was_ended_grows_no_longer(void **state)
{
	(void)state;
	struct pace p;
	int64_t now_ms = 100, again_ms;
	pace_init(&p, &twenty);
	ends(&p, PACE_TROUBLE, now_ms, now_ms);
	for (int i = 0; i < 5; i++) {
		assert_false(pace_wake(&p, now_ms - 1, now_ms)); /* it began later */
		assert_true(pace_wake(&p, now_ms, now_ms));
		assert_false(pace_wake(&p, now_ms, now_ms));
		assert_int_equal(room(&p, 0, now_ms), 1);
		now_ms += 10;
		ends(&p, PACE_TROUBLE, now_ms - 5, now_ms);
		assert_int_equal(pace_room(&p, 0, now_ms, &again_ms), 0);
		assert_int_equal(again_ms, now_ms + PACE_REST_MS);
	}
	assert_false(pace_wake(&p, again_ms, again_ms)); /* it is over */
	ends(&p, PACE_TROUBLE, again_ms, again_ms + 1);
	assert_int_equal(room(&p, 0, again_ms + 1 + 2 * PACE_REST_MS - 1), 0);
}

static void a_rest_keeps_to_what_the_caller_bears(void **state)
{
	(void)state;
	static const struct { int64_t most, random, is; } cases[] = {
		{ LONG, 0, 12000 }, { LONG, 400, 18000 }, { LONG, 200, 15000 }, { 4000, 200, 4000 }, { 4000, 0, 4000 },
		{ 0, 200, PACE_REST_MS_MIN }, { -5, 0, PACE_REST_MS_MIN }, { PACE_REST_MS_MIN + 1, 0, PACE_REST_MS_MIN + 1 },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct pace p;
		int64_t again_ms;
		pace_init(&p, &twenty);
		pace_ended(&p, PACE_TROUBLE, 1, 10, cases[i].most, (uint64_t)cases[i].random);
		(void)pace_room(&p, 0, 10, &again_ms);
		assert_int_equal(again_ms - 10, cases[i].is);
	}
	/* The longest of all, whatever chance says. */
	struct pace p;
	int64_t now_ms = 1, again_ms;
	pace_init(&p, &twenty);
	for (int i = 0; i < 12; i++) {
		pace_ended(&p, PACE_TROUBLE, now_ms, now_ms + 1, LONG, 400);
		(void)pace_room(&p, 0, now_ms + 1, &again_ms);
		assert_true(again_ms - now_ms - 1 <= PACE_REST_MS_MAX);
		now_ms = again_ms;
	}
}

/* One mailbox is not the host: only many in a row, without a success between. */
static void refusals_of_one_recipient_are_borne(void **state)
{
	(void)state;
	struct pace p;
	pace_init(&p, &twenty);
	for (int i = 0; i < 20; i++)
		ends(&p, PACE_GOOD, 1, 2);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < PACE_SOFT_MAX - 1; i++)
			ends(&p, PACE_SOFT, 3, 4);
		assert_int_equal(p.before, 0);
		ends(&p, PACE_GOOD, 3, 4);
	}
	assert_int_equal(p.allowance, 20);
	for (int i = 0; i < PACE_SOFT_MAX; i++)
		ends(&p, PACE_SOFT, 3, 4);
	assert_int_equal(p.allowance, 10);
}

static void any_answer_ends_a_rest(void **state)
{
	(void)state;
	static const enum pace_sign answers[] = { PACE_ALIVE, PACE_SOFT, PACE_GOOD };
	for (size_t i = 0; i < COUNT(answers); i++) {
		struct pace p;
		pace_init(&p, &twenty);
		ends(&p, PACE_TROUBLE, 1, 2);
		ends(&p, answers[i], 20000, 20001);
		assert_int_equal(p.state, PACE_PROVEN);
		assert_int_equal(p.before, 0);
		assert_true(room(&p, 0, 20001) >= PACE_BEGINS_WITH);
	}
	struct pace p;
	pace_init(&p, &twenty);
	ends(&p, PACE_TROUBLE, 1, 2);
	ends(&p, PACE_NOTHING, 20000, 20001); /* that shows nothing: the next one tries */
	assert_int_equal(p.state, PACE_RESTING);
	assert_int_equal(room(&p, 0, 20001), 1);
}

static void new_ceilings_hold_at_once(void **state)
{
	(void)state;
	struct pace p;
	pace_init(&p, &(struct pace_limits){ .concurrency = 0 });
	assert_int_equal(room(&p, 0, 0), 1); /* never none */
	pace_limit(&p, &twenty, 0);
	assert_int_equal(room(&p, 0, 0), PACE_BEGINS_WITH);
	for (int i = 0; i < 20; i++)
		ends(&p, PACE_GOOD, 1, 2);
	pace_limit(&p, &(struct pace_limits){ .concurrency = 3 }, 3);
	assert_int_equal(room(&p, 0, 3), 3);
	ends(&p, PACE_GOOD, 1, 3);
	assert_int_equal(p.allowance, 3);
	pace_limit(&p, &twenty, 4);
	for (int i = 0; i < 20; i++)
		ends(&p, PACE_GOOD, 4, 5);
	assert_int_equal(p.allowance, 20);
}

/* ---- rates ---- */

static void a_rate_is_a_ceiling(void **state)
{
	(void)state;
	static const struct { uint64_t rate; int64_t rate_ms; } cases[] = {
		{ 1, 1000 }, { 2, 1000 }, { 15, 60000 }, { 16, 60000 }, { 17, 60000 }, { 100, 60000 }, { 1000, 1000 },
	};
	for (size_t c = 0; c < COUNT(cases); c++) {
		struct pace p;
		struct pace_limits limits = { 1000, cases[c].rate, cases[c].rate_ms };
		static int64_t began_ms[20000];
		size_t n = 0;
		int64_t step_ms = cases[c].rate_ms / 97 + 1, now_ms, again_ms;
		pace_init(&p, &limits);
		p.allowance = 1000;
		assert_int_equal(room(&p, 0, 0), cases[c].rate); /* it begins full */
		for (now_ms = 0; now_ms < 8 * cases[c].rate_ms; now_ms += step_ms)
			for (unsigned left = pace_room(&p, 0, now_ms, &again_ms); left > 0; left--) {
				pace_began(&p, now_ms);
				assert_true(n < COUNT(began_ms));
				began_ms[n++] = now_ms;
			}
		for (size_t i = cases[c].rate; i < n; i++)
			assert_true(began_ms[i] - began_ms[i - cases[c].rate] >= cases[c].rate_ms);
		assert_true(n >= 7 * cases[c].rate); /* and it can be used */
		assert_true(pace_used(&p, now_ms) <= cases[c].rate);
		assert_int_equal(pace_used(&p, now_ms + cases[c].rate_ms), 0);
		pace_fini(&p);
	}
}

static void a_rate_says_when_it_has_room_again(void **state)
{
	(void)state;
	struct pace p;
	int64_t again_ms;
	pace_init(&p, &(struct pace_limits){ 20, 2, 60000 });
	pace_began(&p, 100);
	assert_int_equal(room(&p, 1, 200), 1);
	pace_began(&p, 5000);
	assert_int_equal(pace_room(&p, 2, 5000, &again_ms), 0);
	assert_int_equal(again_ms, 60100);
	assert_int_equal(room(&p, 0, 60099), 0);
	assert_int_equal(room(&p, 0, 60100), 1);
	assert_int_equal(room(&p, 0, 65000), 2);
	pace_fini(&p);
}

static void a_new_rate_counts_what_has_gone(void **state)
{
	(void)state;
	struct pace p;
	pace_init(&p, &(struct pace_limits){ 20, 100, 60000 });
	p.state = PACE_PROVEN;
	p.allowance = 20;
	for (int i = 0; i < 10; i++)
		pace_began(&p, 100);
	pace_limit(&p, &(struct pace_limits){ 20, 12, 60000 }, 200);
	assert_int_equal(room(&p, 0, 200), 2);
	pace_limit(&p, &(struct pace_limits){ 20, 5, 60000 }, 300);
	assert_int_equal(room(&p, 0, 300), 0);
	pace_limit(&p, &twenty, 400);
	assert_int_equal(room(&p, 0, 400), 20);
	pace_fini(&p);
}

/* ---- whatever happens ---- */

/* Never above the ceiling, never none for ever, and after enough successes all of it. */
static void property(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 300; seed++) {
		uint64_t r = seed * 0x9E3779B97F4A7C15u;
		struct pace p;
		struct pace_limits limits = { 1 + seed % 40, seed % 3 == 0 ? 1 + seed % 50 : 0, 1000 + seed * 100 };
		int64_t now_ms = 1000, began_ms[64], again_ms;
		unsigned in_hand = 0;
		pace_init(&p, &limits);
		for (int step = 0; step < 2000; step++) {
			r = r * 6364136223846793005u + 1442695040888963407u;
			unsigned dice = (unsigned)(r >> 33);
			now_ms += dice % 500;
			if (dice % 211 == 0) {
				limits.concurrency = 1 + dice % 40;
				pace_limit(&p, &limits, now_ms);
			}
			unsigned free = pace_room(&p, in_hand, now_ms, &again_ms);
			assert_true(free + in_hand <= limits.concurrency || free == 0);
			assert_in_range(p.allowance, 1, limits.concurrency);
			if (free > 0 && dice % 3 != 0) {
				pace_began(&p, now_ms);
				began_ms[in_hand++] = now_ms;
			} else if (in_hand > 0) {
				enum pace_sign sign = (enum pace_sign)((r >> 50) % 5);
				in_hand--;
				pace_ended(&p, sign, began_ms[in_hand], now_ms, dice % 2 == 0 ? LONG : 1000 + dice % 9000, r >> 7);
			} else {
				assert_true(again_ms < INT64_MAX); /* nothing is in hand: it has a time */
				assert_true(again_ms > now_ms || free > 0);
				assert_true(again_ms <= now_ms + PACE_REST_MS_MAX || limits.rate > 0);
				now_ms = again_ms > now_ms ? again_ms : now_ms;
				if (pace_room(&p, 0, now_ms, &again_ms) == 0) /* its rest is over, its rate still used up */
					assert_true(room(&p, 0, again_ms) > 0);
			}
		}
		for (unsigned n = 0; n < 3000 && p.allowance < limits.concurrency; n++) {
			now_ms += PACE_REST_MS_MAX;
			ends(&p, PACE_GOOD, now_ms, now_ms + 1);
		}
		assert_int_equal(p.allowance, limits.concurrency);
		pace_fini(&p);
	}
}

/* ---- signs ---- */

static void signs(void **state)
{
	(void)state;
	static const struct { enum outcome_class outcome; int code; struct status status; enum pace_sign sign; const char *what; } cases[] = {
		{ OUTCOME_DONE, 250, { 2, 0, 0 }, PACE_GOOD, "taken" },
		{ OUTCOME_NEVER, 550, { 5, 1, 1 }, PACE_ALIVE, "no such mailbox" },
		{ OUTCOME_LATER, 421, { 0, 0, 0 }, PACE_TROUBLE, "the service closes" },
		{ OUTCOME_LATER, 421, { 4, 7, 0 }, PACE_TROUBLE, "too many connections" },
		{ OUTCOME_LATER, 451, { 4, 3, 0 }, PACE_TROUBLE, "trouble of the system" },
		{ OUTCOME_LATER, 452, { 4, 3, 1 }, PACE_TROUBLE, "its disk is full" },
		{ OUTCOME_LATER, 450, { 4, 3, 2 }, PACE_TROUBLE, "takes no mail now" },
		{ OUTCOME_LATER, 451, { 4, 4, 5 }, PACE_TROUBLE, "congestion" },
		{ OUTCOME_LATER, 451, { 4, 7, 28 }, PACE_TROUBLE, "a rate" },
		{ OUTCOME_LATER, 451, { 4, 7, 500 }, PACE_TROUBLE, "busy" },
		{ OUTCOME_LATER, 451, { 4, 7, 650 }, PACE_TROUBLE, "throttled" },
		{ OUTCOME_LATER, 451, { 4, 7, 1 }, PACE_SOFT, "greylisting" },
		{ OUTCOME_LATER, 450, { 4, 2, 0 }, PACE_SOFT, "greylisting" },
		{ OUTCOME_LATER, 452, { 4, 2, 2 }, PACE_SOFT, "a full mailbox" },
		{ OUTCOME_LATER, 452, { 4, 5, 3 }, PACE_ALIVE, "too many recipients" },
		{ OUTCOME_LATER, 450, { 0, 0, 0 }, PACE_SOFT, "no status" },
		{ OUTCOME_LATER, 451, { 5, 3, 0 }, PACE_SOFT, "a status of another class says nothing" },
		{ OUTCOME_LATER, 0, { 4, 4, 1 }, PACE_TROUBLE, "nobody answers" },
		{ OUTCOME_LATER, 0, { 4, 4, 3 }, PACE_TROUBLE, "its DNS does not answer" },
		{ OUTCOME_LATER, 0, { 4, 7, 5 }, PACE_TROUBLE, "its TLS fails" },
		{ OUTCOME_LATER, 0, { 4, 3, 0 }, PACE_NOTHING, "our own trouble" },
		{ OUTCOME_LATER, 0, { 0, 0, 0 }, PACE_NOTHING, "nobody knows" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_reply reply = { .code = cases[i].code, .status = cases[i].status };
		if (pace_sign_of(cases[i].outcome, &reply) != cases[i].sign)
			fail_msg("%d: %s", cases[i].code, cases[i].what);
	}
}

static void signs_of_one_transaction_join(void **state)
{
	(void)state;
	static const struct { enum pace_sign a, b, both; } cases[] = {
		{ PACE_NOTHING, PACE_SOFT, PACE_SOFT }, { PACE_GOOD, PACE_SOFT, PACE_GOOD }, { PACE_ALIVE, PACE_SOFT, PACE_SOFT },
		{ PACE_GOOD, PACE_TROUBLE, PACE_ALIVE }, { PACE_SOFT, PACE_TROUBLE, PACE_TROUBLE }, { PACE_ALIVE, PACE_GOOD, PACE_GOOD },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(pace_signs_join(cases[i].a, cases[i].b), cases[i].both);
		assert_int_equal(pace_signs_join(cases[i].b, cases[i].a), cases[i].both);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_doubles_up_to_the_ceiling),
		cmocka_unit_test(trouble_halves_once_for_what_was_under_way),
		cmocka_unit_test(half_of_it_failing_in_a_row_is_dead),
		cmocka_unit_test(rests_grow_and_have_an_end),
		cmocka_unit_test(a_rest_that_was_ended_grows_no_longer),
		cmocka_unit_test(a_rest_keeps_to_what_the_caller_bears),
		cmocka_unit_test(refusals_of_one_recipient_are_borne),
		cmocka_unit_test(any_answer_ends_a_rest),
		cmocka_unit_test(new_ceilings_hold_at_once),
		cmocka_unit_test(a_rate_is_a_ceiling),
		cmocka_unit_test(a_rate_says_when_it_has_room_again),
		cmocka_unit_test(a_new_rate_counts_what_has_gone),
		cmocka_unit_test(property),
		cmocka_unit_test(signs),
		cmocka_unit_test(signs_of_one_transaction_join),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
