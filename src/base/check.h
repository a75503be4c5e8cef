/* SPDX-License-Identifier: ISC */
/*
 * base/check.h -- the assertion that is always compiled in.
 *
 * check() is for our own bugs only: it writes file and line to standard error and aborts this
 * role, which the supervisor restarts. Input can never reach one.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stddef.h>

_Noreturn void check_failed(const char *file, int line, const char *what);

#define check(cond) ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))

/* Memory or death: no caller handles exhaustion, because every session has a ceiling of its own. */
void *must_alloc(size_t n);             /* zeroed; free() releases it */
void *must_resize(void *p, size_t n);   /* the grown part is not zeroed */

#define NEW(type) ((type *)must_alloc(sizeof(type)))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
