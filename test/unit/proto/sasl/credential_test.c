/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "proto/sasl/credential.h"

#define PENCIL "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" \
	"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static const unsigned char rfc7677_salt[] = { 0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81 };

static void makes_what_rfc7677_expects(void **state)
{
	struct credential c;
	struct buf text;
	(void)state;
	buf_init(&text, 1024);
	assert_int_equal(credential_make(STR("pencil"), 4096, (struct str){ (const char *)rfc7677_salt, 16 }, &c), OK);
	assert_int_equal(credential_put(&text, &c), OK);
	assert_int_equal(buf_view(&text).n, strlen(PENCIL));
	assert_memory_equal(buf_view(&text).p, PENCIL, strlen(PENCIL));
	buf_fini(&text);
}

static void reads_and_measures(void **state)
{
	struct credential c;
	struct why why = { "" };
	(void)state;
	if (credential_parse(STR(PENCIL), &c, &why) != OK)
		fail_msg("%s", why.text);
	assert_true(credential_fits(&c, STR("pencil")));
	assert_false(credential_fits(&c, STR("pencil ")));
	assert_false(credential_fits(&c, STR("Pencil")));
	assert_false(credential_fits(&c, STR("")));
	assert_false(credential_fits(&c, ((struct str){ "pencil\0x", 8 })));
	assert_false(credential_fits(&c, STR("\xff\xfe")));
}

static void passwords_are_prepared(void **state)
{
	struct str salt = { (const char *)rfc7677_salt, 16 };
	struct credential c;
	(void)state;
	/* RFC 4013 3: a soft hyphen is nothing, the roman numeral nine is IX. */
	assert_int_equal(credential_make(STR("I\xc2\xadX"), 4096, salt, &c), OK);
	assert_true(credential_fits(&c, STR("IX")));
	assert_true(credential_fits(&c, STR("\xe2\x85\xa8")));
	assert_false(credential_fits(&c, STR("ix")));
	static const char *const forbidden[] = { "", "\x07", "\xd8\xa7\x31", "\xc2\xad", "\xff" };
	for (size_t i = 0; i < COUNT(forbidden); i++)
		assert_int_equal(credential_make(str_of(forbidden[i]), 4096, salt, &c), F_SYNTAX);
}

static void limits_are_exact(void **state)
{
	struct credential c;
	struct str salt = { (const char *)rfc7677_salt, 16 };
	char *text = must_alloc(CREDENTIAL_PASSWORD_MAX + 2), many[65];
	(void)state;
	memset(text, 'a', CREDENTIAL_PASSWORD_MAX + 1);
	memset(many, 's', sizeof(many));
	assert_int_equal(credential_make((struct str){ text, CREDENTIAL_PASSWORD_MAX }, 4096, salt, &c), OK);
	assert_true(credential_fits(&c, (struct str){ text, CREDENTIAL_PASSWORD_MAX }));
	assert_int_equal(credential_make((struct str){ text, CREDENTIAL_PASSWORD_MAX + 1 }, 4096, salt, &c), F_SYNTAX);
	assert_int_equal(credential_make(STR("a"), 4095, salt, &c), F_LIMIT);
	assert_int_equal(credential_make(STR("a"), CREDENTIAL_ITERATIONS_MAX + 1, salt, &c), F_LIMIT);
	assert_int_equal(credential_make(STR("a"), 4096, (struct str){ many, 7 }, &c), F_LIMIT);
	assert_int_equal(credential_make(STR("a"), 4096, (struct str){ many, 8 }, &c), OK);
	assert_int_equal(credential_make(STR("a"), 4096, (struct str){ many, 64 }, &c), OK);
	assert_int_equal(credential_make(STR("a"), 4096, (struct str){ many, 65 }, &c), F_LIMIT);
	free(text);
}

