/* SPDX-License-Identifier: ISC */
/* role/supervisor/status.c -- asks every role how it is, and puts one JSON object together for `sealpost status`. */
#include "role/supervisor/slot.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "mail/json.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/socket.h"
#include "tls/certificate.h"

enum { PATIENCE_MS = 2000, CERTIFICATE_BYTES_MAX = 1 << 20 };

/* What a role says about itself is taken only if it is a JSON object. */
static json_t *roles(const struct supervisor *sv)
{
	json_t *all = json_array();
	for (size_t i = 0; i < sv->n_slots; i++) {
		const struct slot *s = &sv->slots[i];
		json_t *one = s->status != NULL ? json_loads(s->status, JSON_REJECT_DUPLICATES, NULL) : NULL;
		if (!json_is_object(one)) {
			json_decref(one);
			one = json_object();
		}
		json_object_set_new(one, "role", json_string(role_kind_name(s->kind)));
		json_object_set_new(one, "instance", json_integer((json_int_t)s->instance));
		json_object_set_new(one, "pid", s->child != NULL ? json_integer(child_pid(s->child)) : json_null());
		json_object_set_new(one, "ready", json_boolean(s->accepted != 0));
		json_object_set_new(one, "restarts", json_integer((json_int_t)s->restarts));
		json_array_append_new(all, one);
	}
	return all;
}

static json_t *listeners(const struct conf *conf)
{
	json_t *all = json_array();
	for (size_t i = 0; conf != NULL && i < conf->n_listeners; i++)
		for (size_t j = 0; j < conf->listeners[i].on.n; j++) {
			json_t *one = json_object();
			json_object_set_new(one, "kind", json_string(listen_kind_name(conf->listeners[i].kind)));
			json_object_set_new(one, "on", text_as_json(conf->listeners[i].on.items[j]));
			json_array_append_new(all, one);
		}
	return all;
}

static json_t *certificate(struct str path, int64_t now_s)
{
	json_t *one = json_object();
	char name[4096];
	struct buf pem;
	int fd = -1;
	json_object_set_new(one, "file", text_as_json(path));
	if (path.n >= sizeof name)
		return one;
	memcpy(name, path.p, path.n);
	name[path.n] = '\0';

	buf_init(&pem, CERTIFICATE_BYTES_MAX);
	struct arena *scratch = arena_new(CERTIFICATE_BYTES_MAX);
	struct certificate_facts facts;
	struct why why = { "" };
	fault f = file_open(FILE_CWD, name, FILE_READ, 0, &fd, &why);
	if (f == OK)
		f = file_read_all(fd, &pem);
	if (f == OK)
		f = certificate_read(buf_view(&pem), scratch, &facts, &why);
	if (f == OK) {
		json_object_set_new(one, "names", text_as_json(facts.names));
		json_object_set_new(one, "issuer", text_as_json(facts.issuer));
		json_object_set_new(one, "key", text_as_json(facts.key_type));
		json_object_set_new(one, "not_after", date_as_json(facts.not_after_s));
		json_object_set_new(one, "days_left", json_integer((facts.not_after_s - now_s) / 86400));
	} else {
		json_object_set_new(one, "problem", json_string(why.text));
	}
	fd_close(&fd);
	buf_fini(&pem);
	arena_free(&scratch);
	return one;
}

static json_t *certificates(const struct conf *conf, int64_t now_s)
{
	json_t *all = json_array();
	for (size_t i = 0; conf != NULL && i < conf->n_tls; i++)
		for (size_t j = 0; j < conf->tls[i].certs.n; j++)
			json_array_append_new(all, certificate(conf->tls[i].certs.items[j], now_s));
	return all;
}

static void tell(void *owner)
{
	struct supervisor *sv = owner;
	struct slot *spool = NULL;
	for (size_t i = 0; i < sv->n_slots; i++)
		if (sv->slots[i].kind == ROLE_SPOOL)
			spool = &sv->slots[i];
	timer_clear(&sv->status_deadline);
	sv->status_asked = false;
	if (spool == NULL || spool->control == NULL)
		return;

	char file[4096];
	int64_t now_s = clock_wall_s();
	const struct conf *conf = sv->current.conf;
	json_t *all = json_object();
	json_object_set_new(all, "running", json_boolean(sv->phase == SV_RUNNING && sv->was_ready));
	json_object_set_new(all, "since", date_as_json(sv->started_s));
	json_object_set_new(all, "hostname", text_as_json(conf != NULL ? conf->hostname : STR_NONE));
	json_object_set_new(all, "generation", json_integer((json_int_t)sv->current.number));
	if (path_absolute(sv->options.conf_path, file, sizeof file) == OK)
		json_object_set_new(all, "configuration", text_as_json(str_of(file)));
	json_object_set_new(all, "configuration_read_s", json_integer((json_int_t)sv->current.read_s));
	json_object_set_new(all, "privileged", json_boolean(process_is_root()));
	json_object_set_new(all, "roles", roles(sv));
	json_object_set_new(all, "listeners", listeners(conf));
	json_object_set_new(all, "certificates", certificates(conf, now_s));
	char *dump = json_dumps(all, JSON_COMPACT);
	channel_send(spool->control, TO_ROLE_STATUS,
	             &(struct to_role_status){ .request = sv->status_request, .json = str_of(dump) });
	free(dump);
	json_decref(all);
}

static bool all_answered(const struct supervisor *sv)
{
	for (size_t i = 0; i < sv->n_slots; i++)
		if (sv->slots[i].running && sv->slots[i].control != NULL && sv->slots[i].status == NULL)
			return false;
	return true;
}

void status_ask(struct supervisor *sv, uint64_t request)
{
	sv->status_request = request;
	if (!sv->status_asked) {
		sv->status_asked = true;
		for (size_t i = 0; i < sv->n_slots; i++) {
			struct slot *s = &sv->slots[i];
			free(s->status);
			s->status = NULL;
			if (s->control != NULL)
				channel_send(s->control, TO_ROLE_ASK_STATUS, &(struct to_role_ask_status){ .request = request });
		}
		/* A role that does not answer shall not keep the others' answers back. */
		timer_init(&sv->status_deadline, sv->loop, tell, sv);
		timer_set(&sv->status_deadline, loop_now_ms(sv->loop) + PATIENCE_MS);
	}
}

void status_answer(struct slot *s, uint64_t request, struct str json)
{
	(void)request;
	if (!s->sv->status_asked)
		return;
	free(s->status);
	s->status = must_alloc(json.n + 1);
	if (json.n > 0)
		memcpy(s->status, json.p, json.n);
	if (all_answered(s->sv))
		tell(s->sv);
}
