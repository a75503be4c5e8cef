/* SPDX-License-Identifier: ISC */
/* What a sender demands of every server on the way (REQUIRETLS), and what one sets aside (TLS-Required: No): RFC 8689. */
#include "unit.h"

#include "scene.h"

#include <stdio.h>
#include <string.h>

#define SECOND_MX "+MX y.example 20 relay.corp.example;+A relay.corp.example 127.0.0.2;"
#define NOBODY_MX "+MX y.example 20 nobody.y.example;+A nobody.y.example 127.0.0.9;"

static const struct peer_script promising = { .ehlo = "STARTTLS", .ehlo_tls = "SIZE DSN REQUIRETLS" };
static const struct peer_script unfit = { .ehlo = "STARTTLS REQUIRETLS", .ehlo_tls = "SIZE" }; /* its word in clear is none */
static const struct peer_script in_clear = { .ehlo = "REQUIRETLS" };
static const struct peer_script broken = { .ehlo = "STARTTLS", .broken_tls = true };

static int open_promising(void **state)
{
	int result = open_world(state);
	w.peers[0].script = promising;
	w.peers[1].script = promising;
	return result;
}

static const struct job_spec required = { .kind = ROUTE_TO_MX, .domain = "y.example", .rcpts = "b@y.example", .tls_tag = TLS_TAG_REQUIRED };
static const struct job_spec optional = { .kind = ROUTE_TO_MX, .domain = "y.example", .rcpts = "b@y.example", .tls_tag = TLS_TAG_OPTIONAL };

static void expect(const char *outcomes)
{
	expect_of(&required, outcomes);
}

static void test_attack_38_who_promises_gets_the_message_and_the_word(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX);
	expect("0 done 250 2.0.0 Ok|");
	assert_true(was_said(0, " REQUIRETLS"));
	assert_int_equal(w.last_level, TLS_VERIFY);
	direct("");
	publish(SIGNED_MX "+" TLSA "right");
	expect("0 done 250 2.0.0 Ok|");
	assert_int_equal(w.last_level, TLS_DANE);
	direct("");
	publish(PLAIN_MX "STS y.example testing *.y.example"); /* the name is vouched for all the same: RFC 8689 4.2.1 */
	expect("0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].letters, 3);
	assert_int_equal(w.peers[0].tls_handshakes, 3);
}

static void test_attack_38_who_does_not_promise_gets_nothing(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX);
	w.peers[0].script = unfit;
	expect("0 never 0 5.7.30 REQUIRETLS support required: the sender demands TLS all the way, and mx.y.example does not");
	publish(SIGNED_MX SECOND_MX);
	w.peers[1].script = unfit;
	expect("0 never 0 5.7.30 REQUIRETLS support required: the sender demands TLS all the way, and relay.corp.example does not");
	assert_int_equal(w.peers[1].connections, 1);
	nothing_has_left();
	w.peers[1].script = promising;
	direct("");
	expect("0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].letters, 0);
	assert_int_equal(w.peers[1].letters, 1);
}

/* The connection that could not be used for it goes on for others, and the other way round. */
static void test_attack_38_a_shared_connection_is_judged_anew(void **state)
{
	(void)state;
	struct job_spec usual = required;
	usual.tls_tag = TLS_TAG_NONE;
	direct("tls verify");
	publish(SIGNED_MX);
	w.peers[0].script = unfit;
	expect_of(&usual, "0 done 250 2.0.0 Ok|");
	expect("0 never 0 5.7.30 ");
	expect_of(&usual, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].connections, 1);
	assert_int_equal(w.peers[0].letters, 2);
	assert_false(was_said(0, " REQUIRETLS"));
}

/* What a kept connection meets at its end says nothing of the server. */
static void an_old_connection_that_ends_is_no_reason_to_wait(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX);
	expect("0 done 250 2.0.0 Ok|");
	w.peers[0].script = unfit;
	w.peers[0].script.mail = "421 4.3.2 Closing";
	expect("0 never 0 5.7.30 REQUIRETLS support required");
	assert_int_equal(w.peers[0].connections, 2);
}

