/* SPDX-License-Identifier: ISC */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/sha.h>
#include <openssl/x509.h>

#include "base/base64.h"
#include "base/check.h"
#include "ipc/courier_keeper.h"
#include "mail/envelope.h"
#include "mail/story.h"
#include "ipc/resolver.h"
#include "ipc/spool_delivery.h"
#include "proto/mtasts/mtasts.h"
#include "proto/tlsrpt/tlsrpt.h"
#include "sys/log.h"
#include "sys/stream.h"

enum { GUARD_MS = 30 * 1000, CONTENT_MAX = 8 << 20 };

static void must(fault f)
{
	if (f != OK)
		fail_msg("%s", fault_name(f));
}

/* ---- one connection to a scripted server ---- */

struct call {
	struct link in_peer;
	struct peer *peer;
	struct stream *stream;
	struct tls *tls;
	struct buf in, out;
	bool in_data, closing, nonsense;
	unsigned taken;
};

static void call_free(struct call *c)
{
	link_remove(&c->in_peer);
	stream_close(&c->stream);
	tls_free(&c->tls);
	buf_fini(&c->in);
	buf_fini(&c->out);
	free(c);
}

static void say(struct call *c, const char *line)
{
	must(buf_addf(&c->out, "%s\r\n", line));
}

static void say_ehlo(struct call *c, const char *words)
{
	struct str rest = str_of(words), word;
	must(buf_add(&c->out, STR("250-peer\r\n")));
	while (str_take_word(&rest, &word)) {
		if (c->tls != NULL && str_eq(word, STR("STARTTLS")))
			continue;
		must(buf_add(&c->out, STR("250-")));
		for (size_t i = 0; i < word.n; i++)
			must(buf_add_char(&c->out, word.p[i] == '_' ? ' ' : word.p[i]));
		must(buf_add(&c->out, STR("\r\n")));
	}
	say(c, "250 HELP");
}

static void call_flush(struct call *c)
{
	struct str out = buf_view(&c->out);
	size_t n;
	if (c->tls != NULL) {
		if (tls_state(c->tls) == TLS_OPEN && out.n > 0) {
			must(tls_write(c->tls, out));
			buf_clear(&c->out);
		}
		out = tls_output(c->tls);
		if (out.n > 0 && stream_write(c->stream, out, &n) == OK)
			tls_sent(c->tls, n);
	} else if (out.n > 0 && stream_write(c->stream, out, &n) == OK) {
		buf_drop(&c->out, n);
	}
}

static const char *or(const char *given, const char *otherwise)
{
	return given != NULL ? given : otherwise;
}

static void end_of_letter(struct call *c)
{
	const struct peer_script *s = &c->peer->script;
	c->in_data = false;
	c->peer->letters++;
	if (s->hang_up_at_dot)
		c->closing = true;
	if (s->hang_up_at_dot || s->silent_at_dot)
		return;
	for (unsigned i = 0; s->finals[0] != NULL && i < c->taken; i++)
		say(c, or(s->finals[i], "250 2.0.0 Ok"));
	if (s->finals[0] == NULL)
		say(c, or(s->final, "250 2.0.0 Ok"));
	c->closing = s->hang_up_after;
	c->taken = 0;
}

static void take_rcpt(struct call *c, struct str line)
{
	const char *reply = or(c->peer->script.rcpt, "250 2.1.5 Ok");
	if (str_starts_nocase(line, STR("RCPT TO:<bad")))
		reply = "550 5.1.1 No such user";
	else if (str_starts_nocase(line, STR("RCPT TO:<later")))
		reply = "450 4.2.1 Try later";
	c->taken += reply[0] == '2';
	say(c, reply);
}

