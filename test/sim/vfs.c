/* SPDX-License-Identifier: ISC */
/*
 * test/sim/vfs.c -- SQLite's way to the simulated disk: what its own os_unix.c does with system calls, step by step.
 *
 * As there, the directory is synced with the first sync of a new journal or log, and nobody looks at what comes of it; the
 * index of the log is shared memory, which nothing makes durable and the first connection finds empty.
 */
#include "disk.h"
#include "vfs.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sys/clock.h"
#include "world.h"

enum { REGIONS_MAX = 64, PATH_ROOM = 512 };

/* What the connections on one database share: locks, and the index of the log. */
struct shared {
	struct link in_all;
	uint32_t inode;
	unsigned refs, readers, mapped;
	struct file *reserved, *pending, *exclusive;
	char *regions[REGIONS_MAX];
	unsigned shm_shared[SQLITE_SHM_NLOCK];
	struct file *shm_owner[SQLITE_SHM_NLOCK];
};

struct file {
	sqlite3_file base;
	struct shared *shared;
	uint32_t inode;
	unsigned errors_seen;
	int lock;
	bool new_journal, maps, shm_mine[SQLITE_SHM_NLOCK];
	char path[PATH_ROOM];
};

static struct list all_shared = { { &all_shared.head, &all_shared.head } };

static struct file *file_of(sqlite3_file *f)
{
	return (struct file *)(void *)f;
}

static struct shared *share(uint32_t inode)
{
	LIST_EACH(l, &all_shared) {
		struct shared *s = LIST_MEMBER(l, struct shared, in_all);
		if (s->inode == inode) {
			s->refs++;
			return s;
		}
	}
	struct shared *s = NEW(struct shared);
	s->inode = inode;
	s->refs = 1;
	list_add_last(&all_shared, &s->in_all);
	return s;
}

static void unshare(struct shared *s)
{
	if (--s->refs > 0)
		return;
	link_remove(&s->in_all);
	for (size_t i = 0; i < REGIONS_MAX; i++)
		free(s->regions[i]);
	free(s);
}

/* --- bytes --- */

static int on_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
	size_t got = medium_read(disk.medium, file_of(f)->inode, (uint64_t)at, to, (size_t)n);
	if (got == (size_t)n)
		return SQLITE_OK;
	memset((char *)to + got, 0, (size_t)n - got);
	return SQLITE_IOERR_SHORT_READ;
}

static int on_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
	struct str bytes = { from, (size_t)n };
	fault fails = disk_step(DISK_CHANGES, BY_SQLITE);
	if (fails != OK)
		bytes.n = world.dying ? 0 : (size_t)chance_below((uint64_t)n + 1);
	if (bytes.n > 0)
		medium_write(disk.medium, file_of(f)->inode, (uint64_t)at, bytes);
	return fails == OK ? SQLITE_OK : fails == F_LIMIT ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	if (disk_step(DISK_CHANGES, BY_SQLITE) != OK)
		return SQLITE_IOERR_TRUNCATE;
	medium_resize(disk.medium, file_of(f)->inode, (uint64_t)size);
	return SQLITE_OK;
}

static void sync_directory(struct file *f)
{
	struct str name;
	uint32_t directory = disk_directory_of(f->path, &name);
	check(directory != 0);
	unsigned seen = disk_errors(directory);
	(void)disk_sync(directory, &seen, BY_SQLITE);
}

static int on_sync(sqlite3_file *file, int flags)
{
	struct file *f = file_of(file);
	(void)flags;
	if (disk_sync(f->inode, &f->errors_seen, BY_SQLITE) != OK)
		return SQLITE_IOERR_FSYNC;
	if (f->new_journal)
		sync_directory(f);
	f->new_journal = false;
	return SQLITE_OK;
}

static int on_size(sqlite3_file *f, sqlite3_int64 *out)
{
	*out = (sqlite3_int64)medium_size(disk.medium, file_of(f)->inode);
	return SQLITE_OK;
}

/* --- locks --- */