static void test_attack_38_without_tls_that_is_proven_nothing_leaves(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX);
	w.peers[0].script = in_clear;
	expect("0 never 0 5.7.10 mx.y.example does not offer STARTTLS");
	w.peers[0].script = broken;
	expect("0 never 0 5.7.10 The TLS handshake with mx.y.example failed");
	w.peers[0].script = promising;
	publish("+MX y.example 10 mx.z.example;+A mx.z.example 127.0.0.1;"); /* another name than in the certificate */
	expect("0 never 0 5.7.10 The TLS handshake with mx.z.example failed");
	publish(SIGNED_MX "+" TLSA "wrong");
	expect("0 never 0 5.7.10 The TLS handshake with mx.y.example failed");
	publish(PLAIN_MX);
	expect("0 never 0 5.7.10 mx.y.example must not be used: The sender demands TLS all the way, and neither DNSSEC nor MTA-STS");
	publish(PLAIN_MX "STS y.example enforce mx.other.example");
	expect("0 never 0 5.7.10 mx.y.example must not be used: The domain's MTA-STS policy does not name this host.");
	nothing_has_left();
}

/* Only what was demanded and cannot be had brings the message back at once. */
static void what_may_mend_waits(void **state)
{
	(void)state;
	direct("");
	publish("+MX y.example 10 nobody.y.example;+A nobody.y.example 127.0.0.9;");
	expect("0 later 0 4.4.1 Cannot connect");
	w.peers[0].script = unfit;
	publish(SIGNED_MX NOBODY_MX);
	expect("0 later 0 4.4.1 Cannot connect");
	publish(SIGNED_MX TLSA "failed");
	expect("0 later 0 4.7.5 mx.y.example must not be used: Whether the host has TLSA records");
	publish(PLAIN_MX "STS y.example trouble"); /* the policy may name the host */
	expect("0 later 0 4.7.5 mx.y.example must not be used: The sender demands TLS all the way, and neither");
	publish("MX y.example failed;");
	expect("0 later 0 4.4.3 ");
	publish(PLAIN_MX "STS y.example unasked");
	expect("0 later 0 4.7.5 mx.y.example must not be used: Whether the domain has an MTA-STS policy could not be found out");
	w.unvalidated = true; /* that nothing vouches for the name is the fault of this network */
	publish(PLAIN_MX);
	expect("0 later 0 4.7.5 mx.y.example must not be used: The sender demands TLS all the way, and DNSSEC, which may vouch");
	w.unvalidated = false;
	nothing_has_left();
	direct("");
	publish(SIGNED_MX);
	w.peers[0].script = promising;
	w.peers[0].script.mail = "451 4.3.0 Not now";
	expect("0 later 451 4.3.0 Not now|");
}

/* TLS was not to be had this time, and nobody has said that it cannot be: a connection that is lost whatever the hello, a server
 * that is not able just now. */
static void a_handshake_that_is_lost_proves_nothing(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX "+" TLSA "right");
	w.peers[0].script.lost_hellos = 1000;
	expect("0 later 0 4.7.5 The TLS handshake with mx.y.example failed: the connection was lost");
	w.peers[0].script = promising;
	w.peers[0].script.starttls = "454 4.7.0 TLS not available due to temporary reason";
	expect("0 later 0 4.7.10 mx.y.example does not offer STARTTLS now");
	nothing_has_left();
	w.peers[0].script.starttls = "502 5.5.1 No";
	expect("0 never 0 5.7.10 mx.y.example does not offer STARTTLS now");
	nothing_has_left();
	/* Lost at first, and then, with less in the hello, proven unfit. */
	w.peers[0].connections = 0;
	w.peers[0].script = unfit;
	w.peers[0].script.lost_hellos = 1;
	expect("0 never 0 5.7.30 REQUIRETLS support required");
	assert_int_equal(w.peers[0].connections, 2);
	nothing_has_left();
	w.peers[0].script = promising;
	direct("");
	expect("0 done 250 2.0.0 Ok|");
}

static void a_bounce_is_never_lost_for_it(void **state)
{
	(void)state;
	struct job_spec bounce = required;
	bounce.sender = "";
	direct("");
	publish(PLAIN_MX);
	expect_of(&bounce, "0 done 250 2.0.0 Ok|");
	assert_true(was_said(0, "MAIL FROM:<> "));
	assert_true(was_said(0, " REQUIRETLS"));
	buf_clear(&w.peers[0].said);
	direct("");
	w.peers[0].script = unfit;
	expect_of(&bounce, "0 done 250 2.0.0 Ok|");
	assert_false(was_said(0, " REQUIRETLS"));
	direct("");
	w.peers[0].script = in_clear;
	publish("MX q.example 10 mx.y.example;A mx.y.example 127.0.0.1;");
	bounce.domain = "q.example";
	bounce.rcpts = "b@q.example";
	expect_of(&bounce, "0 done 250 2.0.0 Ok|");
	assert_false(was_said(0, " REQUIRETLS"));
	assert_int_equal(w.peers[0].letters, 3);
}

