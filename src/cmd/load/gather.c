/* SPDX-License-Identifier: ISC */
/*
 * cmd/load/gather.c -- all connections first.
 *
 * Whoever stands (has shaken hands, said EHLO, logged in) waits, so that no handshake is part of what is measured and nobody who
 * sends keeps others from getting in. One that fails, or is thrown out while it waits, tries again; who does not stand in time
 * stays out, and those that do begin without it.
 */
#include "base/check.h"
#include "cmd/load/load.h"
#include "sys/clock.h"

static void leave_out(struct slot *slot)
{
	slot->is_out = true;
	link_remove(&slot->waits);
	timer_clear(&slot->again);
	if (slot->visit != NULL)
		load_visit_stop(slot->visit);
}

static bool stands(const struct slot *slot)
{
	return slot->visit != NULL && load_visit_stands(slot->visit);
}

static void begin_together(struct load *load)
{
	unsigned n = load->plan->connections;
	load->gathering = false;
	gather_forget(load);
	for (unsigned i = 0; i < n; i++)
		load->tally.stood += stands(&load->slots[i]) ? 1 : 0;
	load->tally.gathered_us = clock_ticks_us() - load->started_us;
	load_report_gathered(load);
	load_begin(load);
	for (unsigned i = 0; i < n; i++)
		if (!stands(&load->slots[i]))
			leave_out(&load->slots[i]);
	for (unsigned i = 0; i < n; i++)
		if (stands(&load->slots[i]))
			load_visit_begin(load->slots[i].visit);
	if (load->tally.stood == 0)
		load_end(load);
}

static void on_time(void *owner)
{
	struct load *load = owner;
	if (load->gathering && !load->over)
		begin_together(load);
}

/* At the end of a turn: one that has just been lost does not stand any more. */
static void on_all_stand(void *owner)
{
	struct load *load = owner;
	if (load->gathering && !load->over && load->standing == load->plan->connections)
		begin_together(load);
}

void gather_begin(struct load *load)
{
	load->gathering = load->warm = true;
	later_init(&load->all_stand, on_all_stand, load);
	timer_init(&load->gather_end, load->loop, on_time, load);
	timer_set(&load->gather_end, loop_now_ms(load->loop) + load->plan->gather_ms);
}

void gather_stands(struct load *load)
{
	if (++load->standing == load->plan->connections)
		later_set(load->loop, &load->all_stand);
}

void gather_forget(struct load *load)
{
	if (load->plan->gather_ms == 0)
		return;
	timer_clear(&load->gather_end);
	later_clear(&load->all_stand);
}
