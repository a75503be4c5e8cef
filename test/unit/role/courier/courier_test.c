/* SPDX-License-Identifier: ISC */
/* The courier between doubles of its neighbours and scripted servers on loopback sockets. */
#include "unit.h"

#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/spool_delivery.h"

static const char one_mx[] = "MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1";
static const char two_mx[] = "MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1;"
                             "MX y.example 20 mx2.y.example;A mx2.y.example 127.0.0.2";
static const struct job_spec to_b = { .kind = ROUTE_TO_MX, .domain = "y.example", .rcpts = "b@y.example" };

/* With the anchors of the system. */
static void direct_by(const char *tls)
{
	char text[400];
	(void)snprintf(text, sizeof text, "direct {\n port %%\n allow-loopback yes\n family ipv4\n tls %s\n}\n", tls);
	configure(text);
}

static void one_letter_in_clear(void **state)
{
	(void)state;
	w.zone = one_mx;
	direct_by("opportunistic");
	expect_of(&to_b, "0 done 250 2.0.0 Ok|");
	assert_true(str_eq(buf_view(&w.peers[0].content), STR("Subject: x\r\n\r\n..dot\r\nhello\r\n")));
	assert_true(str_eq(buf_view(&w.last_host), STR("mx.y.example")));
	assert_int_equal(w.last_level, TLS_NONE);
	assert_int_equal(buf_view(&w.last_dialogue).n, 0);
}

static void opportunistic_tls(void **state)
{
	(void)state;
	w.zone = one_mx;
	w.peers[0].script.ehlo = "PIPELINING STARTTLS DSN";
	direct_by("opportunistic");
	expect_of(&to_b, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.last_level, TLS_OPPORTUNISTIC);
	assert_int_equal(w.last_dsn, 1);
	assert_true(str_starts(buf_view(&w.last_tls), STR("TLSv1.3 ")));
	assert_int_equal(w.peers[0].tls_handshakes, 1);
}

static void each_recipient_its_outcome(void **state)
{
	(void)state;
	struct job_spec spec = to_b;
	spec.rcpts = "b@y.example bad@y.example later@y.example c@y.example";
	w.zone = one_mx;
	w.peers[0].script.ehlo = "PIPELINING";
	direct_by("opportunistic");
	expect_of(&spec, "1 never 550 5.1.1 No such user|2 later 450 4.2.1 Try later|0 done 250 2.0.0 Ok|3 done 250 2.0.0 Ok|");
	spec.rcpts = "bad@y.example";
	expect_of(&spec, "0 never 550 5.1.1 No such user|");
	struct str dialogue = buf_view(&w.last_dialogue);
	size_t at;
	assert_true(str_find_str(dialogue, STR("C: RCPT TO:<bad@y.example>\nS: 503"), &at) ||
	            str_find_str(dialogue, STR("S: 550 5.1.1 No such user"), &at));
}

static void the_next_host_is_tried(void **state)
{
	(void)state;
	static const struct peer_script sick[] = {
		{ .greeting = "554 5.3.2 Not here" },
		{ .greeting = "421 4.3.2 Full" },
		{ .greeting = "hello" },
		{ .mail = "451 4.3.0 Not now" },
		{ .mail = "421 4.3.0 Closing" },
		{ .ehlo = "STARTTLS", .broken_tls = true },
	};
	w.zone = two_mx;
	direct_by("opportunistic");
	for (size_t i = 0; i < COUNT(sick); i++) {
		unsigned before = w.peers[1].letters;
		w.peers[0].script = sick[i];
		expect_of(&to_b, "0 done 250 2.0.0 Ok|");
		assert_int_equal(w.peers[1].letters, before + 1);
		assert_true(str_eq(buf_view(&w.last_host), STR("mx2.y.example")));
	}
	assert_int_equal(w.peers[0].letters, 0);
	w.zone = "MX y.example 10 mx.y.example;A mx.y.example 127.0.0.9;MX y.example 20 mx2.y.example;A mx2.y.example 127.0.0.2";
	expect_of(&to_b, "0 done 250 2.0.0 Ok|");
	w.zone = "MX y.example 10 mx.y.example;A mx.y.example 127.0.0.9";
	expect_of(&to_b, "0 later 0 4.4.1 Cannot connect to mx.y.example: Connection refused|");
	w.zone = one_mx;
	w.peers[0].script = (struct peer_script){ .mail = "451 4.3.0 Not now" };
	expect_of(&to_b, "0 later 451 4.3.0 Not now|");
	w.peers[0].script = (struct peer_script){ .mail = "550 5.7.1 Never" };
	expect_of(&to_b, "0 never 550 5.7.1 Never|");
}

