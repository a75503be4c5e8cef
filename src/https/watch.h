/* SPDX-License-Identifier: ISC */
/*
 * https/watch.h -- libcurl's sockets and its clock, in our loop.
 *
 * libcurl says which of its sockets it waits for and when it wants to be called anyway; it is called from the loop alone. It
 * opens and closes the sockets itself: here they are only watched.
 *
 * Owns     The multi handle, and the watches; the easy handles in it are the caller's, and out of it before the end.
 * Tests    test/scenario/mtasts_test.py
 */
#ifndef HTTPS_WATCH_H
#define HTTPS_WATCH_H

#include <curl/curl.h>

#include "base/fault.h"
#include "sys/loop.h"

struct watch;

/* stirred: something has moved, look for what is done. Never from within watch_add. NULL: libcurl refused. */
struct watch *watch_new(struct loop *loop, void (*stirred)(void *owner), void *owner);
void          watch_free(struct watch **w);
CURLM        *watch_multi(const struct watch *w);
MUST_USE fault watch_add(struct watch *w, CURL *easy);
void          watch_remove(struct watch *w, CURL *easy);

#endif
