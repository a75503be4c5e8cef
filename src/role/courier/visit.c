/* SPDX-License-Identifier: ISC */
/*
 * One connection: which protection it must have, the login, one transaction after another, and its rest in between.
 *
 * Whatever the level demands and the server does not give ends the visit before MAIL; only `opportunistic` knows clear text.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "role/courier/courier.h"
#include "sys/log.h"

static const struct hop_handler hop_handler;

/* ---- coming and going ---- */

static void leave_lists(struct visit *v)
{
	struct courier *c = v->courier;
	if (v->kept)
		c->n_kept--;
	v->kept = false;
	link_remove(&v->in_courier);
}

void visit_free(struct visit *v)
{
	struct courier *c = v->courier;
	knock_over(v, KNOCK_DROPPED);
	leave_lists(v);
	c->n_visits--;
	timer_clear(&v->timer);
	(void)map_remove_u64(c->logins, v->login);
	(void)map_remove_u64(c->unix_asks, v->unix_ask);
	if (v->login != 0 && c->keeper != NULL)
		channel_send(c->keeper, COURIER_LOGIN_END, &(struct courier_login_end){ .session = v->login });
	if (v->job != NULL)
		v->job->visit = NULL;
	hop_free(&v->hop);
	trust_drop(v->trust);
	str_release(&v->key);
	str_release(&v->tls_story);
	str_release(&v->host);
	free(v);
	knock_soon(c);
	courier_trim_soon(c);
}

static void fail(struct visit *v, const struct smtp_reply *why, bool tls)
{
	struct job *j = v->job;
	knock_over(v, KNOCK_FAILED);
	if (j == NULL)
		visit_free(v);
	else
		job_visit_failed(j, why, tls);
}

static void fail_words(struct visit *v, struct status status, bool tls, const char *words, const char *detail)
{
	char text[700];
	(void)snprintf(text, sizeof text, words, STR_ARG(v->host), detail);
	fail(v, &REPLY(0, status.class, status.subject, status.detail, str_of(text)), tls);
}

/* Two jobs share a connection only if nothing that was decided for it differs. */
static void put_key(const struct job *j, const struct target *t, struct buf *out)
{
	fault f = endpoint_put(out, &t->at);
	if (f == OK)
		f = BUF_ADD_ALL(out, STR(" "), t->host, STR(" "));
	const unsigned marks[] = { (unsigned)t->demand.level, (unsigned)t->demand.proof, j->implicit, j->lmtp, j->in_clear };
	for (size_t i = 0; i < COUNT(marks) && f == OK; i++)
		f = buf_add_u64(out, marks[i]);
	if (f == OK)
		f = buf_add_char(out, ' ');
	/* Names that a certificate may carry instead, under a TLSA record for an authority. */
	if (f == OK && t->demand.proof == PROVE_DANE)
		f = BUF_ADD_ALL(out, j->name, STR(" "));
	if (f == OK && j->login)
		f = buf_add(out, j->name);
	/* Its anchors and its login are those of one configuration. */
	if (f == OK)
		f = buf_add_char(out, ' ');
	if (f == OK)
		f = buf_add_u64(out, j->generation);
	if (f == OK && j->trust != NULL)
		f = BUF_ADD_ALL(out, STR(" "), j->trust->ca_path);
	/* Without room for the whole key nothing is shared. */
	if (f != OK)
		buf_clear(out);
}

static struct visit *find_kept(struct courier *c, struct str key)
{
	LIST_EACH(at, &c->kept) {
		struct visit *v = LIST_MEMBER(at, struct visit, in_courier);
		if (key.n > 0 && str_eq(v->key, key))
			return v;
	}
	return NULL;
}

static void ready(struct visit *v);

static void use_kept(struct job *j, struct visit *v, const struct target *t)
{
	struct courier *c = j->courier;
	leave_lists(v);
	list_add_last(&c->visits, &v->in_courier);
	timer_clear(&v->timer);
	v->job = j;
	v->demand = t->demand;
	v->published = t->published;
	j->visit = v;
	v->reused = true;
	uint64_t number = j->number;
	ready(v);
	/* By now the job may be over, or on another visit. */
	j = map_get_u64(c->jobs, number);
	if (j != NULL && j->visit != NULL && j->visit->hop != NULL)
		hop_turn(j->visit->hop);
}

