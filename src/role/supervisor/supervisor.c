/* SPDX-License-Identifier: ISC */
/* role/supervisor/supervisor.c -- the supervisor's life: start, ready, reload, drain, end. */
#include "role/supervisor/supervisor.h"

#include <stdlib.h>

#include "base/check.h"
#include "role/supervisor/slot.h"
#include "sys/clock.h"
#include "sys/log.h"

/* Sessions in hand get this long to finish their transaction; then the workers get as long. */
enum { GRACE_MS = 20000, TELL_AGAIN_MS = 500, ERRORS_LOGGED_MAX = 20 };
enum { ERRORS_BYTES_MAX = 64 << 10 };    /* of a refused configuration, for whoever asked for the reload */

/* A service manager that never hears READY would end us. */
static void tell_manager(struct supervisor *sv, const char *state)
{
	timer_clear(&sv->tell_again);
	sv->untold = state;
	if (!service_notify(state))
		timer_set(&sv->tell_again, loop_now_ms(sv->loop) + TELL_AGAIN_MS);
}

static void tell_manager_again(void *owner)
{
	struct supervisor *sv = owner;
	tell_manager(sv, sv->untold);
}

static unsigned fronts_wanted(const struct supervisor_options *options)
{
	unsigned n = options->fronts != 0 ? options->fronts : process_cores();
	return n > FRONTS_MAX ? FRONTS_MAX : n;
}

static void say_who_we_are(const struct supervisor *sv)
{
	char accounts[512];
	account_tell_all(sv, sv->coming.conf, accounts, sizeof accounts);
	log_event(LOG_STARTING, LOG_Z("configuration", sv->options.conf_path), LOG_Z("as", accounts));
}

fault supervisor_new(struct loop *loop, const struct supervisor_options *options, struct supervisor **out,
                     struct conf_report *report)
{
	struct supervisor *sv = NEW(struct supervisor);
	struct generation first = { 0 };
	sv->loop = loop;
	sv->options = *options;
	sv->started_s = clock_wall_s();
	list_init(&sv->bound);
	log_begin("supervisor", false);
	fault f = generation_load(sv, &first, report);
	if (f == OK) {
		accounts_keep(sv, first.conf);
		f = account_check(sv, first.conf, report);
	}
	if (f == OK)
		f = account_check_queue(sv, first.conf, report);
	if (f == OK)
		f = bound_at_start(sv, &first, report);
	if (f != OK) {
		generation_free(&first);
		bound_close_listeners(sv);
		free(sv);
		return f;
	}
	log_begin("supervisor", first.conf->log_json);

	for (unsigned kind = 0; kind < ROLE_FRONT; kind++)
		slot_init(&sv->slots[sv->n_slots++], sv, (enum role_kind)kind, 0);
	for (unsigned i = 0; i < fronts_wanted(options); i++)
		slot_init(&sv->slots[sv->n_slots++], sv, ROLE_FRONT, i);
	timer_init(&sv->tell_again, sv->loop, tell_manager_again, sv);
	pages_make(sv, fronts_wanted(options));
	sv->coming = first;
	say_who_we_are(sv);
	for (size_t i = 0; i < sv->n_slots; i++)
		if (sv->slots[i].kind != ROLE_SPOOL) /* it needs a queue, which is made last */
			slot_start(&sv->slots[i]);
	*out = sv;
	return OK;
}

void supervisor_free(struct supervisor **supervisor)
{
	struct supervisor *sv = *supervisor;
	if (sv == NULL)
		return;
	*supervisor = NULL;
	for (size_t i = 0; i < sv->n_slots; i++)
		slot_fini(&sv->slots[i]);
	pages_free(sv);
	bound_close_listeners(sv);
	generation_free(&sv->current);
	generation_free(&sv->coming);
	if (sv->drain_deadline.loop != NULL)
		timer_clear(&sv->drain_deadline);
	if (sv->status_deadline.loop != NULL)
		timer_clear(&sv->status_deadline);
	if (sv->relink.loop != NULL)
		timer_clear(&sv->relink);
	timer_clear(&sv->tell_again);
	free(sv);
}

/* ---- ready and reload ---- */

