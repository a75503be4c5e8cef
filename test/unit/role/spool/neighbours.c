/* SPDX-License-Identifier: ISC */
/* The neighbours of the spool: what they hear and note, how they answer, how they are linked, what a test has them say. */
#include "unit.h"

#include "role/spool/house.h"

#include <stdio.h>
#include <string.h>

#include "ipc/front_keeper.h"
#include "ipc/resolver.h"
#include "ipc/spool_keeper.h"
#include "sys/socket.h"

/* ---- what neighbours hear ---- */

static void note(const struct neighbour *n, const char *fmt, ...) PRINTF(2, 3);

static void note(const struct neighbour *n, const char *fmt, ...)
{
	static char line[64 << 10];
	va_list args;
	va_start(args, fmt);
	vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	check(buf_addf(&h.heard, "%s: %s\n", n->name, line) == OK);
	size_t at;
	if (h.wanted != NULL && str_find_str(str_from(buf_view(&h.heard), h.passed), str_of(h.wanted), &at)) {
		h.passed += at + strlen(h.wanted);
		h.wanted = NULL;
		loop_stop(h.loop);
	}
}

static void from_spool(void *owner, unsigned kind, const void *msg, int fd)
{
	struct neighbour *n = owner;
	assert_int_equal(fd, -1);
	switch (kind) {
	case SPOOL_BEGUN: {
		const struct spool_begun *m = msg;
		snprintf(h.last_id, sizeof h.last_id, "%.*s", STR_ARG(m->id));
		note(n, "begun %u", (unsigned)m->txn);
		break;
	}
	case SPOOL_TAKEN: {
		const struct spool_taken *m = msg;
		note(n, "taken %u %u", (unsigned)m->txn, (unsigned)m->bytes);
		break;
	}
	case SPOOL_STORED: {
		const struct spool_stored *m = msg;
		note(n, "stored %u", (unsigned)m->txn);
		break;
	}
	case SPOOL_REFUSED: {
		const struct spool_refused *m = msg;
		note(n, "refused %u %u %.*s %.*s", (unsigned)m->txn, (unsigned)m->code, STR_ARG(m->status), STR_ARG(m->text));
		break;
	}
	case SPOOL_VERIFIED: {
		const struct spool_verified *m = msg;
		note(n, "verified %u %u %.*s %.*s", (unsigned)m->request, (unsigned)m->code, STR_ARG(m->status),
		     STR_ARG(m->text));
		break;
	}
	case SPOOL_SHORTAGE:
		note(n, "shortage %s: %.*s", ((const struct spool_shortage *)msg)->text.n > 0 ? "yes" : "no",
		     STR_ARG(((const struct spool_shortage *)msg)->text));
		break;
	}
}

static struct seen_job *job_of(uint64_t number)
{
	for (size_t i = 0; i < h.n_jobs; i++)
		if (h.jobs[i].job == number)
			return &h.jobs[i];
	fail_msg("a message for an unknown job %u", (unsigned)number);
	return NULL;
}

static void copy(char *to, size_t room, struct str s)
{
	snprintf(to, room, "%.*s", STR_ARG(s));
}

static void report(struct neighbour *n, struct seen_job *j)
{
	for (size_t i = 0; i < j->n_to; i++) {
		struct from_worker_outcome o = h.answer;
		if (h.story != NULL)
			channel_send(n->channel, FROM_WORKER_STORY,
			             &(struct from_worker_story){ .job = j->job, .text = str_of(h.story) });
		o.job = j->job;
		o.index = i;
		channel_send(n->channel, FROM_WORKER_OUTCOME, &o);
	}
	channel_send(n->channel, FROM_WORKER_DONE, &(struct from_worker_done){ .job = j->job });
}

