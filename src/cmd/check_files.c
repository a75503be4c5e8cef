/* SPDX-License-Identifier: ISC */
#include "cmd/check_files.h"

#include <stdio.h>

#include "cmd/mail_roots.h"
#include "conf/trouble.h"
#include "policy/aliases.h"
#include "policy/directory.h"
#include "policy/users.h"
#include "proto/sasl/credential.h"
#include "role/supervisor/load.h"
#include "sys/file.h"
#include "sys/process.h"
#include "tls/certificate.h"

enum { FILE_BYTES_MAX = 64 << 20, DAY_S = 86400, DAYS_LEFT_FEW = 14 };

struct checking {
	const struct conf *conf;
	const struct conf_text *texts;
	size_t n_texts;
	int64_t now_s;
	struct arena *arena;
	struct conf_report *report;
	const struct conf_file *files;
	size_t n_files;
	struct str *contents;      /* beside files; p NULL: could not be read */
	struct checked *out;
};

#define SAY(c, warning, at, ...) report_at((c)->report, (warning), (c)->texts, (c)->n_texts, (at), __VA_ARGS__)

static void read_files(struct checking *c)
{
	for (size_t i = 0; i < c->n_files; i++) {
		const struct conf_file *file = &c->files[i];
		struct why why = { "" };
		if (load_file(file->path.p, FILE_BYTES_MAX, c->arena, &c->contents[i], &why) != OK) {
			c->contents[i] = STR_NONE;
			SAY(c, false, file->at, "%s", why.text);
			continue;
		}
		if (c->contents[i].p == NULL)
			c->contents[i] = STR("");
		struct str rest = c->contents[i], password = STR_NONE;
		if ((file->use & CONF_FILE_SECRET) && (!str_next_line(&rest, &password) || str_trim(password).n == 0))
			SAY(c, false, file->at, "no password is in the first line of this file");
	}
}

static const struct conf_file *file_of(const struct checking *c, struct str path, struct str *text_out)
{
	for (size_t i = 0; i < c->n_files; i++)
		if (str_eq(c->files[i].path, path)) {
			*text_out = c->contents[i];
			return &c->files[i];
		}
	*text_out = STR_NONE;
	return NULL;
}

/* What the server refuses is an error. A certificate that clients refuse is none: senders that do not look at it still get through. */
static void check_dates(struct checking *c, const struct conf_file *file, const struct certificate_facts *facts)
{
	int64_t days = (facts->not_after_s - c->now_s) / DAY_S;
	if (facts->not_after_s <= c->now_s)
		SAY(c, true, file->at, "this certificate has expired, and clients refuse it: get a new one");
	else if (facts->not_before_s > c->now_s)
		SAY(c, true, file->at, "this certificate is not valid yet: is the clock right?");
	else if (days < DAYS_LEFT_FEW)
		SAY(c, true, file->at, "this certificate expires in %lld days", (long long)days);
	if (c->out->certificates == 0 || days < c->out->days_left) {
		c->out->days_left = days;
		c->out->first_to_end = file->path;
	}
	c->out->certificates++;
}

static void check_names(struct checking *c, const struct conf_tls *tls, const struct conf_file *file,
                        const struct certificate_facts *facts)
{
	for (size_t i = 0; i < tls->names.n; i++)
		if (facts->names.n > 0 && !certificate_covers(facts, tls->names.items[i]))
			SAY(c, true, file->at, "this certificate is not for \"%.*s\" but for: %.*s", SHOWN(tls->names.items[i]),
			    SHOWN(facts->names));
	if (facts->names.n == 0)
		SAY(c, true, file->at, "this certificate carries no name (SAN), and clients refuse it: get one for %.*s",
		    SHOWN(tls->names.n > 0 ? tls->names.items[0] : c->conf->hostname));
	else if (tls->names.n == 0 && !certificate_covers(facts, c->conf->hostname))
		SAY(c, true, file->at, "this certificate is not for the hostname \"%.*s\" but for: %.*s", SHOWN(c->conf->hostname),
		    SHOWN(facts->names));
}