static void broken_ones_are_told(void **state)
{
	static const struct { const char *text, *words; } rows[] = {
		{ "", "neither" },
		{ "plain", "neither" },
		{ "$1$abcdefgh$G9mH4PKJFxAGz5eV1Xl5v1", "strong enough" },
		{ "aVx1yZ2w3Q4rs", "strong enough" },
		{ "SCRAM-SHA-256$4096", "should read" },
		{ "SCRAM-SHA-256$4096:AAAA", "should read" },
		{ "SCRAM-SHA-256$4096:AAAAAAAAAAA=$AAAA", "should read" },
		{ "SCRAM-SHA-256$x:AAAAAAAAAAA=$AAAA:BBBB", "should read" },
		{ "SCRAM-SHA-256$4095:AAAAAAAAAAA=$AAAA:BBBB", "iterations" },
		{ "SCRAM-SHA-256$10000001:AAAAAAAAAAA=$AAAA:BBBB", "iterations" },
		{ "SCRAM-SHA-256$4096:AAAA$AAAA:BBBB", "salt" },
		{ "SCRAM-SHA-256$4096:!!!$AAAA:BBBB", "salt" },
		{ "SCRAM-SHA-256$4096:AAAAAAAAAAA=$AAAA:BBBB", "32 bytes" },
		{ PENCIL "A", "32 bytes" },
		{ PENCIL " ", "32 bytes" },
		{ "SCRAM-SHA-1$4096:AAAAAAAAAAA=$AAAA:BBBB", "neither" },
		{ "$y$j9T$ab cdefghijklmnopq", "neither" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct credential c;
		struct why why = { "" };
		assert_int_equal(credential_parse(str_of(rows[i].text), &c, &why), F_SYNTAX);
		if (strstr(why.text, rows[i].words) == NULL)
			fail_msg("\"%s\": %s", rows[i].text, why.text);
	}
}

static void crypt_strings_fit(void **state)
{
	/* "pencil", made with crypt(3). */
	static const char *const texts[] = {
		"$5$rounds=1000$saltstring$EZwDZpFkWP7iC2dGkX6FAMg3o67lYjPqLjkuAJR9mDB",
		"$6$rounds=1000$saltstring$", "$y$j75$saltsaltsaltsalt$",
	};
	struct credential c;
	(void)state;
	assert_int_equal(credential_parse(str_of(texts[0]), &c, NULL), OK);
	assert_false(c.scram);
	assert_false(credential_fits(&c, STR("wrong")));
	for (size_t i = 1; i < COUNT(texts); i++) {
		assert_int_equal(credential_parse(str_of(texts[i]), &c, NULL), OK);
		assert_false(credential_fits(&c, STR("pencil"))); /* a setting without a hash fits nothing */
	}
}

static void fakes_are_steady_and_never_fit(void **state)
{
	struct credential a, b, other;
	(void)state;
	for (size_t n = CREDENTIAL_SALT_MIN; n <= CREDENTIAL_SALT_MAX; n += CREDENTIAL_SALT_MAX - CREDENTIAL_SALT_MIN) {
		credential_fake(STR("pepper"), STR("nobody"), &(struct credential){ .iterations = 4096, .salt_n = n }, &a);
		assert_int_equal(a.salt_n, n);
		assert_memory_not_equal(a.salt + n - 8, (char[8]){ 0 }, 8);
	}
	const struct credential like = { .iterations = 20000, .salt_n = CREDENTIAL_SALT_PRESET };
	credential_fake(STR("pepper"), STR("nobody"), &like, &a);
	credential_fake(STR("pepper"), STR("nobody"), &like, &b);
	credential_fake(STR("pepper"), STR("somebody"), &like, &other);
	assert_memory_equal(a.salt, b.salt, a.salt_n);
	assert_memory_not_equal(a.salt, other.salt, a.salt_n);
	assert_int_equal(a.salt_n, CREDENTIAL_SALT_PRESET);
	assert_int_equal(a.iterations, 20000);
	assert_false(credential_fits(&a, STR("pencil")));
}

/* ---- exchanges of another suite, where its folder is named ---- */

static void hmac(const unsigned char key[32], const char *message, unsigned char out[32])
{
	size_t n;
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, 32, (const unsigned char *)message, strlen(message), out, 32, &n));
}

