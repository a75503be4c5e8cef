/* SPDX-License-Identifier: ISC */
/* role/spool/spool.c -- the role's hooks: links, configuration, status, the end. */
#include "role/spool/tls_reports.h"

#include <stdlib.h>

#include "base/check.h"
#include "sys/clock.h"

/* ---- the resolver ---- */

/* The resolver's clock is the wall clock. */
static int64_t seconds_from_now(int64_t wall_s)
{
	int64_t now_s = clock_wall_s();
	return wall_s < now_s ? 0 : wall_s - now_s;
}

static void on_resolver(void *owner, unsigned kind, const void *msg, int fd)
{
	struct spool *s = owner;
	const struct keep_observation *m = msg;
	fd_close(&fd);
	if (kind == REPORT_WISH)
		tls_send_wish(s->tls_reports, msg);
	else if (kind == SENT_REPORT)
		tls_send_sent(s->tls_reports, msg);
	else if (kind == KEEP_OBSERVATION)
		observe_keep(s, OBSERVER_RESOLVER, m->key, m->value, m->expires_s <= 0 ? 0 : seconds_from_now(m->expires_s));
}

static void on_resolver_closed(void *owner, const char *reason)
{
	struct spool *s = owner;
	if (!s->draining)
		role_link_broke(s->base, ARROW_RESOLVER_SPOOL, 0, "resolver", reason);
	channel_close(&s->resolver);
	tls_send_resolver_gone(s->tls_reports);
}

static void resolver_link(struct spool *s, int fd)
{
	static const struct channel_handler handler = { on_resolver, on_resolver_closed };
	channel_close(&s->resolver);
	tls_send_resolver_gone(s->tls_reports);
	s->resolver = channel_new(s->loop, fd, &resolver_to_spool, &spool_to_resolver, &handler, s);
	observe_linked(s, OBSERVER_RESOLVER);
}

/* ---- hooks ---- */

static void on_link(void *role, enum ipc_arrow arrow, unsigned instance, int fd)
{
	struct spool *s = role;
	switch (arrow) {
	case ARROW_FRONT_SPOOL:
		spool_front_add(s, instance, fd);
		break;
	case ARROW_SPOOL_COURIER:
		spool_worker_link(s, WORKER_COURIER, fd);
		break;
	case ARROW_SPOOL_PORTER:
		spool_worker_link(s, WORKER_PORTER, fd);
		break;
	case ARROW_SPOOL_KEEPER:
		audience_link(s, fd);
		break;
	case ARROW_RESOLVER_SPOOL:
		resolver_link(s, fd);
		break;
	default:
		fd_close(&fd);
		break;
	}
}

static fault apply(void *role, const struct conf *conf, struct why *why)
{
	struct spool *s = role;
	const struct conf *before = s->conf;
	s->conf = conf;
	if (before == NULL) {
		fault f = spool_open_store(s, conf->queue.directory, why);
		if (f != OK) {
			s->conf = NULL;
			return f;
		}
	}
	if (before != NULL && s->history != NULL)
		record_open(s);
	audience_forget(s); /* aliases may have changed */
	shape_route_anew(s);
	spool_route_anew(s);
	spool_turn_soon(s);
	return OK;
}

static void on_message(void *role, unsigned kind, const void *msg, int fd)
{
	struct spool *s = role;
	if (kind == TO_ROLE_CONTROL && fd >= 0) {
		control_listen(s, fd, ((const struct to_role_control *)msg)->owner);
		return;
	}
	fd_close(&fd);
	if (kind == TO_ROLE_STATUS) {
		const struct to_role_status *m = msg;
		control_status(s, m->request, m->json);
	} else if (kind == TO_ROLE_RELOADED) {
		const struct to_role_reloaded *m = msg;
		control_reloaded(s, m->request, m->ok != 0, m->errors);
	}
}

enum { ONE_LETTER_MAX = 64 << 20 };

/* When the message that waits longest arrived; F_ABSENT if none waits. */
static fault oldest(struct spool *s, int64_t *arrived_s_out)
{
	const struct store_selector all = { .id = STR_NONE };
	struct arena *a = arena_new(ONE_LETTER_MAX);
	struct store_rcpt first;
	struct store_message m;
	size_t n = 0;
	fault f = s->store == NULL ? F_ABSENT : s->ops->list(s->store, &all, 0, a, &first, 1, &n);
	if (f == OK)
		f = n == 0 ? F_ABSENT : s->ops->message(s->store, first.id, a, &m);
	if (f == OK)
		*arrived_s_out = m.arrived_s;
	arena_free(&a);
	return f;
}

