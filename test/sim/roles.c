/* SPDX-License-Identifier: ISC */
/* test/sim/roles.c -- roles in this process instead of children, crashes at any turn; and the log, kept. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "role/role.h"
#include "sys/clock.h"
#include "sys/log_format.h"

enum { NAME_MAX_ = 32, START_MS_MAX = 20, LOG_KEPT = 64 << 20 };

struct child {
	struct link in_world;
	struct loop *loop;
	char name[NAME_MAX_];
	struct role_base *base;
	int control, pid;
	struct timer start, end;
	const char *how;
	bool over;
	void (*ended)(void *owner, const char *how);
	void *owner;
};

static struct list children = { { &children.head, &children.head } };
static int last_pid = 100;

static void on_role_end(void *owner)
{
	struct child *c = owner;
	if (c->how == NULL)
		c->how = "exit status 0";
	timer_set(&c->end, world.now_ms);
}

const char *roles_hang;

static void start_role(void *owner)
{
	struct child *c = owner;
	if (roles_hang != NULL && strcmp(roles_hang, c->name) == 0) {
		roles_hang = NULL;
		return;
	}
	int fd = c->control;
	c->control = -1;
	c->base = role_start(c->loop, c->name, fd);
	if (c->base == NULL)
		fprintf(stderr, "sim: the role %s does not start\n", c->name);
	check(c->base != NULL);
	role_on_end(c->base, on_role_end, c);
}

static void end_role(void *owner)
{
	struct child *c = owner;
	world.dying = strcmp(c->how, "exit status 0") != 0;
	role_free(&c->base);
	world.dying = false;
	timer_clear(&c->start);
	fd_close(&c->control);
	c->over = true;
	c->ended(c->owner, c->how);
}

struct child *child_start(struct loop *loop, const struct child_plan *plan, int *control_fd_out,
                          void (*ended)(void *owner, const char *how), void *owner, struct why *why)
{
	int pair[2];
	if (socket_pair(pair) != OK) {
		(void)why_say(why, F_LIMIT, "no socketpair");
		return NULL;
	}
	struct child *c = NEW(struct child);
	*c = (struct child){ .loop = loop, .control = pair[1], .pid = ++last_pid, .ended = ended, .owner = owner };
	(void)snprintf(c->name, sizeof c->name, "%s", plan->role);
	timer_init(&c->start, loop, start_role, c);
	timer_init(&c->end, loop, end_role, c);
	timer_set(&c->start, world.now_ms + (int64_t)chance_below(START_MS_MAX));
	list_add_last(&children, &c->in_world);
	net_trust(pair[0]);
	*control_fd_out = pair[0];
	return c;
}

void child_kill(struct child *c)
{
	if (c->over || c->how != NULL)
		return;
	c->how = "signal 9 (Killed)";
	timer_set(&c->end, world.now_ms);
}

void child_free(struct child **c_ref)
{
	struct child *c = *c_ref;
	if (c == NULL)
		return;
	*c_ref = NULL;
	link_remove(&c->in_world);
	timer_clear(&c->start);
	timer_clear(&c->end);
	fd_close(&c->control);
	role_free(&c->base);
	free(c);
}

int child_pid(const struct child *c)
{
	return c->over ? 0 : c->pid;
}

/* --- crashes --- */

size_t roles_running(void)
{
	size_t n = 0;
	LIST_EACH(l, &children)
		n += LIST_MEMBER(l, struct child, in_world)->base != NULL;
	return n;
}

static void crash(struct child *c)
{
	world.crashes++;
	c->how = "signal 11 (Segmentation fault)";
	if (world.verbose)
		fprintf(stderr, "%8lld ms: %s crashes\n", (long long)world.now_ms, c->name);
	/* All at once: what it held is gone before anyone else has a turn. */
	world.dying = true;
	role_free(&c->base);
	world.dying = false;
	timer_set(&c->end, world.now_ms + (int64_t)chance_below(20));
}

