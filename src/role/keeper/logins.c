/* SPDX-License-Identifier: ISC */
/* role/keeper/logins.c -- SASL exchanges of our clients; the fronts carry the steps. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/sasl/server.h"
#include "role/keeper/keeper.h"
#include "sys/log.h"
#include "sys/process.h"

struct login {
	struct keeper_link *link;    /* NULL: nobody waits any more, while a thread still measures */
	uint64_t session, generation;
	size_t listener;
	struct sasl_server *sasl;
	const char *mechanism;
	char client[64];
	int64_t since_ms;            /* its last step: the delay of a refusal counts from there */
	bool measuring;
	struct work_count *work;     /* while measuring */
};

static void login_free(struct login *l)
{
	sasl_server_free(&l->sasl);
	free(l);
}

/* Takes it off its link; what a thread works on is freed when that is done. */
static void login_end(struct login *l)
{
	(void)map_remove_u64(l->link->logins, l->session);
	l->link = NULL;
	if (!l->measuring)
		login_free(l);
}

static void refuse(struct keeper_link *link, uint64_t session, unsigned code, const char *status, const char *text,
                   uint64_t delay_ms)
{
	channel_send(link->channel, KEEPER_AUTH_FAILED,
	             &(struct keeper_auth_failed){ .session = session, .code = code, .status = str_of(status), .text = str_of(text),
	                                           .delay_ms = delay_ms });
}

static fault find_user(void *owner, struct str login, struct str *name_out, struct str *credential_out)
{
	const struct login *l = owner;
	const struct vault *g = l->link->keeper->now;
	return directory_user(g->directory, &g->conf->listeners[l->listener].auth, login, name_out, credential_out);
}

/* ---- verdicts ---- */

/* A bcrypt password takes longer to measure than what an unknown name is measured with. The refusal comes at the same time: so
 * long after the password has come, or a multiple of that, whatever the measuring took. */
static uint64_t still_to_wait(const struct login *l, uint64_t delay_ms, int64_t now_ms)
{
	uint64_t gone_ms = (uint64_t)(now_ms - l->since_ms);
	return delay_ms > 0 ? delay_ms - gone_ms % delay_ms : 0;
}

/* Too many have guessed at this name: the same answer, as late, to a right password and a wrong one. */
static bool closed(struct login *l)
{
	struct keeper *k = l->link->keeper;
	int64_t now_ms = loop_now_ms(k->loop);
	if (!backoff_name_is_closed(k->backoff, sasl_server_login(l->sasl), str_of(l->client), now_ms))
		return false;
	k->refused_logins++;
	refuse(l->link, l->session, 454, "4.7.0", "Too many failed logins with this name: wait, or log in from where you usually do",
	       still_to_wait(l, BACKOFF_DELAY_MAX_MS, now_ms));
	login_end(l);
	return true;
}

static void denied(struct login *l)
{
	struct keeper *k = l->link->keeper;
	struct str name = sasl_server_login(l->sasl);
	int64_t now_ms = loop_now_ms(k->loop);
	uint64_t delay_ms = backoff_failed(k->backoff, name, str_of(l->client), now_ms);
	log_event(LOG_LOGIN_DENIED, LOG_S("user", name), LOG_Z("client", l->client), LOG_Z("mechanism", l->mechanism),
	          LOG_U("delay_ms", delay_ms),
	          LOG_Z("text", sasl_server_useless(l->sasl) ? "the credential in the users file cannot serve this mechanism: "
	                                                       "make a new one with sealpost passwd" : ""));
	if (closed(l))
		return;
	k->refused_logins++;
	refuse(l->link, l->session, 535, "5.7.8", "Name or password is wrong", still_to_wait(l, delay_ms, now_ms));
	login_end(l);
}

static void done(struct login *l)
{
	struct keeper *k = l->link->keeper;
	if (closed(l))
		return;
	k->logins++;
	backoff_succeeded(k->backoff, sasl_server_login(l->sasl), str_of(l->client), loop_now_ms(k->loop));
	channel_send(l->link->channel, KEEPER_AUTH_DONE,
	             &(struct keeper_auth_done){ .session = l->session, .user = sasl_server_user(l->sasl) });
	login_end(l);
}

