/* SPDX-License-Identifier: ISC */
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

_Static_assert((int)FILE_CWD == AT_FDCWD, "the system's number");

static fault fault_of_errno(void)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return F_ABSENT;
	case EEXIST:
		return F_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
	case ELOOP: /* a symbolic link where none is followed */
	case EXDEV: /* a path that leads out of its directory */
		return F_DENIED;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EMFILE:
	case ENFILE:
		return F_LIMIT;
	case EAGAIN:
		return F_BUSY;
	default:
		return F_SYS;
	}
}

/* --- opening --- */

static int open_flags(unsigned mode)
{
	int access = (mode & FILE_WRITE) == 0 ? O_RDONLY : (mode & FILE_READ) == 0 ? O_WRONLY : O_RDWR;
	return access | O_CLOEXEC | O_NOCTTY | ((mode & FILE_CREATE) != 0 ? O_CREAT | O_NOFOLLOW : 0) |
	       ((mode & FILE_PLAIN) != 0 ? O_NOFOLLOW | O_NONBLOCK : 0) |
	       ((mode & FILE_EXCLUSIVE) != 0 ? O_EXCL : 0) | ((mode & FILE_APPEND) != 0 ? O_APPEND : 0);
}

static fault opened(int fd, const char *path, int *fd_out, struct why *why)
{
	if (fd < 0)
		return why_say(why, fault_of_errno(), "%s: %s", path, strerror(errno));
	*fd_out = fd;
	return OK;
}

fault file_open(int at, const char *path, unsigned mode, unsigned permissions, int *fd_out, struct why *why)
{
	int fd;
	do
		fd = openat(at, path, open_flags(mode), (mode_t)permissions);
	while (fd < 0 && errno == EINTR);
	return opened(fd, path, fd_out, why);
}

fault path_absolute(const char *path, char *to, size_t room)
{
	char here[4096] = "";
	if (path[0] != '/' && getcwd(here, sizeof here) == NULL)
		return fault_of_errno();
	int n = snprintf(to, room, "%s%s%s", here, here[0] != '\0' ? "/" : "", path);
	return n >= 0 && (size_t)n < room ? OK : F_LIMIT;
}

fault directory_open(int at, const char *path, int *fd_out, struct why *why)
{
	return opened(openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), path, fd_out, why);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool path_is_same(const char *a, const char *b)
{
	struct stat first, second;
	return stat(a, &first) == 0 && stat(b, &second) == 0 ? is_same(&first, &second) : strcmp(a, b) == 0;
}

fault directory_is_within(int fd, int of, bool *out)
{
	struct stat sought, here, below;
	int at = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	*out = false;
	fault f = at >= 0 && fstat(of, &sought) == 0 && fstat(at, &here) == 0 ? OK : fault_of_errno();
	for (bool root = false; f == OK && !root && !(*out = is_same(&here, &sought));) {
		int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		below = here;
		if (up < 0 || fstat(up, &here) != 0)
			f = fault_of_errno();
		root = is_same(&here, &below);
		(void)close(at);
		at = up;
	}
	if (at >= 0)
		(void)close(at);
	return f;
}

static fault open_beneath(int at, const char *path, int flags, unsigned permissions, int *fd_out)
{
	/* O_NONBLOCK: a FIFO that somebody put there must not stop us. */
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_NOFOLLOW | O_NONBLOCK),
		.mode = (flags & O_CREAT) != 0 ? permissions : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	/* RESOLVE_BENEATH follows a ".." that stays below; we refuse each. */
	struct str rest = str_of(path);
	for (struct str part; rest.n > 0;) {
		if (!str_take_until(&rest, '/', &part)) {
			part = rest;
			rest = STR_NONE;
		}
		if (str_eq(part, STR("..")))
			return F_DENIED;
	}
	long fd;
	do
		fd = syscall(SYS_openat2, at, path, &how, sizeof how);
	while (fd < 0 && errno == EINTR);
	return opened((int)fd, path, fd_out, NULL);
}

fault file_open_beneath(int at, const char *path, unsigned mode, unsigned permissions, int *fd_out)
{
	return open_beneath(at, path, open_flags(mode), permissions, fd_out);
}

fault directory_open_beneath(int at, const char *path, int *fd_out)
{
	return open_beneath(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, fd_out);
}

fault directory_make(int at, const char *path, unsigned permissions)
{
	return mkdirat(at, path, (mode_t)permissions) == 0 ? OK : fault_of_errno();
}

fault directory_remove(int at, const char *path)
{
	return unlinkat(at, path, AT_REMOVEDIR) == 0 ? OK : fault_of_errno();
}

fault directory_give(const char *path, uint32_t uid, uint32_t gid)
{
	int fd = -1;
	TRY(opened(open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), path, &fd, NULL));
	fault f = fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0 ? OK : fault_of_errno();
	(void)close(fd);
	return f;
}

/* --- bytes --- */

