/* SPDX-License-Identifier: ISC */
/*
 * role/front/begin.c -- whose connection it is: by its address, by a local user, by the word of a proxy.
 *
 * A proxy is believed because of the address that it comes from, and says its word before anything else, TLS included. What it
 * says is then the client: for limits, logs, routes and trust.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "policy/route.h"
#include "proto/proxy/proxy.h"
#include "role/front/front.h"
#include "sys/log.h"

enum { USERS_BYTES_MAX = 16 << 10, USER_BYTES_MAX = 255 };

struct str session_address(const struct endpoint *e, char to[static 64])
{
	struct buf text;
	to[0] = '\0';
	if (e->kind == ENDPOINT_UNIX)
		return STR_NONE;
	buf_init(&text, 63);
	fault f = endpoint_put_literal(&text, e);
	struct str literal = buf_view(&text);
	(void)str_take_nocase(&literal, STR("IPv6:"));
	(void)snprintf(to, 64, "%.*s", f == OK ? (int)literal.n : 0, literal.p);
	buf_fini(&text);
	return str_of(to);
}

static void name_client(struct session *s, int fd, const struct endpoint *peer)
{
	uint32_t uid, pid;
	char text[64];
	if (peer->kind != ENDPOINT_UNIX) {
		session_keep(&s->client, session_address(peer, text));
	} else if (s->kind == LISTEN_LOCAL && socket_peer_user(fd, &uid, &pid) == OK) {
		(void)snprintf(text, sizeof text, "uid-%u", uid);
		session_keep(&s->user, str_of(text));
		session_ask_user(s, uid);
	}
}

static struct smtp_server_conf core_conf(const struct session *s, const struct conf_listener *l)
{
	struct smtp_server_conf c = smtp_server_conf_usual();
	const struct conf_limits *limits = &s->front->conf->limits;
	bool submission = s->kind == LISTEN_SUBMISSION || s->kind == LISTEN_SUBMISSIONS;
	bool tls = session_certificates(s) != NULL && !l->tls_none && s->kind != LISTEN_LOCAL;
	c.hostname = s->generation->hostname;
	c.lmtp = s->kind == LISTEN_LMTP;
	c.size_bytes_max = limits->message_bytes;
	c.rcpts_max = (size_t)limits->recipients;
	c.starttls = tls && s->kind != LISTEN_SUBMISSIONS;
	c.tls_required = tls && (s->kind == LISTEN_SUBMISSION || l->tls_required);
	c.requiretls = tls && (submission || s->kind == LISTEN_MX);
	c.auth_required = submission && !s->trusted;
	if (submission && l->auth.n > 0)
		c.mechanisms = STR("SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN");
	return c;
}

static void name_users(struct session *s, const struct conf_listener *l)
{
	struct buf names;
	buf_init(&names, USERS_BYTES_MAX);
	for (size_t i = 0; i < l->auth.n; i++)
		if (buf_add(&names, l->auth.items[i]) != OK || buf_add_char(&names, ' ') != OK)
			break; /* beyond all measure: after a reload it matches none */
	session_keep(&s->users, buf_view(&names));
	buf_fini(&names);
}

bool session_take_user(struct session *s, struct str name)
{
	if (name.n == 0 || name.n > USER_BYTES_MAX)
		return false;
	session_keep(&s->user, name);
	return true;
}

/* The user's name is known, or will not be; what then counts is the number. */
void session_named(struct session *s, struct str name)
{
	if (s->phase != SESSION_UNNAMED)
		return;
	session_drop_lookup(s);
	(void)session_take_user(s, name);
	s->phase = SESSION_SPEAKS;
	smtp_server_greet(s->smtp);
	session_pump(s);
}

