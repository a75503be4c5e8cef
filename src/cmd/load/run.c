/* SPDX-License-Identifier: ISC */
/* cmd/load/run.c -- who opens a connection when, and what is counted; warm-up, end, progress. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/load/load.h"
#include "mail/trace.h"
#include "sys/clock.h"
#include "sys/process.h"

enum {
	TICK_MS = 500,
	TELL_EVERY_US = 5 * 1000 * 1000,
	AGAIN_MS = 100,              /* after a connection that failed ... */
	GATHER_AGAIN_MS = 1000,      /* ... before the first message: there may be many of them */
	LAST_WORDS_MS = 10 * 1000,   /* for messages under way at the end */
};

static void open_more(struct load *load);

/* ---- what is counted ---- */

bool load_wants_more(const struct load *load)
{
	const struct load_plan *p = load->plan;
	return !load->over && (p->count == 0 || load->warm || load->begun - load->warm_up_messages < p->count);
}

uint64_t load_begin_message(struct load *load)
{
	return load->begun++ * load->plan->processes + load->process;
}

/* What is accepted in the warm-up is not measured, nor what is accepted after the end, nor more than was asked for: connections that
 * had a message under way when the warm-up ended may be more than that. */
static bool is_measured(const struct load *load)
{
	uint64_t most = load->plan->count;
	return !load->warm && !load->over && (most == 0 || load->tally.accepted < most);
}

static void finished(struct load *load)
{
	load->finished++;
}

void load_accepted(struct load *load, int64_t dot_us, size_t rcpts, uint64_t octets)
{
	struct load_tally *t = &load->tally;
	finished(load);
	t->accepted_in_all++;
	if (!is_measured(load))
		return;
	t->accepted++;
	t->rcpts += rcpts;
	t->octets += octets;
	histogram_add(&t->dot_us, dot_us > 0 ? (uint64_t)dot_us : 0);
	t->ended_us = clock_ticks_us();
}

void load_note_refusal(struct load *load, const struct smtp_reply *reply)
{
	struct buf line;
	if (load->tally.first_refusal[0] != '\0')
		return;
	buf_init(&line, REPLY_TEXT_MAX + 64);
	fault f = reply_put_line(&line, reply);
	(void)snprintf(load->tally.first_refusal, sizeof load->tally.first_refusal, "%.*s",
	               STR_ARG(str_sub(f == OK ? buf_view(&line) : reply->text, 0, sizeof load->tally.first_refusal - 1)));
	buf_fini(&line);
}

void load_refused(struct load *load, const struct smtp_reply *reply)
{
	finished(load);
	load->tally.refused[reply->code]++;
	load_note_refusal(load, reply);
}

void load_refused_rcpt(struct load *load, const struct smtp_reply *reply)
{
	load->tally.rcpts_refused[reply->code]++;
	load_note_refusal(load, reply);
}

void load_lost(struct load *load, enum load_loss how, const char *words)
{
	struct load_tally *t = &load->tally;
	if (load->gathering) {
		t->gather_lost[how]++;
	} else {
		finished(load);
		t->lost[how]++;
	}
	if (t->first_refusal[0] == '\0')
		(void)snprintf(t->first_refusal, sizeof t->first_refusal, "%s", words);
}

/* ---- slots ---- */

static void want_to_open(struct slot *slot)
{
	struct load *load = slot->load;
	if (link_used(&slot->waits) || !load_wants_more(load))
		return;
	list_add_last(&load->waiting, &slot->waits);
}

static void again(void *owner)
{
	struct slot *slot = owner;
	want_to_open(slot);
	open_more(slot->load);
}

static void stop_if_done(struct load *load)
{
	if (load->busy == 0 && (load->over || !load_wants_more(load)))
		loop_stop(load->loop);
}

static void open_more(struct load *load)
{
	while (load->opening < load->plan->opening && !list_empty(&load->waiting)) {
		struct slot *slot = LIST_FIRST(&load->waiting, struct slot, waits);
		link_remove(&slot->waits);
		if (!load_wants_more(load))
			continue;
		load->opening++;
		load->busy++;
		slot->visit = load_visit_new(slot);
	}
	stop_if_done(load);
}

void load_is_open(struct slot *slot)
{
	struct load *load = slot->load;
	load->opening--;
	slot->is_open = true;
	if (load->gathering)
		gather_stands(load);
	open_more(load);
}

/* Once each of them is held, or lost. */
static void tell_held(struct load *load)
{
	unsigned all = load->plan->gather_ms > 0 ? load->tally.stood : load->plan->connections;
	if (load->held_told || load->held + load->not_held < all)
		return;
	load->held_told = true;
	load_report_held(load);
}

void load_is_held(struct slot *slot)
{
	struct load *load = slot->load;
	slot->is_held = true;
	load->held++;
	tell_held(load);
}

/* One of those that were to be held is lost. */
static void note_not_held(struct load *load)
{
	load->not_held++;
	tell_held(load);
}

/* What its place does when a connection is over. */
static void go_on(struct slot *slot, bool failed)
{
	struct load *load = slot->load;
	if (slot->is_out)
		return;
	if (load->gathering)
		timer_set(&slot->again, loop_now_ms(load->loop) + GATHER_AGAIN_MS);
	else if (load->plan->hold)
		note_not_held(load);
	else if (failed)
		timer_set(&slot->again, loop_now_ms(load->loop) + AGAIN_MS);
	else
		want_to_open(slot);
}

