/* SPDX-License-Identifier: ISC */
/* Our server side against our client side, and against steps written by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "proto/sasl/client.h"
#include "proto/sasl/credential.h"
#include "proto/sasl/server.h"

#define BINDING ((struct str){ "0123456789abcdef0123456789abcdef", 32 })
#define OTHER_BINDING ((struct str){ "0123456789abcdef0123456789abcdeF", 32 })

struct table { char scram[256], crypt[256]; unsigned asked; struct credential_kinds kinds; };

/* jada: SCRAM, "pencil"; also called jada@example.org. old: crypt(3), "pencil". */
static fault find(void *owner, struct str login, struct str *name_out, struct str *credential_out)
{
	struct table *t = owner;
	t->asked++;
	if (str_eq(login, STR("jada")) || str_eq(login, STR("jada@example.org"))) {
		*name_out = STR("jada");
		*credential_out = str_of(t->scram);
		return OK;
	}
	if (str_eq(login, STR("old"))) {
		*name_out = STR("old");
		*credential_out = str_of(t->crypt);
		return OK;
	}
	return F_ABSENT;
}

static struct sasl_users users_of(struct table *t)
{
	return (struct sasl_users){ find, t, STR("pepper"), &t->kinds };
}

static int table_setup(void **state)
{
	struct table *t = NEW(struct table);
	struct credential c;
	struct buf text;
	buf_init(&text, 256);
	assert_int_equal(credential_make(STR("pencil"), 4096, STR("saltsaltsaltsalt"), &c), OK);
	assert_int_equal(credential_put(&text, &c), OK);
	memcpy(t->scram, buf_view(&text).p, buf_view(&text).n);
	credential_kinds_add(&t->kinds, &c);
	buf_fini(&text);
	struct crypt_data *data = NEW(struct crypt_data);
	const char *made = crypt_rn("pencil", "$6$rounds=1000$saltstring$", data, sizeof(*data));
	assert_non_null(made);
	snprintf(t->crypt, sizeof(t->crypt), "%s", made);
	free(data);
	*state = t;
	return 0;
}

static int table_teardown(void **state)
{
	free(*state);
	return 0;
}

/* With the measuring at once. */
static enum sasl_verdict step(struct sasl_server *s, struct str response, struct str *challenge_out)
{
	enum sasl_verdict v = sasl_server_step(s, response, challenge_out);
	if (v != SASL_MEASURE)
		return v;
	sasl_server_measure(s);
	return sasl_server_measured(s);
}

struct login { const char *mechanisms, *user, *password; struct str client_binding, server_binding; };

/* Runs the whole exchange; what happened is the server's verdict. */
static enum sasl_verdict exchange(struct table *t, const struct login *l, struct str *user_out, bool *proved_out)
{
	static char user[64];
	struct sasl_client *c;
	struct why why = { "" };
	struct sasl_users users = users_of(t);
	struct sasl_client_options options = { str_of(l->mechanisms), str_of(l->user), str_of(l->password), l->client_binding };
	if (sasl_client_new(&options, &c, &why) != OK)
		fail_msg("%s", why.text);
	struct sasl_server *s = sasl_server_new(sasl_client_mechanism(c), &users, l->server_binding);
	assert_non_null(s);
	bool initial;
	struct str response, challenge;
	if (sasl_client_first(c, &initial, &response, &why) != OK)
		fail_msg("%s", why.text);
	enum sasl_verdict v = step(s, response, &challenge);
	while (v == SASL_MORE) {
		fault f = sasl_client_step(c, challenge, &response, &why);
		if (f != OK)
			fail_msg("%s: %s", fault_name(f), why.text);
		v = step(s, response, &challenge);
	}
	*proved_out = sasl_client_proved(c);
	snprintf(user, sizeof(user), "%.*s", STR_ARG(sasl_server_user(s)));
	*user_out = str_of(user);
	struct str after;
	assert_int_equal(step(s, STR("x"), &after), SASL_DENIED); /* over is over */
	sasl_server_free(&s);
	sasl_client_free(&c);
	return v;
}

