/* SPDX-License-Identifier: ISC */
/*
 * test/sim/disk.c -- real files below a temporary directory, by the program's own code, but a write or a sync may fail.
 *
 * A failed write has written a part, as a full disk does.
 */
#define file_write       real_file_write
#define file_pwrite      real_file_pwrite
#define file_sync        real_file_sync
#define file_sync_all    real_file_sync_all
#define file_link        real_file_link
#define file_rename      real_file_rename
#include "sys/file.c" /* IWYU pragma: keep */
#undef file_write
#undef file_pwrite
#undef file_sync
#undef file_sync_all
#undef file_link
#undef file_rename

#include "world.h"

fault file_write(int fd, struct str bytes);
fault file_pwrite(int fd, struct str bytes, uint64_t offset);
fault file_sync(int fd);
fault file_sync_all(int fd);
fault file_link(int from_at, const char *from, int to_at, const char *to);
fault file_rename(int from_at, const char *from, int to_at, const char *to);

unsigned long disk_syncs;

static bool fails(unsigned how_often)
{
	if (world.dying)
		return true; /* a process that has crashed writes nothing more */
	if (!chance_of(how_often))
		return false;
	world.faults++;
	return true;
}

fault file_write(int fd, struct str bytes)
{
	if (!fails(world.weather.disk_full))
		return real_file_write(fd, bytes);
	if (!world.dying)
		TRY(real_file_write(fd, str_sub(bytes, 0, (size_t)chance_below(bytes.n + 1))));
	return F_LIMIT;
}

fault file_pwrite(int fd, struct str bytes, uint64_t offset)
{
	if (!fails(world.weather.disk_full))
		return real_file_pwrite(fd, bytes, offset);
	if (!world.dying)
		TRY(real_file_pwrite(fd, str_sub(bytes, 0, (size_t)chance_below(bytes.n + 1)), offset));
	return F_LIMIT;
}

/* The kernel's pages are not lost here: no power fails in the simulation. So a sync need not be real. */
fault file_sync(int fd)
{
	(void)fd;
	disk_syncs++;
	return fails(world.weather.sync_fails) ? F_SYS : OK;
}

fault file_sync_all(int fd)
{
	(void)fd;
	disk_syncs++;
	return fails(world.weather.sync_fails) ? F_SYS : OK;
}

fault file_link(int from_at, const char *from, int to_at, const char *to)
{
	return fails(world.weather.disk_full) ? F_LIMIT : real_file_link(from_at, from, to_at, to);
}

fault file_rename(int from_at, const char *from, int to_at, const char *to)
{
	return fails(world.weather.disk_full) ? F_LIMIT : real_file_rename(from_at, from, to_at, to);
}