static int on_lock(sqlite3_file *file, int how)
{
	struct file *f = file_of(file);
	struct shared *s = f->shared;
	if (f->lock >= how)
		return SQLITE_OK;
	if (how == SQLITE_LOCK_SHARED) {
		if (s->pending != NULL || s->exclusive != NULL)
			return SQLITE_BUSY;
		s->readers++;
	} else if (how == SQLITE_LOCK_RESERVED) {
		if (s->reserved != NULL)
			return SQLITE_BUSY;
		s->reserved = f;
	} else {
		if ((s->pending != NULL && s->pending != f) || (s->reserved != NULL && s->reserved != f))
			return SQLITE_BUSY;
		s->pending = f;
		if (s->readers > 1)
			return SQLITE_BUSY;
		s->exclusive = f;
	}
	f->lock = how;
	return SQLITE_OK;
}

static int on_unlock(sqlite3_file *file, int how)
{
	struct file *f = file_of(file);
	struct shared *s = f->shared;
	if (f->lock <= how)
		return SQLITE_OK;
	s->reserved = s->reserved == f ? NULL : s->reserved;
	s->pending = s->pending == f ? NULL : s->pending;
	s->exclusive = s->exclusive == f ? NULL : s->exclusive;
	if (how == SQLITE_LOCK_NONE)
		s->readers--;
	f->lock = how;
	return SQLITE_OK;
}

static int on_reserved(sqlite3_file *f, int *out)
{
	*out = file_of(f)->shared->reserved != NULL;
	return SQLITE_OK;
}

/* --- the index of the log --- */

static int on_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
	struct file *f = file_of(file);
	(void)extend;
	check(region < REGIONS_MAX);
	if (!f->maps)
		f->shared->mapped++;
	f->maps = true;
	if (f->shared->regions[region] == NULL)
		f->shared->regions[region] = must_alloc((size_t)size);
	*out = f->shared->regions[region];
	return SQLITE_OK;
}

static int on_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	struct file *f = file_of(file);
	struct shared *s = f->shared;
	for (int i = offset; i < offset + n && (flags & SQLITE_SHM_LOCK) != 0; i++)
		if ((s->shm_owner[i] != NULL && s->shm_owner[i] != f) ||
		    ((flags & SQLITE_SHM_EXCLUSIVE) != 0 && s->shm_shared[i] > f->shm_mine[i]))
			return SQLITE_BUSY;
	for (int i = offset; i < offset + n; i++) {
		bool take = (flags & SQLITE_SHM_LOCK) != 0;
		if ((flags & SQLITE_SHM_EXCLUSIVE) != 0) {
			s->shm_owner[i] = take ? f : NULL;
		} else if (take != f->shm_mine[i]) {
			s->shm_shared[i] += take ? 1u : -1u;
			f->shm_mine[i] = take;
		}
	}
	return SQLITE_OK;
}

static void on_shm_barrier(sqlite3_file *f)
{
	(void)f;
}

static int on_shm_unmap(sqlite3_file *file, int remove_it)
{
	struct file *f = file_of(file);
	struct shared *s = f->shared;
	(void)remove_it;
	if (!f->maps)
		return SQLITE_OK;
	f->maps = false;
	if (--s->mapped > 0)
		return SQLITE_OK;
	for (size_t i = 0; i < REGIONS_MAX; i++) {
		free(s->regions[i]);
		s->regions[i] = NULL;
	}
	return SQLITE_OK;
}

/* --- a file --- */

