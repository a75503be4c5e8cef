/* SPDX-License-Identifier: ISC */
#include "cmd/doctor/doctor.h"

#include <stdio.h>
#include <string.h>

#include "cmd/control_client.h"
#include "cmd/options.h"
#include "mail/json.h"
#include "policy/remembered.h"

/* ---- facts ---- */

/* Keys that are the same for a program there and here. */
static void take_over(json_t *fact, const json_t *from, const char *const *keys)
{
	for (size_t i = 0; keys[i] != NULL; i++)
		if (json_object_get(from, keys[i]) != NULL)
			json_object_set(fact, keys[i], json_object_get(from, keys[i]));
}

void doctor_tell_queue(struct doctor *d, json_t *fact)
{
	long long messages = number_in_json(fact, "messages"), free_mb = number_in_json(fact, "disk_free_bytes") >> 20;
	char waiting[200] = "what waits is not known", oldest[64] = "";
	if (messages > 0)
		(void)snprintf(oldest, sizeof oldest, ", the oldest for %s", doctor_span(number_in_json(fact, "oldest_s")).text);
	if (json_object_get(fact, "messages") != NULL)
		(void)snprintf(waiting, sizeof waiting, "%lld message%s%s; recipients: %lld queued, %lld being tried, %lld held", messages,
		               messages == 1 ? "" : "s", oldest, number_in_json(fact, "queued"), number_in_json(fact, "leased"), number_in_json(fact, "held"));
	json_t *whole = doctor_fact("queue", "%s; %lld MB free", waiting, free_mb);
	json_object_update(whole, fact);
	json_decref(fact);
	fact_tell(whole, d->json);
}

static void tell_spool(struct doctor *d, const json_t *spool)
{
	static const char *const keys[] = { "messages", "queued", "leased", "held", "damaged", "resting", "oldest_s", "disk_free_bytes", "names_free",
		                            "reserve_bytes", "reserve_names", NULL };
	json_t *fact = json_object();
	take_over(fact, spool, keys);
	doctor_tell_queue(d, fact);
}

/* "empty root, listed system calls, Landlock 4" */
static void confinement_words(const json_t *role, char to[120])
{
	const json_t *c = json_object_get(role, "confinement");
	char landlock[32] = "";
	if (number_in_json(c, "landlock") > 0)
		(void)snprintf(landlock, sizeof landlock, ", Landlock %lld", number_in_json(c, "landlock"));
	if (json_is_object(c))
		(void)snprintf(to, 120, "no capabilities%s%s%s", json_is_true(json_object_get(c, "empty_root")) ? ", empty root" : "",
		               json_is_true(json_object_get(c, "seccomp")) ? ", listed system calls" : "", landlock);
	else
		(void)snprintf(to, 120, "not known");
}

/* Roles that are confined alike share a line. */
static void tell_confinement(struct doctor *d, const json_t *roles)
{
	for (size_t i = 0; i < json_array_size(roles); i++) {
		char how[120], other[120];
		json_t *names = json_array();
		struct buf list;
		buf_init(&list, 1000);
		confinement_words(json_array_get(roles, i), how);
		bool told = false;
		for (size_t j = 0; j < json_array_size(roles); j++) {
			const json_t *role = json_array_get(roles, j);
			confinement_words(role, other);
			if (strcmp(how, other) != 0 || number_in_json(role, "instance") != 0)
				continue;
			told = told || j < i;
			json_array_append(names, json_object_get(role, "role"));
			fault f = buf_addf(&list, "%s%.*s", buf_view(&list).n > 0 ? " " : "", STR_ARG(text_in_json(role, "role")));
			(void)f; /* its ceiling cuts it */
		}
		if (!told && json_array_size(names) > 0) {
			json_t *fact = doctor_fact("confinement", "%.*s: %s", STR_ARG(buf_view(&list)), how);
			json_object_set(fact, "roles", names);
			fact_tell(fact, d->json);
		}
		json_decref(names);
		buf_fini(&list);
	}
}