static void for_worker(void *owner, unsigned kind, const void *msg, int fd)
{
	struct neighbour *n = owner;
	assert_int_equal(fd, -1);
	uint64_t number = *(const uint64_t *)msg;
	if (kind == WORKER_RESTED) {
		note(n, "rested");
		return;
	}
	if (kind == WORKER_REMEMBERED) {
		const struct worker_remembered *m = msg;
		note(n, "remembered %.*s=%.*s", STR_ARG(m->key), STR_ARG(m->value));
		return;
	}
	if (kind == WORKER_JOB) {
		const struct worker_job *m = msg;
		check(h.n_jobs < COUNT(h.jobs));
		struct seen_job *j = &h.jobs[h.n_jobs++];
		*j = (struct seen_job){ .job = m->job, .purpose = (unsigned)m->purpose, .route_kind = (unsigned)m->route_kind,
			                .attempt = (unsigned)m->attempt, .tls_tag = (unsigned)m->tls_tag, .ret = (unsigned)m->ret };
		copy(j->id, sizeof j->id, m->id);
		copy(j->route_name, sizeof j->route_name, m->route_name);
		copy(j->domain, sizeof j->domain, m->domain);
		copy(j->sender, sizeof j->sender, m->sender);
		buf_init(&j->body, 64 << 20);
		return;
	}
	struct seen_job *j = job_of(number);
	if (kind == WORKER_RCPT) {
		const struct worker_rcpt *m = msg;
		assert_int_equal(m->index, j->n_to);
		check(j->n_to < COUNT(j->to));
		copy(j->to[j->n_to++], sizeof j->to[0], m->address);
	} else if (kind == WORKER_GO) {
		note(n, "job %s to %s and %u more", j->sender, j->to[0], (unsigned)j->n_to - 1);
		if ((j->purpose == JOB_VERIFY || j->purpose == JOB_EXPLAIN) && !h.hands_off)
			report(n, j);
		else if (!h.hands_off)
			channel_send(n->channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = j->job, .bytes = 1000 });
	} else if (kind == WORKER_BODY) {
		const struct worker_body *m = msg;
		assert_true(m->bytes.n <= 100000);
		assert_int_equal(buf_add(&j->body, m->bytes), OK);
		channel_send(n->channel, FROM_WORKER_WANT, &(struct from_worker_want){ .job = j->job, .bytes = m->bytes.n });
	} else if (kind == WORKER_BODY_END) {
		j->ended = true;
		j->whole = ((const struct worker_body_end *)msg)->whole == 1;
		note(n, "body %u %s", (unsigned)buf_view(&j->body).n, j->whole ? "whole" : "broken");
		if (!h.silent)
			report(n, j);
	} else if (kind == WORKER_WHERE) {
		note(n, "where");
		if (h.doing != NULL)
			channel_send(n->channel, FROM_WORKER_WHERE,
			             &(struct from_worker_where){ .job = j->job, .host = STR("mx.y.example"), .ip = STR("192.0.2.9"), .doing = str_of(h.doing) });
	} else if (kind == WORKER_RELEASE) {
		j->released = true;
		note(n, "release");
	}
}

static void for_supervisor(void *owner, unsigned kind, const void *msg, int fd)
{
	struct neighbour *n = owner;
	assert_int_equal(fd, -1);
	switch (kind) {
	case FROM_ROLE_READY:
		note(n, "ready");
		break;
	case FROM_ROLE_FAILED:
		fail_msg("spool: %.*s", STR_ARG(((const struct from_role_failed *)msg)->text));
		break;
	case FROM_ROLE_DRAINED:
		note(n, "drained");
		break;
	case FROM_ROLE_STATUS:
		note(n, "status %.*s", STR_ARG(((const struct from_role_status *)msg)->json));
		break;
	case FROM_ROLE_ASK_STATUS:
		channel_send(n->channel, TO_ROLE_STATUS,
		             &(struct to_role_status){ .request = ((const struct from_role_ask_status *)msg)->request,
		                                       .json = STR("{\"running\":true}") });
		break;
	case FROM_ROLE_RELOAD:
		channel_send(n->channel, TO_ROLE_RELOADED,
		             &(struct to_role_reloaded){ .request = ((const struct from_role_reload *)msg)->request,
		                                         .ok = 0, .errors = STR("line 3: no") });
		break;
	}
}

