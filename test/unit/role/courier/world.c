/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/sha.h>
#include <openssl/x509.h>

#include "base/base64.h"
#include "ipc/courier_keeper.h"
#include "mail/envelope.h"
#include "mail/story.h"
#include "ipc/resolver.h"
#include "ipc/spool_delivery.h"
#include "proto/mtasts/mtasts.h"
#include "proto/tlsrpt/tlsrpt.h"
#include "sys/log.h"

enum { GUARD_MS = 30 * 1000 };

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
		if (w->unix_silent)
			return;
		if (w->unix_peer == NULL) {
			answer.error = STR("No such file or directory");
			channel_send(w->control, TO_ROLE_UNIX, &answer);
			return;
		}
		assert_ok(socket_pair(pair));
		channel_send_fd(w->control, TO_ROLE_UNIX, &answer, pair[0]);
		peer_answer(w->unix_peer, pair[1]);
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
	assert_ok(buf_add(to, text));
}

static void take_outcome(struct world *w, const struct from_worker_outcome *m)
{
	static const char *const classes[] = { "done", "later", "never" };
	assert_true(w->many ? m->job <= w->job : m->job == w->job);
	assert_in_range(m->class, OUTCOME_DONE, OUTCOME_NEVER);
	if (w->many)
		assert_ok(buf_addf(&w->outcomes, "%u: ", (unsigned)m->job));
	assert_ok(buf_addf(&w->outcomes, "%u %s %u %.*s %.*s|", (unsigned)m->index, classes[m->class], (unsigned)m->code,
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
		if (w->many) {
			channel_send(w->spool, WORKER_BODY, &(struct worker_body){ .job = m->job, .bytes = w->content });
			channel_send(w->spool, WORKER_BODY_END, &(struct worker_body_end){ .job = m->job, .whole = 1 });
			return;
		}
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
		assert_true(w->many || ((const struct from_worker_done *)msg)->job == w->job);
		w->done = true;
		w->n_done++;
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
	} else if (kind == FROM_WORKER_WHERE) {
		const struct from_worker_where *m = msg;
		buf_clear(&w->where);
		assert_ok(buf_addf(&w->where, "%.*s %.*s: %.*s", STR_ARG(m->host), STR_ARG(m->ip), STR_ARG(m->doing)));
		loop_stop(w->loop);
	} else if (kind == FROM_WORKER_TLS) {
		const struct from_worker_tls *m = msg;
		assert_true(m->policy < TLSRPT_POLICY_TYPES && m->result < TLSRPT_RESULTS);
		assert_ok(buf_addf(&w->sessions, "%s %s %.*s %.*s %.*s (%.*s)|", tlsrpt_policy_type_name((enum tlsrpt_policy_type)m->policy),
		              tlsrpt_result_name((enum tlsrpt_result)m->result), STR_ARG(m->mx), STR_ARG(m->ip), STR_ARG(m->source),
		              STR_ARG(m->reason)));
		keep_text(&w->last_strings, m->strings);
	} else if (kind == FROM_WORKER_REMEMBER) {
		const struct from_worker_remember *m = msg;
		assert_ok(buf_addf(&w->remembered, "%.*s ", STR_ARG(m->key)));
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
	                                                                .unvalidated = w->unvalidated,
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
	assert_ok(buf_add(out, str_eq(value, STR("unusable")) ? STR("\x01\x01\x01") : STR("\x03\x01\x01")));
	assert_ok(buf_add(out, (struct str){ (const char *)digest, sizeof digest }));
}

/* Rows "STS DOMAIN MODE PATTERNS", "STS DOMAIN trouble", "... no-record" or "... unasked", and "STS DOMAIN silent" for no
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
		bool no_record = str_eq(mode, STR("no-record"));
		p.state = no_record || str_eq(mode, STR("trouble")) ? STS_TROUBLE : STS_POLICY;
		p.trouble = no_record ? STS_RECORD_ERROR : p.state == STS_TROUBLE ? STS_FETCH_ERROR : STS_FINE;
		p.max_age_s = 86400;
		p.mode = str_eq(mode, STR("enforce")) ? MTASTS_MODE_ENFORCE : MTASTS_MODE_TESTING;
		p.mx = str_trim(row);
		p.id = STR("1");
	}
	channel_send(w->resolver, RESOLVED_POLICY, &p);
}

/* Records until there is room for nothing: large ones, then smaller and smaller ones. */
static void flood(struct world *w, const char *kind, uint64_t request)
{
	enum { LARGE = 900000, EACH = 19 };
	if (w->flooded == NULL || strcmp(w->flooded, kind) != 0)
		return;
	char *text = must_alloc(LARGE);
	memset(text, 'x', LARGE);
	for (size_t n = LARGE, i = 0; n > 0 && !(w->flood_coarse && i == EACH); i++, n = i % EACH == 0 ? n / 10 : n)
		channel_send(w->resolver, RESOLVED_RECORD,
		             &(struct resolved_record){ .request = request, .number = 99, .text = { text, n } });
	free(text);
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
	if (!w->flood_last)
		flood(w, kinds[m->kind], m->request);
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
	if (w->flood_last)
		flood(w, kinds[m->kind], m->request);
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
	assert_ok(socket_pair(pair));
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
	assert_ok(tls_begin(&why));
	home_init(&w->home);
	struct tls_signer signer = home_signer(&w->home);
	w->tls = tls_server_new(&signer, true);
	buf_init(&chain, 64 << 10);
	struct home_certificate want = {
		.key = "EC P-256", .alt_names = "DNS:mx.y.example,DNS:relay.corp.example,IP:127.0.0.1", .common_name = "peer",
	};
	struct str name = STR("mx.y.example");
	home_certificate(&w->home, &want, &chain);
	assert_ok(tls_server_add(w->tls, &name, 1, buf_view(&chain), &why));
	buf_fini(&chain);

	w->loop = loop_new();
	timer_init(&w->guard, w->loop, on_guard, w);
	for (unsigned tries = 0; !peers_open(w, 0); tries++) { /* the port is taken on another of the addresses */
		peers_close(w);
		assert_true(tries < 20);
	}
	struct buf *bufs[] = { &w->outcomes, &w->last_tls, &w->last_host, &w->last_dialogue, &w->story, &w->remembered, &w->last_memory,
	                       &w->sessions, &w->last_strings, &w->where };
	for (size_t i = 0; i < COUNT(bufs); i++)
		buf_init(bufs[i], 1 << 20);
	assert_ok(socket_pair(pair));
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
	peers_close(w);
	timer_clear(&w->guard);
	loop_free(&w->loop);
	tls_server_free(&w->tls);
	home_fini(&w->home);
	struct buf *bufs[] = { &w->outcomes, &w->last_tls, &w->last_host, &w->last_dialogue, &w->story, &w->remembered, &w->last_memory,
	                       &w->sessions, &w->last_strings, &w->where };
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
	assert_ok(buf_add(&text, STR("hostname mx.own.example\npostmaster admin@own.example\nlisten local {\n on unix:/test/local.sock\n}\n")));
	while (str_take_until(&rest, '%', &part)) {
		assert_ok(buf_add(&text, part));
		assert_ok(buf_add(&text, str_of(port)));
	}
	assert_ok(buf_add(&text, rest));
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
	w->content = str_of(spec->content != NULL ? spec->content : "Subject: x\r\n\r\n.dot\r\nhello\r\n");
	w->given = 0;
	w->wanted = 0;
	w->done = false;
	if (!w->many)
		buf_clear(&w->outcomes);
	channel_send(w->spool, WORKER_JOB,
	             &(struct worker_job){
		             .job = w->job, .purpose = spec->explain ? JOB_EXPLAIN : spec->verify ? JOB_VERIFY : JOB_DELIVER, .id = STR("q1"),
		             .route_kind = spec->kind, .route_name = str_of(spec->name != NULL ? spec->name : spec->domain),
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
