/* SPDX-License-Identifier: ISC */
/* role/keeper/relay_logins.c -- the courier logs in at a relay, and never holds the password. */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/check.h"
#include "proto/sasl/client.h"
#include "role/keeper/keeper.h"
#include "sys/process.h"

enum { CHALLENGE_MAX = 12288 };

struct relay_login {
	struct keeper_link *link;    /* NULL: nobody waits any more, while a thread still works */
	uint64_t session;
	struct sasl_client *sasl;
	bool working;
	/* What the thread is given and gives. */
	struct buf challenge;
	struct str response;
	fault result;
	struct why why;
};

static void relay_login_free(struct relay_login *r)
{
	sasl_client_free(&r->sasl);
	buf_fini(&r->challenge);
	free(r);
}

static void relay_login_end(struct relay_login *r)
{
	(void)map_remove_u64(r->link->logins, r->session);
	r->link = NULL;
	if (!r->working)
		relay_login_free(r);
}

static void failed(struct keeper_link *link, uint64_t session, const char *text)
{
	channel_send(link->channel, KEEPER_LOGIN_FAILED,
	             &(struct keeper_login_failed){ .session = session, .text = str_of(text) });
}

static fault begin(struct keeper *k, const struct courier_login_start *m, struct sasl_client **out, struct why *why)
{
	struct sasl_client_options o = { .mechanisms = m->mechanisms, .channel_binding = m->channel_binding };
	if (k->now == NULL)
		return why_say(why, F_ABSENT, "the keeper has no configuration yet");
	if (vault_secret(k->now, m->relay, &o.user, &o.password) != OK)
		return why_say(why, F_ABSENT, "no login is configured for this relay");
	return sasl_client_new(&o, out, why);
}

void relay_logins_on_start(struct keeper_link *link, const struct courier_login_start *m)
{
	struct sasl_client *sasl = NULL;
	struct str initial;
	bool has_initial;
	struct why why = { "" };
	relay_logins_cancel(link, m->session);
	fault f = map_count(link->logins) < LOGINS_OF_LINK_MAX ? begin(link->keeper, m, &sasl, &why)
	                                                      : why_say(&why, F_LIMIT, "too many logins at once");
	if (f == OK)
		f = sasl_client_first(sasl, &has_initial, &initial, &why);
	if (f != OK) {
		sasl_client_free(&sasl);
		failed(link, m->session, why.text);
		return;
	}
	struct relay_login *r = NEW(struct relay_login);
	r->link = link;
	r->session = m->session;
	r->sasl = sasl;
	buf_init(&r->challenge, CHALLENGE_MAX);
	(void)map_set_u64(link->logins, m->session, r);
	channel_send(link->channel, KEEPER_LOGIN_FIRST,
	             &(struct keeper_login_first){ .session = r->session, .mechanism = sasl_client_mechanism(sasl),
	                                           .has_initial = has_initial, .initial = initial });
}

static void work(void *relay_login)
{
	struct relay_login *r = relay_login;
	r->result = sasl_client_step(r->sasl, buf_view(&r->challenge), &r->response, &r->why);
	OPENSSL_thread_stop(); /* the pool's thread is not ours: nothing of this work stays with it */
}

static void worked(void *relay_login)
{
	struct relay_login *r = relay_login;
	r->working = false;
	if (r->link == NULL) {
		relay_login_free(r);
	} else if (r->result == OK) {
		channel_send(r->link->channel, KEEPER_LOGIN_STEP,
		             &(struct keeper_login_step){ .session = r->session, .response = r->response });
	} else {
		failed(r->link, r->session, r->why.text);
		relay_login_end(r);
	}
}

/* On a thread: a server may ask for a million rounds of hashing. */
void relay_logins_on_step(struct keeper_link *link, const struct courier_login_step *m)
{
	struct relay_login *r = map_get_u64(link->logins, m->session);
	if (r == NULL || r->working) {
		failed(link, m->session, "no login is under way");
		return;
	}
	buf_clear(&r->challenge);
	if (buf_add(&r->challenge, m->challenge) != OK) {
		failed(link, m->session, "the server's login challenge is too long");
		relay_login_end(r);
		return;
	}
	r->working = true;
	work_start(link->keeper->loop, work, worked, r);
}

void relay_logins_cancel(struct keeper_link *link, uint64_t session)
{
	struct relay_login *r = map_get_u64(link->logins, session);
	if (r != NULL)
		relay_login_end(r);
}

void relay_logins_forget(struct keeper_link *link)
{
	size_t cursor = 0;
	struct str key;
	void *login;
	while (map_each(link->logins, &cursor, &key, &login)) {
		relay_login_end(login);
		cursor = 0; /* the map has changed */
	}
}
