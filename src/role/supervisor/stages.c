/* SPDX-License-Identifier: ISC */
/*
 * role/supervisor/stages.c -- how a generation of the configuration passes through the roles.
 *
 * Stage 0 the keeper, 1 resolver, spool, courier and porter, 2 the fronts. A stage begins when every role of the one
 * before has accepted, and when those of its own that make room for others (other folders) have ended what they had in
 * hand: until then the spool goes on by the old one. One refusal and the coming generation is dropped: who had accepted
 * it gets the old one again.
 */
#include "role/supervisor/slot.h"

#include "sys/clock.h"
#include "sys/log.h"

fault generation_load(struct supervisor *sv, struct generation *out, struct conf_report *report)
{
	struct why why = { "" };
	struct generation g = { .number = ++sv->last_number, .read_s = clock_wall_s() };
	fault f = conf_load(sv->options.conf_path, &g.texts, &why);
	if (f != OK) {
		report->errors++;
		if (buf_addf(&report->text, "%s\n", why.text) != OK)
			report->errors++;
		return f;
	}
	f = conf_read(g.texts->items, g.texts->n, &g.conf, report);
	if (f == OK)
		f = permit_judge(g.conf, g.texts->items, g.texts->n, report);
	if (f != OK) {
		generation_free(&g);
		return f;
	}
	*out = g;
	return OK;
}

void generation_free(struct generation *g)
{
	conf_texts_free(&g->texts);
	conf_free(&g->conf);
	*g = (struct generation){ 0 };
}

const struct generation *generation_for(const struct slot *s)
{
	const struct supervisor *sv = s->sv;
	if (sv->coming.number != 0 && stage_of(s->kind) <= sv->stage)
		return &sv->coming;
	return sv->current.number != 0 ? &sv->current : NULL;
}

static bool stage_is_through(const struct supervisor *sv)
{
	for (size_t i = 0; i < sv->n_slots; i++)
		if (stage_of(sv->slots[i].kind) <= sv->stage && sv->slots[i].accepted != sv->coming.number)
			return false;
	return true;
}

static bool all_have_room(struct supervisor *sv, const struct generation *g, unsigned stage)
{
	bool room = true;
	for (size_t i = 0; i < sv->n_slots; i++)
		if (stage_of(sv->slots[i].kind) == stage && slot_makes_room(&sv->slots[i], g))
			room = false;
	return room;
}

/* Not before the keeper has taken the first configuration, so that one which is refused leaves the disk as it was. */
static bool queue_is_there(struct supervisor *sv)
{
	struct conf_report report;
	conf_report_init(&report);
	fault f = account_prepare_queue(sv, sv->coming.conf, &report);
	if (f != OK) {
		supervisor_log_errors(LOG_START_FAILED, NULL, buf_view(&report.text));
		supervisor_fail(sv, 78);
	}
	conf_report_fini(&report);
	return f == OK;
}

static void offer_stage(struct supervisor *sv)
{
	if (!all_have_room(sv, &sv->coming, sv->stage))
		return;
	if (sv->current.number == 0 && sv->stage == stage_of(ROLE_SPOOL) && !sv->queue_prepared) {
		if (!queue_is_there(sv))
			return;
		sv->queue_prepared = true;
		for (size_t i = 0; i < sv->n_slots; i++)
			if (sv->slots[i].kind == ROLE_SPOOL)
				slot_start(&sv->slots[i]);
	}
	for (size_t i = 0; i < sv->n_slots; i++) {
		struct slot *s = &sv->slots[i];
		if (stage_of(s->kind) == sv->stage && s->running)
			slot_offer(s, &sv->coming);
	}
}

void generation_begin(struct supervisor *sv, struct generation *g)
{
	generation_free(&sv->coming);
	sv->coming = *g;
	*g = (struct generation){ 0 };
	sv->stage = 0;
	offer_stage(sv);
}

/* It holds the older generation's private keys until then. After a refusal it keeps them for longer: the files may be others
 * by now than those that the fronts have read. */
static void tell_keeper_it_is_settled(struct supervisor *sv)
{
	for (size_t i = 0; i < sv->n_slots; i++)
		if (sv->slots[i].kind == ROLE_KEEPER && sv->slots[i].control != NULL)
			channel_send(sv->slots[i].control, TO_ROLE_SETTLED, &(struct to_role_settled){ .generation = sv->current.number });
}

void generation_goes_on(struct supervisor *sv)
{
	if (sv->coming.number != 0 && sv->phase == SV_RUNNING)
		offer_stage(sv);
}

void generation_accepted(struct slot *s, uint64_t number)
{
	struct supervisor *sv = s->sv;
	if (number != s->offered)
		return; /* an older offer, overtaken */
	timer_clear(&s->ready);
	s->accepted = number;
	if (sv->coming.number == 0) {
		chains_pass_again(sv);
		return;
	}
	while (sv->stage < STAGES && stage_is_through(sv)) {
		sv->stage++;
		if (sv->stage < STAGES)
			offer_stage(sv);
	}
	if (sv->stage < STAGES)
		return;

	bool reloaded = sv->current.number != 0;
	generation_free(&sv->current);
	sv->current = sv->coming;
	sv->coming = (struct generation){ 0 };
	bound_keep(sv, sv->current.conf);
	tell_keeper_it_is_settled(sv);
	supervisor_ready(sv, reloaded);
	chains_pass_again(sv);
}

void generation_refused(struct slot *s, uint64_t number, struct str text)
{
	struct supervisor *sv = s->sv;
	if (number != s->offered)
		return;
	timer_clear(&s->ready);
	if (sv->coming.number != number) {
		/* A role that came back does not like what the others run on: a file has changed since. */
		supervisor_log_errors(LOG_TROUBLE, role_kind_name(s->kind), text);
		if (s->child != NULL)
			child_kill(s->child);
		return;
	}
	supervisor_log_errors(sv->current.number == 0 ? LOG_START_FAILED : LOG_RELOAD_FAILED, role_kind_name(s->kind), text);
	if (sv->current.number == 0) {
		supervisor_fail(sv, 78);
		return;
	}
	generation_free(&sv->coming);
	/* Who refused has kept the old one. To offer it again would have its files read again, and these may be what is
	 * wrong: a keeper with a broken users file would lose its keys, too. */
	if (s->accepted == sv->current.number)
		s->offered = sv->current.number;
	for (unsigned stage = 0; stage < STAGES; stage++)
		(void)all_have_room(sv, &sv->current, stage); /* before the spool leads anything to where they cannot go */
	for (size_t i = 0; i < sv->n_slots; i++)
		if (sv->slots[i].running && sv->slots[i].offered == number)
			slot_offer(&sv->slots[i], &sv->current);
	bound_keep(sv, sv->current.conf);
	supervisor_reload_failed(sv, text);
}
