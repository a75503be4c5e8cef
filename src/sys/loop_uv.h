/* SPDX-License-Identifier: ISC */
/* sys/loop_uv.h -- libuv's loop below ours, for the files of sys/ that stand on libuv. */
#ifndef SYS_LOOP_UV_H
#define SYS_LOOP_UV_H

#include <uv.h>

#include "sys/loop.h"

uv_loop_t *loop_uv(struct loop *loop);

#endif