static void every_mechanism_logs_in(void **state)
{
	static const struct { const char *mechanism, *user, *password; enum sasl_verdict verdict; } rows[] = {
		{ "PLAIN", "jada", "pencil", SASL_DONE },         { "LOGIN", "jada", "pencil", SASL_DONE },
		{ "SCRAM-SHA-256", "jada", "pencil", SASL_DONE }, { "SCRAM-SHA-256-PLUS", "jada", "pencil", SASL_DONE },
		{ "PLAIN", "jada@example.org", "pencil", SASL_DONE }, { "SCRAM-SHA-256", "jada@example.org", "pencil", SASL_DONE },
		{ "PLAIN", "jada", "wrong", SASL_DENIED },        { "LOGIN", "jada", "wrong", SASL_DENIED },
		{ "SCRAM-SHA-256", "jada", "wrong", SASL_DENIED }, { "SCRAM-SHA-256-PLUS", "jada", "wrong", SASL_DENIED },
		{ "PLAIN", "nobody", "pencil", SASL_DENIED },     { "LOGIN", "nobody", "pencil", SASL_DENIED },
		{ "SCRAM-SHA-256", "nobody", "pencil", SASL_DENIED }, { "SCRAM-SHA-256-PLUS", "nobody", "pencil", SASL_DENIED },
		{ "PLAIN", "old", "pencil", SASL_DONE },          { "LOGIN", "old", "pencil", SASL_DONE },
		{ "PLAIN", "old", "wrong", SASL_DENIED },         { "SCRAM-SHA-256", "old", "pencil", SASL_DENIED },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str user;
		bool proved;
		struct login l = { rows[i].mechanism, rows[i].user, rows[i].password, BINDING, BINDING };
		enum sasl_verdict v = exchange(*state, &l, &user, &proved);
		if (v != rows[i].verdict)
			fail_msg("%s %s %s: %d", rows[i].mechanism, rows[i].user, rows[i].password, v);
		if (v == SASL_DONE) {
			assert_string_equal(user.p, str_starts(str_of(rows[i].user), STR("jada")) ? "jada" : "old");
			assert_true(proved);
		}
	}
}

static void bindings_must_agree(void **state)
{
	struct str user;
	bool proved;
	struct login man_in_the_middle = { "SCRAM-SHA-256-PLUS", "jada", "pencil", OTHER_BINDING, BINDING };
	assert_int_equal(exchange(*state, &man_in_the_middle, &user, &proved), SASL_DENIED);
	/* Bound here, but PLUS was not offered by the other side. */
	struct login unbound = { "SCRAM-SHA-256", "jada", "pencil", BINDING, STR_NONE };
	assert_int_equal(exchange(*state, &unbound, &user, &proved), SASL_DONE);
	struct login not_chosen = { "SCRAM-SHA-256", "jada", "pencil", STR_NONE, BINDING };
	assert_int_equal(exchange(*state, &not_chosen, &user, &proved), SASL_DONE);

	/* PLUS taken from our list on the way: the client says "y", the server knows better. Without a binding "y" is
	 * honest. */
	struct sasl_users users = users_of(*state);
	for (int bound = 0; bound < 2; bound++) {
		struct str challenge;
		struct sasl_server *s = sasl_server_new(STR("SCRAM-SHA-256"), &users, bound ? BINDING : STR_NONE);
		assert_int_equal(step(s, STR("y,,n=jada,r=abcdefgh"), &challenge), bound ? SASL_DENIED : SASL_MORE);
		sasl_server_free(&s);
	}
}

static void only_ours_are_known(void **state)
{
	static const char *const others[] = { "ANONYMOUS", "CRAM-MD5", "DIGEST-MD5", "EXTERNAL", "NTLM", "SCRAM-SHA-1", "GSSAPI",
		"SCRAM-SHA-1-PLUS", "SECURID", "", "PLAI", "PLAINX", "XOAUTH2" };
	struct sasl_users users = users_of(*state);
	for (size_t i = 0; i < COUNT(others); i++)
		assert_null(sasl_server_new(str_of(others[i]), &users, BINDING));
	assert_null(sasl_server_new(STR("SCRAM-SHA-256-PLUS"), &users, STR_NONE));
}

/* One step by hand. */
static enum sasl_verdict one(struct table *t, const char *mechanism, struct str response, char challenge[256])
{
	struct sasl_users users = users_of(t);
	struct sasl_server *s = sasl_server_new(str_of(mechanism), &users, STR_NONE);
	struct str out;
	enum sasl_verdict v = step(s, response, &out);
	snprintf(challenge, 256, "%.*s", STR_ARG(out));
	sasl_server_free(&s);
	return v;
}

