/* SPDX-License-Identifier: ISC */
#include "cmd/doctor/doctor.h"

#include <stdio.h>

#include "cmd/check_files.h"
#include "dns/servers.h"
#include "mail/json.h"
#include "role/spool/spool.h"
#include "store/inspect.h"
#include "sys/file.h"
#include "sys/socket.h"
#include "tls/certificate.h"
#include "tls/tls.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define ROOT_ANCHOR "/usr/share/dns/root.key"

enum { FILE_MAX = 4 << 20, GROUP_READ = 040, PATH_ROOM = 4096 };

/* ---- the configuration ---- */

static void look_at_configuration(struct doctor *d)
{
	struct conf_report report;
	struct checked checked = { .users = 0 };
	size_t names = 0;
	conf_report_init(&report);
	struct conf *again = NULL; /* for its errors and warnings */
	if (d->texts == NULL)
		findings_add(&d->findings, FINDING_BROKEN, "configuration", STR_NONE, "%s", d->unread.text);
	else if (conf_read(d->texts->items, d->texts->n, &again, &report) == OK)
		check_files(d->conf, d->texts->items, d->texts->n, d->now_s, d->arena, &report, &checked);
	conf_free(&again);
	for (size_t i = 0; i < d->conf->n_domains; i++)
		names += d->conf->domains[i].names.n;
	json_t *fact = doctor_fact("configuration", "%s: %u error%s, %u warning%s; %zu listener%s, %zu domain%s, %zu user%s", d->conf_path,
	                           report.errors, report.errors == 1 ? "" : "s", report.warnings, report.warnings == 1 ? "" : "s",
	                           d->conf->n_listeners, d->conf->n_listeners == 1 ? "" : "s", names, names == 1 ? "" : "s", checked.users,
	                           checked.users == 1 ? "" : "s");
	json_object_set_new(fact, "file", text_as_json(str_of(d->conf_path)));
	json_object_set_new(fact, "errors", json_integer(report.errors));
	json_object_set_new(fact, "warnings", json_integer(report.warnings));
	json_object_set_new(fact, "listeners", json_integer((json_int_t)d->conf->n_listeners));
	json_object_set_new(fact, "domains", json_integer((json_int_t)names));
	json_object_set_new(fact, "users", json_integer((json_int_t)checked.users));
	fact_tell(fact, d->json);
	d->has_errors = d->has_errors || report.errors > 0;
	judge_report(&d->findings, buf_view(&report.text));
	conf_report_fini(&report);
}

static void list_exceptions(struct doctor *d)
{
	for (size_t i = 0; i < d->conf->direct.n_exceptions; i++) {
		const struct conf_exception *e = &d->conf->direct.exceptions[i];
		const char *state = exception_state(e, d->now_s), *level = tls_level_name(e->level);
		json_t *fact = doctor_fact("exception", "%.*s: %s %s %.*s: %.*s", STR_ARG(e->domain), level,
		                           str_eq(str_of(state), STR("ended")) ? "ENDED on" : "until", STR_ARG(e->day), STR_ARG(e->reason));
		json_object_set_new(fact, "domain", text_as_json(e->domain));
		json_object_set_new(fact, "level", json_string(level));
		json_object_set_new(fact, "until", text_as_json(e->day));
		json_object_set_new(fact, "reason", text_as_json(e->reason));
		json_object_set_new(fact, "state", json_string(state));
		fact_tell(fact, d->json);
		judge_exception(&d->findings, e, d->now_s);
	}
}

/* ---- certificates and secrets ---- */

static bool mode_of(struct str path, struct path_facts *out)
{
	char name[PATH_ROOM];
	return path.n < sizeof name && snprintf(name, sizeof name, "%.*s", STR_ARG(path)) > 0 && path_facts(name, out) == OK;
}

static struct str contents(struct doctor *d, struct str path)
{
	struct str text = STR_NONE;
	struct why why;
	if (path.n == 0)
		return STR_NONE;
	return load_file(arena_copy(d->arena, path).p, FILE_MAX, d->arena, &text, &why) == OK ? text : STR_NONE;
}

