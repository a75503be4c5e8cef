/* SPDX-License-Identifier: ISC */
#include "disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "sys/file.h"
#include "world.h"

enum { PATH_MAX_ = 600, INODES_MAX = 1 << 16 };

struct opened {
	uint32_t inode;
	unsigned refs, mode, errors_seen;
	uint64_t at;
	bool locked, sync_failed;
};

struct disk disk;
static struct opened *fds[DISK_FDS_MAX];
static unsigned errors[INODES_MAX];     /* failed syncs, by inode */

void disk_begin(void)
{
	disk = (struct disk){ .medium = medium_new() };
	memset(errors, 0, sizeof errors);
}

void disk_end(void)
{
	medium_free(&disk.medium);
}

struct medium *disk_swap(struct medium *m)
{
	struct medium *old = disk.medium;
	check(disk.files_open == 0);
	memset(errors, 0, sizeof errors);
	disk.medium = m;
	return old;
}

/* --- steps --- */

static fault as_it_fails(fault f)
{
	world.faults++;
	return f;
}

fault disk_step(enum disk_act act, enum disk_layer layer)
{
	if (world.dying)
		return F_SYS; /* a process that has crashed writes nothing more */
	disk.steps++;
	if (disk.steps == disk.cut_at) {
		disk.cut = world.dying = true;
		return F_SYS;
	}
	if (disk.steps >= disk.fail_at && disk.steps <= disk.fail_to) {
		disk.failed = true;
		return disk.fail_with;
	}
	unsigned how_often = act == DISK_SYNCS ? world.weather.sync_fails : world.weather.disk_full;
	if (!chance_of(layer == BY_SQLITE ? how_often / 4 : how_often))
		return OK;
	return as_it_fails(act == DISK_SYNCS ? F_SYS : F_LIMIT);
}

unsigned disk_errors(uint32_t inode)
{
	check(inode < INODES_MAX);
	return errors[inode];
}

fault disk_sync(uint32_t inode, unsigned *errors_seen, enum disk_layer layer)
{
	bool directory = medium_is_directory(disk.medium, inode);
	bool lies = world.syncs_lie || (layer == BY_SQLITE ? disk.plant.no_sqlite_sync
	                                : directory ? disk.plant.no_name_sync : disk.plant.no_file_sync);
	disk.syncs++;
	if (lies)
		return OK;
	fault f = disk_step(DISK_SYNCS, layer);
	if (world.dying)
		return f;
	if (f != OK) {
		medium_sync_fails(disk.medium, inode);
		*errors_seen = ++errors[inode];
		return f;
	}
	medium_sync(disk.medium, inode);
	bool told = *errors_seen == errors[inode];
	*errors_seen = errors[inode];
	return told ? OK : F_SYS;
}

/* --- descriptors --- */

static struct opened *opened_of(int fd)
{
	return fd >= DISK_FD && fd < DISK_FD + DISK_FDS_MAX ? fds[fd - DISK_FD] : NULL;
}

bool disk_has_fd(int fd)
{
	return opened_of(fd) != NULL;
}

static int fd_of(struct opened *o)
{
	for (int i = 0; i < DISK_FDS_MAX; i++)
		if (fds[i] == NULL) {
			fds[i] = o;
			o->refs++;
			disk.files_open++;
			return DISK_FD + i;
		}
	check(false);
	return -1;
}

void disk_fd_close(int fd)
{
	struct opened *o = opened_of(fd);
	check(o != NULL);
	fds[fd - DISK_FD] = NULL;
	disk.files_open--;
	if (--o->refs == 0)
		free(o);
}

int disk_fd_dup(int fd)
{
	return fd_of(opened_of(fd));
}

static int open_inode(uint32_t inode, unsigned mode)
{
	struct opened *o = NEW(struct opened);
	*o = (struct opened){ .inode = inode, .mode = mode, .errors_seen = disk_errors(inode) };
	return fd_of(o);
}

