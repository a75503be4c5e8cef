/* SPDX-License-Identifier: ISC */
/* Does DNSSEC come through? Every way from one state to another, with a DNS and clocks that the test plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "outside.h"
#include "role/resolver/upstream.h"

enum { MINUTE_MS = 60 * 1000, DAY_S = 86400 };

/* The network: what the self-test gets from the library that validates, and from the other. */
enum { GOOD, STRIPS, CHOKES, DOWN, NO_SOCKETS };
static int network;
static struct upstream_memory memory;
static struct upstream *u;
static unsigned n_changed, n_kept;

static bool on_dns(bool validates, enum dns_kind kind, struct str name, struct dns_answer *out)
{
	assert_int_equal(kind, DNS_TXT);
	assert_true(str_eq(name, STR("there.test.")));
	*out = (struct dns_answer){ .result = DNS_NODATA, .secure = validates };
	if (network == DOWN || network == NO_SOCKETS)
		*out = (struct dns_answer){ .result = validates && network == NO_SOCKETS ? DNS_BOGUS : DNS_FAILED, .text = STR("no way out") };
	else if (validates && network == STRIPS)
		*out = (struct dns_answer){ .result = DNS_BOGUS, .text = STR("no signatures") };
	else if (validates && network == CHOKES)
		*out = (struct dns_answer){ .result = DNS_FAILED, .text = STR("SERVFAIL") };
	return true;
}

static void on_changed(void *owner)
{
	(void)owner;
	n_changed++;
}

static void on_validated(void *owner)
{
	(void)owner;
	n_kept++;
}

static void start(bool strict, const char *anchor)
{
	struct dns_options options = { .trust_anchor = str_of(anchor) };
	struct upstream_house house = { outside.loop, &memory, on_changed, on_validated, NULL };
	upstream_free(&u);
	assert_int_equal(upstream_new(&house, &options, strict, &u, NULL), OK);
	outside_turn();
}

static void start_anew(bool strict)
{
	start(strict, "there.test. IN DS 1 13 2 00");
}

static int begin(void **state)
{
	(void)state;
	outside_begin();
	outside.dns = on_dns;
	outside.dns_caches = true;
	memory = (struct upstream_memory){ .known = true };
	n_changed = n_kept = 0;
	network = GOOD;
	return 0;
}

static int end(void **state)
{
	(void)state;
	upstream_free(&u);
	outside_end();
	return 0;
}

#define EXPECT_STATE(state) assert_string_equal(upstream_state_name(upstream_state(u)), upstream_state_name(state))

static void the_first_verdict(void **state)
{
	(void)state;
	static const struct { int network; bool strict; enum upstream_state verdict; } rows[] = {
		{ GOOD, false, UPSTREAM_VALIDATES },   { GOOD, true, UPSTREAM_VALIDATES },
		{ STRIPS, false, UPSTREAM_CANNOT },    { STRIPS, true, UPSTREAM_CANNOT },
		{ CHOKES, false, UPSTREAM_CANNOT },    { CHOKES, true, UPSTREAM_CANNOT },
		{ DOWN, false, UPSTREAM_SILENT },      { DOWN, true, UPSTREAM_SILENT },
		{ NO_SOCKETS, false, UPSTREAM_SILENT }, { NO_SOCKETS, true, UPSTREAM_SILENT },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		network = rows[i].network;
		memory = (struct upstream_memory){ .known = true };
		start_anew(rows[i].strict);
		EXPECT_STATE(rows[i].verdict);
		assert_non_null(upstream_dns(u));
	}
	start(false, "");
	EXPECT_STATE(UPSTREAM_NO_ANCHOR);
}

/* A machine that has no sockets left is no network without DNSSEC, whatever the library calls that. */
static void what_does_not_answer_is_not_given_up(void **state)
{
	(void)state;
	start_anew(false);
	struct dns *validating = upstream_dns(u);
	for (int n = NO_SOCKETS; n >= DOWN; n--) {
		network = n;
		outside_live(90 * MINUTE_MS, UPSTREAM_SILENT_MS);
		EXPECT_STATE(UPSTREAM_SILENT);
		assert_ptr_equal(upstream_dns(u), validating);
	}
	assert_int_equal(n_changed, 1);
	network = GOOD;
	outside_pass(UPSTREAM_SILENT_MS);
	EXPECT_STATE(UPSTREAM_VALIDATES);
}

