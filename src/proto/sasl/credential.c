/* SPDX-License-Identifier: ISC */
#include "proto/sasl/credential.h"

#include <crypt.h>
#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"

static const char *const crypt_forms[] = { "$y$", "$gy$", "$7$", "$2b$", "$2y$", "$2a$", "$6$", "$5$" };

/* ---- text form ---- */

static fault take_base64(struct str text, unsigned char *to, size_t min, size_t max, size_t *n_out)
{
	struct buf bytes;
	buf_init(&bytes, max);
	fault f = base64_get(&bytes, text);
	struct str got = buf_view(&bytes);
	if (f == OK && got.n < min)
		f = F_SYNTAX;
	if (f == OK) {
		memcpy(to, got.p, got.n);
		*n_out = got.n;
	}
	buf_wipe(&bytes);
	return f;
}

static fault parse_scram(struct str rest, struct credential *out, struct why *why)
{
	struct str iterations, salt, stored;
	uint64_t n = 0;
	size_t size;
	if (!str_take_until(&rest, ':', &iterations) || !str_take_until(&rest, '$', &salt) ||
	    !str_take_until(&rest, ':', &stored) || !str_u64(iterations, &n))
		return why_say(why, F_SYNTAX, "it should read SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey");
	if (n < CREDENTIAL_ITERATIONS_MIN || n > CREDENTIAL_ITERATIONS_MAX)
		return why_say(why, F_SYNTAX, "the iterations must lie between %d and %d", CREDENTIAL_ITERATIONS_MIN,
		               CREDENTIAL_ITERATIONS_MAX);
	*out = (struct credential){ .scram = true, .iterations = (uint32_t)n };
	if (take_base64(salt, out->salt, CREDENTIAL_SALT_MIN, CREDENTIAL_SALT_MAX, &out->salt_n) != OK)
		return why_say(why, F_SYNTAX, "the salt must be %d to %d bytes in base64", CREDENTIAL_SALT_MIN, CREDENTIAL_SALT_MAX);
	if (take_base64(stored, out->stored_key, 32, 32, &size) != OK || take_base64(rest, out->server_key, 32, 32, &size) != OK)
		return why_say(why, F_SYNTAX, "StoredKey and ServerKey must be 32 bytes each in base64");
	return OK;
}

fault credential_parse(struct str text, struct credential *out, struct why *why)
{
	struct str rest = text;
	if (str_take(&rest, STR("SCRAM-SHA-256$")))
		return parse_scram(rest, out, why);
	if (text.n > 384 || !str_is_ascii(text) || str_has(text, ':') || str_has(text, ' '))
		return why_say(why, F_SYNTAX, "it is neither a SCRAM-SHA-256 verifier nor a crypt(3) string");
	for (size_t i = 0; i < COUNT(crypt_forms); i++) {
		if (str_starts(text, str_of(crypt_forms[i])) && text.n > 16) {
			*out = (struct credential){ .crypt = text };
			return OK;
		}
	}
	return why_say(why, F_SYNTAX, "it is neither a SCRAM-SHA-256 verifier nor a crypt(3) string that is strong enough "
	                              "(yescrypt, bcrypt, sha512crypt ...): make one with `sealpost passwd NAME`");
}

fault credential_put(struct buf *out, const struct credential *c)
{
	if (!c->scram)
		return F_STATE;
	struct str salt = { (const char *)c->salt, c->salt_n };
	TRY(buf_addf(out, "SCRAM-SHA-256$%u:", c->iterations));
	TRY(base64_put(out, salt));
	TRY(buf_add_char(out, '$'));
	TRY(base64_put(out, (struct str){ (const char *)c->stored_key, sizeof(c->stored_key) }));
	TRY(buf_add_char(out, ':'));
	return base64_put(out, (struct str){ (const char *)c->server_key, sizeof(c->server_key) });
}

/* ---- keys ---- */

static void hmac(struct str key, struct str what, struct str more, unsigned char out[32])
{
	struct buf message;
	size_t n = 0;
	buf_init(&message, 4096);
	bool fits = buf_add(&message, what) == OK && buf_add(&message, str_sub(more, 0, 2048)) == OK;
	struct str all = buf_view(&message);
	check(fits && EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key.p, key.n, (const unsigned char *)all.p, all.n, out, 32,
	                        &n) != NULL && n == 32);
	buf_fini(&message);
}

