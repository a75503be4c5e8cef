/* SPDX-License-Identifier: ISC */
#include "cmd/doctor/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cmd/resting.h"
#include "mail/json.h"
#include "tls/tls.h"

enum {
	WORDS_MAX = 1000,
	ROOM_SOON = 10,          /* so many reserves free, and it is time to look */
	CLOCK_OFF_S = 300,
	DOCTOR_HOUR_S = 3600,
};
/* This program is younger than that: 2026-01-01. */
static const int64_t earliest_s = 1767225600;

static bool is(const json_t *o, const char *key, const char *word)
{
	return str_eq(text_in_json(o, key), str_of(word));
}

json_t *doctor_fact(const char *kind, const char *fmt, ...)
{
	char text[WORDS_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	json_t *o = json_pack("{s:s}", "kind", kind);
	json_object_set_new(o, "text", text_as_json(str_of(text)));
	return o;
}

struct span doctor_span(int64_t seconds)
{
	static const struct { int64_t s; const char *name; } units[] = {
		{ DOCTOR_DAY_S, "day" }, { DOCTOR_HOUR_S, "hour" }, { 60, "minute" }, { 1, "second" },
	};
	struct span out;
	size_t i = 0;
	while (i + 1 < COUNT(units) && seconds < units[i].s)
		i++;
	long long n = seconds > 0 ? (long long)(seconds / units[i].s) : 0;
	(void)snprintf(out.text, sizeof out.text, "%lld %s%s", n, units[i].name, n == 1 ? "" : "s");
	return out;
}

/* ---- the configuration ---- */

/* "FILE:LINE:COLUMN: message" */
static bool split(struct str line, struct str *place_out, struct str *message_out)
{
	for (size_t i = 1; i + 1 < line.n && line.p[0] != ' '; i++)
		if (line.p[i] == ':' && line.p[i + 1] == ' ') {
			*place_out = str_sub(line, 0, i);
			*message_out = str_from(line, i + 2);
			return true;
		}
	return false;
}

void judge_report(struct findings *f, struct str report)
{
	struct str line, place, message;
	while (str_next_line(&report, &line))
		if (split(line, &place, &message)) {
			bool warning = str_take(&message, STR("warning: "));
			findings_add(f, warning ? FINDING_WEAK : FINDING_BROKEN, "configuration", place, "%.*s", STR_ARG(message));
		}
}

const char *exception_state(const struct conf_exception *e, int64_t now_s)
{
	return now_s >= e->until_s ? "ended" : e->until_s - now_s <= (int64_t)DOCTOR_DAYS * DOCTOR_DAY_S ? "ending" : "active";
}

/* One that has ended is told by the check of the configuration. */
void judge_exception(struct findings *f, const struct conf_exception *e, int64_t now_s)
{
	if (str_eq(str_of(exception_state(e, now_s)), STR("ending")))
		findings_add(f, FINDING_WEAK, "exception", e->domain,
		             "the exception for this domain ends in %s: then what it publishes binds again; ask whether its servers are mended, "
		             "or give a later day", doctor_span(e->until_s - now_s).text);
}

/* ---- this machine ---- */

void judge_clock(struct findings *f, int64_t now_s)
{
	if (now_s < earliest_s)
		findings_add(f, FINDING_BROKEN, "clock", STR_NONE,
		             "the clock is wrong: it is earlier than this program; certificates and signatures look invalid by it: set it, and "
		             "have it kept right (chrony, systemd-timesyncd)");
}

void judge_last_run(struct findings *f, int64_t now_s, int64_t last_s)
{
	if (last_s >= 0 && now_s < last_s - CLOCK_OFF_S)
		findings_add(f, FINDING_WEAK, "clock", STR_NONE, "the clock is %s behind the last run of the server: is it right? Certificates and "
		             "signatures are judged by it", doctor_span(last_s - now_s).text);
}

static void judge_one_room(struct findings *f, int64_t free, int64_t reserve, const char *what, const char *unit, int64_t per_unit)
{
	if (free < reserve)
		findings_add(f, FINDING_BROKEN, "room", STR_NONE, "the queue's disk has %lld%s %s left, less than the reserve of %lld%s: new mail "
		             "is refused, deliveries go on; make room", (long long)(free / per_unit), unit, what,
		             (long long)(reserve / per_unit), unit);
	else if (free / ROOM_SOON < reserve)
		findings_add(f, FINDING_WEAK, "room", STR_NONE, "the queue's disk has %lld%s %s left; below %lld%s new mail is refused: make room",
		             (long long)(free / per_unit), unit, what, (long long)(reserve / per_unit), unit);
}

void judge_room(struct findings *f, int64_t bytes_free, int64_t names_free, int64_t reserve_bytes, int64_t reserve_names)
{
	judge_one_room(f, bytes_free, reserve_bytes, "of room", " MB", 1 << 20);
	if (names_free >= 0)
		judge_one_room(f, names_free, reserve_names, "inodes", "", 1);
}

/* ---- the running server ---- */

void judge_waiting(struct findings *f, const json_t *queue, int64_t delay_warning_s)
{
	long long damaged = number_in_json(queue, "damaged"), held = number_in_json(queue, "held"), oldest_s = number_in_json(queue, "oldest_s");
	if (damaged > 0)
		findings_add(f, FINDING_BROKEN, "damaged", STR_NONE, "%lld recipient%s set aside, because what the disk holds is not what was "
		             "accepted: `sealpost queue verify` tells more", damaged, damaged == 1 ? " is" : "s are");
	if (held > 0)
		findings_add(f, FINDING_ADVICE, "held", STR_NONE, "%lld recipient%s held until somebody releases them: `sealpost queue list` "
		             "shows them, `queue release` or `queue bounce` ends it", held, held == 1 ? " is" : "s are");
	if (delay_warning_s > 0 && oldest_s > delay_warning_s)
		findings_add(f, FINDING_ADVICE, "waiting", STR_NONE, "a letter has been waiting for %s: `sealpost queue list` shows which, `sealpost "
		             "why ID` says why", doctor_span(oldest_s).text);
}

static void judge_queue(struct findings *f, const json_t *spool, int64_t delay_warning_s)
{
	long long off_s = number_in_json(spool, "clock_off_s");
	char resting[200];
	if (!json_is_true(json_object_get(spool, "open"))) {
		findings_add(f, FINDING_BROKEN, "queue", STR_NONE, "the queue's storage has failed, mail is refused: the log says why");
		return;
	}
	judge_room(f, number_in_json(spool, "disk_free_bytes"), number_in_json(spool, "names_free"), number_in_json(spool, "reserve_bytes"),
	           number_in_json(spool, "reserve_names"));
	judge_waiting(f, spool, delay_warning_s);
	if (resting_words(spool, resting, sizeof resting))
		findings_add(f, FINDING_ADVICE, "resting", STR_NONE, "%s", resting);
	if (off_s > CLOCK_OFF_S || off_s < -CLOCK_OFF_S)
		findings_add(f, FINDING_WEAK, "clock", STR_NONE, "the clock has jumped %s by %s while the server ran; the times of the queue follow "
		             "it slowly: is it right now?", off_s > 0 ? "ahead" : "back", doctor_span(off_s > 0 ? off_s : -off_s).text);
}

static void judge_resolver(struct findings *f, const json_t *resolver)
{
	struct str state = text_in_json(resolver, "dnssec"), advice = text_in_json(resolver, "dnssec_advice");
	struct str reason = text_in_json(resolver, "dnssec_reason");
	long long failing = number_in_json(json_object_get(resolver, "policies"), "failing");
	bool waits = str_eq(state, STR("lost")) || str_eq(state, STR("not-tried"));
	if (!str_eq(state, STR("validates")) && !str_eq(state, STR("testing")))
		findings_add(f, waits ? FINDING_BROKEN : FINDING_WEAK, "dnssec", state, "%.*s%s%.*s%s", STR_ARG(advice),
		             reason.n > 0 ? " (" : "", STR_ARG(reason), reason.n > 0 ? ")" : "");
	if (failing > 0)
		findings_add(f, FINDING_ADVICE, "policies", STR_NONE, "%lld domain%s an MTA-STS policy that cannot be fetched at the moment; "
		             "`sealpost probe DOMAIN` says why", failing, failing == 1 ? " has" : "s have");
}

/* Mostly all roles lack the same. */
static void judge_confinement(struct findings *f, const json_t *role)
{
	const json_t *c = json_object_get(role, "confinement");
	struct str less = text_in_json(c, "less"), name = text_in_json(role, "role");
	if (!json_is_object(c) || number_in_json(role, "instance") != 0 || (less.n == 0 && json_is_true(json_object_get(c, "seccomp"))))
		return;
	struct finding *last = f->n > 0 ? &f->items[f->n - 1] : NULL;
	size_t before = f->n;
	findings_add(f, FINDING_ADVICE, "confinement", name, "confined less than could be: %.*s",
	             STR_ARG(less.n > 0 ? less : STR("no list of system calls is in force")));
	if (before == f->n || last == NULL || strcmp(last->what, "confinement") != 0 || strcmp(last->text, f->items[before].text) != 0)
		return;
	f->n = before;
	size_t used = strlen(last->about);
	(void)snprintf(last->about + used, sizeof last->about - used, " %.*s", STR_ARG(name));
}

static void judge_role(struct findings *f, const json_t *role)
{
	long long restarts = number_in_json(role, "restarts");
	struct str name = text_in_json(role, "role");
	if (!json_is_true(json_object_get(role, "ready")))
		findings_add(f, FINDING_BROKEN, "role", name, "this process does not run, or has not taken the configuration: the log says why");
	else if (restarts > 0)
		findings_add(f, FINDING_WEAK, "role", name, "this process has died %lld time%s since the server was started: `role-died` in the log "
		             "says how", restarts, restarts == 1 ? "" : "s");
}

void judge_status(struct findings *f, const json_t *status, int64_t delay_warning_s)
{
	const json_t *roles = json_object_get(status, "roles");
	if (!json_is_true(json_object_get(status, "running")))
		findings_add(f, FINDING_BROKEN, "server", STR_NONE, "it is starting or stopping: if that lasts, the log says why");
	for (size_t i = 0; i < json_array_size(roles); i++) {
		const json_t *role = json_array_get(roles, i);
		judge_role(f, role);
		if (is(role, "role", "spool") && json_object_get(role, "open") != NULL)
			judge_queue(f, role, delay_warning_s);
		if (is(role, "role", "resolver") && text_in_json(role, "dnssec").n > 0)
			judge_resolver(f, role);
	}
	for (size_t i = 0; i < json_array_size(roles); i++)
		judge_confinement(f, json_array_get(roles, i));
}

/* ---- what it remembers ---- */

const char *shape_words(struct str value)
{
	uint64_t shape;
	return str_u64(value, &shape) && shape < TLS_SHAPES ? tls_shape_name((unsigned)shape) : NULL;
}