static void check_exchange(json_t *doc)
{
	json_t *steps = json_object_get(doc, "steps");
	const char *salt64 = json_string_value(json_object_get(doc, "salt64"));
	const char *step[4];
	struct buf salt;
	struct credential c;
	char message[2048], expected[64];
	unsigned char signature[32];
	for (size_t i = 0; i < 4; i++)
		step[i] = json_string_value(json_array_get(steps, i));
	buf_init(&salt, 256);
	assert_int_equal(base64_get(&salt, str_sub(str_of(salt64), 0, strcspn(salt64, "\n"))), OK);
	assert_int_equal(credential_make(str_of(json_string_value(json_object_get(doc, "pass"))),
	                                 (uint32_t)json_integer_value(json_object_get(doc, "iters")), buf_view(&salt), &c), OK);
	/* RFC 5802 3: AuthMessage := client-first-message-bare + "," + server-first + "," + client-final-without-proof */
	const char *proof = strstr(step[2], ",p=");
	snprintf(message, sizeof(message), "%s,%s,%.*s", strstr(step[0], "n="), step[1], (int)(proof - step[2]), step[2]);
	hmac(c.server_key, message, signature);
	struct buf text;
	buf_init(&text, 64);
	assert_int_equal(base64_put(&text, (struct str){ (const char *)signature, 32 }), OK);
	snprintf(expected, sizeof(expected), "v=%.*s", STR_ARG(buf_view(&text)));
	bool good = json_is_true(json_object_get(doc, "valid"));
	assert_int_equal(strcmp(expected, step[3]) == 0, good);

	if (good || strncmp(step[3], "e=", 2) == 0) {
		/* ClientProof XOR ClientSignature is the ClientKey, whose hash is StoredKey. */
		struct buf bytes;
		unsigned char key[32], hash[32];
		buf_init(&bytes, 64);
		assert_int_equal(base64_get(&bytes, str_of(proof + 3)), OK);
		hmac(c.stored_key, message, signature);
		for (size_t i = 0; i < 32; i++)
			key[i] = signature[i] ^ (unsigned char)buf_view(&bytes).p[i];
		assert_int_equal(EVP_Digest(key, 32, hash, NULL, EVP_sha256(), NULL), 1);
		assert_int_equal(memcmp(hash, c.stored_key, 32) == 0, good);
		buf_fini(&bytes);
	}
	buf_fini(&text);
	buf_fini(&salt);
}

static void vectors_agree(void **state)
{
	static const char *const folders[] = { "good", "bad-server", "bad-client" };
	const char *root = getenv("SEALPOST_VECTORS");
	unsigned done = 0;
	(void)state;
	if (root == NULL) {
		print_message("# SEALPOST_VECTORS does not name a folder of test vectors: left out\n");
		return;
	}
	for (size_t i = 0; i < COUNT(folders); i++) {
		char path[512];
		snprintf(path, sizeof(path), "%s/scram-xdg/%s", root, folders[i]);
		DIR *d = opendir(path);
		assert_non_null(d);
		for (struct dirent *e; (e = readdir(d)) != NULL; ) {
			char file[800];
			snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
			json_t *doc = json_load_file(file, 0, NULL);
			if (doc != NULL && strcmp(json_string_value(json_object_get(doc, "digest")), "SHA-256") == 0) {
				check_exchange(doc);
				done++;
			}
			json_decref(doc);
		}
		closedir(d);
	}
	assert_true(done >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_what_rfc7677_expects), cmocka_unit_test(reads_and_measures),
		cmocka_unit_test(passwords_are_prepared),     cmocka_unit_test(limits_are_exact),
		cmocka_unit_test(broken_ones_are_told),       cmocka_unit_test(crypt_strings_fit),
		cmocka_unit_test(fakes_are_steady_and_never_fit), cmocka_unit_test(vectors_agree),
	};
	return cmocka_run_group_tests_name("sasl/credential", tests, NULL, NULL);
}