/* --- paths --- */

/* The directory that holds the last component; 0 if there is none. A path of no components is the directory itself. */
static uint32_t walk(uint32_t at, struct str path, struct str *last_out)
{
	struct str part;
	*last_out = STR_NONE;
	while (path.n > 0) {
		if (!str_take_until(&path, '/', &part)) {
			part = path;
			path = STR_NONE;
		}
		if (part.n == 0 || str_eq(part, STR(".")))
			continue;
		if (last_out->n > 0) {
			at = medium_find(disk.medium, at, *last_out);
			if (at == 0 || !medium_is_directory(disk.medium, at))
				return 0;
		}
		*last_out = part;
	}
	return at;
}

static uint32_t start_of(int at, const char *path)
{
	if (at == FILE_CWD || path[0] == '/')
		return MEDIUM_ROOT;
	struct opened *o = opened_of(at);
	check(o != NULL && medium_is_directory(disk.medium, o->inode));
	return o->inode;
}

static uint32_t directory_at(int at, const char *path, struct str *name_out)
{
	uint32_t directory = walk(start_of(at, path), str_of(path), name_out);
	return directory != 0 && name_out->n < MEDIUM_NAME_MAX ? directory : 0;
}

static uint32_t inode_at(int at, const char *path)
{
	struct str name;
	uint32_t directory = directory_at(at, path, &name);
	return directory == 0 || name.n == 0 ? directory : medium_find(disk.medium, directory, name);
}

uint32_t disk_find(const char *path)
{
	return inode_at(FILE_CWD, path);
}

uint32_t disk_directory_of(const char *path, struct str *name_out)
{
	return directory_at(FILE_CWD, path, name_out);
}

/* --- sys/file.h: opening --- */

static fault told(fault f, const char *path, struct why *why)
{
	return f == OK ? OK : why_say(why, f, "%s: %s", path, fault_name(f));
}

static fault open_any(int at, const char *path, unsigned mode, int *fd_out)
{
	struct str name;
	uint32_t directory = directory_at(at, path, &name);
	if (directory == 0)
		return F_ABSENT;
	uint32_t inode = name.n > 0 ? medium_find(disk.medium, directory, name) : directory;
	if (inode != 0 && (mode & FILE_EXCLUSIVE) != 0)
		return F_EXISTS;
	if (inode == 0) {
		if ((mode & FILE_CREATE) == 0)
			return F_ABSENT;
		TRY(disk_step(DISK_CHANGES, BY_PROGRAM));
		inode = medium_make(disk.medium, false);
		medium_link(disk.medium, directory, name, inode);
	}
	*fd_out = open_inode(inode, mode);
	return OK;
}

fault file_open(int at, const char *path, unsigned mode, unsigned permissions, int *fd_out, struct why *why)
{
	(void)permissions;
	return told(open_any(at, path, mode, fd_out), path, why);
}

fault file_open_beneath(int at, const char *path, unsigned mode, unsigned permissions, int *fd_out)
{
	(void)permissions;
	return path[0] == '/' ? F_DENIED : open_any(at, path, mode, fd_out);
}

bool path_is_same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

fault path_absolute(const char *path, char *to, size_t room)
{
	int n = snprintf(to, room, "%s%s", path[0] == '/' ? "" : "/", path);
	return n >= 0 && (size_t)n < room ? OK : F_LIMIT;
}

fault directory_open(int at, const char *path, int *fd_out, struct why *why)
{
	uint32_t inode = inode_at(at, path);
	if (inode == 0 || !medium_is_directory(disk.medium, inode))
		return told(F_ABSENT, path, why);
	*fd_out = open_inode(inode, FILE_READ);
	return OK;
}

fault directory_open_beneath(int at, const char *path, int *fd_out)
{
	return path[0] == '/' ? F_DENIED : directory_open(at, path, fd_out, NULL);
}