static void what_the_dns_says(void **state)
{
	(void)state;
	static const struct { const char *zone, *outcome; } rows[] = {
		{ "A other.example 127.0.0.1", "0 never 0 5.1.2 The domain does not exist|" },
		{ "MX y.example 0 .", "0 never 0 5.1.10 The domain says that it takes no mail (null MX)|" },
		{ "MX y.example bogus", "0 later 0 4.4.3 The DNS did not answer the question for MX y.example: its signature is wrong" },
		{ "MX y.example failed", "0 later 0 4.4.3 The DNS did not answer the question for MX y.example: as the test wants it|" },
		{ "MX y.example 10 mx.y.example;A mx.y.example bogus", "0 later 0 4.4.3 The DNS did not answer the question for A" },
		{ "MX y.example 10 mx.y.example", "0 never 0 5.4.4 None of the domain's mail servers has an address|" },
		{ "MX y.example 10 mx.own.example;A mx.own.example 127.0.0.1", "0 never 0 5.4.6 " },
		{ "AAAA y.example ::2", "0 never 0 5.1.2 The domain has no mail server and no address|" },
		{ "A y.example 127.0.0.1", "0 done 250 2.0.0 Ok|" },
		{ "MX y.example 10 192.0.2.1", "0 never 0 5.4.4 None of the domain's MX records names a host|" },
		{ "MX y.example 10 bad.y.example;A bad.y.example bogus;MX y.example 20 mx.y.example;A mx.y.example 127.0.0.1",
		  "0 done 250 2.0.0 Ok|" },
	};
	direct_by("opportunistic");
	for (size_t i = 0; i < COUNT(rows); i++) {
		w.zone = rows[i].zone;
		expect_of(&to_b, rows[i].outcome);
	}
}

/* `deliver mx`: this server is one of the MX hosts, and only those better than it get the letter. */
static void only_better_hosts(void **state)
{
	(void)state;
	direct_by("opportunistic");
	w.zone = "MX y.example 30 worse.y.example;A worse.y.example 127.0.0.3;MX y.example 10 mx.y.example;"
	         "A mx.y.example 127.0.0.1;MX y.example 20 mx.own.example;MX y.example 20 equal.y.example;A equal.y.example 127.0.0.2";
	expect_of(&to_b, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].letters, 1);
	w.peers[0].script.greeting = "421 4.3.2 Full";
	w.peers[0].script.hang_up_after = true;
	configure("direct {\n port %\n allow-loopback yes\n family ipv4\n}\n"); /* no connection is kept over a reload */
	expect_of(&to_b, "0 later 421 4.3.2 Full|");
	assert_int_equal(w.peers[1].connections + w.peers[2].connections, 0);
}

static void loopback_is_not_remote(void **state)
{
	(void)state;
	configure("direct {\n port %\n}\n");
	w.zone = one_mx;
	expect_of(&to_b, "0 never 0 5.4.4 The domain's mail servers have only addresses that no server on the internet can have");
	w.zone = "MX y.example 10 mx.y.example;AAAA mx.y.example ::1;AAAA mx.y.example ::ffff:127.0.0.1;A mx.y.example 0.0.0.0";
	expect_of(&to_b, "0 never 0 5.4.4 The domain's mail servers have only addresses that no server on the internet can have");
	assert_int_equal(w.peers[0].connections, 0);
}