static void for_operator(void *owner, unsigned kind, const void *msg, int fd)
{
	struct neighbour *n = owner;
	assert_int_equal(fd, -1);
	if (kind == CONTROL_ROW)
		note(n, "row %.*s", STR_ARG(((const struct control_row *)msg)->json));
	else if (kind == CONTROL_BODY)
		note(n, "body %.*s", STR_ARG(((const struct control_body *)msg)->bytes));
	else
		note(n, "end %u %.*s", (unsigned)((const struct control_end *)msg)->status,
		     STR_ARG(((const struct control_end *)msg)->text));
}

static void for_resolver(void *owner, unsigned kind, const void *msg, int fd)
{
	const struct kept_observation *m = msg;
	assert_int_equal(fd, -1);
	if (kind == ASK_REPORT) {
		h.report_request = ((const struct ask_report *)msg)->request;
		note(owner, "ask %.*s", STR_ARG(((const struct ask_report *)msg)->domain));
		return;
	}
	if (kind == SEND_REPORT) {
		const struct send_report *r = msg;
		h.report_request = r->request;
		buf_clear(&h.report_body);
		check(buf_add(&h.report_body, r->body) == OK);
		note(owner, "post %.*s", STR_ARG(r->url));
		return;
	}
	note(owner, "kept %.*s=%.*s", STR_ARG(m->key), STR_ARG(m->value));
}

static void for_keeper(void *owner, unsigned kind, const void *msg, int fd)
{
	struct neighbour *n = owner;
	const struct spool_ask_targets *m = msg;
	unsigned verdict = RCPT_LOCAL;
	assert_int_equal(fd, -1);
	assert_int_equal(kind, SPOOL_ASK_TARGETS);
	note(n, "asked %.*s", STR_ARG(m->address));
	if (h.alias.address == NULL || !str_eq(m->address, str_of(h.alias.address))) {
		channel_send(n->channel, KEEPER_TARGET, &(struct keeper_target){ .request = m->request, .address = m->address });
	} else {
		verdict = h.alias.verdict;
		for (size_t i = 0; i < 2 && h.alias.targets[i] != NULL; i++)
			channel_send(n->channel, KEEPER_TARGET,
			             &(struct keeper_target){ .request = m->request, .address = str_of(h.alias.targets[i]) });
	}
	if (h.alias.goes_before_the_end) {
		h.alias.goes_before_the_end = false;
		return;
	}
	channel_send(n->channel, KEEPER_TARGETS_END, &(struct keeper_targets_end){ .request = m->request, .verdict = verdict });
}

static void closed(void *owner, const char *reason)
{
	struct neighbour *n = owner;
	(void)reason;
	channel_close(&n->channel);
	note(n, "closed");
}

static int pair_to(struct neighbour *n, const char *name, const struct ipc_schema *in, const struct ipc_schema *out,
                   void (*message)(void *, unsigned, const void *, int))
{
	static struct channel_handler handlers[8];
	static size_t used;
	struct channel_handler *handler = NULL;
	for (size_t i = 0; i < used; i++)
		if (handlers[i].message == message)
			handler = &handlers[i];
	if (handler == NULL) {
		handler = &handlers[used++];
		*handler = (struct channel_handler){ message, closed };
	}
	int fds[2];
	assert_int_equal(socket_pair(fds), OK);
	*n = (struct neighbour){ &h, name, NULL };
	n->channel = channel_new(h.loop, fds[0], in, out, handler, n);
	return fds[1];
}
/* ---- links ---- */

int link_supervisor(void)
{
	return pair_to(&h.supervisor, "supervisor", &role_to_supervisor, &supervisor_to_role, for_supervisor);
}

void link_front(void)
{
	channel_close(&h.front.channel);
	int fd = pair_to(&h.front, "front", &spool_to_front, &front_to_spool, from_spool);
	channel_send_fd(h.supervisor.channel, TO_ROLE_LINK, &(struct to_role_link){ .arrow = ARROW_FRONT_SPOOL }, fd);
}

