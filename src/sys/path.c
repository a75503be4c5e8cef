/* SPDX-License-Identifier: ISC */
/* sys/path.c -- what is said of a path by means of sys/file.h alone. */
#include <string.h>

#include "sys/file.h"
#include "sys/socket.h"

fault directory_open_parent(const char *path, int *fd_out, struct why *why)
{
	char parent[4096];
	size_t n = strlen(path);
	if (n >= sizeof parent)
		return why_say(why, F_LIMIT, "the name of a directory is too long");
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	memcpy(parent, n > 0 ? path : ".", n > 0 ? n : 1);
	parent[n > 0 ? n : 1] = '\0';
	return directory_open(FILE_CWD, parent, fd_out, why);
}

fault directory_sync_name(const char *path)
{
	int fd = -1;
	TRY(directory_open_parent(path, &fd, NULL));
	fault f = file_sync_all(fd);
	fd_close(&fd);
	return f;
}