static void a_broken_handshake_waits_once(void **state)
{
	(void)state;
	struct job_spec again = to_b;
	again.attempt = 2;
	w.zone = one_mx;
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS", .broken_tls = true };
	direct_by("opportunistic");
	expect_of(&to_b, "0 later 0 4.7.5 The TLS handshake with mx.y.example failed");
	assert_int_equal(w.peers[0].letters, 0);
	expect_of(&again, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.last_level, TLS_NONE);

	/* Once the domain has shown TLS, nothing brings it back to clear text for a day. */
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS", .hang_up_after = true };
	expect_of(&to_b, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.last_level, TLS_OPPORTUNISTIC);
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS", .broken_tls = true };
	expect_of(&again, "0 later 0 4.7.5 The TLS handshake with mx.y.example failed");
	w.peers[0].script = (struct peer_script){ .ehlo = "" };
	expect_of(&again, "0 later 0 4.7.10 mx.y.example has lately used TLS for this domain and does not offer it now");
}

static void clear_text_is_for_one_host_alone(void **state)
{
	(void)state;
	struct job_spec again = to_b;
	again.attempt = 2;
	w.zone = two_mx;
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS", .broken_tls = true, .mail = "451 4.3.0 Not now" };
	w.peers[1].script = (struct peer_script){ .ehlo = "STARTTLS" };
	direct_by("opportunistic");
	expect_of(&again, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].letters, 0);
	assert_true(str_find_str(buf_view(&w.peers[0].said), STR("MAIL"), &(size_t){ 0 }));
	assert_int_equal(w.last_level, TLS_OPPORTUNISTIC);
}

static void encrypt_never_goes_in_clear(void **state)
{
	(void)state;
	struct job_spec late = to_b;
	late.attempt = 9;
	w.zone = one_mx;
	direct_by("encrypt");
	expect_of(&late, "0 later 0 4.7.10 mx.y.example does not offer STARTTLS, and without TLS this message is not sent there|");
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS", .broken_tls = true };
	expect_of(&late, "0 later 0 4.7.5 The TLS handshake with mx.y.example failed");
	assert_int_equal(w.peers[0].letters, 0);
	assert_false(str_find_str(buf_view(&w.peers[0].said), STR("MAIL"), &(size_t){ 0 }));
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS" };
	expect_of(&late, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.last_level, TLS_ENCRYPT);
}

static void verify_wants_the_right_name(void **state)
{
	(void)state;
	w.zone = "MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1;MX z.example 10 mx.z.example;A mx.z.example 127.0.0.1";
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS" };
	direct_by("verify");
	expect_of(&to_b, "0 later 0 4.7.5 The TLS handshake with mx.y.example failed");
	world_ca_file(&w, buf_view(&w.home.ca_pem));
	configure("direct {\n port %\n allow-loopback yes\n tls verify\n ca /test/ca.pem\n}\n");
	expect_of(&to_b, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.last_level, TLS_VERIFY);
	assert_true(str_ends_nocase(buf_view(&w.last_tls), STR(" verified")));
	struct job_spec other = { .kind = ROUTE_TO_MX, .domain = "z.example", .rcpts = "b@z.example", .attempt = 5 };
	expect_of(&other, "0 later 0 4.7.5 The TLS handshake with mx.z.example failed");
	assert_int_equal(w.peers[0].letters, 1);
}

static void a_ca_without_certificate_is_refused(void **state)
{
	(void)state;
	direct_by("opportunistic");
	world_ca_file(&w, STR("nothing\n"));
	world_configure(&w, "direct {\n port %\n allow-loopback yes\n tls verify\n ca /test/ca.pem\n}\n");
	assert_false(w.ready);
	assert_non_null(strstr(w.why, "no CA certificate"));
	w.zone = one_mx; /* the old configuration is still in force */
	expect_of(&to_b, "0 done 250 2.0.0 Ok|");
}

