/* SPDX-License-Identifier: ISC */
#include "role/keeper/vault.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "policy/users.h"
#include "sys/file.h"
#include "sys/secret.h"
#include "sys/socket.h"
#include "tls/certificate.h"

enum { FILE_BYTES_MAX = 256 << 20, GROWTH_BYTES = 4096, SECRET_BYTES_MAX = 4096, CERTIFICATES_TEXT_MAX = 1 << 20, DAY_S = 86400, SOON_DAYS = 14 };

/* ---- files ---- */

struct file {
	struct link in_files;
	struct str path;         /* points behind this struct */
	void *pages;             /* secret_new; NULL: read in vain, or wiped */
	size_t room, n;
	bool locked;
	fault problem;
};

struct files { struct list list; };

struct files *files_new(void)
{
	struct files *f = NEW(struct files);
	list_init(&f->list);
	return f;
}

void files_free(struct files **f_)
{
	struct files *f = *f_;
	if (f == NULL)
		return;
	*f_ = NULL;
	LIST_EACH(l, &f->list) {
		struct file *file = LIST_MEMBER(l, struct file, in_files);
		secret_free(&file->pages, file->room);
		free(file);
	}
	free(f);
}

/* Straight into its pages, so that no copy of a key stays anywhere else. */
static fault read_whole(int fd, struct file *to)
{
	uint64_t size = 0;
	size_t n = 1;
	TRY(file_size(fd, &size));
	if (size > FILE_BYTES_MAX)
		return F_LIMIT;
	to->room = (size_t)size + GROWTH_BYTES;
	to->pages = secret_new(to->room, &to->locked);
	if (to->pages == NULL)
		return F_LIMIT;
	for (; n > 0 && to->n < to->room; to->n += n) {
		char *at = (char *)to->pages + to->n;
		if (file_pread(fd, at, to->room - to->n, to->n, &n) != OK) /* a pipe has no offsets */
			TRY(file_read(fd, at, to->room - to->n, &n));
	}
	return n == 0 ? OK : F_BUSY; /* it grows while we read */
}

void files_take(struct files *f, struct str path, int fd)
{
	struct file *file = must_alloc(sizeof(*file) + path.n + 1); /* zeroed */
	char *kept = (char *)(file + 1);
	if (path.n > 0)
		memcpy(kept, path.p, path.n);
	file->path = (struct str){ kept, path.n };
	file->problem = read_whole(fd, file);
	list_add_last(&f->list, &file->in_files);
	fd_close(&fd);
}

static struct str text_in(const struct file *file)
{
	return file->pages != NULL ? (struct str){ file->pages, file->n } : STR_NONE;
}

static fault text_of(const struct files *f, struct str path, struct str *out, struct why *why)
{
	LIST_EACH(l, &f->list) {
		const struct file *file = LIST_MEMBER(l, struct file, in_files);
		if (!str_eq(file->path, path))
			continue;
		if (file->problem != OK)
			return why_say(why, file->problem, "%.*s: cannot be read (%s)", STR_ARG(path),
			               file->problem == F_LIMIT ? "it is larger than 256 MB" : fault_name(file->problem));
		*out = text_in(file);
		return OK;
	}
	return why_say(why, F_ABSENT, "%.*s: cannot be read: is it there, and may the server read it?", STR_ARG(path));
}

/* ---- keys ---- */

static void judge_certificate(const struct conf_tls *block, struct str path, struct str chain, int64_t now_s, struct buf *trouble)
{
	struct certificate_facts facts;
	struct arena *a = arena_new(1 << 20);
	if (certificate_read(chain, a, &facts, NULL) == OK) {
		int64_t days = (facts.not_after_s - now_s) / DAY_S;
		fault f = OK;
		if (facts.not_after_s <= now_s)
			f = buf_addf(trouble, "%.*s: the certificate has expired: clients will refuse it; renew it and reload\n", STR_ARG(path));
		else if (facts.not_before_s > now_s)
			f = buf_addf(trouble, "%.*s: the certificate is not valid yet: is the clock right?\n", STR_ARG(path));
		else if (days < SOON_DAYS && facts.not_after_s - facts.not_before_s > 2 * SOON_DAYS * DAY_S)
			f = buf_addf(trouble, "%.*s: the certificate expires in %" PRId64 " days\n", STR_ARG(path), days);
		for (size_t i = 0; f == OK && i < block->names.n; i++)
			if (!certificate_covers(&facts, block->names.items[i]))
				f = buf_addf(trouble, "%.*s: the certificate is not for %.*s\n", STR_ARG(path), STR_ARG(block->names.items[i]));
	}
	arena_free(&a);
}

