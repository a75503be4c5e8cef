/* SPDX-License-Identifier: ISC */
/*
 * libuv's turn is: timers, prepare, wait and dispatch, check. What was put off runs in prepare and in check, so both
 * timers and descriptors see it done before the next wait. One uv_timer_t stands for the whole agenda.
 */
#include "sys/loop.h"

#include <signal.h>
#include <stdlib.h>

#include "base/check.h"
#include "sys/agenda.h"
#include "sys/confine.h"
#include "sys/loop_uv.h"

struct loop {
	uv_loop_t uv;
	uv_prepare_t before_wait;
	uv_check_t after_wait;
	uv_timer_t alarm;
	struct agenda agenda;
	bool stopped;
};

static void alarm_rang(uv_timer_t *alarm);

uv_loop_t *loop_uv(struct loop *loop)
{
	return &loop->uv;
}

struct agenda *loop_agenda(struct loop *loop)
{
	return &loop->agenda;
}

int64_t loop_now_ms(const struct loop *loop)
{
	return (int64_t)uv_now(&loop->uv);
}

/* The alarm is active exactly while a timer is set, so that libuv knows whether there is anything to wait for. */
static void set_alarm(struct loop *loop)
{
	int64_t due_ms;
	if (!agenda_next_due(&loop->agenda, &due_ms)) {
		check(uv_timer_stop(&loop->alarm) == 0);
		return;
	}
	int64_t now_ms = loop_now_ms(loop);
	uint64_t wait_ms = due_ms > now_ms ? (uint64_t)(due_ms - now_ms) : 0;
	check(uv_timer_start(&loop->alarm, alarm_rang, wait_ms, 0) == 0);
}

static void end_turn(struct loop *loop)
{
	(void)agenda_run_laters(&loop->agenda);
	set_alarm(loop);
}

static void alarm_rang(uv_timer_t *alarm)
{
	struct loop *loop = alarm->data;
	/* A timer that sets itself to "now" again waits for the next turn. The alarm is set anew in prepare: libuv rings one that is due "now"
	 * again and again before it looks at any descriptor. */
	uint64_t until = loop->agenda.order;
	int64_t now_ms = loop_now_ms(loop);
	while (loop->agenda.n > 0 && loop->agenda.heap[0].order < until && agenda_fire(&loop->agenda, now_ms))
		;
}

static void on_prepare(uv_prepare_t *p)
{
	end_turn(p->data);
}

static void on_check(uv_check_t *c)
{
	end_turn(c->data);
}

struct loop *loop_new(void)
{
	struct loop *loop = NEW(struct loop);
	/* A vanished reader and a file-size limit are errors that write() tells, not ends. */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	/* One behaviour with every libuv: a ring hands changes to epoll over later than they are made. Roles look whether it is so. */
	struct why why;
	(void)confine_without_rings(&why);
	agenda_init(&loop->agenda);
	check(uv_loop_init(&loop->uv) == 0);
	check(uv_prepare_init(&loop->uv, &loop->before_wait) == 0);
	check(uv_check_init(&loop->uv, &loop->after_wait) == 0);
	check(uv_timer_init(&loop->uv, &loop->alarm) == 0);
	loop->before_wait.data = loop->after_wait.data = loop->alarm.data = loop;
	check(uv_prepare_start(&loop->before_wait, on_prepare) == 0);
	check(uv_check_start(&loop->after_wait, on_check) == 0);
	uv_unref((uv_handle_t *)&loop->before_wait);
	uv_unref((uv_handle_t *)&loop->after_wait);
	return loop;
}

void loop_run(struct loop *loop)
{
	loop->stopped = false;
	for (;;) {
		end_turn(loop);
		if (loop->stopped || !uv_loop_alive(&loop->uv))
			break;
		(void)uv_run(&loop->uv, UV_RUN_DEFAULT);
	}
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
	uv_stop(&loop->uv);
}

static void close_left_over(uv_handle_t *handle, void *unused)
{
	(void)unused;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void loop_free(struct loop **loop_ref)
{
	struct loop *loop = *loop_ref;
	if (loop == NULL)
		return;
	*loop_ref = NULL;
	(void)agenda_run_laters(&loop->agenda);
	uv_walk(&loop->uv, close_left_over, NULL);
	while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) /* lets what is closing finish, also after a stop */
		;
	check(uv_loop_close(&loop->uv) == 0);
	agenda_fini(&loop->agenda);
	free(loop);
}