static void connect_out(struct visit *v, struct job *j, const struct endpoint *to, int fd)
{
	struct courier *c = v->courier;
	struct endpoint from, *source = NULL;
	for (size_t i = 0; j->direct && i < c->conf->direct.bind.n && source == NULL; i++) {
		char text[80];
		struct str ip = c->conf->direct.bind.items[i];
		(void)snprintf(text, sizeof text, str_has(ip, ':') ? "[%.*s]:0" : "%.*s:0", STR_ARG(ip));
		if (endpoint_parse(str_of(text), &from) == OK && from.kind == to->kind)
			source = &from;
	}
	struct hop_options o = {
		.fd = fd, .to = *to, .from = source, .tls = v->trust != NULL ? v->trust->client : NULL, .tls_name = v->host,
		.wish = &v->wish, .implicit = j->implicit, .client = { .ehlo = j->ehlo, .lmtp = j->lmtp },
	};
	v->hop = hop_new(c->loop, &o, &hop_handler, v);
}

static void on_visit_timer(void *owner);

void visit_put_ip(const struct target *t, char ip[64])
{
	struct buf literal;
	buf_init(&literal, 63);
	ip[0] = '\0';
	if (t->at.kind != ENDPOINT_UNIX && endpoint_put_literal(&literal, &t->at) == OK) {
		struct str text = buf_view(&literal);
		(void)str_take(&text, STR("IPv6:"));
		(void)snprintf(ip, 64, "%.*s", STR_ARG(text));
	}
	buf_fini(&literal);
}

static struct visit *visit_new(struct job *j, const struct target *t, struct str key)
{
	struct courier *c = j->courier;
	struct visit *v = NEW(struct visit);
	v->courier = c;
	v->at = t->at;
	link_init(&v->in_knocks);
	v->job = j;
	v->key = str_keep(key);
	v->host = str_keep(t->host);
	v->demand = t->demand;
	v->published = t->published;
	v->in_clear = j->in_clear;
	v->trust = trust_hold(j->trust);
	publish_wish(j, t, &v->wish, v->also);
	visit_put_ip(t, v->ip);
	timer_init(&v->timer, c->loop, on_visit_timer, v);
	list_add_last(&c->visits, &v->in_courier);
	c->n_visits++;
	j->visit = v;
	knock_begin(v);
	return v;
}

bool visit_start(struct job *j, const struct target *t, struct passing *why_out)
{
	struct courier *c = j->courier;
	struct buf key;
	buf_init(&key, 1024);
	put_key(j, t, &key);
	struct visit *kept = find_kept(c, buf_view(&key));
	if (kept != NULL) {
		j->waits = false;
		buf_fini(&key);
		use_kept(j, kept, t);
		return true;
	}
	enum knock may = knock_ask(j, t, why_out);
	struct visit *v = may == KNOCK_NOW ? visit_new(j, t, buf_view(&key)) : NULL;
	buf_fini(&key);
	if (may != KNOCK_NOW)
		return may == KNOCK_LATER;
	if (t->at.kind != ENDPOINT_UNIX) {
		connect_out(v, j, &t->at, -1);
		return true;
	}
	/* This role sees no file system: the supervisor connects. */
	v->unix_ask = role_unix_connect(c->base, str_of(t->at.path));
	(void)map_set_u64(c->unix_asks, v->unix_ask, v);
	timer_set(&v->timer, loop_now_ms(c->loop) + HOP_CONNECT_MS);
	return true;
}

void visit_give_up(struct visit *v, int64_t after_ms)
{
	char detail[100];
	(void)snprintf(detail, sizeof detail, "no answer in %lld seconds, and many others wait for their turn", (long long)after_ms / 1000);
	if (v->connected)
		fail_words(v, (struct status){ 4, 4, 2 }, false, "Connected to %.*s: %s", detail);
	else
		fail_words(v, (struct status){ 4, 4, 1 }, false, "Cannot connect to %.*s: %s", detail);
}

void visit_give_way(struct visit *v, int64_t after_ms)
{
	char detail[100];
	(void)snprintf(detail, sizeof detail, "after %lld seconds this message makes room for others", (long long)after_ms / 1000);
	fail_words(v, (struct status){ 4, 4, v->connected ? 2 : 1 }, false,
	           v->connected ? "%.*s takes too long: %s" : "Cannot connect to %.*s: %s", detail);
}

void visit_unix_connected(struct courier *c, uint64_t request, int fd, const char *error)
{
	static const struct endpoint nowhere = { .kind = ENDPOINT_UNIX };
	struct visit *v = map_remove_u64(c->unix_asks, request);
	if (v == NULL || v->job == NULL) {
		fd_close(&fd);
		return;
	}
	v->unix_ask = 0;
	timer_clear(&v->timer);
	if (fd >= 0)
		connect_out(v, v->job, &nowhere, fd);
	else
		fail_words(v, (struct status){ 4, 4, 1 }, false, "Cannot connect to %.*s: %s", error);
}