static void tell_resolver(struct doctor *d, const json_t *resolver)
{
	static const char *const keys[] = { "dnssec", "dane", "dnssec_since_s", "dnssec_reason", "dnssec_advice", "policies", NULL };
	const json_t *policies = json_object_get(resolver, "policies");
	struct str state = text_in_json(resolver, "dnssec"), dane = text_in_json(resolver, "dane");
	json_t *fact = doctor_fact("dnssec", "%.*s for %s, DANE is %.*s; %lld MTA-STS policies known, %lld enforced", STR_ARG(state),
	                           doctor_span(d->now_s - number_in_json(resolver, "dnssec_since_s")).text, STR_ARG(dane), number_in_json(policies, "known"),
	                           number_in_json(policies, "enforced"));
	take_over(fact, resolver, keys);
	fact_tell(fact, d->json);
}

static void tell_server(struct doctor *d, const json_t *status)
{
	static const char *const keys[] = { "hostname", "since", "configuration", "generation", "running", "privileged", "listeners", NULL };
	const json_t *roles = json_object_get(status, "roles"), *listeners = json_object_get(status, "listeners");
	d->read_s = number_in_json(status, "configuration_read_s");
	struct str file = text_in_json(status, "configuration");
	json_t *fact = doctor_fact("server", "%.*s runs since %.*s, %zu processes, configuration %lld%s%.*s; listens at %zu addresses",
	                           STR_ARG(text_in_json(status, "hostname")), STR_ARG(text_in_json(status, "since")), json_array_size(roles),
	                           number_in_json(status, "generation"), file.n > 0 ? " of " : "", STR_ARG(file), json_array_size(listeners));
	d->reads_another = control_reads_another(status, d->conf_path);
	if (d->reads_another)
		findings_add(&d->findings, FINDING_WEAK, "server", file, "the server that runs reads this file, and not %s, with the same control socket: what is "
		             "said here of files is not about it; `sealpost doctor -c %.*s` is", d->conf_path, STR_ARG(file));
	take_over(fact, status, keys);
	fact_tell(fact, d->json);
	tell_confinement(d, roles);
	for (size_t i = 0; i < json_array_size(roles); i++) {
		const json_t *role = json_array_get(roles, i);
		if (str_eq(text_in_json(role, "role"), STR("resolver")) && text_in_json(role, "dnssec").n > 0)
			tell_resolver(d, role);
		if (str_eq(text_in_json(role, "role"), STR("spool")) && json_object_get(role, "open") != NULL)
			tell_spool(d, role);
	}
}

/* ---- what it remembers ---- */

struct memories { struct doctor *doctor; size_t seen, levels[TLS_DANE + 1]; };

static void tell_shape(struct doctor *d, const json_t *row)
{
	const char *words = shape_words(text_in_json(row, "value"));
	if (words == NULL)
		return;
	json_t *fact = doctor_fact("hello", "%.*s bears only one with %s; tried anew after %.*s", STR_ARG(text_in_json(row, "name")), words,
	                           STR_ARG(text_in_json(row, "until")));
	json_object_set(fact, "host", json_object_get(row, "name"));
	json_object_set_new(fact, "shape", json_string(words));
	json_object_set(fact, "until", json_object_get(row, "until"));
	fact_tell(fact, d->json);
}

static void tell_seen(struct memories *m, const json_t *row)
{
	struct remembered_seen seen;
	if (!remembered_seen_read(text_in_json(row, "value"), &seen))
		return;
	m->seen++;
	m->levels[seen.best]++;
	if (!m->doctor->seen)
		return;
	json_t *fact = doctor_fact("seen", "%.*s: %s at best, remembered until %.*s", STR_ARG(text_in_json(row, "name")), tls_level_name(seen.best),
	                           STR_ARG(text_in_json(row, "until")));
	json_object_set(fact, "domain", json_object_get(row, "name"));
	json_object_set_new(fact, "level", json_string(tls_level_name(seen.best)));
	json_object_set_new(fact, "at", date_as_json(seen.best_s));
	json_object_set_new(fact, "last", date_as_json(seen.last_s));
	json_object_set(fact, "until", json_object_get(row, "until"));
	fact_tell(fact, m->doctor->json);
}