static const char relay_starttls[] = "relay corp {\n host 127.0.0.1:%\n tls starttls verify\n ca /test/ca.pem\n"
                                     " login user file:/test/secret\n}\n";
static const char relay_implicit[] = "relay corp {\n host 127.0.0.1:%\n tls implicit verify\n ca /test/ca.pem\n"
                                     " login user file:/test/secret\n}\n";

static void relays_with_login(void **state)
{
	(void)state;
	struct job_spec spec = { .kind = ROUTE_TO_RELAY, .name = "corp", .domain = "far.example", .rcpts = "b@far.example" };
	const char *lines[] = { relay_starttls, relay_implicit };
	w.peers[0].script.ehlo = "STARTTLS";
	w.peers[0].script.ehlo_tls = "PIPELINING AUTH_PLAIN";
	for (size_t i = 0; i < COUNT(lines); i++) {
		w.peers[0].script.implicit = i == 1;
		world_ca_file(&w, buf_view(&w.home.ca_pem));
		configure(lines[i]);
		w.password = "right";
		expect_of(&spec, "0 done 250 2.0.0 Ok|");
		assert_int_equal(w.last_level, TLS_VERIFY);
		world_ca_file(&w, buf_view(&w.home.ca_pem)); /* a reload closes the connection that was kept */
		configure(lines[i]);
		w.password = "wrong";
		expect_of(&spec, "0 later 0 4.7.8 The login at 127.0.0.1 was refused: 535 Wrong password; check `login` of relay corp|");
		w.password = NULL;
		expect_of(&spec, "0 later 0 4.7.8 No login at 127.0.0.1: no mechanism in common|");
	}
	w.password = "right";
	w.peers[0].script.ehlo_tls = "PIPELINING";
	expect_of(&spec, "0 later 0 4.7.0 No login at 127.0.0.1: the server does not offer AUTH|");
	assert_int_equal(w.peers[0].letters, 2);
}

static void a_relay_that_is_not_there(void **state)
{
	(void)state;
	struct job_spec spec = { .kind = ROUTE_TO_RELAY, .name = "gone", .domain = "far.example", .rcpts = "b@far.example" };
	direct_by("opportunistic");
	expect_of(&spec, "0 later 0 4.3.5 The configuration does not name the way");
}

static void lmtp_over_a_unix_socket(void **state)
{
	(void)state;
	struct job_spec spec = { .kind = ROUTE_TO_LMTP, .name = "unix:/run/lmtp.sock", .domain = "own.example",
	                         .rcpts = "b@own.example bad@own.example c@own.example d@own.example" };
	direct_by("opportunistic");
	w.unix_peer = &w.peers[0];
	w.peers[0].script.ehlo = "PIPELINING STARTTLS";
	w.peers[0].script.finals[0] = "250 2.0.0 Delivered";
	w.peers[0].script.finals[1] = "452 4.2.2 Full";
	w.peers[0].script.finals[2] = "550 5.2.1 Off";
	expect_of(&spec, "1 never 550 5.1.1 No such user|0 done 250 2.0.0 Delivered|2 later 452 4.2.2 Full|3 never 550 5.2.1 Off|");
	assert_true(str_starts(buf_view(&w.peers[0].said), STR("LHLO mx.own.example\r\nMAIL")));
	w.unix_peer = NULL;
	spec.name = "unix:/run/other.sock";
	expect_of(&spec, "0 later 0 4.4.1 Cannot connect to unix:/run/other.sock: No such file or directory|");
}

static void lmtp_over_tcp(void **state)
{
	(void)state;
	char name[40];
	struct job_spec spec = { .kind = ROUTE_TO_LMTP, .name = name, .domain = "own.example", .rcpts = "b@own.example" };
	direct_by("opportunistic");
	(void)snprintf(name, sizeof name, "localhost:%u", (unsigned)w.port);
	w.peers[0].script.finals[0] = "250 2.0.0 Delivered";
	expect_of(&spec, "0 done 250 2.0.0 Delivered|");
}