/* ---- between two letters ---- */

static void say_quit(struct visit *v)
{
	struct courier *c = v->courier;
	leave_lists(v);
	list_add_last(&c->visits, &v->in_courier);
	timer_clear(&v->timer);
	struct smtp_client *client = hop_client(v->hop);
	if (client == NULL || smtp_client_quit(client, loop_now_ms(c->loop)) != OK) {
		visit_free(v);
		return;
	}
	hop_turn(v->hop);
}

static void rest(struct visit *v)
{
	struct courier *c = v->courier;
	const struct smtp_offers *o = smtp_client_offers(hop_client(v->hop));
	bool worn = v->letters >= COURIER_LETTERS_PER_VISIT || (o->mail_max > 0 && v->letters >= o->mail_max);
	if (worn || c->draining || c->n_kept >= COURIER_KEPT_MAX || v->key.n == 0) {
		say_quit(v);
		return;
	}
	link_remove(&v->in_courier);
	list_add_last(&c->kept, &v->in_courier);
	c->n_kept++;
	v->kept = true;
	knock_spare(v);
	timer_set(&v->timer, loop_now_ms(c->loop) + COURIER_KEPT_MS);
}

void visit_end_kept(struct courier *c)
{
	LIST_EACH(at, &c->kept)
		say_quit(LIST_MEMBER(at, struct visit, in_courier));
}

static void on_visit_timer(void *owner)
{
	struct visit *v = owner;
	if (v->job == NULL)
		say_quit(v);
	else if (v->unix_ask != 0)
		fail_words(v, (struct status){ 4, 4, 1 }, false, "Cannot connect to %.*s: %s", "the supervisor did not answer");
	else
		fail_words(v, (struct status){ 4, 3, 0 }, false, "Logging in at %.*s: %s", "the keeper did not answer");
}

/* ---- login ---- */

static void begin_login(struct visit *v)
{
	struct courier *c = v->courier;
	const struct smtp_offers *o = smtp_client_offers(hop_client(v->hop));
	const struct tls *tls = hop_tls(v->hop);
	unsigned char binding[32];
	if (tls == NULL) {
		fail_words(v, (struct status){ 4, 7, 0 }, false, "No login at %.*s: %s",
		           "the connection is not protected by TLS, and a password never goes in clear");
	} else if (!o->auth) {
		fail_words(v, (struct status){ 4, 7, 0 }, false, "No login at %.*s: %s", "the server does not offer AUTH");
	} else if (c->keeper == NULL) {
		fail_words(v, (struct status){ 4, 3, 0 }, false, "No login at %.*s: %s", "the keeper is not there");
	} else {
		bool bound = tls_channel_binding(tls, binding) == OK;
		v->login = ++c->next_number;
		(void)map_set_u64(c->logins, v->login, v);
		timer_set(&v->timer, loop_now_ms(c->loop) + COURIER_KEEPER_MS);
		struct courier_login_start m = {
			.session = v->login, .relay = v->job->name, .mechanisms = o->mechanisms,
			.channel_binding = bound ? (struct str){ (const char *)binding, sizeof binding } : STR_NONE,
		};
		channel_send(c->keeper, COURIER_LOGIN_START, &m);
	}
}

static void end_login(struct visit *v)
{
	struct courier *c = v->courier;
	if (v->login == 0)
		return;
	if (c->keeper != NULL)
		channel_send(c->keeper, COURIER_LOGIN_END, &(struct courier_login_end){ .session = v->login });
	(void)map_remove_u64(c->logins, v->login);
	v->login = 0;
	timer_clear(&v->timer);
}

static void keeper_failed(struct visit *v, struct str text)
{
	char words[300];
	(void)snprintf(words, sizeof words, "%.*s", STR_ARG(str_sub(text, 0, 290)));
	log_event(LOG_LOGIN_FAILED, LOG_S("host", v->host), LOG_S("relay", v->job->name), LOG_S("text", text));
	fail_words(v, (struct status){ 4, 7, 8 }, false, "No login at %.*s: %s", words);
}

