/* SPDX-License-Identifier: ISC */
#include "proto/sasl/client.h"

#include <gsasl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/check.h"

enum { STEP_BYTES_MAX = 12288, SECRET_MAX = 1024 };

struct sasl_client {
	const char *mechanism;
	bool scram;
	char binding[48];                    /* base64; "" for none */
	char user[SECRET_MAX + 1], password[SECRET_MAX + 1];
	Gsasl *library;
	Gsasl_session *session;
	bool finished, proved;
	struct buf response;
};

static const struct { const char *name; bool scram, plus; } by_strength[] = {
	{ "SCRAM-SHA-256-PLUS", true, true },
	{ "SCRAM-SHA-256", true, false },
	{ "PLAIN", false, false },
	{ "LOGIN", false, false },
};

static bool offered(struct str list, const char *name)
{
	struct str word;
	while (str_take_word(&list, &word))
		if (str_eq_nocase(word, str_of(name)))
			return true;
	return false;
}

/* SaltedPassword with OpenSSL, which is three times faster than the library's own. */
static int give_salted_password(struct sasl_client *c, Gsasl_session *session)
{
	const char *salt64 = gsasl_property_fast(session, GSASL_SCRAM_SALT), *iterations = gsasl_property_fast(session, GSASL_SCRAM_ITER);
	uint64_t n;
	char *prepared = NULL;
	struct buf salt, hex;
	unsigned char salted[32];
	if (salt64 == NULL || !str_u64(str_of(iterations), &n) || n > SASL_ITERATIONS_MAX ||
	    gsasl_saslprep(c->password, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) != GSASL_OK)
		return GSASL_NO_CALLBACK;
	buf_init(&salt, 256);
	buf_init(&hex, 64);
	int result = GSASL_NO_CALLBACK;
	if (base64_get(&salt, str_of(salt64)) == OK &&
	    PKCS5_PBKDF2_HMAC(prepared, (int)strlen(prepared), (const unsigned char *)buf_view(&salt).p, (int)buf_view(&salt).n, (int)n,
	                      EVP_sha256(), sizeof(salted), salted) == 1 &&
	    hex_put(&hex, (struct str){ (const char *)salted, sizeof(salted) }) == OK)
		result = gsasl_property_set_raw(session, GSASL_SCRAM_SALTED_PASSWORD, buf_view(&hex).p, buf_view(&hex).n);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(prepared, strlen(prepared));
	gsasl_free(prepared);
	buf_fini(&salt);
	buf_wipe(&hex);
	return result;
}

static int serve(Gsasl *library, Gsasl_session *session, Gsasl_property property)
{
	struct sasl_client *c = gsasl_callback_hook_get(library);
	switch (property) {
	case GSASL_AUTHID:
		return gsasl_property_set(session, property, c->user);
	case GSASL_PASSWORD:
		return gsasl_property_set(session, property, c->password);
	case GSASL_SCRAM_SALTED_PASSWORD:
		return give_salted_password(c, session);
	case GSASL_CB_TLS_EXPORTER:
		return c->binding[0] != '\0' ? gsasl_property_set(session, property, c->binding) : GSASL_NO_CALLBACK;
	default:
		return GSASL_NO_CALLBACK;
	}
}

static bool keep_text(char to[SECRET_MAX + 1], struct str text)
{
	if (text.n == 0 || text.n > SECRET_MAX || str_has(text, '\0') || !str_is_utf8(text))
		return false;
	memcpy(to, text.p, text.n);
	return true;
}

static fault choose(struct sasl_client *c, const struct sasl_client_options *o, struct why *why)
{
	bool bound = o->channel_binding.n == 32;
	for (size_t i = 0; i < COUNT(by_strength); i++) {
		if (!offered(o->mechanisms, by_strength[i].name) || (by_strength[i].plus && !bound))
			continue;
		c->mechanism = by_strength[i].name;
		c->scram = by_strength[i].scram;
		/* GNU SASL 2.2 fails where it should say "y" (RFC 5802 6: we could have bound, but saw no PLUS): so it learns
		 * of the binding only for PLUS and else says "n". */
		if (by_strength[i].plus) {
			struct buf text;
			buf_init(&text, sizeof(c->binding));
			bool fits = base64_put(&text, o->channel_binding) == OK && buf_view(&text).n < sizeof(c->binding);
			check(fits);
			memcpy(c->binding, buf_view(&text).p, buf_view(&text).n);
			buf_fini(&text);
		}
		return OK;
	}
	if (o->mechanisms.n == 0)
		return why_say(why, F_ABSENT, "the server offers no login here");
	return why_say(why, F_ABSENT, "the server offers no login mechanism of ours (SCRAM-SHA-256, PLAIN, LOGIN)");
}