static void connections_are_kept(void **state)
{
	(void)state;
	w.zone = one_mx;
	w.peers[0].script.ehlo = "PIPELINING STARTTLS";
	direct_by("opportunistic");
	for (unsigned i = 1; i <= 5; i++) {
		expect_of(&to_b, "0 done 250 2.0.0 Ok|");
		assert_int_equal(w.peers[0].connections, 1);
		assert_int_equal(w.peers[0].letters, i);
	}
	/* One that the server closes in between is not a failure. */
	w.peers[0].script.hang_up_after = true;
	expect_of(&to_b, "0 done 250 2.0.0 Ok|");
	expect_of(&to_b, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].connections, 2);
}

static void a_recipient_is_verified(void **state)
{
	(void)state;
	struct job_spec spec = to_b;
	spec.verify = true;
	w.zone = one_mx;
	direct_by("opportunistic");
	expect_of(&spec, "0 done 250 2.1.5 Ok|");
	spec.rcpts = "bad@y.example";
	expect_of(&spec, "0 never 550 5.1.1 No such user|");
	assert_int_equal(w.peers[0].letters, 0);
	assert_int_equal(w.wants, 0);
}

static void a_large_letter(void **state)
{
	(void)state;
	static const char line[] = "0123456789012345678901234567890123456789012345678901234567890\r\n";
	const size_t lines = 60000;
	struct job_spec spec = to_b;
	char *content = must_alloc(lines * (sizeof line - 1) + 1);
	for (size_t i = 0; i < lines; i++)
		memcpy(content + i * (sizeof line - 1), line, sizeof line - 1);
	spec.content = content;
	w.zone = one_mx;
	w.peers[0].script.ehlo = "PIPELINING STARTTLS";
	direct_by("opportunistic");
	expect_of(&spec, "0 done 250 2.0.0 Ok|");
	assert_true(str_eq(buf_view(&w.peers[0].content), str_of(content)));
	assert_in_range(w.credit_max, 1, DELIVERY_CREDIT_BYTES);
	free(content);
}

static void a_letter_that_is_too_big(void **state)
{
	(void)state;
	struct job_spec spec = to_b;
	w.zone = one_mx;
	w.peers[0].script.ehlo = "SIZE_10";
	direct_by("opportunistic");
	expect_of(&spec, "0 never 0 5.3.4 The message has 27 octets, the next server takes at most 10|");
}

static void what_cannot_be_carried(void **state)
{
	(void)state;
	struct job_spec spec = to_b;
	w.zone = one_mx;
	direct_by("opportunistic");
	spec.body_8bit = true;
	expect_of(&spec, "0 never 0 5.6.3 ");
	spec.body_8bit = false;
	spec.smtputf8 = true;
	expect_of(&spec, "0 never 0 5.6.7 ");
	spec.smtputf8 = false;
	spec.content = "a\nb\r\n";
	expect_of(&spec, "0 never 0 5.6.0 ");
	assert_int_equal(w.peers[0].letters, 0);
}

static void a_content_that_breaks_off(void **state)
{
	(void)state;
	w.zone = two_mx;
	direct_by("opportunistic");
	w.not_whole = true;
	expect_of(&to_b, "0 later 0 4.3.0 The queue could not read the message to its end|");
	w.not_whole = false;
	w.peers[0].script.hang_up_at_dot = true;
	expect_of(&to_b, "0 later 0 4.4.2 The connection was lost while we waited for the final reply to the content");
	assert_int_equal(w.peers[1].connections, 0); /* the outcome is unknown: no second copy by another host */
}

static void a_job_is_released(void **state)
{
	(void)state;
	w.zone = one_mx;
	direct_by("opportunistic");
	w.hold_body = true;
	world_send(&w, &to_b);
	while (w.wants == 0)
		world_run(&w);
	channel_send(w.spool, WORKER_RELEASE, &(struct worker_release){ .job = w.job });
	while (!w.done)
		world_run(&w);
	assert_int_equal(buf_view(&w.outcomes).n, 0);
	assert_int_equal(w.peers[0].letters, 0);
}

