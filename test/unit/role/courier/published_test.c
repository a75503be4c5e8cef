/* SPDX-License-Identifier: ISC */
/* What domains publish binds the courier: DANE, MTA-STS, what they have shown before, and what the operator excepts. */
#include "unit.h"

#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/spool_delivery.h"
#include "sys/clock.h"

#define SECOND_MX "+MX y.example 20 mx2.y.example;A mx2.y.example 127.0.0.2;"

static const struct job_spec to_b = { .kind = ROUTE_TO_MX, .domain = "y.example", .rcpts = "b@y.example", .attempt = 5 };

static int open_with_tls(void **state)
{
	int result = open_world(state);
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS" };
	return result;
}

static void expect(const char *outcomes)
{
	expect_of(&to_b, outcomes);
}

static void test_attack_36_dane_proves_the_server(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX "+" TLSA "right");
	expect("0 done 250 2.0.0 Ok|");
	assert_int_equal(w.last_level, TLS_DANE);
	expect_told("policy host=mx.y.example name=dane verdict=won source=\"RFC 7672 2.2\"");
	expect_told("tls level=dane demanded=dane");
	expect_told("by=DANE-EE(3)");
}

static void test_attack_36_a_server_without_the_proof_gets_nothing(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX "+" TLSA "wrong");
	expect("0 later 0 4.7.5 The TLS handshake with mx.y.example failed");
	nothing_has_left();
	w.peers[0].script = (struct peer_script){ .ehlo = "PIPELINING" };
	expect("0 later 0 4.7.10 mx.y.example does not offer STARTTLS");
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS", .broken_tls = true };
	expect("0 later 0 4.7.5 The TLS handshake with mx.y.example failed");
	nothing_has_left();
}

static void test_attack_36_an_unanswered_question_bars_the_host_alone(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX TLSA "failed");
	expect("0 later 0 4.7.5 mx.y.example must not be used: Whether the host has TLSA records could not be found out");
	publish(SIGNED_MX TLSA "bogus");
	expect("0 later 0 4.7.5 mx.y.example must not be used");
	nothing_has_left();
	publish(SIGNED_MX SECOND_MX TLSA "failed");
	expect("0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].connections, 0);
	assert_int_equal(w.peers[1].letters, 1);
	expect_told("policy host=mx.y.example name=dane verdict=forbids");
}

static void records_that_prove_nothing_demand_tls(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX "+" TLSA "unusable");
	w.peers[0].script = (struct peer_script){ .ehlo = "PIPELINING" };
	expect("0 later 0 4.7.10 mx.y.example does not offer STARTTLS");
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS" };
	expect("0 done 250 2.0.0 Ok|");
	assert_true(w.last_level >= TLS_ENCRYPT && w.last_level < TLS_DANE);
}

/* No certificate has such a name, but the host is real. */
static void a_host_with_an_underscore_is_one(void **state)
{
	(void)state;
	direct("");
	publish("MX y.example 10 mx_1.y.example;A mx_1.y.example 127.0.0.1;");
	expect("0 done 250 2.0.0 Ok|");
	assert_true(w.last_level >= TLS_OPPORTUNISTIC && w.last_level < TLS_VERIFY);
	publish("+MX y.example 10 mx_1.y.example;+A mx_1.y.example 127.0.0.1;+TLSA _%u._tcp.mx_1.y.example right");
	direct("");
	expect("0 done 250 2.0.0 Ok|");
	assert_int_equal(w.last_level, TLS_DANE);
	direct("tls verify");
	publish("MX y.example 10 mx_1.y.example;A mx_1.y.example 127.0.0.1;");
	expect("0 later 0 4.7.5 The TLS handshake with mx_1.y.example failed");
}

static void unsigned_names_are_not_called_dane(void **state)
{
	(void)state;
	direct("");
	publish("MX y.example 10 mx.y.example;+A mx.y.example 127.0.0.1;+" TLSA "right");
	expect("0 done 250 2.0.0 Ok|");
	assert_int_not_equal(w.last_level, TLS_DANE);
	expect_told("by=DANE-EE(3)");
	publish("MX y.example 10 mx.y.example;+A mx.y.example 127.0.0.1;+" TLSA "wrong");
	direct(""); /* ends the connection that was kept */
	expect("0 later 0 4.7.5 The TLS handshake with mx.y.example failed");
}