static void answer_reload(struct supervisor *sv, uint64_t request, bool ok, struct str errors)
{
	errors = str_sub(errors, 0, ERRORS_BYTES_MAX);
	for (size_t i = 0; i < sv->n_slots; i++)
		if (sv->slots[i].kind == ROLE_SPOOL && sv->slots[i].control != NULL)
			channel_send(sv->slots[i].control, TO_ROLE_RELOADED,
			             &(struct to_role_reloaded){ .request = request, .ok = ok, .errors = errors });
}

/* A signal that came while another generation was on its way: the files may have changed since they were read. */
static void reload_again(struct supervisor *sv)
{
	bool again = sv->reload_again;
	sv->reload_again = false;
	if (again)
		supervisor_reload(sv);
}

static void reload_done(struct supervisor *sv, bool ok, struct str errors)
{
	if (sv->reload_asked)
		answer_reload(sv, sv->reload_request, ok, errors);
	sv->reload_asked = false;
	reload_again(sv);
}

void supervisor_ready(struct supervisor *sv, bool reloaded)
{
	if (reloaded) {
		log_event(LOG_RELOADED, LOG_U("generation", sv->current.number));
		tell_manager(sv, "READY=1\nSTATUS=The configuration as it was reloaded last is in force");
		reload_done(sv, true, STR_NONE);
		return;
	}
	log_event(LOG_READY, LOG_S("hostname", sv->current.conf->hostname),
	          LOG_U("fronts", sv->n_slots - ROLE_FRONT));
	tell_manager(sv, "READY=1\nSTATUS=Running");
	sv->was_ready = true;
	if (sv->options.ready != NULL)
		sv->options.ready(sv->options.owner);
	reload_again(sv);
}

static void log_one(enum log_event event, const char *name, struct str text)
{
	if (name != NULL)
		log_event(event, LOG_Z("name", name), LOG_S("text", text));
	else
		log_event(event, LOG_S("text", text));
}

void supervisor_log_errors(enum log_event event, const char *name, struct str text)
{
	struct str line;
	size_t at;
	unsigned told = 0, more = 0;
	while (str_next_line(&text, &line)) {
		if (line.n == 0 || line.p[0] == ' ' || line.p[0] == '\t')
			continue;
		if (told == ERRORS_LOGGED_MAX) {
			more++;
			continue;
		}
		log_one(str_find_str(line, STR(": warning: "), &at) ? LOG_TROUBLE : event, name, line);
		told++;
	}
	if (more > 0)
		log_event(event, LOG_Z("text", "there are more: `sealpost check` shows all"), LOG_U("more", more));
}

void supervisor_reload_failed(struct supervisor *sv, struct str errors)
{
	tell_manager(sv, "READY=1\nSTATUS=The configuration was refused when it was reloaded last, and the one before is in force: "
	                 "`sealpost check` tells why");
	reload_done(sv, false, errors);
}

static bool is_busy(const struct supervisor *sv)
{
	return sv->phase != SV_RUNNING || sv->coming.number != 0;
}

void supervisor_reload(struct supervisor *sv)
{
	if (is_busy(sv)) {
		sv->reload_again = true;
		return;
	}
	struct conf_report report;
	struct generation g = { 0 };
	conf_report_init(&report);
	tell_manager(sv, "RELOADING=1\nSTATUS=Taking a new configuration");
	fault f = generation_load(sv, &g, &report);
	if (f == OK)
		f = account_check(sv, g.conf, &report);
	if (f == OK)
		f = terms_check(sv->current.conf, g.conf, &report);
	if (f == OK)
		f = bound_all(sv, &g, &report);
	if (f == OK) {
		accounts_tell_changes(sv);
		generation_begin(sv, &g);
	} else {
		supervisor_log_errors(LOG_RELOAD_FAILED, NULL, buf_view(&report.text));
		generation_free(&g);
		bound_keep(sv, sv->current.conf);
		supervisor_reload_failed(sv, buf_view(&report.text));
	}
	conf_report_fini(&report);
}

void supervisor_reload_for(struct supervisor *sv, uint64_t request)
{
	if (is_busy(sv)) {
		answer_reload(sv, request, false, STR("the server is just starting, reloading or stopping: try again\n"));
		return;
	}
	sv->reload_asked = true;
	sv->reload_request = request;
	supervisor_reload(sv);
}