/* What is wrong with it has been told by the check of the configuration. */
static void list_certificate(struct doctor *d, struct str cert_path, struct str key_path)
{
	struct certificate_facts facts;
	struct path_facts key_file;
	struct why why = { "" };
	struct str cert = contents(d, cert_path), key = contents(d, key_path);
	if (certificate_read(cert, d->arena, &facts, &why) != OK)
		return;
	long long days = (long long)((facts.not_after_s - d->now_s) / DOCTOR_DAY_S);
	bool fits = key.n > 0 && certificate_fits_key(cert, key, &why) == OK, known = mode_of(key_path, &key_file);
	unsigned mode = known ? key_file.mode & FILE_MODE_BITS : 0;
	json_t *fact = doctor_fact("certificate", "%.*s: for %.*s; %lld days left; %.*s; %s", STR_ARG(cert_path),
	                           STR_ARG(facts.names.n > 0 ? facts.names : STR("no name (SAN)")), days,
	                           STR_ARG(facts.key_type), key.n == 0 ? "its key cannot be read" : fits ? "its key fits" : "ITS KEY DOES NOT FIT");
	json_object_set_new(fact, "file", text_as_json(cert_path));
	json_object_set_new(fact, "names", text_as_json(facts.names));
	json_object_set_new(fact, "issuer", text_as_json(facts.issuer));
	json_object_set_new(fact, "not_after", date_as_json(facts.not_after_s));
	json_object_set_new(fact, "days_left", json_integer(days));
	json_object_set_new(fact, "key", text_as_json(facts.key_type));
	json_object_set_new(fact, "key_file", text_as_json(key_path));
	json_object_set_new(fact, "key_fits", json_boolean(fits));
	if (known)
		json_object_set_new(fact, "key_mode", json_sprintf("%04o", mode));
	fact_tell(fact, d->json);
}

static void look_whether_changed(struct doctor *d, struct str path)
{
	struct path_facts facts;
	if (mode_of(path, &facts) && facts.changed_s > d->read_s)
		findings_add(&d->findings, FINDING_WEAK, "reload", path, "it was changed after the server has read it: `sealpost reload` takes it in");
}

/* A certificate that was renewed helps nobody before it is in use. */
void doctor_changes(struct doctor *d)
{
	const struct conf_file *files;
	size_t n = conf_files(d->conf, &files);
	for (size_t i = 0; d->texts != NULL && i < d->texts->n; i++)
		look_whether_changed(d, d->texts->items[i].name);
	for (size_t i = 0; i < n; i++)
		look_whether_changed(d, files[i].path);
}

/* That everybody may is an error of the configuration, and the group of another secret a warning; that of a key may have its reasons. */
static void look_at_keys(struct doctor *d)
{
	const struct conf_file *files;
	size_t n = conf_files(d->conf, &files);
	for (size_t i = 0; i < n; i++) {
		struct path_facts facts;
		if ((files[i].use & CONF_FILE_KEY) != 0 && mode_of(files[i].path, &facts) && (facts.mode & GROUP_READ) != 0)
			findings_add(&d->findings, FINDING_ADVICE, "key", files[i].path,
			             "its group (%u) may read this key: if nobody else needs that, the server does not; chmod g= %.*s",
			             (unsigned)facts.gid, STR_ARG(files[i].path));
	}
}

/* ---- whom we trust ---- */

static bool is_there(const char *path)
{
	struct path_facts facts;
	return path_facts(path, &facts) == OK && facts.is_file;
}

static const char *system_ca(void)
{
	for (size_t i = 0; tls_system_ca_file(i) != NULL; i++)
		if (is_there(tls_system_ca_file(i)))
			return tls_system_ca_file(i);
	return NULL;
}

/* Files that the configuration names have been looked at with it. */
static void look_at_anchors(struct doctor *d)
{
	const struct conf *c = d->conf;
	const char *bundle = system_ca();
	struct str ca = c->direct.ca.n > 0 ? c->direct.ca : str_of(bundle != NULL ? bundle : "");
	struct str anchor = c->resolver.trust_anchor.n > 0 ? c->resolver.trust_anchor : str_of(is_there(ROOT_ANCHOR) ? ROOT_ANCHOR : "");
	json_t *fact = doctor_fact("anchors", "of certificates: %.*s; of DNSSEC: %.*s", STR_ARG(ca.n > 0 ? ca : STR("none")),
	                           STR_ARG(anchor.n > 0 ? anchor : STR("none")));
	json_object_set_new(fact, "ca", text_as_json(ca));
	json_object_set_new(fact, "trust_anchor", text_as_json(anchor));
	fact_tell(fact, d->json);
	if (bundle == NULL && (c->direct.ca.n == 0 || c->resolver.ca.n == 0))
		findings_add(&d->findings, FINDING_WEAK, "ca", STR_NONE,
		             "the system's CA certificates are not there: no server can be verified by them, and no MTA-STS policy fetched; install "
		             "the package ca-certificates, or name a file with direct { ca ... } and resolver { ca ... }");
	struct str system = contents(d, STR(RESOLV_CONF)), records = contents(d, anchor), one;
	if (anchor.n > 0 && records.n > 0 && !dns_anchor_take(&records, &one))
		findings_add(&d->findings, FINDING_WEAK, "trust-anchor", anchor, "there is no record of a trust anchor in this file, so DANE is "
		             "inactive: install the package dns-root-data, or name another one with resolver { trust-anchor ... }");
	if (anchor.n == 0)
		findings_add(&d->findings, FINDING_WEAK, "trust-anchor", STR_NONE,
		             "there is no trust anchor of DNSSEC, so DANE is inactive: install the package dns-root-data, or name one with "
		             "resolver { trust-anchor ... }");
	if (c->resolver.servers.n == 0 && !dns_nameserver_take(&system, &one))
		findings_add(&d->findings, FINDING_BROKEN, "resolver", STR_NONE,
		             RESOLV_CONF " names no name server: mail to other servers waits; name some there, or with resolver { server ... }");
}