static struct str bytes32(const unsigned char b[32])
{
	return (struct str){ (const char *)b, 32 };
}

/* RFC 4013. What SASLprep leaves is NUL-terminated and to be wiped and freed with gsasl_free. */
static char *prepared(struct str password)
{
	char text[CREDENTIAL_PASSWORD_MAX + 1], *out = NULL;
	if (password.n == 0 || password.n > CREDENTIAL_PASSWORD_MAX || str_has(password, '\0') || !str_is_utf8(password))
		return NULL;
	memcpy(text, password.p, password.n);
	text[password.n] = '\0';
	int result = gsasl_saslprep(text, GSASL_ALLOW_UNASSIGNED, &out, NULL);
	explicit_bzero(text, sizeof(text));
	if (result == GSASL_OK && out != NULL && *out != '\0')
		return out;
	gsasl_free(out);
	return NULL;
}

static fault derive(struct str password, const struct credential *like, unsigned char stored[32], unsigned char server[32])
{
	unsigned char salted[32], client[32];
	char *text = prepared(password);
	/* A forbidden password is measured all the same: its answer must not come sooner. */
	const char *measured = text != NULL ? text : "?";
	check(PKCS5_PBKDF2_HMAC(measured, (int)strlen(measured), like->salt, (int)like->salt_n, (int)like->iterations, EVP_sha256(),
	                        sizeof(salted), salted) == 1);
	hmac(bytes32(salted), STR("Client Key"), STR_NONE, client);
	hmac(bytes32(salted), STR("Server Key"), STR_NONE, server);
	check(EVP_Digest(client, sizeof(client), stored, NULL, EVP_sha256(), NULL) == 1);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client, sizeof(client));
	if (text == NULL)
		return F_SYNTAX;
	explicit_bzero(text, strlen(text));
	gsasl_free(text);
	return OK;
}

fault credential_make(struct str password, uint32_t iterations, struct str salt, struct credential *out)
{
	if (iterations < CREDENTIAL_ITERATIONS_MIN || iterations > CREDENTIAL_ITERATIONS_MAX || salt.n < CREDENTIAL_SALT_MIN ||
	    salt.n > CREDENTIAL_SALT_MAX)
		return F_LIMIT;
	struct credential made = { .scram = true, .iterations = iterations, .salt_n = salt.n };
	memcpy(made.salt, salt.p, salt.n);
	TRY(derive(password, &made, made.stored_key, made.server_key));
	*out = made;
	return OK;
}

static bool crypt_fits(struct str setting, struct str password)
{
	char text[CREDENTIAL_PASSWORD_MAX + 1], form[385];
	if (password.n == 0 || password.n > CREDENTIAL_PASSWORD_MAX || str_has(password, '\0') || setting.n >= sizeof(form))
		return false;
	memcpy(text, password.p, password.n);
	text[password.n] = '\0';
	memcpy(form, setting.p, setting.n);
	form[setting.n] = '\0';
	struct crypt_data *data = NEW(struct crypt_data);
	const char *made = crypt_rn(text, form, data, sizeof(*data));
	bool fits = made != NULL && made[0] != '*' && strlen(made) == setting.n && CRYPTO_memcmp(made, form, setting.n) == 0;
	explicit_bzero(text, sizeof(text));
	explicit_bzero(data, sizeof(*data));
	free(data);
	return fits;
}

bool credential_fits(const struct credential *c, struct str password)
{
	unsigned char stored[32], server[32];
	if (!c->scram)
		return crypt_fits(c->crypt, password);
	fault f = derive(password, c, stored, server);
	bool fits = CRYPTO_memcmp(stored, c->stored_key, sizeof(stored)) == 0;
	explicit_bzero(stored, sizeof(stored));
	explicit_bzero(server, sizeof(server));
	return f == OK && fits;
}

void credential_fake(struct str pepper, struct str name, const struct credential *like, struct credential *out)
{
	unsigned char salt[64];
	_Static_assert(sizeof salt >= CREDENTIAL_SALT_MAX, "a salt is cut from it");
	*out = (struct credential){ .scram = true, .iterations = like->iterations, .salt_n = like->salt_n };
	hmac(pepper, STR("salt of "), name, salt);
	hmac(pepper, STR("more salt of "), name, salt + 32);
	hmac(pepper, STR("stored key of "), name, out->stored_key);
	hmac(pepper, STR("server key of "), name, out->server_key);
	memcpy(out->salt, salt, out->salt_n);
}