static void wait_until_it_is(const char *where)
{
	int64_t until_ms = loop_now_ms(w.loop) + 30000;
	do {
		assert_true(loop_now_ms(w.loop) < until_ms);
		channel_send(w.spool, WORKER_WHERE, &(struct worker_where){ .job = w.job });
		world_run(&w);
	} while (!str_eq(buf_view(&w.where), str_of(where)));
}

static void a_job_says_where_it_is(void **state)
{
	static const struct { const char *zone, *silent_at; bool mute, hold_body, silent_at_dot; const char *where; } cases[] = {
		{ .zone = "MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1;STS y.example silent", .where = " : asks the DNS, and for policies" },
		{ .mute = true, .where = "mx.y.example 127.0.0.1: connected; greeting, hello and TLS come first" },
		{ .silent_at = "MAIL", .where = "mx.y.example 127.0.0.1: sender and recipients are being told" },
		{ .hold_body = true, .where = "mx.y.example 127.0.0.1: the letter is going out" },
		{ .silent_at_dot = true, .where = "mx.y.example 127.0.0.1: all of the letter has gone out, the answer is awaited" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		w.zone = cases[i].zone != NULL ? cases[i].zone : one_mx;
		w.hold_body = cases[i].hold_body;
		w.peers[0].script.mute = cases[i].mute;
		w.peers[0].script.silent_at = cases[i].silent_at;
		w.peers[0].script.silent_at_dot = cases[i].silent_at_dot;
		direct_by("opportunistic");
		world_send(&w, &to_b);
		wait_until_it_is(cases[i].where);
		channel_send(w.spool, WORKER_RELEASE, &(struct worker_release){ .job = w.job });
		while (!w.done && !cases[i].silent_at_dot)
			world_run(&w);
	}
}

static void the_spool_starts_anew(void **state)
{
	(void)state;
	w.zone = one_mx;
	direct_by("opportunistic");
	w.hold_body = true;
	world_send(&w, &to_b);
	while (w.wants == 0)
		world_run(&w);
	w.hold_body = false;
	world_link_spool(&w);
	expect_of(&to_b, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].letters, 1);
}

static void draining_ends_when_nothing_is_in_hand(void **state)
{
	(void)state;
	w.zone = one_mx;
	direct_by("opportunistic");
	w.hold_body = true;
	world_send(&w, &to_b);
	while (w.wants == 0)
		world_run(&w);
	channel_send(w.control, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 20000 });
	while (!w.resting)
		world_run(&w);
	channel_send(w.spool, WORKER_JOB, &(struct worker_job){ .job = w.job + 1, .id = STR("late") });
	while (w.given_back == 0)
		world_run(&w);
	w.hold_body = false;
	channel_send(w.spool, WORKER_BODY, &(struct worker_body){ .job = w.job, .bytes = STR("x\r\n") });
	channel_send(w.spool, WORKER_BODY_END, &(struct worker_body_end){ .job = w.job, .whole = 1 });
	while (!w.done)
		world_run(&w);
	assert_false(w.drained);
	channel_send(w.spool, WORKER_RESTED, &(struct worker_rested){ 0 });
	while (!w.drained)
		world_run(&w);
	assert_true(str_eq(buf_view(&w.outcomes), STR("0 done 250 2.0.0 Ok|")));
}