static void take_command(struct call *c, struct str line)
{
	const struct peer_script *s = &c->peer->script;
	const char *ehlo = or(s->ehlo, "");
	must(buf_addf(&c->peer->said, "%.*s\r\n", STR_ARG(line)));
	if (str_starts(line, STR("EHLO")) || str_starts(line, STR("LHLO"))) {
		say_ehlo(c, c->tls != NULL ? or(s->ehlo_tls, ehlo) : ehlo);
	} else if (str_starts(line, STR("STARTTLS"))) {
		say(c, "220 Go ahead");
		call_flush(c);
		c->nonsense = s->broken_tls;
		c->closing = s->lost_hellos > c->peer->connections - 1;
		if (!c->nonsense)
			c->tls = tls_accept(c->peer->world->tls);
	} else if (str_starts(line, STR("AUTH PLAIN "))) {
		say(c, str_eq(str_from(line, 11), STR("AHVzZXIAcmlnaHQ=")) ? "235 2.7.0 Welcome" : "535 5.7.8 Wrong password");
	} else if (str_starts(line, STR("MAIL"))) {
		c->taken = 0;
		say(c, or(s->mail, "250 2.1.0 Ok"));
	} else if (str_starts(line, STR("RCPT"))) {
		take_rcpt(c, line);
	} else if (str_starts(line, STR("DATA"))) {
		buf_clear(&c->peer->content);
		c->in_data = c->taken > 0 && s->data == NULL;
		say(c, s->data != NULL ? s->data : c->in_data ? "354 Go ahead" : "503 5.5.1 Nobody");
	} else if (str_starts(line, STR("QUIT"))) {
		say(c, "221 Bye");
		c->closing = true;
	} else {
		say(c, "250 2.0.0 Ok");
	}
}

static void take_lines(struct call *c)
{
	struct str line;
	size_t at;
	while (!c->closing && !c->nonsense && str_find_str(buf_view(&c->in), STR("\r\n"), &at)) {
		line = str_sub(buf_view(&c->in), 0, at);
		if (!c->in_data)
			take_command(c, line);
		else if (str_eq(line, STR(".")))
			end_of_letter(c);
		else
			must(buf_addf(&c->peer->content, "%.*s\r\n", STR_ARG(line)));
		buf_drop(&c->in, at + 2);
		if (c->tls != NULL && tls_state(c->tls) == TLS_SHAKING)
			return;
	}
}

static void take_tls(struct call *c, struct str bytes)
{
	char plain[16 << 10];
	size_t used, n;
	while (bytes.n > 0) {
		bool shaking = tls_state(c->tls) == TLS_SHAKING;
		if (tls_feed(c->tls, bytes, &used) != OK) {
			c->closing = true;
			return;
		}
		bytes = str_from(bytes, used);
		if (shaking && tls_state(c->tls) == TLS_OPEN) {
			c->peer->tls_handshakes++;
			if (c->peer->script.implicit)
				say(c, or(c->peer->script.greeting, "220 peer"));
		}
		while (tls_read(c->tls, plain, sizeof plain, &n) == OK && n > 0)
			must(buf_add(&c->in, (struct str){ plain, n }));
	}
}

static void on_call(void *owner, enum stream_event event)
{
	struct call *c = owner;
	char bytes[32 << 10];
	size_t n;
	if (event == STREAM_READABLE) {
		fault f = stream_read(c->stream, bytes, sizeof bytes, &n);
		if (f == F_BUSY)
			return;
		if (f != OK || n == 0) {
			call_free(c);
			return;
		}
		if (c->nonsense)
			must(buf_add(&c->out, STR("I do not speak TLS\r\n")));
		else if (c->tls != NULL)
			take_tls(c, (struct str){ bytes, n });
		else
			must(buf_add(&c->in, (struct str){ bytes, n }));
		take_lines(c);
	}
	call_flush(c);
	bool sent = buf_view(&c->out).n == 0 && (c->tls == NULL || tls_output(c->tls).n == 0);
	if (c->closing && sent)
		call_free(c);
}

static void answer_call(struct peer *p, int fd)
{
	struct call *c = NEW(struct call);
	c->peer = p;
	buf_init(&c->in, CONTENT_MAX);
	buf_init(&c->out, CONTENT_MAX);
	list_add_last(&p->calls, &c->in_peer);
	p->connections++;
	c->stream = stream_new(p->world->loop, fd, on_call, c);
	if (p->script.implicit)
		c->tls = tls_accept(p->world->tls);
	else
		say(c, or(p->script.greeting, "220 peer"));
	call_flush(c);
}

