/* SPDX-License-Identifier: ISC */
/*
 * role/courier/courier.c -- the process that carries mail on: to mail servers, relays and LMTP servers.
 *
 * It sees the messages it carries and the network, and no file, key or password: names come from the resolver, logins and
 * signatures from the keeper, Unix sockets from the supervisor.
 */
#include "role/courier/courier.h"

#include <stdlib.h>

#include "base/check.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/process.h"

enum { CA_BYTES_MAX = 4 << 20 };

/* ---- trust anchors ---- */

static void forget_ca_texts(struct map **texts)
{
	size_t cursor = 0;
	struct str key;
	void *value;
	while (*texts != NULL && map_each(*texts, &cursor, &key, &value)) {
		buf_fini(value);
		free(value);
	}
	map_free(texts);
}

static void on_file(void *role, struct str path, int fd)
{
	struct courier *c = role;
	struct buf *text = NEW(struct buf);
	buf_init(text, CA_BYTES_MAX);
	if (file_read_all(fd, text) != OK)
		buf_clear(text);
	fd_close(&fd);
	struct buf *old = map_set(c->ca_coming, path, text);
	if (old != NULL)
		buf_fini(old);
	free(old);
}

struct trust *trust_hold(struct trust *t)
{
	if (t != NULL)
		t->refs++;
	return t;
}

void trust_drop(struct trust *t)
{
	if (t == NULL || --t->refs > 0)
		return;
	tls_client_free(&t->client);
	str_release(&t->ca_path);
	free(t);
}

static fault trust_new(const struct map *texts, struct str ca_path, struct trust **out, struct why *why)
{
	/* The supervisor sends the system's anchors under the name "". */
	struct tls_client_options o = { .only_these = true };
	const struct buf *text = map_get(texts, ca_path);
	if (text != NULL)
		o.ca_pem = buf_view(text);
	if (o.ca_pem.n == 0 && ca_path.n > 0)
		return why_say(why, F_ABSENT, "the CA file %.*s is empty or could not be read", STR_ARG(ca_path));
	struct tls_client *client = tls_client_new(&o, why);
	if (client == NULL)
		return F_TLS;
	struct trust *t = NEW(struct trust);
	*t = (struct trust){ .refs = 1, .client = client, .empty = o.ca_pem.n == 0, .ca_path = str_keep(ca_path) };
	*out = t;
	return OK;
}

void trust_is_needed(struct trust *t)
{
	if (t == NULL || !t->empty || t->told)
		return;
	t->told = true;
	log_event(LOG_TROUBLE, LOG_Z("text", "the system's CA certificates were not found: no server can be verified; install the "
	                                     "package ca-certificates, or name a file with ca"));
}

struct trust *courier_trust(struct courier *c, struct str ca_path)
{
	for (size_t i = 0; i < c->n_trusts; i++)
		if (str_eq(c->trusts[i]->ca_path, ca_path))
			return c->trusts[i];
	struct trust *t = NULL;
	struct why why = { "" };
	if (trust_new(c->ca_texts, ca_path, &t, &why) != OK) {
		log_event(LOG_TROUBLE, LOG_Z("text", why.text));
		return NULL;
	}
	c->trusts = must_resize(c->trusts, (c->n_trusts + 1) * sizeof(struct trust *));
	c->trusts[c->n_trusts++] = t;
	return t;
}

static void forget_trusts(struct courier *c)
{
	for (size_t i = 0; i < c->n_trusts; i++)
		trust_drop(c->trusts[i]);
	free(c->trusts);
	c->trusts = NULL;
	c->n_trusts = 0;
}

/* A CA file without a certificate is found now, not when a letter waits for it. */
static fault check_ca(const struct courier *c, struct str ca_path, struct why *why)
{
	struct trust *t = NULL;
	if (ca_path.n == 0)
		return OK;
	fault f = trust_new(c->ca_coming, ca_path, &t, why);
	trust_drop(t);
	return f;
}

static fault on_apply(void *role, const struct conf *conf, struct why *why)
{
	struct courier *c = role;
	fault f = check_ca(c, conf->direct.ca, why);
	for (size_t i = 0; i < conf->n_relays && f == OK; i++)
		f = check_ca(c, conf->relays[i].ca, why);
	if (f == OK) {
		forget_trusts(c);
		forget_ca_texts(&c->ca_texts);
		c->ca_texts = c->ca_coming;
		c->conf = conf;
		c->generation++;
		visit_end_kept(c);
	} else {
		forget_ca_texts(&c->ca_coming);
	}
	c->ca_coming = map_new(0);
	return f;
}

/* ---- jobs ---- */

static void drained_perhaps(struct courier *c)
{
	if (c->draining && list_empty(&c->in_hand) && (c->rested || c->spool == NULL))
		role_drained(c->base);
}

