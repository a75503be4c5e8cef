/* SPDX-License-Identifier: ISC */
#include "sys/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/socket.h"

static fault fault_now(void)
{
	return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? F_LIMIT : F_SYS;
}

fault shared_make(size_t bytes, int *write_fd_out, int *read_fd_out)
{
	char path[64];
	int fd = memfd_create("sealpost", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return fault_now();
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	/* The mode keeps every other account from opening the reader's descriptor anew, for writing. */
	int reader = fchmod(fd, 0400) == 0 && ftruncate(fd, (off_t)bytes) == 0 &&
	                     fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0
	                     ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (reader < 0) {
		fault f = fault_now();
		fd_close(&fd);
		return f;
	}
	*write_fd_out = fd;
	*read_fd_out = reader;
	return OK;
}

fault shared_map(int fd, size_t bytes, bool write, void **out)
{
	void *map = mmap(NULL, bytes, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return fault_now();
	*out = map;
	return OK;
}

void shared_unmap(void *map, size_t bytes)
{
	if (map != NULL)
		(void)munmap(map, bytes);
}
