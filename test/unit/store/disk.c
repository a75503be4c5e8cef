/* SPDX-License-Identifier: ISC */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "sys/file.h"

struct disk disk = { .writes_left = -1, .syncs_left = -1, .dies_in = -1 };

void disk_heal(void)
{
	disk = (struct disk){ .writes_left = -1, .syncs_left = -1, .dies_in = -1 };
}

bool disk_step(void)
{
	if (disk.dies_in > 0)
		disk.dies_in--;
	return disk.dies_in == 0;
}

_Noreturn void disk_die(void)
{
	_exit(99);
}

static fault told(void)
{
	switch (errno) {
	case ENOENT: return F_ABSENT;
	case EEXIST: return F_EXISTS;
	case EACCES: case EPERM: return F_DENIED;
	case ENOSPC: case EDQUOT: case EFBIG: case EMFILE: return F_LIMIT;
	case EWOULDBLOCK: return F_BUSY;
	default: return F_SYS;
	}
}

static fault as_fault(int rc)
{
	return rc >= 0 ? OK : told();
}

fault file_open(int at, const char *path, unsigned mode, unsigned permissions, int *fd_out, struct why *why)
{
	int flags = (mode & FILE_WRITE) != 0 ? O_RDWR : O_RDONLY;
	flags |= (mode & FILE_CREATE) != 0 ? O_CREAT | O_NOFOLLOW : 0;
	flags |= (mode & FILE_PLAIN) != 0 ? O_NOFOLLOW | O_NONBLOCK : 0;
	flags |= (mode & FILE_EXCLUSIVE) != 0 ? O_EXCL : 0;
	int fd = openat(at, path, flags | O_CLOEXEC, permissions);
	if (fd < 0)
		return why_say(why, told(), "%s: %s", path, strerror(errno));
	*fd_out = fd;
	return OK;
}

fault file_open_beneath(int at, const char *path, unsigned mode, unsigned permissions, int *fd_out)
{
	return file_open(at, path, mode, permissions, fd_out, NULL);
}

fault directory_open(int at, const char *path, int *fd_out, struct why *why)
{
	*fd_out = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd_out >= 0 ? OK : why_say(why, told(), "%s: %s", path, strerror(errno));
}

fault directory_open_beneath(int at, const char *path, int *fd_out)
{
	return directory_open(at, path, fd_out, NULL);
}

fault directory_make(int at, const char *path, unsigned permissions)
{
	return as_fault(mkdirat(at, path, permissions));
}

fault directory_remove(int at, const char *path)
{
	return as_fault(unlinkat(at, path, AT_REMOVEDIR));
}

fault directory_is_within(int fd, int of, bool *out)
{
	(void)fd, (void)of;
	*out = false; /* nothing is copied here */
	return OK;
}

fault directory_give(const char *path, uint32_t uid, uint32_t gid)
{
	return as_fault(lchown(path, uid, gid));
}

fault file_read(int fd, void *to, size_t n, size_t *n_out)
{
	ssize_t got = read(fd, to, n);
	*n_out = got < 0 ? 0 : (size_t)got;
	return as_fault((int)(got < 0 ? -1 : 0));
}

fault file_pread(int fd, void *to, size_t n, uint64_t offset, size_t *n_out)
{
	ssize_t got = pread(fd, to, n, (off_t)offset);
	*n_out = got < 0 ? 0 : (size_t)got;
	return as_fault((int)(got < 0 ? -1 : 0));
}

fault file_read_all(int fd, struct buf *to)
{
	(void)fd, (void)to;
	return F_STATE;
}

fault file_pwrite(int fd, struct str bytes, uint64_t offset)
{
	disk.writes++;
	if (disk_step()) {
		ssize_t torn = pwrite(fd, bytes.p, bytes.n / 2, (off_t)offset);
		(void)torn;
		disk_die();
	}
	if (disk.writes_left == 0)
		return disk.write_fault;
	if (disk.writes_left > 0)
		disk.writes_left--;
	while (bytes.n > 0) {
		ssize_t n = pwrite(fd, bytes.p, bytes.n, (off_t)offset);
		if (n < 0)
			return told();
		bytes = str_from(bytes, (size_t)n);
		offset += (uint64_t)n;
	}
	return OK;
}

fault file_write(int fd, struct str bytes)
{
	return file_pwrite(fd, bytes, 0);
}

fault file_cut(int fd, uint64_t bytes)
{
	return as_fault(ftruncate(fd, (off_t)bytes));
}

fault file_sync(int fd)
{
	disk.syncs++;
	if (disk_step())
		disk_die();
	if (disk.syncs_left == 0)
		return disk.sync_fault;
	if (disk.syncs_left > 0)
		disk.syncs_left--;
	return as_fault(fdatasync(fd));
}

fault file_sync_all(int fd)
{
	return as_fault(fsync(fd));
}

fault file_size(int fd, uint64_t *out)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return told();
	*out = (uint64_t)st.st_size;
	return OK;
}

fault file_link(int from_at, const char *from, int to_at, const char *to)
{
	return as_fault(linkat(from_at, from, to_at, to, 0));
}

fault file_rename(int from_at, const char *from, int to_at, const char *to)
{
	return as_fault(renameat(from_at, from, to_at, to));
}

fault file_remove(int at, const char *path)
{
	return as_fault(unlinkat(at, path, 0));
}

fault file_owner_mode(int fd, uint32_t *uid_out, uint32_t *mode_out)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return told();
	*uid_out = st.st_uid;
	*mode_out = st.st_mode;
	return OK;
}

fault file_lock(int fd)
{
	return as_fault(flock(fd, LOCK_EX | LOCK_NB));
}

fault file_space(int fd, uint64_t *bytes_free_out, uint64_t *names_free_out)
{
	struct statvfs v;
	if (fstatvfs(fd, &v) != 0)
		return told();
	*bytes_free_out = disk.bytes_free != 0 ? disk.bytes_free : (uint64_t)v.f_bavail * v.f_frsize;
	*names_free_out = v.f_favail;
	return OK;
}

struct directory_reader { DIR *dir; };

struct directory_reader *directory_read(int fd)
{
	struct directory_reader *d = NEW(struct directory_reader);
	d->dir = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	return d;
}

bool directory_next(struct directory_reader *d, struct str *name_out)
{
	struct dirent *e;
	do
		e = readdir(d->dir);
	while (e != NULL && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
	if (e != NULL)
		*name_out = str_of(e->d_name);
	return e != NULL;
}

void directory_close(struct directory_reader **d)
{
	closedir((*d)->dir);
	free(*d);
	*d = NULL;
}
