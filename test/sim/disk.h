/* SPDX-License-Identifier: ISC */
/*
 * test/sim/disk.h -- the disk of the simulated machine: what sys/file.h and SQLite's VFS do on a medium.
 *
 * Every change and every sync is a step. A step can fail, by the weather or because a plan says so; and it can be the one in
 * which the power fails or every process is killed: then world.dying is set, nothing more reaches the medium, and whoever
 * runs the world takes it apart at the end of the turn.
 *
 * A sync that fails has told so once to each descriptor that was open then, as the kernel does; a second one may well say yes.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "base/fault.h"
#include "medium.h"

enum { DISK_FD = 1 << 21, DISK_FDS_MAX = 4096 }; /* descriptors of files */

enum disk_act { DISK_CHANGES, DISK_SYNCS };
enum disk_layer { BY_PROGRAM, BY_SQLITE };

/* Faults on purpose, of the store's: the oracle must see each. */
struct disk_plant {
	bool no_file_sync;      /* sys/file.h says that bytes are durable, and they are not */
	bool no_name_sync;      /* the same of a directory's names */
	bool no_sqlite_sync;    /* the same of SQLite's files */
	bool syncs_again;       /* a sync that fails is asked for once more, and that yes is believed */
};

struct disk {
	struct medium *medium;
	unsigned long steps, syncs, files_open;
	unsigned long cut_at;   /* the step in which all dies; 0: none */
	unsigned long fail_at, fail_to; /* the steps that fail with fail_with; 0: none */
	fault fail_with;
	bool cut, failed;       /* it has happened */
	bool is_short;          /* there is no room left, as file_space says */
	unsigned long files_cut;
	unsigned long repeated; /* the program synced again what had failed to be synced */
	struct disk_plant plant;
};
extern struct disk disk;

void disk_begin(void);          /* an empty one */
void disk_end(void);
/* Another medium from now on, and the old one to the caller: no file may be open. */
struct medium *disk_swap(struct medium *m);

/* The next step: OK, or why it fails. */
fault disk_step(enum disk_act act, enum disk_layer layer);
/* A sync of a file that was opened when it had had so many failures. */
fault disk_sync(uint32_t inode, unsigned *errors_seen, enum disk_layer layer);
unsigned disk_errors(uint32_t inode);
uint32_t disk_find(const char *path);                    /* 0: absent */
uint32_t disk_directory_of(const char *path, struct str *name_out); /* 0: no such directory */

/* For descriptors in socket.c. */
bool disk_has_fd(int fd);
void disk_fd_close(int fd);
int  disk_fd_dup(int fd);

#endif