static void plain_is_strict(void **state)
{
	static const struct { struct str response; enum sasl_verdict verdict; } rows[] = {
		{ { "\0jada\0pencil", 12 }, SASL_DONE },
		{ { "jada\0jada\0pencil", 16 }, SASL_DONE },
		{ { "jada\0jada@example.org\0pencil", 28 }, SASL_DONE },   /* the canonical name is oneself */
		{ { "root\0jada\0pencil", 16 }, SASL_DENIED },
		{ { "jada@example.org\0jada\0pencil", 28 }, SASL_DENIED }, /* neither the login name nor the canonical one */
		{ { "\0jada\0pencil\0", 13 }, SASL_DENIED },
		{ { "\0jada\0pencil\0x", 14 }, SASL_DENIED },
		{ { "\0jada\0", 6 }, SASL_DENIED },
		{ { "\0\0pencil", 8 }, SASL_DENIED },
		{ { "\0\0", 2 }, SASL_DENIED },
		{ { "jada", 4 }, SASL_DENIED },
		{ { "\0jada", 5 }, SASL_DENIED },
		{ { "", 0 }, SASL_MORE },                                  /* "=": an empty step */
		{ { "\0jada\0\xff", 7 }, SASL_DENIED },
		{ { "\0j\xff" "a\0pencil", 12 }, SASL_DENIED },
	};
	char challenge[256];
	for (size_t i = 0; i < COUNT(rows); i++)
		if (one(*state, "PLAIN", rows[i].response, challenge) != rows[i].verdict)
			fail_msg("row %zu", i);
}