void link_worker(struct neighbour *w)
{
	bool courier = w == &h.courier;
	channel_close(&w->channel);
	int fd = pair_to(w, courier ? "courier" : "porter", &spool_to_worker, &worker_to_spool, for_worker);
	channel_send_fd(h.supervisor.channel, TO_ROLE_LINK,
	                &(struct to_role_link){ .arrow = courier ? ARROW_SPOOL_COURIER : ARROW_SPOOL_PORTER }, fd);
}

void link_keeper(void)
{
	channel_close(&h.keeper.channel);
	int fd = pair_to(&h.keeper, "keeper", &spool_to_keeper, &keeper_to_spool, for_keeper);
	channel_send_fd(h.supervisor.channel, TO_ROLE_LINK, &(struct to_role_link){ .arrow = ARROW_SPOOL_KEEPER }, fd);
}
void link_resolver(void)
{
	int fd = pair_to(&h.resolver, "resolver", &spool_to_resolver, &resolver_to_spool, for_resolver);
	channel_send_fd(h.supervisor.channel, TO_ROLE_LINK, &(struct to_role_link){ .arrow = ARROW_RESOLVER_SPOOL }, fd);
}

/* ---- speaking ---- */

void say_begin(uint64_t txn, const char *sender)
{
	channel_send(h.front.channel, FRONT_BEGIN,
	             &(struct front_begin){ .txn = txn, .sender = str_of(sender), .client = STR("192.0.2.7"),
	                                    .helo = STR("client.example"), .user = STR("jada"), .with = STR("ESMTPSA"),
	                                    .tls = STR("TLSv1.3") });
}

void say_rcpt(uint64_t txn, const char *to, unsigned notify)
{
	channel_send(h.front.channel, FRONT_RCPT,
	             &(struct front_rcpt){ .txn = txn, .address = str_of(to), .original = str_of(to), .notify = notify });
}

void say_chunk(uint64_t txn, const char *text)
{
	channel_send(h.front.channel, FRONT_CHUNK, &(struct front_chunk){ .txn = txn, .bytes = str_of(text) });
}

void say_bytes(uint64_t txn, struct str bytes)
{
	channel_send(h.front.channel, FRONT_CHUNK, &(struct front_chunk){ .txn = txn, .bytes = bytes });
}

void say_finish(uint64_t txn, size_t bytes)
{
	channel_send(h.front.channel, FRONT_FINISH, &(struct front_finish){ .txn = txn, .size_bytes = bytes });
}

void send_letter(uint64_t txn, const char *sender, const char *to, unsigned notify)
{
	static const char letter[] = "Subject: hello\r\n\r\nbody\r\n";
	say_begin(txn, sender);
	say_rcpt(txn, to, notify);
	say_chunk(txn, letter);
	say_finish(txn, sizeof letter - 1);
}
void command_begin(enum control_verb verb, struct store_selector which, bool body)
{
	static const struct channel_handler handler = { for_operator, closed };
	struct endpoint at;
	char text[80];
	int fd;
	channel_close(&h.operator.channel);
	snprintf(text, sizeof text, "unix:%s", h.socket);
	assert_int_equal(endpoint_parse(str_of(text), &at), OK);
	assert_int_equal(socket_connect(&at, NULL, &fd), OK);
	h.operator= (struct neighbour){ &h, "operator", NULL };
	h.operator.channel = channel_new(h.loop, fd, &from_control, &to_control, &handler, &h.operator);
	channel_send(h.operator.channel, CONTROL_REQUEST,
	             &(struct control_request){ .verb = verb, .id = which.id, .to = which.to, .from = which.from,
	                                        .user = which.user, .domain = which.domain,
	                                        .older_s = (uint64_t)which.arrived_before_s, .body = body });
}

void command(enum control_verb verb, struct store_selector which, bool body)
{
	command_begin(verb, which, body);
	wait_for("operator: end");
}

void answer(enum outcome_class class, unsigned code, const char *status, const char *text)
{
	h.answer.class = class;
	h.answer.code = code;
	h.answer.status = str_of(status);
	h.answer.text = str_of(text);
}