static void on_accept(void *owner)
{
	struct peer *p = owner;
	struct endpoint from;
	int fd;
	while (socket_accept(acceptor_fd(p->acceptor), &fd, &from) == OK)
		answer_call(p, fd);
}

static bool open_peers(struct world *w, uint16_t port)
{
	for (size_t i = 0; i < COUNT(w->peers); i++) {
		struct peer *p = &w->peers[i];
		struct why why;
		int fd;
		p->at = (struct endpoint){ .kind = ENDPOINT_IPV4, .ip = { 127, 0, 0, (unsigned char)(i + 1) }, .port = port };
		if (socket_listen(&p->at, 16, &fd, &why) != OK)
			return false;
		must(socket_local(fd, &p->at));
		port = p->at.port;
		p->world = w;
		list_init(&p->calls);
		buf_init(&p->content, CONTENT_MAX);
		buf_init(&p->said, CONTENT_MAX);
		p->acceptor = acceptor_new(w->loop, fd, on_accept, p);
	}
	w->port = port;
	return true;
}

static void close_peers(struct world *w)
{
	for (size_t i = 0; i < COUNT(w->peers); i++) {
		struct peer *p = &w->peers[i];
		if (p->acceptor == NULL)
			continue;
		acceptor_close(&p->acceptor);
		while (!list_empty(&p->calls))
			call_free(LIST_FIRST(&p->calls, struct call, in_peer));
		buf_fini(&p->content);
		buf_fini(&p->said);
	}
}

/* ---- supervisor ---- */

static void on_control(void *owner, unsigned kind, const void *msg, int fd)
{
	struct world *w = owner;
	assert_int_equal(fd, -1);
	if (kind == FROM_ROLE_READY) {
		w->ready = true;
		loop_stop(w->loop);
	} else if (kind == FROM_ROLE_FAILED) {
		const struct from_role_failed *m = msg;
		(void)snprintf(w->why, sizeof w->why, "%.*s", STR_ARG(m->text));
		loop_stop(w->loop);
	} else if (kind == FROM_ROLE_DRAINED) {
		w->drained = true;
		loop_stop(w->loop);
	} else if (kind == FROM_ROLE_UNIX_CONNECT) {
		const struct from_role_unix_connect *m = msg;
		struct to_role_unix answer = { .request = m->request };
		int pair[2];
		if (w->unix_peer == NULL) {
			answer.error = STR("No such file or directory");
			channel_send(w->control, TO_ROLE_UNIX, &answer);
			return;
		}
		must(socket_pair(pair));
		channel_send_fd(w->control, TO_ROLE_UNIX, &answer, pair[0]);
		answer_call(w->unix_peer, pair[1]);
	}
}

/* ---- spool ---- */

static void give_body(struct world *w)
{
	while (w->wanted > 0 && w->given < w->content.n) {
		struct str piece = str_sub(w->content, w->given, w->wanted < DELIVERY_CHUNK_BYTES ? w->wanted : DELIVERY_CHUNK_BYTES);
		channel_send(w->spool, WORKER_BODY, &(struct worker_body){ .job = w->job, .bytes = piece });
		w->given += piece.n;
		w->wanted -= piece.n;
		if (w->given == w->content.n)
			channel_send(w->spool, WORKER_BODY_END, &(struct worker_body_end){ .job = w->job, .whole = !w->not_whole });
	}
}

static void keep_text(struct buf *to, struct str text)
{
	buf_clear(to);
	must(buf_add(to, text));
}

