/* SPDX-License-Identifier: ISC */
/*
 * role/front/warmth.c -- which connections keep TLS's buffers.
 *
 * A connection with traffic needs them for each record, and to make and overwrite them anew each time costs more than the
 * rest of a command. One without needs none, and ten thousand such would hold 340 MB. So those keep them that had traffic
 * within the last FRONT_WARM_MS, FRONT_WARM_MAX at most.
 */
#include "base/check.h"
#include "role/front/front.h"
#include "tls/tls.h"

static void set_timer(struct front *f)
{
	struct session *oldest = LIST_FIRST(&f->warm, struct session, in_warm);
	if (oldest != NULL)
		timer_set(&f->cool, oldest->warm_ms + FRONT_WARM_MS);
	else
		timer_clear(&f->cool);
}

static void leave(struct session *s)
{
	link_remove(&s->in_warm);
	s->front->n_warm--;
}

static void cool(struct session *s)
{
	check(s != NULL);
	leave(s);
	tls_rest(s->tls);
}

void warmth_touch(struct session *s)
{
	struct front *f = s->front;
	if (link_used(&s->in_warm))
		leave(s);
	else if (f->n_warm == FRONT_WARM_MAX)
		cool(LIST_FIRST(&f->warm, struct session, in_warm));
	s->warm_ms = loop_now_ms(f->loop);
	list_add_last(&f->warm, &s->in_warm);
	if (f->n_warm++ == 0)
		set_timer(f);
}

void warmth_leave(struct session *s)
{
	if (!link_used(&s->in_warm))
		return;
	leave(s);
	if (s->front->n_warm == 0)
		set_timer(s->front);
}

void warmth_cool(void *front)
{
	struct front *f = front;
	int64_t now = loop_now_ms(f->loop);
	struct session *s;
	while ((s = LIST_FIRST(&f->warm, struct session, in_warm)) != NULL && s->warm_ms + FRONT_WARM_MS <= now)
		cool(s);
	set_timer(f);
}
