/* SPDX-License-Identifier: ISC */
/* role/supervisor/terms.c -- account and folders: what a role's process has from its start to its end. */
#include "role/supervisor/slot.h"

#include <stdlib.h>
#include <string.h>

#include "sys/process.h"

enum { TERMS_BYTES_MAX = 64 * CONF_BYTES_MAX };

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *text(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

/* Where mail of several domains lies below one folder, it is named once. */
static void maildir_roots(const struct conf *conf, struct terms *out)
{
	const char **roots = ARENA_ARRAY(out->arena, const char *, conf->n_domains + 1);
	size_t n = 0, kept = 0;
	for (size_t i = 0; i < conf->n_domains; i++) {
		if (conf->domains[i].deliver != DELIVER_MAILDIR)
			continue;
		struct str fixed = conf_maildir_fixed(conf->domains[i].deliver_to);
		roots[n++] = fixed.n > 0 ? text(out->arena, fixed) : "/";
	}
	qsort(roots, n, sizeof roots[0], by_text);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || strcmp(roots[kept - 1], roots[i]) != 0)
			roots[kept++] = roots[i];
	out->folders = roots;
	out->n_folders = kept;
}

void terms_of(const struct supervisor *sv, const struct conf *conf, enum role_kind kind, struct terms *out)
{
	*out = (struct terms){ .arena = arena_new(TERMS_BYTES_MAX) };
	out->has_account = account_of(sv, conf, kind, &out->account);
	if (kind == ROLE_PORTER)
		maildir_roots(conf, out);
	if (kind == ROLE_SPOOL) {
		out->folders = ARENA_ARRAY(out->arena, const char *, 1);
		out->folders[0] = text(out->arena, conf->queue.directory);
		out->n_folders = 1;
	}
}

static bool same_account(const struct terms *a, const struct terms *b)
{
	if (!a->has_account || !b->has_account)
		return a->has_account == b->has_account;
	return strcmp(a->account.name, b->account.name) == 0 && a->account.uid == b->account.uid && a->account.gid == b->account.gid;
}

bool terms_equal(const struct terms *a, const struct terms *b)
{
	if (!same_account(a, b) || a->n_folders != b->n_folders)
		return false;
	for (size_t i = 0; i < a->n_folders; i++)
		if (strcmp(a->folders[i], b->folders[i]) != 0)
			return false;
	return true;
}

void terms_free(struct terms *t)
{
	arena_free(&t->arena);
	*t = (struct terms){ 0 };
}

/* A queue that changed its place would leave behind what is in the old one, and who has a role's account owns its files. */
fault terms_check(const struct conf *now, const struct conf *coming, struct conf_report *report)
{
	fault f = OK;
	const char *what = NULL;
	struct str old = STR_NONE;
	if (!str_eq(now->queue.directory, coming->queue.directory)) {
		what = "queue directory";
		old = now->queue.directory;
	} else if (process_is_root() && !str_eq(now->run_as, coming->run_as)) {
		what = "run-as";
		old = now->run_as;
	}
	if (what != NULL) {
		report->errors++;
		f = buf_addf(&report->text, "%s: a running server cannot change it: stop it, see to the files, start it again (it is %.*s now)\n",
		             what, STR_ARG(old));
		f = f == OK ? F_STATE : f;
	}
	return f;
}
