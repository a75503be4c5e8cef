/* SPDX-License-Identifier: ISC */
#include "cmd/submit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "mail/address.h"
#include "mail/header.h"
#include "proto/sasl/client.h"
#include "role/hop.h"

enum { ADDRESSES_MAX = 16 };

struct submission {
	const struct submit_options *o;
	struct submit_result *result;
	struct loop *loop;
	struct hop *hop;
	struct tls_client *tls;
	struct sasl_client *sasl;
	struct endpoint addresses[ADDRESSES_MAX];
	size_t n_addresses, at;
	char host[256], name[256];
	struct smtp_client_rcpt *rcpts;
	struct smtp_transaction txn;
	size_t given, n_taken, n_refused;
	bool logged_in, content_told, over;
};

static const struct hop_handler hop_handler;

/* ---- telling ---- */

static void PRINTF(3, 4) step(struct submission *s, const char *what, const char *fmt, ...)
{
	char fact[700];
	if (s->o->on_step == NULL)
		return;
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(fact, sizeof fact, fmt, args);
	va_end(args);
	s->o->on_step(s->o->owner, what, fact);
}

static void finish(struct submission *s)
{
	s->over = true;
	loop_stop(s->loop);
}

/* The first reason is the cause: what follows from it does not overwrite it. */
static void PRINTF(3, 4) fail(struct submission *s, int status, const char *fmt, ...)
{
	if (s->result->status == EXIT_ACCEPTED) {
		va_list args;
		va_start(args, fmt);
		(void)vsnprintf(s->result->text, sizeof s->result->text, fmt, args);
		va_end(args);
		s->result->status = status;
	}
	finish(s);
}

static void put_reply(const struct smtp_reply *reply, char *text, size_t room)
{
	struct buf line;
	buf_init(&line, 20 << 10);
	fault f = reply_put_line(&line, reply);
	struct str whole = f == OK ? buf_view(&line) : reply->text;
	(void)snprintf(text, room, "%.*s", STR_ARG(str_sub(whole, 0, room - 1)));
	buf_fini(&line);
}

/* sysexits.h for a refusal. */
static int status_of(const struct smtp_reply *r, enum outcome_class outcome)
{
	bool own = r->code == 0;
	if (own && r->status.subject == 5)
		return EXIT_PROTOCOL;
	if (outcome == OUTCOME_LATER)
		return EXIT_TEMPORARY;
	if (own || r->status.subject == 6)
		return EXIT_BAD_INPUT;
	if (r->status.subject == 1 && r->status.detail == 2)
		return EXIT_NO_HOST;
	if (r->status.subject == 1 || r->code == 550 || r->code == 551 || r->code == 553)
		return r->status.subject == 7 ? EXIT_REFUSED_LOGIN : EXIT_NO_USER;
	return r->code == 530 || r->code == 535 ? EXIT_REFUSED_LOGIN : EXIT_UNAVAILABLE;
}

/* ---- the server's name ---- */

static uint16_t usual_port(enum submit_tls tls)
{
	return tls == SUBMIT_IMPLICIT ? 465 : tls == SUBMIT_STARTTLS ? 587 : 25;
}

static bool split_server(struct submission *s, struct str *host, uint16_t *port)
{
	struct str text = s->o->server, number = STR_NONE;
	size_t colon;
	uint64_t n;
	*port = usual_port(s->o->tls);
	*host = text;
	if (str_take_char(&text, '[')) {
		if (!str_take_until(&text, ']', host) || (text.n > 0 && !str_take_char(&text, ':')))
			return false;
		number = text;
	} else if (str_rfind(text, ':', &colon) && !str_has(str_sub(text, 0, colon), ':')) {
		*host = str_sub(text, 0, colon);
		number = str_from(text, colon + 1);
		if (number.n == 0)
			return false;
	}
	if (number.n == 0)
		return host->n > 0 && host->n < sizeof s->host;
	if (!str_u64(number, &n) || n == 0 || n > 65535)
		return false;
	*port = (uint16_t)n;
	return host->n > 0 && host->n < sizeof s->host;
}

