/* SPDX-License-Identifier: ISC */
/*
 * test/sim/medium.h -- a file system in memory that keeps what is seen apart from what is durable.
 *
 * Every change is an operation. It is seen at once; it is durable when its file (bytes and size) or its directory (names) is
 * synced. Until then it is pending, and a failure of the power decides about each part of it: each name, each size, each
 * sector of each write, even a part of a sector. medium_after() builds the disk that is found afterwards.
 *
 * Legal are: any subset of the pending names, in their order; for each file any size that it had since its last sync; for
 * each sector any content that it had since then, or a torn mixture; for bytes that no sync has ever covered also junk. A
 * new file's name says nothing about its bytes, and the other way round. A rename is whole, or has not happened.
 *
 * Operations can be watched and done again on another medium: so a run is recorded once, and then cut at every operation.
 *
 * Tests    test/sim/medium_test.c
 */
#ifndef SIM_MEDIUM_H
#define SIM_MEDIUM_H

#include "base/list.h"
#include "base/str.h"

enum { MEDIUM_PAGE = 4096, MEDIUM_SECTOR = 512, MEDIUM_NAME_MAX = 120, MEDIUM_ROOT = 1 };

enum op_kind { OP_MAKE, OP_WRITE, OP_SIZE, OP_LINK, OP_UNLINK, OP_RENAME, OP_SYNC, OP_SYNC_FAILS, OP_MARK };

struct op {
	unsigned refs;
	enum op_kind kind;
	uint32_t inode;                  /* the file; of names: the directory */
	uint32_t other;                  /* LINK: what is named; RENAME: the directory that it goes to; MAKE: 1 a directory */
	uint64_t offset, length;         /* of WRITE */
	uint64_t size;                   /* after WRITE or SIZE; of MARK whatever the caller means */
	struct page **pages;             /* of WRITE: the file's pages as they are after it */
	size_t n_pages;
	char name[MEDIUM_NAME_MAX], to[MEDIUM_NAME_MAX];
};

struct medium;

struct medium *medium_new(void);
void           medium_free(struct medium **m);
/* Every operation from now on, as it is done; the watcher may op_keep() it. */
void           medium_watch(struct medium *m, void (*watch)(void *owner, struct op *op), void *owner);
struct op     *op_keep(struct op *op);
void           op_drop(struct op *op);

/* --- looking --- */
uint32_t medium_find(const struct medium *m, uint32_t directory, struct str name); /* one name; 0: absent */
bool     medium_is_directory(const struct medium *m, uint32_t inode);
uint64_t medium_size(const struct medium *m, uint32_t inode);
size_t   medium_read(const struct medium *m, uint32_t inode, uint64_t offset, char *to, size_t n);
bool     medium_name(const struct medium *m, uint32_t directory, size_t at, struct str *out); /* false: no more */

/* --- operations --- */
uint32_t medium_make(struct medium *m, bool directory);
void medium_write(struct medium *m, uint32_t inode, uint64_t offset, struct str bytes);
void medium_resize(struct medium *m, uint32_t inode, uint64_t size);
void medium_link(struct medium *m, uint32_t directory, struct str name, uint32_t inode);
void medium_unlink(struct medium *m, uint32_t directory, struct str name);
void medium_rename(struct medium *m, uint32_t from, struct str name, uint32_t to, struct str new_name);
void medium_sync(struct medium *m, uint32_t inode);
/* The system says that it failed, and takes what was pending for clean: seen it stays, durable it will never be. */
void medium_sync_fails(struct medium *m, uint32_t inode);
void medium_sync_everything(struct medium *m);
void medium_mark(struct medium *m, uint64_t what); /* changes nothing: for the watcher */
void medium_do(struct medium *m, struct op *op);   /* of another medium with the same past */

/* --- the power fails --- */

enum { PART_WHOLE = -1 };                /* a name, or a size; else the number of the sector within the write */

/* How much of this part is kept: KEEP_NONE to KEEP_ALL bytes from its beginning, or, negative, from its end. */
enum { KEEP_NONE = 0, KEEP_ALL = MEDIUM_SECTOR };
struct fate {
	int (*keeps)(void *owner, size_t pending, const struct op *op, int64_t part);
	void *owner;
	bool junk;                       /* what was never synced and is not kept holds junk, not zeros */
};

size_t           medium_n_pending(const struct medium *m);
const struct op *medium_pending(const struct medium *m, size_t i);
size_t           op_sectors(const struct op *op);
struct medium   *medium_after(const struct medium *m, const struct fate *fate);
uint64_t         medium_hash(const struct medium *m); /* of all that can be seen from the root */

#endif