/* ---- the end ---- */

static void end_now(struct supervisor *sv)
{
	if (sv->phase == SV_ENDING)
		return;
	sv->phase = SV_ENDING;
	timer_clear(&sv->drain_deadline);
	bound_close_listeners(sv);
	bool any = false;
	for (size_t i = 0; i < sv->n_slots; i++) {
		struct slot *s = &sv->slots[i];
		timer_clear(&s->restart);
		channel_close(&s->control); /* a role ends with its supervisor's end of the channel */
		any = any || s->running;
	}
	if (any)
		timer_set(&sv->drain_deadline, loop_now_ms(sv->loop) + GRACE_MS / 4);
	else
		supervisor_slot_ended(&sv->slots[0]);
}

void supervisor_slot_ended(struct slot *s)
{
	struct supervisor *sv = s->sv;
	if (sv->phase == SV_DRAIN_FRONTS || sv->phase == SV_DRAIN_WORKERS) {
		s->drained = true; /* it holds nothing any more */
		timer_clear(&s->restart);
		supervisor_slot_drained(s);
		return;
	}
	if (sv->phase != SV_ENDING)
		return;
	for (size_t i = 0; i < sv->n_slots; i++)
		if (sv->slots[i].running)
			return;
	timer_clear(&sv->drain_deadline);
	log_event(LOG_STOPPED, LOG_U("status", sv->exit_status));
	sv->options.ended(sv->options.owner, sv->exit_status);
}

static bool is_drained(const struct supervisor *sv, bool fronts)
{
	for (size_t i = 0; i < sv->n_slots; i++) {
		const struct slot *s = &sv->slots[i];
		bool counts = fronts ? s->kind == ROLE_FRONT
		                     : s->kind == ROLE_SPOOL || s->kind == ROLE_COURIER || s->kind == ROLE_PORTER;
		if (counts && s->running && !s->drained)
			return false;
	}
	return true;
}

static void ask_to_drain(struct supervisor *sv, bool fronts)
{
	for (size_t i = 0; i < sv->n_slots; i++) {
		struct slot *s = &sv->slots[i];
		if ((s->kind == ROLE_FRONT) == fronts && s->control != NULL)
			channel_send(s->control, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = GRACE_MS });
	}
	timer_set(&sv->drain_deadline, loop_now_ms(sv->loop) + GRACE_MS + 1000);
}

static void next_phase(struct supervisor *sv)
{
	if (sv->phase == SV_DRAIN_FRONTS) {
		sv->phase = SV_DRAIN_WORKERS;
		ask_to_drain(sv, false);
		if (!is_drained(sv, false))
			return;
	}
	end_now(sv);
}

static void patience_ends(void *owner)
{
	struct supervisor *sv = owner;
	if (sv->phase != SV_ENDING) {
		next_phase(sv);
		return;
	}
	for (size_t i = 0; i < sv->n_slots; i++)
		if (sv->slots[i].running)
			child_kill(sv->slots[i].child);
}

void supervisor_slot_drained(struct slot *s)
{
	struct supervisor *sv = s->sv;
	if (sv->phase == SV_DRAIN_FRONTS && is_drained(sv, true))
		next_phase(sv);
	else if (sv->phase == SV_DRAIN_WORKERS && is_drained(sv, false))
		end_now(sv);
}

void supervisor_stop(struct supervisor *sv)
{
	if (sv->phase != SV_RUNNING) {
		end_now(sv);
		return;
	}
	log_event(LOG_DRAINING, LOG_U("grace_ms", GRACE_MS));
	tell_manager(sv, "STOPPING=1\nSTATUS=Ending what is in hand");
	timer_init(&sv->drain_deadline, sv->loop, patience_ends, sv);
	if (!sv->was_ready) {
		end_now(sv);
		return;
	}
	sv->phase = SV_DRAIN_FRONTS;
	bound_close_listeners(sv);
	ask_to_drain(sv, true);
	if (is_drained(sv, true))
		next_phase(sv);
}

void supervisor_fail(struct supervisor *sv, int status)
{
	if (sv->phase == SV_ENDING)
		return;
	sv->exit_status = status;
	timer_init(&sv->drain_deadline, sv->loop, patience_ends, sv);
	end_now(sv);
}
