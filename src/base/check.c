/* SPDX-License-Identifier: ISC */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *what)
{
	(void)fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
	abort();
}

void *must_alloc(size_t n)
{
	void *p = calloc(1, n > 0 ? n : 1);
	check(p != NULL);
	return p;
}

void *must_resize(void *p, size_t n)
{
	void *grown = realloc(p, n > 0 ? n : 1);
	check(grown != NULL);
	return grown;
}