static bool find_server(struct submission *s)
{
	struct str host;
	uint16_t port;
	struct why why = { "" };
	if (str_starts(s->o->server, STR("unix:"))) {
		s->n_addresses = 1;
		if (endpoint_parse(s->o->server, &s->addresses[0]) == OK)
			return true;
		fail(s, EXIT_BAD_INPUT, "\"%.*s\" is not a path of a socket", STR_ARG(s->o->server));
		return false;
	}
	if (!split_server(s, &host, &port)) {
		fail(s, EXIT_BAD_INPUT, "\"%.*s\" is not a server: write HOST, HOST:PORT or [IPv6]:PORT",
		     STR_ARG(str_sub(s->o->server, 0, 200)));
		return false;
	}
	struct arena *a = arena_new(4096);
	struct str ascii;
	if (!str_is_ascii(host) && domain_to_ascii(host, a, &ascii) == OK)
		host = ascii; /* as the DNS, and certificates, have it */
	(void)snprintf(s->host, sizeof s->host, "%.*s", STR_ARG(host));
	arena_free(&a);
	host = str_of(s->host);
	fault f = host_lookup(host, port, s->addresses, ADDRESSES_MAX, &s->n_addresses, &why);
	if (f != OK)
		fail(s, f == F_TIMEOUT ? EXIT_TEMPORARY : EXIT_NO_HOST, "%s", why.text);
	return f == OK;
}

/* ---- what the message needs ---- */

static bool has_8bit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

static void prepare(struct submission *s)
{
	const struct submit_options *o = s->o;
	size_t header = o->message.n;
	(void)header_end(o->message, &header);
	s->rcpts = must_alloc((o->n_to > 0 ? o->n_to : 1) * sizeof *s->rcpts);
	bool utf8 = has_8bit(str_sub(o->message, 0, header)) || has_8bit(o->from);
	for (size_t i = 0; i < o->n_to; i++) {
		s->rcpts[i] = (struct smtp_client_rcpt){ o->to[i], o->dsn };
		utf8 = utf8 || has_8bit(o->to[i]);
	}
	s->txn = (struct smtp_transaction){
		.sender = o->from, .params = o->params, .rcpts = s->rcpts, .n_rcpts = o->n_to,
	};
	s->txn.params.size_bytes = o->message.n;
	s->txn.params.body = has_8bit(o->message) ? BODY_8BIT : BODY_7BIT;
	s->txn.params.smtputf8 = utf8;
}

/* ---- connecting ---- */

static void try_address(struct submission *s)
{
	const struct endpoint *to = &s->addresses[s->at];
	struct hop_options o = {
		.fd = -1, .to = *to, .tls = s->tls, .tls_name = str_of(s->name), .implicit = s->o->tls == SUBMIT_IMPLICIT,
		.client = { .ehlo = s->o->helo.n > 0 ? s->o->helo : STR("localhost") },
	};
	hop_free(&s->hop);
	s->hop = hop_new(s->loop, &o, &hop_handler, s);
}

static void endpoint_text(const struct endpoint *e, char *text, size_t room)
{
	struct buf b;
	buf_init(&b, 200);
	fault f = endpoint_put(&b, e);
	(void)snprintf(text, room, "%.*s", f == OK ? (int)buf_view(&b).n : 0, f == OK ? buf_view(&b).p : "");
	buf_fini(&b);
}

static void on_connected(void *owner)
{
	struct submission *s = owner;
	struct endpoint own;
	struct buf literal;
	char text[200];
	endpoint_text(&s->addresses[s->at], text, sizeof text);
	step(s, "TCP", "connected to %s", text);
	if (s->o->helo.n > 0 || hop_local(s->hop, &own) != OK || own.kind == ENDPOINT_UNIX)
		return;
	buf_init(&literal, 100);
	fault f = buf_add_char(&literal, '[');
	if (f == OK)
		f = endpoint_put_literal(&literal, &own);
	if (f == OK)
		f = buf_add_char(&literal, ']');
	if (f == OK)
		hop_set_ehlo(s->hop, buf_view(&literal));
	buf_fini(&literal);
}