static fault load_keys(struct vault *v, int64_t now_s, struct buf *trouble, struct why *why)
{
	for (size_t i = 0; i < v->conf->n_tls; i++) {
		const struct conf_tls *block = &v->conf->tls[i];
		for (size_t j = 0; j < block->certs.n && j < block->keys.n; j++) {
			struct str chain, key;
			struct why reason = { "" };
			TRY(text_of(v->files, block->certs.items[j], &chain, why));
			TRY(text_of(v->files, block->keys.items[j], &key, why));
			fault f = keys_add(v->keys, chain, key, &reason);
			if (f != OK)
				return why_say(why, f, "%.*s, %.*s: %s", STR_ARG(block->certs.items[j]), STR_ARG(block->keys.items[j]), reason.text);
			judge_certificate(block, block->certs.items[j], chain, now_s, trouble);
		}
	}
	return OK;
}

/* The PEM texts have done their work. */
static void wipe_key_files(struct vault *v)
{
	for (size_t i = 0; i < v->conf->n_tls; i++)
		for (size_t j = 0; j < v->conf->tls[i].keys.n; j++)
			LIST_EACH(l, &v->files->list) {
				struct file *file = LIST_MEMBER(l, struct file, in_files);
				if (str_eq(file->path, v->conf->tls[i].keys.items[j]))
					secret_free(&file->pages, file->room);
			}
}

/* ---- names ---- */

/* One that could not be opened has not been sent at all. */
static fault check_arrived(const struct vault *v, struct why *why)
{
	const struct conf_file *named;
	size_t n = conf_files(v->conf, &named);
	struct str unused;
	for (size_t i = 0; i < n; i++)
		if ((named[i].use & (CONF_FILE_USERS | CONF_FILE_ALIASES | CONF_FILE_RECIPIENTS)) != 0)
			TRY(text_of(v->files, named[i].path, &unused, why));
	return OK;
}

static fault load_directory(struct vault *v, struct why *why)
{
	size_t n = 0;
	TRY(check_arrived(v, why));
	LIST_EACH(l, &v->files->list)
		n++;
	struct directory_file *texts = must_alloc((n + 1) * sizeof(*texts));
	n = 0;
	LIST_EACH(l, &v->files->list) {
		const struct file *file = LIST_MEMBER(l, struct file, in_files);
		texts[n++] = (struct directory_file){ file->path, text_in(file) };
	}
	struct conf_report report;
	conf_report_init(&report);
	fault f = directory_new(v->conf, texts, n, &v->directory, &report);
	if (f != OK)
		f = why_say(why, f, "%.*s", STR_ARG(buf_view(&report.text)));
	conf_report_fini(&report);
	free(texts);
	return f;
}

/* A credential that cannot be read keeps its user out, and nobody else. The others are counted by kind. */
static void judge_credentials(struct vault *v, struct buf *trouble)
{
	struct conf_report silent;
	struct arena *a = arena_new(1 << 30);
	fault f = OK;
	conf_report_init(&silent);
	for (size_t i = 0; i < v->conf->n_users; i++) {
		struct str text, path = v->conf->users[i].file;
		unsigned errors = 0;
		if (text_of(v->files, path, &text, NULL) != OK)
			continue;
		for (const struct user_line *u = users_parse(path, text, a, &silent, &errors); u != NULL && f == OK; u = u->next) {
			struct credential c;
			struct why why = { "" };
			if (credential_parse(u->credential, &c, &why) == OK)
				credential_kinds_add(&v->kinds, &c);
			else
				f = buf_addf(trouble, "%.*s:%u: %.*s cannot log in: %s\n", STR_ARG(path), u->at.line, STR_ARG(u->name), why.text);
		}
	}
	conf_report_fini(&silent);
	arena_free(&a);
}

/* ---- secrets ---- */

fault vault_secret(const struct vault *v, struct str relay, struct str *user_out, struct str *password_out)
{
	const struct conf_relay *r = conf_relay_find(v->conf, relay);
	struct str text, line;
	if (r == NULL || r->login_name.n == 0)
		return F_ABSENT;
	TRY(text_of(v->files, r->login_file, &text, NULL));
	if (!str_take_line(&text, &line))
		line = text;
	*user_out = r->login_name;
	*password_out = line;
	return OK;
}