/* Signatures that are lost while it runs: nothing is given up for half an hour, then it is, and it comes back by itself. */
static void test_attack_36_signatures_that_are_lost(void **state)
{
	(void)state;
	start_anew(false);
	EXPECT_STATE(UPSTREAM_VALIDATES);
	struct dns *validating = upstream_dns(u);
	network = STRIPS;
	outside_pass(UPSTREAM_AGAIN_MS);
	EXPECT_STATE(UPSTREAM_LOST);
	outside_live(UPSTREAM_LOST_MS - UPSTREAM_AGAIN_MS - UPSTREAM_SILENT_MS, UPSTREAM_SILENT_MS);
	EXPECT_STATE(UPSTREAM_LOST);
	assert_ptr_equal(upstream_dns(u), validating);
	outside_pass(UPSTREAM_SILENT_MS);
	EXPECT_STATE(UPSTREAM_CANNOT);
	assert_ptr_not_equal(upstream_dns(u), validating);
	network = GOOD;
	outside_pass(UPSTREAM_CANNOT_MS);
	EXPECT_STATE(UPSTREAM_VALIDATES);
	assert_ptr_equal(upstream_dns(u), validating);
	/* Lost and found again within the half hour: nothing but the words has changed. */
	network = STRIPS;
	outside_pass(UPSTREAM_AGAIN_MS);
	EXPECT_STATE(UPSTREAM_LOST);
	network = GOOD;
	outside_pass(UPSTREAM_SILENT_MS);
	EXPECT_STATE(UPSTREAM_VALIDATES);
	assert_int_equal(n_changed, 3);
}

/* An answer that does not validate is a reason to look, once a minute. */
static void a_doubt_is_looked_into(void **state)
{
	(void)state;
	start_anew(false);
	unsigned asked = outside.n_asked;
	network = STRIPS;
	outside_pass(UPSTREAM_DOUBT_MS - 1);
	upstream_doubt(u);
	outside_turn();
	EXPECT_STATE(UPSTREAM_VALIDATES);
	assert_int_equal(outside.n_asked, asked);
	outside_pass(1);
	upstream_doubt(u);
	upstream_doubt(u);
	outside_turn();
	EXPECT_STATE(UPSTREAM_LOST);
	assert_int_equal(outside.n_asked, asked + 2);
}

static void the_next_test_is_due(void **state)
{
	(void)state;
	static const struct { int network; bool known; int64_t in_ms; } rows[] = {
		{ GOOD, true, UPSTREAM_AGAIN_MS }, { STRIPS, true, UPSTREAM_CANNOT_MS }, { DOWN, true, UPSTREAM_SILENT_MS },
		{ STRIPS, false, UPSTREAM_SILENT_MS },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		network = rows[i].network;
		memory = (struct upstream_memory){ .known = rows[i].known };
		start_anew(false);
		unsigned asked = outside.n_asked;
		outside_pass(rows[i].in_ms - 1);
		assert_int_equal(outside.n_asked, asked);
		outside_pass(1);
		assert_true(outside.n_asked > asked);
	}
}

/* Nobody waits for the verdict longer than this; until then nothing is asked at all. */
static bool nobody_answers(bool validates, enum dns_kind kind, struct str name, struct dns_answer *out)
{
	(void)validates, (void)kind, (void)name, (void)out;
	return false;
}

static void a_verdict_that_is_late(void **state)
{
	(void)state;
	outside.dns = nobody_answers;
	start_anew(false);
	outside_pass(UPSTREAM_VERDICT_MS - 1);
	assert_null(upstream_dns(u));
	outside_pass(1);
	EXPECT_STATE(UPSTREAM_TESTING);
	assert_non_null(upstream_dns(u));
}

/* ---- over a restart ---- */

static void take_kept(int64_t for_s)
{
	memory = (struct upstream_memory){ .known = false };
	upstream_memory_take(&memory, for_s, loop_now_ms(outside.loop));
}