static void copy(char *to, size_t room, struct str from)
{
	(void)snprintf(to, room, "%.*s", STR_ARG(str_sub(from, 0, room - 1)));
}

static void on_tls_open(void *owner)
{
	struct submission *s = owner;
	struct submit_result *r = s->result;
	struct tls_facts f;
	tls_facts(hop_tls(s->hop), &f);
	copy(r->tls_version, sizeof r->tls_version, f.version);
	copy(r->cipher, sizeof r->cipher, f.cipher);
	copy(r->group, sizeof r->group, f.group);
	copy(r->peer, sizeof r->peer, f.peer);
	copy(r->name, sizeof r->name, str_of(s->name));
	r->verified = f.verified;
	step(s, "TLS", "%.*s %.*s %.*s", STR_ARG(f.version), STR_ARG(f.cipher), STR_ARG(f.group));
	step(s, "verified", "the certificate is valid for %s (%.*s)", s->name, STR_ARG(f.peer));
}

static void on_failed(void *owner, enum hop_failure what, const char *words)
{
	struct submission *s = owner;
	char text[200];
	if (what == HOP_TLS) {
		fail(s, EXIT_PROTOCOL, "The TLS handshake with %s failed: %s", s->name, words);
		return;
	}
	endpoint_text(&s->addresses[s->at], text, sizeof text);
	if (++s->at < s->n_addresses) {
		step(s, "TCP", "%s: %s", text, words);
		try_address(s);
	} else {
		fail(s, EXIT_UNAVAILABLE, "Cannot connect to %s: %s", text, words);
	}
}

/* ---- logging in ---- */

static void begin_login(struct submission *s, struct smtp_client *client)
{
	unsigned char binding[32];
	struct why why = { "" };
	const struct tls *tls = hop_tls(s->hop);
	const struct smtp_offers *offers = smtp_client_offers(client);
	if (tls == NULL) {
		fail(s, EXIT_CONFIGURATION, "A password never goes in clear: use --tls implicit or starttls");
		return;
	}
	if (!offers->auth) {
		fail(s, EXIT_REFUSED_LOGIN, "The server does not offer AUTH here, so %.*s cannot log in", STR_ARG(s->o->user));
		return;
	}
	bool bound = tls_channel_binding(tls, binding) == OK;
	struct sasl_client_options so = {
		.mechanisms = offers->mechanisms, .user = s->o->user, .password = s->o->password,
		.channel_binding = bound ? (struct str){ (const char *)binding, sizeof binding } : STR_NONE,
	};
	struct str initial = STR_NONE;
	bool has_initial = false;
	fault f = sasl_client_new(&so, &s->sasl, &why);
	if (f == OK)
		f = sasl_client_first(s->sasl, &has_initial, &initial, &why);
	if (f == OK)
		f = smtp_client_auth(client, sasl_client_mechanism(s->sasl), has_initial, initial, loop_now_ms(s->loop));
	if (f != OK)
		fail(s, EXIT_REFUSED_LOGIN, "Cannot log in: %s", why.text[0] != '\0' ? why.text : fault_name(f));
}

static void challenged(struct submission *s, struct str challenge)
{
	struct smtp_client *client = hop_client(s->hop);
	struct str response;
	struct why why = { "" };
	fault f = sasl_client_step(s->sasl, challenge, &response, &why);
	if (f == OK)
		f = smtp_client_auth_step(client, response, loop_now_ms(s->loop));
	if (f != OK)
		fail(s, EXIT_REFUSED_LOGIN, "The login failed: %s", why.text[0] != '\0' ? why.text : fault_name(f));
}