static void test_attack_37_a_policy_binds(void **state)
{
	(void)state;
	direct("");
	publish(PLAIN_MX "STS y.example enforce *.y.example");
	expect("0 done 250 2.0.0 Ok|");
	assert_int_equal(w.last_level, TLS_MTA_STS);
	expect_told("mta-sts domain=y.example mode=enforce mx=*.y.example");
	direct("");
	publish(PLAIN_MX "STS y.example enforce mx.other.example");
	expect("0 later 0 4.7.5 mx.y.example must not be used: The domain's MTA-STS policy does not name this host.");
	publish(PLAIN_MX "STS y.example testing mx.other.example");
	w.peers[0].letters = 0;
	expect("0 done 250 2.0.0 Ok|");
}

static void test_attack_37_a_policy_wants_a_certificate(void **state)
{
	(void)state;
	direct("");
	publish("MX y.example 10 mx.z.example;A mx.z.example 127.0.0.1;STS y.example enforce mx.z.example");
	expect("0 later 0 4.7.5 The TLS handshake with mx.z.example failed");
	w.peers[0].script = (struct peer_script){ .ehlo = "PIPELINING" };
	expect("0 later 0 4.7.10 mx.z.example does not offer STARTTLS");
	nothing_has_left();
}

/* DANE that fails is not healed by a policy that would hold. */
static void test_p12_a_policy_never_replaces_dane(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX "+" TLSA "wrong;STS y.example enforce mx.y.example");
	expect("0 later 0 4.7.5 The TLS handshake with mx.y.example failed");
	nothing_has_left();
}

/* The resolver goes away after so many questions were put to it in vain; the letter waits. */
static void expect_later_without_the_resolver(unsigned unanswered, const char *outcomes)
{
	world_send(&w, &to_b);
	while (w.unanswered < unanswered)
		world_run(&w);
	channel_close(&w.resolver);
	while (!w.done)
		world_run(&w);
	if (!str_starts(buf_view(&w.outcomes), str_of(outcomes)))
		fail_msg("got      %.*s\nexpected %s", STR_ARG(buf_view(&w.outcomes)), outcomes);
	nothing_has_left();
}

/* One family is answered and signed, so there is a question for TLSA records to ask, and nobody to ask it. */
static void test_attack_36_a_question_that_nobody_could_be_asked(void **state)
{
	(void)state;
	world_configure(&w, "direct {\n port %\n allow-loopback yes\n}\n");
	publish("+MX y.example 10 mx.y.example;+AAAA mx.y.example ::1;A mx.y.example silent;");
	expect_later_without_the_resolver(1, "0 later 0 4.7.5 mx.y.example must not be used: Whether the host has TLSA records could "
	                                     "not be found out");
}

/* All is known but the policy, and what the second host publishes. */
static void test_attack_37_a_policy_that_nobody_could_be_asked(void **state)
{
	(void)state;
	direct("");
	publish(PLAIN_MX "MX y.example 20 mx2.y.example;+A mx2.y.example 127.0.0.2;TLSA _%u._tcp.mx2.y.example silent;"
	        "STS y.example silent");
	expect_later_without_the_resolver(2, "0 later 0 4.7.5 mx.y.example must not be used: Whether the domain has an MTA-STS policy "
	                                     "could not be found out, so the host is not used now. (the resolver is not there)|");
}

static void test_attack_37_a_policy_that_cannot_be_looked_for(void **state)
{
	(void)state;
	direct("");
	publish(PLAIN_MX "STS y.example unasked");
	expect("0 later 0 4.7.5 mx.y.example must not be used: Whether the domain has an MTA-STS policy could not be found out, so the "
	       "host is not used now. (too many wait)|");
	expect_told("mta-sts domain=y.example text=\"too many wait\"");
	expect_told("policy host=mx.y.example name=mta-sts verdict=forbids source=\"RFC 8461 10.2\"");
	nothing_has_left();
	direct("exception y.example opportunistic until 2999-12-31 reason \"their name servers\"");
	expect("0 done 250 2.0.0 Ok|");
}