bool roles_crash(const char *name)
{
	LIST_EACH(l, &children) {
		struct child *c = LIST_MEMBER(l, struct child, in_world);
		if (c->base != NULL && c->how == NULL && strcmp(c->name, name) == 0) {
			crash(c);
			return true;
		}
	}
	return false;
}

bool roles_crash_one(void)
{
	size_t n = 0;
	struct child *chosen = NULL;
	LIST_EACH(l, &children) {
		struct child *c = LIST_MEMBER(l, struct child, in_world);
		if (c->base != NULL && c->how == NULL && chance_below(++n) == 0)
			chosen = c;
	}
	if (chosen != NULL)
		crash(chosen);
	return chosen != NULL;
}

void roles_end(void)
{
	world.dying = true;
	LIST_EACH(l, &children)
		role_free(&LIST_MEMBER(l, struct child, in_world)->base);
	world.dying = false;
}

/* --- the rest of process.h --- */

static void (*notify_signal)(void *owner, enum signal_kind which);
static void *notify_owner;

void signals_watch(struct loop *loop, void (*notify)(void *owner, enum signal_kind which), void *owner)
{
	(void)loop;
	notify_signal = notify;
	notify_owner = owner;
}

void roles_signal(enum signal_kind which)
{
	if (notify_signal != NULL)
		notify_signal(notify_owner, which);
}

bool service_notify(const char *state)
{
	(void)state;
	return true;
}

bool process_is_root(void)
{
	return false;
}

uint32_t process_user(void)
{
	return geteuid();
}

fault user_find(const char *name, uint32_t *uid_out, uint32_t *gid_out)
{
	(void)name;
	*uid_out = geteuid();
	*gid_out = getegid();
	return OK;
}

fault user_name(uint32_t uid, char *to, size_t room)
{
	(void)uid;
	if (room < sizeof "somebody")
		return F_LIMIT;
	memcpy(to, "somebody", sizeof "somebody");
	return OK;
}

unsigned process_cores(void)
{
	return 2;
}

bool process_has_terminal(void)
{
	return false;
}

fault process_errors_to(const char *path, struct why *why)
{
	(void)path;
	(void)why;
	return OK;
}

bool process_exists(uint32_t pid)
{
	return pid > 0;
}

void process_trim_memory(void)
{
}

uint64_t process_peak_bytes(void)
{
	return 1 << 20;
}

struct work { struct later later; void (*run)(void *job); void (*done)(void *job); void *job; };

static void do_work(void *owner)
{
	struct work *w = owner;
	w->run(w->job);
	w->done(w->job);
	free(w);
}

/* In the same turn, so that no work outlives a role that crashes between turns. */
void work_start(struct loop *loop, void (*run)(void *job), void (*done)(void *job), void *job)
{
	struct work *w = NEW(struct work);
	w->run = run;
	w->done = done;
	w->job = job;
	later_init(&w->later, do_work, w);
	later_set(loop, &w->later);
}

/* --- the log --- */

struct buf world_log = { .max = LOG_KEPT };

void log_begin(const char *role, bool json)
{
	(void)role;
	(void)json;
}

void log_facts(enum log_event event, size_t n, const struct log_fact *facts)
{
	struct buf line;
	buf_init(&line, LOG_LINE_MAX);
	log_format(&line, false, "-", clock_wall_ms(), event, n, facts);
	if (world.verbose)
		fprintf(stderr, "%8lld ms: %.*s", (long long)world.now_ms, STR_ARG(buf_view(&line)));
	if (buf_add(&world_log, buf_view(&line)) != OK)
		buf_clear(&world_log);
	buf_fini(&line);
}

/* --- nobody is confined here: all roles are one process --- */

const struct confine_facts *confine_facts(void)
{
	static const struct confine_facts none = { .less = "" };
	return &none;
}

fault confine_put_json(struct buf *out)
{
	return buf_addf(out, "null");
}

bool confine_is_stale(void)
{
	return false;
}
