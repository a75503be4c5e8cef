/* SPDX-License-Identifier: ISC */
#include "proto/sasl/server.h"

#include <gsasl.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/check.h"
#include "proto/sasl/credential.h"

enum sasl_phase { PHASE_STEPS, PHASE_MEASURE, PHASE_LAST_EMPTY, PHASE_OVER };

struct sasl_server {
	const char *mechanism;
	bool scram;
	enum sasl_phase phase;
	unsigned steps;
	struct sasl_users users;
	char binding[48];              /* base64; "" for none */
	Gsasl *library;
	Gsasl_session *session;
	bool known;                    /* the credential below is a real one that this mechanism can use */
	bool looked_up, useless;
	bool waits, fits;              /* a password waits to be measured; it fits */
	struct credential credential;
	struct buf login, name, challenge, form, password;
};

static const struct { const char *name; bool scram, plus; } mechanisms[] = {
	{ "SCRAM-SHA-256-PLUS", true, true },
	{ "SCRAM-SHA-256", true, false },
	{ "PLAIN", false, false },
	{ "LOGIN", false, false },
};

/* ---- who is it ---- */

static void look_up(struct sasl_server *s, const char *login)
{
	struct str name = STR_NONE, text = STR_NONE, asked = str_of(login);
	if (s->looked_up)
		return;
	s->looked_up = true;
	if (!str_is_utf8(asked) || asked.n > 255 || buf_add(&s->login, asked) != OK)
		asked = STR_NONE;
	if (asked.n > 0 && s->users.find(s->users.owner, asked, &name, &text) == OK && buf_add(&s->form, text) == OK &&
	    buf_add(&s->name, name) == OK) {
		/* A crypt(3) string is of no use to SCRAM. */
		s->known = credential_parse(buf_view(&s->form), &s->credential, NULL) == OK && (s->credential.scram || !s->scram);
		s->useless = !s->known;
	}
	if (s->known)
		return;
	credential_kinds_fake(s->users.kinds, s->users.pepper, str_of(login), s->scram, &s->credential);
	if (s->credential.scram)
		return;
	/* A user's string, copied because it is measured with later: what fits it is denied all the same. */
	buf_clear(&s->form);
	bool copied = buf_add(&s->form, s->credential.crypt) == OK;
	check(copied); /* no string that is a credential is longer */
	s->credential.crypt = buf_view(&s->form);
}

static int give_base64(Gsasl_session *session, Gsasl_property property, const unsigned char *bytes, size_t n)
{
	struct buf text;
	buf_init(&text, 256);
	bool fits = base64_put(&text, (struct str){ (const char *)bytes, n }) == OK;
	check(fits);
	int result = gsasl_property_set_raw(session, property, buf_view(&text).p, buf_view(&text).n);
	buf_wipe(&text);
	return result;
}

static int give_scram(struct sasl_server *s, Gsasl_session *session, Gsasl_property property)
{
	const struct credential *c = &s->credential;
	look_up(s, gsasl_property_fast(session, GSASL_AUTHID));
	if (property == GSASL_SCRAM_SALT)
		return give_base64(session, property, c->salt, c->salt_n);
	if (property == GSASL_SCRAM_STOREDKEY)
		return give_base64(session, property, c->stored_key, sizeof(c->stored_key));
	if (property == GSASL_SCRAM_SERVERKEY)
		return give_base64(session, property, c->server_key, sizeof(c->server_key));
	struct buf text;
	buf_init(&text, 16);
	bool fits = buf_add_u64(&text, c->iterations) == OK;
	check(fits);
	int result = gsasl_property_set_raw(session, property, buf_view(&text).p, buf_view(&text).n);
	buf_fini(&text);
	return result;
}

/* PLAIN and LOGIN: the password is here in the clear. It is measured later, on a thread; until then it counts. */
static int take_password(struct sasl_server *s, Gsasl_session *session)
{
	const char *password = gsasl_property_fast(session, GSASL_PASSWORD);
	look_up(s, gsasl_property_fast(session, GSASL_AUTHID));
	s->waits = true;
	if (buf_add(&s->password, str_of(password)) != OK)
		buf_clear(&s->password); /* longer than any password of ours */
	if (password != NULL)
		explicit_bzero((void *)(uintptr_t)password, strlen(password));
	return GSASL_OK;
}

static int serve(Gsasl *library, Gsasl_session *session, Gsasl_property property)
{
	struct sasl_server *s = gsasl_callback_hook_get(library);
	switch (property) {
	case GSASL_CB_TLS_EXPORTER:
		return s->binding[0] != '\0' ? gsasl_property_set(session, property, s->binding) : GSASL_NO_CALLBACK;
	case GSASL_SCRAM_ITER:
	case GSASL_SCRAM_SALT:
	case GSASL_SCRAM_STOREDKEY:
	case GSASL_SCRAM_SERVERKEY:
		return give_scram(s, session, property);
	case GSASL_VALIDATE_SIMPLE:
		return take_password(s, session);
	default:
		return GSASL_NO_CALLBACK;
	}
}

/* ---- the exchange ---- */