fault directory_make(int at, const char *path, unsigned permissions)
{
	struct str name;
	uint32_t directory = directory_at(at, path, &name);
	(void)permissions;
	if (directory == 0)
		return F_ABSENT;
	if (name.n == 0 || medium_find(disk.medium, directory, name) != 0)
		return F_EXISTS;
	TRY(disk_step(DISK_CHANGES, BY_PROGRAM));
	medium_link(disk.medium, directory, name, medium_make(disk.medium, true));
	return OK;
}

fault directory_remove(int at, const char *path)
{
	struct str name, inner;
	uint32_t directory = directory_at(at, path, &name), inode = inode_at(at, path);
	if (inode == 0)
		return F_ABSENT;
	if (name.n == 0 || medium_name(disk.medium, inode, 0, &inner))
		return F_DENIED;
	TRY(disk_step(DISK_CHANGES, BY_PROGRAM));
	medium_unlink(disk.medium, directory, name);
	return OK;
}

fault directory_is_within(int fd, int of, bool *out)
{
	(void)fd;
	(void)of;
	*out = false; /* nothing is copied here */
	return OK;
}

fault directory_give(const char *path, uint32_t uid, uint32_t gid)
{
	(void)uid;
	(void)gid;
	return inode_at(FILE_CWD, path) != 0 ? OK : F_ABSENT;
}

/* --- bytes --- */

fault file_pread(int fd, void *to, size_t n, uint64_t offset, size_t *n_out)
{
	struct opened *o = opened_of(fd);
	check(o != NULL);
	*n_out = medium_read(disk.medium, o->inode, offset, to, n);
	return OK;
}

fault file_read(int fd, void *to, size_t n, size_t *n_out)
{
	TRY(file_pread(fd, to, n, opened_of(fd)->at, n_out));
	opened_of(fd)->at += *n_out;
	return OK;
}

fault file_read_all(int fd, struct buf *to)
{
	char room[16 << 10];
	for (uint64_t offset = 0;;) {
		size_t n = 0;
		TRY(file_pread(fd, room, sizeof room, offset, &n));
		if (n == 0)
			return OK;
		TRY(buf_add(to, (struct str){ room, n }));
		offset += n;
	}
}

/* A write that fails has written a part, as a full disk does. */
fault file_pwrite(int fd, struct str bytes, uint64_t offset)
{
	struct opened *o = opened_of(fd);
	check(o != NULL);
	fault f = disk_step(DISK_CHANGES, BY_PROGRAM);
	if (f != OK)
		bytes = str_sub(bytes, 0, world.dying ? 0 : (size_t)chance_below(bytes.n + 1));
	if (bytes.n > 0)
		medium_write(disk.medium, o->inode, offset, bytes);
	return f;
}

fault file_cut(int fd, uint64_t bytes)
{
	struct opened *o = opened_of(fd);
	check(o != NULL);
	fault f = disk_step(DISK_CHANGES, BY_PROGRAM);
	if (f == OK)
		medium_resize(disk.medium, o->inode, bytes);
	disk.files_cut++;
	return f;
}

fault file_write(int fd, struct str bytes)
{
	struct opened *o = opened_of(fd);
	check(o != NULL);
	uint64_t at = (o->mode & FILE_APPEND) != 0 ? medium_size(disk.medium, o->inode) : o->at;
	TRY(file_pwrite(fd, bytes, at));
	o->at = at + bytes.n;
	return OK;
}

fault file_sync(int fd)
{
	struct opened *o = opened_of(fd);
	check(o != NULL);
	disk.repeated += o->sync_failed && !world.dying;
	fault f = disk_sync(o->inode, &o->errors_seen, BY_PROGRAM);
	if (f != OK && disk.plant.syncs_again)
		return disk_sync(o->inode, &o->errors_seen, BY_PROGRAM);
	o->sync_failed = o->sync_failed || f != OK;
	return f;
}

fault file_sync_all(int fd)
{
	return file_sync(fd);
}

/* --- what is known of a file, and its names --- */