static void login_answered(struct submission *s, const struct smtp_client_event *e)
{
	char line[400];
	put_reply(&e->reply, line, sizeof line);
	if (e->outcome != OUTCOME_DONE) {
		s->result->code = e->reply.code;
		fail(s, e->outcome == OUTCOME_LATER ? EXIT_TEMPORARY : EXIT_REFUSED_LOGIN,
		     "The server refused the login of %.*s: %s", STR_ARG(s->o->user), line);
		return;
	}
	if (!sasl_client_proved(s->sasl)) {
		fail(s, EXIT_PROTOCOL, "The server accepted the login without proving that it knows the password");
		return;
	}
	s->logged_in = true;
	step(s, "AUTH", "%.*s as %.*s: %s", STR_ARG(sasl_client_mechanism(s->sasl)), STR_ARG(s->o->user), line);
}

/* ---- the letter ---- */

static void begin_letter(struct submission *s, struct smtp_client *client)
{
	fault f = smtp_client_mail(client, &s->txn, loop_now_ms(s->loop));
	if (f != OK) {
		fail(s, EXIT_BAD_INPUT, "An address is not one that can be sent to a mail server");
		return;
	}
	step(s, "MAIL", "from <%.*s>", STR_ARG(s->o->from));
	for (size_t i = 0; i < s->o->n_to; i++)
		step(s, "RCPT", "to <%.*s>", STR_ARG(s->o->to[i]));
}

static void ready(struct submission *s)
{
	struct smtp_client *client = hop_client(s->hop);
	if (s->n_taken + s->n_refused > 0) { /* the letter is through */
		fault f = smtp_client_quit(client, loop_now_ms(s->loop));
		if (f != OK)
			finish(s);
		return;
	}
	if (s->o->tls == SUBMIT_STARTTLS && hop_tls(s->hop) == NULL) {
		fault f = smtp_client_starttls(client, loop_now_ms(s->loop));
		if (f != OK)
			fail(s, EXIT_PROTOCOL, "The server does not offer STARTTLS, and without TLS nothing is sent; does it take "
			                       "implicit TLS on port 465?");
		return;
	}
	if (s->o->params.tls_tag == TLS_TAG_REQUIRED && !smtp_client_offers(client)->requiretls)
		fail(s, EXIT_UNAVAILABLE, "The server does not offer REQUIRETLS: it would not promise TLS for the rest of the way, so nothing "
		                          "was sent");
	else if (s->o->user.n > 0 && !s->logged_in)
		begin_login(s, client);
	else
		begin_letter(s, client);
}

/* "queued as ID", as many servers write, ours too. */
static void find_id(struct submit_result *r, const char *line)
{
	const char *at = strstr(line, "queued as ");
	size_t n = 0;
	if (at == NULL)
		return;
	for (at += strlen("queued as "); n + 1 < sizeof r->id && ascii_is_alnum((unsigned char)at[n]); n++)
		r->id[n] = at[n];
	r->id[n] = '\0';
}

static void rcpt_answered(struct submission *s, const struct smtp_client_event *e)
{
	struct submit_result *r = s->result;
	char line[400];
	put_reply(&e->reply, line, sizeof line);
	if (e->outcome == OUTCOME_DONE) {
		s->n_taken++;
		r->n_taken = s->n_taken;
		find_id(r, line);
		if (r->status == EXIT_ACCEPTED) {
			r->code = e->reply.code;
			(void)snprintf(r->text, sizeof r->text, "%s", line);
		}
		return;
	}
	s->n_refused++;
	if (!e->whole)
		step(s, "RCPT", "<%.*s> refused: %s", STR_ARG(s->o->to[e->index]), line);
	int status = status_of(&e->reply, e->outcome);
	if (r->status == EXIT_ACCEPTED || r->status == EXIT_TEMPORARY) { /* what is for good counts more */
		r->status = status;
		r->code = e->reply.code;
		if (e->whole || s->o->n_to == 1)
			(void)snprintf(r->text, sizeof r->text, "%s", line);
		else
			(void)snprintf(r->text, sizeof r->text, "%.*s: %s", STR_ARG(str_sub(s->o->to[e->index], 0, 100)), line);
	}
}

/* A server that waits for a TLS hello says nothing, and so does a client that waits for a greeting. */
static const char *hint(const struct submission *s)
{
	bool greeted = s->hop != NULL && smtp_client_offers(hop_client(s->hop))->extended;
	return greeted || s->o->tls == SUBMIT_IMPLICIT ? "" : " (if this port expects TLS from the first byte: --tls implicit)";
}