fault sasl_client_new(const struct sasl_client_options *options, struct sasl_client **out, struct why *why)
{
	struct sasl_client *c = NEW(struct sasl_client);
	buf_init(&c->response, STEP_BYTES_MAX);
	fault f = choose(c, options, why);
	if (f == OK && !keep_text(c->user, options->user))
		f = why_say(why, F_SYNTAX, "the user name must be 1 to %d bytes of UTF-8", SECRET_MAX);
	if (f == OK && !keep_text(c->password, options->password))
		f = why_say(why, F_SYNTAX, "the password must be 1 to %d bytes of UTF-8", SECRET_MAX);
	if (f == OK) {
		check(gsasl_init(&c->library) == GSASL_OK);
		gsasl_callback_hook_set(c->library, c);
		gsasl_callback_set(c->library, serve);
		if (gsasl_client_start(c->library, c->mechanism, &c->session) != GSASL_OK)
			f = why_say(why, F_ABSENT, "the SASL library cannot do %s", c->mechanism);
	}
	if (f != OK)
		sasl_client_free(&c);
	else
		*out = c;
	return f;
}

void sasl_client_free(struct sasl_client **c_)
{
	struct sasl_client *c = *c_;
	if (c == NULL)
		return;
	*c_ = NULL;
	if (c->session != NULL)
		gsasl_finish(c->session);
	if (c->library != NULL)
		gsasl_done(c->library);
	buf_wipe(&c->response);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

struct str sasl_client_mechanism(const struct sasl_client *c)
{
	return str_of(c->mechanism);
}

/* RFC 5802 5.1: i= in the server's first message. */
static fault judge_iterations(const struct sasl_client *c, struct str challenge, struct why *why)
{
	struct str part, rest = challenge;
	uint64_t n;
	if (!c->scram || !str_starts(challenge, STR("r=")))
		return OK;
	while (rest.n > 0) {
		if (!str_take_until(&rest, ',', &part)) {
			part = rest;
			rest = STR_NONE;
		}
		if (!str_take(&part, STR("i=")))
			continue;
		if (!str_u64(part, &n) || n > SASL_ITERATIONS_MAX)
			return why_say(why, F_PEER, "the server asks for more than %d rounds of hashing", SASL_ITERATIONS_MAX);
		if (n < SASL_ITERATIONS_MIN)
			return why_say(why, F_PEER, "the server asks for fewer than %d rounds of hashing (RFC 7677)", SASL_ITERATIONS_MIN);
	}
	return OK;
}

static fault turn(struct sasl_client *c, struct str challenge, struct why *why)
{
	char *out = NULL;
	size_t n = 0;
	if (challenge.n > STEP_BYTES_MAX || str_has(challenge, '\0'))
		return why_say(why, F_PEER, "the server's login challenge is not one");
	int result = gsasl_step(c->session, challenge.n > 0 ? challenge.p : "", challenge.n, &out, &n);
	buf_clear(&c->response);
	fault f = OK;
	if (result != GSASL_OK && result != GSASL_NEEDS_MORE)
		f = result == GSASL_SASLPREP_ERROR
		            ? why_say(why, F_SYNTAX, "user name or password contain characters that are forbidden (RFC 4013)")
		    : c->scram && str_starts(challenge, STR("v="))
		            ? why_say(why, F_PEER, "the server does not know the password itself: it may be an impostor")
		            : why_say(why, F_PEER, "the server's login challenge is not one (%s)", gsasl_strerror_name(result));
	else if (buf_add(&c->response, (struct str){ out, n }) != OK)
		f = why_say(why, F_LIMIT, "the login response is too long");
	if (out != NULL)
		explicit_bzero(out, n);
	gsasl_free(out);
	c->finished = f == OK && result == GSASL_OK;
	c->proved = c->finished && c->scram;
	return f;
}

fault sasl_client_first(struct sasl_client *c, bool *has_initial_out, struct str *initial_out, struct why *why)
{
	*initial_out = STR_NONE;
	*has_initial_out = strcmp(c->mechanism, "LOGIN") != 0;
	if (*has_initial_out) {
		TRY(turn(c, STR_NONE, why));
		*initial_out = buf_view(&c->response);
	}
	return OK;
}

fault sasl_client_step(struct sasl_client *c, struct str challenge, struct str *response_out, struct why *why)
{
	*response_out = STR_NONE;
	if (c->finished)
		return why_say(why, F_PEER, "the server goes on asking after the login is complete");
	TRY(judge_iterations(c, challenge, why));
	TRY(turn(c, challenge, why));
	*response_out = buf_view(&c->response);
	return OK;
}

bool sasl_client_proved(const struct sasl_client *c)
{
	return !c->scram || c->proved;
}