fault file_size(int fd, uint64_t *out)
{
	*out = medium_size(disk.medium, opened_of(fd)->inode);
	return OK;
}

fault file_link(int from_at, const char *from, int to_at, const char *to)
{
	struct str name;
	uint32_t inode = inode_at(from_at, from), directory = directory_at(to_at, to, &name);
	if (inode == 0 || directory == 0)
		return F_ABSENT;
	if (medium_find(disk.medium, directory, name) != 0)
		return F_EXISTS;
	TRY(disk_step(DISK_CHANGES, BY_PROGRAM));
	medium_link(disk.medium, directory, name, inode);
	return OK;
}

fault file_rename(int from_at, const char *from, int to_at, const char *to)
{
	struct str name, new_name;
	uint32_t directory = directory_at(from_at, from, &name), new_directory = directory_at(to_at, to, &new_name);
	if (directory == 0 || new_directory == 0 || medium_find(disk.medium, directory, name) == 0)
		return F_ABSENT;
	TRY(disk_step(DISK_CHANGES, BY_PROGRAM));
	medium_rename(disk.medium, directory, name, new_directory, new_name);
	return OK;
}

fault file_remove(int at, const char *path)
{
	struct str name;
	uint32_t directory = directory_at(at, path, &name);
	uint32_t inode = directory != 0 ? medium_find(disk.medium, directory, name) : 0;
	if (inode == 0)
		return F_ABSENT;
	if (medium_is_directory(disk.medium, inode))
		return F_DENIED;
	TRY(disk_step(DISK_CHANGES, BY_PROGRAM));
	medium_unlink(disk.medium, directory, name);
	return OK;
}

fault path_facts(const char *path, struct path_facts *out)
{
	uint32_t inode = disk_find(path);
	if (inode == 0)
		return F_ABSENT;
	bool is_directory = medium_is_directory(disk.medium, inode);
	*out = (struct path_facts){ .mode = is_directory ? 0755 : 0644, .is_directory = is_directory, .is_file = !is_directory,
		                    .size_bytes = is_directory ? 0 : medium_size(disk.medium, inode) };
	return OK;
}

fault file_owner_mode(int fd, uint32_t *uid_out, uint32_t *mode_out)
{
	check(disk_has_fd(fd));
	*uid_out = 0;
	*mode_out = 0700;
	return OK;
}

fault file_lock(int fd)
{
	struct opened *o = opened_of(fd);
	check(o != NULL);
	for (int i = 0; i < DISK_FDS_MAX; i++)
		if (fds[i] != NULL && fds[i] != o && fds[i]->inode == o->inode && fds[i]->locked)
			return F_BUSY;
	o->locked = true;
	return OK;
}

fault file_space(int fd, uint64_t *bytes_free_out, uint64_t *names_free_out)
{
	check(disk_has_fd(fd));
	*bytes_free_out = disk.is_short ? 0 : (uint64_t)1 << 40;
	*names_free_out = 1 << 20;
	return OK;
}

/* --- directories --- */

/* The names as they are when it is begun. */
struct directory_reader { char (*names)[MEDIUM_NAME_MAX]; size_t n, at; };

struct directory_reader *directory_read(int fd)
{
	struct directory_reader *d = NEW(struct directory_reader);
	struct opened *o = opened_of(fd);
	check(o != NULL);
	for (struct str name; medium_name(disk.medium, o->inode, d->n, &name);) {
		d->names = must_resize(d->names, (d->n + 1) * sizeof *d->names);
		memcpy(d->names[d->n], name.p, name.n);
		d->names[d->n++][name.n] = '\0';
	}
	return d;
}

bool directory_next(struct directory_reader *d, struct str *name_out)
{
	if (d->at == d->n)
		return false;
	*name_out = str_of(d->names[d->at++]);
	return true;
}

void directory_close(struct directory_reader **d)
{
	if (*d == NULL)
		return;
	free((*d)->names);
	free(*d);
	*d = NULL;
}
