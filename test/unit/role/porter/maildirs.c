/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "maildirs.h"

#include <dirent.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/process.h"

int become_nobody(void **state)
{
	uint32_t uid, gid;
	(void)state;
	if (geteuid() != 0)
		return 0;
	assert_ok(user_find("nobody", &uid, &gid));
	assert_int_equal(setgroups(0, NULL) | setresgid(gid, gid, gid) | setresuid(uid, uid, uid), 0);
	return 0;
}

char root[64];

int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/sealpost-porter-XXXXXX");
	return mkdtemp(root) != NULL ? 0 : -1;
}

int remove_root(void **state)
{
	(void)state;
	char command[256];
	(void)snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", root, root);
	return system(command);
}

struct place place_of(const char *below)
{
	struct place p;
	(void)snprintf(p.fixed, sizeof p.fixed, "%s", root);
	(void)snprintf(p.below, sizeof p.below, "%s", below);
	return p;
}

const char *path_of(const char *below)
{
	static char path[4096];
	(void)snprintf(path, sizeof path, "%s/%s", root, below);
	return path;
}

size_t count_files(const char *below)
{
	size_t n = 0;
	DIR *d = opendir(path_of(below));
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	if (d != NULL)
		(void)closedir(d);
	return n;
}

struct str content_of(const char *below)
{
	static char text[1 << 20];
	FILE *file = fopen(path_of(below), "rb");
	size_t n = file != NULL ? fread(text, 1, sizeof text, file) : 0;
	if (file != NULL)
		(void)fclose(file);
	return (struct str){ text, n };
}
