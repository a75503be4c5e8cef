/* SPDX-License-Identifier: ISC */
/*
 * A fault on purpose: linked into a program, it lets some of its flushes say yes and do nothing. UNSYNCED in the
 * environment names which: all; folders (fsync of a directory); program (those that the program itself asks for);
 * libraries (those that a library asks for, which is SQLite).
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *which(void)
{
	const char *word = getenv("UNSYNCED");
	return word != NULL ? word : "";
}

static bool is_folder(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The program is the one object whose name dladdr gives without ".so" in it. */
static bool is_program(const void *caller)
{
	Dl_info where;
	return dladdr(caller, &where) != 0 && strstr(where.dli_fname, ".so") == NULL;
}

static bool leave_out(int fd, const void *caller)
{
	return strcmp(which(), "all") == 0 || (strcmp(which(), "folders") == 0 && is_folder(fd)) ||
	       (strcmp(which(), "program") == 0 && is_program(caller)) ||
	       (strcmp(which(), "libraries") == 0 && !is_program(caller));
}

static int really(const char *name, int fd)
{
	int (*call)(int) = NULL;
	*(void **)&call = dlsym(RTLD_NEXT, name);
	return call(fd);
}

int fsync(int fd)
{
	return leave_out(fd, __builtin_return_address(0)) ? 0 : really("fsync", fd);
}

int fdatasync(int fd)
{
	return leave_out(fd, __builtin_return_address(0)) ? 0 : really("fdatasync", fd);
}