static void on_event(void *owner, const struct smtp_client_event *e)
{
	struct submission *s = owner;
	char line[400];
	if (s->over)
		return;
	switch (e->kind) {
	case SMTP_CLIENT_READY: ready(s); break;
	case SMTP_CLIENT_TLS_REFUSED:
		put_reply(&e->reply, line, sizeof line);
		fail(s, EXIT_PROTOCOL, "The server refused STARTTLS: %s", line);
		break;
	case SMTP_CLIENT_CHALLENGE: challenged(s, e->bytes); break;
	case SMTP_CLIENT_AUTH: login_answered(s, e); break;
	case SMTP_CLIENT_RCPT: rcpt_answered(s, e); break;
	case SMTP_CLIENT_DONE: step(s, "reply", "%s", s->result->text); break;
	case SMTP_CLIENT_CLOSED:
		put_reply(&e->reply, line, sizeof line);
		if (s->n_taken + s->n_refused == 0)
			fail(s, status_of(&e->reply, e->outcome), "%s%s", line, hint(s));
		finish(s);
		break;
	case SMTP_CLIENT_TLS: break;
	}
}

static void on_body(void *owner)
{
	struct submission *s = owner;
	struct smtp_client *client = hop_client(s->hop);
	size_t room;
	if (s->over || client == NULL)
		return;
	if (!s->content_told)
		step(s, "DATA", "%zu octets%s", s->o->message.n, smtp_client_offers(client)->chunking ? " in chunks" : "");
	s->content_told = true;
	while ((room = smtp_client_body_room(client)) > 0) {
		struct str piece = str_sub(s->o->message, s->given, room);
		s->given += piece.n;
		fault f = piece.n > 0 ? smtp_client_body(client, piece, loop_now_ms(s->loop))
		                      : smtp_client_body_end(client, loop_now_ms(s->loop));
		if (f != OK)
			return; /* the events say why */
	}
}

static const struct hop_handler hop_handler = {
	.connected = on_connected, .tls_open = on_tls_open, .event = on_event, .body = on_body, .failed = on_failed,
};

/* ---- all of it ---- */

static bool prepare_tls(struct submission *s)
{
	struct why why = { "" };
	const struct submit_options *o = s->o;
	if (o->tls == SUBMIT_CLEAR)
		return true;
	struct tls_client_options to = { .ca_pem = o->ca_pem, .verify = true };
	if (tls_begin(&why) != OK) {
		fail(s, EXIT_CONFIGURATION, "TLS cannot be used: %s", why.text);
		return false;
	}
	s->tls = tls_client_new(&to, &why);
	if (s->tls == NULL)
		fail(s, EXIT_CONFIGURATION, "The trust anchors cannot be used: %s", why.text);
	return s->tls != NULL;
}

void submit_message(const struct submit_options *options, struct submit_result *result)
{
	struct submission s = { .o = options, .result = result };
	*result = (struct submit_result){ .status = EXIT_ACCEPTED };
	s.loop = loop_new();
	if (options->n_to == 0)
		fail(&s, EXIT_BAD_INPUT, "There is no recipient");
	else if (options->user.n > 0 && options->tls == SUBMIT_CLEAR)
		fail(&s, EXIT_CONFIGURATION, "A password never goes in clear: use --tls implicit or starttls");
	else if (find_server(&s) && prepare_tls(&s)) {
		(void)snprintf(s.name, sizeof s.name, "%.*s", options->name.n > 0 ? (int)options->name.n : (int)strlen(s.host),
		               options->name.n > 0 ? options->name.p : s.host);
		prepare(&s);
		try_address(&s);
		loop_run(s.loop);
		hop_free(&s.hop);
	}
	loop_free(&s.loop);
	sasl_client_free(&s.sasl);
	if (s.tls != NULL)
		tls_client_free(&s.tls);
	free(s.rcpts);
}