static int on_close(sqlite3_file *file)
{
	struct file *f = file_of(file);
	(void)on_shm_unmap(file, 0);
	(void)on_unlock(file, SQLITE_LOCK_NONE);
	for (int i = 0; i < SQLITE_SHM_NLOCK; i++)
		f->shared->shm_shared[i] -= f->shm_mine[i];
	unshare(f->shared);
	return SQLITE_OK;
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
	(void)f;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int on_sector(sqlite3_file *f)
{
	(void)f;
	return MEDIUM_PAGE;
}

static int on_device(sqlite3_file *f)
{
	(void)f;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* as os_unix.c says of every file system */
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = on_close, .xRead = on_read, .xWrite = on_write, .xTruncate = on_truncate, .xSync = on_sync,
	.xFileSize = on_size, .xLock = on_lock, .xUnlock = on_unlock, .xCheckReservedLock = on_reserved,
	.xFileControl = on_control, .xSectorSize = on_sector, .xDeviceCharacteristics = on_device,
	.xShmMap = on_shm_map, .xShmLock = on_shm_lock, .xShmBarrier = on_shm_barrier, .xShmUnmap = on_shm_unmap,
};

static int on_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *flags_out)
{
	struct file *f = file_of(file);
	struct str name;
	(void)vfs;
	memset(f, 0, sizeof *f);
	check(path != NULL && strlen(path) < sizeof f->path); /* temp_store=MEMORY: no nameless files */
	strcpy(f->path, path);
	uint32_t directory = disk_directory_of(path, &name);
	f->inode = directory != 0 ? medium_find(disk.medium, directory, name) : 0;
	if (f->inode == 0) {
		if (directory == 0 || (flags & SQLITE_OPEN_CREATE) == 0 || disk_step(DISK_CHANGES, BY_SQLITE) != OK)
			return SQLITE_CANTOPEN;
		f->inode = medium_make(disk.medium, false);
		medium_link(disk.medium, directory, name, f->inode);
	}
	f->new_journal = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
	f->errors_seen = disk_errors(f->inode);
	f->shared = share(f->inode);
	f->base.pMethods = &methods;
	if (flags_out != NULL)
		*flags_out = flags;
	return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int sync_the_directory)
{
	struct str name;
	(void)vfs;
	uint32_t directory = disk_directory_of(path, &name);
	if (directory == 0 || medium_find(disk.medium, directory, name) == 0)
		return SQLITE_IOERR_DELETE_NOENT;
	if (disk_step(DISK_CHANGES, BY_SQLITE) != OK)
		return SQLITE_IOERR_DELETE;
	medium_unlink(disk.medium, directory, name);
	if ((sync_the_directory & 1) == 0)
		return SQLITE_OK;
	unsigned seen = disk_errors(directory);
	return disk_sync(directory, &seen, BY_SQLITE) == OK ? SQLITE_OK : SQLITE_IOERR_DIR_FSYNC;
}

static int on_access(sqlite3_vfs *vfs, const char *path, int what, int *out)
{
	(void)vfs;
	uint32_t inode = disk_find(path);
	*out = inode != 0 && (what != SQLITE_ACCESS_EXISTS || medium_is_directory(disk.medium, inode) ||
	                      medium_size(disk.medium, inode) > 0);
	return SQLITE_OK;
}

static int on_full_path(sqlite3_vfs *vfs, const char *path, int room, char *to)
{
	(void)vfs;
	check(path[0] == '/' && strlen(path) < (size_t)room);
	strcpy(to, path);
	return SQLITE_OK;
}

static int on_random(sqlite3_vfs *vfs, int n, char *to)
{
	(void)vfs;
	random_bytes(to, (size_t)n);
	return n;
}

static int on_sleep(sqlite3_vfs *vfs, int microseconds)
{
	(void)vfs;
	return microseconds;
}

static int on_time(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	(void)vfs;
	*out = clock_wall_ms() + 210866760000000; /* Julian day, in milliseconds */
	return SQLITE_OK;
}

static int on_last_error(sqlite3_vfs *vfs, int n, char *to)
{
	(void)vfs;
	if (n > 0)
		to[0] = '\0';
	return 0;
}

void vfs_begin(void)
{
	static sqlite3_vfs vfs = {
		.iVersion = 2, .szOsFile = (int)sizeof(struct file), .mxPathname = PATH_ROOM - 1, .zName = "medium",
		.xOpen = on_open, .xDelete = on_delete, .xAccess = on_access, .xFullPathname = on_full_path,
		.xRandomness = on_random, .xSleep = on_sleep, .xCurrentTimeInt64 = on_time, .xGetLastError = on_last_error,
	};
	check(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}

void vfs_reseed(void)
{
	sqlite3_randomness(0, NULL);
}
