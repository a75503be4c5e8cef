/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "sys/loop.h"
#include "sys/loop_uv.h"

struct note { struct timer timer; struct later later; struct trail *trail; char letter; };
struct trail { struct loop *loop; char text[64]; size_t n; struct note notes[8]; };

static void write_down(void *owner)
{
	struct note *n = owner;
	n->trail->text[n->trail->n++] = n->letter;
}

static void set_up(struct trail *t)
{
	*t = (struct trail){ .loop = loop_new() };
	for (size_t i = 0; i < COUNT(t->notes); i++) {
		t->notes[i].trail = t;
		t->notes[i].letter = (char)('a' + i);
		timer_init(&t->notes[i].timer, t->loop, write_down, &t->notes[i]);
		later_init(&t->notes[i].later, write_down, &t->notes[i]);
	}
}

static void timers_fire_by_due_time_then_by_order_of_setting(void **state)
{
	(void)state;
	struct trail t;
	set_up(&t);
	int64_t now = loop_now_ms(t.loop);
	timer_set(&t.notes[0].timer, now + 9);
	timer_set(&t.notes[1].timer, now + 3);
	timer_set(&t.notes[2].timer, now + 6);
	timer_set(&t.notes[3].timer, now + 3);
	timer_set(&t.notes[4].timer, now - 5);
	timer_set(&t.notes[5].timer, now + 1);
	timer_set(&t.notes[0].timer, now + 1);  /* replaces, and now stands behind f */
	timer_clear(&t.notes[2].timer);
	timer_clear(&t.notes[2].timer);
	loop_run(t.loop);
	assert_string_equal(t.text, "efabd");
	assert_true(loop_now_ms(t.loop) >= now + 3);
	loop_free(&t.loop);
}

static void many_timers_keep_their_order(void **state)
{
	(void)state;
	enum { MANY = 500 };
	static struct { struct timer timer; } many[MANY];
	struct loop *loop = loop_new();
	int64_t now = loop_now_ms(loop);
	struct trail t;
	set_up(&t);
	uint32_t x = 7;
	for (size_t i = 0; i < MANY; i++) {
		timer_init(&many[i].timer, loop, write_down, &t.notes[0]);
		x = x * 1103515245 + 12345;
		timer_set(&many[i].timer, now + (x >> 16) % 50);
	}
	for (size_t i = 0; i < MANY; i += 2)
		timer_clear(&many[i].timer);
	for (size_t i = 1; i < MANY; i += 2)
		assert_non_null(many[i].timer.impl);
	for (size_t i = 1; i < MANY; i += 2)
		timer_clear(&many[i].timer);
	loop_run(loop); /* nothing is left: returns at once */
	assert_int_equal(t.n, 0);
	loop_free(&loop);
	loop_free(&t.loop);
}

static void put_off(void *owner)
{
	struct note *n = owner;
	write_down(n);
	later_set(n->trail->loop, &n->trail->notes[1].later);
	later_set(n->trail->loop, &n->trail->notes[1].later); /* twice is once */
	later_set(n->trail->loop, &n->trail->notes[2].later);
	later_clear(&n->trail->notes[2].later);
}

static void what_is_put_off_runs_at_the_end_of_the_turn(void **state)
{
	(void)state;
	struct trail t;
	set_up(&t);
	int64_t now = loop_now_ms(t.loop);
	timer_init(&t.notes[0].timer, t.loop, put_off, &t.notes[0]);
	timer_set(&t.notes[0].timer, now);
	timer_set(&t.notes[3].timer, now);
	timer_set(&t.notes[4].timer, now + 1000); /* not due in this turn, even on a busy machine */
	loop_run(t.loop);
	assert_string_equal(t.text, "adbe");
	loop_free(&t.loop);
}

static void a_later_without_anything_else_still_runs(void **state)
{
	(void)state;
	struct trail t;
	set_up(&t);
	later_set(t.loop, &t.notes[1].later);
	loop_run(t.loop);
	assert_string_equal(t.text, "b");
	loop_free(&t.loop);
}

static void stop(void *owner)
{
	struct note *n = owner;
	loop_stop(n->trail->loop);
}

static void stop_ends_the_run_and_the_rest_waits(void **state)
{
	(void)state;
	struct trail t;
	set_up(&t);
	int64_t now = loop_now_ms(t.loop);
	timer_init(&t.notes[0].timer, t.loop, stop, &t.notes[0]);
	timer_set(&t.notes[0].timer, now);
	timer_set(&t.notes[1].timer, now + 2);
	loop_run(t.loop);
	assert_int_equal(t.n, 0);
	loop_run(t.loop);
	assert_string_equal(t.text, "b");
	loop_free(&t.loop);
}

/* Something long that is done in parts, and a neighbour who has written meanwhile. */
struct long_work { struct loop *loop; struct timer timer; unsigned parts; };

static void next_part(void *owner)
{
	struct long_work *w = owner;
	if (++w->parts < 1000)
		timer_set(&w->timer, loop_now_ms(w->loop));
}

static void heard(uv_poll_t *poll, int status, int events)
{
	struct long_work *w = poll->data;
	assert_int_equal(status, 0);
	assert_int_equal(events, UV_READABLE);
	loop_stop(w->loop);
}

static void work_in_parts_lets_others_be_heard(void **state)
{
	(void)state;
	static uv_poll_t poll;
	int ends[2];
	struct long_work w = { .loop = loop_new() };
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(uv_poll_init(loop_uv(w.loop), &poll, ends[0]), 0);
	poll.data = &w;
	assert_int_equal(uv_poll_start(&poll, UV_READABLE, heard), 0);
	timer_init(&w.timer, w.loop, next_part, &w);
	timer_set(&w.timer, loop_now_ms(w.loop));
	loop_run(w.loop);
	assert_in_range(w.parts, 1, 2);
	timer_clear(&w.timer);
	loop_free(&w.loop);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_by_due_time_then_by_order_of_setting),
		cmocka_unit_test(many_timers_keep_their_order),
		cmocka_unit_test(what_is_put_off_runs_at_the_end_of_the_turn),
		cmocka_unit_test(a_later_without_anything_else_still_runs),
		cmocka_unit_test(stop_ends_the_run_and_the_rest_waits),
		cmocka_unit_test(work_in_parts_lets_others_be_heard),
	};
	return cmocka_run_group_tests_name("sys/loop", tests, NULL, NULL);
}