/* It has a face now: a core of its own, a line in the log, a greeting. fd: of a Unix socket. */
void session_begin(struct session *s, int fd, const struct endpoint *client)
{
	struct front *f = s->front;
	const struct conf_listener *l = &f->conf->listeners[s->listener];
	char proxy[64] = "";
	name_users(s, l);
	s->implicit = l->kind == LISTEN_SUBMISSIONS && !l->tls_none;
	name_client(s, fd, client);
	s->trusted = s->client.n > 0 && route_networks_hold(l->trust, l->n_trust, s->client);

	struct smtp_server_conf conf = core_conf(s, l);
	smtp_server_free(&s->smtp);
	s->smtp = smtp_server_new(&conf, loop_now_ms(f->loop));
	if (f->draining)
		smtp_server_drain(s->smtp);
	s->phase = s->lookup != 0 ? SESSION_UNNAMED : SESSION_SPEAKS;
	s->phase_due_ms = loop_now_ms(f->loop) + NAME_MS;
	if (s->proxy != NULL)
		(void)session_address(s->proxy, proxy);
	log_event(LOG_CONNECTED, LOG_U("connection", s->number), LOG_S("client", s->client),
	          LOG_Z("listener", listen_kind_name(s->kind)), LOG_Z("proxy", proxy));
	session_look_up(s);
	if (s->implicit)
		session_expect_tls(s);
	else if (s->phase == SESSION_SPEAKS)
		smtp_server_greet(s->smtp);
}

/* ---- connections that a proxy brings ---- */

bool is_proxy(const struct conf_listener *l, const struct endpoint *peer)
{
	char text[64];
	return l->n_proxies > 0 && route_networks_hold(l->proxies, l->n_proxies, session_address(peer, text));
}

void proxied_begin(struct session *s, const struct endpoint *peer)
{
	s->proxy = NEW(struct endpoint);
	*s->proxy = *peer;
	s->phase = SESSION_PROXIED;
	s->phase_due_ms = loop_now_ms(s->front->loop) + PROXY_MS;
}

static void drop(struct session *s, const char *problem)
{
	char proxy[64];
	log_event(LOG_REFUSED, LOG_U("connection", s->number), LOG_S("proxy", session_address(s->proxy, proxy)),
	          LOG_Z("reason", problem));
	session_abandon(s);
}

void proxied_too_slow(struct session *s)
{
	drop(s, "no PROXY header came in time");
}

static void turn_away(struct session *s, const struct endpoint *client, const char *reason, struct str say)
{
	char address[64], proxy[64];
	size_t n;
	s->front->refused_connections++;
	log_event(LOG_REFUSED, LOG_U("connection", s->number), LOG_S("client", session_address(client, address)),
	          LOG_S("proxy", session_address(s->proxy, proxy)), LOG_Z("reason", reason));
	fault ignored = stream_write(s->stream, say, &n);
	(void)ignored;
	session_linger(s);
}

/* The proxy has said whom it brings. */
static void introduce(struct session *s, const struct proxy_header *h)
{
	struct endpoint client = { .kind = h->client == PROXY_IPV6 ? ENDPOINT_IPV6 : ENDPOINT_IPV4, .port = h->port };
	struct crowd_who who;
	struct str say;
	memcpy(client.ip, h->ip, sizeof client.ip);
	if (h->client == PROXY_OWN)
		client = *s->proxy;
	crowd_leave(&s->front->crowd, s->who);
	s->who = (struct crowd_who){ 0, 0 };
	const char *reason = accept_client(s->front, &client, &who, &say);
	if (reason == NULL) {
		s->who = who;
		session_begin(s, -1, &client);
		return;
	}
	if (crowd_enter(&s->front->crowd, s->who) == OK) /* until it has gone */
		turn_away(s, &client, reason, say);
}

void proxied_take(struct session *s, struct str bytes)
{
	struct proxy_header h;
	if (s->generation != s->front->generation) { /* the listener may mean another one now */
		drop(s, "the configuration has just changed");
		return;
	}
	if (buf_add(&s->cipher, bytes) != OK) {
		session_abandon(s);
		return;
	}
	enum proxy_result r = proxy_parse(buf_view(&s->cipher), &h);
	if (r == PROXY_BROKEN) {
		drop(s, h.problem);
	} else if (r == PROXY_DONE) {
		struct buf kept = s->cipher;
		buf_init(&s->cipher, buf_room(&kept) + buf_view(&kept).n);
		introduce(s, &h);
		struct str behind = str_from(buf_view(&kept), h.bytes);
		if (behind.n > 0 && s->phase != SESSION_GONE)
			session_take(s, behind);
		buf_wipe(&kept);
	}
}