/* What was proven by the anchors, and logged in with the password, of yesterday serves no letter of today. */
static void a_connection_does_not_outlive_its_configuration(void **state)
{
	(void)state;
	w.zone = one_mx;
	direct_by("opportunistic");
	w.hold_body = true;
	world_send(&w, &to_b);
	while (w.wants == 0)
		world_run(&w);
	direct_by("opportunistic");
	w.hold_body = false;
	channel_send(w.spool, WORKER_BODY, &(struct worker_body){ .job = w.job, .bytes = STR("x\r\n") });
	channel_send(w.spool, WORKER_BODY_END, &(struct worker_body_end){ .job = w.job, .whole = 1 });
	while (!w.done)
		world_run(&w);
	expect_of(&to_b, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].connections, 2);
	expect_of(&to_b, "0 done 250 2.0.0 Ok|");
	assert_int_equal(w.peers[0].connections, 2);
}

static void draining_waits_for_no_policy(void **state)
{
	(void)state;
	w.zone = "MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1;STS y.example silent";
	direct_by("opportunistic");
	world_send(&w, &to_b);
	while (w.unanswered == 0)
		world_run(&w);
	channel_send(w.control, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 20000 });
	while (w.given_back == 0)
		world_run(&w);
	channel_send(w.spool, WORKER_RESTED, &(struct worker_rested){ 0 });
	while (!w.drained)
		world_run(&w);
	assert_true(w.resting);
	assert_int_equal(buf_view(&w.outcomes).n, 0);
}

static void recipients_over_the_limit_come_again(void **state)
{
	(void)state;
	struct job_spec spec = to_b;
	spec.rcpts = "b@y.example c@y.example d@y.example";
	w.zone = one_mx;
	w.peers[0].script.ehlo = "LIMITS_RCPTMAX=2";
	direct_by("opportunistic");
	expect_of(&spec, "0 done 250 2.0.0 Ok|1 done 250 2.0.0 Ok|");
	assert_int_equal(buf_view(&w.outcomes).n, strlen("0 done 250 2.0.0 Ok|1 done 250 2.0.0 Ok|"));
}

static void without_a_resolver_letters_wait(void **state)
{
	(void)state;
	/* A second link for an arrow replaces the first; its other end is gone at once. */
	int pair[2];
	direct_by("opportunistic");
	assert_int_equal(socket_pair(pair), OK);
	channel_close(&w.resolver);
	channel_send_fd(w.control, TO_ROLE_LINK, &(struct to_role_link){ .arrow = ARROW_COURIER_RESOLVER }, pair[0]);
	fd_close(&pair[1]);
	expect_of(&to_b, "0 later 0 4.4.3 The DNS did not answer the question for MX y.example: the resolver is not there|");
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(one_letter_in_clear), WORLD_TEST(opportunistic_tls), WORLD_TEST(each_recipient_its_outcome),
		WORLD_TEST(the_next_host_is_tried), WORLD_TEST(what_the_dns_says), WORLD_TEST(loopback_is_not_remote), WORLD_TEST(only_better_hosts),
		WORLD_TEST(a_broken_handshake_waits_once), WORLD_TEST(clear_text_is_for_one_host_alone),
		WORLD_TEST(encrypt_never_goes_in_clear),
		WORLD_TEST(verify_wants_the_right_name), WORLD_TEST(a_ca_without_certificate_is_refused),
		WORLD_TEST(relays_with_login), WORLD_TEST(a_relay_that_is_not_there), WORLD_TEST(lmtp_over_a_unix_socket),
		WORLD_TEST(lmtp_over_tcp), WORLD_TEST(connections_are_kept), WORLD_TEST(a_recipient_is_verified),
		WORLD_TEST(a_large_letter), WORLD_TEST(a_letter_that_is_too_big), WORLD_TEST(what_cannot_be_carried),
		WORLD_TEST(a_content_that_breaks_off), WORLD_TEST(a_job_is_released), WORLD_TEST(a_job_says_where_it_is), WORLD_TEST(the_spool_starts_anew),
		WORLD_TEST(draining_ends_when_nothing_is_in_hand), WORLD_TEST(draining_waits_for_no_policy),
		WORLD_TEST(recipients_over_the_limit_come_again),
		WORLD_TEST(a_connection_does_not_outlive_its_configuration),
		WORLD_TEST(without_a_resolver_letters_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