/* Of this thread, so that a busy machine does not count. */
static double seconds_to_deny(struct sasl_users *users, struct str response)
{
	struct timespec from, to;
	struct str challenge;
	struct sasl_server *s = sasl_server_new(STR("PLAIN"), users, STR_NONE);
	assert_int_equal(sasl_server_step(s, response, &challenge), SASL_MEASURE);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	sasl_server_measure(s);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	assert_int_equal(sasl_server_measured(s), SASL_DENIED);
	sasl_server_free(&s);
	return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

/* Where the users have crypt(3) strings, a name that nobody has is measured with one of them; and not let in by it. */
static void attack_58_unknown_names_cost_what_users_cost(void **state)
{
	struct sasl_users users = users_of(*state), slow = users;
	struct crypt_data *data = NEW(struct crypt_data);
	const char *made = crypt_rn("pencil", "$6$rounds=100000$saltstring$", data, sizeof *data);
	assert_non_null(made);
	struct credential_kinds kinds = { .n = 0 };
	struct credential c;
	assert_int_equal(credential_parse(str_of(made), &c, NULL), OK);
	credential_kinds_add(&kinds, &c);
	slow.kinds = &kinds;
	double plain = seconds_to_deny(&users, (struct str){ "\0nobody\0pencil", 14 });
	double like = seconds_to_deny(&slow, (struct str){ "\0nobody\0pencil", 14 });
	if (like < 4 * plain)
		fail_msg("%f s for an unknown name, %f s with PBKDF2", like, plain);
	/* Users are measured with their own. */
	char challenge[256];
	assert_int_equal(one(*state, "PLAIN", (struct str){ "\0jada\0pencil", 12 }, challenge), SASL_DONE);
	free(data);
}

static void login_asks_as_everybody(void **state)
{
	struct sasl_users users = users_of(*state);
	struct str challenge;
	struct sasl_server *s = sasl_server_new(STR("LOGIN"), &users, STR_NONE);
	assert_int_equal(step(s, STR_NONE, &challenge), SASL_MORE);
	assert_true(str_eq(challenge, STR("Username:")));
	assert_int_equal(step(s, STR("jada"), &challenge), SASL_MORE);
	assert_true(str_eq(challenge, STR("Password:")));
	assert_int_equal(step(s, STR("pencil"), &challenge), SASL_DONE);
	assert_true(str_eq(sasl_server_login(s), STR("jada")));
	sasl_server_free(&s);

	s = sasl_server_new(STR("LOGIN"), &users, STR_NONE); /* the name with AUTH itself */
	assert_int_equal(step(s, STR("jada"), &challenge), SASL_MORE);
	assert_true(str_eq(challenge, STR("Password:")));
	assert_int_equal(step(s, STR("pencil"), &challenge), SASL_DONE);
	sasl_server_free(&s);

	s = sasl_server_new(STR("LOGIN"), &users, STR_NONE);
	assert_int_equal(step(s, STR("jada"), &challenge), SASL_MORE);
	assert_int_equal(step(s, ((struct str){ "pencil\0x", 8 }), &challenge), SASL_DENIED);
	sasl_server_free(&s);
}

static void scram_is_strict(void **state)
{
	static const char *const bad[] = {
		"n,,n=jada", "n,,r=abc", "n,a=root", "p=tls-unique,,n=jada,r=abc", "p=tls-exporter,,n=jada,r=abc", "x,,n=jada,r=abc",
		"n,,m=x,n=jada,r=abc", "n,,n=,r=abc", "garbage", "n,,n=ja=da,r=abc",
	};
	char challenge[256];
	for (size_t i = 0; i < COUNT(bad); i++)
		if (one(*state, "SCRAM-SHA-256", str_of(bad[i]), challenge) == SASL_DONE)
			fail_msg("%s", bad[i]);
	assert_int_equal(one(*state, "SCRAM-SHA-256", ((struct str){ "n,,n=ja\0da,r=abcdefgh", 21 }), challenge), SASL_DENIED);
	/* The first message of a good one, and of a user who is not there: alike, and steady. */
	char again[256];
	assert_int_equal(one(*state, "SCRAM-SHA-256", STR("n,,n=jada,r=abcdefgh"), challenge), SASL_MORE);
	assert_non_null(strstr(challenge, ",s=c2FsdHNhbHRzYWx0c2FsdA==,i=4096"));
	assert_int_equal(one(*state, "SCRAM-SHA-256", STR("n,,n=nobody,r=abcdefgh"), challenge), SASL_MORE);
	assert_int_equal(one(*state, "SCRAM-SHA-256", STR("n,,n=nobody,r=abcdefgh"), again), SASL_MORE);
	assert_string_equal(strstr(challenge, ",s="), strstr(again, ",s="));
	assert_int_equal(strlen(strstr(challenge, ",s=")), strlen(",s=c2FsdHNhbHRzYWx0c2FsdA==,i=4096"));
}

/* After v= only an empty line is an answer. */
static void the_last_word_is_answered_by_nothing(void **state)
{
	for (int talkative = 0; talkative < 2; talkative++) {
		struct sasl_users users = users_of(*state);
		struct sasl_client *c;
		struct sasl_client_options o = { STR("SCRAM-SHA-256"), STR("jada"), STR("pencil"), STR_NONE };
		assert_int_equal(sasl_client_new(&o, &c, NULL), OK);
		struct sasl_server *s = sasl_server_new(STR("SCRAM-SHA-256"), &users, STR_NONE);
		struct str response, challenge;
		bool initial;
		assert_int_equal(sasl_client_first(c, &initial, &response, NULL), OK);
		assert_true(initial);
		assert_int_equal(step(s, response, &challenge), SASL_MORE);
		assert_int_equal(sasl_client_step(c, challenge, &response, NULL), OK);
		assert_false(sasl_client_proved(c));
		assert_int_equal(step(s, response, &challenge), SASL_MORE);
		assert_true(str_starts(challenge, STR("v=")));
		assert_int_equal(step(s, talkative ? STR("x") : STR_NONE, &challenge), talkative ? SASL_DENIED : SASL_DONE);
		sasl_server_free(&s);
		sasl_client_free(&c);
	}
}

static void an_impostor_is_found(void **state)
{
	struct sasl_users users = users_of(*state);
	struct sasl_client *c;
	struct why why = { "" };
	struct sasl_client_options o = { STR("SCRAM-SHA-256"), STR("jada"), STR("pencil"), STR_NONE };
	assert_int_equal(sasl_client_new(&o, &c, NULL), OK);
	struct sasl_server *s = sasl_server_new(STR("SCRAM-SHA-256"), &users, STR_NONE);
	struct str response, challenge;
	bool initial;
	assert_int_equal(sasl_client_first(c, &initial, &response, NULL), OK);
	assert_int_equal(step(s, response, &challenge), SASL_MORE);
	assert_int_equal(sasl_client_step(c, challenge, &response, NULL), OK);
	assert_int_equal(sasl_client_step(c, STR("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), &response, &why), F_PEER);
	assert_non_null(strstr(why.text, "impostor"));
	assert_false(sasl_client_proved(c));
	sasl_server_free(&s);
	sasl_client_free(&c);
}

static void rounds_have_limits(void **state)
{
	static const struct { const char *rounds; fault f; } rows[] = {
		{ "4096", OK }, { "4095", F_PEER }, { "1000000", OK }, { "1000001", F_PEER }, { "2147483648", F_PEER }, { "x", F_PEER },
		{ "99999999999999999999999", F_PEER },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sasl_client *c;
		struct sasl_client_options o = { STR("SCRAM-SHA-256"), STR("jada"), STR("pencil"), STR_NONE };
		struct str response;
		bool initial;
		char challenge[256];
		assert_int_equal(sasl_client_new(&o, &c, NULL), OK);
		assert_int_equal(sasl_client_first(c, &initial, &response, NULL), OK);
		size_t at;
		assert_true(str_find_str(response, STR("r="), &at));
		snprintf(challenge, sizeof(challenge), "%.*sxyz,s=c2FsdHNhbHRzYWx0c2FsdA==,i=%s", STR_ARG(str_from(response, at)),
		         rows[i].rounds);
		if (sasl_client_step(c, str_of(challenge), &response, NULL) != rows[i].f)
			fail_msg("%s", rows[i].rounds);
		sasl_client_free(&c);
	}
}

static void the_strongest_is_chosen(void **state)
{
	static const struct { const char *offered; bool binding; const char *chosen; } rows[] = {
		{ "PLAIN LOGIN SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-256-PLUS", true, "SCRAM-SHA-256-PLUS" },
		{ "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", false, "SCRAM-SHA-256" },
		{ "LOGIN PLAIN", true, "PLAIN" }, { "login", false, "LOGIN" },
		{ "CRAM-MD5 GSSAPI", true, NULL }, { "", true, NULL }, { "SCRAM-SHA-256-PLUS", false, NULL },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sasl_client *c = NULL;
		struct why why = { "" };
		struct sasl_client_options o = { str_of(rows[i].offered), STR("u"), STR("p"), rows[i].binding ? BINDING : STR_NONE };
		fault f = sasl_client_new(&o, &c, &why);
		assert_int_equal(f, rows[i].chosen != NULL ? OK : F_ABSENT);
		if (f == OK)
			assert_string_equal(sasl_client_mechanism(c).p, rows[i].chosen);
		else
			assert_string_not_equal(why.text, "");
		sasl_client_free(&c);
	}
	struct sasl_client *c = NULL;
	struct sasl_client_options bad[] = {
		{ STR("PLAIN"), STR(""), STR("p"), STR_NONE }, { STR("PLAIN"), STR("u"), STR(""), STR_NONE },
		{ STR("PLAIN"), STR("u\xff"), STR("p"), STR_NONE }, { STR("PLAIN"), STR("u"), { "a\0b", 3 }, STR_NONE },
	};
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(sasl_client_new(&bad[i], &c, NULL), F_SYNTAX);
}

static void odd_challenges_end_it(void **state)
{
	static const struct { const char *mechanism, *challenge; } rows[] = {
		{ "SCRAM-SHA-256", "" }, { "SCRAM-SHA-256", "r=evil,s=AAAA,i=4096" }, { "SCRAM-SHA-256", "e=no" }, { "PLAIN", "more?" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sasl_client *c;
		struct sasl_client_options o = { str_of(rows[i].mechanism), STR("jada"), STR("pencil"), STR_NONE };
		struct str response;
		bool initial;
		assert_int_equal(sasl_client_new(&o, &c, NULL), OK);
		assert_int_equal(sasl_client_first(c, &initial, &response, NULL), OK);
		if (sasl_client_step(c, str_of(rows[i].challenge), &response, NULL) != F_PEER)
			fail_msg("%s %s", rows[i].mechanism, rows[i].challenge);
		sasl_client_free(&c);
	}
}

static void responses_have_a_limit(void **state)
{
	char *big = must_alloc(SASL_RESPONSE_MAX + 2), challenge[256];
	memset(big, 'x', SASL_RESPONSE_MAX + 1);
	memcpy(big, "\0jada\0", 6);
	assert_int_equal(one(*state, "PLAIN", (struct str){ big, SASL_RESPONSE_MAX }, challenge), SASL_DENIED);
	assert_int_equal(((struct table *)*state)->asked > 0, 1);
	unsigned asked = ((struct table *)*state)->asked;
	assert_int_equal(one(*state, "PLAIN", (struct str){ big, SASL_RESPONSE_MAX + 1 }, challenge), SASL_DENIED);
	assert_int_equal(((struct table *)*state)->asked, asked); /* not even looked at */
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attack_58_unknown_names_cost_what_users_cost),
		cmocka_unit_test(every_mechanism_logs_in),  cmocka_unit_test(bindings_must_agree),
		cmocka_unit_test(only_ours_are_known),      cmocka_unit_test(plain_is_strict),
		cmocka_unit_test(login_asks_as_everybody),  cmocka_unit_test(scram_is_strict),
		cmocka_unit_test(the_last_word_is_answered_by_nothing), cmocka_unit_test(an_impostor_is_found),
		cmocka_unit_test(rounds_have_limits),       cmocka_unit_test(the_strongest_is_chosen),
		cmocka_unit_test(odd_challenges_end_it),    cmocka_unit_test(responses_have_a_limit),
	};
	return cmocka_run_group_tests_name("sasl", tests, table_setup, table_teardown);
}
