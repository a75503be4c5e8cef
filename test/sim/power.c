/* SPDX-License-Identifier: ISC */
/*
 * test/sim/power.c -- what a failure of the power takes back: bytes and names that no sync has made durable.
 *
 * Every write is noted with what it replaced, every new name with its directory; a sync of the file, or of the directory,
 * forgets the notes. When the power fails, each note that is left is undone or not, by chance, the newest first.
 */
#include "world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

enum note_kind { NOTE_BYTES, NOTE_NAME, NOTE_RENAME };

struct note {
	struct link in_notes;
	enum note_kind kind;
	dev_t device;
	ino_t inode;            /* of the file, or of the directory that holds the name */
	char path[512], before[512];
	uint64_t offset, size;  /* the write's place and length */
	struct buf old;         /* what was there, as far as the file went */
};

static struct list notes = { { &notes.head, &notes.head } };

static void forget(struct note *n)
{
	link_remove(&n->in_notes);
	buf_fini(&n->old);
	free(n);
}

void power_forget(void)
{
	LIST_EACH(l, &notes)
		forget(LIST_MEMBER(l, struct note, in_notes));
}

static bool path_of(int fd, char *to, size_t room)
{
	char link[64];
	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, to, room - 1);
	if (n <= 0)
		return false;
	to[n] = '\0';
	return true;
}

static bool path_below(int at, const char *name, char *to, size_t room)
{
	char directory[400];
	if (at == AT_FDCWD || name[0] == '/')
		return snprintf(to, room, "%s", name) < (int)room;
	return path_of(at, directory, sizeof directory) && snprintf(to, room, "%s/%s", directory, name) < (int)room;
}

static struct note *note(enum note_kind kind, const char *path, const struct stat *whose)
{
	struct note *n = NEW(struct note);
	n->kind = kind;
	n->device = whose->st_dev;
	n->inode = whose->st_ino;
	(void)snprintf(n->path, sizeof n->path, "%s", path);
	buf_init(&n->old, 80 << 20);
	list_add_last(&notes, &n->in_notes);
	return n;
}

void power_writes(const char *path, uint64_t offset, size_t size)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		fd_close(&fd);
		return;
	}
	struct note *n = note(NOTE_BYTES, path, &st);
	n->offset = offset;
	n->size = size;
	if (offset < (uint64_t)st.st_size) {
		size_t there = (uint64_t)st.st_size - offset < size ? (size_t)((uint64_t)st.st_size - offset) : size;
		char *to = buf_reserve(&n->old, there);
		check(to != NULL && pread(fd, to, there, (off_t)offset) == (ssize_t)there);
		buf_filled(&n->old, there);
	}
	fd_close(&fd);
}

void power_writes_fd(int fd, uint64_t offset, size_t size)
{
	char path[512];
	if (path_of(fd, path, sizeof path))
		power_writes(path, offset, size);
}

static void forget_of(const struct stat *st, bool names)
{
	if (world.syncs_lie)
		return;
	LIST_EACH(l, &notes) {
		struct note *n = LIST_MEMBER(l, struct note, in_notes);
		if (n->device == st->st_dev && n->inode == st->st_ino && (n->kind != NOTE_BYTES) == names)
			forget(n);
	}
}

void power_synced(const char *path)
{
	struct stat st;
	if (stat(path, &st) == 0)
		forget_of(&st, false);
}

void power_synced_fd(int fd)
{
	struct stat st;
	if (fstat(fd, &st) == 0)
		forget_of(&st, S_ISDIR(st.st_mode));
}

static bool directory_of(const char *path, struct stat *out)
{
	char directory[512];
	(void)snprintf(directory, sizeof directory, "%s", path);
	char *slash = strrchr(directory, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	return stat(directory, out) == 0;
}

void power_named(int at, const char *name)
{
	char path[512];
	struct stat directory;
	if (path_below(at, name, path, sizeof path) && directory_of(path, &directory))
		(void)note(NOTE_NAME, path, &directory);
}

void power_renamed(int from_at, const char *from, int to_at, const char *to)
{
	char path[512], before[512];
	struct stat directory;
	if (!path_below(to_at, to, path, sizeof path) || !path_below(from_at, from, before, sizeof before) ||
	    !directory_of(path, &directory))
		return;
	struct note *n = note(NOTE_RENAME, path, &directory);
	(void)snprintf(n->before, sizeof n->before, "%s", before);
}

static void undo_bytes(const struct note *n)
{
	struct str old = buf_view(&n->old);
	struct stat st;
	int fd = open(n->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_ino != n->inode) {
		fd_close(&fd);
		return;
	}
	check(pwrite(fd, old.p != NULL ? old.p : "", old.n, (off_t)n->offset) == (ssize_t)old.n);
	/* Beyond the old end of the file there are zeros, or nothing. */
	if (old.n < n->size && (uint64_t)st.st_size <= n->offset + n->size && chance_below(2) == 0) {
		check(ftruncate(fd, (off_t)(n->offset + old.n)) == 0);
	} else {
		static const char zeros[4096];
		for (uint64_t at = old.n; at < n->size; at += sizeof zeros) {
			size_t part = n->size - at < sizeof zeros ? (size_t)(n->size - at) : sizeof zeros;
			check(pwrite(fd, zeros, part, (off_t)(n->offset + at)) == (ssize_t)part);
		}
	}
	fd_close(&fd);
}

void power_fails(void)
{
	world.crashes++;
	while (!list_empty(&notes)) {
		struct note *n = LIST_MEMBER(notes.head.prev, struct note, in_notes);
		if (chance_below(2) == 0) {
			world.faults++;
			if (n->kind == NOTE_BYTES)
				undo_bytes(n);
			else if (n->kind == NOTE_NAME)
				(void)unlink(n->path);
			else
				(void)rename(n->path, n->before);
		}
		forget(n);
	}
}