static const char relay[] = "relay corp {\n host 127.0.0.1:%\n ca /test/ca.pem\n tls none\n}\n";

static void test_attack_38_a_relay_must_promise_too(void **state)
{
	(void)state;
	struct job_spec spec = { .kind = ROUTE_TO_RELAY, .name = "corp", .domain = "y.example", .rcpts = "b@y.example",
		                 .tls_tag = TLS_TAG_REQUIRED };
	configure_with_ca(relay);
	expect_of(&spec, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.last_level, TLS_VERIFY);
	assert_true(was_said(0, " REQUIRETLS"));
	w.peers[0].letters = 0;
	buf_clear(&w.peers[0].said);
	configure_with_ca(relay);
	w.peers[0].script = unfit;
	expect_of(&spec, "0 never 0 5.7.30 REQUIRETLS support required");
	configure_with_ca(relay);
	w.peers[0].script = in_clear;
	expect_of(&spec, "0 never 0 5.7.10 127.0.0.1 does not offer STARTTLS");
	nothing_has_left();
	spec.tls_tag = TLS_TAG_NONE;
	expect_of(&spec, "0 done 250 2.0.0 Ok|");
}

static void lmtp_is_the_end_of_the_way(void **state)
{
	(void)state;
	char name[40];
	struct job_spec spec = { .kind = ROUTE_TO_LMTP, .name = name, .domain = "own.example", .rcpts = "b@own.example",
		                 .tls_tag = TLS_TAG_REQUIRED };
	direct("");
	(void)snprintf(name, sizeof name, "localhost:%u", (unsigned)w.port);
	w.peers[0].script = (struct peer_script){ .ehlo = "SIZE", .finals = { "250 2.0.0 Delivered" } };
	expect_of(&spec, "0 done 250 2.0.0 Delivered|");
}

static void who_does_not_mind_is_not_held_to_what_is_published(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX "+" TLSA "wrong");
	expect_of(&optional, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].tls_handshakes, 1); /* TLS all the same */
	assert_false(was_said(0, "REQUIRETLS"));
	direct("");
	publish(PLAIN_MX "STS y.example enforce mx.other.example");
	expect_of(&optional, "0 done 250 2.0.0 Ok|");
	direct("");
	w.peers[0].script = in_clear; /* though the domain has lately shown TLS */
	expect_of(&optional, "0 done 250 2.0.0 Ok|");
	direct("");
	w.peers[0].script = broken; /* in the first attempt */
	expect_of(&optional, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].letters, 4);
}

/* What the configuration asks of every server is not the sender's to set aside. */
static void test_attack_38_the_operators_word_stands(void **state)
{
	(void)state;
	direct("tls verify");
	publish(SIGNED_MX "+" TLSA "wrong");
	w.peers[0].script = in_clear;
	expect_of(&optional, "0 later 0 4.7.10 mx.y.example does not offer STARTTLS");
	w.peers[0].script = broken;
	expect_of(&optional, "0 later 0 4.7.5 The TLS handshake with mx.y.example failed");
	nothing_has_left();
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_promising, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_attack_38_who_promises_gets_the_message_and_the_word),
		IN_WORLD(test_attack_38_who_does_not_promise_gets_nothing),
		IN_WORLD(test_attack_38_a_shared_connection_is_judged_anew),
		IN_WORLD(test_attack_38_without_tls_that_is_proven_nothing_leaves),
		IN_WORLD(what_may_mend_waits),
		IN_WORLD(a_handshake_that_is_lost_proves_nothing),
		IN_WORLD(an_old_connection_that_ends_is_no_reason_to_wait),
		IN_WORLD(a_bounce_is_never_lost_for_it),
		IN_WORLD(test_attack_38_a_relay_must_promise_too),
		IN_WORLD(lmtp_is_the_end_of_the_way),
		IN_WORLD(who_does_not_mind_is_not_held_to_what_is_published),
		IN_WORLD(test_attack_38_the_operators_word_stands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
