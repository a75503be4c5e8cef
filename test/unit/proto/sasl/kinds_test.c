/* SPDX-License-Identifier: ISC */
/* Which verifier a name that nobody has gets: like those of users, as often as theirs, and always the same. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "proto/sasl/kinds.h"

enum { NAMES = 3000 };

static void add_crypt(struct credential_kinds *k, const char *text)
{
	struct credential c;
	assert_int_equal(credential_parse(str_of(text), &c, NULL), OK);
	credential_kinds_add(k, &c);
}

static void add_scram(struct credential_kinds *k, uint32_t iterations, size_t salt_n)
{
	credential_kinds_add(k, &(struct credential){ .scram = true, .iterations = iterations, .salt_n = salt_n });
}

static struct credential fake_of(const struct credential_kinds *k, const char *name, bool scram)
{
	struct credential c;
	credential_kinds_fake(k, STR("pepper"), str_of(name), scram, &c);
	return c;
}

/* Of NAMES names, how many cost what this crypt(3) string costs, or are SCRAM verifiers with so many rounds? */
static unsigned count_fakes(const struct credential_kinds *k, const char *crypt, uint32_t iterations)
{
	unsigned n = 0;
	char name[32];
	for (unsigned i = 0; i < NAMES; i++) {
		(void)snprintf(name, sizeof name, "none%u", i);
		struct credential c = fake_of(k, name, false);
		n += crypt != NULL ? !c.scram && str_starts(c.crypt, str_of(crypt)) : c.scram && c.iterations == iterations;
	}
	return n;
}

/* Ten users: six with bcrypt, three with SCRAM, one with a costlier SCRAM. */
static void attack_58_nobody_costs_as_often_what_users_cost(void **state)
{
	struct credential_kinds k = { .n = 0 };
	char text[64];
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		(void)snprintf(text, sizeof text, "$2b$09$abcdefghijklmnopqrstu%u", i);
		add_crypt(&k, text);
		if (i < 3)
			add_scram(&k, 20000, 16);
	}
	add_scram(&k, 100000, 16);
	assert_int_equal(k.n, 3);
	unsigned bcrypt = count_fakes(&k, "$2b$09$", 0), usual = count_fakes(&k, NULL, 20000), costly = count_fakes(&k, NULL, 100000);
	assert_int_equal(bcrypt + usual + costly, NAMES);
	assert_in_range(bcrypt, NAMES * 55 / 100, NAMES * 65 / 100);
	assert_in_range(usual, NAMES * 25 / 100, NAMES * 35 / 100);
	assert_in_range(costly, NAMES * 7 / 100, NAMES * 13 / 100);
}

/* Who tries a name twice learns nothing from the second time, nor from writing it otherwise; another secret, other kinds. */
static void attack_58_a_name_keeps_its_kind(void **state)
{
	struct credential_kinds k = { .n = 0 };
	struct credential other;
	unsigned differ = 0;
	char name[32];
	(void)state;
	add_crypt(&k, "$2b$09$abcdefghijklmnopqrstuv");
	add_scram(&k, 20000, 12);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof name, "none%u", i);
		struct credential a = fake_of(&k, name, false);
		name[0] = 'N';
		struct credential b = fake_of(&k, name, false);
		assert_int_equal(a.scram, b.scram);
		assert_memory_equal(a.salt, b.salt, sizeof a.salt);
		credential_kinds_fake(&k, STR("salt"), str_of(name), false, &other);
		differ += other.scram != a.scram;
	}
	assert_in_range(differ, 20, 80);
}

/* A crypt(3) string is of no use to SCRAM: its users and nobody alike get what is usual there. */
static void scram_gets_scram(void **state)
{
	struct credential_kinds k = { .n = 0 };
	char name[32];
	(void)state;
	assert_int_equal(fake_of(&k, "nobody", true).iterations, CREDENTIAL_ITERATIONS_PRESET);
	assert_int_equal(fake_of(&k, "nobody", false).salt_n, CREDENTIAL_SALT_PRESET);
	for (unsigned i = 0; i < 20; i++)
		add_crypt(&k, "$2b$09$abcdefghijklmnopqrstuv");
	add_scram(&k, 5000, 12);
	add_scram(&k, 20000, 64);
	add_scram(&k, 20000, 64);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof name, "none%u", i);
		struct credential c = fake_of(&k, name, true);
		assert_true(c.scram);
		assert_true(c.iterations == 20000 ? c.salt_n == 64 : c.iterations == 5000 && c.salt_n == 12);
	}
}

/* What differs in salt and hash alone is one kind; what is measured otherwise is another. */
static void kinds_are_what_they_cost(void **state)
{
	static const char *const rows[][2] = {
		{ "$2b$09$abcdefghijklmnopqrstuv", "$2b$10$abcdefghijklmnopqrstuv" },
		{ "$6$saltsaltsaltsalt$hash", "$6$rounds=100000$saltsalt$hash" },
		{ "$5$rounds=5000$saltsalt$hash", "$5$rounds=6000$saltsalt$hash" },
		{ "$y$j9T$saltsaltsalt$hash", "$y$jAT$saltsaltsalt$hash" },
		{ "$gy$j9T$saltsaltsalt$hash", "$gy$j8T$saltsaltsalt$hash" },
		{ "$7$CU..../....saltsalt$hash", "$7$DU..../....saltsalt$hash" },
	};
	struct credential_kinds k = { .n = 0 };
	char same[64];
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		add_crypt(&k, rows[i][0]);
		(void)snprintf(same, sizeof same, "%s", rows[i][0]);
		memcpy(same + strlen(same) - 2, "XX", 2);
		add_crypt(&k, same);
		assert_int_equal(k.n, 2 * i + 1);
		add_crypt(&k, rows[i][1]);
		assert_int_equal(k.n, 2 * i + 2);
	}
	assert_int_equal(k.users, 3 * COUNT(rows));
}

static void kinds_have_a_ceiling(void **state)
{
	struct credential_kinds k = { .n = 0 };
	(void)state;
	for (uint32_t i = 0; i < CREDENTIAL_KINDS_MAX; i++)
		add_scram(&k, 5000 + i, 16);
	assert_int_equal(k.n, CREDENTIAL_KINDS_MAX);
	add_scram(&k, 4096, 16);
	assert_int_equal(k.n, CREDENTIAL_KINDS_MAX);
	assert_int_equal(k.users, CREDENTIAL_KINDS_MAX);
	add_scram(&k, 5000, 16);
	assert_int_equal(k.users, CREDENTIAL_KINDS_MAX + 1);
	assert_true(fake_of(&k, "nobody", false).iterations >= 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attack_58_nobody_costs_as_often_what_users_cost),
		cmocka_unit_test(attack_58_a_name_keeps_its_kind),
		cmocka_unit_test(scram_gets_scram),
		cmocka_unit_test(kinds_are_what_they_cost),
		cmocka_unit_test(kinds_have_a_ceiling),
	};
	return cmocka_run_group_tests_name("sasl/kinds", tests, NULL, NULL);
}
