/* SPDX-License-Identifier: ISC */
/* sys/path.c -- what is said of a path by means of sys/file.h alone. */
#include <string.h>

#include "sys/file.h"
#include "sys/socket.h"

fault directory_sync_name(const char *path)
{
	char parent[4096];
	int fd = -1;
	size_t n = strlen(path);
	if (n >= sizeof parent)
		return F_LIMIT;
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	memcpy(parent, n > 0 ? path : ".", n > 0 ? n : 1);
	parent[n > 0 ? n : 1] = '\0';
	TRY(directory_open(FILE_CWD, parent, &fd, NULL));
	fault f = file_sync_all(fd);
	fd_close(&fd);
	return f;
}