static fault check_secrets(const struct vault *v, struct why *why)
{
	for (size_t i = 0; i < v->conf->n_relays; i++) {
		const struct conf_relay *r = &v->conf->relays[i];
		struct str text, user, password;
		if (r->login_name.n == 0)
			continue;
		TRY(text_of(v->files, r->login_file, &text, why));
		if (text.n > SECRET_BYTES_MAX || vault_secret(v, r->name, &user, &password) != OK || password.n == 0)
			return why_say(why, F_SYNTAX, "%.*s: its first line should be the password for relay %.*s", STR_ARG(r->login_file),
			               STR_ARG(r->name));
	}
	return OK;
}

/* Where the limit of locked memory is low. The keys' own files are gone by now. */
static void judge_locks(const struct vault *v, struct buf *trouble)
{
	const struct conf_file *named;
	size_t n = conf_files(v->conf, &named);
	LIST_EACH(l, &v->files->list) {
		const struct file *file = LIST_MEMBER(l, struct file, in_files);
		for (size_t i = 0; i < n && !file->locked && file->pages != NULL; i++)
			if ((named[i].use & (CONF_FILE_USERS | CONF_FILE_SECRET)) != 0 && str_eq(named[i].path, file->path)) {
				fault full = buf_addf(trouble, "%.*s: cannot be locked in memory and may be swapped out: raise the limit of "
				                      "locked memory (LimitMEMLOCK=infinity in the unit)\n", STR_ARG(file->path));
				(void)full;
				break;
			}
	}
}

/* ---- all together ---- */

fault vault_new(const struct conf *conf, struct files **files, int64_t now_s, struct vault **out, struct buf *trouble,
                     struct why *why)
{
	struct vault *v = NEW(struct vault);
	v->conf = conf;
	v->files = *files;
	*files = NULL;
	v->keys = keys_new();
	fault f = load_keys(v, now_s, trouble, why);
	wipe_key_files(v);
	if (f == OK)
		f = check_secrets(v, why);
	if (f == OK)
		f = load_directory(v, why);
	if (f != OK) {
		vault_free(&v);
		return f;
	}
	judge_credentials(v, trouble);
	judge_locks(v, trouble);
	*out = v;
	return OK;
}

void vault_free(struct vault **v_)
{
	struct vault *v = *v_;
	if (v == NULL)
		return;
	*v_ = NULL;
	directory_free(&v->directory);
	keys_free(&v->keys);
	files_free(&v->files);
	free(v);
}

static fault put_names(struct buf *json, struct str names)
{
	for (size_t i = 0; i < names.n; i++)
		if (names.p[i] != '"' && names.p[i] != '\\')
			TRY(buf_add_char(json, names.p[i]));
	return OK;
}

static fault put_certificate(struct buf *json, struct str chain, int64_t now_s, bool first)
{
	struct certificate_facts facts;
	struct arena *a = arena_new(1 << 20);
	fault f = certificate_read(chain, a, &facts, NULL);
	if (f == OK)
		f = buf_addf(json, "%s{\"names\": \"", first ? "" : ", ");
	if (f == OK)
		f = put_names(json, facts.names);
	if (f == OK)
		f = buf_addf(json, "\", \"key\": \"%.*s\", \"days_left\": %" PRId64 "}", STR_ARG(facts.key_type),
		             (facts.not_after_s - now_s) / DAY_S);
	arena_free(&a);
	return f;
}

void vault_status(const struct vault *v, int64_t now_s, struct buf *json)
{
	struct buf list;
	bool first = true;
	buf_init(&list, CERTIFICATES_TEXT_MAX);
	for (size_t i = 0; i < v->conf->n_tls; i++)
		for (size_t j = 0; j < v->conf->tls[i].certs.n; j++) {
			struct str chain;
			struct buf one;
			buf_init(&one, 64 << 10);
			if (text_of(v->files, v->conf->tls[i].certs.items[j], &chain, NULL) == OK &&
			    put_certificate(&one, chain, now_s, first) == OK && buf_add(&list, buf_view(&one)) == OK)
				first = false;
			buf_fini(&one);
		}
	/* Whole or not at all, so that the object stays one. */
	struct str text = buf_view(&list);
	if (buf_room(json) > text.n + 32) {
		fault f = buf_addf(json, ", \"certificates\": [%.*s]", STR_ARG(text));
		check(f == OK);
	}
	buf_fini(&list);
}