static void take_outcome(struct world *w, const struct from_worker_outcome *m)
{
	static const char *const classes[] = { "done", "later", "never" };
	assert_int_equal(m->job, w->job);
	assert_in_range(m->class, OUTCOME_DONE, OUTCOME_NEVER);
	must(buf_addf(&w->outcomes, "%u %s %u %.*s %.*s|", (unsigned)m->index, classes[m->class], (unsigned)m->code,
	              STR_ARG(m->status), STR_ARG(m->text)));
	keep_text(&w->last_tls, m->tls);
	keep_text(&w->last_host, m->host);
	keep_text(&w->last_dialogue, m->dialogue);
	w->last_level = m->level;
	w->last_dsn = m->dsn;
}

static void on_spool(void *owner, unsigned kind, const void *msg, int fd)
{
	struct world *w = owner;
	assert_int_equal(fd, -1);
	if (kind == FROM_WORKER_WANT) {
		const struct from_worker_want *m = msg;
		assert_int_equal(m->job, w->job);
		w->wanted += m->bytes;
		w->wants++;
		w->credit_max = w->wanted > w->credit_max ? (size_t)w->wanted : w->credit_max;
		if (w->hold_body)
			loop_stop(w->loop);
		else
			give_body(w);
	} else if (kind == FROM_WORKER_OUTCOME) {
		take_outcome(w, msg);
	} else if (kind == FROM_WORKER_DONE) {
		assert_int_equal(((const struct from_worker_done *)msg)->job, w->job);
		w->done = true;
		loop_stop(w->loop);
	} else if (kind == FROM_WORKER_GIVEN_BACK) {
		w->given_back++;
		loop_stop(w->loop);
	} else if (kind == FROM_WORKER_RESTING) {
		w->resting = true;
		loop_stop(w->loop);
	} else if (kind == FROM_WORKER_STORY) {
		keep_text(&w->story, ((const struct from_worker_story *)msg)->text);
		assert_true(story_is_sound(buf_view(&w->story)));
	} else if (kind == FROM_WORKER_TLS) {
		const struct from_worker_tls *m = msg;
		assert_true(m->policy < TLSRPT_POLICY_TYPES && m->result < TLSRPT_RESULTS);
		must(buf_addf(&w->sessions, "%s %s %.*s %.*s %.*s (%.*s)|", tlsrpt_policy_type_name((enum tlsrpt_policy_type)m->policy),
		              tlsrpt_result_name((enum tlsrpt_result)m->result), STR_ARG(m->mx), STR_ARG(m->ip), STR_ARG(m->source),
		              STR_ARG(m->reason)));
		keep_text(&w->last_strings, m->strings);
	} else if (kind == FROM_WORKER_REMEMBER) {
		const struct from_worker_remember *m = msg;
		must(buf_addf(&w->remembered, "%.*s ", STR_ARG(m->key)));
		keep_text(&w->last_memory, m->value);
	} else {
		assert_int_equal(kind, FROM_WORKER_RENEW);
		w->renewals++;
	}
}

/* ---- resolver ---- */

static void say_end(struct world *w, uint64_t request, enum dns_result result, bool secure)
{
	channel_send(w->resolver, RESOLVED_END, &(struct resolved_end){ .request = request, .result = result, .secure = secure,
	                                                                .text = STR("as the test wants it") });
}

/* Rdata of "3 1 1" for the key of our server, or for nobody's. */
static void put_tlsa(struct world *w, struct str value, struct buf *out)
{
	unsigned char *der = NULL, digest[32] = { 0 };
	int n = i2d_PUBKEY(w->home.keys[w->home.n_keys - 1], &der);
	assert_true(n > 0);
	if (str_eq(value, STR("right")))
		assert_non_null(SHA256(der, (size_t)n, digest));
	OPENSSL_free(der);
	must(buf_add(out, str_eq(value, STR("unusable")) ? STR("\x01\x01\x01") : STR("\x03\x01\x01")));
	must(buf_add(out, (struct str){ (const char *)digest, sizeof digest }));
}

/* Rows "STS DOMAIN MODE PATTERNS", "STS DOMAIN trouble" or "STS DOMAIN unasked", and "STS DOMAIN silent" for no
 * answer at all. */
