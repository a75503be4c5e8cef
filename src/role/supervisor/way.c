/* SPDX-License-Identifier: ISC */
/* role/supervisor/way.c -- what lies on the way to a folder: one that an account may not pass, or another server's queue. */
#include "role/supervisor/load.h"

#include <stdio.h>
#include <string.h>

#include "sys/file.h"

enum { SEARCH = 1 };

/* The folders above this one, from the top; *at begins at 0. False: there is no more. */
static bool next_above(const char *path, size_t *at, char folder[WAY_MAX])
{
	const char *slash = strchr(path + *at + 1, '/');
	if (slash == NULL || slash[1] == '\0' || (size_t)(slash - path) >= WAY_MAX)
		return false;
	*at = (size_t)(slash - path);
	memcpy(folder, path, *at);
	folder[*at] = '\0';
	return true;
}

bool way_is_barred(const char *path, uint32_t uid, const uint32_t *gid, char folder[WAY_MAX])
{
	struct path_facts p;
	for (size_t at = 0; path[0] != '\0' && next_above(path, &at, folder);) {
		if (uid == 0 || path_facts(folder, &p) != OK || !p.is_directory)
			continue;
		unsigned shift = p.uid == uid ? 6 : gid == NULL || p.gid == *gid ? 3 : 0;
		if ((p.mode >> shift & SEARCH) == 0)
			return true;
	}
	return false;
}

static bool has_file(const char *folder, const char *name)
{
	char path[WAY_MAX + 16];
	struct path_facts p;
	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	return path_facts(path, &p) == OK && p.is_file;
}

bool way_leads_into_queue(const char *path, char folder[WAY_MAX])
{
	for (size_t at = 0; path[0] != '\0' && next_above(path, &at, folder);)
		if (has_file(folder, "queue.db") && has_file(folder, "lock"))
			return true;
	return false;
}
