/* SPDX-License-Identifier: ISC */
/*
 * role/front/warmth.c -- which connections keep TLS's buffers.
 *
 * A connection with traffic needs them for each record, and to make and overwrite them anew each time costs more than the
 * rest of a command. One without needs none, and ten thousand such would hold 340 MB. So those keep them that had traffic, from
 * the client or to it, within the last FRONT_WARM_MS, FRONT_WARM_MAX at most. Who stops in the middle of a record cannot give
 * them back: of those there may be FRONT_HALF_MAX, and then who has been silent for longest goes.
 *
 * A burst leaves the heap full of holes between what stays; once connections have become idle, the pages of those holes go back.
 */
#include "base/check.h"
#include "role/front/front.h"
#include "sys/log.h"
#include "sys/process.h"
#include "tls/tls.h"

static void set_timer(struct front *f)
{
	struct session *oldest = LIST_FIRST(&f->warm, struct session, in_warm);
	if (f->n_halves > FRONT_HALF_MAX) /* not from within another session's turn */
		timer_set(&f->cool, loop_now_ms(f->loop));
	else if (oldest != NULL)
		timer_set(&f->cool, oldest->warm_ms + FRONT_WARM_MS);
	else
		timer_clear(&f->cool);
}

static void leave(struct session *s)
{
	link_remove(&s->in_warm);
	if (s->is_half)
		s->front->n_halves--;
	else
		s->front->n_warm--;
	s->is_half = false;
}

static void keep_half(struct session *s)
{
	struct front *f = s->front;
	s->is_half = true;
	list_add_last(&f->halves, &s->in_warm);
	if (++f->n_halves > FRONT_HALF_MAX)
		set_timer(f);
}

static void drop_half(struct session *s)
{
	check(s != NULL); /* there are more than may be */
	if (s->held_back || link_used(&s->in_stalled) || s->asked != ASK_NOTHING) { /* it waits for us, not we for it */
		leave(s);
		return;
	}
	log_event(LOG_REFUSED, LOG_U("connection", s->number), LOG_S("client", s->client),
	          LOG_Z("reason", "too many connections stopped in the middle of a TLS record"));
	session_abandon(s);
}

static void trim_soon(struct front *f)
{
	if (!f->will_trim)
		timer_set(&f->trim, loop_now_ms(f->loop) + TRIM_MS);
	f->will_trim = true;
}

static void cool(struct session *s)
{
	check(s != NULL);
	leave(s);
	trim_soon(s->front);
	if (!tls_rest(s->tls))
		keep_half(s);
}

void warmth_trim(void *front)
{
	((struct front *)front)->will_trim = false;
	tls_buffers_rest();
	process_trim_memory();
}

void warmth_touch(struct session *s)
{
	struct front *f = s->front;
	if (link_used(&s->in_warm))
		leave(s);
	if (f->n_warm == FRONT_WARM_MAX)
		cool(LIST_FIRST(&f->warm, struct session, in_warm));
	s->warm_ms = loop_now_ms(f->loop);
	list_add_last(&f->warm, &s->in_warm);
	if (f->n_warm++ == 0)
		set_timer(f);
}

void warmth_leave(struct session *s)
{
	trim_soon(s->front);
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
	while (f->n_halves > FRONT_HALF_MAX && (s = LIST_FIRST(&f->halves, struct session, in_warm)) != NULL)
		drop_half(s);
	set_timer(f);
}