static void say_policy(struct world *w, const struct resolve_policy *m)
{
	struct resolved_policy p = { .request = m->request, .state = STS_NONE };
	struct str rest = str_of(w->zone), row, word, name, mode;
	while (str_take_until(&rest, ';', &row) || (row = rest, rest = STR_NONE, row.n > 0)) {
		if (!str_take_word(&row, &word) || !str_eq(word, STR("STS")) || !str_take_word(&row, &name) || !str_eq(name, m->domain))
			continue;
		(void)str_take_word(&row, &mode);
		if (str_eq(mode, STR("silent"))) {
			w->unanswered++;
			loop_stop(w->loop);
			return;
		}
		if (str_eq(mode, STR("unasked"))) {
			p.state = STS_UNASKED;
			p.text = STR("too many wait");
			break;
		}
		p.state = str_eq(mode, STR("trouble")) ? STS_TROUBLE : STS_POLICY;
		p.trouble = p.state == STS_TROUBLE ? STS_FETCH_ERROR : STS_FINE;
		p.max_age_s = 86400;
		p.mode = str_eq(mode, STR("enforce")) ? MTASTS_MODE_ENFORCE : MTASTS_MODE_TESTING;
		p.mx = str_trim(row);
		p.id = STR("1");
	}
	channel_send(w->resolver, RESOLVED_POLICY, &p);
}

/* Rows "KIND NAME VALUE" or "KIND NAME nxdomain|bogus|failed|silent", separated by ';'; "+KIND" for a signed answer. A name without
 * a row does not exist; one with rows of other kinds has no data. */
static void on_resolver(void *owner, unsigned kind, const void *msg, int fd)
{
	static const char *const kinds[] = { "A", "AAAA", "MX", "PTR", "TXT", "TLSA", "CNAME" };
	struct world *w = owner;
	const struct resolve *m = msg;
	assert_int_equal(fd, -1);
	if (kind == RESOLVE_POLICY) {
		say_policy(w, msg);
		return;
	}
	assert_int_equal(kind, RESOLVE);
	enum dns_result result = DNS_NXDOMAIN;
	struct str rest = str_of(w->zone), row, word, name;
	bool secure = false;
	while (rest.n > 0) {
		if (!str_take_until(&rest, ';', &row)) {
			row = rest;
			rest = STR_NONE;
		}
		(void)str_take_word(&row, &word);
		(void)str_take_word(&row, &name);
		row = str_trim(row);
		if (!str_eq(name, m->name))
			continue;
		secure = str_take_char(&word, '+') || secure;
		bool same = str_eq(word, str_of(kinds[m->kind]));
		if (!same && result == DNS_NXDOMAIN)
			result = DNS_NODATA;
		if (!same)
			continue;
		if (str_eq(row, STR("silent"))) {
			w->unanswered++;
			loop_stop(w->loop);
			return;
		}
		if (str_eq(row, STR("bogus")) || str_eq(row, STR("failed"))) {
			result = row.p[0] == 'b' ? DNS_BOGUS : DNS_FAILED;
			continue;
		}
		uint64_t number = 0;
		struct buf rdata;
		buf_init(&rdata, 64);
		(void)(m->kind == DNS_MX && str_take_u64(&row, &number));
		if (m->kind == DNS_TLSA)
			put_tlsa(w, row, &rdata);
		channel_send(w->resolver, RESOLVED_RECORD,
		             &(struct resolved_record){ .request = m->request, .number = number,
		                                        .text = m->kind == DNS_TLSA ? buf_view(&rdata) : str_trim(row) });
		buf_fini(&rdata);
		if (result == DNS_NXDOMAIN || result == DNS_NODATA)
			result = DNS_FOUND;
	}
	say_end(w, m->request, result, secure);
}

/* ---- keeper ---- */

