/* SPDX-License-Identifier: ISC */
/*
 * role/porter/porter.c -- the process that carries letters into Maildirs, as the mail user.
 *
 * A job's content comes once, in chunks by credit, and goes into the files of all its recipients. CRLF becomes LF
 * here, Maildir's line end. A recipient's outcome is told as soon as it is durable or has failed; whatever fails here is the
 * house's own trouble and is tried again, never bounced at once.
 */
#include "role/porter/porter.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ipc/spool_delivery.h"
#include "sys/clock.h"
#include "sys/socket.h"

enum {
	JOBS_MAX = 3000,               /* more than the spool has in hand */
	JOB_RCPTS_MAX = 1000,
	JOB_BYTES_MAX = 8 << 20,       /* what a job's names may take */
	RENEW_EVERY_MS = 20 * 1000,
};

/* -- jobs ------------------------------------------------------------------------------------------ */

static void porter_rest(struct porter *p)
{
	if (p->n_jobs > 0)
		return;
	timer_clear(&p->renew);
	if (p->draining && (p->rested || p->spool == NULL))
		role_drained(p->base);
}

static void job_free(struct job *j)
{
	struct porter *p = j->porter;
	LIST_EACH(l, &j->rcpts)
		rcpt_close(j, LIST_MEMBER(l, struct rcpt, in_job));
	link_remove(&j->in_porter);
	arena_free(&j->arena);
	free(j);
	p->n_jobs--;
	porter_rest(p);
}

/* Recipients without an outcome are queued again by the spool. */
static void job_end(struct job *j)
{
	struct channel *spool = j->porter->spool;
	if (spool != NULL && j->given_back)
		channel_send(spool, FROM_WORKER_GIVEN_BACK, &(struct from_worker_given_back){ .job = j->number });
	else if (spool != NULL)
		channel_send(spool, FROM_WORKER_DONE, &(struct from_worker_done){ .job = j->number });
	job_free(j);
}

static struct job *job_find(struct porter *p, uint64_t number)
{
	LIST_EACH(l, &p->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_porter);
		if (j->number == number)
			return j;
	}
	return NULL;
}

static void on_job(struct porter *p, const struct worker_job *m)
{
	struct job *old = job_find(p, m->job);
	if (old != NULL)
		job_free(old);
	if (p->draining || p->resting) {
		channel_send(p->spool, FROM_WORKER_GIVEN_BACK, &(struct from_worker_given_back){ .job = m->job });
		return;
	}
	if (p->n_jobs == JOBS_MAX) {
		channel_send(p->spool, FROM_WORKER_DONE, &(struct from_worker_done){ .job = m->job });
		return;
	}
	struct job *j = NEW(struct job);
	j->porter = p;
	j->arena = arena_new(JOB_BYTES_MAX);
	j->number = m->job;
	j->purpose = m->purpose;
	j->size_bytes = m->size_bytes;
	j->attempt = m->attempt;
	j->arrived_s = m->arrived_s;
	j->id = arena_try_copy(j->arena, m->id);
	j->template_ = arena_try_copy(j->arena, m->route_name);
	j->sender = arena_try_copy(j->arena, m->sender);
	list_init(&j->rcpts);
	list_add_last(&p->jobs, &j->in_porter);
	if (p->n_jobs++ == 0)
		timer_set(&p->renew, loop_now_ms(p->loop) + RENEW_EVERY_MS);
}

static void on_rcpt(struct job *j, const struct worker_rcpt *m)
{
	if (j->ready || j->n_rcpts == JOB_RCPTS_MAX)
		return;
	struct rcpt *r = arena_try_alloc(j->arena, sizeof *r);
	struct str address = arena_try_copy(j->arena, m->address);
	if (r == NULL || address.p == NULL)
		return; /* without an outcome it comes again, in another job */
	r->index = m->index;
	r->address = address;
	list_add_last(&j->rcpts, &r->in_job);
	j->n_rcpts++;
}

static void job_want(struct job *j)
{
	uint64_t room = DELIVERY_CREDIT_BYTES - j->credit;
	if (room < DELIVERY_CHUNK_BYTES)
		return;
	j->credit += room;
	channel_send(j->porter->spool, FROM_WORKER_WANT, &(struct from_worker_want){ .job = j->number, .bytes = room });
}

static void job_start(struct job *j)
{
	j->going = true;
	LIST_EACH(l, &j->rcpts)
		rcpt_begin(j, LIST_MEMBER(l, struct rcpt, in_job));
	if (j->n_open == 0)
		job_end(j);
	else
		job_want(j);
}

static bool has_room(const struct job *j)
{
	return j->porter->n_letters == 0 || j->porter->n_letters + j->n_rcpts <= LETTERS_MAX;
}

/* Another job of the same message may write the same letter. */
static bool has_sibling_at_work(const struct job *j)
{
	LIST_EACH(l, &j->porter->jobs) {
		const struct job *other = LIST_MEMBER(l, struct job, in_porter);
		if (other->going && str_eq(other->id, j->id))
			return true;
	}
	return false;
}

/* In turn: who needs much room is not overtaken for ever. */
static void start_waiting(void *owner)
{
	struct porter *p = owner;
	LIST_EACH(l, &p->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_porter);
		if (!j->ready || j->going)
			continue;
		if (!has_room(j))
			return;
		if (!has_sibling_at_work(j))
			job_start(j);
	}
}

static void on_go(struct job *j)
{
	j->ready = true;
	start_waiting(j->porter);
}

/* CRLF to LF, over the border between two chunks. */
static fault to_lf(struct buf *out, struct str in, bool *after_cr)
{
	for (size_t i = 0; i < in.n; i++) {
		bool cr = in.p[i] == '\r';
		if (*after_cr && in.p[i] != '\n')
			TRY(buf_add_char(out, '\r'));
		if (!cr)
			TRY(buf_add_char(out, in.p[i]));
		*after_cr = cr;
	}
	return OK;
}