/* Where the MX records are signed, only a signed answer says that there is no policy; DANE needs none. */
static void test_attack_37_a_record_that_cannot_be_looked_up(void **state)
{
	(void)state;
	direct("");
	publish("+MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1;STS y.example no-record");
	expect("0 later 0 4.7.5 mx.y.example must not be used: Whether the domain has an MTA-STS policy could not be found out");
	nothing_has_left();
	publish(PLAIN_MX "STS y.example no-record");
	expect("0 done 250 2.0.0 Ok|");
	publish(SIGNED_MX "+" TLSA "right;STS y.example unasked");
	expect("0 done 250 2.0.0 Ok|");
	assert_int_equal(w.last_level, TLS_DANE);
}

static void an_exception_ends(void **state)
{
	(void)state;
	publish(SIGNED_MX "+" TLSA "wrong");
	direct("exception y.example opportunistic until 2999-12-31 reason \"stale records\"");
	expect("0 done 250 2.0.0 Ok|");
	expect_told("name=exception verdict=won");
	direct("exception y.example opportunistic until 2020-12-31 reason \"stale records\"");
	expect("0 later 0 4.7.5 The TLS handshake with mx.y.example failed");
	assert_int_equal(w.peers[0].letters, 1);
}

static void what_a_domain_has_shown_is_remembered(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX "+" TLSA "right");
	expect("0 done 250 2.0.0 Ok|");
	assert_true(str_find_str(buf_view(&w.remembered), STR("seen/y.example "), &(size_t){ 0 }));
	assert_true(str_starts(buf_view(&w.last_memory), STR("dane ")));
	direct("");
	publish(SIGNED_MX); /* lenient: logged, and sent */
	expect("0 done 250 2.0.0 Ok|");
	direct("remember strict");
	expect("0 later 0 4.7.5 mx.y.example must not be used: The domain has had DANE, and now it has not.");
	assert_int_equal(w.peers[0].letters, 2);
}

static void memories_come_from_the_last_run(void **state)
{
	(void)state;
	char value[80];
	direct("remember strict");
	publish(PLAIN_MX);
	(void)snprintf(value, sizeof value, "mta-sts %lld %lld", (long long)clock_wall_s() - 60, (long long)clock_wall_s() - 60);
	channel_send(w.spool, WORKER_REMEMBERED, &(struct worker_remembered){ .key = STR("seen/y.example"), .value = str_of(value),
	                                                                    .for_s = 86400 });
	expect("0 later 0 4.7.5 mx.y.example must not be used: The domain has had an MTA-STS policy, and now it has not.");
	nothing_has_left();
}

static void remember(const char *key, const char *value)
{
	channel_send(w.spool, WORKER_REMEMBERED, &(struct worker_remembered){ .key = str_of(key), .value = str_of(value),
	                                                                    .for_s = 30 * 86400 });
}

/* RFC 7672 2.1.1: an answer without the signatures that there may be is indeterminate. Who strips them for long enough, or while the
 * resolver starts anew, takes DANE from nobody who is known to have it. */
static void test_attack_36_dane_that_cannot_be_validated_is_not_gone(void **state)
{
	(void)state;
	direct("");
	w.unvalidated = true;
	publish(PLAIN_MX);
	remember("seen/y.example", "dane 1780000000 1780000000");
	remember("seen/old.example", "dane 1770000000 1780000000"); /* it was last seen with less, and the best is too long ago */
	expect("0 later 0 4.7.5 mx.y.example must not be used: The domain has had DANE, and no answer of the DNS can be validated now");
	expect_told("policy host=mx.y.example name=memory verdict=forbids source=\"RFC 7672 2.1.1\"");
	expect_told("mx domain=y.example secure=\"not validated\"");
	nothing_has_left();
	/* Who is not known to have it, or no longer, gets mail by the rules that remain; so does a domain with an exception. */
	publish("MX z.example 10 mx.y.example;MX old.example 10 mx.y.example;A mx.y.example 127.0.0.1;");
	assert_string_equal(world_deliver(&w, &(struct job_spec){ .kind = ROUTE_TO_MX, .domain = "z.example", .rcpts = "b@z.example" }),
	                    "0 done 250 2.0.0 Ok|");
	assert_string_equal(world_deliver(&w, &(struct job_spec){ .kind = ROUTE_TO_MX, .domain = "old.example",
	                                                          .rcpts = "b@old.example" }), "0 done 250 2.0.0 Ok|");
	publish(PLAIN_MX);
	direct("exception y.example opportunistic until 2999-12-31 reason \"no DNSSEC here\"");
	expect("0 done 250 2.0.0 Ok|");
	/* It can be validated again, and the domain says that it has none any more: as it likes. */
	w.unvalidated = false;
	direct("");
	expect("0 done 250 2.0.0 Ok|");
}