void load_visit_over(struct slot *slot, bool failed)
{
	struct load *load = slot->load;
	load->held -= slot->is_held;
	if (!slot->is_open)
		load->opening--;
	else if (load->gathering)
		load->standing--;
	slot->is_open = slot->is_held = false;
	load->busy--;
	load_visit_free(&slot->visit);
	go_on(slot, failed);
	open_more(load);
}

/* ---- time ---- */

static void end_now(void *owner)
{
	loop_stop(((struct load *)owner)->loop);
}

void load_end(struct load *load)
{
	if (load->over) { /* told twice to stop */
		loop_stop(load->loop);
		return;
	}
	load->over = true;
	load->tally.ended_us = clock_ticks_us();
	timer_clear(&load->end); /* a signal may come before its time */
	timer_init(&load->end, load->loop, end_now, load);
	timer_set(&load->end, loop_now_ms(load->loop) + (load->plan->hold ? 0 : LAST_WORDS_MS));
	for (unsigned i = 0; i < load->plan->connections && !load->plan->hold; i++)
		if (load->slots[i].visit != NULL)
			load_visit_stop(load->slots[i].visit);
	stop_if_done(load);
}

static void on_end(void *owner)
{
	load_end(owner);
}

static void begin_measure(void *owner)
{
	struct load *load = owner;
	load->warm = false;
	load->warm_up_messages = load->finished; /* what is under way is measured */
	load->tally.begun_us = clock_ticks_us();
	if (load->plan->duration_ms > 0)
		timer_set(&load->end, loop_now_ms(load->loop) + load->plan->duration_ms);
}

static void on_signal(void *owner, enum signal_kind which)
{
	if (which == SIGNAL_STOP)
		load_end(owner);
}

void load_begin(struct load *load)
{
	load->warm = load->plan->warm_up_ms > 0;
	if (load->warm)
		timer_set(&load->warm_up, loop_now_ms(load->loop) + load->plan->warm_up_ms);
	else
		begin_measure(load);
}

static void tell_standing(const struct load *load, double seconds)
{
	(void)fprintf(stderr, "%.0f s: %u of %u connections stand\n", seconds, load->standing, load->plan->connections);
}

static void tell_progress(struct load *load)
{
	int64_t now_us = clock_ticks_us();
	if (load->plan->quiet || now_us - load->told_us < TELL_EVERY_US)
		return;
	double seconds = (double)(now_us - load->told_us) / 1e6;
	if (load->gathering)
		tell_standing(load, (double)(now_us - load->started_us) / 1e6);
	else
		(void)fprintf(stderr, "%.0f s: %" PRIu64 " messages%s, now %.0f a second, %u connections%s\n",
		              (double)(now_us - load->started_us) / 1e6, load->finished, load->warm ? " (warming up)" : "",
		              (double)(load->finished - load->told) / seconds, load->busy - load->opening, load->over ? ", ending" : "");
	load->told = load->finished;
	load->told_us = now_us;
}

static void tick(void *owner)
{
	struct load *load = owner;
	int64_t now_ms = loop_now_ms(load->loop);
	for (unsigned i = 0; i < load->plan->connections; i++)
		if (load->slots[i].visit != NULL)
			load_visit_sweep(load->slots[i].visit, now_ms);
	tell_progress(load);
	timer_set(&load->tick, now_ms + TICK_MS);
}

/* ---- all of it ---- */

static void write_date(struct load *load)
{
	struct buf date;
	int64_t now_s = clock_wall_s();
	buf_init(&date, sizeof load->date - 1);
	fault f = buf_add(&date, STR("Date: "));
	if (f == OK)
		f = date_put(&date, now_s, clock_zone_minutes(now_s));
	if (f == OK)
		f = buf_add(&date, STR("\r\n"));
	check(f == OK);
	memcpy(load->date, buf_view(&date).p, buf_view(&date).n);
	buf_fini(&date);
}

void load_run(struct load *load)
{
	unsigned n = load->plan->connections;
	uint64_t cpu_us = process_cpu_us();
	load->loop = loop_new();
	message_prepare(load);
	write_date(load);
	list_init(&load->waiting);
	load->slots = must_alloc(n * sizeof *load->slots);
	for (unsigned i = 0; i < n; i++) {
		struct slot *slot = &load->slots[i];
		slot->load = load;
		slot->number = i * load->plan->processes + load->process;
		link_init(&slot->waits);
		timer_init(&slot->again, load->loop, again, slot);
	}
	load->started_us = load->told_us = clock_ticks_us();
	timer_init(&load->warm_up, load->loop, begin_measure, load);
	timer_init(&load->end, load->loop, on_end, load);
	timer_init(&load->tick, load->loop, tick, load);
	signals_watch(load->loop, on_signal, load);
	if (load->plan->gather_ms > 0)
		gather_begin(load);
	else
		load_begin(load);
	timer_set(&load->tick, loop_now_ms(load->loop) + TICK_MS);
	for (unsigned i = 0; i < n; i++)
		want_to_open(&load->slots[i]);
	open_more(load);
	loop_run(load->loop);
	load->tally.cpu_us = process_cpu_us() - cpu_us;
	timer_clear(&load->warm_up);
	timer_clear(&load->end);
	timer_clear(&load->tick);
	gather_forget(load);
	for (unsigned i = 0; i < n; i++) {
		timer_clear(&load->slots[i].again);
		load_visit_free(&load->slots[i].visit);
		tls_ticket_free(&load->slots[i].ticket);
	}
	free(load->slots);
	buf_fini(&load->body);
	loop_free(&load->loop);
}