static void on_keeper(void *owner, unsigned kind, const void *msg, int fd)
{
	struct world *w = owner;
	assert_int_equal(fd, -1);
	if (kind != COURIER_LOGIN_START)
		return;
	const struct courier_login_start *m = msg;
	assert_true(str_eq(m->relay, STR("corp")));
	assert_true(m->channel_binding.n == 32);
	if (w->password == NULL) {
		channel_send(w->keeper, KEEPER_LOGIN_FAILED,
		             &(struct keeper_login_failed){ .session = m->session, .text = STR("no mechanism in common") });
		return;
	}
	char initial[64] = "_user_";
	(void)snprintf(initial + 6, sizeof initial - 6, "%s", w->password);
	initial[0] = initial[5] = '\0';
	channel_send(w->keeper, KEEPER_LOGIN_FIRST,
	             &(struct keeper_login_first){ .session = m->session, .mechanism = STR("PLAIN"), .has_initial = 1,
	                                           .initial = { initial, 6 + strlen(w->password) } });
}

/* ---- all of them ---- */

static void on_closed(void *owner, const char *reason)
{
	struct world *w = owner;
	(void)w;
	fail_msg("the courier hung up: %s", reason);
}

static void on_guard(void *owner)
{
	(void)owner;
	fail_msg("nothing happens any more");
}

void world_run(struct world *w)
{
	timer_set(&w->guard, loop_now_ms(w->loop) + GUARD_MS);
	loop_run(w->loop);
	timer_clear(&w->guard);
}

static struct channel *link_to(struct world *w, enum ipc_arrow arrow, const struct ipc_schema *in, const struct ipc_schema *out,
                               const struct channel_handler *handler)
{
	int pair[2];
	must(socket_pair(pair));
	channel_send_fd(w->control, TO_ROLE_LINK, &(struct to_role_link){ .arrow = arrow }, pair[0]);
	return channel_new(w->loop, pair[1], in, out, handler, w);
}

void world_link_spool(struct world *w)
{
	static const struct channel_handler handler = { on_spool, on_closed };
	channel_close(&w->spool);
	w->spool = link_to(w, ARROW_SPOOL_COURIER, &worker_to_spool, &spool_to_worker, &handler);
}

void world_open(struct world *w)
{
	static const struct channel_handler control = { on_control, on_closed };
	static const struct channel_handler resolver = { on_resolver, on_closed };
	static const struct channel_handler keeper = { on_keeper, on_closed };
	int pair[2];
	struct buf chain;
	struct why why;
	*w = (struct world){ .zone = "" };
	must(tls_begin(&why));
	home_init(&w->home);
	struct tls_signer signer = home_signer(&w->home);
	w->tls = tls_server_new(&signer, true);
	buf_init(&chain, 64 << 10);
	struct home_certificate want = {
		.key = "EC P-256", .alt_names = "DNS:mx.y.example,DNS:relay.corp.example,IP:127.0.0.1", .common_name = "peer",
	};
	struct str name = STR("mx.y.example");
	home_certificate(&w->home, &want, &chain);
	must(tls_server_add(w->tls, &name, 1, buf_view(&chain), &why));
	buf_fini(&chain);

	w->loop = loop_new();
	timer_init(&w->guard, w->loop, on_guard, w);
	for (unsigned tries = 0; !open_peers(w, 0); tries++) { /* the port is taken on another of the addresses */
		close_peers(w);
		assert_true(tries < 20);
	}
	struct buf *bufs[] = { &w->outcomes, &w->last_tls, &w->last_host, &w->last_dialogue, &w->story, &w->remembered, &w->last_memory,
	                       &w->sessions, &w->last_strings };
	for (size_t i = 0; i < COUNT(bufs); i++)
		buf_init(bufs[i], 1 << 20);
	must(socket_pair(pair));
	w->courier = courier_start(w->loop, pair[0]);
	w->control = channel_new(w->loop, pair[1], &role_to_supervisor, &supervisor_to_role, &control, w);
	w->resolver = link_to(w, ARROW_COURIER_RESOLVER, &to_resolver, &from_resolver, &resolver);
	w->keeper = link_to(w, ARROW_COURIER_KEEPER, &courier_to_keeper, &keeper_to_courier, &keeper);
	world_link_spool(w);
}