void visit_keeper_says(struct courier *c, unsigned kind, const void *msg)
{
	const uint64_t *session = msg; /* every message starts with it */
	struct visit *v = map_get_u64(c->logins, *session);
	struct smtp_client *client = v != NULL && v->hop != NULL ? hop_client(v->hop) : NULL;
	int64_t now_ms = loop_now_ms(c->loop);
	fault f = OK;
	if (client == NULL || v->job == NULL)
		return;
	timer_clear(&v->timer); /* now the server has the word, and the client core has its own clock */
	if (kind == KEEPER_LOGIN_FIRST) {
		const struct keeper_login_first *m = msg;
		f = smtp_client_auth(client, m->mechanism, m->has_initial != 0, m->initial, now_ms);
	} else if (kind == KEEPER_LOGIN_STEP) {
		f = smtp_client_auth_step(client, ((const struct keeper_login_step *)msg)->response, now_ms);
	} else {
		keeper_failed(v, ((const struct keeper_login_failed *)msg)->text);
		return;
	}
	if (f != OK)
		keeper_failed(v, STR("the login does not fit what the server asked"));
	else
		hop_turn(v->hop);
}

void visit_keeper_gone(struct courier *c)
{
	size_t cursor = 0;
	struct str key;
	void *value;
	struct map *logins = c->logins;
	c->logins = map_new(0);
	while (map_each(logins, &cursor, &key, &value)) {
		struct visit *v = value;
		v->login = 0;
		keeper_failed(v, STR("the keeper is not there"));
	}
	map_free(&logins);
}

static void challenged(struct visit *v, struct str challenge)
{
	struct courier *c = v->courier;
	if (c->keeper == NULL || v->login == 0) {
		keeper_failed(v, STR("the keeper is not there"));
		return;
	}
	timer_set(&v->timer, loop_now_ms(c->loop) + COURIER_KEEPER_MS);
	channel_send(c->keeper, COURIER_LOGIN_STEP,
	             &(struct courier_login_step){ .session = v->login, .challenge = challenge });
}

static void login_answered(struct visit *v, const struct smtp_client_event *e)
{
	end_login(v);
	if (e->outcome == OUTCOME_DONE) {
		v->logged_in = true; /* READY follows */
		return;
	}
	log_event(LOG_LOGIN_FAILED, LOG_S("host", v->host), LOG_S("relay", v->job->name), LOG_S("text", e->reply.text),
	          LOG_U("code", e->reply.code));
	char words[400];
	(void)snprintf(words, sizeof words, "%d %.*s; check `login` of relay %.*s", e->reply.code,
	               STR_ARG(str_sub(e->reply.text, 0, 250)), STR_ARG(str_sub(v->job->name, 0, 60)));
	fail_words(v, (struct status){ 4, 7, 8 }, false, "The login at %.*s was refused: %s", words);
}

/* ---- protection ---- */

/* What is proven counts even where it was not asked for. */
enum tls_level visit_level(const struct visit *v)
{
	const struct tls *tls = hop_tls(v->hop);
	struct tls_facts f;
	if (tls == NULL || tls_state(tls) != TLS_OPEN)
		return TLS_NONE;
	tls_facts(tls, &f);
	enum tls_level shown = f.verified ? TLS_VERIFY : TLS_OPPORTUNISTIC;
	return v->demand.level > shown ? v->demand.level : shown;
}

/* Only hosts of strangers: what a relay of ours speaks is known. */
unsigned visit_next_shape(const struct visit *v)
{
	const struct tls *tls = hop_tls(v->hop);
	if (v->job == NULL || !v->job->direct || v->trust == NULL || (tls != NULL && tls_state(tls) == TLS_OPEN))
		return TLS_SHAPES;
	enum tls_failure why = tls != NULL ? tls_failure(tls) : TLS_FAIL_HANDSHAKE; /* NULL: the connection was lost on the way */
	return why == TLS_FAIL_NONE || why == TLS_FAIL_HANDSHAKE ? tls_shape_after(v->trust->client, v->wish.shape) : TLS_SHAPES;
}

/* In clear, and STARTTLS is not to be had. True: clear text is right here. */
static bool clear_is_allowed(struct visit *v)
{
	struct job *j = v->job;
	struct status needed = { 4, 7, 10 };
	if (v->demand.level == TLS_NONE)
		return true;
	report_clear(v);
	if (!v->demand.may_go_clear) {
		fail_words(v, needed, false, "%.*s does not offer STARTTLS%s, and without TLS this message is not sent there",
		           v->tls_refused ? " now" : "");
		return false;
	}
	if (v->tls_refused && !v->in_clear && !j->lmtp) {
		fail_words(v, needed, true, "%.*s offers STARTTLS and refuses it%s", "");
		return false;
	}
	if (!v->in_clear && memory_seen_lately(v->courier, j->domain) && job_wish(j) != PROTECTION_OPTIONAL) {
		fail_words(v, needed, false, "%.*s has lately used TLS for this domain and does not offer it now%s; the message waits",
		           "");
		return false;
	}
	if (!j->lmtp)
		tell_downgrade(j, v);
	return true;
}

