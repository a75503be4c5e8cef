/* SPDX-License-Identifier: ISC */
/* Reads the files that tests keep beside themselves. SEALPOST_SOURCE names the top of the tree. */
#ifndef TEST_CONF_FILES_H
#define TEST_CONF_FILES_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static inline const char *source_path(const char *folder, const char *name, char path[1024])
{
	const char *top = getenv("SEALPOST_SOURCE");
	snprintf(path, 1024, "%s/%s/%s", top != NULL ? top : ".", folder, name);
	return path;
}

/* STR_NONE if there is no such file. */
static inline struct str source_text(const char *folder, const char *name, struct arena *a)
{
	static char text[1 << 20];
	char path[1024];
	FILE *f = fopen(source_path(folder, name, path), "rb");
	if (f == NULL)
		return STR_NONE;
	size_t n = fread(text, 1, sizeof text, f);
	fclose(f);
	return arena_copy(a, (struct str){ text, n });
}

static inline int is_conf_name(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);
	return n > 5 && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

/* The *.conf files of a folder in the order of their names. */
static inline int conf_names(const char *folder, struct dirent ***out)
{
	char path[1024];
	return scandir(source_path(folder, "", path), out, is_conf_name, alphasort);
}

#endif
