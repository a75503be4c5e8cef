/* SPDX-License-Identifier: ISC */
/*
 * sys/file.h -- files and directories, with the faults a mail server must tell apart.
 *
 * Errors   F_ABSENT, F_EXISTS, F_DENIED, F_LIMIT (disk full, quota, no descriptor left), else F_SYS.
 *          The why, where given, names the path and the reason.
 * Tests    test/unit/sys/file_test.c
 */
#ifndef SYS_FILE_H
#define SYS_FILE_H

#include "base/buf.h"
#include "base/fault.h"

enum file_mode { FILE_READ = 1, FILE_WRITE = 2, FILE_CREATE = 4, FILE_EXCLUSIVE = 8, FILE_APPEND = 16, FILE_PLAIN = 32 };

/* at: a directory's descriptor, or FILE_CWD. Symbolic links at the end are not followed when
 * FILE_CREATE or FILE_PLAIN is set; with FILE_PLAIN a FIFO is not waited for, either. */
enum { FILE_CWD = -100 };
MUST_USE fault file_open(int at, const char *path, unsigned mode, unsigned permissions, int *fd_out,
                         struct why *why);
/* Stays below `at`: no "..", no absolute path, no symbolic link anywhere (openat2). */
MUST_USE fault file_open_beneath(int at, const char *path, unsigned mode, unsigned permissions,
                                 int *fd_out);
/* A relative path behind the current directory, an absolute one as it is. F_LIMIT: no room. */
MUST_USE fault path_absolute(const char *path, char *to, size_t room);
/* Do both lead to one file, whatever the names and links are? Where one cannot be looked at, by the names. */
bool path_is_same(const char *a, const char *b);
/* Of a mode, as chmod takes it: all that can be set, and what others than the owner may do. */
enum { FILE_MODE_BITS = 07777, FILE_MODE_OTHERS = 077 };
/* Whose it is and who may do what with it, links followed. */
struct path_facts { uint32_t uid, gid, mode; bool is_directory, is_file; int64_t changed_s; uint64_t size_bytes; };
MUST_USE fault path_facts(const char *path, struct path_facts *out);
MUST_USE fault directory_open(int at, const char *path, int *fd_out, struct why *why);
MUST_USE fault directory_open_parent(const char *path, int *fd_out, struct why *why); /* of the last name */
/* Is the directory `fd` the directory `of`, or below it? By what they are, whatever the names and links were. */
MUST_USE fault directory_is_within(int fd, int of, bool *out);
MUST_USE fault directory_open_beneath(int at, const char *path, int *fd_out);
MUST_USE fault directory_make(int at, const char *path, unsigned permissions); /* F_EXISTS is told */
MUST_USE fault directory_remove(int at, const char *path); /* an empty one */
/* Makes the last name of the path durable, by a sync of the directory that holds it: a new directory may be gone after a
 * power cut, with all that was synced in it. */
MUST_USE fault directory_sync_name(const char *path);

MUST_USE fault file_read_all(int fd, struct buf *to);   /* from the start; F_LIMIT: more than to's ceiling */
MUST_USE fault file_read(int fd, void *to, size_t n, size_t *n_out);
MUST_USE fault file_write(int fd, struct str bytes);    /* all of it */
MUST_USE fault file_pread(int fd, void *to, size_t n, uint64_t offset, size_t *n_out);
MUST_USE fault file_pwrite(int fd, struct str bytes, uint64_t offset); /* all of it */
MUST_USE fault file_cut(int fd, uint64_t bytes);        /* it has no more from now on */
MUST_USE fault file_sync(int fd);                       /* fdatasync; after a failure the file is suspect */
MUST_USE fault file_sync_all(int fd);                   /* fsync: also a directory's names */
MUST_USE fault file_size(int fd, uint64_t *out);
MUST_USE fault file_link(int from_at, const char *from, int to_at, const char *to); /* F_EXISTS */
MUST_USE fault file_rename(int from_at, const char *from, int to_at, const char *to);
MUST_USE fault file_remove(int at, const char *path);
MUST_USE fault file_owner_mode(int fd, uint32_t *uid_out, uint32_t *mode_out);
MUST_USE fault directory_give(const char *path, uint32_t uid, uint32_t gid); /* chown; not through a symbolic link */
/* For this process alone until fd is closed, also against itself. F_BUSY: somebody else has it. */
MUST_USE fault file_lock(int fd);
MUST_USE fault file_space(int fd, uint64_t *bytes_free_out, uint64_t *names_free_out);

/* Names in a directory, one a call; false at the end. "." and ".." are left out. */
struct directory_reader;
struct directory_reader *directory_read(int fd);
bool directory_next(struct directory_reader *d, struct str *name_out);
void directory_close(struct directory_reader **d);

#endif