static void status(void *role, struct buf *json_out)
{
	struct spool *s = role;
	struct store_counts c = { 0 };
	int64_t arrived_s = 0, now_s = spool_now_s(s);
	bool waits = oldest(s, &arrived_s) == OK;
	bool open = s->store != NULL && s->ops->counts(s->store, &c) == OK;
	fault f = buf_addf(json_out,
	                   "\"open\": %s, \"messages\": %llu, \"queued\": %llu, \"leased\": %llu, \"held\": %llu, \"damaged\": %llu, "
	                   "\"content_bytes\": %llu, \"disk_bytes\": %llu, \"disk_free_bytes\": %llu, \"names_free\": %lld, \"short\": %s, "
	                   "\"short_of\": \"%s\", "
	                   "\"jobs\": %llu, \"reserve_bytes\": %d, \"reserve_names\": %d, \"oldest_s\": %lld, \"clock_off_s\": %lld, \"resting\": %llu",
	                   open ? "true" : "false", (unsigned long long)c.messages, (unsigned long long)c.queued,
	                   (unsigned long long)c.leased, (unsigned long long)c.held, (unsigned long long)c.damaged,
	                   (unsigned long long)c.content_bytes,
	                   (unsigned long long)c.disk_bytes, (unsigned long long)s->bytes_free,
	                   s->names_free > INT64_MAX ? -1 : (long long)s->names_free,
	                   s->is_short ? "true" : "false",
	                   s->short_of_bytes ? "room" : s->short_of_names ? "inodes" : "", (unsigned long long)s->n_jobs,
	                   SPOOL_RESERVE_BYTES, SPOOL_RESERVE_NAMES, waits && arrived_s < now_s ? (long long)(now_s - arrived_s) : 0LL,
	                   (long long)(clock_wall_s() - now_s), (unsigned long long)paces_resting(&s->paces, loop_now_ms(s->loop)));
	check(f == OK);
}

/* ---- draining ---- */

static bool is_idle(const struct spool *s)
{
	return s->n_jobs == 0 && list_empty(&s->verdicts) && list_empty(&s->finished);
}

/* The time is over: what is still in hand goes back into the queue, where it is safe. */
static void drain_over(void *owner)
{
	struct spool *s = owner;
	LIST_EACH(l, &s->jobs)
		spool_job_release(LIST_MEMBER(l, struct job, in_spool));
	spool_turn_now(s);
	role_drained(s->base);
}

static void drain(void *role, uint64_t grace_ms)
{
	struct spool *s = role;
	s->draining = true;
	explain_stop(s);
	actions_end_for_stop(s);
	timer_set(&s->grace, loop_now_ms(s->loop) + (int64_t)(grace_ms < INT32_MAX ? grace_ms : INT32_MAX));
	LIST_EACH(l, &s->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool);
		if (j->sent || j->purpose != JOB_DELIVER)
			continue;
		for (size_t i = 0; i < j->n_rcpts; i++)
			j->rcpts[i].reported = true; /* its leases end with this process */
		spool_job_end(j);
	}
	spool_turn_soon(s);
}

/* ---- beginning and end ---- */

static void turn(void *owner)
{
	struct spool *s = owner;
	spool_turn_now(s);
	if (s->draining && is_idle(s)) {
		timer_clear(&s->grace);
	timer_clear(&s->breath);
		role_drained(s->base);
	}
}

static void due(void *owner)
{
	spool_turn_soon(owner);
}

static void spool_free(void *role)
{
	struct spool *s = role;
	s->draining = true;
	control_fini(s);
	LIST_EACH(l, &s->fronts)
		spool_front_drop(LIST_MEMBER(l, struct front, in_spool));
	if (s->store != NULL)
		spool_turn_now(s); /* what was finished is not thrown away */
	for (int i = 0; i < WORKER_KINDS; i++)
		spool_worker_fini(&s->workers[i]);
	channel_close(&s->resolver);
	channel_close(&s->keeper);
	audience_forget(s);
	verify_fini(s);
	spool_forget_jobs(s);
	LIST_EACH(l, &s->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_spool); /* somebody's question, which nobody answers now */
		j->rcpts[0].reported = true;
		spool_job_end(j);
	}
	later_clear(&s->turn);
	timer_clear(&s->due);
	timer_clear(&s->grace);
	timer_clear(&s->breath);
	spool_keep_fini(s);
	map_free(&s->jobs_by_number);
	shape_fini(s);
	free(s);
}

struct role_base *spool_start_on(struct loop *loop, int control_fd, const struct store_ops *ops)
{
	static const struct role_hooks hooks = {
		.name = "spool", .apply = apply, .link = on_link, .message = on_message, .status = status,
		.drain = drain, .free = spool_free,
	};
	struct spool *s = NEW(struct spool);
	s->loop = loop;
	s->ops = ops;
	list_init(&s->fronts);
	list_init(&s->finished);
	list_init(&s->jobs);
	list_init(&s->verdicts);
	list_init(&s->controls);
	list_init(&s->audiences);
	list_init(&s->verifications_by_age);
	list_init(&s->explanations);
	s->jobs_by_number = map_new(1);
	shape_init(s);
	s->verifications = map_new(random_u64());
	for (int i = 0; i < WORKER_KINDS; i++)
		spool_worker_init(&s->workers[i], s, (enum worker_kind)i);
	later_init(&s->turn, turn, s);
	timer_init(&s->due, loop, due, s);
	timer_init(&s->grace, loop, drain_over, s);
	timer_init(&s->breath, loop, turn, s);
	spool_keep_init(s);
	s->base = role_base_new(loop, control_fd, &hooks, s);
	return s->base;
}

struct role_base *spool_start(struct loop *loop, int control_fd)
{
	return spool_start_on(loop, control_fd, &store_sqlite);
}