void courier_job_over(struct job *j)
{
	struct courier *c = j->courier;
	if (c->spool != NULL)
		channel_send(c->spool, FROM_WORKER_DONE, &(struct from_worker_done){ .job = j->number });
	job_free(j);
	drained_perhaps(c);
}

static void forget_jobs(struct courier *c)
{
	while (!list_empty(&c->in_hand))
		job_free(LIST_FIRST(&c->in_hand, struct job, in_courier));
	drained_perhaps(c);
}

static void on_renew(void *owner)
{
	struct courier *c = owner;
	LIST_EACH(at, &c->in_hand) {
		struct job *j = LIST_MEMBER(at, struct job, in_courier);
		if (c->spool != NULL)
			channel_send(c->spool, FROM_WORKER_RENEW, &(struct from_worker_renew){ .job = j->number });
	}
	timer_set(&c->renew, loop_now_ms(c->loop) + COURIER_RENEW_MS);
}

/* ---- memory ---- */

/* A burst leaves the heap full of holes between what stays: their pages go back when it is over, and now and then while it lasts. */
static void on_trim(void *owner)
{
	((struct courier *)owner)->will_trim = false;
	process_trim_memory();
}

void courier_trim_soon(struct courier *c)
{
	if (!c->will_trim)
		timer_set(&c->trim, loop_now_ms(c->loop) + COURIER_TRIM_MS);
	c->will_trim = true;
}

/* ---- the arrows ---- */

static void on_spool(void *owner, unsigned kind, const void *msg, int fd)
{
	struct courier *c = owner;
	const uint64_t *number = msg; /* every message starts with the job's, or 0 */
	struct job *j = map_get_u64(c->jobs, *number);
	fd_close(&fd);
	if (kind == WORKER_RESTED) {
		c->rested = c->draining;
		drained_perhaps(c);
	} else if (kind == WORKER_JOB && c->draining) {
		channel_send(c->spool, FROM_WORKER_GIVEN_BACK, &(struct from_worker_given_back){ .job = *number });
	} else if (kind == WORKER_JOB) {
		job_take(c, msg);
	} else if (kind == WORKER_RCPT) {
		job_add_rcpt(c, msg);
	} else if (kind == WORKER_REMEMBERED) {
		memory_take(c, msg);
	} else if (j == NULL) {
		return; /* over already: the words crossed */
	} else if (kind == WORKER_GO) {
		job_go(j);
	} else if (kind == WORKER_BODY) {
		job_take_body(j, ((const struct worker_body *)msg)->bytes);
	} else if (kind == WORKER_BODY_END) {
		job_body_ends(j, ((const struct worker_body_end *)msg)->whole != 0);
	} else if (kind == WORKER_RELEASE) {
		job_release(j);
	} else if (kind == WORKER_GIVE_WAY) {
		job_give_way(j);
	} else if (kind == WORKER_WHERE) {
		job_tell_where(j);
	}
}

static void on_spool_closed(void *owner, const char *reason)
{
	struct courier *c = owner;
	role_link_broke(c->base, ARROW_SPOOL_COURIER, 0, "spool", reason);
	channel_close(&c->spool);
	forget_jobs(c); /* their leases end by themselves */
}

static void on_keeper(void *owner, unsigned kind, const void *msg, int fd)
{
	fd_close(&fd);
	visit_keeper_says(owner, kind, msg);
}

static void on_keeper_closed(void *owner, const char *reason)
{
	struct courier *c = owner;
	role_link_broke(c->base, ARROW_COURIER_KEEPER, 0, "keeper", reason);
	channel_close(&c->keeper);
	visit_keeper_gone(c);
}

static void on_resolver(void *owner, unsigned kind, const void *msg, int fd)
{
	fd_close(&fd);
	targets_answer(owner, kind, msg);
}

static void on_resolver_closed(void *owner, const char *reason)
{
	struct courier *c = owner;
	role_link_broke(c->base, ARROW_COURIER_RESOLVER, 0, "resolver", reason);
	channel_close(&c->resolver);
	targets_resolver_gone(c);
}

static void on_link(void *role, enum ipc_arrow arrow, unsigned instance, int fd)
{
	static const struct channel_handler spool = { on_spool, on_spool_closed };
	static const struct channel_handler keeper = { on_keeper, on_keeper_closed };
	static const struct channel_handler resolver = { on_resolver, on_resolver_closed };
	struct courier *c = role;
	(void)instance;
	if (arrow == ARROW_SPOOL_COURIER) {
		channel_close(&c->spool);
		forget_jobs(c);
		c->spool = channel_new(c->loop, fd, &spool_to_worker, &worker_to_spool, &spool, c);
		if (c->draining)
			channel_send(c->spool, FROM_WORKER_RESTING, &(struct from_worker_resting){ 0 });
	} else if (arrow == ARROW_COURIER_KEEPER) {
		channel_close(&c->keeper);
		visit_keeper_gone(c);
		c->keeper = channel_new(c->loop, fd, &keeper_to_courier, &courier_to_keeper, &keeper, c);
		channel_keep_secret(c->keeper);
	} else if (arrow == ARROW_COURIER_RESOLVER) {
		channel_close(&c->resolver);
		targets_resolver_gone(c);
		c->resolver = channel_new(c->loop, fd, &from_resolver, &to_resolver, &resolver, c);
	} else {
		fd_close(&fd); /* no client certificates yet, so nothing to sign */
	}
}

