/* SPDX-License-Identifier: ISC */
/*
 * test/sim/vfs.c -- SQLite's own way to files, but a write or a sync may fail, and a role that crashes writes no more.
 *
 * Syncs need not be real: power.c notes what none has made durable.
 */
#include "world.h"

#include <sqlite3.h>
#include <string.h>

#include "base/check.h"

struct shim { sqlite3_file base; sqlite3_file *real; char path[400]; };

static sqlite3_vfs *real_vfs;

static sqlite3_file *real_of(sqlite3_file *f)
{
	return ((struct shim *)(void *)f)->real;
}

static bool fails(unsigned how_often)
{
	if (world.dying)
		return true;
	if (!chance_of(how_often))
		return false;
	world.faults++;
	return true;
}

static int shim_close(sqlite3_file *f)
{
	sqlite3_file *r = real_of(f);
	return r->pMethods->xClose(r);
}

static int shim_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
	sqlite3_file *r = real_of(f);
	return r->pMethods->xRead(r, to, n, at);
}

static int shim_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
	sqlite3_file *r = real_of(f);
	power_writes(((struct shim *)(void *)f)->path, (uint64_t)at, (size_t)n);
	if (!fails(world.weather.disk_full / 4))
		return r->pMethods->xWrite(r, from, n, at);
	if (!world.dying)
		(void)r->pMethods->xWrite(r, from, (int)chance_below((uint64_t)n), at);
	return SQLITE_FULL;
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	sqlite3_file *r = real_of(f);
	return world.dying ? SQLITE_IOERR_TRUNCATE : r->pMethods->xTruncate(r, size);
}

static int shim_sync(sqlite3_file *f, int flags)
{
	(void)flags;
	disk_syncs++;
	if (fails(world.weather.sync_fails / 4))
		return SQLITE_IOERR_FSYNC;
	power_synced(((struct shim *)(void *)f)->path);
	return SQLITE_OK;
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *out)
{
	sqlite3_file *r = real_of(f);
	return r->pMethods->xFileSize(r, out);
}

static int shim_lock(sqlite3_file *f, int how)
{
	sqlite3_file *r = real_of(f);
	return r->pMethods->xLock(r, how);
}

static int shim_unlock(sqlite3_file *f, int how)
{
	sqlite3_file *r = real_of(f);
	return r->pMethods->xUnlock(r, how);
}

static int shim_reserved(sqlite3_file *f, int *out)
{
	sqlite3_file *r = real_of(f);
	return r->pMethods->xCheckReservedLock(r, out);
}

static int shim_control(sqlite3_file *f, int op, void *arg)
{
	sqlite3_file *r = real_of(f);
	return r->pMethods->xFileControl(r, op, arg);
}

static int shim_sector(sqlite3_file *f)
{
	sqlite3_file *r = real_of(f);
	return r->pMethods->xSectorSize(r);
}

static int shim_device(sqlite3_file *f)
{
	sqlite3_file *r = real_of(f);
	return r->pMethods->xDeviceCharacteristics(r);
}

static int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	sqlite3_file *r = real_of(f);
	return r->pMethods->xShmMap(r, page, size, extend, out);
}

static int shim_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	sqlite3_file *r = real_of(f);
	return r->pMethods->xShmLock(r, offset, n, flags);
}

static void shim_shm_barrier(sqlite3_file *f)
{
	sqlite3_file *r = real_of(f);
	r->pMethods->xShmBarrier(r);
}

/* A process that dies leaves its shared memory where it is. */
static int shim_shm_unmap(sqlite3_file *f, int remove_it)
{
	sqlite3_file *r = real_of(f);
	return r->pMethods->xShmUnmap(r, world.dying ? 0 : remove_it);
}

static const sqlite3_io_methods shim_methods = {
	.iVersion = 2,
	.xClose = shim_close, .xRead = shim_read, .xWrite = shim_write, .xTruncate = shim_truncate, .xSync = shim_sync,
	.xFileSize = shim_size, .xLock = shim_lock, .xUnlock = shim_unlock, .xCheckReservedLock = shim_reserved,
	.xFileControl = shim_control, .xSectorSize = shim_sector, .xDeviceCharacteristics = shim_device,
	.xShmMap = shim_shm_map, .xShmLock = shim_shm_lock, .xShmBarrier = shim_shm_barrier, .xShmUnmap = shim_shm_unmap,
};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *flags_out)
{
	struct shim *s = (struct shim *)(void *)f;
	(void)vfs;
	s->base.pMethods = NULL;
	s->real = (sqlite3_file *)(void *)(s + 1);
	s->path[0] = '\0';
	if (name != NULL && strlen(name) < sizeof s->path)
		strcpy(s->path, name);
	int result = real_vfs->xOpen(real_vfs, name, s->real, flags, flags_out);
	if (result == SQLITE_OK)
		s->base.pMethods = &shim_methods;
	return result;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
	(void)vfs;
	return world.dying ? SQLITE_IOERR_DELETE : real_vfs->xDelete(real_vfs, name, sync_directory);
}

void vfs_begin(void)
{
	static sqlite3_vfs shim;
	if (real_vfs != NULL)
		return;
	real_vfs = sqlite3_vfs_find(NULL);
	check(real_vfs != NULL);
	shim = *real_vfs;
	shim.zName = "rough";
	shim.szOsFile = (int)sizeof(struct shim) + real_vfs->szOsFile;
	shim.xOpen = shim_open;
	shim.xDelete = shim_delete;
	check(sqlite3_vfs_register(&shim, 1) == SQLITE_OK);
}
