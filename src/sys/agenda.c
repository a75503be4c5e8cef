/* SPDX-License-Identifier: ISC */
#include "sys/agenda.h"

#include <stdlib.h>

#include "base/check.h"

void agenda_init(struct agenda *a)
{
	*a = (struct agenda){ 0 };
	list_init(&a->laters);
}

void agenda_fini(struct agenda *a)
{
	free(a->heap);
	a->heap = NULL;
	a->n = a->cap = 0;
}

static bool earlier(const struct appointment *a, const struct appointment *b)
{
	return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void place(struct agenda *a, size_t at, struct appointment what)
{
	a->heap[at] = what;
	what.timer->impl = (void *)(uintptr_t)(at + 1);
}

static void sift_up(struct agenda *a, size_t at)
{
	struct appointment moving = a->heap[at];
	while (at > 0 && earlier(&moving, &a->heap[(at - 1) / 2])) {
		place(a, at, a->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(a, at, moving);
}

static void sift_down(struct agenda *a, size_t at)
{
	struct appointment moving = a->heap[at];
	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= a->n)
			break;
		if (child + 1 < a->n && earlier(&a->heap[child + 1], &a->heap[child]))
			child++;
		if (!earlier(&a->heap[child], &moving))
			break;
		place(a, at, a->heap[child]);
		at = child;
	}
	place(a, at, moving);
}

static void take_out(struct agenda *a, size_t at)
{
	a->heap[at].timer->impl = NULL;
	struct appointment last = a->heap[--a->n];
	if (at == a->n)
		return;
	a->heap[at] = last;
	sift_down(a, at);
	sift_up(a, (size_t)(uintptr_t)last.timer->impl - 1);
}

bool agenda_next_due(const struct agenda *a, int64_t *due_ms_out)
{
	if (a->n == 0)
		return false;
	*due_ms_out = a->heap[0].due_ms;
	return true;
}

bool agenda_fire(struct agenda *a, int64_t now_ms)
{
	if (a->n == 0 || a->heap[0].due_ms > now_ms)
		return false;
	struct timer *t = a->heap[0].timer;
	take_out(a, 0);
	t->fire(t->owner);
	return true;
}

size_t agenda_run_laters(struct agenda *a)
{
	size_t ran = 0;
	while (!list_empty(&a->laters)) {
		struct later *l = LIST_FIRST(&a->laters, struct later, in_loop);
		link_remove(&l->in_loop);
		l->run(l->owner);
		ran++;
	}
	return ran;
}

void timer_init(struct timer *t, struct loop *loop, void (*fire)(void *owner), void *owner)
{
	*t = (struct timer){ .loop = loop, .fire = fire, .owner = owner };
}

void timer_set(struct timer *t, int64_t due_ms)
{
	struct agenda *a = loop_agenda(t->loop);
	timer_clear(t);
	if (a->n == a->cap) {
		a->cap = a->cap == 0 ? 16 : a->cap * 2;
		a->heap = must_resize(a->heap, a->cap * sizeof *a->heap);
	}
	a->heap[a->n] = (struct appointment){ due_ms, a->order++, t };
	sift_up(a, a->n++);
}

void timer_clear(struct timer *t)
{
	if (t->impl != NULL)
		take_out(loop_agenda(t->loop), (size_t)(uintptr_t)t->impl - 1);
}

void later_init(struct later *l, void (*run)(void *owner), void *owner)
{
	*l = (struct later){ .run = run, .owner = owner };
	link_init(&l->in_loop);
}

void later_set(struct loop *loop, struct later *l)
{
	if (!link_used(&l->in_loop))
		list_add_last(&loop_agenda(loop)->laters, &l->in_loop);
}

void later_clear(struct later *l)
{
	link_remove(&l->in_loop);
}