static void write_all(struct job *j, struct str bytes)
{
	LIST_EACH(l, &j->rcpts)
		rcpt_write(j, LIST_MEMBER(l, struct rcpt, in_job), bytes);
}

static void on_body(struct job *j, struct str bytes)
{
	struct buf lf;
	if (!j->going || bytes.n > j->credit)
		return; /* not asked for */
	j->credit -= bytes.n;
	buf_init(&lf, bytes.n + 1);
	fault f = to_lf(&lf, bytes, &j->after_cr);
	check(f == OK);
	write_all(j, buf_view(&lf));
	buf_fini(&lf);
	if (j->n_open == 0)
		job_end(j);
	else
		job_want(j);
}

static void on_body_end(struct job *j, bool whole)
{
	if (!j->going)
		return;
	if (whole && j->after_cr)
		write_all(j, STR("\r"));
	LIST_EACH(l, &j->rcpts)
		rcpt_end(j, LIST_MEMBER(l, struct rcpt, in_job), whole);
	job_end(j);
}

/* -- the channel to the spool -------------------------------------------------------------------------- */

static void on_spool_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct porter *p = owner;
	fd_close(&fd);
	if (kind == WORKER_JOB) {
		on_job(p, msg);
		return;
	}
	if (kind == WORKER_RESTED) {
		p->rested = p->draining;
		porter_rest(p);
		return;
	}
	uint64_t number;
	memcpy(&number, msg, sizeof number); /* the first field of every other message */
	struct job *j = job_find(p, number);
	if (j == NULL)
		return; /* it has ended here meanwhile */
	switch (kind) {
	case WORKER_RCPT:
		on_rcpt(j, msg);
		break;
	case WORKER_GO:
		on_go(j);
		break;
	case WORKER_BODY:
		on_body(j, ((const struct worker_body *)msg)->bytes);
		break;
	case WORKER_BODY_END:
		on_body_end(j, ((const struct worker_body_end *)msg)->whole != 0);
		break;
	case WORKER_RELEASE:
		job_end(j);
		break;
	default:
		break;
	}
}

static void drop_jobs(struct porter *p)
{
	LIST_EACH(l, &p->jobs)
		job_free(LIST_MEMBER(l, struct job, in_porter));
}

static void on_spool_closed(void *owner, const char *reason)
{
	struct porter *p = owner;
	(void)reason;
	channel_close(&p->spool);
	drop_jobs(p); /* the spool that comes back leases them anew */
	porter_rest(p);
}

static void on_renew(void *owner)
{
	struct porter *p = owner;
	LIST_EACH(l, &p->jobs)
		channel_send(p->spool, FROM_WORKER_RENEW, &(struct from_worker_renew){
			.job = LIST_MEMBER(l, struct job, in_porter)->number });
	if (p->n_jobs > 0)
		timer_set(&p->renew, loop_now_ms(p->loop) + RENEW_EVERY_MS);
}

/* -- the role -------------------------------------------------------------------------------------------- */

static fault on_apply(void *role, const struct conf *conf, struct why *why)
{
	struct porter *p = role;
	(void)why;
	p->conf = conf;
	return OK;
}

static void on_link(void *role, enum ipc_arrow arrow, unsigned instance, int fd)
{
	static const struct channel_handler handler = { on_spool_message, on_spool_closed };
	struct porter *p = role;
	(void)instance;
	if (arrow != ARROW_SPOOL_PORTER) {
		fd_close(&fd);
		return;
	}
	channel_close(&p->spool);
	drop_jobs(p);
	p->linked_wall_s = clock_wall_s();
	p->spool = channel_new(p->loop, fd, &spool_to_worker, &worker_to_spool, &handler, p);
	if (p->draining || p->resting)
		channel_send(p->spool, FROM_WORKER_RESTING, &(struct from_worker_resting){ 0 });
}

static void on_status(void *role, struct buf *json)
{
	struct porter *p = role;
	/* A buffer without room keeps what it has: still an object. */
	fault f = buf_addf(json, "\"jobs\": %zu, \"open\": %zu, \"delivered\": %llu, \"put_off\": %llu", p->n_jobs,
	                   p->n_letters, (unsigned long long)p->delivered, (unsigned long long)p->put_off);
	(void)f;
}

static void on_drain(void *role, uint64_t grace_ms)
{
	struct porter *p = role;
	(void)grace_ms; /* what is in hand is a matter of moments */
	p->draining = true;
	if (p->spool != NULL)
		channel_send(p->spool, FROM_WORKER_RESTING, &(struct from_worker_resting){ 0 });
	LIST_EACH(l, &p->jobs) {
		struct job *j = LIST_MEMBER(l, struct job, in_porter);
		j->given_back = true;
		if (!j->going)
			job_end(j);
	}
	porter_rest(p);
}

static void on_free(void *role)
{
	struct porter *p = role;
	channel_close(&p->spool);
	p->draining = false;
	drop_jobs(p);
	timer_clear(&p->renew);
	later_clear(&p->start_waiting);
	free(p);
}

struct role_base *porter_start(struct loop *loop, int control_fd)
{
	static const struct role_hooks hooks = {
		.name = "porter", .apply = on_apply, .link = on_link, .status = on_status, .drain = on_drain, .free = on_free,
	};
	struct porter *p = NEW(struct porter);
	p->loop = loop;
	list_init(&p->jobs);
	timer_init(&p->renew, loop, on_renew, p);
	later_init(&p->start_waiting, start_waiting, p);
	p->base = role_base_new(loop, control_fd, &hooks, p);
	return p->base;
}
