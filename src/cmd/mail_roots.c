/* SPDX-License-Identifier: ISC */
#include "cmd/mail_roots.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "sys/process.h"

enum { PATH_ROOM = 4096, MODE_READ = 4, MODE_WRITE = 2, MODE_SEARCH = 1 };

struct mail_owner { uint32_t uid, gid; const char *name; bool is_us; };

bool path_allows(const struct path_facts *p, uint32_t uid, uint32_t gid, unsigned what)
{
	unsigned wanted = (what & FILE_READ ? MODE_READ : 0u) | (what & FILE_WRITE ? MODE_WRITE : 0u) | (what & FILE_SEARCH ? MODE_SEARCH : 0u);
	unsigned shift = p->uid == uid ? 6 : p->gid == gid ? 3 : 0;
	return uid == 0 || (p->mode >> shift & wanted) == wanted;
}

/* Whoever runs the server, if not root, is only known to be one of the users, not of which groups. */
static bool owner_may(const struct mail_owner *o, const struct path_facts *p, unsigned what)
{
	return path_allows(p, o->uid, o->is_us ? p->gid : o->gid, what);
}

/* The first folder on the way that he may not pass; NULL if there is none. */
static const char *barred(const struct mail_owner *o, const char *path, char room[PATH_ROOM])
{
	struct path_facts facts;
	for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		memcpy(room, path, (size_t)(slash - path));
		room[slash - path] = '\0';
		if (path_facts(room, &facts) == OK && facts.is_directory && !owner_may(o, &facts, FILE_SEARCH))
			return room;
	}
	return NULL;
}

/* False: it is fine, or nobody can tell. */
static bool judge(const struct mail_owner *o, const char *path, char *to, size_t room)
{
	struct path_facts facts;
	char way[PATH_ROOM];
	fault f = path_facts(path, &facts);
	const char *bar = barred(o, path, way);
	if (f == F_ABSENT)
		(void)snprintf(to, room, "there is no folder %s, so no mail can be put there, and waits: make it, "
		               "install -d -o %s -m 0700 %s", path, o->name, path);
	else if (f != OK)
		return false;
	else if (!facts.is_directory)
		(void)snprintf(to, room, "%s is no folder, so no mail can be put there, and waits: move it away and make one", path);
	else if (bar != NULL)
		(void)snprintf(to, room, "%s, who owns the mail, may not pass %s, so no mail can be put into %s: chmod o+x %s", o->name, bar, path,
		               bar);
	else if (!owner_may(o, &facts, FILE_SEARCH))
		(void)snprintf(to, room, "%s, who owns the mail, may not look into %s, so no mail can be put there, and waits: "
		               "chown %s %s", o->name, path, o->name, path);
	else if (!owner_may(o, &facts, FILE_WRITE))
		(void)snprintf(to, room, "%s, who owns the mail, may not write to %s, so no new mailbox can be made there: chown %s %s", o->name,
		               path, o->name, path);
	else
		return false;
	return true;
}

static bool find_owner(const struct conf *conf, char name[128], struct mail_owner *out)
{
	*out = (struct mail_owner){ .uid = process_user(), .is_us = true, .name = name };
	if (!process_is_root())
		return user_name(out->uid, name, 128) == OK || snprintf(name, 128, "%u", (unsigned)out->uid) > 0;
	out->is_us = false;
	(void)snprintf(name, 128, "%.*s", STR_ARG(conf->mail_user));
	return user_find(name, &out->uid, &out->gid) == OK; /* that it is missing is told elsewhere */
}

static bool root_of(const struct conf_domain *d, char path[PATH_ROOM])
{
	struct str fixed = conf_maildir_fixed(d->deliver_to);
	if (d->deliver != DELIVER_MAILDIR || fixed.n >= PATH_ROOM)
		return false;
	(void)snprintf(path, PATH_ROOM, "%.*s", STR_ARG(fixed.n > 0 ? fixed : STR("/")));
	return true;
}

void mail_roots_look(const struct conf *conf, void (*trouble)(void *owner, struct conf_place at, const char *text), void *owner)
{
	struct mail_owner mail;
	char name[128], path[PATH_ROOM], text[4 * PATH_ROOM];
	if (!find_owner(conf, name, &mail))
		return;
	struct map *seen = map_new(0);
	for (size_t i = 0; i < conf->n_domains; i++)
		if (root_of(&conf->domains[i], path) && map_set(seen, str_of(path), &mail) == NULL && judge(&mail, path, text, sizeof text))
			trouble(owner, conf->domains[i].at, text);
	map_free(&seen);
}
