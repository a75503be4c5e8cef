/* SPDX-License-Identifier: ISC */
/*
 * disk DISKS BYTES LOG FOLDER -- disks that remember in which order they were written and flushed.
 *
 * FUSE puts the files disk0, disk1 ... into FOLDER, each as large as asked for; a loop device on one is a disk like any
 * other. Every write and every flush that reaches them is appended to LOG. What is written to the file `mark` is appended
 * too: so what a mail client saw has its place among the writes. One thread serves all, which gives them one order.
 *
 * A record of the log: kind (1: write, 2: flush, 3: mark, 4: zeros), disk, offset, length, each 8 bytes little endian; then,
 * for writes and marks, the bytes.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, FLUSH = 2, MARK = 3, ZEROS = 4, BYTES_MAX = 1 << 20, DISKS_MAX = 10 };

static char *disks[DISKS_MAX];
static int n_disks;
static size_t disk_bytes;
static int log_fd;

static int record(uint64_t kind, uint64_t disk, uint64_t offset, const char *bytes, size_t n)
{
	static const char zeros[BYTES_MAX];
	uint64_t head[4] = { kind, disk, offset, n };
	size_t follow = n;
	if (kind == WRITE && n <= BYTES_MAX && memcmp(bytes, zeros, n) == 0) {
		head[0] = ZEROS;
		follow = 0;
	}
	struct iovec parts[2] = { { head, sizeof head }, { (void *)(uintptr_t)bytes, follow } };
	return writev(log_fd, parts, 2) == (ssize_t)(sizeof head + follow) ? 0 : -EIO;
}

/* -1: it is none. */
static int disk_of(const char *path)
{
	int disk = strncmp(path, "/disk", 5) == 0 && strlen(path) == 6 ? path[5] - '0' : -1;
	return disk < n_disks ? disk : -1;
}

static void *on_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
	connection->max_write = BYTES_MAX;
	config->direct_io = 1; /* no cache of the kernel's between the loop device and here */
	return NULL;
}

static int on_getattr(const char *path, struct stat *st, struct fuse_file_info *file)
{
	(void)file;
	*st = (struct stat){ .st_nlink = 1 };
	if (strcmp(path, "/") == 0)
		st->st_mode = S_IFDIR | 0755;
	else if (disk_of(path) >= 0 || strcmp(path, "/mark") == 0)
		st->st_mode = S_IFREG | 0600;
	else
		return -ENOENT;
	st->st_size = disk_of(path) >= 0 ? (off_t)disk_bytes : 0;
	return 0;
}

static int on_open(const char *path, struct fuse_file_info *file)
{
	(void)path;
	file->direct_io = 1;
	return 0;
}

static int on_truncate(const char *path, off_t size, struct fuse_file_info *file)
{
	(void)size;
	(void)file;
	return disk_of(path) >= 0 ? -EPERM : 0; /* the shell's > */
}

static int on_read(const char *path, char *to, size_t n, off_t offset, struct fuse_file_info *file)
{
	(void)file;
	int disk = disk_of(path);
	if (disk < 0 || (size_t)offset >= disk_bytes)
		return 0;
	if (n > disk_bytes - (size_t)offset)
		n = disk_bytes - (size_t)offset;
	memcpy(to, disks[disk] + offset, n);
	return (int)n;
}

static int on_write(const char *path, const char *bytes, size_t n, off_t offset, struct fuse_file_info *file)
{
	(void)file;
	int disk = disk_of(path);
	if (disk < 0)
		return record(MARK, 0, 0, bytes, n) == 0 ? (int)n : -EIO;
	if ((size_t)offset > disk_bytes || n > disk_bytes - (size_t)offset)
		return -ENOSPC;
	memcpy(disks[disk] + offset, bytes, n);
	return record(WRITE, (uint64_t)disk, (uint64_t)offset, bytes, n) == 0 ? (int)n : -EIO;
}

static int on_fsync(const char *path, int data_only, struct fuse_file_info *file)
{
	(void)data_only;
	(void)file;
	int disk = disk_of(path);
	return disk >= 0 ? record(FLUSH, (uint64_t)disk, 0, NULL, 0) : 0;
}

int main(int argc, char **argv)
{
	static const struct fuse_operations operations = {
		.init = on_init, .getattr = on_getattr, .open = on_open, .truncate = on_truncate, .read = on_read,
		.write = on_write, .fsync = on_fsync,
	};
	if (argc != 5) {
		fprintf(stderr, "usage: %s DISKS BYTES LOG FOLDER\n", argv[0]);
		return 2;
	}
	disk_bytes = strtoull(argv[2], NULL, 10);
	for (int want = atoi(argv[1]); n_disks < want && n_disks < DISKS_MAX; n_disks++) {
		void *room = mmap(NULL, disk_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (room == MAP_FAILED) {
			perror("room for a disk");
			return 1;
		}
		disks[n_disks] = room;
	}
	log_fd = open(argv[3], O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (log_fd < 0) {
		perror(argv[3]);
		return 1;
	}
	char *arguments[] = { argv[0], (char[]){ "-f" }, (char[]){ "-s" }, argv[4], NULL };
	return fuse_main(4, arguments, &operations, NULL);
}