static void check_pair(struct checking *c, const struct conf_tls *tls, size_t i)
{
	struct str cert, key;
	struct certificate_facts facts;
	struct why why = { "" };
	const struct conf_file *cert_file = file_of(c, tls->certs.items[i], &cert);
	const struct conf_file *key_file = file_of(c, tls->keys.items[i], &key);
	if (cert.p == NULL || cert_file == NULL || key_file == NULL)
		return;
	if (certificate_read(cert, c->arena, &facts, &why) != OK) {
		SAY(c, false, cert_file->at, "%s", why.text);
		return;
	}
	check_dates(c, cert_file, &facts);
	check_names(c, tls, cert_file, &facts);
	if (key.p != NULL && certificate_fits_key(cert, key, &why) != OK)
		SAY(c, false, key_file->at, "%s", why.text);
}

static void check_certificates(struct checking *c)
{
	for (size_t i = 0; i < c->conf->n_tls; i++)
		for (size_t j = 0; j < c->conf->tls[i].certs.n; j++)
			check_pair(c, &c->conf->tls[i], j);
	for (size_t i = 0; i < c->n_files; i++) {
		struct certificate_facts facts;
		struct why why = { "" };
		if ((c->files[i].use & (CONF_FILE_CA | CONF_FILE_POLICY_CA)) && c->contents[i].p != NULL &&
		    certificate_read(c->contents[i], c->arena, &facts, &why) != OK)
			SAY(c, false, c->files[i].at, "%s", why.text);
	}
}

/* The line itself is never shown: it holds a secret. */
static void check_credential(struct checking *c, const struct user_line *u)
{
	struct credential credential;
	struct why why = { "" };
	if (credential_parse(u->credential, &credential, &why) != OK)
		report_line(c->report, false, u->at, STR_NONE, "this user cannot log in: %s", why.text);
}

static void count_users(struct checking *c)
{
	for (size_t i = 0; i < c->n_files; i++) {
		struct conf_report silent;
		unsigned errors;
		if (!(c->files[i].use & CONF_FILE_USERS))
			continue;
		conf_report_init(&silent);
		for (const struct user_line *u = users_parse(c->files[i].path, c->contents[i], c->arena, &silent, &errors); u != NULL;
		     u = u->next) {
			check_credential(c, u);
			c->out->users++;
		}
		conf_report_fini(&silent);
	}
}

static void check_tables(struct checking *c)
{
	struct directory_file *files = ARENA_ARRAY(c->arena, struct directory_file, c->n_files + 1);
	struct directory *directory = NULL;
	size_t n = 0;
	for (size_t i = 0; i < c->n_files; i++) {
		if (!(c->files[i].use & (CONF_FILE_USERS | CONF_FILE_ALIASES | CONF_FILE_RECIPIENTS)))
			continue;
		if (c->contents[i].p == NULL)
			return; /* told already; the rest would follow from it */
		files[n++] = (struct directory_file){ c->files[i].path, c->contents[i] };
	}
	if (directory_new(c->conf, files, n, &directory, c->report) == OK)
		count_users(c);
	directory_free(&directory);
}

static void on_mail_root(void *owner, struct conf_place at, const char *text)
{
	struct checking *c = owner;
	SAY(c, true, at, "%s", text);
}

static void check_account(struct checking *c, struct str name, const char *directive)
{
	uint32_t uid, gid;
	if (user_find(name.p, &uid, &gid) != OK)
		report_line(c->report, false, (struct conf_place){ c->texts[0].name.p, 0, 0 }, STR_NONE,
		            ACCOUNT_MISSING_TEXT, directive, STR_ARG(name), directive);
}

/* As the supervisor finds it: run-as with "-spool" behind it if there is one. */
static bool find_spool(const struct checking *c, char name[160], uint32_t *uid, uint32_t *gid)
{
	*uid = process_user();
	if (!process_is_root())
		return user_name(*uid, name, 160) == OK || snprintf(name, 160, "user %u", (unsigned)*uid) > 0;
	(void)snprintf(name, 160, "%.*s-spool", STR_ARG(c->conf->run_as));
	if (user_find(name, uid, gid) == OK)
		return true;
	(void)snprintf(name, 160, "%.*s", STR_ARG(c->conf->run_as));
	return user_find(name, uid, gid) == OK;
}