struct sasl_server *sasl_server_new(struct str mechanism, const struct sasl_users *users, struct str channel_binding)
{
	size_t i = 0;
	while (i < COUNT(mechanisms) && !str_eq_nocase(mechanism, str_of(mechanisms[i].name)))
		i++;
	bool bound = channel_binding.n == 32;
	if (i == COUNT(mechanisms) || (mechanisms[i].plus && !bound))
		return NULL;
	struct sasl_server *s = NEW(struct sasl_server);
	s->mechanism = mechanisms[i].name;
	s->scram = mechanisms[i].scram;
	s->users = *users;
	buf_init(&s->login, 256);
	buf_init(&s->name, 1024);
	buf_init(&s->challenge, SASL_RESPONSE_MAX);
	buf_init(&s->form, 512);
	buf_init(&s->password, CREDENTIAL_PASSWORD_MAX);
	if (bound) {
		struct buf text;
		buf_init(&text, sizeof(s->binding));
		bool fits = base64_put(&text, channel_binding) == OK && buf_view(&text).n < sizeof(s->binding);
		check(fits);
		memcpy(s->binding, buf_view(&text).p, buf_view(&text).n);
		buf_fini(&text);
	}
	check(gsasl_init(&s->library) == GSASL_OK);
	gsasl_callback_hook_set(s->library, s);
	gsasl_callback_set(s->library, serve);
	if (gsasl_server_start(s->library, s->mechanism, &s->session) != GSASL_OK)
		sasl_server_free(&s);
	return s;
}

void sasl_server_free(struct sasl_server **s_)
{
	struct sasl_server *s = *s_;
	if (s == NULL)
		return;
	*s_ = NULL;
	if (s->session != NULL)
		gsasl_finish(s->session);
	gsasl_done(s->library);
	buf_fini(&s->login);
	buf_fini(&s->name);
	buf_wipe(&s->challenge);
	buf_wipe(&s->form);
	buf_wipe(&s->password);
	explicit_bzero(&s->credential, sizeof(s->credential));
	free(s);
}

static enum sasl_verdict deny(struct sasl_server *s)
{
	s->phase = PHASE_OVER;
	buf_clear(&s->challenge);
	buf_wipe(&s->password);
	return SASL_DENIED;
}

static enum sasl_verdict accept(struct sasl_server *s)
{
	s->phase = PHASE_OVER;
	return SASL_DONE;
}

/* RFC 4616 2: exactly two NULs, none in the password; nowhere else does a NUL make sense. The library would cut there. */
static bool has_right_shape(const struct sasl_server *s, struct str response)
{
	size_t nuls = 0;
	for (size_t i = 0; i < response.n; i++)
		nuls += response.p[i] == '\0';
	if (response.n > SASL_RESPONSE_MAX)
		return false;
	return nuls == (strcmp(s->mechanism, "PLAIN") == 0 && response.n > 0 ? 2 : 0);
}

static bool acts_for_itself(const struct sasl_server *s)
{
	struct str as = str_of(gsasl_property_fast(s->session, GSASL_AUTHZID));
	return as.n == 0 || str_eq(as, buf_view(&s->login)) || str_eq(as, buf_view(&s->name));
}

static int gsasl_turn(struct sasl_server *s, struct str response)
{
	char *out = NULL;
	size_t n = 0;
	buf_clear(&s->challenge);
	int result = gsasl_step(s->session, response.n > 0 ? response.p : "", response.n, &out, &n);
	if ((result == GSASL_OK || result == GSASL_NEEDS_MORE) && buf_add(&s->challenge, (struct str){ out, n }) != OK)
		result = GSASL_MALLOC_ERROR;
	gsasl_free(out);
	return result;
}

/* The library's own questions ("User Name") confuse old clients that compare. */
static void ask_as_everybody(struct sasl_server *s)
{
	if (strcmp(s->mechanism, "LOGIN") != 0)
		return;
	buf_clear(&s->challenge);
	bool fits = buf_add(&s->challenge, s->steps == 1 ? STR("Username:") : STR("Password:")) == OK;
	check(fits);
}

enum sasl_verdict sasl_server_step(struct sasl_server *s, struct str response, struct str *challenge_out)
{
	*challenge_out = STR_NONE;
	if (s->phase == PHASE_LAST_EMPTY)
		return response.n == 0 ? accept(s) : deny(s);
	check(s->phase != PHASE_MEASURE);
	if (s->phase == PHASE_OVER || !has_right_shape(s, response))
		return deny(s);

	bool named_at_once = s->steps == 0 && response.n > 0 && strcmp(s->mechanism, "LOGIN") == 0;
	if (named_at_once) {
		(void)gsasl_turn(s, STR_NONE); /* AUTH LOGIN with the name as initial response */
		s->steps++;
	}
	int result = gsasl_turn(s, response);
	s->steps++;
	if (result == GSASL_NEEDS_MORE && s->steps < 8) {
		ask_as_everybody(s);
		*challenge_out = buf_view(&s->challenge);
		return SASL_MORE;
	}
	if (result == GSASL_OK && s->waits) {
		s->phase = PHASE_MEASURE;
		return SASL_MEASURE;
	}
	if (result != GSASL_OK || !s->known || !acts_for_itself(s))
		return deny(s);
	if (buf_view(&s->challenge).n == 0)
		return accept(s);
	/* RFC 4954 4: the last word of the server goes out as a challenge, answered by an empty line. */
	s->phase = PHASE_LAST_EMPTY;
	*challenge_out = buf_view(&s->challenge);
	return SASL_MORE;
}

void sasl_server_measure(struct sasl_server *s)
{
	check(s->phase == PHASE_MEASURE);
	s->fits = credential_fits(&s->credential, buf_view(&s->password));
	buf_wipe(&s->password);
}

enum sasl_verdict sasl_server_measured(struct sasl_server *s)
{
	check(s->phase == PHASE_MEASURE);
	return s->fits && s->known && acts_for_itself(s) ? accept(s) : deny(s);
}

const char *sasl_server_mechanism(const struct sasl_server *s)
{
	return s->mechanism;
}

struct str sasl_server_user(const struct sasl_server *s)
{
	return buf_view(&s->name);
}

bool sasl_server_useless(const struct sasl_server *s)
{
	return s->useless;
}

struct str sasl_server_login(const struct sasl_server *s)
{
	return buf_view(&s->login);
}
