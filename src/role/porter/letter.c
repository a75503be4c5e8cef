/* SPDX-License-Identifier: ISC */
#include "role/porter/letter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sys/file.h"
#include "sys/socket.h"

enum { FOLDER_MODE = 0700, FILE_MODE = 0600, RESERVE_BYTES = 1 << 20 };

struct letter {
	struct place place;
	char name[LETTER_NAME_MAX + 1];
	int fd;
	bool in_tmp;
};

static fault say(struct why *why, fault f, const struct place *place, const char *what)
{
	if (f == F_ABSENT)
		return why_say(why, f, "%s: the folder does not exist: make it, owned by the mail-user", place->fixed);
	return why_say(why, f, "%s/%s: cannot %s (%s)", place->fixed, place->below, what, fault_name(f));
}

/* -- folders --------------------------------------------------------------------------------- */

/* A name that could not be made durable is taken back: the kernel may hold it to be clean now, and the next sync, which
 * says yes, would prove nothing. */

/* MAKE_SURE: who has made a folder may have been killed before its name was durable, so that is seen to again. */
enum how { FIND, MAKE, MAKE_SURE };

/* The folder `name` right below `at`, made if it is missing and may be: its name is durable then. */
static fault enter(int at, const char *name, enum how how, int *fd_out)
{
	fault f = directory_open_beneath(at, name, fd_out);
	if (f == OK && how == MAKE_SURE) {
		f = file_sync_all(at);
		if (f != OK)
			fd_close(fd_out);
		return f;
	}
	if (f != F_ABSENT || how == FIND)
		return f;
	f = directory_make(at, name, FOLDER_MODE);
	if (f == OK) {
		f = file_sync_all(at);
		if (f != OK)
			(void)!directory_remove(at, name);
	}
	if (f != OK && f != F_EXISTS)
		return f;
	f = directory_open_beneath(at, name, fd_out);
	return f == F_ABSENT ? F_DENIED : f; /* something is there, but a file or a link */
}

/* The Maildir itself, component by component. */
static fault open_maildir(const struct place *place, enum how how, int *fd_out)
{
	int at = -1;
	char name[COMPONENT_MAX + 1];
	struct str rest = str_of(place->below), component;
	TRY(directory_open(FILE_CWD, place->fixed, &at, NULL));
	while (rest.n > 0) {
		if (!str_take_until(&rest, '/', &component)) {
			component = rest;
			rest = STR_NONE;
		}
		check(component.n <= COMPONENT_MAX);
		memcpy(name, component.p, component.n);
		name[component.n] = '\0';
		int next = -1;
		fault f = enter(at, name, how, &next);
		fd_close(&at);
		TRY(f);
		at = next;
	}
	*fd_out = at;
	return OK;
}

/* What is missing below the fixed part is made when a letter comes. */
fault letter_look(const struct place *place, struct why *why)
{
	int fd = -1;
	fault f = directory_open(FILE_CWD, place->fixed, &fd, NULL);
	fd_close(&fd);
	if (f == OK) {
		f = open_maildir(place, FIND, &fd);
		fd_close(&fd);
		if (f == F_ABSENT)
			f = OK;
	}
	return f == OK ? OK : say(why, f, place, "open the mailbox");
}

struct folders { int tmp, new, cur; };

static void folders_close(struct folders *f)
{
	fd_close(&f->tmp);
	fd_close(&f->new);
	fd_close(&f->cur);
}

static fault folders_open(const struct place *place, enum how how, struct folders *out)
{
	int maildir = -1;
	*out = (struct folders){ -1, -1, -1 };
	fault f = open_maildir(place, how, &maildir);
	if (f == OK)
		f = enter(maildir, "tmp", how, &out->tmp);
	if (f == OK)
		f = enter(maildir, "new", how, &out->new);
	if (f == OK)
		f = enter(maildir, "cur", how, &out->cur);
	fd_close(&maildir);
	if (f != OK)
		folders_close(out);
	return f;
}

