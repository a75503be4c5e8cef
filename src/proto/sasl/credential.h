/* SPDX-License-Identifier: ISC */
/*
 * proto/sasl/credential.h -- what a users file keeps of a password, and how a password is measured against it.
 *
 * Two forms: the SCRAM verifier `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, which serves every mechanism
 * and never reveals the password, and a crypt(3) string, which serves PLAIN and LOGIN only.
 *
 * Source   RFC 5803 3 (the form), RFC 5802 3 and RFC 7677 (the keys), RFC 4013 (SASLprep), crypt(5).
 * Limits   iterations 4,096 to 10,000,000, salt 8 to 64 bytes, password 1 to 1,024 bytes; crypt: yescrypt,
 *          gost-yescrypt, scrypt, bcrypt, sha512crypt and sha256crypt -- the older ones are refused as too weak.
 * Errors   F_SYNTAX: not a credential, or a password that SASLprep forbids; F_LIMIT.
 * Owns     A credential's crypt text is a slice of what was parsed.
 * Safety   Comparisons take the same time whatever they find. Nothing here is ever put into a why.
 * Tests    test/unit/proto/sasl, fuzz/sasl.c
 */
#ifndef PROTO_SASL_CREDENTIAL_H
#define PROTO_SASL_CREDENTIAL_H

#include "base/buf.h"
#include "base/fault.h"

enum {
	CREDENTIAL_ITERATIONS_MIN = 4096,
	CREDENTIAL_ITERATIONS_MAX = 10000000,
	CREDENTIAL_ITERATIONS_PRESET = 20000, /* about 5 ms: a login is as fast as ever, guessing is not */
	CREDENTIAL_SALT_MIN = 8,
	CREDENTIAL_SALT_MAX = 64,
	CREDENTIAL_SALT_PRESET = 16,
	CREDENTIAL_PASSWORD_MAX = 1024,
};

struct credential {
	bool scram;                   /* else crypt */
	uint32_t iterations;
	unsigned char salt[CREDENTIAL_SALT_MAX];
	size_t salt_n;
	unsigned char stored_key[32], server_key[32];
	struct str crypt;
};

/* Why, if given, says what a person has to mend; without a word of the credential. */
MUST_USE fault credential_parse(struct str text, struct credential *out, struct why *why);
/* Slow by intention. */
MUST_USE fault credential_make(struct str password, uint32_t iterations, struct str salt, struct credential *out);
MUST_USE fault credential_put(struct buf *out, const struct credential *c); /* a SCRAM one, in its text form */
/* Slow by intention; the same work whether it fits or not. */
bool credential_fits(const struct credential *c, struct str password);
/* A SCRAM credential for a user who does not exist, with the rounds and the length of salt of another one: always the same for this
 * pepper and name; the keys come from the pepper too, so no password fits. */
void credential_fake(struct str pepper, struct str name, const struct credential *like, struct credential *out);

#endif