static void on_memory(void *owner, struct str json)
{
	struct memories *m = owner;
	json_t *row = json_loadb(json.p, json.n, 0, NULL);
	if (str_eq(text_in_json(row, "what"), STR("shape")))
		tell_shape(m->doctor, row);
	else if (str_eq(text_in_json(row, "what"), STR("seen")))
		tell_seen(m, row);
	json_decref(row);
}

static void tell_count(const struct memories *m)
{
	json_t *levels = json_object();
	for (int level = TLS_NONE; level <= TLS_DANE; level++)
		if (m->levels[level] > 0)
			json_object_set_new(levels, tls_level_name((enum tls_level)level), json_integer((json_int_t)m->levels[level]));
	json_t *fact = doctor_fact("remembered", "how well the mail of %zu domain%s was protected at best%s", m->seen, m->seen == 1 ? "" : "s",
	                           m->seen > 0 && !m->doctor->seen ? "; --seen lists them" : "");
	json_object_set_new(fact, "domains", json_integer((json_int_t)m->seen));
	json_object_set_new(fact, "levels", levels);
	fact_tell(fact, m->doctor->json);
}

/* ---- the questions ---- */

static void on_status(void *owner, struct str json)
{
	struct doctor *d = owner;
	json_t *status = json_loadb(json.p, json.n, 0, NULL);
	if (status == NULL)
		return;
	tell_server(d, status);
	judge_status(&d->findings, status, d->conf->queue.delay_warning_s);
	json_decref(status);
}

static void on_end(void *owner, int status, struct str text)
{
	struct memories *m = owner;
	if (status != 0)
		findings_add(&m->doctor->findings, FINDING_ADVICE, "server", STR_NONE, "what it remembers is not known: %.*s", STR_ARG(text));
	else
		tell_count(m);
}

static void on_status_end(void *owner, int status, struct str text)
{
	struct doctor *d = owner;
	if (status != 0)
		findings_add(&d->findings, FINDING_BROKEN, "server", STR_NONE, "it does not tell how it is: %.*s", STR_ARG(text));
}

static int call(struct doctor *d, int *fd_out, struct why *why)
{
	struct conf *conf = NULL;
	int status = control_call(d->conf_path, &conf, fd_out, why);
	conf_free(&conf);
	return status;
}

void doctor_server(struct doctor *d)
{
	struct why why = { "" };
	int fd = -1;
	if (call(d, &fd, &why) != 0) {
		json_t *fact = doctor_fact("server", "does not run, or cannot be asked: this is what files alone tell");
		json_object_set_new(fact, "running", json_false());
		fact_tell(fact, d->json);
		findings_add(&d->findings, FINDING_BROKEN, "server", STR_NONE, "%s", why.text);
		return;
	}
	d->running = true;
	struct control_request ask_status = { .verb = CONTROL_STATUS }, ask_memories = { .verb = CONTROL_RECALL };
	struct control_answers status_answers = { .row = on_status, .end = on_status_end, .owner = d };
	if (control_converse(fd, &ask_status, &status_answers) == EXIT_UNAVAILABLE)
		findings_add(&d->findings, FINDING_BROKEN, "server", STR_NONE, "it took the call and gave no answer: its log may say why");
	struct memories m = { .doctor = d };
	struct control_answers memory_answers = { .row = on_memory, .end = on_end, .owner = &m };
	if (call(d, &fd, &why) == 0)
		(void)control_converse(fd, &ask_memories, &memory_answers);
}