fault file_read(int fd, void *to, size_t n, size_t *n_out)
{
	ssize_t got;
	do
		got = read(fd, to, n);
	while (got < 0 && errno == EINTR);
	*n_out = got > 0 ? (size_t)got : 0;
	return got >= 0 ? OK : fault_of_errno();
}

fault file_pread(int fd, void *to, size_t n, uint64_t offset, size_t *n_out)
{
	*n_out = 0;
	while (*n_out < n) {
		ssize_t got = pread(fd, (char *)to + *n_out, n - *n_out, (off_t)(offset + *n_out));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_of_errno();
		if (got == 0)
			break;
		*n_out += (size_t)got;
	}
	return OK;
}

fault file_read_all(int fd, struct buf *to)
{
	char room[16 << 10];
	bool seekable = lseek(fd, 0, SEEK_CUR) >= 0;
	for (uint64_t offset = 0;;) {
		size_t n = 0;
		TRY(seekable ? file_pread(fd, room, sizeof room, offset, &n) : file_read(fd, room, sizeof room, &n));
		if (n == 0)
			return OK;
		TRY(buf_add(to, (struct str){ room, n }));
		offset += n;
	}
}

fault file_write(int fd, struct str bytes)
{
	while (bytes.n > 0) {
		ssize_t n = write(fd, bytes.p, bytes.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_of_errno();
		bytes = str_from(bytes, (size_t)n);
	}
	return OK;
}

fault file_pwrite(int fd, struct str bytes, uint64_t offset)
{
	while (bytes.n > 0) {
		ssize_t n = pwrite(fd, bytes.p, bytes.n, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_of_errno();
		bytes = str_from(bytes, (size_t)n);
		offset += (uint64_t)n;
	}
	return OK;
}

fault file_cut(int fd, uint64_t bytes)
{
	return ftruncate(fd, (off_t)bytes) == 0 ? OK : fault_of_errno();
}

/* A failed sync is never repeated: the kernel may have dropped the pages and would then say yes. */
fault file_sync(int fd)
{
	return fdatasync(fd) == 0 ? OK : fault_of_errno();
}

fault file_sync_all(int fd)
{
	return fsync(fd) == 0 ? OK : fault_of_errno();
}

/* --- what is known of a file, and its names --- */

fault file_size(int fd, uint64_t *out)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return fault_of_errno();
	*out = (uint64_t)st.st_size;
	return OK;
}

fault file_link(int from_at, const char *from, int to_at, const char *to)
{
	return linkat(from_at, from, to_at, to, 0) == 0 ? OK : fault_of_errno();
}

fault file_rename(int from_at, const char *from, int to_at, const char *to)
{
	return renameat(from_at, from, to_at, to) == 0 ? OK : fault_of_errno();
}

fault file_remove(int at, const char *path)
{
	return unlinkat(at, path, 0) == 0 ? OK : fault_of_errno();
}

fault file_owner_mode(int fd, uint32_t *uid_out, uint32_t *mode_out)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return fault_of_errno();
	*uid_out = st.st_uid;
	*mode_out = st.st_mode;
	return OK;
}

fault path_facts(const char *path, struct path_facts *out)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return fault_of_errno();
	*out = (struct path_facts){ st.st_uid, st.st_gid, st.st_mode, S_ISDIR(st.st_mode), S_ISREG(st.st_mode), st.st_mtime, (uint64_t)st.st_size };
	return OK;
}

/* On the open file, not on the process: a second opening by ourselves is refused too. */
fault file_lock(int fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	return fcntl(fd, F_OFD_SETLK, &whole) == 0 ? OK : fault_of_errno();
}

fault file_space(int fd, uint64_t *bytes_free_out, uint64_t *names_free_out)
{
	struct statvfs st;
	if (fstatvfs(fd, &st) != 0)
		return fault_of_errno();
	*bytes_free_out = (uint64_t)st.f_bavail * st.f_frsize;
	*names_free_out = st.f_files == 0 ? UINT64_MAX : st.f_favail; /* some file systems do not count names */
	return OK;
}

/* --- directories --- */

struct directory_reader { DIR *dir; };

struct directory_reader *directory_read(int fd)
{
	struct directory_reader *d = NEW(struct directory_reader);
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	d->dir = own >= 0 ? fdopendir(own) : NULL;
	if (d->dir == NULL && own >= 0)
		(void)close(own);
	if (d->dir != NULL)
		rewinddir(d->dir); /* the copy shares its place with fd */
	return d;
}

bool directory_next(struct directory_reader *d, struct str *name_out)
{
	struct dirent *e;
	do
		e = d->dir != NULL ? readdir(d->dir) : NULL;
	while (e != NULL && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
	if (e == NULL)
		return false;
	*name_out = str_of(e->d_name);
	return true;
}

void directory_close(struct directory_reader **d)
{
	if (*d == NULL)
		return;
	if ((*d)->dir != NULL)
		(void)closedir((*d)->dir);
	free(*d);
	*d = NULL;
}
