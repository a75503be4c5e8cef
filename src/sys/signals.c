/* SPDX-License-Identifier: ISC */
/* sys/signals.c -- signals to the supervisor, and work on libuv's threads. */
#include "sys/process.h"

#include <signal.h>
#include <stdlib.h>

#include "base/check.h"
#include "sys/loop_uv.h"

/* A process has one set of signals, so one watch. */
static struct {
	uv_signal_t reload, terminate, interrupt;
	void (*notify)(void *owner, enum signal_kind which);
	void *owner;
} watched;

static void on_signal(uv_signal_t *watch, int number)
{
	(void)watch;
	watched.notify(watched.owner, number == SIGHUP ? SIGNAL_RELOAD : SIGNAL_STOP);
}

static void watch(struct loop *loop, uv_signal_t *handle, int number)
{
	check(uv_signal_init(loop_uv(loop), handle) == 0);
	check(uv_signal_start(handle, on_signal, number) == 0);
	uv_unref((uv_handle_t *)handle); /* a signal that may come is nothing to wait for */
}

void signals_spare_full_files(void)
{
	(void)signal(SIGXFSZ, SIG_IGN);
}

void signals_watch(struct loop *loop, void (*notify)(void *owner, enum signal_kind which), void *owner)
{
	watched.notify = notify;
	watched.owner = owner;
	watch(loop, &watched.reload, SIGHUP);
	watch(loop, &watched.terminate, SIGTERM);
	watch(loop, &watched.interrupt, SIGINT);
}

struct work {
	uv_work_t request;
	void (*run)(void *job);
	void (*done)(void *job);
	void *job;
};

static void run_work(uv_work_t *request)
{
	struct work *w = request->data;
	w->run(w->job);
}

static void work_done(uv_work_t *request, int status)
{
	struct work *w = request->data;
	(void)status;
	w->done(w->job);
	free(w);
}

void work_start(struct loop *loop, void (*run)(void *job), void (*done)(void *job), void *job)
{
	struct work *w = NEW(struct work);
	*w = (struct work){ .run = run, .done = done, .job = job };
	w->request.data = w;
	check(uv_queue_work(loop_uv(loop), &w->request, run_work, work_done) == 0);
}

static void nothing(void *job)
{
	(void)job;
}

/* libuv starts its threads with the first piece of work, and waits until they are there. */
void work_begin(struct loop *loop)
{
	work_start(loop, nothing, nothing, NULL);
}