static void measure(void *login)
{
	sasl_server_measure(((struct login *)login)->sasl);
	OPENSSL_thread_stop(); /* the pool's thread is not ours: nothing of this work stays with it */
}

static void measured(void *login)
{
	struct login *l = login;
	l->measuring = false;
	if (--l->work->running == 0 && l->work->keeper_gone)
		free(l->work);
	if (l->link == NULL)
		login_free(l);
	else if (sasl_server_measured(l->sasl) == SASL_DONE)
		done(l);
	else
		denied(l);
}

static void begin_measuring(struct login *l)
{
	struct keeper *k = l->link->keeper;
	if (k->work->running == WORK_MAX) {
		refuse(l->link, l->session, 454, "4.3.2", "Too many logins at once: try again in a moment", 0);
		login_end(l);
		return;
	}
	k->work->running++;
	l->work = k->work;
	l->measuring = true;
	work_start(k->loop, measure, measured, l);
}

static void step(struct login *l, struct str response)
{
	struct str challenge;
	l->since_ms = loop_now_ms(l->link->keeper->loop);
	switch (sasl_server_step(l->sasl, response, &challenge)) {
	case SASL_MORE:
		channel_send(l->link->channel, KEEPER_AUTH_MORE,
		             &(struct keeper_auth_more){ .session = l->session, .challenge = challenge });
		break;
	case SASL_MEASURE:
		begin_measuring(l);
		break;
	case SASL_DONE:
		done(l);
		break;
	case SASL_DENIED:
		denied(l);
		break;
	}
}

/* ---- messages ---- */

void logins_on_start(struct keeper_link *link, const struct front_auth_start *m)
{
	struct keeper *k = link->keeper;
	logins_cancel(link, m->session);
	if (k->now == NULL || map_count(link->logins) >= LOGINS_OF_LINK_MAX) {
		refuse(link, m->session, 454, "4.3.2", "Logins are not possible just now: try again later", 0);
		return;
	}
	if (m->listener >= k->now->conf->n_listeners || k->now->conf->listeners[m->listener].auth.n == 0) {
		refuse(link, m->session, 503, "5.5.1", "There is no login here", 0);
		return;
	}
	if (backoff_refuses(k->backoff, m->client, loop_now_ms(k->loop))) {
		k->refused_logins++;
		refuse(link, m->session, 454, "4.7.0", "Too many failed logins from your address: wait a few minutes", BACKOFF_DELAY_MAX_MS);
		return;
	}
	struct login *l = NEW(struct login);
	struct sasl_users users = { find_user, l, { k->pepper, sizeof(k->pepper) }, &k->now->kinds };
	l->sasl = sasl_server_new(m->mechanism, &users, m->channel_binding);
	if (l->sasl == NULL) {
		free(l);
		refuse(link, m->session, 504, "5.5.4", "This mechanism is not offered here", 0);
		return;
	}
	l->link = link;
	l->session = m->session;
	l->generation = k->number;
	l->listener = m->listener;
	l->mechanism = sasl_server_mechanism(l->sasl);
	memcpy(l->client, m->client.p != NULL ? m->client.p : "", m->client.n < sizeof(l->client) ? m->client.n : 0);
	(void)map_set_u64(link->logins, m->session, l);
	step(l, m->has_initial ? m->initial : STR_NONE);
}

void logins_on_step(struct keeper_link *link, const struct front_auth_step *m)
{
	struct login *l = map_get_u64(link->logins, m->session);
	if (l == NULL || l->measuring) {
		refuse(link, m->session, 503, "5.5.1", "No login is under way", 0);
	} else if (l->generation != link->keeper->number) {
		/* The tables that it began with are gone. */
		refuse(link, m->session, 454, "4.3.0", "The configuration has just changed: please log in again", 0);
		login_end(l);
	} else {
		step(l, m->response);
	}
}

void logins_cancel(struct keeper_link *link, uint64_t session)
{
	struct login *l = map_get_u64(link->logins, session);
	if (l != NULL)
		login_end(l);
}

void logins_forget(struct keeper_link *link)
{
	size_t cursor = 0;
	struct str key;
	void *login;
	while (map_each(link->logins, &cursor, &key, &login)) {
		logins_cancel(link, ((struct login *)login)->session);
		cursor = 0; /* the map has changed */
	}
}