static void on_unix_connected(void *role, uint64_t request, int fd, const char *error)
{
	visit_unix_connected(role, request, fd, error);
}

/* ---- the rest of a role ---- */

static void on_status(void *role, struct buf *json)
{
	struct courier *c = role;
	fault f = buf_addf(json, "\"jobs\": %zu, \"connections\": %zu, \"kept\": %zu, \"letters\": %llu", map_count(c->jobs),
	                   c->n_visits, c->n_kept, (unsigned long long)c->n_attempts);
	(void)f; /* a buffer without room keeps what it has: still an object */
}

static void on_grace(void *owner)
{
	struct courier *c = owner;
	c->rested = true; /* as far as the time allowed */
	forget_jobs(c);
}

/* Where nothing has been said yet: who waits for the DNS, for a policy or for his turn, or knocks and hears nothing. The successor
 * can do that as well, and at once. */
static void give_back_unbegun(struct courier *c)
{
	LIST_EACH(at, &c->in_hand) {
		struct job *j = LIST_MEMBER(at, struct job, in_courier);
		bool knocks = j->visit != NULL && j->visit->knocks;
		if ((j->open_asks == 0 && !link_used(&j->in_waiting) && !knocks) || c->spool == NULL)
			continue;
		channel_send(c->spool, FROM_WORKER_GIVEN_BACK, &(struct from_worker_given_back){ .job = j->number });
		job_free(j);
	}
}

static void on_drain(void *role, uint64_t grace_ms)
{
	struct courier *c = role;
	c->draining = true;
	if (c->spool != NULL)
		channel_send(c->spool, FROM_WORKER_RESTING, &(struct from_worker_resting){ 0 });
	give_back_unbegun(c);
	visit_end_kept(c);
	int64_t grace = grace_ms < INT32_MAX ? (int64_t)grace_ms : INT32_MAX;
	timer_set(&c->grace, loop_now_ms(c->loop) + grace);
	drained_perhaps(c);
}

static void free_all(struct map **m)
{
	size_t cursor = 0;
	struct str key;
	void *value;
	while (map_each(*m, &cursor, &key, &value))
		free(value);
	map_free(m);
}

static void on_free(void *role)
{
	struct courier *c = role;
	c->draining = false;
	forget_jobs(c);
	while (!list_empty(&c->kept))
		visit_free(LIST_FIRST(&c->kept, struct visit, in_courier));
	while (!list_empty(&c->visits))
		visit_free(LIST_FIRST(&c->visits, struct visit, in_courier));
	timer_clear(&c->renew);
	timer_clear(&c->grace);
	timer_clear(&c->trim);
	knock_fini(c);
	channel_close(&c->spool);
	channel_close(&c->keeper);
	channel_close(&c->resolver);
	forget_trusts(c);
	forget_ca_texts(&c->ca_texts);
	forget_ca_texts(&c->ca_coming);
	free_all(&c->asks);
	free_all(&c->seen);
	free_all(&c->shapes);
	map_free(&c->jobs);
	map_free(&c->logins);
	map_free(&c->unix_asks);
	free(c);
}

struct role_base *courier_start(struct loop *loop, int control_fd)
{
	static const struct role_hooks hooks = {
		.name = "courier", .file = on_file, .apply = on_apply, .link = on_link, .unix_connected = on_unix_connected,
		.status = on_status, .drain = on_drain, .free = on_free,
	};
	struct courier *c = NEW(struct courier);
	struct why why = { "" };
	if (tls_begin(&why) != OK)
		log_event(LOG_TROUBLE, LOG_Z("text", why.text));
	c->loop = loop;
	c->jobs = map_new(0);
	c->asks = map_new(0);
	c->logins = map_new(0);
	c->unix_asks = map_new(0);
	c->ca_texts = map_new(0);
	c->ca_coming = map_new(0);
	c->seen = map_new(random_u64());
	c->shapes = map_new(random_u64());
	list_init(&c->in_hand);
	list_init(&c->visits);
	list_init(&c->kept);
	knock_init(c);
	timer_init(&c->renew, loop, on_renew, c);
	timer_init(&c->grace, loop, on_grace, c);
	timer_init(&c->trim, loop, on_trim, c);
	timer_set(&c->renew, loop_now_ms(loop) + COURIER_RENEW_MS);
	c->base = role_base_new(loop, control_fd, &hooks, c);
	return c->base;
}