/* Nonsense in a memory is none. */
static void memories_that_are_none(void **state)
{
	(void)state;
	const char *const values[] = { "", "dane", "dane 1", "dane x y", "gold 1 2", "dane 99999999999999999999 1", "dane 1 2 3" };
	direct("remember strict");
	publish(PLAIN_MX);
	for (size_t i = 0; i < COUNT(values); i++)
		channel_send(w.spool, WORKER_REMEMBERED,
		             &(struct worker_remembered){ .key = STR("seen/y.example"), .value = str_of(values[i]), .for_s = 86400 });
	channel_send(w.spool, WORKER_REMEMBERED, &(struct worker_remembered){ .key = STR("shape/mx.y.example"), .value = STR("99"), .for_s = 86400 });
	expect("0 done 250 2.0.0 Ok|");
}

/* A connection that is lost on the way is tried at once with less in the hello, and the same demands. */
static void a_lost_hello_is_followed_by_a_smaller_one(void **state)
{
	(void)state;
	direct("");
	publish(SIGNED_MX "+" TLSA "right");
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS", .lost_hellos = 1 };
	expect("0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].connections, 2);
	assert_int_equal(w.last_level, TLS_DANE);
	expect_told("hello=");
	assert_true(str_find_str(buf_view(&w.remembered), STR("shape/mx.y.example "), &(size_t){ 0 }));
	w.peers[0].script.lost_hellos = 1000;
	direct(""); /* ends the connection that was kept */
	expect("0 later 0 4.7.5 The TLS handshake with mx.y.example failed");
	assert_true(w.peers[0].connections <= 2 + TLS_SHAPES);
	assert_int_equal(w.peers[0].letters, 1);
}

static void an_explanation_sends_nothing(void **state)
{
	(void)state;
	struct job_spec spec = to_b;
	spec.explain = true;
	direct("");
	publish(SIGNED_MX "+" TLSA "right");
	const char *got = world_deliver(&w, &spec);
	assert_string_equal(got, "0 done 0 2.0.0 The next server is ready for a message|");
	assert_int_equal(w.last_level, TLS_DANE);
	expect_told("tls level=dane");
	nothing_has_left();
	/* The connection is free for a letter. */
	expect("0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].connections, 1);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_with_tls, close_world)

/* ---- what is told for TLS reports ---- */

/* POLICY RESULT MX IP SOURCE (REASON); only the beginning of each. */
static void expect_sessions(const char *sessions)
{
	if (!str_starts(buf_view(&w.sessions), str_of(sessions)) || (*sessions == '\0' && buf_view(&w.sessions).n > 0))
		fail_msg("got      %.*s\nexpected %s", STR_ARG(buf_view(&w.sessions)), sessions);
	buf_clear(&w.sessions);
}

static void deliver(const char *lines, const char *rows)
{
	direct(lines);
	publish(rows);
	(void)world_deliver(&w, &to_b);
}

static void sessions_under_dane_are_told(void **state)
{
	(void)state;
	deliver("", SIGNED_MX "+" TLSA "right");
	expect_sessions("tlsa success mx.y.example 127.0.0.1 127.0.0.1 ()|");
	assert_true(str_starts(buf_view(&w.last_strings), STR("3 1 1 ")));
	assert_int_equal(buf_view(&w.last_strings).n, 6 + 64 + 1);
	(void)world_deliver(&w, &to_b); /* over the connection that was kept: no session of its own */
	expect_sessions("");
	deliver("", SIGNED_MX "+" TLSA "wrong");
	expect_sessions("tlsa certificate-host-mismatch mx.y.example 127.0.0.1 127.0.0.1 (");
	deliver("", SIGNED_MX "+" TLSA "unusable");
	expect_sessions("tlsa tlsa-invalid mx.y.example 127.0.0.1 127.0.0.1 (");
	deliver("", SIGNED_MX TLSA "failed");
	expect_sessions("tlsa dnssec-invalid mx.y.example   ()|");
	w.peers[0].script = (struct peer_script){ .ehlo = "PIPELINING" };
	deliver("", SIGNED_MX "+" TLSA "right");
	expect_sessions("tlsa starttls-not-supported mx.y.example 127.0.0.1 127.0.0.1 ()|");
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS", .broken_tls = true };
	deliver("", SIGNED_MX "+" TLSA "right");
	expect_sessions("tlsa validation-failure mx.y.example 127.0.0.1 127.0.0.1 (");
	/* An exception: nothing was held to the records. */
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS" };
	deliver("exception y.example opportunistic until 2999-12-31 reason \"stale records\"", SIGNED_MX "+" TLSA "wrong");
	expect_sessions("");
}

static void sessions_under_a_policy_are_told(void **state)
{
	(void)state;
	deliver("", PLAIN_MX "STS y.example enforce *.y.example");
	expect_sessions("sts success mx.y.example 127.0.0.1 127.0.0.1 ()|");
	assert_true(str_eq(buf_view(&w.last_strings), STR("version: STSv1\nmode: enforce\nmax_age: 86400\nmx: *.y.example\n")));
	deliver("", PLAIN_MX "STS y.example enforce mx.other.example");
	expect_sessions("sts validation-failure mx.y.example   (the policy does not name this host)|");
	deliver("", PLAIN_MX "STS y.example testing mx.other.example");
	expect_sessions("sts validation-failure mx.y.example 127.0.0.1 127.0.0.1 (the policy does not name this host)|");
	/* The server's certificate is for another name: with enforce that ends it, with testing it is told. */
	deliver("", "MX y.example 10 mx.z.example;A mx.z.example 127.0.0.1;STS y.example enforce mx.z.example");
	expect_sessions("sts certificate-host-mismatch mx.z.example 127.0.0.1 127.0.0.1 (");
	deliver("", "MX y.example 10 mx.z.example;A mx.z.example 127.0.0.1;STS y.example testing mx.z.example");
	expect_sessions("sts certificate-host-mismatch mx.z.example 127.0.0.1 127.0.0.1 (");
	deliver("", PLAIN_MX "STS y.example trouble");
	expect_sessions("sts sts-policy-fetch-error    ()|no-policy-found success mx.y.example 127.0.0.1 127.0.0.1 ()|");
}

static void sessions_under_no_policy_are_told(void **state)
{
	(void)state;
	deliver("", "MX y.example 10 mx.z.example;A mx.z.example 127.0.0.1;");
	expect_sessions("no-policy-found success mx.z.example 127.0.0.1 127.0.0.1 ()|");
	struct job_spec asked = to_b;
	asked.explain = true;
	direct("");
	(void)world_deliver(&w, &asked);
	expect_sessions("");
	w.peers[0].script = (struct peer_script){ .ehlo = "PIPELINING" };
	deliver("tls encrypt", PLAIN_MX);
	expect_sessions("no-policy-found starttls-not-supported mx.y.example 127.0.0.1 127.0.0.1 ()|");
	assert_int_equal(buf_view(&w.last_strings).n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_attack_36_dane_proves_the_server),
		IN_WORLD(test_attack_36_a_server_without_the_proof_gets_nothing),
		IN_WORLD(test_attack_36_an_unanswered_question_bars_the_host_alone),
		IN_WORLD(records_that_prove_nothing_demand_tls),
		IN_WORLD(a_host_with_an_underscore_is_one),
		IN_WORLD(unsigned_names_are_not_called_dane),
		IN_WORLD(test_attack_37_a_policy_binds),
		IN_WORLD(test_attack_37_a_policy_wants_a_certificate),
		IN_WORLD(test_p12_a_policy_never_replaces_dane),
		IN_WORLD(test_attack_36_a_question_that_nobody_could_be_asked),
		IN_WORLD(test_attack_37_a_policy_that_nobody_could_be_asked),
		IN_WORLD(test_attack_37_a_policy_that_cannot_be_looked_for),
		IN_WORLD(test_attack_37_a_record_that_cannot_be_looked_up),
		IN_WORLD(test_attack_36_dane_that_cannot_be_validated_is_not_gone),
		IN_WORLD(an_exception_ends),
		IN_WORLD(what_a_domain_has_shown_is_remembered),
		IN_WORLD(memories_come_from_the_last_run),
		IN_WORLD(memories_that_are_none),
		IN_WORLD(a_lost_hello_is_followed_by_a_smaller_one),
		IN_WORLD(an_explanation_sends_nothing),
		IN_WORLD(sessions_under_dane_are_told),
		IN_WORLD(sessions_under_a_policy_are_told),
		IN_WORLD(sessions_under_no_policy_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