static void check_way_to_queue(struct checking *c, const char *path)
{
	char folder[WAY_MAX], name[160];
	uint32_t uid, gid;
	const struct conf_place nowhere = { c->texts[0].name.p, 0, 0 };
	if (way_leads_into_queue(path, folder))
		report_line(c->report, false, nowhere, STR_NONE, QUEUE_INSIDE_TEXT, path, folder);
	else if (find_spool(c, name, &uid, &gid) && way_is_barred(path, uid, process_is_root() ? &gid : NULL, folder))
		report_line(c->report, true, nowhere, STR_NONE, QUEUE_BARRED_TEXT, name, folder, path);
}

/* What is below /run is made by the service manager when the server starts. */
static void check_socket(struct checking *c, struct conf_place at, struct str path)
{
	struct path_facts facts;
	size_t end = path.n;
	while (end > 0 && path.p[end - 1] != '/')
		end--;
	struct str folder = str_sub(path, 0, end > 0 ? end - 1 : 0), rest = path;
	if (folder.n == 0 || str_take(&rest, STR("/run/")) || str_take(&rest, STR("/var/run/")))
		return;
	if (path_facts(arena_copy(c->arena, folder).p, &facts) == F_ABSENT)
		SAY(c, false, at, "there is no folder %.*s for the socket %.*s, and the server does not start: make it", STR_ARG(folder), STR_ARG(path));
}

static void check_sockets(struct checking *c)
{
	for (size_t i = 0; i < c->conf->n_listeners; i++)
		for (size_t j = 0; j < c->conf->listeners[i].on.n; j++) {
			struct str on = c->conf->listeners[i].on.items[j];
			if (str_take(&on, STR("unix:")))
				check_socket(c, c->conf->listeners[i].at, on);
		}
	check_socket(c, (struct conf_place){ c->texts[0].name.p, 0, 0 }, c->conf->control);
}

/* The spool would refuse it, and the server not start. */
static void check_queue(struct checking *c)
{
	struct str directory = c->conf->queue.directory;
	struct path_facts facts;
	if (directory.n == 0)
		return;
	check_way_to_queue(c, arena_copy(c->arena, directory).p);
	if (path_facts(arena_copy(c->arena, directory).p, &facts) != OK)
		return; /* it is made at the start, or told of there */
	if (facts.is_directory && (facts.mode & FILE_MODE_OTHERS) != 0)
		report_line(c->report, false, (struct conf_place){ c->texts[0].name.p, 0, 0 }, STR_NONE,
		            "the queue's directory %.*s is open to others (mode %o), and the server does not start with it: chmod 700 %.*s",
		            SHOWN(directory), facts.mode & FILE_MODE_BITS, SHOWN(directory));
}

void check_files(const struct conf *conf, const struct conf_text *texts, size_t n, int64_t now_s, struct arena *a,
                 struct conf_report *report, struct checked *out)
{
	struct checking c = { .conf = conf, .texts = texts, .n_texts = n, .now_s = now_s, .arena = a, .report = report,
		              .out = out };
	*out = (struct checked){ .users = 0 };
	c.n_files = conf_files(conf, &c.files);
	c.contents = ARENA_ARRAY(a, struct str, c.n_files + 1);
	for (size_t k = 0; k < conf->direct.n_exceptions; k++) {
		const struct conf_exception *e = &conf->direct.exceptions[k];
		if (now_s >= e->until_s)
			SAY(&c, true, e->at, "this exception has ended: what %.*s publishes binds again; remove the line, or give it a later day", STR_ARG(e->domain));
	}
	fault others = permit_judge(conf, texts, n, report); /* its words are in the report */
	(void)others;
	read_files(&c);
	check_certificates(&c);
	check_tables(&c);
	mail_roots_look(conf, on_mail_root, &c);
	check_queue(&c);
	check_sockets(&c);
	if (process_is_root()) {
		bool maildirs = false;
		for (size_t i = 0; i < conf->n_domains; i++)
			maildirs = maildirs || conf->domains[i].deliver == DELIVER_MAILDIR;
		check_account(&c, conf->run_as, "run-as");
		if (maildirs)
			check_account(&c, conf->mail_user, "mail-user");
	}
}
