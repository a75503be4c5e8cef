/* SPDX-License-Identifier: ISC */
/*
 * test/sim/disk.c -- real files below a temporary directory, by the program's own code, but a write or a sync may fail.
 *
 * A failed write has written a part, as a full disk does. What is not synced is noted for the day the power fails.
 */
#define file_open         real_file_open
#define file_open_beneath real_file_open_beneath
#define file_write        real_file_write
#define file_pwrite       real_file_pwrite
#define file_sync         real_file_sync
#define file_sync_all     real_file_sync_all
#define file_link         real_file_link
#define file_rename       real_file_rename
#include "sys/file.c" /* IWYU pragma: keep */
#undef file_open
#undef file_open_beneath
#undef file_write
#undef file_pwrite
#undef file_sync
#undef file_sync_all
#undef file_link
#undef file_rename

#include "world.h"

fault file_open(int at, const char *path, unsigned mode, unsigned permissions, int *fd_out, struct why *why);
fault file_open_beneath(int at, const char *path, unsigned mode, unsigned permissions, int *fd_out);
fault file_write(int fd, struct str bytes);
fault file_pwrite(int fd, struct str bytes, uint64_t offset);
fault file_sync(int fd);
fault file_sync_all(int fd);
fault file_link(int from_at, const char *from, int to_at, const char *to);
fault file_rename(int from_at, const char *from, int to_at, const char *to);

unsigned long disk_syncs;

static bool makes_a_name(int at, const char *path, unsigned mode)
{
	return (mode & FILE_CREATE) != 0 && faccessat(at, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
}

fault file_open(int at, const char *path, unsigned mode, unsigned permissions, int *fd_out, struct why *why)
{
	bool makes = makes_a_name(at, path, mode);
	TRY(real_file_open(at, path, mode, permissions, fd_out, why));
	if (makes)
		power_named(at, path);
	return OK;
}

fault file_open_beneath(int at, const char *path, unsigned mode, unsigned permissions, int *fd_out)
{
	bool makes = makes_a_name(at, path, mode);
	TRY(real_file_open_beneath(at, path, mode, permissions, fd_out));
	if (makes)
		power_named(at, path);
	return OK;
}

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
	off_t at = lseek(fd, 0, SEEK_CUR);
	if (at >= 0)
		power_writes_fd(fd, (uint64_t)at, bytes.n);
	if (!fails(world.weather.disk_full))
		return real_file_write(fd, bytes);
	if (!world.dying)
		TRY(real_file_write(fd, str_sub(bytes, 0, (size_t)chance_below(bytes.n + 1))));
	return F_LIMIT;
}

fault file_pwrite(int fd, struct str bytes, uint64_t offset)
{
	power_writes_fd(fd, offset, bytes.n);
	if (!fails(world.weather.disk_full))
		return real_file_pwrite(fd, bytes, offset);
	if (!world.dying)
		TRY(real_file_pwrite(fd, str_sub(bytes, 0, (size_t)chance_below(bytes.n + 1)), offset));
	return F_LIMIT;
}

/* Nothing need really reach the disk: the notes of power.c stand for it. */
fault file_sync(int fd)
{
	disk_syncs++;
	if (fails(world.weather.sync_fails))
		return F_SYS;
	power_synced_fd(fd);
	return OK;
}

fault file_sync_all(int fd)
{
	return file_sync(fd);
}

fault file_link(int from_at, const char *from, int to_at, const char *to)
{
	if (fails(world.weather.disk_full))
		return F_LIMIT;
	TRY(real_file_link(from_at, from, to_at, to));
	power_named(to_at, to);
	return OK;
}

fault file_rename(int from_at, const char *from, int to_at, const char *to)
{
	if (fails(world.weather.disk_full))
		return F_LIMIT;
	TRY(real_file_rename(from_at, from, to_at, to));
	power_renamed(from_at, from, to_at, to);
	return OK;
}
