/* SPDX-License-Identifier: ISC */
/* tls/memory.c -- what OpenSSL gives back is overwritten first. It does so itself for what it takes for a secret; the
 * decoders of keys, the buffers of records and their copies are not among that. */
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "sys/blocks.h"
#include "tls/tls.h"

enum { RECORD_BUFFER_BYTES = 18 << 10 };  /* the most that OpenSSL takes for one */

/* Of the process, as the functions are that OpenSSL is given. */
static struct blocks *record_buffers;

static bool lies_apart(const void *p)
{
	return record_buffers != NULL && blocks_hold(record_buffers, p);
}

static void give_back(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (lies_apart(p)) {
		blocks_give(record_buffers, p);
		return;
	}
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *take(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	void *apart = NULL;
	if (record_buffers != NULL && n >= TLS_BUFFER_BYTES && n <= RECORD_BUFFER_BYTES)
		apart = blocks_take(record_buffers);
	if (apart != NULL)
		return apart;
	return n > 0 ? malloc(n) : NULL;
}

static size_t size_of(void *p)
{
	return lies_apart(p) ? blocks_size(record_buffers) : malloc_usable_size(p);
}

static void *take_more(void *p, size_t n, const char *file, int line)
{
	size_t had = p != NULL ? size_of(p) : 0;
	void *fresh = take(n, file, line);
	if (n > 0 && fresh == NULL)
		return NULL; /* the old one stays */
	if (had > 0 && n > 0)
		memcpy(fresh, p, had < n ? had : n);
	give_back(p, file, line);
	return fresh;
}

bool tls_buffers_apart(size_t n)
{
	if (record_buffers == NULL)
		record_buffers = blocks_new(RECORD_BUFFER_BYTES, n);
	return record_buffers != NULL;
}

void tls_buffers_rest(void)
{
	if (record_buffers != NULL)
		blocks_rest(record_buffers);
}

bool tls_wipe_memory(void)
{
	return CRYPTO_set_mem_functions(take, take_more, give_back) == 1;
}
