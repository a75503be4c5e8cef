/* SPDX-License-Identifier: ISC */
/* Logins of users at the keeper, and the keeper's logins at relays. */
#include "unit.h"

#include "neighbours.h"

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/sasl/client.h"
#include "proto/sasl/credential.h"
#include "proto/sasl/server.h"
#include "role/keeper/backoff.h"

static void step(uint64_t session, struct str response)
{
	channel_send(front, FRONT_AUTH_STEP, &(struct front_auth_step){ .session = session, .response = response });
}

static void logs_in_by_plain(void **state)
{
	(void)state;
	start(1, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	expect(&front_ear, 1, "DONE 1 jada;");
	start(2, "PLAIN", PLAIN("\0jada@example.org\0pencil"), "192.0.2.1");
	expect(&front_ear, 1, "DONE 2 jada;");
	start(3, "PLAIN", PLAIN("\0jada\0wrong"), "192.0.2.1");
	expect(&front_ear, 1, "FAILED 3 535 5.7.8 500;");
	start(4, "PLAIN", PLAIN("\0jada\0wrong"), "192.0.2.1");
	expect(&front_ear, 1, "FAILED 4 535 5.7.8 1000;");
	start(5, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	expect(&front_ear, 1, "DONE 5 jada;");
	start(6, "PLAIN", PLAIN("\0broken\0pencil"), "192.0.2.1");
	expect(&front_ear, 1, "FAILED 6 535 5.7.8 500;");
	start(7, "PLAIN", PLAIN("\0nobody\0pencil"), "192.0.2.4");
	expect(&front_ear, 1, "FAILED 7 535 5.7.8 500;");
	/* Several at once; the number is the front's. */
	for (unsigned i = 0; i < 8; i++)
		start(10 + i, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	wait_for(&front_ear, 8);
	assert_int_equal(buf_view(&front_ear.heard).n, 8 * strlen("DONE 10 jada;"));
	buf_clear(&front_ear.heard);
}

static void logs_in_by_scram(void **state)
{
	static const char *const mechanisms[] = { "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256" };
	(void)state;
	for (size_t i = 0; i < COUNT(mechanisms); i++) {
		struct sasl_client *c;
		struct str response;
		bool initial;
		struct sasl_client_options o = { str_of(mechanisms[i]), STR("jada"), STR("pencil"), BINDING };
		assert_ok(sasl_client_new(&o, &c, NULL));
		assert_ok(sasl_client_first(c, &initial, &response, NULL));
		start(1, mechanisms[i], response, "192.0.2.1");
		expect(&front_ear, 1, "MORE 1;");
		assert_ok(sasl_client_step(c, buf_view(&front_ear.kept), &response, NULL));
		step(1, response);
		expect(&front_ear, 1, "MORE 1;");
		assert_ok(sasl_client_step(c, buf_view(&front_ear.kept), &response, NULL));
		assert_true(sasl_client_proved(c));
		step(1, response);
		expect(&front_ear, 1, "DONE 1 jada;");
		sasl_client_free(&c);
	}
}

static void refuses_what_is_not_offered(void **state)
{
	struct front_auth_start m = { .session = 1, .listener = 1, .mechanism = STR("ANONYMOUS"), .client = STR("192.0.2.1") };
	(void)state;
	channel_send(front, FRONT_AUTH_START, &m);
	expect(&front_ear, 1, "FAILED 1 504 5.5.4 0;");
	m.mechanism = STR("SCRAM-SHA-256-PLUS"); /* without a binding */
	channel_send(front, FRONT_AUTH_START, &m);
	expect(&front_ear, 1, "FAILED 1 504 5.5.4 0;");
	m.mechanism = STR("PLAIN");
	m.listener = 0; /* port 25 has no logins */
	channel_send(front, FRONT_AUTH_START, &m);
	expect(&front_ear, 1, "FAILED 1 503 5.5.1 0;");
	m.listener = 77;
	channel_send(front, FRONT_AUTH_START, &m);
	expect(&front_ear, 1, "FAILED 1 503 5.5.1 0;");
	step(1, STR("out of nowhere"));
	expect(&front_ear, 1, "FAILED 1 503 5.5.1 0;");
}

static void cancelling_leaves_nothing(void **state)
{
	(void)state;
	start(1, "PLAIN", PLAIN("\0jada\0wrong"), "192.0.2.1"); /* a thread measures while this is taken back */
	channel_send(front, FRONT_AUTH_CANCEL, &(struct front_auth_cancel){ .session = 1 });
	channel_send(front, FRONT_AUTH_CANCEL, &(struct front_auth_cancel){ .session = 1 });
	start(1, "LOGIN", STR_NONE, "192.0.2.1");
	expect(&front_ear, 1, "MORE 1;");
	start(1, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1"); /* the same number again */
	step(1, STR("too early"));
	wait_for(&front_ear, 2);
	buf_clear(&front_ear.heard);
	start(2, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	expect(&front_ear, 1, "DONE 2 jada;");
}

static void guessing_is_stopped(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BACKOFF_CLIENT_MAX; i++) {
		start(1, "PLAIN", PLAIN("\0nobody\0guess"), "198.51.100.7");
		wait_for(&front_ear, 1);
	}
	buf_clear(&front_ear.heard);
	start(1, "PLAIN", PLAIN("\0jada\0pencil"), "198.51.100.7");
	expect(&front_ear, 1, "FAILED 1 454 4.7.0 8000;");
	start(1, "PLAIN", PLAIN("\0jada\0pencil"), "198.51.100.8"); /* the user is not locked out */
	expect(&front_ear, 1, "DONE 1 jada;");
}

/* A verifier that is slow to measure shows in nothing: what is left of the delay is as much shorter. */
/* The verifiers of all users are counted: names that nobody has are offered the rounds of the one, or of the other. */
static void attack_58_nobody_is_like_any_of_the_users(void **state)
{
	struct credential c;
	struct buf line;
	unsigned as_jada = 0, as_other = 0;
	(void)state;
	buf_init(&line, 4096);
	assert_ok(credential_make(STR("pencil"), 8192, STR("saltsaltsaltsalt"), &c));
	assert_ok(buf_add(&line, STR("other:")));
	assert_ok(credential_put(&line, &c));
	assert_ok(buf_add(&line, STR("\n\0")));
	write_users(buf_view(&line).p);
	expect_ready();
	for (unsigned i = 0; i < 40; i++) {
		char first[64];
		snprintf(first, sizeof first, "n,,n=none%u,r=abcdefgh", i);
		start(1, "SCRAM-SHA-256", str_of(first), "203.0.113.7");
		expect(&front_ear, 1, "MORE 1;");
		as_jada += str_find_str(buf_view(&front_ear.kept), STR(",i=4096"), &(size_t){ 0 });
		as_other += str_find_str(buf_view(&front_ear.kept), STR(",i=8192"), &(size_t){ 0 });
	}
	assert_int_equal(as_jada + as_other, 40);
	assert_true(as_jada > 0 && as_other > 0);
	buf_wipe(&line);
	write_users("");
	expect_ready();
}

static void attack_58_a_slow_verifier_is_refused_in_the_same_time(void **state)
{
	char line[256];
	struct crypt_data *data = NEW(struct crypt_data);
	(void)state;
	const char *made = crypt_rn("pencil", "$2b$09$abcdefghijklmnopqrstuu", data, sizeof *data);
	assert_non_null(made);
	snprintf(line, sizeof line, "slow:%s\n", made);
	free(data);
	write_users(line);
	expect_ready();
	start(1, "PLAIN", PLAIN("\0slow\0pencil"), "203.0.113.5");
	expect(&front_ear, 1, "DONE 1 slow;");
	start(2, "PLAIN", PLAIN("\0slow\0wrong"), "203.0.113.6");
	expect(&front_ear, 1, "FAILED 2 535 5.7.8 500;");
	assert_true(front_ear.delay_ms < BACKOFF_DELAY_FIRST_MS); /* bcrypt's milliseconds are gone already */
	write_users("");
	expect_ready();
}

static void a_reload_ends_exchanges_kindly(void **state)
{
	(void)state;
	start(1, "LOGIN", STR("jada"), "192.0.2.1");
	expect(&front_ear, 1, "MORE 1;");
	expect_ready();
	step(1, STR("pencil"));
	expect(&front_ear, 1, "FAILED 1 454 4.3.0 0;");
}

/* ---- relays ---- */

static fault find_mx1(void *owner, struct str login, struct str *name_out, struct str *credential_out)
{
	if (!str_eq(login, STR("mx1")))
		return F_ABSENT;
	*name_out = login;
	*credential_out = str_of(owner);
	return OK;
}

static void login_at(const char *relay, const char *mechanisms)
{
	channel_send(courier, COURIER_LOGIN_START,
	             &(struct courier_login_start){ .session = 5, .relay = str_of(relay), .mechanisms = str_of(mechanisms) });
}

static void answer_relay(struct str challenge)
{
	channel_send(courier, COURIER_LOGIN_STEP, &(struct courier_login_step){ .session = 5, .challenge = challenge });
}

static void logs_in_at_relays(void **state)
{
	struct credential c;
	struct buf text;
	struct str challenge;
	(void)state;
	login_at("corp", "LOGIN PLAIN");
	expect(&courier_ear, 1, "FIRST PLAIN 1;");
	assert_memory_equal(buf_view(&courier_ear.kept).p, "\0mx1\0pencil", 11);
	channel_send(courier, COURIER_LOGIN_END, &(struct courier_login_end){ .session = 5 });

	buf_init(&text, 512);
	assert_ok(credential_make(STR("pencil"), 4096, STR("saltsaltsaltsalt"), &c));
	assert_ok(credential_put(&text, &c));
	assert_ok(buf_add_char(&text, '\0'));
	static const struct credential_kinds no_kinds = { .n = 0 };
	struct sasl_users users = { find_mx1, (void *)(uintptr_t)buf_view(&text).p, STR("pepper"), &no_kinds };
	struct sasl_server *s = sasl_server_new(STR("SCRAM-SHA-256"), &users, STR_NONE);
	login_at("corp", "LOGIN PLAIN SCRAM-SHA-256");
	expect(&courier_ear, 1, "FIRST SCRAM-SHA-256 1;");
	assert_int_equal(sasl_server_step(s, buf_view(&courier_ear.kept), &challenge), SASL_MORE);
	answer_relay(challenge);
	expect(&courier_ear, 1, "STEP;");
	assert_int_equal(sasl_server_step(s, buf_view(&courier_ear.kept), &challenge), SASL_MORE);
	answer_relay(challenge);
	expect(&courier_ear, 1, "STEP;");
	assert_int_equal(sasl_server_step(s, buf_view(&courier_ear.kept), &challenge), SASL_DONE);
	channel_send(courier, COURIER_LOGIN_END, &(struct courier_login_end){ .session = 5 });
	sasl_server_free(&s);
	buf_fini(&text);

	login_at("corp", "LOGIN");
	expect(&courier_ear, 1, "FIRST LOGIN 0;");
	answer_relay(STR("Username:"));
	expect(&courier_ear, 1, "STEP;");
	assert_str(buf_view(&courier_ear.kept), "mx1");
	answer_relay(STR("Password:"));
	expect(&courier_ear, 1, "STEP;");
	assert_str(buf_view(&courier_ear.kept), "pencil");
	answer_relay(STR("And your cat's name?"));
	expect(&courier_ear, 1, "FAILED the server goes on asking after the login is complete;");
}

static void relay_failures_say_why(void **state)
{
	(void)state;
	login_at("open", "PLAIN");
	expect(&courier_ear, 1, "FAILED no login is configured for this relay;");
	login_at("nowhere", "PLAIN");
	expect(&courier_ear, 1, "FAILED no login is configured for this relay;");
	login_at("corp", "CRAM-MD5");
	expect(&courier_ear, 1, "FAILED the server offers no login mechanism of ours (SCRAM-SHA-256, PLAIN, LOGIN);");
	answer_relay(STR("x"));
	expect(&courier_ear, 1, "FAILED no login is under way;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logs_in_by_plain),
		cmocka_unit_test(logs_in_by_scram),
		cmocka_unit_test(refuses_what_is_not_offered),
		cmocka_unit_test(cancelling_leaves_nothing),
		cmocka_unit_test(attack_58_nobody_is_like_any_of_the_users),
		cmocka_unit_test(attack_58_a_slow_verifier_is_refused_in_the_same_time),
		cmocka_unit_test(guessing_is_stopped),
		cmocka_unit_test(a_reload_ends_exchanges_kindly),
		cmocka_unit_test(logs_in_at_relays),
		cmocka_unit_test(relay_failures_say_why),
	};
	return cmocka_run_group_tests_name("logins at the keeper", tests, begin, end);
}