void doctor_files(struct doctor *d)
{
	judge_clock(&d->findings, d->now_s);
	look_at_configuration(d);
	list_exceptions(d);
	for (size_t i = 0; i < d->conf->n_tls; i++)
		for (size_t j = 0; j < d->conf->tls[i].certs.n && j < d->conf->tls[i].keys.n; j++)
			list_certificate(d, d->conf->tls[i].certs.items[j], d->conf->tls[i].keys.items[j]);
	look_at_keys(d);
	look_at_anchors(d);
}

/* ---- without a server ---- */

static void look_at_ports(struct doctor *d)
{
	for (size_t i = 0; i < d->conf->n_listeners; i++)
		for (size_t j = 0; j < d->conf->listeners[i].on.n; j++) {
			struct str on = d->conf->listeners[i].on.items[j];
			struct endpoint at;
			struct why why = { "" };
			int fd = -1;
			if (endpoint_parse(on, &at) != OK || at.kind == ENDPOINT_UNIX || at.port == 0)
				continue;
			if (socket_listen(&at, 1, &fd, &why) == F_EXISTS)
				findings_add(&d->findings, FINDING_BROKEN, "port", on,
				             "another program listens there, so this server cannot start: `ss -ltnp` shows which; stop it");
			fd_close(&fd);
		}
}

static void look_into_queue(struct doctor *d, json_t *fact)
{
	struct inspect_glance g;
	struct why why = { "" };
	if (inspect_glance(d->conf->queue.directory, &g, &why) != OK) {
		json_object_set_new(fact, "problem", text_as_json(str_of(why.text)));
		findings_add(&d->findings, FINDING_ADVICE, "queue", d->conf->queue.directory, "what waits in it is not known: %s", why.text);
		return;
	}
	json_object_set_new(fact, "messages", json_integer((json_int_t)g.messages));
	json_object_set_new(fact, "queued", json_integer((json_int_t)g.queued));
	json_object_set_new(fact, "held", json_integer((json_int_t)g.held));
	json_object_set_new(fact, "damaged", json_integer((json_int_t)g.damaged));
	if (g.messages > 0)
		json_object_set_new(fact, "oldest_s", json_integer((json_int_t)(d->now_s > g.oldest_s ? d->now_s - g.oldest_s : 0)));
	judge_waiting(&d->findings, fact, d->conf->queue.delay_warning_s);
	judge_last_run(&d->findings, d->now_s, g.clock_s);
}

/* What is wrong with its owner is told by the start. */
static void look_at_queue_directory(struct doctor *d)
{
	struct str directory = d->conf->queue.directory;
	char path[PATH_ROOM];
	struct path_facts facts;
	uint64_t bytes = 0, names = 0;
	int fd = -1;
	if (directory.n == 0 || directory.n >= sizeof path)
		return;
	(void)snprintf(path, sizeof path, "%.*s", STR_ARG(directory));
	fault f = path_facts(path, &facts);
	if (f == OK && facts.is_directory && directory_open(FILE_CWD, path, &fd, NULL) == OK && file_space(fd, &bytes, &names) == OK) {
		json_t *fact = json_pack("{s:s}", "kind", "queue");
		json_object_set_new(fact, "directory", text_as_json(directory));
		json_object_set_new(fact, "disk_free_bytes", json_integer((json_int_t)(bytes > INT64_MAX ? INT64_MAX : bytes)));
		look_into_queue(d, fact);
		doctor_tell_queue(d, fact);
		judge_room(&d->findings, bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes, names > INT64_MAX ? -1 : (int64_t)names,
		           SPOOL_RESERVE_BYTES, SPOOL_RESERVE_NAMES);
	} else if (f == OK && !facts.is_directory) {
		findings_add(&d->findings, FINDING_BROKEN, "queue", directory, "this is no directory: the server cannot start; move it away");
	} else if (f == F_ABSENT) {
		findings_add(&d->findings, FINDING_ADVICE, "queue", directory, "there is no queue yet: the first start makes it");
	} else {
		findings_add(&d->findings, FINDING_ADVICE, "queue", directory, "it cannot be looked at from this account: ask as root");
	}
	fd_close(&fd);
}

void doctor_stopped(struct doctor *d)
{
	look_at_ports(d);
	look_at_queue_directory(d);
}