static void test_attack_36_a_restart_forgets_nothing(void **state)
{
	(void)state;
	start_anew(false);
	assert_int_equal(n_kept, 1);
	outside_pass(UPSTREAM_AGAIN_MS);
	assert_int_equal(n_kept, 2);
	network = STRIPS;
	outside_pass(10 * MINUTE_MS);
	EXPECT_STATE(UPSTREAM_LOST);
	int64_t kept_s = upstream_memory_for_s(&memory, loop_now_ms(outside.loop));
	assert_int_equal(kept_s, UPSTREAM_KEPT_S - 600);
	/* It starts anew, and has not heard what was kept: nothing is given up, and nothing loud is said. */
	memory = (struct upstream_memory){ .known = false };
	start_anew(false);
	EXPECT_STATE(UPSTREAM_TESTING);
	outside_live(UPSTREAM_LOST_MS, UPSTREAM_SILENT_MS);
	EXPECT_STATE(UPSTREAM_TESTING);
	assert_non_null(upstream_dns(u));
	/* 10 minutes before this restart it worked. */
	take_kept(kept_s);
	start_anew(false);
	EXPECT_STATE(UPSTREAM_LOST);
	memory.known = true;
	upstream_memory_came(u);
	EXPECT_STATE(UPSTREAM_LOST);
	outside_live(20 * MINUTE_MS - UPSTREAM_SILENT_MS, UPSTREAM_SILENT_MS);
	EXPECT_STATE(UPSTREAM_LOST);
	outside_pass(UPSTREAM_SILENT_MS);
	EXPECT_STATE(UPSTREAM_CANNOT);
	/* It comes after the verdict, and before the word that this was all. */
	memory = (struct upstream_memory){ .known = false };
	start_anew(false);
	EXPECT_STATE(UPSTREAM_TESTING);
	upstream_memory_take(&memory, kept_s, loop_now_ms(outside.loop));
	memory.known = true;
	upstream_memory_came(u);
	EXPECT_STATE(UPSTREAM_LOST);
	/* Nothing was kept: it has never worked here. */
	memory = (struct upstream_memory){ .known = false };
	start_anew(false);
	EXPECT_STATE(UPSTREAM_TESTING);
	memory.known = true;
	upstream_memory_came(u);
	EXPECT_STATE(UPSTREAM_CANNOT);
}

static void memories_of_all_kinds(void **state)
{
	(void)state;
	int64_t now_ms = loop_now_ms(outside.loop);
	static const int64_t ago_s[] = { 0, 1, UPSTREAM_LOST_MS / 1000 - 1, UPSTREAM_LOST_MS / 1000, DAY_S, UPSTREAM_KEPT_S - 1 };
	for (size_t i = 0; i < COUNT(ago_s); i++) {
		take_kept(UPSTREAM_KEPT_S - ago_s[i]);
		assert_true(memory.validated);
		assert_int_equal(now_ms - memory.validated_ms, ago_s[i] * 1000);
		assert_int_equal(upstream_memory_for_s(&memory, now_ms), UPSTREAM_KEPT_S - ago_s[i]);
		memory.known = true;
		assert_int_equal(upstream_judge(UPSTREAM_CANNOT, false, &memory, now_ms),
		                 ago_s[i] * 1000 < UPSTREAM_LOST_MS ? UPSTREAM_LOST : UPSTREAM_CANNOT);
		assert_int_equal(upstream_judge(UPSTREAM_CANNOT, true, &memory, now_ms), UPSTREAM_CANNOT);
		assert_int_equal(upstream_judge(UPSTREAM_SILENT, false, &memory, now_ms), UPSTREAM_SILENT);
	}
	assert_int_equal(upstream_memory_for_s(&memory, now_ms + 1000), 0);
	take_kept(INT64_MAX); /* no longer than it is ever kept: just now */
	assert_int_equal(memory.validated_ms, now_ms);
	memory.validated_ms = now_ms + 5; /* what is newer here stays */
	upstream_memory_take(&memory, UPSTREAM_KEPT_S, now_ms);
	assert_int_equal(memory.validated_ms, now_ms + 5);
	static const int64_t none[] = { 0, -1, INT64_MIN };
	for (size_t i = 0; i < COUNT(none); i++) {
		take_kept(none[i]);
		assert_false(memory.validated);
		assert_int_equal(upstream_memory_for_s(&memory, now_ms), 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(the_first_verdict),
		TEST(what_does_not_answer_is_not_given_up),
		TEST(test_attack_36_signatures_that_are_lost),
		TEST(a_doubt_is_looked_into),
		TEST(the_next_test_is_due),
		TEST(a_verdict_that_is_late),
		TEST(test_attack_36_a_restart_forgets_nothing),
		TEST(memories_of_all_kinds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