void world_close(struct world *w)
{
	channel_close(&w->control);
	channel_close(&w->spool);
	channel_close(&w->resolver);
	channel_close(&w->keeper);
	role_free(&w->courier);
	close_peers(w);
	timer_clear(&w->guard);
	loop_free(&w->loop);
	tls_server_free(&w->tls);
	home_fini(&w->home);
	struct buf *bufs[] = { &w->outcomes, &w->last_tls, &w->last_host, &w->last_dialogue, &w->story, &w->remembered, &w->last_memory,
	                       &w->sessions, &w->last_strings };
	for (size_t i = 0; i < COUNT(bufs); i++)
		buf_fini(bufs[i]);
}

void world_ca_file(struct world *w, struct str pem)
{
	FILE *f = tmpfile();
	assert_non_null(f);
	assert_int_equal(fwrite(pem.p, 1, pem.n, f), pem.n);
	assert_int_equal(fflush(f), 0);
	struct to_role_file m = { .generation = w->generation + 1, .path = STR("/test/ca.pem") };
	channel_send_fd(w->control, TO_ROLE_FILE, &m, dup(fileno(f)));
	(void)fclose(f);
}

void world_configure(struct world *w, const char *lines)
{
	struct buf text;
	struct str rest = str_of(lines), part;
	char port[16];
	(void)snprintf(port, sizeof port, "%u", (unsigned)w->port);
	buf_init(&text, 64 << 10);
	must(buf_add(&text, STR("hostname mx.own.example\npostmaster admin@own.example\nlisten local {\n on unix:/test/local.sock\n}\n")));
	while (str_take_until(&rest, '%', &part)) {
		must(buf_add(&text, part));
		must(buf_add(&text, str_of(port)));
	}
	must(buf_add(&text, rest));
	uint64_t generation = ++w->generation;
	channel_send(w->control, TO_ROLE_CONFIG_TEXT,
	             &(struct to_role_config_text){ .generation = generation, .name = STR("test.conf"), .text = buf_view(&text) });
	channel_send(w->control, TO_ROLE_COMMIT, &(struct to_role_commit){ .generation = generation });
	w->ready = false;
	w->why[0] = '\0';
	world_run(w);
	buf_fini(&text);
}

void world_send(struct world *w, const struct job_spec *spec)
{
	w->job++;
	w->content = str_of(or(spec->content, "Subject: x\r\n\r\n.dot\r\nhello\r\n"));
	w->given = 0;
	w->wanted = 0;
	w->done = false;
	buf_clear(&w->outcomes);
	channel_send(w->spool, WORKER_JOB,
	             &(struct worker_job){
		             .job = w->job, .purpose = spec->explain ? JOB_EXPLAIN : spec->verify ? JOB_VERIFY : JOB_DELIVER, .id = STR("q1"),
		             .route_kind = spec->kind, .route_name = str_of(or(spec->name, spec->domain)),
		             .domain = str_of(spec->domain), .sender = str_of(spec->sender != NULL ? spec->sender : "a@x.example"),
		             .tls_tag = spec->tls_tag, .size_bytes = w->content.n,
		             .body = spec->body_8bit ? BODY_8BIT : BODY_7BIT, .smtputf8 = spec->smtputf8,
		             .attempt = spec->attempt > 0 ? spec->attempt : 1, .arrived_s = 1,
	             });
	struct str rest = str_of(spec->rcpts), word;
	for (uint64_t i = 0; str_take_word(&rest, &word); i++)
		channel_send(w->spool, WORKER_RCPT,
		             &(struct worker_rcpt){ .job = w->job, .index = i, .address = word, .original = word,
		                                    .notify = spec->notify });
	channel_send(w->spool, WORKER_GO, &(struct worker_go){ .job = w->job });
}

const char *world_deliver(struct world *w, const struct job_spec *spec)
{
	static char text[8192];
	world_send(w, spec);
	while (!w->done)
		world_run(w);
	(void)snprintf(text, sizeof text, "%.*s", STR_ARG(buf_view(&w->outcomes)));
	return text;
}
