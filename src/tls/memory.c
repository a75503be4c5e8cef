/* SPDX-License-Identifier: ISC */
/* tls/memory.c -- what OpenSSL gives back is overwritten first. It does so itself for what it takes for a secret; the
 * decoders of keys, the buffers of records and their copies are not among that. */
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tls.h"

static void give_back(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *take(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return n > 0 ? malloc(n) : NULL;
}

static void *take_more(void *p, size_t n, const char *file, int line)
{
	size_t had = p != NULL ? malloc_usable_size(p) : 0;
	void *fresh = take(n, file, line);
	if (n > 0 && fresh == NULL)
		return NULL; /* the old one stays */
	if (had > 0 && n > 0)
		memcpy(fresh, p, had < n ? had : n);
	give_back(p, file, line);
	return fresh;
}

bool tls_wipe_memory(void)
{
	return CRYPTO_set_mem_functions(take, take_more, give_back) == 1;
}