/* Is the letter there, alone or with the flags that a mail program has appended? */
static bool folder_has(int folder, struct str name)
{
	struct directory_reader *d = directory_read(folder);
	struct str entry;
	bool found = false;
	while (!found && directory_next(d, &entry))
		found = str_starts(entry, name) && (entry.n == name.n || entry.p[name.n] == ':');
	directory_close(&d);
	return found;
}

static bool is_there(int folder, const char *name)
{
	int fd = -1;
	bool there = file_open_beneath(folder, name, FILE_READ, 0, &fd) == OK;
	fd_close(&fd);
	return there;
}

/* -- the letter ------------------------------------------------------------------------------ */

fault letter_begin(const struct place *place, const char *name, bool repeat, struct letter **out, struct why *why)
{
	struct folders folders;
	int fd = -1;
	fault f = folders_open(place, repeat ? MAKE_SURE : MAKE, &folders);
	if (f != OK)
		return say(why, f, place, "open the mailbox");
	bool in_new = is_there(folders.new, name);
	if (in_new || (repeat && folder_has(folders.cur, str_of(name)))) {
		/* Whoever has put it there may have been killed before its name was durable. */
		f = file_sync_all(in_new ? folders.new : folders.cur);
		if (f != OK && in_new)
			(void)!file_remove(folders.new, name);
		folders_close(&folders);
		return f == OK ? F_EXISTS : say(why, f, place, "sync what was delivered before");
	}
	f = file_open_beneath(folders.tmp, name, FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, FILE_MODE, &fd);
	if (f == F_EXISTS) { /* a crash has left it: nobody else writes under this name */
		f = file_remove(folders.tmp, name);
		if (f == OK)
			f = file_open_beneath(folders.tmp, name, FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, FILE_MODE, &fd);
	}
	folders_close(&folders);
	if (f != OK)
		return say(why, f == F_ABSENT || f == F_EXISTS ? F_SYS : f, place, "write into tmp/");

	struct letter *l = NEW(struct letter);
	l->place = *place;
	(void)snprintf(l->name, sizeof l->name, "%s", name);
	l->fd = fd;
	l->in_tmp = true;
	*out = l;
	return OK;
}

fault letter_write(struct letter *l, struct str bytes)
{
	return file_write(l->fd, bytes);
}

static fault move_to_new(struct letter *l, struct folders *folders)
{
	fault linked = file_link(folders->tmp, l->name, folders->new, l->name);
	if (linked != OK && linked != F_EXISTS)
		return linked;
	fault f = file_sync_all(folders->new);
	if (f != OK) {
		(void)!file_remove(folders->new, l->name);
		return f;
	}
	l->in_tmp = file_remove(folders->tmp, l->name) != OK;
	return linked;
}

fault letter_finish(struct letter *l, struct why *why)
{
	struct folders folders;
	fault f = file_sync_all(l->fd);
	fd_close(&l->fd);
	if (f != OK)
		return say(why, f, &l->place, "sync the letter");
	f = folders_open(&l->place, FIND, &folders);
	if (f != OK)
		return say(why, f == F_ABSENT ? F_SYS : f, &l->place, "open the mailbox again");
	f = move_to_new(l, &folders);
	folders_close(&folders);
	return f == OK || f == F_EXISTS ? f : say(why, f == F_ABSENT ? F_SYS : f, &l->place, "link into new/");
}

static void remove_from_tmp(struct letter *l)
{
	struct folders folders;
	if (folders_open(&l->place, FIND, &folders) != OK)
		return;
	l->in_tmp = file_remove(folders.tmp, l->name) != OK;
	folders_close(&folders);
}

void letter_free(struct letter **letter)
{
	struct letter *l = *letter;
	if (l == NULL)
		return;
	*letter = NULL;
	fd_close(&l->fd);
	if (l->in_tmp)
		remove_from_tmp(l);
	free(l);
}

bool letter_disk_is_full(const struct place *place, uint64_t needed_bytes)
{
	int fd = -1;
	uint64_t bytes = 0, names = 0;
	if (directory_open(FILE_CWD, place->fixed, &fd, NULL) != OK)
		return true;
	fault f = file_space(fd, &bytes, &names);
	fd_close(&fd);
	return f != OK || names == 0 || bytes < RESERVE_BYTES || bytes - RESERVE_BYTES < needed_bytes;
}