/* The server promises what the sender demands of every server on the way (RFC 8689 4.2.1). */
static bool promises(struct visit *v)
{
	char text[400];
	struct job *j = v->job;
	if (!v->demand.requires_keyword || smtp_client_offers(hop_client(v->hop))->requiretls)
		return true;
	(void)snprintf(text, sizeof text, "REQUIRETLS support required: the sender demands TLS all the way, and %.*s does not promise it "
	                                  "for what comes after it", STR_ARG(str_sub(v->host, 0, 200)));
	job_visit_unfit(j, &REPLY(0, 4, 7, 30, str_of(text)));
	rest(v);
	return false;
}

/* The server waits for a command. */
static void ready(struct visit *v)
{
	struct job *j = v->job;
	struct smtp_client *client = hop_client(v->hop);
	if (j == NULL) {
		rest(v);
		return;
	}
	if (j->held && !j->in_txn) { /* a transaction ended and left some for the next target */
		job_visit_ready_again(j);
		rest(v);
		return;
	}
	bool in_tls = hop_tls(v->hop) != NULL;
	if (!in_tls && v->demand.level != TLS_NONE && !v->in_clear && smtp_client_offers(client)->starttls) {
		fault f = smtp_client_starttls(client, loop_now_ms(v->courier->loop));
		check(f == OK);
		return;
	}
	if (!in_tls && !clear_is_allowed(v))
		return;
	if (j->login && !v->logged_in) {
		begin_login(v);
		return;
	}
	if (!promises(v))
		return;
	if (j->purpose == JOB_EXPLAIN) {
		job_explained(j);
		rest(v);
		return;
	}
	v->letters++;
	job_begin_letter(j);
}

/* ---- what the hop tells ---- */

static void on_connected(void *owner)
{
	struct visit *v = owner;
	v->connected = true;
	report_connected(v);
}

static void on_heard(void *owner)
{
	knock_over(owner, KNOCK_ANSWERED);
}

static void on_tls_open(void *owner)
{
	struct visit *v = owner;
	struct job *j = v->job;
	if (j == NULL || !j->direct)
		return;
	report_open(v);
	enum tls_level best = memory_best(v->courier, j->domain);
	if (memory_saw(v->courier, j->domain, visit_level(v)))
		tell_below(j, v, best);
	if (v->wish.shape > 0)
		memory_keep_shape(v->courier, v->host, v->wish.shape);
}

static void on_event(void *owner, const struct smtp_client_event *e)
{
	struct visit *v = owner;
	switch (e->kind) {
	case SMTP_CLIENT_READY: ready(v); break;
	case SMTP_CLIENT_TLS_REFUSED:
		v->tls_refused = true;
		v->may_mend = e->outcome == OUTCOME_LATER; /* 454: RFC 3207 4 */
		break;
	case SMTP_CLIENT_CHALLENGE: challenged(v, e->bytes); break;
	case SMTP_CLIENT_AUTH: login_answered(v, e); break;
	case SMTP_CLIENT_RCPT:
		if (v->job != NULL)
			job_rcpt_event(v->job, e);
		break;
	case SMTP_CLIENT_DONE:
		if (v->job != NULL)
			job_letter_done(v->job);
		break;
	case SMTP_CLIENT_CLOSED: fail(v, &e->reply, false); break;
	case SMTP_CLIENT_TLS: break;
	}
}

static void on_body(void *owner)
{
	struct visit *v = owner;
	if (v->job != NULL)
		job_give_body(v->job);
}

static void on_failed(void *owner, enum hop_failure what, const char *words)
{
	struct visit *v = owner;
	if (what == HOP_CONNECT) {
		fail_words(v, (struct status){ 4, 4, 1 }, false, "Cannot connect to %.*s: %s", words);
		return;
	}
	report_failed(v, words);
	v->may_mend = hop_tls(v->hop) == NULL || tls_gave_up(hop_tls(v->hop)); /* NULL: lost on the way */
	log_event(LOG_TLS_FAILED, LOG_S("host", v->host), LOG_Z("ip", v->ip), LOG_Z("reason", words));
	fail_words(v, (struct status){ 4, 7, 5 }, true, "The TLS handshake with %.*s failed: %s", words);
}

static const struct hop_handler hop_handler = {
	.connected = on_connected, .heard = on_heard, .tls_open = on_tls_open, .event = on_event, .body = on_body, .failed = on_failed,
};
