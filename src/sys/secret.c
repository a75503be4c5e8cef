/* SPDX-License-Identifier: ISC */
#include "sys/secret.h"

#include <string.h>
#include <sys/mman.h>

#include "base/check.h"

void *secret_new(size_t n, bool *locked_out)
{
	void *p = mmap(NULL, n > 0 ? n : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*locked_out = false;
	if (p == MAP_FAILED)
		return NULL;
	*locked_out = mlock2(p, n, MLOCK_ONFAULT) == 0; /* sanitizers make mlock(2) do nothing, and this one not */
#ifdef MADV_DONTDUMP
	(void)madvise(p, n, MADV_DONTDUMP);
#endif
#ifdef MADV_WIPEONFORK
	(void)madvise(p, n, MADV_WIPEONFORK);
#endif
	return p;
}

void secret_free(void **p, size_t n)
{
	if (*p == NULL)
		return;
	explicit_bzero(*p, n);
	check(munmap(*p, n > 0 ? n : 1) == 0);
	*p = NULL;
}
